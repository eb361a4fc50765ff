"""One call to AWS -> its result, or a `StoreError`: rates, retries and failures in one place.

A read takes a token for each attempt. It is repeated, after a pause that grows (full jitter), while the
failure is one that passes. A write is one request: its caller knows whether a repetition is safe. The retries
of the SDK are off, so that the calls counted here are the requests that are sent.

Rates: the quotas of SSM hold for each account, region and operation, so each of those has a token bucket of
its own, shared by all threads that call the same place. A bucket serves calls in the order of their arrival:
the wait is computed under the lock, and the thread sleeps outside of it.

A throttled response reduces the rate to seven tenths. Responses within a second of it, and responses of calls
whose turn was computed before it, report the same overload and do not reduce the rate again. Nor does a
throttled response after several that were not: AWS throttles a few calls at any rate. The rate then
recovers as in CUBIC (RFC 9438): fast at first, slowly near the rate at which AWS throttled, faster again
beyond, until it is the configured rate. So a single throttled call costs little, a quota that is shared with
other clients is found and kept, and it is used in full again when those clients are done.

Probing (`rates.probe`) raises the rate of some classes in small steps, until the first throttled response.
The rate then recovers to less than AWS throttled. Above the configured rate, each throttled response lowers
this ceiling and returns the rate to the configured one: calls of others on the same quotas come first.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from ssm_reconcile.aws_limits import CALL_CLASSES, CALL_RATES, OPERATIONS, PROBED, CallClass, used_classes
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Place
from ssm_reconcile.stores.failures import name_failure
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
HIGHEST = 4.0
"""The highest rate of probing, as a multiple of the default of the class."""
_STRETCH = 15.0
_STEP = 1.05
"""The rate rises by `_STEP` after `_STRETCH` seconds without a throttled response: fourfold in seven minutes.

