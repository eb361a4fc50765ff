"""Parameters, present and desired: plain data without I/O.

Place      an account and a region                 Access     how to reach one
Parameter  one item of DescribeParameters          Listing    all parameters of a place, with tags
Value      one value in flight, sealed in print    Reading    what is kept of it: a keyed digest
Key        a KMS key as resolved in its place      Desired    what a target should hold at one name
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn, TypeAlias

from ssm_reconcile.errors import Trouble

Tags: TypeAlias = Mapping[str, str]

SECURE = "SecureString"
STRING_LIST = "StringList"
STANDARD = "Standard"
ADVANCED = "Advanced"
INTELLIGENT = "Intelligent-Tiering"
TEXT = "text"
IMAGE = "aws:ec2:image"
MANAGED_KEY = "alias/aws/ssm"
"""The AWS managed key, as DescribeParameters reports it when no KeyId was given. Not documented by AWS."""


SOURCE = ""
"""Key of the source in a mapping by end of a replication; a target has its name as the key."""


def canonical(name: str) -> str:
    """Return a name with a leading slash: `foo` and `/foo` are one parameter (user guide, names)."""
    return name if name.startswith("/") else f"/{name}"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """An account and a region."""

    account: str
    region: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"

    def arn(self, name: str) -> str:
        """Return the ARN of a parameter: one slash before its name (Service Authorization Reference)."""
        return f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter{canonical(name)}"


@dataclass(frozen=True, slots=True)
class Access:
    """The settings by which the spec reaches a place.

    `rates` are calls per second by operation class (`aws_limits.CallClass`), over the defaults of the store.
    `probe`: whether the store may look for higher rates. `read_only`: whether it only reads, as at a source;
    it then has no rates of writes.
    """

    region: str
    role_arn: str | None = None
    external_id: str | None = None
    rates: tuple[tuple[str, float], ...] = ()
    probe: bool = False
    read_only: bool = False
    sts_region: str | None = field(default=None, compare=False)  # asked for the role before `region`


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as DescribeParameters returns it: all but its value and its tags.

    `policies` has the policy texts as canonical JSON, sorted. `last_modified` is timezone-aware. The
    AllowedPattern is not in the repr, because the pattern of a secret may reveal it.
    """

    name: str
    type: str
    version: int
    last_modified: datetime
    last_modified_user: str = ""
    description: str = ""
    allowed_pattern: str = field(default="", repr=False)
    tier: str = STANDARD
    policies: tuple[str, ...] = ()
    data_type: str = TEXT
    key_id: str | None = None

    @property
    def is_secret(self) -> bool:
        """Whether the type is SecureString."""
        return self.type == SECURE

    @property
    def expiration(self) -> datetime | None:
        """The earliest time of its Expiration policies, at which AWS deletes it; or None.

        Source: user guide, "Assigning parameter policies". A time without an offset is UTC. A policy
        that cannot be read is ignored.
        """
        moments = []
        for text in self.policies:
            try:
                policy = json.loads(text)
                if policy["Type"] == "Expiration":
                    moments.append(datetime.fromisoformat(policy["Attributes"]["Timestamp"]))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        return min((m if m.tzinfo else m.replace(tzinfo=UTC) for m in moments), default=None)


@dataclass(frozen=True, slots=True)
class Listing:
    """The parameters and tags of one place.

    Attributes:
        place: Account and region.
        caller: The ARN of the identity that listed them.
        parameters: The parameters by canonical name.
        tags: The tags by canonical name; a name without tags may be absent.
        confirmed: Names whose tags were read directly. GetResources lags behind writes (issue
            aws/aws-sdk#302), so risky changes need these.
        tags_read_at: The monotonic time right before the direct read of tags, by canonical name; only of
            reads whose time was taken.
        complete: Whether all pages were read. If not, `parameters` has those of the earlier pages.
        trouble: Why the listing is incomplete or slow.
    """

    place: Place
    caller: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    tags: Mapping[str, Tags] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()
    tags_read_at: Mapping[str, float] = field(default_factory=dict)
    complete: bool = True
    trouble: str = ""

    def tags_of(self, name: str) -> Tags:
        """Return the known tags of a canonical name."""
        return self.tags.get(name, {})

    def arn(self, name: str) -> str:
        """Return the ARN of a name in this place, whether the parameter exists or not."""
        return self.place.arn(name)

    def with_tags(self, fresh: Mapping[str, Tags | None]) -> Listing:
        """Return this listing with tags that were read directly; None: the parameter no longer exists."""
        gone = {name for name, tags in fresh.items() if tags is None}
        kept = {name: one for name, one in self.parameters.items() if name not in gone}
        tags = {**self.tags, **{name: tags for name, tags in fresh.items() if tags is not None}}
        return replace(self, parameters=kept, tags=tags, confirmed=self.confirmed | frozenset(fresh))


class SealedText:
    """A text that must not be shown: it prints as `<sealed>` and cannot be pickled.

    >>> Sealed("hunter2")
    <sealed>
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Only `shape` and the writers of the stores need it."""
        return self._text

    def __repr__(self) -> str:
        return "<sealed>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<sealed>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealed value does not leave memory")


@dataclass(frozen=True, slots=True)
class Value:
    """One value as GetParameters returns it, with its version."""

    name: str
    type: str
    version: int
    last_modified: datetime
    text: SealedText


