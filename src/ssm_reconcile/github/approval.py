"""A run that waited for an approval of its environment -> the proof that a person approved its plan.

An environment without required reviewers lets every job pass, and so does one that GitHub created because a
workflow refers to it. So only the review history of the run proves an approval. An entry of the history
names neither a time nor an attempt, so only the first attempt of a run counts.

All specs of a run have the same environment. So the entries at the time at which a plan was posted are kept,
and they do not count for it: they were of another plan.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from ssm_reconcile.errors import PlanRefused
from ssm_reconcile.github import facts
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.current import APPLIED, last_result
from ssm_reconcile.github.facts import DeploymentReview, EnvironmentFacts, RunFacts
from ssm_reconcile.github.workflow_run import WorkflowRun

NO_REVIEWS = "none"
"""The list of an empty review history."""


class ApprovalGap(StrEnum):
    """The part of a proof that is missing."""

    ATTEMPT = "attempt"
    NO_ENVIRONMENT = "no-environment"
    NO_REVIEWERS = "no-reviewers"
    NOT_APPROVED = "not-approved"
    REJECTED = "rejected"
    OWN_APPROVAL = "own-approval"
    UNKNOWN_PUSHER = "unknown-pusher"


class ApprovalRefused(PlanRefused):
    """The approval of a plan is not proven."""

    def __init__(self, gap: ApprovalGap, message: str, remedy: str) -> None:
        super().__init__(f"the approval of this plan is not proven: {message}", remedy)
        self.gap = gap


@dataclass(frozen=True, slots=True)
class Contributors:
    """The people behind a pull request. Only `pushers` are proven to have pushed its last commit."""

    pull_request: int
    author: str
    pushers: frozenset[str]
    committers: frozenset[str]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The facts of one approval.

    Attributes:
        name: The name of the environment.
        plan_id: The id of the plan to apply.
        attempt: The attempt of the run according to the runner.
        run: The run according to the API.
        environment: The environment; None if it does not exist.
        reviews: The review history of the run.
        contributors: The people of each merged pull request.
        before: The list of the entries when the plan was posted, by `list_reviews`; empty if the run has one
            plan.
    """

    name: str
    plan_id: str
    attempt: int
    run: RunFacts
    environment: EnvironmentFacts | None
    reviews: tuple[DeploymentReview, ...]
    contributors: tuple[Contributors, ...]
    before: str = ""


