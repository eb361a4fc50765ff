"""`ssm-reconcile doctor`: will a plan work, will an apply, and what is amiss."""

from __future__ import annotations

import json

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.options import Asked
from ssm_reconcile.cli.progress import watching
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.spec import Run

HELP = """\
Look at everything that a plan and an apply rest on, and change nothing.

Who we are in each place; permissions, by calls that do no harm, with the IAM action that is missing; KMS
keys in every target; settings, limits, clocks; warnings about the spec; how long a first apply takes.
What may be written cannot be proven without writing, and is said to be unknown.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile doctor
  ssm-reconcile doctor prod.yaml --no-decrypt --format json

\b
Exit codes:
    0  a plan will work, and nothing was found that an apply would fail at
    1  a plan will not work
    3  a plan will work, an apply will not, or not for everything
   64  wrong usage
  130  interrupted
"""


@click.command("doctor", help=HELP, epilog=EPILOG)
@options.spec_argument
@options.only_name
@click.option("--target", metavar="NAME", multiple=True, help="Only that target (repeat for more).")
@click.option("--no-decrypt", is_flag=True, help="Read no SecureString: needs no kms:Decrypt.")
@options.text_or_json
@options.aws
def command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    target: tuple[str, ...],
    no_decrypt: bool,
    form: str,
    asked: Asked,
) -> int:
    """Looks and tells; returns the exit code."""
    from ssm_reconcile import doctor
    from ssm_reconcile.doctor import text

    run = Run(targets=target, no_decrypt=no_decrypt, parallelism=asked.parallelism)
    loaded = command_run.loaded_from(specs, name)
    with command_run.working(loaded.replications, run, asked) as work, watching(asked) as watch:
        connect, heeding = command_run.connect_factory(asked, work.clock), work.stop.heeding(watch)
        again = CommandLine(specs, name, access=asked.access)
        found = doctor.diagnose(
            loaded.replications, connect, run, work.clock, heeding, loaded.findings, again
        )
    terminal.result(json.dumps(text.document(found), indent=2) if form == "json" else text.text(found))
    command_run.say_standard_input(specs, asked)
    return found.exit_code
