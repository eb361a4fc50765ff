"""A region of a spec -> a warning where AWS may not have it, with the nearest region that is known."""

from __future__ import annotations

from ssm_reconcile.load.nodes import View
from ssm_reconcile.load.notes import Notes, shown
from ssm_reconcile.partitions import partitions

NEAR = 2
"""Typing errors between a region and the known region that is suggested."""


def check_region(view: View, notes: Notes) -> None:
    """Warn of an unknown region. It stays allowed: AWS opens regions after a version is released."""
    region = view.text
    known = {name for one in partitions() for name in one.regions}
    if region is None or region in known:
        return
    distance, near = min((_typing_errors(region, one), one) for one in sorted(known))
    hint = f"did you mean `{near}`?" if distance <= NEAR else "check the spelling"
    message = f"`{shown(region)}` is not a region that this version knows: {hint}"
    notes.warn(view.where, "unknown-region", message)


def _typing_errors(one: str, other: str) -> int:
    """The least number of characters to insert, remove, change, or swap with their neighbour."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (char != wanted))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == wanted:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
