"""Pull requests of a push -> the plans that people reviewed, from the artifacts of the runs that made them.

A plan counts as reviewed if all of this holds. Its comment is from this token, and is word for word the one
that the run stored beside the plan. The run is one of the plan workflow in this repository, for the last
commit of the pull request, and stored the plan before the merge. Neither the pull request nor another base
branch changes the workflow of that run. An approving review is of the last commit, and not older than the
plan.

The file alone is not an approval: `apply` makes a new plan and compares both. Cost: about twelve requests
for each pull request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.errors import PlanRefused, UsageError
from ssm_reconcile.github import facts
from ssm_reconcile.github.artifacts import (
    ArtifactFacts,
    PlanArtifact,
    read_artifacts,
    read_plan_artifact,
)
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.current import APPLIED, last_result
from ssm_reconcile.github.facts import PullFacts, ReviewFacts, RunFacts
from ssm_reconcile.github.marked import MarkedBody, own_comments
from ssm_reconcile.github.workflow_run import WorkflowRun, paths_below

REMEDY = "approve the plan as it is now, or open a new pull request"
REPLAN_EVENTS = frozenset({"push", "schedule", "workflow_dispatch"})
"""Events of the default branch that plan open pull requests again."""
EVENT_DELAY = timedelta(minutes=10)
"""Maximum time from an event to the creation of its run that is allowed for: GitHub documents no limit."""
MOVE = "start the workflow of the default branch of this repository, or name the file with --workflow"
_WORKFLOW_REF = re.compile(
    r"(?P<repository>[^/@]+/[^/@]+)/(?P<path>\.github/workflows/[^/@]+\.ya?ml)@(?P<ref>refs/.+)"
)
NOT_FOUND = "found no reviewed plan to apply"
NO_PULL = "this commit is of no merged pull request"
CODE = (".github", "action.yml")
"""Files that can change how a plan is made: workflows, an action."""


def planning_workflow(github: GitHub, run: WorkflowRun) -> str:
    """Return the workflow file that plans pull requests, if no option names it: that of this run.

    Only the file on the default branch is reviewed. For a merge group, the file is that of the group, whose
    pull requests change no workflow.

    Args:
        github: The API.
        run: The run that applies, or compares a merge group.

    Raises:
        UsageError: The runner does not report the file.
        PlanRefused: The file is of another repository, or not on the default branch.
        GitHubError: GitHub did not answer.
    """
    found = _WORKFLOW_REF.fullmatch(run.workflow_ref)
    if found is None:
        message = "GITHUB_WORKFLOW_REF is not set, so the workflow that plans pull requests is unknown"
        raise UsageError(message, "name its file: --workflow FILE, or the input plan-workflow of the action")
    if found["repository"].lower() != run.repository.lower():
        raise _refused(f"the workflow of this run is of {found['repository']}, not of {run.repository}", MOVE)
    if run.event_name != "merge_group":
        branch = facts.read_default_branch(github)
        if found["ref"] != f"refs/heads/{branch}":
            message = f"the workflow of this run is at {found['ref']}, not on the default branch, {branch}"
            raise _refused(message, MOVE)
    return found["path"]


class ReviewMode(StrEnum):
    """The value of the input `review`."""

    REQUIRED = "required"
    IF_ANY = "if-any"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """The rules by which plans count as reviewed.

    Attributes:
        spec: The key of the spec in the markers of comments.
        paths: The spec files and directories, relative to the root of the repository.
        artifact: The name of the artifact with the plan of a pull request.
        workflow: The file of the plan workflow, relative to the root of the repository.
        review: Whether an approving review is needed.
    """

    spec: str
    paths: tuple[str, ...]
    artifact: str
    workflow: str
    review: ReviewMode


@dataclass(frozen=True, slots=True)
class ReviewedPlan:
    """The reviewed plan of one pull request. `reviewed_by` is empty if no review was needed."""

    pull_request: int
    text: str
    plan_id: str
    reviewed_by: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of the saved plan."""
        return f"{self.pull_request}.json"


@dataclass(frozen=True, slots=True)
class ReviewedPush:
    """The reviewed plans of a push or merge group.

    `base` is the commit whose spec was applied before it; empty if unknown, and then no change is left.
    """

    plans: tuple[ReviewedPlan, ...]
    base: str

    @property
    def document(self) -> dict[str, Any]:
        """The content of `reviewed.json`."""
        plans = [
            {
                "pull_request": plan.pull_request,
                "file": plan.file,
                "plan_id": plan.plan_id,
                "reviewed_by": list(plan.reviewed_by),
            }
            for plan in self.plans
        ]
        return {"plans": plans, "base": self.base}


