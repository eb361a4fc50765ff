"""Tests of a copy of the tree, run in a fork of this process, which has imported the libraries only.

A fork starts in a tenth of the time of a new interpreter. It has a session, an environment and a folder for
temporary files of its own. All processes that the tests leave are killed.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LIBRARIES = (
    "awscli.clidriver", "aws_lambda_powertools", "boto3", "botocore.client", "botocore.endpoint",
    "click.testing", "deepdiff", "flask", "hypothesis.strategies", "jsonschema", "moto.kms.models",
    "moto.server", "moto.ssm.models", "re2", "rich.console", "rich.markdown", "rich.table", "yaml",
)  # fmt: skip
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0", "--no-header", "-rN")
ROOT = Path(__file__).parents[1]
SUBREAPER = 36
"""Of prctl on Linux: orphans become children of this process, which can then kill them."""


@dataclass(frozen=True, slots=True)
class Run:
    """End of a run of tests. `failed` is the first test that failed, if the run reached a test."""

    code: int
    failed: str = ""
    count: int = 0
    seconds: float = 0.0
    is_timeout: bool = False

    @property
    def is_passed(self) -> bool:
        """Whether all tests passed. A module whose tests no longer exist has none that fails."""
        return self.code in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}


class Selection:
    """Plugin: runs the given tests only, in their order, and notes the first that fails."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.order = {test: n for n, test in enumerate(tests)}
        self.failed = ""
        self.count = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the other tests of the files."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.order), key=lambda item: self.order[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        self.count += report.when == "call"
        if report.failed:
            self.failed = self.failed or report.nodeid


def copy_tree(root: Path, to: Path) -> None:
    """Copy the files of git, as they are in the work tree."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=root, check=True, capture_output=True,
    ).stdout.decode().split("\0")  # fmt: skip
    for name in names:
        if name and (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)


def warm_up() -> None:
    """Import the libraries."""
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)


def adopt_orphans() -> None:
    """Become the parent of the processes that tests leave, which are then killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1)


def run_tests(tree: Path, tests: Sequence[str], seconds: float) -> Run:
    """Run tests of a tree until one fails."""
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))

    def run() -> dict[str, Any]:
        plugin = Selection(tests)
        code = pytest.main([*OPTIONS, "-x", *files], plugins=[plugin])
        return {"code": int(code), "failed": plugin.failed, "count": plugin.count}

    started = time.monotonic()
    found, is_timeout = in_fork(tree, run, seconds)
    return Run(**(found or {"code": -1}), seconds=time.monotonic() - started, is_timeout=is_timeout)


def in_fork(
    tree: Path, work: Callable[[], dict[str, Any]], seconds: float, **environment: str
) -> tuple[dict[str, Any] | None, bool]:
    """Return the result of a function that runs in a fork in `tree`, and whether it ran too long."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            _enter(tree, environment)
            os.write(writing, json.dumps(work()).encode() + b"\n")
        except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
            traceback.print_exc()
        os.kill(os.getpid(), signal.SIGKILL)  # no exit functions of the libraries
    os.close(writing)
    text, until = b"", time.monotonic() + seconds
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([reading], [], [], max(0.0, until - time.monotonic()))
        more = os.read(reading, 65536) if ready else b""
        if not more:
            break
        text += more
    is_timeout = not text.endswith(b"\n") and time.monotonic() >= until
    os.close(reading)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    _kill_orphans()
    return (json.loads(text) if text.endswith(b"\n") else None), is_timeout


def _enter(tree: Path, environment: dict[str, str]) -> None:
    os.setsid()
    os.chdir(tree)
    scratch = tree.parent / f"tmp-{tree.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    path = f"{tree / 'src'}:{tree}"
    os.environ |= {
        "PYTHONPATH": path,
        "TMPDIR": str(scratch),
        "PYTEST_DEBUG_TEMPROOT": str(scratch),
        **environment,
    }
    sys.path[:] = [
        *path.split(":"),
        *(p for p in sys.path if Path(p) not in {ROOT, ROOT / "tools", ROOT / "src"}),
    ]
    for name in [
        name for name in sys.modules if name.partition(".")[0] in {"tools", "tests", "ssm_reconcile"}
    ]:
        del sys.modules[name]
    sys.argv[:] = ["pytest"]
    with (tree.parent / f"log-{tree.name}").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _kill_orphans() -> None:
    """Kill the processes that the tests left: only those below this process."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        if not pids:
            return
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
