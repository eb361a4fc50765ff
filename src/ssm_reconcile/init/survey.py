"""Opened places -> a `Survey`: the parameters, keys and region ties that a proposed spec depends on.

Plain values are read at the source and checked for the name of the region, or for ids of resources in it.
No value is kept, and no SecureString is read. Cost for N parameters at the source: the listings and N/10
GetParameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ssm_reconcile import observe
from ssm_reconcile.aws_limits import is_reserved_name
from ssm_reconcile.diff.case import Case
from ssm_reconcile.diff.compare import ValueMatch
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.model import (
    IMAGE,
    MANAGED_KEY,
    SECURE,
    Access,
    Keyring,
    KeyState,
    Listing,
    RegionTie,
)
from ssm_reconcile.record import OWNER, Standing
from ssm_reconcile.session import Places
from ssm_reconcile.shape import region_tie
from ssm_reconcile.stores.base import Reader, Store
from ssm_reconcile.system import Phase, Progress, ProgressListener, read_at_once


class Likeness(StrEnum):
    """The relation of a parameter in a target to the source parameter of the same name."""

    IDENTICAL = "identical"
    SAME_VALUE = "same value"
    SHAPED = "same value but for the region"
    DIFFERENT = "different"
    UNKNOWN = "not compared"
    OURS = "a replica"
    FOREIGN = "managed by CloudFormation"


def likeness_of(case: Case) -> Likeness:
    """Return the relation of an existing parameter to its source, as a plan compares them."""
    assert case.live is not None
    assert case.desired is not None
    if case.standing is not Standing.FREE:
        return Likeness.FOREIGN if case.standing is Standing.CLOUDFORMATION else Likeness.OURS
    if case.live.type != case.desired.source.type or case.value_match is ValueMatch.DIFFERENT:
        return Likeness.DIFFERENT
    if case.value_match is ValueMatch.UNKNOWN:
        return Likeness.UNKNOWN
    if case.source_reading is not None and case.source_reading.rewritten:
        return Likeness.SHAPED
    return Likeness.SAME_VALUE if case.differences or case.tag_diff else Likeness.IDENTICAL


@dataclass(frozen=True, slots=True)
class SurveyedTarget:
    """One target. `keys` maps each key of the source to the name of a usable key in this target."""

    name: str
    access: Access
    listing: Listing
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Survey:
    """The source and the targets.

    Attributes:
        ties: What ties a plain value to the region of the source, by canonical name.
        keys: The customer managed key of a SecureString, by canonical name.
        ring: Those keys as KMS describes them.
    """

    access: Access
    listing: Listing
    ties: Mapping[str, RegionTie]
    keys: Mapping[str, str]
    ring: Keyring
    targets: tuple[SurveyedTarget, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a spec can replicate: not reserved by AWS, and not those of replicas."""
        return tuple(
            name
            for name in sorted(self.listing.parameters)
            if not is_reserved_name(name) and OWNER not in self.listing.tags_of(name)
        )


def survey(
    source: Access, targets: Mapping[str, Access], places: Places, progress: ProgressListener
) -> Survey:
    """List the source and all targets, and read what ties source parameters to their region and keys.

    Args:
        source: The place of the source.
        targets: The places of the targets, by target name.
        places: These places, opened.
        progress: Gets the progress of each listing.

    Raises:
        StoreError: A place could not be opened.
        ReconcileError: A place could not be listed completely: half a listing would make half a spec.
    """
    stores = [places.store(source), *(places.store(access) for access in targets.values())]
    listing, *live = read_at_once(lambda store: _listed(store, progress), stores)
    ties = _region_ties(stores[0], listing, progress)
    in_use = {
        name: one.key_id
        for name, one in listing.parameters.items()
        if one.is_secret and one.key_id is not None and one.key_id != MANAGED_KEY
    }
    ring = observe.resolve_keys(stores[0], frozenset(in_use.values()))
    keys = {name: key for name, key in in_use.items() if key not in ring.keys or not ring.keys[key].managed}
    return Survey(
        access=source,
        listing=listing,
        ties=ties,
        keys=keys,
        ring=ring,
        targets=tuple(
            SurveyedTarget(name, access, there, _counterparts(store, ring, set(keys.values())))
            for (name, access), store, there in zip(targets.items(), stores[1:], live, strict=True)
        ),
    )


def _listed(store: Store, progress: ProgressListener) -> Listing:
    found = observe.list_place(store, progress)
    if not found.complete:
        raise ReconcileError(f"{found.place} could not be listed completely: {found.trouble}")
    return found


def _region_ties(reader: Reader, listing: Listing, progress: ProgressListener) -> dict[str, RegionTie]:
    """Return what ties the plain values of the source to its region."""
    place = listing.place
    names = [
        name for name, one in listing.parameters.items() if not one.is_secret and not is_reserved_name(name)
    ]
    ties: dict[str, RegionTie] = {}
    for start in range(0, len(names), observe.CHUNK):
        chunk = names[start : start + observe.CHUNK]
        for name, value in reader.values(chunk, decrypt=False).found.items():
            if value.type == SECURE:
                continue  # it became a SecureString after it was listed
            is_image = listing.parameters[name].data_type == IMAGE
            tie = RegionTie.ID if is_image else region_tie(value.text.reveal(), place.region)
            if tie is not None:
                ties[name] = tie
        progress(Progress(str(place), Phase.READING, min(start + observe.CHUNK, len(names)), len(names)))
    return ties


def _counterparts(reader: Reader, ring: Keyring, references: set[str]) -> dict[str, str]:
    """Return the usable key of a target for each key of the source: its other region, or its alias."""
    wanted = {}
    for reference in references:
        known = ring.keys.get(reference)
        if known is not None and known.multi_region:
            wanted[reference] = known.identity.rpartition("/")[2]
        elif (alias := reference.rpartition(":")[2]).startswith("alias/"):
            wanted[reference] = alias
    if not wanted:
        return {}
    found = reader.keys(sorted(set(wanted.values())))
    usable = {KeyState.USABLE, KeyState.UNKNOWN}
    return {ref: name for ref, name in wanted.items() if name in found and found[name].state in usable}
