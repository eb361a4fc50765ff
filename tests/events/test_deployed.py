"""The deployed shape, end to end: nothing is lost, nothing loops, nothing is retried for ever."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.errors import Trouble
from ssm_reconcile.load import load_text
from ssm_reconcile.model import KeyState, Place
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import EXPIRES
from ssm_reconcile.session import Session, open_places
from ssm_reconcile.spec import Run
from ssm_reconcile.system import Progress
from tests.doubles.clock import FakeClock
from tests.events.pump import Account, Deployed, metrics
from tests.fake_aws.store import Memory
from tests.fake_aws.traffic import Call, Fault, lost, refused
from tests.fake_aws.world import Lag, World

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
guards: { max_deletes: 1000, max_change_percent: 100 }
"""
BACK = SPEC.replace("us-east-1", "X").replace("us-east-2", "us-east-1").replace("X", "us-east-2")
READS = {"DescribeParameters", "GetParameters", "ListTagsForResource", "GetResources"}


def unwatched(progress: Progress) -> None:
    """Discard progress."""


def whole_plan(account: Account, spec: str = SPEC) -> Plan:
    """Return the plan of a whole run, once listings show all writes."""
    account.clock.advance(timedelta(hours=1))
    specs = load_text(spec).replications
    places = open_places(specs, Memory(account.world).connect, Run())
    return reconcile.make_plan(specs, Session(places, Run(), account.clock, unwatched))


def assert_converged(account: Account, spec: str = SPEC) -> None:
    plan = whole_plan(account, spec)
    assert not plan.changes
    assert {row.row for row in plan.others} == set()
    here, there = account.world.names(account.here), account.world.names(account.there)
    wanted = [name for name in here if name.startswith("/prod/")]
    assert there == wanted
    for name in wanted:
        assert account.world.value(account.there, name) == account.world.value(account.here, name)


def calls(account: Account, place: Place) -> Counter[str]:
    return Counter(call.operation for call in account.world.calls if call.place == place)


def writes(account: Account, place: Place) -> list[Call]:
    return [call for call in account.world.calls if call.place == place and call.writes]


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stack(account: Account) -> Deployed:
    return account.deploy(SPEC)


class TestWhatAnEventCosts:
    """At most three kinds of read a place, batched, and two writes a target; three when tags go."""

    def assert_cost(self, account: Account, reads: int, written: dict[str, int]) -> None:
        for place in (account.here, account.there):
            kinds = {name for name in calls(account, place) if name in READS}
            assert kinds <= {"DescribeParameters", "GetParameters", "ListTagsForResource"}
            assert sum(count for name, count in calls(account, place).items() if name in READS) <= reads
        assert Counter(call.operation for call in writes(account, account.there)) == written
        assert not writes(account, account.here)

    def test_a_create_is_one_write(self, account: Account, stack: Deployed) -> None:
        account.put(account.here, "/prod/a", "v", tags={"team": "a"})
        account.drain()
        self.assert_cost(account, 4, {"PutParameter": 1})

    def test_an_update_is_two_and_three_when_tags_go(self, account: Account, stack: Deployed) -> None:
        account.put(account.here, "/prod/a", "v", tags={"team": "a"})
        account.drain()
        account.world.traffic.forget()
        account.published = 0
        account.put(account.here, "/prod/a", "w")
        account.drain()
        self.assert_cost(account, 5, {"PutParameter": 1, "AddTagsToResource": 1})
        account.world.traffic.forget()
        account.published = 0
        account.world.untag(account.here, "/prod/a", "team")
        account.put(account.here, "/prod/a", "x")
        account.drain()
        self.assert_cost(account, 5, {"PutParameter": 1, "AddTagsToResource": 1, "RemoveTagsFromResource": 1})

    def test_an_event_that_finds_nothing_to_do_decrypts_and_writes_nothing(
        self, account: Account, stack: Deployed
    ) -> None:
        account.put(account.here, "/prod/a", "v", type="SecureString")
        account.drain()
        account.world.traffic.forget()
        account.published = 0
        account.publish(account.event(account.here, "/prod/a", "LabelParameterVersion"))
        account.drain()
        self.assert_cost(account, 2, {})

    def test_a_batch_is_read_in_batches(self, account: Account, stack: Deployed) -> None:
        for i in range(20):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        assert stack.invocations == 1
        counted = calls(account, account.here)
        assert counted["DescribeParameters"] == 2  # passes of ten names
        assert counted["GetParameters"] == 2 + 2  # the value to show, the value to write
        assert counted["ListTagsForResource"] == 20  # no batch form; not read again for a few seconds

    def test_nothing_but_the_names_is_ever_listed(self, account: Account, stack: Deployed) -> None:
        for i in range(200):
            account.world.put(account.here, f"/prod/x{i:03}", "v")
        account.put(account.here, "/prod/a", "v")
        account.drain()
        asked = [call for call in account.world.calls if call.operation == "DescribeParameters"]
        assert asked
        assert all(call.names for call in asked)

    def test_a_batch_that_deletes_lists_both_places_once(self, account: Account) -> None:
        account.deploy(SPEC, environment={})
        for name in "abcdef":
            account.put(account.here, f"/prod/{name}", "v")
        account.drain()
        account.world.traffic.forget()
        account.published = 0
        account.delete(account.here, "/prod/a")
        account.delete(account.here, "/prod/b")
        account.drain()
        for place in (account.here, account.there):
            whole = [c for c in account.world.calls if c.operation == "DescribeParameters" and not c.names]
            assert sum(call.place == place for call in whole) == 1
        assert account.world.names(account.there) == [f"/prod/{name}" for name in "cdef"]


