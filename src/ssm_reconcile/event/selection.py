"""Wishes -> what a batch is about: addresses in targets, and every name to be read for them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ssm_reconcile.event.scope import rivals
from ssm_reconcile.model import Access, Place, canonical
from ssm_reconcile.spec import Replication, Target

End: TypeAlias = tuple[str, str]
"""A replication and one of its targets, by name."""


@dataclass(slots=True)
class Aim:
    """What one batch is about, while it is found out."""

    specs: tuple[Replication, ...]
    homes: dict[End, dict[str, frozenset[str]]] = field(default_factory=dict)
    rivals: dict[End, dict[str, frozenset[str]]] = field(default_factory=dict)
    names: dict[Access, set[str]] = field(default_factory=dict)
    unlimited: set[str] = field(default_factory=set)
    """Replications of which a rewrite cannot be turned back: their source is listed whole."""
    unsure: dict[str, str] = field(default_factory=dict)
    listed: bool = False
    """Whether places were listed whole: then everything is counted as in a whole run."""

    def drop(self, end: End, address: str, why: str) -> None:
        """Leaves an address out of this batch: its names have to come again."""
        for name in self.homes[end].pop(address, frozenset()):
            self.unsure.setdefault(name, why)


def find_homes(
    aim: Aim, spec: Replication, target: Target, source: Place, place: Place, names: Sequence[str]
) -> None:
    """Adds what some names of a replication mean in one of its targets."""
    end = (spec.name, target.name)
    homes = aim.homes.setdefault(end, {})
    for name in names:
        address = canonical(spec.address(name, source, place, target.name))
        homes[address] = homes.get(address, frozenset()) | {name}
        known = rivals(spec, target, source, place, address)
        if known is None:
            aim.unlimited.add(spec.name)
        aim.rivals.setdefault(end, {})[address] = (known or frozenset()) | homes[address]
        aim.names[spec.source.access] |= aim.rivals[end][address]
        aim.names[target.access].add(address)
