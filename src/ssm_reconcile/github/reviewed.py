"""Pull request -> the plan that its comment shows, as the file that the reviewed run saved.

A plan counts as reviewed if the comment is from this token, the plan is of the last commit of the pull
request, a run of that pull request made it, and the file has the plan id of the comment. The file alone is no
approval: `apply` makes a new plan and compares both.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.errors import PlanRefused, UsageError
from ssm_reconcile.github.archive import ZIP_LIMIT, read_archive
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.marked import MarkedBody, own_comments

REMEDY = "approve the plan as it is now, or open a new pull request"


def reviewed_plan(github: GitHub, number: int, spec: str, artifact: str) -> tuple[str, PlanDocument]:
    """Return the text and the document of the reviewed plan.

    Args:
        github: The API.
        number: The number of the pull request.
        spec: The key of the spec in the markers of comments.
        artifact: The name of the artifact that holds the plan.

    Raises:
        PlanRefused: No reviewed plan exists.
        GitHubError: GitHub did not answer.
    """
    comments = [one for one in own_comments(github, number, spec) if one.reviewed]
    if not comments:
        raise _refused(f"pull request {number} has no comment with a plan")
    head = github.get(f"{github.repository}/pulls/{number}")["head"]["sha"]
    current = [one for one in comments if one.reviewed["head"] == head]
    if not current:
        shown = comments[-1].reviewed["head"][:7] or "another commit"
        raise _refused(f"the plan in pull request {number} is of {shown}, not of its last, {head[:7]}")
    run = max((one.reviewed["run"] for one in current), key=lambda text: int(text) if text.isdigit() else 0)
    if not run.isdigit():
        raise _refused(f"the comment in pull request {number} does not say which run made its plan")
    found = github.get(f"{github.repository}/actions/runs/{run}")
    if found.get("head_sha") != head or found.get("event") != "pull_request":
        raise _refused(f"run {run}, which the comment names, is not one of this pull request's last commit")
    return _plan_of(github, run, artifact, [one for one in current if one.reviewed["run"] == run])


def _refused(reason: str) -> PlanRefused:
    return PlanRefused(f"found no reviewed plan to apply: {reason}", REMEDY)


def _plan_of(github: GitHub, run: str, name: str, comments: Sequence[MarkedBody]) -> tuple[str, PlanDocument]:
    path = f"{github.repository}/actions/runs/{run}/artifacts"
    artifacts = [one for one in github.pages(path, "artifacts", name=name) if one.get("name") == name]
    if not artifacts:
        raise _refused(f"run {run} has no artifact {name}")
    kept = [int(one["id"]) for one in artifacts if not one.get("expired")]
    if not kept:
        raise _refused(f"the artifact {name} of run {run} has expired")
    for artifact in sorted(kept, reverse=True):  # a run that was repeated has several
        content = github.download(f"{github.repository}/actions/artifacts/{artifact}/zip", ZIP_LIMIT)
        try:
            text = _plan_in(content)
            document = read_plan_document(text)
        except UsageError as error:
            raise _refused(f"the artifact {name} of run {run} is not a plan: {error.message}") from error
        if all(one.reviewed["plan"] == f"sha256:{_id_of(document, one.scope)}" for one in comments):
            return text, document
    raise _refused(f"the plan in the artifact {name} of run {run} is not the one that the comment shows")


def _id_of(document: PlanDocument, name: str) -> str:
    """Return the plan id that a comment shows: for a plan of one replication, that of the whole plan."""
    parts = document["replications"]
    if len(parts) == 1:
        return document["plan_id"] if parts[0]["name"] == name else ""
    return next((part["id"] for part in parts if part["name"] == name), "")


def _plan_in(content: bytes) -> str:
    """Return the text of the one file in an archive; raise UsageError for any other archive."""
    files = read_archive(content)
    if len(files) != 1:
        raise UsageError("the artifact does not hold one plan")
    return next(iter(files.values()))
