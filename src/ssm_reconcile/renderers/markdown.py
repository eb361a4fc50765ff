"""View -> the pull request comment, the job summary, and `--format markdown`.

A comment has a budget in bytes. A plan that is too long is shown with less detail, not cut:

    0  everything                            2  changes that are not dangerous by path: `path/* x N`
    1  one line a parameter                  3  counts and dangerous changes

Dangerous and withheld changes are in alerts at the top, the others in a fold for each kind. A comment has a
limit of visible lines, too. With many changes it has a line for each of the first dangerous changes and a
short list of the others; all details are in closed folds. A level above 0 says so. The first line of a
comment is a hidden marker, by which a later run finds it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from ssm_reconcile.renderers import markdown_blocks as blocks
from ssm_reconcile.renderers.comment_context import (
    COMMENT_MARK,
    NO_CONTEXT,
    CommentContext,
    footer,
    marker_line,
    plan_link,
)
from ssm_reconcile.renderers.escaping import fence, prose, span, visible
from ssm_reconcile.renderers.groups import FindingView
from ssm_reconcile.renderers.markdown_blocks import (
    alert,
    blocks_within,
    byte_size,
    join_blocks,
    scope_names,
)
from ssm_reconcile.renderers.markdown_changes import LISTED, OPEN_DANGERS, ChangeBlocks, Room
from ssm_reconcile.renderers.outline import apply_cost, apply_means, long_limit
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.wording import cut, plural

COMMENT_BUDGET = 60_000
"""Bytes of UTF-8. GitHub refuses more than 65,536 characters, by its error message; not documented."""
SUMMARY_BUDGET = 900_000
"""Bytes of UTF-8: a job summary above 1 MiB is dropped, and the step fails.

