"""State that the event path keeps between invocations, in one table: leases, windows, counts, attempts.

    lease#REPLICATION#TARGET#ADDRESS  one invocation works on this replica
    window#GUARD#REPLICATION#TARGET   the deletes (or updates) of the last hours, each with its time
    count#REPLICATION#TARGET          the number of replicas, as the last whole run counted them
    attempts#MESSAGE                  the attempts of a message that failed for a reason of its own
    whole-run                         the time and the result of the last whole run

An item has an identifier, a token, an expiry time and data. A write is conditional: on the expiry time of the
item (`claim`), or on its token (`write`). So each method is correct for any number of concurrent invocations.
The table deletes expired items some time later (DynamoDB, "Time to Live"), so the code compares the times.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.system import Clock

_T = TypeVar("_T")

AT_ONCE = 8
"""Parallel requests to the table."""
WRITE_TRIES = 8
"""Attempts of a conditional write whose item other invocations change."""
ATTEMPTS_KEPT = timedelta(days=15)
"""Longer than any message is kept in a queue (14 days)."""
COUNT_KEPT = timedelta(days=90)
START_PAUSE = timedelta(minutes=15)
"""Between two starts of a whole run by events."""
MOST_FAILURES = 3
"""Calls without an answer in one invocation, after which the table is not called any more."""
RELEASED = "-"
"""Token of a lease that was released: its item keeps data, and has expired."""
MOST_ENTRIES = 5_000
"""Entries of one window: an item of DynamoDB holds 400 KB."""


class TableUnavailableError(ReconcileError):
    """The table could not be read or written."""


@dataclass(frozen=True, slots=True)
class TableItem:
    """One item. `expires` is in seconds since the epoch; `data` is anything that JSON can hold."""

    token: str
    expires: float
    data: Any = None


class Table(Protocol):
    """A table with conditional writes. Every method raises `TableUnavailableError` if it gets no answer."""

    def read(self, identifiers: Collection[str]) -> Mapping[str, TableItem]:
        """Return the items that exist, also expired ones, read consistently."""

    def claim(self, identifier: str, item: TableItem, now: float) -> LeaseClaim:
        """Write an item unless another token holds it.

        Args:
            identifier: The identifier.
            item: The item.
            now: The time, in seconds since the epoch.
        """

    def write(self, identifier: str, item: TableItem, replaces: str | None) -> bool:
        """Write an item if no other write was faster; return whether it was written.

        Args:
            identifier: The identifier.
            item: The item.
            replaces: The token of the item that was read before; None if there was none.
        """

    def delete(self, identifier: str, token: str) -> None:
        """Delete an item if it has this token."""


@dataclass(frozen=True, slots=True)
class LeaseClaim:
    """The result of a claim: whether the item was written, and the data of the item before it."""

    is_taken: bool
    data: Any = None


@dataclass(slots=True)
class FailFastTable:
    """A table of which no call is made after some calls without an answer, until `begin`.

    A call without an answer is repeated; each of them is safe to repeat. Without the limit, each further call
    would wait for its timeout, and Lambda would kill the function.
    """

    table: Table
    failures: int = 0

    def begin(self) -> None:
        """Start an invocation."""
        self.failures = 0

    def read(self, identifiers: Collection[str]) -> Mapping[str, TableItem]:
        """Return the items that exist, also expired ones, read consistently."""
        return self._call(lambda: self.table.read(identifiers))

    def claim(self, identifier: str, item: TableItem, now: float) -> LeaseClaim:
        """Write an item unless another token holds it.

        Args:
            identifier: The identifier.
            item: The item.
            now: The time, in seconds since the epoch.
        """
        return self._call(lambda: self.table.claim(identifier, item, now))

    def write(self, identifier: str, item: TableItem, replaces: str | None) -> bool:
        """Write an item if no other write was faster; return whether it was written.

        Args:
            identifier: The identifier.
            item: The item.
            replaces: The token of the item that was read before; None if there was none.
        """
        return self._call(lambda: self.table.write(identifier, item, replaces))

    def delete(self, identifier: str, token: str) -> None:
        """Delete an item if it has this token."""
        self._call(lambda: self.table.delete(identifier, token))

    def _call(self, call: Callable[[], _T]) -> _T:
        error = TableUnavailableError("the table did not answer several times in this invocation")
        while self.failures < MOST_FAILURES:
            try:
                return call()
            except TableUnavailableError as failure:
                self.failures += 1
                error = failure
        raise error


def lease_of(replication: str, target: str, address: str) -> str:
    """Return the identifier of the lease of an address: two source names may have the same one.

    Args:
        replication: The name of the replication.
        target: The name of the target.
        address: The canonical name of the replica in the target.
    """
    return f"lease#{replication}#{target}#{address}"


def entry_of(*parts: object) -> str:
    """Return the entry of a change in a window: a digest, so that the table holds no names."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ReplicaCount:
    """The replicas of a target, and the time at which a whole run counted them."""

    replicas: int
    at: datetime