Slower, it does not find the quota in ten minutes. Faster, it goes far beyond it on what AWS has saved.
"""
_USED = 0.8
"""The part of the rate that must be used in a stretch: an idle class learns nothing about its quota."""
_BELOW = 0.9
_BELOW_AGAIN = 0.85
"""The ceiling as a part of the rate that AWS throttled: the first time, and later, when less is free."""
_RETREAT_EVERY = 5.0
"""Seconds between two cuts above the configured rate: late responses report the same overload."""
_RETURN_SECONDS = 30.0
"""As `_RECOVERY_SECONDS`, after a cut above the configured rate. AWS saves calls in this time."""


class Bucket:
    """Tokens for one operation class in one place. Thread-safe; calls are served in the order of arrival."""

    def __init__(
        self,
        rate: float,
        clock: Clock,
        listener: BucketListener | None = None,
        *,
        set_rate: float | None = None,
        parallelism: int = 8,
        highest: float = 0.0,
    ) -> None:
        """Start with all tokens.

        Args:
            rate: the default in calls per second, above zero.
            clock: time, and waiting.
            listener: receives the rate, and its changes by throttling and configuration.
            set_rate: the rate of the replication instead; None without one.
            parallelism: the most reads that are open at the same time, whatever the number of threads.
            highest: the highest rate of probing; up to `rate`, nothing is probed.
        """
        self.open_reads = threading.BoundedSemaphore(parallelism)
        self._clock = clock
        self._listener = listener
        self._default, self._limits = rate, {set_rate}
        self._lock = threading.Lock()
        self._configured = self._rate = self._ceiling = self._plateau = self._lowest()
        self._highest = max(self._rate, highest)
        self._tokens = self._burst()
        self._updated = self._stretch_began = clock.monotonic()
        self._taken = 0
        self._cut_at = self._next_cut = -math.inf
        self._depth = 1 - _CUT / _NEARLY
        self._recovery = _RECOVERY_SECONDS
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
            self._probe()
            # Below zero, the tokens are the calls that already wait: this thread's turn is after theirs.
            self._tokens -= 1
            wait = max(0.0, -self._tokens / self._rate)
            if self._ceiling > self._configured:
                # Evenly spaced calls near the quota take each new token of AWS, and others are throttled.
                wait += random.random() / self._rate  # noqa: S311 - not a secret
        if wait > 0:
            self._clock.sleep(wait)

    def reduce(self) -> None:
        """Lower the rate after a throttled response, and drop the tokens that were saved for a burst.

        A single throttled response among many does not count, unless the rate is above the configured one:
        AWS throttles a few calls at any rate. Each of them ends probing.
        """
        with self._lock:
            self._update()
            admitted, self._admitted = self._admitted, 0
            is_first = self._ceiling < self._highest
            self._highest = self._ceiling
            is_above = self._rate > self._configured
            if admitted >= _MANY_ADMITTED and not is_above:
                return
            if self._updated >= self._next_cut:
                self._cut(is_above=is_above, below=_BELOW if is_first else _BELOW_AGAIN)

    def _cut(self, *, is_above: bool, below: float) -> None:
        # Calls that already have their turn are sent at the old rate. Their responses say nothing
        # about the new one, so no cut happens before the last of them was sent.
        pause = _RETREAT_EVERY if is_above else _CUT_EVERY
        self._next_cut = self._updated + max(pause, -self._tokens / self._rate)
        self._cut_at = self._updated
        self._plateau = self._rate * _NEARLY
        self._depth, self._recovery = 1 - _CUT / _NEARLY, _RECOVERY_SECONDS
        lower = self._rate * _CUT
        if is_above:
            self._ceiling = self._highest = max(self._configured, min(self._ceiling, self._rate * below))
            lower = min(lower, self._configured)
            self._depth, self._recovery = 1 - lower / self._plateau, _RETURN_SECONDS
        self._rate = max(self._configured * _FLOOR, lower)
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
            if self._highest > self._configured:
                self._highest = self._ceiling
                self._configure(self._configured)

    def _lowest(self) -> float:
        return min(self._default if one is None else one for one in self._limits)

    def _use_lowest(self) -> None:
        if (rate := self._lowest()) != self._configured:
            self._configure(rate)

    def _configure(self, rate: float) -> None:
        """Change the configured rate. A lower one holds at once; a higher one too, unless AWS throttles."""
        self._update()
        self._highest = max(rate, self._highest) if self._ceiling < self._highest else rate
        self._configured = self._ceiling = rate
        self._rate = min(self._rate, rate)
        # A rate below the configured one recovers, as after throttling. A smaller burst drops tokens.
        self._update()
        self._report(throttled=False)

    def _probe(self) -> None:
        """Count a call, and raise the rate after a stretch that has used it."""
        self._taken += 1
        seconds = self._updated - self._stretch_began
        if seconds < _STRETCH:
            return
        is_used = self._taken >= _USED * self._rate * seconds
        self._taken, self._stretch_began = 0, self._updated
        if is_used and self._ceiling < self._highest:
            self._rate = self._ceiling = min(self._highest, self._rate * _STEP)
            self._report(throttled=False)

    def _report(self, *, throttled: bool) -> None:
        if self._listener is not None:
            found = self._ceiling if self._ceiling > self._configured else 0.0
            self._listener(self._rate, throttled=throttled, found=found)

    def _burst(self) -> float:
        return min(_BURST, max(1.0, math.floor(self._configured * _BURST_SECONDS)))

    def _update(self) -> None:
        """Add the tokens and the recovery of the time that has passed."""
        now = self._clock.monotonic()
        passed = max(0.0, now - self._updated)
        self._updated = now
        self._tokens = min(self._burst(), self._tokens + passed * self._rate)
        if self._rate < self._ceiling:
            self._rate = max(self._rate, min(self._ceiling, self._recovered(now - self._cut_at)))

    def _recovered(self, seconds: float) -> float:
        """Return the rate so many seconds after a cut: a cubic curve that is flat near the plateau."""
        return self._plateau * (1 + self._depth * (seconds / self._recovery - 1) ** 3)


class Rates:
    """All buckets of a process, by account, region and operation class. Thread-safe."""

    def __init__(self, clock: Clock, listener: RateListener | None = None, parallelism: int = 8) -> None:
        self._clock, self._listener, self._parallelism = clock, listener, parallelism
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
            heard = self._listener
            listener = None if heard is None else partial(heard, str(place), OPERATIONS[kind])
            highest = HIGHEST * default if probe and kind in PROBED else 0.0
            most = self._parallelism
            bucket = Bucket(default, self._clock, listener, set_rate=rate, parallelism=most, highest=highest)
            self._buckets[key] = bucket
        bucket.limit(rate)
        if not probe:
            bucket.stop_probing()
        return bucket


_T = TypeVar("_T")

ATTEMPTS: Mapping[Trouble, int] = {Trouble.THROTTLED: 10, Trouble.LOST: 5, Trouble.UNREACHABLE: 3}
"""Attempts of a read by the kind of its failure; other failures are final."""
UNANSWERED_ATTEMPTS = 2
"""Attempts of a read that a slower call can replace, when no response arrives."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 20.0
"""Seconds; the pause before attempt n+1 is random between 0 and FIRST_PAUSE * 2**(n-1), at most this."""
RESTARTS = 1
"""Restarts of a listing whose token has expired or came twice."""


