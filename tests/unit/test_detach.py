"""Detaching: one tag a replica, confirmed right before, resumable, and back again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssm_reconcile import detach
from ssm_reconcile.change import Row
from ssm_reconcile.detach import DetachReport
from ssm_reconcile.errors import PlaceError, StoreError, Trouble
from ssm_reconcile.model import Access
from ssm_reconcile.record import OWNER, RECORD
from ssm_reconcile.report import Result
from ssm_reconcile.session import Places
from ssm_reconcile.spec import AdoptMode, Run, Source
from tests.builders import OWNED_BY, Stage, counted, replication, store_error
from tests.builders import target as target_of
from tests.fake_aws.traffic import at_call, at_write, lost, refused
from tests.simulated_aws import unwatched

NAMES = ("/p/a", "/p/b", "/p/c")


def staged(*names: str) -> Stage:
    stage = Stage()
    for name in names or NAMES:
        stage.world.put(stage.here, name, "v", tags={"team": "a"})
    stage.apply()
    stage.world.traffic.forget()
    return stage


def done(stage: Stage, *, undo: bool = False) -> DetachReport:
    request = detach.resolve_request(stage.spec, "us-east-2", stage.places(), undo=undo)
    found = request.find_replicas()
    return detach.detach(request, found, stage.clock, unwatched, stage.stop, 2)


def results(detachment: DetachReport) -> dict[str, str]:
    return {one.name: one.result.value for one in detachment.outcomes}


def owners(stage: Stage) -> dict[str, str]:
    return {name: (stage.world.tags(stage.there, name) or {})[OWNER] for name in NAMES}


def test_each_owner_tag_becomes_a_mark_and_nothing_else_is_written() -> None:
    stage = staged()
    before = stage.world.state([stage.there])
    report = done(stage)
    assert results(report) == dict.fromkeys(NAMES, "applied")
    assert report.exit_code == 0
    assert set(owners(stage).values()) == {f"detached:{OWNED_BY}"}
    assert {call.operation for call in stage.world.traffic.writes()} == {"AddTagsToResource"}
    assert len(stage.world.traffic.writes()) == 3
    for name, seen in stage.world.state([stage.there])[stage.there].items():
        was = before[stage.there][name]
        assert (seen.parameter, seen.value) == (was.parameter, was.value)
        assert dict(seen.tags) | {OWNER: OWNED_BY} == dict(was.tags)


def test_no_plan_changes_a_detached_replica_and_undo_restores_it() -> None:
    stage = staged()
    done(stage)
    stage.world.put(stage.here, "/p/a", "changed")
    stage.world.delete(stage.here, "/p/b")
    stage.pass_time()
    plan = stage.plan()
    assert plan.changes == ()
    assert {other.row for other in plan.others} == {Row.DETACHED}
    assert counted(plan) == {"detached": 2}
    assert results(done(stage, undo=True)) == dict.fromkeys(NAMES, "applied")
    assert set(owners(stage).values()) == {OWNED_BY}
    stage.pass_time()
    assert counted(stage.plan()) == {"update": 1, "delete": 1, "in_sync": 1}


def test_a_second_run_finds_nothing_to_do() -> None:
    stage = staged()
    done(stage)
    stage.world.traffic.forget()
    again = done(stage)
    assert again.outcomes == ()
    assert again.exit_code == 0
    assert stage.world.traffic.writes() == []


def test_a_failure_is_reported_and_the_next_run_detaches_the_replica() -> None:
    stage = staged()
    stage.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED), name="/p/b")
    report = done(stage)
    assert results(report) == {"/p/a": "applied", "/p/b": "failed", "/p/c": "applied"}
    assert report.exit_code == 3
    stage.world.faults = None
    assert results(done(stage)) == {"/p/b": "applied"}


def calls(stage: Stage, operation: str) -> list[tuple[str, ...]]:
    return [call.names for call in stage.world.calls if call.operation == operation]


def detached(stage: Stage, names: tuple[str, ...]) -> DetachReport:
    """One after the other, so that what was learnt from one is known to the next."""
    request = detach.resolve_request(stage.spec, "us-east-2", stage.places(), undo=False)
    return detach.detach(request, names, stage.clock, unwatched, stage.stop, 1)


@pytest.mark.parametrize("operation", ["AddTagsToResource", "ListTagsForResource"])
def test_without_credentials_the_run_stops_and_reports_the_reason(operation: str) -> None:
    stage = staged()
    stage.world.faults = at_call(operation, refused(Trouble.CREDENTIALS))
    report = detached(stage, NAMES)
    assert results(report) == {"/p/a": "failed", "/p/b": "not_attempted", "/p/c": "not_attempted"}
    assert [operation in one.reason for one in report.outcomes] == [True, True, True]
    assert calls(stage, operation) == [("/p/a",)]
    assert report.exit_code == 3


@pytest.mark.parametrize(
    ("operation", "tried"), [("AddTagsToResource", 1), ("ListTagsForResource", 3)], ids=["write", "read"]
)
def test_a_region_that_does_not_answer_three_times_is_given_up(operation: str, tried: int) -> None:
    """A write is repeated, so one replica is enough; a read is not."""
    names = tuple(f"/p/{letter}" for letter in "abcde")
    stage = staged(*names)
    stage.world.faults = at_call(operation, refused(Trouble.UNREACHABLE))
    report = detached(stage, names)
    assert list(results(report).values()) == ["failed"] * tried + ["not_attempted"] * (5 - tried)
    assert all("cannot be reached" in one.reason for one in report.outcomes[tried:])
    assert len(calls(stage, operation)) == 3


def test_a_replica_that_is_already_detached_is_applied_without_a_reason() -> None:
    stage = staged()
    stage.world.tag(stage.there, "/p/b", {OWNER: f"detached:{OWNED_BY}"})
    report = detached(stage, NAMES)
    assert [(one.result.value, one.reason) for one in report.outcomes] == [("applied", "")] * 3
    assert calls(stage, "AddTagsToResource") == [("/p/a",), ("/p/c",)]


@pytest.mark.parametrize("had_effect", [True, False])
def test_a_lost_answer_is_looked_into(had_effect: bool) -> None:
    stage = staged()
    stage.world.faults = at_write(2, lost(done=had_effect))
    assert results(done(stage)) == dict.fromkeys(NAMES, "applied")
    assert set(owners(stage).values()) == {f"detached:{OWNED_BY}"}


def test_a_replica_that_vanishes_or_changes_hands_right_before_is_left_alone() -> None:
    stage = staged()
    request = detach.resolve_request(stage.spec, "us-east-2", stage.places(), undo=False)
    found = request.find_replicas()
    stage.world.delete(stage.there, "/p/a")
    stage.world.tag(stage.there, "/p/b", {OWNER: "other@123456789012/us-east-1"})
    report = detach.detach(request, found, stage.clock, unwatched, stage.stop, 2)
    assert results(report) == {"/p/a": "stale", "/p/b": "stale", "/p/c": "applied"}
    assert (stage.world.tags(stage.there, "/p/b") or {})[OWNER] == "other@123456789012/us-east-1"
    assert report.exit_code == 3


def test_copied_tags_make_no_replica() -> None:
    stage = staged()
    tags = stage.world.tags(stage.there, "/p/a") or {}
    stage.world.put(stage.there, "/p/copy", "x", tags={OWNER: tags[OWNER], RECORD: tags[RECORD]})
    report = done(stage)
    assert results(report)["/p/copy"] == Result.WITHHELD.value
    assert report.exit_code == 0
    assert (stage.world.tags(stage.there, "/p/copy") or {})[OWNER] == OWNED_BY


def test_only_the_replicas_of_this_replication_are_detached() -> None:
    stage = staged()
    stage.world.put(stage.there, "/p/mine", "x", tags={OWNER: "other@123456789012/us-east-1"})
    assert set(results(done(stage))) == set(NAMES)


def test_replicas_of_an_earlier_name_are_its_own_too_and_undo_gives_that_name_back() -> None:
    stage = staged()
    stage.spec = replication(name="production", previous_names=("prod",))
    assert results(done(stage)) == dict.fromkeys(NAMES, "applied")
    assert set(owners(stage).values()) == {f"detached:{OWNED_BY}"}
    done(stage, undo=True)
    assert set(owners(stage).values()) == {OWNED_BY}


def test_a_replica_that_the_first_listing_misses_is_found_by_the_second() -> None:
    stage = staged()
    request = detach.resolve_request(stage.spec, "us-east-2", stage.places(), undo=False)
    report = detach.detach(request, ["/p/a"], stage.clock, unwatched, stage.stop, 2)
    assert set(results(report)) == set(NAMES)


def test_a_request_to_stop_leaves_the_rest_for_the_next_run() -> None:
    stage = staged()
    stage.world.before("AddTagsToResource", stage.stop.set)
    request = detach.resolve_request(stage.spec, "us-east-2", stage.places(), undo=False)
    report = detach.detach(request, NAMES, stage.clock, unwatched, stage.stop, 1)
    assert report.exit_code == 130
    assert report.summary["applied"] == 1
    assert report.summary["not_attempted"] == 2


class TestTheSourceIsDown:
    """The owner tag has the source's account in it, and the source may be what is down."""

    def places(self, stage: Stage) -> Places:
        down: StoreError = store_error(Trouble.UNREACHABLE, "GetCallerIdentity")
        return Places({**staged().places().opened, stage.spec.source.access: down})

    def test_the_same_credentials_are_of_the_same_account(self) -> None:
        stage = staged()
        request = detach.resolve_request(stage.spec, "us-east-2", self.places(stage), undo=False)
        assert request.claim.owners == (OWNED_BY,)

    def test_the_spec_says_the_account(self) -> None:
        stage = staged()
        stage.spec = replication(source=Source(Access("us-east-1"), account="210987654321"))
        request = detach.resolve_request(stage.spec, "us-east-2", self.places(stage), undo=False)
        assert request.claim.owners == ("prod@210987654321/us-east-1",)

    def test_a_role_has_it_in_its_arn(self) -> None:
        role = "arn:aws:iam::210987654321:role/reader"
        stage = staged()
        stage.spec = replication(source=Source(Access("us-east-1", role_arn=role)))
        request = detach.resolve_request(stage.spec, "us-east-2", self.places(stage), undo=False)
        assert request.claim.owners == ("prod@210987654321/us-east-1",)

    def test_else_it_has_to_be_written(self) -> None:
        role = "arn:aws:iam::123456789012:role/writer"
        stage = staged()
        stage.spec = replication(targets=(target_of(access=Access("us-east-2", role_arn=role)),))
        store = stage.store()
        places = Places({**self.places(stage).opened, stage.spec.targets[0].access: store})
        with pytest.raises(PlaceError, match="its account is not known") as report:
            detach.resolve_request(stage.spec, "us-east-2", places, undo=False)
        assert "source.account" in report.value.remedy


