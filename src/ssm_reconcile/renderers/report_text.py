"""View of a report -> plain text for a terminal: the sum, the changes not applied, then those applied.

Each change that was not applied has a line, and each cause is stated once. Equal outcomes in several targets
share a line. Many applied changes are grouped by path, so 1,000 of them take at most `_LINES` lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ssm_reconcile.renderers.groups import all_but, path_patterns
from ssm_reconcile.renderers.outcomes import OutcomeGroup, result_word
from ssm_reconcile.renderers.outline import run_flags
from ssm_reconcile.renderers.terminal_text import (
    LONGEST_NAME,
    PATHS,
    ROWS,
    TerminalText,
    add_findings,
    add_groups,
    add_incomplete,
    add_names,
)
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.wording import first_of, join, plural

SIGNS = {
    "failed": ("x", "-"),
    "stale": ("?", "~"),
    "withheld": ("#", "#"),
    "not_attempted": ("o", "dim"),
    "applied": ("·", "+"),
}
"""The sign of each result, and the colour of the sign."""
_LINES = 60
"""Lines for the changes that were applied."""
_CAUSES = 40
"""Causes that are listed."""
_REASONS = 20
"""Reasons of addresses of one kind, and findings of one code, that are listed."""
_FLAGS = 3
"""Guards of a cause whose remedies are named."""
_TARGETS = 8
"""Targets of a line that are named."""


def report_text(
    view: ReportView, *, width: int = 120, color: bool = False, shown: PlanView | None = None
) -> str:
    """Return the outcomes of an apply for a terminal.

    Args:
        view: The view of the report.
        width: The columns of the terminal.
        color: Whether the text has terminal colours.
        shown: The plan, if the reader has just seen it: what it says is not repeated.
    """
    page = _ReportText(view, width, color=color, shown=shown)
    page.add_sum()
    page.add_unapplied()
    for group in view.remaining[:_REASONS]:
        page.add()
        page.add(f"Remaining: {group.size:,}, {group.reason}:", hang=2, colour="bold")
        add_names(page, group)
    page.add_left(len(view.remaining) - _REASONS, "reason")
    add_groups(page, [group for group in view.groups if shown is None or group not in shown.groups], _REASONS)
    known = shown.findings if shown is not None else ()
    add_findings(page, [finding for finding in view.other_findings if finding not in known], _REASONS)
    page.add_applied()
    page.add_legend()
    if page.is_cut:
        page.add()
        page.add("Not all is listed here: `--out FILE` and `--format json` have the whole report.", hang=2)
    return page.text()


class _ReportText(TerminalText):
    """The lines of one report."""

    def __init__(self, view: ReportView, width: int, *, color: bool, shown: PlanView | None) -> None:
        super().__init__(width, color=color)
        self.view = view
        self.shown = shown

    def add_sum(self) -> None:
        """Add the sum, and the notices that the reader has not seen."""
        self.add(self.view.sentence(), hang=2, colour="bold")
        for notice in self.view.notices_of("interrupted"):
            self.add(str(notice), hang=2, colour="loud")
        if self.shown is None:
            for notice in self.view.notices_of("narrowed", "no-decrypt"):
                self.add(str(notice), hang=2)
            add_incomplete(self, self.view)

    def add_left(self, number: int, noun: str) -> None:
        """Add a line with the number of items that are left out, if there are any."""
        if number > 0:
            self.is_cut = True
            self.add(f"... and {plural(number, f'more {noun}')}", indent=2)

    def add_unapplied(self) -> None:
        """Add the changes that were not applied: each cause, and a line for each name."""
        groups = self.view.unapplied_groups
        if groups:
            self.add()
            self.add("Not applied", colour="bold")
            self._add_groups(groups, PATHS, is_long=False)

    def add_applied(self) -> None:
        """Add the changes that were applied, by kind; those with a note are the last."""
        groups = self.view.applied_groups
        if groups:
            self.add()
            self.add("Applied", colour="bold")
            is_long = sum(len(group.names) for group in groups) > PATHS
            self._add_groups(groups, _lines_of_each(groups) if is_long else PATHS, is_long=is_long)

    def add_legend(self) -> None:
        """Add the signs that occur, unless all changes were applied."""
        groups = self.view.unapplied_groups
        if not groups:
            return
        results = [*dict.fromkeys(group.result for group in groups), *["applied"] * bool(self.view.applied)]
        words = [f"{_sign(result)[0]} {result_word(result)}" for result in results]
        signs = [f"{self.paint(*_sign(result))} {result_word(result)}" for result in results]
        self.add()
        self.lines += ["   ".join(signs)] if len("   ".join(words)) <= self.width else signs

    def _cause(self, groups: Sequence[OutcomeGroup]) -> str:
        """Return the cause of some groups; for withheld changes also what lets them through."""
        findings = self.view.guard_findings(groups) if self.shown is None else []
        if not findings:
            return f"{groups[0].cause}:" if groups[0].cause else ""
        if len(findings) == 1:
            (one,) = findings
            where = [position for position in one.where if position not in one.targets]
            return f"{one.code}: {one.message}{f' ({join(where, _FLAGS)})' if where else ''}"
        flags = run_flags(findings)
        if flags:
            return f"{groups[0].cause}. If meant: {join(flags, _FLAGS)}"
        return join([f"{finding.code}: {finding.problem}" for finding in findings], _FLAGS)

    def _add_groups(self, groups: Sequence[OutcomeGroup], limit: int, *, is_long: bool) -> None:
        """Add each cause, and the names with their targets in columns.

        Args:
            groups: The groups.
            limit: The most lines of a group. If it has more names, they are grouped by path.
            is_long: Whether names are grouped by path, apart from a few dangerous changes.
        """
        causes = dict.fromkeys((group.result, group.cause) for group in groups)
        shown = set(list(causes)[:_CAUSES])
        groups = [group for group in groups if (group.result, group.cause) in shown]
        rows = {
            group: list(self._places(group, limit, by_path=_is_by_path(group, limit, is_long=is_long)))
            for group in groups
        }
        words = max(len(_words(group)) for group in groups)
        names = min(LONGEST_NAME, max(len(name) for places in rows.values() for name, _ in places))
        for _, same in groupby(groups, lambda group: (group.result, group.cause)):
            of_cause = list(same)
            cause = self._cause(of_cause)
            if cause:
                self.add(cause, indent=2, hang=2)
            if of_cause[0].note not in cause:
                self.add(of_cause[0].note, indent=4, hang=2)
            for group in of_cause:
                for name, where in rows[group]:
                    self._add_line(group, (name, where), (words, names), indent=4 if cause else 2)
        self.add_left(len(causes) - _CAUSES, "cause")

    def _add_line(
        self, group: OutcomeGroup, cells: tuple[str, str], widths: tuple[int, int], *, indent: int
    ) -> None:
        """Add a name and its targets in columns, or on several lines where they do not fit."""
        (name, where), (words, names) = cells, widths
        sign, colour = _sign(group.result)
        head = f"{_words(group):<{words}}   {name}"
        whole, room = f"{head:<{words + 3 + names}}   {where}", self.width - indent - 2
        if len(whole) <= room:
            self.add_marked(sign, whole, colour, indent=indent)
            return
        if len(head) <= room:
            self.add_marked(sign, head, colour, indent=indent)
        else:
            self.add_marked(sign, _words(group), colour, indent=indent)
            self.lines.append(f"{' ' * (indent + 4)}{name}")
        self.add(where, indent=indent + 4)

    def _places(self, group: OutcomeGroup, limit: int, *, by_path: bool) -> Iterator[tuple[str, str]]:
        """Yield each name, or each path, with its targets."""
        if not by_path:
            yield from ((name, self._targets(targets)) for name, targets in group.names.items())
            return
        for path in path_patterns(group.names, limit):
            places = [group.names[name] for name in path.names]
            where = self._targets(tuple(dict.fromkeys(target for one in places for target in one)))
            is_same = len(set(places)) == 1
            yield str(path), where if is_same else f"{plural(sum(map(len, places)), 'change')} in {where}"

    def _targets(self, targets: Sequence[str]) -> str:
        """Return the labels of some targets, or that they are all of several, or all but a few."""
        labels = [target.label for target in self.view.targets]
        everywhere = f"all {len(labels):,} {self.view.place_word}s"
        return all_but(everywhere, targets, labels) or first_of(sorted(targets), _TARGETS)


def _lines_of_each(groups: Sequence[OutcomeGroup]) -> int:
    """Return the most lines of a group with which all groups take at most `_LINES` lines, by path."""
    for limit in (_LINES, _LINES // 2, _LINES // 3, _LINES // 4):
        if sum(len(path_patterns(group.names, limit)) for group in groups) <= _LINES:
            return limit
    return max(_LINES // len(groups), 1)


def _is_by_path(group: OutcomeGroup, limit: int, *, is_long: bool) -> bool:
    """Whether the names of a group are grouped by path."""
    if not is_long:
        return len(group.names) > limit
    return not group.kind.is_dangerous or len(group.names) > ROWS


def _sign(result: str) -> tuple[str, str]:
    """Return the sign of a result, and its colour."""
    return SIGNS.get(result, ("*", ""))


def _words(group: OutcomeGroup) -> str:
    """Return the result, unless it is applied, and its kind."""
    word = group.kind.word
    return word if group.result == "applied" else f"{result_word(group.result)} {word}"
