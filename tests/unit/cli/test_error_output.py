"""Error messages of the command line: their content, and no secret in them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from ssm_reconcile.cli import error_output
from ssm_reconcile.errors import (
    Finding,
    Interrupted,
    NothingPlanned,
    PlaceError,
    PlanRefused,
    ReconcileError,
    Severity,
    SpecError,
    StoreError,
    Trouble,
    UsageError,
)
from tests.unit.cli.conftest import Cli

SECRET = "correct horse battery staple"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpecError([]), 1),
        (UsageError("x"), 64),
        (PlaceError("x"), 1),
        (NothingPlanned("x"), 1),
        (PlanRefused("x"), 4),
        (Interrupted("x"), 130),
        (KeyboardInterrupt(), 130),
        (StoreError(Trouble.DENIED, place="p", operation="o", code="c"), 1),
        (ReconcileError("x"), 1),
        (ValueError(SECRET), 1),
        (OSError(28, "No space left on device", "plan.json"), 1),
    ],
)
def test_each_failure_has_its_exit_code_and_no_traceback(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert error_output.report_error(error, debug=False) == code
    assert error_output.exit_code_of(error) == code
    result = capsys.readouterr()
    assert result.out == ""
    assert "Traceback" not in result.err
    assert result.err


def test_the_errors_are_saved_where_the_variable_says_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "errors"
    findings = [
        Finding(Severity.ERROR, "x", "`delte` is\x1b[2J unknown", "replication.yaml:3:1"),
        Finding(Severity.WARNING, "y", "old", "replication.yaml:4:1"),
    ]
    error_output.report_error(SpecError(findings), debug=False)
    assert not file.exists()
    monkeypatch.setenv(error_output.ERRORS_VARIABLE, str(file))
    error_output.report_error(SpecError(findings), debug=False)
    first, *_, last = file.read_text().splitlines()
    assert first == "the spec has 1 error."
    assert last.startswith("replication.yaml:3:1: `delte` is")
    assert "\x1b" not in last
    error_output.report_error(PlanRefused("no plan", "make one"), debug=False)
    assert file.read_text() == "no plan.\nWhat to do: make one.\n"
    monkeypatch.setenv(error_output.ERRORS_VARIABLE, str(tmp_path / "none" / "errors"))
    assert error_output.report_error(PlanRefused("no plan"), debug=False) == PlanRefused("").exit_code
    assert "could not be written" in capsys.readouterr().err


def test_a_failure_says_what_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = StoreError(
        Trouble.DENIED, place="1/us-east-1", operation="PutParameter", code="AccessDenied", remedy="allow it."
    )
    error_output.report_error(error, debug=False)
    assert capsys.readouterr().err == (
        "Error: PutParameter in 1/us-east-1 failed: AccessDenied\n  What to do: allow it.\n"
    )


def test_wrong_usage_begins_with_the_usage_of_its_command(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("show", "--x").stderr == (
        "Usage: ssm-reconcile show [OPTIONS] FILE\nTry 'ssm-reconcile show --help' for help.\n\n"
        "Error: No such option '--x'.\n"
    )
    error_output.report_error(click.UsageError("--x is of no command"), debug=False)
    assert capsys.readouterr().err == "Error: --x is of no command\n"


def test_all_errors_of_a_spec_are_printed_in_the_form_that_editors_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults = [Finding(Severity.ERROR, "typo", f"write `name` {i}", f"a.yaml:{i}:3") for i in (1, 2)]
    error_output.report_error(SpecError(faults), debug=False)
    assert capsys.readouterr().err.splitlines() == [
        "a.yaml:1:3: error: write `name` 1 [typo]",
        "a.yaml:2:3: error: write `name` 2 [typo]",
        "Error: the spec has 2 errors",
    ]


def _find(value: str) -> None:
    held = {"wanted": value}
    raise KeyError(held["wanted"])


def _fail(value: str) -> None:
    try:
        _find(value)
    except KeyError as cause:
        message = "the store broke"
        raise ReconcileError(message) from cause


def test_debug_shows_places_and_kinds_but_neither_locals_nor_foreign_messages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        _fail(SECRET)
    except ReconcileError as error:
        error_output.report_error(error, debug=True)
    result = capsys.readouterr().err
    assert result.count("Traceback (most recent call last):\n") == 2
    assert "in _fail" in result
    assert "in _find" in result
    assert "KeyError\n" in result
    assert "ReconcileError: the store broke" in result
    assert SECRET not in result


def test_an_exception_that_is_its_own_cause_has_a_finite_traceback() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert error_output.traceback_text(first).count("Traceback") == 2


def test_an_error_of_the_system_names_its_file_if_it_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    error_output.report_error(OSError(28, "No space left on device", "plan.json"), debug=False)
    error_output.report_error(OSError(28, "No space left on device"), debug=False)
    expected = "Error: plan.json: No space left on device\nError: No space left on device\n"
    assert capsys.readouterr().err == expected


def test_an_unexpected_failure_tells_its_kind_and_not_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    error_output.report_error(ValueError(SECRET), debug=False)
    result = capsys.readouterr().err
    assert "unexpected ValueError" in result
    assert "--debug" in result
    assert SECRET not in result


def test_names_in_messages_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    error_output.report_error(ReconcileError("/app/\x1b[2J\u202e"), debug=False)
    result = capsys.readouterr().err
    assert "\x1b" not in result
    assert "\u202e" not in result
