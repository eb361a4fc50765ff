"""The operating system's clock and threads; every other module takes them as arguments or from here."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol


class Waitable(Protocol):
    """An event that a thread can wait for, such as a `threading.Event`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set or `timeout` seconds are over; return whether it is set."""


class SystemClock:
    """The `clock.Clock` of real runs; `sleep` returns early when `stop` becomes set."""

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


class ReadPool(ThreadPoolExecutor):
    """A thread pool for reads that an interrupt leaves at once.

    The standard pool waits for its threads, and one of them may wait half a minute for a server that
    does not answer. Nothing is lost: these threads only read, and the process ends right after.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.shutdown(wait=not interrupted, cancel_futures=error is not None)
