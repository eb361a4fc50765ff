"""`ssm-reconcile status`: specs -> the state of each replica, from listings; no value is read."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, error_output, options, terminal
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import unknown_name
from ssm_reconcile.spec import Run

if TYPE_CHECKING:
    from ssm_reconcile.command_line import CommandLine
    from ssm_reconcile.documents.status import StatusDocument
    from ssm_reconcile.status import Status

EPILOG = """\
\b
Examples:
  ssm-reconcile status
  ssm-reconcile status prod.yaml --state in_sync
  ssm-reconcile status --state conflict,foreign,invalid --target us-east-2
  ssm-reconcile status --only '/prod/db/**' --state in_sync
  ssm-reconcile status --format csv > replicas.csv
"""
EXIT_CODES = {
    0: "done",
    1: "error: no source, or no target, could be listed, or the output was lost",
    3: "a place was not listed completely",
    64: "wrong usage",
    130: "interrupted",
}
INCOMPLETE = 3
COLUMNS = (
    "replication", "target", "place", "name", "state", "type", "source", "source_version",
    "recorded_source_version", "version", "last_modified", "age_seconds", "writer", "reasons",
)  # fmt: skip
"""The header of `--format csv`. Later versions add columns at the end only."""
_FORMULA_STARTS = ("=", "+", "@")
"""Starts of a cell that a spreadsheet evaluates. `-` is none of them: a name may begin with it."""
_FOR_PEOPLE = ("conflict", "foreign", "copied", "invalid")
"""States that do not end by an apply, the most frequent first."""
_UNCHANGED = frozenset(
    {*_FOR_PEOPLE, "in_sync", "excluded", "skipped", "held", "opted_out", "chained", "kept_out", "detached"}
    | {"expiring"}
)
"""States for which a plan normally has no change."""


def _read_states(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the states of `--state`, which may be comma lists; raise UsageError for an unknown one."""
    from ssm_reconcile.documents.status import REPLICA_STATES

    words = (word.strip() for text in texts for word in text.split(","))
    found = tuple(dict.fromkeys(filter(None, words)))
    for word in found:
        if word not in REPLICA_STATES:
            raise unknown_name("state", word, REPLICA_STATES, "the states are")
    return found


def _complete_state(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    """Return the states that complete the last word of a comma list."""
    from ssm_reconcile.documents.status import REPLICA_STATES

    before, comma, word = text.rpartition(",")
    return [f"{before}{comma}{state}" for state in REPLICA_STATES if state.startswith(word)]


@click.command("status", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@options.spec_argument
@click.option(
    "--spec",
    "named_specs",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="Spec file; the same as SPEC.",
)
@options.name_option
@options.target_option
@options.only_option
@click.option(
    "--state", "states", metavar="STATE", multiple=True, callback=_read_states,
    shell_complete=_complete_state,
    help="List only addresses in this state, each of them (repeat for more, or separate them by commas).",
)  # fmt: skip
@options.format_option("text", "json", "csv")
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    named_specs: tuple[str, ...],
    name: str | None,
    targets: tuple[str, ...],
    only: tuple[str, ...],
    states: tuple[str, ...],
    output_format: str,
    common: CommonOptions,
) -> int:
    """Show the state of the replicas in each target; read no value.

    Counts all replicas by state, and lists each with its source version, last modification, age and writer.
    Those in sync, excluded ones and large groups are counted by path: --state in_sync lists each, and so do
    JSON and CSV. A state is a row of the table of cases (`explain` names it too), `unproven` where only the
    values decide, or `excluded` for a source parameter that an exclude or `types` leaves out:
    docs/reference/status.md has all of them. --state does not change the counts.

    Cost: the listings and KMS keys of a plan, and at most 50 reads of tags in each place. Without
    tag:GetResources the tags of each parameter are read, as in a plan. `iam plan --no-decrypt` prints the
    permissions; ssm:GetParameters is not needed.
    """
    from ssm_reconcile import __version__
    from ssm_reconcile.session import Session
    from ssm_reconcile.status import read_status, status_document

    options.check_patterns("--only", only)
    specs = (*specs, *named_specs)
    run = Run(targets=tuple(dict.fromkeys(targets)), only=tuple(dict.fromkeys(only)))
    loaded = command_run.load_specs(specs, name)
    with command_run.start_runner(loaded, run, common) as runner:
        created = runner.clock.now()
        with runner.reading() as progress:
            found = read_status(loaded, Session(runner.open_places(), run, runner.clock, progress))
    document = status_document(found, created, tool_version=__version__, states=states)
    next_step = _next_step(found, options.command_line(specs, name, run, common))
    _write(document, output_format, common.color, states, next_step)
    if output_format != "json":
        error_output.write_findings(finding for _, finding in found.findings)
    command_run.note_standard_input(specs, common)
    return 0 if found.complete else INCOMPLETE


def _write(
    document: StatusDocument, output_format: str, color: str, listed: Sequence[str], next_step: str
) -> None:
    """Write a status to stdout in one of the formats."""
    from ssm_reconcile.cli.show import text_width
    from ssm_reconcile.renderers.escaping import json_blocks
    from ssm_reconcile.renderers.status_text import status_text

    match output_format:
        case "json":
            terminal.write(json_blocks(document))
        case "csv":
            terminal.write(csv_text(document))
        case _:
            width, use_color = text_width(), terminal.use_color(sys.stdout, color)
            text = status_text(document, width=width, color=use_color, listed=listed, next_step=next_step)
            terminal.write(text)


def _next_step(status: Status, line: CommandLine) -> str:
    """Return the command that explains a parameter that needs a decision, else a plan if it has changes."""
    names = {one.state: one.name for target in status.targets for one in reversed(target.states)}
    for state in _FOR_PEOPLE:
        if state in names:
            return line.explain(names[state])
    return line.plan() if names.keys() - _UNCHANGED else ""


def csv_text(document: StatusDocument) -> str:
    """Return the addresses of a status as CSV (RFC 4180) with a header; `writer` is a short name."""
    from ssm_reconcile.wording import writer_name

    places = {(one["replication"], one["target"]): one["place"] for one in document["targets"]}
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for one in document["replicas"]:
        cells = {
            **one,
            "place": places[one["replication"], one["target"]],
            "writer": writer_name(one["writer"]),
            "reasons": "; ".join(one["reasons"]),
        }
        rows.writerow([_cell(cells[column]) for column in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> str:
    """Return a cell that a spreadsheet takes as text: a start of a formula gets an apostrophe before it."""
    from ssm_reconcile.renderers.escaping import visible

    text = "" if value is None else visible(str(value))
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
