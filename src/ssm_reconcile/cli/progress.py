"""Progress events -> stderr: a bar where somebody watches, a line now and then where nobody does.

bar      stderr is a terminal, not CI, not --no-progress
lines    otherwise: a line when a place begins, and one every ten seconds
nothing  with -q

Both say where the work is, how fast it goes, how long it will take yet, and what holds it: the rate at
which the place is asked, and whether AWS's throttling has lowered it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ssm_reconcile.cli import terminal
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.progress import Phase, Progress, ProgressListener

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

INTERVAL = 10.0
"""Seconds between two lines."""
SLOWED = 30.0
"""Seconds for which it is worth saying that AWS has throttled."""
WIDE = 120
"""Columns from which on there is room for a bar and for what holds the work."""
_OPERATIONS = {
    Phase.LISTING: ("DescribeParameters",),
    Phase.TAGS: ("GetResources",),
    Phase.READING: ("GetParameters",),
    Phase.CONFIRMING: ("ListTagsForResource",),
    Phase.WRITING: ("PutParameter", "AddTagsToResource", "ListTagsForResource", "DeleteParameters"),
    Phase.CHECKING: ("GetParameters",),
}
"""What each phase asks, the operation that usually holds it first."""


@dataclass(frozen=True, slots=True)
class _Rate:
    """Calls per second, and when (monotonic seconds) AWS's throttling made it so."""

    calls: float
    slowed: float | None = None


class CallRates:
    """How fast each place is asked; told by the stores, read by what is shown. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rates: dict[tuple[str, str], _Rate] = {}

    def note(self, place: str, operation: str, rate: float, *, throttled: bool) -> None:
        """Takes note of a rate, in calls per second."""
        self._rates[place, operation] = _Rate(rate, self._monotonic() if throttled else None)

    def text(self, progress: Progress, *, short: bool = False) -> str:
        """What holds a phase at a place; empty where nothing is known of it. `short`: only throttling."""
        now = self._monotonic()
        rates = [(one, self._rates.get((progress.place, one))) for one in _OPERATIONS[progress.phase]]
        for operation, rate in rates:
            if rate is not None and rate.slowed is not None and now - rate.slowed < SLOWED:
                if short:
                    return f"slowed: {rate.calls:.2g}/s"
                return f"AWS throttles {operation}: down to {rate.calls:.3g}/s for now"
        operation, rate = rates[0]
        return "" if rate is None or short else f"{operation} at {rate.calls:.3g}/s"


CALL_RATES = CallRates()
"""That of this process: places share their rates too."""


class Throughput:
    """How fast each phase of each place goes, and how long it will take yet."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began: dict[tuple[str, Phase], tuple[float, int]] = {}

    def text(self, progress: Progress) -> str:
        """`3.1/s, 5 min left`; empty before it can be told, and when all is done."""
        now = self._monotonic()
        began, first = self._began.setdefault((progress.place, progress.phase), (now, progress.done))
        done, seconds = progress.done - first, now - began
        if seconds < 1 or done <= 0 or progress.done == progress.total:
            return ""
        rate = done / seconds
        left = "" if progress.total is None else f", {_span((progress.total - progress.done) / rate)} left"
        return f"{rate:,.3g}/s{left}" if rate < 1000 else f"{rate:,.0f}/s{left}"  # noqa: PLR2004 - digits


def _span(seconds: float) -> str:
    """A length of time, as exact as one needs it."""
    if seconds < 90:  # noqa: PLR2004 - a minute and a half
        return f"{seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004 - an hour and a half
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


@contextmanager
def show_progress(common: CommonOptions) -> Iterator[ProgressListener]:
    """A watch for as long as the work lasts."""
    if common.quiet:
        yield _silent
    elif is_bar_wanted(common, sys.stderr, os.environ):
        with _bars(color=terminal.use_color(sys.stderr, common.color)) as watch:
            yield watch
    else:
        lines = ProgressLines(terminal.log, time.monotonic, CALL_RATES, every_phase=common.verbose > 0)
        with _repeating(lines.beat):
            yield lines


