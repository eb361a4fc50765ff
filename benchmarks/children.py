"""A command in a process of its own -> its cost: seconds, CPU, memory, and calls."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.served import ROOT, Counts, Server, environment

PRODUCT = (sys.executable, "-m", "ssm_reconcile")
TIMEOUT = 900.0
_KILOBYTE = 1024 if sys.platform != "darwin" else 1


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one run: `cpu` and `wall` in seconds, `memory` (peak RSS) in bytes.

    `output` is stdout, `errors` stderr.
    """

    wall: float
    cpu: float
    memory: int
    code: int
    counts: Counts
    output: str = ""
    errors: str = ""

    @property
    def megabytes(self) -> float:
        """Peak memory in MB (10^6 bytes)."""
        return self.memory / 1e6


def cost(
    server: Server,
    command: Sequence[str],
    *,
    allowed: frozenset[int] = frozenset({0}),
    extra: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Cost:
    """Run a command against the server; raise RuntimeError for an exit code that is not allowed.

    CPU and memory are those of the child and of its own children that it waited for, as the system
    counts them. It is killed when it takes longer than TIMEOUT.
    """
    server.counts()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env={**environment(), **(extra or {})}, cwd=cwd or ROOT,
        )  # fmt: skip
        usage, status = _waited(child.pid, began)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = (stream.read().decode(errors="replace") for stream in (out, err))
        if child.returncode not in allowed:
            last = f"{errors[-2000:]}\n{output[-2000:]}"
            message = f"{' '.join(command[:6])} ...: exit code {child.returncode}\n{last}"
            raise RuntimeError(message)
    return Cost(
        wall=wall,
        cpu=usage[0],
        memory=usage[1],
        code=child.returncode,
        counts=server.counts(),
        output=output,
        errors=errors,
    )


def _waited(pid: int, began: float) -> tuple[tuple[float, int], int]:
    """CPU seconds, peak bytes and status of a child, once it has ended.

    The peak is looked at while it runs, where that can be, and is of it and its own children at one
    moment: what the system says of an ended child leaves those out, and counts the moment before it
    became itself, when it was as large as its parent.
    """
    peak = 0
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            peak = peak or usage.ru_maxrss * _KILOBYTE
            return (usage.ru_utime + usage.ru_stime, peak), status
        together = sum(_bytes_of(one, "VmRSS:") for one in _family(pid))
        peak = max(peak, together, _bytes_of(pid, "VmHWM:"))
        if time.monotonic() - began > TIMEOUT:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _family(pid: int) -> list[int]:
    """Return the ids of a process and its descendants, according to /proc."""
    found = [pid]
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [one for child in listed.read_text().split() for one in _family(int(child))]
    return found


def _bytes_of(pid: int, what: str) -> int:
    """Return the current or peak memory of a running process in bytes; 0 if it is unknown."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith(what))
    return int(next(found, "0")) * 1024
