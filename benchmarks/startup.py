"""The start-up time of `--help` and `--version`, as a multiple of importing click."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.served import environment

ROUNDS = 15
LIMIT = 1.6
"""Times click's own import (the issue of the same name in the house's targets)."""
_COMMANDS = {
    "python": ("-c", "pass"),
    "import click": ("-c", "import click"),
    "--version": ("-m", "ssm_reconcile", "--version"),
    "--help": ("-m", "ssm_reconcile", "--help"),
    "import boto3": ("-c", "import boto3"),
}


@dataclass(frozen=True, slots=True)
class Start:
    """Median seconds of one way to start."""

    what: str
    seconds: float


def starts(rounds: int = ROUNDS) -> list[Start]:
    """Each command in turn, so many rounds; the median of each."""
    taken: dict[str, list[float]] = {what: [] for what in _COMMANDS}
    for _ in range(rounds):
        for what, words in _COMMANDS.items():
            taken[what].append(_seconds(words))
    return [Start(what, statistics.median(times)) for what, times in taken.items()]


def _seconds(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment())
    return time.perf_counter() - began
