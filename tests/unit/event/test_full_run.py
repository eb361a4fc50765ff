"""One slice of a whole run: its changes, its time, its leases, the table, and the result of its groups."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from ssm_reconcile.change import Create
from ssm_reconcile.errors import Finding, NothingPlanned, Severity, Trouble
from ssm_reconcile.event import full_run
from ssm_reconcile.event.full_run import SliceResult
from ssm_reconcile.event.state import ReplicaCount, TableItem, TableUnavailableError, lease_of
from ssm_reconcile.model import Access, Place
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from ssm_reconcile.spec import Glob, Limits
from tests.builders import change, desired, replication, target
from tests.fake_aws.traffic import Fault, refused
from tests.unit.event.run_stage import EXECUTION, RunStage

FINDING = Finding(Severity.WARNING, "code", "text", "here")


def test_a_group_adds_its_counts_its_findings_and_what_remains() -> None:
    results = (Result.APPLIED, Result.FAILED, Result.NOT_ATTEMPTED, Result.WITHHELD)
    outcomes = tuple(
        Outcome(change(Create(desired(f"/p/{result}")), f"/p/{result}"), result) for result in results
    )
    remaining = tuple(
        Remaining("prod", "us-east-2", name, "differs", after_write=after_write)
        for name, after_write in (("/p/differs", True), ("/p/conflict", False))
    )
    found = SliceResult(Plan(()))
    for _ in range(2):
        found.add(Report(found.plan, outcomes, remaining, (FINDING,)))
    assert {result: count for result, count in found.counts.items() if count} == dict.fromkeys(results, 2)
    assert list(found.findings) == [FINDING]
    assert {name for _, _, name in found.remaining} == {
        "/p/failed", "/p/not_attempted", "/p/withheld", "/p/differs",
    }  # fmt: skip
    assert [one.result for one in found.unapplied] == [Result.FAILED, Result.WITHHELD] * 2


PAIR = ("prod", "us-east-2")
WINDOW = "window#max-deletes"
EAST_AND_WEST = replication(targets=(target(), target("eu-west-1", access=Access("eu-west-1"))))


@pytest.fixture
def stage() -> RunStage:
    return RunStage()


def delete_one(stage: RunStage) -> None:
    """Make three replicas, and delete the source of one."""
    stage.replicate("/p/a", "/p/b", "/p/c")
    stage.aws.delete("/p/a")


def counts(found: SliceResult) -> dict[Result, int]:
    return {result: count for result, count in found.counts.items() if count}


def names(found: SliceResult) -> set[str]:
    """Return the names that do not hold what the spec asks for."""
    return {name for _, _, name in found.remaining}


def test_a_slice_applies_all_and_leaves_nothing(stage: RunStage) -> None:
    stage.put("/p/a", "/p/b")
    found = stage.run_slice()
    assert (counts(found), found.remaining, found.unapplied) == ({Result.APPLIED: 2}, set(), [])
    assert (found.unavailable, found.leased, found.table_error) == ((), 0, "")
    assert stage.aws.names("us-east-2") == ["/p/a", "/p/b"]
    assert not stage.table.held()


def test_changes_that_a_guard_withholds_are_counted_and_remain() -> None:
    stage = RunStage(replication(limits=Limits(max_deletes=1)))
    stage.replicate("/p/a", "/p/b", "/p/c", "/p/d", "/p/e")
    stage.aws.delete("/p/a", "/p/b")
    found = stage.run_slice()
    assert (counts(found), names(found)) == ({Result.WITHHELD: 2}, {"/p/a", "/p/b"})
    assert all("2 deletes" in one.error for one in found.unapplied)
    assert "max-deletes" in {one.code for one in found.findings}


def test_a_conflict_remains(stage: RunStage) -> None:
    stage.put("/p/a")
    stage.aws.put("/p/a", "theirs", region="us-east-2")
    found = stage.run_slice()
    assert (counts(found), names(found)) == ({}, {"/p/a"})


class TestTheTimeOfASlice:
    def test_listings_leave_a_quarter_of_it_to_writes(self, stage: RunStage) -> None:
        for seconds in (74, 76):
            stage.put("/p/a", value=str(seconds))
            stage.aws.world.before("DescribeParameters", partial(stage.aws.clock.sleep, seconds))
            if seconds == 74:
                assert counts(stage.run_slice()) == {Result.APPLIED: 1}
            else:
                with pytest.raises(NothingPlanned):
                    stage.run_slice()

    @pytest.mark.parametrize("operation", ["DescribeParameters", "GetResources"])
    def test_a_listing_whose_time_is_over_ends_with_its_page(self, stage: RunStage, operation: str) -> None:
        for number in range(150):
            stage.aws.put(f"/p/{number}", tags={"team": "a"})
        stage.aws.world.before(operation, partial(stage.aws.clock.sleep, 76))
        with pytest.raises(NothingPlanned):
            stage.run_slice()
        assert stage.calls(operation, stage.aws.here) == 1

    def test_a_group_that_does_not_begin_takes_no_lease_and_makes_no_target_unavailable(
        self, stage: RunStage
    ) -> None:
        stage.put("/p/a", "/p/b")
        stage.aws.world.before("GetParameters", stage.end_time)
        found = stage.run_slice()
        assert (counts(found), names(found)) == ({Result.NOT_ATTEMPTED: 2}, {"/p/a", "/p/b"})
        assert (found.unapplied, found.unavailable) == ([], ())
        assert stage.table.calls["DeleteItem"] == 0

    def test_the_end_during_a_group_makes_no_target_unavailable(self, stage: RunStage) -> None:
        stage.put(*(f"/p/{number}" for number in range(40)))
        stage.aws.world.before("PutParameter", stage.end_time)
        found = stage.run_slice()
        assert set(counts(found)) == {Result.APPLIED, Result.NOT_ATTEMPTED}
        assert found.unavailable == ()
        assert not stage.table.held()


def test_the_limit_on_updates_by_events_does_not_limit_a_whole_run() -> None:
    stage = RunStage(replication(limits=Limits(max_updates=1)))
    stage.replicate("/p/a", "/p/b", "/p/c")
    stage.put("/p/a", "/p/b", "/p/c", value="new")
    assert counts(stage.run_slice()) == {Result.APPLIED: 3}


class TestLeases:
    def test_a_name_that_an_event_works_on_is_left_to_it(self, stage: RunStage) -> None:
        stage.put("/p/a", "/p/b")
        until = stage.aws.clock.now().timestamp() + 60
        stage.table.items[lease_of(*PAIR, "/p/b")] = TableItem("event", until)
        found = stage.run_slice()
        assert (counts(found), found.leased, names(found)) == ({Result.APPLIED: 1}, 1, {"/p/b"})
        assert stage.aws.names("us-east-2") == ["/p/a"]
        assert stage.table.held() == {lease_of(*PAIR, "/p/b")}

    def test_a_lease_has_the_canonical_name(self) -> None:
        stage = RunStage(replication(include=(Glob("/*"),)))
        stage.put("a")
        until = stage.aws.clock.now().timestamp() + 60
        stage.table.items[lease_of(*PAIR, "/a")] = TableItem("event", until)
        assert stage.run_slice().leased == 1

    def test_the_leases_of_a_slice_that_was_killed_are_taken_over(self, stage: RunStage) -> None:
        stage.put("/p/a")
        until = stage.aws.clock.now().timestamp() + 60
        stage.table.items[lease_of(*PAIR, "/p/a")] = TableItem(EXECUTION, until)
        found = stage.run_slice()
        assert (counts(found), found.leased) == ({Result.APPLIED: 1}, 0)
        assert not stage.table.held()

    def test_they_are_released_after_an_error(self, stage: RunStage) -> None:
        delete_one(stage)

        def fail(operation: str) -> None:
            if operation == "BatchGetItem" and stage.table.held():
                raise ZeroDivisionError

        stage.table.fault = fail
        with pytest.raises(ZeroDivisionError):
            stage.run_slice()
        assert not stage.table.held()


def test_a_target_that_is_away_is_not_tried_in_the_next_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_run, "GROUP", 2)
    stage = RunStage(EAST_AND_WEST)
    stage.put("/p/a", "/p/b", "/p/c", "/p/d")
    west = stage.aws.place("eu-west-1")

    def away(operation: str, place: Place, tried: tuple[str, ...], nth: int) -> Fault | None:
        return refused(Trouble.UNREACHABLE) if (operation, place) == ("PutParameter", west) else None

    stage.aws.world.faults = away
    found = stage.run_slice()
    assert (found.unavailable, found.counts[Result.APPLIED]) == (("eu-west-1",), 4)
    assert len(found.remaining) == 4
    tried = {
        name for call in stage.aws.world.calls if call.place == west and call.writes for name in call.names
    }
    assert not tried & {"/p/c", "/p/d"}


class TestTheTable:
    def test_it_gets_the_replicas_of_complete_targets(self) -> None:
        stage = RunStage(EAST_AND_WEST)
        stage.replicate("/p/a", "/p/b")
        assert stage.state is not None
        pairs = [PAIR, ("prod", "eu-west-1")]
        west = stage.aws.place("eu-west-1")

        def away(operation: str, place: Place, tried: tuple[str, ...], nth: int) -> Fault | None:
            is_west = (operation, place) == ("DescribeParameters", west)
            return refused(Trouble.UNREACHABLE) if is_west else None

        stage.aws.world.faults = away
        assert stage.run_slice().unavailable == ("eu-west-1",)
        assert stage.state.read_counts(pairs) == {PAIR: ReplicaCount(2, stage.aws.clock.now())}

    def test_a_failure_is_reported_and_deletes_wait(self, stage: RunStage) -> None:
        delete_one(stage)
        stage.put("/p/d")
        stage.lose_table("BatchGetItem")
        found = stage.run_slice()
        assert counts(found) == {Result.APPLIED: 1, Result.NOT_ATTEMPTED: 1}
        assert (names(found), found.table_error) == ({"/p/a"}, "no answer")

    def test_a_failure_of_leases_only_is_reported(self, stage: RunStage) -> None:
        stage.put("/p/a")
        stage.lose_table("DeleteItem")
        assert stage.run_slice().table_error == "no answer"

    @pytest.mark.parametrize("is_held", [True, False])
    def test_a_failure_of_windows_only_or_of_counts_only_is_reported(
        self, stage: RunStage, is_held: bool
    ) -> None:
        delete_one(stage)

        def fail(operation: str) -> None:
            if operation == "BatchGetItem" and bool(stage.table.held()) is is_held:
                raise TableUnavailableError("no answer")

        stage.table.fault = fail
        assert stage.run_slice().table_error == "no answer"

    def test_the_place_of_a_delete_that_was_not_made_is_free_again(self, stage: RunStage) -> None:
        delete_one(stage)
        stage.aws.pass_time()
        stage.aws.world.before("GetParameters", partial(stage.put, "/p/a"))
        assert counts(stage.run_slice()).keys() <= {Result.STALE, Result.WITHHELD}
        assert stage.table.items[f"{WINDOW}#prod#us-east-2"].data == {}

    def test_marks_that_are_not_due_keep_their_places(self) -> None:
        limits = Limits(max_deletes=2, max_deletes_total=3)
        stage = RunStage(replace(EAST_AND_WEST, grace=timedelta(days=7), limits=limits))
        delete_one(stage)
        stage.aws.delete("/p/a", region="us-east-2")
        stage.aws.put("/p/conflict")
        stage.aws.put("/p/conflict", "theirs", region="eu-west-1")
        for _ in range(3):
            stage.run_slice()
            now = stage.aws.clock.now().timestamp()
            windows = {
                key: list(one.data.values()) for key, one in stage.table.items.items() if WINDOW in key
            }
            assert windows == {
                "window#max-deletes#prod#eu-west-1": [now],
                "window#max-deletes-total#prod#": [now],
            }
            stage.aws.pass_time(hours=25)

    def test_without_one_all_is_applied(self, stage: RunStage) -> None:
        delete_one(stage)
        stage.state = None
        assert counts(stage.run_slice()) == {Result.APPLIED: 1}
