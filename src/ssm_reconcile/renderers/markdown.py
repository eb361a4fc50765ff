"""View -> the pull request comment, the job summary, and `--format markdown`.

A comment has a budget in bytes, and a ladder of detail instead of a cut:

    0  everything, target by target          2  creates and updates folded to `path/* x N`
    1  one line a parameter, targets merged  3  counts, deletes and replacements

Deletes and replacements are never folded and come first, adoptions are always folded by path. A level
above 0 says that it is one. The first line is a hidden marker, by which a later run finds the comment.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.renderers import asides, sections, words
from ssm_reconcile.renderers.aftermath import headline, report_page, unapplied
from ssm_reconcile.renderers.frame import (
    NO_CONTEXT,
    CommentContext,
    counts,
    footer,
    marker,
    page,
    size,
    title,
)
from ssm_reconcile.renderers.grouping import FindingView, merged
from ssm_reconcile.renderers.inert import fence
from ssm_reconcile.renderers.outcomes import ReportView
from ssm_reconcile.renderers.view import View

__all__ = [
    "COMMENT_BUDGET",
    "SUMMARY_BUDGET",
    "CommentContext",
    "plan_comment",
    "plan_summary",
    "report_comment",
    "report_summary",
]

COMMENT_BUDGET = 60_000
"""Bytes of UTF-8 (ux.md section 1: GitHub refuses more than 65,536 characters)."""
SUMMARY_BUDGET = 900_000
"""Bytes of UTF-8: a job summary above 1 MiB is dropped whole, and the step fails (ux.md section 1)."""
LEVELS = (0, 1, 2, 3)
_LIMITS = {0: (100, 60), 1: (40, 40), 2: (12, 20), 3: (5, 5)}
"""By level: how many lines a list may have before it is folded, how many findings are shown."""
_CHUNK = 400
"""Changes in one block of a summary: it is cut between blocks."""


def plan_comment(
    view: View,
    *,
    budget: int = COMMENT_BUDGET,
    context: CommentContext = NO_CONTEXT,
    level: int = 0,
    said: str = "",
) -> str:
    """A plan as a pull request comment of at most `budget` bytes; `level` is the least to begin with.

    `said` is Markdown of the caller's own for one line under the title.

    The level that was taken is in the marker (`"level"`): a publisher that is refused asks for the
    next one.
    """
    return _comment(view, budget, context, level, said=said, aside=())


def _first(view: View, context: CommentContext, level: int) -> str:
    hidden = marker(view.scope, view.plan_id, context, level=level, danger=view.danger)
    return f"{hidden}\n{title(view, level)}"


def _unsaid(view: View) -> list[FindingView]:
    """The findings that no alert shows: those of guards stand at the top."""
    return [finding for finding in view.findings if finding.code not in view.guards]


def _comment(
    view: View, budget: int, context: CommentContext, level: int, *, said: str, aside: Sequence[str]
) -> str:
    for step in LEVELS[level:-1]:
        first = _first(view, context, step)
        text = page([first, said, *aside, *_blocks(view, step), footer(view.short_id, context)])
        if size(text) <= budget:
            return text
    return _least(view, budget, context, said=said, aside=aside)


def _least(view: View, budget: int, context: CommentContext, *, said: str, aside: Sequence[str]) -> str:
    """The last level: whole blocks, most important first, as far as there is room."""
    head = [_first(view, context, LEVELS[-1]), said, counts(view)]
    last = footer(view.short_id, context)
    dangers = merged(change for change in view.changes if change.is_danger)
    note = sections.alert(
        "NOTE", ["Too long for any detail: counts, and deletes and replacements. " + _ELSEWHERE]
    )
    room = budget - size(page([*head, note, last])) - 200
    kept: list[str] = []
    optional: list[str] = []
    if dangers:
        optional.append(sections.caution(view, dangers, named=False))
    optional += [
        *sections.warnings(view, _LIMITS[3][0]),
        *aside,
        sections.table(view, 60),
        sections.note(view),
    ]
    for block in (*optional, asides.findings(_unsaid(view), _LIMITS[3][1])):
        if block and size(block) + 2 <= room:
            kept.append(block)
            room -= size(block) + 2
    if dangers and room > 0:
        kept.append(sections.dangers(view, dangers, room))
    return page([*head, note, *kept, last])


def _blocks(view: View, level: int) -> list[str]:
    """The blocks of a level, danger first."""
    most, told = _LIMITS[level]
    dangers = merged(change for change in view.changes if change.is_danger)
    blocks = [counts(view)]
    if view.changes or view.targets:
        blocks.append(sections.table(view))
    if dangers:
        blocks.append(sections.caution(view, dangers, named=level < 2))  # noqa: PLR2004 - the level that folds
    blocks += [*sections.warnings(view, most), sections.note(view)]
    if level and view.changes:
        blocks.append(sections.alert("NOTE", [_LESS[level] + _ELSEWHERE]))
    if level == 0:
        blocks += sections.by_target(view)
    elif dangers:
        blocks.append(sections.dangers(view, dangers))
    if level == 1:
        blocks += sections.by_path(view)
    elif level:
        lines = sections.by_pattern(view, ("update", "create", "retag"), most * 3)
        blocks.append(asides.folded("<b>Everything else, by path</b>", fence(lines)) if lines else "")
    blocks += [sections.adoptions(view, most), sections.anyway(view, most), sections.dropped(view, most)]
    blocks += asides.others(view, view.groups, most)
    return [*blocks, asides.findings(_unsaid(view), told)]


_LESS = {
    1: "Too long for full detail: one line per parameter, all parameters listed. ",
    2: "Too long for a line per parameter: creates and updates are folded by path. ",
}
_ELSEWHERE = "Attribute changes are in the run summary and in the saved plan."


def plan_summary(
    view: View, *, budget: int = SUMMARY_BUDGET, context: CommentContext = NO_CONTEXT, said: str = ""
) -> str:
    """A plan as a job summary: full detail, cut between blocks where it is longer than `budget` bytes."""
    last = footer(view.short_id, context)
    whole = page([title(view, 0), said, *_blocks(view, 0), last])
    if size(whole) <= budget:
        return whole
    dangers = merged(change for change in view.changes if change.is_danger)
    first = [title(view, 1), said, counts(view), sections.table(view, 200)]
    room = budget - size(page([*first, last])) - 300
    blocks = [sections.dangers(view, dangers, room // 2)] if dangers else []
    blocks += [*sections.warnings(view, 40), sections.note(view), asides.findings(_unsaid(view), 40)]
    blocks += [*asides.others(view, view.groups, 40), sections.adoptions(view, 100)]
    blocks += [sections.anyway(view, 100), sections.dropped(view, 100)]
    blocks += sections.by_target(view, _CHUNK)
    kept: list[str] = []
    for block in filter(None, blocks):
        if size(block) + 2 > room:
            break
        kept.append(block)
        room -= size(block) + 2
    left = len([block for block in blocks if block]) - len(kept)
    cut = sections.alert(
        "NOTE",
        [f"Cut here: {words.count(left, 'section')} more did not fit. The saved plan holds everything."],
    )
    return page([*first, *kept, cut if left else "", last])


def report_comment(
    report: ReportView,
    plan: View | None = None,
    *,
    budget: int = COMMENT_BUDGET,
    context: CommentContext = NO_CONTEXT,
    level: int = 0,
    said: str = "",
) -> str:
    """What an apply did: the plan's comment with one line under its title and what was not applied.

    Without the plan, a page of its own. A report that does not say what it went by (format 1.0) goes by the
    plan that it is shown with. `said` is Markdown of the caller's own after that line.
    """
    if plan is not None:
        aside = unapplied(report, 40)
        return _comment(
            plan,
            budget,
            context,
            level,
            said="\n\n".join(filter(None, (headline(report, is_reviewed=not report.approval), said))),
            aside=aside,
        )
    for most in (100, 40, 10, 3):
        text = report_page(report, context, most)
        if size(text) <= budget:
            return text
    return report_page(report, context, 0)


def report_summary(
    report: ReportView, *, budget: int = SUMMARY_BUDGET, context: CommentContext = NO_CONTEXT
) -> str:
    """What an apply did, as a job summary."""
    return report_comment(report, budget=budget, context=context)
