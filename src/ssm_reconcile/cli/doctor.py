"""`ssm-reconcile doctor`: check everything that a plan and an apply need."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.spec import Run

if TYPE_CHECKING:
    from ssm_reconcile.doctor import Diagnosis

MARKS = {"ok": "ok", "warning": "!", "failed": "FAILED", "unknown": "?"}

EPILOG = """\
\b
Examples:
  ssm-reconcile doctor
  ssm-reconcile doctor prod.yaml --no-decrypt --format json

\b
Exit codes:
    0  a plan will work, and no check failed that an apply needs
    1  a plan will not work
    3  a plan will work; an apply will not work for all parameters
   64  wrong usage
  130  interrupted
"""


@click.command("doctor", epilog=EPILOG)
@options.spec_argument
@options.name_option
@options.target_option
@options.no_decrypt_option
@options.format_option("text", "json")
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    targets: tuple[str, ...],
    no_decrypt: bool,
    output_format: str,
    common: CommonOptions,
) -> int:
    """Check everything that a plan and an apply need, and change nothing.

    Checks the identity in each place; read permissions, by real calls, with the IAM action that is missing;
    KMS keys in every target; settings, limits and clocks; warnings about the spec; the duration of a first
    apply. Write permissions cannot be tested without writing; they are reported as unknown.
    """
    from ssm_reconcile import doctor

    run = Run(targets=targets, no_decrypt=no_decrypt)
    loaded = command_run.load_all(specs, name)
    with command_run.start_runner(loaded.replications, run, common) as runner, runner.reading() as progress:
        again = CommandLine(specs, name, access=common.access)
        found = doctor.diagnose(
            loaded.replications, runner.connect, run, runner.clock, progress, loaded.findings, again
        )
    terminal.write(json.dumps(document(found), indent=2) if output_format == "json" else text(found))
    command_run.note_standard_input(specs, common)
    return found.exit_code


def text(diagnosis: Diagnosis) -> str:
    """Return all checks by place, and the verdict."""
    from ssm_reconcile.renderers.escaping import LINE_LIMIT, visible

    lines = []
    ordered = sorted(diagnosis.checks, key=lambda one: one.where)
    for where, checks in groupby(ordered, key=lambda one: one.where):
        lines.append(where or "the spec")
        for one in checks:
            lines.append(f"  {MARKS[one.answer.value]:<6}  {one.subject}: {one.message}")
            if one.remedy and one.answer.value != "ok":
                lines.append(f"          what to do: {one.remedy}")
    lines += ["", f"A plan will {'' if diagnosis.plan_works else 'NOT '}work."]
    applies = "No check failed that an apply needs; write permissions were not tested."
    lines.append(applies if diagnosis.apply_works else "An apply will NOT work for all parameters.")
    return "\n".join(visible(line, LINE_LIMIT) for line in lines)


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the checks and the verdict as JSON (schema/doctor.schema.json)."""
    return {
        "format_version": "1.0",
        "plan_works": diagnosis.plan_works,
        "apply_works": diagnosis.apply_works,
        "checks": [asdict(one) for one in diagnosis.checks],
    }
