"""`ssm-reconcile publish`: a saved plan or report -> the pull request, the job summary, the step outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from ssm_reconcile.cli import options, terminal, text_files
from ssm_reconcile.cli.github import refusing
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.publish_content import Publication, PublishInput, warn
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.errors import PlanRefused, ReconcileError, UsageError
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.current import BranchMovedError, check_current
from ssm_reconcile.github.facts import find_pull_request, read_default_branch
from ssm_reconcile.github.marked import RESULT_MARK
from ssm_reconcile.github.merges import last_spec_pull_request, pushed_pull_requests, run_that_took_over
from ssm_reconcile.github.reviewed import (
    NO_PULL,
    NOT_FOUND,
    REMEDY,
    ReviewMode,
    ReviewRules,
    planning_workflow,
    reviewed_push,
)
from ssm_reconcile.github.workflow_run import WorkflowRun, read_workflow_run, repository_paths, workspace
from ssm_reconcile.publishers import runner
from ssm_reconcile.publishers.check_run import create_check_run
from ssm_reconcile.publishers.marked_body import (
    DriftIssues,
    OutdatedCommentError,
    PageResult,
    PullRequestComments,
)
from ssm_reconcile.publishers.precedence import ExpectedArtifact, publish_comments
from ssm_reconcile.publishers.publication import publication_files
from ssm_reconcile.renderers.comment_context import COMMENT_MARK, CommentContext
from ssm_reconcile.renderers.report_markdown import Takeover
from ssm_reconcile.system import SystemClock

_FILE = click.Path(path_type=Path)
_COMMIT = re.compile("[0-9a-f]{40,64}")
EPILOG = """\
\b
Examples:
  ssm-reconcile publish plan.json
  ssm-reconcile publish report.json --plan plan.json
  ssm-reconcile publish report.json --approval reviewed/reviewed.json \\
      --pull-request 7
  ssm-reconcile publish plan.json --comment never --issue
  ssm-reconcile publish --failed "no credentials for the plan role"
  ssm-reconcile publish --reviewed plan.json
  ssm-reconcile publish plan.json --replan --pull-request 7 --head COMMIT
