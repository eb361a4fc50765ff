"""Run the benchmarks and writes RESULTS.md and growth.svg beside itself: `python -m benchmarks`.

--quick    only 1,000 parameters, and writes nothing: a look at the tables on stdout
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import plot, report, retries, scenes, startup
from benchmarks.report import Figures
from benchmarks.scenes import Pace, Row
from benchmarks.served import Server, environment, serving

HERE = Path(__file__).parent
SMALL, MIDDLE, LARGE = 1_000, 10_000, 100_000
PACED_PLAN, PACED_APPLY, PACED_UPDATES = 10_000, 240, 480


def main() -> None:
    """Measure everything, in a few minutes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="1,000 parameters only, to stdout")
    quick: bool = parser.parse_args().quick
    began = time.monotonic()
    figures = Figures()
    with serving() as server:
        _measure(server, figures, quick=quick)
    figures.minutes = (time.monotonic() - began) / 60
    text = report.results(figures, datetime.now(UTC).date())
    if quick:
        sys.stdout.write(text)
        return
    (HERE / "RESULTS.md").write_text(text)
    (HERE / "growth.svg").write_text(_plot(figures.growth))
    _say(f"wrote {HERE.name}/RESULTS.md and {HERE.name}/growth.svg in {figures.minutes:.1f} minutes")


def _measure(server: Server, figures: Figures, *, quick: bool) -> None:
    _say("start")
    figures.starts = startup.measure_starts()
    sizes = (SMALL,) if quick else (SMALL, MIDDLE)
    for count in sizes:
        for targets in (1, 2):
            _take(figures.rows, scenes.bootstrap(server, count, targets))
            _take(figures.rows, scenes.reads(server, count, targets))
    _take(figures.rows, scenes.the_seeds_way(server, SMALL))
    _take(figures.rows, scenes.terraforms_way(server, SMALL, figures.notes))
    figures.growth = [
        row for row in figures.rows if row.who == "ours" and row.scene == "plan, in sync" and row.targets == 2
    ]
    if not quick:
        _take(figures.growth, [next(scenes.reads(server, LARGE, 2))])
    _say("profile")
    figures.profile = scenes.profile(server, SMALL if quick else MIDDLE)
    _say("botocore's retries and ours")
    with _credentials():
        figures.ways = retries.compare(server)
    _say("under AWS's quotas: this takes as long as they say")
    figures.paces = _paced(quick=quick)


def _paced(*, quick: bool) -> list[Pace]:
    """Each on a server of its own, side by side: they sleep most of the time."""
    share = 5 if quick else 1
    scenes_and_counts = (
        (scenes.paced_plan, PACED_PLAN),
        (scenes.paced_apply, PACED_APPLY),
        (scenes.paced_updates, PACED_UPDATES),
    )  # fmt: skip
    with serving() as one, serving() as two, serving() as three, ThreadPoolExecutor(3) as pool:
        begun = [
            pool.submit(scene, server, count // share)
            for server, (scene, count) in zip((one, two, three), scenes_and_counts, strict=True)
        ]
        return [one.result() for one in begun]


def _take(into: list[Row], rows: Iterable[Row]) -> None:
    for row in rows:
        taken = row.cost
        _say(
            f"{row.who}: {row.scene}, {row.count:,} x {row.targets}: {taken.counts.requests:,} calls,"
            f" {taken.wall:.1f} s, CPU {taken.cpu:.1f} s, {taken.megabytes:.0f} MB"
        )
        into.append(row)


class _credentials:  # noqa: N801 - reads as what it does
    """The server's credentials in this process, for clients that are made in it."""

    def __enter__(self) -> None:
        import os

        self._before = dict(os.environ)
        os.environ.clear()
        os.environ.update(environment())

    def __exit__(self, *_: object) -> None:
        import os

        os.environ.clear()
        os.environ.update(self._before)


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


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
