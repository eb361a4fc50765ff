"""Specs -> the opened places: reached, identified, and checked to be the ones that the spec means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ssm_reconcile.errors import PlaceError, StoreError, UsageError, unknown_name
from ssm_reconcile.model import Access
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.stores.base import Store

Connect: TypeAlias = Callable[[Access], Store]
"""Opens a place, having asked STS who we are there; raises StoreError."""


@dataclass(frozen=True, slots=True)
class Places:
    """The stores of a run, by how they are reached; a place that could not be opened has its error."""

    opened: Mapping[Access, Store | StoreError]

    def store(self, access: Access) -> Store:
        """The store of a place; raises the error with which it could not be opened."""
        found = self.opened[access]
        if isinstance(found, StoreError):
            raise found
        return found


def narrowed(specs: Sequence[Replication], run: Run) -> tuple[Replication, ...]:
    """The replications with only the targets that the run asks for; raises UsageError for unknown ones."""
    if not run.targets:
        return tuple(specs)
    known = {target.name for spec in specs for target in spec.targets}
    for name in run.targets:
        if name not in known:
            raise unknown_name("target", name, known)
    kept = [
        replace(spec, targets=tuple(target for target in spec.targets if target.name in run.targets))
        for spec in specs
    ]
    return tuple(spec for spec in kept if spec.targets)


def open_places(specs: Sequence[Replication], connect: Connect, run: Run) -> Places:
    """Opens every place once, and checks before any read that each is the right one.

    Raises PlaceError for a wrong account and for two places that are one, StoreError when no place
    can be opened. A single place that cannot be opened is left to the plan, which says so.
    """
    specs = narrowed(specs, run)
    _check_names(specs)
    opened: dict[Access, Store | StoreError] = {}
    for spec in specs:
        for access in (spec.source.access, *(target.access for target in spec.targets)):
            if access not in opened:
                try:
                    opened[access] = connect(access)
                except StoreError as failure:
                    opened[access] = failure
    failures = [store for store in opened.values() if isinstance(store, StoreError)]
    if failures and len(failures) == len(opened):
        raise failures[0]
    for spec in specs:
        _check_accounts(spec, opened)
    return Places(opened)


def _check_names(specs: Sequence[Replication]) -> None:
    """Changes and outcomes are told apart by the replication's name."""
    seen: dict[str, Replication] = {}
    for spec in specs:
        if spec.name in seen:
            both = f"{seen[spec.name].where}, {spec.where}"
            message = f"two replications of this run are called {spec.name} ({both})"
            raise UsageError(message, "run their files one at a time, or give one another name")
        seen[spec.name] = spec


def open_more(places: Places, specs: Sequence[Replication], connect: Connect) -> Places:
    """The same places and those that some other specs need besides; raises as `open_places` does."""

    def known_or_new(access: Access) -> Store:
        return places.store(access) if access in places.opened else connect(access)

    return Places({**open_places(specs, known_or_new, Run()).opened, **places.opened})


def _check_accounts(spec: Replication, opened: Mapping[Access, Store | StoreError]) -> None:
    """The wrong account, and two places that are one, are found before anything is read."""
    seen: dict[object, str] = {}
    ends = [("source", spec.source.access, spec.source.account, spec.source.where)]
    ends += [(f"target {one.name}", one.access, one.account, one.where) for one in spec.targets]
    for label, access, account, where in ends:
        store = opened[access]
        if isinstance(store, StoreError):
            continue
        if account is not None and store.place.account != account:
            actual = store.place.account
            message = (
                f"{spec.name}: the {label} should be account {account}, but the credentials are of {actual}"
            )
            raise PlaceError(
                message, f"use credentials or a role_arn of {account}, or mend `account` ({where})"
            )
        if store.place in seen:
            message = f"{spec.name}: the {label} and the {seen[store.place]} are one place: {store.place}"
            raise PlaceError(message, f"give them different regions or accounts ({where})")
        seen[store.place] = label
