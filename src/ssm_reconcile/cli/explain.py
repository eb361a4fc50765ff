"""`ssm-reconcile explain`: one name -> the cause of its state in each target, and remedies."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.command_run import Runner
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import Finding, Interrupted, ReconcileError, Severity
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Run

if TYPE_CHECKING:
    from ssm_reconcile.explain import Explanation
    from ssm_reconcile.plan import ReplicationPlan
    from ssm_reconcile.session import Places
    from ssm_reconcile.spec import Replication

EPILOG = """\
\b
Examples:
  ssm-reconcile explain /prod/db/url
  ssm-reconcile explain /prod/db/url --target us-east-2 --format json
  ssm-reconcile explain /prod/db/url --spec prod.yaml --quick --no-decrypt
"""
EXIT_CODES = {
    0: "done",
    1: "error: no place could be reached, or the wrong one",
    64: "wrong usage",
    130: "interrupted",
}
_NO_LIMIT = 10**9


@click.command("explain", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@click.argument("parameter", metavar="NAME")
@options.spec_option
@options.name_option
@options.target_option
@options.no_decrypt_option
@click.option("--quick", is_flag=True, help="Read that name only; guards that count changes are not applied.")
@options.format_option("text", "json")
@options.aws_options
def command(
    *,
    parameter: str,
    specs: tuple[str, ...],
    name: str | None,
    targets: tuple[str, ...],
    no_decrypt: bool,
    quick: bool,
    output_format: str,
    common: CommonOptions,
) -> int:
    """Explain the state of one parameter in each target, and say what to do.

    Prints the rule that selects or excludes it, its key and rewrite, owner and record, the versions on both
    sides, its row in the table of cases (with -v also why no earlier row fits), the action of a plan, and
    what to change for another result. NAME is a name at the source or in a target. Only that name is read. If
    a plan would change it, the whole replication is planned as well, because guards count all changes;
    --quick leaves that out. Values are shown as a plan shows them: never of a SecureString.
    """
    from ssm_reconcile.explain import explanation_document, explanation_text
    from ssm_reconcile.load.patterns import impossible_name
    from ssm_reconcile.session import narrow_specs

    fault = impossible_name(parameter)
    if fault is not None:
        raise click.UsageError(f"{shlex.quote(parameter)} {fault}.")
    run = Run(targets=targets, no_decrypt=no_decrypt, lifts_allowed=True)
    loaded = command_run.load_specs(specs, name)
    with command_run.start_runner(loaded, run, common) as runner:
        places = runner.open_places()
        line = options.command_line(specs, name, run, common)
        explanations: list[Explanation] = []
        for spec in narrow_specs(loaded, run):
            line = replace(line, name=spec.name if len(loaded) > 1 else name)
            explanations += _explained(parameter, spec, places, runner, line, quick=quick)
    if output_format == "json":
        terminal.write(json.dumps(explanation_document(explanations), indent=2))
    else:
        terminal.write(explanation_text(explanations, verbose=bool(common.verbose)))
    command_run.note_standard_input(specs, common)
    return 0


def _explained(
    name: str, spec: Replication, places: Places, runner: Runner, line: CommandLine, *, quick: bool
) -> list[Explanation]:
    """Return the explanations for one replication. `line` is repeated by the commands in them."""
    from ssm_reconcile import reconcile
    from ssm_reconcile.by_name import plan_one_name
    from ssm_reconcile.explain import explain

    uncounted = replace(
        runner.run, allow_empty_source=True, max_deletes=_NO_LIMIT, max_change_percent=_NO_LIMIT
    )
    whole, not_counted = None, "--quick"
    with runner.reading() as progress:
        session = Session(places, uncounted, runner.clock, progress)
        part, views = plan_one_name(spec, session, name)
        if part.changes and not quick:
            targets = tuple(sorted({change.target for change in part.changes}))
            session = replace(session, run=replace(runner.run, targets=targets))
            try:
                (whole,) = reconcile.make_plan([spec], session).replications
                part = _with_guards(part, whole)
            except Interrupted:
                raise
            except ReconcileError as failure:
                not_counted = failure.message
    if part.changes and whole is None:
        message = f"guards that count all changes were not applied ({not_counted}); see `{line.plan()}`"
        terminal.log(f"Note: {message}.")
        part = replace(part, findings=(*part.findings, Finding(Severity.NOTICE, "not-counted", message)))
    return list(explain(name, spec, part, views, line, whole))


def _with_guards(part: ReplicationPlan, whole: ReplicationPlan) -> ReplicationPlan:
    """Return the plan for one name with each change as the guards judged it in the whole plan."""
    known = {change.order: change for change in whole.changes}
    changes = tuple(known.get(change.order, change) for change in part.changes)
    return replace(part, changes=changes, findings=(*part.findings, *whole.findings))