@dataclass(frozen=True, slots=True)
class WholeRun:
    """The time of a whole run, and the number of addresses that did not hold what the spec asks for."""

    at: datetime
    remaining: int


@dataclass(frozen=True, slots=True)
class MessageAttempts:
    """The attempts of one message.

    Attributes:
        failed: How many failed for a reason of the message itself.
        written: How many times each name was written and then differed from what was written.
    """

    failed: int = 0
    written: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """The state of one stack, for one process. Methods raise `TableUnavailableError`."""

    table: Table
    clock: Clock

    def take_leases(self, identifiers: Iterable[str], token: str, until: float) -> dict[str, Any]:
        """Take leases in one pass, without waiting; return those that were taken, with their data.

        The data is what the last holder left there (`release_leases`); None if it is not known.

        Args:
            identifiers: The leases (`lease_of`).
            token: The token of the invocation.
            until: The end of the leases, in seconds since the epoch.
        """
        now = self.clock.now().timestamp()
        item = TableItem(token, until)

        found = self._each(identifiers, lambda identifier: self.table.claim(identifier, item, now))
        return {identifier: claim.data for identifier, claim in found.items() if claim.is_taken}

    def release_leases(self, leases: Mapping[str, Any], token: str) -> None:
        """Release leases of this token, and leave data there for the next holder; None: no data."""
        past = self.clock.now().timestamp() - 1

        def release(identifier: str) -> None:
            data = leases[identifier]
            if data is None:
                self.table.delete(identifier, token)
            else:
                self.table.write(identifier, TableItem(RELEASED, past, data), token)

        self._each(leases, release)

    def _each(self, identifiers: Iterable[str], do: Callable[[str], _T]) -> dict[str, _T]:
        every = sorted(set(identifiers))
        if len(every) <= 1:
            return {one: do(one) for one in every}
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            waiting = {one: pool.submit(do, one) for one in every}
            try:
                return {identifier: one.result() for identifier, one in waiting.items()}
            except TableUnavailableError:  # each of the others would wait for its timeout
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def read_counts(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], ReplicaCount]:
        """Return the known counts by replication and target name."""
        wanted = {f"count#{replication}#{target}": (replication, target) for replication, target in pairs}
        found = self.table.read(wanted) if wanted else {}
        counts = {wanted[key]: _count(item) for key, item in found.items()}
        return {pair: count for pair, count in counts.items() if count is not None}

    def write_counts(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Write the counts of a whole run."""
        now = self.clock.now()
        for (replication, target), replicas in sorted(counts.items()):
            data = {"replicas": replicas, "at": now.timestamp()}
            self._overwrite(f"count#{replication}#{target}", data, COUNT_KEPT)

    def reserve(
        self,
        guard: str,
        pair: tuple[str, str],
        entries: Iterable[str],
        window: timedelta,
        allows: Callable[[int, ReplicaCount | None], bool],
    ) -> Reservation:
        """Reserve places in the window of one target, one by one, as long as `allows` agrees.

        An entry that is in the window already counts once and stays reserved.

        Args:
            guard: The guard whose window it is.
            pair: The names of the replication and the target.
            entries: The entries of the changes (`entry_of`), in their order.
            window: How long an entry counts.
            allows: Gets the number of entries with the next one, and the count of replicas if it is known.

        Raises:
            TableUnavailableError: The table gave no answer, or other invocations were always faster.
        """
        identifier, counted = f"window#{guard}#{pair[0]}#{pair[1]}", f"count#{pair[0]}#{pair[1]}"
        wanted = list(dict.fromkeys(entries))
        for _ in range(WRITE_TRIES):
            items = self.table.read({identifier, counted})
            now = self.clock.now()
            count = _count(items.get(counted))
            old = items.get(identifier)
            held = _younger(old, now - window)
            known = frozenset(wanted) & held.keys()
            added: set[str] = set()
            for entry in wanted:
                if entry not in held and len(held) < MOST_ENTRIES and allows(len(held) + 1, count):
                    held[entry] = now.timestamp()
                    added.add(entry)
            result = Reservation(guard, pair, known | added, frozenset(added), len(held), count)
            if not added or self._replace(identifier, held, old, window):
                return result
        raise TableUnavailableError(f"{identifier} changed {WRITE_TRIES} times while it was written")

    def keep(self, guard: str, pair: tuple[str, str], entries: Iterable[str], window: timedelta) -> None:
        """Write entries into the window of one target as if they were made now, whatever its limit is.

        Args:
            guard: The guard whose window it is.
            pair: The names of the replication and the target.
            entries: The entries (`entry_of`).
            window: How long an entry counts.
        """
        identifier, wanted = f"window#{guard}#{pair[0]}#{pair[1]}", frozenset(entries)
        for _ in range(WRITE_TRIES if wanted else 0):
            old, now = self.table.read({identifier}).get(identifier), self.clock.now()
            held = _younger(old, now - window) | dict.fromkeys(sorted(wanted)[:MOST_ENTRIES], now.timestamp())
            if self._replace(identifier, held, old, window):
                return

    def give_back(self, reservation: Reservation, entries: Collection[str], window: timedelta) -> None:
        """Remove entries that this reservation added, for changes that certainly did not happen.

        Args:
            reservation: The reservation.
            entries: The entries of those changes.
            window: How long an entry counts.
        """
        gone = reservation.added & frozenset(entries)
        identifier = f"window#{reservation.guard}#{reservation.pair[0]}#{reservation.pair[1]}"
        for _ in range(WRITE_TRIES if gone else 0):
            old = self.table.read({identifier}).get(identifier)
            held = _younger(old, self.clock.now() - window)
            left = {entry: at for entry, at in held.items() if entry not in gone}
            if old is None or self._replace(identifier, left, old, window):
                return

    def read_attempts(self, messages: Iterable[str]) -> dict[str, MessageAttempts]:
        """Return the attempts by message identifier, for messages that have failed before."""
        wanted = {f"attempts#{message}": message for message in messages}
        found = self.table.read(wanted) if wanted else {}
        return {
            wanted[key]: MessageAttempts(int(item.data["failed"]), dict(item.data["written"]))
            for key, item in found.items()
            if isinstance(item.data, Mapping) and {"failed", "written"} <= item.data.keys()
        }

    def write_attempts(self, message: str, attempts: MessageAttempts) -> None:
        """Write the attempts of a message."""
        data = {"failed": attempts.failed, "written": dict(attempts.written)}
        self._overwrite(f"attempts#{message}", data, ATTEMPTS_KEPT)

    def take_whole_run(self, execution: str, until: float) -> bool:
        """Take the lease of the whole run for an execution, or extend it; False while another holds it."""
        now = self.clock.now().timestamp()
        return self.table.claim("lease#whole-run", TableItem(execution, until), now).is_taken

    def release_whole_run(self, execution: str) -> None:
        """Release the lease of the whole run."""
        self.table.delete("lease#whole-run", execution)

    def begin_start_of_whole_run(self) -> str | None:
        """Return a token if no event has started a whole run in the last minutes, else None."""
        now = self.clock.now().timestamp()
        item = TableItem(secrets.token_hex(8), now + START_PAUSE.total_seconds())
        return item.token if self.table.claim("lease#whole-run-start", item, now).is_taken else None

    def undo_start_of_whole_run(self, token: str) -> None:
        """Let the next event start a whole run: this one could not be started."""
        self.table.delete("lease#whole-run-start", token)

    def read_whole_run(self) -> WholeRun | None:
        """Return the last whole run that was completed."""
        item = self.table.read({"whole-run"}).get("whole-run")
        return None if item is None else WholeRun(_time(item.data["at"]), int(item.data["remaining"]))

    def begin_watch(self) -> datetime:
        """Return the time of the first call, from which a stack waits for its first whole run."""
        now = self.clock.now()
        item = TableItem("watch", (now + COUNT_KEPT).timestamp(), {"at": now.timestamp()})
        if self.table.write("watch", item, None):
            return now
        return _time(self.table.read({"watch"})["watch"].data["at"])

    def write_whole_run(self, remaining: int) -> None:
        """Write that a whole run was completed, and how many addresses do not hold what the spec asks for."""
        data = {"at": self.clock.now().timestamp(), "remaining": remaining}
        self._overwrite("whole-run", data, COUNT_KEPT)

    def _overwrite(self, identifier: str, data: object, kept: timedelta) -> None:
        """Write an item whatever it holds: of two concurrent writes, either result is right."""
        for _ in range(WRITE_TRIES):
            if self._replace(identifier, data, self.table.read({identifier}).get(identifier), kept):
                return

    def _replace(self, identifier: str, data: object, old: TableItem | None, kept: timedelta) -> bool:
        expires = (self.clock.now() + kept).timestamp()
        item = TableItem(secrets.token_hex(8), expires, data)
        return self.table.write(identifier, item, None if old is None else old.token)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The result of `State.reserve`.

    Attributes:
        reserved: The entries that have a place; the others must not happen.
        added: Those of them that this call added.
        total: The number of entries in the window.
        count: The replicas of the target, if they are known.
    """

    guard: str
    pair: tuple[str, str]
    reserved: frozenset[str]
    added: frozenset[str]
    total: int
    count: ReplicaCount | None


def _count(item: TableItem | None) -> ReplicaCount | None:
    """Return the count in an item; None for no item, and for one that this version cannot read."""
    match None if item is None else item.data:
        case {"replicas": int(replicas), "at": int() | float() as at}:
            return ReplicaCount(replicas, _time(at))
        case _:
            return None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def _younger(item: TableItem | None, oldest: datetime) -> dict[str, float]:
    """Return the entries of a window that still count."""
    every = item.data if item is not None and isinstance(item.data, Mapping) else {}
    times = {str(entry): at for entry, at in every.items() if isinstance(at, int | float)}
    return {entry: at for entry, at in times.items() if at > oldest.timestamp()}
