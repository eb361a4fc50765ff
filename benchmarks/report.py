"""Figures -> RESULTS.md, and the numbers of README.md. Of the machine, only system and cores are named."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from importlib.metadata import version

from benchmarks.figures import Figures, goals
from benchmarks.probing import QUOTAS, SHARE, DoctorRow, ProbingRow
from benchmarks.quotas import AWS
from benchmarks.retries import RATE, RetryResult
from benchmarks.scenes import (
    BLOG_POST,
    BOOTSTRAP,
    IN_SYNC,
    LATENCY,
    MANY_TARGETS,
    OPTIMUM,
    OURS,
    TERRAFORM,
    Pace,
    Row,
)
from benchmarks.startup import Start

START, END = "<!-- numbers of `make bench`, do not edit -->", "<!-- end of the numbers -->"
"""The lines around the numbers in README.md and RESULTS.md."""
_SHORT = {
    "DescribeParameters": "Describe", "GetResources": "GetResources", "GetParameters": "GetParameters",
    "GetParameter": "GetParameter", "ListTagsForResource": "ListTags", "PutParameter": "Put",
    "AddTagsToResource": "AddTags",
}  # fmt: skip
_WRITES = ("PutParameter", "AddTagsToResource")


def results(figures: Figures, today: date) -> str:
    """Return RESULTS.md."""
    sections = (
        _head(figures, today),
        _goals(figures),
        _scenes([*figures.rows, *figures.documents]),
        _comparison(figures),
        _growth(figures),
        _paces(figures.paces),
        *([] if figures.probing is None else [_probing(figures.probing)]),
        *([] if figures.doctor is None else [_doctor(figures.doctor)]),
        _retries(figures.retries),
        _starts(figures.starts),
        _profile(figures.profile),
        f"## Numbers in README.md\n\n{numbers(figures)}",
    )
    return "\n\n".join(sections) + "\n"


def _head(figures: Figures, today: date) -> str:
    names = ("ssm-reconcile", "boto3", "botocore")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"""\
# Results

Written by `make bench` on {today.isoformat()} in {figures.minutes:.0f} minutes: {versions},
Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}. All numbers are from one run
on one machine that had other work as well, so ratios and CPU time are more reliable than wall times. The
server is `server.py` on loopback: full pages, no latency unless stated (its docstring says why moto is not
used). CPU time and memory are those of the whole process from its start, and of its children; memory is the
peak."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    line = "|".join("---" if number < left else "--:" for number in range(len(head)))
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"| {' | '.join(head)} |\n|{line}|\n{body}"


def _goals(figures: Figures) -> str:
    rows = [goal.cells for goal in goals(figures)]
    failures = "".join(f"\n\nA scene failed and is not measured: {one}" for one in figures.failures)
    return "## Targets of this release\n\n" + _table(("number", "target", "measured", ""), rows) + failures


def calls_of(row: Row) -> str:
    """Return the calls by operation, the most frequent first; rare operations are only counted."""
    counts = row.cost.counts.calls
    few = sum(n for name, n in counts.items() if name not in _SHORT and name != "Decrypt")
    text = [f"{n:,} {_SHORT[name]}" for name, n in counts.most_common() if name in _SHORT]
    return ", ".join(text) + (f", {few} others" if few else "")


def _scenes(rows: list[Row]) -> str:
    head = ("scene", "parameters", "targets", "calls", "by operation", "decrypted", "wall s", "CPU s", "MB")
    body = [
        (
            f"{row.who}: {row.scene}",
            f"{row.count:,}",
            str(row.targets),
            f"{row.cost.counts.requests:,}",
            calls_of(row),
            f"{row.cost.counts.decrypted:,}",
            f"{row.cost.wall:.1f}",
            f"{row.cost.cpu:.1f}",
            f"{row.cost.megabytes:.0f}",
        )
        for row in rows
    ]
    return (
        "## Cost of each scene\n\nOf scenes that ran several times, the run with the median CPU time.\n\n"
        + _table(head, body)
    )


def _comparison(figures: Figures) -> str:
    """Return the costs of other programs as multiples of ours, for the same scene with one target."""
    head = ("program", "scene", "parameters", "calls", "wall", "CPU", "memory")
    body, computed = [], []
    for row in figures.rows:
        ours = figures.row(OURS, row.scene, row.count)
        if row.who == OURS or ours is None:
            continue
        ratios = (
            row.cost.counts.requests / ours.cost.counts.requests,
            row.cost.wall / ours.cost.wall,
            row.cost.cpu / ours.cost.cpu,
            row.cost.memory / ours.cost.memory,
        )
        body.append((row.who, row.scene, f"{row.count:,}", *(f"{one:.1f} ×" for one in ratios)))
        larger = figures.row(OURS, row.scene, 10 * row.count)
        if larger is not None and figures.row(row.who, row.scene, 10 * row.count) is None:
            calls = 10 * row.cost.counts.requests
            computed.append(
                f"- {row.who}, {row.scene}: {calls:,} calls, ssm-reconcile {larger.cost.counts.requests:,},"
                f" {calls / larger.cost.counts.requests:.0f} ×"
            )
    legend = (
        "The cost of each program as a multiple of the cost of ssm-reconcile, one target. The optimum"
        " (`optimum.py`) is a hand-written program with boto3 that reads all values of both ends, since it"
        " keeps no record of them. It does not read tags (ListTags) before a write, as ssm-reconcile does"
        " to respect `skip_sync`: the calls of a bootstrap differ by these. The blog post"
        " (`seed_way.py`) copies one parameter after the other. Terraform has a resource for each parameter."
    )
    parts = ["## Comparison with other programs", legend, _table(head, body, left=2)]
    if computed:
        parts.append("At ten times as many parameters, computed: the calls grow with the parameters.")
        parts.append("\n".join(computed))
    return "\n\n".join((*parts, *(f"{note}." for note in figures.notes)))