def reviewed_push(github: GitHub, run: WorkflowRun, rules: ReviewRules, number: int | None) -> ReviewedPush:
    """Return the reviewed plans of all pull requests of a run that touch the spec.

    Args:
        github: The API.
        run: A push, or a merge group, whose pull requests are not merged yet.
        rules: The rules.
        number: Only this pull request; None for those of the commits.

    Raises:
        PlanRefused: A pull request has no reviewed plan, or no pull request touches the spec.
        GitHubError: GitHub did not answer.
    """
    queued = run.event_name == "merge_group"
    base = run.base_sha
    if number is not None:
        numbers = [number]
    else:
        since = base
        if not queued:
            result, applied = last_result(github, run), last_result(github, run, APPLIED)
            since, base = result or base, applied or ("" if result else base)
        pulls = facts.read_pulls(github, since, run.sha, run.target_branch, merged=not queued)
        numbers = [pull.number for pull in pulls]
        named = run.queued_number  # a squashed commit in a queue may belong to no pull request yet
        if named is not None and named not in numbers:
            numbers.append(named)
    plans = [_reviewed(github, run, rules, one, queued=queued) for one in numbers]
    found = tuple(plan for plan in plans if plan is not None)
    if not found:
        missing = "no pull request of this commit touches the spec" if numbers else NO_PULL
        raise _refused(missing)
    return ReviewedPush(found, base)


def _reviewed(
    github: GitHub, run: WorkflowRun, rules: ReviewRules, number: int, *, queued: bool
) -> ReviewedPlan | None:
    """Return the reviewed plan of one pull request; None if it does not touch the spec."""
    pull, count = facts.read_pull(github, number)
    if pull.merged_at is None and not queued:
        raise _refused(f"pull request {number} is not merged")
    names = _changed_files(github, number, count)
    if not paths_below(names, rules.paths):
        return None
    _check_code(pull, names)
    comments = _shown_comments(pull, own_comments(github, number, rules.spec))
    made_by = facts.read_run(github, str(comments[0].number("run")))
    check_plan_run(github, made_by, pull, rules.workflow, run.repository)
    name = rules.artifact if made_by.event == "pull_request" else f"{rules.artifact}-{number}"
    artifact = _artifact(github, made_by, pull, name)
    _check_comments(artifact, pull, rules.spec, comments)
    reviewers = _reviewers(github, rules.review, pull, artifact)
    return ReviewedPlan(number, artifact.text, artifact.document["plan_id"], reviewers)


def _changed_files(github: GitHub, number: int, count: int) -> frozenset[str]:
    """Return the names of all files of a pull request; refuse if GitHub does not list all of them."""
    names, listed = facts.read_changed_files(github, number)
    if listed < count:
        raise _refused(f"pull request {number} changes {count:,} files, more than GitHub lists")
    return names


def _check_code(pull: PullFacts, names: Iterable[str]) -> None:
    """Refuse the plan of a pull request that changes a workflow: its own code made that plan."""
    code = paths_below(names, CODE)
    if code:
        raise _refused(f"pull request {pull.number} changes {code[0]}, so its plan may be made by other code")


def _shown_comments(pull: PullFacts, comments: Sequence[MarkedBody]) -> list[MarkedBody]:
    """Return the comments of the last run that planned the last commit; refuse if there is none."""
    planned = [one for one in comments if one.shows_plan and one.number("run")]
    if not planned:
        raise _refused(f"pull request {pull.number} has no comment with a plan")
    current = [one for one in planned if one.fact("head") == pull.head]
    if not current:
        shown = planned[-1].fact("head")[:7] or "another commit"
        raise _refused(
            f"the plan in pull request {pull.number} is of {shown}, not of its last, {pull.head[:7]}"
        )
    last = max(one.number("run") for one in current)
    return [one for one in current if one.number("run") == last]


def check_plan_run(github: GitHub, run: RunFacts, pull: PullFacts, workflow: str, repository: str) -> None:
    """Refuse a run that is neither the plan of this pull request nor a re-plan on the default branch.

    Args:
        github: The API.
        run: The run.
        pull: The pull request.
        workflow: The file of the plan workflow.
        repository: The repository, as `owner/name`.

    Raises:
        PlanRefused: The run is of something else, or may have executed the workflow of another base branch.
        GitHubError: GitHub did not answer.
    """
    default_branch = facts.read_default_branch(github) if run.event in REPLAN_EVENTS else ""
    _check_origin(run, pull, workflow, repository, default_branch)
    if default_branch and not facts.is_on_branch(github, run.head_sha, default_branch):
        raise _refused(f"run {run.id} is of a commit that is not on {default_branch}, such as that of a tag")
    if run.event == "pull_request":
        _check_base(github, run, pull, repository.partition("/")[0])


