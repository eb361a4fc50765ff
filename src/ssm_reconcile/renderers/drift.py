"""View or ReportView -> the issue that says that the targets do not hold what the spec says.

Nobody looks at a scheduled run that ends well. So what it finds stands in an issue: what differs, who
changed what outside, and the two ways forward. Below is the plan, or the report, as everywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.renderers import asides, words
from ssm_reconcile.renderers.frame import CommentContext, link, marker, page, scope_of, size
from ssm_reconcile.renderers.grouping import ChangeView
from ssm_reconcile.renderers.inert import fence, span, visible
from ssm_reconcile.renderers.markdown import plan_comment, report_comment
from ssm_reconcile.renderers.outcomes import ReportView
from ssm_reconcile.renderers.view import View

DRIFT = "ssm-reconcile:drift"
"""What the first line of every issue of ours begins with, in an HTML comment."""
OUTSIDE = 50
"""How many replicas that somebody changed are named."""
_TITLE = 200

_KEEP = (
    "**Keep what a target holds.** Bring the change to the source, and the next run finds nothing to do."
    " Where the target is to differ for good, put the `skip_sync` tag on its parameter, or exclude the name"
    " in the spec."
)
_BRING_BACK = (
    "**Bring the targets back in line.** Apply: run the workflow by hand with mode `apply`, or"
    " {command}. What was changed outside is overwritten only with `--overwrite-outside`, what a"
    " guard withholds only with the flag that it names."
)


def drift_title(scope: Sequence[str], found: str) -> str:
    """The title of the issue, plain text on one line."""
    return visible(f"SSM drift of {words.listed(scope, 3) or 'the spec'}: {found}", _TITLE)


def plan_found(view: View) -> str:
    """What a plan has found, in a few words; empty where the targets hold what the spec says."""
    aside = words.aside(view.summary, _KEPT)
    changes = words.count(view.changed, "change") if view.changed else ""
    seen = "" if view.complete else "a place could not be seen"
    return ", ".join(filter(None, (seen, changes, aside)))


def plan_drift(view: View, *, context: CommentContext, budget: int) -> str:
    """The body for a plan that has something to do, of at most `budget` bytes."""
    head = marker(
        view.scope, view.plan_id, context, level=0, danger=weight(view), state=plan_found(view), mark=DRIFT
    )
    first = (
        f"{head}\nThe targets of {scope_of(view.scope)} do not hold what the spec says. This issue is kept up"
        " to date by the scheduled runs, and closed by the first one that finds nothing."
    )
    changed = [change for change in view.changes if change.changed_outside]
    blocks = [first, _outside(view, changed), _ways(context)]
    room = budget - size(page(blocks)) - 2
    shown = plan_comment(view, budget=room, context=context)
    return page([*blocks, shown.split("\n", 1)[1].rstrip("\n")])


def weight(view: View) -> int:
    """How bad it is: what would be deleted, and what somebody else has changed. Growth is told."""
    return sum(change.is_danger or change.changed_outside for change in view.changes)


def _ways(context: CommentContext) -> str:
    bring_back = _BRING_BACK.format(command=span(context.command or CommandLine().apply()))
    return f"### Two ways forward\n\n1. {_KEEP}\n2. {bring_back}"


def _outside(view: View, changed: Sequence[ChangeView]) -> str:
    """Who changed what; what the plan says of the last change stands first among the remarks."""
    if not changed:
        return ""
    lines = [
        f"{change.name}{asides.at(view, (change.target,))}: {next(iter(change.remarks), change.action)}"
        for change in changed[:OUTSIDE]
    ]
    if len(changed) > OUTSIDE:
        lines.append(f"... and {len(changed) - OUTSIDE:,} more")
    return f"### Changed outside ssm-reconcile\n\n{fence(lines, 'text')}"


def report_found(report: ReportView) -> str:
    """What an apply has left undone, in a few words; empty where nothing remains."""
    left = {result: n for result, n in report.summary.items() if n and result != "applied"}
    parts = [f"{n:,} {result.replace('_', ' ')}" for result, n in sorted(left.items())]
    seen = "" if report.complete else "a place could not be seen"
    rest = sum(group.size for group in report.remaining)
    gone = f"{rest:,} not as written" if rest else ""
    return ", ".join(filter(None, (seen, *parts, gone, report.unmet)))


_KEPT = ("conflict", "detached", "invalid")


def report_drift(report: ReportView, *, context: CommentContext, budget: int) -> str:
    """The body for an apply that has left something undone, of at most `budget` bytes."""
    left = sum(n for result, n in report.summary.items() if result != "applied")
    head = marker(
        report.scope, report.plan_id, context, level=0, danger=left, state=report_found(report), mark=DRIFT
    )
    first = (
        f"{head}\nThe last apply of {scope_of(report.scope)} has left something undone. This issue is kept up"
        " to date by the scheduled runs, and closed by the first one after which nothing remains."
    )
    room = budget - size(page([first, _ways(context)])) - 2
    shown = report_comment(report, budget=room, context=context)
    return page([first, _ways(context), shown.split("\n", 1)[1].rstrip("\n")])


def blind_drift(scope: Sequence[str], reason: str, *, context: CommentContext, danger: int) -> str:
    """The body while there is no plan: nobody knows whether the targets drift."""
    head = marker(scope, "", context, level=0, danger=danger, state=f"failed: {reason}"[:500], mark=DRIFT)
    told = [visible(line) for line in reason.strip().splitlines()][:40]
    first = (
        f"{head}\nThere is no plan for {scope_of(scope) if any(scope) else 'the spec'} any more: nobody knows"
        " whether the targets hold what the spec says."
    )
    run = link(context)
    return page([first, fence(told, "text") if told else "", f"Found in {run}." if run else ""])


def grown(found: str, context: CommentContext) -> str:
    """The comment that tells of worse: nobody is notified of an edit."""
    run = link(context)
    return f"It got worse: {found}{', found in ' + run if run else ''}. The text above is up to date.\n"


def clean(context: CommentContext, *, gone: bool) -> str:
    """The comment with which an issue is closed."""
    run = link(context)
    why = "The spec has no such replication any more" if gone else "The targets hold what the spec says"
    at = f" at {span(context.head[:7])}" if context.head else ""
    return f"{why}{at}{', as ' + run + ' found' if run else ''}.\n"
