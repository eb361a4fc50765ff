"""A report on a terminal."""

from __future__ import annotations

from typing import Any

from ssm_reconcile.renderers.report_text import report_text
from ssm_reconcile.renderers.view import ReportView
from ssm_reconcile.report import Result
from tests.unit.renderers import plans


def report_of(*results: Result, plan: Any = None, **more: Any) -> str:
    report = plans.reported(plan or plans.twelve(), results, **more)
    return report_text(ReportView(plans.report_document_of(report)), width=200)


def test_a_report_names_every_change_that_was_not_applied_with_its_error() -> None:
    text = report_of(Result.APPLIED, Result.FAILED)
    line = "x /shop/prod/legacy/token         delete failed\n"
    assert f"{line}      PutParameter in eu-west-1 failed: TooManyUpdates" in text
    assert text.count(" failed\n") == 6
    assert "Applied 6 of 12 changes: 6 failed" in text


def test_many_applied_changes_are_folded_and_the_failed_ones_are_not() -> None:
    text = report_of(*[Result.APPLIED] * 9, Result.FAILED, plan=plans.many(80))
    assert text.count(" failed\n") == 40
    assert "· /auth/prod/cache/* × " in text


def test_an_interrupted_run_has_a_notice() -> None:
    assert "Interrupted: the next run applies the rest" in report_of(Result.NOT_ATTEMPTED, interrupted=True)
