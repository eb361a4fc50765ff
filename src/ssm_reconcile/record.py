"""The two tags that make a parameter a replica: who owns it, and what it was made from.

    ssm-reconcile:owner    prod@123456789012/us-east-1
    ssm-reconcile:record   v=1 source=12@1763933333123 replica=3@1763933334000 origin=created
                           own=… from=… key=… rewrite=…   (one line)
    ssm-reconcile:source   the source's name, where a rewrite changed it and it fits

A record names the ARN of the parameter that it was written for. Tags that a script copied along to
another parameter name the wrong one, so nobody can become a replica by accident.

The field `own` has 32 hex digits. In format 1 all of them are the digest of the replica's ARN. Today they
are 19 digits of that digest, one for the source's type, and 12 for the id of the spec. A version that knows
format 1 only reads such a record as one that names another parameter, and refuses it (decision 0020).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from ssm_reconcile.aws_limits import TAG_VALUE_LIMIT
from ssm_reconcile.encoding import utf8
from ssm_reconcile.model import (
    SECURE,
    DesiredParameter,
    Parameter,
    Place,
    Reading,
    Substitution,
    Tags,
    canonical,
)

PREFIX = "ssm-reconcile:"
OWNER = PREFIX + "owner"
RECORD = PREFIX + "record"
SOURCE = PREFIX + "source"
DETACHED = "detached:"
"""Before the owner in the owner tag: this parameter lives on its own now."""
FORMAT = "1"
WAS_SECRET = "was"  # noqa: S105 - a mark, not a password
"""In place of a key: a plain replica that was a SecureString, so that its value stays hidden."""
SAME_MOMENT = timedelta(seconds=2)
"""Within this, two readings of LastModifiedDate are the same moment (rounding differs by API)."""
WRITE_WINDOW = timedelta(minutes=10)
"""How far AWS's LastModifiedDate may lie from our own clock at the write."""


_ARN_DIGITS = 19
_ID_DIGITS = 12
_NO_ID = "0" * _ID_DIGITS
_TYPE_DIGITS = {"String": "1", "StringList": "2", SECURE: "3"}
_TYPES = {digit: kind for kind, digit in _TYPE_DIGITS.items()}


class Origin(StrEnum):
    """How a parameter became a replica: an adopted one was there before us."""

    CREATED = "created"
    ADOPTED = "adopted"


class Standing(StrEnum):
    """What the tags of a live parameter say of it, as seen by one replication."""

    OURS = "ours"
    FOREIGN = "foreign"
    """A replica of another owner."""
    CLOUDFORMATION = "cloudformation"
    DETACHED = "detached"
    OTHER_ID = "of another id"
    """Our owner tag, and a record with the id of another spec."""
    NO_ID = "without an id"
    """Our owner tag, a record without an id, and nothing placed there; the spec has an id."""
    COPIED = "copied"
    """Our owner tag, but a record that was written for another parameter."""
    FREE = "free"


def digest(text: str) -> str:
    """A short fingerprint of something that is not secret (an ARN, a rule)."""
    return hashlib.sha256(utf8(text)).hexdigest()[:32]


def digest_id(spec_id: str) -> str:
    """Return the digest of a spec's id as it stands in a record. Never the text for "no id"."""
    found = digest(spec_id)[:_ID_DIGITS]
    return found if found != _NO_ID else "f" * _ID_DIGITS


def compose_own(arn: str, source_type: str, spec_id: str | None) -> str:
    """Return the field `own` of a record: the replica's ARN, the source's type and the spec's id."""
    of_id = _NO_ID if spec_id is None else digest_id(spec_id)
    return digest(arn)[:_ARN_DIGITS] + _TYPE_DIGITS.get(source_type, "0") + of_id


def rewrite_digest(substitutions: Iterable[Substitution]) -> str:
    """The fingerprint of the rewrite rules that shaped one value; `none` without any."""
    text = "\x00".join(f"{s.old}\x01{s.new}" for s in substitutions)
    return digest(text)[:16] if text else "none"


def key_digest(identity: str | None) -> str:
    """The fingerprint of the key that a value was encrypted under; `none` for a plain one.

    `none` too for an alias that could not be resolved: its name says nothing of which key it means.
    """
    return digest(identity)[:16] if identity and is_resolved(identity) else "none"


