"""What policies are made of: a statement, and the place that its resources are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ssm_reconcile.model import Access, Place
from ssm_reconcile.partitions import partition_of

Conditions = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Actions and resources are sorted; `sid` says what for."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)
    effect: str = "Allow"

    @property
    def kind(self) -> object:
        """What has to be equal for two statements to be one with the resources of both."""
        conditions = tuple((k, tuple(v.items())) for k, v in self.conditions.items())
        return (self.sid, self.effect, self.actions, conditions)

    def with_resources(self, more: Iterable[str]) -> Statement:
        """The same for more resources."""
        return replace(self, resources=tuple(sorted({*self.resources, *more})))

    def renamed(self, sid: str) -> Statement:
        """The same under another Sid."""
        return replace(self, sid=sid)

    def document(self) -> dict[str, Any]:
        """As IAM has it."""
        told: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": self.effect,
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        if self.conditions:
            told["Condition"] = {
                operator: {key: list(values) for key, values in every.items()}
                for operator, every in self.conditions.items()
            }
        return told


@dataclass(frozen=True, slots=True)
class Site:
    """Where statements hold: a place as far as the spec tells; `*` for an account that it does not."""

    partition: str
    region: str
    account: str

    @classmethod
    def of(cls, access: Access, account: str | None) -> Site:
        """The site of a place of a spec."""
        told = access.role_arn.split(":") if access.role_arn else []
        return cls(partition_of(access.region), access.region, account or (told[4] if told else "*"))

    def parameters(self, names: Iterable[str]) -> tuple[str, ...]:
        """The ARNs of patterns of names that have no leading slash."""
        return tuple(f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter/{n}" for n in names)

    def key(self, key_id: str) -> str:
        """The ARN of a key here."""
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:key/{key_id}"

    def setting(self, name: str) -> str:
        """The ARN of a service setting of SSM."""
        return f"arn:{self.partition}:ssm:{self.region}:{self.account}:servicesetting/{name}"

    @property
    def place(self) -> Place:
        """The same as a place, for rewrites."""
        return Place(self.account, self.region, self.partition)
