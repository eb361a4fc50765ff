"""Responses of the GitHub API -> typed facts of runs, environments, pull requests and reviews.

No decision is made here. Logins are in lower case, since GitHub ignores their case. Sources: REST reference,
"Workflow runs", "Deployment environments", "Commits", "Pull requests", "Pull request reviews",
"Collaborators".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from ssm_reconcile.github.client import GitHub, GitHubError
from ssm_reconcile.github.workflow_run import WorkflowRun

_NOT_FOUND = 404
_BASE_CHANGES = frozenset({"base_ref_changed", "automatic_base_change_succeeded"})
_WEBSITE = "web-flow"
"""The account that commits what people edit or merge on the website."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run of a workflow.

    Attributes:
        path: The file of the workflow, without the ref behind it.
        repositories: The repository of the run, and that of its commit: another one for a fork.
        status: `completed`, `in_progress`, `waiting` for an approval, and others.
    """

    id: int
    path: str
    attempt: int
    actor: str
    triggering_actor: str
    repositories: frozenset[str]
    event: str
    head_branch: str
    head_sha: str
    status: str
    created_at: datetime | None


def read_run(github: GitHub, run_id: str) -> RunFacts:
    """Return a run of this repository. Raises GitHubError."""
    found = github.get(f"{github.repository}/actions/runs/{run_id}")
    return RunFacts(
        id=int(found["id"]),
        path=str(found.get("path") or "").partition("@")[0],
        attempt=int(found.get("run_attempt") or 0),
        actor=login_in(found, "actor"),
        triggering_actor=login_in(found, "triggering_actor"),
        repositories=frozenset(
            str((found.get(key) or {}).get("full_name") or "").lower()
            for key in ("repository", "head_repository")
        ),
        event=str(found.get("event") or ""),
        head_branch=str(found.get("head_branch") or ""),
        head_sha=str(found.get("head_sha") or ""),
        status=str(found.get("status") or ""),
        created_at=moment(found.get("created_at")),
    )


def moment(text: object) -> datetime | None:
    """Return a time of the API; None for anything else."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def login_in(document: Mapping[str, Any], key: str) -> str:
    """Return the login of an account below a key; empty for a deleted account."""
    account = document.get(key)
    return str(account.get("login") or "").lower() if isinstance(account, dict) else ""


def _person_in(review: Mapping[str, Any]) -> str:
    """Return the login of the person who wrote a review; empty for an app."""
    is_person = (review.get("user") or {}).get("type") == "User"
    return login_in(review, "user") if is_person else ""


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """An environment with the number of its required reviewers: people and teams."""

    name: str
    reviewers: int


def read_environment(github: GitHub, name: str) -> EnvironmentFacts | None:
    """Return an environment; None if it does not exist. Raises GitHubError."""
    try:
        found = github.get(f"{github.repository}/environments/{quote(name, safe='')}")
    except GitHubError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    rules = [rule for rule in found.get("protection_rules") or () if rule.get("type") == "required_reviewers"]
    return EnvironmentFacts(name, sum(len(rule.get("reviewers") or ()) for rule in rules))


@dataclass(frozen=True, slots=True)
class DeploymentReview:
    """An entry in the review history of a run; it names neither a time nor an attempt.

    Attributes:
        environments: The names of the environments, in lower case.
        state: `approved`, `rejected` or `pending`.
        reviewer: The login of the person; empty for an app.
    """

    environments: frozenset[str]
    state: str
    reviewer: str


def read_deployment_reviews(github: GitHub, run_id: str) -> tuple[DeploymentReview, ...]:
    """Return the review history of a run. Raises GitHubError."""
    found = github.get(f"{github.repository}/actions/runs/{run_id}/approvals")
    return tuple(
        DeploymentReview(
            frozenset(str(one.get("name") or "").lower() for one in entry.get("environments") or ()),
            str(entry.get("state") or ""),
            _person_in(entry),
        )
        for entry in found
    )


