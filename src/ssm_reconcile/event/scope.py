"""Names that something happened to + specs -> for whom each is, and where its replicas lie. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

from ssm_reconcile.event.events import Names, Origin, Reason, Rejected
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.spec import Replication, Rewrite, RewriteIn, Target

MOST_OCCURRENCES = 8
"""Places in one address where a rewrite may have been at work; beyond, its origin is not worked out."""


def concerned(
    specs: Sequence[Replication], sources: Mapping[str, Place], news: Names
) -> tuple[dict[str, frozenset[str]], list[Rejected]]:
    """For each name the replications that it is for; and the names that are for none, with the reason.

    `sources`: where each replication's source is, as far as it could be reached. What comes from any
    other place, above all from a target that was just written, is not for us: no loops.
    """
    here = [spec for spec in specs if _is_from(spec, sources.get(spec.name), news.origin)]
    if not here:
        return {}, [Rejected(Reason.ELSEWHERE, str(news.origin))]
    wanted: dict[str, frozenset[str]] = {}
    rejected: list[Rejected] = []
    for name in news.names:
        found = frozenset(spec.name for spec in here if _selects(spec, name))
        if found:
            wanted[canonical(name)] = found
        else:
            rejected.append(Rejected(Reason.SCOPE, canonical(name)))
    return wanted, rejected


def _is_from(spec: Replication, source: Place | None, origin: Origin | None) -> bool:
    if origin is None:
        return True
    account = source.account if source is not None else spec.source.account
    return spec.source.access.region == origin.region and account in (None, origin.account)


def _selects(spec: Replication, name: str) -> bool:
    """Whether the rules mean that name, whatever type it has, had or will have."""
    return any(spec.rule_for(name, kind) is not None for kind in spec.types)


def rivals(
    spec: Replication, target: Target, source: Place, place: Place, address: str
) -> frozenset[str] | None:
    """Every source name that lands on an address, there or not; None when there is no telling.

    Two of them that exist are a collision, and a replica whose source is another of them is not gone.
    Without rewrites of names that is the address itself.
    """
    candidates = {canonical(address)}
    for rule in spec.rewrites:
        if rule.scope is RewriteIn.NAME:
            origins = _origins(rule, source, place, target.name, canonical(address))
            if origins is None:
                return None
            candidates |= origins
    return frozenset(
        name for name in candidates if canonical(spec.address(name, source, place, target.name)) == address
    )


def _origins(rule: Rewrite, source: Place, place: Place, target: str, address: str) -> set[str] | None:
    """What a rewrite may have made that address of: its new text turned back wherever it stands."""
    change = rule.substitution(source, place, target)
    if not change.new:
        return None
    starts = [i for i in range(len(address)) if address.startswith(change.new, i)]
    if len(starts) > MOST_OCCURRENCES:
        return None
    length = len(change.new)
    found: set[str] = set()
    for count in range(1, len(starts) + 1):
        for chosen in combinations(starts, count):
            if any(later - earlier < length for earlier, later in pairwise(chosen)):
                continue
            name = address
            for start in reversed(chosen):
                name = name[:start] + change.old + name[start + length :]
            found.add(canonical(name))
    return found
