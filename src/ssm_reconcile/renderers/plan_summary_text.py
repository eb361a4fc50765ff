"""View of a plan -> the first lines of its text: replications, sums, targets, withheld changes, notices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.renderers.groups import KINDS, MANY_TARGETS, alike_label, merge_alike
from ssm_reconcile.renderers.outline import (
    DANGERS,
    LISTED,
    GuardReason,
    apply_cost,
    apply_means,
    guard_reasons,
    guard_sentences,
    kind_of,
    run_flags,
)
from ssm_reconcile.renderers.terminal_text import TerminalText, add_incomplete, place_of
from ssm_reconcile.renderers.view import PlanView, ReplicationView, TargetView
from ssm_reconcile.wording import cut, join, plural

Extent: TypeAlias = Literal["grouped", "summary", "full"]
"""The part of a plan that a text shows; `full` lists each change with its attributes."""
WITHHELD = "#"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_NOTED = 20
"""The most names of a notice: the command that applies the plan has all of them."""
_COLUMNS = (
    "delete", "replace", "update", "create", "adopt", "retag", "withheld", "conflict", "detached", "invalid",
    "expiring", "orphaned", "held", "opted_out", "skipped", "in_sync",
)  # fmt: skip
"""The counts of a target, in the order of the columns; a column of zeros is left out."""


@dataclass(frozen=True, slots=True)
class PlanDetail:
    """The most items of each list; the attributes and remarks of changes are shown or not.

    `listed`: changes of a kind that is not dangerous. `patterns`, `dangers` and `is_divided`: as in
    `outline_changes`. `parts`: differences of one change, if its attributes are shown. `guards`: findings of
    one guard. `others`: reasons of addresses without a change, of one kind. `names`: lines for the names of
    one reason. `findings`: of one code, and half as many codes. `wraps`: whether a change that is wider than
    the terminal takes several lines.
    """

    listed: int | None = LISTED
    patterns: int = 40
    dangers: int = DANGERS
    is_divided: bool = True
    attributes: bool = True
    parts: int | None = None
    remarks: bool = True
    targets: int | None = None
    guards: int = 4
    others: int | None = 20
    names: int | None = 20
    findings: int | None = 20
    wraps: bool = True


class PlanSummaryText(TerminalText):
    """The first lines of a plan."""

    def __init__(self, view: PlanView, detail: PlanDetail, width: int, *, color: bool) -> None:
        super().__init__(width, color=color)
        self.view = view
        self.detail = detail
        self.merges_targets = False

    def add_summary(self, extent: Extent) -> None:
        """Add the replications, the sums, the targets, the withheld changes and the notices."""
        view = self.view
        has_table = len(view.targets) > 1 and bool(view.changes or extent == "summary")
        self.merges_targets = extent == "grouped"
        shown = view.replications[: self.detail.targets]
        for replication in shown:
            named = not has_table and len(replication.targets) <= MANY_TARGETS
            self._add_replication(replication, names_targets=named)
        if left := len(view.replications) - len(shown):
            self.is_cut = True
            self.add(f"... and {plural(left, 'more replication')}")
        self.add()
        self._add_sums()
        if has_table:
            self._add_targets()
        self._add_guards()
        if extent == "summary":
            self._add_danger()
        add_incomplete(self, view)
        for notice in view.notices_of("undo", "narrowed", "no-decrypt"):
            self.add(notice.sentence(lambda names: " ".join(cut(names, _NOTED))), hang=2)

    def _add_replication(self, replication: ReplicationView, *, names_targets: bool) -> None:
        view, targets = self.view, replication.targets
        where = ", ".join(targets) if names_targets else plural(len(targets), view.place_word)
        title = f"{replication.name}: {replication.source} -> {where or 'no target'}"
        counts = f"{replication.selected:,} selected"
        if len(view.replications) == 1:
            skipped = view.summary.get("skipped", 0) - view.chained
            counts += f", {skipped:,} skipped by skip_sync" if skipped else ""
            counts += f", {view.chained:,} skipped because they are replicas" if view.chained else ""
        if len(f"{title}        {counts}") <= self.width:
            self.lines.append(f"{self.paint(title, 'bold')}        {counts}")
        else:
            self.add(title, hang=2, colour="bold")
            self.add(counts, indent=2)

    def _add_sums(self) -> None:
        view = self.view
        rest = view.other_counts(*KINDS)
        if not view.changes:
            state = (
                "Nothing to do"
                if view.complete
                else "INCOMPLETE, and nothing to do in the places that were listed"
            )
            self.add(f"{state}: {rest}.", hang=2, colour="" if view.complete else "loud")
            return
        line = f"Plan {view.short_id}: {view.action_counts}, {rest}."
        cost = apply_cost(view.budget) if view.budget else ""
        if len(f"{line}   {cost}") <= self.width:
            self.lines.append(f"{self.paint(line, 'bold')}   {cost}")
        else:
            self.add(line, hang=2, colour="bold")
            if cost:
                self.add(cost, indent=2, hang=2)
        for sentence in apply_means(view.budget, visible, "`{}`".format):
            self._add_unbroken(sentence)
        if view.pending:
            self.add(f"{view.pending:,} of them already pending: the previous spec makes them too.", hang=2)
        if view.dropped:
            self.add(f"{plural(len(view.dropped), 'change')} of the previous spec no longer made.", hang=2)

    def _add_unbroken(self, sentence: str) -> None:
        """Add a sentence; a part in backticks is not wrapped."""
        texts = sentence.split("`")
        texts[1::2] = [f"`{text.replace(' ', _NO_BREAK)}`" for text in texts[1::2]]
        start = len(self.lines)
        self.add("".join(texts), indent=2, hang=2)
        self.lines[start:] = [line.replace(_NO_BREAK, " ") for line in self.lines[start:]]

    def _add_targets(self) -> None:
        """Add the counts of each target: a table where it fits, otherwise a sentence for each.

        Of many targets, those with equal counts share a row.
        """
        view = self.view
        words = [word for word in _COLUMNS if any(target.summary[word] for target in view.targets)]
        alike = self._alike_targets()
        shown = [group[0] for group in alike]
        if self.detail.targets is not None and len(shown) > self.detail.targets:
            shown.sort(key=lambda one: [-one.summary[word] for word in words])
            shown = shown[: self.detail.targets]
        labels = {
            id(group[0]): alike_label([one.label for one in group], len(view.targets), view.place_word)
            for group in alike
        }
        titles = ["", *(word.replace("_", " ") for word in words)]
        rows = [
            [labels[id(one)], *(f"{n:,}" if (n := one.summary[word]) else "-" for word in words)]
            for one in shown
        ]
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        self.add()
        if is_table := sum(widths) + 2 * len(words) <= self.width:
            self.lines.append(self.paint(_table_row(titles, widths), "dim"))
        for target, (label, *numbers) in zip(shown, rows, strict=True):
            notes = ["INCOMPLETE"] * (not target.complete) + ["frozen"] * target.frozen
            if is_table:
                self.lines.append(f"{_table_row((label, *numbers), widths)}  {', '.join(notes)}")
            else:
                counts = [f"{n} {title}" for n, title in zip(numbers, titles[1:], strict=True) if n != "-"]
                self.add(f"{label}: {', '.join([*notes, *counts]) or 'nothing'}", hang=2)
        if left := len(alike) - len(shown):
            self.is_cut = True
            self.add(f"... and {left:,} more {view.place_word}s: --summary lists all of them")
        elif len(alike) < len(view.targets):
            self.add(f"The numbers are those of one {view.place_word}: --summary lists each.")

    def _alike_targets(self) -> list[list[TargetView]]:
        """Return the targets that share a row."""
        if not self.merges_targets:
            return [[one] for one in self.view.targets]

        def counts(one: TargetView) -> Hashable:
            return one.complete, one.frozen, *(one.summary[word] for word in _COLUMNS)

        return merge_alike(self.view.targets, counts)

    def _add_guards(self) -> None:
        """Add each guard that withholds changes, with its reasons and the flags that lift it."""
        view = self.view
        if not view.withheld:
            return
        guards = guard_reasons(view.changes, view.findings)
        self.add()
        title = f"WITHHELD, not applied: {view.withheld:,} of {plural(len(view.changes), 'change')}"
        remedies = [one.remedy for guard in guards for one in guard.findings if one.remedy]
        if remedies:
            lifts = ", or by `lifts`" if any("target" in remedy for remedy in remedies) else ""
            title += f". Let through by a flag of plan and apply{lifts}:"
        self.add(title, hang=2, colour=WITHHELD)
        for guard in guards:
            self._add_guard(guard)

    def _add_danger(self) -> None:
        """Add the number of dangerous changes, with those that the sums do not count, and of findings."""
        kinds = Counter(kind_of(change) for change in self.view.changes)
        danger = {kind: number for kind, number in kinds.items() if kind.is_dangerous}
        uncounted = [
            f"{danger[kind]:,} to {kind.title.lower()}"
            for kind in danger
            if kind.word not in ("delete", "replace")
        ]
        if danger:
            of_all = f"{sum(danger.values()):,} of {plural(len(self.view.changes), 'change')}"
            text = f"DANGER: {of_all}{f' ({join(uncounted)})' if uncounted else ''}"
            self.lines.append("")
            self.add(text, hang=2, colour="loud")
        found = Counter(one.severity for one in self.view.findings if one.code not in self.view.guards)
        if found:
            self.add(f"Findings: {join([plural(n, severity) for severity, n in found.items()])}", hang=2)

    def _add_guard(self, guard: GuardReason) -> None:
        """Add a guard with the flags that lift it, and its reasons below; no sentence is added twice."""
        head = f"  {guard.guard} ({plural(guard.size, 'change')})"
        flags = cut(run_flags(guard.findings), 2 * self.detail.guards)
        line = f"{head}: {', '.join(flags)}" if flags else head
        fits = len(line) <= self.width
        self.lines += [line] if fits else [f"{head}:", *self.packed("    ", flags)]
        places = [place_of(one) for one in guard.findings] or [""] * len(guard.reasons)
        texts = [f"{text}{place}" for text, place in zip(guard_sentences(guard), places, strict=True)]
        limit = self.detail.guards
        if (left := len(texts) - limit) > 0:
            self.is_cut = True
            texts[limit - 1 :] = [f"{texts[limit - 1]} (and {plural(left, 'more reason')})"]
        for text in filter(None, texts):
            self.add(text, indent=4, hang=2)


def _table_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([f"{cells[0]:<{widths[0]}}", *numbers])
