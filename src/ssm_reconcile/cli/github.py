"""`ssm-reconcile github`: what GitHub reports -> the decisions of a workflow; nothing is written to GitHub.

The action calls these commands; they are not in the list of commands.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from ssm_reconcile.cli import options, terminal, text_files
from ssm_reconcile.cli.help_layout import DocumentedGroup
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.errors import PlanRefused, UsageError
from ssm_reconcile.github.approval import list_reviews, prove_approval, read_approval_request
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.current import BranchMovedError, check_current
from ssm_reconcile.github.facts import read_deployment_reviews
from ssm_reconcile.github.open_pulls import find_open_pulls
from ssm_reconcile.github.refusals import find_left_out
from ssm_reconcile.github.reviewed import ReviewMode, ReviewRules, planning_workflow, reviewed_push
from ssm_reconcile.github.workflow_run import (
    WorkflowRun,
    artifact_suffix,
    read_workflow_run,
    repository_paths,
)
from ssm_reconcile.publishers import runner
from ssm_reconcile.renderers.escaping import escape
from ssm_reconcile.system import SystemClock
from ssm_reconcile.wording import plural

ENVIRONMENT = {
    "GITHUB_TOKEN": "needs actions: read, contents: read and pull-requests: read",
    "GITHUB_*": "the other variables of the runner; WORKFLOW_REF names the workflow that plans",
    "SSM_RECONCILE_ARTIFACT_SUFFIX": "the output of `github suffix`, if one workflow has several specs",
}
EXIT_CODES = {
    0: "done",
    1: "GitHub did not answer: run it again",
    4: "refused; also if a missing permission prevents the proof",
    64: "wrong usage",
}
NO_ANSWER = frozenset({Kind.LOST, Kind.LIMITED})
"""Failures after which the same command may succeed."""
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("github", cls=DocumentedGroup, environment=ENVIRONMENT, exit_codes=EXIT_CODES)
def command() -> None:
    """Read what GitHub reports of a workflow run, and decide what the run may apply."""


@command.command("approval", environment=ENVIRONMENT, exit_codes=EXIT_CODES)
@click.option(
    "--environment", metavar="NAME", required=True, help="The environment whose reviewers approve the plan."
)
@click.option("--plan", metavar="FILE", type=_FILE, required=True, help="The plan to apply.")
@options.out_option("the approval")
@click.option(
    "--separate-approver/--no-separate-approver",
    "separate",
    default=True,
    show_default=True,
    help="Refuse the approval of a person who wrote, pushed or started the change.",
)
@click.option(
    "--reviews-before",
    "before",
    metavar="TEXT",
    default="",
    help="The output of `github reviews` after the plan was posted: these entries do not count.",
)
@options.basic_options
def approval(
    *, environment: str, plan: Path, out: Path | None, separate: bool, before: str, common: CommonOptions
) -> int:
    """Prove that a person approved this run in its environment.

    The proof needs an environment with required reviewers, an approval in the history of this run, and the
    first attempt of the run. The approver must not be the author or last pusher of a merged pull request,
    nor the person who started the run.
    """
    run = _known_run()
    github = _github(run)
    plan_id = read_plan_document(text_files.read_document(plan))["plan_id"]
    with refusing("the approval of this plan cannot be proven"):
        request = read_approval_request(github, run, environment, plan_id, before)
    proven = prove_approval(request, separate=separate)
    if out is not None:
        text_files.save(out, json.dumps(proven.document, indent=2) + "\n")
    if not common.quiet:
        terminal.log(f"@{proven.approved_by} approved the plan {plan_id[:12]} in {environment}.")
    return 0


@command.command("current", environment=ENVIRONMENT, exit_codes=EXIT_CODES)
@options.spec_option
@options.basic_options
def current(*, specs: tuple[str, ...], common: CommonOptions) -> int:
    """Check that the branch of this run still has the spec of its commit.

    A run that waited, or was started again, must not apply an old spec: that would revert newer changes.
    """
    run = read_workflow_run(os.environ)
    github = _github(run)
    if not (run.branch and run.sha):
        raise UsageError(
            "GITHUB_REF is not a branch, or GITHUB_SHA is not set", "call this command in a run of a branch"
        )
    paths = repository_paths(specs or (DEFAULT_SPEC,), os.environ)
    with refusing("it is unknown whether the spec is current"):
        try:
            check_current(github, run, paths)
        except BranchMovedError as moved:
            raise PlanRefused(moved.message, moved.remedy) from moved
    if not common.quiet:
        terminal.log(f"{run.branch} has the spec of {run.sha[:7]}.")
    return 0


@command.command("open", environment=ENVIRONMENT, exit_codes=EXIT_CODES)
@click.option("--out", metavar="FILE", type=_FILE, required=True, help="The file for the list, as JSON.")
@options.spec_option
@options.basic_options
def open_pulls(*, out: Path, specs: tuple[str, ...], common: CommonOptions) -> int:
    """List the open pull requests to the default branch that touch the spec, to plan them again.

    Only branches of this repository count. One that changes a workflow or conflicts with the default branch
    is left out. The step output `pulls` has the others as JSON, for a matrix of jobs.
    """
    run = read_workflow_run(os.environ)
    paths = repository_paths(specs or (DEFAULT_SPEC,), os.environ)
    with refusing("the open pull requests cannot be listed"):
        found = find_open_pulls(_github(run), paths)
    text_files.save(out, json.dumps([asdict(one) for one in found], indent=2) + "\n")
    planned = [{"number": one.number, "head": one.head} for one in found if not one.left_out]
    if run.output is not None:
        runner.write_outputs(run.output, {"pulls": json.dumps(planned)})
    if not common.quiet:
        for one in found:
            if one.left_out:
                terminal.log(f"Pull request {one.number} is not planned again: {escape(one.left_out)}.")
        terminal.log(f"{plural(len(planned), 'open pull request')} to plan again, in {out}.")
    return 0


@command.command("refused", environment=ENVIRONMENT, exit_codes=EXIT_CODES)
@click.option("--out", metavar="FILE", type=_FILE, required=True, help="The file for the list, as JSON.")
@options.spec_option
@options.basic_options
def refused(*, out: Path, specs: tuple[str, ...], common: CommonOptions) -> int:
    """Save the addresses of plans that were refused, or that wait for an approval.

    An unreviewed run leaves them out: give the file to `plan` or `apply --yes` with --leave-out. If it
    cannot be known what was refused, this command fails, and nothing must be applied.
    """
    run = read_workflow_run(os.environ)
    github = _github(run)
    if not run.run_id:
        raise UsageError("GITHUB_RUN_ID is not set", "call this command in a workflow of GitHub Actions")
    paths = repository_paths(specs or (DEFAULT_SPEC,), os.environ)
    with refusing("it is unknown which plans were refused"):
        found = find_left_out(github, run, paths, SystemClock().now())
    text_files.save(out, json.dumps([asdict(one) for one in found], indent=2) + "\n")
    if not common.quiet:
        terminal.log(f"{plural(len(found), 'address', 'addresses')} of refused or waiting plans, in {out}.")
    return 0


@command.command("reviewed", environment=ENVIRONMENT, exit_codes=EXIT_CODES)
@click.option(
    "--out", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="The folder for the plans, NUMBER.json for each pull request, reviewed.json, and base: the commit"
    " before the first merged one, if it is known.",
)  # fmt: skip
@click.option(
    "--artifact", metavar="NAME", default="ssm-plan", show_default=True,
    help="The artifact with the plan of a pull request.",
)  # fmt: skip
@click.option(
    "--workflow", metavar="FILE",
    help="The workflow that plans pull requests; default: that of this run, on the default branch.",
)  # fmt: skip
@click.option(
    "--review", type=click.Choice([mode.value for mode in ReviewMode]), default=ReviewMode.IF_ANY.value,
    show_default=True,
    help="required: an approving review of the plan is needed. if-any: if there is an approving review, one"
    " must be of the plan.",
)  # fmt: skip
@click.option("--pull-request", "number", metavar="N", type=click.IntRange(min=1), help="The pull request.")
@options.spec_option
@options.name_option
@options.basic_options
def reviewed(
    *, out: Path, artifact: str, workflow: str | None, review: str, number: int | None,
    specs: tuple[str, ...], name: str | None, common: CommonOptions,
) -> int:  # fmt: skip
    """Fetch the reviewed plans of all pull requests of this push or merge group.

    Each pull request that touches the spec needs a reviewed plan: one without it refuses all.
    """
    run = read_workflow_run(os.environ)
    github = _github(run)
    specs = specs or (DEFAULT_SPEC,)
    key = ",".join(specs) + (f"#{name}" if name else "")
    paths = tuple(repository_paths(specs, os.environ))
    with refusing("whether the plans were reviewed cannot be proven"):
        rules = ReviewRules(
            key, paths, artifact, workflow or planning_workflow(github, run), ReviewMode(review)
        )
        found = reviewed_push(github, run, rules, number)
    out.mkdir(parents=True, exist_ok=True)
    for plan in found.plans:
        text_files.save(out / plan.file, plan.text)
    text_files.save(out / "reviewed.json", json.dumps(found.document, indent=2) + "\n")
    if found.base:
        text_files.save(out / "base", f"{found.base}\n")
    if not common.quiet:
        for plan in found.plans:
            by = f", approved by @{', @'.join(plan.reviewed_by)}" if plan.reviewed_by else ""
            terminal.log(f"Reviewed plan {plan.plan_id[:12]} of pull request {plan.pull_request}{by}.")
    return 0


@command.command("suffix", exit_codes={0: "done", 64: "wrong usage"})
@options.spec_option
def suffix(*, specs: tuple[str, ...]) -> int:
    """Print the end of the names of the artifacts of a spec; empty for replication.yaml.

    In the environment of the other commands as SSM_RECONCILE_ARTIFACT_SUFFIX, it separates the specs of one
    workflow.
    """
    is_default = specs in {(), (DEFAULT_SPEC,)}
    terminal.write("\n" if is_default else f"{artifact_suffix(specs)}\n")
    return 0


@command.command("reviews", environment=ENVIRONMENT, exit_codes=EXIT_CODES)
def reviews() -> int:
    """Print a digest of each entry in the review history of this run, for `approval --reviews-before`.

    Several plans of one run wait for the same environment. An approval before a plan was posted is of
    another plan.
    """
    run = _known_run()
    github = _github(run)
    with refusing("the reviews of this run cannot be read"):
        found = read_deployment_reviews(github, run.run_id)
    terminal.write(f"{list_reviews(found)}\n")
    return 0


def _known_run() -> WorkflowRun:
    run = read_workflow_run(os.environ)
    if not run.run_id:
        raise UsageError("GITHUB_RUN_ID is not set", "call this command in a workflow of GitHub Actions")
    return run


def _github(run: WorkflowRun) -> GitHub:
    if not (run.token and run.repository):
        raise UsageError("GITHUB_TOKEN or GITHUB_REPOSITORY is not set")
    return GitHub(run, SystemClock())


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn a failure of GitHub into a refusal, unless the same command may succeed later.

    Raises:
        PlanRefused: The token lacks a permission, or GitHub refused a request.
        GitHubError: GitHub did not answer.
    """
    try:
        yield
    except GitHubError as error:
        if error.kind in NO_ANSWER:
            error.remedy = "GitHub did not answer: run it again"
            raise
        remedy = "the token needs `actions: read`, `contents: read` and `pull-requests: read`"
        raise PlanRefused(f"{what}: {error.message}", remedy) from error
