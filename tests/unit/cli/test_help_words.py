"""Help of each command: the environment variables that it reads, and a word for the value of each option."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ssm_reconcile.cli import doctor, github, publish
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.github.workflow_run import read_workflow_run, workspace
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_help import each_command

OF_A_RUN = [publish.command, *(one for name, one in github.command.commands.items() if name != "suffix")]


class Variables(dict[str, str]):
    """Environment variables that record which of them are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override] # its only form here
        """Return the default, and record the name."""
        self.read.add(name)
        return default


@pytest.mark.parametrize("command", OF_A_RUN, ids=lambda command: command.name)
def test_the_help_covers_each_variable_of_a_workflow_run(command: click.Command) -> None:
    assert isinstance(command, DocumentedCommand)
    variables = Variables()
    read_workflow_run(variables)
    workspace(variables)
    assert variables.read >= {"GITHUB_TOKEN", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"}
    starts = tuple(name.removesuffix("*") for name in command.environment if name.endswith("*"))
    others = variables.read - command.environment.keys()
    assert {one for one in others if not one.startswith(starts)} == set()


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"GITHUB_TOKEN": "t"},
        {"GITHUB_TOKEN": "t", "GITHUB_SERVER_URL": "https://git.example.com"},
    ],
    ids=["no token", "no repository", "half of a server"],
)
def test_each_variable_that_doctor_misses_is_in_its_help(
    known: dict[str, str], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(doctor, "_output", lambda *_: "")
    monkeypatch.chdir(tmp_path)
    result = cli("doctor", "--github")
    assert result.exit_code == 64
    missing = set(re.findall(r"\b(?:GITHUB|GH)_[A-Z_]+", result.stderr))
    assert missing
    assert missing <= set(re.split(r"[\s:;.]+", cli("doctor", "--help").stdout))


@each_command
def test_an_option_has_its_own_word_for_its_value(words: tuple[str, ...], command: click.Command) -> None:
    """Not the TEXT or PATH of click, which says less than `--help` shows elsewhere."""
    options = [one for one in command.params if isinstance(one, click.Option)]
    taking = [one for one in options if not (one.is_flag or one.count or isinstance(one.type, click.Choice))]
    assert [one.opts for one in taking if one.metavar is None] == []
