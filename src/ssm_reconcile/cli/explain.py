"""`ssm-reconcile explain`: one name -> why it is, or is not, what it should be, in each target."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.command_run import Runner
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import show_progress
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import Finding, ReconcileError, Severity
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Run

if TYPE_CHECKING:
    from ssm_reconcile.explain import Explanation
    from ssm_reconcile.places import Places
    from ssm_reconcile.plan import ReplicationPlan
    from ssm_reconcile.spec import Replication

HELP = """\
Say of one parameter why it is, or is not, what it should be in each target, and what to do.

The rule and line that select or exclude it, its key and rewrite, owner and record, versions on both
sides, its row in the table of cases (with -v also why no earlier one fits), what a plan would do, and
what to change to get something else. NAME is a name at the source or in a target. Only that name is read.
Where a plan would change something, the plan of its replication is made as well, since guards count all
of it; --quick leaves that out. Values are shown as a plan shows them: never of a SecureString.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile explain /prod/db/url
  ssm-reconcile explain /prod/db/url --target us-east-2 --format json
  ssm-reconcile explain /prod/db/url --spec prod.yaml --quick --no-decrypt

\b
Exit codes:
    0  done
    1  error: no place could be reached, or the wrong one
   64  wrong usage
  130  interrupted
"""
_UNCOUNTED = 10**9


@click.command("explain", help=HELP, epilog=EPILOG)
@click.argument("parameter", metavar="NAME")
@options.spec_option
@options.name_option
@click.option("--target", metavar="NAME", multiple=True, help="Only that target (repeat for more).")
@click.option("--no-decrypt", is_flag=True, help="Read no SecureString: needs no kms:Decrypt.")
@click.option("--quick", is_flag=True, help="Read that name only: guards that count are not reported.")
@options.text_or_json_option
@options.aws_options
def command(
    *,
    parameter: str,
    specs: tuple[str, ...],
    name: str | None,
    target: tuple[str, ...],
    no_decrypt: bool,
    quick: bool,
    output_format: str,
    common: CommonOptions,
) -> int:
    """Reads, explains; returns the exit code."""
    from ssm_reconcile.explain import text
    from ssm_reconcile.load.patterns import impossible_name
    from ssm_reconcile.places import narrowed, open_places

    fault = impossible_name(parameter)
    if fault is not None:
        raise click.UsageError(f"{shlex.quote(parameter)} {fault}.")
    run = Run(targets=target, no_decrypt=no_decrypt, parallelism=common.parallelism)
    loaded = command_run.load_specs(specs, name)
    with command_run.start_runner(loaded, run, common) as work:
        places = open_places(loaded, command_run.connect_factory(common, work.clock), run)
        mode = ("--no-decrypt",) if no_decrypt else ()
        again = CommandLine(specs, name, target, mode=mode, access=common.access)
        explanations: list[Explanation] = []
        for spec in narrowed(loaded, run):
            mine = replace(again, name=spec.name if len(loaded) > 1 else name)
            explanations += _explained(parameter, spec, places, work, mine, quick=quick)
    shown = text.text(explanations, verbose=bool(common.verbose))
    terminal.write(json.dumps(text.document(explanations), indent=2) if output_format == "json" else shown)
    command_run.note_standard_input(specs, common)
    return 0


def _explained(
    name: str, spec: Replication, places: Places, work: Runner, again: CommandLine, *, quick: bool
) -> list[Explanation]:
    from ssm_reconcile import reconcile
    from ssm_reconcile.explain import explain
    from ssm_reconcile.explain.glance import glance

    uncounted = replace(
        work.run, allow_empty_source=True, max_deletes=_UNCOUNTED, max_change_percent=_UNCOUNTED
    )
    with show_progress(work.common) as watch:
        interrupting = work.stop.interrupting(watch)
        glanced = glance(spec, places, name)
        part, views = reconcile.look_closely(spec, Session(glanced, uncounted, work.clock, interrupting))
        whole = part
        if part.changes:
            part, whole = _judged(part, spec, places, work, again, quick=quick)
    seen = {key: (view.scene, view.desired) for key, view in views.items()}
    return list(explain(name, spec, part, seen, again, whole))


def _judged(
    part: ReplicationPlan,
    spec: Replication,
    places: Places,
    work: Runner,
    again: CommandLine,
    *,
    quick: bool,
) -> tuple[ReplicationPlan, ReplicationPlan]:
    """Return the same with the fates of a whole plan, and that plan; or with a note that it is not known."""
    from ssm_reconcile import reconcile

    if quick:
        part = _unjudged(part, "--quick", again)
        return part, part
    try:
        with show_progress(work.common) as watch:
            run = replace(work.run, targets=tuple(sorted({change.target for change in part.changes})))
            interrupting = work.stop.interrupting(watch)
            (whole,) = reconcile.make_plan(
                [spec], Session(places, run, work.clock, interrupting)
            ).replications
    except ReconcileError as failure:
        part = _unjudged(part, failure.message, again)
        return part, part
    known = {change.order: change for change in whole.changes}
    changes = tuple(known.get(change.order, change) for change in part.changes)
    return replace(part, changes=changes, findings=(*part.findings, *whole.findings)), whole


def _unjudged(part: ReplicationPlan, why: str, again: CommandLine) -> ReplicationPlan:
    message = f"guards that count a whole plan were not asked ({why}): `{again.plan()}` tells"
    terminal.log(f"Note: {message}.")
    return replace(part, findings=(*part.findings, Finding(Severity.NOTICE, "not-counted", message)))
