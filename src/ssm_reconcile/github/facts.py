"""Responses of the GitHub API -> typed facts; no decision is made here.

Logins are in lower case, since GitHub ignores their case. Sources: REST reference, "Workflow runs",
"Deployment environments", "Commits", "Pull requests".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ssm_reconcile.github.client import GitHub, GitHubError
from ssm_reconcile.github.workflow_run import WorkflowRun

_NOT_FOUND = 404
_WEBSITE = "web-flow"
"""The account that commits what people edit or merge on the website."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run of a workflow. `path` is the file of the workflow, without the ref behind it."""

    id: int
    path: str
    attempt: int
    actor: str
    triggering_actor: str


def read_run(github: GitHub, run_id: str) -> RunFacts:
    """Return a run of this repository. Raises GitHubError."""
    found = github.get(f"{github.repository}/actions/runs/{run_id}")
    return RunFacts(
        id=int(found["id"]),
        path=str(found.get("path") or "").partition("@")[0],
        attempt=int(found.get("run_attempt") or 0),
        actor=login_in(found, "actor"),
        triggering_actor=login_in(found, "triggering_actor"),
    )


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
    """A pull request, with the last commit of its branch."""

    number: int
    author: str
    head: str


def read_merged_pulls(github: GitHub, run: WorkflowRun) -> tuple[PullFacts, ...]:
    """Return the merged pull requests of all commits of a push, in their order. Raises GitHubError.

    Without a known commit before the push (a new branch, a forced push), only the last commit counts.
    """
    found: dict[int, PullFacts] = {}
    for sha in _pushed_commits(github, run):
        for pull in github.pages(f"{github.repository}/commits/{sha}/pulls"):
            if pull.get("merged_at") and run.branch in ("", (pull.get("base") or {}).get("ref")):
                found[pull["number"]] = PullFacts(pull["number"], login_in(pull, "user"), pull["head"]["sha"])
    return tuple(found.values())


def _pushed_commits(github: GitHub, run: WorkflowRun) -> Iterable[str]:
    commits: list[str] = []
    if run.before:
        path = f"{github.repository}/compare/{run.before}...{run.sha}"
        try:
            commits = [commit["sha"] for commit in github.pages(path, "commits")]
        except GitHubError as error:
            if error.status != _NOT_FOUND:
                raise
    return dict.fromkeys([*commits, run.sha])


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
