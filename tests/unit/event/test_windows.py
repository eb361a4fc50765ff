"""Changes that count over a window: the age of a count, the limit, and places that become free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.change import Change, Delete, Fate, Withholding
from ssm_reconcile.event.requests import RetryCause
from ssm_reconcile.event.state import State, TableUnavailableError
from ssm_reconcile.event.windows import Windows, keep_marks_of_all
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Outcome, Result
from ssm_reconcile.spec import Limits
from tests.builders import NOW, deletes, part, replication, target, updates
from tests.doubles.clock import FakeClock
from tests.events.memory_table import MemoryTable
from tests.unit.guards.test_marks import waiting

PAIR = ("prod", "us-east-2")
DAY, SECOND = timedelta(hours=24), timedelta(seconds=1)
WINDOW = f"window#max-deletes#{PAIR[0]}#{PAIR[1]}"


class Stage:
    """Windows over a table in memory; a count is not used when it is older than a day."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.table = MemoryTable()
        self.state = State(self.table, self.clock)

    def windows(self, *, is_whole_run: bool = False) -> Windows:
        return Windows(self.state, self.clock, DAY, is_whole_run=is_whole_run)

    def reserve(
        self, windows: Windows, changes: Sequence[Change], limits: Limits | None = None
    ) -> tuple[int, int, int]:
        """Return how many of the changes go, are withheld, and wait."""
        spec = replication(limits=limits or Limits(max_deletes=10))
        plan = windows.reserve(Plan((part(*changes),)), [spec])
        goes = sum(one.fate is Fate.APPLY for one in plan.changes)
        return goes, len(plan.changes) - goes, len(windows.waiting)

    def entries(self, window: str = WINDOW) -> int:
        """Return the number of places that are taken."""
        found = self.table.items.get(window)
        return 0 if found is None else len(found.data)


def with_another(change: Change, part_of: str) -> Change:
    """Return a change that expects another version, or another time of it."""
    value = 7 if "version" in part_of else NOW + timedelta(hours=1)
    fields: dict[str, Any] = {part_of: value}
    return replace(change, expected=replace(change.expected, **fields))


def with_hold(change: Change) -> Change:
    """Return a change that a guard withholds."""
    return replace(change, withheld=(Withholding("changed-outside", "why"),))


@pytest.fixture
def stage() -> Stage:
    return Stage()


class TestTheAgeOfACount:
    @pytest.mark.parametrize(("age", "found"), [(DAY, (3, 0, 0)), (DAY + SECOND, (1, 0, 2))])
    def test_a_count_is_used_up_to_its_longest_age(
        self, stage: Stage, age: timedelta, found: tuple[int, int, int]
    ) -> None:
        stage.state.write_counts({PAIR: 100})
        stage.clock.advance(age)
        assert stage.reserve(stage.windows(), deletes(3)) == found

    @pytest.mark.parametrize(
        ("age", "found"), [(timedelta(minutes=15) - SECOND, (2, 2, 0)), (timedelta(minutes=15), (2, 0, 2))]
    )
    def test_half_of_a_count_of_fifteen_minutes_is_counted_again(
        self, stage: Stage, age: timedelta, found: tuple[int, int, int]
    ) -> None:
        stage.state.write_counts({PAIR: 4})
        stage.clock.advance(age)
        windows = stage.windows()
        assert stage.reserve(windows, deletes(4)) == found
        assert {one.cause for one in windows.waiting.values()} <= {RetryCause.COUNT}

    @pytest.mark.parametrize(("seconds", "found"), [(3, (2, 2, 0)), (2, (2, 0, 2))])
    def test_half_of_a_count_from_before_the_event_is_counted_again(
        self, stage: Stage, seconds: int, found: tuple[int, int, int]
    ) -> None:
        """The time of an event is in whole seconds, and two APIs may differ by two."""
        stage.state.write_counts({PAIR: 4})
        changes = deletes(4)
        windows = stage.windows()
        windows.times = {one.order: stage.clock.now() - seconds * SECOND for one in changes}
        assert stage.reserve(windows, changes) == found


