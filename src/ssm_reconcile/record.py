"""The ownership tags of a replica: its owner, and the record of the source version that it was made from.

    ssm-reconcile:owner    prod@123456789012/us-east-1
    ssm-reconcile:record   v=1 source=12@1763933333123 replica=3@1763933334000 origin=created
                           own=… from=… key=… rewrite=…   (one line)
    ssm-reconcile:source   the name of the source, if a rewrite changed the name and the value has room
    ssm-reconcile:expires  2026-12-06T18:46:15Z own=… source=7, while a replica without a source waits for its
                           deletion (`delete.after`)

A record has the digest of the ARN of its own parameter. Tags that were copied to another parameter have the
wrong digest, so no parameter becomes a replica by accident.

The field `own` has 32 hex digits. In format 1 all of them are the digest of the replica's ARN. Now they are
19 digits of that digest, one for the type of the source, and 12 for the id of the spec. A version that knows
only format 1 reads such a record as that of another parameter, and does not write (decision 0020).
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
EXPIRES = PREFIX + "expires"
"""The mark of a replica that waits for its deletion (`ExpiryMark`)."""
CLEARED = "cleared"
"""The text of a mark that does not count any more and could not be removed."""
STACK_PREFIX = "aws:cloudformation:"
STACK_TAG = STACK_PREFIX + "stack-name"
"""A tag of each parameter of a CloudFormation stack; AWS adds it."""
DETACHED = "detached:"
"""Prefix of the owner in the owner tag of a detached parameter, which is not replicated any more."""
FORMAT = "1"
WAS_SECRET = "was"  # noqa: S105 - a mark, not a password
"""Replaces the key digest of a plain replica that was a SecureString: its values stay hidden."""
SAME_MOMENT = timedelta(seconds=2)
"""The most by which two APIs may differ in one LastModifiedDate: they round differently."""
WRITE_WINDOW = timedelta(minutes=10)
"""The most by which the LastModifiedDate of a write may differ from the local clock."""


NO_SOURCE = 0
"""The source version of a record that names none. No parameter has it."""
OUTSIDE_VALUE = 0
"""The replica version of a record whose value another writer made, and an undo returned."""
_EPOCH = datetime.fromtimestamp(0, tz=UTC)
_ARN_DIGITS = 19
_ID_DIGITS = 12
_NO_ID = "0" * _ID_DIGITS
_TYPE_DIGITS = {"String": "1", "StringList": "2", SECURE: "3"}
_TYPES = {digit: kind for kind, digit in _TYPE_DIGITS.items()}


class Origin(StrEnum):
    """The origin of a replica: it was created as one, or existed before and was adopted."""

    CREATED = "created"
    ADOPTED = "adopted"


class Standing(StrEnum):
    """The owner of a live parameter according to its tags, as seen by one replication."""

    OURS = "ours"
    FOREIGN = "foreign"
    """A replica of another owner."""
    CLOUDFORMATION = "cloudformation"
    DETACHED = "detached"
    OTHER_ID = "of another id"
    """The owner tag of this replication, and a record with the id of another spec."""
    NO_ID = "without an id"
    """The owner tag of this replication and a record without an id; nothing is placed, the spec has an id."""
    COPIED = "copied"
    """The owner tag of this replication, but a record that was written for another parameter."""
    FREE = "free"


@lru_cache(maxsize=16)  # several questions about one parameter follow each other
def digest(text: str) -> str:
    """Return 32 hex digits that identify a text that is not secret (an ARN, a rule)."""
    return hashlib.sha256(utf8(text)).hexdigest()[:32]


def digest_id(spec_id: str) -> str:
    """Return the digest of a spec's id for a record. It never equals the digits for "no id"."""
    found = digest(spec_id)[:_ID_DIGITS]
    return found if found != _NO_ID else "f" * _ID_DIGITS


def compose_own(arn: str, source_type: str, spec_id: str | None) -> str:
    """Return the field `own` of a record.

    Args:
        arn: The ARN of the replica.
        source_type: The type of the source parameter.
        spec_id: The id of the spec; None without one.
    """
    of_id = _NO_ID if spec_id is None else digest_id(spec_id)
    return digest(arn)[:_ARN_DIGITS] + _TYPE_DIGITS.get(source_type, "0") + of_id


