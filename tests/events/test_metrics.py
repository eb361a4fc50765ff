"""The metrics of an invocation: each outcome is counted once, under its own name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import Place
from tests.events.pump import SCHEDULED, Account, Deployed, metrics
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
EVENT = (*OUTCOMES, "Refused", "Again", "Rejected")
FULL = (*OUTCOMES, "Remaining", "HandedOn")
SHORT, LONG = 30, 900
"""Seconds of an invocation in which a hundred creates do not fit, and do."""


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

    def test_names_that_could_not_be_planned_have_failed(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        account.put(account.here, "/prod/a", "v")
        account.drain()
        counts.forget()
        account.world.faults = fail("DescribeParameters", refused(Trouble.DENIED), account.here)
        for name in "bcd":
            account.put(account.here, f"/prod/{name}", "v")
        stack.poll()
        assert counts(EVENT) == {"Failed": 3, "Again": 3}

    def test_messages_that_no_spec_can_judge_have_failed(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        stack.spec = "version: 2"
        for name in "ab":
            account.put(account.here, f"/prod/{name}", "v")
        stack.queue.send("not a name!")
        stack.poll()
        assert counts(("Failed", "Rejected", "SpecFailed")) == {"Failed": 2, "Rejected": 1, "SpecFailed": 1}


class TestAFullRun:
    def test_applied_and_failed_writes_are_counted_apart_and_what_failed_remains(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, "/prod/a", "/prod/b", "/prod/c")
        account.world.faults = fail("PutParameter", refused(Trouble.DENIED), account.there, "/prod/b")
        stack.invoke(SCHEDULED, LONG)
        assert counts(FULL) == {"Applied": 2, "Failed": 1, "Remaining": 1}

    def test_a_change_that_the_world_overtook_is_stale_and_remains(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, "/prod/a")
        account.world.before("PutParameter", lambda: account.world.put(account.there, "/prod/a", "theirs"))
        stack.invoke(SCHEDULED, LONG)
        assert counts(FULL) == {"Stale": 1, "Remaining": 1}

    def test_withheld_changes_and_conflicts_remain(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        _replicate_and_change(account, stack, 12)
        account.world.put(account.there, "/prod/theirs", "theirs")
        put(account, "/prod/theirs", "/prod/new")
        counts.forget()
        stack.invoke(SCHEDULED, LONG)
        assert counts(FULL) == {"Applied": 1, "Withheld": 12, "Remaining": 13}

    def test_a_place_that_could_not_be_listed_remains(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        stack.spec = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
        put(account, "/prod/a")
        west = account.world.place("eu-west-1")
        account.world.faults = fail("DescribeParameters", refused(Trouble.DENIED), west)
        stack.invoke(SCHEDULED, LONG)
        assert counts(FULL) == {"Applied": 1, "Remaining": 1}

    def test_a_run_that_could_not_be_planned_has_failed(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, "/prod/a")
        account.world.faults = fail("DescribeParameters", refused(Trouble.DENIED), account.here)
        with pytest.raises(Exception, match="not all could be done"):
            stack.invoke(SCHEDULED, LONG)
        assert counts(("Failed",)) == {"Failed": 1}

    def test_changes_after_the_deadline_are_handed_on_and_do_not_remain(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        put(account, *(f"/prod/{i:02}" for i in range(40)))
        account.world.before("PutParameter", lambda: account.clock.sleep(7), times=40)
        stack.invoke(SCHEDULED, 60)
        written = len(account.world.names(account.there))
        assert 0 < written < 40
        assert counts(FULL) == {"Applied": written, "HandedOn": 40 - written}

    def test_without_a_queue_what_the_end_of_time_leaves_remains(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        del stack.function.environment["QUEUE_URL"]  # type: ignore[attr-defined]  # the pump made a dict
        put(account, *(f"/prod/{i:02}" for i in range(40)))
        account.world.before("PutParameter", lambda: account.clock.sleep(7), times=40)
        stack.invoke(SCHEDULED, 60)
        written = len(account.world.names(account.there))
        assert 0 < written < 40
        assert counts(FULL) == {"Applied": written, "Remaining": 40 - written}

    def test_a_delete_that_waits_for_the_next_run_is_logged_as_deferred(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        _replicate(account, stack, 10)
        account.world.delete(account.here, "/prod/00")
        put(account, *(f"/prod/new/{i:03}" for i in range(100)))
        counts.forget()
        stack.invoke(SCHEDULED, SHORT)
        assert counts(FULL) == {"HandedOn": 100}
        assert _logged(stack)["deferred"] == 1

    def test_a_delete_that_the_end_of_time_leaves_waits_for_the_next_run(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        _replicate(account, stack, 10)
        account.world.delete(account.here, "/prod/00")
        put(account, *(f"/prod/new/{i:03}" for i in range(40)))
        account.world.before("PutParameter", lambda: account.clock.sleep(7), times=40)
        counts.forget()
        stack.invoke(SCHEDULED, 60)
        written = len(account.world.names(account.there)) - 10
        assert 0 < written < 40
        assert counts(FULL) == {"Applied": written, "HandedOn": 40 - written}
        assert _logged(stack)["deferred"] == 1
        account.drain()
        assert "/prod/00" in account.world.names(account.there)
        stack.invoke(SCHEDULED, LONG)
        assert "/prod/00" not in account.world.names(account.there)


class TestARunThatIsHandedOn:
    def test_withheld_invalid_and_conflicting_names_remain_and_the_others_are_handed_on(
        self, account: Account, stack: Deployed, counts: Counts
    ) -> None:
        _replicate_and_change(account, stack, 60)
        account.world.put(account.there, "/prod/theirs", "theirs")
        account.world.add_key(account.here, "alias/app")
        account.world.put(account.here, "/prod/invalid", "s", type="SecureString", key_id="alias/app")
        put(account, "/prod/theirs", *(f"/prod/new/{i:03}" for i in range(100)))
        counts.forget()
        stack.invoke(SCHEDULED, SHORT)
        assert counts(FULL) == {"Withheld": 60, "Remaining": 62, "HandedOn": 100}

    def test_withheld_changes_are_not_handed_on_and_not_written(
        self, account: Account, stack: Deployed
    ) -> None:
        changed = _replicate_and_change(account, stack, 60)
        put(account, *(f"/prod/new/{i:03}" for i in range(100)))
        stack.invoke(SCHEDULED, SHORT)
        sent = {name for one in stack.queue.messages.values() for name in json.loads(one.body)["names"]}
        assert sent == {f"/prod/new/{i:03}" for i in range(100)}
        account.drain()
        assert {account.world.value(account.there, name) for name in changed} == {"v"}
        assert len(account.world.names(account.there)) == 160

    def test_each_full_run_that_waits_for_the_queue_sends_ten_names_a_message(
        self, account: Account, stack: Deployed
    ) -> None:
        put(account, *(f"/prod/new/{i:03}" for i in range(125)))
        stack.invoke(SCHEDULED, SHORT)
        sizes = [len(json.loads(one.body)["names"]) for one in stack.queue.messages.values()]
        assert sorted(sizes) == [5, *[10] * 12]
        logged = _logged(stack)
        assert (logged["handed_on"], logged["messages"]) == (125, 13)


def test_a_lost_answer_that_cannot_be_settled_is_a_failure(
    account: Account, stack: Deployed, counts: Counts
) -> None:
    put(account, "/prod/a")
    account.world.faults = fail("PutParameter", lost(done=False), account.there)
    stack.invoke(SCHEDULED, LONG)
    assert counts(FULL) == {"Failed": 1, "Remaining": 1}


def _replicate(account: Account, stack: Deployed, count: int) -> list[str]:
    names = [f"/prod/{i:02}" for i in range(count)]
    put(account, *names)
    stack.invoke(SCHEDULED, LONG)
    assert account.world.names(account.there) == names
    return names


def _replicate_and_change(account: Account, stack: Deployed, count: int) -> list[str]:
    """Replicas that all differ: more than `max_change_percent` lets through."""
    names = _replicate(account, stack, count)
    put(account, *names, value="w")
    return names


def _logged(stack: Deployed) -> dict[str, Any]:
    """The last line in the log on a full run."""
    lines = [json.loads(line) for line in stack.log.getvalue().splitlines()]
    found: dict[str, Any] = [line for line in lines if line["message"] == "whole run"][-1]
    return found
