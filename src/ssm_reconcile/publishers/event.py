"""The environment of a run -> where it happens: which repository, which pull request, which run.

What a runner sets is documented under "Variables reference" of GitHub Actions. Everything may be
missing: then there is that much less to publish to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssm_reconcile.errors import UsageError

GITHUB_COM = "https://api.github.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9-]{1,100}/[A-Za-z0-9._-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Event:
    """What a runner says of its run. `payload` is what triggered it; the token is in no repr."""

    repository: str = ""
    api_url: str = GITHUB_COM
    graphql_url: str = f"{GITHUB_COM}/graphql"
    server_url: str = "https://github.com"
    name: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sha: str = ""
    ref: str = ""
    run: str = ""
    run_label: str = ""
    summary: Path | None = None
    output: Path | None = None
    token: str = field(default="", repr=False)

    @property
    def is_pull_request(self) -> bool:
        """Whether a pull request triggered it, so that what it plans is what will be reviewed."""
        return isinstance(self.payload.get("pull_request"), dict)

    @property
    def number(self) -> int | None:
        """The pull request that the event itself names."""
        for key in ("pull_request", "issue"):
            found = self.payload.get(key)
            if isinstance(found, dict) and (key == "pull_request" or "pull_request" in found):
                number = found.get("number")
                return number if isinstance(number, int) else None
        return None

    @property
    def head(self) -> str:
        """The commit that is planned: the pull request's own, not the merge that GitHub tries out."""
        found = self.payload.get("pull_request")
        head = found.get("head") if isinstance(found, dict) else None
        sha = head.get("sha") if isinstance(head, dict) else None
        return sha if isinstance(sha, str) else self.sha

    @property
    def branch(self) -> str:
        """The branch that was pushed to, empty for anything else."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    def run_url(self, run: str) -> str:
        """The address of a run of this repository, empty where that is not known."""
        known = self.repository and run.isdigit()
        return f"{self.server_url}/{self.repository}/actions/runs/{run}" if known else ""


def event_of(environment: Mapping[str, str]) -> Event:
    """What the environment says; raises UsageError where it says something that cannot be."""
    repository, sha = environment.get("GITHUB_REPOSITORY", ""), environment.get("GITHUB_SHA", "")
    if repository and not _REPOSITORY.fullmatch(repository):
        raise UsageError("GITHUB_REPOSITORY is not of the form OWNER/NAME")
    api = _url(environment, "GITHUB_API_URL", GITHUB_COM)
    run = environment.get("GITHUB_RUN_ID", "")
    label = f"{environment.get('GITHUB_WORKFLOW', '')} #{environment.get('GITHUB_RUN_NUMBER', '')}"
    return Event(
        repository=repository,
        api_url=api,
        graphql_url=_url(environment, "GITHUB_GRAPHQL_URL", f"{api.removesuffix('/v3')}/graphql"),
        server_url=_url(environment, "GITHUB_SERVER_URL", "https://github.com"),
        name=environment.get("GITHUB_EVENT_NAME", ""),
        payload=_payload(environment.get("GITHUB_EVENT_PATH", "")),
        sha=sha if _SHA.fullmatch(sha) else "",
        ref=environment.get("GITHUB_REF", ""),
        run=run if run.isdigit() else "",
        run_label="" if label.startswith(" ") or label.endswith("#") else label,
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
    """What triggered the run; empty where there is no such file, or it is none."""
    try:
        payload = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}
