"""Lines of a text for a terminal, wrapped and coloured, and the blocks that a plan and a report share."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ssm_reconcile.renderers.escaping import inert
from ssm_reconcile.renderers.groups import KINDS, AddressGroup, FindingView, path_patterns
from ssm_reconcile.renderers.view import RunView
from ssm_reconcile.wording import join, plural

COLOURS = {
    "-": "31", "!": "31", "*": "1;31", ">": "31", "<": "31", "~": "33", "+": "32", "=": "36", "@": "36",
    "#": "1;35", "bold": "1", "loud": "1;31", "dim": "2",
}  # fmt: skip
PATHS = 40
"""Lines that folded names may take in one group."""
ROWS = 20
"""Names of a group that are listed before they are folded."""
_CONFLICT_LINES = 10
"""Lines on the differences of a conflict, unless all is shown."""
LONGEST_NAME = 60
"""The widest name column: one long name must not move all details to other lines."""


class TerminalText:
    """Lines of at most `width` columns where their words allow it."""

    def __init__(self, width: int, *, color: bool) -> None:
        self.width = max(width, 20)
        self.color = color
        self.lines: list[str] = []
        self.is_cut = False
        """Whether a list is shorter than the items that it is made of."""

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour, if colours are wanted."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.color and colour in COLOURS else text

    def add(self, text: str = "", *, indent: int = 0, hang: int = 0, colour: str = "") -> None:
        """Add one sentence, wrapped at spaces.

        Args:
            text: The sentence; empty for an empty line.
            indent: The spaces before each line.
            hang: The further spaces before each line but the first.
            colour: A key of the colours; empty for none.
        """
        if not text:
            self.lines.append("")
            return
        wrapped = textwrap.wrap(
            text,
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + hang),
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.lines += [self.paint(line, colour) for line in wrapped]

    def add_heading(self, label: str, note: str = "") -> None:
        """Add an empty line and the label of a target."""
        self.lines += ["", self.paint(label, "bold") + note]

    def add_marked(self, mark: str, text: str, colour: str | None = None, *, indent: int = 2) -> None:
        """Add a line that is not wrapped, after a mark.

        Args:
            mark: The mark before the text.
            text: The text of the line.
            colour: The colour of the mark; None for the colour that belongs to it.
            indent: The spaces before the mark.
        """
        self.lines.append(f"{' ' * indent}{self.paint(mark, mark if colour is None else colour)} {text}")

    def packed(self, blank: str, items: Iterable[str], separator: str = ", ") -> list[str]:
        """Return items in as few lines as their width allows, without breaking one.

        Args:
            blank: The spaces before each line.
            items: The items.
            separator: The text between two items on one line.
        """
        packed: list[str] = []
        for item in items:
            if packed and len(packed[-1] + separator + item) <= self.width:
                packed[-1] += separator + item
            else:
                packed.append(blank + item)
        return packed

    def text(self) -> str:
        """Return all lines, with one line break at the end."""
        # A value or a reason that is wrapped must not begin a line that a GitHub runner reads as a command.
        return inert("\n".join(line.rstrip() for line in self.lines).strip("\n")) + "\n"


def add_incomplete(page: TerminalText, view: RunView) -> None:
    """Add the notices on incomplete places."""
    for notice in view.notices_of("incomplete"):
        text = f"{notice.sentence(lambda names: join(names, 10))} {notice.effect}".rstrip()
        text = text.replace("The source", "the source", 1) if notice.fact.startswith("The") else text
        page.add(f"INCOMPLETE: {text}", hang=2, colour="loud")


def add_groups(
    page: TerminalText,
    groups: Sequence[AddressGroup],
    reasons: int | None = None,
    names: int | None = ROWS,
    *,
    with_sides: bool = True,
) -> None:
    """Add the addresses without a change, by kind and reason.

    Args:
        page: The text.
        groups: The addresses.
        reasons: The most reasons of one kind; None for all, 0 for the sums only.
        names: The most names of one reason before they are folded by path; None for all.
        with_sides: Whether both sides of conflicts are shown, if they are known.
    """
    has_title = False
    for key, kind in KINDS.items():
        same = [group for group in groups if group.kind == key]
        if not same:
            continue
        if reasons != 0 or not has_title:
            page.add()
        has_title = True
        title = f"{kind.many.capitalize()}, {kind.state_of_many}: {sum(group.size for group in same):,}"
        page.add(title, colour="bold")
        for group in same[:reasons]:
            page.add(f"{group.reason}:" if group.reason else "no reason stated:", indent=2, hang=2)
            add_names(page, group, names, with_sides=with_sides)
        left = same[len(same[:reasons]) :]
        page.is_cut |= bool(left)
        if left and reasons:
            page.add(f"... and {plural(len(left), 'more reason')}", indent=2)


def add_names(
    page: TerminalText, group: AddressGroup, limit: int | None = ROWS, *, with_sides: bool = True
) -> None:
    """Add the names of a group with their targets, and both sides of conflicts.

    Args:
        page: The text.
        group: The addresses.
        limit: The most names before they are folded by path; None for all.
        with_sides: Whether both sides of conflicts are shown, if they are known.
    """
    if limit is not None and len(group.names) > limit:
        page.is_cut = True
        page.lines += [f"    {path}" for path in path_patterns(group.names, 2 * limit)]
        return
    page.is_cut |= bool(group.conflicts) and not with_sides
    shown = group if with_sides else replace(group, conflicts={})
    for name, targets, conflict in shown.entries(is_public=False):
        last = conflict.last_change_with_age if conflict else ""
        where = "   ".join(filter(None, [", ".join(targets), last]))
        line = f"    {name}   {where}"
        if len(line) <= page.width:
            page.lines.append(line)
        else:
            page.lines.append(f"    {name}")
            page.add(where, indent=6)
        if conflict:
            _add_sides(page, conflict.text_lines(), None if limit is None else _CONFLICT_LINES)


def _add_sides(page: TerminalText, lines: Sequence[str], limit: int | None) -> None:
    """Add the differences of a conflict."""
    shown = lines[:limit]
    page.lines += [f"      {line}" for line in shown]
    if len(shown) < len(lines):
        page.is_cut = True
        page.add(f"... and {plural(len(lines) - len(shown), 'more line')}", indent=6)


def place_of(finding: FindingView) -> str:
    """Return the positions of a finding that its text does not have, in parentheses."""
    where = [one for one in finding.where if one not in finding.problem]
    return f" ({join(where, 3)})" if where else ""


def add_findings(page: TerminalText, findings: Sequence[FindingView], limit: int | None = None) -> None:
    """Add the findings, one sentence each.

    Args:
        page: The text.
        findings: The findings, errors first.
        limit: The most findings of one code, and half of the most codes; None for all.
    """
    if findings:
        page.add()
    seen: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for finding in findings:
        seen[finding.code] += 1
        if limit is not None and (seen[finding.code] > limit or len(seen) > 2 * limit):
            left[finding.code] += 1
            continue
        colour = {"error": "loud", "warning": "~"}.get(finding.severity, "")
        text = f"{finding.severity}: {finding.message} [{finding.code}]{place_of(finding)}"
        page.add(text, hang=2, colour=colour)
    if left:
        page.is_cut = True
        codes = [f"{number:,} of {code}" for code, number in left.most_common()]
        page.add(f"... and {plural(left.total(), 'more finding')}: {join(codes, 6)}", hang=2)
