"""Detaching: one tag a replica, confirmed right before, resumable, and back again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from ssm_reconcile import detach
from ssm_reconcile.change import Row
from ssm_reconcile.detach import DetachReport
from ssm_reconcile.errors import PlaceError, StoreError, Trouble
from ssm_reconcile.model import Access
from ssm_reconcile.record import EXPIRES, OWNER, RECORD
from ssm_reconcile.report import Result
from ssm_reconcile.session import Places
from ssm_reconcile.spec import AdoptMode, Glob, Hold, Run, Source
from tests.builders import OWNED_BY, counted, replication, store_error
from tests.builders import target as target_of
from tests.fake_aws.traffic import AWAIT_TURN, at_call, at_write, lost, refused
from tests.simulated_aws import SimulatedAws, unwatched

NAMES = ("/p/a", "/p/b", "/p/c")


def staged(*names: str) -> SimulatedAws:
    aws = SimulatedAws()
    for name in names or NAMES:
        aws.put(name, "v", tags={"team": "a"})
    aws.apply()
    aws.world.traffic.forget()
    return aws


def done(aws: SimulatedAws, *, undo: bool = False) -> DetachReport:
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=undo)
    found = request.find_replicas()
    return detach.detach(request, found, aws.clock, unwatched, aws.stop, 2)


def results(detachment: DetachReport) -> dict[str, str]:
    return {one.name: one.result.value for one in detachment.outcomes}


def reasons(detachment: DetachReport) -> dict[str, str]:
    return {one.name: one.reason for one in detachment.outcomes}


def owners(aws: SimulatedAws) -> dict[str, str]:
    return {name: (aws.world.tags(aws.there, name) or {})[OWNER] for name in NAMES}


def test_each_owner_tag_becomes_a_mark_and_nothing_else_is_written() -> None:
    aws = staged()
    before = aws.world.state([aws.there])
    report = done(aws)
    assert results(report) == dict.fromkeys(NAMES, "applied")
    assert report.exit_code == 0
    assert set(owners(aws).values()) == {f"detached:{OWNED_BY}"}
    assert {call.operation for call in aws.world.traffic.writes()} == {"AddTagsToResource"}
    assert len(aws.world.traffic.writes()) == 3
    for name, seen in aws.world.state([aws.there])[aws.there].items():
        was = before[aws.there][name]
        assert (seen.parameter, seen.value) == (was.parameter, was.value)
        assert dict(seen.tags) | {OWNER: OWNED_BY} == dict(was.tags)


def test_no_plan_changes_a_detached_replica_and_undo_restores_it() -> None:
    aws = staged()
    done(aws)
    aws.put("/p/a", "changed")
    aws.delete("/p/b")
    aws.pass_time()
    plan = aws.plan()
    assert plan.changes == ()
    assert {other.row for other in plan.others} == {Row.DETACHED}
    assert counted(plan) == {"detached": 2}
    assert results(done(aws, undo=True)) == dict.fromkeys(NAMES, "applied")
    assert set(owners(aws).values()) == {OWNED_BY}
    aws.pass_time()
    assert counted(aws.plan()) == {"update": 1, "delete": 1, "in_sync": 1}


def test_a_hold_does_not_stop_detach_in_either_direction() -> None:
    aws = staged()
    aws.spec = replace(aws.spec, holds=(Hold(Glob("/p/*")),))
    assert results(done(aws)) == dict.fromkeys(NAMES, "applied")
    assert counted(aws.plan()) == {"detached": 3}
    assert results(done(aws, undo=True)) == dict.fromkeys(NAMES, "applied")
    aws.pass_time()
    assert counted(aws.plan()) == {"held": 3}


def test_a_second_run_finds_nothing_to_do() -> None:
    aws = staged()
    done(aws)
    aws.world.traffic.forget()
    again = done(aws)
    assert again.outcomes == ()
    assert again.exit_code == 0
    assert aws.world.traffic.writes() == []


def test_a_failure_is_reported_and_the_next_run_detaches_the_replica() -> None:
    aws = staged()
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED), name="/p/b")
    report = done(aws)
    assert results(report) == {"/p/a": "applied", "/p/b": "failed", "/p/c": "applied"}
    assert report.exit_code == 3
    aws.world.faults = None
    assert results(done(aws)) == {"/p/b": "applied"}


def calls(aws: SimulatedAws, operation: str) -> list[tuple[str, ...]]:
    return [call.names for call in aws.world.calls if call.operation == operation]


def detached(aws: SimulatedAws, names: tuple[str, ...]) -> DetachReport:
    """One after the other, so that what was learnt from one is known to the next."""
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=False)
    return detach.detach(request, names, aws.clock, unwatched, aws.stop, 1)


@pytest.mark.parametrize("operation", ["AddTagsToResource", "ListTagsForResource"])
def test_without_credentials_the_run_stops_and_reports_the_reason(operation: str) -> None:
    aws = staged()
    aws.world.faults = at_call(operation, refused(Trouble.CREDENTIALS))
    report = detached(aws, NAMES)
    assert results(report) == {"/p/a": "failed", "/p/b": "not_attempted", "/p/c": "not_attempted"}
    assert [operation in one.reason for one in report.outcomes] == [True, True, True]
    assert calls(aws, operation) == [("/p/a",)]
    assert report.exit_code == 3


@pytest.mark.parametrize(
    ("operation", "tried"), [("AddTagsToResource", 1), ("ListTagsForResource", 3)], ids=["write", "read"]
)
def test_a_region_that_does_not_answer_three_times_is_given_up(operation: str, tried: int) -> None:
    """A write is repeated, so one replica is enough; a read is not."""
    names = tuple(f"/p/{letter}" for letter in "abcde")
    aws = staged(*names)
    aws.world.faults = at_call(operation, refused(Trouble.UNREACHABLE))
    report = detached(aws, names)
    assert list(results(report).values()) == ["failed"] * tried + ["not_attempted"] * (5 - tried)
    assert all("cannot be reached" in one.reason for one in report.outcomes[tried:])
    assert len(calls(aws, operation)) == 3


def test_a_replica_that_is_already_detached_is_applied_without_a_reason() -> None:
    aws = staged()
    aws.world.tag(aws.there, "/p/b", {OWNER: f"detached:{OWNED_BY}"})
    report = detached(aws, NAMES)
    assert [(one.result.value, one.reason) for one in report.outcomes] == [("applied", "")] * 3
    assert calls(aws, "AddTagsToResource") == [("/p/a",), ("/p/c",)]


@pytest.mark.parametrize("had_effect", [True, False])
def test_a_lost_answer_is_looked_into(had_effect: bool) -> None:
    aws = staged()
    aws.world.faults = at_write(2, lost(done=had_effect))
    assert results(done(aws)) == dict.fromkeys(NAMES, "applied")
    assert set(owners(aws).values()) == {f"detached:{OWNED_BY}"}


def test_a_replica_that_vanishes_or_changes_hands_right_before_is_left_alone() -> None:
    aws = staged()
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=False)
    found = request.find_replicas()
    aws.world.delete(aws.there, "/p/a")
    aws.world.tag(aws.there, "/p/b", {OWNER: "other@123456789012/us-east-1"})
    report = detach.detach(request, found, aws.clock, unwatched, aws.stop, 2)
    assert results(report) == {"/p/a": "stale", "/p/b": "stale", "/p/c": "applied"}
    assert (aws.world.tags(aws.there, "/p/b") or {})[OWNER] == "other@123456789012/us-east-1"
    assert report.exit_code == 3


def test_copied_tags_make_no_replica() -> None:
    aws = staged()
    tags = aws.world.tags(aws.there, "/p/a") or {}
    aws.world.put(aws.there, "/p/copy", "x", tags={OWNER: tags[OWNER], RECORD: tags[RECORD]})
    report = done(aws)
    assert results(report)["/p/copy"] == Result.WITHHELD.value
    assert "the tags were copied" in reasons(report)["/p/copy"]
    assert report.exit_code == 0
    assert (aws.world.tags(aws.there, "/p/copy") or {})[OWNER] == OWNED_BY


@pytest.mark.parametrize("record", [{}, {RECORD: "v=9 later"}])
def test_a_replica_whose_record_cannot_be_read_has_failed(record: dict[str, str]) -> None:
    aws = staged()
    aws.world.put(aws.there, "/p/later", "x", tags={OWNER: OWNED_BY, **record})
    report = done(aws)
    assert (results(report)["/p/later"], report.exit_code) == (Result.FAILED.value, 3)
    reason = reasons(report)["/p/later"]
    assert "copied" not in reason
    assert "run this command with that version" in reason
    assert (aws.world.tags(aws.there, "/p/later") or {})[OWNER] == OWNED_BY


def test_only_the_replicas_of_this_replication_are_detached() -> None:
    aws = staged()
    aws.world.put(aws.there, "/p/mine", "x", tags={OWNER: "other@123456789012/us-east-1"})
    assert set(results(done(aws))) == set(NAMES)


def test_replicas_of_an_earlier_name_are_its_own_too_and_undo_gives_that_name_back() -> None:
    aws = staged()
    aws.spec = replication(name="production", previous_names=("prod",))
    assert results(done(aws)) == dict.fromkeys(NAMES, "applied")
    assert set(owners(aws).values()) == {f"detached:{OWNED_BY}"}
    done(aws, undo=True)
    assert set(owners(aws).values()) == {OWNED_BY}


def test_a_replica_that_the_first_listing_misses_is_found_by_the_second() -> None:
    aws = staged()
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=False)
    report = detach.detach(request, ["/p/a"], aws.clock, unwatched, aws.stop, 2)
    assert set(results(report)) == set(NAMES)


def test_a_request_to_stop_leaves_the_rest_for_the_next_run() -> None:
    aws, turns = staged(), Counter[str]()
    aws.world.before("AddTagsToResource", aws.stop.set)
    aws.world.before(AWAIT_TURN, lambda: turns.update(["turn"]), times=9)
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=False)
    report = detach.detach(request, NAMES, aws.clock, unwatched, aws.stop, 1)
    assert report.exit_code == 130
    assert report.summary["applied"] == 1
    assert report.summary["not_attempted"] == 2
    assert [one.reason for one in report.outcomes] == ["", "the run was stopped", "the run was stopped"]
    assert turns == {"turn": 1}, "the rest does not wait for the rate of writes"


class TestTheSourceIsDown:
    """The owner tag has the source's account in it, and the source may be what is down."""

    def places(self, aws: SimulatedAws) -> Places:
        down: StoreError = store_error(Trouble.UNREACHABLE, "GetCallerIdentity")
        return Places({**staged().places().opened, aws.spec.source.access: down})

    def test_the_same_credentials_are_of_the_same_account(self) -> None:
        aws = staged()
        request = detach.resolve_request(aws.spec, "us-east-2", self.places(aws), undo=False)
        assert request.claim.owners == (OWNED_BY,)

    def test_the_spec_says_the_account(self) -> None:
        aws = staged()
        aws.spec = replication(source=Source(Access("us-east-1"), account="210987654321"))
        request = detach.resolve_request(aws.spec, "us-east-2", self.places(aws), undo=False)
        assert request.claim.owners == ("prod@210987654321/us-east-1",)

    def test_a_role_has_it_in_its_arn(self) -> None:
        role = "arn:aws:iam::210987654321:role/reader"
        aws = staged()
        aws.spec = replication(source=Source(Access("us-east-1", role_arn=role)))
        request = detach.resolve_request(aws.spec, "us-east-2", self.places(aws), undo=False)
        assert request.claim.owners == ("prod@210987654321/us-east-1",)

    def test_else_it_has_to_be_written(self) -> None:
        role = "arn:aws:iam::123456789012:role/writer"
        aws = staged()
        aws.spec = replication(targets=(target_of(access=Access("us-east-2", role_arn=role)),))
        store = aws.store()
        places = Places({**self.places(aws).opened, aws.spec.targets[0].access: store})
        with pytest.raises(PlaceError, match="its account is not known") as report:
            detach.resolve_request(aws.spec, "us-east-2", places, undo=False)
        assert "source.account" in report.value.remedy


