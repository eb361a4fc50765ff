"""How fast a place may be asked: operation class -> a token bucket, and a wait.

SSM's quotas hold per account, region and operation, so a bucket belongs to those three and is shared
by whoever works on the same place. A bucket hands out its tokens in the order of arrival: the wait is
computed under the lock and slept outside of it. A throttled answer halves the rate (at most once a
second, since answers to calls of the same moment say the same thing twice); it then grows back evenly
to what was configured.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping

from ssm_reconcile.clock import Clock
from ssm_reconcile.model import Place
from ssm_reconcile.stores.base import Step

DESCRIBE, GET, PUT, DELETE = "describe", "get", "put", "delete"
TAGS, LIST_TAGS, RESOURCES, KMS = "tags", "list_tags", "resources", "kms"

DEFAULTS: Mapping[str, float] = {
    DESCRIBE: 5,  # unknown quota, throttles after some 20 rapid calls: aws-facts A4
    GET: 30,  # GetParameter(s) and GetParametersByPath share 40 by default: aws-facts A4
    PUT: 3,  # AWS Support named 3; tools assume 40; a burst of 20 was seen: aws-facts A4
    DELETE: 5,  # unknown quota, throttles too: aws-facts A4
    TAGS: 5,  # Add and Remove: an adjustable quota whose value is not public: aws-facts A4
    LIST_TAGS: 5,  # the same; not raised by the throughput setting
    RESOURCES: 10,  # tag:GetResources has 15: aws-facts A2
    KMS: 50,  # ListAliases 500, DescribeKey 2,000, shared with all that runs there: aws-facts A3
}
"""Calls per second by operation class, safe in an account that nobody has raised a quota for."""

CLASS_OF: Mapping[Step, str] = {Step.PUT: PUT, Step.TAG: TAGS, Step.DELETE: DELETE}
"""The operation class of each kind of write."""

_BURST = 10.0
"""The most calls that leave at once after a pause, however high the rate."""
_CUT_EVERY = 1.0
_RECOVERY = 0.02
"""The share of the configured rate that comes back each second: 25 s from a half to the whole."""
_FLOOR = 1 / 64


class Bucket:
    """Tokens for one operation class at one place. Thread-safe, first come first served."""

    def __init__(self, rate: float, clock: Clock) -> None:
        """Starts full. `rate` is in calls per second, above zero."""
        self._clock = clock
        self._lock = threading.Lock()
        self._configured = rate
        self._rate = rate
        self._tokens = self._burst()
        self._counted = clock.monotonic()
        self._cut = -math.inf

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
        """Takes note that AWS has throttled a call: half the rate, and nothing left to burst with."""
        with self._lock:
            self._count()
            if self._counted - self._cut >= _CUT_EVERY:
                self._cut = self._counted
                self._rate = max(self._configured * _FLOOR, self._rate / 2)
                self._tokens = min(self._tokens, 0.0)

    def limit(self, rate: float) -> None:
        """Takes note that somebody else wants this place asked no faster than `rate`."""
        with self._lock:
            self._count()
            self._configured = min(self._configured, rate)
            self._rate = min(self._rate, rate)
            self._tokens = min(self._tokens, self._burst())

    def _burst(self) -> float:
        return min(_BURST, max(1.0, math.floor(self._configured)))

    def _count(self) -> None:
        """Brings tokens and rate up to now."""
        now = self._clock.monotonic()
        passed = max(0.0, now - self._counted)
        self._counted = now
        self._tokens = min(self._burst(), self._tokens + passed * self._rate)
        self._rate = min(self._configured, self._rate + passed * _RECOVERY * self._configured)


class Rates:
    """All buckets of a process, by account, region and operation class."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def of(self, place: Place, overrides: Iterable[tuple[str, float]] = ()) -> Mapping[str, Bucket]:
        """The buckets of a place, by operation class.

        `overrides` are calls per second over the defaults. Where two ask for different rates at one
        place, the lower one holds.
        """
        wanted = {**DEFAULTS, **dict(overrides)}
        with self._lock:
            return {kind: self._bucket(place, kind, wanted[kind]) for kind in DEFAULTS}

    def _bucket(self, place: Place, kind: str, rate: float) -> Bucket:
        key = (place.account, place.region, kind)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate, self._clock)
        else:
            bucket.limit(rate)
        return bucket