def _check_origin(
    run: RunFacts, pull: PullFacts, workflow: str, repository: str, default_branch: str
) -> None:
    """Refuse a run that is neither the plan of this pull request nor a re-plan on the default branch."""
    what = f"run {run.id}, which the comment in pull request {pull.number} names, is"
    if run.repositories != {repository.lower()}:
        raise _refused(f"{what} of another repository")
    if run.path != workflow:
        raise _refused(f"{what} of the workflow {run.path or 'unknown'}, not of {workflow}")
    if run.event == "pull_request":
        if run.head_sha != pull.head:
            raise _refused(f"{what} of another commit than the last one, {pull.head[:7]}")
        if run.head_branch != pull.head_branch:
            raise _refused(f"{what} of the branch {run.head_branch}, not of {pull.head_branch}")
    elif run.event not in REPLAN_EVENTS or run.head_branch != default_branch:
        raise _refused(f"{what} neither of a pull request nor of the default branch")


def _check_base(github: GitHub, run: RunFacts, pull: PullFacts, owner: str) -> None:
    """Refuse a run that may have executed the workflow of another base branch.

    A run of a pull request executes the workflow file as merged into the base branch. It names its file, its
    commit and its branch, but not its base. A second pull request from the same branch to another base starts
    runs that look the same, and so does this pull request while it has another base.
    """
    _check_base_changes(github, run, pull.number)
    for other in facts.read_pulls_of_branch(github, owner, pull.head_branch):
        is_same_commit = other.head == pull.head
        if other.number == pull.number or not (is_same_commit or _was_open(other, run)):
            continue
        if other.base != pull.base:
            shared = "same last commit" if is_same_commit else f"same branch, was open at run {run.id},"
            raise _refused(f"pull request {other.number} has the {shared} and another base: {other.base}")
        _check_base_changes(github, run, other.number)


def _was_open(pull: PullFacts, run: RunFacts) -> bool:
    """Return whether a pull request may have been open at the event that started a run."""
    if run.created_at is None:
        return True
    is_later = pull.created_at is not None and pull.created_at > run.created_at
    is_earlier = pull.closed_at is not None and pull.closed_at < run.created_at - EVENT_DELAY
    return not (is_later or is_earlier)


def _check_base_changes(github: GitHub, run: RunFacts, number: int) -> None:
    """Refuse a run if the base of a pull request may have changed after the event that started the run."""
    changes = facts.read_base_changes(github, number)
    if any(run.created_at is None or one is None or one > run.created_at - EVENT_DELAY for one in changes):
        raise _refused(f"the base of pull request {number} was changed at the start of run {run.id} or later")


def _artifact(github: GitHub, run: RunFacts, pull: PullFacts, name: str) -> PlanArtifact:
    listed = read_artifacts(github, run.id)
    newest = _early_artifact(listed, run, pull, name)
    try:
        return read_plan_artifact(github, newest.id)
    except UsageError as error:
        message = f"the artifact {name} of run {run.id} does not hold a reviewed plan: {error.message}"
        raise _refused(message, error.remedy or REMEDY) from error


def _early_artifact(
    artifacts: Sequence[ArtifactFacts], run: RunFacts, pull: PullFacts, name: str
) -> ArtifactFacts:
    """Return the newest artifact of a run that was stored before the merge; refuse without one.

    A re-run after the merge could otherwise replace what was reviewed.
    """
    mine = [one for one in artifacts if one.name == name and one.run == run.id]
    if not mine:
        raise _refused(f"run {run.id} has no artifact {name}")
    early = [
        one
        for one in mine
        if one.created_at is not None and (pull.merged_at is None or one.created_at <= pull.merged_at)
    ]
    if not early:
        raise _refused(f"the artifact {name} of run {run.id} was stored after the merge")
    if early[0].expired:
        raise _refused(f"the artifact {name} of run {run.id} has expired")
    return early[0]


