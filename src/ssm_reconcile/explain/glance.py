"""A place of which only some names are seen: what a plan for one name may read, and no more.

Listing costs DescribeParameters by name and one ListTagsForResource a name, so its tags are never late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import Key, Parameter, Place, Tags, canonical
from ssm_reconcile.places import Places
from ssm_reconcile.record import source_name
from ssm_reconcile.spec import Replication, RewriteIn
from ssm_reconcile.stores.base import Answers, Put, Settings, Store


class Glance:
    """A store that lists some canonical names only, and writes nothing."""

    def __init__(self, store: Store, names: Iterable[str]) -> None:
        self._store = store
        self._names = tuple(sorted(set(names)))
        self._tags: dict[str, Tags | None] = {}

    @property
    def place(self) -> Place:
        """The place itself."""
        return self._store.place

    @property
    def caller(self) -> str:
        """Who reads."""
        return self._store.caller

    def describe(self) -> Iterator[Sequence[Parameter]]:
        """The names that there are, in one page."""
        yield list(self._store.describe_names(self._names).values())

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        """As the store has it."""
        return self._store.describe_names(names)

    def names_tagged(self, key: str, values: Sequence[str]) -> frozenset[str]:
        """Those of the names that carry the tag."""
        tags = {name: self.tags(name) or {} for name in self._names}
        return frozenset(
            name for name, found in tags.items() if key in found and (not values or found[key] in values)
        )

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        """The tags of the names, each read directly."""
        yield {name: tags for name in self._names if (tags := self.tags(name))}

    def tags(self, name: str) -> Tags | None:
        """The tags of one parameter, asked once."""
        if name not in self._tags:
            self._tags[name] = self._store.tags(name)
        return self._tags[name]

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """As the store has it."""
        return self._store.values(names, decrypt=decrypt)

    def keys(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """As the store has it."""
        return self._store.keys(references, fresh=fresh)

    def settings(self) -> Settings:
        """As the store has it."""
        return self._store.settings()

    def await_turn(self, step: CallClass) -> NoReturn:
        """Nothing is written through a glance."""
        _only_reads(step)

    def put(self, request: Put) -> NoReturn:
        """Nothing is written through a glance."""
        _only_reads(request)

    def add_tags(self, name: str, tags: Tags) -> NoReturn:
        """Nothing is written through a glance."""
        _only_reads(name, tags)

    def remove_tags(self, name: str, keys: Sequence[str]) -> NoReturn:
        """Nothing is written through a glance."""
        _only_reads(name, keys)

    def delete(self, names: Sequence[str]) -> NoReturn:
        """Nothing is written through a glance."""
        _only_reads(names)


def _only_reads(*_: object) -> NoReturn:
    """A place to plan from is a store, and this one must never be handed to an apply."""
    message = "a glance only reads"
    raise AssertionError(message)


def glance(spec: Replication, places: Places, name: str) -> Places:
    """The places of a replication with only what one name is about: itself, where it lands, its origin.

    Where names are rewritten, two sources may land on one address, so the source is seen whole.
    """
    asked = canonical(name)
    opened = dict(places.opened)
    source = opened[spec.source.access]
    if isinstance(source, StoreError):
        return places
    at_source = {asked}
    for target in spec.targets:
        there = opened[target.access]
        if isinstance(there, StoreError):
            continue
        lands = canonical(spec.address(name, source.place, there.place, target.name))
        seen = Glance(there, {asked, lands})
        opened[target.access] = seen
        for address in (asked, lands):
            at_source |= _origin(seen, address, source.place)
    if all(rule.scope is not RewriteIn.NAME for rule in spec.rewrites):
        opened[spec.source.access] = Glance(source, at_source)
    return Places(opened)


def _origin(seen: Glance, address: str, source: Place) -> set[str]:
    """The name that a replica was made from. What cannot be read now will be said by the listing."""
    try:
        made_from = source_name(seen.tags(address) or {}, address, source)
    except StoreError:
        return set()
    return set() if made_from is None else {canonical(made_from)}
