"""Settings of a repository on GitHub -> checks of what protects an apply: facts are read, then judged.

A token may read a part of the settings only. A read that GitHub denies is a `DeniedRead`, and its check is
unknown. GitHub reports a missing permission as 403 or as 404. So an object counts as missing only if its list
could be read. Cost: about 15 requests.

Sources: REST reference, "Repositories" (Get a repository), "Branches", "Protected branches", "Rules" (Get
rules for a branch), "Deployment environments", "Deployment branch policies", "GitHub Actions variables",
"Repository contents"; GitHub docs, "About code owners", "Managing environments for deployment".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from ssm_reconcile.doctor import Answer, Check, Needed
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.code_owners import check_owners, read_entries
from ssm_reconcile.iam.stack import APPLY_ENVIRONMENT, PLAN_ENVIRONMENT
from ssm_reconcile.wording import plural

PLAN, APPLY, APPROVAL = PLAN_ENVIRONMENT, APPLY_ENVIRONMENT, "ssm-apply-changed"
ENVIRONMENTS = (PLAN, APPLY, APPROVAL)
REQUIRED_CHECK = "SSM check"
WORKFLOWS = {".github/workflows/plan.yml": Needed.PLAN, ".github/workflows/apply.yml": Needed.APPLY}
CODEOWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""GitHub uses the first of these files that exists."""
VARIABLES = {
    "SSM_PLAN_ROLE": Needed.PLAN,
    "SSM_APPLY_ROLE": Needed.APPLY,
    "SSM_REGION": Needed.PLAN,
    "SSM_ACCOUNT": Needed.NOTHING,
}
_REPOSITORY, _ORGANIZATION = "repository", "organization"
_IN_CONDITIONS = {"SSM_PLAN_ROLE", "SSM_APPLY_ROLE"}
"""Conditions of jobs use these variables, and a variable of an environment is unknown there."""
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
        has_branch_rule: Whether the environment admits some branches only.
        branches: The names and patterns that it admits; empty if it admits all protected branches.
    """

    reviewers: int
    has_branch_rule: bool
    branches: tuple[str, ...] | DeniedRead


@dataclass(frozen=True, slots=True)
class MergeRules:
    """Requirements for a merge into the default branch."""

    pull_request: bool = False
    approvals: int = 0
    last_push: bool = False
    code_owners: bool = False
    checks: frozenset[str] = frozenset()

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
        rules: The requirements of rulesets, and those of the classic branch protection.
        files: The texts of CODEOWNERS, the workflows and `action.yml` on the default branch; None: no file.
        faulty_lines: The lines of CODEOWNERS that GitHub ignores.
        variables: Names and values of each environment, of the repository and of the organization.
    """

    page: str
    visibility: str
    default_branch: str
    environments: Mapping[str, EnvironmentSettings] | DeniedRead
    rules: tuple[MergeRules | DeniedRead, ...]
    files: Mapping[str, str | DeniedRead | None] | DeniedRead
    faulty_lines: frozenset[int] | DeniedRead
    variables: Mapping[str, Mapping[str, str] | DeniedRead]


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
    rules = [rule for rule in found.get("protection_rules") or () if rule["type"] == "required_reviewers"]
    reviewers = sum(len(rule.get("reviewers") or ()) for rule in rules)
    policy = found.get("deployment_branch_policy")
    branches: tuple[str, ...] | DeniedRead = ()
    if policy and policy["custom_branch_policies"]:
        path = f"{github.repository}/environments/{quote(str(found['name']), safe='')}"
        branches = _attempt(lambda: _read_admitted(github, path), "actions: read")
    return EnvironmentSettings(reviewers, has_branch_rule=bool(policy), branches=branches)


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
            checks = parameters.get("required_status_checks") or ()
            rules |= MergeRules(checks=frozenset(str(check["context"]) for check in checks))
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
    contexts = {str(context) for context in checks.get("contexts") or ()}
    contexts |= {str(check["context"]) for check in checks.get("checks") or ()}
    return MergeRules(
        pull_request=reviews is not None,
        approvals=int((reviews or {}).get("required_approving_review_count") or 0),
        last_push=bool((reviews or {}).get("require_last_push_approval")),
        code_owners=bool((reviews or {}).get("require_code_owner_reviews")),
        checks=frozenset(contexts),
    )


