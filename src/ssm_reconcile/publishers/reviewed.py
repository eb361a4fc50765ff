"""A merged pull request -> the plan that its comment shows, as the file that was made when it was reviewed.

The comment is ours, its plan is of the last commit of the pull request, the run that made it was that
pull request's, and the file has the very plan id that the comment shows. Anything else is no reviewed
plan. The file decides nothing by itself either: `apply` plans again and compares.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.errors import PlanRefused, UsageError
from ssm_reconcile.publishers.comment import Comment, ours
from ssm_reconcile.publishers.github import GitHub

ZIP_LIMIT = 100_000_000
"""Bytes of an archive: a plan of 100,000 changes has about 10 MB."""
PLAN_LIMIT = 400_000_000
WAY = "approve the plan as it is now, or open a new pull request"


def reviewed_plan(github: GitHub, number: int, spec: str, artifact: str) -> tuple[str, PlanDocument]:
    """The text and the document of the plan that was reviewed; raises PlanRefused when there is none."""
    comments = [one for one in ours(github, number, spec) if one.reviewed]
    if not comments:
        raise _none(f"pull request {number} has no comment with a plan")
    head = github.get(f"{github.repository}/pulls/{number}")["head"]["sha"]
    current = [one for one in comments if one.reviewed["head"] == head]
    if not current:
        seen = comments[-1].reviewed["head"][:7]
        raise _none(
            f"the plan in pull request {number} is of {seen or 'another commit'}, not of its last, {head[:7]}"
        )
    run = max((one.reviewed["run"] for one in current), key=lambda text: int(text) if text.isdigit() else 0)
    if not run.isdigit():
        raise _none(f"the comment in pull request {number} does not say which run made its plan")
    _check_run(github, run, head)
    return _plan_of(github, run, artifact, [one for one in current if one.reviewed["run"] == run])


def _none(why: str) -> PlanRefused:
    return PlanRefused(f"there is no reviewed plan to apply: {why}", WAY)


def _check_run(github: GitHub, run: str, head: str) -> None:
    """Only a run of the pull request itself can have made what was reviewed there."""
    found = github.get(f"{github.repository}/actions/runs/{run}")
    if found.get("head_sha") != head or found.get("event") != "pull_request":
        raise _none(f"run {run}, which the comment names, is not one of this pull request's last commit")


def _plan_of(github: GitHub, run: str, name: str, comments: Sequence[Comment]) -> tuple[str, PlanDocument]:
    path = f"{github.repository}/actions/runs/{run}/artifacts"
    artifacts = [one for one in github.pages(path, "artifacts", name=name) if one.get("name") == name]
    if not artifacts:
        raise _none(f"run {run} has no artifact {name}")
    kept = [one for one in artifacts if not one.get("expired")]
    if not kept:
        raise _none(f"the artifact {name} of run {run} has expired")
    for artifact in sorted(kept, key=lambda one: int(one["id"]), reverse=True):  # a run may be run again
        content = github.download(
            f"{github.repository}/actions/artifacts/{int(artifact['id'])}/zip", ZIP_LIMIT
        )
        try:
            text = _only_file(content)
            document = read_plan_document(text)
        except UsageError as error:
            raise _none(f"the artifact {name} of run {run} is not a plan: {error.message}") from error
        if all(one.reviewed["plan"] == f"sha256:{_id_of(document, one.fact('scope'))}" for one in comments):
            return text, document
    raise _none(f"the plan in the artifact {name} of run {run} is not the one that the comment shows")


def _id_of(document: PlanDocument, name: str) -> str:
    """The plan id as a comment on that replication shows it: of one alone it is that of the whole plan."""
    parts = document["replications"]
    if len(parts) == 1:
        return str(document["plan_id"]) if parts[0]["name"] == name else ""
    return next((str(part["id"]) for part in parts if part["name"] == name), "")


def _only_file(content: bytes) -> str:
    """The text of the one file in an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (entry,) = [one for one in archive.infolist() if not one.is_dir()]
            if entry.file_size > PLAN_LIMIT:
                raise UsageError("the file in the artifact is too large for a plan")
            return archive.read(entry).decode("utf-8")
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UsageError("the artifact does not hold one plan") from error
