"""The simulated AWS of a command, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result

from ssm_reconcile.cli import command_run, root
from ssm_reconcile.renderers.escaping import dumps
from tests.doubles.clock import FakeClock
from tests.github.content import REPOSITORY, Hub
from tests.simulated_aws import SimulatedAws

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets:
  - region: us-east-2
  - region: eu-west-1
parameters: { include: ["/app/**"] }
delete: owned
"""
ACCOUNT = "123456789012"
WITH_ACCOUNT = SPEC.replace("region: us-east-1", f'region: us-east-1, account: "{ACCOUNT}"')
SECRET = "correct horse battery staple"
NUMBER = 7
HEAD = "3f9c2ab" + "0" * 33
MERGE = "abcdef0" + "0" * 33
TOKEN = "ghs-of-the-run"
Cli: TypeAlias = Callable[..., Result]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimulatedAws:
    """Three parameters at the source, nothing in the targets, and the spec in the current directory.

    The clock starts now, since the age of a saved plan follows from the time of day.
    """
    found = SimulatedAws(clock=FakeClock(datetime.now(UTC), tick=timedelta(milliseconds=1)))
    found.put("/app/url", "https://example.org")
    found.put("/app/hosts", "a,b", "StringList")
    found.put("/app/key", SECRET, "SecureString")
    found.connect_command_line(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text(SPEC)
    return found


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with a spec, a folder of specs, and no AWS."""

    def connect(*_: object) -> None:
        pytest.fail("it went to AWS")

    monkeypatch.setattr(command_run, "connect_factory", connect)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs").mkdir()
    (tmp_path / "replication.yaml").write_text(WITH_ACCOUNT)
    for name in ("a", "b"):
        text = WITH_ACCOUNT.replace("name: prod", f"name: {name}").replace("/app/", f"/{name}/")
        (tmp_path / "specs" / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def cli() -> Cli:
    """Runs the command line in this process; stdin is not a terminal."""

    def run(*words: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(root, list(words), input=stdin)

    return run


@pytest.fixture
def hub(empty_hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A run on a pull request, in an empty directory."""
    (tmp_path / "event.json").write_text(
        json.dumps({"pull_request": {"number": NUMBER, "head": {"sha": HEAD}}})
    )
    monkeypatch.chdir(tmp_path)
    hub = empty_hub
    hub.pulls[NUMBER] = {
        "number": NUMBER, "head": {"sha": HEAD, "ref": "change"}, "base": {"ref": "main"},
        "merged_at": None, "merge_commit_sha": MERGE,
    }  # fmt: skip
    hub.merged_by[MERGE] = [NUMBER]
    hub.branches["main"] = [MERGE]
    result = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_API_URL": hub.api_url,
        "GITHUB_GRAPHQL_URL": hub.graphql_url,
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_SHA": "1" * 40,
        "GITHUB_REF": f"refs/pull/{NUMBER}/merge",
        "GITHUB_RUN_ID": "19822345678",
        "GITHUB_RUN_NUMBER": "214",
        "GITHUB_WORKFLOW": "SSM plan",
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    for name, value in result.items():
        monkeypatch.setenv(name, value)
    return hub


@pytest.fixture
def push(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The merge of that pull request."""
    hub.pulls[NUMBER]["state"] = "closed"
    hub.pulls[NUMBER]["merged_at"] = hub.pulls[NUMBER]["merged_at"] or "2026-11-23T10:00:00Z"
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    monkeypatch.setenv("GITHUB_SHA", MERGE)
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    monkeypatch.setenv("GITHUB_WORKFLOW", "SSM apply")
    Path("event.json").write_text("{}")


def outputs() -> dict[str, str]:
    """Return the step outputs."""
    return dict(line.split("=", 1) for line in Path("output").read_text().splitlines())


def save(document: dict[str, Any], name: str = "plan.json") -> str:
    """Save a document and return the name of the file."""
    Path(name).write_text(dumps(document))
    return name
