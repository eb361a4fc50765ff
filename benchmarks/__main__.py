"""Scenes -> benchmarks/RESULTS.md and growth.svg, and the numbers in README.md: `python -m benchmarks`.

--quick    small sizes, in about two minutes; RESULTS.md goes to stdout, and no file is written

The scenes whose CPU time counts run alone. Scenes under quotas mostly wait: they run at the same time, in
lanes, each on a server of its own. Only probing runs beside the plan for many targets, whose seconds count.
"""

from __future__ import annotations

import argparse
import compileall
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, TypeVar

from benchmarks import plot, probing, report, retries, scenes, startup
from benchmarks.figures import Figures
from benchmarks.quotas import AWS
from benchmarks.scenes import IN_SYNC, OURS, Pace, Row
from benchmarks.served import ROOT, Server, environment, serving

HERE = Path(__file__).parent
_T = TypeVar("_T")
PacedScene: TypeAlias = Callable[[Server], Pace]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of each scene: parameters, unless stated.

    Attributes:
        starts: Rounds of the starts of commands.
        counts: Sizes of the scenes without quotas, in ascending order.
        rounds: Runs of ssm-reconcile and of the optimum in turn, at the largest of `counts`.
        growth: The largest in-sync plan; 0 for none beyond `counts`.
        document: Changes of the plans that are written as JSON.
        puts: Writes with each retry mode.
        paced_plan: The in-sync plan under quotas.
        paced_apply: Changes of the bootstraps under quotas.
        many: Parameters in each of the forty targets.
        documents: Parameters in the target of each of several documents.
        probing: Parameters of the bootstrap that probes.
        doctor: Whether `doctor --probe` measures the quotas of the server.
    """

    starts: int = startup.ROUNDS
    counts: tuple[int, ...] = (1_000, 10_000)
    rounds: int = 3
    growth: int = 100_000
    document: int = 20_000
    puts: int = retries.PUTS
    paced_plan: int = 10_000
    paced_apply: int = 240
    many: int = 2_000
    documents: int = 200
    probing: int = probing.COUNT
    doctor: bool = True


QUICK = Sizes(
    starts=3, counts=(1_000,), rounds=1, growth=0, document=1_000, puts=30, paced_plan=1_000, paced_apply=40,
    many=50, documents=20, probing=60, doctor=False,
)  # fmt: skip
QUICK_NOTE = """\
The sizes of `--quick` are smaller than those of the targets: most targets are not measured, and are shown
as missed.

