"""View -> the blocks of a Markdown page. `markdown` and `drift_issue` choose among them.

Each block is complete: its fences and folds are closed, so a page can leave it out but not cut it. Names
and values appear in fences and code only; sentences of others pass word by word through `prose`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from ssm_reconcile.documents import RemedyEntry
from ssm_reconcile.encoding import utf8
from ssm_reconcile.renderers.changes import ChangeView, MergedChange, merge_changes
from ssm_reconcile.renderers.escaping import fence, prose, span
from ssm_reconcile.renderers.groups import KINDS, AddressGroup, FindingView, path_patterns
from ssm_reconcile.renderers.view import PlanView, RunView, TargetView, danger_counts
from ssm_reconcile.wording import cut, join, plural

MARKS = {"delete": "-", "replace": "-", "create": "+", "adopt": "="}
"""First character of a line in a diff block; a change of an existing parameter gets `!`.

GitHub colours the line by it: red is only a line on a parameter that is deleted.
"""
WIDTH = 100
"""Characters of a line, above which an attribute has its old and its new value on a line each."""
LIFT_DAYS = 7
"""Days of a lift as the comment proposes it."""
_LIFTS_SHOWN = 100
"""Entries of `lifts` that a page has; more than these are improbable, and would take the room of the plan."""
OPEN_DANGERS = 60
"""Lines with dangerous changes that the alerts show; the other changes are folded below."""
_TABLE_ROWS = 8
"""Targets whose counts are shown open; the table of more targets is folded."""
_OVERVIEW_LINES = 30
"""Lines for the changes that are not dangerous, where their attributes are folded."""
_OPEN_ITEMS = 10
"""Addresses or findings with an error that are listed open; more of them are folded."""


def join_blocks(blocks: Iterable[str]) -> str:
    """Join blocks with an empty line between them."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def byte_size(text: str) -> int:
    """Return the number of bytes in UTF-8."""
    return len(utf8(text))


def blocks_within(blocks: Iterable[str], budget: int) -> list[str]:
    """Return the blocks that fit into `budget` bytes; a block that does not fit is left out."""
    kept = []
    for block in filter(None, blocks):
        if byte_size(block) + 2 <= budget:
            kept.append(block)
            budget -= byte_size(block) + 2
    return kept


def scope_names(names: Sequence[str]) -> str:
    """Return the names of the replications."""
    return join([span(name) for name in names], 10)


def fold(summary: str, body: str, *, is_open: bool = False) -> str:
    """Return a collapsible section.

    Args:
        summary: HTML that is always visible.
        body: Markdown that is visible after a click.
        is_open: Whether the body is visible at first.
    """
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>\n\n{body}\n</details>"


def alert(kind: str, paragraphs: Iterable[str]) -> str:
    """Return one of GitHub's alert boxes."""
    lines = f"[!{kind}]\n{chr(10).join(paragraphs)}".split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def in_targets(view: RunView, targets: Sequence[str]) -> str:
    """Return the targets for the end of a line; nothing where the view has only one."""
    if len(view.targets) == 1:
        return ""
    is_everywhere = {target.label for target in view.targets} <= set(targets)
    return f"  ({f'all {view.place_word}s' if is_everywhere else ', '.join(targets)})"


def _spans(targets: Sequence[str]) -> str:
    return join([span(target) for target in targets], 6)


def counts_table(view: PlanView, limit: int = 0) -> str:
    """Return the counts by target, for the first `limit` targets, unless the sums say the same."""
    columns = view.columns
    if len(view.targets) == 1 or set(columns) <= {"in_sync"}:
        return ""
    titles = [word.replace("_", " ").capitalize() for word in (view.place_word, *columns)]
    rows = [f"| {' | '.join(titles)} |", f"|---|{'--:|' * len(columns)}"]
    shown = view.targets[:limit] if limit else view.targets
    for target in shown:
        cells = [_cell(word, target.summary.get(word, 0)) for word in columns]
        rows.append(f"| {' | '.join([_target(target), *cells])} |")
    if len(shown) < len(view.targets):
        rows.append(f"\n… and {len(view.targets) - len(shown):,} more {view.place_word}s.")
    table = "\n".join(rows)
    title = f"<b>Counts of {plural(len(view.targets), view.place_word)}</b>"
    return table if len(shown) <= _TABLE_ROWS else fold(title, table)


