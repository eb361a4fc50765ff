"""Marks of replicas whose source exists again, while their change is withheld, fails, or is not planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import pytest

from ssm_reconcile.apply import MARK_REMOVED
from ssm_reconcile.apply.tag import MARK_MAY_COUNT
from ssm_reconcile.change import MARK_CLEARING_GUARDS, MARK_IS_CLEARED, Unmark
from ssm_reconcile.errors import Finding, Trouble
from ssm_reconcile.event.windows import UPDATES
from ssm_reconcile.guards import GUARDS
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import EXPIRES, ExpiryMark, digest, mark_of, record_of
from ssm_reconcile.report import ParameterVersion, Result
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import Glob, Hold, Limits, Orphans, Replication, Run
from tests.builders import outcome, replication
from tests.fake_aws.traffic import Fault, lost, refused
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws

WEEK = timedelta(days=7)
GRACE = replication(grace=WEEK)
NOTHING_WRITTEN = {
    "incomplete-place",
    "frozen-target",
    "roles-reversed",
    "refused-plan",
    "empty-source",
    "unconfirmed",
    "undo-without-hold",
}
"""Guards with which nothing is written to a replica."""


def returned(spec: Replication = GRACE) -> SimulatedAws:
    """Return an AWS in which the mark of /p/a is due, and its source exists again with another value."""
    return _returned(spec).copy()


@cache
def _returned(spec: Replication) -> SimulatedAws:
    aws = SimulatedAws(spec)
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    aws.apply()
    aws.delete("/p/a")
    aws.pass_time()
    assert aws.apply().exit_code == 0
    aws.pass_time(days=8)
    aws.put("/p/a", "other")
    return aws


def mark_text(aws: SimulatedAws) -> str | None:
    return (aws.world.tags(aws.there, "/p/a") or {}).get(EXPIRES)


def counts(aws: SimulatedAws) -> bool:
    return mark_of(aws.world.tags(aws.there, "/p/a") or {}, aws.there.arn("/p/a")) is not None


def assert_waits_again(aws: SimulatedAws) -> None:
    """Delete the source again: the replica has to wait for the whole time."""
    aws.world.faults = None
    aws.delete("/p/a")
    aws.pass_time()
    aws.apply(replace(GRACE, id=aws.spec.id), run=Run())
    assert aws.version("/p/a") is not None
    mark = mark_of(aws.world.tags(aws.there, "/p/a") or {}, aws.there.arn("/p/a"))
    assert mark is not None
    assert mark.expires > aws.clock.now() + WEEK - timedelta(days=1)


def findings(plan: Plan) -> list[Finding]:
    return [one for part in plan.replications for one in part.findings if one.code == "mark-stays"]


def nothing(_: SimulatedAws) -> None:
    """Change nothing else."""


def change_outside(aws: SimulatedAws) -> None:
    aws.put("/p/a", "by hand", region="us-east-2")


def make_tier_advanced(aws: SimulatedAws) -> None:
    aws.put("/p/a", "other", region="us-east-2", tier="Advanced")


def make_secret(aws: SimulatedAws) -> None:
    aws.put("/p/a", "by hand", "SecureString", region="us-east-2")


def change_many(aws: SimulatedAws) -> None:
    spec = replace(GRACE, include=(Glob("/p/**"),))
    for number in range(9):
        aws.put(f"/p/m{number}", "v")
    aws.apply(replace(spec, holds=(Hold(Glob("/p/a")),)))
    for number in range(9):
        aws.put(f"/p/m{number}", "w")


def skip(aws: SimulatedAws) -> None:
    aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})


NO_ID = replace(GRACE, id=None)
DELETES_SKIPPED = replace(GRACE, skip_sync=SkipSync(replicas=OnSkip.DELETE))


@dataclass(frozen=True)
class Stage:
    """A change that one guard withholds."""

    prepare: Callable[[SimulatedAws], None] = nothing
    spec: Replication = GRACE
    run: Run = Run()


CLEARING: Mapping[str, Stage] = {
    "changed-outside": Stage(change_outside),
    "replace": Stage(make_tier_advanced, run=Run(overwrite_outside=True)),
    "exposure": Stage(make_secret, run=Run(overwrite_outside=True)),
    "max-change-percent": Stage(change_many),
    "max-deletes": Stage(skip, replace(DELETES_SKIPPED, limits=Limits(max_deletes=0))),
    "max-deletes-total": Stage(skip, replace(DELETES_SKIPPED, limits=Limits(max_deletes_total=0))),
    "no-id": Stage(spec=replace(NO_ID, exclude=(Glob("/p/a"),), orphans=Orphans.DELETE)),
}


def test_each_guard_either_leaves_the_replica_writable_or_does_not() -> None:
    assert {*CLEARING, UPDATES} == MARK_CLEARING_GUARDS
    assert MARK_CLEARING_GUARDS.isdisjoint(NOTHING_WRITTEN)
    assert {*GUARDS, UPDATES} == MARK_CLEARING_GUARDS | NOTHING_WRITTEN


def staged(guard: str) -> tuple[SimulatedAws, Stage]:
    return _staged(guard).copy(), CLEARING[guard]


@cache
def _staged(guard: str) -> SimulatedAws:
    stage = CLEARING[guard]
    aws = returned(NO_ID if guard == "no-id" else GRACE)
    stage.prepare(aws)
    aws.pass_time()
    aws.spec, aws.run = stage.spec, stage.run
    return aws


@pytest.mark.parametrize("guard", CLEARING)
def test_apply_removes_the_mark_of_a_withheld_change_and_nothing_else(guard: str) -> None:
    aws, _ = staged(guard)
    version, tags = aws.version("/p/a"), aws.world.tags(aws.there, "/p/a") or {}
    assert counts(aws)
    aws.world.traffic.forget()
    plan = aws.plan()
    planned = Counter(call.operation for call in aws.world.calls)
    (change,) = [one for one in plan.changes if one.name == "/p/a"]
    assert change.withheld_by == (guard,)
    assert MARK_IS_CLEARED in change.all_reasons
    assert findings(plan) == []
    report = aws.carry_out(plan)
    calls = Counter(call.operation for call in aws.world.calls) - planned
    one = outcome(report)
    assert (one.result, one.note, report.exit_code) == (Result.WITHHELD, MARK_REMOVED, 5)
    assert guard in one.error
    assert plan.budget is not None
    assert {name: calls[name] for name in plan.budget.calls} == dict(plan.budget.calls)
    assert plan.budget.writes == 1
    assert aws.version("/p/a") == version
    assert (aws.world.tags(aws.there, "/p/a") or {}) == {k: v for k, v in tags.items() if k != EXPIRES}
    again = aws.plan()
    (change,) = [one for one in again.changes if one.name == "/p/a"]
    assert (change.withheld_by, change.clears_mark) == ((guard,), False)
    assert again.plan_id != plan.plan_id
    assert_waits_again(aws)


@pytest.mark.parametrize("guard", CLEARING)
@pytest.mark.parametrize("operation", ["RemoveTagsFromResource", "AddTagsToResource"])
def test_one_write_of_tags_suffices_for_a_withheld_change(operation: str, guard: str) -> None:
    aws, _ = staged(guard)
    aws.world.faults = lambda called, *_: refused(Trouble.DENIED) if called == operation else None
    aws.apply()
    assert not counts(aws)
    assert_waits_again(aws)


def no_tags(called: str, *_: object) -> Fault | None:
    """Refuse both writes of tags."""
    return refused(Trouble.DENIED) if called in ("AddTagsToResource", "RemoveTagsFromResource") else None


@pytest.mark.parametrize("guard", ["", *CLEARING])
def test_a_mark_that_can_neither_be_removed_nor_overwritten_fails_and_the_next_run_tries_again(
    guard: str,
) -> None:
    aws = staged(guard)[0] if guard else returned()
    aws.world.faults = no_tags
    report = aws.apply()
    one = outcome(report)
    assert one.result is Result.FAILED
    assert "its mark may still count if its source is deleted again" in one.error
    assert f"remove the tag {EXPIRES}" in one.error
    assert "the next run removes it" in one.error
    assert (guard in one.error, report.exit_code) == (True, 5 if guard else 3)
    assert counts(aws)
    aws.world.faults = None
    aws.apply()
    assert mark_text(aws) is None
    assert_waits_again(aws)


def test_a_write_whose_responses_are_lost_may_have_removed_the_mark() -> None:
    aws = returned()
    aws.world.faults = lambda called, *_: (
        lost(done=True) if "Tags" in called and "List" not in called else None
    )
    assert "its mark may still count" in outcome(aws.apply()).error
    assert not counts(aws)


@pytest.mark.parametrize("guard", ["", *CLEARING])
def test_a_replica_that_changed_since_the_plan_loses_its_mark_all_the_same(guard: str) -> None:
    aws = staged(guard)[0] if guard else returned()
    plan = aws.plan()
    change_outside(aws)
    version = aws.version("/p/a")
    report = aws.carry_out(plan)
    one = outcome(report)
    result, code = (Result.WITHHELD, 5) if guard else (Result.STALE, 3)
    assert (one.result, one.note, report.exit_code) == (result, MARK_REMOVED, code)
    assert (mark_text(aws), aws.version("/p/a")) == (None, version)
    assert not [one for one in report.remaining if one.after_write]
    assert_waits_again(aws)


def test_the_removal_of_a_mark_alone_does_not_depend_on_the_version() -> None:
    aws = returned()
    skip(aws)
    plan = aws.plan()
    change_outside(aws)
    one = outcome(aws.carry_out(plan))
    assert isinstance(one.change.effect, Unmark)
    assert (one.result, mark_text(aws)) == (Result.APPLIED, None)
    assert one.written is not None
    assert one.written.after == ParameterVersion(1, None)


@pytest.mark.parametrize("guard", ["", *CLEARING])
def test_a_mark_that_another_run_wrote_since_the_plan_is_left(guard: str) -> None:
    aws = staged(guard)[0] if guard else returned()
    plan = aws.plan()
    change_outside(aws)
    record = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert record is not None
    newer = ExpiryMark(aws.clock.now() + WEEK, digest(aws.there.arn("/p/a")), record.source_version).text()
    aws.world.tag(aws.there, "/p/a", {EXPIRES: newer})
    one = outcome(aws.carry_out(plan))
    assert mark_text(aws) == newer
    assert one.result is (Result.WITHHELD if guard else Result.STALE)
    assert one.note == "its mark was not removed: its mark has changed since the plan" * bool(guard)
    assert one.mark_removal is (Result.STALE if guard else None)


@pytest.mark.parametrize("guard", CLEARING)
def test_a_listing_that_lags_hides_no_newer_mark_from_a_withheld_change(guard: str) -> None:
    aws, _ = staged(guard)
    aws.world.lag = Lag(resources=timedelta(hours=2))
    mark = mark_of(aws.world.tags(aws.there, "/p/a") or {}, aws.there.arn("/p/a"))
    assert mark is not None
    newer = replace(mark, expires=aws.clock.now() + WEEK).text()
    aws.world.tag(aws.there, "/p/a", {EXPIRES: newer})
    assert outcome(aws.apply()).note == MARK_REMOVED
    assert mark_text(aws) is None


def deny_tags_of_replica(aws: SimulatedAws) -> None:
    aws.world.faults = lambda called, place, *_: (
        refused(Trouble.DENIED) if (called, place) == ("ListTagsForResource", aws.there) else None
    )


@pytest.mark.parametrize("guard", CLEARING)
def test_a_withheld_change_whose_tags_cannot_be_read_reports_that_its_mark_may_count(guard: str) -> None:
    aws, _ = staged(guard)
    plan = aws.plan()
    deny_tags_of_replica(aws)
    one = outcome(aws.carry_out(plan))
    assert one.result is Result.FAILED
    assert one.error.count(MARK_MAY_COUNT) == 1


@pytest.mark.parametrize("value", ["v", "other"])
def test_a_mark_does_not_count_any_more_if_the_version_of_its_replica_cannot_be_read(value: str) -> None:
    aws = returned()
    aws.put("/p/a", value)
    plan = aws.plan()
    aws.world.faults = lambda called, place, *_: (
        refused(Trouble.DENIED) if (called, place) == ("GetParameters", aws.there) else None
    )
    one = outcome(aws.carry_out(plan))
    assert one.result is Result.FAILED
    assert "its mark does not count any more" in one.error
    assert_waits_again(aws)


def test_a_removal_whose_check_failed_is_not_tried_twice_in_one_run() -> None:
    aws = returned()
    skip(aws)
    plan = aws.plan()
    deny_tags_of_replica(aws)
    aws.world.traffic.forget()
    one = outcome(aws.carry_out(plan))
    assert isinstance(one.change.effect, Unmark)
    assert (one.result, one.error.count(MARK_MAY_COUNT), one.note) == (Result.FAILED, 1, "")
    calls = [one for one in aws.world.calls if one.operation == "ListTagsForResource"]
    assert [(one.place, one.names) for one in calls] == [(aws.there, ("/p/a",))]


def test_a_stopped_run_reports_that_the_mark_stays() -> None:
    aws, _ = staged("changed-outside")
    plan = aws.plan()
    aws.stop.set()
    one = outcome(aws.carry_out(plan))
    assert one.result is Result.WITHHELD
    assert one.note == "its mark was not removed: the run was stopped"
    assert one.mark_removal is Result.NOT_ATTEMPTED
    assert counts(aws)


def test_a_mark_that_does_not_count_stays_beside_a_withheld_change() -> None:
    aws, _ = staged("changed-outside")
    aws.world.tag(aws.there, "/p/a", {EXPIRES: "cleared"})
    plan = aws.plan()
    assert plan.budget is not None
    assert plan.budget.writes == 0
    assert not [one for one in plan.changes if one.clears_mark]
    assert findings(plan) == []
    aws.carry_out(plan)
    assert mark_text(aws) == "cleared"


# Changes that are not withheld, and not applied


def deny_source_values(aws: SimulatedAws) -> None:
    aws.world.faults = lambda called, place, names, _: (
        refused(Trouble.DENIED)
        if (called, place) == ("GetParameters", aws.here) and any(":" in name for name in names)
        else None
    )


def deny_source_tags(aws: SimulatedAws) -> None:
    aws.world.faults = lambda called, place, *_: (
        refused(Trouble.DENIED) if (called, place) == ("ListTagsForResource", aws.here) else None
    )


def deny_deletes(aws: SimulatedAws) -> None:
    make_tier_advanced(aws)
    aws.run = Run(allow_replace=True, overwrite_outside=True)
    aws.world.faults = lambda called, *_: refused(Trouble.DENIED) if called == "DeleteParameters" else None


def deny_deletes_of_skipped(aws: SimulatedAws) -> None:
    skip(aws)
    aws.spec = DELETES_SKIPPED
    aws.world.faults = lambda called, *_: refused(Trouble.DENIED) if called == "DeleteParameters" else None


def skip_during_the_run(aws: SimulatedAws) -> None:
    aws.world.traffic.before("ListTagsForResource", lambda: skip(aws))


@pytest.mark.parametrize(
    ("prepare", "result"),
    [
        (deny_source_values, Result.FAILED),
        (deny_source_tags, Result.FAILED),
        (deny_deletes, Result.FAILED),
        (deny_deletes_of_skipped, Result.FAILED),
        (skip_during_the_run, Result.STALE),
    ],
)
def test_a_change_that_is_not_applied_loses_its_mark_all_the_same(
    prepare: Callable[[SimulatedAws], None], result: Result
) -> None:
    aws = returned()
    prepare(aws)
    version = aws.version("/p/a")
    one = outcome(aws.apply())
    assert (one.result, one.note) == (result, MARK_REMOVED)
    assert (mark_text(aws), aws.version("/p/a")) == (None, version)
    assert_waits_again(aws)


def test_a_change_that_fails_reports_that_its_mark_could_not_be_removed_either() -> None:
    aws = returned()
    deny_source_values(aws)
    without_values = aws.world.faults
    assert without_values is not None
    aws.world.faults = lambda *call: without_values(*call) or no_tags(*call)
    one = outcome(aws.apply())
    assert one.result is Result.FAILED
    assert "its source value could not be read" in one.error
    assert "its mark may still count" in one.note
    assert counts(aws)


def test_a_change_of_a_replica_that_is_gone_reports_nothing_about_its_mark() -> None:
    aws = returned()
    plan = aws.plan()
    aws.delete("/p/a", region="us-east-2")
    one = outcome(aws.carry_out(plan))
    assert (one.result, one.error, one.note) == (Result.STALE, "it is gone", "")


def test_a_removal_that_failed_is_not_tried_twice_in_one_run() -> None:
    aws = returned()
    aws.world.faults = no_tags
    aws.world.traffic.forget()
    aws.apply()
    calls = Counter(call.operation for call in aws.world.calls)
    assert (calls["RemoveTagsFromResource"], calls["AddTagsToResource"]) == (1, 1)


# Replicas that nothing may be written to


def opt_out(aws: SimulatedAws) -> None:
    aws.world.tag(aws.there, "/p/a", {"skip_sync": ""})


def doubt(aws: SimulatedAws) -> None:
    aws.world.tag(aws.there, "/p/a", {"Skip-Sync": ""})


def doubt_skipped(aws: SimulatedAws) -> None:
    doubt(aws)
    skip(aws)


def detach_source(aws: SimulatedAws) -> None:
    aws.put("/p/new", "v", tags={"ssm-reconcile:owner": f"detached:dr@{aws.there}"})


def equal_and_unread(aws: SimulatedAws) -> None:
    aws.put("/p/a", "v")
    deny_tags_of_replica(aws)


NOT_PLACED = replace(GRACE, exclude=(Glob("/p/a"),))
LEFT_OUT = frozenset({("prod", "us-east-2", "/p/a")})
UNWRITABLE: Mapping[str, tuple[Stage, str, int]] = {
    "held": (Stage(spec=replace(GRACE, holds=(Hold(Glob("/p/a")),))), "a hold stops every change", 0),
    "opted out": (Stage(opt_out), "it has the opt-out tag itself", 0),
    "doubtful": (Stage(doubt), "it has a tag that may be a mistyped opt-out tag", 3),
    "doubtful and skipped": (Stage(doubt_skipped), "it has a tag that may be a mistyped opt-out tag", 0),
    "doubtful orphan": (Stage(doubt, NOT_PLACED), "it has a tag that may be a mistyped opt-out tag", 3),
    "frozen": (
        Stage(spec=replace(GRACE, targets=(replace(GRACE.targets[0], frozen=True),))),
        "the target is frozen",
        5,
    ),
    "reversed": (Stage(detach_source), "the source was detached from this target", 5),
    "refused": (Stage(run=Run(leave_out=LEFT_OUT)), "a plan for this address was refused", 5),
    "empty source": (
        Stage(spec=replace(GRACE, include=(Glob("/other/**"),))),
        "the source holds nothing that the spec selects",
        5,
    ),
    "unconfirmed": (Stage(equal_and_unread), "AccessDenied", 5),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_a_mark_that_no_run_may_remove_is_named_with_its_remedy(case: str) -> None:
    stage, why, code = UNWRITABLE[case]
    aws = returned()
    stage.prepare(aws)
    aws.pass_time()
    aws.spec, aws.run = stage.spec, stage.run
    report = aws.apply()
    (finding,) = findings(report.plan)
    assert finding.message.startswith("/p/a: the source exists again, but the mark of the replica stays:")
    assert why in finding.message
    assert f"Remove the tag {EXPIRES} from the replica" in finding.message
    assert [(one.target, one.name) for one in finding.about] == [("us-east-2", ""), ("us-east-2", "/p/a")]
    assert report.exit_code == code
    assert counts(aws)
    aws.world.untag(aws.there, "/p/a", EXPIRES)
    aws.pass_time()
    assert findings(aws.plan()) == []


@pytest.mark.parametrize("guard", CLEARING)
def test_a_mark_whose_tags_cannot_be_read_is_named_whichever_guard_withholds_the_change(guard: str) -> None:
    aws, _ = staged(guard)
    deny_tags_of_replica(aws)
    plan = aws.plan()
    (change,) = [one for one in plan.changes if one.name == "/p/a"]
    assert "unconfirmed" in change.withheld_by
    (finding,) = findings(plan)
    assert "AccessDenied" in finding.message
    assert outcome(aws.carry_out(plan)).result is Result.WITHHELD


@pytest.mark.parametrize("case", UNWRITABLE)
def test_no_mark_is_named_while_the_source_is_gone_or_the_mark_does_not_count(case: str) -> None:
    stage, _, _ = UNWRITABLE[case]
    for text in ("cleared", "2020-01-01T00:00:00Z", None):
        aws = returned()
        stage.prepare(aws)
        if text is None:
            aws.delete("/p/a")
        else:
            aws.world.tag(aws.there, "/p/a", {EXPIRES: text})
        aws.pass_time()
        assert findings(aws.plan(stage.spec, run=stage.run)) == []


def test_replicas_with_the_same_reason_share_a_finding() -> None:
    aws = SimulatedAws(GRACE)
    for name in ("/p/a", "/p/b", "/p/c", "/p/d"):
        aws.put(name, "v")
    aws.apply()
    aws.delete("/p/a", "/p/b")
    aws.pass_time()
    assert aws.apply().exit_code == 0
    for name in ("/p/a", "/p/b"):
        aws.put(name, "v")
    spec = replace(GRACE, holds=(Hold(Glob("/p/*")),))
    (finding,) = findings(aws.plan(spec))
    assert finding.message.startswith("/p/a, /p/b: ")
    assert [one.name for one in finding.about] == ["", "/p/a", "/p/b"]
