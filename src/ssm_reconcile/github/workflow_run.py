"""Environment of a GitHub Actions runner -> `WorkflowRun`.

A variable may be missing; then there is less to read and to publish. Source: GitHub docs, "Variables
reference".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssm_reconcile.errors import UsageError

GITHUB_COM = "https://github.com"
GITHUB_COM_API = "https://api.github.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40,64}")
_SUFFIX = re.compile(r"(-[A-Za-z0-9._-]{1,80})?")
_SLUG_LENGTH = 40
_QUEUE = re.compile(r"refs/heads/gh-readonly-queue/.+/pr-([0-9]{1,9})-[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """A run of a workflow. `payload` is the webhook event that started it; no repr shows the token.

    Attributes:
        workflow_ref: `OWNER/REPO/PATH@REF` of the workflow file that was started: that of the caller, if a
            reusable workflow has the job. Empty on a runner that does not report it.
        artifact_suffix: The end of the names of the artifacts of this spec. None if the workflow has one spec
            and its own names; then the conclusion of a run is the result of its apply.
    """

    repository: str = ""
    api_url: str = GITHUB_COM_API
    graphql_url: str = f"{GITHUB_COM_API}/graphql"
    server_url: str = GITHUB_COM
    event_name: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sha: str = ""
    ref: str = ""
    run_id: str = ""
    attempt: int = 1
    actor: str = ""
    triggering_actor: str = ""
    label: str = ""
    workflow_ref: str = ""
    artifact_suffix: str | None = None
    summary: Path | None = None
    output: Path | None = None
    token: str = field(default="", repr=False)

    @property
    def is_pull_request(self) -> bool:
        """Whether a pull request started the run, so that people review the plan of the run."""
        return isinstance(self.payload.get("pull_request"), dict)

    @property
    def number(self) -> int | None:
        """The pull request that the webhook event names."""
        for key in ("pull_request", "issue"):
            found = self.payload.get(key)
            if isinstance(found, dict) and (key == "pull_request" or "pull_request" in found):
                number = found.get("number")
                return number if isinstance(number, int) else None
        return None

    @property
    def head(self) -> str:
        """The commit of the plan: the head of the pull request, not the test merge in GITHUB_SHA."""
        found = self.payload.get("pull_request")
        head = found.get("head") if isinstance(found, dict) else None
        sha = head.get("sha") if isinstance(head, dict) else None
        return sha if isinstance(sha, str) else self.sha

    @property
    def pull_request_base(self) -> str:
        """The commit that the pull request is compared with; empty if unknown."""
        found = self.payload.get("pull_request")
        base = found.get("base") if isinstance(found, dict) else None
        sha = base.get("sha") if isinstance(base, dict) else None
        return sha if isinstance(sha, str) else ""

    def artifact(self, name: str) -> str:
        """Return the name of an artifact of this spec."""
        return name + (self.artifact_suffix or "")

    @property
    def branch(self) -> str:
        """The branch of a push; empty for a tag."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    @property
    def workflow_path(self) -> str:
        """The workflow file that was started, relative to the root of its repository; empty if unknown."""
        return "/".join(self.workflow_ref.partition("@")[0].split("/")[2:])

    @property
    def base_sha(self) -> str:
        """The commit before a push or a merge group; empty for a new branch, and for other events."""
        group = self.payload.get("merge_group")
        sha = group.get("base_sha") if isinstance(group, dict) else self.payload.get("before")
        return sha if isinstance(sha, str) and _SHA.fullmatch(sha) and set(sha) != {"0"} else ""

    @property
    def target_branch(self) -> str:
        """The branch that pull requests of this run are merged into; empty if unknown."""
        group = self.payload.get("merge_group")
        ref = group.get("base_ref") if isinstance(group, dict) else self.ref
        prefix = "refs/heads/"
        return ref.removeprefix(prefix) if isinstance(ref, str) and ref.startswith(prefix) else ""

    @property
    def queued_number(self) -> int | None:
        """The pull request that the branch of a merge group is named after: the last one of the group.

        The name is `gh-readonly-queue/BASE/pr-NUMBER-COMMIT`. The REST reference does not document its form.
        """
        group = self.payload.get("merge_group")
        ref = group.get("head_ref") if isinstance(group, dict) else None
        found = _QUEUE.fullmatch(ref) if isinstance(ref, str) else None
        return int(found[1]) if found else None

    @property
    def url(self) -> str:
        """The address of the run; empty if unknown."""
        known = self.repository and self.run_id
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}" if known else ""


