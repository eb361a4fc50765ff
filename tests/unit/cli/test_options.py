"""Options of click against the code that takes them by name, which no type checker compares."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import click
import pytest

from ssm_reconcile.cli import command_run, init, init_github, publish
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import SHOWN_RATES
from tests.doubles.clock import FakeClock

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


def test_the_options_of_access_reach_the_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    class Stores:
        connect = None

        def __init__(self, **named: object) -> None:
            given.update(named)

    monkeypatch.setattr("ssm_reconcile.stores.ssm.Aws", Stores)
    clock = FakeClock()
    command_run.connect_factory(CommonOptions(profile="p", endpoint_url="http://h", parallelism=3), clock)
    assert given.pop("on_rate") == SHOWN_RATES.note
    assert given == {"profile": "p", "endpoint_url": "http://h", "parallelism": 3, "clock": clock}
