"""Pages -> the comments on a pull request, unless a newer run or commit takes precedence.

A run can be old: it waited, or a person ran it again. It must not overwrite what a newer run wrote, and no
run writes the comment with the plan after the merge. The marker names the run that wrote a comment. A person
who edits a marker can stop a run from writing, but nothing else: facts are read from the run itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ssm_reconcile.approve import MAX_AGE_DAYS
from ssm_reconcile.github.artifacts import read_artifacts
from ssm_reconcile.github.client import GitHub, GitHubError
from ssm_reconcile.github.facts import RunFacts, read_pull, read_run
from ssm_reconcile.github.marked import MarkedBody
from ssm_reconcile.publishers.marked_body import PageResult, PullRequestComments
from ssm_reconcile.publishers.pages import Page
from ssm_reconcile.renderers.comment_context import COMMENT_MARK

RENEW_AFTER = timedelta(days=MAX_AGE_DAYS - 2)
"""Age from which the same plan is stored again, before an apply refuses it as too old."""
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class ExpectedArtifact:
    """The artifact that a merge fetches.

    Attributes:
        name: The name in a run of a pull request.
        workflow: The file of the workflow whose runs count; empty if the runner does not report it.
    """

    name: str
    workflow: str


def publish_comments(
    comments: PullRequestComments,
    pages: Callable[[list[str]], Sequence[Page]],
    now: datetime,
    artifact: ExpectedArtifact | None = None,
) -> tuple[str, list[tuple[str, PageResult]]]:
    """Publish pages; return the reason why nothing was written, or the results by replication.

    Args:
        comments: The comments with one mark.
        pages: Returns the pages, given the replications that have a comment.
        now: The current time.
        artifact: For a plan of the default branch: the artifact with the plan. Nothing is written while the
            comments show the same plan and their run, of that workflow, still has that artifact, not an old
            one.

    Raises:
        GitHubError: GitHub did not answer, or refused a comment.
    """
    known = comments.find()
    reason = _precedence(comments, known)
    if reason:
        return reason, []
    current = pages(sorted({one.scope for one in known}))
    if artifact is not None and _is_shown(comments, known, current, artifact, now):
        return "shows this plan", []
    return "", comments.publish(current, known)


def _precedence(comments: PullRequestComments, known: Sequence[MarkedBody]) -> str:
    """Return the reason why the run must not write, as a phrase about the pull request; empty if it may."""
    context = comments.context
    if context.mark == COMMENT_MARK:
        pull, _files = read_pull(comments.github, comments.number)
        if not pull.is_open:
            return "is merged" if pull.merged_at else "is closed"
        if context.head and pull.head != context.head:
            return "has a newer commit"
    runs = [one.number("run") for one in known]
    newer = [run for run in runs if context.run and run > int(context.run)]
    return f"has a comment of run {max(newer)}, which is newer" if newer else ""


def _is_shown(
    comments: PullRequestComments,
    known: Sequence[MarkedBody],
    pages: Sequence[Page],
    artifact: ExpectedArtifact,
    now: datetime,
) -> bool:
    """Return whether comments of one run show these plans for this commit, and the run still has them.

    The id of a plan covers its changes only, so the counts of conflicts and the like are compared as well.
    """
    shown = {
        one.scope: (one.fact("plan"), one.fact("unresolved"))
        for one in known
        if one.shows_plan and one.fact("head") == comments.context.head
    }
    wanted = {
        page.scope: (page.plan, page.unresolved)
        for page in pages
        if page.worth or comments.always or page.scope in shown
    }
    runs = {one.number("run") for one in known}
    if shown != wanted or len(shown) < len(known) or len(runs) > 1:
        return False
    return not known or _has_plan(comments.github, runs.pop(), artifact, comments.number, now)


def _has_plan(github: GitHub, run_id: int, artifact: ExpectedArtifact, number: int, now: datetime) -> bool:
    """Return whether a run has the plan of a pull request in an artifact that is neither expired nor old.

    A merge refuses the plan of another workflow, such as the one before an upgrade.
    """
    try:
        run = read_run(github, str(run_id))
        if artifact.workflow not in {"", run.path}:
            return False
        name = artifact_name(run, artifact.name, number)
        found = read_artifacts(github, run_id)
    except GitHubError as error:
        if error.status == _NOT_FOUND:
            return False
        raise
    mine = [one for one in found if one.name == name and one.run == run_id and not one.expired]
    return any(one.created_at is not None and now - one.created_at < RENEW_AFTER for one in mine)


def artifact_name(run: RunFacts, artifact: str, number: int) -> str:
    """Return the name of the artifact in which a run stores the plan of a pull request.

    Args:
        run: The run.
        artifact: The name in a run of a pull request. A run of the default branch adds the number.
        number: The number of the pull request.
    """
    return artifact if run.event == "pull_request" else f"{artifact}-{number}"
