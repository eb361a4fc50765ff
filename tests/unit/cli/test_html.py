"""`--format html` at the door: plan, apply and show, without a secret."""

from __future__ import annotations

from pathlib import Path

from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, Cli


def test_a_plan_as_a_page_is_alone_on_stdout(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("plan", "--format", "html", "--target", "us-east-2")
    assert result.exit_code == 0
    assert result.stdout.startswith("<!doctype html>")
    assert result.stdout.endswith("</html>\n")
    assert "ssm-reconcile apply --target us-east-2 --expect-plan" in result.stdout
    assert "https://example.org" in result.stdout
    assert SECRET not in result.output


def test_a_saved_plan_is_shown_as_the_page_that_it_was(aws: SimulatedAws, cli: Cli) -> None:
    page = cli("plan", "--format", "html", "--out", "plan.json").stdout
    assert cli("show", "plan.json", "--format", "html").stdout == page


def test_an_apply_as_a_page_says_what_became_of_each_change(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--yes", "--format", "html", "--out", "report.json")
    assert result.exit_code == 0
    assert "applied 6 of 6 changes" in result.stdout
    assert result.stdout.count('data-s="applied"') == 3
    assert SECRET not in result.output
    shown = cli("show", "report.json", "--format", "html").stdout
    assert shown == result.stdout
    assert Path("report.json").exists()
