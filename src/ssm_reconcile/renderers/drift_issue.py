"""View -> the text of the GitHub issue on drift: the targets differ from the spec.

A scheduled run that succeeds sends no message, so its result is in an issue: the differences, the
parameters that others changed, and the two ways forward. Below them is the plan or the report.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.renderers.comment_context import CommentContext, marker_line, run_link, without_marker
from ssm_reconcile.renderers.escaping import fence, span, visible
from ssm_reconcile.renderers.groups import kind_counts
from ssm_reconcile.renderers.markdown import plan_comment, reason_block
from ssm_reconcile.renderers.markdown_blocks import (
    byte_size,
    in_targets,
    join_blocks,
    scope_names,
)
from ssm_reconcile.renderers.report_markdown import report_comment
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.wording import cut, join, plural

ISSUE_MARK = "ssm-reconcile:drift"
"""First word of the hidden line of every issue."""
OUTSIDE = 50
"""Changed replicas that are named."""
_TITLE = 200
_EXPIRED = "a hold has expired"
_HOLD = (
    "A hold of the spec has expired, and still stops every change of its parameters: extend `until`, or"
    " remove the entry. The finding below has its line."
)
_UNMET = ("conflict", "detached", "invalid")
_KEEP = (
    "**Keep the values of the targets.** Make the same change at the source, and the next run finds no"
    " difference. For a permanent difference, put the `skip_sync` tag on the parameter in the target, or"
    " exclude its name in the spec."
)
_RESTORE = (
    "**Restore the values of the spec.** Run the workflow by hand with mode `apply`, or run {command}."
    " A parameter that was changed outside ssm-reconcile is overwritten only with `--overwrite-outside`. A"
    " change that a guard withholds stays as it is: its reason is below."
)


def issue_title(scope: Sequence[str], found: str) -> str:
    """Return the title of the issue, plain text on one line."""
    return visible(f"SSM drift of {join(scope, 3) or 'the spec'}: {found}", _TITLE)


def plan_differences(view: PlanView) -> str:
    """Return the differences of a plan, and whether a hold has expired, in a few words; empty without any."""
    return ", ".join(filter(None, (_drift(view), _EXPIRED * view.has_expired_hold)))


def _drift(view: PlanView) -> str:
    """Return the differences of a plan without its holds."""
    incomplete = "" if view.complete else "a place could not be listed"
    changes = plural(len(view.changes), "change") if view.changes else ""
    return ", ".join(filter(None, (incomplete, changes, kind_counts(view.summary, *_UNMET))))


def report_differences(report: ReportView) -> str:
    """Return what an apply did not do, in a few words; empty where nothing remains."""
    incomplete = "" if report.complete else "a place could not be listed"
    remaining = sum(group.size for group in report.remaining)
    gone = f"{remaining:,} still different" if remaining else ""
    expired = _EXPIRED * report.has_expired_hold
    return ", ".join(filter(None, (incomplete, *report.unapplied_counts, gone, report.unmet, expired)))


def plan_issue(view: PlanView, *, context: CommentContext, budget: int) -> str:
    """Return the body of the drift issue for a plan with differences.

    Args:
        view: The view of the plan.
        context: The repository, run and commit.
        budget: The most bytes of the body.
    """
    head = marker_line(
        view.scope,
        view.plan_id,
        context,
        danger=view.drift_danger,
        state=plan_differences(view),
        mark=ISSUE_MARK,
    )
    differ = bool(_drift(view))
    names = scope_names(view.scope)
    found = [f"The targets of {names} differ from the spec."] * differ + [_HOLD] * view.has_expired_hold
    first = (
        f"{head}\n{' '.join(found)} Scheduled runs"
        " keep this issue up to date, and the first run that finds no difference closes it."
    )
    above = [first, _changed_outside(view), _ways_forward(context) * differ]
    room = budget - byte_size(join_blocks(above))
    return join_blocks([*above, without_marker(plan_comment(view, budget=room, context=context))])


def report_issue(report: ReportView, *, context: CommentContext, budget: int) -> str:
    """Return the body of the drift issue for an apply that left changes undone.

    Args:
        report: The view of the report.
        context: The repository, run and commit.
        budget: The most bytes of the body.
    """
    head = marker_line(
        report.scope,
        report.plan_id,
        context,
        danger=report.danger,
        state=report_differences(report),
        mark=ISSUE_MARK,
    )
    names = scope_names(report.scope)
    found = [f"The last apply of {names} did not apply all changes."] * (not report.is_done)
    found += [_HOLD] * report.has_expired_hold
    first = (
        f"{head}\n{' '.join(found)}"
        " Scheduled runs keep this issue up to date, and the first run after which nothing remains closes it."
    )
    above = [first, _ways_forward(context) * (not report.is_done)]
    room = budget - byte_size(join_blocks(above))
    return join_blocks([*above, without_marker(report_comment(report, budget=room, context=context))])


def _ways_forward(context: CommentContext) -> str:
    restore = _RESTORE.format(command=span(context.command or CommandLine().apply()))
    return f"### Two ways forward\n\n1. {_KEEP}\n2. {restore}"


def _changed_outside(view: PlanView) -> str:
    """Return the list of replicas that others changed; the first remark has the last change."""
    changed = [change for change in view.changes if change.changed_outside]
    if not changed:
        return ""
    lines = [
        f"{change.name}{in_targets(view, (change.target,))}: {next(iter(change.remarks), change.action)}"
        for change in changed
    ]
    return f"### Changed outside ssm-reconcile\n\n{fence(cut(lines, OUTSIDE), 'text')}"


def failure_issue(scope: Sequence[str], reason: str, *, context: CommentContext) -> str:
    """Return the body of a run without a plan.

    Args:
        scope: The names of the replications; an empty name is the spec as a whole.
        reason: The lines of the error.
        context: The origin of the issue.
    """
    head = marker_line(scope, "", context, state=f"failed: {reason}"[:500], mark=ISSUE_MARK)
    first = (
        f"{head}\nThe last run made no plan for {scope_names(scope) if any(scope) else 'the spec'}, so it is"
        " unknown whether the targets differ from the spec."
    )
    run = run_link(context)
    return join_blocks([first, reason_block(reason), f"Found in {run}." if run else ""])


def growth_comment(found: str, context: CommentContext) -> str:
    """Return the comment on more drift: GitHub notifies no one of an edit."""
    run = run_link(context)
    return f"More drift: {found}{', found in ' + run if run else ''}. The description above is up to date.\n"


def closing_comment(context: CommentContext, *, gone: bool) -> str:
    """Return the comment that closes an issue. `gone`: the spec does not have the replication."""
    run = run_link(context)
    why = "The replication was removed from the spec" if gone else "The targets are in sync"
    at = f" at {span(context.head[:7])}" if context.head else ""
    return f"{why}{at}{', according to ' + run if run else ''}.\n"