def _target(target: TargetView) -> str:
    notes = [" **incomplete**"] * (not target.complete) + [" **frozen**"] * target.frozen
    return span(target.label, table=True) + "".join(notes)


def _cell(word: str, number: int) -> str:
    is_bold = word in ("delete", "conflict", "invalid", "withheld") and number
    return f"**{number:,}**" if is_bold else f"{number:,}"


@dataclass(frozen=True, slots=True)
class Room:
    """The room of a page for its dangerous changes.

    Attributes:
        lines: The most lines outside of folds; the first change of a list is always shown.
        size: The most bytes of the changes; those that do not fit are counted.
        plan: The words for the document that lists all changes.
    """

    lines: float = OPEN_DANGERS
    size: float = math.inf
    plan: str = "the saved plan"


def dangers(view: PlanView, room: Room, reasons: int, *, detailed: bool = False) -> list[str]:
    """Return the alerts that list dangerous changes: first those that are made, then the withheld ones.

    Args:
        view: The view of the plan.
        room: The room for the changes.
        reasons: The most reasons of withheld changes.
        detailed: Whether the lists have attributes, and withheld changes that are not dangerous.
    """
    made = [change for change in view.dangerous if not change.withheld]
    held = [change for change in listed(view) if change.withheld and (detailed or change.is_dangerous)]
    found: list[str] = []
    if made:
        found, room = _changes_alert(
            "CAUTION", f"**{join(danger_counts(made))}.**", view, made, room, detailed=detailed
        )
    if view.withheld:
        rest = " The other changes are not affected." if view.withheld < len(view.changes) else ""
        items = cut([f"* {reason}" for reason in _reasons(view)], reasons, "more, all listed below.", "* …")
        title = "\n".join([f"**{plural(view.withheld, 'change')} withheld.**{rest}", "", *items])
        found += _changes_alert("WARNING", title, view, held, room, detailed=detailed)[0]
    return found


def _changes_alert(
    kind: str, text: str, view: PlanView, changes: Sequence[ChangeView], room: Room, *, detailed: bool
) -> tuple[list[str], Room]:
    """Return an alert with the first changes, a fold with the others, and the room that is left."""
    merged, size, items = merge_changes(changes, by_attributes=not detailed), room.size, []
    for change in merged:
        lines = _in_full(view, change) if detailed else [_in_one_line(view, change)]
        size -= sum(byte_size(line) + 3 for line in lines)
        if size < 0:
            break
        items.append(lines)
    first, used = 0, 0
    while first < len(items) and (not first or used + len(items[first]) <= room.lines):
        used += len(items[first])
        first += 1
    shown, folded = list(chain.from_iterable(items[:first])), list(chain.from_iterable(items[first:]))
    left, rest = merged[len(items) :], merged[first:]
    if items and rest:
        text += f"\n\nThe first {first:,} of {plural(len(merged), 'parameter')}:"
    uncounted = f"… and {len(left):,} more {_danger_name(left)}: {room.plan} lists them all." if left else ""
    found = [alert(kind, [text, *(["", fence(shown)] if shown else [])])]
    if folded:
        body = "\n\n".join(filter(None, [fence(folded), uncounted]))
        found.append(fold(f"<b>{len(rest):,} more {_danger_name(rest)}</b>", body))
    elif uncounted:
        found.append(uncounted)
    return found, Room(max(0, room.lines - used), max(0, size), room.plan)


def _reasons(view: PlanView) -> list[str]:
    """Return the reasons of the guards that withhold changes."""
    stated = [finding for finding in view.findings if finding.code in view.guards]
    unstated = sorted(view.guards - {finding.code for finding in stated})
    more = [f"Guard {span(guard)}: the reason is at each change." for guard in unstated]
    return [*(prose(finding.problem) for finding in stated), *more]


def incomplete_places(view: PlanView, limit: int) -> str:
    """Return the alert on places that were not listed completely."""
    notices = [f"**{notice.sentence(_spans)}** {notice.effect}" for notice in view.notices_of("incomplete")]
    return alert("WARNING", ["\n\n".join(cut(notices, limit, "more.", "…"))]) if notices else ""