def rewrite_digest(substitutions: Iterable[Substitution]) -> str:
    """Return the digest of the rewrites of one value; `none` without a rewrite."""
    text = "\x00".join(f"{s.old}\x01{s.new}" for s in substitutions)
    return digest(text)[:16] if text else "none"


def key_digest(identity: str | None) -> str:
    """Return the digest of the key that encrypts a value; `none` for a plain value.

    Also `none` for an alias that could not be resolved, because its name does not identify a key.
    """
    return digest(identity)[:16] if identity and is_resolved(identity) else "none"


def mark_former_secret(record: Record, before: Tags, *, secret: bool) -> Record:
    """Return the record of a plain replica, with a mark if the replica has ever been a SecureString.

    The values of such a replica stay hidden, however often the plain value changes.

    Args:
        record: The record to write.
        before: The tags of the live parameter before the write.
        secret: Whether the live parameter is a SecureString before the write.
    """
    was = secret or was_secret(before)
    return replace(record, key=WAS_SECRET) if was and record.key == "none" else record


def is_resolved(identity: str | None) -> bool:
    """Whether a key identity is the result of KMS (see `model.Key`), and not an unresolved reference."""
    return identity is not None and identity.startswith(("arn:", "alias/aws/"))


@dataclass(frozen=True, slots=True)
class Claim:
    """The owner tags and ids by which a replication recognizes its replicas.

    `owners` has the present owner tag, then earlier ones. `ids` has the digests of the present id and of
    earlier ones; None in it accepts a record without an id.
    """

    owners: tuple[str, ...]
    ids: frozenset[str | None] = frozenset({None})


@dataclass(frozen=True, slots=True)
class Record:
    """The source version that a replica was made from. Times are timezone-aware, in milliseconds.

    Attributes:
        source_version: The version of the source; `NO_SOURCE` if it is not known, after an undo.
        source_modified: The LastModifiedDate of the source.
        version: The version of the replica after the write or the comparison; `OUTSIDE_VALUE` if `undo`
            returned the value of another writer.
        written: The local time at which the value was written, or the LastModifiedDate of a comparison.
        origin: Whether the replica was created or adopted.
        own: The replica's ARN, the source's type and the spec's id, as `compose_own` returns them.
        source: The digest of the source's ARN.
        key: The digest of the key, `none` for a plain value, or `WAS_SECRET`.
        rewrite: The digest of the rewrites of the value.
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
        """Return the value of the tag: about 170 characters, all of them allowed in a tag."""
        return (
            f"v={FORMAT} source={self.source_version}@{_millis(self.source_modified)}"
            f" replica={self.version}@{_millis(self.written)} origin={self.origin}"
            f" own={self.own} from={self.source} key={self.key} rewrite={self.rewrite}"
        )

    @property
    def names_source_version(self) -> bool:
        """Whether the value is that of a known source version. After an undo it may not be."""
        return self.source_version != NO_SOURCE

    def without_source(self) -> Record:
        """Return this record without a source version, so that it proves nothing."""
        return replace(self, source_version=NO_SOURCE, source_modified=_EPOCH, rewrite="none")

    @property
    def is_of_outside_value(self) -> bool:
        """Whether the replica has a value of another writer, which an undo returned."""
        return self.version == OUTSIDE_VALUE

    def of_outside_value(self) -> Record:
        """Return the record of a replica to which an undo returns the value of another writer."""
        return replace(self.without_source(), version=OUTSIDE_VALUE)

    def is_for(self, arn: str) -> bool:
        """Whether this record was written for the parameter with that ARN."""
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
        """Whether the source still has the version that the replica was made from."""
        return (
            source.version == self.source_version
            and abs(source.last_modified - self.source_modified) <= SAME_MOMENT
        )

    def is_at_recorded_version(self, live: Parameter | Reading) -> bool:
        """Whether the replica still has the version that was written or compared.

        The version alone is not enough: a parameter that was deleted and created again starts at version 1
        (user guide, "Working with parameter versions"), and is then younger than the record. It may
        be older than the record, because a comparison does not change its date.
        """
        return live.version == self.version and live.last_modified - self.written <= WRITE_WINDOW


_PATTERN = re.compile(
    r"v=1 source=(\d{1,18})@(\d{1,15}) replica=(\d{1,18})@(\d{1,15}) origin=(created|adopted)"
    r" own=([0-9a-f]{32}) from=([0-9a-f]{32}) key=([0-9a-f]{16}|none|was) rewrite=([0-9a-f]{16}|none)"
)


@lru_cache(maxsize=16)
def parse_record(text: str) -> Record | None:
    """Return the record in a tag value; None for a text that this version cannot read."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        return None
    source_version, source_modified, version, written, origin, *digests = found.groups()
    try:
        made_from = int(source_version), _moment(source_modified)
        return Record(*made_from, int(version), _moment(written), Origin(origin), *digests)
    except (OverflowError, ValueError):
        return None


