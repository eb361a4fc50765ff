"""Changes of a plan -> the calls of its apply by operation, and the least time at the current rates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from ssm_reconcile.aws_limits import (
    CALL_CLASSES,
    CALL_RATES,
    DELETE_SECONDS,
    HIGHER_THROUGHPUT_PUT_RATE,
    NAMES_PER_CALL,
    OPERATIONS,
    CallClass,
    used_classes,
)
from ssm_reconcile.change import (
    Adopt,
    Change,
    Create,
    Delete,
    Mark,
    Release,
    Replace,
    Restore,
    Retag,
    Unmark,
    Update,
)
from ssm_reconcile.model import IMAGE, SOURCE
from ssm_reconcile.plan import Budget, BudgetLimit
from ssm_reconcile.record import EXPIRES

SOURCE_VALUE = "GetParameters (source values)"
SOURCE_GONE = "GetParameters (sources that must not exist)"
VERSION = "GetParameters (versions before a delete)"
VERIFY = "GetParameters (verification)"
FORMER_VALUE = "GetParameters (former values)"
FOR_ONE = "GetParameters (one source)"
AT_THE_SOURCE = frozenset({SOURCE_VALUE, SOURCE_GONE, FOR_ONE})
BY_TEN = frozenset({SOURCE_VALUE, SOURCE_GONE, FORMER_VALUE, VERSION, VERIFY, "DeleteParameters"})
"""Calls that take ten names each; each kind is counted on its own."""
ONE_DELETE = "DeleteParameters (one)"
_READS = frozenset({CallClass.GET, CallClass.LIST_TAGS})


@dataclass(frozen=True, slots=True)
class EndPlace:
    """The place of one end of a replication; replications that share a place share its quotas.

    Attributes:
        place: Account and region, or another text that identifies the place.
        rates: Calls per second by rate class; a class that is missing has the default. Those of writes do
            not count at a source.
    """

    place: str
    rates: Mapping[str, float] = field(default_factory=dict)


EndPlaces: TypeAlias = Mapping[tuple[str, str], EndPlace]
"""By replication and end; an end that is missing counts as a place of its own."""


def budget(changes: Iterable[Change], ends: EndPlaces) -> Budget:
    """Return the calls and the least time to apply and verify what is not withheld of the changes.

    These are the calls of `apply` when no call fails and nothing has changed since the plan. An unproven
    SecureString may turn out to be equal and then costs less. Targets are written in parallel and
    operations overlap, so the least time is the one of the slowest rate class in the busiest place. Rates
    are those of an apply, which opens all ends, without the setting for higher throughput: it is not read, so
    that a plan does not vary with it. A replacement adds the wait after a delete.

    Args:
        changes: The changes of a plan.
        ends: Place and rates of each end of the run, by replication and end (`SOURCE` or a target name);
            also of replications without changes.
    """
    todo = [made for change in changes if (made := change.to_apply) is not None]
    names: dict[tuple[str, str], Counter[str]] = {}
    for change in todo:
        counts = names.setdefault((change.replication, change.target), Counter())
        for operation, count in _calls_of(change):
            counts[operation] += count
    sources = {
        (_site(ends, change.replication, SOURCE).place, change.source_name)
        for change in todo
        if change.source_name is not None and change.desired is not None and not change.is_undo
    }
    calls: Counter[str] = Counter({"ListTagsForResource": len(sources)})
    loads: Counter[tuple[str, CallClass]] = Counter()
    for place, _ in sources:
        loads[place, CallClass.LIST_TAGS] += 1
    for (replication, target), counts in names.items():
        for operation, count in counts.items():
            requests = -(-count // NAMES_PER_CALL) if operation in BY_TEN else count
            name = operation.split(" ")[0]
            calls[name] += requests
            end = SOURCE if operation in AT_THE_SOURCE else target
            loads[_site(ends, replication, end).place, CALL_CLASSES[name]] += requests
    found = {name: calls[name] for name in sorted(calls) if calls[name]}
    if not loads:
        return Budget(found, 0.0)
    pause = DELETE_SECONDS if any(isinstance(change.effect, Replace) for change in todo) else 0.0
    limit, raised = _limit(loads, _paces(ends, CALL_RATES), pause), None
    if limit.operation == OPERATIONS[CallClass.PUT]:
        higher = {**CALL_RATES, CallClass.PUT: HIGHER_THROUGHPUT_PUT_RATE}
        raised = _limit(loads, _paces(ends, higher), pause)
    return Budget(found, limit.seconds, limit, None if raised == limit else raised)


@dataclass(frozen=True, slots=True)
class _Paces:
    """Calls per second by place and rate class; a place that is missing has the defaults."""

    found: Mapping[tuple[str, CallClass], float]
    defaults: Mapping[str, float]

    def __getitem__(self, key: tuple[str, CallClass]) -> float:
        return float(self.found.get(key, self.defaults[key[1]]))


def _paces(ends: EndPlaces, defaults: Mapping[str, float]) -> _Paces:
    """Return the rates at all ends of a run: the lowest of the replications that use a class in a place.

    A replication that sets none counts with the default; `stores.buckets.Rates` has the same rule.
    """
    found: dict[tuple[str, CallClass], float] = {}
    for (_, end), site in ends.items():
        for kind in used_classes(read_only=end == SOURCE):
            key, rate = (site.place, kind), site.rates.get(kind, defaults[kind])
            found[key] = min(rate, found.get(key, rate))
    return _Paces(found, defaults)


def _limit(loads: Mapping[tuple[str, CallClass], int], paces: _Paces, pause: float) -> BudgetLimit:
    """Return the rate class and place whose calls take longest; of equal ones a write, then the first place.

    Bursts are not counted: a few calls of each class, in a run that takes minutes.

    Args:
        loads: The number of calls by place and rate class; not empty.
        paces: The rates.
        pause: Seconds without calls.
    """
    times = {key: count / paces[key] for key, count in loads.items()}
    place, kind = key = min(times, key=lambda one: (-times[one], one[1] in _READS, one))
    fitting = None
    if kind is CallClass.LIST_TAGS:
        others = max((time for (_, other), time in times.items() if other is not kind), default=0.0)
        most = max(count for (_, other), count in loads.items() if other is kind)
        fitting = math.ceil(most / others) if others else None
    return BudgetLimit(place, OPERATIONS[kind], paces[key], round(times[key] + pause, 1), fitting)


def _site(ends: EndPlaces, replication: str, end: str) -> EndPlace:
    return ends.get((replication, end)) or EndPlace(f"{replication} {end}")


def _removals(change: Change) -> list[tuple[str, int]]:
    """Return the calls that remove tags; a mark is removed by a call of its own before a value is written."""
    removed = change.tags.removed
    is_first = EXPIRES in removed and len(removed) > 1 and change.writes_value
    return [("RemoveTagsFromResource", 1)] * (bool(removed) + is_first)


def _calls_of(change: Change) -> list[tuple[str, int]]:
    """Return the calls of one change; calls that take ten names are counted in names."""
    tagging = [("AddTagsToResource", 1), *_removals(change)]
    checks = [("GetParameters", 1), ("ListTagsForResource", 1)]
    # AWS validates an AMI id after the write, so one read verifies it.
    is_image = change.desired is not None and change.desired.source.data_type == IMAGE
    put = [("PutParameter", 1)] + [("GetParameters", 1)] * is_image
    verify = [(VERIFY, 1)]
    match change.effect:
        case Create():
            return [(SOURCE_VALUE, 1), *put, *verify]
        case Update(put=True):
            reads = change.effect.unproven + 2 * (EXPIRES in change.tags.removed)
            compared = [("GetParameters", reads)] * bool(reads)
            return [*checks, (SOURCE_VALUE, 1), *compared, *put, *tagging, *verify]
        case Restore(put=put_again):
            writes = [(FORMER_VALUE, 1), *put] if put_again else []
            reads = 2 * (change.effect.equal_to is not None) + 2 * (
                put_again and EXPIRES in change.tags.removed
            )
            writes += [("GetParameters", reads)] * bool(reads)
            adds = bool(change.tags.added) or change.effect.record is not None
            return [*checks, *writes, *[("AddTagsToResource", 1)] * adds, *_removals(change), *verify]
        case Update():
            return [*checks, *tagging, *verify]
        case Retag() | Adopt():
            return [*checks, *tagging, *verify]
        case Mark(source_name=source):
            return [*checks, *[(FOR_ONE, 1)] * (source is not None), ("AddTagsToResource", 1), *verify]
        case Unmark():
            return [("ListTagsForResource", 1), ("RemoveTagsFromResource", 1)]
        case Release(source_name=source):
            gone = [(FOR_ONE, 1)] * (source is not None)
            return [*checks, *gone, ("RemoveTagsFromResource", 1), *verify]
        case Replace():
            return [*checks, (FOR_ONE, 1), (ONE_DELETE, 1), *put, *verify]
        case Delete(source_name=source):
            gone = [(SOURCE_GONE, 1)] * (source is not None)
            return [("ListTagsForResource", 1), (VERSION, 1), *gone, ("DeleteParameters", 1), *verify]
        case _:
            assert_never(change.effect)
