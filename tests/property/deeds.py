"""What other people do in a world, as data, so that a story can be told, shrunk and printed.

`where` is a place of the stage. What AWS would refuse does not happen: people get errors too.
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
from tests.property.stage import SOURCE, Stage

US = "arn:aws:sts::123456789012:assumed-role/ssm-reconcile/another-run"
STRANGER = "stranger@999999999999/ap-south-1"
"""The owner tag of somebody else's replication."""


@dataclass(frozen=True, slots=True)
class Writes:
    """Somebody writes a parameter, over what is there. `key`: an alias, with `#` its ARN, with `@` its id."""

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
class Edits:
    """Somebody writes a parameter again with some attributes of it changed: the fields of `Writes`."""

    where: str
    name: str
    changed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deletes:
    where: str
    name: str


@dataclass(frozen=True, slots=True)
class Recreates:
    """Deletes a parameter and makes it anew, with the same tags: a script that restores a backup."""

    where: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Tags:
    where: str
    name: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Untags:
    where: str
    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CopiesTags:
    """Copies all tags of one parameter to another, ours among them."""

    where: str
    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Clones:
    """Puts into a target by hand what the source holds; equal unless a key or a rewrite differs."""

    where: str
    name: str
    with_tags: bool = True


@dataclass(frozen=True, slots=True)
class Detaches:
    where: str
    name: str


@dataclass(frozen=True, slots=True)
class Claims:
    """Another replication owns the parameter: its tags, and a record that names it."""

    where: str
    name: str
    owner: str = STRANGER


@dataclass(frozen=True, slots=True)
class Stacks:
    """CloudFormation manages the parameter."""

    where: str
    name: str


@dataclass(frozen=True, slots=True)
class Repoints:
    """An alias points at another key from now on."""

    where: str
    alias: str
    to: str


@dataclass(frozen=True, slots=True)
class Disables:
    where: str
    alias: str


Deed: TypeAlias = (
    Writes
    | Edits
    | Deletes
    | Recreates
    | Tags
    | Untags
    | CopiesTags
    | Clones
    | Detaches
    | Claims
    | Stacks
    | Repoints
    | Disables
)


def happen(stage: Stage, deeds: Sequence[Deed]) -> None:
    """One deed after the other, some time between each."""
    for deed in deeds:
        with suppress(Refusal):
            _do(stage, deed)
        stage.clock.advance(timedelta(seconds=7))


def _do(stage: Stage, deed: Deed) -> None:
    world, place = stage.world, stage.places[deed.where]
    match deed:
        case Writes():
            _write(stage, deed)
        case Edits(where=where, name=name, changed=changed):
            found = world.peek(place, name)
            if found is not None:
                _write(stage, replace(as_written(found, where), tags=(), **changed))
        case Deletes(name=name):
            world.delete(place, name)
        case Recreates(name=name, value=value):
            _recreate(stage, deed, world.peek(place, name), value)
        case Tags(name=name, tags=tags):
            world.tag(place, name, dict(tags))
        case Untags(name=name, keys=keys):
            world.untag(place, name, *keys)
        case CopiesTags(name=name, to=to):
            world.tag(place, to, world.tags(place, name) or {})
        case Clones():
            _clone(stage, deed)
        case Detaches(name=name):
            owner = (world.tags(place, name) or {}).get(OWNER, "prod@123456789012/us-east-1")
            world.tag(place, name, {OWNER: DETACHED + owner.removeprefix(DETACHED)})
        case Claims(name=name, owner=owner):
            found = world.region(place).find(name)
            world.tag(place, name, claim(stage, deed.where, found, owner))
        case Stacks(name=name):
            world.tag(place, name, {"aws:cloudformation:stack-name": "somebody"})
        case Repoints(alias=alias, to=to):
            world.point_alias(place, alias, to)
        case Disables(alias=alias):
            world.set_key(place, alias, KeyState.DISABLED)


def _write(stage: Stage, deed: Writes) -> None:
    fields = {
        "description": deed.description,
        "allowed_pattern": deed.pattern,
        "tier": deed.tier,
        "data_type": deed.data_type,
        "key_id": key_reference(stage, deed.where, deed.key) if deed.type == SECURE else None,
    }
    stage.world.put(
        stage.places[deed.where],
        deed.name,
        deed.value,
        deed.type,
        tags=dict(deed.tags),
        user=US if deed.by_us else SOMEBODY,
        policies=deed.policies,
        **{name: text for name, text in fields.items() if text is not None},
    )


def _recreate(stage: Stage, deed: Recreates, before: Stored | None, value: str) -> None:
    if before is None:
        return
    place, shown = stage.places[deed.where], before.latest.parameter
    stage.world.delete(place, deed.name)
    stage.clock.advance(timedelta(seconds=40))
    key: dict[str, Any] = {} if shown.key_id is None else {"key_id": shown.key_id}
    stage.world.put(
        place, deed.name, value, shown.type, tier=shown.tier, description=shown.description, **key
    )
    stage.world.tag(place, deed.name, before.tags)


def _clone(stage: Stage, deed: Clones) -> None:
    found = stage.world.peek(stage.source, deed.name)
    if found is None:
        return
    copied = as_written(found, deed.where)
    if not (copied.key or "").startswith("alias/"):
        copied = replace(copied, key=None)  # what is reported by id or ARN means nothing in another region
    _write(stage, copied if deed.with_tags else replace(copied, tags=()))


def as_written(found: Stored, where: str) -> Writes:
    """The write that would make a parameter as it is: all of it but what belongs to others."""
    shown = found.latest.parameter
    return Writes(
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


def claim(stage: Stage, where: str, found: Stored, owner: str) -> dict[str, str]:
    """The tags of a replica of that owner, as a run of it would have left them."""
    shown, place = found.latest.parameter, stage.places[where]
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


def key_reference(stage: Stage, where: str, key: str | None) -> str | None:
    """A key as people name it: `alias/app`, `alias/app#` its ARN, `alias/app@` its id."""
    if key is None or key[-1] not in "#@":
        return key
    found = stage.world.region(stage.places[where]).key(key[:-1])
    if found is None:
        return None
    return found.arn if key.endswith("#") else found.key_id


def is_ours_to_read(tags: dict[str, str]) -> bool:
    """Whether there is anything of this product in some tags."""
    return OWNER in tags or RECORD in tags


__all__ = [
    "SOURCE",
    "STRANGER",
    "US",
    "Claims",
    "Clones",
    "CopiesTags",
    "Deed",
    "Deletes",
    "Detaches",
    "Disables",
    "Edits",
    "Recreates",
    "Repoints",
    "Stacks",
    "Tags",
    "Untags",
    "Writes",
    "happen",
]
