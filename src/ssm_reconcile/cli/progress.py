"""Progress events -> stderr: bars on a terminal, otherwise lines.

bars     stderr is a terminal, not CI, not --no-progress
lines    otherwise: a line when a place begins, and one every ten seconds
nothing  with -q

Both begin with a line, written before the slow imports (boto3, rich), that says how many places are opened.
On a terminal, it stays above the result. Before a large saved plan is read, a line names the file.
Both show the phase of each place, its speed, the time left, and the limit: the rate of calls to that
place, and whether throttling by AWS has lowered it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ssm_reconcile.cli import terminal
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.model import Access
from ssm_reconcile.renderers.escaping import escape
from ssm_reconcile.system import Phase, Progress, ProgressListener
from ssm_reconcile.wording import plural

INTERVAL = 10.0
"""Seconds between two lines."""
LARGE_FILE = 1_000_000
"""Bytes of a saved plan whose reading is reported; it takes about 50 ms a megabyte."""
SLOWED = 30.0
"""Seconds for which a throttled call is reported."""
MANY_PLACES = 10
"""Places up to which each has a line, or its finished steps a bar."""
WIDE = 120
"""Columns that are needed for a bar and the rate of calls."""
_OPERATIONS = {
    Phase.LISTING: ("DescribeParameters",),
    Phase.TAGS: ("GetResources",),
    Phase.READING: ("GetParameters",),
    Phase.CONFIRMING: ("ListTagsForResource",),
    Phase.HISTORY: ("GetParameterHistory",),
    Phase.WRITING: ("PutParameter", "AddTagsToResource", "ListTagsForResource", "DeleteParameters"),
    Phase.CHECKING: ("GetParameters",),
}
"""The operations of each phase, the one that usually limits it first."""


class CallRates:
    """The rate of calls of each place and operation; stores report it, progress shows it. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rates: dict[tuple[str, str], float] = {}
        self._slowed: dict[tuple[str, str], float] = {}
        self._found: dict[tuple[str, str], float] = {}
        self._throttled: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def note(self, place: str, operation: str, rate: float, *, throttled: bool, found: float = 0.0) -> None:
        """Record the rate of an operation in a place.

        Args:
            place: The place as text.
            operation: The name of the AWS operation.
            rate: Calls per second.
            throttled: Whether AWS has just throttled the operation.
            found: The rate above the configured one that probing has found; 0 for none.
        """
        key = place, operation
        with self._lock:
            # In this order: `text` reads without a lock, and reads `_slowed` for each key of `_rates`.
            self._slowed[key] = self._monotonic() if throttled else -SLOWED
            self._rates[key] = rate
            self._found[key] = found
            if throttled:
                self._throttled.add(key)

    def found(self, *, was_throttled: bool) -> dict[str, dict[str, float]]:
        """Return the rates that probing has found, by place and key of `rates`, rounded down.

        Args:
            was_throttled: Whether AWS throttled the operations. Until then it may have used saved calls.
        """
        from ssm_reconcile.aws_limits import CALL_CLASSES

        places: dict[str, dict[str, float]] = {}
        with self._lock:
            for (place, operation), rate in sorted(self._found.items()):
                if rate and ((place, operation) in self._throttled) is was_throttled:
                    digits = 10 if rate >= 1 else 1000
                    rates = places.setdefault(place, {})
                    rates[CALL_CLASSES[operation].value] = int(rate * digits) / digits
        return places

    def text(self, progress: Progress, *, short: bool = False) -> str:
        """Return the rate that limits a phase at a place; empty if unknown. `short`: only throttling."""
        operations = _OPERATIONS[progress.phase]
        for operation in operations:
            key = progress.place, operation
            if key in self._rates and self._monotonic() - self._slowed[key] < SLOWED:
                if short:
                    return f"slowed: {self._rates[key]:.2g}/s"
                return f"AWS throttles {operation}: down to {self._rates[key]:.3g}/s for now"
        key = progress.place, operations[0]
        rate = self._rates.get(key)
        return "" if rate is None or short else f"{operations[0]} at {rate:.3g}/s"


SHOWN_RATES = CallRates()
"""The rates of this process: places share them, too."""


