"""Silence: the account and the session of the last writer are in no pull request, issue, page or terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Change, Difference, Row, TagDiff
from ssm_reconcile.cli.show import render_plan, render_report
from ssm_reconcile.documents import PlanDocument, ReportDocument
from ssm_reconcile.plan import ExistingParameter, Other, Plan
from ssm_reconcile.renderers.comment_context import NO_CONTEXT
from ssm_reconcile.renderers.drift_issue import plan_issue, report_issue
from ssm_reconcile.renderers.markdown import plan_comment
from ssm_reconcile.renderers.report_markdown import report_comment
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Result
from ssm_reconcile.wording import outside_change_reason
from tests.unit.renderers import plans

ACCOUNT, SESSION = "999988887777", "alice@example.com"
WRITERS = (
    f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/{SESSION}",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/cdk-{ACCOUNT}-us-east-1/{SESSION}",
    f"arn:aws:sts::{ACCOUNT}:federated-user/{SESSION}",
    f"arn:aws:iam::{ACCOUNT}:root",
    f"arn:aws:iam::{ACCOUNT}:user/division/bob",
    f"arn:aws:iam::{ACCOUNT}:role/path/deploy",
    f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{SESSION}",
    f"arn:aws:sts::{ACCOUNT}:{SESSION}",
)
RESULTS = (Result.APPLIED, Result.FAILED, Result.STALE, Result.WITHHELD, Result.NOT_ATTEMPTED)


def changed_outside(writer: str, reason: str) -> Iterable[Change]:
    """Yield changes of replicas that a writer has changed, with a reason that names the writer."""
    more: Any = {"writer": writer, "changed_outside": True, "reasons": (reason,)}
    value = Difference("value", "a", "b")
    yield plans.delete("eu-west-1", "/deleted", **more)
    yield plans.replaced("eu-west-1", "/replaced", value, **more)
    yield plans.update("eu-west-1", "/updated", value, **more)
    yield plans.withheld(
        plans.update("us-west-2", "/withheld", value, **more), "changed-outside", "another writer changed it"
    )


def conflict(writer: str) -> Other:
    """Return a conflict whose parameter a writer has changed, and whose attributes every output shows."""
    value = (Difference("value", "c", "d"),)
    existing = ExistingParameter(value, TagDiff(), "String", 3, plans.NOW, writer, is_shown=True)
    found = plans.other("eu-west-1", "/theirs", Row.CONFLICT, "conflict", "it differs in value")
    return replace(found, conflict=existing)


def outputs(plan: Plan) -> dict[str, str]:
    """Return every output for people that shows changes, by its name."""
    document: PlanDocument = plans.document_of(plan)
    applied: ReportDocument = plans.report_document_of(plans.reported(plan, RESULTS))
    view, report = PlanView(document), ReportView(applied)
    bodies = {
        **{f"comment {n}": plan_comment(view, context=NO_CONTEXT, level=n) for n in range(4)},
        "result": report_comment(report),
        "result with the plan": report_comment(report, view),
        "issue": plan_issue(view, context=NO_CONTEXT, budget=60_000),
        "issue of an apply": report_issue(report, context=NO_CONTEXT, budget=60_000),
    }
    for name in ("text", "markdown", "html"):
        bodies[f"plan as {name}"] = "".join(render_plan(name, document, color=False))
        bodies[f"report as {name}"] = "".join(render_report(name, applied, color=False))
    return bodies


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("earlier", [False, True], ids=["this version", "a plan of an earlier version"])
def test_no_output_has_the_account_or_the_session_of_a_writer(writer: str, earlier: bool) -> None:
    reason = f"changed outside ssm-reconcile by {writer}" if earlier else outside_change_reason(writer)
    bodies = outputs(plans.plan_of(changed_outside(writer, reason), others=[conflict(writer)]))
    assert {name for name, body in bodies.items() if ACCOUNT in body or "alice" in body} == set()


def test_outputs_name_the_role_or_the_user_of_the_last_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for writer, name in ((WRITERS[0], "role deploy"), (WRITERS[4], "user bob")):
        plan = plans.plan_of(changed_outside(writer, outside_change_reason(writer)))
        bodies = outputs(plan)
        for output in ("plan as text", "plan as markdown", "plan as html", "comment 0", "issue"):
            assert f"by {name}, outside ssm-reconcile" in bodies[output], output
        # Once for each change that a comment shows: the reason of the change does not repeat it.
        assert bodies["plan as text"].count(name) == len(plan.changes)
