"""The clock of one Lambda invocation: it also says when to start nothing new, and ends a listing in time.

One timer serves all invocations of a process, since the rate limits of a place outlive an invocation.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.system import Clock, Phase, Progress, SystemClock

RESERVED_SHARE = 0.25
"""Share of an invocation that remains after whole listings, for what is planned and written then."""


class Timer:
    """A `clock.Clock` and a `clock.Stop` for the invocation that `begin` started."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._left: Callable[[], float] = lambda: float("inf")
        self._reserved = 0.0

    def begin(self, left: Callable[[], float]) -> None:
        """Start an invocation; `left` returns the seconds in which new work may start."""
        self._left = left
        self._reserved = left() * RESERVED_SHARE

    def left(self) -> float:
        """Return the seconds in which new work may start; zero or less when there are none."""
        return self._left()

    def is_set(self) -> bool:
        """Whether the time is over."""
        return self.left() <= 0

    def check_listing(self, progress: Progress) -> None:
        """Raise StoreError when a listing uses the time that is reserved for the rest of the invocation.

        Lambda kills a function at its timeout: nothing is logged, and its messages stay hidden until the
        visibility timeout of the queue ends.
        """
        if progress.phase in {Phase.LISTING, Phase.TAGS} and self.left() < self._reserved:
            raise StoreError(
                Trouble.LOST,
                place=progress.place,
                operation=progress.phase,
                code="it takes too long",
                remedy="raise `rates` in the spec, or the timeout of the function",
            )

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the time of the invocation is over."""
        self._clock.sleep(min(seconds, max(0.0, self.left())))