class TestRolesReversed:
    """A detached replica is not written again without a flag."""

    def reversed(self) -> SimulatedAws:
        aws = staged()
        done(aws)
        aws.world.put(aws.there, "/p/a", "changed since")
        aws.pass_time()
        aws.spec = replication(
            name="back",
            source=Source(Access("us-east-2")),
            targets=(target_of("us-east-1", region="us-east-1"),),
        )
        return aws

    def test_everything_is_withheld(self) -> None:
        aws = self.reversed()
        aws.world.put(aws.there, "/p/new", "x")
        plan = aws.plan()
        assert {change.withheld_by for change in plan.changes} == {("roles-reversed",)}
        assert {change.name for change in plan.changes} == {"/p/b", "/p/c", "/p/new"}
        (finding,) = [one for one in plan.all_findings if one.code == "roles-reversed"]
        assert finding.remedy is not None
        assert finding.remedy.flag == "--allow-reversed"
        assert aws.carry_out(plan).exit_code == 5

    def test_the_flag_lifts_it_and_is_needed_once(self) -> None:
        aws = self.reversed()
        aws.spec = replace(aws.spec, adopt=AdoptMode.OVERWRITE)
        run = Run(allow_reversed=True)
        assert aws.apply(run=run).summary["applied"] == 3
        aws.world.put(aws.there, "/p/b", "later")
        assert aws.apply().summary["applied"] == 1

    def test_a_mark_that_comes_between_plan_and_apply_withholds_too(self) -> None:
        aws = self.reversed()
        marks = {name: aws.world.tags(aws.there, name) or {} for name in NAMES}
        for name in NAMES:
            aws.world.untag(aws.there, name, OWNER, RECORD)
        plan = aws.plan()
        assert {change.withheld_by for change in plan.changes} == {()}
        for name in NAMES:
            aws.world.tag(aws.there, name, marks[name])
        assert aws.carry_out(plan).summary["withheld"] == 2


