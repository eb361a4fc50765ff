"""`ssm-reconcile status`: specs -> the state of each replica, from listings; no value is read."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import unknown_name
from ssm_reconcile.spec import Run

if TYPE_CHECKING:
    from ssm_reconcile.documents.status import StatusDocument

EPILOG = """\
\b
Examples:
  ssm-reconcile status
  ssm-reconcile status --state conflict,foreign,invalid --target us-east-2
  ssm-reconcile status --only '/prod/db/**' --state in_sync
  ssm-reconcile status --format csv > replicas.csv
"""
EXIT_CODES = {
    0: "done",
    1: "error: no source, or no target, could be listed",
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
_FORMULA_STARTS = ("=", "+", "@", "\t", "\r")
"""Starts of a cell that a spreadsheet evaluates. `-` is none of them: a name may begin with it."""


def _read_states(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the states of `--state`, which may be comma lists; raise UsageError for an unknown one."""
    from ssm_reconcile.documents.status import REPLICA_STATES

    found = tuple(dict.fromkeys(word.strip() for text in texts for word in text.split(",")))
    for word in found:
        if word not in REPLICA_STATES:
            raise unknown_name("state", word, REPLICA_STATES)
    return found


def _complete_state(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    """Return the states that complete the last word of a comma list."""
    from ssm_reconcile.documents.status import REPLICA_STATES

    before, comma, word = text.rpartition(",")
    return [f"{before}{comma}{state}" for state in REPLICA_STATES if state.startswith(word)]


@click.command("status", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@options.spec_option
@options.name_option
@options.target_option
@options.only_option
@click.option(
    "--state", "states", metavar="STATE", multiple=True, callback=_read_states,
    shell_complete=_complete_state,
    help="List only addresses in this state (repeat for more, or separate them by commas).",
)  # fmt: skip
@options.format_option("text", "json", "csv")
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    targets: tuple[str, ...],
    only: tuple[str, ...],
    states: tuple[str, ...],
    output_format: str,
    common: CommonOptions,
) -> int:
    """Show the state of every replica in each target; read no value.

    Shows the state, the source version, the last modification with its age, and the writer. A state is a
    row of the table of cases (`explain` names it too), `unproven` where only the values decide, or `excluded`
    for a source parameter that an exclude or `types` leaves out: docs/reference/status.md has all of them.
    Counts are of all states, also with --state.

    Cost: the listings of a plan, and at most 50 reads of tags in each place. `iam plan --no-decrypt` prints
    the permissions; ssm:GetParameters is not needed.
    """
    from ssm_reconcile import __version__
    from ssm_reconcile.cli.show import text_width
    from ssm_reconcile.renderers.escaping import dumps
    from ssm_reconcile.renderers.status_text import status_text
    from ssm_reconcile.session import Session
    from ssm_reconcile.status import read_status, status_document

    options.check_patterns("--only", only)
    run = Run(targets=tuple(dict.fromkeys(targets)), only=tuple(dict.fromkeys(only)))
    loaded = command_run.load_specs(specs, name)
    with command_run.start_runner(loaded, run, common) as runner:
        created = runner.clock.now()
        with runner.reading() as progress:
            found = read_status(loaded, Session(runner.open_places(), run, runner.clock, progress))
    document = status_document(found, created, tool_version=__version__, states=states)
    match output_format:
        case "json":
            terminal.write(dumps(document))
        case "csv":
            terminal.write(csv_text(document))
        case _:
            color = terminal.use_color(sys.stdout, common.color)
            terminal.write(status_text(document, width=text_width(), color=color, listed=states))
    if output_format != "json":
        terminal.write_findings(finding for _, finding in found.findings)
    return 0 if found.complete else INCOMPLETE


def csv_text(document: StatusDocument) -> str:
    """Return the addresses of a status as CSV (RFC 4180) with a header; `writer` is a short name."""
    from ssm_reconcile.change import writer_name

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
