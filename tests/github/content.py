"""Content of the simulated GitHub: one repository, its settings, and the actions of people on it.

    hub.say(7, "text", "alice")               a comment; `edit` changes it as a person does, on the website
    hub.review(7, "bob"), hub.dismiss(...)    reviews of a pull request
    hub.environments["ssm-apply"]             environments with their protection rules
    hub.runs["101"], hub.keep(...)            runs and their artifacts; a test may alter their documents
    hub.restrict(token, permissions)          the permissions of the token of one job

Documents have the keys of the REST reference (version 2022-11-28) that the product can need.
"""

from __future__ import annotations

import io
import re
import threading
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

REPOSITORY = "acme/params"
BOT = "github-actions[bot]"
LONGEST = 65_536
REPOSITORY_IDS = {REPOSITORY: 5678, "mallory/params": 6666}


def stamp(ago: float = 0) -> str:
    """Return the time `ago` seconds before now, in whole seconds as in the API."""
    return (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def account_id(login: str) -> int:
    """Return the id of an account or a team."""
    return zlib.crc32(login.encode())


def user(login: str) -> dict[str, Any]:
    """Return the document of an account."""
    kind = "Bot" if login.endswith("[bot]") else "User"
    return {"login": login, "id": account_id(login), "type": kind}


def repository(name: str = REPOSITORY) -> dict[str, Any]:
    """Return the document of a repository."""
    return {
        "id": REPOSITORY_IDS.get(name, 9999), "full_name": name, "default_branch": "main", "private": True,
        "fork": name != REPOSITORY,
    }  # fmt: skip


@dataclass(slots=True)
class Comment:
    """A comment. `edits` counts the edits through the API; `editor` is the last editor of any kind."""

    id: int
    number: int
    author: str
    body: str
    minimized: str = ""
    edits: int = 0
    created: str = field(default_factory=stamp)
    updated: str = field(default_factory=stamp)
    editor: str = ""

    @property
    def node(self) -> str:
        return f"IC_{self.id}"

    @property
    def document(self) -> dict[str, Any]:
        return {
            "id": self.id, "node_id": self.node, "body": self.body, "user": user(self.author),
            "created_at": self.created, "updated_at": self.updated,
        }  # fmt: skip


@dataclass(slots=True)
class Issue:
    """`is_pull`: the list of issues contains pull requests, too."""

    number: int
    author: str
    title: str
    body: str
    state: str = "open"
    reason: str = ""
    edits: int = 0
    is_pull: bool = False

    @property
    def node(self) -> str:
        return f"I_{self.number}"

    @property
    def document(self) -> dict[str, Any]:
        return {
            "number": self.number, "node_id": self.node, "title": self.title, "body": self.body,
            "state": self.state, "user": user(self.author), "locked": False,
            **({"pull_request": {}} if self.is_pull else {}),
        }  # fmt: skip


@dataclass(slots=True)
class Review:
    """A review of a pull request, of one commit."""

    id: int
    number: int
    author: str
    state: str
    commit: str
    submitted: str

    @property
    def document(self) -> dict[str, Any]:
        return {
            "id": self.id, "user": user(self.author), "state": self.state, "commit_id": self.commit,
            "submitted_at": self.submitted, "author_association": "COLLABORATOR", "body": "",
        }  # fmt: skip


@dataclass(slots=True)
class Environment:
    """An environment with its protection rules; `branches` is None without a rule on branches.

    `branches` has `tag NAME` for a tag. `protected_branches`: the rule admits protected branches instead.
    A reviewer with a `/` is a team.
    """

    name: str
    id: int
    reviewers: list[str] = field(default_factory=list)
    branches: list[str] | None = None
    prevent_self_review: bool = False
    can_admins_bypass: bool = True
    protected_branches: bool = False
    wait_timer: int = 0

    @property
    def document(self) -> dict[str, Any]:
        rules: list[dict[str, Any]] = []
        if self.wait_timer:
            rules.append({"id": 3, "type": "wait_timer", "wait_timer": self.wait_timer})
        if self.reviewers:
            reviewers = [
                {"type": "Team" if "/" in login else "User", "reviewer": user(login)}
                for login in self.reviewers
            ]
            rules.append({
                "id": 1, "type": "required_reviewers", "prevent_self_review": self.prevent_self_review,
                "reviewers": reviewers,
            })  # fmt: skip
        custom = None
        if self.branches is not None:
            rules.append({"id": 2, "type": "branch_policy"})
            custom = {
                "protected_branches": self.protected_branches,
                "custom_branch_policies": not self.protected_branches,
            }
        return {
            "id": self.id, "name": self.name, "protection_rules": rules, "deployment_branch_policy": custom,
            "can_admins_bypass": self.can_admins_bypass,
        }  # fmt: skip


@dataclass(slots=True)
class Artifact:
    id: int
    name: str
    run: str
    content: bytes
    expired: bool = False
    created: str = field(default_factory=stamp)


@dataclass(slots=True)
class Fault:
    method: str
    path: str
    status: int
    times: int
    headers: dict[str, str]
    body: bytes
    done: bool


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    host: str
    token: str
    body: Any


@dataclass(slots=True)
class Hub:
    """The content of GitHub.

    `tokens` has the account of each token, `permissions` the permissions of a token that is restricted.
    `denied` has operations that are refused for every token. `roles` has the permission of each person on
    the repository; a person without an entry may write. `variables` has those of `repository`, `organization`
    and each environment; `protection` is the classic protection of the default branch. `branch_rules` are
    rules of the organization, `rulesets` those of the repository. `accounts` may review a deployment: people,
    and teams with a `/`. `plan` (free, team, enterprise) limits a private repository.
    """

    url: str = ""
    tokens: dict[str, str] = field(default_factory=lambda: {"ghs-of-the-run": BOT})
    permissions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    roles: dict[str, str] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    pull_files: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    timelines: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    reviews: list[Review] = field(default_factory=list)
    merged_by: dict[str, list[int]] = field(default_factory=dict)
    branches: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    branch_rules: list[dict[str, Any]] = field(default_factory=list)
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    accounts: set[str] = field(default_factory=lambda: {"alice", "bob", "acme/ops"})
    plan: str = "enterprise"
    protection: dict[str, Any] | None = None
    codeowners_errors: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    visibility: str = "private"
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    approvals: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    check_runs: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    longest: int = LONGEST
    lock: threading.RLock = field(default_factory=threading.RLock)
    _ids: int = 3_000_000_000  # beyond 32 bits, as comments are today

    @property
    def api_url(self) -> str:
        return self.url

    @property
    def graphql_url(self) -> str:
        return f"{self.url}/graphql"

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    # Comments, issues and reviews

    def say(self, number: int, body: str, author: str = BOT) -> Comment:
        comment = Comment(self.next_id(), number, author, body)
        self.comments.append(comment)
        return comment

    def edit(self, comment: Comment, body: str, by: str) -> None:
        """Edit a comment on the website: its author stays, also in `viewerDidAuthor`."""
        comment.body, comment.editor, comment.updated = body, by, stamp()

    def open(self, title: str, body: str, author: str = BOT, *, is_pull: bool = False) -> Issue:
        issue = Issue(1000 + len(self.issues), author, title, body, is_pull=is_pull)
        self.issues.append(issue)
        return issue

    def open_pull(
        self, number: int, branch: str, sha: str, *, base_sha: str, author: str = "alice",
        head_repository: str = REPOSITORY, files: int = 0,
    ) -> dict[str, Any]:  # fmt: skip
        """Open a pull request to main, or move it to another commit."""
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "user": user(author),
            "head": {"sha": sha, "ref": branch, "repo": repository(head_repository)},
            "base": {"ref": "main", "sha": base_sha, "repo": repository()},
            "created_at": self.pulls.get(number, {}).get("created_at", stamp()),
            "closed_at": None,
            "merged_at": None,
            "changed_files": files,
            "locked": False,
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}",
        }
        return self.pulls[number]

    def review(
        self, number: int, by: str, state: str = "APPROVED", *, commit: str = "", ago: float = 0
    ) -> Review:
        """Submit a review, of the head of the pull request unless another commit is given."""
        head = commit or self.pulls[number]["head"]["sha"]
        review = Review(self.next_id(), number, by, state, head, stamp(ago))
        self.reviews.append(review)
        return review

    def retarget(self, number: int, base: str, *, ago: float = 0) -> None:
        """Change the base branch of a pull request."""
        self.pulls[number]["base"] = {**self.pulls[number]["base"], "ref": base}
        event = {"event": "base_ref_changed", "actor": user("mallory"), "created_at": stamp(ago)}
        self.timelines.setdefault(number, []).append(event)

    def dismiss(self, review: Review) -> None:
        review.state = "DISMISSED"

    # Runs, environments and artifacts

    def environment(self, name: str) -> Environment:
        """Return an environment; a reference creates it, without any rule."""
        found = self.find_environment(name)
        if found is None:
            found = self.environments[name] = Environment(name, self.next_id())
        return found

    def find_environment(self, name: str) -> Environment | None:
        """Return an environment, whose name has no case; None if there is none."""
        return next((one for key, one in self.environments.items() if key.lower() == name.lower()), None)

    def add_run(
        self, run: str, path: str, event: str, head_sha: str, *, branch: str = "main", actor: str = "alice",
        head_repository: str = REPOSITORY,
    ) -> dict[str, Any]:  # fmt: skip
        """Add the document of a run in its first attempt."""
        self.runs[run] = {
            "id": int(run), "name": path, "path": path, "event": event, "head_sha": head_sha,
            "head_branch": branch, "repository": repository(), "head_repository": repository(head_repository),
            "run_number": int(run), "run_attempt": 1, "status": "queued", "conclusion": None,
            "actor": user(actor), "triggering_actor": user(actor), "created_at": stamp(),
            "run_started_at": stamp(), "html_url": f"https://github.com/{REPOSITORY}/actions/runs/{run}",
        }  # fmt: skip
        return self.runs[run]

    def judge(self, run: str, environment: str, by: str, state: str) -> None:
        """Approve or reject a deployment. The entry has neither a time nor the attempt of the run."""
        entry = {"id": self.environment(environment).id, "name": environment}
        self.approvals.setdefault(run, []).append(
            {"environments": [entry], "state": state, "user": user(by), "comment": ""}
        )

    def keep(self, run: str, name: str, files: dict[str, bytes]) -> Artifact:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        artifact = Artifact(self.next_id(), name, run, stream.getvalue())
        self.artifacts.append(artifact)
        return artifact

    def artifact_document(self, artifact: Artifact) -> dict[str, Any]:
        run = self.runs.get(artifact.run, {})
        return {
            "id": artifact.id, "name": artifact.name, "expired": artifact.expired,
            "size_in_bytes": len(artifact.content), "created_at": artifact.created,
            "workflow_run": {
                "id": int(artifact.run), "repository_id": REPOSITORY_IDS[REPOSITORY],
                "head_repository_id": (run.get("head_repository") or {}).get("id"),
                "head_branch": run.get("head_branch"), "head_sha": run.get("head_sha"),
            },
        }  # fmt: skip

    def backdate(self, run: str, *, days: float) -> None:
        """Move a run and its artifacts into the past."""
        then = stamp(days * 86_400)
        self.runs[run] |= {"created_at": then, "run_started_at": then}
        for artifact in self.artifacts:
            if artifact.run == run:
                artifact.created = then

    # Tokens and faults

    def restrict(self, token: str, permissions: Mapping[str, str], account: str = BOT) -> None:
        """Add a token with these permissions, as the `permissions` of a job name them."""
        self.tokens[token] = account
        self.permissions[token] = permissions

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        *,
        times: int = 1,
        headers: dict[str, str] | None = None,
        body: bytes = b"{}",
        done: bool = False,
    ) -> None:
        """The next requests of that kind fail; `done`: after they were done."""
        self.faults.append(Fault(method, path, status, times, headers or {}, body, done))

    def limit_graphql(self, *, times: int = 1, secondary: bool = False) -> None:
        """The next GraphQL requests exceed a rate limit, which GitHub answers with status 200."""
        if secondary:
            headers, text = {"Retry-After": "1"}, "You have exceeded a secondary rate limit"
        else:
            headers, text = (
                {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"},
                "API rate limit exceeded",
            )
        body = f'{{"errors": [{{"type": "RATE_LIMITED", "message": "{text}"}}]}}'
        self.fail("POST", "/graphql$", 200, times=times, headers=headers, body=body.encode())

    # Views for tests

    def shown(self, number: int) -> list[Comment]:
        return [c for c in self.comments if c.number == number and not c.minimized]

    def asked(self, method: str, path: str) -> list[Request]:
        return [r for r in self.requests if r.method == method and re.search(path, r.path)]
