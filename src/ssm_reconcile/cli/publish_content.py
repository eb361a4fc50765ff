"""Arguments of `publish` -> its content: pages, summary, outputs and findings of a plan or a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssm_reconcile.cli import terminal, text_files
from ssm_reconcile.documents import PlanDocument, ReportDocument
from ssm_reconcile.documents.decode import read_plan_document, read_plan_or_report, read_report_document
from ssm_reconcile.errors import Finding, ReconcileError, UsageError
from ssm_reconcile.github.workflow_run import WorkflowRun
from ssm_reconcile.publishers import pages, runner
from ssm_reconcile.publishers.approvals import NO_APPROVALS, Approvals, approval_by_hand, read_approvals
from ssm_reconcile.publishers.check_run import CheckRun, failure_check, plan_check
from ssm_reconcile.publishers.pages import Page
from ssm_reconcile.renderers.comment_context import Approval, CommentContext
from ssm_reconcile.renderers.markdown import failure_summary, plan_summary
from ssm_reconcile.renderers.report_markdown import Takeover, overtaken_summary, report_summary
from ssm_reconcile.renderers.view import PlanView, ReportView


def _no_approval(_number: int | None) -> Approval | None:
    return None


@dataclass(frozen=True, slots=True)
class Publication:
    """The content for each destination.

    Attributes:
        pages: Returns the pages for the comments on a pull request, given the replications that have a
            comment there.
        issue_pages: Returns the pages for the issues, given the replications that have an issue.
        summary: Returns Markdown for the job summary, for a context and a maximum number of bytes.
        outputs: The step outputs.
        findings: The findings for annotations.
        exit_code: 1 for a file that could not be read.
        narrowed: Whether the run had only a part of the targets or names.
        check: Returns the check run with a name; None for a report.
        approval: Returns the people behind a report, for one pull request or for all of them.
        is_by_hand: Whether it is the report of an apply that a person started with a plan id.
    """

    pages: Callable[[int, list[str]], Sequence[Page]]
    issue_pages: Callable[[list[str]], Sequence[Page]]
    summary: Callable[[CommentContext, int], str]
    outputs: dict[str, str]
    findings: tuple[Finding, ...] = ()
    exit_code: int = 0
    narrowed: bool = False
    check: Callable[[str, CommentContext], CheckRun] | None = None
    approval: Callable[[int | None], Approval | None] = _no_approval
    is_by_hand: bool = False


@dataclass(frozen=True, slots=True)
class PublishInput:
    """The arguments of `publish` that say what is published. `file` or `failed` is given.

    Attributes:
        approval: The file of `--approval`.
        plan_exit: The exit code of `plan`; None if it was not given.
        replan: Whether a run of the default branch plans the pull request again.
    """

    run: WorkflowRun
    specs: tuple[str, ...]
    name: str | None
    file: Path | None
    plan: Path | None
    failed: str | None
    refused: Path | None
    unreviewed: str | None
    approval: Path | None
    plan_exit: int | None
    replan: bool

    def publication(self) -> Publication:
        """Return the content; a file that cannot be read is a failed plan, unless it is a plan made again.

        Raises:
            UsageError: The plan that was made again cannot be read.
            ReconcileError: The plan that was made again is incomplete.
        """
        if self.file is None:
            return self._of_failure(self.failed or "")
        if self.replan:  # the comment keeps its plan if this one cannot be read
            plan = read_plan_document(text_files.read_document(self.file))
            if not plan["complete"]:
                message = "the plan is not posted again: a place was not listed completely"
                raise ReconcileError(message, "read the findings in the log, and start the run again")
            return self._of_plan(plan, self.file)
        try:
            document = read_plan_or_report(text_files.read_document(self.file))
            if "outcomes" in document:
                return self._of_report(document)
            return self._of_plan(document, self.file)
        except OSError as error:
            reason = f"{error.filename or self.file} cannot be read: check that an earlier step wrote it"
        except UsageError as error:
            reason = f"{self.file}: {error.message}"
        terminal.log_line(f"Error: {reason}.")
        return replace(self._of_failure(f"{reason}."), exit_code=1)

    def _of_plan(self, document: PlanDocument, file: Path) -> Publication:
        intro = ""
        if self.unreviewed is not None:
            queued = self.run.event_name == "merge_group"
            notice = pages.merge_group_notice if queued else pages.unreviewed_notice
            intro = notice(self.unreviewed)
        elif self.refused is not None:
            intro = pages.refusal(read_report_document(text_files.read_document(self.refused)))
        is_refused = self.unreviewed is not None or self.refused is not None
        reason = "plan-changed" if is_refused else runner.plan_failure_reason(document, self.plan_exit)
        return Publication(
            lambda _number, known: pages.plan_pages(document, intro, known),
            lambda _known: pages.plan_issue_pages(document),
            lambda context, budget: plan_summary(
                PlanView(document), budget=budget, context=context, intro=intro
            ),
            {**runner.plan_outputs(document, file), "failure-reason": reason},
            tuple(runner.findings_in(document)),
            narrowed=any(document["narrowed"].values()),
            check=lambda name, context: plan_check(name, document, self.plan_exit, context),
        )

    def _of_report(self, document: ReportDocument) -> Publication:
        if not document["replications"]:  # the run stopped before there was a plan
            reason = "\n".join(finding["message"] for finding in document["findings"])
            failure = self._of_failure(reason, is_stopped=True)
            return replace(failure, outputs=runner.report_outputs(document), check=None)
        plan, approvals, by_hand = self._read_plan(), self._approvals(), approval_by_hand(self.run, document)

        def pages_of(number: int, _known: list[str]) -> Sequence[Page]:
            own = approvals.plans.get(number)
            return pages.report_pages(document, plan if own is None else self._read_plan(own))

        return Publication(
            pages_of,
            lambda _known: pages.report_issue_pages(document),
            lambda context, budget: report_summary(ReportView(document), budget=budget, context=context),
            runner.report_outputs(document),
            tuple(runner.findings_in(document)),
            narrowed=any(document["narrowed"].values()),
            approval=lambda number: by_hand or approvals.of(number),
            is_by_hand=by_hand is not None,
        )

    def _of_failure(self, reason: str, *, is_stopped: bool = False) -> Publication:
        plan = self._read_plan()
        names = pages.names_in(plan) if plan is not None else self.spec_names()
        return Publication(
            lambda _number, known: pages.failure_pages(names or known or [""], reason, is_stopped=is_stopped),
            lambda known: pages.failure_issue_pages(names or known or [""], reason),
            lambda context, _budget: failure_summary(names, reason, context=context, is_stopped=is_stopped),
            {"failure-reason": runner.PLAN_FAILED},
            check=lambda name, context: failure_check(name, names, reason, context),
        )

    def overtaken(self, takeover: Takeover) -> Publication:
        """Return the content of a merge that this run did not apply."""
        names = self.spec_names()
        return Publication(
            lambda _number, known: pages.overtaken_pages(names or known or [""], takeover),
            lambda _known: [],
            lambda context, _budget: overtaken_summary(names, takeover, context=context),
            {},
        )

    def spec_names(self) -> list[str]:
        """Return the replications of the spec; none if it cannot be read."""
        from ssm_reconcile.load import load

        try:
            return [one.name for one in load(self.specs, name=self.name).replications]
        except ReconcileError:
            return []

    def _approvals(self) -> Approvals:
        """Return the people of `--approval`; none, with a warning, if the file cannot be read."""
        if self.approval is None:
            return NO_APPROVALS
        try:
            return read_approvals(self.approval, text_files.read_document(self.approval))
        except OSError:
            reason = "cannot be read (check that an earlier step wrote it)"
        except UsageError as error:
            reason = error.message
        warn(f"--approval {self.approval} {reason}: the result names no one")
        return NO_APPROVALS

    def _read_plan(self, file: Path | None = None) -> PlanDocument | None:
        """Return a plan, by default that of `--plan`; None, with a warning, if it cannot be read."""
        file = file or self.plan
        if file is None:
            return None
        try:
            return read_plan_document(text_files.read_document(file))
        except OSError:
            reason = " cannot be read (check that an earlier step wrote it)"
        except UsageError as error:
            reason = f": {error.message}"
        warn(f"--plan {file}{reason}: the comments are written without it")
        return None


def warn(text: str, remedy: str = "") -> None:
    """Write a warning as an annotation.

    Args:
        text: The problem.
        remedy: What to do.
    """
    terminal.write(runner.command("warning", f"{text}. {remedy}".rstrip(". ")))