def mark_former_secret(record: Record, before: Tags, *, secret: bool) -> Record:
    """The record of a plain replica, with the mark that it was a SecureString, once it was.

    What was a secret stays hidden, however often the plain value changes after that. `secret`: the live
    parameter is one now, before the write. `before` are its tags.
    """
    former = record_of(before)
    was = secret or (former is not None and former.key != "none")
    return replace(record, key=WAS_SECRET) if was and record.key == "none" else record


def is_resolved(identity: str | None) -> bool:
    """Whether a key identity is one (see `model.Key`), and not only the reference that was asked for."""
    return identity is not None and identity.startswith(("arn:", "alias/aws/"))


@dataclass(frozen=True, slots=True)
class Claim:
    """What a replication knows its replicas by.

    `owners`: today's owner tag, then earlier ones. `ids`: the digests of today's id and of earlier ones.
    None among them: a record without an id is ours as well.
    """

    owners: tuple[str, ...]
    ids: frozenset[str | None] = frozenset({None})


@dataclass(frozen=True, slots=True)
class Record:
    """What a replica was made from. Times are timezone-aware; they are kept in milliseconds.

    `written` is when the record was written, by our clock: with the value, or after a comparison.
    """

    source_version: int
    source_modified: datetime
    version: int
    written: datetime
    origin: Origin
    own: str
    source: str
    key: str = "none"
    rewrite: str = "none"

    def text(self) -> str:
        """The tag value: only characters that SSM allows, well under 256 of them."""
        return (
            f"v={FORMAT} source={self.source_version}@{_millis(self.source_modified)}"
            f" replica={self.version}@{_millis(self.written)} origin={self.origin}"
            f" own={self.own} from={self.source} key={self.key} rewrite={self.rewrite}"
        )

    def is_for(self, arn: str) -> bool:
        """Whether this record was written for the parameter of that ARN."""
        return self.own[:_ARN_DIGITS] == digest(arn)[:_ARN_DIGITS]

    def source_type(self, arn: str) -> str | None:
        """Return the type that the source had at the write; None if the record does not show it.

        `arn` is the replica's. A record of format 1 shows no type, but names a key only for a SecureString.
        """
        of_key = SECURE if self.key not in ("none", WAS_SECRET) else None
        return of_key if self.own == digest(arn) else _TYPES.get(self.own[_ARN_DIGITS], of_key)

    def id_digest(self, arn: str) -> str | None:
        """Return the digest of the id of the spec that wrote this record; None if the spec had no id."""
        of_id = self.own[-_ID_DIGITS:]
        return None if self.own == digest(arn) or of_id == _NO_ID else of_id

    def is_made_from(self, source: Parameter) -> bool:
        """Whether the source is still the version that the replica was made from."""
        return (
            source.version == self.source_version
            and abs(source.last_modified - self.source_modified) <= SAME_MOMENT
        )

    def is_at_recorded_version(self, live: Parameter | Reading) -> bool:
        """Whether the replica is still the version that we wrote or compared.

        The version alone does not tell: a parameter that was deleted and made again starts at
        version 1 anew (aws-facts F), and then it is younger than the record. It may be older: what was
        only compared keeps the date it had, unless tags move it, which is not known (aws-facts B9).
        """
        return live.version == self.version and live.last_modified - self.written <= WRITE_WINDOW


_PATTERN = re.compile(
    r"v=1 source=(\d{1,18})@(\d{1,15}) replica=(\d{1,18})@(\d{1,15}) origin=(created|adopted)"
    r" own=([0-9a-f]{32}) from=([0-9a-f]{32}) key=([0-9a-f]{16}|none|was) rewrite=([0-9a-f]{16}|none)"
)


