"""Time as an argument: the protocols of a clock and of a request to stop; `system.py` has the real clock."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time of day, a monotonic time, and a wait."""

    def now(self) -> datetime:
        """Return the time of day, with the time zone UTC."""

    def monotonic(self) -> float:
        """Return seconds that never decrease."""

    def sleep(self, seconds: float) -> None:
        """Wait the full time; a caller that must stop early sleeps in short intervals."""


class Stop(Protocol):
    """A request to stop the run (SIGINT, SIGTERM, or the end of a Lambda invocation)."""

    def is_set(self) -> bool:
        """Return whether the run was asked to stop."""
