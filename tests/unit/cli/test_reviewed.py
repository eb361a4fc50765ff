"""`plan --reviewed FILE --against SPEC`: whether a merge would apply exactly what was reviewed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import Result

from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, Cli

NARROW = "/app/url"


@pytest.fixture
def reviewed(aws: SimulatedAws, cli: Cli) -> Cli:
    """The spec selected one parameter and now selects all; the plan of this change was reviewed."""
    spec = Path("replication.yaml").read_text()
    Path("former.yaml").write_text(spec.replace('"/app/**"', f'"{NARROW}"'))
    assert cli("apply", "former.yaml", "--yes").exit_code == 0
    assert cli("plan", "--against", "former.yaml", "--out", "plan.json").exit_code == 0
    return cli


def checked(cli: Cli, *words: str) -> Result:
    return cli("plan", "--reviewed", "plan.json", "--against", "former.yaml", *words)


def test_a_plan_as_reviewed_passes_and_writes_nothing(aws: SimulatedAws, reviewed: Cli) -> None:
    assert checked(reviewed).exit_code == 0
    assert checked(reviewed, "--detailed-exitcode").exit_code == 2
    assert aws.names("us-east-2") == [NARROW]


def test_a_changed_value_of_a_reviewed_parameter_is_refused_and_listed(
    aws: SimulatedAws, reviewed: Cli
) -> None:
    aws.put("/app/hosts", "b.example.com", kind="StringList")
    result = checked(reviewed, "--out", "now.json")
    assert result.exit_code == 4
    line = "altered: create /app/hosts in us-east-2 (prod): source version 1 became 2"
    assert line in result.stderr
    assert "the saved plan does not cover 2 changes of the current plan" in result.stderr
    assert "What to do: have the new plan reviewed." in result.stderr
    now = json.loads(Path("now.json").read_text())
    assert {one["name"] for one in now["changes"]} == {"/app/hosts", "/app/key"}, (
        "the plan is saved all the same"
    )
    assert aws.names("us-east-2") == [NARROW]


def test_the_differences_are_in_the_file_of_errors(
    aws: SimulatedAws, reviewed: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_RECONCILE_ERRORS", "errors")
    aws.put("/app/key", "another", kind="SecureString")
    assert checked(reviewed).exit_code == 4
    first, *rest = Path("errors").read_text().splitlines()
    assert first == "the saved plan does not cover 2 changes of the current plan."
    assert [line for line in rest if line.startswith("altered: create /app/key in us-east-2 (prod): ")]
    assert SECRET not in "".join(rest)


def test_a_change_that_the_former_spec_makes_as_well_needs_no_review(
    aws: SimulatedAws, reviewed: Cli
) -> None:
    aws.put(NARROW, "https://rotated.example.com")
    assert checked(reviewed).exit_code == 0
    result = reviewed("plan", "--reviewed", "plan.json")
    assert result.exit_code == 4, "without the former spec, every change is bound"
    assert f"new: update {NARROW} in us-east-2" in result.stderr


def test_each_of_several_saved_plans_covers_its_changes(aws: SimulatedAws, cli: Cli) -> None:
    text = Path("replication.yaml").read_text()
    for name in ("url", "hosts"):
        Path("replication.yaml").write_text(text.replace("/app/**", f"/app/{name}"))
        assert cli("plan", "--out", f"{name}.json").exit_code == 0
    Path("replication.yaml").write_text(text.replace('"/app/**"', '"/app/url", "/app/hosts"'))
    assert cli("plan", "--reviewed", "url.json", "--reviewed", "hosts.json").exit_code == 0
    result = cli("plan", "--reviewed", "url.json")
    assert result.exit_code == 4
    assert "new: create /app/hosts" in result.stderr


def test_changes_that_were_made_since_are_not_differences(aws: SimulatedAws, reviewed: Cli) -> None:
    assert reviewed("apply", "--yes").exit_code == 0
    result = checked(reviewed)
    assert result.exit_code == 0
    assert "Done since the plan was made, or no longer needed: 4." in result.stderr


def test_a_reviewed_change_that_is_no_longer_planned_is_reported(aws: SimulatedAws, reviewed: Cli) -> None:
    aws.put("/app/hosts", "by hand", region="us-east-2")
    result = checked(reviewed)
    assert result.exit_code == 0
    assert "No longer planned: create /app/hosts in us-east-2 (prod): " in result.stderr
    assert "No longer planned" not in checked(reviewed, "-q").stderr


def test_the_saved_plan_has_the_options_and_another_option_contradicts_it(
    aws: SimulatedAws, cli: Cli
) -> None:
    assert cli("plan", "--no-decrypt", "--target", "us-east-2", "--out", "plan.json").exit_code == 0
    assert cli("plan", "--reviewed", "plan.json", "--out", "now.json").exit_code == 0
    now = json.loads(Path("now.json").read_text())
    assert (now["mode"], now["narrowed"]["targets"]) == ("no-decrypt", ["us-east-2"])
    result = cli("plan", "--reviewed", "plan.json", "--target", "eu-west-1")
    assert result.exit_code == 64
    assert "leave out --target" in result.stderr


def test_a_saved_plan_that_is_too_old_is_refused_and_may_be_allowed(aws: SimulatedAws, reviewed: Cli) -> None:
    document = json.loads(Path("plan.json").read_text())
    Path("plan.json").write_text(json.dumps({**document, "created": "2020-01-01T00:00:00+00:00"}))
    result = checked(reviewed, "--out", "now.json", "--profile", "the profile")
    assert result.exit_code == 4
    assert "days old, more than 7" in result.stderr
    assert not Path("now.json").exists()
    new, old = (shlex.split(one) for one in re.findall(r"`ssm-reconcile ([^`]*)`", result.stderr))
    assert reviewed(*old).exit_code == 0
    assert reviewed(*new).exit_code == 0
    assert checked(reviewed).exit_code == 0, "the new plan takes the place of the old one"
    assert {"--profile", "the profile", "--against", "former.yaml"} < set(old) & set(new)


def test_the_commands_after_an_old_plan_name_each_plan_and_lift_its_guards(
    aws: SimulatedAws, reviewed: Cli
) -> None:
    assert reviewed("plan", "--max-deletes", "5", "--out", "lifted.json").exit_code == 0
    Path("second.json").write_text(Path("lifted.json").read_text())
    files = ("--reviewed", "lifted.json", "--reviewed", "second.json")
    result = reviewed("plan", *files, "--max-plan-age", "0")
    assert result.exit_code == 4
    new, old = (one.split() for one in re.findall(r"`ssm-reconcile ([^`]*)`", result.stderr))
    assert old == ["plan", "--max-deletes", "5", *files, "--max-plan-age", "1"]
    assert new == ["plan", "--max-deletes", "5", "--out", "lifted.json"]


def test_a_guard_that_the_saved_plan_lifted_must_be_lifted_again(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    for name in ("/app/url", "/app/hosts"):
        aws.delete(name)
    assert (
        cli("plan", "--max-deletes", "5", "--max-change-percent", "100", "--out", "plan.json").exit_code == 0
    )
    result = cli("plan", "--reviewed", "plan.json", "--max-deletes", "0")
    assert result.exit_code == 4
    assert "withheld now, by max-deletes" in result.stderr
    flags = ("--max-deletes", "5", "--max-change-percent", "100")
    assert cli("plan", "--reviewed", "plan.json", *flags).exit_code == 0


@pytest.mark.parametrize("words", [("--unreviewed",), ("--leave-out", "left.json")])
def test_options_of_runs_without_a_review_contradict_it(
    aws: SimulatedAws, reviewed: Cli, words: tuple[str, ...]
) -> None:
    left = [{"replication": "prod", "target": "us-east-2", "name": NARROW}]
    Path("left.json").write_text(json.dumps(left))
    result = checked(reviewed, *words)
    assert result.exit_code == 64
    assert "--reviewed" in result.stderr


def test_a_file_that_is_not_a_plan_is_a_usage_error(aws: SimulatedAws, cli: Cli) -> None:
    Path("plan.json").write_text("{}")
    assert cli("plan", "--reviewed", "plan.json").exit_code == 64
