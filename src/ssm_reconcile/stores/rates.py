"""How fast a place may be asked: operation class -> a token bucket, and a wait.

SSM's quotas hold per account, region and operation, so a bucket belongs to those three and is shared
by whoever works on the same place. A bucket hands out its tokens in the order of arrival: the wait is
computed under the lock and slept outside of it.

A throttled answer cuts the rate to seven tenths. Answers that follow within a second, or that belong to
calls whose turn was promised before, say the same thing again and cut no further. The rate grows back
as CUBIC does: fast at first, slowly where it was refused the last time, faster again beyond, until it is
what was configured. So one unlucky call costs little, a quota that others use too is found and held, and
when they are done it is ours again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

from ssm_reconcile.aws_limits import CALL_CLASSES, CALL_RATES, CallClass
from ssm_reconcile.clock import Clock
from ssm_reconcile.model import Place

OPERATIONS: Mapping[CallClass, str] = {kind: name for name, kind in reversed(tuple(CALL_CLASSES.items()))}
"""The operation that names each class in messages."""


class Told(Protocol):
    """Is told of rates, from any thread."""

    def __call__(self, place: str, operation: str, rate: float, *, throttled: bool) -> object:
        """Calls per second from now on, and whether AWS's throttling made it so."""


_BURST = 10.0
"""The most calls that leave at once after a pause, however high the rate."""
_BURST_SECONDS = 0.5
"""How much of a pause is saved up. AWS saves up more; what we leave of it is room for calls that arrive
unevenly, and without that room every tenth of a second of jitter is a throttled call."""
_CUT = 0.7
_CUT_EVERY = 1.0
_BACK = 15.0
_NEARLY = 0.95
"""So many seconds after a cut the rate is nearly what it was, and stays there for a while; after 23 it is
what it was, and a rate that was cut to half of what was configured is whole after 40."""
_FLOOR = 1 / 64


class Bucket:
    """Tokens for one operation class at one place. Thread-safe, first come first served."""

    def __init__(self, rate: float, clock: Clock, told: Callable[[float], object] | None = None) -> None:
        """Starts full. `rate` is in calls per second, above zero; `told` hears of it when it is cut."""
        self._clock = clock
        self._told = told
        self._lock = threading.Lock()
        self._configured = rate
        self._rate = rate
        self._tokens = self._burst()
        self._counted = clock.monotonic()
        self._cut = self._deaf = -math.inf
        self._refused = rate

    @property
    def rate(self) -> float:
        """The rate of this moment, in calls per second."""
        with self._lock:
            self._count()
            return self._rate

    def take(self) -> None:
        """Waits until one call may go out."""
        with self._lock:
            self._count()
            self._tokens -= 1
            wait = max(0.0, -self._tokens / self._rate)
        if wait > 0:
            self._clock.sleep(wait)

    def throttled(self) -> None:
        """Takes note that AWS has throttled a call: a lower rate, and nothing left to burst with."""
        with self._lock:
            self._count()
            if self._counted >= self._deaf:
                self._deaf = self._counted + max(_CUT_EVERY, -self._tokens / self._rate)
                self._cut = self._counted
                self._refused = self._rate * _NEARLY
                self._rate = max(self._configured * _FLOOR, self._rate * _CUT)
                self._tokens = min(self._tokens, 0.0)
                if self._told is not None:
                    self._told(self._rate)

    def limit(self, rate: float) -> None:
        """Takes note that somebody else wants this place asked no faster than `rate`."""
        with self._lock:
            self._count()
            self._configured = min(self._configured, rate)
            self._rate = min(self._rate, rate)
            self._tokens = min(self._tokens, self._burst())

    def _burst(self) -> float:
        return min(_BURST, max(1.0, math.floor(self._configured * _BURST_SECONDS)))

    def _count(self) -> None:
        """Brings tokens and rate up to now."""
        now = self._clock.monotonic()
        passed = max(0.0, now - self._counted)
        self._counted = now
        self._tokens = min(self._burst(), self._tokens + passed * self._rate)
        if self._rate < self._configured:
            self._rate = max(self._rate, min(self._configured, self._grown(now - self._cut)))

    def _grown(self, seconds: float) -> float:
        """The rate so long after a cut."""
        return self._refused * (1 + (1 - _CUT / _NEARLY) * (seconds / _BACK - 1) ** 3)


class Rates:
    """All buckets of a process, by account, region and operation class."""

    def __init__(self, clock: Clock, told: Told | None = None) -> None:
        self._clock = clock
        self._told = told
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def of(self, place: Place, overrides: Iterable[tuple[str, float]] = ()) -> Mapping[str, Bucket]:
        """The buckets of a place, by operation class.

        `overrides` are calls per second over the defaults. Where two ask for different rates at one
        place, the lower one holds.
        """
        wanted = {**CALL_RATES, **dict(overrides)}
        with self._lock:
            return {kind: self._bucket(place, kind, wanted[kind]) for kind in CallClass}

    def _bucket(self, place: Place, kind: CallClass, rate: float) -> Bucket:
        key = (place.account, place.region, kind)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate, self._clock, self._slowed(place, kind))
        else:
            bucket.limit(rate)
        if self._told is not None:
            self._told(str(place), OPERATIONS[kind], bucket.rate, throttled=False)
        return bucket

    def _slowed(self, place: Place, kind: CallClass) -> Callable[[float], object] | None:
        if self._told is None:
            return None
        return partial(self._told, str(place), OPERATIONS[kind], throttled=True)
