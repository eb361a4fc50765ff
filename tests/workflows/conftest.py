"""One moto server for all, emptied for each test; a repository, a GitHub and an AWS of its own each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from moto.server import ThreadedMotoServer

from tests.doubles.command_server import CommandServer
from tests.github.server import serving
from tests.workflows.stage import SECRET, Stage


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def stage(aws: str, commands: CommandServer, tmp_path: Path) -> Iterator[Stage]:
    """Three parameters, one of them secret; main selects what is below /app; nothing is applied yet."""
    urllib3.request("POST", f"{aws}/moto-api/reset", timeout=60, retries=3)
    with serving() as hub:
        stage = Stage(hub, aws, tmp_path, commands.stub("ssm-reconcile"))
        stage.put("/app/url", "https://example.org")
        stage.put("/app/key", SECRET, kind="SecureString")
        stage.put("/shop/limit", "100")
        yield stage
    stage.forget()
