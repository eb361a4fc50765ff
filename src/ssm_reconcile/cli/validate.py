"""`ssm-reconcile validate`: specs -> everything that is wrong with them, with positions; no AWS."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.cli import options, terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.terminal import write_findings
from ssm_reconcile.errors import Finding, SpecError

if TYPE_CHECKING:
    from ssm_reconcile.spec import Replication

HELP = """\
Check a spec against its schema and for what it means; needs no AWS and no credentials.

SPEC are files or directories, replication.yaml if none is given; `-` is standard input. All errors are
told at once on stderr, as `file:line:column: severity: message [code]`, each with what to write. What
was valid is told on stdout. In GitHub Actions they are shown on the lines of the spec besides; with
--format github these annotations are what stdout gets.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile validate
  ssm-reconcile validate specs/ --format json

\b
Exit codes:
    0  valid (there may be warnings)
    1  not valid
   64  wrong usage
"""
FORMAT_VERSION = "1.0"
NOT_VALID = 1


@click.command("validate", help=HELP, epilog=EPILOG)
@options.spec_argument
@click.option("--name", metavar="NAME", help="Only the replication of that name; all are checked.")
@click.option(
    "--format", "output_format", type=click.Choice(("text", "json", "github")), default="text",
    show_default=True, help="What to write to stdout.",
)  # fmt: skip
@options.basic_options
def command(specs: tuple[str, ...], name: str | None, output_format: str, common: CommonOptions) -> int:
    """Loads and tells; returns the exit code."""
    from ssm_reconcile.cli.command_run import load_all

    try:
        loaded = load_all(specs, name)
    except SpecError as error:
        _tell(output_format, specs, (), error.findings, valid=False)
        return NOT_VALID
    findings = () if common.quiet and output_format == "text" else loaded.findings
    if loaded.errors:
        _tell(output_format, specs, (), (*loaded.errors, *findings), valid=False)
        return NOT_VALID
    _tell(output_format, specs, loaded.replications, findings, valid=True)
    return 0


def _tell(
    output_format: str,
    specs: Sequence[str],
    found: Sequence[Replication],
    findings: Sequence[Finding],
    *,
    valid: bool,
) -> None:
    if output_format == "json":
        terminal.write(json.dumps(_document(found, findings, valid=valid), indent=2, sort_keys=True))
        return
    write_findings(findings)
    lines = _annotations(findings)
    if output_format == "github":
        terminal.write("\n".join(lines))
        return
    if os.environ.get("GITHUB_ACTIONS") == "true":
        terminal.log("\n".join(lines))
    for line in _valid(found) if valid else _not_valid(specs, findings):
        terminal.write(line)


def _annotations(findings: Sequence[Finding]) -> list[str]:
    from ssm_reconcile.publishers.annotations import commands, workspace

    return commands(findings, Path.cwd(), workspace(os.environ))


def _document(found: Sequence[Replication], findings: Iterable[Finding], *, valid: bool) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "valid": valid,
        "replications": [
            {
                "name": one.name,
                "file": one.where.file if one.where else "",
                "targets": [t.name for t in one.targets],
            }
            for one in found
        ],
        "findings": [
            {
                "severity": finding.severity.value,
                "code": finding.code,
                "message": finding.message,
                "where": finding.where,
            }
            for finding in findings
        ],
    }


def _valid(found: Sequence[Replication]) -> Iterable[str]:
    counts = Counter(one.where.file if one.where else DEFAULT_SPEC for one in found)
    for file, count in counts.items():
        yield f"{file}: {_counted(count, 'replication')}, valid"


def _not_valid(specs: Sequence[str], findings: Sequence[Finding]) -> Iterable[str]:
    errors = sum(finding.severity.value == "error" for finding in findings)
    yield f"{', '.join(specs) or DEFAULT_SPEC}: not valid, {_counted(errors, 'error')}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