"""
ENVIRONMENT = {
    "GITHUB_TOKEN": "needs pull-requests: write; for --reviewed, --replan and --overtaken also actions: read,"
    " for --issue issues: write, for --check checks: write",
    "GITHUB_*": "the variables of the runner: API_URL, GRAPHQL_URL, REPOSITORY, EVENT_NAME, EVENT_PATH, SHA,"
    " REF, RUN_ID, SERVER_URL, STEP_SUMMARY, OUTPUT",
    "SSM_RECONCILE_ARTIFACT_SUFFIX": "the output of `github suffix`, if one workflow has several specs",
}
EXIT_CODES = {
    0: "done, with a warning for each missing permission",
    1: "a file could not be read; with --reviewed: GitHub did not answer; with --comment required: the"
    " comment could not be posted; with --current: the spec on the branch has changed",
    4: "with --reviewed: no reviewed plan exists",
    64: "wrong usage",
}


@click.command(
    "publish", cls=DocumentedCommand, epilog=EPILOG, environment=ENVIRONMENT, exit_codes=EXIT_CODES
)
@click.argument("file", required=False, type=_FILE)
@click.option("--plan", metavar="FILE", type=_FILE, help="With a report: the plan that was applied.")
@click.option("--failed", metavar="TEXT", help="Publish a failed plan, with the reason.")
@click.option(
    "--refused", metavar="FILE", type=_FILE,
    help="With a plan: the report of the apply that was refused before it.",
)  # fmt: skip
@click.option("--unreviewed", metavar="TEXT", help="With a plan: the reason why no reviewed plan is applied.")
@click.option(
    "--reviewed", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Fetch the reviewed plan into this file; publish nothing.",
)  # fmt: skip
@click.option(
    "--artifact", metavar="NAME", default="ssm-plan", show_default=True,
    help="The name of the artifact in which the run of a pull request stores its plan.",
)  # fmt: skip
@click.option(
    "--current", is_flag=True,
    help="Only check that the branch of this run still has the same spec; publish nothing.",
)  # fmt: skip
@click.option(
    "--overtaken",
    is_flag=True,
    help="After a merge whose spec is out of date: name the run that took over in the results.",
)
@click.option(
    "--save", "folder", metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Save the posted comments with the plan, and publication.json with their ids.",
)  # fmt: skip
@click.option(
    "--replan",
    is_flag=True,
    help="In a run of the default branch: post the plan of the open pull request N again if it changed.",
)
@click.option("--head", metavar="SHA", help="With --replan: the last commit of the pull request.")
@click.option(
    "--workflow", metavar="FILE",
    help="With --replan or --reviewed: the workflow whose plans the merge accepts. Default: that of this"
    " run.",
)  # fmt: skip
@click.option(
    "--pull-request", "numbers", metavar="N", multiple=True, type=click.IntRange(min=1),
    help="The pull request (repeat for more).",
)  # fmt: skip
@click.option(
    "--approval",
    metavar="FILE",
    type=_FILE,
    help="With a report: the file of `github approval`, or the reviewed.json of `github reviewed`. The result"
    " names these people, and the comment on each pull request shows its own plan.",
)
@click.option(
    "--check",
    metavar="NAME",
    help="With a plan or --failed: also create a check run with this name (needs checks: write).",
)
@click.option(
    "--plan-exit", metavar="N", type=int,
    help="The exit code of `plan`, for the check run and `failure-reason`. 0 and 2 are a success, every other"
    " one is a failure.",
)  # fmt: skip
@click.option(
    "--comment", "mode", type=click.Choice(("changes", "always", "never", "required")),
    default="changes", show_default=True,
    help="changes: post a first comment only for changes; required: fail if it cannot be posted.",
)  # fmt: skip
@click.option(
    "--issue",
    is_flag=True,
    help="Keep one issue per replication open while a target differs, or the plan fails.",
)
@click.option(
    "--spec", "specs", metavar="FILE", multiple=True, type=click.Path(),
    help="The spec, as given to `plan` (repeat for more).",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="The replication, as given to `plan`.")
@options.basic_options
def command(
    *, reviewed: Path | None, current: bool, overtaken: bool, specs: tuple[str, ...], **given: Any
) -> int:
    """Publish a saved plan or report from a workflow of GitHub Actions.

    A plan (`plan --out`) or report (`apply --out`) is shown in one comment per replication on the pull
    request, in the job summary, in annotations on the lines of the spec, and in step outputs. Only a run of
    the pull request writes the comment with its plan; any other run writes a second one, its result.

    For scheduled runs, with --issue: one issue per replication, opened when a target differs from the spec
    or an apply is incomplete, kept up to date, and closed when no difference remains.

    A FILE that cannot be read is published as a failed plan, and the exit code is 1. The pull request is
    that of the event or, after a merge, each one of the push whose result this is. The result of an apply by
    plan id goes to the pull request that changed the spec last. A permission that the token lacks is a
    warning, not a failure.

    With --reviewed, the command fetches the plan that the comment on the pull request shows, if it counts as
    reviewed by the rules of `github reviewed`.

    With --replan, a run of the default branch posts the plan of an open pull request again, unless the
    comment shows this plan and its run still has it. The step output `replanned` is true or false. With
    --workflow, a run of another workflow is refused: the merge does not accept its plans.
    """
    asked = (given["file"], given["failed"], reviewed, current or None, overtaken or None)
    if sum(one is not None for one in asked) != 1:
        raise click.UsageError(
            "give one of them: FILE, --failed TEXT, --reviewed FILE, --current, --overtaken."
        )
    run = read_workflow_run(os.environ)
    _check_options(run, given, is_fetch=reviewed is not None)
    publisher = Publisher(run=run, specs=specs or (DEFAULT_SPEC,), **given)
    if current:
        return publisher.check_current()
    if overtaken:
        return publisher.publish_overtaken()
    return publisher.publish() if reviewed is None else publisher.fetch_reviewed(reviewed)


def _check_options(run: WorkflowRun, given: Mapping[str, Any], *, is_fetch: bool) -> None:
    """Check the options that depend on the run and on each other. Raises UsageError."""
    if given["replan"]:
        if run.is_pull_request:
            raise UsageError("--replan: this is a run of a pull request", "remove --replan")
        if given["file"] is None or len(given["numbers"]) != 1 or not _COMMIT.fullmatch(given["head"] or ""):
            raise UsageError("--replan needs a plan, --pull-request N and --head with the id of a commit")
        _check_replan_workflow(run, given["workflow"])
    elif given["head"] is not None:
        raise UsageError("--head is only used with --replan", "remove --head")
    elif given["workflow"] is not None and not is_fetch:
        raise UsageError("--workflow is only used with --replan and --reviewed", "remove --workflow")
    elif given["folder"] is not None and not run.is_pull_request:
        raise UsageError("--save: this is not a run of a pull request", "remove --save")


def _check_replan_workflow(run: WorkflowRun, workflow: str | None) -> None:
    """Check that the merge accepts a plan of this run. Raises UsageError."""
    if workflow and run.workflow_path not in {"", workflow}:
        message = (
            f"--replan: this run is of {run.workflow_path}, and the merge accepts plans of {workflow} only"
        )
        raise UsageError(message, f"plan open pull requests again in {workflow}")


@dataclass(frozen=True, slots=True)
class Publisher:
    """One call of `publish`: its run and its options. `file` or `failed` is given.

    Attributes:
        artifact: The name of the artifact with the plan of a pull request.
        numbers: The values of `--pull-request`.
        mode: The value of `--comment`.
        check: The name of the check run.
        replan: Whether a run of the default branch plans the pull request, whose last commit is `head`.
        workflow: The file of the workflow whose plans the merge accepts; None: that of this run.
    """

    run: WorkflowRun
    specs: tuple[str, ...]
    artifact: str
    name: str | None
    numbers: tuple[int, ...]
    mode: str
    check: str | None
    issue: bool
    common: CommonOptions
    file: Path | None
    plan: Path | None
    failed: str | None
    refused: Path | None
    unreviewed: str | None
    approval: Path | None
    plan_exit: int | None
    folder: Path | None
    replan: bool
    head: str | None
    workflow: str | None

    @property
    def spec(self) -> str:
        """The key that separates the comments of several specs on one pull request."""
        return ",".join(self.specs) + (f"#{self.name}" if self.name else "")

    def check_current(self) -> int:
        """Check that the branch still has the spec of this run.

        Raises:
            BranchMovedError: The branch has another spec.
            GitHubError: GitHub did not answer.
        """
        github = self._required_github()
        check_current(github, self.run, repository_paths(self.specs, os.environ))
        return 0

    def fetch_reviewed(self, path: Path) -> int:
        """Save the reviewed plan, by the rules of `github reviewed`.

        Raises:
            PlanRefused: No reviewed plan was found.
            GitHubError: GitHub did not answer.
        """
        github = self._required_github()
        paths = tuple(repository_paths(self.specs, os.environ))
        with refusing(NOT_FOUND):
            workflow = self.workflow or planning_workflow(github, self.run)
            rules = ReviewRules(self.spec, paths, self.artifact, workflow, ReviewMode.IF_ANY)
            number = self.numbers[0] if self.numbers else find_pull_request(self.run, github)
            if number is None:
                raise PlanRefused(f"{NOT_FOUND}: {NO_PULL}", REMEDY)
            (plan,) = reviewed_push(github, self.run, rules, number).plans
        text_files.save(path, plan.text)
        document = read_plan_document(plan.text)
        if self.run.output is not None:
            runner.write_outputs(self.run.output, runner.plan_outputs(document, path))
        self._log(f"Fetched the reviewed plan {document['plan_id'][:12]} of pull request {number} to {path}.")
        return 0

    def publish_overtaken(self) -> int:
        """Report a merge that this run does not apply, if the branch has another spec.

        Raises:
            GitHubError: GitHub did not answer.
        """
        github = self._required_github()
        try:
            check_current(github, self.run, repository_paths(self.specs, os.environ))
        except BranchMovedError as moved:
            takeover = Takeover(f"{moved.message}: {moved.remedy}")
            if moved.is_spec_changed:
                commit, url = run_that_took_over(github, self.run, self._spec_paths())
                takeover = Takeover(f"`{self.run.branch}` has a newer spec", commit, url)
            return self._publish(self._content().overtaken(takeover))
        self._log("The spec of this run is current.")
        return 0

    def publish(self) -> int:
        """Publish to every destination; return the exit code.

        Raises:
            ReconcileError: A comment that must be right could not be posted or corrected.
        """
        return self._publish(self._content().publication())

    def _publish(self, publication: Publication) -> int:
        for line in runner.annotation_lines(publication.findings, Path.cwd(), workspace(os.environ)):
            terminal.write(line)
        if self.run.output is not None:
            runner.write_outputs(self.run.output, publication.outputs)
        context = self._context()
        if self.run.summary is not None:
            shown = replace(context, approval=publication.approval(None))
            text = publication.summary(shown, runner.summary_space(self.run.summary))
            if not runner.write_summary(self.run.summary, text):
                warn("the job summary is full: the plan is not in it")
        failure: ReconcileError | None = None
        is_posted = False
        if self.mode != "never":
            try:
                is_posted = self._comment(publication, context)
            except ReconcileError as error:
                is_optional = self.mode != "required" and not self.replan
                if is_optional and not isinstance(error, OutdatedCommentError):
                    warn(error.message, error.remedy)
                else:
                    failure = error
        if is_posted or not self.replan:  # a plan that is not posted again has its check run
            self._create_check(publication, context)
        if self.issue:
            self._update_issues(publication, context)
        if failure is not None:
            raise failure
        return publication.exit_code

    def _comment(self, publication: Publication, context: CommentContext) -> bool:
        """Comment on the pull requests; return whether a comment was written."""
        github = self._github()
        try:
            numbers = self._pull_requests(github, publication)
        except GitHubError as error:
            raise ReconcileError(f"no comment on the pull request: {error.message}", error.remedy) from error
        if not numbers:
            self._log("No pull request: no comment to post.")
            return False
        if github is None:
            message = f"no comment on pull request {numbers[0]}: there is no GITHUB_TOKEN"
            raise UsageError(message, "give the step `env: GITHUB_TOKEN`")
        failures, is_posted = [], False
        for number in numbers:
            try:
                approved = replace(context, approval=publication.approval(number))
                is_posted |= self._comment_on(github, number, publication, approved)
            except GitHubError as error:
                failures.append(error)
        messages = "; ".join(dict.fromkeys(error.message for error in failures))
        outdated = [error for error in failures if isinstance(error, OutdatedCommentError)]
        if outdated:
            raise outdated[0]
        if failures:
            raise ReconcileError(f"no comment on the pull request: {messages}", failures[0].remedy)
        return is_posted

    def _pull_requests(self, github: GitHub | None, publication: Publication) -> tuple[int, ...]:
        """Return the pull requests that get a comment."""
        known = tuple(dict.fromkeys(self.numbers)) or (() if self.run.number is None else (self.run.number,))
        if known or github is None or not self.run.sha:
            return known
        paths = self._spec_paths()
        if self.run.event_name == "push":
            return pushed_pull_requests(github, self.run, paths)
        last = last_spec_pull_request(github, self.run, paths) if publication.is_by_hand else None
        return () if last is None else (last,)

    def _spec_paths(self) -> list[str]:
        """Return the paths of the spec, or the root of the repository if it is outside of it."""
        try:
            return repository_paths(self.specs, os.environ)
        except UsageError:
            return ["."]

    def _comment_on(
        self, github: GitHub, number: int, publication: Publication, context: CommentContext
    ) -> bool:
        comments = PullRequestComments(github, self.spec, context, number, self.mode == "always")
        workflow = self.workflow or self.run.workflow_path
        artifact = ExpectedArtifact(self.artifact, workflow) if self.replan else None
        content = partial(publication.pages, number)
        reason, results = publish_comments(comments, content, SystemClock().now(), artifact)
        if self.folder is not None and comments.posted:
            base = self.run.sha if self.replan else self.run.pull_request_base
            _save(self.folder, publication_files(comments, self.run, base, self.artifact))
        if reason:
            self._log(f"Pull request {number} {reason}: the comment is left as it is.")
        self._log_results(f"Comment on pull request {number}", results)
        if self.replan and self.run.output is not None:
            runner.write_outputs(self.run.output, {"replanned": str(bool(comments.posted)).lower()})
        return bool(comments.posted)

    def _create_check(self, publication: Publication, context: CommentContext) -> None:
        """Create the check run of a plan. A failure is a warning: the other destinations have the content."""
        github = self._github()
        if publication.check is None or self.check is None:
            return
        if github is None:
            warn("no check run: there is no GITHUB_TOKEN")
            return
        try:
            create_check_run(github, publication.check(self.check, context), context)
        except GitHubError as error:
            remedy = "The token needs `checks: write`" if error.kind is Kind.DENIED else error.remedy
            warn(f"no check run: {error.message}", remedy)
        else:
            self._log(f"Check run {self.check} on {context.head[:7]}: created.")

    def _update_issues(self, publication: Publication, context: CommentContext) -> None:
        """Update the issues on drift. A failure is a warning: the other destinations have the content."""
        github = self._github()
        if github is None:
            warn("no issue on drift: there is no GITHUB_TOKEN")
            return
        try:
            if self.run.branch != read_default_branch(github):
                self._log("Issue on drift: left as it is, because only runs of the default branch write it.")
                return
            check_current(github, self.run, self._spec_paths())
            closes = not publication.narrowed
            issues = DriftIssues(github, self.spec, replace(context, is_kept=False), closes)
            self._log_results("Issue on drift", issues.publish(publication.issue_pages))
        except BranchMovedError as moved:
            self._log(f"Issue on drift: left as it is, because {moved.message}.")
        except GitHubError as error:
            remedy = (
                "The token needs `issues: write` and `contents: read`"
                if error.kind is Kind.DENIED
                else error.remedy
            )
            warn(f"no issue on drift: {error.message}", remedy)

    def _log_results(self, what: str, results: Iterable[tuple[str, PageResult]]) -> None:
        for scope, result in results:
            if result is not PageResult.NOTHING:
                self._log(f"{what}{f' for {scope}' if scope else ''}: {result.value}.")

    def _context(self) -> CommentContext:
        specs = () if self.specs == (DEFAULT_SPEC,) else self.specs
        is_plan = self.run.is_pull_request or self.replan
        return CommentContext(
            self.head or self.run.head,
            self.run.run_id,
            self.run.url,
            self.run.label,
            promise=is_plan,
            command=CommandLine(specs, self.name).apply(),
            mark=COMMENT_MARK if is_plan else RESULT_MARK,
        )

    def _content(self) -> PublishInput:
        names = [field.name for field in fields(PublishInput)]
        return PublishInput(**{name: getattr(self, name) for name in names})

    def _github(self) -> GitHub | None:
        return GitHub(self.run, SystemClock()) if self.run.token and self.run.repository else None

    def _required_github(self) -> GitHub:
        github = self._github()
        if github is None:
            raise UsageError("GITHUB_TOKEN or GITHUB_REPOSITORY is not set")
        return github

    def _log(self, text: str) -> None:
        if not self.common.quiet:
            terminal.log_line(text)


def _save(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        text_files.save(folder / name, text)
