"""Views -> Markdown blocks of what is beside the changes: addresses left alone, findings, small parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.fold import fold
from ssm_reconcile.renderers.grouping import FindingView, Group
from ssm_reconcile.renderers.inert import fence, prose, span
from ssm_reconcile.renderers.view import TargetView

GROUPS = {
    "conflict": ("conflict, not written", "conflicts, not written"),
    "detached": ("detached, left as it is", "detached, left as they are"),
    "invalid": ("invalid, not written", "invalid, not written"),
    "orphaned": ("orphaned, left as it is", "orphaned, left as they are"),
    "opted_out": ("opted out, left as it is", "opted out, left as they are"),
}


class Placed(Protocol):
    """Whatever has targets: a view of a plan or of a report."""

    @property
    def targets(self) -> tuple[TargetView, ...]:
        """The targets, in order."""

    @property
    def place_word(self) -> str:
        """What targets are called."""


def folded(summary: str, body: str, *, is_open: bool = False) -> str:
    """A part that can be folded. `summary` is HTML, `body` Markdown."""
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>\n\n{body}\n</details>"


def at(view: Placed, targets: Sequence[str]) -> str:
    """In which targets, for the end of a line; empty where there is only one."""
    if len(view.targets) == 1:
        return ""
    return f"  (all {view.place_word}s)" if is_everywhere(view, targets) else f"  ({', '.join(targets)})"


def is_everywhere(view: Placed, targets: Sequence[str]) -> bool:
    """Whether these are all the targets that there are."""
    return {target.label for target in view.targets} <= set(targets)


def spans(targets: Sequence[str]) -> str:
    """Targets or positions as code, the first six of them."""
    return words.listed([span(target) for target in targets], 6)


def others(view: Placed, groups: Sequence[Group], most: int) -> list[str]:
    """Where nothing is done and a person should know why: grouped by the reason."""
    blocks = []
    for counted, (one, many) in GROUPS.items():
        mine = [group for group in groups if group.counted == counted]
        if mine:
            title = f"<b>{words.count(sum(group.size for group in mine), one, many)}</b>"
            blocks.append(folded(title, grouped(view, mine, most), is_open=counted == "invalid"))
    return blocks


def grouped(view: Placed, groups: Sequence[Group], most: int) -> str:
    """One item a reason, with the names that it is about; what is in none of GROUPS says what it is."""
    parts = []
    for group in groups[:most]:
        known = group.counted in GROUPS or group.counted == "remaining"
        what = "" if known else f"{prose(group.counted)}: "
        body = fence(_places(view, group, most), "text")
        parts.append(f"* {what}{_reason(group.reason)}\n\n{_indented(body)}")
    if len(groups) > most:
        parts.append(f"… and {words.count(len(groups) - most, 'more reason', 'more reasons')}.")
    return "\n\n".join(parts)


def _reason(reason: str) -> str:
    return prose(reason) or "no reason stated"


def _indented(block: str) -> str:
    return "\n".join(f"  {line}" for line in block.split("\n"))


def _places(view: Placed, group: Group, most: int) -> list[str]:
    if len(group.places) <= most:
        return [f"{place.name}{at(view, place.targets)}" for place in group.places]
    return [str(path) for path in fold((place.name for place in group.places), most)]


def findings(every: Sequence[FindingView], most: int) -> str:
    """Findings that no alert has said, errors first."""
    if not every:
        return ""
    lines = []
    for finding in every[:most]:
        where = f" ({spans(finding.where)})" if finding.where else ""
        lines.append(f"* **{prose(finding.severity)}** {span(finding.code)}: {prose(finding.message)}{where}")
    if len(every) > most:
        lines.append(f"* … and {len(every) - most:,} more.")
    title = f"<b>{words.count(len(every), 'finding')}</b>"
    return folded(title, "\n".join(lines), is_open=any(f.severity == "error" for f in every))
