"""The reference against the program, and the help that it is made of."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from ssm_reconcile.cli import PROGRAM, root

ROOT = Path(__file__).parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = tool().opened(command, name, context)
        yield inner.command_path, command, inner
        if isinstance(command, click.Group):
            yield from commands(command, inner)


ALL = list(commands(root, tool().opened(root, PROGRAM)))


def test_the_reference_is_what_the_program_says() -> None:
    """In a process of its own: click keeps what it made first, and others may have made something else."""
    result = subprocess.run(
        [sys.executable, "tools/reference.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_reference_does_not_depend_on_what_has_run_before() -> None:
    before = tool().pages()
    assert CliRunner().invoke(root, ["plan", "-h"]).exit_code == 0
    assert tool().pages() == before
    assert "-h, --help" in before["commands.md"]


@pytest.mark.parametrize(("path", "command", "context"), ALL, ids=[path for path, _, _ in ALL])
def test_the_help_of_a_command_says_what_it_does_and_shows_an_example(
    path: str, command: click.Command, context: click.Context
) -> None:
    assert command.help
    assert command.help.strip()[0].isupper()
    parent = context.parent
    examples = (command.epilog or "") + ((parent.command.epilog or "") if parent else "")
    assert path in examples, f"no example of {path}"


@pytest.mark.parametrize(("path", "command", "context"), ALL, ids=[path for path, _, _ in ALL])
def test_every_option_says_what_it_is_for(path: str, command: click.Command, context: click.Context) -> None:
    silent = [
        param.name
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden and not (param.help or "").endswith(".")
    ]
    assert silent == []


def test_every_key_of_a_spec_is_in_the_reference_with_what_it_is_for() -> None:
    page = (ROOT / "docs" / "reference" / "spec.md").read_text(encoding="utf-8")
    for name in ("previous_names", "skip_sync", "rewrite", "changed_outside", "rates"):
        assert f"## `{name}`" in page
    for path in ("targets[].kms.keys", "guards.max_deletes", "rewrite[].from", "parameters.include"):
        assert f"`{path}`" in page