def test_two_replications_that_face_each_other_do_not_loop(account: Account) -> None:
    east, west = account.deploy(SPEC), account.deploy(BACK, region="us-east-2")
    account.put(account.here, "/prod/a", "from the east")
    account.put(account.there, "/prod/b", "from the west")
    batches = account.drain(most=200)
    assert batches < 20
    assert account.world.value(account.there, "/prod/a") == "from the east"
    assert account.world.value(account.here, "/prod/b") == "from the west"
    assert [call.names for call in account.world.traffic.writes()] == [("/prod/a",), ("/prod/b",)]
    account.put(account.here, "/prod/a", "again")
    account.delete(account.there, "/prod/b")
    account.drain(most=200)
    assert account.world.value(account.there, "/prod/a") == "again"
    assert account.world.value(account.here, "/prod/b") is None
    assert not east.queue.dead
    assert not west.queue.dead


class Throttling:
    """AWS refuses a third of all writes, and some reads."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.refusals = 0
        self.done: list[tuple[str, ...]] = []

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        share = 0.33 if operation in {"PutParameter", "AddTagsToResource", "DeleteParameters"} else 0.0
        if self.account.chance.random() < share:
            self.refusals += 1
            return refused(Trouble.THROTTLED)
        if operation == "PutParameter":
            self.done.append(names)
        return None


@pytest.fixture
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Silence the log of two thousand events."""
    yield
    capsys.readouterr()


@pytest.mark.usefixtures("quiet")
def test_a_storm_of_two_thousand_events_loses_nothing() -> None:
    account = Account(seed=1, twice=0.03)
    stack = account.deploy(SPEC)
    throttling = Throttling(account)
    account.world.faults = throttling
    chance = account.chance
    names = [f"/prod/{i % 40:02}/{i:04}" for i in range(200)]
    events = 0
    while events < 2000:
        for _ in range(250):
            name = chance.choice(names)
            events += 1
            if account.world.peek(account.here, name) is not None and chance.random() < 0.01:
                account.delete(account.here, name)
            elif not _resting(account, name):
                account.put(account.here, name, f"value {events}")
        for _ in range(4):
            stack.poll()
    account.drain()
    assert not stack.queue.dead
    assert throttling.refusals > 100
    assert_converged(account)
    written = Counter(name for call in throttling.done for name in call)
    assert len(throttling.done) < events / 2  # what changes again while it waits is written once
    assert max(written.values()) <= 20


def _resting(account: Account, name: str) -> bool:
    """AWS takes no create within thirty seconds of a delete; whoever writes here knows that."""
    deleted = account.world.region(account.here).deleted.get(name)
    return deleted is not None and account.clock.now() - deleted < timedelta(seconds=31)


def test_a_burst_on_one_name_is_written_once_or_a_few_times(account: Account, stack: Deployed) -> None:
    for i in range(500):
        account.put(account.here, "/prod/a", f"v{i}")
    account.drain()
    assert account.world.value(account.there, "/prod/a") == "v499"
    assert len([call for call in writes(account, account.there) if call.operation == "PutParameter"]) == 1


