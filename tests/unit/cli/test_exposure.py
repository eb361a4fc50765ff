"""A write that would expose a secret: exit codes, the flag, saved plans, and every output."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli


@pytest.fixture
def hardened(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """A world in which the replica of a String in us-east-2 was made a SecureString."""
    assert cli("apply", "--yes").exit_code == 0
    aws.put("/app/url", "https://example.org", region="us-east-2", kind="SecureString")
    return aws


LIFT = ("--overwrite-outside", "--only", "/app/url", "--allow-exposure")


def fate_and_may_replace(cli: Cli, printed: str) -> tuple[str, bool]:
    """Return both of the only change that a printed command applies."""
    assert cli("plan", *printed.split(), "--out", "plan.json").exit_code == 0
    (change,) = json.loads(Path("plan.json").read_text())["changes"]
    return change["fate"], change["effect"]["may_replace"]


def kind(aws: SimulatedAws) -> str:
    return aws.store("us-east-2").describe_names(["/app/url"])["/app/url"].type


def test_an_apply_ends_5_and_writes_nothing(hardened: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--yes", "--overwrite-outside", "--adopt", "overwrite")
    assert (result.exit_code, kind(hardened)) == (5, "SecureString")
    assert "exposure: 1 SecureString" in result.output


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")])
def test_the_flag_without_only_is_a_usage_error(
    hardened: SimulatedAws, cli: Cli, command: tuple[str, ...]
) -> None:
    result = cli(*command, "--allow-exposure")
    assert (result.exit_code, kind(hardened)) == (64, "SecureString")
    assert "--only" in result.stderr


def test_the_flag_with_only_writes_it(hardened: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes", *LIFT).exit_code == 0
    assert kind(hardened) == "String"


def test_a_saved_plan_has_to_be_given_the_flag_again(hardened: SimulatedAws, cli: Cli) -> None:
    assert cli("plan", "--out", "plan.json", *LIFT).exit_code == 0
    assert json.loads(Path("plan.json").read_text())["run"]["allow_exposure"] is True
    refused = cli("apply", "plan.json", "--overwrite-outside")
    assert (refused.exit_code, kind(hardened)) == (4, "SecureString")
    assert "--allow-exposure" in refused.output
    assert cli("apply", "plan.json", "--overwrite-outside", "--allow-exposure").exit_code == 0
    assert kind(hardened) == "String"


def test_a_saved_plan_that_was_not_narrowed_cannot_be_lifted(hardened: SimulatedAws, cli: Cli) -> None:
    assert cli("plan", "--out", "plan.json", "--overwrite-outside").exit_code == 0
    result = cli("apply", "plan.json", "--overwrite-outside", "--allow-exposure")
    assert (result.exit_code, kind(hardened)) == (64, "SecureString")


def test_the_printed_command_carries_the_flag(hardened: SimulatedAws, cli: Cli) -> None:
    result = cli("plan", *LIFT)
    printed = " ".join(result.stdout.split()).rpartition("ssm-reconcile ")[2]
    assert cli(*printed.split()).exit_code == 0
    assert kind(hardened) == "String"


def test_an_event_takes_no_such_flag(hardened: SimulatedAws, cli: Cli) -> None:
    assert cli("event", "--allow-exposure", "event.json").exit_code == 64


@pytest.mark.parametrize("flags", [(), LIFT])
def test_it_always_stands_among_the_dangers(hardened: SimulatedAws, cli: Cli, flags: tuple[str, ...]) -> None:
    withheld = not flags
    text = cli("plan", *flags).stdout
    assert (
        f"\nExpose as plain text{', WITHHELD by changed-outside and exposure' if withheld else ''}: 1" in text
    )
    assert f"\n {'#' if withheld else ' '}* /app/url   SecureString -> String" in text
    markdown = cli("plan", "--format", "markdown", *flags).stdout
    alert = "WARNING" if withheld else "CAUTION"
    listed = markdown.split(f"> [!{alert}]")[1]
    assert "> **Expose as plain text: 1" in listed
    assert "\n> ! /app/url  [SecureString -> String]" in listed
    html = cli("plan", "--format", "html", *flags).stdout
    assert "DANGER: 1 expose:</strong> /app/url." in html
    (change,) = json.loads(cli("plan", "--format", "json", *flags).stdout)["changes"]
    assert (change["exposes"], change["fate"] == "withheld") == (True, withheld)


def test_explain_names_the_way_to_keep_it_secret_first(hardened: SimulatedAws, cli: Cli) -> None:
    result = cli("explain", "/app/url").stdout
    keep, plain = (
        "to keep it secret: make it a SecureString at the source",
        "--only /app/url --overwrite-outside --allow-exposure",
    )
    assert result.index(keep) < result.index(plain)


@pytest.mark.parametrize("limit", [0, 5])
def test_the_command_of_explain_writes_it_in_place_and_may_replace_it_where_aws_refuses_that(
    limit: int, hardened: SimulatedAws, cli: Cli
) -> None:
    spec = Path("replication.yaml")
    spec.write_text(f"{spec.read_text()}guards: {{ max_deletes: {limit} }}\n")
    result = cli("explain", "/app/url", "--target", "us-east-2").stdout
    (printed,) = re.findall(r"`ssm-reconcile apply ([^`]*)`", result)
    assert ("--max-deletes 1" in printed) == (limit == 0)
    assert fate_and_may_replace(cli, printed) == ("apply", True)
    assert cli("apply", *printed.split(), "--yes").exit_code == 0
    assert kind(hardened) == "String"


def test_explain_names_the_replacement_for_a_change_of_type_that_exposes_no_secret(
    aws: SimulatedAws, cli: Cli
) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.put("/app/url", "https://example.org", kind="StringList")
    result = cli("explain", "/app/url", "--target", "us-east-2").stdout
    in_place, replaced = re.findall(r"`ssm-reconcile apply ([^`]*)`", result)
    assert fate_and_may_replace(cli, in_place) == ("apply", False)
    assert fate_and_may_replace(cli, replaced) == ("apply", True)


def test_explain_names_the_frozen_target_as_well_as_the_flags(hardened: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    text = spec.read_text()
    spec.write_text(text.replace("- region: us-east-2", "- { region: us-east-2, frozen: true }"))
    result = " ".join(cli("explain", "/app/url", "--target", "us-east-2").stdout.split())
    assert "set `frozen: false` at target us-east-2 (replication.yaml:5:5), then `ssm-reconcile" in result
    (printed,) = re.findall(r"`ssm-reconcile (apply [^`]*)`", result)
    spec.write_text(text)
    assert cli(*printed.split(), "--yes").exit_code == 0
    assert kind(hardened) == "String"
