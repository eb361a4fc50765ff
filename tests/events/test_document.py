"""docs/event-driven.md, followed from top to bottom: every command in it runs, and does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import urllib3
from moto.server import ThreadedMotoServer

from tests.docs.pages import blocks_of

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "event-driven.md").read_text()


def commands() -> list[str]:
    blocks = blocks_of(ROOT / "docs" / "event-driven.md")
    return [command.text for why, commands in blocks if why is None for command in commands]


def test_every_piece_runs(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "try"
    here.mkdir()
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        # The server shares the parameters of all tests in this process.
        urllib3.request("POST", f"{url}/moto-api/reset", timeout=60, retries=3)
        script = "set -eu\n" + "\n".join(commands()).replace("http://127.0.0.1:5000", url)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        result = subprocess.run(
            ["bash", "-c", script], cwd=here, capture_output=True, text=True, check=False, timeout=300,
            env=kept | {"PATH": path, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.findall(r'^"(.*)"$', result.stdout, re.MULTILINE) == [
            "one.example.org", "hunter2", "two.example.org",
        ]  # fmt: skip
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        there = boto3.client("ssm", region_name="us-east-2", endpoint_url=url)
        assert [one["Name"] for one in there.describe_parameters()["Parameters"]] == ["/prod/key"]
    finally:
        server.stop()


def test_every_section_of_the_seed_has_one_of_ours() -> None:
    headings = re.findall(r"^## (.*)$", DOCUMENT, re.MULTILINE)
    for section in (
        "Overview",
        "Serverless Framework Setup",
        "Code Setup",
        "ssm_full_replication",
        "ssm_regional_replication",
    ):
        assert any(section in heading for heading in headings), section


def test_it_does_not_claim_to_have_been_tried_on_aws() -> None:
    assert "Nothing on this page was run on AWS" in DOCUMENT
