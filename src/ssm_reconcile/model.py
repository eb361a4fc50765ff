"""Parameters as they are and as they should be: plain data, no I/O.

Place      an account and a region                 Access     how to reach one
Parameter  what DescribeParameters says of one     Listing    all parameters of a place, with tags
Value      one value in flight, sealed in print    Reading    what is kept of it: a keyed digest
Key        a KMS key as resolved in its place      Desired    what a target should hold at one name
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn, TypeAlias

Tags: TypeAlias = Mapping[str, str]

SECURE = "SecureString"
STRING_LIST = "StringList"
STANDARD = "Standard"
ADVANCED = "Advanced"
INTELLIGENT = "Intelligent-Tiering"
TEXT = "text"
IMAGE = "aws:ec2:image"
MANAGED_KEY = "alias/aws/ssm"
"""The AWS managed key: what DescribeParameters reports when no KeyId was given (aws-facts B7)."""


SOURCE = ""
"""Key of the source in a mapping by end of a replication; a target has its name as the key."""


def canonical(name: str) -> str:
    """The one form of a name: `foo` and `/foo` are the same parameter in AWS (aws-facts B6)."""
    return name if name.startswith("/") else f"/{name}"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """An account and a region, as STS and the spec name them."""

    account: str
    region: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"

    def arn(self, name: str) -> str:
        """The ARN of a parameter here; it has no leading slash twice (aws-facts A2)."""
        return f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter{canonical(name)}"


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a place: what the spec says of it, before anything was asked of AWS.

    `rates` are calls per second by operation class (`stores/rates.py`), over the defaults of the store.
    """

    region: str
    role_arn: str | None = None
    external_id: str | None = None
    rates: tuple[tuple[str, float], ...] = ()
    sts_region: str | None = field(default=None, compare=False)  # asked for the role before `region`


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as DescribeParameters shows it: everything but its value and its tags.

    `policies` are the policy texts as canonical JSON, sorted. Absent description and pattern are
    `""`, an absent data type is `text`. `last_modified` is timezone-aware. The pattern of a secret says
    too much about it to be printed.
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
        """Whether AWS encrypts it."""
        return self.type == SECURE

    @property
    def expiration(self) -> datetime | None:
        """When AWS deletes it: the earliest time of its Expiration policies (aws-facts B4), or None.

        A time without an offset is UTC. A policy that cannot be read counts as none.
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
    """What one place held when it was listed.

    `parameters` and `tags` are keyed by canonical name; a name without tags may be absent from `tags`.
    `confirmed`: tags that were read directly. Bulk reads lag (aws-facts A2), so risky changes rest on these.
    `complete` is false when a page failed; then `parameters` is what was seen before, and `trouble` says why.
    """

    place: Place
    caller: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    tags: Mapping[str, Tags] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()
    complete: bool = True
    trouble: str = ""

    def tags_of(self, name: str) -> Tags:
        """The tags that are known of a canonical name."""
        return self.tags.get(name, {})

    def arn(self, name: str) -> str:
        """The ARN that a name has, or would have, in this place."""
        return self.place.arn(name)

    def with_tags(self, fresh: Mapping[str, Tags | None]) -> Listing:
        """This listing with the directly read tags of some names; None means the name is gone."""
        gone = {name for name, tags in fresh.items() if tags is None}
        return Listing(
            place=self.place,
            caller=self.caller,
            parameters={k: v for k, v in self.parameters.items() if k not in gone}
            if gone
            else self.parameters,
            tags={**self.tags, **{k: v for k, v in fresh.items() if v is not None}},
            confirmed=self.confirmed | frozenset(fresh),
            complete=self.complete,
            trouble=self.trouble,
        )


class SealedText:
    """A value that must not be seen: prints as `<sealed>`, cannot be pickled or formatted.

    >>> Sealed("hunter2")
    <sealed>
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Only `shape` and the stores' writers have reason to ask."""
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
    """One value as GetParameters returned it, with the version that it belongs to."""

    name: str
    type: str
    version: int
    last_modified: datetime
    text: SealedText