def is_bar_wanted(common: CommonOptions, stderr: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether somebody watches who can see a bar. FORCE_COLOR alone makes no bar: CI logs set it."""
    if common.no_progress or environment.get("CI") or environment.get("TERM") == "dumb":
        return False
    return stderr.isatty()


@contextmanager
def _repeating(beat: Callable[[], None], pause: float = INTERVAL / 10) -> Iterator[None]:
    """Calls `beat` now and then: who waits for AWS has nothing to tell, and that is worth a line."""
    over = threading.Event()

    def keep_on() -> None:
        while not over.wait(pause):
            beat()

    thread = threading.Thread(target=keep_on, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _silent(progress: Progress) -> None:
    """Says nothing."""


class ProgressLines:
    """Says when a place begins (with -v: each phase of it), and every ten seconds where all of them are.

    May be told from any thread. `monotonic` gives seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        monotonic: Callable[[], float],
        pace: CallRates | None = None,
        *,
        every_phase: bool = False,
    ) -> None:
        self._say = say
        self._monotonic = monotonic
        self._pace = pace or CallRates(monotonic)
        self._speeds = Throughput(monotonic)
        self._every_phase = every_phase
        self._lock = threading.Lock()
        self._now: dict[str, Progress] = {}
        self._speed: dict[str, str] = {}
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
            speed = self._speeds.text(progress)
            if first or (fresh and self._every_phase):
                self._say(f"{progress.place}: {progress.phase.value} ...")
            self._speed[progress.place] = speed
            self._say_where()

    def beat(self) -> None:
        """Says where everything is when it is time, although nothing new is known."""
        with self._lock:
            self._say_where()

    def _say_where(self) -> None:
        if self._now and self._monotonic() - self._told >= INTERVAL:
            self._told = self._monotonic()
            self._say("; ".join(self._line(one) for _, one in sorted(self._now.items())))

    def _line(self, progress: Progress) -> str:
        total = "" if progress.total is None else f" of {progress.total:,}"
        more = [self._speed[progress.place], self._pace.text(progress)]
        if progress.done == progress.total:
            more = []
        told = "".join(f", {text}" for text in more if text)
        return f"{progress.place}: {progress.phase.value}, {progress.done:,}{total}{told}"


@contextmanager
def _bars(*, color: bool) -> Iterator[ProgressListener]:
    """A bar for each phase of each place; they go away when the work is done."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, ProgressColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    def words(field: str) -> ProgressColumn:
        return TextColumn(f"{{task.{field}}}", table_column=Column(no_wrap=True))

    console = Console(stderr=True, no_color=not color)
    wide = console.width >= WIDE
    columns = [words("description"), words("fields[count]"), words("fields[speed]"), words("fields[pace]")]
    if wide:
        columns.insert(1, BarColumn(bar_width=20))
    with Bars(*columns, console=console, transient=True) as bars:
        yield _ProgressBars(bars, escape, wide=wide)


class _ProgressBars:
    """Moves the bars; may be told from any thread."""

    def __init__(self, bars: Bars, escape: Callable[[str], str], *, wide: bool) -> None:
        self._bars = bars
        self._wide = wide
        self._escape = escape
        self._lock = threading.Lock()
        self._speeds = Throughput(time.monotonic)
        self._tasks: dict[tuple[str, Phase], TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        """Moves the bar of that phase at that place."""
        key = (progress.place, progress.phase)
        with self._lock:
            if key not in self._tasks:
                words = self._escape(f"{progress.place} {progress.phase.value}")
                self._tasks[key] = self._bars.add_task(
                    words, total=progress.total, count="", speed="", pace=""
                )
            over = progress.done == progress.total
            total = "" if progress.total is None else f" of {progress.total:,}"
            self._bars.update(
                self._tasks[key],
                completed=progress.done,
                total=progress.total,
                count=f"{progress.done:,}{total}",
                speed=self._speeds.text(progress),
                pace="" if over else CALL_RATES.text(progress, short=not self._wide),
            )
