"""The command `plan`: exit codes, streams and what is saved."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from ssm_reconcile.cli import command_run
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Place, SealedText
from ssm_reconcile.plan import Plan
from ssm_reconcile.session import Connect
from ssm_reconcile.stores.base import Put, Store
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, Cli


def test_a_plan_goes_to_stdout_and_its_progress_to_stderr(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("plan")
    assert result.exit_code == 0
    assert "6 to create" in result.stdout
    assert "listing" not in result.stdout
    assert "123456789012/us-east-1: listing" in result.stderr
    assert aws.names("us-east-2") == []


def test_no_secret_is_in_any_output_at_any_loudness(aws: SimulatedAws, cli: Cli) -> None:
    for words in (
        (),
        ("-vv", "--debug"),
        ("--format", "json"),
        ("--format", "markdown"),
        ("--verify-values",),
    ):
        assert SECRET not in cli("plan", "--out", "plan.json", *words).output
    assert SECRET not in Path("plan.json").read_text()


def test_quiet_leaves_stderr_empty(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("plan", "-q", "--out", "plan.json").stderr == ""


def test_json_is_alone_on_stdout(aws: SimulatedAws, cli: Cli) -> None:
    document = json.loads(cli("plan", "--format", "json").stdout)
    assert document["summary"]["create"] == 6


def test_the_saved_plan_is_the_json_document_whatever_the_terminal_shows(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("plan", "--format", "markdown", "--out", "plan.json")
    assert result.stdout.startswith("## ")
    document = json.loads(Path("plan.json").read_text())
    assert document["spec_files"] == ["replication.yaml"]
    assert document["run"]["name"] is None
    assert stat.S_IMODE(Path("plan.json").stat().st_mode) == 0o644
    assert sorted(path.name for path in Path().iterdir()) == ["plan.json", "replication.yaml"]


def test_the_command_that_applies_it_has_all_that_shaped_the_plan(aws: SimulatedAws, cli: Cli) -> None:
    flags = "replication.yaml --name prod --target us-east-2 --only '/app/**' --max-deletes 0"
    result = cli("plan", *shlex.split(flags))
    assert f"apply {flags} --expect-plan" in " ".join(result.stdout.split())


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--detailed-exitcode",), 2)])
def test_changes_are_an_exit_code_only_when_asked_for(
    aws: SimulatedAws, cli: Cli, words: tuple[str], code: int
) -> None:
    assert cli("plan", *words).exit_code == code


def test_withheld_changes_are_changes(aws: SimulatedAws, cli: Cli) -> None:
    text = Path("replication.yaml").read_text()
    Path("replication.yaml").write_text(
        text.replace("region: us-east-2", "region: us-east-2\n    frozen: true")
    )
    result = cli("plan", "--detailed-exitcode", "--target", "us-east-2", "--format", "json")
    document = json.loads(result.stdout)
    assert document["summary"]["withheld"] == document["summary"]["create"] == 3
    assert result.exit_code == 2


def test_nothing_to_do_is_zero_even_with_the_detailed_code(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    assert cli("plan", "--detailed-exitcode").exit_code == 0


def test_something_invalid_is_three_before_any_change_counts(aws: SimulatedAws, cli: Cli) -> None:
    key = aws.world.region(Place("123456789012", "us-east-1")).add_key("app")
    aws.store("us-east-1").put(
        Put("/app/other", SealedText("x"), "SecureString", overwrite=False, key_id=key.arn)
    )
    result = cli("plan", "--detailed-exitcode", "--format", "json")
    assert json.loads(result.stdout)["summary"]["invalid"] == 2
    assert result.exit_code == 3


def test_a_place_that_cannot_be_reached_is_three_and_the_others_are_planned(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(access: Access) -> Store:
        if access.region == "eu-west-1":
            raise StoreError(
                Trouble.UNREACHABLE, place="eu-west-1", operation="GetCallerIdentity", code="Timeout"
            )
        return aws.connect(access)

    monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: connect)
    result = cli("plan", "--detailed-exitcode", "--format", "json")
    document = json.loads(result.stdout)
    assert not document["complete"]
    assert document["summary"]["create"] == 3
    assert result.exit_code == 3


def test_no_place_at_all_is_one_and_says_where_what_and_what_to_do(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(access: Access) -> Store:
        raise StoreError(
            Trouble.CREDENTIALS, place=access.region, operation="GetCallerIdentity", code="ExpiredToken",
            remedy="sign in again",
        )  # fmt: skip

    monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: connect)
    result = cli("plan")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Opening 3 places ...\n"
        "Error: GetCallerIdentity in us-east-1 failed: ExpiredToken\n  What to do: sign in again.\n"
    )


def test_a_broken_spec_is_one_without_a_call_to_aws(aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").write_text("version: 1\nname: prod\n")
    before = len(aws.world.calls)
    result = cli("plan")
    assert result.exit_code == 1
    assert "replication.yaml:1:1: error: " in result.stderr
    assert "Traceback" not in result.output
    assert len(aws.world.calls) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "mars"), "us-east-2"),
        (("--name", "staging"), "prod"),
        (("--verify-values", "--no-decrypt"), "--no-decrypt"),
        (("--out", "nowhere/plan.json"), "nowhere"),
        (("--adopt", "everything"), "same_value"),
        (("--max-deletes", "-1"), "x>=0"),
        (("--max-change-percent", "101"), "0<=x<=100"),
        (("--format", "pdf"), "markdown"),
        (("--frobnicate",), "No such option"),
    ],
)
def test_wrong_usage_is_64_and_says_what_is_known(
    aws: SimulatedAws, cli: Cli, words: tuple[str], message: str
) -> None:
    result = cli("plan", *words)
    assert result.exit_code == 64
    assert message in result.stderr
    assert result.stdout == ""


def test_a_spec_may_come_on_standard_input(aws: SimulatedAws, cli: Cli) -> None:
    text = Path("replication.yaml").read_text()
    Path("replication.yaml").unlink()
    result = cli("plan", "-", stdin=text)
    assert "6 to create" in result.stdout
    assert "ssm-reconcile apply - --expect-plan" in result.stdout


def test_parallelism_reaches_the_stores_and_the_run(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def connect_factory(common: CommonOptions, _: object) -> Connect:
        seen.append(common.parallelism)
        return aws.connect

    plan = command_run.Runner.plan

    def spy(self: command_run.Runner, *_: object) -> Plan:
        seen.append(self.run.parallelism)
        return plan(self)

    monkeypatch.setattr(command_run, "connect_factory", connect_factory)
    monkeypatch.setattr(command_run.Runner, "plan", spy)
    assert cli("plan", "--parallelism", "3").exit_code == 0
    assert set(seen) == {3}
