"""`ssm-reconcile apply`: specs, or a saved plan -> the targets hold it; a report on stdout and in --out."""

from __future__ import annotations

from pathlib import Path

import click

from ssm_reconcile.cli import options, running, streams
from ssm_reconcile.cli.options import Asked, Intent, Word

HELP = """\
Plan, and do what the plan says: make each target hold what the spec says.

SPEC are files or directories, replication.yaml if none is given, `-` for standard input; or one plan
that `plan --out` saved. On a terminal the plan is shown and you are asked; a no changes nothing and
ends 0. Without a terminal, say what to do: --yes (whatever the plan is), --expect-plan ID (only this
plan), or a saved plan (only its changes; what was done since counts as done).

A saved plan brings its narrowing, mode and --adopt with it (saying the same again does no harm), but no
flag that lifts a guard: give those again. Each change ends in an outcome. The report goes to stdout, and
to --out even after an error.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile apply
  ssm-reconcile apply --expect-plan 9535f4258859
  ssm-reconcile apply plan.json --spec prod.yaml --out report.json

\b
Exit codes, the first that fits:
  130  interrupted: what was in flight was finished
   64  wrong usage
    1  error: nothing could be planned
    4  not the plan that was approved, or its approval is too old
    5  a guard withheld something (the rest was applied)
    3  not all that the spec asks for holds: failed, stale, conflict, detached, invalid,
       incomplete
    0  done
"""


@click.command("apply", help=HELP, epilog=EPILOG)
@options.spec_argument
@options.approval
@options.planning
@options.exposure
@options.output
@options.out("the report")
@options.metrics
@options.aws
def command(
    *,
    specs: tuple[str, ...],
    word: Word,
    form: str,
    out: Path | None,
    metrics: Path | None,
    asked: Asked,
    intent: Intent,
) -> int:
    """Finds out what is asked for, and does it; returns the exit code."""
    from ssm_reconcile.cli.applying import Applying
    from ssm_reconcile.cli.orders import order_of

    order = order_of(specs, intent, word, parallelism=asked.parallelism)
    ask = not (word.yes or word.expect_plan or order.saved)
    if ask and not streams.asks():
        running.loaded_from(order.specs, order.name)  # a spec that cannot be used is reported first
        raise click.UsageError(
            "there is no terminal to ask on: give --yes, --expect-plan ID, or a plan that `plan --out` saved."
        )
    if out is not None:
        streams.check_writable(out)
    return Applying(order, asked, form, out, ask=ask, metrics=metrics).run()