@dataclass(frozen=True, slots=True)
class PullFacts:
    """A pull request.

    Attributes:
        head: The last commit of its branch.
        head_branch: The branch.
        base: The branch that it is to be merged into.
        closed_at: The time at which it was last closed or merged; None if it is open.
        merged_at: None before the merge.
        merge_commit: The commit of the merge. GitHub does not set it to the pushed commit for every way to
            merge, and before the merge it is that of a test merge.
        is_locked: People without write access cannot comment, and neither can the token of a job.
    """

    number: int
    author: str
    head: str
    head_branch: str
    base: str
    created_at: datetime | None
    closed_at: datetime | None
    merged_at: datetime | None
    merge_commit: str
    is_open: bool = True
    is_locked: bool = False


def _pull_of(found: Mapping[str, Any]) -> PullFacts:
    return PullFacts(
        number=int(found["number"]),
        author=login_in(found, "user"),
        head=str(found["head"]["sha"]),
        head_branch=str(found["head"].get("ref") or ""),
        base=str((found.get("base") or {}).get("ref") or ""),
        created_at=moment(found.get("created_at")),
        closed_at=moment(found.get("closed_at")),
        merged_at=moment(found.get("merged_at")),
        merge_commit=str(found.get("merge_commit_sha") or ""),
        is_open=found.get("state") != "closed" and not found.get("merged_at"),
        is_locked=bool(found.get("locked")),
    )


def read_pull(github: GitHub, number: int) -> tuple[PullFacts, int]:
    """Return a pull request and the number of its files. Raises GitHubError."""
    found = github.get(f"{github.repository}/pulls/{number}")
    return _pull_of(found), int(found.get("changed_files") or 0)


def read_changed_files(github: GitHub, number: int) -> tuple[frozenset[str], int]:
    """Return the names of all files of a pull request, the former ones included, and the number of files.

    GitHub lists at most 3,000 files. Raises GitHubError.
    """
    files = list(github.pages(f"{github.repository}/pulls/{number}/files"))
    names = {str(file.get(key) or "") for file in files for key in ("filename", "previous_filename")}
    return frozenset(names - {""}), len(files)


def read_pulls(
    github: GitHub, base_sha: str, sha: str, branch: str, *, merged: bool = True
) -> tuple[PullFacts, ...]:
    """Return the pull requests of all commits between two, in the order of the commits. Raises GitHubError.

    Args:
        github: The API.
        base_sha: The commit before the first one. If it is empty or unknown (a new branch, a forced push),
            only the last commit counts.
        sha: The last commit.
        branch: The branch that the pull requests are merged into; empty for any.
        merged: Whether only merged pull requests count.
    """
    commits: list[str] = []
    if base_sha:
        path = f"{github.repository}/compare/{base_sha}...{sha}"
        try:
            commits = [commit["sha"] for commit in github.pages(path, "commits")]
        except GitHubError as error:
            if error.status != _NOT_FOUND:
                raise
    found: dict[int, PullFacts] = {}
    for commit in dict.fromkeys([*commits, sha]):
        for pull in map(_pull_of, github.pages(f"{github.repository}/commits/{commit}/pulls")):
            if branch in ("", pull.base) and (pull.merged_at or not merged):
                found[pull.number] = pull
    return tuple(found.values())


def read_pulls_of_branch(github: GitHub, owner: str, branch: str) -> tuple[PullFacts, ...]:
    """Return all pull requests from a branch: open, closed and merged ones.

    Args:
        github: The API.
        owner: The owner of the repository that has the branch.
        branch: The branch.

    Raises:
        GitHubError: GitHub did not answer.
    """
    listed = github.pages(f"{github.repository}/pulls", head=f"{owner}:{branch}", state="all")
    return tuple(pull for pull in map(_pull_of, listed) if pull.head_branch == branch)


def read_base_changes(github: GitHub, number: int) -> tuple[datetime | None, ...]:
    """Return the time of each change of the base branch of a pull request; None for an unknown time.

    Sources: REST reference, "Timeline events"; "Issue event types". Raises GitHubError.
    """
    events = github.pages(f"{github.repository}/issues/{number}/timeline")
    return tuple(moment(one.get("created_at")) for one in events if one.get("event") in _BASE_CHANGES)


