"""Every command that is printed for a person is run as it is printed, and does what it was printed for."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssm_reconcile.cli import command_run
from ssm_reconcile.command_line import CommandLine
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SPEC

if TYPE_CHECKING:
    from click.testing import Result

    from ssm_reconcile.cli.options import CommonOptions
    from tests.unit.cli.conftest import Cli

SPEC_FILE = "the spec's own/prod & stage.yaml"


@pytest.fixture
def access(aws: SimulatedAws, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str | None]]:
    """The spec under a name that a shell would take apart, and the access that each run has asked for."""
    Path("replication.yaml").unlink()
    Path(SPEC_FILE).parent.mkdir()
    Path(SPEC_FILE).write_text(f"{SPEC}---\n{SPEC.replace('prod', 'stage').replace('/app/', '/stage/')}")
    seen: list[tuple[str | None, str | None]] = []

    def connect(asked: CommonOptions, _clock: object) -> object:
        seen.append((asked.profile, asked.endpoint_url))
        return aws.connect

    monkeypatch.setattr(command_run, "connect_factory", connect)
    return seen


def printed(text: str, command: str) -> list[str]:
    """Return the words of the last command of that name in a text, on its one line."""
    found = re.findall(rf"ssm-reconcile ({command} [^`\n]*)", text)
    assert found, text
    return shlex.split(found[-1])


ACCESS = ("--profile", "the profile", "--endpoint-url", "http://localhost:4566/a b")
NARROWED = ("--name", "prod", "--target", "us-east-2", "--only", "/app/**", "--only", "/app/url")


@pytest.mark.parametrize(
    "words",
    [
        NARROWED,
        (*NARROWED, "--no-decrypt"),
        ("--name", "prod", "--verify-values", "--adopt", "same_value"),
        ("--name", "prod", "--allow-replace", "--overwrite-outside", "--max-deletes", "0"),
        ("--name", "prod", "--max-change-percent", "0", "--allow-empty-source", "--allow-reversed"),
    ],
)
@pytest.mark.parametrize("width", ["40", "400"])
def test_the_command_after_a_plan_applies_that_plan(
    words: tuple[str, ...],
    width: str,
    cli: Cli,
    aws: SimulatedAws,
    access: list[tuple[str | None, str | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    result = cli("plan", SPEC_FILE, *words, *ACCESS)
    assert result.exit_code == 0, result.stderr
    done = cli(*printed(result.stdout, "apply"))
    assert done.exit_code == 0, done.stderr
    assert aws.names("us-east-2")
    assert access == [("the profile", "http://localhost:4566/a b")] * 2


def test_the_command_of_a_saved_plan_that_is_shown_applies_it(
    cli: Cli, aws: SimulatedAws, access: list[tuple[str | None, str | None]]
) -> None:
    assert cli("plan", SPEC_FILE, *NARROWED, "--max-deletes", "3", "--out", "plan.json").exit_code == 0
    done = cli(*printed(cli("show", "plan.json").stdout, "apply"))
    assert done.exit_code == 0, done.stderr
    assert aws.names("us-east-2") == ["/app/hosts", "/app/key", "/app/url"]
    assert len(access) == 2


def test_the_command_after_a_refused_plan_id_applies_the_plan_that_is_shown(
    cli: Cli, aws: SimulatedAws, access: list[tuple[str | None, str | None]]
) -> None:
    refused = cli("apply", SPEC_FILE, *NARROWED, "--max-deletes", "3", *ACCESS, "--expect-plan", "0" * 12)
    assert refused.exit_code == 4
    assert cli(*printed(refused.stderr, "apply")).exit_code == 0
    assert aws.names("us-east-2")
    assert access[0] == access[1] == ("the profile", "http://localhost:4566/a b")


def test_the_command_after_a_refused_saved_plan_applies_the_plan_that_is_shown(
    cli: Cli, aws: SimulatedAws, access: list[tuple[str | None, str | None]]
) -> None:
    words = (*NARROWED, "--overwrite-outside")
    assert cli("plan", SPEC_FILE, *words, "--out", "plan.json").exit_code == 0
    aws.put("/app/more", "new")
    refused = cli("apply", "plan.json", "--overwrite-outside", *ACCESS)
    assert refused.exit_code == 4
    command = printed(refused.stderr, "apply")
    assert command[:2] == ["apply", SPEC_FILE]
    assert {*words, *ACCESS} < set(command)
    assert cli(*command).exit_code == 0
    assert "/app/more" in aws.names("us-east-2")
    assert access[1] == access[2]


def test_the_command_after_a_saved_plan_without_its_lifted_guard_lifts_it(
    cli: Cli, aws: SimulatedAws, access: list[tuple[str | None, str | None]]
) -> None:
    assert cli("apply", SPEC_FILE, "--name", "prod", "--yes").exit_code == 0
    for name in ("/app/url", "/app/hosts"):
        aws.delete(name)
    words = ("--name", "prod", "--target", "us-east-2", "--max-deletes", "2")
    assert cli("plan", SPEC_FILE, *words, "--out", "the plan.json").exit_code == 0
    refused = cli("apply", "the plan.json", "--spec", SPEC_FILE, *ACCESS)
    assert refused.exit_code == 4
    assert "Apply exactly this" not in refused.stderr
    command = printed(refused.stderr, "apply")
    assert command[:2] == ["apply", "the plan.json"]
    assert {"--spec", SPEC_FILE, "--max-deletes", "2", *ACCESS} < set(command)
    done = cli(*command)
    assert done.exit_code == 0, done.stderr
    assert aws.names("us-east-2") == ["/app/key"]
    assert access[-1] == ("the profile", "http://localhost:4566/a b")


def test_the_command_after_init_plans_what_it_wrote(
    cli: Cli, aws: SimulatedAws, access: list[tuple[str | None, str | None]]
) -> None:
    assert aws.names("us-east-1")
    words = ("--source-region", "us-east-1", "--target", "us-east-2", "--yes", *ACCESS)
    result = cli("init", *words, "--output", "a new spec.yaml")
    assert result.exit_code == 0, result.stderr
    assert cli(*printed(result.stderr, "plan")).exit_code == 0
    assert access[-1] == ("the profile", "http://localhost:4566/a b")


def applied(cli: Cli, *words: str) -> tuple[Result, Result, str]:
    """Apply as JSON, and return what its report says as text and as the page of a pull request."""
    assert cli("apply", *words, "-q", "--out", "report.json").exit_code in (0, 3, 5)
    approval: str = json.loads(Path("report.json").read_text())["approval"]
    return cli("show", "report.json"), cli("show", "report.json", "--format", "markdown"), approval


def test_only_a_plan_that_was_approved_before_is_applied_as_reviewed(cli: Cli, aws: SimulatedAws) -> None:
    cli("plan", "--target", "us-east-2", "--out", "plan.json")
    assert aws.names("us-east-2") == []
    _, page, approval = applied(cli, "--yes", "--target", "eu-west-1")
    assert (approval, "as reviewed" in page.stdout) == ("yes", False)
    assert "**Applied 3 of 3.**" in page.stdout
    _, page, approval = applied(cli, "plan.json")
    assert (approval, "**Applied 3 of 3 as reviewed.**" in page.stdout) == ("saved-plan", True)
    aws.put("/app/more", "x")
    plan_id = json.loads(cli("plan", "--format", "json").stdout)["plan_id"]
    _, page, approval = applied(cli, "--expect-plan", plan_id)
    assert (approval, "**Applied 2 of 2 as reviewed.**" in page.stdout) == ("expect-plan", True)


def test_the_headline_counts_conflicts_and_what_is_withheld(cli: Cli, aws: SimulatedAws) -> None:
    aws.put("/app/url", "by hand", region="us-east-2")
    text, page, _ = applied(cli, "--yes", "--target", "us-east-2")
    assert "Applied 2 of 2 changes: 1 conflict (plan " in text.stdout
    assert "**Applied 2 of 2**, 1 conflict." in page.stdout
    text, page, _ = applied(cli, "--yes", "--target", "us-east-2")
    assert "Nothing to do: 1 conflict." in text.stdout
    assert "**Nothing to apply**, 1 conflict." in page.stdout


def test_the_commands_of_doctor_are_about_the_same_spec(
    cli: Cli, aws: SimulatedAws, access: list[tuple[str | None, str | None]]
) -> None:
    aws.store("us-east-1").add_tags("/app/url", {f"t{n}": "" for n in range(49)})
    result = cli("doctor", SPEC_FILE, "--name", "prod", *ACCESS).stdout
    explain = printed(result, "explain")
    assert explain[:4] == ["explain", "/app/url", "--spec", SPEC_FILE]
    assert cli(*explain).exit_code == 0
    assert access[-1] == ("the profile", "http://localhost:4566/a b")
    assert cli(*printed(result, "iam apply")).exit_code == 0


def test_the_issue_on_drift_names_the_spec_that_is_applied_by_hand() -> None:
    from ssm_reconcile.renderers.comment_context import CommentContext
    from ssm_reconcile.renderers.drift_issue import plan_issue
    from ssm_reconcile.renderers.view import PlanView
    from tests.unit.renderers import plans

    view = PlanView(plans.document_of(plans.twelve()))
    command = "ssm-reconcile apply 'a b.yaml' --name prod"
    assert f"`{command}`" in plan_issue(view, context=CommentContext(command=command), budget=60_000)


def test_a_spec_whose_name_begins_with_a_dash_is_not_read_as_an_option(cli: Cli, aws: SimulatedAws) -> None:
    Path("replication.yaml").rename("-prod.yaml")
    result = cli("plan", "--target", "us-east-2", "--", "-prod.yaml")
    done = cli(*printed(result.stdout, "apply"))
    assert done.exit_code == 0, done.stderr
    assert aws.names("us-east-2")
    aws.put("/app/url", "changed")
    result = cli("explain", "/app/url", "--spec", "-prod.yaml", "--target", "us-east-2")
    assert cli(*printed(result.stdout, "apply"), "--yes").exit_code == 0


@pytest.mark.parametrize("command", ["plan", "explain"])
def test_a_spec_from_standard_input_is_piped_into_the_printed_command_or_saved(
    command: str, cli: Cli, aws: SimulatedAws
) -> None:
    path = Path("replication.yaml")
    spec = path.read_text()
    words = ("plan", "-") if command == "plan" else ("explain", "/app/url", "--spec", "-")
    result = cli(*words, "--target", "us-east-2", stdin=spec)
    assert "pipe the same spec into them, or save it to a file and name that file" in result.stderr
    again = printed(result.stdout, "apply")
    saved = [str(path) if word == "-" else word for word in again]
    assert cli(*again, "--yes", stdin=spec).exit_code == 0
    assert "/app/url" in aws.names("us-east-2")
    assert saved != again
    assert cli(*saved[: saved.index("us-east-2") + 1], "--yes").exit_code == 0


def test_the_doctor_command_names_the_replication_and_a_name_with_a_dash_is_not_an_option() -> None:
    given = CommandLine(("-a.yaml",), "prod", ("us-east-2",))
    assert given.doctor() == "ssm-reconcile doctor ./-a.yaml --name prod --target us-east-2"
    assert given.explain("-x").endswith("--target us-east-2 -- -x")
    assert given.apply_saved("-plan.json") == "ssm-reconcile apply ./-plan.json --spec ./-a.yaml"


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "-"),
        ("apply", "-", "--expect-plan", "0123456789ab"),
        ("doctor", "-"),
        ("status", "-"),
        ("explain", "/app/url", "--spec", "-"),
    ],
)
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_printed_commands_that_read_standard_input_again_are_noted(
    aws: SimulatedAws, cli: Cli, words: tuple[str, ...], quiet: tuple[str, ...]
) -> None:
    result = cli(*words, *quiet, stdin=SPEC)
    assert ("read the spec from standard input again" in result.stderr) is (not quiet)


@pytest.mark.parametrize(
    ("words", "is_noted"),
    [((), True), (("-q",), False), (("--format", "html"), True), (("--format", "json"), False)],
)
def test_the_command_of_a_shown_plan_that_reads_standard_input_again_is_noted(
    aws: SimulatedAws, cli: Cli, words: tuple[str, ...], *, is_noted: bool
) -> None:
    assert cli("plan", "-", "--out", "plan.json", stdin=SPEC).exit_code == 0
    result = cli("show", "plan.json", *words)
    assert result.exit_code == 0
    assert ("read the spec from standard input again" in result.stderr) is is_noted