def remedies(view: PlanView, limit: int) -> list[str]:
    """Return all reasons of withheld changes if they are many, and the YAML that lifts guards."""
    reasons = [f"* {reason}" for reason in _reasons(view)]
    more = fold("<b>All reasons of withheld changes</b>", "\n".join(reasons)) if len(reasons) > limit else ""
    found = [finding.remedy for finding in view.findings if finding.code in view.guards and finding.remedy]
    return [more, *lifts(found, view.created, limit)]


def lifts(remedies: Sequence[RemedyEntry], created: str, limit: int) -> list[str]:
    """Return the YAML that lifts guards. Its reason is empty, so that a person has to write it.

    Args:
        remedies: The remedies of the findings of guards.
        created: The time of the plan or report, from which the last day of a lift is counted.
        limit: The most entries that are open.
    """
    if not remedies:
        return []
    until = "YYYY-MM-DD"
    with suppress(ValueError, OverflowError):
        until = str(datetime.fromisoformat(created).date() + timedelta(days=LIFT_DAYS))
    lines = [
        f"  - {{guard: {json.dumps(one['guard'])}, target: {json.dumps(one['target'])},"
        f" count: {one['count']}, changes: {json.dumps(one['changes'])}, until: {json.dumps(until)},"
        ' reason: ""}'
        for one in remedies[:_LIFTS_SHOWN]
    ]
    intro = "To let withheld changes through, add to the spec, with a reason, and have the new plan reviewed:"
    block = f"{intro}\n\n{fence(['lifts:', *lines], 'yaml')}"
    if len(remedies) > _LIFTS_SHOWN:
        block += f"\n\nThe comment on the new plan has {len(remedies) - _LIFTS_SHOWN:,} more."
    if len(remedies) > limit:
        block = fold(f"<b>{len(remedies):,} entries of the spec</b> that let withheld changes through", block)
    return [block]


def notes(view: PlanView) -> str:
    """Return the notices on how the plan was made."""
    notices = view.notices_of("narrowed", "no-decrypt")
    return " ".join(n.sentence(lambda names: join([span(name) for name in names], 20)) for n in notices)


def details(
    view: PlanView, changes: Sequence[ChangeView], title: str, chunk: int = 0, *, is_open: bool = False
) -> list[str]:
    """Return changes with all their attributes as a fold, or as several of at most `chunk` parameters.

    Args:
        view: The view of the plan.
        changes: The changes.
        title: The title of the fold.
        chunk: The most parameters of a fold; 0 for one fold.
        is_open: Whether the fold is open.
    """
    merged = merge_changes(changes, by_attributes=False)
    parts = [merged[i : i + chunk] for i in range(0, len(merged), chunk)] if chunk else [merged]
    blocks = []
    for number, part in enumerate(parts if merged else (), 1):
        of = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
        lines = [line for change in part for line in _in_full(view, change)]
        blocks.append(fold(f"<b>{title}</b>{of}", fence(lines), is_open=is_open))
    return blocks


def _head(view: PlanView, merged: MergedChange, note: str = "", attributes: Sequence[str] = ()) -> str:
    """Return the line of a change: `note` after the name of its action, `attributes` before its targets."""
    change = merged.change
    kind = f"  [{change.kind}]" if change.kind else ""
    action = change.action.upper() if change.is_dangerous else change.action
    states = f"{', releases ownership' if change.releases else ''}{', WITHHELD' if change.withheld else ''}"
    states += f"{', already pending' if change.pending else ''}{' ' if attributes else ''}"
    where = in_targets(view, merged.targets)
    start = f"{MARKS.get(change.action, '!')} {change.name}{kind} {action}"
    return f"{start}{note}{states}{', '.join(attributes)}{where}"


def _in_one_line(view: PlanView, merged: MergedChange) -> str:
    """Return one change with the names of the attributes that differ, and where others changed it."""
    note = ": delete and create" if merged.change.action == "replace" else ""
    outside = merged.changed_outside
    at = "" if len(outside) == len(merged.same) else f" in {', '.join(outside)}"
    changed = f", changed outside{at}" if outside else ""
    return f"{_head(view, merged, note, merged.change.attributes)}{changed}"


