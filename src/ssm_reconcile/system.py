"""Interfaces between a run and its process: clock, request to stop, progress; threads for reads.

Modules take `Clock`, `Stop` and `ProgressListener` as arguments. `SystemClock` is the clock of real runs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Protocol, TypeVar

MOST_AT_ONCE = 96
"""Maximum sources and targets that are read at the same time.

Each may use nine threads, and one more than `--parallelism` where that is above eight. A process in AWS
Lambda has at most 1,024.
"""

_Item = TypeVar("_Item")
_T = TypeVar("_T")


class Clock(Protocol):
    """The time of day, a monotonic time, and a wait."""

    def now(self) -> datetime:
        """Return the time of day, with the time zone UTC."""

    def monotonic(self) -> float:
        """Return seconds that never decrease."""

    def sleep(self, seconds: float) -> None:
        """Wait the full time; a caller that must stop early sleeps in short intervals."""


class Stop(Protocol):
    """A request to stop the run (SIGINT, SIGTERM, or the end of a Lambda invocation)."""

    def is_set(self) -> bool:
        """Return whether the run was asked to stop."""


class Phase(StrEnum):
    """A kind of work in one place."""

    LISTING = "listing"
    TAGS = "reading tags"
    READING = "reading values"
    CONFIRMING = "confirming tags"
    HISTORY = "reading history"
    WRITING = "writing"
    CHECKING = "verifying"


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` items (None: not known yet) of one phase in one place."""

    place: str
    phase: Phase
    done: int
    total: int | None = None


class ProgressListener(Protocol):
    """A function that receives progress events, from any thread; it may raise to stop the worker."""

    def __call__(self, progress: Progress, /) -> None:
        """Receive an event."""


class ProgressSums:
    """Adds up the progress of several workers by place and phase, for one listener. Thread-safe.

    A worker may run a phase several times, and each time is added. A total counts what has begun.
    """

    def __init__(self, listener: ProgressListener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._parts: dict[tuple[str, Phase], list[Progress]] = {}

    def worker(self) -> ProgressListener:
        """Return the listener of one more worker."""
        current: dict[tuple[str, Phase], int] = {}  # the position of its part

        def add(progress: Progress) -> None:
            key = progress.place, progress.phase
            with self._lock:  # also while the listener is called: it receives the sums in their order
                parts = self._parts.setdefault(key, [])
                if key not in current or parts[current[key]].done == parts[current[key]].total:
                    current[key] = len(parts)
                    parts.append(progress)
                parts[current[key]] = progress
                totals = [part.total for part in parts if part.total is not None]
                total = sum(totals) if len(totals) == len(parts) else None
                self._listener(Progress(*key, sum(part.done for part in parts), total))

        return add


class Waitable(Protocol):
    """An event that a thread can wait for, such as a `threading.Event`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set or `timeout` seconds are over; return whether it is set."""


class SystemClock:
    """The `Clock` of real runs; `sleep` returns early when `stop` becomes set."""

    def __init__(self, stop: Waitable | None = None) -> None:
        self._stop = stop

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never decrease."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`, less when the run is asked to stop; the caller checks `stop` afterwards."""
        if seconds <= 0:
            return
        if self._stop is None:
            time.sleep(seconds)
        else:
            self._stop.wait(seconds)


_M_MMAP_THRESHOLD = -3
"""The number of the parameter in malloc.h of glibc (mallopt, Linux manual)."""
_LARGE = 256 * 1024


def return_freed_memory() -> None:
    """Make the C library return each freed block of 256 KB or more to the system at once.

    By default glibc keeps them in a heap for each thread: 40 MB of outgrown tables in a plan of 100,000
    parameters. It concerns the whole process: only the command line and the Lambda function call it. Does
    nothing with another C library, or without ctypes.
    """
    with contextlib.suppress(AttributeError, ImportError, OSError, TypeError):
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


class ReadPool(ThreadPoolExecutor):
    """A thread pool for reads that an interrupt leaves at once.

    The standard pool waits for its threads, and one of them may wait half a minute for a server that
    does not answer. Nothing is lost: these threads only read, and the process ends right after.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an Exception the process goes on, and its threads must not write to the log later.
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.shutdown(wait=not interrupted, cancel_futures=error is not None)


def read_at_once(read: Callable[[_Item], _T], wanted: Iterable[_Item], most: int = MOST_AT_ONCE) -> list[_T]:
    """Return the result of a read for each item; the reads run at the same time, a single one in this thread.

    If several reads fail, the error of the first such item is raised. After an error, reads that run are
    awaited, and no further read begins.

    Args:
        read: Reads one item; called in a thread if there are several items.
        wanted: The items.
        most: The maximum number of reads at the same time.

    Returns:
        The results in the order of the items, whichever read ends first.
    """
    items = list(wanted)
    if len(items) <= 1:  # the start of a thread takes longer than some reads
        return [read(item) for item in items]
    failed: list[int] = []

    def read_item(position: int) -> _T:
        if any(other < position for other in failed):  # an earlier item is read: its error comes first
            raise CancelledError
        try:
            return read(items[position])
        except BaseException:
            failed.append(position)
            raise

    with ReadPool(max_workers=max(1, min(len(items), most))) as pool:
        return list(pool.map(read_item, range(len(items))))
