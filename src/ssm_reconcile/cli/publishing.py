"""What `publish` was given -> what to say, said everywhere; and the reviewed plan, fetched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssm_reconcile.cli import terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.terminal import read_document
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.documents import PlanDocument, ReportDocument
from ssm_reconcile.documents.decode import read_plan_document, read_report_document
from ssm_reconcile.errors import Finding, PlanRefused, ReconcileError, UsageError
from ssm_reconcile.publishers import current, drift, outputs, pages, summary
from ssm_reconcile.publishers.annotations import command, commands, findings_in, workspace
from ssm_reconcile.publishers.comment import Comment, Done, Sticky, ours
from ssm_reconcile.publishers.drift import Drift
from ssm_reconcile.publishers.event import Event, event_of
from ssm_reconcile.publishers.github import GitHub, GitHubError, Kind
from ssm_reconcile.publishers.issue import Issues
from ssm_reconcile.publishers.pages import Page
from ssm_reconcile.publishers.pull import number_of
from ssm_reconcile.publishers.reviewed import reviewed_plan
from ssm_reconcile.renderers.markdown import failure_summary, plan_summary, report_summary
from ssm_reconcile.renderers.markdown_blocks import CommentContext
from ssm_reconcile.renderers.view import plan_view, report_view
from ssm_reconcile.system import SystemClock

UNREADABLE = 1
"""Exit code when a file that was to be published could not be read."""
UNREVIEWED = frozenset({"schedule", "workflow_dispatch", "repository_dispatch"})
"""Events after which nobody reviews what a plan shows."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the command line gave."""

    file: Path | None
    plan: Path | None = None
    failed: str | None = None
    refused: Path | None = None
    unreviewed: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What there is to say: to the pull request (given what it shows already), the job, later steps."""

    pages: Callable[[Sequence[Comment]], list[Page]]
    summary: Callable[[CommentContext, int], str]
    outputs: dict[str, str]
    drifts: Callable[[list[str]], Sequence[Drift]]
    findings: tuple[Finding, ...] = ()
    unreadable: bool = False
    """Whether a file that was to be published could not be read."""


@dataclass(slots=True)
class Publishing:
    """One call of `publish`."""

    event: Event
    specs: tuple[str, ...]
    name: str | None
    number: int | None
    mode: str
    common: CommonOptions
    issue: bool = False

    @classmethod
    def here(
        cls,
        specs: Sequence[str],
        name: str | None,
        number: int | None,
        mode: str,
        common: CommonOptions,
        *,
        issue: bool,
    ) -> Publishing:
        """In the environment of this process."""
        return cls(event_of(os.environ), tuple(specs) or (DEFAULT_SPEC,), name, number, mode, common, issue)

    @property
    def spec(self) -> str:
        """What tells the comments of one spec from those of another on the same pull request."""
        return ",".join(self.specs) + (f"#{self.name}" if self.name else "")

    def _github(self) -> GitHub | None:
        if not (self.event.token and self.event.repository):
            return None
        return GitHub(self.event, SystemClock())

    def check_current(self) -> int:
        """Raises BranchMovedError when the branch has another spec, GitHubError when nobody can tell."""
        github = self._github()
        if github is None:
            raise UsageError("there is no GITHUB_TOKEN or no GITHUB_REPOSITORY to ask with")
        top = (workspace(os.environ) or Path.cwd()).resolve()
        try:
            specs = [Path(spec).resolve().relative_to(top).as_posix() for spec in self.specs]
        except ValueError:
            raise UsageError("the spec is not in the repository of this run") from None
        current.check_current(github, self.event, specs)
        return 0

    def fetch(self, place: Path, artifact: str) -> int:
        """The reviewed plan, into a file; raises PlanRefused when there is none."""
        github = self._github()
        if github is None:
            raise UsageError("there is no GITHUB_TOKEN or no GITHUB_REPOSITORY to fetch the plan with")
        try:
            number = self.number or number_of(self.event, github)
            if number is None:
                raise PlanRefused(
                    "there is no reviewed plan to apply: this commit is of no merged pull request"
                )
            text, document = reviewed_plan(github, number, self.spec, artifact)
        except GitHubError as error:
            message = f"there is no reviewed plan to apply: {error.message}"
            raise PlanRefused(message, error.remedy) from error
        terminal.save(place, text)
        if self.event.output is not None:
            outputs.write(self.event.output, outputs.of_plan(document, place))
        self._say(
            f"Fetched the reviewed plan {document['plan_id'][:12]} of pull request {number} to {place}."
        )
        return 0

    def publish(self, material: Material) -> int:
        """Says everything everywhere; returns the exit code."""
        story = self._story(material)
        for line in commands(story.findings, Path.cwd(), workspace(os.environ)):
            terminal.write(line)
        if self.event.output is not None:
            outputs.write(self.event.output, story.outputs)
        context = self._context()
        if self.event.summary is not None:
            text = story.summary(context, summary.room(self.event.summary))
            if not summary.write(self.event.summary, text):
                self._warn("the job's summary is full: the plan is not in it")
        try:
            self._comment(story, context)
        except GitHubError as error:
            told = f"no comment on the pull request: {error.message}"
            if self.mode == "required":
                raise ReconcileError(told, error.remedy) from error
            self._warn(f"{told}. {error.remedy}".rstrip(". "))
        if self.issue:
            self._issue(story, context)
        return UNREADABLE if story.unreadable else 0

    def _issue(self, story: Story, context: CommentContext) -> None:
        """The issues on drift. What GitHub does not let us do is a warning: the run has said it all."""
        github = self._github()
        if github is None:
            self._warn("no issue on drift: there is no GITHUB_TOKEN")
            return
        try:
            for scope, done in Issues(github, self.spec, context).publish(story.drifts):
                if done is not Done.NOTHING:
                    self._say(f"Issue on drift{f' of {scope}' if scope else ''}: {done.value}.")
        except GitHubError as error:
            remedy = "The token needs `issues: write`" if error.kind is Kind.DENIED else error.remedy
            self._warn(f"no issue on drift: {error.message}. {remedy}".rstrip(". "))

    def _context(self) -> CommentContext:
        event = self.event
        reviewed = event.name not in UNREVIEWED
        specs = () if self.specs == (DEFAULT_SPEC,) else self.specs
        return CommentContext(
            event.head,
            event.run,
            event.run_url(event.run),
            event.run_label,
            promise=reviewed,
            command=CommandLine(specs, self.name).apply(),
        )

    def _comment(self, story: Story, context: CommentContext) -> None:
        if self.mode == "never":
            return
        github = self._github()
        number = self.number or number_of(self.event, github)
        if number is None:
            self._say("No pull request: nothing to comment on.")
            return
        if github is None:
            told = f"no comment on pull request {number}: there is no GITHUB_TOKEN"
            if self.mode == "required":
                raise UsageError(told, "give the step `env: GITHUB_TOKEN`")
            self._warn(told)
            return
        known = ours(github, number, self.spec)
        sticky = Sticky(
            github, number, self.spec, context, self.event.is_pull_request, always=self.mode == "always"
        )
        for scope, done in sticky.publish(story.pages(known), known):
            if done is not Done.NOTHING:
                self._say(
                    f"Comment on pull request {number}{f' for {scope}' if scope else ''}: {done.value}."
                )

    def _story(self, material: Material) -> Story:
        if material.failed is not None:
            return self._failed(material.failed, self._plan_in(material.plan))
        assert material.file is not None, "the command line gives one or the other"
        try:
            text = read_document(material.file)
            if _is_report(text):
                return self._applied(read_report_document(text), self._plan_in(material.plan))
            return self._planned(read_plan_document(text), material)
        except OSError as error:
            return self._unreadable(f"{error.filename or material.file} cannot be read", material)
        except UsageError as error:
            return self._unreadable(f"{material.file}: {error.message}", material)

    def _unreadable(self, reason: str, material: Material) -> Story:
        """The same as a plan that failed, and an error: the workflow named a file that is not there."""
        terminal.log(f"Error: {reason}.")
        return replace(self._failed(f"{reason}.", self._plan_in(material.plan)), unreadable=True)

    def _planned(self, document: PlanDocument, material: Material) -> Story:
        assert material.file is not None, "a plan comes from a file"
        told, refused = "", material.refused is not None or material.unreviewed is not None
        if material.unreviewed is not None:
            told = pages.unreviewed(material.unreviewed)
        elif material.refused is not None:
            told = pages.refusal(read_report_document(read_document(material.refused)))
        names = pages.names_in(document)

        def every(known: Sequence[Comment]) -> list[Page]:
            gone = sorted({scope for one in known if (scope := one.fact("scope"))} - set(names))
            return [*pages.plan_pages(document, told), *(pages.gone_page(scope) for scope in gone)]

        return Story(
            every,
            lambda context, room: plan_summary(plan_view(document), budget=room, context=context, intro=told),
            {**outputs.of_plan(document, material.file), "failure-reason": "plan-changed" if refused else ""},
            lambda _known: drift.plan_drifts(document),
            tuple(findings_in(document)),
        )

    def _applied(self, document: ReportDocument, plan: PlanDocument | None) -> Story:
        if not document["replications"]:  # it broke off before there was a plan
            reason = "\n".join(finding["message"] for finding in document["findings"])
            return replace(self._failed(reason, plan), outputs=outputs.of_report(document))
        return Story(
            lambda _known: pages.report_pages(document, plan),
            lambda context, room: report_summary(report_view(document), budget=room, context=context),
            outputs.of_report(document),
            lambda _known: drift.report_drifts(document),
            tuple(findings_in(document)),
        )

    def _failed(self, reason: str, plan: PlanDocument | None) -> Story:
        names = pages.names_in(plan) if plan is not None else self._names()

        def every(known: Sequence[Comment]) -> list[Page]:
            shown = {one.fact("scope") for one in known}
            return pages.failure_pages(names or sorted(shown) or [""], reason)

        return Story(
            every,
            lambda context, _room: failure_summary(names, reason, context=context),
            {"failure-reason": outputs.PLAN_FAILED},
            lambda known: drift.failure_drifts(names or known or [""], reason),
        )

    def _names(self) -> list[str]:
        """The replications of the spec, as far as it can be read."""
        from ssm_reconcile.load import load

        try:
            return [one.name for one in load(self.specs, name=self.name).replications]
        except ReconcileError:
            return []

    def _plan_in(self, path: Path | None) -> PlanDocument | None:
        """The plan in a file; None, with a warning, where it cannot be read."""
        if path is None:
            return None
        try:
            return read_plan_document(read_document(path))
        except OSError:
            self._warn(f"--plan {path} cannot be read: the comments are written without it")
        except UsageError as error:
            self._warn(f"--plan {path}: {error.message}: the comments are written without it")
        return None

    def _say(self, text: str) -> None:
        if not self.common.quiet:
            terminal.log(text)

    def _warn(self, text: str) -> None:
        """A warning that the workflow's page shows."""
        terminal.write(command("warning", text))


def _is_report(text: str) -> bool:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "outcomes" in document
