"""View of a plan -> plain text for a terminal: the sums, then the changes by danger, then what is left alone.

The reasons of withheld changes are among the sums. A plan of many changes has at most LINES lines: less
detail is chosen until it fits. Columns are aligned where they fit; on a narrow terminal each change takes a
line for its name and more below. Names and values are never broken, so they can be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.renderers.changes import AttributeLine
from ssm_reconcile.renderers.groups import all_but
from ssm_reconcile.renderers.outline import (
    ChangeGroup,
    ChangePattern,
    ListedChange,
    outline_changes,
)
from ssm_reconcile.renderers.plan_summary_text import WITHHELD, Extent, PlanDetail, PlanSummaryText
from ssm_reconcile.renderers.terminal_text import LONGEST_NAME, add_findings, add_groups
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.wording import first_of, join, plural

SIGNS = {
    "delete": "-", "replace": "!", "expose": "*", "older secret": "^", "take over": ">", "release": "<",
    "mark": "x", "update": "~", "create": "+", "adopt": "=", "retag": "@",
}  # fmt: skip
_CELLS = (LONGEST_NAME, 40, 40)
"""The widest columns of a change: its name, its types, its targets."""
LINES = 150
"""Lines of a grouped text at 100 columns or more, if at most LISTED changes are dangerous."""


_FULL = PlanDetail(listed=None, guards=10_000, others=None, names=None, findings=None)
_SHORT = PlanDetail(
    0,
    3,
    40,
    is_divided=False,
    attributes=False,
    remarks=False,
    targets=8,
    guards=1,
    others=0,
    names=0,
    findings=1,
)
_LADDER = (
    PlanDetail(),
    PlanDetail(patterns=20, others=10, names=10, findings=10),
    PlanDetail(patterns=20, parts=2, others=10, names=10, findings=10),
    PlanDetail(
        patterns=12, dangers=60, attributes=False, targets=20, guards=3, others=4, names=6, findings=6
    ),
    PlanDetail(0, 6, 40, attributes=False, targets=12, guards=2, others=2, names=3, findings=3),
    _SHORT,
    replace(_SHORT, patterns=2, dangers=20, wraps=False),
)
"""The levels of detail of a grouped text, the most detailed first."""


def plan_text(
    view: PlanView,
    *,
    width: int = 120,
    color: bool = False,
    apply_command: str | None = None,
    extent: Extent = "grouped",
) -> str:
    """Return a plan for a terminal.

    Args:
        view: The plan.
        width: Columns of the terminal.
        color: Whether to add colours.
        apply_command: The command that applies the plan, without `--expect-plan`; empty names none. None
            makes it from the narrowing and the mode of the plan.
        extent: The part of the plan that is shown.
    """
    limit = LINES * max(1, 100 // max(width, 20))
    details = {"full": (_FULL,), "summary": _LADDER[:1]}.get(extent, _LADDER)
    pages = (_PlanText(view, detail, width, extent, apply_command, color=color) for detail in details)
    page = next(pages)
    while len(page.lines) > limit and (shorter := next(pages, None)):
        page = shorter
    return page.text()


class _PlanText(PlanSummaryText):
    """The lines of one plan in one level of detail."""

    def __init__(
        self,
        view: PlanView,
        detail: PlanDetail,
        width: int,
        extent: Extent,
        apply_command: str | None,
        *,
        color: bool,
    ) -> None:
        super().__init__(view, detail, width, color=color)
        self._notes: tuple[str, ...] = ()  # the reasons of the group above
        self._follows_withheld = False
        self.add_summary(extent)
        if extent != "summary":
            self.add_changes()
            self.add_rest()
        self.add_apply_command(apply_command)

    def add_changes(self) -> None:
        """Add the legend and the groups of changes."""
        detail = self.detail
        groups = outline_changes(
            self.view.merged, detail.listed, detail.patterns, detail.dangers, is_divided=detail.is_divided
        )
        if not groups:
            return
        legend = {SIGNS.get(group.kind.word, "?"): group.kind.word for group in groups}
        legend |= {WITHHELD: "WITHHELD"} if any(group.withheld for group in groups) else {}
        if len(legend) > 1:
            self.add()
        entries = [f"{sign} {word}" for sign, word in legend.items()]
        for line in self.packed("", entries if len(entries) > 1 else [], "   "):
            signs = (f"{self.paint(one[0], one[0])}{one[1:]}" for one in line.split("   "))
            self.lines.append("   ".join(signs))
        for _, same in groupby(groups, key=lambda group: group.kind):
            of_kind = list(same)
            shared = _shared_reasons(of_kind)
            for number, group in enumerate(of_kind):
                self._add_group(group, shared, is_first=not number)
                self.is_cut |= bool(group.patterns)

    def _add_group(self, group: ChangeGroup, shared: Sequence[str], *, is_first: bool) -> None:
        """Add a group of changes.

        Args:
            group: The group.
            shared: The reasons that all groups of its kind share.
            is_first: Whether it is the first group of its kind, which has the effect and those reasons.
        """
        state = ", WITHHELD" * group.withheld + f" by {join(group.guards)}" * bool(group.guards)
        state += ", not withheld" * (self._follows_withheld and not is_first and not group.withheld)
        state += ", already pending" * group.pending
        self._follows_withheld = group.withheld
        common = shared if self.detail.remarks else ()
        notes = [one for one in group.reasons if one not in shared] if self.detail.remarks else []
        self.is_cut |= bool(group.reasons) and not self.detail.remarks
        last = group.shared_last_change(with_age=self.detail.attributes) if self.detail.remarks else ""
        notes += [last] if last else []
        title = f"{group.kind.title}{state}: {group.size:,}"
        note = self._note(group, common, notes, is_first=is_first)
        colour = WITHHELD if group.withheld else "bold"
        self.add()
        if len(f"{title}   {note}") <= self.width:
            self.lines.append(f"{self.paint(title, colour)}   {note}".rstrip())
        else:
            self.add(title, hang=2, colour=colour)
            if note:
                self.add(note, indent=2, hang=2)
        sign = SIGNS.get(group.kind.word, "?")
        mark = f" {self.paint(WITHHELD, WITHHELD) if group.withheld else ' '}{self.paint(sign, sign)} "
        listed = [(one, (one.change.name, one.change.kind, self._where(one.targets))) for one in group.listed]
        patterns = [self._pattern_cells(one) for one in group.patterns]
        widths = [
            min(limit, max(map(len, cells)))
            for limit, *cells in zip(_CELLS, *(cells for _, cells in listed), *patterns, strict=True)
        ]
        for cells in patterns:
            self._add_row(mark, self._row(cells, widths), cells)
        for one, cells in listed:
            remarks = [*(() if last else self._last_changes(one)), *self._reasons(one, group, shared)]
            self._add_change(mark, one, cells, widths, remarks)

    def _note(
        self, group: ChangeGroup, shared: Sequence[str], notes: Sequence[str], *, is_first: bool
    ) -> str:
        """Return the effect of a group and its reasons, unless a group above has them."""
        above, self._notes = self._notes, (*shared, *notes)
        if self._notes and (self._notes == above or (shared and not notes and not is_first)):
            found = ["for the same reasons as above"]
        else:
            found = [*(shared if is_first else ["as above"] if shared else []), *notes]
        return "; ".join(filter(None, [group.kind.effect if is_first else "", *found]))

    def _where(self, targets: Sequence[str]) -> str:
        """Return the targets of a change; empty where the plan has only one."""
        labels = [target.label for target in self.view.targets]
        if len(labels) == 1:
            return ""
        everywhere = f"all {len(labels)} {self.view.place_word}s"
        return all_but(everywhere, targets, labels) or ", ".join(targets)

    def _pattern_cells(self, pattern: ChangePattern) -> tuple[str, str, str]:
        where = self._where(pattern.targets)
        if not pattern.is_uniform:
            where = (
                f"{plural(pattern.size, 'change')} in {plural(len(pattern.targets), self.view.place_word)}"
            )
        return (str(pattern.path), first_of(pattern.contents, 3), where)

    def _last_changes(self, one: ListedChange) -> list[str]:
        last = one.last_changes(with_age=self.detail.attributes)
        if self.detail.remarks:
            return [f"{', '.join(where)}: {text}" if len(last) > 1 else text for text, where in last.items()]
        self.is_cut |= bool(last)
        outside = [member.target for member in one.members if member.changed_outside]
        at = f" in {', '.join(outside)}" if len(outside) < len(one.members) else ""
        return [f"changed outside{at}"] if outside else []

    def _reasons(self, one: ListedChange, group: ChangeGroup, shared: Sequence[str]) -> list[str]:
        """Return the state, the guards and the reasons that the group does not have."""
        change = one.change
        pending = ["already pending"] if change.pending and not group.pending else []
        by = [f"by {join(change.guards)}"] if change.guards and change.guards != group.guards else []
        found = [reason for reason in change.reasons if reason not in (*group.reasons, *shared)]
        found = [*(() if change.guards else change.holds), *found]
        self.is_cut |= bool(found) and not self.detail.remarks
        texts = [*pending, *by, *(found if self.detail.remarks else ())]
        return ["; ".join(texts)] if texts else []

    def _row(self, cells: Sequence[str], widths: Sequence[int], rest: str = "") -> str:
        """Return the columns of a change with the text after them; empty if they do not fit on one line."""
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True) if width]
        row = "   ".join([*padded, rest]).rstrip()
        return row if len(row) + 4 <= self.width or not self.detail.wraps else ""

    def _add_row(self, mark: str, row: str, cells: Sequence[str], rest: str = "") -> None:
        """Add a row, or, where it is empty, the name, and the other cells and the text below it."""
        self.lines.append(f"{mark}{row or cells[0]}")
        below = "" if row else "   ".join(filter(None, [*cells[1:], rest]))
        if below:
            self.add(below, indent=6, hang=2)

    def _add_change(
        self, mark: str, one: ListedChange, cells: Sequence[str], widths: Sequence[int], remarks: list[str]
    ) -> None:
        """Add one change: one line where it fits; otherwise its attributes and remarks go below."""
        change, is_full = one.change, self.detail.attributes
        lines = [line for line in change.lines if line.label != "type" or " -> " not in change.kind]
        inline: str | None = ", ".join(change.attributes) if change.action in ("update", "retag") else ""
        if is_full:
            inline = _inline_attributes(lines, is_new=change.is_new)
        else:
            self.is_cut |= bool(lines)
        rest = "; ".join(filter(None, [inline, *remarks]))
        if inline is not None and (row := self._row(cells, widths, rest)):
            self.lines.append(f"{mark}{row}")
            return
        row = self._row(cells, widths)
        self._add_row(mark, row, cells, "" if is_full else rest)
        if is_full:
            self._add_attributes(lines, is_new=change.is_new, is_table=bool(row))
        for remark in remarks if is_full else [rest] * bool(row):
            self.add(remark, indent=6, hang=2, colour="dim")

    def _add_attributes(self, lines: Sequence[AttributeLine], *, is_new: bool, is_table: bool) -> None:
        """Add each attribute below its change; the label is on the first of its lines only."""
        limit = self.detail.parts
        left = len(lines) - limit if limit is not None and len(lines) > limit + 1 else 0
        lines = lines[: len(lines) - left]
        width = max((len(line.label) for line in lines), default=0) if is_table else 0
        for label, same in groupby(lines, key=lambda line: line.label):
            before, start = len(self.lines), f"      {label:<{width}}  "
            blank = " " * len(start)
            if label == "tags":
                self.lines += self.packed(blank, [line.phrase(is_new=is_new) for line in same])
            else:
                for line in same:
                    self._add_attribute(blank, line, is_new=is_new)
            self.lines[before] = start + self.lines[before][len(start) :]
        if left:
            self.is_cut = True
            self.add(f"... and {plural(left, 'more difference')}", indent=6)

    def _add_attribute(self, blank: str, line: AttributeLine, *, is_new: bool) -> None:
        """Add one attribute; where its sides do not fit on one line, they are on lines of their own."""
        texts = line.texts(is_new=is_new, width=self.width - len(blank))
        if line.wraps:
            self.add(texts[0], indent=len(blank), hang=2)
        else:
            self.lines += [blank + (self.paint(text, "dim") if line.is_context else text) for text in texts]

    def add_rest(self) -> None:
        """Add the addresses without a change, the other findings, and the way to see what is cut."""
        view = self.view
        add_groups(
            self, view.groups, self.detail.others, self.detail.names, with_sides=self.detail.attributes
        )
        add_findings(
            self, [one for one in view.findings if one.code not in view.guards], self.detail.findings
        )
        if self.is_cut:
            self.add()
            self.add("Not all is listed here: `plan --full` and `show --full` list each change.", hang=2)

    def add_apply_command(self, command: str | None) -> None:
        """Add the command that applies the plan.

        Args:
            command: The command without `--expect-plan`; None derives it from the plan; empty adds none.
        """
        view = self.view
        if command is None:
            mode = (f"--{view.mode}",) if view.mode in ("no-decrypt", "verify-values") else ()
            command = CommandLine(targets=view.narrowed_targets, only=view.narrowed_only, mode=mode).apply()
        if command and view.has_writes:
            # People copy the command, so it is never wrapped.
            label, command = "Apply exactly this:", f"{command} --expect-plan {view.short_id}"
            fits = len(label) + 1 + len(command) <= self.width
            self.lines += ["", *([f"{label} {command}"] if fits else [label, command])]


def _shared_reasons(groups: Sequence[ChangeGroup]) -> tuple[str, ...]:
    """Return the reasons that all changes of several groups have; a single group has its reasons itself."""
    every = [one.change.reasons for group in groups for one in group.changes]
    return tuple(one for one in every[0] if len(groups) > 1 and all(one in reasons for reasons in every))


def _inline_attributes(lines: Iterable[AttributeLine], *, is_new: bool) -> str | None:
    """Return attributes as one text, each label once; None if one of them needs lines of its own."""
    texts = []
    for label, same in groupby(lines, key=lambda line: line.label):
        of_label = list(same)
        if any(line.needs_own_lines or line.is_context for line in of_label):
            return None
        texts.append(f"{label} {', '.join(line.phrase(is_new=is_new) for line in of_label)}")
    return ", ".join(texts)
