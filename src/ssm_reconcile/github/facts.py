"""Responses of the GitHub API, and archives of plans -> typed facts; no decision is made here.

Logins are in lower case, since GitHub ignores their case. Sources: REST reference, "Workflow runs",
"Deployment environments", "Commits", "Pull requests", "Pull request reviews", "Artifacts", "Collaborators".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote

from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.archive import ZIP_LIMIT, read_archive
from ssm_reconcile.github.client import GitHub, GitHubError

PLAN_FILE, PUBLICATION_FILE = "plan.json", "publication.json"
_COMMENT_FILE = re.compile(r"comment(\.[^/\\]+)?\.md")
_T = TypeVar("_T")
_NOT_FOUND = 404
_WEBSITE = "web-flow"
"""The account that commits what people edit or merge on the website."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run of a workflow.

    Attributes:
        path: The file of the workflow, without the ref behind it.
        repositories: The repository of the run, and that of its commit: another one for a fork.
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
            login_in(entry, "user") if (entry.get("user") or {}).get("type") == "User" else "",
        )
        for entry in found
    )


@dataclass(frozen=True, slots=True)
class PullFacts:
    """A pull request, with the last commit of its branch; `merged_at` is None before the merge."""

    number: int
    author: str
    head: str
    base: str
    merged_at: datetime | None


def _pull_of(found: Mapping[str, Any]) -> PullFacts:
    return PullFacts(
        number=int(found["number"]),
        author=login_in(found, "user"),
        head=str(found["head"]["sha"]),
        base=str((found.get("base") or {}).get("ref") or ""),
        merged_at=moment(found.get("merged_at")),
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
class ArtifactFacts:
    """An artifact of a run."""

    id: int
    name: str
    run: int
    expired: bool
    created_at: datetime | None


def read_artifacts(github: GitHub, run_id: int) -> tuple[ArtifactFacts, ...]:
    """Return the artifacts of a run, newest first. Raises GitHubError."""
    found = [
        ArtifactFacts(
            id=int(one["id"]),
            name=str(one.get("name") or ""),
            run=int((one.get("workflow_run") or {}).get("id") or 0),
            expired=bool(one.get("expired")),
            created_at=moment(one.get("created_at")),
        )
        for one in github.pages(f"{github.repository}/actions/runs/{run_id}/artifacts", "artifacts")
    ]
    return tuple(sorted(found, key=lambda one: one.id, reverse=True))


@dataclass(frozen=True, slots=True)
class PostedComment:
    """A comment as the plan run posted it. `body` is its text, `first_posted` the time of its plan id."""

    scope: str
    comment: int
    plan: str
    first_posted: datetime
    body: str


@dataclass(frozen=True, slots=True)
class PlanArtifact:
    """The content of an artifact: a plan, and the comments that showed it."""

    text: str
    document: PlanDocument
    spec: str
    pull_request: int
    head: str
    comments: tuple[PostedComment, ...]


def read_plan_artifact(github: GitHub, artifact: int) -> PlanArtifact:
    """Return the content of an artifact: a plan, its publication, and the comments.

    Raises:
        UsageError: The archive has other files, or a file in it is damaged or too large.
        GitHubError: GitHub did not answer.
    """
    content = github.download(f"{github.repository}/actions/artifacts/{artifact}/zip", ZIP_LIMIT)
    texts = read_archive(content)
    if not {PLAN_FILE, PUBLICATION_FILE} <= texts.keys():
        raise UsageError(f"it needs {PLAN_FILE} and {PUBLICATION_FILE}")
    return _published(texts.pop(PLAN_FILE), texts.pop(PUBLICATION_FILE), texts)


def _published(plan: str, publication: str, texts: dict[str, str]) -> PlanArtifact:
    document = read_plan_document(plan)
    try:
        found = json.loads(publication)
        major = _typed(found, "format_version", str).partition(".")[0]
        comments = tuple(_posted(one, texts) for one in _typed(found, "comments", list))
        artifact = PlanArtifact(
            text=plan,
            document=document,
            spec=_typed(found, "spec", str),
            pull_request=_typed(found, "pull_request", int),
            head=_typed(found, "head", str),
            comments=comments,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{PUBLICATION_FILE} is damaged") from error
    if major != "1":
        raise UsageError(f"{PUBLICATION_FILE} has a format that this version does not know")
    if texts:
        raise UsageError(f"it has a file that {PUBLICATION_FILE} does not name")
    return artifact


def _posted(found: Mapping[str, Any], texts: dict[str, str]) -> PostedComment:
    """Return a comment of a publication, and take its text out of `texts`."""
    file, first_posted = _typed(found, "file", str), moment(found["first_posted"])
    if first_posted is None or not _COMMENT_FILE.fullmatch(file):
        raise ValueError
    return PostedComment(
        scope=_typed(found, "scope", str),
        comment=_typed(found, "comment", int),
        plan=_typed(found, "plan", str),
        first_posted=first_posted,
        body=texts.pop(file),
    )


def _typed(document: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    found = document[key]
    if not isinstance(found, kind):
        raise TypeError
    return found


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """A review of a pull request. `state` is in capital letters, as in the API."""

    reviewer: str
    state: str
    commit: str
    submitted_at: datetime | None


def read_reviews(github: GitHub, number: int) -> tuple[ReviewFacts, ...]:
    """Return the reviews of a pull request, oldest first. Raises GitHubError."""
    return tuple(
        ReviewFacts(
            reviewer=login_in(found, "user"),
            state=str(found.get("state") or ""),
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


def read_earlier_runs(github: GitHub, run: RunFacts) -> Iterator[tuple[int, str]]:
    """Yield id and commit of the earlier pushes of the same workflow, newest first. Raises GitHubError."""
    path = f"{github.repository}/actions/workflows/{PurePosixPath(run.path).name}/runs"
    for found in github.pages(path, "workflow_runs", event="push", branch=run.head_branch):
        if int(found["id"]) < run.id:
            yield int(found["id"]), str(found.get("head_sha") or "")
