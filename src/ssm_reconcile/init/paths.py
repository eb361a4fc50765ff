"""Names -> the few patterns that mean them: whole paths to include, and exactly some names to treat apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ssm_reconcile.model import canonical
from ssm_reconcile.spec import Glob

FEW = 12
"""So many paths can be looked over."""


@dataclass(frozen=True, slots=True)
class Path:
    """A pattern and how many names it means."""

    pattern: str
    count: int


_UNSPEAKABLE = re.compile(r"[^A-Za-z0-9_.-]+")
"""What no rule may hold. AWS allows no such name either, but what imitates AWS does."""


def spoken(path: str) -> str:
    """A name, or the beginning of one, as a rule can hold it: `*` for what a rule cannot say."""
    return "/".join(_UNSPEAKABLE.sub("*", level) for level in path.split("/"))


def speakable(names: Iterable[str], every: Iterable[str]) -> set[str]:
    """Those of the names of which a rule can speak without meaning another one, too."""
    found = set(names)
    for name in sorted(found):
        pattern = spoken(canonical(name))
        if "*" in pattern:
            glob = Glob(pattern)
            if any(other not in found and glob.matches(other) for other in every):
                found.discard(name)
    return found


def top_paths(names: Iterable[str]) -> tuple[Path, ...]:
    """The top levels as patterns: they mean what will be made below them later, too."""
    return tuple(_at_depth(sorted({canonical(name) for name in names}), 1))


def parts_of(paths: Sequence[Path], names: Iterable[str]) -> tuple[Path, ...]:
    """Where one path holds everything, the levels below it, as far as they can be looked over."""
    if len(paths) != 1:
        return ()
    below = _at_depth(sorted({canonical(name) for name in names}), 2)
    return tuple(below) if 1 < len(below) <= FEW else ()


def _at_depth(names: Sequence[str], depth: int) -> list[Path]:
    """Patterns of so many levels and `**`; names that end above are meant by `*`."""
    counts: dict[str, int] = {}
    for name in names:
        levels = name[1:].split("/")
        parents = levels[: min(depth, len(levels) - 1)]
        end = "**" if len(parents) == depth else "*"
        pattern = spoken("/" + "/".join(parents)).rstrip("/") + f"/{end}"
        counts[pattern] = counts.get(pattern, 0) + 1
    return [Path(pattern, count) for pattern, count in sorted(counts.items())]


def cover(chosen: Iterable[str], every: Iterable[str]) -> tuple[Path, ...]:
    """Few patterns that mean all chosen names, and none of the others."""
    wanted = {canonical(name) for name in chosen}
    mine = Counter(path for name in wanted for path in _parents(name))
    whole_of = wanted | {canonical(name) for name in every}
    all_below = Counter(path for name in whole_of for path in _parents(name))
    found: dict[str, int] = {}
    for name in sorted(wanted):
        whole = next((path for path in _parents(name) if 1 < mine[path] == all_below[path]), None)
        pattern = spoken(name) if whole is None else f"{spoken(whole)}/**"
        found[pattern] = found.get(pattern, 0) + 1
    return tuple(Path(pattern, count) for pattern, count in found.items())


def cover_within(chosen: Iterable[str], every: Iterable[str], limit: int) -> tuple[Path, ...] | None:
    """As `cover`, by last levels too where that takes fewer patterns; None where all take too many."""
    names, universe = {canonical(name) for name in chosen}, {canonical(name) for name in every}
    exact = cover(names, universe)
    if len(exact) <= limit // 4:
        return exact
    mine = Counter(_last(name) for name in names)
    whole = {last for last, count in Counter(_last(name) for name in universe).items() if count == mine[last]}
    rest = {name for name in names if _last(name) not in whole}
    by_last = [Path(f"/**/{spoken(last)}", mine[last]) for last in sorted(whole) if last]
    shorter = (*by_last, *cover(rest, universe))
    best = min(exact, shorter, key=len)
    return best if len(best) <= limit else None


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _parents(name: str) -> list[str]:
    """The paths above a name, the shortest first, but for the root."""
    levels = name.split("/")
    return ["/".join(levels[:depth]) for depth in range(2, len(levels))]