@dataclass(frozen=True, slots=True)
class ProvenApproval:
    """An approval that GitHub confirms."""

    environment: str
    approved_by: str
    run: int
    plan_id: str
    pull_requests: tuple[int, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The content of `approval.json`."""
        return {
            "environment": self.environment,
            "approved_by": self.approved_by,
            "run": self.run,
            "plan_id": self.plan_id,
            "pull_requests": list(self.pull_requests),
        }


def prove_approval(request: ApprovalRequest, *, separate: bool) -> ProvenApproval:
    """Return the approval of a plan, or refuse.

    Args:
        request: The facts.
        separate: Whether the approver must be a person who neither wrote, pushed nor started the change.

    Raises:
        ApprovalRefused: A part of the proof is missing; `gap` is the first one.
    """
    remedy, name = _ways_forward(request), request.name
    attempts = {request.attempt, request.run.attempt}
    if attempts != {1}:
        message = f"this is attempt {max(attempts)} of run {request.run.id}, and an approval names no attempt"
        raise ApprovalRefused(ApprovalGap.ATTEMPT, message, f"start a new run instead of a re-run: {remedy}")
    if request.environment is None:
        message = f"the environment {name} does not exist"
        raise ApprovalRefused(ApprovalGap.NO_ENVIRONMENT, message, remedy)
    if not request.environment.reviewers:
        message = f"the environment {name} has no required reviewers, so GitHub asked no one"
        raise ApprovalRefused(ApprovalGap.NO_REVIEWERS, message, remedy)
    later = _later_reviews(request.reviews, request.before)
    mine = [review for review in later if name.lower() in review.environments]
    approvers = [review.reviewer for review in mine if review.state == "approved" and review.reviewer]
    if not approvers:
        message = f"run {request.run.id} has no approval of the environment {name} by a person"
        message += " since this plan was posted" if request.before else ""
        raise ApprovalRefused(ApprovalGap.NOT_APPROVED, message, remedy)
    if any(review.state == "rejected" for review in mine):
        message = f"a reviewer rejected the environment {name} in run {request.run.id}"
        raise ApprovalRefused(ApprovalGap.REJECTED, message, remedy)
    if separate:
        approvers = _separate(approvers, request, remedy)
    numbers = tuple(sorted(one.pull_request for one in request.contributors))
    return ProvenApproval(name, approvers[0], request.run.id, request.plan_id, numbers)


def list_reviews(reviews: Sequence[DeploymentReview]) -> str:
    """Return a digest of each entry of a review history, with commas between.

    Args:
        reviews: The review history of a run.
    """
    return ",".join(map(_digest, reviews)) or NO_REVIEWS


def _digest(review: DeploymentReview) -> str:
    text = "\n".join([review.state, review.reviewer, *sorted(review.environments)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _later_reviews(reviews: Sequence[DeploymentReview], before: str) -> list[DeploymentReview]:
    """Return the entries that are not in a list; none if one of the list is gone, such as after a rename."""
    known = Counter(one for one in before.split(",") if one not in {"", NO_REVIEWS})
    later = []
    for review in reviews:
        if known[_digest(review)] > 0:
            known[_digest(review)] -= 1
        else:
            later.append(review)
    return [] if known.total() else later


def _separate(approvers: list[str], request: ApprovalRequest, remedy: str) -> list[str]:
    """Return the approvers who contributed nothing to the change; refuse if there is none."""
    involved = {request.run.actor, request.run.triggering_actor}
    for one in request.contributors:
        involved |= {one.author} | one.pushers | one.committers
    others = [login for login in approvers if login not in involved]
    if not others:
        message = (
            f"@{approvers[0]} approved it, and also is an author, pusher or committer of the change, or"
            " started this run"
        )
        raise ApprovalRefused(ApprovalGap.OWN_APPROVAL, message, f"have another person approve: {remedy}")
    for one in request.contributors:
        if not one.pushers:
            message = (
                f"GitHub has no run of pull request {one.pull_request} that names the person who pushed its"
                " last commit, so that person may be the approver"
            )
            raise ApprovalRefused(ApprovalGap.UNKNOWN_PUSHER, message, remedy)
    return others


def _ways_forward(request: ApprovalRequest) -> str:
    workflow = PurePosixPath(request.run.path).name or "ssm-reconcile.yml"
    command = f"gh workflow run {workflow} -f plan-id={request.plan_id[:12]}"
    return f"open a new pull request with the new plan, or apply this plan by hand: {command}"


def read_approval_request(
    github: GitHub, run: WorkflowRun, name: str, plan_id: str, before: str = ""
) -> ApprovalRequest:
    """Return the facts of the approval of a run.

    Args:
        github: The API.
        run: The workflow run; its `run_id` is known.
        name: The name of the environment.
        plan_id: The id of the plan to apply.
        before: The list of the entries when the plan was posted.

    Raises:
        GitHubError: GitHub did not answer, or the token lacks a permission.
    """
    # The plan has the changes of earlier pushes, too, if they were not applied.
    since = last_result(github, run, APPLIED) or run.base_sha
    return ApprovalRequest(
        name=name,
        plan_id=plan_id,
        attempt=run.attempt,
        run=facts.read_run(github, run.run_id),
        environment=facts.read_environment(github, name),
        reviews=facts.read_deployment_reviews(github, run.run_id),
        before=before,
        contributors=tuple(
            Contributors(
                pull.number,
                pull.author,
                facts.read_pushers(github, pull.head),
                facts.read_committers(github, pull.head),
            )
            for pull in facts.read_pulls(github, since, run.sha, run.target_branch)
        ),
    )