class TestRolesReversed:
    """A detached replica is not written again without a flag."""

    def reversed(self) -> Stage:
        stage = staged()
        done(stage)
        stage.world.put(stage.there, "/p/a", "changed since")
        stage.pass_time()
        stage.spec = replication(
            name="back",
            source=Source(Access("us-east-2")),
            targets=(target_of("us-east-1", region="us-east-1"),),
        )
        return stage

    def test_everything_is_withheld(self) -> None:
        stage = self.reversed()
        stage.world.put(stage.there, "/p/new", "x")
        plan = stage.plan()
        assert {change.withheld_by for change in plan.changes} == {("roles-reversed",)}
        assert {change.name for change in plan.changes} == {"/p/b", "/p/c", "/p/new"}
        (finding,) = [one for one in plan.all_findings if one.code == "roles-reversed"]
        assert finding.remedy is not None
        assert finding.remedy.flag == "--allow-reversed"
        assert stage.carry_out(plan).exit_code == 5

    def test_the_flag_lifts_it_and_is_needed_once(self) -> None:
        stage = self.reversed()
        stage.spec = replace(stage.spec, adopt=AdoptMode.OVERWRITE)
        run = Run(allow_reversed=True)
        assert stage.apply(run).summary["applied"] == 3
        stage.world.put(stage.there, "/p/b", "later")
        assert stage.apply().summary["applied"] == 1

    def test_a_mark_that_comes_between_plan_and_apply_withholds_too(self) -> None:
        stage = self.reversed()
        marks = {name: stage.world.tags(stage.there, name) or {} for name in NAMES}
        for name in NAMES:
            stage.world.untag(stage.there, name, OWNER, RECORD)
        plan = stage.plan()
        assert {change.withheld_by for change in plan.changes} == {()}
        for name in NAMES:
            stage.world.tag(stage.there, name, marks[name])
        assert stage.carry_out(plan).summary["withheld"] == 2
