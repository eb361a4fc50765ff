"""Silence of the commands themselves: stdout, stderr, files and logs, however loud they are asked to be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssm_reconcile.cli import command_run, root
from ssm_reconcile.errors import Trouble
from ssm_reconcile.system import SystemClock
from tests.fake_aws.store import Memory
from tests.fake_aws.traffic import at_call, killed, lost, refused
from tests.fake_aws.world import World
from tests.silence.listening import listening
from tests.silence.planted import leaks, plant

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/app/**"] }
rewrite: [{ match: "/app/**", in: value, from: us-east-1, to: "{target.region}" }]
adopt: overwrite
delete: owned
"""
SECRETS = [plant(number, long=number >= 8) for number in range(16)]
LOUD = ("--debug", "-v", "--no-progress")
FAULTS = {
    "none": None,
    "denied": at_call("GetParameters", refused(Trouble.DENIED)),
    "lost": at_call("PutParameter", lost(done=True), nth=2),
    "refused": at_call("PutParameter", refused(Trouble.REFUSED)),
    "no credentials": at_call("DescribeParameters", refused(Trouble.CREDENTIALS)),
    "no server": at_call("GetCallerIdentity", refused(Trouble.UNREACHABLE)),
    "a bug": at_call("GetParameters", killed(ValueError(SECRETS[0].value), done=True)),
    "a bug in writing": at_call("PutParameter", killed(ValueError(SECRETS[0].value), done=True)),
}
"""A bug raises, of all things, the value itself."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """Secrets at the source; others, SecureString or plain, at every second name of the target."""
    made = World(SystemClock(threading.Event()))
    here, there = made.place("us-east-1"), made.place("us-east-2")
    for number, secret in enumerate(SECRETS):
        if number % 4 == 3:
            made.put(here, f"/app/{number}/password", secret.value)
        elif number % 2:
            made.put(there, f"/app/{number - 1}", secret.value, "SecureString" if number % 3 else "String")
        else:
            made.put(here, f"/app/{number}", secret.value, "SecureString")
    monkeypatch.setattr(command_run, "connect_factory", lambda *_: Memory(made).connect)
    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text(SPEC)
    yield made
    made.faults = None


def output_of(*words: str) -> dict[str, str]:
    """All that one command says, and what it raised."""
    with listening() as ear:
        result = CliRunner().invoke(root, list(words))
    said = {"stdout": result.stdout, "stderr": result.stderr, "log": "\n".join(ear.heard)}
    return {f"{' '.join(words)}: {where}": text for where, text in said.items()}


def files() -> dict[str, str]:
    """Return the files in the folder without the spec."""
    return {path.name: path.read_text() for path in Path().iterdir() if path.name != "replication.yaml"}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_command_says_a_secret(world: World, fault: str) -> None:
    world.faults = FAULTS[fault]
    said: dict[str, str] = {}
    for form in ("text", "json", "markdown", "html"):
        said |= output_of("plan", *LOUD, "--format", form, "--out", f"plan.{form}.json")
        said |= output_of("plan", *LOUD, "--verify-values", "--format", form)
    said |= output_of("plan", *LOUD, "--no-decrypt")
    said |= output_of("show", "--debug", "plan.json.json", "--format", "markdown")
    for name in ("/app/0", "/app/2", "/app/3/password"):
        said |= output_of("explain", *LOUD, name) | output_of("explain", *LOUD, name, "--format", "json")
    said |= output_of("explain", *LOUD, "/app/**") | output_of("explain", *LOUD, "/app/**", "--short")
    for form in ("text", "json", "csv"):
        said |= output_of("status", *LOUD, "--format", form)
    said |= output_of("doctor", *LOUD)
    for words in (("plan.json.json",), ("--yes",)):
        said |= output_of(
            "apply",
            *LOUD,
            *words,
            "--overwrite-outside",
            "--max-change-percent",
            "100",
            "--out",
            "report.json",
            "--format",
            "json",
        )
    said |= output_of("apply", *LOUD, "--yes", "--verify-values")
    said |= output_of("event", *LOUD, "--format", "html", written(json.dumps(["/app/0", "/app/3/password"])))
    assert leaks({**said, **files()}, SECRETS) == []
    if fault in ("none", "denied", "lost", "refused", "a bug in writing"):
        assert any("/app/0" in text for text in said.values()), "it spoke at all"


def written(text: str) -> str:
    """A file of that content: its name."""
    Path("event.json").write_text(text)
    return "event.json"


def test_the_world_of_this_test_is_one_in_which_everything_happens(world: World) -> None:
    """Or else silence would be cheap."""
    result = CliRunner().invoke(root, ["plan", "--format", "json"])
    summary = json.loads(result.stdout)["summary"]
    assert summary["create"] >= 3
    assert summary["update"] >= 3
    done = CliRunner().invoke(root, ["apply", "--yes", "--max-change-percent", "100", "--format", "json"])
    assert json.loads(done.stdout)["summary"]["applied"] == summary["create"] + summary["update"]
