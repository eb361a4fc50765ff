"""Plan or failure -> a check run of its commit: the danger in the title, the plan in the summary.

The conclusion follows the exit code of `plan`. Each run creates a check run; of several with one name, GitHub
shows the newest. Source: REST reference, "Create a check run", which limits the summary to 65,535 characters.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.publishers.runner import PROBLEM
from ssm_reconcile.renderers.comment_context import CommentContext, without_marker
from ssm_reconcile.renderers.markdown import failure_summary, plan_comment
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.wording import plural

SUMMARY_LIMIT = 65_535
"""Bytes of the summary with its marker; a limit of characters, and no character has less than a byte."""
SUCCESSES = frozenset({0, 2})
"""Exit codes of `plan` without a problem: no changes, or with --detailed-exitcode changes."""


@dataclass(frozen=True, slots=True)
class CheckRun:
    """The status of a plan on its commit."""

    name: str
    is_success: bool
    title: str
    summary: str


def plan_check(name: str, document: PlanDocument, exit_code: int | None, context: CommentContext) -> CheckRun:
    """Return the check run of a plan.

    Args:
        name: The name of the check run.
        document: The plan.
        exit_code: The exit code of `plan`; None follows from the plan.
        context: The origin of the plan.
    """
    view = PlanView(document)
    if exit_code is None:
        is_problem = not view.complete or view.summary.get("invalid") or view.has_expired_hold
        exit_code = PROBLEM if is_problem else 0
    summary = without_marker(plan_comment(view, budget=SUMMARY_LIMIT, context=context))
    return CheckRun(name, exit_code in SUCCESSES, check_title(view), summary)


def failure_check(name: str, scope: list[str], reason: str, context: CommentContext) -> CheckRun:
    """Return the check run of a run that made no plan.

    Args:
        name: The name of the check run.
        scope: The names of the replications, if they are known.
        reason: The lines of the error.
        context: The origin of the failure.
    """
    summary = failure_summary(scope, reason, context=context)
    return CheckRun(name, is_success=False, title="No plan was made", summary=summary)


def check_title(view: PlanView) -> str:
    """Return the counts of a plan, danger first: `2 deletes, 1 replacement of 12 changes, 1 conflict`."""
    changes = plural(len(view.changes), "change") if view.changes else "no changes"
    if view.danger_counts:
        changes = f"{', '.join(view.danger_counts)} of {changes}"
    withheld = f"{view.withheld:,} withheld" if view.withheld else ""
    # Without a change, the parameters that a person has to look at come first.
    counts = [changes, withheld, view.unresolved] if view.changes else [view.unresolved, changes]
    counts += [] if view.complete else ["incomplete"]
    counts += ["a hold has expired"] if view.has_expired_hold else []
    title = ", ".join(filter(None, counts))
    return title[:1].upper() + title[1:]


def create_check_run(github: GitHub, check: CheckRun, context: CommentContext) -> None:
    """Create a completed check run on the commit of a plan; the token needs `checks: write`.

    Args:
        github: The API.
        check: The check run.
        context: The commit, and the run as the target of the link.

    Raises:
        GitHubError: GitHub refused the check run, or did not answer.
    """
    body = {
        "name": check.name,
        "head_sha": context.head,
        "status": "completed",
        "conclusion": "success" if check.is_success else "failure",
        "output": {"title": check.title, "summary": check.summary},
    }
    link = {"details_url": context.run_url} if context.run_url else {}
    github.send("POST", f"{github.repository}/check-runs", {**body, **link})
