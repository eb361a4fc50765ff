"""One account in one region: its parameters with their history, its keys, and how they change.

Everything stored is immutable, so that a snapshot is a copy of dictionaries and a listing that lags
is the present with the last changes undone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import MANAGED_KEY, STANDARD, KeyState, Parameter, Place, canonical
from tests.fake_aws.behaviour import AwsBehaviour, KeyForm, Moves
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.request import Request, Settled, canonical_policy, parse_policies
from tests.fake_aws.rules import (
    STANDARD_PARAMETERS,
    VERSIONS,
    Ground,
    admit,
    admit_tags,
    admit_untag,
)


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A KMS key in its region."""

    key_id: str
    arn: str
    state: KeyState = KeyState.USABLE
    managed: bool = False
    multi_region: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One version: how listings show it, what was written, and the key it is encrypted under."""

    parameter: Parameter
    settled: Settled
    key_arn: str | None
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stored:
    """A parameter: its versions, oldest first. `was_tagged`: bulk reads list it, even with no tags."""

    versions: tuple[Version, ...]
    tags: Mapping[str, str]
    was_tagged: bool = False

    @property
    def latest(self) -> Version:
        """The version that is current."""
        return self.versions[-1]


@dataclass(frozen=True, slots=True)
class _Change:
    moment: datetime
    name: str
    before: Stored | None


@dataclass(slots=True, eq=False)
class Region:
    """The parameters, keys and aliases of one place. `images` are its AMI ids; None: any will do.

    `changes` is what happened, for listings that lag; `standards` how many are Standard.
    """

    place: Place
    readings: AwsBehaviour
    parameters: dict[str, Stored] = field(default_factory=dict)
    deleted: dict[str, datetime] = field(default_factory=dict)
    keys: dict[str, MasterKey] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    images: frozenset[str] | None = None
    changes: list[_Change] = field(default_factory=list)
    standards: int = 0

    def __post_init__(self) -> None:
        if not self.keys:
            self.aliases[MANAGED_KEY] = self.add_key("aws/ssm", managed=True).key_id

    def copy(self) -> Region:
        """This region as it is now, apart from whatever happens to it later."""
        return replace(
            self,
            parameters=dict(self.parameters),
            deleted=dict(self.deleted),
            keys=dict(self.keys),
            aliases=dict(self.aliases),
            changes=list(self.changes),
        )

    def as_of(self, moment: datetime) -> Mapping[str, Stored]:
        """The parameters as they were at a moment: the present with later changes undone."""
        if not self.changes or self.changes[-1].moment <= moment:
            return self.parameters
        view = dict(self.parameters)
        for change in reversed(self.changes):
            if change.moment <= moment:
                break
            if change.before is None:
                view.pop(change.name, None)
            else:
                view[change.name] = change.before
        return view

    # Keys

    def add_key(self, seed: str, *, managed: bool = False, multi_region: bool = False) -> MasterKey:
        """A new key; its id follows from the seed, for a multi-Region key in every region the same."""
        where = "" if multi_region else str(self.place)
        digits = hashlib.sha256(f"{where} {seed}".encode()).hexdigest()
        key_id = f"mrk-{digits[:32]}" if multi_region else _dashed(digits)
        place = self.place
        arn = f"arn:{place.partition}:kms:{place.region}:{place.account}:key/{key_id}"
        key = MasterKey(key_id, arn, managed=managed, multi_region=multi_region)
        self.keys[key_id] = key
        return key

    def key(self, reference: str) -> MasterKey | None:
        """The key that an alias, id or ARN means in this place; None when there is none."""
        if reference.startswith("arn:"):
            parts = reference.split(":", 5)
            here = [self.place.partition, "kms", self.place.region, self.place.account]
            if len(parts) < 6 or parts[1:5] != here:
                return None
            reference = parts[5].removeprefix("key/")
        return self.keys.get(self.aliases.get(reference, reference))

    def key_state(self, reference: str) -> KeyState:
        """Return the state of a key reference in this region."""
        key = self.key(reference)
        return KeyState.MISSING if key is None else key.state

    def _reported(self, reference: str) -> str:
        """Return the form in which DescribeParameters shows the given key."""
        key = self.key(reference)
        if key is None or "alias/" in reference:
            return reference
        match self.readings.key_form:
            case KeyForm.AS_GIVEN:
                return reference
            case KeyForm.KEY_ID:
                return key.key_id
            case KeyForm.ALIAS:
                aliases = sorted(alias for alias, target in self.aliases.items() if target == key.key_id)
                return aliases[0] if aliases else reference

    # Parameters

    def find(self, name: str) -> Stored:
        """The parameter of that name, or the refusal that AWS gives to tag operations."""
        found = self.parameters.get(canonical(name))
        if found is None:
            raise Refusal("InvalidResourceId", "the parameter does not exist", Trouble.MISSING)
        return found

    def put(self, request: Request, now: datetime, user: str) -> int:
        """PutParameter: the version that AWS answers with."""
        name = request.name.strip(" ")
        key = canonical(name)
        before = self.parameters.get(key)
        versions = before.versions if before else ()
        ground = Ground(
            place=self.place,
            now=now,
            readings=self.readings,
            key_state=self.key_state,
            deleted=self.deleted.get(key),
            versions=len(versions),
            oldest_labelled=bool(versions and versions[0].labels),
            crowded=self.standards >= STANDARD_PARAMETERS,
        )
        settled = admit(request, before.latest.settled if before else None, ground)
        number = versions[-1].parameter.version + 1 if versions else 1
        if self.images is not None and settled.data_type == "aws:ec2:image":
            known = settled.value.reveal() in self.images
            if not known:
                return number  # AWS answers with a version and drops it in silence
        shown = before.latest.parameter.name if before else name
        version = self._version(shown, settled, number, now, user)
        tags = before.tags if before else MappingProxyType(dict(request.tags or ()))
        was_tagged = bool(tags) or (before is not None and before.was_tagged)
        self._set(key, Stored((*versions, version)[-VERSIONS:], tags, was_tagged), now)
        return number

    def _version(self, name: str, settled: Settled, number: int, now: datetime, user: str) -> Version:
        policies = parse_policies(f"[{','.join(settled.policies)}]") or []
        key = None if settled.key_id is None else self.key(settled.key_id)
        parameter = Parameter(
            name=name,
            type=settled.type,
            version=number,
            last_modified=_to_millis(now),
            last_modified_user=user,
            description=settled.description,
            allowed_pattern=settled.allowed_pattern,
            tier=settled.tier,
            policies=tuple(sorted(canonical_policy(policy) for policy in policies)),
            data_type=settled.data_type,
            key_id=None if settled.key_id is None else self._reported(settled.key_id),
        )
        return Version(parameter, settled, None if key is None else key.arn)

    def delete(self, name: str, now: datetime) -> bool:
        """Deletes a parameter with its history, labels and tags; whether there was one."""
        key = canonical(name)
        if key not in self.parameters:
            return False
        self._set(key, None, now)
        self.deleted[key] = now
        return True

    def tag(self, name: str, tags: Mapping[str, str], now: datetime, *, by_aws: bool = False) -> None:
        """Adds or overwrites tags; AWS itself (CloudFormation) may set what others may not."""
        found = self.find(name)
        if not by_aws:
            admit_tags(found.tags, tags)
        self._retag(name, found, {**found.tags, **tags}, now)

    def untag(self, name: str, keys: Iterable[str], now: datetime) -> None:
        """Removes tags; keys that are not there do no harm."""
        found = self.find(name)
        removed = set(keys)
        admit_untag(removed)
        self._retag(name, found, {k: v for k, v in found.tags.items() if k not in removed}, now)

    def label(self, name: str, number: int, label: str, now: datetime) -> None:
        """Puts a label on one version; it leaves the version that had it."""
        found = self.find(name)
        versions = tuple(
            replace(v, labels=v.labels | {label} if v.parameter.version == number else v.labels - {label})
            for v in found.versions
        )
        self._set(canonical(name), self._touched(replace(found, versions=versions), now), now)

    def _retag(self, name: str, found: Stored, tags: Mapping[str, str], now: datetime) -> None:
        tagged = replace(found, tags=MappingProxyType(dict(tags)), was_tagged=found.was_tagged or bool(tags))
        self._set(canonical(name), self._touched(tagged, now), now)

    def _touched(self, stored: Stored, now: datetime) -> Stored:
        """Whether tags and labels move LastModifiedDate is open."""
        if self.readings.tags_move_modified is Moves.NO:
            return stored
        parameter = replace(stored.latest.parameter, last_modified=_to_millis(now))
        latest = replace(stored.latest, parameter=parameter)
        return replace(stored, versions=(*stored.versions[:-1], latest))

    def _set(self, name: str, stored: Stored | None, now: datetime) -> None:
        before = self.parameters.get(name)
        self.changes.append(_Change(now, name, before))
        self.standards += _counts(stored) - _counts(before)
        if stored is None:
            del self.parameters[name]
        else:
            self.parameters[name] = stored


def _counts(stored: Stored | None) -> bool:
    """Whether it is one of the Standard parameters, of which a region holds so many."""
    return stored is not None and stored.latest.settled.tier == STANDARD


def _to_millis(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _dashed(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))
