"""The result of one slice of a whole run: what its groups add to it."""

from __future__ import annotations

from ssm_reconcile.change import Create
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.event.full_run import SliceResult
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from tests.builders import change, desired

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
