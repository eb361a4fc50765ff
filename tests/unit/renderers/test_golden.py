"""Complete outputs, as files that a reviewer can read.

`UPDATE_GOLDEN=1 pytest tests/unit/renderers/test_golden.py` writes the files again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
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


PLANS: dict[str, Callable[[], Plan]] = {
    "0": plans.in_sync,
    "12": plans.twelve,
    "40": lambda: plans.many(8),
    "400": lambda: plans.many(80),
    "400 withheld": guarded_plan,
    "4000": lambda: plans.many(800),
}
"""The plans of the golden files, by their numbers of changes."""


@cache
def saved(plan: str) -> str:
    return dumps(plans.document_of(PLANS[plan]()))


@cache
def view_of(plan: str) -> PlanView:
    return PlanView(read_plan_document(saved(plan)))


def reported(plan: str) -> str:
    return dumps(plans.report_document_of(plans.reported(PLANS[plan](), RESULTS)))


def text(plan: str) -> str:
    return plan_text(view_of(plan), width=110)


def summary(plan: str) -> str:
    return plan_text(view_of(plan), width=110, extent="summary")


def narrow(plan: str) -> str:
    return plan_text(view_of(plan), width=40)


def comment(plan: str) -> str:
    return plan_comment(view_of(plan), context=CONTEXT)


def merged(plan: str) -> str:
    return plan_comment(view_of(plan), context=CONTEXT, level=1)


def outcome(plan: str) -> str:
    return report_text(ReportView(read_report_document(reported(plan))), width=110)


def outcome_of_many(plan: str) -> str:
    return report_text(report_of_many(plan), width=110)


def page_of_many(plan: str) -> str:
    return report_comment(report_of_many(plan), context=CONTEXT)


def report_of_many(plan: str) -> ReportView:
    return ReportView(plans.report_document_of(plans.reported(PLANS[plan](), MOSTLY_APPLIED)))


def report_page(plan: str) -> str:
    return report_comment(ReportView(read_report_document(reported(plan))), context=CONTEXT)


@pytest.mark.large
@pytest.mark.parametrize(
    ("name", "plan", "render"),
    [
        ("0-changes.txt", "0", text),
        ("0-changes.md", "0", comment),
        ("0-changes.json", "0", saved),
        ("12-changes.txt", "12", text),
        ("12-changes.narrow.txt", "12", narrow),
        ("12-changes.md", "12", comment),
        ("12-changes.json", "12", saved),
        ("12-changes.applied.txt", "12", outcome),
        ("12-changes.applied.md", "12", report_page),
        ("12-changes.applied.json", "12", reported),
        ("40-changes.md", "40", comment),
        ("400-changes.applied.txt", "400", outcome_of_many),
        ("400-changes.applied.md", "400", page_of_many),
        ("40-changes.txt", "40", text),
        ("400-changes.txt", "400", text),
        ("400-changes.withheld.txt", "400 withheld", text),
        ("400-changes.withheld.md", "400 withheld", comment),
        ("4000-changes.txt", "4000", text),
        ("4000-changes.summary.txt", "4000", summary),
        ("400-changes.md", "400", comment),
        ("4000-changes.md", "4000", comment),
        ("400-changes.merged.md", "400", merged),
    ],
)
def test_an_output_equals_its_golden_file(name: str, plan: str, render: Callable[[str], str]) -> None:
    assert_golden(name, render(plan))


def assert_golden(name: str, made: str) -> None:
    """The text equals the golden file with this name."""
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")
