"""The clock of a process that is given so many seconds at a time: it also says when to begin nothing new.

One for the life of a process, since the rates of a place outlive an invocation; each invocation sets its
own end. Nothing sleeps beyond that end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ssm_reconcile.clock import Clock


class RealTime:
    """The system's time."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(max(0.0, seconds))


class Timer:
    """A `clock.Clock` and a `clock.Stop`, until the end that `begin` sets."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or RealTime()
        self._left: Callable[[], float] = lambda: float("inf")

    def begin(self, left: Callable[[], float]) -> None:
        """Starts an invocation; `left` says how many seconds of it may still be worked in."""
        self._left = left

    def left(self) -> float:
        """Seconds that may still be worked in; none or less: begin nothing new."""
        return self._left()

    def is_set(self) -> bool:
        """Whether the time is over."""
        return self.left() <= 0

    def now(self) -> datetime:
        """The time of day in UTC."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits, but not beyond the end."""
        self._clock.sleep(min(seconds, max(0.0, self.left())))
