"""Exceptions -> what a person reads on stderr, and the exit code.

Where and what, then what to do. Nobody sees a traceback who did not ask for one with `--debug`; and
that one has places and kinds only: no locals, and no message of an exception that is not ours, since
either may hold a value.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable

import click

from ssm_reconcile.cli import streams
from ssm_reconcile.cli.stopping import INTERRUPTED
from ssm_reconcile.errors import Finding, Interrupted, ReconcileError, SpecError

WRONG_USAGE = 64
FAILED = 1


def tell(error: BaseException, *, debug: bool) -> int:
    """Writes an exception to stderr and returns the exit code that it means."""
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, KeyboardInterrupt | click.Abort | Interrupted):
        streams.aside("Interrupted.")
        return INTERRUPTED
    if debug:
        streams.aside(frames(error))
    if isinstance(error, SpecError):
        say_findings(error.findings)
    streams.aside(text_of(error))
    return code_of(error)


def code_of(error: BaseException) -> int:
    """The exit code that an exception means."""
    match error:
        case ReconcileError():
            return error.exit_code
        case click.UsageError():
            return WRONG_USAGE
        case KeyboardInterrupt() | click.Abort():
            return INTERRUPTED
        case _:
            return FAILED


def _usage(error: click.UsageError) -> int:
    """Click's own words, with our exit code instead of its 2."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        streams.aside(error.format_message())
        return WRONG_USAGE
    if error.ctx is not None:
        streams.aside(error.ctx.get_usage())
        streams.aside(f"Try '{error.ctx.command_path} --help' for help.")
        streams.aside("\n")
    streams.aside(f"Error: {_inert(error.format_message())}")
    return WRONG_USAGE


def text_of(error: BaseException) -> str:
    """`Error: where and what`, and on the next line what to do."""
    message, remedy = summary_of(error)
    return f"Error: {_inert(message)}" + (f"\n  What to do: {_inert(remedy)}." if remedy else "")


def summary_of(error: BaseException) -> tuple[str, str]:
    """Message and remedy of an exception; of one that is not ours only its kind is told."""
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
            remedy = "this is a fault of ssm-reconcile: please report it, with the output of --debug"
            return f"unexpected {_kind(error)}{_place(error)}", remedy


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _place(error: BaseException) -> str:
    found = traceback.extract_tb(error.__traceback__)
    return f" in {found[-1].name}, line {found[-1].lineno}" if found else ""


def frames(error: BaseException) -> str:
    """A traceback of places and kinds, the cause first: no locals and no foreign messages."""
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
        told = f": {_inert(one.message)}" if isinstance(one, ReconcileError) else ""
        lines += [f"{_kind(one)}{told}", ""]
    return "\n".join(lines)


def finding_line(finding: Finding) -> str:
    """`file:line:column: severity: message [code]`, as editors and CI systems read it."""
    where = f"{finding.where}: " if finding.where else ""
    return _inert(f"{where}{finding.severity.value}: {finding.message} [{finding.code}]")


def say_findings(findings: Iterable[Finding]) -> None:
    """Writes findings to stderr, one a line."""
    for finding in findings:
        streams.aside(finding_line(finding))


def _inert(text: str) -> str:
    """Names and paths come from others: nothing in them may move a cursor or hide a character."""
    from ssm_reconcile.renderers.json import escaped_lines

    return escaped_lines(text)
