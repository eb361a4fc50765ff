"""The text of `status`: groups, paths, columns, colours and the next command, at several widths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssm_reconcile.change import Action
from ssm_reconcile.cli.status import _next_step
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.documents.status import REPLICA_STATES
from ssm_reconcile.renderers.status_text import status_text
from ssm_reconcile.renderers.terminal_text import PATHS
from ssm_reconcile.status import ReplicaState, Status, TargetStates
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.test_status import document, entry, mixed, status_of

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli

__all__ = ["mixed"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which the columns fit."""
    monkeypatch.setenv("COLUMNS", "100")


def test_the_text_has_colours_only_if_they_are_asked_for(mixed: SimulatedAws, cli: Cli) -> None:
    coloured = cli("status", "--color", "always", "--target", "us-east-2").stdout
    plain = cli("status", "--target", "us-east-2").stdout
    assert "\x1b[" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_in_sync_and_excluded_are_counted_by_path_unless_they_are_asked_for(
    cli: Cli, aws: SimulatedAws
) -> None:
    for number in range(30):
        aws.put(f"/app/many/{number:02}", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    text = cli("status", "--target", "us-east-2").stdout
    assert "  in_sync (33)\n    /app/* × 3\n    /app/many/* × 30\n" in text
    assert "/app/many/07" not in text
    assert text.startswith("prod: source 123456789012/us-east-1, status at ")
    assert "\n  us-east-2  33 in_sync\n" in text
    assert "/app/many/07" in cli("status", "--target", "us-east-2", "--state", "in_sync").stdout


def test_two_thousand_new_parameters_are_a_few_lines() -> None:
    names = [f"/app/{number % 100:02}/{number:04}" for number in range(2000)]
    found = status_of(*(entry(name, state="create") for name in names), create=2000)
    lines = status_text(found, width=100).splitlines()
    assert len(lines) < PATHS
    assert "    /app/** × 2,000" in lines


def test_a_group_has_at_most_forty_paths() -> None:
    def paths(number: int) -> int:
        names = [f"/app/{part:02}/{i}" for part in range(number) for i in range(3)]
        text = status_text(status_of(*map(entry, names)), width=100)
        return sum(line.startswith("    /") for line in text.splitlines())

    assert (paths(PATHS), paths(PATHS + 1)) == (PATHS, 1)


@pytest.mark.parametrize(
    ("delete", "last"),
    [
        ("", "Next: ssm-reconcile explain /app/other --target us-east-2"),
        ("/app/other", "Next: ssm-reconcile plan --target us-east-2"),
    ],
)
def test_the_text_ends_with_the_next_command(mixed: SimulatedAws, cli: Cli, delete: str, last: str) -> None:
    if delete:
        mixed.delete(delete, region="us-east-2")
    text = cli("status", "--target", "us-east-2").stdout
    assert text.splitlines()[-1] == last
    assert text.count("ssm-reconcile explain") + text.count("ssm-reconcile plan") == 1


def test_a_status_in_sync_has_no_next_command(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes", "-q").exit_code == 0
    assert "Next:" not in cli("status").stdout


@pytest.mark.parametrize("state", REPLICA_STATES)
def test_a_plan_follows_the_states_that_it_may_change(state: str) -> None:
    """A parameter of another owner, or one that cannot be written, is explained; the others need nothing."""
    target = TargetStates("prod", "1/us-east-1", "west", "1/us-west-2", True, (ReplicaState("/a", state),))
    command = _next_step(Status((target,)), CommandLine())
    may_change = state in {*Action, "orphan", "unproven"}
    is_decided_elsewhere = state in {"conflict", "foreign", "copied", "invalid"}
    assert command.startswith("ssm-reconcile plan") is may_change
    assert command.startswith("ssm-reconcile explain /a") is is_decided_elsewhere
    assert bool(command) is (may_change or is_decided_elsewhere)


def test_a_reason_is_printed_once_for_its_group(mixed: SimulatedAws, cli: Cli) -> None:
    mixed.put("/app/new2", "v")
    text = cli("status", "--target", "us-east-2").stdout
    assert text.count("its source is gone") == 1
    assert "  create (2)\n    /app/new " in text


def test_columns_align_at_a_hundred_columns(
    mixed: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = cli("status", "--target", "us-east-2").stdout.splitlines()
    (head,) = (line for line in lines if line.startswith("    name "))
    (gone,) = (line for line in lines if line.startswith("    /app/old "))
    assert gone[head.index("source version") :].startswith("1 (gone)")
    assert gone[head.index("age") :].startswith("3 days")
    assert gone[head.index("writer") :] == "role ssm-reconcile"


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_no_line_is_wider_than_the_terminal(
    mixed: SimulatedAws, cli: Cli, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = cli("status").stdout
    assert max(map(len, text.splitlines())) <= width
    assert "role deploy" in text
    assert "1 (now 2)" in text


def test_a_long_name_is_not_cut() -> None:
    name = "/" + "/".join(["level"] * 30)
    lines = status_text(status_of(entry(name, state="update")), width=80).splitlines()
    assert f"    {name}" in lines
    assert "      source version 1, 2026-11-23 12:00 UTC (1 min)" in lines


def test_hostile_text_has_no_effect_on_a_terminal() -> None:
    text = status_text(
        status_of(entry("\x1b[31m", state="x\n", writer="\u202eevil", reasons=["\x07"])), width=80
    )
    assert not {"\x1b", "\u202e", "\x07"} & set(text)


def test_a_wrapped_reason_is_not_a_command_for_a_runner() -> None:
    reason = f"it is a replica of {'x' * 50} ::error::forged"
    text = status_text(status_of(entry(state="foreign", reasons=[reason])), width=60)
    assert "forged" in text
    assert not re.search(r"^\s*::", text, re.MULTILINE)


def test_each_of_several_replications_has_its_own_part(aws: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    text = spec.read_text()
    spec.write_text(f"{text}---\n{text.replace('prod', 'stage').replace('/app/', '/stage/')}")
    aws.put("/stage/a", "v")
    shown = cli("status").stdout
    assert "\nstage: source 123456789012/us-east-1" in shown
    assert "\nstage, us-east-2 (123456789012/us-east-2)\n" in shown
    assert {one["replication"] for one in document(cli, "--name", "stage")["replicas"]} == {"stage"}
