"""Holds: the names that they match, their row, their expiry, and the findings on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from ssm_reconcile.errors import Finding, Severity, SpecError, Trouble, Where
from ssm_reconcile.load import load_text
from ssm_reconcile.metrics import target_statuses
from ssm_reconcile.plan_findings import find_drift, find_expired_holds
from ssm_reconcile.record import OWNER, RECORD, SOURCE
from ssm_reconcile.spec import (
    DeleteMode,
    Glob,
    Hold,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
)
from tests.builders import HERE, NOW, held, judge, replication, target
from tests.fake_aws.traffic import refused
from tests.simulated_aws import SimulatedAws

TODAY = NOW.date()
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters:
  include: ["/p/**"]
  hold: [%s]
delete: owned
"""
RENAME = Rewrite(Glob("/p/**"), RewriteIn.NAME, "/p/", "/q/")


def holding(*patterns: str, until: date | None = None, reason: str = "", **more: object) -> Replication:
    where = Where("spec.yaml", 7, 11)
    return replace(
        replication(**more), holds=tuple(Hold(Glob(one), until, reason, where) for one in patterns)
    )


class TestReason:
    def test_the_reason_names_the_pattern_the_last_day_and_the_text_of_the_spec(self) -> None:
        spec = holding("/p/*", until=date(2026, 12, 24), reason="the database moves")
        assert judge(held(), spec=spec).reasons == (
            "the hold on `/p/*` until 2026-12-24 (UTC) stops every change (the database moves)"
        )

    def test_an_expired_hold_holds_and_says_so(self) -> None:
        found = judge(held(), spec=holding("/p/*", until=date(2026, 11, 22)))
        assert found.row == "held"
        assert "which expired after 2026-11-22 (UTC)" in found.reasons

    def test_of_several_holds_the_one_that_ends_last_is_named(self) -> None:
        first, second = Hold(Glob("/p/*"), date(2026, 11, 1)), Hold(Glob("/p/a"))
        for holds in ((first, second), (second, first)):
            assert "`/p/a`" in judge(held(), spec=replace(replication(), holds=holds)).reasons


class TestExpiry:
    @pytest.mark.parametrize(
        ("until", "expired"), [(None, False), (date(2026, 11, 23), False), (date(2026, 11, 22), True)]
    )
    def test_the_last_day_is_inclusive(self, until: date | None, expired: bool) -> None:
        found = list(find_expired_holds(holding("/p/*", until=until), TODAY))
        assert [one.code for one in found] == ["hold-expired"] * expired
        assert [(one.severity, one.where) for one in found] == [(Severity.ERROR, "spec.yaml:7:11")] * expired

    def test_an_expired_hold_holds_its_names_and_the_apply_of_the_others_ends_3(self) -> None:
        aws = SimulatedAws(holding("/p/a", until=date(2026, 11, 1)))
        aws.put("/p/a")
        aws.put("/p/b")
        report = aws.apply()
        assert aws.names("us-east-2") == ["/p/b"]
        assert (report.exit_code, report.summary["applied"]) == (3, 1)
        assert [one.code for one in report.plan.all_findings] == ["hold-expired"]

    def test_a_hold_that_has_not_expired_ends_0_without_drift(self) -> None:
        aws = SimulatedAws(holding("/p/a"))
        aws.put("/p/a")
        report = aws.apply()
        assert (report.exit_code, report.plan.summary["held"]) == (0, 1)
        assert find_drift(report.plan, [aws.spec]) == ()
        assert target_statuses(report.plan)[0].counts["held"] == 1
        assert target_statuses(report.plan)[0].status == "in_sync"

    def test_a_spec_is_loaded_whatever_the_day(self) -> None:
        loaded = load_text(SPEC % '{match: /p/a, until: "2001-01-01"}', "spec.yaml")
        (spec,) = loaded.replications
        assert (spec.holds[0].until, loaded.errors) == (date(2001, 1, 1), ())

    def test_an_incomplete_source_does_not_hide_an_expired_hold(self) -> None:
        aws = SimulatedAws(holding("/p/a", until=date(2026, 11, 1)))
        aws.put("/p/a")
        plan = aws.plan(run=Run(only=("/p/a",)))
        assert plan.has_expired_hold

    def test_a_listing_of_the_source_that_fails_does_not_hide_an_expired_hold(self) -> None:
        aws = SimulatedAws(holding("/p/a", until=date(2026, 11, 1)))
        for number in range(60):
            aws.put(f"/p/{number}")
        aws.world.faults = lambda operation, place, _names, count: (
            refused(Trouble.DENIED)
            if operation == "DescribeParameters" and place == aws.here and count > 1
            else None
        )
        plan = aws.plan()
        assert not plan.complete
        assert plan.has_expired_hold
        assert "hold-expired" in {one.code for one in plan.all_findings}


