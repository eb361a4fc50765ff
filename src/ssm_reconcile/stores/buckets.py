"""Calls of one operation class in one place -> the moments at which they may be sent.

The quotas of SSM hold for each account, region and operation, so each of those has a token bucket of its
own, shared by all threads that call the same place. The wait is computed under the lock, in the order of the
calls, and the thread sleeps outside of it.

A throttled response reduces the rate to seven tenths. Responses within a second of it, and responses of calls
whose turn was computed before it, report the same overload and do not reduce the rate again. A throttled
response after several admitted ones does not reduce it: AWS throttles a few calls at any rate. The rate then
recovers as in CUBIC (RFC 9438): fast at first, slowly near the rate at which AWS throttled, faster again
beyond, until it is the configured rate. So a single throttled call costs little, a quota that is shared with
other clients is found and kept, and it is used in full again when those clients are done.

Above the configured rate, which only `probing` reaches, each throttled response counts, and reduces the
rate to seven tenths of the configured one: calls of others on the same quotas come first.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol, TypeAlias

from ssm_reconcile.aws_limits import CALL_RATES, OPERATIONS, PROBED, CallClass, used_classes
from ssm_reconcile.model import Place
from ssm_reconcile.stores.probing import HIGHEST, Probing
from ssm_reconcile.system import Clock


class RateListener(Protocol):
    """Receives rates, from any thread."""

    def __call__(
        self, place: str, operation: str, rate: float, *, throttled: bool, found: float = 0.0
    ) -> object:
        """Receive the calls per second from now on, and whether throttling changed it.

        `found` is the rate above the configured one that probing has found; 0 for none.
        """


class BucketListener(Protocol):
    """Receives the rates of one bucket, from any thread."""

    def __call__(self, rate: float, *, throttled: bool, found: float = 0.0) -> object:
        """Receive what a `RateListener` receives."""


_SetRates: TypeAlias = Iterable[tuple[str, float]]
_BURST = 10.0
"""The most calls that are sent at once after a pause, for any rate."""
_BURST_SECONDS = 0.5
"""Seconds of a pause that are saved as tokens.

AWS saves more. The difference leaves room for calls that arrive unevenly: without it, each delay of a tenth
of a second would end in a throttled call.
"""
_CUT = 0.7
_CUT_EVERY = 1.0
_MANY_ADMITTED = 5
"""Calls without throttling in a row, after which one throttled call does not lower the rate."""
_RECOVERY_SECONDS = 15.0
_NEARLY = 0.95
"""`_RECOVERY_SECONDS` after a cut, the rate is `_NEARLY` that of the cut and stays there for some seconds.