class RegionTie(StrEnum):
    """What ties a value to its region, the hardest to carry over first."""

    ID = "id"
    ARN = "arn"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Reading:
    """The facts that are kept of a value after its rewrites: enough to compare and to show it.

    Attributes:
        digest: Keyed digest of the value; the key is random and of this run only.
        excerpt: The beginning of the value; None if it must not be shown.
        cut: Whether the value is longer than the excerpt.
        rewritten: Whether a rewrite changed the value.
        fits_standard: Whether the value has at most 4,096 bytes.
        fits_advanced: Whether the value has at most 8,192 bytes.
        fits_pattern: Whether the AllowedPattern accepts the rewritten value, as far as this is known.
        is_invalid_rewrite: Whether a rewrite made a value that AWS refuses.
        looks_secret: Whether the value is hidden because it has the form of a secret.
        tie: A reference to the source's region that no rewrite changes.
        type: The type that the read returned.
    """

    version: int
    last_modified: datetime
    digest: bytes = field(repr=False)
    excerpt: str | None = None
    cut: bool = False
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
    """A value that could not be read: code, a sentence for the reader, and whether its KMS key is why."""

    code: str
    reason: str
    of_key: bool = False


@dataclass(frozen=True, slots=True)
class ValueRequest:
    """A value to be read, and its rewrites before it is sealed; a value of a replica is shaped already.

    `show`: it may be seen; `lifted`: even if it looks like a secret. `pattern`: what a rewritten value has to
    match. `region`: the source's, to look for ties to it.
    """

    name: str
    substitutions: tuple[Substitution, ...] = ()
    show: bool = False
    pattern: str = ""
    lifted: bool = False
    region: str = ""


@dataclass(frozen=True, slots=True)
class ValueReadings:
    """The answers for one target, by canonical address: the shaped source value, the live value."""

    source: Mapping[str, Reading | UnreadableValue] = field(default_factory=dict)
    live: Mapping[str, Reading | UnreadableValue] = field(default_factory=dict)


class KeyState(StrEnum):
    """What a KMS key is good for."""

    USABLE = "usable"
    DISABLED = "disabled"
    UNAVAILABLE = "unavailable"
    PENDING_DELETION = "pending deletion"
    MISSING = "missing"
    UNSUITABLE = "not a symmetric encryption key"
    UNKNOWN = "unknown"  # it could not be asked (no permission); its use will show


@dataclass(frozen=True, slots=True)
class Key:
    """A KMS key as resolved in one place.

    `identity` is the key ARN, or the alias name for an AWS managed key (`alias/aws/...`), which has
    the same meaning everywhere and need not exist yet. Two references are the same key when their
    identities are equal.
    """

    identity: str
    state: KeyState = KeyState.USABLE
    managed: bool = False
    multi_region: bool = False


@dataclass(frozen=True, slots=True)
class Keyring:
    """KMS keys by the reference under which somebody named them, in one place.

    `trouble` says why KMS could not be asked at all; then nothing is known of any key.
    """

    keys: Mapping[str, Key]
    trouble: str = ""

    def identity(self, reference: str) -> str:
        """What a reference means here; the reference itself when nobody could tell."""
        key = self.keys.get(reference)
        return reference if key is None else key.identity

    def name(self, reference: str) -> str:
        """One name for a key, whichever of its references is asked: an alias if there is one."""
        same = {one for one in self.keys if self.identity(one) == self.identity(reference)}
        return min({reference} | same, key=lambda one: (not one.startswith("alias/"), len(one), one))


@dataclass(frozen=True, slots=True)
class Substitution:
    """One literal replacement in a value or a name, placeholders filled in."""

    old: str
    new: str


class ProblemKind(StrEnum):
    """Why a target cannot take a parameter; the finding's code."""

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
    """A reason for the row `invalid`. Problems with the same `subject` share one finding."""

    kind: ProblemKind
    reason: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class DesiredParameter:
    """What one target should hold at one name, all but the value.

    `name` is where it lands; `source` what it is made from (type, description, pattern, policies and
    data type are taken over as they are). A write requests `tier`; with `may_rise` Advanced, if the
    value that no plan read exceeds Standard. `key_id` is sent with every SecureString write and resolves
    to `key_identity`. `substitutions` rewrite the value. `hidden`: the plain value must not be shown.
    `skip` and `chained`: the source itself is the reason not to place it. `rule` is the include rule.
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
    """Tags in a fixed order, for anything that is hashed or shown."""
    return tuple(sorted(tags.items()))
