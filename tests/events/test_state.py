"""The state of the event path: one suite over the table in memory and over DynamoDB on moto."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ssm_reconcile.event.dynamodb import DynamoTable
from ssm_reconcile.event.state import (
    MOST_ENTRIES,
    START_PAUSE,
    MessageAttempts,
    ReplicaCount,
    State,
    Table,
    TableItem,
    TableUnavailableError,
    WholeRun,
    entry_of,
    lease_of,
)
from tests.doubles.clock import FakeClock
from tests.events.memory_table import MemoryTable

PAIR = ("prod", "us-east-2")
DAY = timedelta(hours=24)
A, B = lease_of(*PAIR, "/a"), lease_of(*PAIR, "/b")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def dynamodb() -> Any:
    client: Any = boto3.client("dynamodb", region_name="us-east-1")
    client.create_table(
        TableName="state",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    if request.param == "memory":
        yield MemoryTable()
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield DynamoTable(dynamodb(), "state")


@pytest.fixture
def state(table: Table, clock: FakeClock) -> State:
    return State(table, clock)


class TestLeases:
    def until(self, clock: FakeClock, seconds: float = 60) -> float:
        return clock.now().timestamp() + seconds

    def test_a_lease_is_held_by_one_token(self, state: State, clock: FakeClock) -> None:
        assert set(state.take_leases([A, B], "one", self.until(clock))) == {A, B}
        assert set(state.take_leases([A, B], "two", self.until(clock))) == set()
        assert set(state.take_leases([A], "one", self.until(clock))) == {A}

    def test_a_lease_that_is_held_does_not_keep_the_others(self, state: State, clock: FakeClock) -> None:
        state.take_leases([A], "one", self.until(clock))
        assert set(state.take_leases([A, B], "two", self.until(clock))) == {B}

    def test_a_released_lease_is_free(self, state: State, clock: FakeClock) -> None:
        state.take_leases([A], "one", self.until(clock))
        state.release_leases(dict.fromkeys([A]), "one")
        assert set(state.take_leases([A], "two", self.until(clock))) == {A}

    def test_only_its_token_releases_a_lease(self, state: State, clock: FakeClock) -> None:
        state.take_leases([A], "one", self.until(clock))
        state.release_leases(dict.fromkeys([A, B]), "two")
        assert set(state.take_leases([A], "two", self.until(clock))) == set()

    def test_a_lease_ends_at_its_time_and_not_before(self, state: State, clock: FakeClock) -> None:
        state.take_leases([A], "one", self.until(clock, 60))
        clock.advance(timedelta(seconds=59))
        assert set(state.take_leases([A], "two", self.until(clock))) == set()
        clock.advance(timedelta(seconds=1))
        assert set(state.take_leases([A], "two", self.until(clock))) == {A}

    def test_the_next_holder_finds_the_data_of_the_last_one(self, state: State, clock: FakeClock) -> None:
        assert state.take_leases([A, B], "one", self.until(clock)) == {A: None, B: None}
        state.release_leases({A: {"version": 3}, B: None}, "one")
        assert state.take_leases([A, B], "two", self.until(clock)) == {A: {"version": 3}, B: None}
        state.release_leases({A: {"version": 4}}, "another")
        assert state.take_leases([A], "three", self.until(clock)) == {}
        assert state.take_leases([A], "two", self.until(clock)) == {A: None}

    def test_a_released_lease_with_data_is_free_at_once(self, state: State, clock: FakeClock) -> None:
        clock.advance(timedelta(milliseconds=300))
        state.take_leases([A], "one", self.until(clock))
        state.release_leases({A: {"version": 3}}, "one")
        assert set(state.take_leases([A], "two", self.until(clock))) == {A}


class TestWindows:
    def reserve(self, state: State, names: str, limit: int = 2, window: timedelta = DAY) -> set[str]:
        made = state.reserve("max-deletes", PAIR, names, window, lambda total, _: total <= limit)
        return set(made.reserved)

    def test_entries_are_reserved_one_by_one_up_to_the_limit(self, state: State) -> None:
        assert self.reserve(state, "abc") == {"a", "b"}
        assert self.reserve(state, "d") == set()

    def test_an_entry_counts_once(self, state: State) -> None:
        assert self.reserve(state, "a") == {"a"}
        assert self.reserve(state, "ab") == {"a", "b"}
        assert self.reserve(state, "b") == {"b"}

    def test_an_entry_counts_until_the_window_is_over(self, state: State, clock: FakeClock) -> None:
        self.reserve(state, "ab")
        clock.advance(DAY - timedelta(seconds=1))
        assert self.reserve(state, "c") == set()
        clock.advance(timedelta(seconds=1))
        assert self.reserve(state, "c") == {"c"}

    def test_places_of_changes_that_did_not_happen_are_free_again(self, state: State) -> None:
        made = state.reserve("max-deletes", PAIR, "ab", DAY, lambda total, _: total <= 2)
        state.give_back(made, {"a"}, DAY)
        assert self.reserve(state, "cd") == {"c"}

    def test_a_place_of_an_earlier_invocation_stays_reserved(self, state: State) -> None:
        self.reserve(state, "a")
        again = state.reserve("max-deletes", PAIR, "a", DAY, lambda total, _: total <= 2)
        state.give_back(again, {"a"}, DAY)
        assert self.reserve(state, "bc") == {"b"}

    def test_guards_and_targets_have_windows_of_their_own(self, state: State) -> None:
        self.reserve(state, "ab")
        for guard, pair in (("max-updates", PAIR), ("max-deletes", ("prod", "eu-west-1"))):
            assert state.reserve(guard, pair, "c", DAY, lambda total, _: total <= 1).reserved == {"c"}

    def test_the_count_of_replicas_is_given_to_the_rule(self, state: State, clock: FakeClock) -> None:
        seen: list[tuple[int, ReplicaCount | None]] = []

        def allows(total: int, count: ReplicaCount | None) -> bool:
            seen.append((total, count))
            return True

        state.reserve("max-deletes", PAIR, "a", DAY, allows)
        at = clock.now()
        state.write_counts({PAIR: 12})
        made = state.reserve("max-deletes", PAIR, "b", DAY, allows)
        assert seen == [(1, None), (2, ReplicaCount(12, at))]
        assert (made.total, made.count) == (2, ReplicaCount(12, at))

    def test_a_window_has_room_for_a_limited_number_of_entries(self, state: State) -> None:
        entries = [entry_of(number) for number in range(MOST_ENTRIES + 1)]
        made = state.reserve("max-deletes", PAIR, entries, DAY, lambda *_: True)
        assert made.reserved == set(entries[:MOST_ENTRIES])


def test_two_invocations_never_reserve_the_same_place(clock: FakeClock) -> None:
    """The second one writes between the read and the write of the first."""

    class Between(MemoryTable):
        other: State | None = None

        def write(self, identifier: str, item: TableItem, replaces: str | None) -> bool:
            other, self.other = self.other, None
            if other is not None:
                other.reserve("max-deletes", PAIR, "x", DAY, lambda total, _: total <= 2)
            return super().write(identifier, item, replaces)

    table = Between()
    table.other = State(table, clock)
    made = State(table, clock).reserve("max-deletes", PAIR, "ab", DAY, lambda total, _: total <= 2)
    assert made.reserved == {"a"}


def test_many_threads_reserve_up_to_the_limit(clock: FakeClock) -> None:
    table = MemoryTable()
    reserved: list[str] = []

    def reserve(number: int) -> None:
        state = State(table, clock)
        for step in range(5):
            try:
                entry = f"{number}-{step}"
                reserved.extend(state.reserve("g", PAIR, [entry], DAY, lambda total, _: total <= 10).reserved)
            except TableUnavailableError:
                pass

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reserved) == 10


class TestWritesThatOthersAreFasterWith:
    def reserve(self, clock: FakeClock, overtaken: int) -> tuple[MemoryTable, frozenset[str]]:
        """Reserve a place while so many writes come too late."""

        class Overtaken(MemoryTable):
            def write(self, identifier: str, item: TableItem, replaces: str | None) -> bool:
                is_late = self.calls["PutItem"] < overtaken
                return super().write(identifier, item, "another" if is_late else replaces)

        table = Overtaken()
        return table, State(table, clock).reserve("guard", PAIR, "a", DAY, lambda *_: True).reserved

    def test_the_eighth_write_still_counts(self, clock: FakeClock) -> None:
        table, reserved = self.reserve(clock, 7)
        assert (set(reserved), table.calls["PutItem"]) == ({"a"}, 8)

    def test_after_the_eighth_write_the_table_counts_as_unreachable(self, clock: FakeClock) -> None:
        with pytest.raises(TableUnavailableError, match="changed 8 times while it was written"):
            self.reserve(clock, 8)


class TestAttemptsAndRuns:
    def test_the_table_deletes_items_when_nothing_needs_them_any_more(self, clock: FakeClock) -> None:
        table = MemoryTable()
        state = State(table, clock)
        state.write_attempts("m", MessageAttempts(1))
        state.write_counts({PAIR: 1})
        state.write_whole_run(0)
        state.begin_watch()
        state.begin_start_of_whole_run()
        state.reserve("max-deletes", PAIR, "a", DAY, lambda *_: True)
        now = clock.now().timestamp()
        kept = {
            key.partition("#")[0]: timedelta(seconds=one.expires - now) for key, one in table.items.items()
        }
        days = {"attempts": 15, "count": 90, "whole-run": 90, "watch": 90, "window": 1}
        minutes = {"lease": timedelta(minutes=15)}
        assert kept == {key: timedelta(days=number) for key, number in days.items()} | minutes

    def test_attempts_are_kept_by_message(self, state: State) -> None:
        assert state.read_attempts(["m1", "m2"]) == {}
        state.write_attempts("m1", MessageAttempts(1))
        state.write_attempts("m1", MessageAttempts(2, {"/a": 1}))
        assert state.read_attempts(["m1", "m2"]) == {"m1": MessageAttempts(2, {"/a": 1})}

    def test_one_execution_at_a_time_has_the_whole_run(self, state: State, clock: FakeClock) -> None:
        until = clock.now().timestamp() + 960
        assert state.take_whole_run("one", until)
        assert not state.take_whole_run("two", until)
        assert state.take_whole_run("one", until + 960)
        clock.advance(timedelta(seconds=961))
        assert not state.take_whole_run("two", until)
        state.release_whole_run("one")
        assert state.take_whole_run("two", clock.now().timestamp() + 960)

    def test_events_start_a_whole_run_once_in_a_while(self, state: State, clock: FakeClock) -> None:
        first = state.begin_start_of_whole_run()
        assert first is not None
        assert [state.begin_start_of_whole_run() for _ in range(2)] == [None, None]
        clock.advance(START_PAUSE)
        second = state.begin_start_of_whole_run()
        assert second is not None
        state.undo_start_of_whole_run(first)
        assert state.begin_start_of_whole_run() is None
        state.undo_start_of_whole_run(second)
        assert state.begin_start_of_whole_run() is not None

    def test_the_watch_begins_once(self, state: State, clock: FakeClock) -> None:
        start = clock.now()
        assert state.begin_watch() == start
        clock.advance(timedelta(hours=3))
        assert state.begin_watch() == start

    def test_the_last_whole_run_is_kept(self, state: State, clock: FakeClock) -> None:
        assert state.read_whole_run() is None
        at = clock.now()
        state.write_whole_run(3)
        clock.advance(timedelta(hours=1))
        assert state.read_whole_run() == WholeRun(at, 3)

    def test_counts_are_kept_by_target(self, state: State, clock: FakeClock) -> None:
        other = ("prod", "eu-west-1")
        state.write_counts({PAIR: 5, other: 7})
        found = state.read_counts([PAIR, other, ("prod", "none")])
        assert found == {PAIR: ReplicaCount(5, clock.now()), other: ReplicaCount(7, clock.now())}


class TestATableThatCannotBeReached:
    @pytest.fixture
    def missing(self, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Iterator[State]:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with mock_aws():
            yield State(DynamoTable(dynamodb(), "another"), clock)

    def test_the_other_requests_are_not_sent_after_one_got_no_answer(self, clock: FakeClock) -> None:
        """Each would wait for its timeout."""

        def fails(_: str) -> None:
            time.sleep(0.01)
            raise TableUnavailableError("DynamoDB: ConnectTimeoutError")

        table = MemoryTable()
        table.fault = fails
        with pytest.raises(TableUnavailableError):
            State(table, clock).take_leases([str(number) for number in range(100)], "one", 0.0)
        assert table.calls["PutItem"] < 50

    def test_every_call_reports_the_code_and_no_message_of_aws(self, missing: State) -> None:
        for call in (
            lambda: missing.take_leases([A], "one", 0.0),
            lambda: missing.release_leases({A: None}, "one"),
            lambda: missing.reserve("g", PAIR, "a", DAY, lambda *_: True),
            lambda: missing.read_attempts(["m"]),
        ):
            with pytest.raises(TableUnavailableError, match=r"^DynamoDB: ResourceNotFoundException$"):
                call()
