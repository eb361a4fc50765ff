"""ReportView -> the Markdown of what an apply did: one line that says it, and what was not applied."""

from __future__ import annotations

from ssm_reconcile.renderers import asides, words
from ssm_reconcile.renderers.frame import CommentContext, footer, marker, page, scope_of
from ssm_reconcile.renderers.grouping import Group, groups_of
from ssm_reconcile.renderers.outcomes import ReportView


def headline(report: ReportView, *, is_reviewed: bool = False) -> str:
    """Return the line that says what happened. `is_reviewed`: whether its changes were approved before."""
    total = sum(report.summary.values())
    applied = report.summary.get("applied", 0)
    done = f"**Applied {applied:,} of {total:,}"
    if not total:
        state = (
            "Nothing had to be applied" if report.complete else "A place is incomplete, nothing was applied"
        )
        return f"**{state}**, {report.unmet}." if report.unmet else f"**{state}.**"
    if applied == total:
        done += " as reviewed" if is_reviewed or report.is_reviewed else ""
        return f"{done}**, {report.unmet}." if report.unmet else f"{done}.**"
    counts = sorted((result, n) for result, n in report.summary.items() if n and result != "applied")
    rest = words.listed(
        [*(f"{n:,} {result.replace('_', ' ')}" for result, n in counts), *filter(None, [report.unmet])]
    )
    ending = "Interrupted: the next run goes on." if report.interrupted else ""
    if not ending and any(word != "withheld" for word, _ in counts):
        ending = "The next run goes on with the rest."
    if report.summary.get("withheld"):
        ending += " What guards withhold waits until they are lifted."
    return f"{done}**, {rest}. {ending.strip()}"


def unapplied(report: ReportView, most: int) -> list[str]:
    """What was not applied, grouped by what became of it and why; and what was applied with a note."""
    failed = groups_of(
        (
            f"{o.action} {o.result.replace('_', ' ')}",
            [text for text in (o.error, o.note) if text],
            o.name,
            o.target,
        )
        for o in report.unapplied
    )
    noted = groups_of(
        (f"{o.action} applied", [o.note], o.name, o.target)
        for o in report.outcomes
        if o.result == "applied" and o.note
    )
    blocks = [_block("Not applied", failed, report, most, is_open=True)] if failed else []
    return blocks + ([_block("Applied, with a note", noted, report, most)] if noted else [])


def _block(
    title: str, groups: tuple[Group, ...], report: ReportView, most: int, *, is_open: bool = False
) -> str:
    total = sum(group.size for group in groups)
    return asides.folded(f"<b>{title}: {total:,}</b>", asides.grouped(report, groups, most), is_open=is_open)


def report_page(report: ReportView, context: CommentContext, most: int) -> str:
    """A page of its own; lists of more than `most` are folded."""
    head = marker(report.scope, report.plan_id, context, level=0, danger=0, state="applied")
    total = words.count(sum(report.summary.values()), "change")
    done = f"applied {report.summary.get('applied', 0):,} of {total}"
    blocks = [f"{head}\n## SSM apply for {scope_of(report.scope)}: {done}", headline(report)]
    if most:
        blocks += unapplied(report, most)
        if report.remaining:
            blocks.append(_block("Remaining", report.remaining, report, most, is_open=True))
        blocks += [*asides.others(report, report.groups, most), asides.findings(report.findings, most)]
    return page([*blocks, footer(report.short_id, context, promise=False)])
