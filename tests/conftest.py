"""Settings and fixtures for all tests: no GitHub environment, one copy of botocore's data, warm commands."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.botocore_data import share_loader
from tests.doubles.command_server import CommandServer, command_server


def pytest_configure() -> None:
    """Prepare the process before any test module reads the environment or imports boto3."""
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "ACTIONS_", "RUNNER_")):
            del os.environ[name]
    share_loader()


def pytest_collection_finish() -> None:
    """Exclude tests and libraries from garbage collection: a full collection takes most of its time there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandServer]:
    """Return the warm interpreter of this worker, which forks commands."""
    with command_server() as started:
        yield started


@pytest.fixture(scope="session")
def programs(commands: CommandServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for PATH with `ssm-reconcile` and `aws`, both forked by the warm interpreter."""
    folder = tmp_path_factory.mktemp("programs")
    for program in ("ssm-reconcile", "aws"):
        commands.write_stub(folder, program)
    return folder
