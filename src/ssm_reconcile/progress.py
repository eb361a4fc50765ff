"""What a long run says while it works: events for whoever watches, never a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """What is going on in one place."""

    LISTING = "listing"
    TAGS = "reading tags"
    READING = "reading values"
    CONFIRMING = "confirming tags"
    WRITING = "writing"
    CHECKING = "looking again"


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` (None: not known yet) in one phase at one place."""

    place: str
    phase: Phase
    done: int
    total: int | None = None


class ProgressListener(Protocol):
    """Is told of progress, from any thread."""

    def __call__(self, progress: Progress, /) -> None:
        """Takes note."""
