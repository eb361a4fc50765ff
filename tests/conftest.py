"""Settings and fixtures for all tests: order and workers, no GitHub environment, warm commands."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.botocore_data import share_loader
from tests.doubles.command_server import CommandServer, command_server
from tests.doubles.hypothesis_constants import leave_out_constants
from tests.doubles.one_thread import run_in_one_thread
from tests.property import profiles

TESTS = Path(__file__).parent
MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of the user in it
MEMORY_BYTES = 2 * 2**30
QUICK = {"architecture", "cases", "contract", "examples", "github", "unit"}
"""Folders of which most tests take milliseconds."""
IN_ONE_THREAD = {"cases", "faults", "property", "silence", "unit"}
"""Folders whose tests run thread pools in one thread, except those with the mark `threads`."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return three workers for two processors: about a quarter of the time, a test waits.

    A server answers, a rate limit passes, a signal arrives. None leaves the choice to xdist.
    """
    if config.option.numprocesses != "auto" or "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return processors + (processors + 1) // 2


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for a random order."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run in the random order of a seed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each worker an equal part of the long tests first: a run then ends with tests of milliseconds.

    `--dist worksteal` cuts the list into as many equal parts as there are workers, in its order.
    """
    if config.option.shuffle is not None:
        random.Random(config.option.shuffle).shuffle(items)  # noqa: S311 - an order, the same for each worker
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    folders = {path: _folder(path) for path in {item.path for item in items}}
    quick = [item for item in items if folders[item.path] in QUICK]
    long = [item for item in items if folders[item.path] not in QUICK]
    items[:] = [
        item
        for n in range(workers)
        for part in (long, quick)
        for item in part[len(part) * n // workers : len(part) * (n + 1) // workers]
    ]


def _folder(path: Path) -> str:
    return path.relative_to(TESTS).parts[0]


def pytest_configure() -> None:
    """Prepare the process before any test module reads the environment or imports boto3."""
    gc.disable()  # almost nothing is garbage before the first test
    profiles.load()
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "ACTIONS_", "RUNNER_")):
            del os.environ[name]
    if _fits_into_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    share_loader()


def _fits_into_memory() -> bool:
    """Whether `tmp_path` can be in memory: repositories and virtual environments are thousands of files."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= MEMORY_BYTES and not found.f_flag & os.ST_NOEXEC


def pytest_collection_finish() -> None:
    """Exclude tests and libraries from garbage collection: a full collection takes most of its time there."""
    if "hypothesis" in sys.modules:
        leave_out_constants()
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run thread pools in one thread where the test is not about threads."""
    if _folder(request.path) in IN_ONE_THREAD and request.node.get_closest_marker("threads") is None:
        run_in_one_thread(monkeypatch)


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandServer]:
    """Return the warm interpreter of this worker, which forks commands.

    With INSTALLED_WHEEL=1, commands are those of the installed wheel, each in a process of its own.
    """
    from tests.e2e.wheel import installed_commands

    start = installed_commands if os.environ.get("INSTALLED_WHEEL") else command_server
    with start() as started:
        yield started


@pytest.fixture(scope="session")
def programs(commands: CommandServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for PATH with `ssm-reconcile` and `aws`, both forked by the warm interpreter."""
    folder = tmp_path_factory.mktemp("programs")
    for program in ("ssm-reconcile", "aws"):
        commands.write_stub(folder, program)
    return folder
