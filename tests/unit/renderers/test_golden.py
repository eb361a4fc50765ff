"""Complete outputs, as files that a reviewer can read.

`UPDATE_GOLDEN=1 pytest tests/unit/renderers/test_golden.py` writes the files again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ssm_reconcile.documents.decode import read_plan_document, read_report_document
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.comment_context import CommentContext
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.renderers.markdown import plan_comment
from ssm_reconcile.renderers.report_markdown import report_comment
from ssm_reconcile.renderers.report_text import report_text
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Result
from tests.unit.renderers import plans
from tests.unit.renderers.shapes import guarded_plan

GOLDEN = Path(__file__).parent / "golden"
CONTEXT = CommentContext(
    "3f9c2ab", "19822345678", "https://github.com/acme/params/actions/runs/19822345678", "SSM plan #214"
)
RESULTS = (Result.APPLIED, Result.APPLIED, Result.FAILED, Result.STALE)
MOSTLY_APPLIED = (*(Result.APPLIED,) * 60, Result.FAILED, Result.STALE, Result.WITHHELD, Result.NOT_ATTEMPTED)


def saved(plan: Plan) -> str:
    return dumps(plans.document_of(plan))


def reported(plan: Plan) -> str:
    return dumps(plans.report_document_of(plans.reported(plan, RESULTS)))


def text(plan: Plan) -> str:
    return plan_text(PlanView(read_plan_document(saved(plan))), width=110)


def summary(plan: Plan) -> str:
    return plan_text(PlanView(read_plan_document(saved(plan))), width=110, extent="summary")


def narrow(plan: Plan) -> str:
    return plan_text(PlanView(read_plan_document(saved(plan))), width=40)


def comment(plan: Plan) -> str:
    return plan_comment(PlanView(read_plan_document(saved(plan))), context=CONTEXT)


def merged(plan: Plan) -> str:
    return plan_comment(PlanView(read_plan_document(saved(plan))), context=CONTEXT, level=1)


def outcome(plan: Plan) -> str:
    return report_text(ReportView(read_report_document(reported(plan))), width=110)


def outcome_of_many(plan: Plan) -> str:
    return report_text(report_of_many(plan), width=110)


def page_of_many(plan: Plan) -> str:
    return report_comment(report_of_many(plan), context=CONTEXT)


def report_of_many(plan: Plan) -> ReportView:
    return ReportView(plans.report_document_of(plans.reported(plan, MOSTLY_APPLIED)))


def report_page(plan: Plan) -> str:
    return report_comment(ReportView(read_report_document(reported(plan))), context=CONTEXT)


@pytest.mark.parametrize(
    ("name", "plan", "render"),
    [
        ("0-changes.txt", plans.in_sync(), text),
        ("0-changes.md", plans.in_sync(), comment),
        ("0-changes.json", plans.in_sync(), saved),
        ("12-changes.txt", plans.twelve(), text),
        ("12-changes.narrow.txt", plans.twelve(), narrow),
        ("12-changes.md", plans.twelve(), comment),
        ("12-changes.json", plans.twelve(), saved),
        ("12-changes.applied.txt", plans.twelve(), outcome),
        ("12-changes.applied.md", plans.twelve(), report_page),
        ("12-changes.applied.json", plans.twelve(), reported),
        ("40-changes.md", plans.many(8), comment),
        ("400-changes.applied.txt", plans.many(80), outcome_of_many),
        ("400-changes.applied.md", plans.many(80), page_of_many),
        ("40-changes.txt", plans.many(8), text),
        ("400-changes.txt", plans.many(80), text),
        ("400-changes.withheld.txt", guarded_plan(), text),
        ("400-changes.withheld.md", guarded_plan(), comment),
        ("4000-changes.txt", plans.many(800), text),
        ("4000-changes.summary.txt", plans.many(800), summary),
        ("400-changes.md", plans.many(80), comment),
        ("4000-changes.md", plans.many(800), comment),
        ("400-changes.merged.md", plans.many(80), merged),
    ],
)
def test_an_output_equals_its_golden_file(name: str, plan: Plan, render: Callable[[Plan], str]) -> None:
    assert_golden(name, render(plan))


def assert_golden(name: str, made: str) -> None:
    """The text equals the golden file with this name."""
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")
