"""Exceptions and findings -> text on stderr, and exit codes.

`terminal` does not import this module, so that `--help` imports neither it nor the errors.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from pathlib import Path

import click

from ssm_reconcile.cli import terminal, text_files
from ssm_reconcile.errors import Finding, Interrupted, ReconcileError, Severity, SpecError, UsageError

ERRORS_VARIABLE = "SSM_RECONCILE_ERRORS"
"""Names a file for the errors of a command; the action shows them in the comment."""


def is_action() -> bool:
    """Return whether the action runs this command, so that a comment shows its errors."""
    return bool(os.environ.get(ERRORS_VARIABLE))


def report_error(error: BaseException, *, debug: bool) -> int:
    """Write an exception to stderr and return its exit code; `debug`: with a traceback."""
    if isinstance(error, KeyboardInterrupt | click.Abort | Interrupted):
        terminal.log("Interrupted.")
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        terminal.log(error.format_message())
    else:
        if debug:
            terminal.log(traceback_text(error))
        if isinstance(error, click.UsageError) and error.ctx is not None:
            terminal.log(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n\n")
        if isinstance(error, SpecError):
            write_findings(error.findings)
        message, remedy = error_summary(error)
        terminal.log(f"Error: {_escaped(message)}")
        if remedy:
            terminal.log(f"  What to do: {_escaped(remedy)}.")
        _save_errors(error)
    return exit_code_of(error)


def _save_errors(error: BaseException) -> None:
    """Write an error to the file of SSM_RECONCILE_ERRORS: problem, remedy, and its single faults."""
    path = os.environ.get(ERRORS_VARIABLE)
    if not path:
        return
    message, remedy = error_summary(error)
    lines = [f"{message.rstrip('.')}.", *([f"What to do: {remedy}."] if remedy else [])]
    if isinstance(error, ReconcileError):
        faults = [one for one in error.findings if one.severity is Severity.ERROR]
        lines += [f"{one.where}: {one.message}" if one.where else one.message for one in faults]
    try:
        text_files.save(Path(path), "".join(f"{_escaped(line)}\n" for line in lines))
    except ReconcileError as failure:
        terminal.log(f"Warning: {_escaped(failure.message)}")


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an exception."""
    match error:
        case ReconcileError():
            return error.exit_code
        case click.UsageError():
            return UsageError.exit_code  # 2, the code of click, means that a plan has changes
        case KeyboardInterrupt() | click.Abort():
            return Interrupted.exit_code
        case _:
            return ReconcileError.exit_code


def error_summary(error: BaseException) -> tuple[str, str]:
    """Return message and remedy of an exception.

    Of a foreign exception only the type is reported, since its message may contain a value.
    """
    match error:
        case ReconcileError():
            return error.message, error.remedy.rstrip(".")
        case click.ClickException():
            return error.format_message(), ""
        case OSError() if error.strerror:
            where = f"{error.filename}: " if isinstance(error.filename, str) else ""
            return f"{where}{error.strerror}", ""
        case ImportError() if error.name:
            return f"the Python package {error.name} is missing", "install ssm-reconcile again"
        case _:
            remedy = "this is a bug of ssm-reconcile: report it with the output of --debug"
            found = traceback.extract_tb(error.__traceback__)
            place = f" in {found[-1].name}, line {found[-1].lineno}" if found else ""
            return f"unexpected {_kind(error)}{place}", remedy


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(error: BaseException) -> str:
    """Return a traceback of files, lines and types, the cause first.

    It contains no local variables and no message of a foreign exception: either may contain a value.
    """
    lines: list[str] = []
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    for one in reversed(chain):
        lines.append("Traceback (most recent call last):")
        lines += (
            f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
            for frame in traceback.extract_tb(one.__traceback__)
        )
        message = f": {_escaped(one.message)}" if isinstance(one, ReconcileError) else ""
        lines += [f"{_kind(one)}{message}", ""]
    return "\n".join(lines)


def write_findings(findings: Iterable[Finding]) -> None:
    """Write findings to stderr as `file:line:column: severity: message [code]`, which editors parse."""
    for finding in findings:
        where = f"{finding.where}: " if finding.where else ""
        terminal.log(_escaped(f"{where}{finding.severity.value}: {finding.message} [{finding.code}]"))


def _escaped(text: str) -> str:
    """Return a text without control characters and without commands for a runner: names are not trusted."""
    from ssm_reconcile.renderers.escaping import escaped_lines, inert

    return inert(escaped_lines(text))
