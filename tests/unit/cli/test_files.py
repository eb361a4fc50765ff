"""Files and names that a command line gives: in another encoding, of another kind, missing, or misspelled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli

UTF_16 = ("utf-16", "utf-16-le", "utf-16-be")


@pytest.fixture
def plan(aws: SimulatedAws, cli: Cli) -> Path:
    path = Path("plan.json")
    assert cli("plan", "--out", str(path)).exit_code == 0
    return path


UNREADABLE = "/proc/self/mem"
"""A regular file on Linux that opens and cannot be read from its start."""


@pytest.mark.skipif(not Path(UNREADABLE).is_file(), reason="the system has no such file")
@pytest.mark.usefixtures("aws")
def test_apply_reports_a_file_that_cannot_be_read(cli: Cli) -> None:
    result = cli("apply", "--yes", UNREADABLE)
    assert result.exit_code == 1
    assert f"{UNREADABLE}:1:1" in result.stderr
    assert "cannot be read (Input/output error)" in result.stderr


@pytest.mark.parametrize("codec", UTF_16)
@pytest.mark.parametrize("words", [("apply", "plan.json"), ("show", "plan.json"), ("publish", "plan.json")])
def test_a_plan_in_utf_16_is_refused_by_the_name_of_its_encoding(
    words: tuple[str, ...], codec: str, plan: Path, cli: Cli
) -> None:
    plan.write_bytes(plan.read_text().encode(codec))
    result = cli(*words)
    assert result.exit_code == (1 if words[0] == "publish" else 64)
    assert "is in UTF-16" in result.stderr
    assert "terminal" not in result.stderr


def test_a_plan_in_utf_16_on_standard_input_is_refused_by_the_name_of_its_encoding(
    plan: Path, cli: Cli
) -> None:
    result = cli("show", "-", stdin=plan.read_text().encode("utf-16"))
    assert result.exit_code == 64
    assert "is in UTF-16" in result.stderr


@pytest.mark.parametrize("words", [("plan", "-"), ("validate", "-"), ("event", "-")])
def test_standard_input_in_utf_16_is_refused_by_the_name_of_its_encoding(
    words: tuple[str, ...], aws: SimulatedAws, cli: Cli
) -> None:
    result = cli(*words, stdin=Path("replication.yaml").read_text().encode("utf-16"))
    assert result.exit_code == 64
    assert "standard input is in UTF-16" in result.stderr


def test_a_byte_order_mark_of_utf_8_is_accepted_in_a_plan(plan: Path, aws: SimulatedAws, cli: Cli) -> None:
    plan.write_bytes(b"\xef\xbb\xbf" + plan.read_bytes())
    assert cli("show", "plan.json").exit_code == 0
    assert cli("publish", "plan.json", "--comment", "never").exit_code == 0
    result = cli("apply", "plan.json")
    assert result.exit_code == 0, result.output
    assert aws.names("us-east-2") == ["/app/hosts", "/app/key", "/app/url"]


def test_a_byte_order_mark_of_utf_8_is_accepted_in_a_spec(aws: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_bytes(b"\xef\xbb\xbf" + spec.read_bytes())
    assert cli("validate").exit_code == 0
    assert cli("plan").exit_code == 0
    assert cli("plan", "-", stdin=spec.read_bytes()).exit_code == 0


@pytest.mark.parametrize("command", ["plan", "validate", "doctor"])
def test_a_saved_plan_in_the_place_of_a_spec_is_one_finding_with_the_command_to_run(
    command: str, plan: Path, cli: Cli
) -> None:
    result = cli(command, "plan.json")
    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1
    assert "ssm-reconcile apply plan.json" in result.stderr


def test_a_saved_report_in_the_place_of_a_spec_is_one_finding(plan: Path, cli: Cli) -> None:
    assert cli("apply", "plan.json", "--out", "report.json").exit_code == 0
    result = cli("plan", "report.json")
    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1
    assert "ssm-reconcile show report.json" in result.stderr


@pytest.mark.parametrize("words", [("plan", "-"), ("apply", "-", "--yes"), ("validate", "-"), ("show", "-")])
def test_a_dash_is_standard_input_also_if_a_file_has_that_name(
    words: tuple[str, ...], plan: Path, cli: Cli
) -> None:
    content = plan.read_text() if words[0] == "show" else Path("replication.yaml").read_text()
    Path("-").write_text('{"plan_id": 1}')
    result = cli(*words, stdin=content)
    assert result.exit_code == 0, result.output


def test_a_plan_that_is_not_there_is_missed_before_a_terminal_is(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "nosuch.json")
    assert result.exit_code == 1
    assert "the file does not exist" in result.stderr
    assert "plan --out nosuch.json" in result.stderr
    assert "terminal" not in result.stderr


@pytest.mark.parametrize("command", ["plan", "apply", "validate", "doctor"])
def test_a_folder_without_a_spec_says_that_init_writes_one(command: str, aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").unlink()
    result = cli(command)
    assert result.exit_code == 1
    assert "ssm-reconcile init" in result.stderr
    assert "terminal" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("plan",),
        ("apply", "--yes"),
        ("event", "-"),
        ("explain", "/app/url"),
        ("doctor",),
        ("status",),
        ("detach", "--yes"),
    ],
)
def test_an_unknown_target_is_answered_with_the_nearest_and_the_known_ones(
    words: tuple[str, ...], aws: SimulatedAws, cli: Cli
) -> None:
    result = cli(*words, "--target", "us-esat-2", stdin="/app/url")
    assert result.exit_code == 64
    assert "no target is named 'us-esat-2'" in result.stderr
    assert "did you mean `us-east-2`? the spec has: eu-west-1, us-east-2" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("plan",), ("apply", "--yes"), ("event", "-"), ("explain", "/app/url"), ("doctor",), ("validate",),
        ("status",),
        ("detach", "--target", "us-east-2", "--yes"), ("iam", "plan"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_answered_with_the_nearest_and_the_known_ones(
    words: tuple[str, ...], aws: SimulatedAws, cli: Cli
) -> None:
    result = cli(*words, "--name", "prd", stdin="/app/url")
    assert result.exit_code == 64
    assert "no replication is named 'prd'" in result.stderr
    assert "did you mean `prod`? the spec has: prod" in result.stderr


def test_an_event_in_utf_8_with_a_mark_is_read(aws: SimulatedAws, cli: Cli) -> None:
    Path("event.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(["/app/url"]).encode())
    assert cli("event", "event.json").exit_code == 0
    assert aws.names("us-east-2") == ["/app/url"]
