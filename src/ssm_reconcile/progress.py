"""Progress events of a run; an event never contains a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """A kind of work in one place."""

    LISTING = "listing"
    TAGS = "reading tags"
    READING = "reading values"
    CONFIRMING = "confirming tags"
    WRITING = "writing"
    CHECKING = "verifying"


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` items (None: not known yet) of one phase in one place."""

    place: str
    phase: Phase
    done: int
    total: int | None = None


class ProgressListener(Protocol):
    """A function that receives progress events, from any thread; it may raise to stop the worker."""

    def __call__(self, progress: Progress, /) -> None:
        """Receive an event."""
