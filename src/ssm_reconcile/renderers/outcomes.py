"""Outcomes of a report -> groups with the same result, cause and kind, in the order of all outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ssm_reconcile.renderers.outline import ChangeKind, kind_from

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
    exposes: bool = False
    takes_over: bool = False
    releases: bool = False
    marks: bool = False
    returns_secret: bool = False

    @property
    def cause(self) -> str:
        """The reason of the result, and the note."""
        return "; ".join(filter(None, (self.error, self.note)))

    @property
    def change_kind(self) -> ChangeKind:
        """The kind of the change."""
        return kind_from(
            self.action,
            exposes=self.exposes,
            takes_over=self.takes_over,
            releases=self.releases,
            marks=self.marks,
            returns_secret=self.returns_secret,
        )


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeGroup:
    """Outcomes with the same result, cause and kind of change.

    `cause` ends with the note. `names` has the labels of the targets of each name.
    """

    result: str
    cause: str
    note: str
    kind: ChangeKind
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
    """Group outcomes by result, cause and kind of change; an empty cause is the first of its result.

    Args:
        outcomes: The outcomes in the order of their danger, in which causes, kinds and names stay.
    """
    found: dict[tuple[str, str, str], dict[tuple[ChangeKind, tuple[str, ...]], dict[str, list[str]]]] = {}
    for one in outcomes:
        of_cause = found.setdefault((one.result, one.cause, one.note), {})
        of_cause.setdefault((one.change_kind, one.guards), {}).setdefault(one.name, []).append(one.target)
    rank = {result: i for i, result in enumerate(RESULTS)}
    ordered = sorted(found, key=lambda key: (rank.get(key[0], -1), bool(key[1])))
    return tuple(
        OutcomeGroup(*key, kind, guards, {name: tuple(targets) for name, targets in names.items()})
        for key in ordered
        for (kind, guards), names in found[key].items()
    )
