"""Specs in a repository -> its files and settings on GitHub for reviewed applies. Pure.

    workflow_text       the workflow that calls the reusable workflow of this project
    code_owners_text    CODEOWNERS with owners of the specs and of `.github/`
    missing_requests    the settings that GitHub has -> the requests that complete them
    script              these requests as commands of `gh`

Settings are completed and never reduced: an environment keeps its other reviewers, a ruleset its other rules.

Sources: REST reference, "Deployment environments", "Deployment branch policies", "Rules"; GitHub docs,
"Reusing workflows", "About code owners".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.code_owners import is_owned, read_entries
from ssm_reconcile.github.settings import APPLY, APPROVAL, PLAN
from ssm_reconcile.iam.stack import RoleNames

WORKFLOW = ".github/workflows/ssm-reconcile.yml"
RULESET = "ssm-reconcile"
_ACTIONS_APP = 15368
"""The id of the app GitHub Actions on github.com: no other app may report the required check."""
_CHECK = re.compile(r"ssm( \(.*\))? / SSM check")
"""The names of the check, for one spec and for those of a matrix."""
_SAFE = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/-]*")
"""Paths and branches that need no escape in YAML, CODEOWNERS and the filters of a workflow."""
_PLAIN = re.compile(r"[A-Za-z.][A-Za-z0-9._/-]*")
_KEYWORDS = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})
_ENTRIES = "# The spec of ssm-reconcile, and the workflows. The last line that matches a file decides."


class ToolCommit(NamedTuple):
    """The repository of this project, a commit of it, and the version of that commit."""

    repository: str
    commit: str
    version: str


@dataclass(frozen=True, slots=True)
class RepositorySetup:
    """The input of all files and settings.

    Attributes:
        repository: The repository on GitHub, as OWNER/REPO.
        branch: Its default branch.
        specs: The paths of the specs in the repository; that of a folder ends with `/`.
        tool: The commit whose workflow is called.
        region: The region of the credentials.
        account: The account of the roles.
        partition: The partition of the roles.
        roles: The names of the roles.
        code_owners: The owners of the specs and of `.github/`, each with `@`.
        reviewers: The reviewers of a plan that changed: users, and teams as ORGANIZATION/TEAM.
    """

    repository: str
    branch: str
    specs: tuple[str, ...]
    tool: ToolCommit
    region: str
    account: str
    partition: str
    roles: RoleNames
    code_owners: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()

    @property
    def checks(self) -> list[str]:
        """The names of the checks that a merge needs."""
        if len(self.specs) == 1:
            return ["ssm / SSM check"]
        return [f"ssm ({spec.rstrip('/')}) / SSM check" for spec in self.specs]


def check_words(branch: str, specs: Sequence[str]) -> None:
    """Check that a branch and paths have the same meaning in all files without an escape.

    Args:
        branch: The default branch.
        specs: The paths of the specs in the repository; that of a folder ends with `/`.

    Raises:
        UsageError: One has another character than letters, digits and `.`, `_`, `-`, `/`, or is empty.
    """
    remedy = "use only letters, digits and . _ - / in it"
    if not _SAFE.fullmatch(branch):
        raise UsageError(f"--branch {branch!r} has a character with a meaning in workflow filters", remedy)
    for spec in specs:
        if not spec:
            raise UsageError("the folder of the specs is the root of the repository", "move them to a folder")
        if not _SAFE.fullmatch(spec):
            raise UsageError(f"{spec} has a character with a meaning in CODEOWNERS or in a workflow", remedy)


# Files


def workflow_text(setup: RepositorySetup) -> str:
    """Return the text of the workflow: one call, or a matrix of calls for several specs."""
    tool, branch = setup.tool, _scalar(setup.branch)
    specs = [_scalar(spec.rstrip("/")) for spec in setup.specs]
    paths = ", ".join([*(_scalar(f"{one}**" if one.endswith("/") else one) for one in setup.specs), WORKFLOW])
    matrix = f"    strategy: {{ fail-fast: false, matrix: {{ spec: [{', '.join(specs)}] }} }}\n"
    role = f"arn:{setup.partition}:iam::{setup.account}:role"
    return f"""\
# Plans on pull requests, applies the reviewed plan on merge, detects drift.
# Written by `ssm-reconcile init --github`; inputs: https://github.com/{tool.repository}/blob/{tool.commit}/docs/github-actions.md
name: SSM
on:
  pull_request: {{ branches: [{branch}] }}
  merge_group: {{ branches: [{branch}] }}
  push: {{ branches: [{branch}], paths: [{paths}] }}
  schedule: [{{ cron: "23 4/6 * * *" }}]
  repository_dispatch: {{ types: [ssm-reconcile] }}
  workflow_dispatch:
    inputs:
      mode: {{ type: choice, options: [drift, apply], default: drift, description: What to do }}
      plan-id: {{ type: string, default: "", description: Apply only the plan with this id }}
      lift: {{ type: string, default: "", description: "With a plan id, GUARD@TARGET=DIGEST to lift" }}