def _check_comments(
    artifact: PlanArtifact, pull: PullFacts, spec: str, comments: Sequence[MarkedBody]
) -> None:
    """Refuse an artifact whose comments are not the ones on the pull request, word for word."""
    if (artifact.spec, artifact.pull_request, artifact.head) != (spec, pull.number, pull.head):
        raise _refused(f"the stored plan is not that of the last commit of pull request {pull.number}")
    posted = {one.comment: one for one in artifact.comments}
    if posted.keys() != {one.id for one in comments}:
        raise _refused(f"the stored plan is not the one that the comments in pull request {pull.number} show")
    for comment in comments:
        one = posted[comment.id]
        plan = f"sha256:{_id_of(artifact.document, one.scope)}"
        if {plan} != {one.plan, comment.fact("plan")} or one.scope != comment.scope:
            raise _refused(
                f"the stored plan is not the one that the comment in pull request {pull.number} shows"
            )
        if _normal(one.body) != _normal(comment.body):
            message = f"the comment in pull request {pull.number} was edited after the plan was posted"
            raise _refused(message)
        if comment.edited is not None and comment.edited > one.updated:
            raise _refused(
                f"the comment in pull request {pull.number} was edited after the plan was posted, and edited"
                " back since"
            )
    hidden = {change["replication"] for change in artifact.document["changes"]} - {
        one.scope for one in comments
    }
    if hidden:
        message = f"no comment in pull request {pull.number} shows the changes of {min(hidden)}"
        raise _refused(message)


def _normal(text: str) -> str:
    """Return a text as GitHub may store it: with other line ends, and without trailing white space."""
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip()


def _reviewers(github: GitHub, mode: ReviewMode, pull: PullFacts, artifact: PlanArtifact) -> tuple[str, ...]:
    if mode is ReviewMode.IGNORE:
        return ()
    first_posted = max(one.first_posted for one in artifact.comments)
    reviews = facts.read_reviews(github, pull.number)
    return _approving_reviewers(
        mode, pull, reviews, first_posted, lambda login: facts.read_may_write(github, login)
    )


def _approving_reviewers(
    mode: ReviewMode,
    pull: PullFacts,
    reviews: Sequence[ReviewFacts],
    first_posted: datetime,
    may_write: Callable[[str], bool],
) -> tuple[str, ...]:
    """Return the people whose approving review counts; refuse if none does and the mode needs one.

    The last review of a person counts, without those that only comment. A review by a person who may not
    write to the repository is ignored: in a public repository, anyone can approve. A dismissed review is
    there, and does not count: otherwise to dismiss an outdated approval would be a way around it.

    Args:
        mode: `required`: one must count. `if-any`: one must count if there is any.
        pull: The pull request.
        reviews: All reviews, oldest first.
        first_posted: The time when the plan was shown for the first time.
        may_write: Returns whether a person may write to the repository.
    """
    last = {one.reviewer: one for one in reviews if one.state not in {"COMMENTED", "PENDING"}}
    approvals = [
        one
        for one in last.values()
        if one.state in {"APPROVED", "DISMISSED"} and one.reviewer and may_write(one.reviewer)
    ]
    faults = {one.reviewer: _review_fault(one, pull, first_posted) for one in approvals}
    counting = tuple(sorted(reviewer for reviewer, fault in faults.items() if not fault))
    if counting or (mode is ReviewMode.IF_ANY and not faults):
        return counting
    if not faults:
        raise _refused(f"pull request {pull.number} has no approving review")
    listed = ", ".join(f"@{reviewer} {fault}" for reviewer, fault in sorted(faults.items()))
    raise _refused(
        f"no approving review of pull request {pull.number} is of the plan that it shows: {listed}"
    )


def _review_fault(review: ReviewFacts, pull: PullFacts, first_posted: datetime) -> str:
    """Return the reason why an approval does not count; empty if it counts."""
    if review.state == "DISMISSED":
        return "gave a review that was dismissed"
    if review.reviewer == pull.author:
        return "is the author"
    if review.commit != pull.head:
        return f"approved {review.commit[:7] or 'another commit'}, not {pull.head[:7]}"
    if review.submitted_at is None or review.submitted_at < first_posted:
        return "approved before this plan was posted"
    return ""


def _refused(reason: str, remedy: str = REMEDY) -> PlanRefused:
    return PlanRefused(f"{NOT_FOUND}: {reason}", remedy)


def _id_of(document: PlanDocument, name: str) -> str:
    """Return the plan id that a comment shows: for a plan of one replication, that of the whole plan."""
    parts = document["replications"]
    if len(parts) == 1:
        return document["plan_id"] if parts[0]["name"] == name else ""
    return next((part["id"] for part in parts if part["name"] == name), "")
