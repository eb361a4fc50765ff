"""A plan + what the spec before would do -> the plan, with what would be done anyway marked.

A pull request is read for what *it* changes. Whatever the base's spec would do in exactly the same way
was pending before and is marked so; what only the base would do is told as dropped. Both plans rest on
the same listings. Nothing here is part of the plan id: it is for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ssm_reconcile.change import Change, effect_of
from ssm_reconcile.plan import Plan, PlanComparison, ReplicationPlan
from ssm_reconcile.spec import Replication, Run

_POSITIONS = frozenset({"where", "limit_lines"})
"""Where something stands in its file: no part of what it means."""


def same(one: Replication, other: Replication) -> bool:
    """Whether two documents mean the same, wherever they stand in their files."""
    return bool(_meaning(one) == _meaning(other))


def _meaning(value: Any) -> Any:
    if is_dataclass(value):
        return (
            type(value).__name__,
            [(f.name, _meaning(getattr(value, f.name))) for f in fields(value) if f.name not in _POSITIONS],
        )
    if isinstance(value, tuple):
        return [_meaning(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _meaning(item) for key, item in value.items()}
    return value


def narrowed_to(specs: Sequence[Replication], run: Run) -> tuple[Replication, ...]:
    """The base's replications with the targets that the run asks for; unknown ones are no error here."""
    kept = (
        replace(spec, targets=tuple(t for t in spec.targets if not run.targets or t.name in run.targets))
        for spec in specs
    )
    return tuple(spec for spec in kept if spec.targets)


def marked(plan: Plan, base: Iterable[ReplicationPlan]) -> Plan:
    """The plan with `pending` on each change that the base has too, effect and route alike."""
    before = {part.name: part for part in base}
    parts = tuple(_marked(part, before.get(part.name)) for part in plan.replications)
    addresses = {change.order for change in plan.changes}
    dropped = tuple(
        sorted(
            (c for part in before.values() for c in part.changes if c.order not in addresses),
            key=lambda change: change.order,
        )
    )
    return replace(plan, replications=parts, against=PlanComparison(dropped))


def _marked(part: ReplicationPlan, base: ReplicationPlan | None) -> ReplicationPlan:
    if base is None:
        return part
    effects = {change.order: effect_of(change) for change in base.changes}
    routes = {target.name: (base.source, target.place) for target in base.targets}
    moved = {t.name for t in part.targets if routes.get(t.name) != (part.source, t.place)}

    def pending(change: Change) -> bool:
        return change.target not in moved and effects.get(change.order) == effect_of(change)

    return replace(part, changes=tuple(replace(change, pending=pending(change)) for change in part.changes))
