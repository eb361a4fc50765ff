"""Many names -> a few lines: names under one path become `path/*`, counted.

Nothing gets lost: every name is under exactly one pattern, and the counts add up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ssm_reconcile.model import canonical

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Folded:
    """Names under one path. `pattern` is the name itself, `path/*` or, with levels between, `path/**`."""

    path: str
    pattern: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return self.pattern + (f" {TIMES} {len(self.names):,}" if len(self.names) > 1 else "")


def fold(names: Iterable[str], limit: int) -> tuple[Folded, ...]:
    """Names by the deepest paths of which there are at most `limit`, sorted."""
    levels = {name: canonical(name)[1:].split("/")[:-1] for name in sorted(set(names))}
    depth = max((len(parents) for parents in levels.values()), default=0)
    while True:
        groups: dict[str, list[str]] = {}
        for name, parents in levels.items():
            groups.setdefault("".join(f"/{level}" for level in parents[:depth]), []).append(name)
        if len(groups) <= limit or depth == 0:
            break
        depth -= 1
    return tuple(
        Folded(path or "/", _pattern(path, inside, levels), tuple(inside))
        for path, inside in sorted(groups.items())
    )


def _pattern(path: str, names: list[str], levels: dict[str, list[str]]) -> str:
    if len(names) == 1:
        return names[0]
    direct = all("".join(f"/{level}" for level in levels[name]) == path for name in names)
    return f"{path}/{'*' if direct else '**'}"