class TestTheLimit:
    def test_at_the_limit_no_change_waits_for_a_count(self, stage: Stage) -> None:
        """A new count would not permit more."""
        assert stage.reserve(stage.windows(), deletes(3), Limits(max_deletes=1)) == (1, 2, 0)
        assert stage.reserve(stage.windows(), deletes(3, "/p/e"), Limits(max_deletes=2)) == (0, 0, 3)

    def test_with_a_limit_of_none_the_first_delete_is_withheld(self, stage: Stage) -> None:
        assert stage.reserve(stage.windows(), deletes(1), Limits(max_deletes=0)) == (0, 1, 0)

    def test_a_whole_run_waits_for_no_count(self, stage: Stage) -> None:
        stage.state.write_counts({PAIR: 4})
        stage.clock.advance(timedelta(hours=1))
        assert stage.reserve(stage.windows(is_whole_run=True), deletes(4)) == (2, 2, 0)

    def test_updates_count_apart_from_deletes_and_only_for_events(self, stage: Stage) -> None:
        limits = Limits(max_updates=2)
        assert stage.reserve(stage.windows(), [*updates(3), *deletes(1)], limits) == (3, 1, 0)
        assert stage.reserve(stage.windows(is_whole_run=True), updates(3), limits) == (3, 0, 0)

    def test_the_reason_names_the_number_the_window_and_the_limit(self, stage: Stage) -> None:
        stage.state.write_counts({PAIR: 100})
        spec = replication(limits=Limits(max_deletes=2, window=timedelta(hours=48)))
        plan = stage.windows().reserve(Plan((part(*deletes(3)),)), [spec])
        (hold,) = (hold for one in plan.changes for hold in one.withheld)
        assert (hold.why, hold.limit, hold.count) == ("3 deletes in 48 hours are more than 2", 2, 3)

    @pytest.mark.parametrize("part_of", ["version", "modified"])
    def test_another_version_of_a_replica_counts_again_and_a_repeated_event_does_not(
        self, stage: Stage, part_of: str
    ) -> None:
        stage.state.write_counts({PAIR: 100})
        (one,) = deletes(1)
        for change, entries in ((one, 1), (one, 1), (with_another(one, part_of), 2)):
            stage.reserve(stage.windows(), [change])
            assert stage.entries() == entries

    @pytest.mark.parametrize("part_of", ["source_version", "source_modified"])
    def test_another_version_of_a_source_counts_again_and_a_repeated_event_does_not(
        self, stage: Stage, part_of: str
    ) -> None:
        (one,) = updates(1)
        for change, entries in ((one, 1), (one, 1), (with_another(one, part_of), 2)):
            stage.reserve(stage.windows(), [change], Limits(max_updates=5))
            assert stage.entries(WINDOW.replace("deletes", "updates")) == entries

    def test_a_change_that_another_guard_withholds_takes_no_place(self, stage: Stage) -> None:
        changes = [with_hold(one) for one in deletes(2)]
        assert stage.reserve(stage.windows(), changes) == (0, 2, 0)
        assert stage.entries() == 0


