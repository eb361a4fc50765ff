"""`apply PLAN --against SPEC`: changes that the reviewed change of the spec did not cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.record import EXPIRES, ExpiryMark, digest
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli

NARROW = "/app/url"


@pytest.fixture
def reviewed(aws: SimulatedAws, cli: Cli) -> Cli:
    """The spec selected one parameter and now selects all; the plan of this change was reviewed."""
    spec = Path("replication.yaml").read_text()
    Path("former.yaml").write_text(spec.replace('"/app/**"', f'"{NARROW}"'))
    assert "/app/**" in spec
    assert cli("apply", "former.yaml", "--yes").exit_code == 0
    assert cli("plan", "--against", "former.yaml", "--out", "plan.json").exit_code == 0
    return cli


def applied(*words: str, cli: Cli) -> tuple[int, dict[str, Any]]:
    result = cli("apply", "plan.json", "--against", "former.yaml", *words, "--out", "report.json")
    return result.exit_code, json.loads(Path("report.json").read_text())


def test_a_rotated_value_of_the_former_spec_does_not_refuse_the_reviewed_plan(
    aws: SimulatedAws, reviewed: Cli
) -> None:
    aws.put(NARROW, "https://rotated.example.com")
    code, report = applied(cli=reviewed)
    assert code == 0
    assert {one["name"] for one in report["outcomes"]} == {"/app/hosts", "/app/key"}
    (left,) = [one for one in report["findings"] if one["code"] == "not-reviewed"]
    assert {one["name"] for one in left["about"]} == {NARROW}
    assert f"update {NARROW} in us-east-2" in left["message"]


def test_a_change_that_is_left_keeps_its_outdated_mark_and_is_named(aws: SimulatedAws, reviewed: Cli) -> None:
    mark = ExpiryMark(aws.clock.now(), digest(aws.there.arn(NARROW)), 1).text()
    aws.world.tag(aws.there, NARROW, {EXPIRES: mark})
    code, report = applied(cli=reviewed)
    assert code == 0
    (found,) = [one for one in report["findings"] if one["code"] == "mark-stays"]
    assert found["message"].startswith(f"{NARROW}: the source exists again")
    assert "its change was not reviewed" in found["message"]
    assert (aws.world.tags(aws.there, NARROW) or {})[EXPIRES] == mark


def test_a_rotated_value_is_applied_under_the_guards_on_request(aws: SimulatedAws, reviewed: Cli) -> None:
    aws.put(NARROW, "https://rotated.example.com")
    code, report = applied("--rest", "apply", cli=reviewed)
    assert code == 0
    assert {one["name"] for one in report["outcomes"]} == {"/app/hosts", "/app/key", NARROW}
    assert not [one for one in report["findings"] if one["code"] == "not-reviewed"]


def test_an_altered_change_that_the_new_spec_causes_refuses_the_plan(
    aws: SimulatedAws, reviewed: Cli
) -> None:
    aws.put("/app/hosts", "b.example.com", kind="StringList")
    code, report = applied("--rest", "apply", cli=reviewed)
    assert code == 4
    assert {one["code"] for one in report["findings"]} >= {"plan-changed"}
    assert aws.names("us-east-2") == [NARROW]


def test_a_former_spec_that_cannot_be_used_binds_every_change(aws: SimulatedAws, reviewed: Cli) -> None:
    aws.put(NARROW, "https://rotated.example.com")
    Path("former.yaml").write_text("version: 9\n")
    code, _ = applied(cli=reviewed)
    assert code == 4
    assert aws.names("us-east-2") == [NARROW]


def test_without_the_former_spec_every_change_is_bound(aws: SimulatedAws, reviewed: Cli) -> None:
    aws.put(NARROW, "https://rotated.example.com")
    assert reviewed("apply", "plan.json").exit_code == 4


def test_the_former_spec_needs_a_saved_plan(cli: Cli) -> None:
    result = cli("apply", "--yes", "--against", "former.yaml")
    assert result.exit_code == 64
    assert "--also and --against need a saved plan" in result.stderr