def _read_files(github: GitHub) -> Mapping[str, str | DeniedRead | None] | DeniedRead:
    """Return the texts of files on the default branch. After the root was read, 404 is a missing file."""
    contents = f"{github.repository}/contents"
    root = _attempt(lambda: {str(one["name"]) for one in github.get(contents)}, "contents: read")
    if isinstance(root, DeniedRead):
        return root
    found: dict[str, str | DeniedRead | None] = {}
    for path in (*CODEOWNERS, *WORKFLOWS, "action.yml"):
        present = path.partition("/")[0] in root
        read = partial(_read_text, github, f"{contents}/{path}")
        found[path] = _attempt(read, "contents: read") if present else None
    return found


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
    paths[_REPOSITORY] = (f"{github.repository}/actions/variables", "variables: read")
    if has_organization:
        paths[_ORGANIZATION] = (f"{github.repository}/actions/organization-variables", "variables: read")
    return {
        scope: _attempt(partial(_read_scope, github, path), permission)
        for scope, (path, permission) in paths.items()
    }


def _read_scope(github: GitHub, path: str) -> dict[str, str]:
    return {str(one["name"]).upper(): str(one["value"]) for one in github.pages(path, "variables")}


# Judgement: facts -> checks. Nothing below reads anything.


def judge(settings: RepositorySettings | DeniedRead, specs: Sequence[str]) -> tuple[Check, ...]:
    """Return a check for each setting that protects an apply.

    Args:
        settings: The settings of the repository.
        specs: The paths of the spec in the repository; that of a folder ends with `/`.
    """
    if isinstance(settings, DeniedRead):
        message = "the repository could not be read, so nothing was checked"
        remedy = f"check the name, and that the token is valid: {settings.remedy}"
        return (Check("repository", "access", Answer.UNKNOWN, message, remedy),)
    return (
        *_of_environments(settings),
        *_of_merges(settings),
        *_of_code_owners(settings, specs),
        *_of_variables(settings),
        *_of_workflows(settings),
    )


def _of_environments(settings: RepositorySettings) -> Iterator[Check]:
    page = f"{settings.page}/settings/environments"
    for name in ENVIRONMENTS:
        where, needed = f"environment {name}", Needed.PLAN if name == PLAN else Needed.APPLY
        if isinstance(settings.environments, DeniedRead):
            remedy = settings.environments.remedy
            yield Check(where, "environment", Answer.UNKNOWN, "it could not be read", remedy, needed)
            continue
        found = settings.environments.get(name)
        if found is None:
            message = "it does not exist: GitHub creates it, without any rule, when a job names it"
            yield Check(where, "environment", Answer.FAILED, message, f"create it: {page}", needed)
            continue
        yield Check(where, "environment", Answer.OK, "it exists", "", needed)
        if name == APPROVAL:
            yield _of_reviewers(where, found, settings.visibility, page)
        if name != PLAN:
            yield _of_branches(where, found, settings.default_branch, page)


def _of_reviewers(where: str, found: EnvironmentSettings, visibility: str, page: str) -> Check:
    """Judge the reviewers. A private repository may be unable to have them, and then nothing is approved."""
    if found.reviewers:
        return Check(where, "required reviewers", Answer.OK, f"{found.reviewers}")
    message, remedy = "there are none: every plan that changed is refused", f"add reviewers: {page}"
    if visibility != "private":
        return Check(where, "required reviewers", Answer.FAILED, message, remedy)
    remedy += (
        ". A private repository has required reviewers on GitHub Enterprise only; elsewhere a person applies"
        " a plan that changed by its id"
    )
    return Check(where, "required reviewers", Answer.WARNING, message, remedy)


