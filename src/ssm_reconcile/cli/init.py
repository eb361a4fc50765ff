"""`ssm-reconcile init`: what is in a source, and in targets -> a commented replication.yaml that plans."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ssm_reconcile.cli import options, terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import UsageError

HELP = """\
Look at the parameters of a region, and write a commented replication.yaml for them.

Reads the source, and the targets that are named: paths, KMS keys and their namesakes, skip_sync tags,
values that belong to one region, and what a target has already. Writes one file, and nothing in AWS.
SecureStrings are not decrypted. On a terminal it asks for what no option says.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile init
  ssm-reconcile init --source-region us-east-1 --target us-east-2
  ssm-reconcile init --source-region us-east-1 --target dr=eu-west-1 --include '/prod/**' \\
      --role-arn dr=arn:aws:iam::210987654321:role/ssm-reconcile --key alias/app=alias/app-eu

\b
Exit codes:
    0  the file is written
    1  error: a place cannot be read
   64  wrong usage, or the file is there already
"""


@click.command("init", help=HELP, epilog=EPILOG)
@click.option("--source-region", metavar="REGION", help="Where the parameters are (AWS_REGION if not given).")
@click.option(
    "--target", "targets", metavar="REGION|NAME=REGION", multiple=True,
    help="Where they belong as well (repeat for more).",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the replication; default: the repository or folder.")
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Only names that match, such as '/prod/**' (repeat for more).",
)
@click.option(
    "--key", "keys", metavar="SOURCE=KEY", multiple=True,
    help="The KMS key to use in the targets for a source key (repeat for more).",
)  # fmt: skip
@click.option("--source-role-arn", metavar="ARN", help="The role that reaches the source.")
@click.option(
    "--role-arn", "roles", metavar="ARN|NAME=ARN", multiple=True,
    help="The role that reaches the targets, or one of them (repeat for more).",
)  # fmt: skip
@click.option(
    "--compare-secrets", is_flag=True,
    help="Decrypt SecureStrings that a target has as well, to compare them; needs kms:Decrypt.",
)  # fmt: skip
@click.option(
    "--output", metavar="FILE", default=DEFAULT_SPEC, show_default=True,
    help="Where to write; `-` is standard output.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there already.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed.")
@options.aws_options
def command(
    *,
    source_region: str | None,
    targets: tuple[str, ...],
    name: str | None,
    include: tuple[str, ...],
    keys: tuple[str, ...],
    source_role_arn: str | None,
    roles: tuple[str, ...],
    compare_secrets: bool,
    output: str,
    force: bool,
    yes: bool,
    common: CommonOptions,
) -> int:
    """Looks, asks, writes; returns the exit code."""
    from ssm_reconcile.cli import proposing

    options.check_patterns("--include", include)
    if output != "-":
        terminal.check_writable(Path(output))
        if Path(output).exists() and not force:
            message = f"{output} is there already"
            raise UsageError(message, "name another file with --output, or write over it with --force")
    asking = terminal.can_ask() and not yes
    region = source_region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    wanted = proposing.Wanted(
        region=region,
        targets=targets,
        name=name,
        include=include,
        keys=keys,
        source_role=source_role_arn,
        roles=roles,
        compare_secrets=compare_secrets,
    )
    wanted = proposing.completed(wanted, asking=asking, region_given=source_region is not None)
    text = proposing.text_for(wanted, common, asking=asking)
    if output == "-":
        terminal.write(text)
        return 0
    terminal.save(Path(output), text)
    if not common.quiet:
        specs = () if output == DEFAULT_SPEC else (output,)
        terminal.log(f"Wrote {output}. Read it, then: {CommandLine(specs, access=common.access).plan()}")
    return 0
