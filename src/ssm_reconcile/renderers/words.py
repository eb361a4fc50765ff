"""Counts -> words: `5 to create, 1 to delete`, `eu-west-1 and us-west-2`, `at least 12 min`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

ACTIONS = ("create", "update", "replace", "delete", "adopt", "retag")
"""The actions in the order in which they are counted."""
DANGER = ("delete", "replace", "update", "create", "adopt", "retag")
"""The actions in the order in which they are listed: what hurts most comes first."""
_ASIDE = {
    "conflict": ("conflict", "conflicts"),
    "detached": ("detached", "detached"),
    "invalid": ("invalid", "invalid"),
    "orphaned": ("orphaned", "orphaned"),
    "opted_out": ("opted out", "opted out"),
    "skipped": ("skipped", "skipped"),
}


def danger(action: str) -> int:
    """Where an action comes in a list; one that this version does not know comes first."""
    return DANGER.index(action) if action in DANGER else -1


def count(number: int, noun: str, nouns: str = "") -> str:
    """`1 change`, `1,050 changes`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def dangers(deletes: int, replacements: int, exposed: int) -> list[str]:
    """Return the counts of what is dangerous, without zeros: `1 delete`, `2 replacements`."""
    found = [(deletes, "delete", "deletes"), (replacements, "replacement", "replacements")]
    found.append((exposed, "SecureString made plain", "SecureStrings made plain"))
    return [count(number, one, many) for number, one, many in found if number]


def listed(items: Sequence[str], most: int = 0) -> str:
    """`a`, `a and b`, `a, b and c`; with `most`: `a, b and 7 more`."""
    if most and len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most:,} more"
    if len(items) < 2:  # noqa: PLR2004 - two is what `and` joins
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def to_do(summary: Mapping[str, int]) -> str:
    """`5 to create, 4 to update`, empty when there is nothing."""
    return ", ".join(f"{summary[word]:,} to {word}" for word in ACTIONS if summary.get(word))


def aside(summary: Mapping[str, int], words: Iterable[str] = tuple(_ASIDE)) -> str:
    """`2 conflicts, 1 invalid`: what is counted and not written."""
    return ", ".join(count(summary[word], *_ASIDE[word]) for word in words if summary.get(word))


def changes_in(summary: Mapping[str, int]) -> int:
    """How many changes a summary counts."""
    return sum(summary.get(word, 0) for word in ACTIONS)


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use: `5 s`, `12 min`, `2.5 h`."""
    if seconds < 100:  # noqa: PLR2004 - where people begin to count in minutes
        return f"{math.ceil(seconds)} s"
    if seconds < 100 * 60:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
