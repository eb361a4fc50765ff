"""`ssm-reconcile show`: a saved plan or report -> one of the output formats; no AWS.

`render_plan` and `render_report` are the formats of `--format` for every command. `sums_by_target` has the
counts that an apply without a question writes.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile import approve
from ssm_reconcile.change import Action, Change, Fate
from ssm_reconcile.cli import command_run, options, terminal, text_files
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.documents import PlanDocument, ReportDocument
from ssm_reconcile.errors import UsageError
from ssm_reconcile.plan import Plan

if TYPE_CHECKING:
    from ssm_reconcile.renderers.plan_summary_text import Extent

EPILOG = """\
\b
Examples:
  ssm-reconcile show plan.json
  ssm-reconcile show plan.json --full
  ssm-reconcile show report.json --format markdown
"""
EXIT_CODES = {
    0: "done",
    1: "the file cannot be read, or the output was lost",
    64: "wrong usage, or the file is neither a plan nor a report",
}
WIDTH = 120
"""Columns of an output that does not go to a terminal."""
_STDIN = "<stdin>"
"""Name of standard input as a file of Python."""


@click.command("show", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@click.argument("file", type=click.File("rb"))
@options.format_option()
@options.extent_options
@options.basic_options
def command(file: Any, output_format: str, extent: Extent, common: CommonOptions) -> int:
    """Show a saved plan (`plan --out`) or a saved report (`apply --out`) again; needs no AWS.

    FILE may be `-` for standard input. The output comes from the file alone: it shows the state at the
    time of the plan or of the apply, not the current state.
    """
    from ssm_reconcile.documents.decode import read_plan_or_report

    name = getattr(file, "name", _STDIN).replace(_STDIN, "standard input")
    document = read_plan_or_report(text_files.decode_document(file.read(), name))
    color = terminal.use_color(sys.stdout, common.color)
    if "outcomes" in document:
        if extent != "grouped":
            raise click.UsageError(f"--{extent} is for a plan, and {name} holds a report: leave it out.")
        terminal.write(render_report(output_format, document, color=color))
        return 0
    apply = _apply_command(document)
    terminal.write(render_plan(output_format, document, color=color, apply_command=apply, extent=extent))
    if output_format in ("text", "html"):
        command_run.note_standard_input(document.get("spec_files", ()), common)
    return 0


def _apply_command(document: PlanDocument) -> str | None:
    """Return the command that applies a plan by its id; empty when no command makes the same plan again.

    None when the plan does not say how it was made.
    """
    if "undoes" in document:
        return ""  # it does not name the file of the report
    try:
        saved = approve.run_of(document)
    except UsageError:
        return None
    left_out = any("refused-plan" in change.get("withheld_by", ()) for change in document["changes"])
    if left_out or is_unreviewed(document):
        return ""  # the file does not have the addresses of --leave-out
    files = () if saved.spec_files == (DEFAULT_SPEC,) else saved.spec_files
    return options.command_line(files, saved.name, saved.lifted).apply()


def is_unreviewed(document: PlanDocument) -> bool:
    """Return whether a lift does not count in a plan, and would count in an apply by the id of the plan."""
    return any(finding["code"] == "lift-not-reviewed" for finding in document["findings"])


def render_plan(
    output_format: str,
    document: PlanDocument,
    *,
    color: bool,
    apply_command: str | None = None,
    extent: Extent = "grouped",
) -> str | Iterator[str]:
    """Return a plan in one of the formats; JSON in blocks.

    Args:
        output_format: One of `options.FORMATS`.
        document: The plan.
        color: Whether text gets terminal colours.
        apply_command: The command that applies the plan, without its id. Empty: the text names none.
            None: the renderer derives it from the document.
        extent: The part of the plan that a text shows.
    """
    from ssm_reconcile.renderers import escaping, text, view

    match output_format:
        case "json":
            return escaping.json_blocks(document)
        case "markdown":
            from ssm_reconcile.renderers import comment_context, markdown

            context = comment_context.CommentContext(promise="undoes" not in document)
            return escaping.inert(markdown.plan_summary(view.PlanView(document), context=context))
        case "html":
            from ssm_reconcile.renderers import html

            return html.plan_html(view.PlanView(document), apply_command=apply_command or "")
        case _:
            return text.plan_text(
                view.PlanView(document),
                width=text_width(),
                color=color,
                apply_command=apply_command,
                extent=extent,
            )


def render_report(
    output_format: str, document: ReportDocument, *, color: bool, shown: PlanDocument | None = None
) -> str | Iterator[str]:
    """Return a report in one of the formats; JSON in blocks.

    Args:
        output_format: `json`, `markdown`, `html` or `text`.
        document: The document of the report.
        color: Whether text gets terminal colours.
        shown: The plan, if the reader of the text has just seen it.
    """
    from ssm_reconcile.renderers import escaping, report_text, view

    match output_format:
        case "json":
            return escaping.json_blocks(document)
        case "markdown":
            from ssm_reconcile.renderers import report_markdown

            return escaping.inert(report_markdown.report_summary(view.ReportView(document)))
        case "html":
            from ssm_reconcile.renderers import html

            return html.report_html(view.ReportView(document))
        case _:
            plan = None if shown is None else view.PlanView(shown)
            report = view.ReportView(document)
            return report_text.report_text(report, width=text_width(), color=color, shown=plan)


def text_width() -> int:
    """Return the columns of the terminal; COLUMNS is respected."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def sums(changes: Sequence[Change]) -> str:
    """Return `2 to create, 1 to delete, 1 of them withheld`."""
    actions = Counter(change.action for change in changes)
    counts = [f"{actions[action]:,} to {action}" for action in Action if actions[action]]
    withheld = sum(change.fate is Fate.WITHHELD for change in changes)
    return ", ".join([*counts, *[f"{withheld:,} of them withheld"] * bool(withheld)]) or "nothing to do"


def sums_by_target(plan: Plan) -> list[str]:
    """Return the sums of each target, those of many targets that are alike as one; none for one target."""
    from ssm_reconcile.renderers.groups import alike_label, merge_alike

    changes: dict[tuple[str, str], list[Change]] = {}
    for change in plan.changes:
        changes.setdefault((change.replication, change.target), []).append(change)
    targets = [
        (part, target.name, sums(changes.get((part.name, target.name), ())))
        for part in plan.replications
        for target in part.targets
    ]
    if len(targets) == 1:
        return []
    lines = []
    for alike in merge_alike(targets, lambda one: (one[0].name, one[2])):
        part, _, text = alike[0]
        label = alike_label([name for _, name, _ in alike], len(part.targets))
        lines.append(f"  {f'{part.name}:' if len(plan.replications) > 1 else ''}{label}: {text}")
    return lines
