"""`ssm-reconcile publish`: a saved plan or report -> the pull request, the job, the workflow."""

from __future__ import annotations

from pathlib import Path

import click

from ssm_reconcile.cli import options
from ssm_reconcile.cli.options import CommonOptions

HELP = """\
Show a saved plan (`plan --out`) or report (`apply --out`) where people decide, from within GitHub
Actions: one sticky comment a replication on the pull request, the job's summary, annotations on the
lines of the spec, and the step's outputs. For scheduled runs, with --issue: one issue a replication,
opened when something differs or remains undone, kept up to date, and closed when nothing does.

A FILE that cannot be read is published as a plan that failed, and the exit code is 1. The pull request
is the one of the event or, after a merge, that of the commit. What GitHub does not let us post is a
warning, and no reason to fail.

With --reviewed it works the other way round: it fetches the plan that the pull request's comment shows.
"""
EPILOG = """\
\b
Environment:
  GITHUB_TOKEN    needs pull-requests: write; for --reviewed actions: read besides,
                  for --issue issues: write
  and what a runner sets: GITHUB_API_URL, GITHUB_GRAPHQL_URL, GITHUB_REPOSITORY,
  GITHUB_EVENT_NAME, GITHUB_EVENT_PATH, GITHUB_SHA, GITHUB_REF, GITHUB_RUN_ID,
  GITHUB_SERVER_URL, GITHUB_STEP_SUMMARY, GITHUB_OUTPUT

\b
Examples:
  ssm-reconcile publish plan.json
  ssm-reconcile publish report.json --plan plan.json
  ssm-reconcile publish plan.json --comment never --issue
  ssm-reconcile publish --failed "no credentials for the plan role"
  ssm-reconcile publish --reviewed plan.json

\b
Exit codes:
    0  done, as far as GitHub lets us
    1  a file could not be read;
       with --comment required: the comment could not be posted;
       with --current: the branch has another spec by now
    4  with --reviewed: there is no reviewed plan
   64  wrong usage
"""


@click.command("publish", help=HELP, epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--plan", metavar="FILE", type=click.Path(path_type=Path), help="With a report: the plan that it applied."
)
@click.option("--failed", metavar="TEXT", help="There is no plan, and why.")
@click.option(
    "--refused",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With a plan: the report of the apply that refused, and so led to it.",
)
@click.option("--unreviewed", metavar="TEXT", help="With a plan: why there is no reviewed one to apply.")
@click.option(
    "--reviewed",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Fetch the reviewed plan into that file, and publish nothing.",
)
@click.option(
    "--artifact",
    metavar="NAME",
    default="ssm-plan",
    show_default=True,
    help="With --reviewed: what the plan's artifact is called.",
)
@click.option(
    "--current",
    is_flag=True,
    help="Only check that the branch of this run still has the same spec; publish nothing.",
)
@click.option("--pull-request", "number", metavar="N", type=click.IntRange(min=1), help="That pull request.")
@click.option(
    "--comment",
    "mode",
    type=click.Choice(("changes", "always", "never", "required")),
    default="changes",
    show_default=True,
    help="changes: a first comment only where there are changes; required: or fail.",
)
@click.option(
    "--issue",
    is_flag=True,
    help="Keep one issue a replication open while something differs, or there is no plan.",
)
@click.option(
    "--spec",
    "specs",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="The spec that it is about, as `plan` was given it (repeat for more).",
)
@click.option("--name", metavar="NAME", help="The replication that `plan` was given.")
@options.basic_options
def command(
    *,
    file: Path | None,
    plan: Path | None,
    failed: str | None,
    refused: Path | None,
    unreviewed: str | None,
    reviewed: Path | None,
    artifact: str,
    current: bool,
    number: int | None,
    mode: str,
    issue: bool,
    specs: tuple[str, ...],
    name: str | None,
    common: CommonOptions,
) -> int:
    """Finds out what there is to say, and says it; returns the exit code."""
    from ssm_reconcile.cli.publishing import Material, Publishing

    if sum(one is not None for one in (file, failed, reviewed, current or None)) != 1:
        raise click.UsageError("give one of them: FILE, --failed TEXT, --reviewed FILE, --current.")
    publishing = Publishing.here(specs, name, number, mode, common, issue=issue)
    if current:
        return publishing.check_current()
    if reviewed is not None:
        return publishing.fetch(reviewed, artifact)
    return publishing.publish(Material(file, plan, failed, refused, unreviewed))
