"""`ssm-reconcile plan`: specs -> the changes that an apply would make, on stdout and with --out in a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssm_reconcile import approve
from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.saved_plan import (
    PlanChanged,
    SavedPlan,
    compare_plans,
    log_unapproved,
    read_saved_plan,
)
from ssm_reconcile.cli.show import is_unreviewed, render_plan
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.plan import Plan
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.wording import cut, plural

if TYPE_CHECKING:
    from ssm_reconcile.renderers.plan_summary_text import Extent

EPILOG = """\
\b
Examples:
  ssm-reconcile plan
  ssm-reconcile plan --no-decrypt --out plan.json
  ssm-reconcile plan --summary
  ssm-reconcile plan --against base/replication.yaml
  ssm-reconcile plan --reviewed plan.json --against base/replication.yaml
  ssm-reconcile plan --verify-values --fail-on-drift
  ssm-reconcile plan prod.yaml --target eu-west-1 --only '/prod/db/**'
"""
EXIT_CODES = {
    0: "done",
    1: "error: nothing could be planned",
    2: "with --detailed-exitcode: there are changes, withheld ones included",
    3: "a place is incomplete, something is invalid, a hold has expired; with --fail-on-drift also any drift",
    4: "with --reviewed: a change that was not reviewed, or a saved plan that is too old",
    64: "wrong usage",
    130: "interrupted",
}
DRIFT_LINES = 100
"""Addresses that `--fail-on-drift` lists on stderr; the plan lists all of them."""
INCOMPLETE = 3
CHANGES = 2


@click.command("plan", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@options.spec_argument
@options.plan_options
@options.exposure_option
@options.leave_out_option
@options.lift_option
@options.format_option()
@options.extent_options
@options.out_option("the plan")
@options.metrics_option
@click.option(
    "--against", metavar="SPEC", multiple=True, type=click.Path(),
    help="The former spec: changes that it would make as well are marked as pending (repeat for more).",
)  # fmt: skip
@click.option(
    "--reviewed", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
    help="A saved plan, whose options are used: exit 4 if a change is in none of these plans and is not"
    " pending (repeat for more).",
)  # fmt: skip
@click.option(
    "--max-plan-age", metavar="DAYS", type=click.FloatRange(min=0), default=approve.MAX_AGE_DAYS,
    show_default=True, help="With --reviewed: refuse a saved plan that is older.",
)  # fmt: skip
@click.option(
    "--unreviewed", is_flag=True,
    help="Plan as a run without a review does (apply --yes, an event): `lifts` of the spec do not count.",
)  # fmt: skip
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@click.option(
    "--fail-on-drift", is_flag=True,
    help="Exit 3, with a list on stderr, for any change (withheld ones included), conflict, detached or"
    " invalid parameter, incomplete place, and for orphans under `orphans: delete`.",
)  # fmt: skip
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    run: Run,
    output_format: str,
    extent: Extent,
    out: Path | None,
    metrics: Path | None,
    against: tuple[str, ...],
    reviewed: tuple[Path, ...],
    max_plan_age: float,
    unreviewed: bool,
    detailed_exitcode: bool,
    fail_on_drift: bool,
    common: CommonOptions,
) -> int:
    """Show the changes that make each target match the spec; change nothing.

    SPEC are files or directories, replication.yaml if none is given; `-` is standard input. The plan is
    written to stdout and contains no SecureString value. The id of a plan covers each effect of its
    changes: `apply --expect-plan` applies only the plan with that id.

    With --reviewed, the plan is compared with saved plans as `apply PLAN` does it, before a merge.
    """
    saved = read_saved_plan(reviewed, name, run, max_plan_age, common) if reviewed else None
    run = _choose_options(run, saved, unreviewed=unreviewed)
    name = name if saved is None else saved.made.name
    loaded = command_run.load_specs(specs, name)
    with command_run.start_runner(loaded, run, common) as runner:
        if saved is not None:
            again = options.command_line(specs, name, saved.with_lifts(run), common)
            saved.check_age(runner.clock.now(), _commands(saved.file, reviewed, against, again))
            runner.as_of = saved.as_of(runner.clock.now())
        plan = runner.plan(against, name)
        command_run.check_narrowing(plan)
        document = command_run.saved_document(plan, run, name, specs, runner.clock.now())
        command_run.save_document(out, document, "plan", common)
        command_run.save_metrics(metrics, plan, runner.clock.now())
        apply = "" if is_unreviewed(document) else options.command_line(specs, name, run, common).apply()
        color = terminal.use_color(sys.stdout, common.color)
        terminal.write(render_plan(output_format, document, color=color, apply_command=apply, extent=extent))
        if output_format in ("text", "html"):
            command_run.note_standard_input(specs, common)
        drifted = fail_on_drift and _log_drift(plan, loaded)
    if saved is not None:
        _check_reviewed(saved, plan, run, common)
    if not plan.complete or plan.summary["invalid"] or plan.has_expired_hold or drifted:
        return INCOMPLETE
    return CHANGES if detailed_exitcode and plan.changes else 0


def _choose_options(given: Run, saved: SavedPlan | None, *, unreviewed: bool) -> Run:
    """Return the options of a plan, in which lifts count unless it is planned as without a review.

    Args:
        given: The options of the command line.
        saved: The plans to compare with, whose options are used; None without any.
        unreviewed: The value of `--unreviewed`.

    Raises:
        click.UsageError: An option contradicts another one.
    """
    run = given if saved is None else saved.options(given)
    options.check_exposure(run)
    if unreviewed and run.lift:
        raise click.UsageError("--lift does not count in a run that is not reviewed: leave out --unreviewed.")
    if unreviewed and saved is not None:
        raise click.UsageError("--unreviewed and --reviewed contradict each other: give one of them.")
    if given.leave_out and saved is not None:
        raise click.UsageError("--leave-out is for a plan without a review: leave out --reviewed.")
    return replace(run, lifts_allowed=not unreviewed)


def _commands(
    file: str, reviewed: Sequence[Path], against: Sequence[str], again: CommandLine
) -> Callable[[int | None], str]:
    """Return a function to the commands for a saved plan that is too old, as `approve.check_age` needs it.

    Args:
        file: The file for a new plan.
        reviewed: The files of the saved plans.
        against: The files of the former spec.
        again: The arguments of this plan.
    """
    former = [word for path in against for word in ("--against", path)]
    saved = [word for path in reviewed for word in ("--reviewed", str(path))]

    def commands(days: int | None) -> str:
        if days is None:
            return f"`{again.plan('--out', file, *former)}`"
        return f"`{again.plan(*saved, '--max-plan-age', str(days), *former)}`"

    return commands


def _check_reviewed(saved: SavedPlan, plan: Plan, run: Run, common: CommonOptions) -> None:
    """Write the differences to the saved plans to stderr; raise PlanChanged if a change was not reviewed."""
    comparison = compare_plans(saved, plan, quiet=common.quiet)
    if comparison.approved:
        return
    log_unapproved(comparison)
    raise PlanChanged(comparison.unapproved, saved.lift_remedy(run) or "have the new plan reviewed")


def _log_drift(plan: Plan, specs: Sequence[Replication]) -> bool:
    """Write what differs from the spec to stderr, one line an address; return whether anything does."""
    from ssm_reconcile.plan_findings import find_drift
    from ssm_reconcile.renderers.escaping import inert, visible

    drift = find_drift(plan, specs)
    if not drift and plan.complete:
        return False
    places = "" if plan.complete else "; a place was not listed completely"
    terminal.log(f"Drift: {plural(len(drift), 'address', 'addresses')} not as the spec says{places}.")
    lines = []
    for one in drift:
        why = f": {'; '.join(one.reasons)}" if one.reasons else ""
        where = f"{one.replication}, {one.target}"
        lines.append(f"  {visible(one.state)}  {visible(one.name)} ({visible(where)}){visible(why, 500)}")
    terminal.log(inert("\n".join(cut(lines, DRIFT_LINES, "more: the plan lists them all", "  ..."))))
    return True