permissions: {{}}
jobs:
  ssm:
{matrix if specs[1:] else ""}\
    uses: {tool.repository}/.github/workflows/replicate.yml@{tool.commit} # {tool.version}
    permissions:
      actions: read # to read which plans were reviewed, approved or refused
      checks: write # to report a plan as a check run
      contents: read # to check out the spec
      id-token: write # to assume the roles
      issues: write # to keep an issue open while there is drift
      pull-requests: write # to comment
    with:
      spec: {"${{ matrix.spec }}" if specs[1:] else specs[0]}
      plan-role: {role}/{setup.roles.plan}
      apply-role: {role}/{setup.roles.apply}
      region: {setup.region}
      account: "{setup.account}"
"""


def _scalar(text: str) -> str:
    """Return a text as YAML that is read as the same text."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _KEYWORDS else json.dumps(text)


def code_owners_text(setup: RepositorySetup, path: str, existing: str) -> str:
    """Return CODEOWNERS with lines for the specs, for `.github/` and for the file itself at its end.

    A line that is present, and that no later line overrides, is not added again.

    Args:
        setup: The specs and their owners.
        path: The path of CODEOWNERS.
        existing: Its text; empty for a new file.
    """
    probes: dict[str, tuple[str, ...]] = {
        spec: (f"{spec}new.yaml" if spec.endswith("/") else spec,) for spec in setup.specs
    }
    probes[".github/"] = (WORKFLOW, ".github/new")
    probes |= {} if path.startswith(".github/") else {path: (path,)}
    owners = " ".join(setup.code_owners)
    lines = {f"/{subject} {owners}": names for subject, names in probes.items()}
    missing = [line for line, names in lines.items() if not _decides(line, names, existing)]
    if not missing:
        return existing
    above = [existing.rstrip("\n"), ""] if existing.strip() else []
    return "\n".join([*above, _ENTRIES, *missing, ""])


def _decides(line: str, names: Sequence[str], text: str) -> bool:
    """Return whether a line of CODEOWNERS is the last one that matches each of some files."""
    others = [one if one.strip() == line else (one.split() or [""])[0] for one in text.split("\n")]
    entries = read_entries("\n".join(others), frozenset())
    return all(is_owned(entries, name) is True for name in names)


# Settings


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A change of a setting. `needs_plan` names the plan of GitHub that a private repository needs for it."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    setting: str
    needs_plan: str = ""

    @property
    def command(self) -> str:
        """The command of `gh` that sends the request."""
        return f"gh api --method {self.method} {self.path}" + ("" if self.body is None else " --input -")


@dataclass(frozen=True, slots=True)
class GitHubState:
    """The settings that GitHub has.

    Attributes:
        environments: The documents of the environments by their name in lower case.
        branches: The names of the branches that each of them admits.
        ruleset: The document of the ruleset `RULESET`; None: there is none.
        ids: The id of each reviewer; a text is a variable of a shell.
    """

    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    branches: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ruleset: Mapping[str, Any] | None = None
    ids: Mapping[str, int | str] = field(default_factory=dict)


def reviewer_path(name: str) -> str:
    """Return the path in the API of a user, or of a team as ORGANIZATION/TEAM."""
    organization, mark, team = name.partition("/")
    return f"orgs/{organization}/teams/{team}" if mark else f"users/{name}"


def missing_requests(setup: RepositorySetup, state: GitHubState) -> list[ApiRequest]:
    """Return the requests that complete the settings; none if they are complete.

    The reviewers are last: GitHub may refuse them for a private repository.
    """
    ruleset = _ruleset_request(setup, state.ruleset)
    return [
        *_environment_requests(setup, state, PLAN),
        *_environment_requests(setup, state, APPLY),
        *([] if ruleset is None else [ruleset]),
        *_environment_requests(setup, state, APPROVAL),
    ]


