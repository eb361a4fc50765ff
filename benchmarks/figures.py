"""The measurements of one run of the benchmarks -> the targets of the release, each met or missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmarks.probing import DoctorRow, ProbingRow
from benchmarks.quotas import AWS
from benchmarks.retries import RetryResult
from benchmarks.scenes import BOOTSTRAP, IN_SYNC, JSON_SCENES, MANY_TARGETS, OPTIMUM, OURS, Pace, Row
from benchmarks.startup import FIRST_LINE, FIRST_LINE_LIMIT, HELP_LIMIT, Start

BOOTSTRAP_RATIO, IN_SYNC_RATIO = 1.5, 0.5
"""CPU time as a multiple of that of the optimum."""
GROWTH_MEGABYTES, JSON_MEGABYTES, TARGETS_MEGABYTES = 300, 150, 1_000
CPU_COUNT, GROWTH_COUNT, JSON_COUNT, MANY_COUNT = 10_000, 100_000, 20_000, 2_000
"""Parameters in each place: the sizes of which the targets speak."""
PROBING_SECONDS = 600
"""The shortest run in which the throttled calls of probing count."""
THROTTLED_BY_PROBING = 0.005
"""Share of the calls of each client that is throttled while one of them probes."""
SECONDS_AFTER_LISTING = 15
"""Seconds that a plan for many targets takes beyond those that the calls of its slowest place need."""
_MEGABYTES = (".0f", " MB", True)
"""Format, unit, and that the limit itself is a miss, of the memory of a run."""


@dataclass(slots=True)
class Figures:
    """All measurements of one run of the benchmarks.

    Attributes:
        rows: Runs without quotas; of several equal runs, the one with the median CPU time.
        growth: In-sync plans with two targets, by the number of parameters.
        documents: Plans with many changes that are written as JSON.
        paces: Runs under quotas.
        many: The plan for many targets.
        probing: The bootstrap that probes beside a second client.
        doctor: The quotas of the server as `doctor --probe` measured them.
        retries: The same writes with each retry mode.
        starts: The start of each command.
        notes: Sentences without a full stop about the programs that were compared.
        failures: The errors of scenes under quotas that failed.
        profile: The CPU time by function, as Markdown.
        minutes: The duration of the run.
    """

    rows: list[Row] = field(default_factory=list)
    growth: list[Row] = field(default_factory=list)
    documents: list[Row] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    many: Pace | None = None
    probing: ProbingRow | None = None
    doctor: DoctorRow | None = None
    retries: list[RetryResult] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    profile: str = ""
    minutes: float = 0.0

    def row(self, who: str, scene: str, count: int, targets: int = 1) -> Row | None:
        """Return a run without quotas; None if it was not measured."""
        key = (who, scene, count, targets)
        return next((row for row in self.rows if (row.who, row.scene, row.count, row.targets) == key), None)

    @property
    def counts(self) -> list[int]:
        """The numbers of parameters of the runs without quotas, in ascending order."""
        return sorted({row.count for row in self.rows})

    def cpu_ratio(self, scene: str, count: int) -> float | None:
        """Return our CPU time as a multiple of that of the optimum; None if one was not measured."""
        mine, other = self.row(OURS, scene, count), self.row(OPTIMUM, scene, count)
        return None if mine is None or other is None else mine.cost.cpu / other.cost.cpu

    def seconds_to_start(self, command: str) -> float | None:
        """Return the median seconds of a command of `starts`; None if it was not measured."""
        return next((one.seconds for one in self.starts if one.command == command), None)


@dataclass(frozen=True, slots=True)
class Goal:
    """One number that the release has to reach.

    Attributes:
        subject: The number.
        measured: Its value in this run; None if it was not measured.
        limit: The greatest value that is right.
        form: The format of both, as of `format`.
        unit: The unit of both.
        is_below: Whether the limit itself is a miss.
    """

    subject: str
    measured: float | None
    limit: float
    form: str = ".2f"
    unit: str = ""
    is_below: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the number was measured and is right."""
        if self.measured is None:
            return False
        return self.measured < self.limit or (self.measured == self.limit and not self.is_below)

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The cells of a row: subject, target, measured value, and whether the target is met."""
        found = "not measured" if self.measured is None else f"{self.measured:{self.form}}{self.unit}"
        words = "below" if self.is_below else "at most"
        met = "met" if self.is_met else "**missed**"
        limit = f"{self.limit:.1%}" if self.form.endswith("%") else f"{self.limit:,g}"
        return self.subject, f"{words} {limit}{self.unit}", found, met


def goals(figures: Figures) -> Iterator[Goal]:
    """Yield each number of the release; it is not measured if the run had another size than its target."""
    for scene, limit in ((BOOTSTRAP, BOOTSTRAP_RATIO), (IN_SYNC, IN_SYNC_RATIO)):
        subject = f"CPU of {scene}, {CPU_COUNT:,} parameters, as a multiple of the optimum"
        yield Goal(subject, figures.cpu_ratio(scene, CPU_COUNT), limit, unit=" ×")
    subject = f"memory of {IN_SYNC}, {GROWTH_COUNT:,} parameters in 3 places"
    yield Goal(subject, _megabytes(figures.growth, IN_SYNC, GROWTH_COUNT, 2), GROWTH_MEGABYTES, *_MEGABYTES)
    for scene in JSON_SCENES:
        subject = f"memory of {scene}, {JSON_COUNT:,} changes"
        yield Goal(subject, _megabytes(figures.documents, scene, JSON_COUNT, 1), JSON_MEGABYTES, *_MEGABYTES)
    yield from _goals_under_quotas(figures)
    yield from _goals_of_starts(figures)


def _megabytes(rows: Iterable[Row], scene: str, count: int, targets: int) -> float | None:
    """Return the memory of a run; None if it was not measured."""
    key = (scene, count, targets)
    return next((row.cost.megabytes for row in rows if (row.scene, row.count, row.targets) == key), None)


def _goals_under_quotas(figures: Figures) -> Iterator[Goal]:
    after, megabytes = None, None
    if figures.many is not None and figures.many.count == MANY_COUNT:
        cost = figures.many.cost
        after, megabytes = cost.wall - figures.many.necessary, cost.megabytes
    subject = f"plan, {len(MANY_TARGETS)} targets, {MANY_COUNT:,} parameters in each place"
    yield Goal(f"{subject}: seconds beyond the slowest place", after, SECONDS_AFTER_LISTING, ".1f", " s")
    yield Goal(f"{subject}: memory", megabytes, TARGETS_MEGABYTES, *_MEGABYTES)
    yield from _goals_of_probing(figures.probing)
    default = [one.cost.counts.throttled.total() for one in figures.paces if one.rates == AWS]
    throttled = sum(default) if default and not figures.failures else None
    yield Goal("throttled calls under the default quotas, all scenes", throttled, 0, ".0f")


def _goals_of_probing(probing: ProbingRow | None) -> Iterator[Goal]:
    shares: dict[str, float | None] = dict.fromkeys(("ssm-reconcile", "the second client"))
    if probing is not None and probing.seconds >= PROBING_SECONDS:
        shares["ssm-reconcile"] = probing.throttled / probing.calls
        shares["the second client"] = probing.other_throttled / probing.other_calls
    for client, share in shares.items():
        subject = f"probing for at least {PROBING_SECONDS / 60:.0f} minutes: throttled calls of {client}"
        yield Goal(subject, share, THROTTLED_BY_PROBING, ".2%")


def _goals_of_starts(figures: Figures) -> Iterator[Goal]:
    helped, click = figures.seconds_to_start("--help"), figures.seconds_to_start("import click")
    ratio = None if helped is None or click is None else helped / click
    yield Goal("`--help`, as a multiple of importing click", ratio, HELP_LIMIT, unit=" ×")
    yield Goal(FIRST_LINE, figures.seconds_to_start(FIRST_LINE), FIRST_LINE_LIMIT, unit=" s")