class TestWithoutEffect:
    def found(self, aws: SimulatedAws, run: Run | None = None) -> list[Finding]:
        plan = aws.plan(run=run)
        return [one for one in plan.all_findings if one.code == "pattern-without-effect"]

    def test_a_hold_that_matches_nothing_is_a_warning(self) -> None:
        aws = SimulatedAws(holding("/p/b", "/p/a"))
        aws.put("/p/a")
        (one,) = self.found(aws)
        assert one.severity is Severity.WARNING
        assert "`/p/b` under `parameters.hold` stops no change, so nothing is held by it" in one.message

    @pytest.mark.parametrize("run", [Run(only=("/p/a",)), Run(targets=("us-east-2",))])
    def test_a_narrowed_run_does_not_know(self, run: Run) -> None:
        aws = SimulatedAws(holding("/p/b"))
        aws.put("/p/a")
        assert self.found(aws, run) == []

    def test_the_recorded_source_of_a_replica_counts(self) -> None:
        aws = SimulatedAws(replication(delete=DeleteMode.NEVER))
        aws.put("/p/gone")
        aws.put("/p/a")
        aws.apply()
        aws.delete("/p/gone")
        aws.pass_time()
        aws.spec = replace(aws.spec, holds=(Hold(Glob("/p/gone")),))
        assert self.found(aws) == []

    @pytest.mark.parametrize(("pattern", "reported"), [("/p/was", False), ("/p/never", True)])
    def test_the_recorded_source_counts_also_where_another_one_is_placed(
        self, pattern: str, reported: bool
    ) -> None:
        aws = SimulatedAws(replication())
        aws.put("/p/was")
        aws.apply()
        aws.delete("/p/was")
        aws.put("/p/new", "another")
        aws.pass_time()
        takes_over = Rewrite(Glob("/p/new"), RewriteIn.NAME, "new", "was")
        aws.spec = replace(aws.spec, rewrites=(takes_over,), holds=(Hold(Glob(pattern)),))
        assert bool(self.found(aws)) is reported
        assert aws.apply().plan.summary["held"] == (not reported)

    def test_any_hold_matches_a_replica_that_does_not_name_its_source(self) -> None:
        aws = SimulatedAws(replication(rewrites=(RENAME,)))
        aws.put("/p/gone")
        aws.put("/p/a")
        aws.apply()
        aws.delete("/p/gone")
        aws.pass_time()
        aws.spec = replace(aws.spec, holds=(Hold(Glob("/elsewhere")),))
        assert len(self.found(aws)) == 1
        aws.world.untag(aws.there, "/q/gone", SOURCE)
        aws.pass_time()
        assert self.found(aws) == []

    @pytest.mark.parametrize(
        ("rewrites", "is_placed", "is_known"),
        [((RENAME,), True, True), ((), False, True), ((RENAME,), False, False)],
        ids=["still placed", "the same name", "renamed and gone"],
    )
    def test_without_the_tag_the_source_is_known_by_its_place_or_by_the_name_of_the_replica(
        self, rewrites: tuple[Rewrite, ...], is_placed: bool, is_known: bool
    ) -> None:
        aws = SimulatedAws(replication(rewrites=rewrites, delete=DeleteMode.NEVER))
        aws.put("/p/gone")
        aws.put("/p/a")
        aws.apply()
        if not is_placed:
            aws.delete("/p/gone")
        aws.world.untag(aws.there, "/q/gone" if rewrites else "/p/gone", SOURCE)
        aws.pass_time()
        aws.spec = replace(aws.spec, holds=(Hold(Glob("/elsewhere")),))
        assert aws.plan().summary["held"] == (not is_known)

    def test_a_warning_withholds_nothing(self) -> None:
        aws = SimulatedAws(replication())
        aws.replicate("/p/a")
        aws.put("/p/b")
        aws.delete("/p/a")
        aws.pass_time()
        aws.spec = replace(aws.spec, holds=(Hold(Glob("/p/typo")),))
        assert len(self.found(aws)) == 1
        report = aws.apply()
        assert (report.exit_code, report.plan.summary["delete"]) == (0, 1)
        assert aws.names("us-east-2") == ["/p/b"]

    def test_a_target_that_is_not_listed_may_have_a_replica_that_the_hold_matches(self) -> None:
        near = replication().targets[0]
        aws = SimulatedAws(holding("/p/b", targets=(near, target("eu", region="eu-west-1"))))
        aws.put("/p/a")
        assert len(self.found(aws)) == 1
        aws.world.faults = lambda operation, place, _names, _count: (
            refused(Trouble.DENIED)
            if operation == "DescribeParameters" and place.region == "eu-west-1"
            else None
        )
        assert self.found(aws) == []