def attempt(
    call: Callable[[], _T], *, operation: str, place: str, who: str = "", profile: str = ""
) -> _T | StoreError:
    """Make a call once. Return its failure as a value.

    The failure is not raised here: inside of `except`, Python would chain the original exception to it, and
    with that the message of AWS and the request.

    Args:
        call: the call of the SDK.
        operation: the AWS operation.
        place: `account/region`, or the region.
        who: the ARN of the identity or role that calls.
        profile: the profile of the AWS configuration in use.
    """
    try:
        return call()
    except StoreError as named:  # the role could not be assumed again during the call
        return named
    except Exception as error:  # noqa: BLE001  a store raises StoreError only
        return name_failure(error, operation=operation, place=place, who=who, profile=profile)


def retrying(
    call: Callable[[], _T | StoreError],
    clock: Clock,
    jitter: Callable[[], float],
    *,
    replaceable: bool = False,
) -> _T:
    """Return the result of a call that may be repeated.

    Args:
        call: the call; returns its failure as a value.
        clock: for the pauses.
        jitter: a random number in [0, 1).
        replaceable: whether another call can replace it, so that a missing response is not awaited for long.

    Raises:
        StoreError: the failure of the last attempt.
    """
    tries = 0
    while True:
        answer = call()
        if not isinstance(answer, StoreError):
            return answer
        tries += 1
        limit = ATTEMPTS.get(answer.kind, 1)
        if replaceable and not answer.answered:
            limit = min(limit, UNANSWERED_ATTEMPTS)
        if tries >= limit:
            raise answer
        clock.sleep(jitter() * min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1)))


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to one place. `rates` are its buckets by operation class, `jitter` a random number in [0, 1)."""

    place: str
    who: str
    rates: Mapping[str, Bucket]
    clock: Clock
    jitter: Callable[[], float] = random.random
    profile: str = ""

    def read(self, operation: str, call: Callable[[], _T], *, replaceable: bool = False) -> _T:
        """Return the result of a read, with retries; each attempt takes a token.

        Args:
            operation: the name of the AWS operation.
            call: sends one request.
            replaceable: as in `retrying`.

        Raises:
            StoreError: the read failed after its retries.
        """

        def once() -> _T | StoreError:
            bucket = self._bucket(operation)
            with bucket.open_reads:
                bucket.take()
                return self._attempt(operation, call)

        return retrying(once, self.clock, self.jitter, replaceable=replaceable)

    def once(self, operation: str, call: Callable[[], _T]) -> _T:
        """Return the result of an optional read: one attempt after its turn. The client limits its wait."""
        self._bucket(operation).take()
        return self.write(operation, call)

    def write(self, operation: str, call: Callable[[], _T]) -> _T:
        """Return the result of a write: one request. The caller has awaited its turn before.

        Raises:
            StoreError: the write failed, or its response was lost.
        """
        answer = self._attempt(operation, call)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def error(self, kind: Trouble, operation: str, code: str, remedy: str) -> StoreError:
        """Return an error for a response that AWS should not give.

        Args:
            kind: the kind of failure.
            operation: the name of the AWS operation.
            code: the code of the error.
            remedy: the advice to the reader.
        """
        return StoreError(kind, place=self.place, operation=operation, code=code, remedy=remedy)

    def pages(
        self,
        operation: str,
        call: Callable[[str | None], tuple[_T, str | None]],
        *,
        replaceable: bool = False,
    ) -> Iterator[_T]:
        """Yield all pages of a listing. Only a missing token ends it; a page may be short or empty.

        When the token has expired, or comes twice, the listing restarts once: pages are then repeated, and
        the later page is the newer one.

        Args:
            operation: the AWS operation.
            call: takes the token of the page (None for the first), returns the page and the next token.
            replaceable: whether another call can replace the listing.

        Raises:
            StoreError: TOKEN after the restart; any other failure after its retries.
        """
        for restarts_left in range(RESTARTS, -1, -1):
            try:
                yield from self._pass(operation, call, replaceable=replaceable)
            except StoreError as failure:
                if failure.kind is not Trouble.TOKEN or not restarts_left:
                    raise
            else:
                return

    def _pass(
        self,
        operation: str,
        call: Callable[[str | None], tuple[_T, str | None]],
        *,
        replaceable: bool,
    ) -> Iterator[_T]:
        token: str | None = None
        seen: set[str] = set()
        while True:
            page, token = self.read(operation, partial(call, token), replaceable=replaceable)
            yield page
            if not token:
                return
            if token in seen:
                remedy = f"run again: {operation} in {self.place} returned a page token twice"
                raise self.error(Trouble.TOKEN, operation, "RepeatedToken", remedy)
            seen.add(token)

    def _attempt(self, operation: str, call: Callable[[], _T]) -> _T | StoreError:
        answer = attempt(call, operation=operation, place=self.place, who=self.who, profile=self.profile)
        if isinstance(answer, StoreError) and answer.kind is Trouble.THROTTLED:
            self._bucket(operation).reduce()
        else:
            self._bucket(operation).admit()
        return answer

    def _bucket(self, operation: str) -> Bucket:
        return self.rates[CALL_CLASSES[operation]]
