"""The clock of real runs: the system's time, and sleep that a request to stop ends early."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Waitable(Protocol):
    """Something that one can wait for, at most so many seconds: a `threading.Event`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it happens, or the time is over; says whether it happened."""


class SystemClock:
    """Real time; `sleep` returns early when `stop` becomes set."""

    def __init__(self, stop: Waitable) -> None:
        self._stop = stop

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits; returns at once when the run is asked to stop. What comes after that is up to `stop`."""
        if seconds > 0:
            self._stop.wait(seconds)
