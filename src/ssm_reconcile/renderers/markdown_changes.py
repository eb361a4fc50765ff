"""Changes of a plan -> blocks of Markdown: alerts with the dangerous changes, a fold for each other group.

`outline.py` has the groups. A change of several targets is one entry, also if its attributes differ: what
holds for some of the targets only has their names.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, groupby

from ssm_reconcile.renderers.changes import ChangeView
from ssm_reconcile.renderers.escaping import code, fence, prose, span
from ssm_reconcile.renderers.markdown_blocks import (
    REASONS_SHOWN,
    alert,
    byte_size,
    fold,
    guard_items,
    in_targets,
)
from ssm_reconcile.renderers.outline import (
    ChangeGroup,
    ListedChange,
    kind_of,
    merge_targets,
    outline_changes,
)
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.wording import cut, join, plural

MARKS = {"delete": "-", "replace": "-", "create": "+", "adopt": "="}
"""First character of a line in a diff block; a change of an existing parameter gets `!`.

GitHub colours the line by it: red is only a line on a parameter that is deleted.
"""
WIDTH = 100
"""Characters of a line, above which an attribute has its old and its new value on a line each."""
OPEN_DANGERS = 60
"""Lines with dangerous changes that the alerts show; the other changes are folded below."""
LISTED = 20
"""Changes of a group that are listed where attributes are folded; more are path patterns."""
PATTERNS = 12
"""Path patterns of a group."""
_INDENT = " " * 6
_GROUP_LINES = 3
"""Lines of a group in an alert: its title and the ends of its block."""


@dataclass(frozen=True, slots=True)
class Room:
    """The room of a page for its dangerous changes.

    Attributes:
        lines: The most lines outside of folds; the first change is always shown.
        size: The most bytes of the changes; those that do not fit are counted.
        plan: The words for the document that lists all changes.
    """

    lines: float = OPEN_DANGERS
    size: float = math.inf
    plan: str = "the saved plan"


class ChangeBlocks:
    """The blocks with the changes of one plan.

    `listed` are the dangerous changes and the `others`: all but the adoptions, and but the `pending` changes,
    which the previous spec makes too. Adoptions and pending changes that are dangerous are listed.
    """

    def __init__(self, view: PlanView) -> None:
        self._view = view
        self._whole = {(change.target, change.name): change for change in view.changes}
        self._known: dict[tuple[int, int | None, int, bool], tuple[object, tuple[ChangeGroup, ...]]] = {}
        dangerous = [change for change in view.changes if kind_of(change).is_dangerous]
        rest = [change for change in view.changes if not kind_of(change).is_dangerous]
        self.pending = [replace(change, pending=False) for change in rest if change.pending]
        self.adoptions = [change for change in rest if change.action == "adopt" and not change.pending]
        self.others = [change for change in rest if change.action != "adopt" and not change.pending]
        self.listed = [*dangerous, *self.others]
        self.made = [change for change in self.others if not change.withheld]
        self._made_dangers = [change for change in dangerous if not change.withheld]
        self._withheld = {
            False: [change for change in dangerous if change.withheld],
            True: [change for change in self.listed if change.withheld],
        }

    def is_grouped(self) -> bool:
        """Return whether a fold of the others has path patterns in place of names."""
        return any(group.patterns for group in self._groups(self.others, LISTED))

    def folds(
        self,
        changes: Sequence[ChangeView],
        limit: int | None = LISTED,
        *,
        patterns: int = PATTERNS,
        detailed: bool = False,
        chunk: int = 0,
        is_open: bool = True,
    ) -> list[str]:
        """Return a fold for each group of changes.

        Args:
            changes: The changes.
            limit: The most changes of one kind that are listed; None for all.
            patterns: The most path patterns of a group.
            detailed: Whether all attributes are shown.
            chunk: The most entries of a fold; 0 for no limit.
            is_open: Whether the folds are open.
        """
        blocks = []
        for group in self._groups(changes, limit, patterns, detailed=detailed):
            entries = self._entries(group, detailed=detailed)
            parts = [
                entries[i : i + (chunk or len(entries))]
                for i in range(0, len(entries), chunk or len(entries))
            ]
            for number, part in enumerate(parts, 1):
                of = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
                lines = list(chain.from_iterable(part))
                body = "\n\n".join(filter(None, [_reasons(group), fence(lines)]))
                blocks.append(fold(f"<b>{_title(group, code)}</b>{of}", body, is_open=is_open))
        return blocks

    def alerts(self, room: Room, reasons: int, *, detailed: bool = False) -> list[str]:
        """Return the alerts that list dangerous changes: first those that are made, then the withheld ones.

        Args:
            room: The room for the changes.
            reasons: The most reasons of withheld changes.
            detailed: Whether the lists have attributes, and withheld changes that are not dangerous.
        """
        found: list[str] = []
        if self._made_dangers:
            found, room = self._alert("CAUTION", [], self._made_dangers, room, detailed=detailed)
        if self._view.withheld:
            total = self._view.withheld
            rest = " The other changes are not affected." if total < len(self._view.changes) else ""
            items = guard_items(self._view)
            below = "all" if len(items) <= REASONS_SHOWN else f"the first {REASONS_SHOWN}"
            items = cut(items, reasons, f"more, {below} listed below.", "* …")
            text = "\n".join([f"**{plural(total, 'change')} withheld.**{rest}", "", *items])
            found += self._alert("WARNING", [text], self._withheld[detailed], room, detailed=detailed)[0]
        return found

    def _alert(
        self, kind: str, parts: list[str], changes: Sequence[ChangeView], room: Room, *, detailed: bool
    ) -> tuple[list[str], Room]:
        """Return an alert with the first changes, a fold with the others, and the room that is left."""
        entries: list[_Entry] = []
        sizes, heights = [], []
        for group in self._groups(changes, None, detailed=detailed):
            for number, entry in enumerate(self._entries(group, detailed=detailed)):
                # A group that is shown in part has its title twice.
                head = 0 if number else 2 * byte_size(_heading(group, 0)) + 40
                entries.append((group, entry))
                sizes.append(head + sum(byte_size(line) + 3 for line in entry))
                heights.append(len(entry) + (0 if number else _GROUP_LINES))
        fitting = bisect(list(accumulate(sizes)), room.size)
        first = min(fitting, max(1, bisect(list(accumulate(heights)), room.lines)))
        left, lists = entries[fitting:], _lists(entries[:first])
        uncounted = [f"… and {_more(left, span)}: {room.plan} lists them all."] if left else []
        folded = _lists(entries[first:fitting])
        found = [alert(kind, ["\n\n".join([*parts, *lists, *(() if folded else uncounted)])])]
        if folded:
            body = "\n\n".join([*folded, *uncounted])
            found.append(fold(f"<b>{_more(entries[first:], code)}</b>", body))
        lines = max(0, room.lines - sum(heights[:first]))
        return found, Room(lines, max(0, room.size - sum(sizes)), room.plan)

    def _groups(
        self,
        changes: Sequence[ChangeView],
        limit: int | None,
        patterns: int = PATTERNS,
        *,
        detailed: bool = False,
    ) -> tuple[ChangeGroup, ...]:
        """Return the groups of changes, in which equal changes may differ in values, in detail in attributes.

        A page of many changes is made several times, so the groups are kept for each list. The list is kept,
        too, so that no other list gets its id.
        """
        key = (id(changes), limit, patterns, detailed)
        if key not in self._known:
            plain = (_without_values(change, detailed=detailed) for change in changes)
            self._known[key] = (changes, outline_changes(merge_targets(plain), limit, patterns))
        return self._known[key][1]

    def _entries(self, group: ChangeGroup, *, detailed: bool) -> list[list[str]]:
        """Return the lines of each change of a group, then of each path pattern."""
        shared = group.shared_last_change()
        entries = [self._entry(group, one, shared, detailed=detailed) for one in group.listed]
        for pattern in group.patterns:
            names = len(pattern.path.names)
            many = f"  ({plural(pattern.size, 'change')})" if pattern.size != names else ""
            entries.append([f"{_mark(pattern.changes[0])} {pattern.path}{many}"])
        return entries

    def _entry(self, group: ChangeGroup, one: ListedChange, shared: str, *, detailed: bool) -> list[str]:
        """Return one change as lines of a diff; its attributes have no colour. `shared` is left out.

        Lines that do not hold for all of its targets are last, with the names of their targets.
        """
        change, total = one.change, len(one.members)
        kind = f"  [{change.kind}]" if change.kind else ""
        attributes = f" {', '.join(change.attributes)}" if change.attributes else ""
        head = f"{_mark(one)} {change.name}{kind}{attributes}{in_targets(self._view, one.targets)}"
        if not detailed:
            outside = [member.target for member in one.members if member.changed_outside]
            at = f" in {', '.join(outside)}" if len(outside) < total else ""
            return [f"{head}, changed outside{at}" if outside else head]
        found: dict[tuple[str, ...], list[str]] = {}
        own: dict[tuple[str, ...], tuple[str, ...]] = {}
        for member in one.members:
            whole = self._whole[member.target, member.name]
            reasons = [(reason,) for reason in change.reasons if reason not in _shared_reasons(group)]
            rest = ((whole.last_change,), *reasons)
            of_all, of_one = ((*_attributes(each), *rest) for each in (whole.as_shared, whole))
            for lines, unshared in zip(of_all, of_one, strict=True):
                if lines == (shared,):
                    continue
                found.setdefault(lines, []).append(member.target)
                own[lines] = unshared
        result, partial = [head], []
        for common, targets in found.items():
            lines = common if len(targets) > 1 else own[common]
            if not any(lines):
                continue
            if len(targets) == total:
                result += [f"{_INDENT}{line}" for line in lines]
            elif len(lines) == 1:
                partial.append(f"{_INDENT}{lines[0]}{in_targets(self._view, targets)}")
            else:
                partial += [f"{_INDENT}{', '.join(targets)}:", *(f"{_INDENT}{line}" for line in lines)]
        return result + partial


_Entry = tuple[ChangeGroup, list[str]]


def _without_values(change: ChangeView, *, detailed: bool) -> ChangeView:
    names_attributes = change.action in ("update", "retag") and not detailed
    last = change.last_change if detailed else ""
    return replace(
        change,
        lines=(),
        common_lines=(),
        attributes=change.attributes if names_attributes else (),
        last_change=last,
    )


def _mark(one: ListedChange) -> str:
    return MARKS.get(one.change.action, "!")


def _title(group: ChangeGroup, quote: Callable[[str], str]) -> str:
    """Return `Delete: 11, withheld by max-deletes`; `quote` is for the texts of others."""
    by = f" by {join([quote(guard) for guard in group.guards])}" if group.guards else ""
    states = f"{f', withheld{by}' if group.withheld else ''}{', already pending' if group.pending else ''}"
    kind = group.kind.title if group.kind.rank >= 0 else quote(group.kind.title)
    return f"{kind}: {group.size:,}{states}"


def _shared_reasons(group: ChangeGroup) -> tuple[str, ...]:
    """Return the reasons that the title of a group shows: those of all its changes."""
    return group.reasons or (group.changes[0].change.reasons if len(group.changes) == 1 else ())


def _reasons(group: ChangeGroup) -> str:
    return prose(
        "; ".join(filter(None, [group.kind.effect, *_shared_reasons(group), group.shared_last_change()]))
    )


def _heading(group: ChangeGroup, shown: int) -> str:
    """Return the title and the reasons of a group of which `shown` changes are listed."""
    total, reasons = len(group.changes), _reasons(group)
    here = f", {shown:,} of {plural(total, 'parameter')} here" if shown < total else ""
    return f"**{_title(group, span)}**{here}{f' ({reasons})' if reasons else ''}"


def _lists(entries: Iterable[_Entry]) -> list[str]:
    """Return the heading and the list of each group."""
    blocks = []
    for _, same in groupby(entries, key=lambda entry: id(entry[0])):
        part = list(same)
        blocks += [_heading(part[0][0], len(part)), fence([line for _, lines in part for line in lines])]
    return blocks


def _more(entries: Iterable[_Entry], quote: Callable[[str], str]) -> str:
    """Return `240 more parameters to delete and 1 more parameter to replace`."""
    counts = Counter(group.kind for group, _ in entries)
    words = {kind: kind.word if kind.rank >= 0 else quote(kind.word) for kind in counts}
    return join([f"{plural(number, 'more parameter')} to {words[kind]}" for kind, number in counts.items()])


def _attributes(change: ChangeView) -> Iterator[tuple[str, ...]]:
    """Yield the lines of each attribute; only its first line has the label."""
    # The first line of a change shows both types.
    chosen = [line for line in change.public_lines if line.label != "type" or " -> " not in change.kind]
    width = max((len(line.label) for line in chosen), default=0)
    for label, same in groupby(chosen, key=lambda line: line.label):
        lines = [text for line in same for text in line.texts(is_new=change.is_new, width=WIDTH - width)]
        yield tuple(f"{'' if number else label:<{width}}  {line}" for number, line in enumerate(lines))
