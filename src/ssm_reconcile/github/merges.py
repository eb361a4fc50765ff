"""Run of a merge -> the pull requests that its result belongs to, and the run that took it over.

A push can hold several pull requests, also those of earlier pushes that this one overtook. An apply by plan
id belongs to the pull request that changed the spec last. Sources: REST reference, "List commits", "List
pull requests associated with a commit", "List workflow runs for a workflow".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath
from urllib.parse import urlencode

from ssm_reconcile.github import facts
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.current import last_result
from ssm_reconcile.github.workflow_run import WorkflowRun, paths_below

_PAGE = 30
"""Later runs among which the one that takes over is looked for."""
_NOT_FOUND = 404
_NOT_APPLYING = frozenset({"cancelled", "skipped"})
"""Conclusions of a run that applied nothing."""


def pushed_pull_requests(github: GitHub, run: WorkflowRun, paths: Sequence[str]) -> tuple[int, ...]:
    """Return the merged pull requests that the result of a push belongs to, in the order of their commits.

    Those that do not touch the spec are left out, unless none does.

    Args:
        github: The API.
        run: The run of a push.
        paths: The spec files and directories, relative to the root of the repository.

    Raises:
        GitHubError: GitHub did not answer.
    """
    pulls = facts.read_pulls(github, _base_of(github, run), run.sha, run.target_branch)
    numbers = tuple(pull.number for pull in pulls)
    if len(numbers) < 2:  # noqa: PLR2004 - one is not chosen among others
        return numbers
    touching = [one for one in numbers if paths_below(facts.read_changed_files(github, one)[0], paths)]
    return tuple(touching) or numbers[-1:]


def _base_of(github: GitHub, run: WorkflowRun) -> str:
    """Return the commit of the last push that has a result, or the one before this push."""
    try:
        return last_result(github, run) or run.base_sha
    except GitHubError as error:
        if error.kind is not Kind.DENIED:
            raise
        return run.base_sha


def last_spec_pull_request(github: GitHub, run: WorkflowRun, paths: Sequence[str]) -> int | None:
    """Return the merged pull request of the last commit that changed the spec; None if there is none.

    Args:
        github: The API.
        run: A run of a branch.
        paths: The spec files and directories, relative to the root of the repository.

    Raises:
        GitHubError: GitHub did not answer.
    """
    last: dict[str, str] = {}
    for path in paths:
        query = {"sha": run.sha, "per_page": 1} | ({} if path == "." else {"path": path})
        for commit in github.get(f"{github.repository}/commits?{urlencode(query)}"):
            committer = (commit.get("commit") or {}).get("committer") or {}
            last[str(commit["sha"])] = str(facts.moment(committer.get("date")) or "")
    if not last:
        return None
    pulls = facts.read_pulls(github, "", max(last, key=lambda sha: last[sha]), run.target_branch)
    found = max(pulls, key=lambda pull: str(pull.merged_at), default=None)
    return None if found is None else found.number


def run_that_took_over(github: GitHub, run: WorkflowRun, paths: Sequence[str]) -> tuple[str, str]:
    """Return commit and address of the newest later push of the same workflow that changes the spec.

    A push of another spec, or of the workflow file alone, does not apply this spec. Without such a run, the
    commit is empty and the address is that of the list of runs.

    Args:
        github: The API.
        run: The run whose spec is out of date; its `run_id` is known.
        paths: The spec files and directories, relative to the root of the repository.

    Raises:
        GitHubError: GitHub did not answer.
    """
    this = facts.read_run(github, run.run_id)
    file = PurePosixPath(this.path).name
    path = f"{github.repository}/actions/workflows/{file}/runs"
    found = github.get(path, branch=run.branch, event="push", per_page=_PAGE)
    later = [one for one in found["workflow_runs"] if int(one["id"]) > this.id]  # newest first
    shas = [*(str(one.get("head_sha") or "") for one in later), this.head_sha]
    for one, (sha, before) in zip(later, pairwise(shas), strict=True):
        if one.get("conclusion") not in _NOT_APPLYING and _changes_spec(github, before, sha, paths):
            return sha, replace(run, run_id=str(int(one["id"]))).url
    return "", f"{run.server_url}/{run.repository}/actions/workflows/{file}"


def _changes_spec(github: GitHub, before: str, sha: str, paths: Sequence[str]) -> bool:
    """Return whether the commits of a push are known to change the spec."""
    try:
        found = github.get(f"{github.repository}/compare/{before}...{sha}", per_page=1)
    except GitHubError as error:
        if error.status == _NOT_FOUND:  # a forced push
            return False
        raise
    files = found.get("files") or ()
    names = {name for file in files for name in (file.get("filename"), file.get("previous_filename")) if name}
    return bool(paths_below(names, paths))
