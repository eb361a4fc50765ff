"""What an apply will cost: calls by operation, and the least time at the rates in force."""

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
SOURCE_GONE = "GetParameters (sources that have to be gone)"
VERSION = "GetParameters (versions of what goes)"
LAST_LOOK = "GetParameters (last look)"
FOR_ONE = "GetParameters (one source)"
AT_THE_SOURCE = frozenset({SOURCE_VALUE, SOURCE_GONE, FOR_ONE})
BY_TEN = frozenset({SOURCE_VALUE, SOURCE_GONE, VERSION, LAST_LOOK, "DeleteParameters"})
"""What is asked for ten names at a time, each kind on its own."""
ONE_DELETE = "DeleteParameters (one)"


@dataclass(frozen=True, slots=True)
class Site:
    """Where one end of a replication is. `rates` are calls per second by class, over CALL_RATES.

    What several replications do at one place waits for the same quotas.
    """

    place: str
    rates: Mapping[str, float] = field(default_factory=dict)


Sites: TypeAlias = Mapping[tuple[str, str], Site]
"""By replication and end; an end that is not in it is a place of its own."""


def budget(changes: Iterable[Change], sites: Sites) -> Budget:
    """What it costs to apply the changes that are not withheld, the last look at them included.

    It is what `apply` asks when nothing goes wrong and nothing has moved; a secret that is unproven
    may turn out to be equal, and then costs less. Targets are written side by side and operations
    overlap, so the least time is that of the slowest operation class in the busiest place.
    """
    todo = [change for change in changes if change.fate is not Fate.WITHHELD]
    names: dict[tuple[str, str], Counter[str]] = {}
    for change in todo:
        counts = names.setdefault((change.replication, change.target), Counter())
        for operation, count in _calls_of(change):
            counts[operation] += count
    sources = {
        (_site(sites, change.replication, SOURCE).place, change.source_name)
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
            place = _site(sites, replication, end).place
            places.setdefault(place, Counter())[CALL_CLASSES[name]] += requests
    pace = _paces({change.replication for change in todo}, sites)
    seconds = max(
        (n / pace.get(place, CALL_RATES)[kind] for place, one in places.items() for kind, n in one.items()),
        default=0.0,
    )
    if any(isinstance(change.effect, Replace) for change in todo):
        seconds += DELETE_SECONDS
    return Budget({name: calls[name] for name in sorted(calls) if calls[name]}, round(seconds, 1))


def _site(sites: Sites, replication: str, end: str) -> Site:
    return sites.get((replication, end)) or Site(f"{replication} {end}")


def _paces(replications: set[str], sites: Sites) -> dict[str, dict[str, float]]:
    """Calls per second by class at each place, the slowest where two replications ask for different ones."""
    paces: dict[str, dict[str, float]] = {}
    for (replication, _), site in sites.items():
        if replication in replications:
            asked = {**CALL_RATES, **site.rates}
            known = paces.setdefault(site.place, asked)
            paces[site.place] = {kind: min(rate, known.get(kind, rate)) for kind, rate in asked.items()}
    return paces


def _calls_of(change: Change) -> list[tuple[str, int]]:
    """The calls of one change; what goes by ten is counted in names."""
    tagging = [("AddTagsToResource", 1)] + [("RemoveTagsFromResource", 1)] * bool(change.tags.removed)
    checks = [("GetParameters", 1), ("ListTagsForResource", 1)]
    put = [("PutParameter", 1), *_image(change)]
    look = [(LAST_LOOK, 1)]
    match change.effect:
        case Create():
            return [(SOURCE_VALUE, 1), *put, *look]
        case Update(put=True):
            compared = [("GetParameters", 1)] * change.effect.unproven
            return [*checks, (SOURCE_VALUE, 1), *compared, *put, *tagging, *look]
        case Update():
            return [*checks, *tagging]
        case Retag() | Adopt():
            return [*checks, *tagging, *look]
        case Release(source_name=source):
            return [*checks, *[(FOR_ONE, 1)] * (source is not None), ("RemoveTagsFromResource", 1)]
        case Replace():
            return [*checks, (FOR_ONE, 1), (ONE_DELETE, 1), *put, *look]
        case Delete(source_name=source):
            gone = [(SOURCE_GONE, 1)] * (source is not None)
            return [("ListTagsForResource", 1), (VERSION, 1), *gone, ("DeleteParameters", 1), *look]
        case _:
            assert_never(change.effect)


def _image(change: Change) -> list[tuple[str, int]]:
    """AWS checks AMI ids after the write, so each is read back."""
    image = change.desired is not None and change.desired.source.data_type == IMAGE
    return [("GetParameters", 1)] * image