def _of_branches(where: str, found: EnvironmentSettings, default: str, page: str) -> Check:
    subject, needed = "branches", Needed.NOTHING
    remedy = f"under `Deployment branches and tags` select {default} only: {page}"
    if isinstance(found.branches, DeniedRead):
        return Check(where, subject, Answer.UNKNOWN, "they could not be read", found.branches.remedy)
    if not found.has_branch_rule:
        message = "every branch may use it"
        remedy += (
            ". A private repository on GitHub Free has no such rule: there let the apply role trust"
            f" `ref:refs/heads/{default}` instead of an environment"
        )
    elif not found.branches:
        message = "its rule is not a list of selected branches"
    elif default not in found.branches:
        message, needed = f"it does not admit {default}: an apply cannot run", Needed.APPLY
    elif len(found.branches) > 1:
        message = f"it also admits {', '.join(name for name in found.branches if name != default)}"
    else:
        return Check(where, subject, Answer.OK, f"{default} only")
    return Check(where, subject, Answer.FAILED, message, remedy, needed)


def _of_merges(settings: RepositorySettings) -> Iterator[Check]:
    """Judge rulesets and the classic protection together: a requirement of either one holds."""
    rules = MergeRules()
    denied = ""
    for one in settings.rules:
        if isinstance(one, DeniedRead):
            denied = denied or one.remedy
        else:
            rules |= one
    requirements = {
        "pull request": (rules.pull_request, "a merge needs a pull request"),
        "approving review": (rules.approvals > 0, "a merge needs an approving review"),
        "last push": (rules.last_push, "the last push needs the approval of another person"),
        "code owners": (rules.code_owners, "a change of an owned file needs the review of an owner"),
        f"check `{REQUIRED_CHECK}`": (REQUIRED_CHECK in rules.checks, f"a merge needs `{REQUIRED_CHECK}`"),
    }
    where, page = f"branch {settings.default_branch}", f"{settings.page}/settings/rules"
    for subject, (holds, requirement) in requirements.items():
        if holds:
            yield Check(where, subject, Answer.OK, requirement)
        elif denied:
            message = f"whether {requirement} could not be read"
            yield Check(where, subject, Answer.UNKNOWN, message, denied)
        else:
            remedy = f"require it in a ruleset for {settings.default_branch}: {page}"
            yield Check(where, subject, Answer.FAILED, f"no rule says that {requirement}", remedy)


def _of_code_owners(settings: RepositorySettings, specs: Sequence[str]) -> Iterator[Check]:
    where, files = "CODEOWNERS", settings.files
    if isinstance(files, DeniedRead):
        yield Check(where, "file", Answer.UNKNOWN, "it could not be read", files.remedy)
        return
    path = next((path for path in CODEOWNERS if files[path] is not None), None)
    if path is None:
        remedy = f"add .github/CODEOWNERS with owners of the spec and of .github/: {settings.page}"
        yield Check(where, "file", Answer.FAILED, "the default branch has none", remedy)
        return
    text = files[path]
    if isinstance(text, DeniedRead):
        yield Check(where, "file", Answer.UNKNOWN, f"{path} could not be read", text.remedy)
        return
    faults = settings.faulty_lines
    if isinstance(faults, DeniedRead):
        yield Check(
            where, "lines", Answer.UNKNOWN, "the errors of its lines could not be read", faults.remedy
        )
    elif faults:
        message = f"GitHub ignores {plural(len(faults), 'line')} of {path}, the first is line {min(faults)}"
        yield Check(where, "lines", Answer.FAILED, message, "its page on GitHub shows the errors")
    entries = read_entries(text or "", frozenset() if isinstance(faults, DeniedRead) else faults)
    probes: dict[str, tuple[str, ...]] = {
        spec: (f"{spec}new.yaml" if spec.endswith("/") else spec,) for spec in specs
    }
    probes[".github/"] = (".github/new", ".github/workflows/new.yml", *WORKFLOWS)
    probes |= {} if path.startswith(".github/") else {path: (path,)}
    probes |= {} if files["action.yml"] is None else {"action.yml": ("action.yml",)}
    for subject, names in probes.items():
        yield check_owners(path, entries, subject, names)


