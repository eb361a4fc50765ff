"""Specs -> the opened places of a run: reached, identified by STS, and checked against the spec.

`Session` has what all steps of one run share: these places, options, clock, progress listener, digest key.
`HigherThroughput` reads a setting of the places in which a run writes, and sets their rate of PutParameter.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeAlias, TypeVar

from ssm_reconcile.aws_limits import CALL_RATES, HIGHER_THROUGHPUT_PUT_RATE, CallClass
from ssm_reconcile.errors import PlaceError, StoreError, Trouble, UsageError, Where, unknown_name
from ssm_reconcile.model import Access, Place
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.stores.base import Store
from ssm_reconcile.system import Clock, ProgressListener, read_at_once

_T = TypeVar("_T")
Connect: TypeAlias = Callable[[Access], Store]
"""Opens a place and identifies it with GetCallerIdentity of STS; raises StoreError."""


@dataclass(frozen=True, slots=True)
class Places:
    """The stores of a run by access; a place that could not be opened has its error instead."""

    opened: Mapping[Access, Store | StoreError]

    def store(self, access: Access) -> Store:
        """Return the store of a place.

        Raises:
            StoreError: The place could not be opened.
        """
        found = self.opened[access]
        if isinstance(found, StoreError):
            raise found
        return found

    def read_each(
        self, wanted: Iterable[Access], read: Callable[[Store, Access], _T]
    ) -> dict[Access, _T | StoreError]:
        """Read places at the same time, each once; a place that could not be opened gives its error."""
        accesses = list(dict.fromkeys(wanted))

        def one(access: Access) -> _T | StoreError:
            store = self.opened[access]
            return store if isinstance(store, StoreError) else read(store, access)

        return dict(zip(accesses, read_at_once(one, accesses), strict=True))


def narrow_specs(specs: Sequence[Replication], run: Run) -> tuple[Replication, ...]:
    """Return the replications with only the targets of the run.

    Raises:
        UsageError: A target is unknown.
    """
    known = {target.name for spec in specs for target in spec.targets}
    for name in (*run.targets, *(lift.target for lift in run.lift)):
        if name not in known:
            raise unknown_name("target", name, known)
    if not run.targets:
        return tuple(specs)
    kept = [
        replace(spec, targets=tuple(target for target in spec.targets if target.name in run.targets))
        for spec in specs
    ]
    return tuple(spec for spec in kept if spec.targets)


def open_places(specs: Sequence[Replication], connect: Connect, run: Run) -> Places:
    """Open each place once, and check before any read that it is the one of the spec.

    Args:
        specs: The replications.
        connect: Opens one place.
        run: Narrows the replications to some targets.

    Raises:
        PlaceError: An account is wrong, or two places of a replication are the same place.
        StoreError: No place can be opened; a single one becomes a finding of the plan.
        UsageError: Two replications have the same name, or a target of the run is unknown.
    """
    specs = narrow_specs(specs, run)
    _check_names(specs)
    opened = connect_each((access for spec in specs for _, access, *_ in endpoints(spec)), connect)
    failures = [store for store in opened.values() if isinstance(store, StoreError)]
    if failures and len(failures) == len(opened):
        raise failures[0]
    for spec in specs:
        for _, error in place_errors(spec, opened):
            raise error
    return Places(opened)


def connect_each(wanted: Iterable[Access], connect: Connect) -> dict[Access, Store | StoreError]:
    """Open each place once, at the same time; a place that cannot be opened gives its error.

    Until one place is open, the calling thread opens them one by one: the credentials may need an MFA code,
    and only the main thread restores the terminal after Ctrl-C.

    Args:
        wanted: The places, in the order of the result.
        connect: Opens one place.
    """

    def open_place(access: Access) -> Store | StoreError:
        try:
            return connect(access)
        except StoreError as failure:
            return failure

    left = deque(dict.fromkeys(wanted))
    opened: dict[Access, Store | StoreError] = {}
    while left and all(isinstance(one, StoreError) for one in opened.values()):
        access = left.popleft()
        opened[access] = open_place(access)
    return opened | dict(zip(left, read_at_once(open_place, left), strict=True))


def _check_names(specs: Sequence[Replication]) -> None:
    """Raise UsageError for a repeated name: changes and outcomes are identified by it."""
    seen: dict[str, Replication] = {}
    for spec in specs:
        if spec.name in seen:
            both = f"{seen[spec.name].where}, {spec.where}"
            message = f"two replications of this run have the name {spec.name} ({both})"
            raise UsageError(message, "run their files one at a time, or rename one of them")
        seen[spec.name] = spec


def open_more(places: Places, specs: Sequence[Replication], connect: Connect) -> Places:
    """Return the open places and those of further replications.

    Args:
        places: The open places.
        specs: The further replications.
        connect: Opens the store of a place.

    Raises:
        ReconcileError: As in `open_places`.
    """

    def known_or_new(access: Access) -> Store:
        return places.store(access) if access in places.opened else connect(access)

    return Places({**open_places(specs, known_or_new, Run()).opened, **places.opened})


def without_probing(connect: Callable[[Access], _T]) -> Callable[[Access], _T]:
    """Return a function that opens places as `connect` does, and never looks for higher rates there."""
    return lambda access: connect(replace(access, probe=False))


def endpoints(spec: Replication) -> Iterator[tuple[str, Access, str | None, Where | None]]:
    """Yield label, access, expected account and position in the spec of the source and of each target."""
    yield "the source", spec.source.access, spec.source.account, spec.source.where
    for one in spec.targets:
        yield f"target {one.name}", one.access, one.account, one.where


def place_errors(
    spec: Replication, opened: Mapping[Access, Store | StoreError]
) -> Iterator[tuple[str, PlaceError]]:
    """Yield, with its label, each opened place of a wrong account, and each that is the same as another."""
    seen: dict[object, str] = {}
    for label, access, account, where in endpoints(spec):
        store = opened[access]
        if isinstance(store, StoreError):
            continue
        if account is not None and store.place.account != account:
            actual = store.place.account
            message = (
                f"{spec.name}: {label} should be account {account}, but the credentials are for {actual}"
            )
            remedy = f"use credentials or a role_arn of {account}, or correct `account` ({where})"
            yield label, PlaceError(message, remedy)
        if store.place in seen:
            message = f"{spec.name}: {label} and {seen[store.place]} are the same place: {store.place}"
            remedy = f"give them different regions or accounts ({where})"
            if seen[store.place] == "the source" and spec.source.account is None:
                remedy += "; with `account` under `source`, a matrix leaves the source out"
            yield label, PlaceError(message, remedy)
        seen[store.place] = label


HIGHER_THROUGHPUT_SECONDS = 3600.0
"""Seconds for which the setting for higher throughput is not read again by the same process."""


@dataclass(frozen=True, slots=True)
class HigherThroughput:
    """The rate of PutParameter in each place, by the setting for higher throughput of account and region.

    The setting is read once for each place, whatever the number of replications, by one call without a
    retry; only if that is denied, by the next identity that writes there. If it is off or could not be read,
    which is kept as well, the default holds. It is the rate of the replications that set none. Where all that
    write in a place set one, nothing is read.

    Attributes:
        clock: The clock of the run.
        report: Receives a line for each place that is read.
        known: The rate of each place, with the time at which the setting was read.
    """

    clock: Clock
    report: Callable[[str], object]
    known: dict[Place, tuple[float, float]] = field(default_factory=dict)

    def set_rates(self, stores: Iterable[Store]) -> None:
        """Set the rate of PutParameter in the places of some stores."""
        by_place: dict[Place, dict[str, Store]] = {}
        for store in stores:
            if not store.is_rate_set(CallClass.PUT):
                by_place.setdefault(store.place, {})[store.caller] = store
        now = self.clock.monotonic()
        unread = [
            place
            for place in by_place
            if place not in self.known or now - self.known[place][0] >= HIGHER_THROUGHPUT_SECONDS
        ]
        rates = read_at_once(lambda place: self._rate_of(*by_place[place].values()), unread)
        self.known.update((place, (now, rate)) for place, rate in zip(unread, rates, strict=True))
        for place, callers in by_place.items():
            next(iter(callers.values())).set_default_rate(CallClass.PUT, self.known[place][1])

    def _rate_of(self, store: Store, *others: Store) -> float:
        """Read the setting of a place, and return the calls per second of PutParameter."""
        default = CALL_RATES[CallClass.PUT]
        try:
            rate = HIGHER_THROUGHPUT_PUT_RATE if store.has_higher_throughput() else default
        except StoreError as failure:
            if others and failure.kind is Trouble.DENIED:
                return self._rate_of(*others)
            remedy = "; allow ssm:GetServiceSetting to use it" if failure.kind is Trouble.DENIED else ""
            self.report(
                f"{store.place}: the setting for higher throughput could not be read ({failure.code}):"
                f" PutParameter at {default:g}/s{remedy}"
            )
            return default
        state = "off" if rate == default else "on"
        self.report(f"{store.place}: higher throughput is {state}: PutParameter at {rate:g}/s")
        return rate


_NOW = datetime.max.replace(tzinfo=UTC)
"""Stands for the time of the clock."""


@dataclass(frozen=True, slots=True)
class Session:
    """The surroundings of a run; the specs and the plan are arguments of their own.

    `key` keys the digests by which values are compared. A new session has a new key, so the digests of
    one run reveal nothing in another. Without `throughput`, PutParameter has its default rate in each place
    for which the spec sets none. `as_of` is the instant at which the run judges whether something has
    expired, in whole seconds: that of a saved plan, else the time at which the session is made.
    """

    places: Places
    run: Run
    clock: Clock
    progress: ProgressListener
    throughput: HigherThroughput | None = None
    key: bytes = field(default_factory=partial(secrets.token_bytes, 32), repr=False)
    as_of: datetime = _NOW

    def __post_init__(self) -> None:
        given = self.clock.now() if self.as_of is _NOW else self.as_of
        object.__setattr__(self, "as_of", given.astimezone(UTC).replace(microsecond=0))

    @property
    def today(self) -> date:
        """The day of `as_of` in UTC."""
        return self.as_of.date()
