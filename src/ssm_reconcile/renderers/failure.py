"""A reason -> the comment and the summary of a run that has no plan to show.

A red check over yesterday's green plan is the worst state: the comment says that it is out of date.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.renderers.frame import NO_CONTEXT, CommentContext, marker, page, scope_of
from ssm_reconcile.renderers.inert import fence, prose, span, visible
from ssm_reconcile.renderers.sections import alert

LINES = 40
"""Lines of a reason that are shown."""


def failure_comment(
    scope: Sequence[str],
    reason: str,
    *,
    context: CommentContext = NO_CONTEXT,
    danger: int = 0,
) -> str:
    """The comment; `reason` is text of ours that may quote others."""
    head = marker(scope, "", context, level=0, danger=danger, state="failed")
    return f"{head}\n{failure_summary(scope, reason, context=context)}"


def failure_summary(scope: Sequence[str], reason: str, *, context: CommentContext = NO_CONTEXT) -> str:
    """The same for the summary of a job."""
    of = f" for {scope_of(scope)}" if any(scope) else ""
    at = f" at {span(context.head[:7])}" if context.head else ""
    told = [visible(line) for line in reason.strip().splitlines()]
    shown = told[:LINES] + ([f"... and {len(told) - LINES:,} more lines"] if len(told) > LINES else [])
    warning = "**There is no plan.** What this comment showed before is out of date."
    return page(
        [
            f"## SSM plan{of}: failed{at}",
            alert("CAUTION", [warning]),
            fence(shown, "text") if told else "",
        ]
    )


def gone_comment(scope: str, *, context: CommentContext = NO_CONTEXT) -> str:
    """The comment on a replication that the spec does not have any more."""
    head = marker((scope,), "", context, level=0, danger=0, state="gone")
    title = f"## SSM plan for {scope_of((scope,))}: not in the spec any more"
    text = "Nothing is planned for it, and its replicas stay as they are: nobody looks after them any more."
    return page([f"{head}\n{title}", prose(text)])