def _of_variables(settings: RepositorySettings) -> Iterator[Check]:
    where, page = "variables", f"{settings.page}/settings/variables/actions"
    for name, needed in VARIABLES.items():
        users = [""] if name in _IN_CONDITIONS else [PLAN, APPLY]
        found = [_find_variable(settings, name, user) for user in users]
        if all(isinstance(one, str) for one in found):
            yield Check(where, name, Answer.OK, "it is set", "", needed)
        elif denied := [one for one in found if isinstance(one, DeniedRead)]:
            yield Check(where, name, Answer.UNKNOWN, "it could not be read", denied[0].remedy, needed)
        else:
            yield Check(where, name, Answer.FAILED, "it is not set", f"set it: {page}", needed)
    yield _of_decryption(settings, page)


def _find_variable(settings: RepositorySettings, name: str, environment: str) -> str | DeniedRead | None:
    """Return a variable that jobs of an environment see; None if it is not set, or empty.

    Args:
        settings: The settings of the repository.
        name: The name of the variable.
        environment: The environment of the jobs; empty for the conditions of jobs.
    """
    remedies: list[str] = []
    for scope in (environment, _REPOSITORY, _ORGANIZATION):
        variables = settings.variables.get(scope, {})
        if isinstance(variables, DeniedRead):
            remedies.append(variables.remedy)
        elif value := variables.get(name):
            return value
    return DeniedRead("; ".join(dict.fromkeys(remedies))) if remedies else None


def _of_decryption(settings: RepositorySettings, page: str) -> Check:
    """Judge whether plans decrypt. They do not unless the variable says so."""
    name, where, remedy = "SSM_NO_DECRYPT", "variables", f"remove it, or set it to true: {page}"
    value = _find_variable(settings, name, PLAN)
    if isinstance(value, DeniedRead):
        return Check(where, name, Answer.UNKNOWN, "it could not be read", value.remedy)
    by_environment = settings.variables.get(PLAN)
    if value in {None, "true"} and isinstance(by_environment, DeniedRead):
        return Check(where, name, Answer.UNKNOWN, f"it could not be read for {PLAN}", by_environment.remedy)
    if value in {None, "true"}:
        return Check(where, name, Answer.OK, "plans read no secrets")
    if value == "false":
        message = "plans decrypt, so everyone who can push a branch can read the secrets"
        return Check(where, name, Answer.WARNING, message, remedy)
    return Check(where, name, Answer.FAILED, "it is neither true nor false", remedy, Needed.PLAN)


def _of_workflows(settings: RepositorySettings) -> Iterator[Check]:
    """Judge the workflows by a search in their text: the name of the job is a line of its own."""
    job = re.compile(rf"^\s+name:\s*(['\"]?){re.escape(REQUIRED_CHECK)}\1\s*(#.*)?$", re.MULTILINE)
    for path, needed in WORKFLOWS.items():
        text = settings.files if isinstance(settings.files, DeniedRead) else settings.files[path]
        if isinstance(text, DeniedRead):
            yield Check("workflows", path, Answer.UNKNOWN, "it could not be read", text.remedy, needed)
        elif text is None:
            message = f"it is not on {settings.default_branch}"
            remedy = (
                "copy it as docs/github-actions.md describes, or check a workflow of another name yourself"
            )
            yield Check("workflows", path, Answer.FAILED, message, remedy, needed)
        elif needed is Needed.PLAN and not job.search(text):
            message = f"it has no job `{REQUIRED_CHECK}`: a required check of that name stays pending"
            remedy = "take the job over from plan.yml of this version"
            yield Check("workflows", path, Answer.FAILED, message, remedy)
        else:
            yield Check("workflows", path, Answer.OK, "it exists", "", needed)
