"""Holds on the command line: exit codes, saved plans, events, and the outputs that show them."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ssm_reconcile.cli import validate
from tests.doubles.clock import FakeClock
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, SPEC, Cli

YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date()


def hold(text: str) -> None:
    """Add a hold to the spec in the current directory."""
    Path("replication.yaml").write_text(
        SPEC.replace('["/app/**"] }', f'["/app/**"], hold: [{{ {text} }}] }}')
    )


def test_a_held_name_is_in_the_counts_of_every_format(aws: SimulatedAws, cli: Cli) -> None:
    hold("match: /app/key, reason: waits for the new key")
    result = cli("plan", "--out", "plan.json", "--metrics", "metrics.txt")
    assert result.exit_code == 0
    assert "Held, left as they are: 2" in result.stdout
    assert "the hold on `/app/key` stops every change (waits for the new key)" in result.stdout
    document = json.loads(Path("plan.json").read_text())
    assert document["summary"]["held"] == 2
    assert {one["row"] for one in document["others"]} == {"held"}
    assert 'state="held"} 1' in Path("metrics.txt").read_text()
    for output_format in ("markdown", "html"):
        shown = cli("show", "plan.json", "--format", output_format).stdout
        assert "held" in shown
        assert "waits for the new key" in shown
        assert SECRET not in shown


def test_an_apply_leaves_a_held_name_and_ends_0(aws: SimulatedAws, cli: Cli) -> None:
    hold(f'match: /app/key, until: "{TOMORROW}"')
    result = cli("apply", "--yes")
    assert result.exit_code == 0, result.stderr
    assert aws.names("us-east-2") == ["/app/hosts", "/app/url"]


def test_an_expired_hold_ends_3_in_plan_apply_and_event(aws: SimulatedAws, cli: Cli) -> None:
    hold(f'match: /app/key, until: "{YESTERDAY}"')
    plan = cli("plan", "--format", "json")
    assert plan.exit_code == 3
    (finding,) = json.loads(plan.stdout)["findings"]
    assert (finding["severity"], finding["code"]) == ("error", "hold-expired")
    assert finding["where"] == "replication.yaml:7:44"
    assert "extend `until`" in finding["message"]
    assert cli("apply", "--yes", "--target", "us-east-2").exit_code == 3
    assert aws.names("us-east-2") == ["/app/hosts", "/app/url"]
    event = cli("event", "-", "--target", "eu-west-1", stdin="/app/url\n/app/key")
    assert event.exit_code == 3
    assert aws.names("eu-west-1") == ["/app/url"]


def test_the_last_day_of_a_hold_is_a_day_of_the_hold(aws: SimulatedAws, cli: Cli) -> None:
    hold(f'match: /app/key, until: "{aws.clock.now().date()}"')
    assert cli("plan").exit_code == 0


def test_a_saved_plan_judges_its_holds_as_of_the_plan(aws: SimulatedAws, cli: Cli) -> None:
    hold(f'match: /app/key, until: "{aws.clock.now().date()}"')
    assert cli("plan", "--target", "us-east-2", "--out", "plan.json").exit_code == 0
    aws.pass_time(hours=25)
    assert cli("plan", "--target", "us-east-2").exit_code == 3
    result = cli("apply", "plan.json")
    assert result.exit_code == 0, result.stderr
    assert aws.names("us-east-2") == ["/app/hosts", "/app/url"]
    aws.pass_time()
    assert cli("plan", "--target", "us-east-2").exit_code == 3


@pytest.mark.parametrize(("day", "code"), [(23, 0), (24, 0), (25, 1)])
def test_validate_ends_1_from_the_day_after_the_last_one(
    day: int, code: int, aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold('match: /app/key, until: "2026-12-24"')
    clock = FakeClock(datetime(2026, 12, day, 23, 59, tzinfo=UTC))
    monkeypatch.setattr(validate, "SystemClock", lambda: clock)
    result = cli("validate")
    assert result.exit_code == code
    assert ("[hold-expired]" in result.stderr) == bool(code)
    document = json.loads(cli("validate", "--format", "json").stdout)
    assert (document["valid"], document["usable"]) == (not code, True)
    assert [one["where"] for one in document["findings"]] == ["replication.yaml:7:44"] * code


def test_a_saved_plan_applies_nothing_at_a_name_that_is_held_since(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("plan", "--target", "us-east-2", "--out", "plan.json").exit_code == 0
    hold("match: /app/key")
    result = cli("apply", "plan.json")
    assert result.exit_code == 0, result.stderr
    assert aws.names("us-east-2") == ["/app/hosts", "/app/url"]


def test_a_held_name_does_not_count_as_drift_and_an_expired_hold_ends_3(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.put("/app/url", "https://example.net")
    hold("match: /app/url")
    assert cli("plan", "--fail-on-drift").exit_code == 0
    hold(f'match: /app/url, until: "{YESTERDAY}"')
    result = cli("plan", "--fail-on-drift")
    assert (result.exit_code, "Drift" in result.stderr) == (3, False)


def test_apply_as_of_an_instant_before_the_expiry_ends_0(aws: SimulatedAws, cli: Cli) -> None:
    hold(f'match: /app/key, until: "{YESTERDAY}"')
    plan = json.loads(cli("plan", "--format", "json").stdout)
    before = datetime.combine(YESTERDAY, datetime.min.time(), UTC).isoformat().replace("+00:00", "Z")
    result = cli("apply", "--expect-plan", plan["plan_id"], "--as-of", before)
    assert result.exit_code == 0, result.stderr
    assert aws.names("us-east-2") == ["/app/hosts", "/app/url"]


def test_explain_names_the_hold_its_line_and_the_remedy(aws: SimulatedAws, cli: Cli) -> None:
    hold(f'match: "/app/k*", until: "{YESTERDAY}", reason: audit')
    shown = " ".join(cli("explain", "/app/key").stdout.split())
    assert "[held] no plan, apply or event changes it: the hold on `/app/k*`" in shown
    assert "audit" in shown
    assert "replication.yaml:7:44" in shown
    assert "remove the entry for `/app/k*` (replication.yaml:7:44) from `parameters.hold`" in shown
    assert "extend `until`" in shown
    other = cli("explain", "/app/url", "-v").stdout
    assert "no hold of the spec matches the name of its source" in " ".join(other.split())


def test_explain_names_each_hold_that_matches_and_asks_to_extend_the_expired_ones(
    aws: SimulatedAws, cli: Cli
) -> None:
    hold(f'match: /app/key, until: "{YESTERDAY}" }}, {{ match: "/app/k*" }}, {{ match: /app/url')
    shown = " ".join(cli("explain", "/app/key").stdout.split())
    assert "extend `until` of `/app/key` (replication.yaml:7:44); until then" in shown
    both = r"the entry for `/app/key` \(replication.yaml:7:44\), `/app/k\*` \(replication.yaml:7:\d+\) from"
    assert re.search(both, shown), shown


def test_explain_asks_to_extend_no_hold_before_its_last_day_is_over(aws: SimulatedAws, cli: Cli) -> None:
    hold(f'match: /app/key, until: "{TOMORROW}"')
    shown = " ".join(cli("explain", "/app/key").stdout.split())
    assert "remove the entry for `/app/key`" in shown
    assert "extend `until`" not in shown
    assert "exit code 3" not in shown


@pytest.mark.parametrize(("until", "answer"), [(YESTERDAY, "warning"), (TOMORROW, "")])
def test_doctor_warns_about_an_expired_hold_with_which_a_plan_works(
    aws: SimulatedAws, cli: Cli, until: date, answer: str
) -> None:
    hold(f'match: /app/key, until: "{until}"')
    result = cli("doctor", "--format", "json")
    assert result.exit_code == 0, result.stdout
    document = json.loads(result.stdout)
    found = [one for one in document["checks"] if one["subject"] == "spec: hold-expired"]
    assert document["plan_works"]
    assert [(one["answer"], one["where"]) for one in found] == [(answer, "replication.yaml:7:44")] * bool(
        answer
    )
    assert all("end with exit code 3" in one["remedy"] for one in found)


def test_status_has_the_state(aws: SimulatedAws, cli: Cli) -> None:
    hold("match: /app/key")
    result = cli("status", "--state", "held", "--format", "json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert [(one["name"], one["state"]) for one in document["replicas"]] == [("/app/key", "held")] * 2
    assert "stops every change" in document["replicas"][0]["reasons"][0]
    assert "held" in cli("status").stdout
    assert "ssm-reconcile plan" in cli("status").stdout, "the others are to be created"


def test_held_names_alone_are_no_reason_to_plan(aws: SimulatedAws, cli: Cli) -> None:
    hold('match: "/app/**"')
    shown = cli("status").stdout
    assert "held" in shown
    assert "ssm-reconcile plan" not in shown


def test_the_tables_of_targets_have_a_column(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes", "--target", "us-east-2").exit_code == 0
    aws.pass_time()
    hold("match: /app/key")
    text = cli("plan", "--out", "plan.json").stdout
    shown = cli("show", "plan.json", "--format", "markdown").stdout
    for output in (text, shown):
        lines = [line.lower().replace("\xa0", " ") for line in output.splitlines()]
        header = next(
            line for line in lines if {"create", "in sync"} <= set(re.split(r"\s{2,}|\s*\|\s*", line))
        )
        assert "held" in header


def test_a_reason_is_text_and_nothing_else(aws: SimulatedAws, cli: Cli) -> None:
    """A reason is the text of a person: it neither breaks a comment nor reaches a runner as a command."""
    hold('match: /app/key, reason: "##[error] <b>@team</b> `x` \\u202e"')
    assert cli("plan", "--out", "plan.json").exit_code == 0
    for output_format in ("text", "markdown", "html"):
        shown = cli("show", "plan.json", "--format", output_format).stdout
        assert "\u202e" not in shown
        assert output_format == "html" or "##[error]" not in shown
    assert "<b>@team" not in cli("show", "plan.json", "--format", "html").stdout
    assert "\u202e" not in cli("explain", "/app/key").stdout