class TestPlacesThatBecomeFree:
    @pytest.mark.parametrize(
        ("result", "sent", "entries"),
        [
            (Result.STALE, False, 0),
            (Result.WITHHELD, False, 0),
            (Result.NOT_ATTEMPTED, False, 0),
            (Result.STALE, True, 1),
            (Result.FAILED, False, 1),
            (Result.APPLIED, True, 1),
        ],
    )
    def test_only_those_of_changes_for_which_nothing_was_sent(
        self, stage: Stage, result: Result, *, sent: bool, entries: int
    ) -> None:
        windows, changes = stage.windows(), deletes(1)
        stage.reserve(windows, changes)
        windows.give_back([Outcome(changes[0], result, sent=sent)])
        assert stage.entries() == entries

    def test_a_change_of_another_target_frees_no_place(self, stage: Stage) -> None:
        windows, changes = stage.windows(), deletes(1)
        stage.reserve(windows, changes)
        windows.give_back([Outcome(replace(changes[0], target="eu-west-1"), Result.STALE)])
        assert stage.entries() == 1

    def test_without_the_table_they_stay_and_the_error_is_reported(self, stage: Stage) -> None:
        windows, changes = stage.windows(), deletes(1)
        stage.reserve(windows, changes)

        def fails(_: str) -> None:
            raise TableUnavailableError("DynamoDB: ConnectTimeoutError")

        stage.table.fault = fails
        windows.give_back([Outcome(changes[0], Result.STALE)])
        assert (windows.table_error, stage.entries()) == ("DynamoDB: ConnectTimeoutError", 1)


def test_without_the_table_deletes_wait_and_updates_go(stage: Stage) -> None:
    def fails(_: str) -> None:
        raise TableUnavailableError("DynamoDB: ConnectTimeoutError")

    stage.table.fault = fails
    windows = stage.windows()
    assert stage.reserve(windows, [*updates(2), *deletes(2)], Limits(max_updates=1)) == (2, 0, 2)
    assert {one.cause for one in windows.waiting.values()} == {RetryCause.OUTAGE}
    assert windows.table_error == "DynamoDB: ConnectTimeoutError"


def test_a_full_window_is_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.state.write_counts({PAIR: 100})
    monkeypatch.setattr("ssm_reconcile.event.state.MOST_ENTRIES", 2)
    spec = replication(limits=Limits(max_deletes=1000))
    plan = stage.windows(is_whole_run=True).reserve(Plan((part(*deletes(3)),)), [spec])
    (hold,) = (hold for one in plan.changes for hold in one.withheld)
    assert hold.why.endswith("are more than the 5,000 of one window")


