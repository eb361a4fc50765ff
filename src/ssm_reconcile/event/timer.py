"""The clock of a process that is given so many seconds at a time: it also says when to begin nothing new.

One for the life of a process, since the rates of a place outlive an invocation; each invocation sets its
own end. Nothing sleeps beyond that end.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ssm_reconcile.clock import Clock
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.progress import Phase, Progress
from ssm_reconcile.system import SystemClock

KEPT = 0.25
"""The share of an invocation that a whole listing has to leave for what is done with it."""


class Timer:
    """A `clock.Clock` and a `clock.Stop`, until the end that `begin` sets."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._left: Callable[[], float] = lambda: float("inf")
        self._kept = 0.0

    def begin(self, left: Callable[[], float]) -> None:
        """Starts an invocation; `left` says how many seconds of it may still be worked in."""
        self._left = left
        self._kept = left() * KEPT

    def left(self) -> float:
        """Seconds that may still be worked in; none or less: begin nothing new."""
        return self._left()

    def is_set(self) -> bool:
        """Whether the time is over."""
        return self.left() <= 0

    def patience(self, progress: Progress) -> None:
        """Watches a listing, and ends it when the rest of the time is needed: raises StoreError.

        A process that is cut off tells nothing, and its messages stay hidden for as long as the queue says.
        """
        if progress.phase in {Phase.LISTING, Phase.TAGS} and self.left() < self._kept:
            raise StoreError(
                Trouble.LOST,
                place=progress.place,
                operation=progress.phase,
                code="it takes too long",
                remedy="raise `rates` in the spec, or the timeout of the function",
            )

    def now(self) -> datetime:
        """The time of day in UTC."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits, but not beyond the end."""
        self._clock.sleep(min(seconds, max(0.0, self.left())))
