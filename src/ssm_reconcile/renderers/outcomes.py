"""Outcomes of a report -> groups with the same result, cause and action, in the order of all outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

RESULTS = ("failed", "stale", "withheld", "not_attempted", "applied")
"""The results in the order in which they are listed. An unknown result is before them."""


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """The outcome of one change; `target` is the target's label, `guards` are those that withheld it."""

    target: str
    name: str
    action: str
    kind: str
    result: str
    error: str
    note: str
    guards: tuple[str, ...] = ()

    @property
    def cause(self) -> str:
        """The reason of the result, and the note."""
        return "; ".join(filter(None, (self.error, self.note)))


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeGroup:
    """Outcomes with the same result, cause and action. `names` has the labels of the targets of each name."""

    result: str
    cause: str
    action: str
    guards: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]

    @property
    def size(self) -> int:
        """Number of outcomes."""
        return sum(map(len, self.names.values()))


def result_word(result: str) -> str:
    """Return a result as people read it: `not attempted`."""
    return result.replace("_", " ")


def group_outcomes(outcomes: Iterable[OutcomeView]) -> tuple[OutcomeGroup, ...]:
    """Group outcomes by result, then by cause, then by action; an empty cause is the first of its result.

    Args:
        outcomes: The outcomes in the order of their danger, in which causes, actions and names stay.
    """
    found: dict[tuple[str, str], dict[tuple[str, tuple[str, ...]], dict[str, list[str]]]] = {}
    for one in outcomes:
        of_cause = found.setdefault((one.result, one.cause), {})
        of_cause.setdefault((one.action, one.guards), {}).setdefault(one.name, []).append(one.target)
    rank = {result: i for i, result in enumerate(RESULTS)}
    ordered = sorted(found, key=lambda key: (rank.get(key[0], -1), bool(key[1])))
    return tuple(
        OutcomeGroup(*key, action, guards, {name: tuple(targets) for name, targets in names.items()})
        for key in ordered
        for (action, guards), names in found[key].items()
    )