Source: issues prefix-dev/rattler-build#2738, actions/dependency-review-action#867.
"""
COMMENT_LINES = 120
"""Lines of a comment that a reader sees without opening a fold."""
FOLDED_FROM = 40
"""Changes from which a comment folds their attributes."""
LEVELS = (0, 1, 2, 3)
_LIMITS = {0: (100, 60), 1: (40, 40), 2: (12, 20), 3: (5, 5)}
"""By level: how many lines a list may have before it is folded, how many findings are shown."""
_OPEN_FOLD = "<details open>"
_CHUNK = 100
"""Entries of one block of a summary, which is cut between blocks."""
_REASON_LINES = 40
"""Lines of the reason of a failure that are shown."""
_LESS = {
    1: "Too long for full detail: one line per parameter, all parameters listed. ",
    2: "Too long for a line per parameter: changes that are not dangerous are grouped by path. ",
    3: "Too long for details: only the counts and the dangerous changes. ",
}
_WARNINGS = 5
"""Incomplete places, and reasons of withheld changes, that an alert in a comment lists."""
_ELSEWHERE = "The attributes of each change are in {places}."


def plan_comment(
    view: PlanView,
    *,
    budget: int = COMMENT_BUDGET,
    context: CommentContext = NO_CONTEXT,
    level: int = 0,
    intro: str = "",
) -> str:
    """Return a plan as a pull request comment.

    Args:
        view: The plan.
        budget: The largest size, in bytes of UTF-8.
        context: The origin of the comment.
        level: The first level of detail to try, 0 to 3. The marker has the level that was taken, so that a
            publisher whose comment is refused asks for the next one.
        intro: Markdown under the title on an apply that was refused: the page promises nothing on a merge.
    """
    return plan_page(view, budget, context, level, above=(intro,))


def plan_page(
    view: PlanView,
    budget: int,
    context: CommentContext,
    level: int,
    *,
    above: Sequence[str],
    places: Sequence[str] = (),
) -> str:
    """Return a plan as a comment of at most `budget` bytes.

    Args:
        view: The plan.
        budget: The largest size, in bytes of UTF-8.
        context: The origin of the comment.
        level: The first level of detail to try.
        above: Blocks of Markdown under the title; with one, the page promises nothing on a merge.
        places: Words for the places of the whole plan; empty for those of the run of the context.
    """
    places = places or _places(context)
    last = footer(view.short_id, context, promise=not any(above))
    changes = ChangeBlocks(view)
    if level == 0 and len(view.changes) < FOLDED_FROM:
        text = join_blocks([_first(view, context, 0), *above, *_full_detail(view, changes, _WARNINGS), last])
        if byte_size(text) <= budget and visible_lines(text) <= COMMENT_LINES:
            return text
    for step in LEVELS[level:-1]:
        upper = [_first(view, context, step), *above, *_upper(view, _WARNINGS)]
        folds = [_less(step, places), *_folded(changes, step)]
        text = _arranged(changes, upper, [*_lower(view, changes, step, _WARNINGS, folds), last], Room())
        if byte_size(text) <= budget:
            return text
    return _counts_only(view, changes, budget, context, above=above, places=places)


def _less(level: int, places: Sequence[str]) -> str:
    """Return the note on the details that a level leaves out, and where they are."""
    return alert("NOTE", [_LESS[level] + _ELSEWHERE.format(places=" and in ".join(places))]) if level else ""


def _places(context: CommentContext) -> Sequence[str]:
    """Return words for the places of the whole plan: the run, and last its artifact if it has one."""
    return ("the run summary", plan_link(context)) if context.is_kept else ("the run summary",)


def _arranged(changes: ChangeBlocks, upper: Sequence[str], lower: Sequence[str], room: Room) -> str:
    """Return a page within its limit of lines: dangerous changes first, then the other folds in order."""
    least = changes.alerts(replace(room, lines=0), _WARNINGS)
    left = COMMENT_LINES - visible_lines(join_blocks(map(closed_fold, (*upper, *least, *lower))))
    found = changes.alerts(replace(room, lines=min(OPEN_DANGERS, left)), _WARNINGS)
    others = blocks_within_lines([*upper, *lower], COMMENT_LINES - visible_lines(join_blocks(found)))
    return join_blocks([*others[: len(upper)], *found, *others[len(upper) :]])


def visible_lines(page: str) -> int:
    """Return the number of lines that a reader sees: those that are not empty and not in a closed fold.

    A closed fold counts as one line, its title.
    """
    count, mark = 0, ""
    closed: list[bool] = []
    for line in page.split("\n"):
        text = line.removeprefix(">").strip()
        is_hidden = any(closed)
        if mark:
            mark = "" if text == mark else mark
        elif fenced := re.fullmatch(r"(`{3,})\w+", text):
            mark = fenced[1]
        elif text.startswith("<details"):
            closed.append(not text.startswith(_OPEN_FOLD))
        elif text == "</details>":
            closed.pop()
            continue
        count += bool(text) and not is_hidden
    return count


def closed_fold(block: str) -> str:
    """Return the block, closed if it is an open fold."""
    return f"<details>{block.removeprefix(_OPEN_FOLD)}" if block.startswith(_OPEN_FOLD) else block


def blocks_within_lines(blocks: Sequence[str], limit: int) -> list[str]:
    """Return all blocks; an open fold that does not fit into `limit` visible lines is closed."""
    kept = [closed_fold(block) for block in blocks]
    limit -= visible_lines("\n".join(kept))
    for number, block in enumerate(blocks):
        more = visible_lines(block) - visible_lines(kept[number])
        if more <= limit:
            kept[number] = block
            limit -= more
    return kept


def _first(view: PlanView, context: CommentContext, level: int) -> str:
    hidden = marker_line(
        view.scope, view.plan_id, context, level=level, danger=view.danger, unresolved=view.unresolved
    )
    return f"{hidden}\n{_title(view, level)}"


def _title(view: PlanView, level: int) -> str:
    """Return the heading, such as `SSM plan for prod: 12 changes in 3 regions`."""
    headline = view.headline(count_names=level > 0, quote=span)
    return f"## SSM plan for {scope_names(view.scope)}: {headline}"


def _counts(view: PlanView) -> str:
    """Return the sums, such as `5 to create, 1 to delete. 486 in sync`."""
    rest = f"{view.other_counts()}."
    if view.pending:
        verb = "is" if view.pending == 1 else "are"
        rest += (
            f" **{view.pending:,} of the changes {verb} already pending**: the previous spec makes them too."
        )
    actions = view.action_counts
    return f"**{actions}.** {rest}" if actions else rest


def _long_apply(view: PlanView) -> str:
    """Return the cost of an apply of more than a minute, and the means against it; empty for others."""
    if view.budget is None or long_limit(view.budget) is None:
        return ""
    cost = apply_cost(view.budget, span).removeprefix("apply")
    return " ".join([f"Apply{cost}.", *apply_means(view.budget, span, span)])


def _other_findings(view: PlanView) -> list[FindingView]:
    """Return the findings that are not in an alert; those of guards are."""
    return [finding for finding in view.findings if finding.code not in view.guards]


def _full_detail(view: PlanView, changes: ChangeBlocks, warnings: int) -> list[str]:
    """Return all blocks of a page with the attributes of all changes."""
    return [
        *_upper(view, warnings),
        *changes.alerts(Room(math.inf), warnings, detailed=True),
        *_lower(view, changes, 0, warnings, changes.folds(changes.made, None, detailed=True)),
    ]


def _upper(view: PlanView, warnings: int) -> list[str]:
    """Return the blocks above the dangerous changes."""
    counts = blocks.counts_table(view)
    return [_counts(view), _long_apply(view), counts, blocks.incomplete_places(view, warnings)]


def _folded(changes: ChangeBlocks, level: int) -> list[str]:
    """Return the changes that are not dangerous, and in a closed fold what these folds leave out."""
    folds = changes.folds(changes.others, LISTED if level < 2 else 0)  # noqa: PLR2004 - level 2 groups
    title, more = "", []
    if level == 0:
        title = "Attributes of all changes"
        more = changes.folds(changes.listed, None, detailed=True)
    elif level == 1 and changes.is_grouped():
        title, more = "One line for each parameter", changes.folds(changes.others, None)
    return [*folds, blocks.fold(f"<b>{title}</b>", "\n\n".join(more)) if more else ""]


def _lower(
    view: PlanView, changes: ChangeBlocks, level: int, warnings: int, folds: Sequence[str]
) -> list[str]:
    """Return the blocks below the alerts; `folds` has the changes that are not dangerous."""
    limit, findings = _LIMITS[level]
    return [
        *blocks.remedies(view, warnings),
        blocks.notes(view),
        *folds,
        *_apart(view, changes, limit),
        *blocks.left_alone(view, limit),
        blocks.findings(_other_findings(view), findings),
    ]


def _apart(view: PlanView, changes: ChangeBlocks, limit: int) -> list[str]:
    """Return the adoptions, and the changes that the previous spec makes too, or that only it makes."""
    found = changes.folds(changes.adoptions, 0, patterns=limit, is_open=False)
    for title, apart in (
        ("Already pending</b>: the previous spec makes these changes too", changes.pending),
        ("No longer made</b>: only the previous spec makes these changes", view.dropped),
    ):
        folds = changes.folds(apart, limit, patterns=limit)
        found.append(blocks.fold(f"<b>{title}", "\n\n".join(folds)) if folds else "")
    return found


def _counts_only(
    view: PlanView,
    changes: ChangeBlocks,
    budget: int,
    context: CommentContext,
    *,
    above: Sequence[str],
    places: Sequence[str],
) -> str:
    """Return the last level: the blocks that fit, most important first, and a link to the saved plan."""
    limit, findings = _LIMITS[3]
    head = [_first(view, context, LEVELS[-1]), above[0], _counts(view), _long_apply(view), _less(3, places)]
    last = footer(view.short_id, context, promise=not any(above))
    frame = [*head, *changes.alerts(Room(0, 0, places[-1]), _WARNINGS), last]
    left = budget - byte_size(join_blocks(frame)) - 500
    kept = blocks_within(
        [
            *above[1:],
            blocks.incomplete_places(view, limit),
            *blocks.remedies(view, limit),
            blocks.counts_table(view, 60),
            blocks.notes(view),
            blocks.findings(_other_findings(view), findings),
        ],
        left,
    )
    left -= sum(byte_size(block) + 2 for block in kept)
    return _arranged(changes, head, [*kept, last], Room(size=left, plan=places[-1]))


def plan_summary(
    view: PlanView, *, budget: int = SUMMARY_BUDGET, context: CommentContext = NO_CONTEXT, intro: str = ""
) -> str:
    """Return a plan as a job summary in full detail, cut between blocks.

    Args:
        view: The plan.
        budget: The largest size, in bytes of UTF-8.
        context: The origin of the summary.
        intro: Markdown under the title on an apply that was refused: the page promises nothing on a merge.
    """
    last = footer(view.short_id, context, promise=not intro)
    changes = ChangeBlocks(view)
    whole = join_blocks([_title(view, 0), intro, *_full_detail(view, changes, 100), last])
    if byte_size(whole) <= budget:
        return whole
    first = [_title(view, 1), intro, _counts(view), _long_apply(view), blocks.counts_table(view, 200)]
    room = budget - byte_size(join_blocks([*first, last])) - 300
    found = [
        blocks.incomplete_places(view, 40),
        *changes.alerts(Room(size=room // 2), 40),
        *blocks.remedies(view, 40),
        blocks.notes(view),
        blocks.findings(_other_findings(view), 40),
        *blocks.left_alone(view, 40),
        *_apart(view, changes, 100),
        *changes.folds(changes.listed, None, detailed=True, chunk=_CHUNK),
    ]
    found = list(filter(None, found))
    kept = blocks_within(found, room)
    left = plural(len(found) - len(kept), "more section", "more sections")
    cut = alert("NOTE", [f"{left} did not fit here. The saved plan has all of them."])
    return join_blocks([*first, *kept, cut if len(kept) < len(found) else "", last])


def failure_comment(
    scope: Sequence[str],
    reason: str,
    *,
    context: CommentContext = NO_CONTEXT,
    is_stopped: bool = False,
) -> str:
    """Return the comment of a run without a plan: the older plan of a pull request is out of date.

    Args:
        scope: The names of the replications; an empty name is the spec as a whole.
        reason: The lines of the error, which may quote texts of others.
        context: The origin of the comment.
        is_stopped: Whether an apply is known to have stopped before it had a plan.
    """
    head = marker_line(scope, "", context, state="failed")
    return f"{head}\n{failure_summary(scope, reason, context=context, is_stopped=is_stopped)}"


def failure_summary(
    scope: Sequence[str], reason: str, *, context: CommentContext = NO_CONTEXT, is_stopped: bool = False
) -> str:
    """Return the text of `failure_comment` without its marker, for a job summary.

    Args:
        scope: The names of the replications.
        reason: The error message of the run.
        context: The repository, run and commit.
        is_stopped: Whether an apply is known to have stopped before it had a plan.
    """
    of = f" for {scope_names(scope)}" if any(scope) else ""
    at = f" at {span(context.head[:7])}" if context.head else ""
    what = "plan"
    text = "**This run made no plan.** An older plan of this pull request is out of date."
    if context.mark != COMMENT_MARK:
        what = "run"
        text = "**This run has no result.** Its log has the details."
        if is_stopped:
            text = "**This run stopped before it had a plan.** Nothing was written."
    return join_blocks([f"## SSM {what}{of}: failed{at}", alert("CAUTION", [text]), reason_block(reason)])


def reason_block(reason: str) -> str:
    """Return the first lines of an error, and the number of the others."""
    lines = [visible(line) for line in reason.strip().splitlines()]
    return fence(cut(lines, _REASON_LINES, "more lines"), "text") if lines else ""


def removed_comment(scope: str, *, context: CommentContext = NO_CONTEXT) -> str:
    """Return the comment of a replication that was removed from the spec."""
    head = marker_line((scope,), "", context, state="gone")
    title = f"## SSM plan for {scope_names((scope,))}: removed from the spec"
    text = "Nothing is planned for this replication. Its replicas stay as they are, and no run updates them."
    return join_blocks([f"{head}\n{title}", prose(text)])
