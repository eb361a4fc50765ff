"""The line with the result of an apply, and the comment on a merge that another run applies."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.comment_context import CommentContext, marker_line
from ssm_reconcile.renderers.report_markdown import (
    Takeover,
    overtaken_comment,
    overtaken_summary,
    report_comment,
)
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Result
from tests.unit.renderers import plans

HERE = "eu-west-1"
CONTEXT = CommentContext("3f9c2ab" + "0" * 33, "1", "https://ci.example/1", "SSM apply")


def test_a_merge_that_another_run_applies_names_that_run() -> None:
    made = "<sub>Made in [SSM apply](https://ci.example/1) for `3f9c2ab`.</sub>\n"
    first = "## SSM apply for `prod`: not applied by this run\n\n**This merge was not applied by this run**:"
    way = "applies it, asks for an approval, or lists its changes as not reviewed:"
    known = Takeover("a later merge has it", "1234567" + "0" * 33, "https://ci.example/2")
    text = (
        f"{first} a later merge has it. Nothing was written. The run of `1234567` {way}"
        f" [its run](https://ci.example/2).\n\n{made}"
    )
    marker = marker_line(["prod"], "", CONTEXT, state="overtaken")
    assert overtaken_comment("prod", known, context=CONTEXT) == f"{marker}\n{text}"
    unknown = Takeover("a later merge has it", url="https://ci.example/all")
    assert overtaken_summary(["prod"], unknown, context=CONTEXT) == (
        f"{first} a later merge has it. Nothing was written. The run of the last commit that changed the spec"
        f" {way} [the list of runs](https://ci.example/all).\n\n{made}"
    )
    odd = overtaken_summary(["prod"], Takeover("x", url="javascript:"), context=CONTEXT)
    assert f"{way} the list of runs.\n" in odd


def test_a_merge_that_no_run_applies_has_no_link() -> None:
    nothing = CommentContext()
    assert overtaken_summary([""], Takeover("the spec is gone"), context=nothing) == (
        "## SSM apply: not applied by this run\n\n"
        "**This merge was not applied by this run**: the spec is gone. Nothing was written.\n"
    )


CONFLICT = [plans.other(HERE, "/c", Row.CONFLICT, "conflict", "it differs")]
TWO = [plans.create(HERE, "/a"), plans.create(HERE, "/b")]
HELD = [plans.create(HERE, "/a"), plans.withheld(plans.create(HERE, "/b"), "frozen", "it is")]


@pytest.mark.parametrize(
    ("plan", "results", "more", "line"),
    [
        (plans.plan_of([]), [], {}, "**Nothing to apply.**"),
        (plans.plan_of([], others=CONFLICT), [], {}, "**Nothing to apply**, 1 conflict."),
        (
            plans.plan_of([], incomplete=[HERE]),
            [],
            {},
            "**Nothing to apply in the places that were listed.**",
        ),
        (plans.plan_of(TWO), [Result.APPLIED], {}, "**Applied 2 of 2.**"),
        (plans.plan_of(TWO, others=CONFLICT), [Result.APPLIED], {}, "**Applied 2 of 2**, 1 conflict."),
        (plans.plan_of(HELD), [Result.APPLIED, Result.WITHHELD], {}, "**Applied 1 of 2**, 1 withheld."),
        (
            plans.plan_of(TWO, others=CONFLICT),
            [Result.APPLIED, Result.FAILED],
            {},
            "**Applied 1 of 2**, 1 failed and 1 conflict. The next apply retries the rest.",
        ),
        (
            plans.plan_of(TWO),
            [Result.APPLIED, Result.NOT_ATTEMPTED],
            {"interrupted": True},
            "**Applied 1 of 2**, 1 not attempted. Interrupted: the next apply makes the rest.",
        ),
    ],
)
def test_the_result_is_one_line(plan: Plan, results: list[Result], more: dict[str, Any], line: str) -> None:
    report = plans.reported(plan, results, **more)
    page = report_comment(ReportView(plans.report_document_of(report)))
    assert page.split("\n")[1:4] == ["## SSM apply for `prod`", "", line]


@pytest.mark.parametrize(
    ("approval", "alone", "with_plan"),
    [("", "", " as reviewed"), ("saved-plan", " as reviewed", " as reviewed"), ("yes", "", "")],
)
def test_reviewed_changes_are_called_so(approval: str, alone: str, with_plan: str) -> None:
    plan = plans.plan_of(TWO)
    document = plans.report_document_of(plans.reported(plan))
    document["approval"] = approval
    report = ReportView(document)
    assert f"\n**Applied 2 of 2{alone}.**\n" in report_comment(report)
    page = report_comment(report, PlanView(plans.document_of(plan)), intro="an intro", context=CONTEXT)
    assert f"\n**Applied 2 of 2{with_plan}.**\n\nan intro\n" in page
