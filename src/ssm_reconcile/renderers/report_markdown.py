"""Report -> the comment with the result of an apply, and its job summary; a run that another one overtook.

With the plan that was applied, a comment shows the result above it. The people who approved, reviewed or
started the apply are named in code spans, so that GitHub notifies no one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssm_reconcile.documents import RemedyEntry
from ssm_reconcile.renderers import markdown_blocks as blocks
from ssm_reconcile.renderers.comment_context import (
    NO_CONTEXT,
    CommentContext,
    footer,
    marker_line,
    run_link,
    web_link,
)
from ssm_reconcile.renderers.escaping import prose, span
from ssm_reconcile.renderers.groups import AddressGroup, group_addresses
from ssm_reconcile.renderers.markdown import (
    COMMENT_BUDGET,
    COMMENT_LINES,
    SUMMARY_BUDGET,
    blocks_within_lines,
    plan_page,
)
from ssm_reconcile.renderers.markdown_blocks import byte_size, join_blocks, scope_names
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.wording import join

_NEW_FINDINGS = 10
"""Findings of an apply that its plan does not have; they are open."""
_OPEN_LIFTS = 5
"""Entries that lift guards and are open; more are in a fold."""


def report_comment(
    report: ReportView,
    plan: PlanView | None = None,
    *,
    budget: int = COMMENT_BUDGET,
    context: CommentContext = NO_CONTEXT,
    level: int = 0,
    intro: str = "",
) -> str:
    """Return the outcomes of an apply, with the plan where there is one, and the findings that it lacks.

    Args:
        report: The report.
        plan: The plan that was applied. Without it, the comment shows the report only.
        budget: The largest size, in bytes of UTF-8.
        context: The origin of the comment.
        level: The first level of detail to try, 0 to 3.
        intro: Markdown of the caller after the line under the title.
    """
    if plan is not None:
        # A report of format 1.0 has no approval: the plan that it is shown with was reviewed.
        headline = _headline(report, context, is_reviewed=not report.approval)
        shown = [finding.remedy for finding in plan.findings]
        lifts = _lifts(report, shown)
        # The guards of withheld changes are in their reasons.
        new = [one for one in report.findings if one not in plan.findings and one.remedy is None]
        above = (
            "\n\n".join(filter(None, (headline, intro))),
            *_unapplied(report, 40),
            *lifts,
            blocks.findings(new, _NEW_FINDINGS, is_open=True),
        )
        return plan_page(plan, budget, context, level, above=above, places=_PLAN_RUN)
    for limit in (100, 40, 10, 3):
        text = _report_page(report, context, limit)
        if byte_size(text) <= budget:
            return text
    return _report_page(report, context, 0)


def report_summary(
    report: ReportView, *, budget: int = SUMMARY_BUDGET, context: CommentContext = NO_CONTEXT
) -> str:
    """Return the outcomes of an apply as a job summary.

    Args:
        report: The view of the report.
        budget: The most bytes of the summary.
        context: The repository, run and commit.
    """
    return report_comment(report, budget=budget, context=context)


_PLAN_RUN = ("the summary of the run that made the plan", "the saved plan of that run")


@dataclass(frozen=True, slots=True)
class Takeover:
    """The reason why a run did not apply its merge, and the run that does.

    Attributes:
        reason: A sentence without its full stop.
        commit: The commit of the run that took over; empty if no such run is known yet.
        url: The address of that run, or of the list of runs; empty if the merge is applied by none.
    """

    reason: str
    commit: str = ""
    url: str = ""


def overtaken_comment(scope: str, takeover: Takeover, *, context: CommentContext) -> str:
    """Return the comment on a merge that this run did not apply.

    Args:
        scope: The replication.
        takeover: The reason, and the run that took over.
        context: The origin of the comment.
    """
    head = marker_line((scope,), "", context, state="overtaken")
    return f"{head}\n{overtaken_summary((scope,), takeover, context=context)}"


def overtaken_summary(scope: Sequence[str], takeover: Takeover, *, context: CommentContext) -> str:
    """Return the text of `overtaken_comment` without its marker, for a job summary.

    Args:
        scope: The replications.
        takeover: The reason, and the run that took over.
        context: The repository, run and commit.
    """
    of = f" for {scope_names(scope)}" if any(scope) else ""
    text = f"**This merge was not applied by this run**: {prose(takeover.reason)}. Nothing was written."
    if takeover.url:
        commit = span(takeover.commit[:7]) if takeover.commit else "the last commit that changed the spec"
        label = "its run" if takeover.commit else "the list of runs"
        link = web_link(label, takeover.url) or label
        text += (
            f" The run of {commit} applies it, asks for an approval, or lists its changes as not reviewed:"
            f" {link}."
        )
    made = f" for {span(context.head[:7])}" if context.head else ""
    run = run_link(context)
    footer_line = f"<sub>Made in {run}{made}.</sub>" if run else ""
    return join_blocks([f"## SSM apply{of}: not applied by this run", text, footer_line])


def _headline(report: ReportView, context: CommentContext, *, is_reviewed: bool = False) -> str:
    """Return the line with the result, and the people behind it.

    Args:
        report: The view of the report.
        context: The origin of the page, with the approval.
        is_reviewed: Whether the changes were approved before, if no person is known.
    """
    applied = f"**Applied {report.applied:,} of {report.total:,}"
    if context.approval is not None:
        applied = f"**Applied {report.applied_of_total}{context.approval.phrase}"
    if not report.total:
        state = (
            "Nothing to apply"
            if report.complete
            else "A place was not listed completely: nothing was applied"
        )
        return f"**{state}**, {report.unmet}." if report.unmet else f"**{state}.**"
    if report.applied == report.total:
        reviewed = context.approval is None and (is_reviewed or report.is_reviewed)
        applied += " as reviewed" if reviewed else ""
        return f"{applied}**, {report.unmet}." if report.unmet else f"{applied}.**"
    ending = "Interrupted: the next apply makes the rest." if report.interrupted else ""
    if not ending and any(n and word not in ("applied", "withheld") for word, n in report.summary.items()):
        ending = "The next apply retries the rest."
    rest = join([*report.unapplied_counts, *filter(None, [report.unmet])])
    return f"{applied}**, {rest}. {ending}".rstrip()


def _lifts(report: ReportView, shown: Sequence[RemedyEntry | None] = ()) -> list[str]:
    """Return the YAML that lifts the guards of a report, without what the page shows already."""
    remedies = [finding.remedy for finding in report.findings if finding.remedy]
    return blocks.lifts([one for one in remedies if one not in shown], report.created, _OPEN_LIFTS)


def _unapplied(report: ReportView, limit: int) -> list[str]:
    """Return the changes that were not applied, by result and reason; then those applied with a note.

    The outcomes are in the order of their danger, and so are the groups.
    """

    def groups(*, applied: bool) -> tuple[AddressGroup, ...]:
        chosen = [
            o for o in report.outcomes if (o.result == "applied") is applied and (o.note or not applied)
        ]
        return tuple(
            group
            for action in dict.fromkeys(o.action for o in chosen)
            for group in group_addresses(
                (
                    f"{o.action} {o.result.replace('_', ' ')}",
                    [text for text in (o.error, o.note) if text],
                    o.name,
                    o.target,
                )
                for o in chosen
                if o.action == action
            )
        )

    return [
        *_reasons("Not applied", report, groups(applied=False), limit, labelled=True, is_open=True),
        *_reasons("Applied, with a note", report, groups(applied=True), limit, labelled=True),
    ]


def _reasons(
    title: str,
    report: ReportView,
    groups: tuple[AddressGroup, ...],
    limit: int,
    *,
    labelled: bool = False,
    is_open: bool = False,
) -> list[str]:
    if not groups:
        return []
    total = sum(group.size for group in groups)
    body = blocks.by_reason(report, groups, limit, labelled=labelled)
    return [blocks.fold(f"<b>{title}: {total:,}</b>", body, is_open=is_open)]


def _report_page(report: ReportView, context: CommentContext, limit: int) -> str:
    """Return the page of a report; lists of more than `limit` are folded, and left out where it is 0."""
    head = marker_line(report.scope, report.plan_id, context, state="applied")
    found = [
        f"{head}\n## SSM apply for {scope_names(report.scope)}: applied {report.applied_of_total}",
        _headline(report, context),
    ]
    if limit:
        found += [*_unapplied(report, limit), *_lifts(report)]
        found += _reasons("Remaining", report, report.remaining, limit, is_open=True)
        found += [*blocks.left_alone(report, limit), blocks.findings(report.findings, limit)]
    found.append(footer(report.short_id, context, promise=False))
    return join_blocks(blocks_within_lines([block for block in found if block], COMMENT_LINES))
