"""The commands that need no AWS: validate, show, schema, completion, and a demo without its extra."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssm_reconcile.cli import COMMANDS, COMPLETION_VARIABLE, demo, root, text_files
from ssm_reconcile.cli.options import CommonOptions, command_line
from ssm_reconcile.cli.show import render_plan, render_report
from ssm_reconcile.errors import UsageError
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Run
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SPEC, Cli
from tests.unit.renderers import plans


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text(SPEC)
    return tmp_path


@pytest.mark.parametrize("output_format", ["text", "markdown", "json"])
def test_no_output_has_a_command_for_a_runner(output_format: str) -> None:
    change = plans.update("eu-west-1", "/a", reasons=("##[error]a",))
    plan = plans.plan_of([change])
    shown = "".join(render_plan(output_format, plans.document_of(plan), color=False))
    report = plans.report_document_of(plans.reported(plan, [Result.FAILED]))
    shown += "".join(render_report(output_format, report, color=False))
    assert "##[" not in shown
    assert r"##\u005berror]a" in shown


def test_a_valid_spec_is_reported_on_stdout(folder: Path, cli: Cli) -> None:
    result = cli("validate")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "replication.yaml: 1 replication, valid\n",
        "",
    )


def test_every_error_is_reported_on_stderr_with_its_position(folder: Path, cli: Cli) -> None:
    Path("replication.yaml").write_text(SPEC.replace("name: prod", "name: Prod").replace("delete", "dlete"))
    result = cli("validate")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("replication.yaml:") and line.endswith("]") for line in lines)
    assert result.stdout == f"replication.yaml: not valid, {len(lines)} errors\n"


def test_validate_as_json_has_everything_on_stdout(folder: Path, cli: Cli) -> None:
    good = json.loads(cli("validate", "--format", "json").stdout)
    assert (good["valid"], good["usable"]) == (True, True)
    assert good["replications"] == [
        {"name": "prod", "file": "replication.yaml", "targets": ["us-east-2", "eu-west-1"]}
    ]
    Path("replication.yaml").write_text("version: 1\n")
    result = cli("validate", "--format", "json")
    bad = json.loads(result.stdout)
    assert (bad["valid"], bad["usable"]) == (False, False)
    assert {"severity", "code", "message", "where"} == set(bad["findings"][0])
    assert result.stderr == ""


def test_quiet_hides_the_warnings_of_a_valid_spec_in_the_text_only(folder: Path, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace("us-east-2", "us-east-99"))
    shown, hidden = cli("validate"), cli("validate", "--quiet")
    assert (shown.exit_code, hidden.exit_code) == (0, 0)
    (warning,) = [line for line in shown.stderr.splitlines() if "warning: " in line]
    assert warning.startswith("replication.yaml:")
    assert "us-east-99" in warning
    assert hidden.stderr == ""
    document = json.loads(cli("validate", "--quiet", "--format", "json").stdout)
    assert "us-east-99" in str([one["message"] for one in document["findings"]])


def test_an_unknown_name_is_wrong_usage_and_a_missing_file_is_not(folder: Path, cli: Cli) -> None:
    result = cli("validate", "--name", "staging")
    assert result.exit_code == 64
    assert "prod" in result.stderr
    assert cli("validate", "nope.yaml").exit_code == 1


def test_standard_input_that_is_not_text_is_reported(folder: Path, cli: Cli) -> None:
    result = CliRunner().invoke(root, ["validate", "-"], input=b"name: \xff\xfe")
    assert result.exit_code in {1, 64}
    assert "UTF-8" in result.stderr


def test_a_text_of_the_maximum_size_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes("aé".encode())
    assert text_files.read_text(str(file), 2) == "a"
    file.write_bytes(b"a\xffbc")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        text_files.read_text(str(file), 4)


def test_show_repeats_what_plan_showed(aws: SimulatedAws, cli: Cli) -> None:
    words = ["--target", "us-east-2", "--max-deletes", "0"]
    shown = cli("plan", "--out", "plan.json", *words).stdout
    calls = len(aws.world.calls)
    assert cli("show", "plan.json").stdout == shown
    assert cli("show", "plan.json", "--format", "json").stdout == Path("plan.json").read_text()
    assert cli("show", "plan.json", "--format", "markdown").stdout.startswith("## ")
    assert len(aws.world.calls) == calls


def test_show_repeats_a_report(aws: SimulatedAws, cli: Cli) -> None:
    shown = cli("apply", "--yes", "--out", "report.json").stdout
    assert cli("show", "report.json").stdout == shown


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"plan_id": "x"', '{"outcomes": 1}', "\x00"])
def test_show_refuses_what_is_neither(folder: Path, cli: Cli, text: str) -> None:
    Path("plan.json").write_text(text)
    result = cli("show", "plan.json")
    assert result.exit_code == 64
    assert result.stdout == ""


@pytest.mark.parametrize("what", ["replication", "plan", "report", "doctor", "doctor-probe", "status"])
def test_schemas_are_json(cli: Cli, what: str) -> None:
    assert json.loads(cli("schema", what).stdout)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_the_schema_of_a_spec_is_the_one_that_is_meant(cli: Cli) -> None:
    assert cli("schema").stdout == cli("schema", "replication").stdout
    assert cli("schema", "spec").exit_code == 64


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_gets_a_script_that_asks_this_program(cli: Cli, shell: str) -> None:
    result = cli("completion", shell)
    assert result.exit_code == 0
    assert COMPLETION_VARIABLE in result.stdout
    assert f"{shell}_complete" in result.stdout
    assert result.stderr == ""


def test_powershell_gets_words_one_a_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPLETION_VARIABLE, "powershell_complete")
    monkeypatch.setenv("COMP_WORDS", "plan\nC:\\specs\\my spec.yaml\n--det")
    monkeypatch.setenv("COMP_WORD", "--det")
    result = cli()
    assert result.exit_code == 0
    assert result.stdout.startswith("plain\t--detailed-exitcode\tExit 2 when there are changes.")


@pytest.mark.parametrize(
    ("words", "word", "suggestion"),
    [
        ("va", "va", "plain\tvalidate\t"),
        ("completion", "", "plain\tbash\t"),
        ("completion\nz", "z", "plain\tzsh\t"),
    ],
)
def test_powershell_completes_the_word_at_the_cursor(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: str, word: str, suggestion: str
) -> None:
    monkeypatch.setenv(COMPLETION_VARIABLE, "powershell_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_WORD", word)
    assert cli().stdout.startswith(suggestion)


def test_commands_complete_with_their_help(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPLETION_VARIABLE, "fish_complete")
    monkeypatch.setenv("COMP_WORDS", "ssm-reconcile va")
    monkeypatch.setenv("COMP_CWORD", "va")
    assert "validate" in cli().stdout


def test_a_demo_without_its_simulator_says_how_to_get_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    there = util.find_spec
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "moto" else there(name))
    result = cli("demo")
    assert result.exit_code == 1
    assert "pip install '.[demo]'" in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(cli: Cli, name: str) -> None:
    result = cli(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"ssm-reconcile {name}" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 100


def test_a_typo_is_wrong_usage_with_the_nearest_command(cli: Cli) -> None:
    result = cli("aply")
    assert result.exit_code == 64
    assert "Did you mean `apply`?" in result.stderr
    assert result.stdout == ""


def test_no_command_at_all_is_wrong_usage_with_the_help(cli: Cli) -> None:
    result = cli()
    assert result.exit_code == 64
    assert "Set up:" in result.stderr


def test_flags_repeat_the_options_of_a_run() -> None:
    run = Run(only=("/a/**", "/b"), no_decrypt=True, max_deletes=0)
    asked = CommonOptions(profile="my profile", endpoint_url="http://localhost:1")
    assert command_line(("a spec.yaml",), "prod", run, asked).apply("--yes") == (
        "ssm-reconcile apply 'a spec.yaml' --name prod --only '/a/**' --only /b --no-decrypt --max-deletes 0"
        " --profile 'my profile' --endpoint-url http://localhost:1 --yes"
    )
