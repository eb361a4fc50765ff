"""`--leave-out`: addresses of refused plans are withheld from unreviewed runs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli

REFUSED = {"replication": "prod", "target": "us-east-2", "name": "/app/url", "why": "refused"}


def write_list(*entries: object) -> None:
    Path("refused.json").write_text(json.dumps(list(entries)))


def name_of(cli: Cli) -> str:
    found: str = json.loads(cli("plan", "--format", "json").stdout)["replications"][0]["name"]
    return found


def test_an_unreviewed_apply_leaves_out_the_addresses_of_the_file(aws: SimulatedAws, cli: Cli) -> None:
    write_list({**REFUSED, "replication": name_of(cli)})
    result = cli("apply", "--yes", "--leave-out", "refused.json", "--format", "json")
    assert result.exit_code == 5
    assert "/app/url" not in aws.names("us-east-2")
    assert "/app/url" in aws.names("eu-west-1")
    document = json.loads(result.stdout)
    (held,) = [one for one in document["outcomes"] if one["outcome"] == "withheld"]
    assert (held["target"], held["name"]) == ("us-east-2", "/app/url")
    assert any(one["code"] == "refused-plan" for one in document["findings"])


def test_the_command_after_a_plan_applies_exactly_that_plan(aws: SimulatedAws, cli: Cli) -> None:
    write_list({**REFUSED, "replication": name_of(cli)})
    Path("refused.json").rename("refused plans.json")
    shown = cli("plan", "--leave-out", "refused plans.json", "--out", "plan.json").stdout
    words = shlex.split(shown.split("Apply exactly this:")[1].strip().splitlines()[0])
    assert words[0] == "ssm-reconcile"
    result = cli(*words[1:])
    assert result.exit_code == 5, result.stderr  # the rest was applied
    assert "/app/url" not in aws.names("us-east-2")
    assert "/app/url" in aws.names("eu-west-1")
    assert "Apply exactly this" not in cli("show", "plan.json").stdout, "the file does not have the list"


def test_a_plan_shows_what_would_be_left_out(aws: SimulatedAws, cli: Cli) -> None:
    write_list({**REFUSED, "replication": name_of(cli)})
    text = cli("plan", "--leave-out", "refused.json").stdout
    assert "WITHHELD by refused-plan: 1\n #" in text
    assert " ".join(text.split()).count("a plan for the same parameters was refused on GitHub") == 1


def test_a_saved_plan_does_not_take_the_file(aws: SimulatedAws, cli: Cli) -> None:
    write_list(REFUSED)
    assert cli("plan", "--out", "plan.json").exit_code == 0
    result = cli("apply", "plan.json", "--leave-out", "refused.json")
    assert result.exit_code == 64
    assert "--leave-out is not for a saved plan" in result.stderr
    assert aws.names("us-east-2") == []


def test_a_plan_that_leaves_out_addresses_can_be_saved_and_does_not_apply_them(
    aws: SimulatedAws, cli: Cli
) -> None:
    write_list({**REFUSED, "replication": name_of(cli)})
    assert cli("plan", "--leave-out", "refused.json", "--out", "plan.json").exit_code == 0
    result = cli("apply", "plan.json")
    assert result.exit_code == 4
    assert "withheld then, to be applied now" in result.stderr
    assert aws.names("us-east-2") == []


@pytest.mark.parametrize(
    "content",
    ["", "{}x", "[1]", "[{}]", '[{"replication": 1, "target": [], "name": "/a"}]', "null", '{"a": 1}'],
)
def test_a_damaged_file_stops_the_run_before_any_write(aws: SimulatedAws, cli: Cli, content: str) -> None:
    Path("refused.json").write_text(content)
    result = cli("apply", "--yes", "--leave-out", "refused.json")
    assert result.exit_code == 64
    assert "--leave-out refused.json is not a JSON list" in result.stderr
    assert aws.names("us-east-2") == []


def test_a_missing_file_stops_the_run(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--yes", "--leave-out", "refused.json")
    assert result.exit_code == 64
    assert "cannot be read" in result.stderr


def test_an_event_has_no_such_flag(cli: Cli) -> None:
    assert cli("event", "--leave-out", "refused.json", "event.json").exit_code == 64
