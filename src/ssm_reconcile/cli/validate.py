"""`ssm-reconcile validate`: specs -> all their errors and warnings, with positions; no AWS."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ssm_reconcile.cli import command_run, error_output, options, terminal
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.errors import Finding, Severity, SpecError
from ssm_reconcile.spec import Replication
from ssm_reconcile.system import SystemClock
from ssm_reconcile.wording import plural

EPILOG = """\
\b
Examples:
  ssm-reconcile validate
  ssm-reconcile validate specs/ --format json
"""
EXIT_CODES = {
    0: "valid (there may be warnings)",
    1: "not valid",
    64: "wrong usage",
}
FORMAT_VERSION = "1.1"
NOT_VALID = 1


@click.command("validate", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@options.spec_argument
@click.option("--name", metavar="NAME", help="List only the replication of that name; all are checked.")
@click.option(
    "--format", "output_format", type=click.Choice(("text", "json", "github")), default="text",
    show_default=True, help="Format of the result on stdout.",
)  # fmt: skip
@options.basic_options
def command(specs: tuple[str, ...], name: str | None, output_format: str, common: CommonOptions) -> int:
    """Check a spec: its syntax, its schema and its meaning. Needs no AWS and no credentials.

    SPEC are files or directories, replication.yaml if none is given; `-` is standard input. All errors are
    written to stderr at once, as `file:line:column: severity: message [code]`, each with a correction. The
    valid files are listed on stdout. A spec with an expired hold is not valid, but still usable: `plan`,
    `apply` and `event` go on with all other names, and `--format json` has `"usable": true`. In GitHub
    Actions the errors are also annotations on the lines of the spec. With `--format github`, stdout has
    these annotations.
    """
    from ssm_reconcile.github.workflow_run import workspace
    from ssm_reconcile.plan_findings import find_expired_holds
    from ssm_reconcile.publishers.runner import annotation_lines

    found: Sequence[Replication] = ()
    usable = False
    warnings: Sequence[Finding] = ()
    try:
        loaded = command_run.load_all(specs, name)
    except SpecError as error:
        errors = error.findings
    else:
        today = SystemClock().now().date()
        expired = (one for spec in loaded.replications for one in find_expired_holds(spec, today))
        errors, usable = (*loaded.errors, *expired), True
        found = () if errors else loaded.replications
        warnings = () if common.quiet and output_format == "text" else loaded.findings
    findings, code = (*errors, *warnings), NOT_VALID if errors else 0
    if output_format == "json":
        document = _document(found, findings, valid=not errors, usable=usable)
        terminal.write(json.dumps(document, indent=2, sort_keys=True))
        return code
    error_output.write_findings(findings)
    lines = annotation_lines(findings, Path.cwd(), workspace(os.environ))
    if output_format == "github":
        terminal.write("\n".join(lines))
        return code
    if os.environ.get("GITHUB_ACTIONS") == "true":
        terminal.log("\n".join(lines))
    if errors:
        count = sum(one.severity is Severity.ERROR for one in errors)
        terminal.write(f"{', '.join(specs) or DEFAULT_SPEC}: not valid, {plural(count, 'error')}")
    for file, count in Counter(one.where.file if one.where else DEFAULT_SPEC for one in found).items():
        terminal.write(f"{file}: {plural(count, 'replication')}, valid")
    return code


def _document(
    found: Sequence[Replication], findings: Iterable[Finding], *, valid: bool, usable: bool
) -> dict[str, Any]:
    """Return the JSON document. `usable`: whether a run accepts the spec, with or without errors."""
    return {
        "format_version": FORMAT_VERSION,
        "valid": valid,
        "usable": usable,
        "replications": [
            {
                "name": one.name,
                "file": one.where.file if one.where else "",
                "targets": [target.name for target in one.targets],
            }
            for one in found
        ],
        "findings": [
            {"severity": one.severity.value, "code": one.code, "message": one.message, "where": one.where}
            for one in findings
        ],
    }
