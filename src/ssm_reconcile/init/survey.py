"""Readers of a source and of targets -> a `Survey`: what is there, as far as a proposal rests on it.

Plain values are read at the source, looked at and forgotten; those that a target has under the same
name are compared by keyed digests. SecureStrings are decrypted and compared only where that is asked
for, and never looked at. Cost for N parameters at the source of which M are in a target: the listings,
N/10 GetParameters there, and M/10 in each target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ssm_reconcile import observe
from ssm_reconcile.attributes import COPIED
from ssm_reconcile.aws_limits import is_reserved_name
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import (
    IMAGE,
    MANAGED_KEY,
    SECURE,
    Access,
    Keyring,
    KeyState,
    Listing,
    Parameter,
    Place,
    Reading,
    RegionTie,
    Substitution,
    Tags,
    ValueRequest,
    canonical,
)
from ssm_reconcile.progress import Phase, Progress, ProgressListener
from ssm_reconcile.record import OWNER, PREFIX
from ssm_reconcile.shape import digest_value, region_tie, shape
from ssm_reconcile.stores.base import Reader

CHUNK = 400
"""How many values are in memory at a time."""


class Likeness(StrEnum):
    """How a parameter that a target has already compares with its namesake at the source."""

    IDENTICAL = "identical"
    SAME_VALUE = "same value"
    SHAPED = "same value but for the region"
    DIFFERENT = "different"
    UNKNOWN = "not compared"
    OURS = "a replica"
    FOREIGN = "managed by CloudFormation"


@dataclass(frozen=True, slots=True)
class End:
    """One place to look at: what it is called, how it is reached, and what reads it."""

    name: str
    access: Access
    reader: Reader


@dataclass(frozen=True, slots=True)
class Seen:
    """One target: `keys` are, by source key, the references that mean a usable key there."""

    name: str
    access: Access
    listing: Listing
    keys: Mapping[str, str] = field(default_factory=dict)
    compared: Mapping[str, Likeness] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """The account and region."""
        return self.listing.place


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen. `looks` and `keys` are by canonical name; `keys` has customer keys only."""

    access: Access
    listing: Listing
    looks: Mapping[str, RegionTie]
    keys: Mapping[str, str]
    ring: Keyring
    targets: tuple[Seen, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What could be replicated at all: not what AWS keeps for itself, and not what is a replica."""
        return tuple(
            name
            for name in sorted(self.listing.parameters)
            if not is_reserved_name(name) and OWNER not in self.listing.tags_of(name)
        )


def survey(
    source: End, targets: Sequence[End], key: bytes, watch: ProgressListener, *, compare_secrets: bool = False
) -> Survey:
    """Looks at every place. Raises StoreError when one cannot be listed to the end, or read."""
    listing = _listed(source.reader, watch)
    listings = [_listed(target.reader, watch) for target in targets]
    digests, looks = _source_values(
        source.reader, listing, [one.place.region for one in listings], key, watch
    )
    keys = {
        name: parameter.key_id
        for name, parameter in listing.parameters.items()
        if parameter.is_secret and parameter.key_id not in (None, MANAGED_KEY)
    }
    ring = observe.resolve_keys(source.reader, frozenset(k for k in keys.values() if k))
    references = {name: key_id for name, key_id in keys.items() if key_id and not _is_managed(ring, key_id)}
    seen = []
    for target, there in zip(targets, listings, strict=True):
        namesakes = _namesakes(target.reader, ring, set(references.values()))
        both = [name for name in listing.parameters if name in there.parameters]
        live = _live_values(target.reader, there, both, key, watch)
        if compare_secrets:
            both_secret = [
                n for n in both if listing.parameters[n].is_secret and there.parameters[n].is_secret
            ]
            digests |= _digests(source.reader, both_secret, key, watch)
            live |= _digests(target.reader, both_secret, key, watch)
        compared = {
            name: _likeness(name, listing, there, digests, live, namesakes.get(references.get(name, "")))
            for name in both
        }
        seen.append(Seen(target.name, target.access, there, namesakes, compared))
    return Survey(source.access, listing, looks, references, ring, tuple(seen))


def _listed(reader: Reader, watch: ProgressListener) -> Listing:
    """A place to its end, in calls that fail loudly: half a listing would make half a proposal."""
    parameters: dict[str, Parameter] = {}
    tags: dict[str, Tags] = {}
    for described in reader.describe():
        parameters |= {canonical(one.name): one for one in described}
        watch(Progress(str(reader.place), Phase.LISTING, len(parameters)))
    try:
        for tagged in reader.tagged():
            tags |= {name: found for name, found in tagged.items() if found}
            watch(Progress(str(reader.place), Phase.TAGS, len(tags)))
    except StoreError as failure:
        if failure.kind not in observe.REPLACEABLE:
            raise
        tags, unread = observe.list_tags_one_by_one(reader, parameters, watch)
        if unread is not None:
            raise unread from None
    return Listing(reader.place, reader.caller, parameters, tags)


def _is_managed(ring: Keyring, reference: str) -> bool:
    found = ring.keys.get(reference)
    return found is not None and found.managed


Digests = dict[tuple[str, str], bytes]
"""By name and region: the value's digest, as it is (region `""`) or with a target's region in it."""


def _source_values(
    reader: Reader, listing: Listing, regions: Iterable[str], key: bytes, watch: ProgressListener
) -> tuple[Digests, dict[str, RegionTie]]:
    """The digests of all plain values, and what ties them to their region."""
    names = [
        name for name, one in listing.parameters.items() if not one.is_secret and not is_reserved_name(name)
    ]
    digests: Digests = {}
    looks: dict[str, RegionTie] = {}
    place = listing.place
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        for name, value in reader.values(chunk, decrypt=False).found.items():
            if value.type == SECURE:
                continue  # it became one a moment ago
            look = region_tie(value.text.reveal(), place.region)
            if listing.parameters[name].data_type == IMAGE:
                look = RegionTie.ID
            digests[name, ""] = digest_value(value.text, value.type, key)
            if look is not None:
                looks[name] = look
                for region in regions:
                    shaped = shape(value.text, [Substitution(place.region, region)])
                    digests[name, region] = digest_value(shaped, value.type, key)
        watch(Progress(str(place), Phase.READING, min(start + CHUNK, len(names)), len(names)))
    return digests, looks


def _live_values(
    reader: Reader, there: Listing, both: Iterable[str], key: bytes, watch: ProgressListener
) -> Digests:
    plain = [
        name for name in both if not there.parameters[name].is_secret and OWNER not in there.tags_of(name)
    ]
    return _digests(reader, plain, key, watch, decrypt=False)


def _digests(
    reader: Reader, names: Iterable[str], key: bytes, watch: ProgressListener, *, decrypt: bool = True
) -> Digests:
    questions = {name: ValueRequest(name) for name in names}
    answers = observe.read(reader, questions, key, watch, decrypt=decrypt)
    return {(name, ""): one.digest for name, one in answers.items() if isinstance(one, Reading)}


def _namesakes(reader: Reader, ring: Keyring, references: set[str]) -> dict[str, str]:
    """By source key: what names a usable key in the target, as far as names tell."""
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


def _likeness(
    name: str, listing: Listing, there: Listing, digests: Digests, live: Digests, namesake: str | None
) -> Likeness:
    source, target = listing.parameters[name], there.parameters[name]
    tags = there.tags_of(name)
    if OWNER in tags:
        return Likeness.OURS
    if any(tag.startswith("aws:cloudformation:") for tag in tags):
        return Likeness.FOREIGN
    if source.type != target.type:
        return Likeness.DIFFERENT
    mine, theirs = digests.get((name, "")), live.get((name, ""))
    if mine is None or theirs is None:
        return Likeness.UNKNOWN
    if mine != theirs:
        shaped = digests.get((name, there.place.region))
        return Likeness.SHAPED if shaped == theirs else Likeness.DIFFERENT
    return Likeness.IDENTICAL if _same_rest(name, listing, there, namesake) else Likeness.SAME_VALUE


def _same_rest(name: str, listing: Listing, there: Listing, namesake: str | None) -> bool:
    """Whether all that is replicated besides the value is the same, as far as listings show."""
    source, target = listing.parameters[name], there.parameters[name]
    same = all(
        getattr(source, word) == getattr(target, word) for word in ("tier", *(one.field for one in COPIED))
    )
    key = namesake or MANAGED_KEY
    same_key = not source.is_secret or (target.key_id or MANAGED_KEY) == key
    return same and same_key and _kept(listing.tags_of(name)) == _kept(there.tags_of(name))


def _kept(tags: Tags) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith(("aws:", PREFIX, "skip_sync"))}