class RegionTie(StrEnum):
    """A reference to one region in a value, the hardest to replace first.

    ID: an AMI, a VPC, a subnet, ...: it exists in one region only. ARN: an ARN in the region with a
    generated id, likewise. REGION: the name of the region, in a host name, a URL or an ARN of a name.
    """

    ID = "id"
    ARN = "arn"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Reading:
    """The facts that are kept of a value after its rewrites: enough to compare and to show it.

    Attributes:
        digest: Keyed digest of the value; the key is random and of this run only.
        text: The value; None if it must not be shown. It is not in the repr.
        rewritten: Whether a rewrite changed the value.
        fits_standard: Whether the value has at most 4,096 bytes.
        fits_advanced: Whether the value has at most 8,192 bytes.
        fits_pattern: Whether the AllowedPattern accepts the rewritten value; true if unknown.
        is_invalid_rewrite: Whether a rewrite made a value that AWS refuses.
        looks_secret: Whether the value is hidden because it has the form of a secret.
        tie: A reference to the source's region that no rewrite changes.
        type: The type that the read returned.
    """

    version: int
    last_modified: datetime
    digest: bytes = field(repr=False)
    text: str | None = field(default=None, repr=False)
    rewritten: bool = False
    fits_standard: bool = True
    fits_advanced: bool = True
    fits_pattern: bool = True
    is_invalid_rewrite: bool = False
    is_unicode: bool = True
    looks_secret: bool = False
    tie: RegionTie | None = None
    type: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableValue:
    """A value that could not be read: the error code, a sentence, and the kind of the failed call, if any."""

    code: str
    reason: str
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class ValueRequest:
    """A value to read, and how to treat it.

    Attributes:
        name: The name of the parameter.
        substitutions: The rewrites of the value; none for the value of a replica.
        show: Whether the value may be shown.
        pattern: The AllowedPattern that a rewritten value must match.
        lifted: Whether the value may be shown although it has the form of a secret.
        region: The region of the source, to find references to it; empty to skip the search.
    """

    name: str
    substitutions: tuple[Substitution, ...] = ()
    show: bool = False
    pattern: str = ""
    lifted: bool = False
    region: str = ""


@dataclass(frozen=True, slots=True)
class ValueReadings:
    """The values that were read for one target, by canonical address; those of the source after rewrites."""

    source: Mapping[str, Reading | UnreadableValue] = field(default_factory=dict)
    live: Mapping[str, Reading | UnreadableValue] = field(default_factory=dict)


class KeyState(StrEnum):
    """The state of a KMS key."""

    USABLE = "usable"
    DISABLED = "disabled"
    UNAVAILABLE = "unavailable"
    PENDING_DELETION = "pending deletion"
    MISSING = "missing"
    UNSUITABLE = "not a symmetric encryption key"
    UNKNOWN = "unknown"  # DescribeKey is denied; only the use of the key shows its state


@dataclass(frozen=True, slots=True)
class Key:
    """A KMS key as resolved in one place.

    `identity` is the ARN of the key, or the alias of an AWS managed key (`alias/aws/...`), which exists in
    every region, or is created at its first use. Two references with equal identities are the same key.
    """

    identity: str
    state: KeyState = KeyState.USABLE
    managed: bool = False
    multi_region: bool = False


@dataclass(frozen=True, slots=True)
class Keyring:
    """The KMS keys of one place, by the references that name them.

    `trouble` is the reason why KMS did not answer; no key is known then.
    """

    keys: Mapping[str, Key]
    trouble: str = ""

    def identity(self, reference: str) -> str:
        """Return the identity of a reference; the reference itself if KMS did not resolve it."""
        key = self.keys.get(reference)
        return reference if key is None else key.identity

    def name(self, reference: str) -> str:
        """Return one name for a key, the same for all of its references: an alias if one is known."""
        same = {one for one in self.keys if self.identity(one) == self.identity(reference)}
        return min({reference} | same, key=lambda one: (not one.startswith("alias/"), len(one), one))


@dataclass(frozen=True, slots=True)
class Substitution:
    """One literal replacement in a value or a name, placeholders filled in."""

    old: str
    new: str


class ProblemKind(StrEnum):
    """The reason why a target cannot take a parameter; the code of the finding."""

    KEY = "key"
    SIZE = "size"
    NAME = "name"
    POLICY = "policy"
    TAGS = "tag-room"
    COLLISION = "address-collision"
    UNREADABLE = "unreadable"
    REWRITE = "rewrite"
    NOT_UNICODE = "not-unicode"
    SKIP_TAG = "skip-tag-near-miss"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A reason for the row `invalid`. Problems with the same `subject` share one finding.

    `is_outage` marks a problem of the place, which says nothing about the parameter.
    """

    kind: ProblemKind
    reason: str
    subject: str = ""
    is_outage: bool = False


@dataclass(frozen=True, slots=True)
class DesiredParameter:
    """The parameter that one target should have at one name, without its value.

    Attributes:
        name: The name in the target.
        source: The source parameter. Its type and the attributes of `attributes.COPIED` are taken over.
        tags: The tags of the source that are replicated.
        tier: The tier that a write requests.
        may_rise: Whether a write requests Advanced if the value, which was not read, exceeds Standard.
        key_id: The key that is sent with a SecureString.
        key_identity: The identity of that key.
        substitutions: The rewrites of the value.
        hidden: Whether the value must not be shown.
        skip: Whether the source carries the skip tag.
        chained: Whether the source is a replica itself.
        rule: The include rule that selects the source, with its position.
        problems: The reasons why the target cannot take it.
        warnings: Sentences for the change.
    """

    name: str
    source: Parameter
    tags: Tags
    tier: str
    may_rise: bool = False
    key_id: str | None = None
    key_identity: str | None = None
    substitutions: tuple[Substitution, ...] = ()
    hidden: bool = False
    skip: bool = False
    chained: bool = False
    rule: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def sorted_tags(tags: Tags) -> tuple[tuple[str, str], ...]:
    """Return tags as pairs, sorted by key."""
    return tuple(sorted(tags.items()))
