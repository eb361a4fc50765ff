"""Marks count over the window of a stack: once from the mark to the delete."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ssm_reconcile.change import Change, Delete, Fate, Mark, Row, TagDiff, Unmark, Withholding
from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.requests import RetryCause, _retry_of
from ssm_reconcile.event.state import State
from ssm_reconcile.event.windows import DELETES, Windows, entry_of_mark
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import EXPIRES
from ssm_reconcile.report import Outcome, Result
from ssm_reconcile.spec import Limits
from tests.builders import NOW, change, deletes, part, replication, updates
from tests.doubles.clock import FakeClock
from tests.events.memory_table import MemoryTable

PAIR = ("prod", "us-east-2")
DAY = timedelta(hours=24)
SPEC = replication(limits=Limits(max_deletes=3))


def marks(*names: str) -> list[Change]:
    return [change(Mark(name, timedelta(days=7)), name, row=Row.EXPIRING) for name in names]


def due(*names: str) -> list[Change]:
    return [change(Delete(name, NOW), name, row=Row.DELETE) for name in names]


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = State(MemoryTable(), self.clock)
        self.state.write_counts({PAIR: 100})

    def windows(self, *, is_whole_run: bool = False) -> Windows:
        return Windows(self.state, self.clock, DAY, is_whole_run=is_whole_run)

    def goes(self, *changes: Change, is_whole_run: bool = False) -> list[bool]:
        windows = self.windows(is_whole_run=is_whole_run)
        plan = windows.reserve(Plan((part(*changes),)), [SPEC])
        return [one.fate is Fate.APPLY for one in plan.changes]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_marks_count_with_deletes_up_to_the_limit(stage: Stage) -> None:
    assert stage.goes(*marks("/p/a", "/p/b")) == [True, True]
    assert stage.goes(*deletes(1)) == [True]
    windows = stage.windows()
    plan = windows.reserve(Plan((part(*marks("/p/c")),)), [SPEC])
    (reason,) = plan.changes[0].withheld
    assert reason.why == "4 deletes and marks in 24 hours are more than 3"


def test_a_replica_counts_once_from_its_mark_to_its_delete(stage: Stage) -> None:
    assert stage.goes(*marks("/p/a", "/p/b", "/p/c")) == [True] * 3
    assert stage.goes(*due("/p/a", "/p/b", "/p/c"), is_whole_run=True) == [True] * 3
    assert stage.goes(*marks("/p/d")) == [False]


def test_marks_that_are_not_due_are_kept_in_the_window_by_whole_runs(stage: Stage) -> None:
    assert stage.goes(*marks("/p/a", "/p/b", "/p/c")) == [True] * 3
    for _ in range(5):
        stage.clock.advance(timedelta(hours=20))
        stage.state.write_counts({PAIR: 100})
        stage.state.keep(DELETES, PAIR, map(entry_of_mark, ("/p/a", "/p/b", "/p/c")), DAY)
    assert stage.goes(*marks("/p/d")) == [False]
    stage.clock.advance(DAY)
    stage.state.write_counts({PAIR: 100})
    assert stage.goes(*marks("/p/d")) == [True]


def test_marks_are_kept_beside_the_deletes_of_the_window(stage: Stage) -> None:
    assert stage.goes(*deletes(2)) == [True, True]
    stage.state.keep(DELETES, PAIR, [entry_of_mark("/p/a")], DAY)
    stage.state.keep(DELETES, PAIR, [], DAY)
    assert stage.goes(*marks("/p/b")) == [False]


def test_an_update_over_the_limit_of_events_loses_its_outdated_mark(stage: Stage) -> None:
    spec = replication(limits=Limits(max_updates=0))
    marked = replace(updates(1)[0], outdated_mark="mark")
    (found,) = stage.windows().reserve(Plan((part(marked),)), [spec]).changes
    assert (found.withheld_by, found.clears_mark) == (("max-updates",), True)
    assert found.to_apply == marked.removal_of_mark


def test_a_mark_that_was_not_written_takes_no_place(stage: Stage) -> None:
    windows = stage.windows()
    (mark,) = marks("/p/a")
    windows.reserve(Plan((part(mark),)), [SPEC])
    windows.give_back([Outcome(mark, Result.STALE)])
    assert stage.goes(*marks("/p/b", "/p/c", "/p/d")) == [True] * 3


def test_more_marks_than_the_limit_are_kept(stage: Stage) -> None:
    """A person let them through with a lift: later ones are withheld."""
    stage.state.keep(DELETES, PAIR, [entry_of_mark(str(number)) for number in range(10)], DAY)
    assert stage.goes(*marks("/p/d")) == [False]


@pytest.mark.parametrize("trouble", [None, Trouble.DENIED, Trouble.THROTTLED])
def test_a_mark_that_could_not_be_confirmed_is_tried_again(trouble: Trouble | None) -> None:
    (mark,) = marks("/p/a")
    assert _retry_of(
        Outcome(mark, Result.WITHHELD, "its source cannot be read", trouble=trouble), stopped=False
    )


@pytest.mark.parametrize(
    ("result", "cause"),
    [(Result.STALE, RetryCause.STALE), (Result.NOT_ATTEMPTED, RetryCause.BUSY), (None, None)],
)
def test_a_withheld_change_that_kept_its_outdated_mark_is_tried_again(
    result: Result | None, cause: RetryCause | None
) -> None:
    (held,) = (
        replace(one, withheld=(Withholding("changed-outside", "another writer changed it"),))
        for one in updates(1)
    )
    retry = _retry_of(Outcome(held, Result.WITHHELD, "why", mark_removal=result), stopped=True)
    assert (None if retry is None else retry.cause) == cause


def test_a_replica_that_only_lost_its_mark_is_compared_again() -> None:
    effect = Unmark(TagDiff(before={EXPIRES: "x"}))
    invalid, kept_out = (change(effect, row=row) for row in (Row.INVALID, Row.KEPT_OUT))
    retry = _retry_of(Outcome(invalid, Result.APPLIED), stopped=False)
    assert retry is not None
    assert retry.cause is RetryCause.OWN
    assert _retry_of(Outcome(kept_out, Result.APPLIED), stopped=False) is None
