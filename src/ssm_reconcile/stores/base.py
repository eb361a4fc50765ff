"""The interface of a store: planning gets a `Reader`, which cannot write; `apply` gets both sides.

Every method raises `errors.StoreError` and no other exception when a call fails. Reads are retried
(throttling, HTTP 5xx, resets) a limited number of times. Writes are not retried, because only their caller
knows whether a repetition is safe. Names may be given with or without a leading slash where AWS accepts both;
results are keyed by canonical name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import ADVANCED, INTELLIGENT, Key, Parameter, Place, SealedText, Tags, Value


@dataclass(frozen=True, slots=True)
class Answers:
    """The result of GetParameters.

    `found` is keyed by canonical name (or `name:version` where a version was asked for). `missing` has the
    names that AWS calls invalid. `failed` has the names that could not be read, each with its own error: AWS
    refuses a whole batch for one bad key (not documented), so the store reads such a batch name by name.
    """

    found: Mapping[str, Value]
    missing: frozenset[str]
    failed: Mapping[str, StoreError]


@dataclass(frozen=True, slots=True)
class PastVersion:
    """One version in the history of a parameter, with its attributes.

    `text` is the value; of a SecureString, which is not decrypted, the ciphertext.
    """

    parameter: Parameter
    text: SealedText


@dataclass(frozen=True, slots=True)
class Settings:
    """Service settings of a place; None for each that could not be read.

    `default_tier` is the tier of parameters created without one, `high_throughput` whether that setting is
    on, `moment` the time of AWS. `trouble` says why a setting could not be read, `denied` whether a
    permission is missing for it.
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
        """The account and region of the credentials in use, by GetCallerIdentity."""

    @property
    def caller(self) -> str:
        """The ARN of the identity in use."""

    def describe(self) -> Iterator[Sequence[Parameter]]:
        """Yield every parameter of the place, page by page (DescribeParameters without a filter).

        A page may be empty and others may follow it.
        """

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        """Return the named parameters that exist, by canonical name (DescribeParameters by Name)."""

    def names_tagged(self, key: str, values: Sequence[str]) -> frozenset[str]:
        """Return the canonical names of all parameters with that tag (DescribeParameters by tag)."""

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        """Yield tags by canonical name, page by page (GetResources); eventually consistent."""

    def tags(self, name: str) -> Tags | None:
        """Return the tags of one parameter (ListTagsForResource, consistent); None when it does not exist."""

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """Return values by GetParameters, ten in a call; a name may be `name:version`."""

    def history(self, name: str) -> Sequence[PastVersion]:
        """Return the versions that AWS keeps of a parameter, at most 100, by version (GetParameterHistory).

        No value is decrypted. Empty when the parameter does not exist.
        """

    def keys(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """Return keys by alias, id or ARN (ListAliases, DescribeKey), cached for the run.

        A reference that does not exist has the state MISSING; one that may not be described, UNKNOWN.
        DescribeKey is never called on an `alias/aws/...` name: that would create the key (KMS, DescribeKey).

        Args:
            references: aliases, key ids and ARNs.
            fresh: whether to read again. A plan may be an hour old when it is approved, and a key may be
                disabled in the meantime.
        """

    def settings(self) -> Settings:
        """Return the settings of the place (GetServiceSetting) and its time. Never raise."""

    def has_higher_throughput(self) -> bool:
        """Return whether the setting for higher throughput is on (GetServiceSetting, one attempt)."""


@dataclass(frozen=True, slots=True)
class Put:
    """One PutParameter with all fields; the effect of omitted fields is not documented.

    `tags` are sent with a create (`overwrite=False`) only: AWS refuses them with an overwrite. `policies` are
    JSON texts of single policies; an empty tuple removes the policies of the live parameter. With
    Intelligent-Tiering it does so only if `clears_policies`: AWS may choose Standard, which has no policies.
    `key_id` is set for a SecureString only.
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
        """Whether the write removes live policies: only Advanced has any (PutParameter, Policies)."""
        may_have = self.tier == ADVANCED or (self.tier == INTELLIGENT and self.clears_policies)
        return self.overwrite and not self.policies and may_have


class Writer(Protocol):
    """Writes one place. One call is one request, without retries."""

    def await_turn(self, kind: CallClass) -> None:
        """Wait until the rate of the place allows a write of that class. Each write needs one turn.

        A caller waits for its turn first, then checks the parameter, then writes: so the wait is not between
        the check and the write.
        """

    def is_rate_set(self, kind: CallClass) -> bool:
        """Return whether all replications that write in this place set the rate of that class."""

    def set_default_rate(self, kind: CallClass, rate: float) -> None:
        """Use another default rate, in calls per second; it counts unless all specs set the rate."""

    def put(self, request: Put) -> int:
        """Write a parameter and return its version (PutParameter)."""

    def add_tags(self, name: str, tags: Tags) -> None:
        """Add or overwrite tags (AddTagsToResource)."""

    def remove_tags(self, name: str, keys: Sequence[str]) -> None:
        """Remove tags (RemoveTagsFromResource); missing keys are not an error."""

    def delete(self, names: Sequence[str]) -> frozenset[str]:
        """Delete up to ten parameters and return the canonical names that do not exist any more.

        That includes names that did not exist before (InvalidParameters of DeleteParameters).
        """


class Store(Reader, Writer, Protocol):
    """Both sides of one place."""


class RequestStore(Store, Protocol):
    """A place with the single requests of `doctor --probe`, which measures how AWS answers them."""

    def send(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one request of SSM, or GetResources, as it is, and return the response.

        It waits for no rate and is not retried. Planning and apply get a `Store`, which cannot do this.
        """
