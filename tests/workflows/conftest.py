"""One moto server for all, emptied for each test; a repository, a GitHub and an AWS of its own each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from moto.server import ThreadedMotoServer

from tests.doubles.command_server import CommandServer
from tests.github.content import Hub
from tests.github.server import serving_in_turn
from tests.workflows.stage import SECRET, Stage


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def fresh_hub() -> Iterator[Callable[[], Hub]]:
    with serving_in_turn() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of every stage, one after the other: what is restored has its path."""
    return tmp_path_factory.mktemp("stages") / "stage"


@pytest.fixture
def stage(aws: str, commands: CommandServer, fresh_hub: Callable[[], Hub], place: Path) -> Iterator[Stage]:
    """Three parameters, one of them secret; main selects what is below /app; nothing is applied yet."""
    urllib3.request("POST", f"{aws}/moto-api/reset", timeout=60, retries=3)
    stage = Stage(fresh_hub(), aws, place, commands.stub("ssm-reconcile"))
    stage.put("/app/url", "https://example.org")
    stage.put("/app/key", SECRET, kind="SecureString")
    stage.put("/shop/limit", "100")
    yield stage
    shutil.rmtree(place)
