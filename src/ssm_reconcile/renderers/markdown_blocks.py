"""View -> the blocks of a Markdown page. `markdown` and `drift_issue` choose among them.

Each block is complete: its fences and folds are closed, so a page can leave it out but not cut it. Names
and values appear in fences and code only; sentences of others pass word by word through `prose`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from ssm_reconcile.documents import RemedyEntry
from ssm_reconcile.encoding import utf8
from ssm_reconcile.renderers.changes import BY_DANGER, ChangeView, MergedChange, merge_changes
from ssm_reconcile.renderers.escaping import code, fence, prose, span
from ssm_reconcile.renderers.groups import KINDS, AddressGroup, FindingView, path_patterns
from ssm_reconcile.renderers.view import PlanView, RunView, TargetView
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
NAMED = 10
"""Deletes and replacements that the alert at the top names; all of them are listed below."""
OPEN_DANGERS = 60
"""Dangerous changes that are listed open; the others are folded below them."""
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


def _is_everywhere(view: RunView, targets: Sequence[str]) -> bool:
    return {target.label for target in view.targets} <= set(targets)


def in_targets(view: RunView, targets: Sequence[str]) -> str:
    """Return the targets for the end of a line; nothing where the view has only one."""
    if len(view.targets) == 1:
        return ""
    where = f"all {view.place_word}s" if _is_everywhere(view, targets) else ", ".join(targets)
    return f"  ({where})"


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


def danger_alert(view: PlanView, changes: Sequence[MergedChange], *, named: bool) -> str:
    """Return the alert on deletes, replacements and exposed secrets.

    Args:
        view: The view of the plan.
        changes: The dangerous changes.
        named: Whether the alert names the parameters, if there are few.
    """
    sentences = [f"**{join(view.danger_counts)}.**"]
    if named and len(changes) <= NAMED:
        sentences.append("; ".join(_danger(view, change) for change in changes) + ".")
        sentences += [
            f"{span(merged.change.name)} in {_spans(outside)} was last changed outside ssm-reconcile."
            for merged in changes
            if (outside := merged.changed_outside)
        ]
    else:
        sentences.append("Listed below.")
    return alert("CAUTION", [" ".join(sentences)])


def _danger(view: PlanView, merged: MergedChange) -> str:
    change = merged.change
    verb = {"delete": "is deleted from", "replace": "is replaced in"}.get(change.action, "changes in")
    if change.exposes:
        verb = f"becomes plain text and {verb}" if change.action == "replace" else "becomes plain text in"
    everywhere = len(merged.targets) > 2 and _is_everywhere(view, merged.targets)  # noqa: PLR2004 - name both
    where = f"all {view.place_word}s" if everywhere else _spans(merged.targets)
    return f"{span(change.name)} {verb} {where}{' (withheld)' if change.withheld else ''}"


def warnings(view: PlanView, limit: int) -> list[str]:
    """Return the alerts on incomplete places and on changes that guards withhold."""
    blocks = []
    incomplete = [
        f"**{notice.sentence(_spans)}** {notice.effect}" for notice in view.notices_of("incomplete")
    ]
    if incomplete:
        blocks.append(alert("WARNING", ["\n\n".join(cut(incomplete, limit, "more.", "…"))]))
    if view.withheld:
        stated = [finding for finding in view.findings if finding.code in view.guards]
        reasons = [prose(finding.problem) for finding in stated]
        unstated = view.guards - {finding.code for finding in view.findings}
        reasons += [f"Guard {span(g)}: the reason is at each change." for g in sorted(unstated)]
        title = f"**{plural(view.withheld, 'change')} withheld.** The other changes are not affected."
        items = [f"* {reason}" for reason in reasons]
        blocks.append(alert("WARNING", [title, "", *cut(items, limit, "more, all listed below.", "* …")]))
        if len(items) > limit:
            blocks.append(fold("<b>All reasons of withheld changes</b>", "\n".join(items)))
        blocks += lifts([finding.remedy for finding in stated if finding.remedy], view.created, limit)
    return blocks


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


def by_target(view: PlanView, chunk: int = 0) -> list[str]:
    """Return all changes in full, one block a target, or several of at most `chunk` changes.

    The targets with a dangerous change come first. Targets with exactly the same changes share a block.
    """
    blocks = []
    dangerous = {change.target for change in view.dangerous}
    merged: dict[tuple[ChangeView, ...], list[str]] = {}
    for target in sorted(view.targets, key=lambda one: one.label not in dangerous):
        shown = (
            replace(change, target="")
            for change in view.changes
            if change.target == target.label and change.action != "adopt" and not change.is_pending_only
        )
        merged.setdefault(tuple(shown), []).append(target.label)
    for changes, targets in merged.items():
        step = chunk or len(changes) or 1
        parts = [changes[i : i + step] for i in range(0, len(changes), step)]
        for number, part in enumerate(parts, 1):
            title = f"<b>{join([code(target) for target in targets], 6)}</b>: {_tally(part)}"
            title += " in each" if len(targets) > 1 else ""
            title += f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
            lines = [line for change in part for line in _in_full(change)]
            blocks.append(fold(title, fence(lines), is_open=True))
    return blocks


def _tally(changes: Iterable[ChangeView]) -> str:
    """Return `1 delete, 2 create`, the most dangerous action first."""
    counts = Counter(change.action for change in changes)
    known = [word for word in BY_DANGER if word in counts]
    return ", ".join(f"{counts[word]:,} {word}" for word in (*sorted(set(counts) - set(known)), *known))


def _head(change: ChangeView, mark: str = "", step: str = "") -> str:
    """Return the line of a change. `mark` and `step`: those of one step of a replacement."""
    kind = f"  [{change.kind}]" if change.kind else ""
    action = change.action.upper() if change.is_dangerous else change.action
    if change.action == "replace":
        action += f": {step or 'delete and create'}"
    notes = f"{', releases ownership' if change.releases else ''}{', WITHHELD' if change.withheld else ''}"
    notes += ", already pending" if change.pending else ""
    return f"{mark or MARKS.get(change.action, '!')} {change.name}{kind} {action}{notes}"


def _in_full(change: ChangeView) -> list[str]:
    """Return one change with all its attributes, as lines of a diff; the attributes have no colour."""
    lines = [_head(change)]
    if change.action == "replace":
        lines = [_head(change, "-", "delete"), _head(change, "+", "create")]
    width = max((len(line.label) for line in change.lines), default=0)
    for line in change.lines:
        start = f"      {line.label:<{width}}  "
        whole = start + line.phrase(is_new=change.is_new)
        if line.note or line.before is None or line.after is None or len(whole) <= WIDTH:
            lines.append(whole)
        else:
            lines += [f"{start}{line.before}", f"{' ' * (len(start) - 3)}-> {line.after}"]
    return lines + [f"      {remark}" for remark in change.remarks]


def _in_one_line(view: PlanView, merged: MergedChange) -> str:
    attributes = ", ".join(merged.change.attributes)
    head = f"{_head(merged.change)}{' ' if attributes else ''}{attributes}"
    return f"{head}{in_targets(view, merged.targets)}"


def danger_list(
    view: PlanView,
    changes: Sequence[MergedChange],
    shown: int = OPEN_DANGERS,
    *,
    budget: float = math.inf,
    plan: str = "the saved plan",
) -> list[str]:
    """Return the dangerous changes, one line each: the first `shown` open, the others collapsed.

    Args:
        view: The view of the plan.
        changes: The dangerous changes.
        shown: The most lines outside the collapsed section.
        budget: The most bytes of the lines; the changes that do not fit are counted.
        plan: The words for the document that lists all of them.
    """
    lines = []
    for change in changes:
        line = _in_one_line(view, change)
        budget -= byte_size(line) + 1
        if budget < 0:
            break
        lines.append(line)
    left = changes[len(lines) :]
    uncounted = f"… and {len(left):,} more {_danger_name(left)}: {plan} lists them all." if left else ""
    if not lines:
        return [uncounted]
    name, total = _danger_name(changes), plural(len(changes), "parameter")
    rest = changes[len(lines[:shown]) :]
    title = f"<b>{name.capitalize()}</b> ({total}{f', the first {len(lines[:shown])} here' if rest else ''})"
    blocks = [fold(title, fence(lines[:shown]), is_open=True)]
    if rest:
        body = "\n\n".join(filter(None, [fence(lines[shown:]) if lines[shown:] else "", uncounted]))
        blocks.append(fold(f"<b>{len(rest):,} more {_danger_name(rest)}</b>", body))
    return blocks


def _danger_name(changes: Sequence[MergedChange]) -> str:
    """Return `deletes and replacements`: the kinds that are among the changes."""
    actions = {merged.change.action for merged in changes}
    names = ["deletes"] * ("delete" in actions) + ["replacements"] * ("replace" in actions)
    names += ["exposed secrets"] * any(merged.change.exposes for merged in changes)
    return join(names) or "dangerous changes"


def _other_changes(view: PlanView) -> list[ChangeView]:
    """Return the creates, updates and retags that are not dangerous and not folded as already pending."""
    return [c for c in view.changes if c.action != "adopt" and not (c.is_dangerous or c.is_pending_only)]


def overview(view: PlanView, *, by_name: bool) -> tuple[str, bool]:
    """Return the changes that are not dangerous, and whether each parameter has a line.

    `by_name`: a line for each parameter is allowed; many parameters are grouped by path.
    """
    changes = _other_changes(view)
    lines = [_in_one_line(view, merged) for merged in merge_changes(changes)] if by_name else []
    is_complete = by_name and len(lines) <= _OVERVIEW_LINES
    for limit in () if is_complete else (24, 12, 6, 3, 1):
        lines = _pattern_lines(changes, ("update", "create", "retag"), limit)
        if len(lines) <= _OVERVIEW_LINES:
            break
    title = f"<b>{'Other changes' if view.dangerous else 'Changes'}</b> ({plural(len(changes), 'change')})"
    return fold(title, fence(lines), is_open=True) if lines else "", is_complete


def by_path(view: PlanView, limit: int = 12) -> list[str]:
    """Return creates, updates and retags by path, one line a parameter, with the targets merged."""
    changes = _other_changes(view)
    blocks = []
    for path in path_patterns((change.name for change in changes), limit):
        names = set(path.names)
        inside = [change for change in changes if change.name in names]
        lines = [_in_one_line(view, merged) for merged in merge_changes(inside)]
        blocks.append(fold(f"{code(path.path)}: {_tally(inside)}", fence(lines)))
    return blocks


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
    lines = [_in_one_line(view, merged) for merged in merge_changes(changes)]
    if len(lines) > limit:
        lines = _pattern_lines(changes, ("update", "create", "retag", "adopt"), limit)
    title = f"<b>Already pending</b> ({plural(len(changes), 'change')} that the previous spec makes too)"
    return fold(title, fence(lines))


def dropped_changes(view: PlanView, limit: int) -> str:
    """Return the changes that only the previous spec makes."""
    if not view.dropped:
        return ""
    lines = [_in_one_line(view, merged) for merged in merge_changes(view.dropped)]
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
        lines = [f"{name}{in_targets(view, targets)}" for name, targets in group.names.items()]
        if len(lines) > limit:
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
