"""`ssm-reconcile undo`: the report of an apply -> the plan that takes it back, applied as by `apply`."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from ssm_reconcile.cli import command_run, options, terminal, text_files
from ssm_reconcile.cli.apply import ApplyRun, approval_of
from ssm_reconcile.cli.command_run import Runner
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import log_reading
from ssm_reconcile.cli.show import render_plan
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.documents import PlanDocument, ReportDocument
from ssm_reconcile.encoding import printable_tree
from ssm_reconcile.errors import UsageError
from ssm_reconcile.plan import UNMET, Plan
from ssm_reconcile.spec import Run

EPILOG = """\
\b
Examples:
  ssm-reconcile undo report.json
  ssm-reconcile undo report.json --plan-only --format markdown
  ssm-reconcile undo report.json --expect-plan 9535f4258859 --out undone.json
"""
EXIT_CODES = {
    0: "done",
    1: "error: the report does not match the spec, or is of an older format; nothing was written",
    3: "something was not taken back: failed, stale, changed since, not possible, incomplete",
    4: "not the plan that was expected",
    5: "a guard withheld a change (the rest was applied, or would be with --plan-only)",
    64: "wrong usage, or REPORT is not a report",
    130: "interrupted, or stopped five minutes before the credentials end: changes in flight were finished",
}
REPORT_LIMIT = 512 * 1024 * 1024
"""Bytes of a report that are read: more than the report of the largest apply."""


@click.command("undo", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@click.argument("report", metavar="REPORT", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.spec_option
@options.expect_plan_option
@options.as_of_option
@options.yes_option
@click.option(
    "--plan-only", is_flag=True,
    help="Show the plan on stdout in the format of --format, save it in --out, and change nothing.",
)  # fmt: skip
@options.undo_options
@options.leave_out_option
@options.lift_option
@options.format_option()
@options.out_option("the report")
@options.metrics_option
@options.aws_options
def command(
    *,
    report: Path,
    specs: tuple[str, ...],
    expect_plan: str | None,
    as_of: datetime | None,
    yes: bool,
    plan_only: bool,
    name: str | None,
    run: Run,
    output_format: str,
    out: Path | None,
    metrics: Path | None,
    common: CommonOptions,
) -> int:
    """Take back what an apply did, where AWS still has what was there before.

    REPORT is the file that `apply --out` saved. Updated replicas return to the former version of their
    history, with its attributes and tags. Created replicas are deleted, and adoptions, releases and retags
    get their tags back. What has changed since the apply stays as it is and is listed, as are deletes:
    AWS keeps no history of a deleted parameter. The source is not written, and may be gone.

    The plan is shown, confirmed, guarded and reported as by `apply`. Without a terminal, see it with
    `--plan-only` and name its id, or give `--yes`. The next apply would undo the undo: unless a hold of the
    spec (`parameters.hold`) matches the source, or `--without-hold` is given, a change is withheld. The
    report of an undo can be undone again.
    """
    document = _read_report(report, common)
    run = replace(run, lifts_allowed=not yes)
    _check_options(run, as_of, yes=yes, has_id=expect_plan is not None)
    approval = approval_of(expect_plan, yes=yes)
    started = ApplyRun(specs, name, run, common, approval, output_format, out, metrics, expect=expect_plan)
    started.as_of = as_of
    started.planner = partial(_plan_undo, document, name)
    started.again = partial(CommandLine.undo, file=str(report))
    if plan_only:
        if expect_plan is not None:
            raise click.UsageError(
                "--plan-only shows a plan and --expect-plan applies one: give one of them."
            )
        return _show_plan(started, document)
    if approval == "answer":
        remedy = "see it with --plan-only, then give --expect-plan ID; or give --yes"
        command_run.check_can_ask(specs, name, remedy)
    return started.execute()


def _check_options(run: Run, as_of: datetime | None, *, yes: bool, has_id: bool) -> None:
    """Raise UsageError for options that contradict each other."""
    options.check_exposure(run)
    if run.lift and yes:
        raise click.UsageError(
            "--lift does not count with --yes, since that plan is not reviewed: give --expect-plan ID."
        )
    if as_of is not None and not has_id:
        raise click.UsageError("--as-of is for --expect-plan ID: other runs judge at the present time.")


def _read_report(path: Path, common: CommonOptions) -> ReportDocument:
    """Return the document of a report; raise UsageError for another file."""
    log_reading([path], common)
    from ssm_reconcile.documents.decode import read_report_document

    with path.open("rb") as file:
        content = file.read(REPORT_LIMIT + 1)
    if len(content) > REPORT_LIMIT:
        message = f"{path} has more than {REPORT_LIMIT // 1024 // 1024} MiB"
        raise UsageError(message, "take the file that `ssm-reconcile apply --out` saved")
    return read_report_document(text_files.decode_document(content, str(path)))


def _plan_undo(report: ReportDocument, name: str | None, runner: Runner) -> Plan:
    """Return the plan that takes a report back."""
    with runner.reading() as progress:
        from ssm_reconcile.session import Session
        from ssm_reconcile.undo import make_undo_plan

        as_of = runner.as_of or runner.clock.now()
        session = Session(runner.open_places(), runner.run, runner.clock, progress, as_of=as_of)
        return make_undo_plan(report, runner.specs, session, name)


def _show_plan(started: ApplyRun, report: ReportDocument) -> int:
    """Write the plan to stdout and to --out; return the exit code of an undo that applies all of it."""
    specs = command_run.load_specs(started.specs, started.name)
    with command_run.start_runner(specs, started.run, started.common) as runner:
        plan = started.planner(runner)
        document = _undo_document(plan, runner, report)
    command_run.save_document(started.out, document, "plan", started.common)
    command_run.save_metrics(started.metrics, plan, runner.clock.now())
    color = terminal.use_color(sys.stdout, started.common.color)
    again = started.command_line()
    terminal.write(render_plan(started.output_format, document, color=color, apply_command=again))
    if started.output_format in ("text", "html"):
        command_run.note_standard_input(started.specs, started.common)
    if plan.summary["withheld"]:
        return 5
    return 3 if any(plan.summary[word] for word in UNMET) or not plan.complete else 0


def _undo_document(plan: Plan, runner: Runner, report: ReportDocument) -> PlanDocument:
    """Return the document of a plan of `undo`: it names the plan that the apply made."""
    from ssm_reconcile import __version__
    from ssm_reconcile.documents.encode import plan_document

    document = plan_document(plan, tool_version=__version__, created=runner.clock.now())
    document["undoes"] = report["plan_id"]
    return printable_tree(document)