@pytest.mark.parametrize(
    "lag",
    [Lag(describe=timedelta(seconds=3)), Lag(timedelta(seconds=8), timedelta(hours=1), timedelta(seconds=5))],
)
def test_an_event_that_is_faster_than_its_change_is_retried(lag: Lag) -> None:
    clock = FakeClock(tick=timedelta(milliseconds=1))
    account = Account(world=World(clock, lag=lag))
    account.clock = account.world.clock  # type: ignore[assignment]  # the one that was just made
    stack = account.deploy(SPEC)
    account.put(account.here, "/prod/stays", "v")
    for step in range(3):
        account.put(account.here, "/prod/a", f"v{step}")
        account.drain()
        assert account.world.value(account.there, "/prod/a") == f"v{step}"
        account.clock.advance(timedelta(minutes=5))
    account.delete(account.here, "/prod/a")
    account.drain()
    assert account.world.names(account.there) == ["/prod/stays"]
    assert not stack.queue.dead


def test_a_change_applied_from_an_older_read_is_retried() -> None:
    """Two changes in one batch, of which reads show the first only: writing that is not the end of it."""
    lag = Lag(timedelta(seconds=3), timedelta(hours=1), timedelta(seconds=5))
    account = Account(world=World(FakeClock(tick=timedelta(milliseconds=1)), lag=lag))
    account.clock = account.world.clock  # type: ignore[assignment]  # the one that was just made
    stack = account.deploy(SPEC)
    account.put(account.here, "/prod/a", "first")
    account.drain()
    account.clock.advance(timedelta(minutes=5))
    account.put(account.here, "/prod/a", "second")
    account.clock.advance(timedelta(seconds=20))
    account.put(account.here, "/prod/a", "third")
    stack.poll()
    assert account.world.value(account.there, "/prod/a") == "second"
    account.drain()
    assert account.world.value(account.there, "/prod/a") == "third"
    assert not stack.queue.dead


def test_a_second_invocation_in_the_middle_of_a_write_does_no_harm(account: Account) -> None:
    stack = account.deploy(SPEC)
    account.put(account.here, "/prod/a", "v")
    account.drain()
    account.put(account.here, "/prod/a", "w")
    again = {"Records": [{"messageId": "x", "receiptHandle": "x", "body": "/prod/a"}]}
    account.world.before("PutParameter", lambda: stack.invoke(again))
    account.drain()
    assert account.world.value(account.there, "/prod/a") == "w"
    assert_converged(account)


