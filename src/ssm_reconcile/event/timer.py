"""The time of one invocation of the Lambda function: a clock, a request to stop, and a limit for reads.

    begin          an invocation starts
    read_until     reads of one pass may take a part of the time; a wait beyond it is an error
    is_set         the time for new work is over

Lambda kills a function at its timeout: nothing is logged, and its messages stay hidden until the visibility
timeout of the queue ends. So nothing new starts in the last seconds, and no read waits into them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.system import Clock, SystemClock

RESERVE = 15.0
"""Seconds at the end of an invocation in which nothing new starts, so that running requests can finish."""
WRITE_SHARE = 0.4
"""Share of the time of a pass that remains for its writes after its reads."""


class Timer:
    """A `Clock` and a `Stop` for the invocation that `begin` started.

    One timer serves all invocations of a process, since the rate limits of a place outlive an invocation.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._remaining: Callable[[], float] = lambda: float("inf")
        self._reserved: float | None = None

    def begin(self, remaining: Callable[[], float]) -> None:
        """Start an invocation; `remaining` returns the seconds until the function is killed."""
        self._remaining = remaining

    def remaining(self) -> float:
        """Return the seconds until the function is killed."""
        return self._remaining()

    def left(self) -> float:
        """Return the seconds in which new work may start; zero or less when there are none."""
        return self._remaining() - RESERVE

    def ends_at(self) -> float:
        """Return the time at which the function is killed, in seconds since the epoch."""
        return self.now().timestamp() + self._remaining()

    def is_set(self) -> bool:
        """Whether the time for new work is over."""
        return self.left() <= 0

    @contextmanager
    def read_until(self, share: float = WRITE_SHARE) -> Iterator[None]:
        """Limit the reads in this context: `share` of the time that is left now remains after them."""
        self._reserved = max(0.0, self.left() * share)
        try:
            yield
        finally:
            self._reserved = None

    def check(self, seconds: float = 0.0) -> None:
        """Check that a read may go on for so many seconds. Outside of `read_until` it always may.

        Raises:
            StoreError: The time for reads is over.
        """
        if self._reserved is not None and self.left() - seconds < self._reserved:
            raise StoreError(
                Trouble.LOST,
                place="this invocation",
                operation="reading",
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
        """Wait, at most until the time of the invocation is over.

        Raises:
            StoreError: The wait would end after the time for reads.
        """
        self.check(seconds)
        self._clock.sleep(min(seconds, max(0.0, self.left())))
