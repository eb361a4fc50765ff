"""The whole run of the deployed stack: parts of a state machine, one execution at a time."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.errors import ReconcileError, Trouble
from ssm_reconcile.event.full_run import GROUP
from ssm_reconcile.event.state import ReplicaCount, State, TableUnavailableError, lease_of
from ssm_reconcile.record import EXPIRES
from tests.events.pump import SCHEDULED, STATEFUL, WHOLE_TIMEOUT, Account, Deployed
from tests.events.test_deployed import SPEC, assert_converged, writes
from tests.events.test_outcomes import lines
from tests.fake_aws.traffic import refused

PAIR = ("prod", "us-east-2")


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stack(account: Account) -> Deployed:
    return account.deploy(SPEC)


def put(account: Account, count: int, start: str = "/prod/") -> list[str]:
    """Write to the source without an event."""
    names = [f"{start}{i:03}" for i in range(count)]
    for name in names:
        account.world.put(account.here, name, "v")
    return names


def slow_writes(account: Account, seconds: float = 7.0) -> None:
    account.world.before("PutParameter", lambda: account.clock.sleep(seconds), times=10_000)


def logged(stack: Deployed, message: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stack.log.getvalue().splitlines()]
    return [line for line in lines if line["message"] == message]


class TestSlices:
    def test_one_slice_fixes_drift_that_events_did_not_report(
        self, account: Account, stack: Deployed
    ) -> None:
        put(account, 30)
        done = stack.whole_run()
        assert (done.status, done.output["not_attempted"], done.output["written"]) == ("SUCCEEDED", 0, 30)
        assert_converged(account)

    def test_slices_follow_until_nothing_is_left(self, account: Account, stack: Deployed) -> None:
        put(account, 40)
        slow_writes(account)
        done = stack.whole_run(60)
        assert done.status == "SUCCEEDED"
        assert stack.invocations > 3
        puts = [call for call in writes(account, account.there) if call.operation == "PutParameter"]
        assert len(puts) == 40
        assert_converged(account)

    def test_deletes_come_after_all_writes(self, account: Account, stack: Deployed) -> None:
        old = put(account, 10, "/prod/a")
        stack.whole_run()
        account.world.delete(account.here, old[0])
        put(account, GROUP + 20, "/prod/b")
        account.world.traffic.forget()
        stack.whole_run()
        assert account.world.traffic.writes()[-1].operation == "DeleteParameters"
        assert_converged(account)

    def test_a_slice_that_has_work_and_writes_nothing_fails_the_execution(
        self, account: Account, stack: Deployed
    ) -> None:
        put(account, 3)
        slow = account.clock.sleep
        account.world.before("DescribeParameters", lambda: slow(50), times=100)
        done = stack.whole_run(60)
        assert done.status == "FAILED"

    def test_a_slice_in_which_nothing_can_be_planned_is_retried_and_fails(
        self, account: Account, stack: Deployed
    ) -> None:
        account.world.faults = lambda operation, *_: (
            refused(Trouble.DENIED) if operation == "DescribeParameters" else None
        )
        done = stack.whole_run()
        assert (done.status, len(done.waits) > 0) == ("FAILED", True)
        with pytest.raises(ReconcileError, match="the whole run failed"):
            stack.run_slice()

    def test_a_target_that_is_away_does_not_stop_the_others(self, account: Account) -> None:
        stack = account.deploy(
            SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
        )
        west = account.world.place("eu-west-1")
        names = put(account, GROUP + 5)
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.UNREACHABLE) if place == west and operation == "PutParameter" else None
        )
        answer = stack.run_slice()
        assert answer["written"] == len(names)
        assert answer["not_attempted"] > 0
        tried = [call for call in account.world.calls if call.place == west and call.writes]
        assert len(tried) < 40  # given up in the first group, and not tried in the second
        assert not [call for call in tried if set(call.names) & set(names[GROUP:])]

    def test_a_group_that_does_not_begin_takes_no_leases(self, account: Account, stack: Deployed) -> None:
        put(account, GROUP + 5)
        slow_writes(account)
        answer = stack.run_slice(60)
        assert answer["not_attempted"] + answer["written"] == GROUP + 5
        assert answer["not_attempted"] > GROUP - 10
        assert stack.table.calls["DeleteItem"] == GROUP  # the leases of the first group, released


class TestSlowListings:
    @pytest.mark.parametrize("operation", ["DescribeParameters", "GetResources"])
    def test_they_end_before_the_function_is_killed(
        self, account: Account, stack: Deployed, operation: str
    ) -> None:
        """A quarter of the time remains for writes."""
        put(account, 300)
        account.world.before(operation, lambda: account.clock.sleep(20), times=1000)
        began = account.clock.monotonic()
        with contextlib.suppress(ReconcileError):
            stack.run_slice(120)
        assert account.clock.monotonic() - began < 120


class TestOneExecutionAtATime:
    def test_an_overlapping_execution_ends_at_once_as_success(
        self, account: Account, stack: Deployed
    ) -> None:
        put(account, 40)
        slow_writes(account)
        assert stack.run_slice(60, "one")["not_attempted"] > 0
        calls = len(account.world.calls)
        other = stack.run_slice(60, "two")
        assert other == {"status": "overlapping", "slice": 1, "not_attempted": 0, "written": 0}
        assert len(account.world.calls) == calls
        assert logged(stack, "another whole run is running")

    def test_the_lease_ends_with_the_last_slice(self, account: Account, stack: Deployed) -> None:
        put(account, 3)
        assert stack.run_slice(execution="one")["status"] == "planned"
        assert stack.run_slice(execution="two")["status"] == "planned"

    def test_the_lease_of_a_slice_that_was_killed_ends_after_a_while(
        self, account: Account, stack: Deployed
    ) -> None:
        until = account.clock.now().timestamp() + WHOLE_TIMEOUT + 300
        State(stack.table, account.clock).take_whole_run("killed", until)
        assert stack.run_slice(execution="two")["status"] == "overlapping"
        account.clock.advance(timedelta(seconds=WHOLE_TIMEOUT + 301))
        assert stack.run_slice(execution="two")["status"] == "planned"


class TestLeases:
    def test_a_name_that_an_event_works_on_is_left_to_the_event(
        self, account: Account, stack: Deployed
    ) -> None:
        put(account, 3)
        until = account.clock.now().timestamp() + 300
        State(stack.table, account.clock).take_leases([lease_of(*PAIR, "/prod/001")], "event", until)
        answer = stack.run_slice()
        assert (answer["written"], answer["not_attempted"]) == (2, 0)
        assert account.world.names(account.there) == ["/prod/000", "/prod/002"]
        line = logged(stack, "whole run")[-1]
        assert (line["leased"], line["remaining"]) == (1, 1)

    def test_a_name_that_is_rewritten_is_leased_by_its_address_in_the_target(self, account: Account) -> None:
        rule = "rewrite: [{ match: /prod/**, in: name, from: '{source.region}', to: '{target.region}' }]\n"
        stack = account.deploy(SPEC + rule)
        names = put(account, 2, "/prod/us-east-1/")
        until = account.clock.now().timestamp() + 300
        leased, free = (name.replace("us-east-1", "us-east-2") for name in names)
        State(stack.table, account.clock).take_leases([lease_of(*PAIR, leased)], "event", until)
        assert stack.run_slice()["written"] == 1
        assert account.world.names(account.there) == [free]

    def test_the_leases_of_a_slice_are_released_at_its_end(self, account: Account, stack: Deployed) -> None:
        put(account, 3)
        stack.run_slice()
        assert not stack.table.held()

    def test_an_event_finds_its_name_leased_during_the_writes_of_its_group_only(
        self, account: Account, stack: Deployed
    ) -> None:
        names = put(account, GROUP + 1)
        free: list[int] = []

        def look() -> None:
            free.append(sum(lease_of(*PAIR, name) not in stack.table.held() for name in names))

        account.world.before("PutParameter", look, times=1000)
        stack.run_slice()
        assert set(free) == {1, GROUP}


class TestCountsAndDeletes:
    def test_it_keeps_the_number_of_replicas_of_each_target(self, account: Account, stack: Deployed) -> None:
        put(account, 3)
        stack.run_slice()
        stack.run_slice(execution="two")
        counts = State(stack.table, account.clock).read_counts([PAIR])
        assert counts[PAIR].replicas == 3

    def test_a_listing_that_fails_changes_no_count(self, account: Account, stack: Deployed) -> None:
        put(account, 3)
        stack.run_slice()
        before = State(stack.table, account.clock).read_counts([PAIR])
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.DENIED) if (operation, place) == ("DescribeParameters", account.there) else None
        )
        with pytest.raises(ReconcileError):
            stack.run_slice(execution="two")
        assert State(stack.table, account.clock).read_counts([PAIR]) == before

    def test_only_targets_of_complete_listings_are_counted(self, account: Account) -> None:
        other = SPEC.replace("name: prod", "name: other").replace("us-east-1", "eu-central-1")
        two = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
        other = other.replace("us-east-2", "ap-south-1")
        stack = account.deploy(f"{two}---\n{other}", environment={**STATEFUL, "NAME": ""})
        put(account, 3)
        away = [account.world.place(region) for region in ("eu-west-1", "eu-central-1")]
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.DENIED) if operation == "DescribeParameters" and place in away else None
        )
        stack.run_slice()
        pairs = [PAIR, ("prod", "eu-west-1"), ("other", "ap-south-1")]
        assert set(State(stack.table, account.clock).read_counts(pairs)) == {PAIR}

    def test_its_deletes_count_over_the_window(self, account: Account) -> None:
        stack = account.deploy(SPEC.replace("max_deletes: 1000", "max_deletes: 3"))
        names = put(account, 20)
        stack.whole_run()
        for start in (0, 2):
            for name in names[start : start + 2]:
                account.world.delete(account.here, name)
            stack.whole_run()
        assert account.world.names(account.there) == [names[2 + 1], *names[4:]]
        account.clock.advance(timedelta(hours=25))
        stack.whole_run()
        assert account.world.names(account.there) == names[4:]

    def test_the_deletes_of_all_targets_count_over_the_window(self, account: Account) -> None:
        """Also those of events: four of the whole run, two of the next eight."""
        limits = "max_deletes: 5, max_deletes_total: 6"
        spec = SPEC.replace("{ region: us-east-2 }", "{ regions: [us-east-2, eu-west-1] }")
        stack = account.deploy(spec.replace("max_deletes: 1000", limits))
        names = put(account, 20)
        stack.whole_run()
        places = (account.there, account.world.place("eu-west-1"))
        for name in names[:2]:
            account.world.delete(account.here, name)
        stack.whole_run()
        assert [len(account.world.names(place)) for place in places] == [18, 18]
        for name in names[2:6]:
            account.delete(account.here, name)
            account.drain()
        assert sum(len(account.world.names(place)) for place in places) == 40 - 6
        account.clock.advance(timedelta(hours=25))
        stack.whole_run()
        assert sum(len(account.world.names(place)) for place in places) == 40 - 12

    def test_marks_in_all_targets_count_until_their_replicas_are_deleted(self, account: Account) -> None:
        """A whole run keeps their entries, so the marks for the others wait also after the window."""
        spec = SPEC.replace("{ region: us-east-2 }", "{ regions: [us-east-2, eu-west-1] }")
        spec = spec.replace("delete: owned", "delete: { mode: owned, after: 3d }")
        stack = account.deploy(spec.replace("max_deletes: 1000", "max_deletes: 5, max_deletes_total: 6"))
        names = put(account, 20)
        stack.whole_run()
        places = (account.there, account.world.place("eu-west-1"))

        def marked() -> int:
            tags = (account.world.tags(place, name) or {} for place in places for name in names)
            return sum(EXPIRES in one for one in tags)

        for name in names[:4]:
            account.delete(account.here, name)
            account.drain()
        assert marked() == 6
        for _ in range(3):
            account.clock.advance(timedelta(hours=15))
            stack.whole_run()
            account.publish(account.event(account.here, names[3], "Delete"))
            account.drain()
            assert marked() == 6

    @pytest.mark.parametrize("is_event", [False, True])
    def test_a_withheld_change_loses_its_outdated_mark(self, account: Account, *, is_event: bool) -> None:
        stack = account.deploy(SPEC.replace("delete: owned", "delete: { mode: owned, after: 3d }"))
        name, *_ = put(account, 4)
        stack.whole_run()
        account.world.delete(account.here, name)
        account.clock.advance(timedelta(minutes=10))
        stack.whole_run()
        assert EXPIRES in (account.world.tags(account.there, name) or {})
        account.world.put(account.there, name, "by hand")
        account.clock.advance(timedelta(days=4))
        account.world.put(account.here, name, "w")
        if is_event:
            account.publish(account.event(account.here, name, "Create"))
            account.drain()
        else:
            assert not stack.whole_run().error
            outcomes = lines(stack, "whole run")[-1]["outcomes"]
            assert {result: count for result, count in outcomes.items() if count} == {"withheld": 1}
        assert EXPIRES not in (account.world.tags(account.there, name) or {})
        assert account.world.value(account.there, name) == "by hand"

    def test_a_delete_that_was_not_sent_gives_its_place_back(self, account: Account, stack: Deployed) -> None:
        names = put(account, 4)
        stack.whole_run()
        account.world.delete(account.here, names[0])
        account.clock.advance(timedelta(minutes=10))
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.THROTTLED) if (operation, place) == ("GetParameters", account.there) else None
        )
        stack.run_slice()
        assert account.world.names(account.there) == names
        found = stack.table.items.get(f"window#max-deletes#{PAIR[0]}#{PAIR[1]}")
        assert found is None or not found.data

    def test_without_the_table_creates_go_on_and_deletes_wait(
        self, account: Account, stack: Deployed
    ) -> None:
        names = put(account, 4)
        stack.whole_run()
        account.world.delete(account.here, names[0])
        put(account, 2, "/prod/new")

        def fails(_: str) -> None:
            raise TableUnavailableError("DynamoDB: InternalServerError")

        stack.table.fault = fails
        answer = stack.run_slice()
        assert (answer["written"], answer["not_attempted"]) == (2, 1)
        assert account.world.names(account.there) == [*names, "/prod/new000", "/prod/new001"]
        assert stack.whole_run().error == "NothingWritten"


def test_the_time_and_the_rest_of_the_last_whole_run_are_kept(account: Account, stack: Deployed) -> None:
    put(account, 3)
    account.world.put(account.there, "/prod/000", "theirs")
    stack.run_slice()
    found = State(stack.table, account.clock).read_whole_run()
    assert found is not None
    assert found.remaining == 1
    account.clock.advance(timedelta(hours=5))
    assert 5 <= stack.invoke({"watch": "whole-run"})["hours"] < 5.1


def test_an_unfinished_run_is_not_the_last_whole_run(account: Account, stack: Deployed) -> None:
    put(account, 40)
    slow_writes(account)
    stack.run_slice(60)
    assert State(stack.table, account.clock).read_whole_run() is None


class TestASchedule:
    def test_a_scheduled_event_starts_the_state_machine(self, account: Account, stack: Deployed) -> None:
        put(account, 3)
        assert stack.invoke(SCHEDULED) == {"batchItemFailures": []}
        assert not writes(account, account.there)
        account.drain()
        assert_converged(account)

    def test_without_a_state_machine_it_makes_one_run(self, account: Account) -> None:
        stack = account.deploy(SPEC, environment={})
        put(account, 3)
        assert stack.invoke(SCHEDULED, 900) == {"batchItemFailures": []}
        assert_converged(account)

    def test_a_run_without_a_state_machine_fails_loudly(self, account: Account) -> None:
        stack = account.deploy(SPEC, environment={})
        account.world.faults = lambda operation, *_: (
            refused(Trouble.DENIED) if operation == "DescribeParameters" else None
        )
        with pytest.raises(ReconcileError, match="not all could be done"):
            stack.invoke(SCHEDULED, 900)


def test_a_count_is_a_number_and_a_time(account: Account, stack: Deployed) -> None:
    stack.run_slice()
    found = State(stack.table, account.clock).read_counts([PAIR])[PAIR]
    assert found == ReplicaCount(0, found.at)
