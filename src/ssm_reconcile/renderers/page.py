"""Lines for a terminal, and the parts that a plan and a report show in the same way."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.fold import fold
from ssm_reconcile.renderers.grouping import FindingView, Group
from ssm_reconcile.renderers.view import Route, TargetView

COLOURS = {"-": "31", "!": "31", "~": "33", "+": "32", "=": "36", "bold": "1", "loud": "1;31", "dim": "2"}
PATHS = 40
"""How many lines folded names may take in one group."""
ROWS = 20
"""How many names of a group are listed before they are folded."""
_TITLES = {
    "conflict": "Conflicts, not written",
    "detached": "Detached, left as they are",
    "invalid": "Invalid, not written",
    "orphaned": "Orphaned, left as they are",
    "opted_out": "Opted out, left as they are",
}


class Page:
    """Lines, a width and whether to colour."""

    def __init__(self, width: int, *, color: bool) -> None:
        self.width = max(width, 20)
        self.color = color
        self.lines: list[str] = []

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, if colours are wanted."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.color and colour in COLOURS else text

    def say(self, text: str = "", *, indent: int = 0, hang: int = 0, colour: str = "") -> None:
        """One sentence, wrapped at spaces; words are never broken."""
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

    def text(self) -> str:
        """All of it, with one line break at the end."""
        return "\n".join(line.rstrip() for line in self.lines).strip("\n") + "\n"


def incomplete(page: Page, routes: Iterable[Route], targets: Iterable[TargetView]) -> None:
    """Said loudly: what is not seen is not planned."""
    for route in routes:
        if not route.source_complete:
            message = (
                f"INCOMPLETE: the source {route.source} was not listed to the end. No delete is planned."
            )
            page.say(message, hang=2, colour="loud")
    for target in targets:
        if not target.complete:
            message = f"INCOMPLETE: {target.label} was not listed to the end. Nothing is planned there."
            page.say(message, hang=2, colour="loud")


def groups(page: Page, every: Iterable[Group]) -> None:
    """Conflicts, invalid, orphaned and opted out: grouped by the reason, which is said once."""
    for counted, title in _TITLES.items():
        mine = [group for group in every if group.counted == counted]
        if not mine:
            continue
        page.say()
        page.say(f"{title}: {sum(group.size for group in mine):,}", colour="bold")
        for group in mine:
            page.say(f"{group.reason}:" if group.reason else "for a reason not stated:", indent=2, hang=2)
            places(page, group)


def places(page: Page, group: Group) -> None:
    """The names of a group with their targets, folded by path where there are many."""
    if len(group.places) <= ROWS:
        for place in group.places:
            line = f"    {place.name}   {', '.join(place.targets)}"
            if len(line) <= page.width:
                page.lines.append(line)
            else:
                page.lines.append(f"    {place.name}")
                page.say(", ".join(place.targets), indent=6)
        return
    for folded in fold((place.name for place in group.places), PATHS):
        page.lines.append(f"    {folded}")


def findings(page: Page, every: Sequence[FindingView]) -> None:
    """What a person should know of, errors first."""
    if every:
        page.say()
    for finding in every:
        colour = {"error": "loud", "warning": "~"}.get(finding.severity, "")
        where = f" ({words.listed(finding.where, 3)})" if finding.where else ""
        page.say(f"{finding.severity}: {finding.message} [{finding.code}]{where}", hang=2, colour=colour)
