"""Actions of other people in a world, as data, so that hypothesis can print and shrink a scenario.

`where` is a name of `PLACES`. An action that AWS refuses changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

from ssm_reconcile.model import SECURE, KeyState, canonical
from ssm_reconcile.record import DETACHED, OWNER, RECORD, Origin, Record, compose_own, digest, ownership_tags
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.region import Stored
from tests.fake_aws.world import SOMEBODY
from tests.property.places import PLACES
from tests.simulated_aws import SimulatedAws

US = "arn:aws:sts::123456789012:assumed-role/ssm-reconcile/another-run"
STRANGER = "stranger@999999999999/ap-south-1"
"""The owner tag of another replication."""


@dataclass(frozen=True, slots=True)
class Write:
    """Create or overwrite a parameter. `key`: an alias; with `#` the ARN of its key, with `@` the key id."""

    where: str
    name: str
    value: str
    type: str = "String"
    description: str | None = None
    pattern: str | None = None
    tier: str | None = None
    policies: tuple[str, ...] = ()
    data_type: str | None = None
    key: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    by_us: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """Overwrite a parameter with some attributes changed: the fields of `Write`."""

    where: str
    name: str
    changed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    where: str
    name: str


@dataclass(frozen=True, slots=True)
class Recreate:
    """Delete a parameter and create it again with the same tags, as a restore of a backup does."""

    where: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class AddTags:
    where: str
    name: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RemoveTags:
    where: str
    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CopyTags:
    """Copy all tags of one parameter to another, ownership tags too."""

    where: str
    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Clone:
    """Copy a source parameter to a target by hand; equal unless a key or a rewrite differs."""

    where: str
    name: str
    with_tags: bool = True


@dataclass(frozen=True, slots=True)
class Detach:
    where: str
    name: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Another replication owns the parameter: its tags, and a record that names it."""

    where: str
    name: str
    owner: str = STRANGER


@dataclass(frozen=True, slots=True)
class TagAsStack:
    """CloudFormation manages the parameter."""

    where: str
    name: str


@dataclass(frozen=True, slots=True)
class RepointAlias:
    """Point an alias at another key."""

    where: str
    alias: str
    to: str


@dataclass(frozen=True, slots=True)
class DisableKey:
    where: str
    alias: str


UserAction: TypeAlias = (
    Write
    | Edit
    | Delete
    | Recreate
    | AddTags
    | RemoveTags
    | CopyTags
    | Clone
    | Detach
    | Claim
    | TagAsStack
    | RepointAlias
    | DisableKey
)


def perform(aws: SimulatedAws, actions: Sequence[UserAction]) -> None:
    """Perform the actions in order, with seven seconds between them."""
    for action in actions:
        with suppress(Refusal):
            _do(aws, action)
        aws.clock.advance(timedelta(seconds=7))


def _do(aws: SimulatedAws, action: UserAction) -> None:
    world, place = aws.world, PLACES[action.where]
    match action:
        case Write():
            _write(aws, action)
        case Edit(where=where, name=name, changed=changed):
            found = world.peek(place, name)
            if found is not None:
                _write(aws, replace(as_written(found, where), tags=(), **changed))
        case Delete(name=name):
            world.delete(place, name)
        case Recreate(name=name, value=value):
            _recreate(aws, action, world.peek(place, name), value)
        case AddTags(name=name, tags=tags):
            world.tag(place, name, dict(tags))
        case RemoveTags(name=name, keys=keys):
            world.untag(place, name, *keys)
        case CopyTags(name=name, to=to):
            world.tag(place, to, world.tags(place, name) or {})
        case Clone():
            _clone(aws, action)
        case Detach(name=name):
            owner = (world.tags(place, name) or {}).get(OWNER, "prod@123456789012/us-east-1")
            world.tag(place, name, {OWNER: DETACHED + owner.removeprefix(DETACHED)})
        case Claim(name=name, owner=owner):
            found = world.region(place).find(name)
            world.tag(place, name, claim(aws, action.where, found, owner))
        case TagAsStack(name=name):
            world.tag(place, name, {"aws:cloudformation:stack-name": "another-team"})
        case RepointAlias(alias=alias, to=to):
            world.point_alias(place, alias, to)
        case DisableKey(alias=alias):
            world.set_key(place, alias, KeyState.DISABLED)


def _write(aws: SimulatedAws, action: Write) -> None:
    fields = {
        "description": action.description,
        "allowed_pattern": action.pattern,
        "tier": action.tier,
        "data_type": action.data_type,
        "key_id": key_reference(aws, action.where, action.key) if action.type == SECURE else None,
    }
    aws.world.put(
        PLACES[action.where],
        action.name,
        action.value,
        action.type,
        tags=dict(action.tags),
        user=US if action.by_us else SOMEBODY,
        policies=action.policies,
        **{name: text for name, text in fields.items() if text is not None},
    )


def _recreate(aws: SimulatedAws, action: Recreate, before: Stored | None, value: str) -> None:
    if before is None:
        return
    place, shown = PLACES[action.where], before.latest.parameter
    aws.world.delete(place, action.name)
    aws.clock.advance(timedelta(seconds=40))
    key: dict[str, Any] = {} if shown.key_id is None else {"key_id": shown.key_id}
    aws.world.put(
        place, action.name, value, shown.type, tier=shown.tier, description=shown.description, **key
    )
    aws.world.tag(place, action.name, before.tags)


def _clone(aws: SimulatedAws, action: Clone) -> None:
    found = aws.world.peek(aws.here, action.name)
    if found is None:
        return
    copied = as_written(found, action.where)
    if not (copied.key or "").startswith("alias/"):
        copied = replace(copied, key=None)  # what is reported by id or ARN means nothing in another region
    _write(aws, copied if action.with_tags else replace(copied, tags=()))


def as_written(found: Stored, where: str) -> Write:
    """Return the write that creates this parameter again, without the tags of AWS and of the product."""
    shown = found.latest.parameter
    return Write(
        where=where,
        name=shown.name,
        value=found.latest.settled.value.reveal(),
        type=shown.type,
        description=shown.description,
        pattern=shown.allowed_pattern,
        tier=shown.tier,
        policies=shown.policies,
        data_type=shown.data_type if shown.data_type != "text" else None,
        key=shown.key_id,
        tags=tuple((k, v) for k, v in found.tags.items() if not k.startswith(("aws:", "ssm-reconcile:"))),
    )


def claim(aws: SimulatedAws, where: str, found: Stored, owner: str) -> dict[str, str]:
    """Return the tags that a run of this owner writes on a replica."""
    shown, place = found.latest.parameter, PLACES[where]
    record = Record(
        source_version=1,
        source_modified=shown.last_modified,
        version=shown.version,
        written=shown.last_modified,
        origin=Origin.CREATED,
        own=compose_own(place.arn(shown.name), shown.type, None),
        source=digest(f"arn:aws:ssm:ap-south-1:999999999999:parameter{canonical(shown.name)}"),
    )
    return ownership_tags(owner, record, source_name=shown.name, name=shown.name)


def key_reference(aws: SimulatedAws, where: str, key: str | None) -> str | None:
    """Return the key reference for `alias/app` (as is), `alias/app#` (ARN) or `alias/app@` (key id)."""
    if key is None or key[-1] not in "#@":
        return key
    found = aws.world.region(PLACES[where]).key(key[:-1])
    if found is None:
        return None
    return found.arn if key.endswith("#") else found.key_id


def has_ownership_tags(tags: dict[str, str]) -> bool:
    """Whether the tags have an owner or a record."""
    return OWNER in tags or RECORD in tags
