"""Calls and throttled responses of one token bucket -> rates above the configured one (`rates.probe`).

The rate rises in small steps, each after a stretch of time that has used the rate. The first throttled
response sets a ceiling below the rate of that moment. The bucket then returns to the configured rate, and
the rate rises again by the same steps, up to the ceiling. The second response leaves seven tenths of the
gain, and the third ends it: the ceiling does not hold where the calls of others vary.
"""

from __future__ import annotations

import math

HIGHEST = 4.0
"""The highest rate of probing, as a multiple of the default of the class."""
_STRETCH = 15.0
_STEP = 1.04
"""The rate rises by `_STEP` after `_STRETCH` seconds: fourfold in nine minutes.

Slower, it does not find the quota in ten minutes. Faster, it goes far beyond it on what AWS has saved.
"""
_USED_SHARE = 0.8
"""The part of the rate that must be used in a stretch: an idle class does not test its quota."""
_BELOW = 0.9
"""The first ceiling, as a part of the rate that AWS throttled."""
_KEPT_SHARE = 0.7
"""The part of the gain over the configured rate that the second throttled response leaves."""
_MOST_THROTTLED = 3
"""Throttled responses after which the configured rate holds."""


class Probing:
    """The part of a bucket that looks for higher rates. Not thread-safe: the bucket has a lock.

    `found` is the highest rate that was used for a stretch without throttling, or the ceiling after a
    throttled response; 0 for none.
    """

    def __init__(self, highest: float, now: float) -> None:
        """Start at the configured rate.

        Args:
            highest: calls per second; up to the configured rate, nothing is probed.
            now: monotonic seconds.
        """
        self.found = 0.0
        self._ceiling = highest
        self._throttled = 0
        self._next_throttled = -math.inf
        self._began, self._taken = now, 0

    def raise_rate(self, rate: float, now: float) -> float:
        """Count a call, and return the rate: a step higher after a stretch that has used `rate`.

        Args:
            rate: the current rate, at least the configured one.
            now: monotonic seconds.
        """
        self._taken += 1
        seconds = now - self._began
        if seconds < _STRETCH:
            return rate
        is_used = self._taken >= _USED_SHARE * rate * seconds
        self._began, self._taken = now, 0
        if not is_used or rate > self._ceiling:
            return rate
        if not self._throttled:
            self.found = rate
        return min(self._ceiling, rate * _STEP)

    def count_throttled(self, rate: float, configured: float, now: float) -> None:
        """Lower the ceiling after a throttled response, once in a stretch: others report the same overload.

        Args:
            rate: the rate at which AWS throttled.
            configured: the configured rate.
            now: monotonic seconds.
        """
        if now < self._next_throttled:
            return
        self._next_throttled = now + _STRETCH
        self._began, self._taken = now, 0
        self._throttled += 1
        if self._throttled == 1:
            ceiling = rate * _BELOW
        elif self._throttled < _MOST_THROTTLED:
            ceiling = configured + (rate - configured) * _KEPT_SHARE
        else:
            ceiling = configured
        self._ceiling = self.found = min(self._ceiling, ceiling)

    def stop(self) -> None:
        """Keep to the configured rate, whatever it is."""
        self._ceiling = self.found = 0.0
