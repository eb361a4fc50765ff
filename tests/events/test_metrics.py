"""The metrics of an invocation: each outcome is counted once, under its own name."""

from __future__ import annotations

import json

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.full_run import FullRunSlice
from ssm_reconcile.model import Place
from tests.events.pump import Account, Deployed, metrics
from tests.fake_aws.traffic import Fault, FaultPlan, lost, refused

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
guards: { max_deletes: 1000, max_change_percent: 30 }
"""
OUTCOMES = ("Applied", "Failed", "Stale", "Withheld")
PLACES = ("TargetUnavailable", "TableUnavailable")
EVENT = (*OUTCOMES, "Refused", "Contended", "Again", "Rejected", *PLACES)
FULL = (*OUTCOMES, "Remaining", *PLACES)


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stack(account: Account) -> Deployed:
    return account.deploy(SPEC)


def put(account: Account, *names: str, value: str = "v") -> None:
    """Write to the source without an event."""
    for name in names:
        account.world.put(account.here, name, value)


def fail(operation: str, fault: Fault, place: Place, *names: str) -> FaultPlan:
    """Strike each call of an operation in a place, or only those with one of these names in them."""

    def plan(called: str, where: Place, asked: tuple[str, ...], _nth: int) -> Fault | None:
        struck = not names or set(names) & set(asked)
        return fault if (called, where) == (operation, place) and struck else None

    return plan


class Counts:
    """The metrics that were written since the last look."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, names: tuple[str, ...]) -> dict[str, float]:
        """Return these metrics, those that are zero left out. Each of them must have been written."""
        written = metrics(self._capsys.readouterr().out)
        assert set(names) <= set(written)
        return {name: written[name] for name in names if written[name]}

    def forget(self) -> None:
        """Ignore what was written until now."""
        self._capsys.readouterr()


@pytest.fixture
def counts(capsys: pytest.CaptureFixture[str]) -> Counts:
    return Counts(capsys)


class TestABatchOfEvents:
    def test_an_applied_and_a_failed_write_are_counted_apart(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        account.world.faults = fail("PutParameter", refused(Trouble.DENIED), account.there, "/prod/b")
        for name in "abc":
            account.put(account.here, f"/prod/{name}", "v")
        stack.poll()
        assert counts(EVENT) == {"Applied": 2, "Failed": 1, "Again": 1}

    def test_a_change_that_the_world_overtook_is_stale_and_not_failed(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        account.world.before("PutParameter", lambda: account.world.put(account.there, "/prod/a", "theirs"))
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        assert counts(EVENT) == {"Stale": 1, "Again": 1}

    def test_names_of_a_place_that_cannot_be_read_are_retried_and_the_place_is_counted(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        account.put(account.here, "/prod/a", "v")
        account.drain()
        counts.forget()
        account.world.faults = fail("DescribeParameters", refused(Trouble.DENIED), account.here)
        for name in "bcd":
            account.put(account.here, f"/prod/{name}", "v")
        stack.poll()
        assert counts(EVENT) == {"Again": 3, "TargetUnavailable": 1}
        assert not [key for key in stack.table.items if key.startswith("attempts#")]

    def test_messages_that_no_spec_can_judge_are_retried(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        stack.spec = "version: 2"
        for name in "ab":
            account.put(account.here, f"/prod/{name}", "v")
        stack.queue.send("not a name!")
        stack.poll()
        assert counts(("Again", "Rejected", "SpecFailed")) == {"Again": 2, "Rejected": 1, "SpecFailed": 1}


@pytest.mark.parametrize(("name", "dimension"), [("prod", "prod"), ("", "all")])
def test_each_metric_has_the_name_of_the_replication_as_its_dimension(
    account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str], name: str, dimension: str
) -> None:
    """The alarms of a stack read the metrics with this dimension."""
    stack.function.environment = {**stack.function.environment, "NAME": name}
    account.put(account.here, "/prod/a", "v")
    stack.poll()
    stack.run_slice()
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert {one["service"] for one in documents} == {dimension}
    assert all(one["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]] for one in documents)


class TestAFullRun:
    def test_applied_and_failed_writes_are_counted_apart_and_what_failed_remains(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, "/prod/a", "/prod/b", "/prod/c")
        account.world.faults = fail("PutParameter", refused(Trouble.DENIED), account.there, "/prod/b")
        stack.run_slice()
        assert counts(FULL) == {"Applied": 2, "Failed": 1, "Remaining": 1}

    def test_a_change_that_the_world_overtook_is_stale_and_remains(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, "/prod/a")
        account.world.before("PutParameter", lambda: account.world.put(account.there, "/prod/a", "theirs"))
        stack.run_slice()
        assert counts(FULL) == {"Stale": 1, "Remaining": 1}

    def test_withheld_changes_and_conflicts_remain(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        _replicate_and_change(account, stack, 12)
        account.world.put(account.there, "/prod/theirs", "theirs")
        put(account, "/prod/theirs", "/prod/new")
        counts.forget()
        stack.run_slice()
        assert counts(FULL) == {"Applied": 1, "Withheld": 12, "Remaining": 13}

    def test_a_place_that_could_not_be_listed_remains(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        stack.spec = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
        put(account, "/prod/a")
        west = account.world.place("eu-west-1")
        account.world.faults = fail("DescribeParameters", refused(Trouble.DENIED), west)
        stack.run_slice()
        assert counts(FULL) == {"Applied": 1, "Remaining": 1, "TargetUnavailable": 1}

    def test_a_run_that_could_not_be_planned_has_failed(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, "/prod/a")
        account.world.faults = fail("DescribeParameters", refused(Trouble.DENIED), account.here)
        with pytest.raises(Exception, match="the whole run failed"):
            stack.run_slice()
        assert counts(("Failed", "TargetUnavailable")) == {"Failed": 1, "TargetUnavailable": 1}

    def test_a_defect_is_not_counted_as_a_place(
        self, stack: Deployed, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        def fail_slice(_: FullRunSlice) -> None:
            raise KeyError("x")

        monkeypatch.setattr(FullRunSlice, "run", fail_slice)
        with pytest.raises(Exception, match="the whole run failed"):
            stack.run_slice()
        counted = metrics(capsys.readouterr().out)
        assert (counted["Failed"], counted["TargetUnavailable"]) == (1, 0)

    def test_changes_after_the_deadline_are_not_attempted_and_remain(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, *(f"/prod/{i:02}" for i in range(40)))
        account.world.before("PutParameter", lambda: account.clock.sleep(7), times=40)
        answer = stack.run_slice(60)
        written = len(account.world.names(account.there))
        assert 0 < written < 40
        assert answer == {"status": "planned", "slice": 1, "not_attempted": 40 - written, "written": written}
        assert counts(FULL) == {"Applied": written, "Remaining": 40 - written}


def test_a_lost_answer_that_cannot_be_settled_is_a_failure(
    account: Account, stack: Deployed, counts: Counts
) -> None:
    put(account, "/prod/a")
    account.world.faults = fail("PutParameter", lost(done=False), account.there)
    stack.run_slice()
    assert counts(FULL) == {"Failed": 1, "Remaining": 1}


def _replicate(account: Account, stack: Deployed, count: int) -> list[str]:
    names = [f"/prod/{i:02}" for i in range(count)]
    put(account, *names)
    stack.run_slice()
    assert account.world.names(account.there) == names
    return names


def _replicate_and_change(account: Account, stack: Deployed, count: int) -> list[str]:
    """Replicas that all differ: more than `max_change_percent` lets through."""
    names = _replicate(account, stack, count)
    put(account, *names, value="w")
    return names