class Throughput:
    """The speed of each phase of each place, and the time left."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began: dict[tuple[str, Phase], tuple[float, int]] = {}

    def text(self, progress: Progress) -> str:
        """Return a text such as `3.1/s, 5 min left`; empty in the first second, and when all is done."""
        now = self._monotonic()
        began, first = self._began.setdefault((progress.place, progress.phase), (now, progress.done))
        done, seconds = progress.done - first, now - began
        if seconds < 1 or done <= 0 or progress.done == progress.total:
            return ""
        rate = done / seconds
        left = "" if progress.total is None else f", {_span((progress.total - progress.done) / rate)} left"
        return f"{rate:,.3g}/s{left}" if rate < 1000 else f"{rate:,.0f}/s{left}"  # noqa: PLR2004 - digits


def _count(progress: Progress) -> str:
    """Return the number that is done, and of how many if that is known."""
    return f"{progress.done:,}" + ("" if progress.total is None else f" of {progress.total:,}")


def _span(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds < 90:  # noqa: PLR2004 - a minute and a half
        return f"{seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004 - an hour and a half
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def log_opening(wanted: Iterable[Access], common: CommonOptions) -> None:
    """Write the first line of progress; call it before boto3 and rich are imported.

    Args:
        wanted: The places; one that is reached for reads and for writes counts once.
        common: The options of all commands.
    """
    if not common.quiet:
        places = {(access.region, access.role_arn) for access in wanted}
        terminal.log(f"Opening {plural(len(places), 'place')} ...")


def log_reading(files: Iterable[Path], common: CommonOptions) -> None:
    """Write a line for each saved plan that is large enough to take noticeable time; call it before the read.

    Args:
        files: The files.
        common: The options of all commands.
    """
    for file in files:
        if not common.quiet and file.stat().st_size >= LARGE_FILE:
            terminal.log(f"Reading {escape(str(file))} ...")


@contextmanager
def show_progress(common: CommonOptions) -> Iterator[ProgressListener]:
    """Yield a listener that shows progress as long as the context lasts."""
    if common.quiet:
        yield lambda _: None
    elif is_bar_wanted(common, sys.stderr, os.environ):
        with _bars(color=terminal.use_color(sys.stderr, common.color)) as listener:
            yield listener
    else:
        lines = ProgressLines(terminal.log, time.monotonic, SHOWN_RATES, every_phase=common.verbose > 0)
        with _repeating(lines.beat):
            yield lines


def is_bar_wanted(common: CommonOptions, stderr: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether stderr can show bars. FORCE_COLOR does not count: CI logs set it.

    Args:
        common: The options of all commands.
        stderr: The stream of the bars.
        environment: The environment variables.
    """
    if common.no_progress or environment.get("CI") or environment.get("TERM") == "dumb":
        return False
    return stderr.isatty()


@contextmanager
def _repeating(beat: Callable[[], None], pause: float = INTERVAL / 10) -> Iterator[None]:
    """Call `beat` at intervals: while a worker waits for AWS, no event comes, and a line is still due."""
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


class ProgressLines:
    """Writes a line when a place begins (with -v: each phase of it), and every ten seconds one for all.

    Thread-safe. `monotonic` returns seconds.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        monotonic: Callable[[], float],
        rates: CallRates | None = None,
        *,
        every_phase: bool = False,
    ) -> None:
        self._write = write
        self._monotonic = monotonic
        self._rates = rates or CallRates(monotonic)
        self._speeds = Throughput(monotonic)
        self._every_phase = every_phase
        self._lock = threading.Lock()
        self._latest: dict[str, tuple[Progress, str]] = {}  # the last event of each place, and its speed
        self._phases: set[tuple[str, Phase]] = set()
        self._written = monotonic()

    def __call__(self, progress: Progress) -> None:
        """Record an event, and write a line when one is due."""
        with self._lock:
            phase = (progress.place, progress.phase)
            is_new = progress.place not in self._latest and len(self._latest) < MANY_PLACES
            if is_new or (self._every_phase and phase not in self._phases):
                self._write(f"{progress.place}: {progress.phase.value} ...")
            self._phases.add(phase)
            self._latest[progress.place] = progress, self._speeds.text(progress)
            self._write_if_due()

    def beat(self) -> None:
        """Write a line when one is due, without a new event."""
        with self._lock:
            self._write_if_due()

    def _write_if_due(self) -> None:
        if self._latest and self._monotonic() - self._written >= INTERVAL:
            self._written = self._monotonic()
            self._write("; ".join(self._due_lines()))

    def _due_lines(self) -> list[str]:
        """Return the state of each place; of many places, that of some that are not done, and counts."""
        if len(self._latest) <= MANY_PLACES:
            return [self._line(*self._latest[place]) for place in sorted(self._latest)]
        working = [one for one, (progress, _) in self._latest.items() if progress.done != progress.total]
        lines = [self._line(*self._latest[place]) for place in sorted(working)[:MANY_PLACES]]
        if left := len(working) - len(lines):
            lines.append(f"{plural(left, 'more place')} at work")
        idle = len(self._latest) - len(working)
        return [*lines, f"{plural(idle, 'place')} done with a step"] if idle else lines

    def _line(self, progress: Progress, speed: str) -> str:
        more = () if progress.done == progress.total else (speed, self._rates.text(progress))
        details = "".join(f", {text}" for text in more if text)
        return f"{progress.place}: {progress.phase.value}, {_count(progress)}{details}"


@contextmanager
def _bars(*, color: bool) -> Iterator[ProgressListener]:
    """Yield a listener with a bar for each phase of each place; the bars disappear at the end."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    def column(field: str) -> ProgressColumn:
        return TextColumn(f"{{task.{field}}}", table_column=Column(no_wrap=True))

    console = Console(stderr=True, no_color=not color)
    wide = console.width >= WIDE
    columns = [column(field) for field in ("description", "fields[count]", "fields[speed]", "fields[rate]")]
    if wide:
        columns.insert(1, BarColumn(bar_width=20))
    lock, speeds = threading.Lock(), Throughput(time.monotonic)
    tasks: dict[tuple[str, Phase], TaskID] = {}
    with Bars(*columns, console=console, transient=True) as bars:

        def move(progress: Progress) -> None:
            key = (progress.place, progress.phase)
            over = progress.done == progress.total
            with lock:
                texts: dict[str, Any] = {
                    "count": _count(progress),
                    "speed": speeds.text(progress),
                    "rate": "" if over else SHOWN_RATES.text(progress, short=not wide),
                }
                if key not in tasks:
                    title = escape(f"{progress.place} {progress.phase.value}")
                    tasks[key] = bars.add_task(title, **texts)
                is_hidden = over and len({place for place, _ in tasks}) > MANY_PLACES
                bars.update(
                    tasks[key], completed=progress.done, total=progress.total, visible=not is_hidden, **texts
                )

        yield move
