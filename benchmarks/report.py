"""Figures -> RESULTS.md. Nothing of this machine is in it but its Python and how many cores it has."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version

from benchmarks.quotas import AWS
from benchmarks.retries import IDEAL, PUTS, RATE, RetryResult
from benchmarks.scenes import LATENCY, Pace, Row
from benchmarks.startup import FIRST_LINE_LIMIT, HELP_LIMIT, Start

_SHORT = {
    "DescribeParameters": "Describe", "GetResources": "GetResources", "GetParameters": "GetParameters",
    "GetParameter": "GetParameter", "ListTagsForResource": "ListTags", "PutParameter": "Put",
    "AddTagsToResource": "AddTags",
}  # fmt: skip


@dataclass(slots=True)
class Figures:
    """All that a run of the benchmarks has found."""

    rows: list[Row] = field(default_factory=list)
    growth: list[Row] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    ways: list[RetryResult] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    profile: str = ""
    minutes: float = 0.0


def results(figures: Figures, today: date) -> str:
    """The whole document."""
    return (
        "\n\n".join(
            (
                _head(figures, today),
                _scenes(figures.rows),
                _ratios(figures),
                _growth(figures),
                _paces(figures.paces),
                _ways(figures.ways),
                _starts(figures.starts),
                _profile(figures.profile),
            )
        )
        + "\n"
    )


def _head(figures: Figures, today: date) -> str:
    names = ("ssm-reconcile", "boto3", "botocore")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"""\
# Results

Written by `make bench` on {today.isoformat()} in {figures.minutes:.0f} minutes: {versions},
Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}. Everything here was
measured in that one run, on one machine that had other things to do as well, so ratios and CPU tell more
than wall times. The other side is our own server (`server.py`, and why it is not moto): full pages,
loopback, no latency unless stated. CPU and memory are those of the whole process, from its start, and
of its children; memory is its peak."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    line = "|".join("---" if number < left else "--:" for number in range(len(head)))
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"| {' | '.join(head)} |\n|{line}|\n{body}"


def calls_of(row: Row) -> str:
    """The calls by operation, the most frequent first; what is asked once or twice a place left out."""
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
    return "## What each scene costs\n\n" + _table(head, body)


def _ratios(figures: Figures) -> str:
    """Others against us, scene by scene, at the same number of parameters and one target."""
    mine = {(row.scene, row.count): row for row in figures.rows if row.who == "ours" and row.targets == 1}
    same = {"bootstrap": "apply, bootstrap", "in sync": "plan, in sync"}
    head = ("who", "scene", "parameters", "calls", "wall", "CPU", "memory")
    body, extrapolated = [], []
    for row in figures.rows:
        our = mine.get((same.get(row.scene, ""), row.count))
        if row.who == "ours" or our is None:
            continue
        ratio = [
            row.cost.counts.requests / our.cost.counts.requests,
            row.cost.wall / our.cost.wall,
            row.cost.cpu / our.cost.cpu,
            row.cost.memory / our.cost.memory,
        ]
        body.append((row.who, row.scene, f"{row.count:,}", *(f"{one:.1f} ×" for one in ratio)))
        larger = mine.get((same[row.scene], 10 * row.count))
        if larger is not None:
            calls = 10 * row.cost.counts.requests
            extrapolated.append(
                f"{row.who}, {row.scene}: {calls:,} calls against our {larger.cost.counts.requests:,},"
                f" {calls / larger.cost.counts.requests:.0f} ×"
            )
    text = "\n".join(f"- {line}" for line in extrapolated)
    notes = "\n".join(f"{note}." for note in figures.notes)
    return (
        "## Against others\n\nWhat they take, as a multiple of what we take for the same.\n\n"
        + _table(head, body, left=2)
        + "\n\nAt ten times as many parameters, by counting (their calls grow with the number; not run):"
        f"\n\n{text}" + f"\n\n{notes}"
    )


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
    start = next((one.seconds for one in figures.starts if one.command == "import boto3"), 0.0)
    plain = (last.cost.cpu / last.count) / (first.cost.cpu / first.count)
    net = ((last.cost.cpu - start) / last.count) / ((first.cost.cpu - start) / first.count)
    return (
        "## Growth: an in-sync plan\n\n" + _table(head, body, left=0) + "\n\n![growth](growth.svg)\n\n"
        f"CPU per parameter at {last.count:,} is {plain:.2f} × that at {first.count:,} (the whole process),"
        f" and {net:.2f} × without the {start:.1f} s that importing boto3 takes however many there are. The"
        " target is 1.3 ×."
    )


def _paces(paces: list[Pace]) -> str:
    head = ("scene", "changes or parameters", "necessary s", "wall s", "ratio", "requests", "throttled")
    body = [
        (
            one.scene,
            f"{one.count:,}",
            f"{one.necessary:.1f}",
            f"{one.cost.wall:.1f}",
            f"{one.ratio:.2f}",
            f"{one.cost.counts.requests:,}",
            f"{one.cost.counts.throttled.total()} ({100 * one.wasted:.1f}%)",
        )
        for one in paces
    ]
    rates = ", ".join(f"{kind} {rate:g}/s" for kind, rate in AWS.items())
    return (
        f"## Under AWS's quotas\n\nOne target, {1000 * LATENCY:.0f} ms of latency, and these quotas with"
        f" bursts of a second's worth: {rates} (where none is public, the default of"
        " `aws_limits.py`). The rates are the default rates. *Necessary* is what the"
        " slowest class of the calls made needs at its rate, with no burst; the process's own start is in"
        " the wall time. The target is 1.15, and 1% throttled.\n\n" + _table(head, body)
    )


def _ways(ways: list[RetryResult]) -> str:
    head = ("way", "threads", "seconds", "lost", "requests")
    body = [
        (one.way.label, str(one.way.threads), f"{one.seconds:.1f}", str(one.lost), str(one.requests))
        for one in ways
    ]
    return (
        f"## Retries: {PUTS} puts against {RATE:.0f} a second\n\nA burst of {RATE:.0f} is let through, so"
        f" {IDEAL:.0f} s are the least. All ways ran at the same time, each on a region of its own.\n\n"
        + _table(head, body)
    )


def _starts(starts: list[Start]) -> str:
    base = next((one.seconds for one in starts if one.command == "import click"), 1.0)
    body = [(one.command, f"{1000 * one.seconds:.0f}", f"{one.seconds / base:.2f}") for one in starts]
    return (
        f"## Start\n\nTargets: `--help` in {HELP_LIMIT} × the time of importing click, and the first line of"
        f" progress in {FIRST_LINE_LIMIT} s.\n\n" + _table(("command", "median ms", "× click"), body)
    )


def _profile(text: str) -> str:
    return (
        "## Where the CPU of an in-sync plan of 10,000 goes\n\n"
        "One target; cProfile in one thread, CPU time (`profiled.py`).\n\n" + text.strip()
    )
