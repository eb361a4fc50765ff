"""Changes that a guard withholds in one target -> the digest that a lift names; the form of a lift.

A lift lets exactly the set of changes through that its digest is of. The digest does not show whether other
changes are a subset of the set, so a saved plan also holds the set itself (`GuardRules` in guards.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

from ssm_reconcile.change import Change, versions_of
from ssm_reconcile.errors import Where
from ssm_reconcile.plan import fingerprint

LIFTABLE = (
    "roles-reversed", "empty-source", "replace", "changed-outside", "exposure", "max-deletes",
    "max-change-percent",
)  # fmt: skip
"""The guards that a lift, or a flag, can lift."""
_DIGITS = 12
_FORM = re.compile(rf"([a-z-]+)@([A-Za-z0-9][A-Za-z0-9._-]{{0,63}})=([0-9a-f]{{{_DIGITS}}})")

Member: TypeAlias = tuple[str, str, tuple[object, ...]]
"""Name, action and expected versions of one change."""


@dataclass(frozen=True, slots=True)
class Lift:
    """A set of changes that one guard does not withhold in one target.

    Attributes:
        guard: One of `LIFTABLE`.
        target: The target.
        changes: The digest of the set.
        count: The number of changes of the set; None on the command line.
        until: The last day of the lift, in UTC; None on the command line.
        reason: The reason, for people.
        where: The position in the spec; None on the command line.
    """

    guard: str
    target: str
    changes: str
    count: int | None = None
    until: date | None = None
    reason: str = ""
    where: Where | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.guard}@{self.target}={self.changes}"

    def is_of(self, replication: str, members: Iterable[Member]) -> bool:
        """Whether a set of changes is the one that this lift names.

        Args:
            replication: The replication of the changes.
            members: The changes.
        """
        found = list(members)
        counted = self.count in (None, len(found))
        return counted and digest_of(replication, self.guard, self.target, found) == self.changes


def read_lift(text: str) -> Lift | None:
    """Return the lift of `GUARD@TARGET=DIGEST`; None for a text of another form, or another guard."""
    found = _FORM.fullmatch(text)
    return Lift(found[1], found[2], found[3]) if found and found[1] in LIFTABLE else None


def member_of(change: Change) -> Member:
    """Return the parts of a change that the digest of a set covers."""
    return (change.name, change.action.value, tuple(versions_of(change.expected)))


def digest_of(replication: str, guard: str, target: str, members: Iterable[Member]) -> str:
    """Return the digest of the changes that a guard withholds in a target of a replication.

    Args:
        replication: The name of the replication.
        guard: The guard.
        target: The target.
        members: The changes, in any order.
    """
    return fingerprint([[replication, guard, target], *sorted(members, key=repr)])[:_DIGITS]
