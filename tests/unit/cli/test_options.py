"""Options of click against the dataclasses that take them by name, which no type checker compares."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import click
import pytest

from ssm_reconcile.cli import init, init_github, publish
from ssm_reconcile.cli.options import CommonOptions

COMMON = {field.name for field in dataclasses.fields(CommonOptions)}


@pytest.mark.parametrize(
    ("command", "taken_by", "computed"),
    [
        (publish.command, [publish.Publisher], {"run", "specs", "common"}),
        (init.command, [init.InitOptions, init_github.GitHubOptions], set()),
    ],
)
def test_the_options_of_a_command_are_the_fields_of_its_dataclasses(
    command: click.Command, taken_by: list[Any], computed: set[str]
) -> None:
    """`computed`: the fields that the command itself sets."""
    assert command.callback is not None
    parameters = inspect.signature(command.callback).parameters.values()
    named = {one.name for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD}
    given = {str(one.name) for one in command.params} - named - COMMON
    assert given == {field.name for one in taken_by for field in dataclasses.fields(one)} - computed