def _growth(figures: Figures) -> str:
    rows = figures.growth
    head = ("parameters", "places", "calls", "wall s", "CPU s", "CPU ms a parameter", "MB")
    body = [
        (
            f"{row.count:,}",
            str(row.targets + 1),
            f"{row.cost.counts.requests:,}",
            f"{row.cost.wall:.1f}",
            f"{row.cost.cpu:.1f}",
            f"{1000 * row.cost.cpu / row.count:.2f}",
            f"{row.cost.megabytes:.0f}",
        )
        for row in rows
    ]
    first, last = rows[0], rows[-1]
    start = figures.seconds_to_start("import boto3") or 0.0
    plain = (last.cost.cpu / last.count) / (first.cost.cpu / first.count)
    net = ((last.cost.cpu - start) / last.count) / ((first.cost.cpu - start) / first.count)
    return (
        "## Growth of an in-sync plan\n\n" + _table(head, body, left=0) + "\n\n![growth](growth.svg)\n\n"
        f"CPU per parameter at {last.count:,} is {plain:.2f} × that at {first.count:,} (the whole process),"
        f" and {net:.2f} × without the {start:.1f} s of importing boto3. The target is 1.3 ×."
    )


def _paces(paces: list[Pace]) -> str:
    head = (
        "scene", "changes or parameters", "necessary s", "limited by", "wall s", "ratio", "MB", "requests",
        "throttled",
    )  # fmt: skip
    body = [
        (
            one.scene + _other_quotas(one),
            f"{one.count:,}",
            f"{one.necessary:.1f}",
            one.limit,
            f"{one.cost.wall:.1f}",
            f"{one.ratio:.2f}",
            f"{one.cost.megabytes:.0f}",
            f"{one.cost.counts.requests:,}",
            f"{one.cost.counts.throttled.total()} ({100 * one.wasted:.1f}%)",
        )
        for one in paces
    ]
    rates = ", ".join(f"{kind} {rate:g}/s" for kind, rate in AWS.items())
    return (
        f"## Runs under quotas\n\nLatency {1000 * LATENCY:.0f} ms, and these quotas with bursts of one second"
        f" unless a scene names others: {rates} (where no quota is public, the default of `aws_limits.py`)."
        f" The plan for {len(MANY_TARGETS)} targets runs beside probing only; the other scenes run at the"
        f" same time, on the {os.cpu_count()} cores of the machine, so their wall times include waiting for"
        " each other."
        " The rates of the specs are the default rates unless stated. *Necessary* are the seconds that the"
        " class of calls with the most load needs in one place, without a burst. The wall time includes the"
        " start of the process. The target of the ratio is 1.15.\n\n" + _table(head, body)
    )


def _other_quotas(pace: Pace) -> str:
    others = [f"{kind} {rate:g}/s" for kind, rate in pace.rates.items() if rate != AWS[kind]]
    return f" ({', '.join(others)})" if others else ""


def _probing(row: ProbingRow) -> str:
    head = ("client", "calls", "throttled")
    clients = (
        ("ssm-reconcile", row.calls, row.throttled),
        ("the second client", row.other_calls, row.other_throttled),
    )
    body = [(who, f"{calls:,}", f"{lost} ({lost / calls:.2%})") for who, calls, lost in clients]
    found = "".join(f"\n- `{rates}`" for rates in row.rates) or "\nnone"
    quotas = ", ".join(f"{kind} {rate:g}/s" for kind, rate in QUOTAS.items())
    return (
        f"## Probing\n\nA bootstrap of {row.count:,} parameters with `rates: {{ probe: true }}`, in"
        f" {row.seconds / 60:.0f} minutes. A second client uses {SHARE:.0%} of the quota of PutParameter in"
        f" the target. The quotas: {quotas}.\n\n" + _table(head, body) + f"\n\nRates found:\n{found}"
    )


