"""`--summary` and `--full` of `plan` and `show`: the part of a plan that a text shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli

SHOW = ("show", "plan.json")


@pytest.mark.parametrize("command", [("plan",), SHOW])
def test_a_summary_names_no_parameter_and_full_names_each(
    aws: SimulatedAws, cli: Cli, command: tuple[str, ...]
) -> None:
    assert cli("plan", "--out", "plan.json").exit_code == 0
    summary, full = cli(*command, "--summary").stdout, cli(*command, "--full").stdout
    assert "6 to create" in summary
    assert "/app/url" not in summary
    assert "/app/url" in full
    assert summary.splitlines()[-1] == full.splitlines()[-1]
    assert "apply --expect-plan" in summary


def test_full_lists_the_changes_that_are_otherwise_counted(aws: SimulatedAws, cli: Cli) -> None:
    for number in range(50):
        aws.put(f"/app/many/{number:02}", "x")
    assert "/app/many/* × 50" in cli("plan").stdout
    assert cli("plan", "--full").stdout.count("  + /app/many/") == 50


@pytest.mark.parametrize("command", [("plan",), SHOW])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--summary", "--full"), "--summary and --full contradict each other"),
        (("--full", "--format", "json"), "--full is for --format text"),
        (("--summary", "--format", "html"), "--summary is for --format text"),
    ],
)
def test_a_contradiction_is_wrong_usage(
    aws: SimulatedAws, cli: Cli, command: tuple[str, ...], flags: tuple[str, ...], message: str
) -> None:
    assert cli("plan", "--out", "plan.json").exit_code == 0
    result = cli(*command, *flags)
    assert result.exit_code == 64
    assert message in result.stderr


def test_a_report_has_no_summary(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes", "--out", "report.json").exit_code == 0
    result = cli("show", str(Path("report.json")), "--summary")
    assert result.exit_code == 64
    assert "--summary is for a plan" in result.stderr