def _environment_requests(setup: RepositorySetup, state: GitHubState, name: str) -> Iterator[ApiRequest]:
    """Yield the requests for one environment. GitHub removes what the body of a PUT leaves out."""
    base = f"repos/{setup.repository}/environments/{name}"
    found = state.environments.get(name)
    before = {} if found is None else _environment_body(found)
    after = dict(before)
    if name != PLAN:
        after["deployment_branch_policy"] = {"protected_branches": False, "custom_branch_policies": True}
    if name == APPROVAL and setup.reviewers:
        wanted = [{"type": "Team" if "/" in one else "User", "id": state.ids[one]} for one in setup.reviewers]
        present = before.get("reviewers", [])
        after["reviewers"] = present + [one for one in wanted if one not in present]
    needs_plan = ""
    if after.get("reviewers") != before.get("reviewers"):
        needs_plan = "Enterprise"
    elif after != before:
        needs_plan = "Team"
    if found is None or after != before:
        yield ApiRequest("PUT", base, after or None, f"environment {name}", needs_plan)
    if name != PLAN and setup.branch not in state.branches.get(name, ()):
        policy = {"name": setup.branch, "type": "branch"}
        where = f"branches of environment {name}"
        yield ApiRequest("POST", f"{base}/deployment-branch-policies", policy, where, "Team")


def _environment_body(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a PUT that leaves an environment as it is."""
    body: dict[str, Any] = {}
    for rule in found.get("protection_rules") or ():
        if rule["type"] == "wait_timer":
            body["wait_timer"] = rule["wait_timer"]
        elif rule["type"] == "required_reviewers":
            body["prevent_self_review"] = bool(rule.get("prevent_self_review"))
            body["reviewers"] = [
                {"type": one["type"], "id": one["reviewer"]["id"]} for one in rule["reviewers"]
            ]
    if found.get("deployment_branch_policy"):
        body["deployment_branch_policy"] = dict(found["deployment_branch_policy"])
    return body


def _ruleset_request(setup: RepositorySetup, found: Mapping[str, Any] | None) -> ApiRequest | None:
    """Return the request that creates or completes the ruleset; None if it is complete."""
    path, setting = f"repos/{setup.repository}/rulesets", f"ruleset {RULESET}"
    kept = {"name", "target", "enforcement", "bypass_actors", "conditions", "rules"}
    before = {key: value for key, value in (found or {}).items() if key in kept}
    after = _complete_ruleset(before, setup.checks)
    if found is None:
        return ApiRequest("POST", path, after, setting, "Team")
    return None if after == before else ApiRequest("PUT", f"{path}/{found['id']}", after, setting, "Team")


def _complete_ruleset(before: Mapping[str, Any], checks: Sequence[str]) -> dict[str, Any]:
    """Return a ruleset with all that `doctor --github` looks for, and with what it has already."""
    names = dict((before.get("conditions") or {}).get("ref_name") or {"include": [], "exclude": []})
    if not {"~DEFAULT_BRANCH", "~ALL"} & set(names["include"]):
        names["include"] = [*names["include"], "~DEFAULT_BRANCH"]
    rules = {rule["type"]: dict(rule.get("parameters") or {}) for rule in before.get("rules") or ()}
    for kind in ("deletion", "non_fast_forward"):
        rules.setdefault(kind, {})
    review = rules.get("pull_request", {})
    rules["pull_request"] = {
        "required_review_thread_resolution": False,
        **review,
        "required_approving_review_count": max(1, review.get("required_approving_review_count", 1)),
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": True,
        "require_last_push_approval": True,
    }
    status = rules.get("required_status_checks", {})
    others = [one for one in status.get("required_status_checks", ()) if not _CHECK.fullmatch(one["context"])]
    rules["required_status_checks"] = {
        "strict_required_status_checks_policy": False,
        **status,
        "required_status_checks": [
            *others, *({"context": check, "integration_id": _ACTIONS_APP} for check in checks),
        ],
    }  # fmt: skip
    return {
        "name": RULESET,
        "target": "branch",
        **before,
        "enforcement": "active",
        "conditions": {**(before.get("conditions") or {}), "ref_name": names},
        "rules": [{"type": kind} | ({"parameters": some} if some else {}) for kind, some in rules.items()],
    }


def script(setup: RepositorySetup) -> str:
    """Return the commands of `gh` for a repository without any of the settings, as text for a shell."""
    variables = {name: f"REVIEWER_{number}" for number, name in enumerate(setup.reviewers, 1)}
    lines = [f'{word}="$(gh api {reviewer_path(name)} --jq .id)"' for name, word in variables.items()]
    state = GitHubState(ids={name: f"${word}" for name, word in variables.items()})
    for request in missing_requests(setup, state):
        lines.append(request.command + ("" if request.body is None else " <<JSON"))
        if request.body is not None:
            lines += [re.sub(r'"(\$REVIEWER_\d+)"', r"\1", json.dumps(request.body)), "JSON"]
    return "\n".join(lines) + "\n"
