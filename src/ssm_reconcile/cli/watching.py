"""Progress events -> stderr: a bar where somebody watches, a line now and then where nobody does.

bar      stderr is a terminal, not CI, not --no-progress
lines    otherwise: a line when a place begins, and one every ten seconds
nothing  with -q
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from ssm_reconcile.cli import streams
from ssm_reconcile.cli.options import Asked
from ssm_reconcile.progress import Phase, Progress, Watch

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

INTERVAL = 10.0
"""Seconds between two lines."""


@contextmanager
def watching(asked: Asked) -> Iterator[Watch]:
    """A watch for as long as the work lasts."""
    if asked.quiet:
        yield _silent
    elif bar_wanted(asked, sys.stderr, os.environ):
        with _bars(color=streams.colored(sys.stderr, asked.color)) as watch:
            yield watch
    else:
        yield Lines(streams.aside, time.monotonic, every_phase=asked.verbose > 0)


def bar_wanted(asked: Asked, stderr: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether somebody watches who can see a bar. FORCE_COLOR alone makes no bar: CI logs set it."""
    if asked.no_progress or environment.get("CI") or environment.get("TERM") == "dumb":
        return False
    return stderr.isatty()


def _silent(progress: Progress) -> None:
    """Says nothing."""


class Lines:
    """Says when a place begins (with -v: each phase of it), and every ten seconds where all of them are.

    May be told from any thread. `monotonic` gives seconds.
    """

    def __init__(
        self, say: Callable[[str], None], monotonic: Callable[[], float], *, every_phase: bool = False
    ) -> None:
        self._say = say
        self._monotonic = monotonic
        self._every_phase = every_phase
        self._lock = threading.Lock()
        self._now: dict[str, Progress] = {}
        self._phases: set[tuple[str, Phase]] = set()
        self._told = monotonic()

    def __call__(self, progress: Progress) -> None:
        """Takes note, and says so when it is time."""
        with self._lock:
            first = progress.place not in self._now
            phase = (progress.place, progress.phase)
            fresh = phase not in self._phases
            self._phases.add(phase)
            self._now[progress.place] = progress
            if first or (fresh and self._every_phase):
                self._say(f"{progress.place}: {progress.phase.value} ...")
            if self._monotonic() - self._told >= INTERVAL:
                self._told = self._monotonic()
                self._say("; ".join(_line(one) for _, one in sorted(self._now.items())))


def _line(progress: Progress) -> str:
    total = "" if progress.total is None else f" of {progress.total:,}"
    return f"{progress.place}: {progress.phase.value}, {progress.done:,}{total}"


@contextmanager
def _bars(*, color: bool) -> Iterator[Watch]:
    """A bar for each phase of each place; they go away when the work is done."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True, no_color=not color)
    with Bars(*columns, console=console, transient=True) as bars:
        yield _Board(bars, escape)


class _Board:
    """Moves the bars; may be told from any thread."""

    def __init__(self, bars: Bars, escape: Callable[[str], str]) -> None:
        self._bars = bars
        self._escape = escape
        self._lock = threading.Lock()
        self._tasks: dict[tuple[str, Phase], TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        """Moves the bar of that phase at that place."""
        key = (progress.place, progress.phase)
        with self._lock:
            if key not in self._tasks:
                words = self._escape(f"{progress.place} {progress.phase.value}")
                self._tasks[key] = self._bars.add_task(words, total=progress.total)
            self._bars.update(self._tasks[key], completed=progress.done, total=progress.total)