@lru_cache(maxsize=16)
def parse_record(text: str) -> Record | None:
    """The record of a tag value, or None when it is not one that this version understands."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        return None
    source_version, source_modified, version, written, origin, own, source, key, rewrite = found.groups()
    try:
        return Record(
            source_version=int(source_version),
            source_modified=_moment(source_modified),
            version=int(version),
            written=_moment(written),
            origin=Origin(origin),
            own=own,
            source=source,
            key=key,
            rewrite=rewrite,
        )
    except (OverflowError, ValueError):
        return None


def proves_equal(record: Record, desired: DesiredParameter, live: Parameter, source: Place) -> bool:
    """Whether a record proves that the replica's value is the source's, as it is shaped today."""
    return (
        record.is_made_from(desired.source)
        and record.is_at_recorded_version(live)
        and record.source == digest(source.arn(desired.source.name))
        and record.rewrite == rewrite_digest(desired.substitutions)
    )


def standing(tags: Tags, arn: str, claim: Claim, *, placed: bool) -> Standing:
    """Return what a live parameter is to a replication.

    `arn` is the parameter's own ARN. `placed`: today's rules place a source on it. A record without an id
    is enough for `OURS` there, even if the spec has an id. An owner tag without a readable record is a
    `FREE` parameter when the owner is ours (adopting it heals the record) and `FOREIGN` otherwise: a later
    version of this tool may write records that this one cannot read. What a stack manages and is not ours
    is the stack's, whatever else its tags say: the first row of the table that fits decides.
    """
    owner = tags.get(OWNER, "")
    detached = owner.startswith(DETACHED)
    record = record_of(tags)
    ours = owner in claim.owners
    if owner and not detached and record is not None and record.is_for(arn):
        return _of_id(record.id_digest(arn), claim, placed=placed) if ours else Standing.FOREIGN
    if owner and not detached and record is None and not ours and RECORD in tags:
        return Standing.FOREIGN
    if any(key.startswith("aws:cloudformation:") for key in tags):
        return Standing.CLOUDFORMATION
    if detached:
        return Standing.DETACHED
    return Standing.COPIED if is_copied(tags, arn, claim.owners) else Standing.FREE


def _of_id(found: str | None, claim: Claim, *, placed: bool) -> Standing:
    """Return what a replica with our owner tag is to us, by the digest of the id in its record."""
    if found in claim.ids or (found is None and placed):
        return Standing.OURS
    return Standing.NO_ID if found is None else Standing.OTHER_ID


def is_copied(tags: Tags, arn: str, owners: Iterable[str]) -> bool:
    """Whether a parameter has an owner tag of ours, and a record that was written for another one."""
    record = record_of(tags)
    return tags.get(OWNER) in tuple(owners) and record is not None and not record.is_for(arn)


def is_replica(tags: Tags, arn: str) -> bool:
    """Whether a parameter is a replica of any owner, by a record that names its own ARN."""
    owner = tags.get(OWNER)
    if owner is None or owner.startswith(DETACHED):
        return False
    record = parse_record(tags.get(RECORD, ""))
    return record is not None and record.is_for(arn)


def detached_from(tags: Tags) -> str | None:
    """The owner that a detached parameter had; None when it is not detached."""
    owner = tags.get(OWNER, "")
    return owner.removeprefix(DETACHED) if owner.startswith(DETACHED) else None


def was_replica_of(tags: Tags, place: Place) -> bool:
    """Whether a detached parameter was a replica of something in that place."""
    owner = detached_from(tags)
    return owner is not None and owner.rpartition("@")[2] == str(place)


def record_of(tags: Tags) -> Record | None:
    """The record that a parameter's tags carry, if it can be read."""
    return parse_record(tags.get(RECORD, ""))


def ownership_tags(owner: str, record: Record, *, source_name: str, name: str) -> dict[str, str]:
    """Our own tags for a replica. The source's name is noted where it is another one and fits."""
    tags = {OWNER: owner, RECORD: record.text()}
    if canonical(source_name) != canonical(name) and len(source_name) <= TAG_VALUE_LIMIT:
        tags[SOURCE] = source_name
    return tags


def source_name(tags: Tags, name: str, source: Place) -> str | None:
    """The name of the source that a replica was made from, None when the record cannot tell.

    The record's fingerprint of the source ARN proves the answer; a `source` tag alone does not.
    """
    record = record_of(tags)
    if record is None:
        return None
    for candidate in (tags.get(SOURCE), name):
        if candidate is not None and digest(source.arn(candidate)) == record.source:
            return candidate
    return None


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(millis: str) -> datetime:
    return datetime.fromtimestamp(int(millis) / 1000, tz=UTC)