def read_workflow_run(environment: Mapping[str, str]) -> WorkflowRun:
    """Return the workflow run of an environment.

    Raises:
        UsageError: The repository, an address or the suffix of artifacts is invalid.
    """
    repository, sha = environment.get("GITHUB_REPOSITORY", ""), environment.get("GITHUB_SHA", "")
    if repository and not _REPOSITORY.fullmatch(repository):
        raise UsageError("GITHUB_REPOSITORY is not of the form OWNER/NAME")
    suffix = environment.get("SSM_RECONCILE_ARTIFACT_SUFFIX")
    if suffix is not None and not _SUFFIX.fullmatch(suffix):
        raise UsageError("SSM_RECONCILE_ARTIFACT_SUFFIX is not an output of `github suffix`")
    api = _url(environment, "GITHUB_API_URL", GITHUB_COM_API)
    run_id, attempt = environment.get("GITHUB_RUN_ID", ""), environment.get("GITHUB_RUN_ATTEMPT", "")
    workflow, number = environment.get("GITHUB_WORKFLOW", ""), environment.get("GITHUB_RUN_NUMBER", "")
    return WorkflowRun(
        repository=repository,
        api_url=api,
        graphql_url=_url(environment, "GITHUB_GRAPHQL_URL", f"{api.removesuffix('/v3')}/graphql"),
        server_url=_url(environment, "GITHUB_SERVER_URL", GITHUB_COM),
        event_name=environment.get("GITHUB_EVENT_NAME", ""),
        payload=_payload(environment.get("GITHUB_EVENT_PATH", "")),
        sha=sha if _SHA.fullmatch(sha) else "",
        ref=environment.get("GITHUB_REF", ""),
        run_id=run_id if run_id.isdigit() else "",
        attempt=int(attempt) if attempt.isdecimal() else 1,
        actor=environment.get("GITHUB_ACTOR", ""),
        triggering_actor=environment.get("GITHUB_TRIGGERING_ACTOR", ""),
        label=f"{workflow} #{number}" if workflow and number else "",
        workflow_ref=environment.get("GITHUB_WORKFLOW_REF", ""),
        artifact_suffix=suffix,
        summary=_path(environment, "GITHUB_STEP_SUMMARY"),
        output=_path(environment, "GITHUB_OUTPUT"),
        token=environment.get("GITHUB_TOKEN", ""),
    )


def _url(environment: Mapping[str, str], name: str, default: str) -> str:
    url = (environment.get(name) or default).rstrip("/")
    if not re.match(r"https?://[^\s/@]+(/[^\s@]*)?$", url):
        raise UsageError(f"{name} is not a web address")
    return url


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "")
    return Path(text) if text else None


def _payload(path: str) -> Mapping[str, Any]:
    """Return the webhook event; empty if the file is missing or invalid."""
    try:
        payload = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def workspace(environment: Mapping[str, str]) -> Path | None:
    """Return the root of the repository; None outside of GitHub Actions."""
    return _path(environment, "GITHUB_WORKSPACE")


def repository_paths(specs: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the paths of spec files relative to the root of the repository.

    Args:
        specs: The paths as they were given.
        environment: The variables of the runner; without GITHUB_WORKSPACE the current directory is the root.

    Raises:
        UsageError: A file is not in the repository.
    """
    root = (workspace(environment) or Path.cwd()).resolve()
    try:
        return [Path(spec).resolve().relative_to(root).as_posix() for spec in specs]
    except ValueError:
        raise UsageError("the spec is not in the repository of this run") from None


def paths_below(paths: Iterable[str], specs: Iterable[str]) -> list[str]:
    """Return the paths that are one of some files and directories, or below one of them, sorted."""
    known = tuple(specs)
    return sorted(
        path for path in paths if any(spec in {path, "."} or path.startswith(f"{spec}/") for spec in known)
    )


def artifact_suffix(specs: Sequence[str]) -> str:
    """Return the end of the names of the artifacts of a spec.

    GitHub allows no slash in the name of an artifact. The digest tells `a/b` from `a-b`.
    """
    text = "\n".join(specs)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:_SLUG_LENGTH].strip("-.")
    return f"-{slug or 'spec'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
