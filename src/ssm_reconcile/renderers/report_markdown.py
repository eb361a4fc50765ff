"""Report -> the comment with the result of an apply, and its job summary; a run that another one overtook.

With the plan that was applied, a comment shows the result above it. The people who approved, reviewed or
started the apply are named in code spans, so that GitHub notifies no one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

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
from ssm_reconcile.renderers.escaping import fence, prose, span
from ssm_reconcile.renderers.groups import path_patterns
from ssm_reconcile.renderers.markdown import (
    COMMENT_BUDGET,
    COMMENT_LINES,
    SUMMARY_BUDGET,
    blocks_within_lines,
    plan_page,
)
from ssm_reconcile.renderers.markdown_blocks import byte_size, fold, join_blocks, scope_names
from ssm_reconcile.renderers.outcomes import OutcomeGroup, result_word
from ssm_reconcile.renderers.outline import without_repeats
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.wording import cut, join, plural

_NEW_FINDINGS = 10
"""Findings of an apply that its plan does not have; they are open."""
_CAUSES = 5
"""Reasons of guards that the item of one cause has."""
_PLACES = 5
"""Notices on incomplete places."""
_APPLIED_LINES = 20
"""Lines of one kind of the changes that were applied, unless it is dangerous."""
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
            _unapplied(report, 40, with_plan=True),
            _applied(report, 40, with_plan=True),
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
        state = "Nothing to apply" if report.complete else "Nothing to apply in the places that were listed"
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


def _unapplied(report: ReportView, limit: int, *, with_plan: bool = False) -> str:
    """Return the changes that were not applied, by result and cause.

    Args:
        report: The view of the report.
        limit: The most causes, and the most lines of a cause.
        with_plan: Whether the page says in its plan why changes are withheld.
    """
    items = []
    for (result, cause), same in groupby(report.unapplied_groups, lambda group: (group.result, group.cause)):
        groups = list(same)
        stated = [] if with_plan else report.guard_findings(groups)
        texts = without_repeats(finding.problem for finding in stated)
        texts = [*texts, groups[0].note] if texts else [cause]
        causes = [prose(text) for text in cut(list(filter(None, texts)), _CAUSES, "more", "…")]
        title = f"* {prose(result_word(result))}{': ' if causes else ''}{'; '.join(causes)}"
        items.append(f"{title}\n\n  {_lines(report, groups, limit, limit)}")
    if len(items) > limit:
        items[limit:] = [f"… and {plural(len(items) - limit, 'more cause')}."]
    return _outcomes("Not applied", report.unapplied_groups, items, is_open=True)


def _applied(report: ReportView, limit: int, *, with_plan: bool = False) -> str:
    """Return the changes that were applied, by kind and path; those with a note are the last.

    Args:
        report: The view of the report.
        limit: The most notes, and the most lines of a kind.
        with_plan: Whether the plan of the page lists the changes. Then only those with a note are returned.
    """
    groups = [group for group in report.applied_groups if group.cause or not with_plan]
    items = []
    for note, same in groupby(groups, lambda group: group.cause):
        lines = _lines(report, list(same), limit, min(limit, _APPLIED_LINES))
        items.append(f"* {prose(note)}\n\n  {lines}" if note else lines.replace("\n  ", "\n"))
    return _outcomes("Applied, with a note" if with_plan else "Applied", groups, items[: limit + 1])


def _outcomes(
    title: str, groups: Sequence[OutcomeGroup], items: Sequence[str], *, is_open: bool = False
) -> str:
    total = sum(group.size for group in groups)
    return fold(f"<b>{title}: {total:,}</b>", "\n\n".join(items), is_open=is_open) if items else ""


def _lines(report: ReportView, groups: Sequence[OutcomeGroup], dangerous: int, others: int) -> str:
    """Return a fence, indented as the body of an item, with a line for each kind of change and name.

    Args:
        report: The view of the report.
        groups: The groups.
        dangerous: The most lines of a group of dangerous changes. If it has more names, they are grouped by
            path.
        others: The most lines of another group.
    """
    lines = []
    for group in groups:
        limit = dangerous if group.kind.is_dangerous else others
        if len(group.names) <= limit:
            named = ((name, blocks.in_targets(report, targets)) for name, targets in group.names.items())
            lines += [f"{group.kind.word} {name}{where}" for name, where in named]
            continue
        for path in path_patterns(group.names, limit):
            places = [group.names[name] for name in path.names]
            where = f"  ({plural(sum(map(len, places)), 'change')})"
            if len(set(places)) == 1:
                where = blocks.in_targets(report, places[0])
            lines.append(f"{group.kind.word} {path}{where}")
    return fence(lines, "text").replace("\n", "\n  ")


def _remaining(report: ReportView, limit: int) -> str:
    """Return the addresses that still differ from the spec, by reason."""
    groups = report.remaining
    title = f"<b>Remaining: {sum(group.size for group in groups):,}</b>"
    return fold(title, blocks.by_reason(report, groups, limit), is_open=True) if groups else ""


def _report_page(report: ReportView, context: CommentContext, limit: int) -> str:
    """Return the page of a report; lists of more than `limit` are folded, and left out where it is 0."""
    head = marker_line(report.scope, report.plan_id, context, state="applied")
    found = [f"{head}\n## SSM apply for {scope_names(report.scope)}", _headline(report, context)]
    found += [blocks.incomplete_places(report, _PLACES), blocks.notes(report)]
    if limit:
        found += [_unapplied(report, limit), *_lifts(report), _remaining(report, limit)]
        found += [*blocks.left_alone(report, limit), blocks.findings(report.other_findings, limit)]
        found.append(_applied(report, limit))
    found.append(footer(report.short_id, context, promise=False))
    return join_blocks(blocks_within_lines([block for block in found if block], COMMENT_LINES))