class TestBadInput:
    POISON = (
        "",
        "{",
        "not a name!",
        "[1,2]",
        '{"detail-type":"x","source":"y","detail":{}}',
        "/dev/not-ours",
    )

    def test_a_poison_message_is_counted_and_not_retried(
        self, account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for body in self.POISON:
            stack.queue.send(body)
        account.put(account.here, "/prod/a", "v")
        account.drain()
        assert stack.invocations == 1
        assert account.world.value(account.there, "/prod/a") == "v"
        assert not stack.queue.dead
        counted = metrics(capsys.readouterr().out)
        assert counted["Rejected"] == len(self.POISON)
        assert counted["Applied"] == 1

    def test_an_event_of_another_account_or_region_is_ignored(
        self, account: Account, stack: Deployed
    ) -> None:
        event = account.event(account.there, "/prod/a", "Update")
        stack.queue.send(json.dumps(event))
        stack.queue.send(json.dumps(event | {"region": "us-east-1", "account": "999999999999"}))
        account.drain()
        assert {call.operation for call in account.world.calls} == {"GetCallerIdentity"}

    def test_an_event_with_a_time_in_the_future_is_not_retried(
        self, account: Account, stack: Deployed
    ) -> None:
        account.put(account.here, "/prod/a", "v")
        account.drain()
        before = stack.invocations
        stack.queue.send(
            json.dumps(account.event(account.here, "/prod/a", "Update") | {"time": "2099-01-01T00:00:00Z"})
        )
        account.drain()
        assert stack.invocations == before + 1
        assert not stack.queue.dead

    def test_one_name_that_cannot_be_written_does_not_delay_others(
        self, account: Account, stack: Deployed
    ) -> None:
        def denied(operation: str, _: Place, names: tuple[str, ...], nth: int) -> Fault | None:
            return refused(Trouble.DENIED) if operation == "PutParameter" and "/prod/b" in names else None

        account.world.faults = denied
        for name in "abc":
            account.put(account.here, f"/prod/{name}", "v")
        account.drain()
        assert account.world.names(account.there) == ["/prod/a", "/prod/c"]
        (dead,) = stack.queue.dead
        assert json.loads(dead)["detail"]["name"] == "/prod/b"

    def test_a_message_whose_cause_is_fixed_is_redriven(self, account: Account, stack: Deployed) -> None:
        account.world.faults = lambda operation, *_: (
            refused(Trouble.DENIED) if operation == "PutParameter" else None
        )
        account.put(account.here, "/prod/a", "v")
        account.drain()
        (dead,) = stack.queue.dead
        account.world.faults = None
        stack.queue.send(dead)
        account.drain()
        assert_converged(account)

    def test_a_conflict_is_reported_and_not_retried(self, account: Account, stack: Deployed) -> None:
        account.world.put(account.there, "/prod/a", "theirs")
        account.put(account.here, "/prod/a", "v")
        account.drain()
        assert stack.invocations == 1
        assert account.world.value(account.there, "/prod/a") == "theirs"
        assert '"result":"refused"' in stack.log.getvalue()

    def test_a_withheld_change_is_counted_and_not_retried(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = account.deploy(SPEC.replace("max_deletes: 1000", "max_deletes: 3"))
        for i in range(12):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        stack.whole_run()
        capsys.readouterr()
        before = stack.invocations
        for i in range(4):
            account.delete(account.here, f"/prod/{i:02}")
        account.drain()
        assert stack.invocations == before + 1
        assert len(account.world.names(account.there)) == 9
        assert metrics(capsys.readouterr().out)["Withheld"] == 1
        assert "4 deletes in 24 hours are more than 3" in stack.log.getvalue()

    def test_without_a_spec_no_message_is_lost(self, account: Account, stack: Deployed) -> None:
        stack.spec = "version: 2"
        account.put(account.here, "/prod/a", "v")
        for _ in range(3):
            account.wait()
            stack.poll()
        assert len(stack.queue.messages) == 1
        stack.spec = SPEC
        account.drain()
        assert_converged(account)

    def test_without_a_spec_only_messages_that_can_succeed_later_are_retried(self, stack: Deployed) -> None:
        stack.spec = "version: 2"
        bodies = {"valid": "/prod/a", "rejected": "not a name!", "also valid": "/prod/b"}
        records = [{"messageId": key, "receiptHandle": key, "body": body} for key, body in bodies.items()]
        assert stack.invoke(records) == {
            "batchItemFailures": [{"itemIdentifier": "valid"}, {"itemIdentifier": "also valid"}]
        }

    def test_a_spec_that_breaks_later_leaves_the_last_good_one_in_force(
        self, account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        account.put(account.here, "/prod/a", "v")
        account.drain()
        stack.spec = "nonsense"
        account.clock.advance(timedelta(minutes=10))
        account.put(account.here, "/prod/a", "w")
        account.drain()
        assert account.world.value(account.there, "/prod/a") == "w"
        assert metrics(capsys.readouterr().out)["SpecFailed"] >= 1

    def test_a_region_that_is_away_is_waited_for(self, account: Account, stack: Deployed) -> None:
        def away(operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
            return refused(Trouble.UNREACHABLE) if place == account.there else None

        account.world.faults = away
        account.put(account.here, "/prod/a", "v")
        for _ in range(4):
            account.wait()
            stack.poll()
        account.world.faults = None
        account.drain()
        assert_converged(account)


class TestReadsThatFailForAMinute:
    """A change is acknowledged only when it is done, or when only a person can remove the reason."""

    @pytest.mark.parametrize(
        "fault",
        [refused(Trouble.THROTTLED), refused(Trouble.DENIED), refused(Trouble.KEY), lost(done=False)],
        ids=["throttled", "denied", "disabled-key", "server-error"],
    )
    def test_values_of_the_source_that_cannot_be_read_are_read_again(
        self, account: Account, stack: Deployed, fault: Fault, capsys: pytest.CaptureFixture[str]
    ) -> None:
        account.put(account.here, "/prod/a", "v", type="SecureString")
        account.drain()
        account.put(account.here, "/prod/a", "w", type="SecureString")
        until = account.clock.now() + timedelta(seconds=60)
        checked = {"/prod/a": 0}

        def fails(operation: str, place: Place, names: tuple[str, ...], _nth: int) -> Fault | None:
            if (operation, place) != ("GetParameters", account.here) or account.clock.now() >= until:
                return None
            checked["/prod/a"] += 1  # each invocation first reads which of the names exist
            return fault if checked["/prod/a"] % 2 == 0 else None

        account.world.faults = fails
        stack.poll()
        assert stack.queue.messages
        assert metrics(capsys.readouterr().out)["Again"] == 1
        account.world.faults = fails
        account.drain()
        assert not stack.queue.dead
        assert_converged(account)

    def test_a_key_that_is_enabled_again_is_used_by_the_next_event(self, account: Account) -> None:
        stack = self.with_a_disabled_key(account)
        account.put(account.here, "/prod/a", "v", type="SecureString", key_id="alias/app")
        account.drain()
        account.world.set_key(account.there, "alias/app", KeyState.USABLE)
        account.put(account.here, "/prod/a", "w", type="SecureString", key_id="alias/app")
        account.drain()
        assert not stack.queue.dead
        assert account.world.value(account.there, "/prod/a") == "w"

    def test_a_key_that_stays_disabled_is_refused_and_counted(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = self.with_a_disabled_key(account)
        account.put(account.here, "/prod/a", "v", type="SecureString", key_id="alias/app")
        account.drain()
        assert not stack.queue.dead
        assert metrics(capsys.readouterr().out)["Refused"] == 1
        (entry,) = (one for one in map(json.loads, stack.log.getvalue().splitlines()) if "result" in one)
        assert (entry["parameter"], entry["result"]) == ("/prod/a", "refused")

    def with_a_disabled_key(self, account: Account) -> Deployed:
        for place in (account.here, account.there):
            account.world.add_key(place, "alias/app")
        account.world.set_key(account.there, "alias/app", KeyState.DISABLED)
        kms = 'kms: [{ source: "alias/app", targets: { us-east-2: "alias/app" } }]\n'
        return account.deploy(SPEC + kms)


class TestMarks:
    """With `delete.after`, events mark and whole runs delete."""

    SPEC = SPEC.replace("delete: owned", "delete: { mode: owned, after: 2d }").replace("1000", "3")

    def replicated(self, account: Account) -> Deployed:
        stack = account.deploy(self.SPEC)
        for i in range(12):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        stack.whole_run()
        return stack

    def marked(self, account: Account) -> list[str]:
        names = account.world.names(account.there)
        return [name for name in names if EXPIRES in (account.world.tags(account.there, name) or {})]

    def test_an_event_marks_and_only_a_whole_run_deletes(self, account: Account) -> None:
        stack = self.replicated(account)
        account.delete(account.here, "/prod/00")
        account.drain()
        assert self.marked(account) == ["/prod/00"]
        account.clock.advance(timedelta(days=1))
        stack.whole_run()
        account.clock.advance(timedelta(days=2))
        account.publish(account.event(account.here, "/prod/00", "Delete"))
        account.drain()
        assert self.marked(account) == ["/prod/00"]
        stack.whole_run()
        assert "/prod/00" not in account.world.names(account.there)
        assert_converged(account)

    def test_the_event_of_a_source_that_comes_back_clears_the_mark(self, account: Account) -> None:
        stack = self.replicated(account)
        for value in ("v", "other"):
            account.delete(account.here, "/prod/00")
            account.drain()
            assert self.marked(account) == ["/prod/00"]
            account.clock.advance(timedelta(minutes=5))
            account.put(account.here, "/prod/00", value)
            account.drain()
            assert self.marked(account) == []
            account.clock.advance(timedelta(minutes=5))
        account.clock.advance(timedelta(days=3))
        stack.whole_run()
        assert_converged(account)

    def test_marks_count_over_the_window_until_their_replicas_are_deleted(self, account: Account) -> None:
        stack = self.replicated(account)
        for i in range(4):
            account.delete(account.here, f"/prod/{i:02}")
            account.drain()
        assert self.marked(account) == [f"/prod/{i:02}" for i in range(3)]
        for _ in range(3):  # the fourth stays without a mark while the others wait, also after the window
            account.clock.advance(timedelta(hours=15))
            stack.whole_run()
            account.publish(account.event(account.here, "/prod/03", "Delete"))
            account.drain()
            assert len(self.marked(account)) == 3
        account.put(account.here, "/prod/03", "v")
        account.drain()
        account.clock.advance(timedelta(hours=5))
        stack.whole_run()
        assert account.world.names(account.there) == [f"/prod/{i:02}" for i in range(3, 12)]

    def test_replicas_that_are_reported_for_another_reason_do_not_count(self, account: Account) -> None:
        stack = self.replicated(account)
        for i in range(3):
            account.world.tag(account.there, f"/prod/{i:02}", {"skip_sync": ""})
        stack.whole_run()
        account.delete(account.here, "/prod/05")
        account.drain()
        assert self.marked(account) == ["/prod/05"]


class TestManyDeletes:
    SPEC = SPEC.replace("max_deletes: 1000", "max_deletes: 3")

    @pytest.mark.parametrize("apart", [timedelta(seconds=1), timedelta(hours=5)])
    def test_the_deletes_of_a_window_count_whatever_the_batches(
        self, account: Account, apart: timedelta
    ) -> None:
        stack = account.deploy(self.SPEC)
        for i in range(12):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        stack.whole_run()
        for i in range(4):
            account.delete(account.here, f"/prod/{i:02}")
            account.drain()
            account.clock.advance(apart)
        assert account.world.names(account.there) == [f"/prod/{i:02}" for i in range(3, 12)]
        account.clock.advance(timedelta(hours=24))
        stack.whole_run()
        assert_converged(account)

    def test_a_delete_that_comes_late_deletes_nothing_that_is_there_again(
        self, account: Account, stack: Deployed
    ) -> None:
        account.put(account.here, "/prod/a", "v")
        account.drain()
        late = account.event(account.here, "/prod/a", "Delete")
        account.world.delete(account.here, "/prod/a")
        account.clock.advance(timedelta(minutes=1))
        account.put(account.here, "/prod/a", "again")
        stack.queue.send(json.dumps(late))
        account.drain()
        assert account.world.value(account.there, "/prod/a") == "again"
        assert "DeleteParameters" not in calls(account, account.there)


def test_no_log_line_holds_a_value(
    account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "correct horse battery staple"
    account.put(account.here, "/prod/key", secret, type="SecureString")
    account.put(account.here, "/prod/plain", f"plain {secret}")
    account.drain()
    stack.queue.send(secret)
    account.drain()
    assert account.world.value(account.there, "/prod/key") == secret
    printed = capsys.readouterr()
    assert "/prod/key" in stack.log.getvalue()
    assert secret not in printed.out + printed.err + stack.log.getvalue()


def test_the_lag_of_each_change_is_measured_from_its_event(
    account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    account.put(account.here, "/prod/a", "v")
    account.clock.advance(timedelta(seconds=40))
    account.drain()
    assert 40 <= metrics(capsys.readouterr().out)["LagSeconds"] < 45


def tag_event(account: Account, place: Place, name: str) -> dict[str, Any]:
    """An event of `aws.tag` about one parameter."""
    return account.event(place, name, "") | {
        "source": "aws.tag",
        "detail-type": "Tag Change on Resource",
        "detail": {"service": "ssm", "resource-type": "parameter", "changed-tag-keys": ["team"]},
    }


class TestTagEventsAndPipes:
    def test_a_tag_event_brings_the_tags_to_the_replica(self, account: Account, stack: Deployed) -> None:
        account.put(account.here, "/prod/a", "v")
        account.drain()
        account.world.tag(account.here, "/prod/a", {"team": "a"})
        stack.invoke([tag_event(account, account.here, "/prod/a")])
        assert (account.world.tags(account.there, "/prod/a") or {})["team"] == "a"

    def test_tag_events_about_our_own_writes_write_nothing(self, account: Account) -> None:
        east, west = account.deploy(SPEC), account.deploy(BACK, region="us-east-2")
        account.put(account.here, "/prod/a", "v")
        account.drain()
        account.world.traffic.forget()
        for stack in (east, west):
            for place in (account.here, account.there):
                stack.invoke(tag_event(account, place, "/prod/a"))
        assert not account.world.traffic.writes()

    def test_a_record_of_a_pipe_that_failed_is_answered_once(self, account: Account, stack: Deployed) -> None:
        account.world.put(account.here, "/prod/a", "v")
        account.world.put(account.here, "/prod/b", "v")

        def denied(operation: str, _: Place, names: tuple[str, ...], nth: int) -> Fault | None:
            return refused(Trouble.DENIED) if operation == "PutParameter" and "/prod/b" in names else None

        account.world.faults = denied
        both = [account.event(account.here, "/prod/b", "Create") for _ in range(2)]
        records = [
            {"messageId": "1", "receiptHandle": "r1", "body": "/prod/a"},
            {"messageId": "2", "receiptHandle": "r2", "body": json.dumps(both)},
        ]
        answer = stack.invoke(records)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
        assert account.world.value(account.there, "/prod/a") == "v"
