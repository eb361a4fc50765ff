"""Changes of a plan -> the calls of its apply by operation, and the least time at the current rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from ssm_reconcile.aws_limits import CALL_CLASSES, CALL_RATES, DELETE_SECONDS, NAMES_PER_CALL, CallClass
from ssm_reconcile.change import Adopt, Change, Create, Delete, Fate, Release, Replace, Retag, Update
from ssm_reconcile.model import IMAGE, SOURCE
from ssm_reconcile.plan import Budget

SOURCE_VALUE = "GetParameters (source values)"
SOURCE_GONE = "GetParameters (sources that must not exist)"
VERSION = "GetParameters (versions before a delete)"
VERIFY = "GetParameters (verification)"
FOR_ONE = "GetParameters (one source)"
AT_THE_SOURCE = frozenset({SOURCE_VALUE, SOURCE_GONE, FOR_ONE})
BY_TEN = frozenset({SOURCE_VALUE, SOURCE_GONE, VERSION, VERIFY, "DeleteParameters"})
"""Calls that take ten names each; each kind is counted on its own."""
ONE_DELETE = "DeleteParameters (one)"


@dataclass(frozen=True, slots=True)
class EndPlace:
    """The place of one end of a replication; replications that share a place share its quotas.

    Attributes:
        place: Account and region, or another text that identifies the place.
        rates: Calls per second by rate class; a class that is missing has its default of CALL_RATES.
    """

    place: str
    rates: Mapping[str, float] = field(default_factory=dict)


EndPlaces: TypeAlias = Mapping[tuple[str, str], EndPlace]
"""By replication and end; an end that is missing counts as a place of its own."""


def budget(changes: Iterable[Change], ends: EndPlaces) -> Budget:
    """Return the calls and the least time to apply and verify the changes that are not withheld.

    These are the calls of `apply` when no call fails and nothing has changed since the plan. An unproven
    SecureString may turn out to be equal and then costs less. Targets are written in parallel and
    operations overlap, so the least time is the one of the slowest rate class in the busiest place.

    Args:
        changes: The changes of a plan.
        ends: Place and rates of each end, by replication and end (`SOURCE` or a target name).
    """
    todo = [change for change in changes if change.fate is not Fate.WITHHELD]
    names: dict[tuple[str, str], Counter[str]] = {}
    for change in todo:
        counts = names.setdefault((change.replication, change.target), Counter())
        for operation, count in _calls_of(change):
            counts[operation] += count
    sources = {
        (_site(ends, change.replication, SOURCE).place, change.source_name)
        for change in todo
        if change.source_name is not None and change.desired is not None
    }
    calls: Counter[str] = Counter({"ListTagsForResource": len(sources)})
    places: dict[str, Counter[str]] = {}
    for place, _ in sources:
        places.setdefault(place, Counter())[CallClass.LIST_TAGS] += 1
    for (replication, target), counts in names.items():
        for operation, count in counts.items():
            requests = -(-count // NAMES_PER_CALL) if operation in BY_TEN else count
            name = operation.split(" ")[0]
            calls[name] += requests
            end = SOURCE if operation in AT_THE_SOURCE else target
            place = _site(ends, replication, end).place
            places.setdefault(place, Counter())[CALL_CLASSES[name]] += requests
    pace = _paces({change.replication for change in todo}, ends)
    seconds = max(
        (n / pace.get(place, CALL_RATES)[kind] for place, one in places.items() for kind, n in one.items()),
        default=0.0,
    )
    if any(isinstance(change.effect, Replace) for change in todo):
        seconds += DELETE_SECONDS
    return Budget({name: calls[name] for name in sorted(calls) if calls[name]}, round(seconds, 1))


def _site(ends: EndPlaces, replication: str, end: str) -> EndPlace:
    return ends.get((replication, end)) or EndPlace(f"{replication} {end}")


def _paces(replications: set[str], ends: EndPlaces) -> dict[str, dict[str, float]]:
    """Return calls per second by class at each place; the lowest of those that its replications set."""
    paces: dict[str, dict[str, float]] = {}
    for (replication, _), site in ends.items():
        if replication in replications:
            known = paces.setdefault(site.place, {})
            known |= {kind: min(rate, known.get(kind, rate)) for kind, rate in site.rates.items()}
    return {place: {**CALL_RATES, **rates} for place, rates in paces.items()}


def _calls_of(change: Change) -> list[tuple[str, int]]:
    """Return the calls of one change; calls that take ten names are counted in names."""
    tagging = [("AddTagsToResource", 1)] + [("RemoveTagsFromResource", 1)] * bool(change.tags.removed)
    checks = [("GetParameters", 1), ("ListTagsForResource", 1)]
    # AWS validates an AMI id after the write, so one read verifies it.
    is_image = change.desired is not None and change.desired.source.data_type == IMAGE
    put = [("PutParameter", 1)] + [("GetParameters", 1)] * is_image
    verify = [(VERIFY, 1)]
    match change.effect:
        case Create():
            return [(SOURCE_VALUE, 1), *put, *verify]
        case Update(put=True):
            compared = [("GetParameters", 1)] * change.effect.unproven
            return [*checks, (SOURCE_VALUE, 1), *compared, *put, *tagging, *verify]
        case Update():
            return [*checks, *tagging]
        case Retag() | Adopt():
            return [*checks, *tagging, *verify]
        case Release(source_name=source):
            return [*checks, *[(FOR_ONE, 1)] * (source is not None), ("RemoveTagsFromResource", 1)]
        case Replace():
            return [*checks, (FOR_ONE, 1), (ONE_DELETE, 1), *put, *verify]
        case Delete(source_name=source):
            gone = [(SOURCE_GONE, 1)] * (source is not None)
            return [("ListTagsForResource", 1), (VERSION, 1), *gone, ("DeleteParameters", 1), *verify]
        case _:
            assert_never(change.effect)