ERRORS = {
    "a day that the calendar does not have": (
        '{match: /p/a, until: "2026-02-30"}',
        "bad-date",
        "is not a date",
    ),
    "a date without quotes": ("{match: /p/a, until: 2026-12-24}", "", '"2026-12-24"'),
    "the same pattern twice": ("{match: /p/a}, {match: /p/a}", "hold-repeated", "already held in line 7"),
    "one name with and without a slash": ("{match: foo}, {match: /foo}", "hold-repeated", "already held"),
    "an unknown key": ("{match: /p/a, untill: x}", "unknown-property", "did you mean `until`"),
    "an empty pattern": ('{match: ""}', "", "match"),
    "no pattern": ("{until: '2026-12-24'}", "", "match"),
    "a pattern that no name can match": ("{match: /p//a}", "bad-pattern", "empty level"),
    "a reason that is a number": ("{match: /p/a, reason: 7}", "", "reason"),
    "a text in place of a hold": ("/p/a", "", "hold"),
}


@pytest.mark.parametrize(("text", "code", "part"), ERRORS.values(), ids=list(ERRORS))
def test_bad_input_has_its_line_and_a_correction(text: str, code: str, part: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(SPEC % text, "spec.yaml")
    found = caught.value.findings
    assert all(one.where.startswith("spec.yaml:7:") for one in found), found
    assert any(part in one.message and code in ("", one.code) for one in found), found


def test_a_hold_is_loaded_with_its_position() -> None:
    (spec,) = load_text(SPEC % '{match: /p/a, until: "2026-12-24", reason: why}', "spec.yaml").replications
    (hold,) = spec.holds
    assert (hold.match.text, hold.until, hold.reason) == ("/p/a", date(2026, 12, 24), "why")
    assert str(hold.where) == "spec.yaml:7:10"


def test_holds_do_not_change_the_record() -> None:
    """A hold is not part of a record, so adding or removing one rewrites nothing."""
    aws = SimulatedAws()
    aws.replicate()
    tags = aws.world.tags(aws.there, "/p/a")
    aws.apply(holding("/p/a"))
    aws.apply(holding("/p/other"))
    assert aws.world.tags(aws.there, "/p/a") == tags
    assert tags is not None
    assert RECORD in tags
    assert HERE.region in tags[OWNER]