def _in_full(view: PlanView, merged: MergedChange) -> list[str]:
    """Return one change with all its attributes, as lines of a diff; the attributes have no colour.

    Lines that are not the same in all targets are last, with the names of their targets.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for change in merged.same:
        for lines in (*_attributes(change), *((remark,) for remark in change.remarks)):
            found.setdefault(lines, []).append(change.target)
    result, partial = [_head(view, merged)], []
    for (first, *others), targets in found.items():
        if len(targets) == len(merged.same):
            result += [f"      {line}" for line in (first, *others)]
        else:
            partial += [f"      {line}" for line in (f"{first}{in_targets(view, targets)}", *others)]
    return result + partial


def _attributes(change: ChangeView) -> Iterator[tuple[str, ...]]:
    """Yield the lines of each attribute, or of each difference of an attribute that has several."""
    width = max((len(line.label) for line in change.lines), default=0)
    for line in change.lines:
        start = f"{line.label:<{width}}  "
        whole = start + line.phrase(is_new=change.is_new)
        if line.note or line.before is None or line.after is None or len(whole) <= WIDTH:
            yield (whole,)
        else:
            yield (f"{start}{line.before}", f"{' ' * (len(start) - 3)}-> {line.after}")


def _danger_name(changes: Sequence[MergedChange]) -> str:
    """Return `deletes and replacements`: the kinds that are among the changes."""
    actions = {merged.change.action for merged in changes}
    names = ["deletes"] * ("delete" in actions) + ["replacements"] * ("replace" in actions)
    names += ["exposed secrets"] * any(merged.change.exposes for merged in changes)
    return join(names) or "dangerous changes"


def listed(view: PlanView) -> list[ChangeView]:
    """Return the changes without the adoptions and the pending changes that have sections of their own."""
    return [c for c in view.changes if c.is_dangerous or not (c.action == "adopt" or c.pending)]


def other_changes(view: PlanView, *, withheld: bool) -> list[ChangeView]:
    """Return the creates, updates and retags that are not dangerous, those that are made or the withheld."""
    return [c for c in listed(view) if c.withheld is withheld and not c.is_dangerous]


def overview(view: PlanView, *, by_name: bool) -> tuple[list[str], bool]:
    """Return the changes that are not dangerous, and whether each parameter has a line.

    `by_name`: a line for each parameter is allowed; many parameters are grouped by path.
    """
    blocks, is_complete = [], True
    for withheld in (True, False):
        changes = other_changes(view, withheld=withheld)
        lines = one_line_each(view, changes) if by_name else []
        is_complete &= by_name and len(lines) <= _OVERVIEW_LINES
        for limit in () if by_name and len(lines) <= _OVERVIEW_LINES else (24, 12, 6, 3, 1):
            lines = _pattern_lines(changes, ("update", "create", "retag"), limit)
            if len(lines) <= _OVERVIEW_LINES:
                break
        if lines:
            blocks.append(fold(f"<b>{title(view, withheld=withheld)}</b>", fence(lines), is_open=True))
    return blocks, is_complete


def title(view: PlanView, *, withheld: bool = False) -> str:
    """Return the title of the changes that are not dangerous."""
    if withheld:
        return "Withheld changes"
    return "Other changes" if view.dangerous or view.withheld else "Changes"


def one_line_each(view: PlanView, changes: Iterable[ChangeView]) -> list[str]:
    """Return a line for each parameter."""
    return [_in_one_line(view, change) for change in merge_changes(changes)]


def _pattern_lines(changes: Iterable[ChangeView], actions: Iterable[str], limit: int) -> list[str]:
    """Return one line for the names of one path that have the same action and are withheld alike."""
    found: dict[tuple[str, bool], list[str]] = {}
    for change in changes:
        found.setdefault((change.action, change.withheld), []).append(change.name)
    lines = []
    for action, withheld in ((action, withheld) for action in actions for withheld in (False, True)):
        names = found.get((action, withheld), [])
        for path in path_patterns(names, limit):
            inside = set(path.names)
            total = sum(name in inside for name in names)
            many = f"  ({plural(total, 'change')})" if total != len(inside) else ""
            state = ", WITHHELD" if withheld else ""
            lines.append(f"{MARKS.get(action, '!')} {path}  {action}{state}{many}")
    return lines


def adoptions(view: PlanView, limit: int) -> str:
    """Return the adoptions, by path: only their tags change."""
    changes = [c for c in view.changes if c.action == "adopt" and not (c.is_dangerous or c.is_pending_only)]
    if not changes:
        return ""
    names = plural(len({change.name for change in changes}), "parameter")
    title = f"<b>Adoptions</b> ({names}, already equal: only tags are written)"
    return fold(title, fence(_pattern_lines(changes, ("adopt",), limit)))


def pending_changes(view: PlanView, limit: int) -> str:
    """Return the changes that the previous spec makes too: folded, since they are not under review."""
    changes = [change for change in view.changes if change.is_pending_only]
    if not changes:
        return ""
    lines = one_line_each(view, changes)
    if len(lines) > limit:
        lines = _pattern_lines(changes, ("update", "create", "retag", "adopt"), limit)
    title = f"<b>Already pending</b> ({plural(len(changes), 'change')} that the previous spec makes too)"
    return fold(title, fence(lines))


def dropped_changes(view: PlanView, limit: int) -> str:
    """Return the changes that only the previous spec makes."""
    if not view.dropped:
        return ""
    lines = one_line_each(view, view.dropped)
    if len(lines) > limit:
        lines = _pattern_lines(view.dropped, dict.fromkeys(c.action for c in view.dropped), limit)
    total = plural(len(view.dropped), "change")
    return fold(f"<b>No longer made</b> ({total} that only the previous spec makes)", fence(lines))


def left_alone(view: RunView, limit: int) -> list[str]:
    """Return the addresses without a change, a block for each kind, grouped by their reason."""
    blocks = []
    for key, kind in KINDS.items():
        groups = [group for group in view.groups if group.kind == key]
        if groups:
            title = f"<b>{kind.title(sum(group.size for group in groups))}</b>"
            is_open = key == "invalid" and sum(group.size for group in groups) <= _OPEN_ITEMS
            blocks.append(fold(title, by_reason(view, groups, limit), is_open=is_open))
    return blocks


def by_reason(view: RunView, groups: Sequence[AddressGroup], limit: int, *, labelled: bool = False) -> str:
    """Return one item for each reason, with its names.

    Args:
        view: The view of the plan or report.
        groups: The addresses, grouped by reason.
        limit: The most reasons, and the most names of a reason.
        labelled: Whether each item begins with its kind.
    """
    parts = []
    for group in groups[:limit]:
        label = f"{prose(group.kind)}: " if labelled else ""
        lines = []
        for name, targets, conflict in group.entries(is_public=True):
            note = f"  {conflict.writer}" if conflict and conflict.writer else ""
            lines.append(f"{name}{in_targets(view, targets)}{note}")
            lines += [f"  {line}" for line in conflict.text_lines()] if conflict else []
        if len(group.names) > limit:
            lines = [str(path) for path in path_patterns(group.names, limit)]
        block = fence(lines, "text").replace("\n", "\n  ")
        parts.append(f"* {label}{prose(group.reason) or 'no reason stated'}\n\n  {block}")
    if len(groups) > limit:
        parts.append(f"… and {plural(len(groups) - limit, 'more reason', 'more reasons')}.")
    return "\n\n".join(parts)


def findings(items: Sequence[FindingView], limit: int, *, is_open: bool = False) -> str:
    """Return the findings, errors first. The flag that lifts a guard is not for a comment: see `lifts`.

    Args:
        items: The findings.
        limit: The most findings that are shown.
        is_open: Whether they are open also without an error.
    """
    if not items:
        return ""
    lines = []
    for finding in items[:limit]:
        where = f" ({_spans(finding.where)})" if finding.where else ""
        lines.append(f"* **{prose(finding.severity)}** {span(finding.code)}: {prose(finding.problem)}{where}")
    if len(items) > limit:
        lines.append(f"* … and {len(items) - limit:,} more.")
    title = f"<b>{plural(len(items), 'finding')}</b>"
    is_open |= len(items) <= _OPEN_ITEMS and any(finding.severity == "error" for finding in items)
    return fold(title, "\n".join(lines), is_open=is_open)
