"""Marks of replicas without a source: written, due, replaced, and removed by every other write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ssm_reconcile.errors import Finding, Trouble
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import EXPIRES, OWNER, RECORD, ExpiryMark, digest, instant, mark_of, record_of
from ssm_reconcile.report import Report
from ssm_reconcile.spec import DeleteMode, Replication, Run
from tests.builders import counted, outcome, replication
from tests.fake_aws.behaviour import AwsBehaviour, Moves
from tests.fake_aws.traffic import Fault, at_call, lost, refused
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws

WEEK = timedelta(days=7)
GRACE = replication(grace=WEEK)


def started(spec: Replication = GRACE, *, moves: Moves = Moves.NO) -> SimulatedAws:
    """Return an AWS with some replicas, and the source of /p/a gone."""
    aws = SimulatedAws(spec, behaviour=AwsBehaviour(tags_move_modified=moves))
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    aws.apply()
    aws.delete("/p/a")
    aws.pass_time()
    return aws


def marked(spec: Replication = GRACE, *, moves: Moves = Moves.NO) -> SimulatedAws:
    aws = started(spec, moves=moves)
    assert result(aws.apply()) == ("applied", "")
    return aws


def result(report: Report) -> tuple[str, str]:
    one = outcome(report)
    return one.result.value, one.error


def tags(aws: SimulatedAws) -> dict[str, str]:
    return aws.world.tags(aws.there, "/p/a") or {}


def marks_that_stay(plan: Plan) -> list[Finding]:
    return [one for part in plan.replications for one in part.findings if one.code == "mark-stays"]


def expires(aws: SimulatedAws) -> datetime:
    found = mark_of(tags(aws), aws.there.arn("/p/a"))
    assert found is not None
    return found.expires


def put_mark(aws: SimulatedAws, at: datetime, *, name: str = "/p/a", source_version: int = 1) -> None:
    text = ExpiryMark(at, digest(aws.there.arn(name)), source_version).text()
    aws.world.tag(aws.there, "/p/a", {EXPIRES: text})


@pytest.mark.parametrize("moves", Moves)
def test_a_replica_is_marked_then_waits_then_is_deleted(moves: Moves) -> None:
    aws = started(moves=moves)
    before = dict(tags(aws))
    plan = aws.plan()
    assert counted(plan) == {"retag": 1, "in_sync": 2}
    written = aws.clock.now()
    report = aws.carry_out(plan)
    assert result(report) == ("applied", "")
    assert report.exit_code == 0
    assert tags(aws) == {**before, EXPIRES: tags(aws)[EXPIRES]}
    assert timedelta(0) <= expires(aws) - (written + WEEK) <= timedelta(seconds=1)
    waiting = aws.plan()
    assert counted(waiting) == {"expiring": 1, "in_sync": 2}
    assert aws.apply().exit_code == 0
    aws.clock.advance(expires(aws) - aws.clock.now() - timedelta(seconds=1))
    assert counted(aws.plan()) == {"expiring": 1, "in_sync": 2}
    aws.clock.advance(timedelta(seconds=1))
    due = aws.plan()
    assert counted(due) == {"delete": 1, "in_sync": 2}
    assert result(aws.carry_out(due)) == ("applied", "")
    assert aws.version("/p/a") is None


def test_the_time_begins_at_the_write_however_old_the_plan_is() -> None:
    aws = started()
    plan = aws.plan()
    aws.pass_time(days=5)
    aws.carry_out(plan)
    assert expires(aws) >= aws.clock.now() + WEEK


def test_a_fraction_of_a_second_does_not_shorten_the_time() -> None:
    aws = started()
    aws.clock.advance(timedelta(microseconds=1_500_000 - aws.clock.now().microsecond))
    written: list[datetime] = []
    aws.world.traffic.before("AddTagsToResource", lambda: written.append(aws.clock.now()))
    aws.apply()
    assert written[0].microsecond
    assert expires(aws) >= written[0] + WEEK


def test_a_mark_is_read_again_before_a_delete_is_repeated() -> None:
    aws = marked()
    aws.pass_time(days=8)
    plan = aws.plan()
    aws.world.traffic.before("DeleteParameters", lambda: aws.world.untag(aws.there, "/p/a", EXPIRES))
    aws.world.faults = at_call("DeleteParameters", refused(Trouble.THROTTLED), nth=1)
    assert result(aws.carry_out(plan))[0] == "stale"
    assert aws.version("/p/a") == 1


def test_the_plan_does_not_depend_on_the_time() -> None:
    aws = started()
    first = aws.plan()
    aws.pass_time(days=5)
    assert aws.plan().plan_id == first.plan_id


@pytest.mark.parametrize("after", [timedelta(0), timedelta(days=30)])
def test_a_later_change_of_the_time_is_for_new_marks_only(after: timedelta) -> None:
    aws = marked()
    was = expires(aws)
    aws.spec = replication(grace=after)
    assert counted(aws.apply().plan) == {"expiring": 1, "in_sync": 2}
    assert expires(aws) == was
    aws.pass_time(days=8)
    assert counted(aws.plan()) == {"delete": 1, "in_sync": 2}


def test_an_adopted_replica_is_released_after_its_time() -> None:
    aws = SimulatedAws(replication(delete=DeleteMode.CREATED, grace=WEEK))
    aws.world.put(aws.there, "/p/a", "v")
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    aws.apply()
    aws.delete("/p/a")
    assert result(aws.apply()) == ("applied", "")
    assert counted(aws.plan()) == {"expiring": 1, "in_sync": 2}
    aws.pass_time(days=8)
    assert result(aws.apply()) == ("applied", "")
    assert tags(aws) == {}
    assert aws.value("/p/a") == "v"


class TestDue:
    def planned(self) -> SimulatedAws:
        aws = marked()
        aws.pass_time(days=8)
        return aws

    @pytest.mark.parametrize(
        "act",
        [
            lambda aws: aws.world.untag(aws.there, "/p/a", EXPIRES),
            lambda aws: aws.world.tag(aws.there, "/p/a", {EXPIRES: "later"}),
            lambda aws: put_mark(aws, aws.clock.now() + WEEK),
            lambda aws: put_mark(aws, aws.clock.now() - WEEK),
            lambda aws: put_mark(aws, expires(aws), name="/p/b"),
            lambda aws: put_mark(aws, expires(aws), source_version=2),
        ],
    )
    def test_another_mark_than_the_plan_saw_deletes_nothing(
        self, act: Callable[[SimulatedAws], object]
    ) -> None:
        aws = self.planned()
        plan = aws.plan()
        act(aws)
        before = aws.world.state()
        assert result(aws.carry_out(plan)) == ("stale", "its mark has changed since the plan")
        assert aws.world.state() == before

    @pytest.mark.parametrize("mode", [DeleteMode.OWNED, DeleteMode.CREATED])
    def test_a_mark_that_another_run_wrote_since_the_plan_stops_a_removal_without_one(
        self, mode: DeleteMode
    ) -> None:
        at_once = replication(delete=mode)
        aws = SimulatedAws(at_once)
        aws.world.put(aws.there, "/p/a", "v")
        for name in ("/p/a", "/p/b", "/p/c"):
            aws.put(name, "v")
        aws.apply()
        aws.delete("/p/a")
        aws.pass_time()
        plan = aws.plan()
        aws.apply(replace(at_once, grace=WEEK))
        before = aws.world.state()
        assert result(aws.carry_out(plan)) == ("stale", "its mark has changed since the plan")
        assert aws.world.state() == before
        assert expires(aws) > aws.clock.now()

    def test_another_mark_releases_nothing(self) -> None:
        aws = SimulatedAws(replication(delete=DeleteMode.CREATED, grace=WEEK))
        aws.world.put(aws.there, "/p/a", "v")
        aws.put("/p/a", "v")
        aws.put("/p/b", "v")
        aws.apply()
        aws.delete("/p/a")
        aws.apply()
        aws.pass_time(days=8)
        plan = aws.plan()
        put_mark(aws, aws.clock.now() + WEEK)
        assert result(aws.carry_out(plan)) == ("stale", "its mark has changed since the plan")

    def test_a_source_that_is_back_keeps_the_replica(self) -> None:
        aws = self.planned()
        plan = aws.plan()
        aws.put("/p/a", "v")
        assert result(aws.carry_out(plan)) == ("withheld", "its source exists")
        assert aws.version("/p/a") == 1

    def test_a_mark_in_a_bulk_listing_only_deletes_nothing(self) -> None:
        """GetResources lags: the mark was removed, and the listing still shows it."""
        aws = marked()
        aws.pass_time(days=8)
        aws.world.lag = Lag(resources=timedelta(hours=2))
        aws.world.untag(aws.there, "/p/a", EXPIRES)
        plan = aws.plan()
        assert counted(plan) == {"retag": 1, "in_sync": 2}
        assert result(aws.carry_out(plan)) == ("applied", "")


class TestMark:
    def test_a_source_that_is_back_is_not_marked(self) -> None:
        aws = started()
        plan = aws.plan()
        aws.put("/p/a", "v")
        before = aws.world.state([aws.there])
        assert result(aws.carry_out(plan)) == ("withheld", "its source exists")
        assert aws.world.state([aws.there]) == before

    def test_a_source_that_cannot_be_read_is_not_marked(self) -> None:
        aws = started()
        plan = aws.plan()
        fault = refused(Trouble.DENIED)
        aws.world.faults = lambda called, place, *_: (
            fault if (called, place) == ("GetParameters", aws.here) else None
        )
        assert result(aws.carry_out(plan))[0] == "withheld"
        assert EXPIRES not in tags(aws)

    def test_a_mark_of_another_run_is_not_renewed(self) -> None:
        aws = started()
        plan = aws.plan()
        put_mark(aws, aws.clock.now() + timedelta(days=1))
        was = tags(aws)
        assert result(aws.carry_out(plan)) == ("stale", "it has a mark already")
        assert tags(aws) == was

    def test_a_mark_that_a_bulk_listing_does_not_show_yet_is_not_renewed(self) -> None:
        aws = started()
        aws.world.lag = Lag(resources=timedelta(minutes=30))
        aws.carry_out(aws.plan())
        was = tags(aws)
        plan = aws.plan()
        assert counted(plan) == {"expiring": 1, "in_sync": 2}
        aws.carry_out(plan)
        assert tags(aws) == was

    def test_a_lost_response_is_repeated(self) -> None:
        for done in (True, False):
            aws = started()
            plan = aws.plan()
            aws.world.traffic.forget()
            aws.world.faults = at_call("AddTagsToResource", lost(done=done), nth=1)
            assert result(aws.carry_out(plan)) == ("applied", "")
            assert counted(aws.plan()) == {"expiring": 1, "in_sync": 2}

    def test_a_mark_that_does_not_count_is_replaced(self) -> None:
        aws = started()
        put_mark(aws, aws.clock.now() - WEEK, source_version=9)
        assert result(aws.apply()) == ("applied", "")
        assert expires(aws) > aws.clock.now()


class TestReturn:
    def returned(self, value: str, *, moves: Moves = Moves.NO) -> SimulatedAws:
        aws = marked(moves=moves)
        aws.pass_time(days=8)
        aws.put("/p/a", value)
        return aws

    def gone_again(self, aws: SimulatedAws) -> None:
        """The source is deleted again: the replica has to wait for the whole time."""
        aws.world.faults = None
        aws.delete("/p/a")
        aws.pass_time()
        plan = aws.plan()
        assert not [one for one in plan.changes if one.action == "delete"]
        assert aws.apply().exit_code == 0
        assert expires(aws) > aws.clock.now() + timedelta(days=6)

    @pytest.mark.parametrize("value", ["v", "other"])
    @pytest.mark.parametrize("moves", Moves)
    def test_a_source_that_comes_back_clears_the_mark(self, value: str, moves: Moves) -> None:
        aws = self.returned(value, moves=moves)
        assert result(aws.apply()) == ("applied", "")
        assert EXPIRES not in tags(aws)
        aws.pass_time()
        assert counted(aws.plan()) == {"in_sync": 3}
        self.gone_again(aws)

    @pytest.mark.parametrize("value", ["v", "other"])
    @pytest.mark.parametrize("operation", ["AddTagsToResource", "RemoveTagsFromResource", "PutParameter"])
    @pytest.mark.parametrize("trouble", [Trouble.DENIED, Trouble.THROTTLED])
    def test_whatever_fails_no_record_is_written_beside_a_mark(
        self, value: str, operation: str, trouble: Trouble
    ) -> None:
        aws = self.returned(value)
        old = record_of(tags(aws))
        aws.world.faults = at_call(operation, refused(trouble))
        aws.apply()
        assert record_of(tags(aws)) == old or EXPIRES not in tags(aws)
        if EXPIRES in tags(aws):
            assert aws.version("/p/a") == 1
        aws.world.faults = None
        aws.pass_time()
        aws.apply()
        self.gone_again(aws)

    def test_an_update_whose_mark_cannot_be_removed_is_not_written(self) -> None:
        aws = self.returned("other")
        aws.world.faults = at_call("RemoveTagsFromResource", refused(Trouble.DENIED))
        assert result(aws.apply())[0] == "failed"
        assert (aws.version("/p/a"), aws.value("/p/a")) == (1, "v")

    @pytest.mark.parametrize("value", ["v", "other"])
    @pytest.mark.parametrize("tags_of_source", [{}, {"skip_sync": ""}, {"Skip-Sync": ""}])
    @pytest.mark.parametrize("fault", [refused(Trouble.DENIED), refused(Trouble.THROTTLED), lost(done=False)])
    def test_a_mark_that_cannot_be_removed_is_overwritten_and_does_not_count(
        self, value: str, tags_of_source: dict[str, str], fault: Fault
    ) -> None:
        aws = self.returned(value)
        aws.world.tag(aws.here, "/p/a", tags_of_source)
        aws.world.faults = at_call("RemoveTagsFromResource", fault)
        kind, error = result(aws.apply())
        assert kind == "failed"
        assert "its mark does not count any more" in error
        assert (tags(aws)[EXPIRES], aws.version("/p/a")) == ("cleared", 1)
        self.gone_again(aws)

    def test_a_mark_that_can_neither_be_removed_nor_overwritten_is_reported(self) -> None:
        aws = self.returned("v")
        was = tags(aws)
        aws.world.faults = lambda called, *_: (
            refused(Trouble.DENIED) if "TagsTo" in called or "TagsFrom" in called else None
        )
        kind, error = result(aws.apply())
        assert (kind, "RemoveTagsFromResource" in error) == ("failed", True)
        assert "does not count" not in error
        assert tags(aws) == was

    def test_an_overwritten_mark_is_removed_by_the_next_run(self) -> None:
        aws = self.returned("v")
        aws.world.faults = at_call("RemoveTagsFromResource", refused(Trouble.DENIED))
        aws.apply()
        aws.world.faults = None
        aws.pass_time()
        assert result(aws.apply()) == ("applied", "")
        assert EXPIRES not in tags(aws)

    def test_an_invalid_source_clears_the_mark(self) -> None:
        aws = self.returned("v")
        aws.world.tag(aws.here, "/p/a", {"Skip-Sync": ""})
        report = aws.apply()
        assert result(report) == ("applied", "")
        assert EXPIRES not in tags(aws)
        assert counted(aws.plan()) == {"invalid": 1, "in_sync": 2}
        self.gone_again(aws)

    def test_a_withheld_change_keeps_the_mark_and_a_finding_names_the_replica(self) -> None:
        aws = self.returned("other")
        frozen = replace(aws.spec, targets=tuple(replace(one, frozen=True) for one in aws.spec.targets))
        plan = aws.plan(frozen)
        (finding,) = marks_that_stay(plan)
        assert "/p/a" in finding.message
        assert [one.name for one in finding.about] == ["", "/p/a"]
        assert not marks_that_stay(aws.plan())

    def test_an_update_that_fails_after_its_mark_was_removed_is_reported_as_failed(self) -> None:
        aws = self.returned("other")
        plan = aws.plan()
        aws.world.traffic.before("PutParameter", aws.stop.set)
        aws.world.faults = at_call("PutParameter", refused(Trouble.THROTTLED))
        kind, error = result(aws.carry_out(plan))
        assert kind == "failed"
        assert error.endswith("its mark was removed; the next run writes the value")
        assert EXPIRES not in tags(aws)

    def test_a_retag_removes_a_mark_that_the_plan_did_not_see(self) -> None:
        aws = SimulatedAws(GRACE)
        aws.replicate("/p/a", "v", tags={"team": "a"})
        aws.world.tag(aws.here, "/p/a", {"team": "b"})
        plan = aws.plan()
        put_mark(aws, aws.clock.now() - WEEK)
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert EXPIRES not in tags(aws)

    def test_a_replacement_has_no_mark(self) -> None:
        aws = SimulatedAws(GRACE, run=Run(allow_replace=True, overwrite_outside=True))
        aws.replicate("/p/a", "v")
        put_mark(aws, aws.clock.now() - WEEK)
        aws.put("/p/a", "v", region="us-east-2", tier="Advanced")
        report = aws.apply()
        assert [one.change.action.value for one in report.outcomes] == ["replace"]
        assert EXPIRES not in tags(aws)

    def test_a_skipped_source_clears_the_mark(self) -> None:
        aws = marked()
        aws.put("/p/a", "v", tags={"skip_sync": ""})
        report = aws.apply()
        assert result(report) == ("applied", "")
        assert EXPIRES not in tags(aws)
        assert tags(aws)[OWNER]
        assert tags(aws)[RECORD]
        assert counted(aws.plan()) == {"opted_out": 1, "in_sync": 2}
        self.gone_again(aws)


def test_instants_are_written_in_utc_and_whole_seconds() -> None:
    aws = marked()
    assert tags(aws)[EXPIRES].startswith(f"{instant(expires(aws))} own=")
    assert tags(aws)[EXPIRES].endswith(" source=1")
