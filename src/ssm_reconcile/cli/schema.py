"""`ssm-reconcile schema`: a name -> the JSON schema that ships with this version."""

from __future__ import annotations

import click

from ssm_reconcile.cli import options, terminal
from ssm_reconcile.cli.options import CommonOptions

HELP = """\
Print the JSON schema (draft-07) of a spec, of a saved plan, of a report,
or of what doctor prints.

Editors complete and check a spec when its first line names the schema:
`# yaml-language-server: $schema=./replication.schema.json`.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile schema > replication.schema.json
  ssm-reconcile schema plan
"""


@click.command("schema", help=HELP, epilog=EPILOG)
@click.argument("what", type=click.Choice(("replication", "plan", "report", "doctor")), default="replication")
@options.basic_options
def command(what: str, common: CommonOptions) -> int:  # noqa: ARG001 - takes the options that all commands take
    """Prints it; returns the exit code."""
    from ssm_reconcile.load.schema import schema_text

    terminal.write(schema_text(what))
    return 0