def proves_equal(record: Record, desired: DesiredParameter, live: Parameter, source: Place) -> bool:
    """Whether the record proves, without a read, that the value equals that of the source after its rewrites.

    Args:
        record: The record of the replica.
        desired: The desired parameter.
        live: The replica, as listed.
        source: The place of the source.
    """
    return (
        record.is_made_from(desired.source)
        and record.is_at_recorded_version(live)
        and record.source == digest(source.arn(desired.source.name))
        and record.rewrite == rewrite_digest(desired.substitutions)
    )


def standing(tags: Tags, arn: str, claim: Claim, *, placed: bool) -> Standing:
    """Return the standing of a live parameter, as seen by one replication.

    An owner tag with an unreadable record means `FREE` if the owner is this replication (an adoption then
    writes a new record) and `FOREIGN` otherwise: a later version may write records that this one cannot
    read. A parameter of a CloudFormation stack that has no owner's record belongs to the stack.

    Args:
        tags: The tags of the parameter.
        arn: The ARN of the parameter.
        claim: The owner tags and ids of the replication.
        placed: Whether the spec places a source parameter there. If so, a record without an id is `OURS`
            even if the spec has an id.
    """
    owner = tags.get(OWNER, "")
    detached = owner.startswith(DETACHED)
    record = record_of(tags)
    ours = owner in claim.owners
    # A valid record decides first: it proves a write by its owner. A CloudFormation tag is next, because the
    # stack would undo our writes. The detached mark and a copied record are last: they describe the past.
    if owner and not detached and record is not None and record.is_for(arn):
        return _of_id(record.id_digest(arn), claim, placed=placed) if ours else Standing.FOREIGN
    if owner and not detached and record is None and not ours and RECORD in tags:
        return Standing.FOREIGN
    if any(key.startswith(STACK_PREFIX) for key in tags):
        return Standing.CLOUDFORMATION
    if detached:
        return Standing.DETACHED
    return Standing.COPIED if is_copied(tags, arn, claim.owners) else Standing.FREE


def _of_id(found: str | None, claim: Claim, *, placed: bool) -> Standing:
    """Return the standing of a replica with our owner tag, by the digest of the id in its record."""
    if found in claim.ids or (found is None and placed):
        return Standing.OURS
    return Standing.NO_ID if found is None else Standing.OTHER_ID


def is_copied(tags: Tags, arn: str, owners: Iterable[str]) -> bool:
    """Whether a parameter has one of the owner tags, and a record that was written for another parameter.

    Args:
        tags: The tags of the parameter.
        arn: The ARN of the parameter.
        owners: Values of the owner tag.
    """
    record = record_of(tags)
    return tags.get(OWNER) in tuple(owners) and record is not None and not record.is_for(arn)


def is_replica(tags: Tags, arn: str) -> bool:
    """Whether a parameter is a replica of any owner: its record was written for its own ARN."""
    owner = tags.get(OWNER)
    if owner is None or owner.startswith(DETACHED):
        return False
    record = parse_record(tags.get(RECORD, ""))
    return record is not None and record.is_for(arn)


def detached_from(tags: Tags) -> str | None:
    """Return the owner that a detached parameter had; None for any other parameter."""
    owner = tags.get(OWNER, "")
    return owner.removeprefix(DETACHED) if owner.startswith(DETACHED) else None


def was_replica_of(tags: Tags, place: Place) -> bool:
    """Whether a detached parameter was a replica whose source is in that place."""
    owner = detached_from(tags)
    return owner is not None and owner.rpartition("@")[2] == str(place)


