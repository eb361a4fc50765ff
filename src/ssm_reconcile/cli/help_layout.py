"""Commands and their options -> help in groups, for terminals of any width.

Click lists the options of a command in one table. Here a flag belongs to one group, in every command. Groups
and flags have the order of `GROUPS`. All tables of a help have the same first column.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

GROUPS = {
    "Scope": (
        "--spec", "--name", "--target", "--only", "--state", "--include", "--quick", "--source-region",
        "--undo", "--without-id", "--identity",
    ),
    "Input": ("--plan", "--failed", "--approval", "--refused", "--artifact", "--workflow"),
    "Comparison": ("--verify-values", "--no-decrypt", "--compare-secrets"),
    "Review": (
        "--yes", "--expect-plan", "--plan-only", "--as-of", "--reviewed", "--unreviewed", "--max-plan-age",
        "--against", "--also", "--rest", "--review", "--separate-approver", "--reviews-before",
    ),
    "Guards": (
        "--adopt", "--overwrite-outside", "--allow-replace", "--allow-exposure", "--allow-empty-source",
        "--allow-reversed", "--max-deletes", "--max-deletes-total", "--max-change-percent", "--lift",
        "--leave-out", "--without-hold",
    ),
    "GitHub": (
        "--github", "--github-ids", "--target-account", "--environment", "--branch", "--pull-requests",
        "--code-owner", "--reviewer", "--ref", "--apply", "--pull-request", "--head", "--replan", "--current",
        "--overtaken", "--comment", "--issue", "--check", "--plan-exit",
    ),
    "Probe": ("--probe", "--yes-write-here"),
    "Output": (
        "--format", "--short", "--summary", "--full", "--out", "--output", "--save", "--force",
        "--metrics", "--document",
        "--detailed-exitcode", "--fail-on-drift",
    ),
    "AWS": (
        "--profile", "--endpoint-url", "--parallelism", "--source-role-arn", "--role-arn", "--key",
        "--account", "--partition",
    ),
    "Logging": ("--verbose", "--quiet", "--debug", "--color", "--no-progress"),
    "General": ("--version", "--help"),
}  # fmt: skip
"""The flags of each group. Flags that are missing here are shown in the last group."""
PRECEDENCE = (130, 64, 1, 4, 5, 3, 2, 0)
"""Exit codes; if several apply, the process returns the first one."""
_NO_LIMIT = 1000
_RESULTS = frozenset({2, 3, 4, 5})
_MAX_COLUMN = 30
_NARROW = 60
"""Below this width, the text of a long term is on the next line, indented."""
_NARROW_COLUMN = 12
_MIN_WIDTH = 20
_MAX_WIDTH = 80


class HelpFormatter(click.HelpFormatter):
    """The formatter of click, also for terminals of less than 50 columns."""

    def write_tables(self, tables: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Write each table under its heading, all with the same first column."""
        widest = max((len(term) for rows in tables.values() for term, _ in rows), default=0)
        is_indented = self.width < _NARROW and widest > _NARROW_COLUMN
        column = self.indent_increment if is_indented else min(widest, _MAX_COLUMN)
        for heading, rows in tables.items():
            with self.section(heading):
                self.write_dl([(f"{term:<{column}}", text) for term, text in rows], col_max=column)


class HelpContext(click.Context):
    """A context whose help has the layout of this module."""

    def make_formatter(self) -> HelpFormatter:
        """Return the formatter, with the width of the terminal unless the context has one."""
        columns = min(_terminal_columns(), _MAX_WIDTH) - 2
        return HelpFormatter(width=self.terminal_width or max(columns, _MIN_WIDTH))


class DocumentedCommand(click.Command):
    """A command whose help has groups of options, exit codes in ascending order, and its environment."""

    context_class = HelpContext

    def __init__(
        self,
        name: str | None,
        *,
        exit_codes: Mapping[int, str] | None = None,
        environment: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the arguments of `click.Command`, and these.

        Args:
            name: The name of the command.
            exit_codes: The meaning of each exit code; None for a command that has only 0 and 64.
            environment: Environment variables that the command reads, with their use.
            **kwargs: The other arguments of `click.Command`.
        """
        super().__init__(name, **kwargs)
        self.exit_codes = exit_codes or {0: "done", 64: "wrong usage"}
        self.environment = environment or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a table for each group that has options."""
        records = {
            param.opts[-1]: record
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None
        }
        tables = {
            group: [records.pop(flag) for flag in flags if flag in records] for group, flags in GROUPS.items()
        }
        tables["General"] += records.values()
        _layout(formatter).write_tables({group: rows for group, rows in tables.items() if rows})

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, the environment and the exit codes."""
        if self.epilog:
            formatter.write_paragraph()
            formatter.write_text(inspect.cleandoc(self.epilog))
        codes = [(f"{code:>3}", self.exit_codes[code]) for code in sorted(self.exit_codes)]
        if self.environment:
            _layout(formatter).write_tables({"Environment": list(self.environment.items())})
        _layout(formatter).write_tables({"Exit codes": codes})
        if len(_RESULTS & self.exit_codes.keys()) > 1:
            order = ", ".join(str(code) for code in PRECEDENCE if code in self.exit_codes)
            formatter.write_paragraph()
            formatter.write_text(f"If several apply, the first one in this order is used: {order}.")


class DocumentedGroup(click.Group, DocumentedCommand):
    """A group of documented commands."""

    command_class = DocumentedCommand

    def sections(self, ctx: click.Context) -> dict[str, dict[str, str]]:
        """Return the commands under their headings, each with its first sentence."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        return {
            "Commands": {name: one.get_short_help_str(_NO_LIMIT) for name, one in commands.items() if one}
        }

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a table for each section."""
        sections = self.sections(ctx)
        _layout(formatter).write_tables({title: list(rows.items()) for title, rows in sections.items()})

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        DocumentedCommand.format_options(self, ctx, formatter)


def _layout(formatter: click.HelpFormatter) -> HelpFormatter:
    assert isinstance(formatter, HelpFormatter), "made by a HelpContext"
    return formatter


def _terminal_columns() -> int:
    """Return the columns as `shutil.get_terminal_size` does, whose module imports bz2 and lzma."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        size = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else -1)
    except (ValueError, OSError):  # a closed stream, or not a terminal
        return _MAX_WIDTH
    return size.columns or _MAX_WIDTH
