"""Specs in a repository -> its files and settings on GitHub for reviewed applies. Pure.

    workflow_text       the workflow that calls the reusable workflow of this project
    code_owners_text    CODEOWNERS with owners of the specs and of `.github/`
    missing_requests    the settings that GitHub has -> the requests that complete them
    excess_requests     the settings that GitHub has -> the requests that remove what admits too much
    script              these requests as commands of `gh`

Missing requests never reduce the settings that were read: an environment keeps its other reviewers, a ruleset
its other rules. Settings that admit too much are left to a person. A script knows no settings: it is for a
repository without the environments and the ruleset.

Sources: REST reference, "Deployment environments", "Deployment branch policies", "Rules"; GitHub docs,
"Reusing workflows", "About code owners".
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.code_owners import is_owned, read_entries
from ssm_reconcile.github.settings import APPLY, APPROVAL, PLAN
from ssm_reconcile.github.workflow_calls import PLACEHOLDER
from ssm_reconcile.iam.stack import RoleNames
from ssm_reconcile.init import ruleset

WORKFLOW = ".github/workflows/ssm-reconcile.yml"
_SAFE = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/-]*")
"""Paths and branches that need no escape in YAML, CODEOWNERS and the filters of a workflow."""
_TOOL_FOLDER = ".ssm-reconcile"
"""The folder of the tool in the jobs of the reusable workflow."""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_KEYWORDS = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})
_ENTRIES = "# The spec of ssm-reconcile, and the workflows. The last line that matches a file decides."

_SCRIPT_USE = (
    "# For a repository without these environments and this ruleset; for one that has them use --apply."
)


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
        kept_checks: The checks of the workflow that stays as it is; empty if it is written.
        other_checks: The checks of the other workflows of the repository, on pull requests to `branch`.
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
    kept_checks: tuple[str, ...] = ()
    other_checks: tuple[str, ...] = ()

    @property
    def checks(self) -> list[str]:
        """The names of the checks that a merge needs."""
        return list(dict.fromkeys((*(self.kept_checks or self.written_checks), *self.other_checks)))

    @property
    def written_checks(self) -> tuple[str, ...]:
        """The names of the checks of the workflow that is written."""
        if len(self.specs) == 1:
            return ("ssm / SSM check",)
        return tuple(f"ssm ({spec.rstrip('/')}) / SSM check" for spec in self.specs)


def check_words(branch: str, specs: Sequence[str]) -> None:
    """Check that a branch and paths have the same meaning in all files without an escape.

    Args:
        branch: The default branch.
        specs: The paths of the specs in the repository; that of a folder ends with `/`.

    Raises:
        UsageError: One has another character than letters, digits and `.`, `_`, `-`, `/`, or is empty, or
            two specs would be applied by each other's merges.
    """
    remedy = "use only letters, digits and . _ - / in it"
    if not _SAFE.fullmatch(branch):
        raise UsageError(f"--branch {branch!r} has a character with a meaning in workflow filters", remedy)
    for spec in specs:
        if not spec:
            raise UsageError("the folder of the specs is the root of the repository", "move them to a folder")
        if not _SAFE.fullmatch(spec):
            raise UsageError(f"{spec} has a character with a meaning in CODEOWNERS or in a workflow", remedy)
        if spec.split("/")[0] == _TOOL_FOLDER:
            message = f"{spec}: the workflow checks out ssm-reconcile into {_TOOL_FOLDER}"
            raise UsageError(message, "move the spec to another folder")
    _check_distinct(specs)


def _check_distinct(specs: Sequence[str]) -> None:
    """Check that no spec contains another one, and that the queues of their applies have different names."""
    names = list(dict.fromkeys(spec.rstrip("/") for spec in specs))
    for number, name in enumerate(names):
        for other in names[:number]:
            outer, inner = sorted((name, other), key=len)
            if inner.startswith(f"{outer}/"):
                message = f"{outer} contains {inner}: each of its merges would be applied twice"
                raise UsageError(message, "name only one of them")
            if outer.lower() == inner.lower():
                message = f"{other} and {name} differ in case only: GitHub gives both the same queue"
                raise UsageError(message, "rename one of them")


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
    missing = _missing_owners(setup, path, existing)
    if not missing:
        return existing
    end = "\r\n" if "\r\n" in existing else "\n"
    above = [existing.rstrip("\r\n"), ""] if existing.strip() else []
    return end.join([*above, _ENTRIES, *missing, ""])


def overridden_owners(setup: RepositorySetup, path: str, existing: str) -> list[str]:
    """Return the lines whose owners decide now, and no longer do for the files of the lines that are added.

    Args:
        setup: The specs and their owners.
        path: The path of CODEOWNERS.
        existing: Its text.
    """
    missing = _missing_owners(setup, path, existing)
    found = []
    for names in missing.values():
        for name in names:
            last = None
            for line in map(str.strip, existing.split("\n")):
                for pattern, has_owner in read_entries(line, frozenset()):
                    if pattern is not None and pattern.fullmatch(name):
                        last = line if has_owner else None
            found += [] if last is None or last in missing else [last]
    return list(dict.fromkeys(found))


def _missing_owners(setup: RepositorySetup, path: str, existing: str) -> dict[str, tuple[str, ...]]:
    """Return the lines that CODEOWNERS lacks, each with files that it is for."""
    probes: dict[str, tuple[str, ...]] = {
        spec: (f"{spec}new.yaml" if spec.endswith("/") else spec,) for spec in setup.specs
    }
    probes[".github/"] = (WORKFLOW, ".github/new")
    probes |= {} if path.startswith(".github/") else {path: (path,)}
    owners = " ".join(setup.code_owners)
    lines = {f"/{subject} {owners}": names for subject, names in probes.items()}
    return {line: names for line, names in lines.items() if not _decides(line, names, existing)}


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

    @property
    def line(self) -> str:
        """The command with its body, as one line for bash."""
        return self.command + ("" if self.body is None else f" <<< {shlex.quote(json.dumps(self.body))}")


@dataclass(frozen=True, slots=True)
class GitHubState:
    """The settings that GitHub has.

    Attributes:
        environments: The documents of the environments by their name.
        branches: The documents of the branches and tags that each of them admits.
        ruleset: The document of the ruleset `ruleset.NAME`; None: there is none.
        ids: The id of each reviewer; a text is a variable of a shell.
    """

    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    branches: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
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
    rules = _ruleset_request(setup, state.ruleset)
    return [
        *_environment_requests(setup, state, PLAN),
        *_environment_requests(setup, state, APPLY),
        *([] if rules is None else [rules]),
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
    if name != PLAN and not any(_is_branch(one, setup.branch) for one in state.branches.get(name, ())):
        policy = {"name": setup.branch, "type": "branch"}
        where = f"branches of environment {name}"
        yield ApiRequest("POST", f"{base}/deployment-branch-policies", policy, where, "Team")


def _is_branch(policy: Mapping[str, Any], branch: str) -> bool:
    """Return whether a policy of an environment admits that branch and no other; a tag may have its name."""
    return bool(policy["name"] == branch and policy.get("type", "branch") == "branch")


def excess_requests(setup: RepositorySetup, state: GitHubState) -> dict[str, ApiRequest]:
    """Return the requests that remove what admits too much, by a sentence that says what.

    They reduce settings that a person made, so the command only shows them.
    """
    base, found = f"repos/{setup.repository}", {}
    for name in (APPLY, APPROVAL):
        where = f"environment {name}"
        for one in state.branches.get(name, ()):
            if not _is_branch(one, setup.branch):
                path = f"{base}/environments/{name}/deployment-branch-policies/{one['id']}"
                kind = one.get("type", "branch")
                found[f"{where} also admits the {kind} {one['name']}"] = ApiRequest(
                    "DELETE", path, None, where
                )
    plans = _environment_body(state.environments.get(PLAN, {}))
    if plans.get("reviewers") or plans.get("deployment_branch_policy"):
        where = f"environment {PLAN}"
        body = {key: value for key, value in plans.items() if key in {"wait_timer", "can_admins_bypass"}}
        body |= {"reviewers": None, "deployment_branch_policy": None}
        sentence = f"{where} has reviewers or does not admit every branch, so plans wait or fail"
        found[sentence] = ApiRequest("PUT", f"{base}/environments/{PLAN}", body, where)
    if state.ruleset is not None:
        excess = ruleset.find_excess(state.ruleset, setup.branch, setup.checks)
        if excess is not None:
            where, path = f"ruleset {ruleset.NAME}", f"{base}/rulesets/{state.ruleset['id']}"
            found[f"{where} {excess.phrase}"] = ApiRequest("PUT", path, excess.body, where)
    return found


def has_reviewers(setup: RepositorySetup, state: GitHubState) -> bool:
    """Return whether a person can approve a plan that changed: one that is named or that GitHub has."""
    return bool(setup.reviewers or _environment_body(state.environments.get(APPROVAL, {})).get("reviewers"))


def excess_notes(setup: RepositorySetup, state: GitHubState) -> list[str]:
    """Return the settings that admit too much, each with the command that changes it."""
    excess = excess_requests(setup, state).items()
    return [f"{sentence}. To change that:\n  {request.line}" for sentence, request in excess]


def setup_notes(setup: RepositorySetup, state: GitHubState, *, has_owners: bool) -> list[str]:
    """Return what the files and settings lack, and whom they stop.

    Args:
        setup: The files and settings.
        state: The settings that GitHub has.
        has_owners: Whether CODEOWNERS exists.
    """
    notes, branch = [], setup.branch
    if setup.tool.repository.startswith(f"{PLACEHOLDER}/"):
        notes.append(f"replace {PLACEHOLDER} in the workflow with the owner of ssm-reconcile on GitHub.")
    if not setup.code_owners and not has_owners:
        notes.append("CODEOWNERS does not exist: give --code-owner for the owners of the spec and .github/.")
    if not has_reviewers(setup, state):
        without = "without --reviewer, no one can approve in ssm-apply-changed"
        notes.append(f"{without}: a merge whose plan changed is refused.")
    notes.append(
        f"with the ruleset, a second person must approve the last push of each pull request to {branch}, also"
        " of one with these files. Other pull requests wait for the check until the workflow is on"
        f" {branch} and their branch is updated."
    )
    return notes


def next_steps(
    setup: RepositorySetup,
    again: CommandLine,
    words: Sequence[str],
    ids: str | None,
    *,
    files: Sequence[str],
    is_new: bool,
) -> str:
    """Return what is left, in its order: before the settings are made, or after.

    Args:
        setup: The files and settings.
        again: The specs.
        words: The options that make the settings.
        ids: The ids of the repository if the settings are made, else None.
        files: The paths of the files to push, from the current directory.
        is_new: Whether this run wrote the workflow.
    """
    stack, branch, region = setup.roles.stack, setup.branch, setup.region
    pull = (
        f"Then open a pull request to {branch} with the spec, and without a change of .github/: its plan is"
        " applied on merge."
    )
    if ids is None:
        return f"Next:\n{again.github_steps(setup.repository, stack, region, files, words, branch)}\n{pull}"
    commands = again.role_steps(setup.repository, stack, region, ids)
    roles, check = f"Next, unless the stack has these roles:\n{commands}", f"Then:\n  {again.doctor_github()}"
    if not is_new:
        return f"{roles}\n{check}\n{pull}"
    return (
        f"{roles}\nCommit the files on a branch, open a pull request to {branch}, and merge it. It changes"
        " .github/, so its plan does not count as reviewed: after the merge, it is applied when a person"
        f" approves it. {check}"
    )


def is_complete(setup: RepositorySetup, state: GitHubState) -> bool:
    """Return whether GitHub has all settings, and none that admits too much."""
    changes = [*missing_requests(setup, state), *excess_requests(setup, state).values()]
    return not changes and has_reviewers(setup, state)


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
    if found.get("can_admins_bypass") is False:  # a PUT without it lets administrators bypass again
        body["can_admins_bypass"] = False
    return body


def _ruleset_request(setup: RepositorySetup, found: Mapping[str, Any] | None) -> ApiRequest | None:
    """Return the request that creates or completes the ruleset; None if it is complete."""
    path, setting = f"repos/{setup.repository}/rulesets", f"ruleset {ruleset.NAME}"
    before = ruleset.body_of(found or {})
    after = ruleset.complete_body(before, setup.checks)
    if found is None:
        return ApiRequest("POST", path, after, setting, "Team")
    return None if after == before else ApiRequest("PUT", f"{path}/{found['id']}", after, setting, "Team")


def script(setup: RepositorySetup) -> str:
    """Return the commands of `gh` for a repository without any of the settings, as text for a shell."""
    variables = {name: f"REVIEWER_{number}" for number, name in enumerate(setup.reviewers, 1)}
    lines = [_SCRIPT_USE]
    lines += [f'{word}="$(gh api {reviewer_path(name)} --jq .id)"' for name, word in variables.items()]
    state = GitHubState(ids={name: f"${word}" for name, word in variables.items()})
    for request in missing_requests(setup, state):
        lines.append(request.command + ("" if request.body is None else " <<JSON"))
        if request.body is not None:
            lines += [re.sub(r'"(\$REVIEWER_\d+)"', r"\1", json.dumps(request.body)), "JSON"]
    return "\n".join(lines) + "\n"
