"""The expected plan, derived from the world itself and not with the product's own steps.

Only the rules of the spec are asked (which names it selects, and where they land); ownership, keys,
tags and differences are computed here again.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ssm_reconcile.model import ADVANCED, MANAGED_KEY, SECURE, STRING_LIST, Place, canonical
from ssm_reconcile.record import OWNER, RECORD, SOURCE, digest
from ssm_reconcile.spec import Replication, RewriteIn, Target, TierMode
from tests.fake_aws.region import Stored
from tests.property.places import PLACES
from tests.simulated_aws import SimulatedAws


def recorded_id(stored: Stored) -> str | None:
    """The digest of the id in a record, None without one."""
    found = re.search(r" own=[0-9a-f]{20}([0-9a-f]{12}) ", stored.tags.get(RECORD, ""))
    return None if found is None or found[1] == "0" * 12 else found[1]


@dataclass(frozen=True, slots=True)
class View:
    """One replication and one of its targets, in a world."""

    aws: SimulatedAws
    spec: Replication
    target: Target

    @property
    def source(self) -> Place:
        return self.aws.here

    @property
    def place(self) -> Place:
        return PLACES[self.target.name]

    def placed(self) -> dict[str, list[Stored]]:
        """Return the parameters that the source places in the target, by address."""
        found: dict[str, list[Stored]] = {}
        for stored in self.aws.world.region(self.source).parameters.values():
            shown = stored.latest.parameter
            if self.spec.rule_for(shown.name, shown.type) is not None:
                address = self.spec.address(shown.name, self.source, self.place, self.target.name)
                found.setdefault(canonical(address), []).append(stored)
        return found

    def ours(self) -> set[str]:
        """The addresses whose owner tag and id are ours and whose record names their own ARN.

        Without an id in the record they are ours everywhere if the spec has none, else where it places one.
        """
        ids = {one and hashlib.sha256(one.encode()).hexdigest()[:12] for one in self.ids}
        placed = self.placed()
        mine = {f"{name}@{self.source}" for name in (self.spec.name, *self.spec.previous_names)}
        return {
            name
            for name, stored in self.aws.world.region(self.place).parameters.items()
            if stored.tags.get(OWNER) in mine
            and f" own={digest(self.place.arn(name))[:19]}" in stored.tags.get(RECORD, "")
            and ((found := recorded_id(stored)) in ids or (found is None and name in placed))
        }

    @property
    def ids(self) -> set[str | None]:
        """Today's and earlier ids; None: records without one are ours."""
        return {self.spec.id, *self.spec.previous_ids}

    def held(self) -> set[str]:
        """The addresses at which a hold stops every change, whoever owns the parameters there.

        The law: a change gives the value of a source to an address, or takes away what came from a source.
        Neither happens if a hold matches that source. A source that no one can find out may be any: then each
        hold matches it. Two sources on one address are written by no run: it is held if both are.
        """
        holds, ours = self.spec.holds, self.ours()
        stored = self.aws.world.region(self.place).parameters

        def matches(name: str) -> bool:
            return any(hold.match.matches(name) for hold in holds)

        found = set[str]()
        for address in ours | self.placed().keys() if holds else ():
            coming = [one.latest.parameter.name for one in self.placed().get(address, [])]
            if coming and all(map(matches, coming)):
                found.add(address)
            if address in ours:
                tags = stored[address].tags
                candidates = {tags.get(SOURCE, address), address, *coming}
                came = [n for n in candidates if f" from={digest(self.source.arn(n))} " in tags[RECORD]]
                if not came or matches(came[0]):
                    found.add(address)
        return found

    def of_others(self) -> set[str]:
        """The addresses that carry our owner tag and the id of another spec."""
        ids = {one and hashlib.sha256(one.encode()).hexdigest()[:12] for one in self.ids}
        mine = {f"{name}@{self.source}" for name in (self.spec.name, *self.spec.previous_names)}
        return {
            name
            for name, stored in self.aws.world.region(self.place).parameters.items()
            if stored.tags.get(OWNER) in mine
            and f" own={digest(self.place.arn(name))[:19]}" in stored.tags.get(RECORD, "")
            and recorded_id(stored) not in {None, *ids}
        }

    def shaped(self, source: Stored) -> str:
        """The value that the target should hold."""
        text = source.latest.settled.value.reveal()
        rule = self.spec.rewrite_for(source.latest.parameter.name, RewriteIn.VALUE)
        if rule is None:
            return text
        change = rule.substitution(self.source, self.place, self.target.name)
        return text.replace(change.old, change.new)

    def key(self, source: Stored) -> str | None:
        """The identity of the key that the target should use; None where no mapping says one."""
        reference = source.latest.parameter.key_id or MANAGED_KEY
        mine = self.identity(self.source, reference)
        for named, key in self.target.keys:
            if self.identity(self.source, named) == mine:
                return self.identity(self.place, key)
        for rule in self.spec.kms:
            if self.identity(self.source, rule.source) == mine:
                for name, key in rule.targets:
                    if name == self.target.name:
                        return self.identity(self.place, key)
        if mine == MANAGED_KEY:
            return mine
        if "key/mrk-" in mine and self.source.account == self.place.account:
            return mine.replace(self.source.region, self.place.region)
        default = self.target.default_key
        return None if default is None else self.identity(self.place, default)

    def identity(self, place: Place, reference: str) -> str:
        """Return the identity of a key reference in a place."""
        key = self.aws.world.region(place).key(reference)
        if key is None:
            return reference
        return MANAGED_KEY if key.managed else key.arn

    def tags(self, source: Stored) -> dict[str, str]:
        """The tags of the source's that the target should hold."""
        return {**self.replicated(source.tags), **dict(self.spec.add_tags)}

    def replicated(self, tags: object) -> dict[str, str]:
        """Those of some tags that are ours to copy and to remove."""
        assert hasattr(tags, "items")
        return {
            key: value
            for key, value in tags.items()
            if not key.startswith(("aws:", "ssm-reconcile:"))
            and key != self.spec.skip_sync.tag
            and (
                key in dict(self.spec.add_tags) or not any(fnmatchcase(key, p) for p in self.spec.ignore_tags)
            )
        }

    def differing(self, source: Stored, live: Stored) -> set[str]:
        """The attributes, the value among them, in which a live parameter is not what it should be."""
        wanted, there = source.latest.parameter, live.latest.parameter
        pairs = {
            "value": (
                _bare(self.shaped(source), wanted.type),
                _bare(live.latest.settled.value.reveal(), there.type),
            ),
            "type": (wanted.type, there.type),
            "description": (wanted.description, there.description),
            "AllowedPattern": (wanted.allowed_pattern, there.allowed_pattern),
            "tier": (self.tier(source, live), there.tier),
            "policies": (_parsed(wanted.policies), _parsed(there.policies)),
            "DataType": (wanted.data_type, there.data_type),
            "KeyId": (
                self.key(source) if wanted.type == SECURE else None,
                self.identity(self.place, there.key_id or MANAGED_KEY) if there.type == SECURE else None,
            ),
        }
        return {name for name, (one, other) in pairs.items() if one != other}

    def tier(self, source: Stored, live: Stored) -> str:
        """The tier that a live parameter should have; AWS never takes one back from Advanced."""
        wanted, there = source.latest.parameter, live.latest.parameter
        match self.target.tier:
            case TierMode.SAME:
                return wanted.tier
            case TierMode.ADVANCED:
                return ADVANCED
            case TierMode.INTELLIGENT:
                return there.tier
            case TierMode.KEEP:
                large = len(self.shaped(source).encode()) > 4096
                return ADVANCED if large or wanted.policies else there.tier


def _bare(text: str, kind: str) -> str:
    """A value as AWS tells it apart: of a list, spaces around the commas do not count."""
    return ",".join(part.strip(" ") for part in text.split(",")) if kind == STRING_LIST else text


def _parsed(policies: tuple[str, ...]) -> list[str]:
    return sorted(json.dumps(json.loads(text), sort_keys=True) for text in policies)
