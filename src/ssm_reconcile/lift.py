"""Changes that a guard withholds in one target -> the digest that a lift names; the lifts of a run.

A lift lets exactly the set of changes through that its digest is of. The digest does not show whether other
changes are a subset of the set, so a saved plan also holds the set itself (`GuardRules` in guards.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

from ssm_reconcile.change import Change
from ssm_reconcile.errors import Address, Finding, Severity, Where
from ssm_reconcile.plan import ReplicationPlan, fingerprint, versions_of
from ssm_reconcile.wording import plural

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


Lifted: TypeAlias = dict[tuple[str, str, Member], Lift]
"""The changes that a guard does not withhold in a target, each with its lift."""
Withheld: TypeAlias = dict[tuple[str, str], list[Member]]
"""The changes that a guard withholds in a target."""


@dataclass(frozen=True, slots=True)
class RunLifts:
    """The lifts of one run.

    Attributes:
        every: The lifts of the spec and of the command line.
        today: The day in UTC.
        is_reviewed: Whether the plan of this run is reviewed, or named by its id: only then lifts count.
    """

    every: Sequence[Lift]
    today: date
    is_reviewed: bool

    def _has_ended(self, lift: Lift) -> bool:
        return lift.until is not None and lift.until < self.today

    def saved_sets(
        self, plan: ReplicationPlan, saved: Mapping[tuple[str, str], Collection[Member]]
    ) -> Lifted:
        """Return the sets of a saved plan that lifts of this run name: a part of them may be done already.

        Args:
            plan: The new plan.
            saved: The sets of the saved plan, by the replication and the text of their lift.
        """
        return self._named(plan, lambda lift: saved.get((plan.name, str(lift)), ()))

    def matches(self, plan: ReplicationPlan, withheld: Withheld) -> Lifted:
        """Return the withheld changes whose set is the one that a lift names.

        Args:
            plan: The plan.
            withheld: The changes that guards withhold in it.
        """
        return self._named(plan, lambda lift: withheld.get((lift.guard, lift.target), ()))

    def _named(self, plan: ReplicationPlan, set_of: Callable[[Lift], Collection[Member]]) -> Lifted:
        """Return the sets of changes that the lifts name, of those lifts that count in this run."""
        return {
            (lift.guard, lift.target, member): lift
            for lift in self.every
            if self.is_reviewed and not self._has_ended(lift)
            if (members := set_of(lift)) and lift.is_of(plan.name, members)
            for member in members
        }

    def findings(self, plan: ReplicationPlan, withheld: Withheld, lifted: Lifted) -> Iterator[Finding]:
        """Yield the findings on lifts: ended, used, for other changes, or in a run that is not reviewed.

        Args:
            plan: The plan, as the guards have judged it.
            withheld: The changes that guards withhold in it.
            lifted: The changes that lifts let through.
        """
        used = Counter(
            lifted[guard, change.target, member_of(change)]
            for change in plan.changes
            for guard, _ in change.lifted
        )
        targets = {target.name for target in plan.targets}
        for lift in self.every:
            held = withheld.get((lift.guard, lift.target), ())
            label = f"the lift of {lift.guard} in {lift.target}"
            where, about = str(lift.where or lift.target), (Address(lift.target),)
            if lift.target not in targets:
                continue
            if self._has_ended(lift):
                text = f"{label} ended at the end of {lift.until} (UTC) and lifts nothing"
                text += ": remove it, or make a new one"
                yield Finding(Severity.WARNING, "lift-expired", text, where, about)
            elif lift in used:
                text = f"{plural(used[lift], 'change')} in {lift.target} not withheld by {lift.guard}"
                text += f": {lift.reason}" if lift.reason else ""
                yield Finding(Severity.NOTICE, "lifted", text, where, about)
            elif held and not self.is_reviewed:
                text = (
                    f"{label} counts only for a plan that is reviewed, or named by its id: nothing is lifted"
                )
                yield Finding(Severity.NOTICE, "lift-not-reviewed", text, where, about)
            elif held:
                digest = digest_of(plan.name, lift.guard, lift.target, held)
                named = f"{lift.changes} with count {lift.count}" if lift.count else lift.changes
                text = (
                    f"{label} is for other changes ({named}): {digest} with count {len(held)} are withheld"
                    " now. If these are meant, correct `count` and `changes`"
                )
                yield Finding(Severity.WARNING, "lift-other-changes", text, where, about)
