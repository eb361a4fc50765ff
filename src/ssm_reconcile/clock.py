"""Time as an argument: the core asks a clock that it is given, tests turn one of their own."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> datetime:
        """The time of day, timezone-aware (UTC)."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""

    def sleep(self, seconds: float) -> None:
        """Waits, all of it. Who wants to stop early sleeps in small pieces."""


class Stop(Protocol):
    """Whether the run was asked to stop (SIGINT, SIGTERM)."""

    def is_set(self) -> bool:
        """True from the signal on."""
