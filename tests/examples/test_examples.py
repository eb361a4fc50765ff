"""Every folder of examples/: valid, planned, applied and at rest, over a world in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ssm_reconcile.cli import root
from tests.cases.steps import arrange, secrets

EXAMPLES = Path(__file__).parents[2] / "examples"
WORLDS: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / "worlds.yaml").read_text())


def counts(*words: str) -> dict[str, int]:
    result = CliRunner().invoke(root, ["plan", "--format", "json", *words])
    assert result.exit_code == 0, result.output
    summary: dict[str, int] = json.loads(result.stdout)["summary"]
    return {word: number for word, number in summary.items() if number}


def test_each_example_has_a_world_and_a_line_in_the_list() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == set(WORLDS)
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"({name}/" in listed for name in folders)


@pytest.mark.parametrize("name", WORLDS)
def test_an_example_plans_applies_and_comes_to_rest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = WORLDS[name]
    aws = arrange(said)
    aws.connect_command_line(monkeypatch)
    monkeypatch.chdir(EXAMPLES / name)
    paths = said.get("paths", [])
    valid = CliRunner().invoke(root, ["validate", *paths])
    assert (valid.exit_code, valid.stderr) == (0, "")
    assert counts(*paths) == said["summary"]
    applied = CliRunner().invoke(root, ["apply", "--yes", *paths])
    assert applied.exit_code == said.get("apply", 0), applied.output
    assert not any(secret in applied.output for secret in secrets(aws))
    aws.pass_time()
    rest = counts(*paths)
    rest.pop("skipped", None)
    written = sum(number for word, number in said["summary"].items() if word not in ("skipped", "withheld"))
    assert rest == said.get("again", {"in_sync": written})


def test_every_example_names_the_schema_for_editors() -> None:
    for path in EXAMPLES.rglob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (path.parent / first.split("=", 1)[1]).resolve().name == "replication.schema.json"
        assert (path.parent / first.split("=", 1)[1]).exists()
