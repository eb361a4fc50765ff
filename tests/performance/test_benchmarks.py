"""The results of `make bench`: each target is shown, met or missed, and the README has the same numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from benchmarks import probing, report, scenes, startup
from benchmarks.__main__ import Sizes, measure
from benchmarks.children import Cost
from benchmarks.figures import Figures, Goal, goals
from benchmarks.probing import DoctorRow, ProbingRow
from benchmarks.quotas import AWS
from benchmarks.retries import WAYS, RetryResult
from benchmarks.scenes import BLOG_POST, BOOTSTRAP, IN_SYNC, JSON_SCENES, OPTIMUM, OURS, Pace, Row
from benchmarks.served import Counts, Server

ROOT = Path(__file__).parents[2]
TINY = Sizes(
    starts=1, counts=(10,), rounds=1, growth=0, document=10, puts=11, paced_plan=10, paced_apply=3, many=1,
    documents=1, probing=3, doctor=False,
)  # fmt: skip


def cost(
    cpu: float = 1.0, megabytes: float = 60, wall: float = 1.0, *, calls: int = 5, throttled: int = 0
) -> Cost:
    places = Counter({"123456789012/us-east-1 DescribeParameters": calls})
    counts = Counts(Counter(DescribeParameters=calls), Counter(DescribeParameters=throttled), places)
    return Cost(wall, cpu, int(megabytes * 1e6), 0, counts)


def figures() -> Figures:
    """Figures of a run that met each target by a little."""
    rows = [
        Row(who, scene, count, 1, cost(cpu))
        for count in (1_000, 10_000)
        for who, scene, cpu in (
            (OURS, BOOTSTRAP, 1.5), (OPTIMUM, BOOTSTRAP, 1.0), (OURS, IN_SYNC, 0.5), (OPTIMUM, IN_SYNC, 1.0),
            (BLOG_POST, BOOTSTRAP, 4.0), (BLOG_POST, IN_SYNC, 4.0),
        )
    ]  # fmt: skip
    growth = [Row(OURS, IN_SYNC, count, 2, cost(1.0, 299)) for count in (1_000, 10_000, 100_000)]
    many = Pace("plan, 40 targets, in sync", 2_000, cost(9.0, 999, 25.0, calls=50), AWS)
    seconds = {"import click": 0.5, "--help": 0.7, startup.FIRST_LINE: 0.5}
    return Figures(
        rows=[*rows, *growth[:2]],
        growth=growth,
        documents=[Row(OURS, scene, 20_000, 1, cost(1.0, 149)) for scene in JSON_SCENES],
        paces=[many, Pace(BOOTSTRAP, 240, cost(throttled=3), {**AWS, "put": 10.0})],
        many=many,
        probing=ProbingRow(2_700, 640.0, 2_000, 10, 1_000, 5, ('there: {"put": 4.2}',)),
        retries=[RetryResult(WAYS[0], 150, 14.0, 0, 150)],
        starts=[startup.Start(command, taken) for command, taken in seconds.items()],
    )


def missed(found: Figures) -> list[str]:
    return [goal.subject for goal in goals(found) if not goal.is_met]


def test_targets_that_are_just_met_are_shown_as_met() -> None:
    assert missed(figures()) == []
    assert "missed" not in report.results(figures(), date(2026, 1, 2))


def worse(**changed: object) -> Figures:
    return replace(figures(), **changed)  # type: ignore[arg-type]  # fields of any type


def with_row(changed: Row) -> Figures:
    key = (changed.who, changed.scene, changed.count, changed.targets)
    same = [row for row in figures().rows if (row.who, row.scene, row.count, row.targets) != key]
    return worse(rows=[*same, changed])


MISSES = {
    "CPU of apply, bootstrap": with_row(Row(OURS, BOOTSTRAP, 10_000, 1, cost(1.51))),
    "CPU of plan, in sync": with_row(Row(OURS, IN_SYNC, 10_000, 1, cost(0.51))),
    "memory of plan, in sync": worse(growth=[Row(OURS, IN_SYNC, 100_000, 2, cost(1.0, 300))]),
    "memory of plan --format json": worse(
        documents=[Row(OURS, scene, 20_000, 1, cost(1.0, 150)) for scene in JSON_SCENES]
    ),
    "seconds beyond the slowest place": worse(many=Pace("many", 2_000, cost(wall=25.1, calls=50), AWS)),
    "memory": worse(many=Pace("many", 2_000, cost(1.0, 1_000, 25.0, calls=50), AWS)),
    "throttled calls of ssm-reconcile": worse(probing=ProbingRow(2_700, 640.0, 2_000, 11, 1_000, 0, ())),
    "throttled calls of the second client": worse(probing=ProbingRow(2_700, 640.0, 2_000, 0, 1_000, 6, ())),
    "throttled calls under the default quotas": worse(paces=[Pace(BOOTSTRAP, 240, cost(throttled=1), AWS)]),
    "`--help`": worse(starts=[startup.Start("import click", 0.05), startup.Start("--help", 0.0701)]),
    "first line of progress": worse(starts=[startup.Start(startup.FIRST_LINE, 0.51)]),
}


@pytest.mark.parametrize("subject", MISSES)
def test_a_missed_target_is_shown_as_missed(subject: str) -> None:
    found = MISSES[subject]
    assert any(subject in one for one in missed(found))
    text = report.results(found, date(2026, 1, 2))
    rows = [line for line in text.splitlines() if "**missed**" in line]
    assert len(rows) == len(missed(found))
    assert any(subject in row for row in rows)


def test_a_target_that_was_not_measured_is_missed() -> None:
    goal = Goal("anything", None, 1.5)
    assert goal.cells == ("anything", "at most 1.5", "not measured", "**missed**")


PROBED = ProbingRow(2_700, 599.0, 2_000, 0, 1_000, 0, ())
MANY = Pace("plan, 40 targets", 1_999, cost(1.0, 1, 1.0, calls=50), AWS)
NOT_MEASURED = {
    "CPU of": worse(rows=[replace(row, count=100) for row in figures().rows]),
    "memory of plan, in sync": worse(growth=figures().growth[:2]),
    "memory of plan --": worse(documents=[replace(row, count=1_000) for row in figures().documents]),
    "plan, 40 targets": worse(many=MANY),
    "probing for at least 10 minutes": worse(probing=PROBED),
    "throttled calls under the default quotas": worse(failures=["a scene"]),
    "throttled calls under the default quotas, all scenes": worse(paces=figures().paces[1:]),
    "first line of progress": Figures(starts=figures().starts[:1]),
}


@pytest.mark.parametrize("subject", NOT_MEASURED)
def test_a_target_whose_size_or_scene_was_not_run_is_shown_as_not_measured(subject: str) -> None:
    found = NOT_MEASURED[subject]
    assert len(list(goals(found))) == len(list(goals(figures())))
    shown = [goal.cells for goal in goals(found) if subject in goal.subject]
    assert {cells[2:] for cells in shown} == {("not measured", "**missed**")}


def test_a_scene_that_failed_is_missed_and_its_error_is_shown() -> None:
    found = worse(many=None, probing=None, failures=["plan ...: exit code 1"])
    assert len(missed(found)) == 5
    assert "not measured: plan ...: exit code 1" in report.results(found, date(2026, 1, 2))


def test_all_targets_of_the_release_are_in_the_first_table() -> None:
    text = report.results(figures(), date(2026, 1, 2))
    table = text.partition("## Targets of this release")[2].partition("\n## ")[0]
    assert table.count("| met |") == 12


def test_the_quotas_that_doctor_measures_are_shown_beside_those_of_the_server() -> None:
    found = worse(doctor=DoctorRow(200.0, 90, 40, 1_500, {"put": 5.7, "describe": None}))
    text = report.results(found, date(2026, 1, 2)).partition("`doctor --probe`")[2]
    assert "| put | 6/s | 5.7/s | -5% |" in text
    assert "| describe | 10/s | not found |" in text


def test_the_numbers_of_the_readme_are_those_of_the_results() -> None:
    def numbers(file: str) -> str:
        text = (ROOT / file).read_text()
        assert text.count(report.START) == text.count(report.END) == 1
        return text.partition(report.START)[2].partition(report.END)[0]

    assert numbers("README.md") == numbers("benchmarks/RESULTS.md")


def test_new_numbers_replace_the_old_ones_and_nothing_else() -> None:
    new = report.numbers(figures())
    before = f"above\n\n{report.START}\nold\n{report.END}\n\nbelow\n"
    assert report.with_numbers(before, new) == f"above\n\n{new}\n\nbelow\n"
    assert "takes 1.5 times its CPU time, a plan without changes 0.5 times;" in new


@pytest.mark.parametrize(("list_tags", "limit"), [(5.0, "list_tags"), (20.0, "put")])
def test_higher_throughput_makes_puts_faster_until_calls_for_tags_are_the_limit(
    server: Server, list_tags: float, limit: str
) -> None:
    count = 15
    pace = scenes.higher_throughput(server, count, list_tags)
    server.weather()
    assert pace.limit == limit
    assert pace.necessary == count / min(list_tags, 10)
    assert pace.cost.counts.throttled.total() == 0


@pytest.mark.bench
def test_doctor_measures_the_quotas_of_the_server_within_ten_percent(server: Server) -> None:
    """In less than four minutes, so that it ends before the bootstrap that probes."""
    found = probing.measure(server)
    server.weather()
    assert found.seconds < 240
    assert {"put", "tags", "list_tags", "delete", "describe"} == found.rates.keys()
    for kind, rate in found.rates.items():
        assert rate is not None
        assert abs(rate / probing.QUOTAS[kind] - 1) < 0.1


@pytest.mark.bench
def test_every_scene_runs_at_a_small_size() -> None:
    found = measure(TINY)
    assert {row.who for row in found.rows} >= {OURS, OPTIMUM, BLOG_POST}
    assert found.failures == []
    assert report.results(found, date(2026, 1, 2))
