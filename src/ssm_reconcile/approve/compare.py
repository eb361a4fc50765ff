"""A saved plan and a new one -> which changes of the new one were never approved, and in what.

Compared is what the plan id covers, change by change, and where each target is besides. What was done
since counts as done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ssm_reconcile.approve.saved import Document
from ssm_reconcile.approve.words import differences
from ssm_reconcile.change import Change, effect_of
from ssm_reconcile.encoding import printable
from ssm_reconcile.plan import Plan, ReplicationPlan

Address: TypeAlias = tuple[str, str, str]
"""Replication, target, name."""


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One change that a comparison speaks of, and in what it differs or why it is gone."""

    replication: str
    target: str
    name: str
    action: str
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.action} {self.name} in {self.target} ({self.replication})"
        return f"{text}: {'; '.join(self.why)}" if self.why else text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a new plan is to a saved one.

    `added` and `altered` changes were never approved. `done` is what was planned then and is not any
    more; `dropped` neither, but not because it was done: something is in its way now.
    """

    added: tuple[Item, ...] = ()
    altered: tuple[Item, ...] = ()
    done: tuple[Item, ...] = ()
    dropped: tuple[Item, ...] = ()

    @property
    def approved(self) -> bool:
        """Whether every change of the new plan was in the saved one."""
        return not (self.added or self.altered)

    @property
    def unapproved(self) -> tuple[tuple[Item, str], ...]:
        """Each change that was not approved, with a line that says why."""
        return (
            *((item, f"new: {item}") for item in self.added),
            *((item, f"altered: {item}") for item in self.altered),
        )


def compare(saved: Document, plan: Plan) -> Verdict:
    """Compares what the plan id covers, change by change; the place of each target besides."""
    before: dict[Address, Document] = {
        _saved_address(change): change["effect"] for change in saved["changes"]
    }
    routes = _saved_routes(saved)
    added, altered, seen = [], [], set()
    for change, route in _now(plan):
        seen.add(change.order)
        effect = json.loads(printable(json.dumps(effect_of(change), ensure_ascii=False)))
        if change.order not in before:
            added.append(_item(change))
            continue
        why = differences(before[change.order], effect, change)
        old_route = routes.get(change.order[:2])
        if old_route != route:
            why = (f"from {old_route or 'nowhere'} became from {route}", *why)
        if why:
            altered.append(_item(change, why))
    obstacles = _obstacles(plan)
    done: list[Item] = []
    dropped: list[Item] = []
    for address, effect in before.items():
        if address not in seen:
            why = obstacles(address)
            item = Item(*address, str(effect.get("action")), why)
            (dropped if why else done).append(item)
    return Verdict(tuple(sorted(added)), tuple(sorted(altered)), tuple(sorted(done)), tuple(sorted(dropped)))


def _saved_address(change: Document) -> Address:
    return (change["replication"], change["target"], change["name"])


def _saved_routes(saved: Document) -> dict[tuple[str, str], str]:
    sources = {part["name"]: part["source"] for part in saved["replications"]}
    return {
        (target["replication"], target["name"]): f"{sources.get(target['replication'])} to {target['place']}"
        for target in saved["targets"]
    }


def _now(plan: Plan) -> Iterable[tuple[Change, str]]:
    """The changes of a plan, each with the way that it goes."""
    for part in plan.replications:
        places = {target.name: target.place for target in part.targets}
        for change in part.changes:
            yield change, f"{part.source} to {places[change.target]}"


def _item(change: Change, why: tuple[str, ...] = ()) -> Item:
    return Item(*change.order, change.action.value, why)


def _obstacles(plan: Plan) -> Callable[[Address], tuple[str, ...]]:
    """A function from an address to why nothing is planned there, empty when it is simply done."""
    others = {(o.replication, o.target, o.name): o for o in plan.others}
    parts: dict[str, ReplicationPlan] = {part.name: part for part in plan.replications}

    def obstacle(address: Address) -> tuple[str, ...]:
        replication, target, _ = address
        if address in others:
            other = others[address]
            return (f"now {other.row.value.replace('_', ' ')}", *other.reasons)
        part = parts.get(replication)
        found = None if part is None else next((t for t in part.targets if t.name == target), None)
        if part is None or found is None:
            return ("no longer in the spec",)
        if not (part.source_complete and found.complete):
            return ("its place was not listed to the end",)
        return ()

    return obstacle
