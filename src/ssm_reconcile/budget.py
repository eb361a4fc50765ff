"""What an apply will cost: calls by operation, and the least time at the rates in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import assert_never

from ssm_reconcile.plan import (
    Adopt,
    Budget,
    Change,
    Create,
    Delete,
    Fate,
    Release,
    Replace,
    Retag,
    Update,
)

RATES: Mapping[str, float] = {"put": 3.0, "tags": 5.0, "delete": 5.0, "list_tags": 5.0, "get": 30.0}
"""Calls per second that are assumed where the spec says nothing (aws-facts A4)."""
_CLASSES = {
    "PutParameter": "put",
    "AddTagsToResource": "tags",
    "RemoveTagsFromResource": "tags",
    "DeleteParameters": "delete",
    "ListTagsForResource": "list_tags",
    "GetParameters": "get",
}


SOURCE_VALUE = "GetParameters (source)"
REPLICA_VERSION = "GetParameters (replica)"
BY_TEN = frozenset({SOURCE_VALUE, REPLICA_VERSION, "DeleteParameters"})
"""What is asked for ten names at a time."""


def budget(changes: Iterable[Change], rates: Mapping[str, float]) -> Budget:
    """What it costs to apply the changes that are not withheld, the last look at them included.

    Targets are written side by side and operations overlap, so the least time is that of the
    slowest operation class in the busiest target. `rates` are calls per second by class, over RATES.
    """
    by_target: dict[tuple[str, str], Counter[str]] = {}
    sources: set[tuple[str, str]] = set()
    for change in changes:
        if change.fate is Fate.WITHHELD:
            continue
        counts = by_target.setdefault((change.replication, change.target), Counter())
        for operation, count in _calls_of(change):
            counts[operation] += count
        counts[REPLICA_VERSION] += 1  # the last look
        if change.source_name is not None and change.desired is not None:
            sources.add((change.replication, change.source_name))
    calls: Counter[str] = Counter({"ListTagsForResource": len(sources)})
    pace = {**RATES, **rates}
    seconds = len(sources) / pace["list_tags"]
    for counts in by_target.values():
        classes: Counter[str] = Counter()
        for operation, count in counts.items():
            requests = -(-count // 10) if operation in BY_TEN else count
            name = operation.split(" ")[0]
            calls[name] += requests
            classes[_CLASSES[name]] += requests
        seconds = max(seconds, *(count / pace[name] for name, count in classes.items()))
    return Budget({name: calls[name] for name in sorted(calls) if calls[name]}, round(seconds, 1))


def _calls_of(change: Change) -> list[tuple[str, int]]:
    """The calls of one change. What goes by ten is counted in names, ten for a call of its own."""
    tagging = [("AddTagsToResource", 1)] + [("RemoveTagsFromResource", 1)] * bool(change.tags.removed)
    checks = [("GetParameters", 1), ("ListTagsForResource", 1)]
    match change.effect:
        case Create():
            return [(SOURCE_VALUE, 1), ("PutParameter", 1)]
        case Update(put=put):
            writes = [(SOURCE_VALUE, 1), ("PutParameter", 1)] if put else []
            return [*checks, *writes, *tagging]
        case Retag() | Adopt():
            return [*checks, *tagging]
        case Release():
            return [(SOURCE_VALUE, 1), *checks, ("RemoveTagsFromResource", 1)]
        case Replace():
            return [(SOURCE_VALUE, 1), *checks, ("DeleteParameters", 10), ("PutParameter", 1)]
        case Delete():
            return [
                (SOURCE_VALUE, 1),
                (REPLICA_VERSION, 1),
                ("ListTagsForResource", 1),
                ("DeleteParameters", 1),
            ]
        case _:
            assert_never(change.effect)