class TestMarks:
    """A replica that waits for its deletion loses its mark: `detach --undo` brings no old one back."""

    def marked(self) -> SimulatedAws:
        aws = staged()
        aws.spec = replace(aws.spec, grace=timedelta(days=7))
        aws.delete("/p/a")
        aws.apply()
        aws.pass_time(days=8)
        assert EXPIRES in (aws.world.tags(aws.there, "/p/a") or {})
        return aws

    def test_detach_removes_the_mark(self) -> None:
        aws = self.marked()
        aws.world.traffic.forget()
        assert results(done(aws)) == dict.fromkeys(NAMES, "applied")
        assert EXPIRES not in (aws.world.tags(aws.there, "/p/a") or {})
        assert calls(aws, "RemoveTagsFromResource") == [("/p/a",)]
        assert results(done(aws, undo=True)) == dict.fromkeys(NAMES, "applied")
        assert counted(aws.plan()) == {"retag": 1, "in_sync": 2}

    def test_undo_removes_a_mark_that_was_written_since(self) -> None:
        aws = self.marked()
        mark = (aws.world.tags(aws.there, "/p/a") or {})[EXPIRES]
        done(aws)
        aws.world.tag(aws.there, "/p/a", {EXPIRES: mark})
        done(aws, undo=True)
        assert owners(aws)["/p/a"] == OWNED_BY
        assert counted(aws.plan()) == {"retag": 1, "in_sync": 2}

    @pytest.mark.parametrize("operation", ["RemoveTagsFromResource", "AddTagsToResource"])
    def test_a_failure_leaves_no_owner_tag_beside_a_mark(self, operation: str) -> None:
        for undo in (False, True):
            aws = self.marked()
            if undo:
                done(aws)
                aws.world.tag(aws.there, "/p/a", {EXPIRES: "x"})
            before = owners(aws)["/p/a"]
            aws.world.faults = at_call(operation, refused(Trouble.DENIED), name="/p/a")
            assert results(done(aws, undo=undo))["/p/a"] == "failed"
            assert owners(aws)["/p/a"] == before
            aws.world.faults = None
            assert results(done(aws, undo=undo))["/p/a"] == "applied"
            assert EXPIRES not in (aws.world.tags(aws.there, "/p/a") or {})
