"""`ssm-reconcile show`: a saved plan or report -> the same text as when it was made; no AWS."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions, Intent
from ssm_reconcile.errors import UsageError

if TYPE_CHECKING:
    from ssm_reconcile.documents import PlanDocument, ReportDocument

HELP = """\
Show a saved plan (`plan --out`) or a saved report (`apply --out`) again; needs no AWS.

FILE may be `-` for standard input. What is shown comes from the file alone: it is what was planned or
done then, not what is true now.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile show plan.json
  ssm-reconcile show report.json --format markdown

\b
Exit codes:
    0  done
    1  the file cannot be read
   64  wrong usage, or the file is neither a plan nor a report
"""


@click.command("show", help=HELP, epilog=EPILOG)
@click.argument("file", type=click.File("rb"))
@options.format_option
@options.basic_options
def command(file: Any, output_format: str, common: CommonOptions) -> int:
    """Reads and shows; returns the exit code."""
    from ssm_reconcile.cli.terminal import decode_document
    from ssm_reconcile.documents.decode import read_plan_or_report

    document = read_plan_or_report(
        decode_document(file.read(), getattr(file, "name", None) or "standard input")
    )
    color = terminal.use_color(sys.stdout, common.color)
    if "outcomes" in document:
        terminal.write(report_as(output_format, document, color=color))
    else:
        again = _apply_command(document)
        terminal.write(plan_as(output_format, document, color=color, apply_command=again))
        if output_format in ("text", "html"):
            command_run.note_standard_input(document.get("spec_files", ()), common)
    return 0


def _apply_command(document: PlanDocument) -> str | None:
    """The command that would apply a saved plan by its id; None when the plan does not say."""
    from ssm_reconcile import approve

    try:
        saved = approve.run_of(document)
    except UsageError:
        return None
    run = saved.run
    intent = Intent(
        name=saved.name,
        target=run.targets,
        only=run.only,
        verify_values=run.verify_values,
        no_decrypt=run.no_decrypt,
        adopt=None if run.adopt is None else run.adopt.value,
    )
    lifts = tuple(word for flag in saved.flags for word in flag.split())
    files = () if saved.spec_files == (DEFAULT_SPEC,) else saved.spec_files
    return replace(intent.command_line(files), lifts=lifts).apply()


WIDTH = 120
"""Columns where there is no terminal to ask."""


def plan_as(
    output_format: str, document: PlanDocument, *, color: bool, apply_command: str | None = None
) -> str:
    """A plan's document in one of the formats.

    `apply_command` would apply it, but for its id; empty: name none. None: made of what the plan says.
    """
    from ssm_reconcile.renderers import view

    match output_format:
        case "json":
            from ssm_reconcile.renderers.json import dumps

            return dumps(document)
        case "markdown":
            from ssm_reconcile.renderers.markdown import plan_summary

            return plan_summary(view.plan_view(document))
        case "html":
            from ssm_reconcile.renderers.html import plan_html

            return plan_html(view.plan_view(document), apply_command=apply_command or "")
        case _:
            from ssm_reconcile.renderers.text import plan_text

            return plan_text(
                view.plan_view(document), width=_width(), color=color, apply_command=apply_command
            )


def report_as(output_format: str, document: ReportDocument, *, color: bool) -> str:
    """A report's document in one of the formats."""
    from ssm_reconcile.renderers.view import report_view

    match output_format:
        case "json":
            from ssm_reconcile.renderers.json import dumps

            return dumps(document)
        case "markdown":
            from ssm_reconcile.renderers.markdown import report_summary

            return report_summary(report_view(document))
        case "html":
            from ssm_reconcile.renderers.html import report_html

            return report_html(report_view(document))
        case _:
            from ssm_reconcile.renderers.text import report_text

            return report_text(report_view(document), width=_width(), color=color)


def _width() -> int:
    """Columns of the terminal; COLUMNS is honoured."""
    return shutil.get_terminal_size((WIDTH, 24)).columns