def record_of(tags: Tags) -> Record | None:
    """Return the record in the tags of a parameter; None without a readable one."""
    return parse_record(tags.get(RECORD, ""))


def was_secret(tags: Tags) -> bool:
    """Whether a parameter is or was a SecureString by the record in its tags, whoever owns it now."""
    record = record_of(tags)
    return record is not None and record.key != "none"


@dataclass(frozen=True, slots=True)
class ExpiryMark:
    """The mark of a replica whose source is gone: the first whole run at or after an instant deletes it.

    Attributes:
        expires: The instant, in UTC and whole seconds.
        own: The digest of the replica's ARN.
        source_version: The version of the source that the record had when the mark was written.
    """

    expires: datetime
    own: str
    source_version: int

    def text(self) -> str:
        """Return the value of the tag: 77 to 94 characters, all of them allowed in a tag."""
        return f"{instant(self.expires)} own={self.own} source={self.source_version}"

    def is_due(self, as_of: datetime) -> bool:
        """Whether the replica is deleted by a run that judges as of an instant."""
        return self.expires <= as_of


def instant(time: datetime) -> str:
    """Return a time in UTC and whole seconds: `2026-12-06T18:46:15Z`."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_MARK = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})Z own=([0-9a-f]{32}) source=([1-9][0-9]{0,17})"
)


def mark_of(tags: Tags, arn: str) -> ExpiryMark | None:
    """Return the mark in the tags of a parameter; None without one that counts.

    A mark counts if it was written for this parameter, and for the source version in its record. A mark in
    another form does not count, and nothing is deleted because of it.

    Args:
        tags: The tags of the parameter.
        arn: The ARN of the parameter.
    """
    found, record = _MARK.fullmatch(tags.get(EXPIRES, "")), record_of(tags)
    if found is None or record is None:
        return None
    try:
        mark = ExpiryMark(datetime.fromisoformat(f"{found[1]}+00:00"), found[2], int(found[3]))
    except ValueError:  # such as a day that does not exist
        return None
    return mark if mark.own == digest(arn) and mark.source_version == record.source_version else None


def ownership_tags(owner: str, record: Record, *, source_name: str, name: str) -> dict[str, str]:
    """Return the ownership tags of a replica.

    Args:
        owner: The value of the owner tag.
        record: The record.
        source_name: The name of the source; it is added if it differs from `name` and fits into a tag.
        name: The name of the replica.
    """
    tags = {OWNER: owner, RECORD: record.text()}
    return tags | ({SOURCE: source_name} if has_source_tag(source_name, name) else {})


def has_source_tag(source_name: str, name: str) -> bool:
    """Whether a replica has the tag with the name of its source: the names differ, and the tag has room."""
    return canonical(source_name) != canonical(name) and len(source_name) <= TAG_VALUE_LIMIT


def source_name(tags: Tags, name: str, source: Place) -> str | None:
    """Return the name of the source that a replica was made from; None if the record does not prove it.

    A name counts only if the digest of its ARN is in the record; a `source` tag alone proves nothing.

    Args:
        tags: The tags of the replica.
        name: The name of the replica.
        source: The place of the source.
    """
    record = record_of(tags)
    if record is None:
        return None
    for candidate in (tags.get(SOURCE), name):
        if candidate is not None and digest(source.arn(candidate)) == record.source:
            return candidate
    return None


def source_names(placed: str | None, replica: Tags | None, name: str, source: Place) -> frozenset[str | None]:
    """Return the names of the sources that an address belongs to: the placed one, and the recorded one.

    Args:
        placed: The name of the source parameter that the spec places at the address; None without one.
        replica: The tags of the replica of this replication at the address; None without one.
        name: The name of the replica.
        source: The place of the source.

    Returns:
        None is among them if the record proves no name: the tag for it is missing or has no room.
    """
    names = frozenset(() if placed is None else (placed,))
    record = None if replica is None else record_of(replica)
    if replica is None or record is None:
        return names
    is_same = placed is not None and record.source == digest(source.arn(placed))
    return names if is_same else names | {source_name(replica, name, source)}


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(millis: str) -> datetime:
    return datetime.fromtimestamp(int(millis) / 1000, tz=UTC)
