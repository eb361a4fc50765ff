"""Commands -> the time that each takes to start: `--help`, and `plan` to its first line of progress."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import PRODUCT
from benchmarks.seeds import Seed, spec_text
from benchmarks.served import environment

ROUNDS = 20
HELP_LIMIT = 1.4
"""The target of `--help`, as a multiple of importing click."""
FIRST_LINE_LIMIT = 0.5
"""The target of the first line of progress, in seconds."""
FIRST_LINE = "plan: first line of progress"
_COMMANDS = {
    "python": ("-c", "pass"),
    "import click": ("-c", "import click"),
    "--version": ("-m", "ssm_reconcile", "--version"),
    "--help": ("-m", "ssm_reconcile", "--help"),
    "import boto3": ("-c", "import boto3"),
}


@dataclass(frozen=True, slots=True)
class Start:
    """A command and the median of its seconds."""

    command: str
    seconds: float


def measure_starts(rounds: int = ROUNDS) -> list[Start]:
    """Run each command in turn, `rounds` times, and return the medians.

    A round before them, which does not count, lets Python write the compiled modules.
    """
    taken: dict[str, list[float]] = {command: [] for command in (*_COMMANDS, FIRST_LINE)}
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "replication.yaml")
        spec.write_text(spec_text(Seed(1), {}))
        for number in range(rounds + 1):
            once = {command: _seconds(words) for command, words in _COMMANDS.items()}
            once[FIRST_LINE] = _seconds_to_first_line(spec)
            for command, seconds in once.items():
                taken[command] += [seconds] * (number > 0)
    return [Start(command, statistics.median(times)) for command, times in taken.items()]


def _seconds(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment())
    return time.perf_counter() - began


def _seconds_to_first_line(spec: Path) -> float:
    """Return the seconds from the start of a plan to its first line on stderr; stop the plan there."""
    began = time.perf_counter()
    command = [*PRODUCT, "plan", "--endpoint-url", "http://127.0.0.1:9", str(spec)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
    ) as plan:
        assert plan.stderr is not None, "a pipe"
        line = plan.stderr.readline()
        taken = time.perf_counter() - began
        plan.kill()
    if not line.startswith("Opening "):
        raise RuntimeError(f"a plan began with another line: {line}")
    return taken