def find_pull_request(run: WorkflowRun, github: GitHub | None) -> int | None:
    """Return the pull request of a run: that of its event, or the one that was merged with its commit.

    Of several merged ones the last counts, but one whose merge commit is this commit comes before the others.

    Args:
        run: The workflow run.
        github: The API; None without a token.

    Raises:
        GitHubError: GitHub did not answer.
    """
    if run.number is not None:
        return run.number
    if github is None or run.event_name != "push" or not run.sha:
        return None
    merged = read_pulls(github, "", run.sha, run.branch)
    last = max(merged, key=lambda one: (one.merge_commit == run.sha, str(one.merged_at)), default=None)
    return None if last is None else last.number


def read_pushers(github: GitHub, head: str) -> frozenset[str]:
    """Return the people who started a run of a pull request with this last commit. Raises GitHubError.

    The API does not name the person who pushed a commit. The `actor` of the first run is that person; later
    runs of the same commit may name others.
    """
    path = f"{github.repository}/actions/runs"
    runs = github.pages(path, "workflow_runs", head_sha=head, event="pull_request")
    return frozenset(login_in(run, "actor") for run in runs) - {""}


def read_committers(github: GitHub, head: str) -> frozenset[str]:
    """Return author and committer of a commit. Anyone can forge both. Raises GitHubError."""
    found = github.get(f"{github.repository}/commits/{head}")
    return frozenset({login_in(found, "author"), login_in(found, "committer")}) - {"", _WEBSITE}


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """A review of a pull request. `reviewer` is empty for an app; `state` is in capital letters."""

    reviewer: str
    state: str
    commit: str
    submitted_at: datetime | None


def read_reviews(github: GitHub, number: int) -> tuple[ReviewFacts, ...]:
    """Return the reviews of a pull request, oldest first. Raises GitHubError."""
    return tuple(
        ReviewFacts(
            reviewer=_person_in(found),
            state=str(found.get("state")),
            commit=str(found.get("commit_id") or ""),
            submitted_at=moment(found.get("submitted_at")),
        )
        for found in github.pages(f"{github.repository}/pulls/{number}/reviews")
    )


def read_may_write(github: GitHub, login: str) -> bool:
    """Return whether a person may write to the repository. Raises GitHubError."""
    found = github.get(f"{github.repository}/collaborators/{quote(login, safe='')}/permission")
    return found.get("permission") in {"admin", "write"}


def read_default_branch(github: GitHub) -> str:
    """Return the default branch. Raises GitHubError."""
    return str(github.get(github.repository).get("default_branch") or "")


def is_on_branch(github: GitHub, sha: str, branch: str) -> bool:
    """Return whether a commit is part of a branch. A run of a tag names the tag as its branch.

    Args:
        github: The API.
        sha: The commit.
        branch: The branch.

    Raises:
        GitHubError: GitHub did not answer.
    """
    found = github.get(f"{github.repository}/compare/{sha}...{quote(branch, safe='')}", per_page=1)
    return found.get("status") in {"ahead", "identical"}


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """An earlier run of a push. `conclusion` is None if the run is not completed."""

    id: int
    sha: str
    conclusion: str | None


def read_earlier_runs(github: GitHub, run: RunFacts) -> Iterator[EarlierRun]:
    """Yield the earlier pushes of the same workflow, newest first. Raises GitHubError."""
    path = f"{github.repository}/actions/workflows/{PurePosixPath(run.path).name}/runs"
    for found in github.pages(path, "workflow_runs", event="push", branch=run.head_branch):
        if int(found["id"]) < run.id:
            yield EarlierRun(int(found["id"]), str(found["head_sha"]), found["conclusion"])


def read_first_parent(github: GitHub, sha: str) -> str:
    """Return the first parent of a commit; empty for a first commit. Raises GitHubError."""
    parents = github.get(f"{github.repository}/commits/{sha}").get("parents") or ()
    return next((str(parent["sha"]) for parent in parents), "")