After 23 s it is the rate of the cut; a rate cut to half of the configured one is restored after 40 s.
"""
_FLOOR = 1 / 64
"""The lowest rate, as a part of the configured one."""


class Bucket:
    """Tokens for one operation class in one place. Thread-safe."""

    def __init__(
        self,
        rate: float,
        clock: Clock,
        listener: BucketListener | None = None,
        *,
        set_rate: float | None = None,
        parallelism: int = 8,
        highest: float = 0.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Start with all tokens.

        Args:
            rate: the default in calls per second, above zero.
            clock: time, and waiting.
            listener: receives the rate, and its changes by throttling and configuration.
            set_rate: the rate of the replication instead; None without one.
            parallelism: the most reads that are open at the same time, whatever the number of threads.
            highest: the highest rate of probing; up to `rate`, nothing is probed.
            jitter: a random number in [0, 1), for waits above the configured rate.
        """
        self.open_reads = threading.BoundedSemaphore(parallelism)
        self._clock = clock
        self._listener = listener
        self._default, self._limits = rate, {set_rate}
        self._lock = threading.Lock()
        self._configured = self._rate = self._plateau = self._lowest()
        self._tokens = self._burst()
        self._updated = clock.monotonic()
        self._probing = Probing(highest, self._updated)
        self._jitter = jitter
        self._cut_at = self._next_cut = -math.inf
        self._admitted = 0
        self._report(throttled=False)

    @property
    def rate(self) -> float:
        """The current rate in calls per second."""
        with self._lock:
            self._update()
            return self._rate

    @property
    def is_set(self) -> bool:
        """Whether all replications set the rate, so that the default does not count."""
        return None not in self._limits

    def take(self) -> None:
        """Wait until one call may be sent."""
        with self._lock:
            self._update()
            if self._rate >= self._configured:
                self._probe()
            # Below zero, the tokens are the calls that already wait: this thread's turn is after theirs.
            self._tokens -= 1
            wait = max(0.0, -self._tokens / self._rate)
            if wait > 0 and self._rate > self._configured:
                # Evenly spaced calls near the quota take each new token of AWS, and others are throttled.
                wait += self._jitter() / self._rate
        if wait > 0:
            self._clock.sleep(wait)

    def reduce(self) -> None:
        """Lower the rate after a throttled response, and drop the tokens that were saved for a burst.

        A single throttled response among many does not count, unless the rate is above the configured one:
        AWS throttles a few calls at any rate. Each of them counts for probing.
        """
        with self._lock:
            self._update()
            admitted, self._admitted = self._admitted, 0
            self._probing.count_throttled(self._rate, self._configured, self._updated)
            is_above = self._rate > self._configured
            if is_above or (admitted < _MANY_ADMITTED and self._updated >= self._next_cut):
                self._cut()

    def _cut(self) -> None:
        # Calls that already have their turn are sent at the old rate. Their responses say nothing
        # about the new one, so no cut happens before the last of them was sent.
        self._next_cut = self._updated + max(_CUT_EVERY, -self._tokens / self._rate)
        self._cut_at = self._updated
        rate = min(self._rate, self._configured)
        self._plateau = rate * _NEARLY
        self._rate = max(self._configured * _FLOOR, rate * _CUT)
        self._tokens = min(self._tokens, 0.0)
        self._report(throttled=True)

    def admit(self) -> None:
        """Count a response that is not throttled."""
        with self._lock:
            self._admitted += 1

    def limit(self, rate: float | None) -> None:
        """Count the rate of another replication, in calls per second; None: the default. The lowest holds."""
        with self._lock:
            self._limits.add(rate)
            self._use_lowest()

    def set_default(self, rate: float) -> None:
        """Use another default, in calls per second, for the replications that do not set the rate."""
        with self._lock:
            self._default = rate
            self._use_lowest()

    def stop_probing(self) -> None:
        """Return to the configured rate, and keep to it."""
        with self._lock:
            was_probing = self._probing.found > 0
            self._probing.stop()
            if was_probing:
                self._configure(self._configured)

    def _lowest(self) -> float:
        return min(self._default if one is None else one for one in self._limits)

    def _use_lowest(self) -> None:
        if (rate := self._lowest()) != self._configured:
            self._configure(rate)

    def _configure(self, rate: float) -> None:
        """Change the configured rate. A lower one holds at once; a higher one too, unless AWS throttles."""
        self._update()
        self._configured = rate
        self._rate = min(self._rate, rate)
        # A rate below the configured one recovers, as after throttling. A smaller burst drops tokens.
        self._update()
        self._report(throttled=False)

    def _probe(self) -> None:
        before = self._rate, self._probing.found
        self._rate = self._probing.raise_rate(self._rate, self._updated)
        if before != (self._rate, self._probing.found):
            self._report(throttled=False)

    def _report(self, *, throttled: bool) -> None:
        if self._listener is not None:
            found = self._probing.found if self._probing.found > self._configured else 0.0
            self._listener(self._rate, throttled=throttled, found=found)

    def _burst(self) -> float:
        return min(_BURST, max(1.0, math.floor(self._configured * _BURST_SECONDS)))

    def _update(self) -> None:
        """Add the tokens and the recovery of the time that has passed."""
        now = self._clock.monotonic()
        passed = max(0.0, now - self._updated)
        self._updated = now
        self._tokens = min(self._burst(), self._tokens + passed * self._rate)
        if self._rate < self._configured:
            self._rate = max(self._rate, min(self._configured, self._recovered(now - self._cut_at)))

    def _recovered(self, seconds: float) -> float:
        """Return the rate so many seconds after a cut: a cubic curve that is flat near the plateau."""
        return self._plateau * (1 + (1 - _CUT / _NEARLY) * (seconds / _RECOVERY_SECONDS - 1) ** 3)


class Rates:
    """All buckets of a process, by account, region and operation class. Thread-safe."""

    def __init__(
        self,
        clock: Clock,
        listener: RateListener | None = None,
        parallelism: int = 8,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._listener, self._parallelism, self._jitter = clock, listener, parallelism, jitter
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def of(
        self, place: Place, rates: _SetRates = (), *, probe: bool = False, read_only: bool = False
    ) -> Mapping[str, Bucket]:
        """Return the buckets of a place for one replication, by the operation classes that it uses there.

        The rate of a class is the lowest of the replications that use it in this place. A replication without
        one counts with the default. Only if all of them allow to probe, higher rates are probed.

        Args:
            place: the account and region.
            rates: calls per second by class, instead of the defaults.
            probe: whether the replication allows to probe higher rates.
            read_only: whether the replication only reads there, so that the classes of writes are left out.
        """
        given, used = dict(rates), used_classes(read_only=read_only)
        with self._lock:
            return {kind: self._bucket(place, kind, given.get(kind), probe=probe) for kind in used}

    def _bucket(self, place: Place, kind: CallClass, rate: float | None, *, probe: bool) -> Bucket:
        key = (place.account, place.region, kind)
        bucket = self._buckets.get(key)
        if bucket is None:
            default = CALL_RATES[kind]
            listener = None
            if self._listener is not None:
                listener = partial(self._listener, str(place), OPERATIONS[kind])
            highest = HIGHEST * default if probe and kind in PROBED else 0.0
            bucket = self._buckets[key] = Bucket(
                default,
                self._clock,
                listener,
                set_rate=rate,
                parallelism=self._parallelism,
                highest=highest,
                jitter=self._jitter,
            )
        else:
            bucket.limit(rate)
            if not probe:
                bucket.stop_probing()
        return bucket
