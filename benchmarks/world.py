"""The parameters of a benchmark's AWS: regions with sorted names, and answers kept as ready JSON.

A page of DescribeParameters is a slice of sorted names and a join of texts, so it costs the same on
the first page of a thousand parameters and on the last of a hundred thousand.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SECURE = "SecureString"
MANAGED_KEY = "alias/aws/ssm"


@dataclass(slots=True)
class Entry:
    """One parameter. `modified` is in seconds since the epoch; `shown` and `mapped` are ready JSON."""

    name: str
    type: str
    value: str
    tags: dict[str, str]
    version: int = 1
    modified: float = 0.0
    user: str = ""
    description: str = ""
    pattern: str = ""
    tier: str = "Standard"
    key_id: str | None = None
    shown: str = ""
    mapped: str = ""

    def describe(self, arn: str) -> str:
        """The entry as DescribeParameters has it."""
        if not self.shown:
            fields: dict[str, object] = {
                "Name": self.name, "ARN": arn, "Type": self.type, "LastModifiedDate": self.modified,
                "LastModifiedUser": self.user, "Version": self.version, "Tier": self.tier,
                "Policies": [], "DataType": "text",
            }  # fmt: skip
            if self.key_id is not None:
                fields["KeyId"] = self.key_id
            if self.description:
                fields["Description"] = self.description
            if self.pattern:
                fields["AllowedPattern"] = self.pattern
            self.shown = json.dumps(fields, separators=(",", ":"))
        return self.shown

    def mapping(self, arn: str) -> str:
        """The entry as GetResources has it."""
        if not self.mapped:
            self.mapped = json.dumps({"ResourceARN": arn, "Tags": pairs(self.tags)}, separators=(",", ":"))
        return self.mapped

    def touch(self, *, tags_only: bool = False) -> None:
        """Forget the ready answers: something has changed."""
        self.mapped = ""
        if not tags_only:
            self.shown = ""


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS writes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def canonical(name: str) -> str:
    """`foo` and `/foo` are one parameter."""
    return name if name.startswith("/") else f"/{name}"


@dataclass(slots=True)
class Region:
    """One account and region."""

    account: str
    name: str
    entries: dict[str, Entry] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    """KMS key id by alias."""
    higher_throughput: bool = False
    """The setting of that name. It changes no quota here: those are given."""

    def arn(self, name: str) -> str:
        """The ARN of a parameter here."""
        return f"arn:aws:ssm:{self.name}:{self.account}:parameter{canonical(name)}"

    def key_arn(self, key_id: str) -> str:
        """The ARN of a key here."""
        return f"arn:aws:kms:{self.name}:{self.account}:key/{key_id}"

    def get(self, name: str) -> Entry | None:
        """The entry of that name, with or without its slash."""
        return self.entries.get(canonical(name))

    def put(self, entry: Entry) -> None:
        """Add a new entry, or takes one for another."""
        key = canonical(entry.name)
        if key not in self.entries:
            insort(self.order, key)
        self.entries[key] = entry

    def fill(self, entries: Iterable[Entry]) -> None:
        """Take many new entries at once."""
        self.entries.update((canonical(entry.name), entry) for entry in entries)
        self.order = sorted(self.entries)

    def remove(self, name: str) -> bool:
        """Take an entry out; says whether it was there."""
        key = canonical(name)
        if self.entries.pop(key, None) is None:
            return False
        del self.order[bisect_left(self.order, key)]
        return True

    def differing(self, other: Region) -> list[str]:
        """The names that exist in one region only, or with other values, types, tags, keys or attributes."""
        names = sorted(self.entries.keys() | other.entries.keys())
        return [name for name in names if _copied(self.get(name)) != _copied(other.get(name))]

    def page(self, token: str | None, size: int) -> tuple[list[Entry], str | None]:
        """So many entries from a token on, which is the name to begin with, and the next token."""
        start = 0 if token is None else bisect_left(self.order, token)
        names = self.order[start : start + size]
        end = start + size
        return [self.entries[name] for name in names], self.order[end] if end < len(self.order) else None


def _copied(entry: Entry | None) -> tuple[object, ...] | None:
    """All of an entry that a replica has too."""
    if entry is None:
        return None
    attributes = (entry.description, entry.pattern, entry.tier, entry.key_id)
    return (entry.name, entry.type, entry.value, entry.tags, *attributes)


@dataclass(slots=True)
class World:
    """All regions of all accounts."""

    regions: dict[tuple[str, str], Region] = field(default_factory=dict)

    def region(self, account: str, name: str) -> Region:
        """A region; a new one is empty."""
        key = (account, name)
        if key not in self.regions:
            self.regions[key] = Region(account, name)
        return self.regions[key]