def _doctor(row: DoctorRow) -> str:
    body = [
        (
            kind,
            f"{QUOTAS[kind]:g}/s",
            "not found" if rate is None else f"{rate:.1f}/s",
            "" if rate is None else f"{rate / QUOTAS[kind] - 1:+.0%}",
        )
        for kind, rate in row.rates.items()
    ]
    return (
        f"## Quotas measured by `doctor --probe`\n\nAlone in a place with the quotas of the section Probing:"
        f" {row.calls:,} calls in {row.seconds:.0f} s, {row.throttled} of them throttled, and"
        f" {row.created} parameters, all deleted at the end.\n\n"
        + _table(("calls", "quota", "measured", "difference"), body)
    )


def _retries(ways: list[RetryResult]) -> str:
    head = ("way", "threads", "seconds", "lost", "requests")
    body = [
        (one.way.label, str(one.way.threads), f"{one.seconds:.1f}", str(one.lost), str(one.requests))
        for one in ways
    ]
    puts = ways[0].puts
    return (
        f"## Retries: {puts} puts at {RATE:.0f} a second\n\nThe server lets a burst of {RATE:.0f} through, so"
        f" the minimum is {(puts - RATE) / RATE:.0f} s. All ways ran at the same time, each in a region of"
        " its own.\n\n" + _table(head, body)
    )


def _starts(starts: list[Start]) -> str:
    base = next((one.seconds for one in starts if one.command == "import click"), 1.0)
    body = [(one.command, f"{1000 * one.seconds:.0f}", f"{one.seconds / base:.2f}") for one in starts]
    return "## Start\n\n" + _table(("command", "median ms", "× click"), body)


def _profile(text: str) -> str:
    return (
        "## CPU profile of an in-sync plan\n\n"
        "One target; cProfile in one thread, CPU time (`profiled.py`).\n\n" + text.strip()
    )


def numbers(figures: Figures) -> str:
    """Return the numbers of README.md with the lines around them."""
    few, many = figures.counts[0], figures.counts[-1]
    return f"{START}\n{' '.join(_sentences(figures, many))}\n\n{_summary(figures, few)}\n{END}"


def _sentences(figures: Figures, count: int) -> Iterator[str]:
    """Yield the sentences on a large replication, each only if its scenes were measured."""
    plan = figures.row(OURS, IN_SYNC, count, 2)
    if plan is not None:
        yield (
            f"With {count:,} parameters and two targets, a plan without changes takes"
            f" {plan.cost.counts.requests:,} calls, {plan.cost.cpu:.1f} s of CPU time and"
            f" {plan.cost.megabytes:.0f} MB of memory."
        )
    if figures.growth:
        last = figures.growth[-1]
        yield f"A plan for {last.count:,} parameters takes {last.cost.megabytes:.0f} MB."
    first, again = (figures.cpu_ratio(scene, count) for scene in (BOOTSTRAP, IN_SYNC))
    if first is not None and again is not None:
        yield (
            "Compared with a hand-written program that reads all values with boto3"
            f" (`benchmarks/optimum.py`), a first replication of {count:,} parameters takes {first:.1f} times"
            f" its CPU time, a plan without changes {again:.1f} times{_calls_of_both(figures, count)}."
        )


def _calls_of_both(figures: Figures, count: int) -> str:
    """Return the calls of ssm-reconcile and of the optimum, as the end of a sentence on their CPU time."""
    pairs = [[figures.row(who, scene, count) for who in (OURS, OPTIMUM)] for scene in (BOOTSTRAP, IN_SYNC)]
    calls = [f"{row.cost.counts.requests:,}" for pair in pairs for row in pair if row is not None]
    return (
        f"; the calls of both are {calls[0]} and {calls[1]} (it does not read tags before a write),"
        f" and {calls[2]} and {calls[3]}"
    )


def _summary(figures: Figures, count: int) -> str:
    """Return the table of the programs that were measured at the smallest size."""
    names = {BLOG_POST: "the blog post from which this project grew", TERRAFORM: TERRAFORM, OURS: OURS}
    pairs = {who: (figures.row(who, IN_SYNC, count), figures.row(who, BOOTSTRAP, count)) for who in names}
    measured = {who: (plan, apply) for who, (plan, apply) in pairs.items() if plan and apply}
    again = [row for row, _ in measured.values()]
    first = [row for _, row in measured.values()]
    rows = [
        ("API calls when nothing has changed", *map(_calls_and_writes, again)),
        ("secrets decrypted in that run", *(f"{row.cost.counts.decrypted:,}" for row in again)),
        ("CPU time of that run", *(f"{row.cost.cpu:.1f} s" for row in again)),
        ("API calls of a first replication", *(f"{row.cost.counts.requests:,}" for row in first)),
    ]
    head = ("", *(names[who] for who in measured))
    return f"For {count:,} parameters and one target:\n\n{_table(head, rows)}"


def _calls_and_writes(row: Row) -> str:
    writes = sum(row.cost.counts.calls[operation] for operation in _WRITES)
    calls = f"{row.cost.counts.requests:,}"
    return f"{calls}, of which {writes:,} are writes" if writes else f"{calls}, no writes"


def with_numbers(text: str, new: str) -> str:
    """Return a text with new numbers in place of those between `START` and `END`."""
    before, _, rest = text.partition(START)
    return before + new + rest.partition(END)[2]
