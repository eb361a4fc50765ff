"""Artifacts of runs -> typed facts; the archive of an artifact -> the texts in it, within limits.

No decision is made here. Source: REST reference, "GitHub Actions artifacts".
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.facts import moment

ZIP_LIMIT = 100_000_000
"""Maximum bytes of an archive: a plan of 100,000 changes has about 10 MB."""
FILE_LIMIT = 400_000_000
"""Maximum bytes of a file in it."""
MOST_FILES = 50
"""Maximum files: a plan, its publication, and a comment for each replication."""
PLAN_FILE, PUBLICATION_FILE = "plan.json", "publication.json"
RUN_PLAN_AGAIN = (
    "run the plan again before a merge, in a workflow that stores the output `plan-folder`; after a merge,"
    " approve the plan as it is now, or open a new pull request"
)
_COMMENT_FILE = re.compile(r"comment(\.[^/\\]+)?\.md")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """An artifact of a run. `head_branch` is the branch of the run; `of_fork`: of another repository."""

    id: int
    name: str
    run: int
    expired: bool
    created_at: datetime | None
    head_branch: str
    of_fork: bool


def _artifact_of(found: Mapping[str, Any]) -> ArtifactFacts:
    run = found.get("workflow_run") or {}
    return ArtifactFacts(
        id=int(found["id"]),
        name=str(found.get("name") or ""),
        run=int(run.get("id") or 0),
        expired=bool(found.get("expired")),
        created_at=moment(found.get("created_at")),
        head_branch=str(run.get("head_branch") or ""),
        of_fork=run.get("repository_id") != run.get("head_repository_id"),
    )


def read_artifacts(github: GitHub, run_id: int) -> tuple[ArtifactFacts, ...]:
    """Return the artifacts of a run, newest first. Raises GitHubError."""
    path = f"{github.repository}/actions/runs/{run_id}/artifacts"
    return tuple(
        sorted(map(_artifact_of, github.pages(path, "artifacts")), key=lambda one: one.id, reverse=True)
    )


def read_artifacts_named(github: GitHub, name: str) -> tuple[ArtifactFacts, ...]:
    """Return the artifacts with this name of all runs of the repository. Raises GitHubError."""
    path = f"{github.repository}/actions/artifacts"
    found = map(_artifact_of, github.pages(path, "artifacts", name=name))
    return tuple(one for one in found if one.name == name)


def read_file(github: GitHub, artifact: int, name: str) -> str:
    """Return the text of one file of an artifact.

    Args:
        github: The API.
        artifact: The id of the artifact.
        name: The name of the file.

    Raises:
        UsageError: The archive is damaged or too large, or has no such file.
        GitHubError: GitHub did not answer.
    """
    texts = _download(github, artifact)
    if name not in texts:
        raise UsageError(f"it has no {name}")
    return texts[name]


def _download(github: GitHub, artifact: int) -> dict[str, str]:
    return read_archive(github.download(f"{github.repository}/actions/artifacts/{artifact}/zip", ZIP_LIMIT))


@dataclass(frozen=True, slots=True)
class PostedComment:
    """A comment as the plan run posted it.

    Attributes:
        first_posted: The time at which its plan id was first shown.
        updated: The time of the last change of the comment that the run knows.
        body: The text.
    """

    scope: str
    comment: int
    plan: str
    first_posted: datetime
    updated: datetime
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
    texts = _download(github, artifact)
    if PUBLICATION_FILE not in texts:
        raise UsageError(f"it has no {PUBLICATION_FILE}, which older versions did not store", RUN_PLAN_AGAIN)
    if PLAN_FILE not in texts:
        raise UsageError(f"it has no {PLAN_FILE}")
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
        updated=moment(found.get("updated")) or first_posted,  # older versions did not store it
        body=texts.pop(file),
    )


def _typed(document: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    found = document[key]
    if not isinstance(found, kind):
        raise TypeError
    return found


def read_archive(content: bytes) -> dict[str, str]:
    """Return the text of each file by its name.

    Args:
        content: The archive, as GitHub serves it: a ZIP file.

    Raises:
        UsageError: It is not a ZIP file of a few texts on one level.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_FILES:
                raise UsageError("the artifact has too many files")
            if sum(entry.file_size for entry in entries) > FILE_LIMIT:
                raise UsageError("the files in the artifact are too large")
            if any("/" in entry.filename for entry in entries):
                raise UsageError("the artifact has directories")
            return {entry.filename: archive.read(entry).decode("utf-8") for entry in entries}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise UsageError("the artifact does not hold one plan, or a few texts") from error
