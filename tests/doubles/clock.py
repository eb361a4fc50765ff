"""A clock that only tests turn (sleeping takes no time and moves it on), and a stop request."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 23, 12, 0, 0, 0, tzinfo=UTC)


class FakeClock:
    """Keeps `clock.Clock`. `tick` is how far each look at it moves it on, so that moments differ."""

    def __init__(self, start: datetime = NOON, *, tick: timedelta = timedelta()) -> None:
        self._start = start
        self._passed = timedelta()
        self._tick = tick
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        with self._lock:
            self._passed += self._tick
            return self._start + self._passed

    def monotonic(self) -> float:
        with self._lock:
            self._passed += self._tick
            return self._passed.total_seconds()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            # Rounded up to a microsecond: who sleeps what is left of a wait must come to its end.
            self._passed += max(timedelta(seconds=seconds), timedelta(microseconds=seconds > 0))

    def turn_to(self, passed: timedelta) -> None:
        """Set the time since the start, also to an earlier one."""
        with self._lock:
            self._passed = passed

    def advance(self, by: timedelta) -> None:
        """Lets time pass without anybody having slept."""
        with self._lock:
            self._passed += by

    def copy(self) -> FakeClock:
        """Return a clock that shows the same time, and goes on alone."""
        other = FakeClock(self._start, tick=self._tick)
        other._passed = self._passed
        return other


class StopFlag:
    """A stop request that a test makes with `set`."""

    def __init__(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