class TestAllTargets:
    """`max_deletes_total` counts the deletes of all targets over the window."""

    NAMES = tuple(f"t{number}" for number in range(6))
    WINDOW = "window#max-deletes-total#prod#"

    def reserve(
        self, stage: Stage, each: int, limits: Limits | None = None, **more: Any
    ) -> tuple[Windows, Plan, list[Change]]:
        stage.state.write_counts({("prod", name): 100 for name in self.NAMES})
        changes = [replace(one, target=name) for name in self.NAMES for one in deletes(each, **more)]
        spec = replication(targets=tuple(target(name) for name in self.NAMES), limits=limits or Limits())
        windows = stage.windows()
        return windows, windows.reserve(Plan((part(*changes),)), [spec]), changes

    def test_the_deletes_over_the_limit_are_withheld_in_whichever_targets(self, stage: Stage) -> None:
        _, plan, _ = self.reserve(stage, 9)
        assert sum(one.fate is Fate.APPLY for one in plan.changes) == 50
        (finding,) = plan.all_findings
        assert (finding.code, finding.where) == ("max-deletes-total", "prod")
        assert "54 deletes in all targets in 24 hours are more than 50" in finding.message
        _, later, _ = self.reserve(stage, 1, prefix="/p/later")
        assert sum(one.fate is Fate.APPLY for one in later.changes) == 0
        assert stage.entries(self.WINDOW) == 50

    def test_deletes_that_wait_take_no_place(self, stage: Stage) -> None:
        """Without a count, one delete of each target goes, and the others wait."""
        changes = [replace(one, target=name) for name in self.NAMES for one in deletes(3)]
        spec = replication(targets=tuple(target(name) for name in self.NAMES), limits=Limits())
        windows = stage.windows()
        windows.reserve(Plan((part(*changes),)), [spec])
        assert len(windows.waiting) == 12
        assert stage.entries(self.WINDOW) == 6

    def test_a_repeated_event_counts_once_in_each_target(self, stage: Stage) -> None:
        for _ in range(2):
            self.reserve(stage, 5)
            assert stage.entries(self.WINDOW) == 30

    def test_deletes_that_got_no_place_leave_none_in_the_windows_of_their_targets(self, stage: Stage) -> None:
        windows, plan, _ = self.reserve(stage, 9)
        windows.give_back(
            [Outcome(one, Result.WITHHELD) for one in plan.changes if one.fate is Fate.WITHHELD]
        )
        entries = [stage.entries(f"window#max-deletes#prod#{name}") for name in self.NAMES]
        assert sum(entries) == stage.entries(self.WINDOW) == 50
        windows.give_back([Outcome(plan.changes[0], Result.STALE)])
        assert stage.entries(self.WINDOW) == 49

    def test_a_replica_counts_once_from_its_mark_to_its_delete(self, stage: Stage) -> None:
        """A whole run keeps the entries of the marks that are not due."""
        spec = replication(targets=tuple(target(name) for name in self.NAMES), limits=Limits())
        marked = waiting(9, target="t0")
        state = stage.state
        keep_marks_of_all(state, Plan((part(others=marked),)), spec)
        assert stage.entries(self.WINDOW) == 9
        state.write_counts({("prod", name): 100 for name in self.NAMES})
        due = [
            replace(one, name=mark.name, target="t0", effect=Delete(mark.name, NOW))
            for one, mark in zip(deletes(3), marked, strict=False)
        ]
        plan = stage.windows(is_whole_run=True).reserve(Plan((part(*due),)), [spec])
        assert [one.fate for one in plan.changes] == [Fate.APPLY] * 3
        assert stage.entries(self.WINDOW) == 9

    def test_marks_to_release_and_marks_of_few_targets_take_no_place(self, stage: Stage) -> None:
        several = replication(targets=tuple(target(name) for name in self.NAMES), limits=Limits())
        few = replication(targets=(target("t0"),), limits=Limits())
        released = Plan((part(others=waiting(9, target="t0", is_released=True)),))
        keep_marks_of_all(stage.state, released, several)
        keep_marks_of_all(stage.state, Plan((part(others=waiting(9, target="t0")),)), few)
        assert self.WINDOW not in stage.table.items

    def test_few_targets_need_no_window_of_their_own(self, stage: Stage) -> None:
        self.reserve(stage, 3, Limits(max_deletes=8))
        assert self.WINDOW not in stage.table.items
        self.reserve(stage, 3, Limits(max_deletes=8, max_deletes_total=47))
        assert stage.entries(self.WINDOW) == 18

    def test_the_deletes_before_a_change_of_the_spec_count_in_the_windows_of_their_targets(
        self, stage: Stage
    ) -> None:
        """The window of all targets starts empty when the limits first need it, and counts from then on."""
        self.reserve(stage, 8, Limits(max_deletes=8))
        several = Limits(max_deletes=10, max_deletes_total=20)
        _, plan, _ = self.reserve(stage, 3, several, prefix="/p/later")
        assert {one.withheld_by for one in plan.changes if one.fate is not Fate.APPLY} == {("max-deletes",)}
        assert sum(one.fate is Fate.APPLY for one in plan.changes) == 12
        assert stage.entries(self.WINDOW) == 12
        _, last, _ = self.reserve(stage, 2, Limits(max_deletes=12, max_deletes_total=20), prefix="/p/last")
        assert sum(one.fate is Fate.APPLY for one in last.changes) == 8
        assert stage.entries(self.WINDOW) == 20

    def test_without_the_table_the_deletes_wait(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        reserve = State.reserve

        def fails(state: State, guard: str, *given: Any) -> Any:
            if guard == "max-deletes-total":
                raise TableUnavailableError("DynamoDB: ConnectTimeoutError")
            return reserve(state, guard, *given)

        monkeypatch.setattr(State, "reserve", fails)
        windows, plan, changes = self.reserve(stage, 1)
        assert not plan.changes
        assert windows.waiting.keys() == {one.order for one in changes}
        assert windows.table_error == "DynamoDB: ConnectTimeoutError"