"""


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; RESULTS.md goes to stdout")
    quick: bool = parser.parse_args().quick
    began = time.monotonic()
    figures = measure(QUICK if quick else Sizes())
    figures.minutes = (time.monotonic() - began) / 60
    text = report.results(figures, datetime.now(UTC).date())
    if quick:
        sys.stdout.write(QUICK_NOTE + text)
        return
    (HERE / "RESULTS.md").write_text(text)
    (HERE / "growth.svg").write_text(_plot(figures.growth))
    readme = ROOT / "README.md"
    readme.write_text(report.with_numbers(readme.read_text(), report.numbers(figures)))
    _log(f"wrote RESULTS.md, growth.svg and README.md in {figures.minutes:.1f} minutes")


def measure(sizes: Sizes) -> Figures:
    """Run all scenes and return their figures."""
    figures = Figures()
    compileall.compile_dir(ROOT / "src", quiet=1)  # an installed package is compiled, too
    _log("start of commands")
    figures.starts = startup.measure_starts(sizes.starts)
    with serving() as server:
        _measure_alone(server, figures, sizes)
    _log("under quotas: this takes as long as the quotas demand")
    _measure_paced(figures, sizes)
    return figures


def _measure_alone(server: Server, figures: Figures, sizes: Sizes) -> None:
    """Run the scenes whose CPU time and memory count, one after the other."""
    few, many = sizes.counts[0], sizes.counts[-1]
    for count in sizes.counts:
        _take(figures.rows, scenes.in_turn(server, count, sizes.rounds if count == many else 1))
        _take(figures.rows, islice(scenes.reads(server, count, 1), 1, None))
        _take(figures.rows, scenes.bootstrap(server, count, 2))
        _take(figures.rows, scenes.reads(server, count, 2))
    _take(figures.rows, scenes.the_seeds_way(server, few))
    _take(figures.rows, scenes.terraforms_way(server, few, figures.notes))
    figures.growth = [
        row for row in figures.rows if row.who == OURS and row.scene == IN_SYNC and row.targets == 2
    ]
    if sizes.growth:
        _take(figures.growth, [next(scenes.reads(server, sizes.growth, 2))])
    _take(figures.documents, scenes.large_json(server, sizes.document))
    _log("profile")
    figures.profile = scenes.profile(server, many)
    _log("retry modes")
    with _credentials():
        figures.retries = retries.compare(server, sizes.puts)


def _measure_paced(figures: Figures, sizes: Sizes) -> None:
    """Run the plan for many targets, then the other scenes under quotas in lanes at the same time.

    The scenes of a lane run one after the other. Probing runs beside all of them: it has few calls a second.
    """
    changes = sizes.paced_apply
    lanes: Sequence[Sequence[PacedScene]] = (
        (
            partial(scenes.many_documents, count=sizes.documents),
            partial(scenes.paced_plan, count=sizes.paced_plan),
            partial(scenes.paced_apply, count=changes),
        ),
        (
            partial(scenes.paced_updates, count=2 * changes),
            partial(scenes.higher_throughput, count=changes, list_tags=AWS["list_tags"]),
            partial(scenes.higher_throughput, count=changes, list_tags=10.0),
        ),
    )
    with serving() as server, serving() as other, ThreadPoolExecutor(2 + len(lanes)) as pool:
        probed = pool.submit(_attempt, figures, lambda: probing.run(server, sizes.probing))
        (figures.many,) = _run_lane(figures, [partial(scenes.many_targets, count=sizes.many)])
        doctor = pool.submit(_attempt, figures, lambda: probing.measure(other)) if sizes.doctor else None
        results = [pace for lane in pool.map(partial(_run_lane, figures), lanes) for pace in lane]
        figures.doctor = None if doctor is None else doctor.result()
        figures.probing = probed.result()
    figures.paces = [pace for pace in (figures.many, *results) if pace is not None]


def _run_lane(figures: Figures, lane: Sequence[PacedScene]) -> list[Pace | None]:
    with serving() as server:
        return [_attempt(figures, partial(_run_paced, scene, server)) for scene in lane]


def _run_paced(scene: PacedScene, server: Server) -> Pace:
    pace = scene(server)
    _log(f"{pace.scene}, {pace.count:,}: {pace.cost.wall:.1f} s, necessary {pace.necessary:.1f} s")
    return pace


def _attempt(figures: Figures, run: Callable[[], _T]) -> _T | None:
    """Return the result of a scene; for one that failed, add the error to the figures and return None."""
    try:
        return run()
    except RuntimeError as failure:
        _log(str(failure))
        figures.failures.append(str(failure).partition("\n")[0])
        return None


def _take(into: list[Row], rows: Iterable[Row]) -> None:
    for row in rows:
        taken = row.cost
        _log(
            f"{row.who}: {row.scene}, {row.count:,} x {row.targets}: {taken.counts.requests:,} calls,"
            f" {taken.wall:.1f} s, CPU {taken.cpu:.1f} s, {taken.megabytes:.0f} MB"
        )
        into.append(row)


@contextmanager
def _credentials() -> Iterator[None]:
    """Set the credentials of the server in this process, for clients of it."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _plot(rows: list[Row]) -> str:
    return plot.svg(
        "An in-sync plan, one source and two targets",
        "parameters in each place",
        {
            "calls": [(row.count, row.cost.counts.requests) for row in rows],
            "CPU, seconds": [(row.count, row.cost.cpu) for row in rows],
            "peak memory, MB": [(row.count, row.cost.megabytes) for row in rows],
        },
    )


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
