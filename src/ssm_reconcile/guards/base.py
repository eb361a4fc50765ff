"""What every guard is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ssm_reconcile.change import Action, Change, Fate, Hold
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.plan import ReplicationPlan
from ssm_reconcile.spec import Replication, Run


@dataclass(frozen=True, slots=True)
class Rules:
    """What a guard goes by: the spec, what this run lifts, and what could not be confirmed.

    `unconfirmed` says, by target and address, why tags that a change rests on could not be read; under
    the target `""` it speaks of names at the source. `reversed_roles` names, by target, the source
    parameters that were replicas of that target's place until they were detached.
    """

    replication: Replication
    run: Run = Run()
    unconfirmed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    reversed_roles: Mapping[str, Sequence[str]] = field(default_factory=dict)


Guard: TypeAlias = Callable[[ReplicationPlan, Rules], ReplicationPlan]


def withhold(plan: ReplicationPlan, guard: str, chosen: Collection[Change], why: str) -> ReplicationPlan:
    """The plan with the chosen changes withheld in the name of one guard."""
    addresses = {(change.target, change.name) for change in chosen}
    if not addresses:
        return plan
    changes = tuple(
        replace(change, withheld=(*change.withheld, Hold(guard, why)))
        if (change.target, change.name) in addresses
        else change
        for change in plan.changes
    )
    return replace(plan, changes=changes)


def counted(number: int, one: str, many: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {one if number == 1 else many}"


def noted(plan: ReplicationPlan, code: str, message: str, where: str, target: str) -> ReplicationPlan:
    """The plan with one more warning."""
    finding = Finding(Severity.WARNING, code, message, where, (Address(target),))
    return replace(plan, findings=(*plan.findings, finding))


def open_changes(plan: ReplicationPlan, target: str, *actions: Action) -> list[Change]:
    """The changes of one target that nothing has withheld so far; of some actions, or of all."""
    return [
        change
        for change in plan.changes
        if change.target == target and change.fate is Fate.APPLY and (not actions or change.action in actions)
    ]
