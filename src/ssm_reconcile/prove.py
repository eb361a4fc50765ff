"""Desired + live -> what versions settle, and which values must be read.

A replica's record says from which source version it was made and which version it had then. Where
both are still so, the values are equal without anybody having looked at them. Everything else has
to be read, and only that. (This holds against accidents. Somebody who writes both a value and our
tags can fake it; `--verify-values` reads everything.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ssm_reconcile.model import IMAGE, DesiredParameter, Listing, Tags, ValueRequest
from ssm_reconcile.record import Standing, proves_equal, record_of, standing
from ssm_reconcile.spec import Replication, Run

CONFIRM_EACH = 50
"""Up to so many names are asked for their tags one by one; beyond, one filtered scan is cheaper."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known without reading, and what is to be asked, by canonical address.

    `settled`: the values are equal, by versions. `source` and `live`: values to read on either side.
    `unproven`: SecureStrings that would have to be read and must not (`--no-decrypt`).
    """

    settled: frozenset[str] = frozenset()
    source: Mapping[str, ValueRequest] = field(default_factory=dict)
    live: Mapping[str, ValueRequest] = field(default_factory=dict)
    unproven: frozenset[str] = frozenset()


def prove(
    replication: Replication,
    target: str,
    desired: Mapping[str, DesiredParameter],
    source: Listing,
    live: Listing,
    run: Run,
) -> Proof:
    """Settles what can be settled and says what is to be read. Only placed addresses are looked at."""
    claim = replication.claim(source.place)
    same_region = source.place.region == live.place.region
    settled: set[str] = set()
    unproven: set[str] = set()
    from_source: dict[str, ValueRequest] = {}
    from_live: dict[str, ValueRequest] = {}
    for address, wanted in desired.items():
        there = live.parameters.get(address)
        if wanted.skip or wanted.chained or wanted.problems:
            continue
        tags = live.tags_of(address)
        status = standing(tags, live.arn(address), claim, placed=True)
        if there is not None and not _needs_a_look(replication, target, status, tags):
            continue
        secret = wanted.source.is_secret or (there is not None and there.is_secret)
        record = record_of(tags) if status is Standing.OURS else None
        was_secret = record is not None and record.key != "none"
        show = not (wanted.hidden or secret or was_secret)
        if there is not None and record is not None and proves_equal(record, wanted, there, source.place):
            settled.add(address)
            if not run.verify_values:
                continue
        if run.no_decrypt and secret:
            if there is not None and address not in settled:
                unproven.add(address)
            continue
        if there is None and not show and not wanted.substitutions:
            continue  # a new secret is read when it is written
        pattern = wanted.source.allowed_pattern if wanted.substitutions else ""
        region = "" if wanted.source.data_type == IMAGE or same_region else source.place.region
        lifted = all(map(replication.shows, {wanted.source.name, wanted.name}))
        from_source[address] = ValueRequest(
            wanted.source.name, wanted.substitutions, show, pattern, lifted, region
        )
        if there is not None:
            from_live[address] = ValueRequest(there.name, (), show, lifted=lifted)
    return Proof(frozenset(settled), from_source, from_live, frozenset(unproven))


def _needs_a_look(replication: Replication, target: str, status: Standing, tags: Tags) -> bool:
    """Whether anything depends on the value of a live parameter."""
    if replication.skip_sync.applies(tags, target) or replication.skip_sync.is_doubtful(tags, target):
        return False
    return status in (Standing.OURS, Standing.FREE)


def doubts(
    replication: Replication, desired: Mapping[str, DesiredParameter], source: Listing, live: Listing
) -> list[str]:
    """Addresses that would be called "not ours" on the word of bulk tag reads alone, sorted."""
    claim = replication.claim(source.place)
    return sorted(
        address
        for address in desired
        if address in live.parameters
        and address not in live.confirmed
        and standing(live.tags_of(address), live.arn(address), claim, placed=True) is Standing.FREE
    )
