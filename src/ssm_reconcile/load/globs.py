"""What patterns have in common: could two of them mean the same name, does one mean all that another does.

Both answers are safe to act on: `overlaps` may say yes too often (only where the fifteen levels of a
name would not suffice), `covers` says yes only when it is sure. Two parts with a star in each always
meet when their beginnings and their ends agree, so neither question needs a search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, takewhile

from ssm_reconcile.model import canonical

DEEP = "**"


@dataclass(slots=True)
class Effort:
    """How many comparisons of patterns one load may still make; `short` once that was not enough."""

    left: int = 3_000_000
    short: bool = False

    def spend(self, cost: int) -> bool:
        """Whether there was enough left."""
        if self.left < cost:
            self.short = True
            return False
        self.left -= cost
        return True


@lru_cache(maxsize=32768)
def levels(pattern: str) -> tuple[str, ...]:
    """The levels of a pattern as they match: what ends in `**` means what is below, never itself."""
    parts: list[str] = []
    for level in canonical(pattern)[1:].split("/"):
        if level != DEEP or parts[-1:] != [DEEP]:
            parts.append(level)
    return (*parts, "*") if parts[-1] == DEEP else tuple(parts)


@lru_cache(maxsize=32768)
def literal_start(pattern: str) -> str:
    """The text that every name which a pattern means begins with."""
    return canonical(pattern).split("*", 1)[0]


def overlaps(one: str, other: str, effort: Effort) -> bool:
    """Whether some name could be meant by both patterns; no when the effort is used up."""
    a, b = literal_start(one), literal_start(other)
    if not _starts(a, b):
        effort.spend(1)
        return False
    return effort.spend(80) and _meet(levels(one), levels(other))


def covers(wide: str, narrow: str, effort: Effort) -> bool:
    """Whether `wide` means every name that `narrow` means; no when that is not certain."""
    if not canonical(narrow).startswith(literal_start(wide)):
        effort.spend(1)
        return False
    return effort.spend(80) and _fits(levels(narrow), levels(wide), _level_covers, deep=True)


def _meet(a: Sequence[str], b: Sequence[str]) -> bool:
    if DEEP in a and DEEP in b:
        heads = zip(_head(a), _head(b), strict=False)
        tails = zip(_head(a[::-1]), _head(b[::-1]), strict=False)
        return all(_levels_meet(x, y) for x, y in [*heads, *tails])
    if DEEP in b:
        a, b = b, a
    return _fits(b, a, _levels_meet, deep=False)


def _head(parts: Sequence[str]) -> list[str]:
    return list(takewhile(lambda level: level != DEEP, parts))


def _fits(
    fixed: Sequence[str], wide: Sequence[str], level_fits: Callable[[str, str], bool], *, deep: bool
) -> bool:
    """Whether the levels `fixed` can be laid under `wide`, each `**` of it over any number of them.

    With `deep`, `fixed` may hold `**` itself, which only a `**` can lie over.
    """
    groups = [list(group) for is_deep, group in groupby(wide, DEEP.__eq__) if not is_deep]

    def lies(group: Sequence[str], at: int) -> bool:
        part = fixed[at : at + len(group)]
        return len(part) == len(group) and all(
            not (deep and there == DEEP) and level_fits(here, there)
            for here, there in zip(group, part, strict=True)
        )

    if DEEP not in wide:
        return len(fixed) == len(groups[0]) and lies(groups[0], 0)
    start, end = 0, len(fixed)
    if wide[0] != DEEP:
        if not lies(groups[0], 0):
            return False
        start = len(groups.pop(0))
    last = groups.pop()  # `levels` ends every pattern with something else than `**`
    end -= len(last)
    if end < start or not lies(last, end):
        return False
    for group in groups:
        found = next((at for at in range(start, end - len(group) + 1) if lies(group, at)), None)
        if found is None:
            return False
        start = found + len(group)
    return True


def _levels_meet(a: str, b: str) -> bool:
    """Whether some text could be meant by two patterns of one level."""
    if "*" in a and "*" in b:
        heads = a.split("*", 1)[0], b.split("*", 1)[0]
        tails = a.rsplit("*", 1)[1], b.rsplit("*", 1)[1]
        return _starts(*heads) and _starts(tails[0][::-1], tails[1][::-1])
    return _level_covers(a, b) if "*" in a else _level_covers(b, a)


def _starts(a: str, b: str) -> bool:
    return a.startswith(b) or b.startswith(a)


def _level_covers(wide: str, narrow: str) -> bool:
    """Whether a pattern of one level means every text that another one means.

    A star of `narrow` stands for itself: only a star of `wide` can lie over it, and lies then over
    whatever it means.
    """
    if wide == "*":
        return True
    head, *rest = wide.split("*")
    if not rest:
        return wide == narrow
    *middle, tail = rest
    if len(narrow) < len(head) + len(tail) or not narrow.startswith(head) or not narrow.endswith(tail):
        return False
    at, end = len(head), len(narrow) - len(tail)
    for part in middle:
        found = narrow.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
