"""What a store can do. Planning is handed a `Reader`, which cannot write; `apply` holds both.

Every method raises `errors.StoreError` and nothing else when a call fails, after the retries that
are safe for it: reads are retried (throttling, 5xx, resets) at a bounded number of attempts; writes
never are, since only their caller knows what a repetition would mean. Names may be given with or
without a leading slash where AWS takes them so; results are keyed by canonical name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import ADVANCED, INTELLIGENT, Key, Parameter, Place, SealedText, Tags, Value


@dataclass(frozen=True, slots=True)
class Answers:
    """What GetParameters said of some names.

    `found` by canonical name (or `name:version` when it was asked so), `missing` the names that AWS
    calls invalid, `failed` the names that could not be read, each with its own error: one bad key
    fails a whole batch in AWS (aws-facts B7), so the store asks again one by one.
    """

    found: Mapping[str, Value]
    missing: frozenset[str]
    failed: Mapping[str, StoreError]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a place is set to, as far as it can be read; None where it cannot.

    `default_tier` is the tier of a parameter that is made without one, `high_throughput` whether the
    setting of that name is on, `moment` what AWS's clock said, as it answered. `trouble`: why a setting
    could not be read; `denied`: whether a permission is missing for it.
    """

    default_tier: str | None = None
    high_throughput: bool | None = None
    moment: datetime | None = None
    trouble: str = ""
    denied: bool = False


class Reader(Protocol):
    """Reads one place."""

    @property
    def place(self) -> Place:
        """The account and region that STS answered for the credentials in use."""

    @property
    def caller(self) -> str:
        """The ARN of the identity that reads and writes here."""

    def describe(self) -> Iterator[Sequence[Parameter]]:
        """Every parameter of the place, a page at a time (DescribeParameters, unfiltered).

        Pages may be empty and more may follow; the end is the missing token, nothing else.
        """

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        """The named parameters that exist, by canonical name (DescribeParameters by Name)."""

    def names_tagged(self, key: str, values: Sequence[str]) -> frozenset[str]:
        """Canonical names of all parameters with that tag (DescribeParameters by tag, all pages)."""

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        """Tags by canonical name, a page at a time (tag:GetResources): eventually consistent."""

    def tags(self, name: str) -> Tags | None:
        """The tags of one parameter, consistent (ListTagsForResource); None when it is not there."""

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """Values by GetParameters, ten at a time; a name may be `name:version`."""

    def keys(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """Aliases, ids and ARNs resolved to keys (ListAliases, DescribeKey), cached for the run.

        `fresh` asks again, for what must hold at this moment: a person may have read a plan for an hour.
        A reference that does not exist gets `KeyState.MISSING`; one that may not be asked,
        `KeyState.UNKNOWN`. Never calls DescribeKey on an `alias/aws/...` name: that would create
        the key (aws-facts A3).
        """

    def settings(self) -> Settings:
        """What the place is set to (ssm:GetServiceSetting), and the time there. Never raises."""


@dataclass(frozen=True, slots=True)
class Put:
    """One PutParameter, complete: what AWS does with omitted fields is unknown (aws-facts B5).

    `tags` travel only with a create (`overwrite=False`): AWS refuses them with an overwrite.
    `policies` are JSON texts of single policies; none clears what is there. With Intelligent-Tiering
    none clears only if `clears_policies`: AWS may choose Standard, where there is nothing to clear.
    `key_id` is set for a SecureString and only for it.
    """

    name: str
    text: SealedText
    type: str
    overwrite: bool
    description: str = ""
    allowed_pattern: str = ""
    tier: str = "Standard"
    policies: tuple[str, ...] = ()
    data_type: str = "text"
    key_id: str | None = None
    tags: Tags | None = None
    clears_policies: bool = False

    @property
    def is_clearing(self) -> bool:
        """Whether the write removes the policies of what is there: only Advanced has any (aws-facts B4)."""
        may_have = self.tier == ADVANCED or (self.tier == INTELLIGENT and self.clears_policies)
        return self.overwrite and not self.policies and may_have


class Writer(Protocol):
    """Writes one place. One call is one request: no retries in here."""

    def await_turn(self, kind: CallClass) -> None:
        """Waits until the rate of the place lets a write of that kind out.

        A caller awaits its turn, checks what must still be true, and writes at once: so the wait
        never lies between the check and the write. Each write takes one turn.
        """

    def put(self, request: Put) -> int:
        """Writes a parameter and returns its version (PutParameter)."""

    def add_tags(self, name: str, tags: Tags) -> None:
        """Adds or overwrites tags (AddTagsToResource)."""

    def remove_tags(self, name: str, keys: Sequence[str]) -> None:
        """Removes tags (RemoveTagsFromResource); keys that are not there do no harm."""

    def delete(self, names: Sequence[str]) -> frozenset[str]:
        """Deletes up to ten parameters and returns the canonical names that are gone now.

        A name that was not there counts as gone (DeleteParameters puts it into InvalidParameters).
        """


class Store(Reader, Writer, Protocol):
    """Both sides of one place."""
