"""Open pull requests -> those that a run of the default branch plans again.

Only branches of this repository count, as in the plan workflow: others must not get credentials. A pull
request that changes a workflow is left out, since its plan never counts as reviewed. Cost: a request for each
examined pull request, and another for each that touches the spec. Sources: REST reference, "List pull
requests", "Get a pull request", "List pull requests files".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ssm_reconcile.github import facts
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.reviewed import CODE
from ssm_reconcile.github.workflow_run import paths_below

EXAMINED = 200
"""Maximum pull requests whose files are listed: the last updated ones. A job has 1,000 requests an hour."""
PLANNED = 100
"""Maximum pull requests to plan again."""
DEPENDABOT = "dependabot[bot]"


@dataclass(frozen=True, slots=True)
class OpenPull:
    """An open pull request that touches the spec.

    Attributes:
        number: The number.
        head: The last commit.
        mergeable: Whether it can be merged without a conflict; None if GitHub has not computed it yet.
        left_out: The reason why it is not planned again; empty if it is.
    """

    number: int
    head: str
    mergeable: bool | None
    left_out: str = ""


def find_open_pulls(github: GitHub, paths: Sequence[str]) -> tuple[OpenPull, ...]:
    """Return the open pull requests to the default branch that touch the spec, the last updated ones first.

    Args:
        github: The API.
        paths: The spec files and directories, relative to the root of the repository.

    Raises:
        GitHubError: GitHub did not answer.
    """
    found: list[OpenPull] = []
    for number in islice(_of_this_repository(github), EXAMINED):
        names, listed = facts.read_changed_files(github, number)
        if not paths_below(names, paths):
            continue
        found.append(_read_open_pull(github, number, names, listed))
        if sum(not one.left_out for one in found) == PLANNED:
            break
    return tuple(found)


def _of_this_repository(github: GitHub) -> Iterator[int]:
    """Yield the open pull requests of branches of this repository, without those of Dependabot."""
    branch = facts.read_default_branch(github)
    query = {"state": "open", "base": branch, "sort": "updated", "direction": "desc"}
    for found in github.pages(f"{github.repository}/pulls", **query):
        if _is_of(github.repository, found) and facts.login_in(found, "user") != DEPENDABOT:
            yield int(found["number"])


def _is_of(repository: str, found: Mapping[str, Any]) -> bool:
    """Return whether the branch of a pull request is in the repository; that of a deleted fork is not."""
    head = found.get("head") or {}
    name = str((head.get("repo") or {}).get("full_name") or "")
    return f"/repos/{name}".lower() == repository.lower()


def _read_open_pull(github: GitHub, number: int, names: frozenset[str], listed: int) -> OpenPull:
    """Return one pull request, with the reason why it is not planned again."""
    found = github.get(f"{github.repository}/pulls/{number}")
    mergeable = found.get("mergeable")
    code = paths_below(names, CODE)
    reason = ""
    if code:
        reason = f"it changes {code[0]}"
    elif listed < int(found.get("changed_files") or 0):
        reason = "it changes more files than GitHub lists"
    elif mergeable is False:
        reason = "it conflicts with the default branch"
    return OpenPull(number, str(found["head"]["sha"]), mergeable, reason)
