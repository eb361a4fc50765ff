"""Settings of a repository on GitHub -> facts of what protects an apply; `setup_checks` judges them.

A token may read a part of the settings only. A read that GitHub denies is a `DeniedRead`, and its check is
unknown. GitHub reports a missing permission as 403 or as 404. So an object counts as missing only if its list
could be read. Cost: about 15 requests, and one for each workflow.

Sources: REST reference, "Repositories" (Get a repository), "Branches", "Protected branches", "Rules" (Get
rules for a branch), "Deployment environments", "Deployment branch policies", "GitHub Actions variables",
"Repository contents"; GitHub docs, "About code owners", "Managing environments for deployment".
"""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.iam.stack import APPLY_ENVIRONMENT, PLAN_ENVIRONMENT

PLAN, APPLY, APPROVAL = PLAN_ENVIRONMENT, APPLY_ENVIRONMENT, "ssm-apply-changed"
ENVIRONMENTS = (PLAN, APPLY, APPROVAL)
WORKFLOWS = ".github/workflows"
MOST_WORKFLOWS = 200
"""Maximum workflows that are read."""
FIRST_WORKFLOWS = tuple(f"{WORKFLOWS}/{name}.yml" for name in ("ssm-reconcile", "plan", "apply"))
"""The workflows that are read first."""
CODEOWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""GitHub uses the first of these files that exists."""
REPOSITORY, ORGANIZATION = "repository", "organization"
_NOT_FOUND = 404
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DeniedRead:
    """A read without a result; `remedy` is what makes it possible."""

    remedy: str


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """The protection of an environment.

    Attributes:
        reviewers: The number of required reviewers: people and teams.
        wait_minutes: The minutes that each job waits.
        has_branch_rule: Whether the environment admits some branches only.
        branches: The names and patterns that it admits; empty if it admits all protected branches.
    """

    reviewers: int
    wait_minutes: int
    has_branch_rule: bool
    branches: tuple[str, ...] | DeniedRead


class RequiredCheck(NamedTuple):
    """A check that a merge needs, by one rule.

    Attributes:
        name: The name of the check.
        app: The id of the only app that may report it; None: everyone with write access may.
        ruleset: The id of the ruleset; None: the classic branch protection.
        is_editable: Whether the rule belongs to the repository, and not to its organization.
    """

    name: str
    app: int | None
    ruleset: int | None
    is_editable: bool


@dataclass(frozen=True, slots=True)
class MergeRules:
    """Requirements for a merge into the default branch."""

    pull_request: bool = False
    approvals: int = 0
    last_push: bool = False
    code_owners: bool = False
    checks: frozenset[RequiredCheck] = frozenset()

    def __or__(self, other: MergeRules) -> MergeRules:
        return MergeRules(
            self.pull_request or other.pull_request,
            max(self.approvals, other.approvals),
            self.last_push or other.last_push,
            self.code_owners or other.code_owners,
            self.checks | other.checks,
        )


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """The settings of a repository.

    Attributes:
        name: The repository, as OWNER/REPO.
        rules: The requirements of rulesets, and those of the classic branch protection.
        files: The texts of CODEOWNERS, the workflows and `action.yml` on the default branch; None: no file.
            The key `WORKFLOWS` has a denied read of their list, or of some of them.
        faulty_lines: The lines of CODEOWNERS that GitHub ignores.
        variables: Names and values of each environment, of the repository and of the organization.
        folder: The folder of the repository in which printed commands are run; empty for its root.
        is_account_known: Whether a spec names the account of the roles.
    """

    name: str
    page: str
    visibility: str
    default_branch: str
    environments: Mapping[str, EnvironmentSettings] | DeniedRead
    rules: tuple[MergeRules | DeniedRead, ...]
    files: Mapping[str, str | DeniedRead | None] | DeniedRead
    faulty_lines: frozenset[int] | DeniedRead
    variables: Mapping[str, Mapping[str, str] | DeniedRead]
    folder: str = ""
    is_account_known: bool = True

    def shown(self, path: str) -> str:
        """Return a path of the repository as a printed command needs it; that of a folder ends with `/`."""
        return posixpath.relpath(path or ".", self.folder or ".") + ("/" if path.endswith("/") else "")

    def find_variable(self, name: str, environment: str) -> str | DeniedRead | None:
        """Return a variable that jobs of an environment see; None if it is not set, or empty.

        Args:
            name: The name of the variable.
            environment: The environment of the jobs; empty for the conditions of jobs.
        """
        remedies: list[str] = []
        for scope in (environment, REPOSITORY, ORGANIZATION):
            variables = self.variables.get(scope, {})
            if isinstance(variables, DeniedRead):
                remedies.append(variables.remedy)
            elif value := variables.get(name):
                return value
        return DeniedRead("; ".join(dict.fromkeys(remedies))) if remedies else None


def _attempt(read: Callable[[], _T], permission: str) -> _T | DeniedRead:
    """Return the result of a read, or the permission that it needs.

    Raises:
        GitHubError: GitHub did not answer, or its response has another form than documented.
    """
    try:
        return read()
    except GitHubError as error:
        if error.kind is not Kind.DENIED:
            raise
        return DeniedRead(f"the token needs `{permission}` (a classic token: the scope `repo`)")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GitHubError(Kind.REFUSED, "the response has a form that this version does not know") from error


def read_settings(github: GitHub, server_url: str) -> RepositorySettings | DeniedRead:
    """Return the settings of a repository, or a `DeniedRead` if the token cannot see the repository.

    Args:
        github: The API.
        server_url: The address of the pages that people use.

    Raises:
        GitHubError: GitHub did not answer.
    """
    found = _attempt(lambda: dict(github.get(github.repository)), "metadata: read")
    if isinstance(found, DeniedRead):
        return found
    branch = str(found.get("default_branch") or "")
    environments = _attempt(lambda: _read_environments(github), "actions: read")
    rules = _attempt(lambda: _read_rules(github, branch), "metadata: read")
    if isinstance(rules, DeniedRead):
        rules = DeniedRead(f"{rules.remedy}; a private repository has rules on a paid plan only")
    owned_by_person = (found.get("owner") or {}).get("type") == "User"
    return RepositorySettings(
        name=github.repository.removeprefix("/repos/"),
        page=server_url + github.repository.removeprefix("/repos"),
        visibility=str(found.get("visibility") or ("private" if found.get("private") else "public")),
        default_branch=branch,
        environments=environments,
        rules=(rules, _read_classic(github, branch)),
        files=_read_files(github),
        faulty_lines=_attempt(lambda: _read_faulty_lines(github), "contents: read"),
        variables=_read_variables(github, environments, has_organization=not owned_by_person),
    )


def _read_environments(github: GitHub) -> dict[str, EnvironmentSettings]:
    """Return all environments; their names have no case on GitHub."""
    path = f"{github.repository}/environments"
    return {
        str(found["name"]).lower(): _environment_of(github, found)
        for found in github.pages(path, "environments")
        if str(found["name"]).lower() in ENVIRONMENTS
    }


def _environment_of(github: GitHub, found: Mapping[str, Any]) -> EnvironmentSettings:
    rules = found.get("protection_rules") or ()
    reviewers = sum(
        len(rule.get("reviewers") or ()) for rule in rules if rule["type"] == "required_reviewers"
    )
    minutes = max((int(rule["wait_timer"]) for rule in rules if rule["type"] == "wait_timer"), default=0)
    policy = found.get("deployment_branch_policy")
    branches: tuple[str, ...] | DeniedRead = ()
    if policy and policy["custom_branch_policies"]:
        path = f"{github.repository}/environments/{quote(str(found['name']), safe='')}"
        branches = _attempt(lambda: _read_admitted(github, path), "actions: read")
    return EnvironmentSettings(reviewers, minutes, has_branch_rule=bool(policy), branches=branches)


def _read_admitted(github: GitHub, path: str) -> tuple[str, ...]:
    """Return the patterns of the branches that an environment admits; a tag has `tag ` before its name."""
    found = github.pages(f"{path}/deployment-branch-policies", "branch_policies")
    return tuple(("tag " if one.get("type") == "tag" else "") + str(one["name"]) for one in found)


def _read_rules(github: GitHub, branch: str) -> MergeRules:
    """Return the requirements of all active rulesets. Who may bypass them is not in the response."""
    rules = MergeRules()
    for rule in github.pages(f"{github.repository}/rules/branches/{quote(branch, safe='')}"):
        parameters = rule.get("parameters") or {}
        if rule["type"] == "pull_request":
            rules |= MergeRules(
                pull_request=True,
                approvals=int(parameters.get("required_approving_review_count") or 0),
                last_push=bool(parameters.get("require_last_push_approval")),
                code_owners=bool(parameters.get("require_code_owner_review")),
            )
        elif rule["type"] == "required_status_checks":
            number, is_own = rule.get("ruleset_id"), rule.get("ruleset_source_type") == "Repository"
            checks = (
                RequiredCheck(str(one["context"]), one.get("integration_id"), number, is_editable=is_own)
                for one in parameters.get("required_status_checks") or ()
            )
            rules |= MergeRules(checks=frozenset(checks))
    return rules


def _read_classic(github: GitHub, branch: str) -> MergeRules | DeniedRead:
    """Return the requirements of the classic protection; none if the branch is not protected.

    The protection itself needs `administration: read`, which no token of a job has.
    """
    path = f"{github.repository}/branches/{quote(branch, safe='')}"
    is_protected = _attempt(lambda: bool(github.get(path)["protected"]), "contents: read")
    if is_protected is False:
        return MergeRules()
    return _attempt(lambda: _classic_of(github.get(f"{path}/protection")), "administration: read")


def _classic_of(found: Mapping[str, Any]) -> MergeRules:
    reviews, checks = found.get("required_pull_request_reviews"), found.get("required_status_checks") or {}
    apps = {str(context): None for context in checks.get("contexts") or ()}
    apps |= {str(check["context"]): check.get("app_id") for check in checks.get("checks") or ()}
    return MergeRules(
        pull_request=reviews is not None,
        approvals=int((reviews or {}).get("required_approving_review_count") or 0),
        last_push=bool((reviews or {}).get("require_last_push_approval")),
        code_owners=bool((reviews or {}).get("require_code_owner_reviews")),
        checks=frozenset(
            # The id -1 stands for each app.
            RequiredCheck(name, None if app == -1 else app, None, is_editable=True)
            for name, app in apps.items()
        ),
    )


def _read_files(github: GitHub) -> Mapping[str, str | DeniedRead | None] | DeniedRead:
    """Return the texts of files on the default branch. After the root was read, 404 is a missing file."""
    contents = f"{github.repository}/contents"
    root = _attempt(lambda: {str(one["name"]) for one in github.get(contents)}, "contents: read")
    if isinstance(root, DeniedRead):
        return root
    found: dict[str, str | DeniedRead | None] = {}
    listed = (
        _attempt(lambda: _list_workflows(github, contents), "contents: read") if ".github" in root else ()
    )
    if isinstance(listed, DeniedRead):
        found[WORKFLOWS], listed = listed, ()
    if len(listed) > MOST_WORKFLOWS:
        remedy = f"check the others by hand: of {len(listed)} workflows, at most {MOST_WORKFLOWS} are read"
        found[WORKFLOWS], listed = DeniedRead(remedy), listed[:MOST_WORKFLOWS]
    for path in (*CODEOWNERS, *listed, "action.yml"):
        present = path.partition("/")[0] in root
        read = partial(_read_text, github, f"{contents}/{path}")
        found[path] = _attempt(read, "contents: read") if present else None
    return found


def _list_workflows(github: GitHub, contents: str) -> tuple[str, ...]:
    """Return the paths of the workflows; none without their folder."""
    try:
        found = github.get(f"{contents}/{WORKFLOWS}")
    except GitHubError as error:
        if error.status == _NOT_FOUND:
            return ()
        raise
    names = (str(one["name"]) for one in found)
    paths = (f"{WORKFLOWS}/{name}" for name in names if name.endswith((".yml", ".yaml")))
    return tuple(sorted(paths, key=lambda path: (path not in FIRST_WORKFLOWS, path)))


def _read_text(github: GitHub, path: str) -> str | DeniedRead | None:
    try:
        found = github.get(path)
    except GitHubError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    if not isinstance(found, dict) or found.get("encoding") != "base64":
        return DeniedRead("read the file yourself: the API returns no text of it")  # above 1 MB, or no file
    return base64.b64decode(str(found["content"])).decode("utf-8", errors="replace")


def _read_faulty_lines(github: GitHub) -> frozenset[int]:
    """Return the lines with an error, such as an owner without write access; none without a file."""
    try:
        found = github.get(f"{github.repository}/codeowners/errors")
    except GitHubError as error:
        if error.status == _NOT_FOUND:
            return frozenset()
        raise
    return frozenset(int(one["line"]) for one in found["errors"])


def _read_variables(
    github: GitHub, environments: Mapping[str, EnvironmentSettings] | DeniedRead, *, has_organization: bool
) -> dict[str, Mapping[str, str] | DeniedRead]:
    """Return the variables of each scope, a more specific one first, since it has precedence."""
    paths = {
        name: (f"{github.repository}/environments/{name}/variables", "environments: read")
        for name in (PLAN, APPLY)
        if isinstance(environments, DeniedRead) or name in environments
    }
    paths[REPOSITORY] = (f"{github.repository}/actions/variables", "variables: read")
    if has_organization:
        paths[ORGANIZATION] = (f"{github.repository}/actions/organization-variables", "variables: read")
    return {
        scope: _attempt(partial(_read_scope, github, path), permission)
        for scope, (path, permission) in paths.items()
    }


def _read_scope(github: GitHub, path: str) -> dict[str, str]:
    return {str(one["name"]).upper(): str(one["value"]) for one in github.pages(path, "variables")}
