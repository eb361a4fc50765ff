"""Settings of a repository on GitHub -> checks of what protects an apply. Pure.

A workflow of the repository calls the reusable workflow and names the roles; its path is free. Two workflows
that use the action instead are accepted as well, with variables for the roles.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from ssm_reconcile.doctor import Answer, Check, Needed
from ssm_reconcile.github.call_checks import (
    APPLIES,
    CALLER,
    OWN_WORKFLOWS,
    REUSABLE,
    check_calls,
    check_placeholders,
    find_action_workflows,
    find_calls,
    is_partial,
    setup_command,
    without_comments,
)
from ssm_reconcile.github.code_owners import check_owners, read_entries
from ssm_reconcile.github.settings import (
    APPLY,
    APPROVAL,
    CODEOWNERS,
    ENVIRONMENTS,
    PLAN,
    WORKFLOWS,
    DeniedRead,
    EnvironmentSettings,
    MergeRules,
    RepositorySettings,
    RequiredCheck,
)
from ssm_reconcile.github.workflow_calls import ACTIONS_APP, OWN_CHECK, REQUIRED_CHECK, read_action_steps
from ssm_reconcile.wording import plural

VARIABLES = {
    "SSM_PLAN_ROLE": Needed.PLAN,
    "SSM_APPLY_ROLE": Needed.APPLY,
    "SSM_REGION": Needed.PLAN,
    "SSM_ACCOUNT": Needed.NOTHING,
}
_IN_CONDITIONS = {"SSM_PLAN_ROLE", "SSM_APPLY_ROLE"}
"""Conditions of jobs use these variables, and a variable of an environment is unknown there."""
_CHECK_JOB = re.compile(rf"^\s+name:\s*(['\"]?){re.escape(REQUIRED_CHECK)}\1\s*(#.*)?$", re.MULTILINE)
_PLAN_WORKFLOW = re.compile(r"(\.github/workflows/)?plan\.ya?ml")


def _has_own_workflows(settings: RepositorySettings) -> bool:
    files = {} if isinstance(settings.files, DeniedRead) else settings.files
    is_present = any(files.get(path) is not None for path in OWN_WORKFLOWS)
    return is_present and not find_calls(settings) and not find_action_workflows(settings)


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
    calls = find_calls(settings)
    called = tuple(dict.fromkeys(spec for call in calls for spec in call.specs))
    # With the specs of all calls, `init --github --apply` keeps their workflows and requires their checks.
    setup = setup_command(settings, called if calls and all(call.specs for call in calls) else specs)
    return (
        *_of_environments(settings, setup),
        *_of_merges(settings, setup),
        *_of_code_owners(settings, specs, setup),
        *check_placeholders(settings),
        *(
            _of_own_workflows(settings, setup)
            if _has_own_workflows(settings)
            else check_calls(settings, specs)
        ),
    )


def _of_environments(settings: RepositorySettings, setup: str) -> Iterator[Check]:
    """Judge the environments. `setup` is the command that writes the files; with `--apply`, the settings."""
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
            yield Check(
                where,
                "environment",
                Answer.FAILED,
                message,
                f"run `{setup} --apply`, or create it: {page}",
                needed,
            )
            continue
        yield Check(where, "environment", Answer.OK, "it exists", "", needed)
        if name == APPROVAL:
            yield _of_reviewers(where, found, settings.visibility, setup, page)
        if name == PLAN:
            yield from _of_plans(where, found, settings, page)
        else:
            yield _of_branches(where, found, settings.default_branch, setup, page)
        if name == APPLY:
            yield from _of_waits(where, found, page)


def _of_plans(
    where: str, found: EnvironmentSettings, settings: RepositorySettings, page: str
) -> Iterator[Check]:
    """Judge the environment for plans: a pull request of each branch uses it, and waits for no one."""
    body = '{"reviewers": null, "deployment_branch_policy": null}'
    command = f"gh api --method PUT repos/{settings.name}/environments/{PLAN} --input - <<< '{body}'"
    remedy = f"remove all of its rules: {page}, or `{command}`"
    if found.has_branch_rule:
        message = "it does not admit every branch: the plans of the other branches fail"
        yield Check(where, "branches", Answer.FAILED, message, remedy, Needed.PLAN)
    else:
        yield Check(where, "branches", Answer.OK, "every branch", "", Needed.PLAN)
    if found.reviewers:
        message = "it has reviewers: each plan of a pull request waits for one of them"
        yield Check(where, "required reviewers", Answer.FAILED, message, remedy, Needed.PLAN)
    if found.wait_minutes:
        message = f"each plan waits {plural(found.wait_minutes, 'minute')}"
        yield Check(where, "wait timer", Answer.WARNING, message, remedy)


def _of_waits(where: str, found: EnvironmentSettings, page: str) -> Iterator[Check]:
    """Warn of rules that let each apply wait, also that of a schedule: approvals are those of `APPROVAL`."""
    if found.reviewers:
        message = (
            f"each apply waits for one of them, also one of a schedule; {APPROVAL} has those that approve"
        )
        remedy = f"remove them: {page}"
        yield Check(where, "required reviewers", Answer.WARNING, message, remedy)
    if found.wait_minutes:
        message = f"each apply waits {plural(found.wait_minutes, 'minute')}, also that of a schedule"
        yield Check(where, "wait timer", Answer.WARNING, message, f"remove it: {page}")


def _of_reviewers(where: str, found: EnvironmentSettings, visibility: str, setup: str, page: str) -> Check:
    """Judge the reviewers. A private repository may be unable to have them, and then nothing is approved."""
    if found.reviewers:
        return Check(where, "required reviewers", Answer.OK, f"{found.reviewers}")
    message, remedy = (
        "there are none: every plan that changed is refused",
        (f"run `{setup} --apply --reviewer NAME`, or add reviewers: {page}"),
    )
    if visibility != "private":
        return Check(where, "required reviewers", Answer.FAILED, message, remedy)
    remedy += (
        ". A private repository has required reviewers on GitHub Enterprise only; elsewhere a person applies"
        " a plan that changed by its id"
    )
    return Check(where, "required reviewers", Answer.WARNING, message, remedy)


def _of_branches(where: str, found: EnvironmentSettings, default: str, setup: str, page: str) -> Check:
    subject, needed = "branches", Needed.NOTHING
    by_hand = f"under `Deployment branches and tags` select {default} only: {page}"
    remedy = f"run `{setup} --apply`, or {by_hand}"
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
        others = ", ".join(name for name in found.branches if name != default)
        message, remedy = f"it also admits {others}", by_hand
    else:
        return Check(where, subject, Answer.OK, f"{default} only")
    return Check(where, subject, Answer.FAILED, message, remedy, needed)


def _of_merges(settings: RepositorySettings, setup: str) -> Iterator[Check]:
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
    }
    expected, held = _expected_checks(settings), {one.name for one in rules.checks}
    for name in expected:
        requirements[f"check `{name}`"] = (name in held, f"a merge needs `{name}`")
    where, page = f"branch {settings.default_branch}", f"{settings.page}/settings/rules"
    for subject, (holds, requirement) in requirements.items():
        if holds:
            yield Check(where, subject, Answer.OK, requirement)
        elif denied:
            message = f"whether {requirement} could not be read"
            yield Check(where, subject, Answer.UNKNOWN, message, denied)
        elif subject.startswith("check ") and not find_calls(settings) and is_partial(settings):
            message = f"no rule says that {requirement}; a workflow that could not be read may name it"
            yield Check(where, subject, Answer.UNKNOWN, message, "read that workflow, and require its check")
        else:
            remedy = f"run `{setup} --apply`, or require it in a ruleset: {page}"
            yield Check(where, subject, Answer.FAILED, f"no rule says that {requirement}", remedy)
    for name in expected:
        yield from _of_app(settings, [one for one in rules.checks if one.name == name], setup)
    yield from _of_unreported(settings, rules)


def _expected_checks(settings: RepositorySettings) -> tuple[str, ...]:
    """Return the checks to require: those that the workflows report."""
    if _has_own_workflows(settings):
        return (REQUIRED_CHECK,)
    calls, branch = find_calls(settings), settings.default_branch
    if not calls and find_action_workflows(settings):
        return ()
    found = (check for call in calls if call.is_for_pulls(branch) for check in call.checks)
    return tuple(dict.fromkeys(found)) if calls else (f"ssm / {REQUIRED_CHECK}",)


def _of_app(settings: RepositorySettings, rules: Sequence[RequiredCheck], setup: str) -> Iterator[Check]:
    """Judge who may report a check. The id of GitHub Actions is known on github.com only."""
    apps = {one.app for one in rules}
    where, page = f"branch {settings.default_branch}", f"{settings.page}/settings/rules"
    others = apps - {None, ACTIONS_APP} if settings.page.startswith("https://github.com/") else set()
    remedy = f"run `{setup} --apply`, or select GitHub Actions as its source in the ruleset: {page}"
    if others:
        message = f"only the app {min(map(str, others))} may report it, and GitHub Actions reports it"
        yield Check(
            where, f"source of `{rules[0].name}`", Answer.FAILED, message, f"select GitHub Actions: {page}"
        )
    elif apps == {None}:
        message = "everyone with write access may report it, since its rule names no app"
        yield Check(where, f"source of `{rules[0].name}`", Answer.WARNING, message, remedy)


def _of_unreported(settings: RepositorySettings, rules: MergeRules) -> Iterator[Check]:
    """Report required checks with a name of ours that no call reports: a merge waits for them forever."""
    calls, where = find_calls(settings), f"branch {settings.default_branch}"
    if not calls and not _has_own_workflows(settings):
        return
    reported = set(_expected_checks(settings))
    files = {} if isinstance(settings.files, DeniedRead) else settings.files
    texts = [text for path, text in files.items() if path.startswith(WORKFLOWS) and path != REUSABLE]
    is_known = (
        all(call.checks for call in calls)
        and not is_partial(settings)
        and not (calls and any(isinstance(text, str) and _CHECK_JOB.search(text) for text in texts))
    )
    found = sorted(rules.checks, key=lambda one: (one.name, one.ruleset or 0))
    for rule in found:
        if rule.name in reported or not OWN_CHECK.fullmatch(rule.name):
            continue
        message = f"no workflow on {settings.default_branch} reports it, so no pull request can be merged"
        remedy = _removal_of(settings, rule)
        silent = next((call for call in calls if rule.name in call.checks), None)
        if silent is not None and silent.has_unknown_filter:
            message = f"whether pull requests start {silent.path}, which reports it, is unknown"
            line = f"write `pull_request: {{ branches: [{settings.default_branch}] }}` under `on` of it"
            yield Check(where, f"check `{rule.name}`", Answer.UNKNOWN, message, line)
            continue
        if silent is not None:
            line = f"write `pull_request: {{ branches: [{settings.default_branch}] }}` under `on`"
            message = f"pull requests do not start {silent.path}, which reports it: none can be merged"
            remedy = f"{remedy}, or {line} of {silent.path}"
        elif not is_known:
            message = "no call that could be read reports it: without a report, no pull request can be merged"
        answer = Answer.FAILED if is_known or silent is not None else Answer.UNKNOWN
        yield Check(where, f"check `{rule.name}`", answer, message, remedy)


def _removal_of(settings: RepositorySettings, rule: RequiredCheck) -> str:
    """Return how to remove a required check: the command for bash, unless the organization has the rule."""
    name, base = json.dumps(rule.name, ensure_ascii=False), f"repos/{settings.name}"
    if rule.ruleset is not None and rule.is_editable:
        path = f"{base}/rulesets/{rule.ruleset}"
        kept = f"map(select(.context != {name}))"
        checks = '(.rules[] | select(.type == "required_status_checks").parameters.required_status_checks)'
        body = f"{{name, target, enforcement, bypass_actors, conditions, rules}} | {checks} |= {kept}"
        read = f"gh api {path} --jq {shlex.quote(body)}"
        return f"remove it: `{read} | gh api --method PUT {path} --input -`"
    if rule.ruleset is None and rule.is_editable:
        branch = quote(settings.default_branch, safe="")
        path = f"{base}/branches/{branch}/protection/required_status_checks/contexts"
        body = json.dumps({"contexts": [rule.name]}, ensure_ascii=False)
        return f"remove it: `gh api --method DELETE {path} --input - <<< {shlex.quote(body)}`"
    return f"remove it from the ruleset, which may be one of the organization: {settings.page}/settings/rules"


def _of_code_owners(settings: RepositorySettings, specs: Sequence[str], setup: str) -> Iterator[Check]:
    where, files = "CODEOWNERS", settings.files
    if isinstance(files, DeniedRead):
        yield Check(where, "file", Answer.UNKNOWN, "it could not be read", files.remedy)
        return
    path = next((path for path in CODEOWNERS if files[path] is not None), None)
    if path is None:
        remedy = f"run `{setup} --code-owner @OWNER`, and push .github/CODEOWNERS"
        if find_calls(settings):  # the command could refuse a workflow that a person wrote
            lines = ", ".join(f"`/{one} @OWNER`" for one in (*specs, ".github/"))
            remedy = f"push .github/CODEOWNERS with the lines {lines}"
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
    probes[".github/"] = (".github/new", f"{WORKFLOWS}/new.yml", CALLER, *OWN_WORKFLOWS)
    probes |= {} if path.startswith(".github/") else {path: (path,)}
    probes |= {} if files["action.yml"] is None else {"action.yml": ("action.yml",)}
    for subject, names in probes.items():
        yield check_owners(path, entries, subject, names)


def _of_variables(settings: RepositorySettings) -> Iterator[Check]:
    where, page = "variables", f"{settings.page}/settings/variables/actions"
    for name, needed in VARIABLES.items():
        users = [""] if name in _IN_CONDITIONS else [PLAN, APPLY]
        found = [settings.find_variable(name, user) for user in users]
        if all(isinstance(one, str) for one in found):
            yield Check(where, name, Answer.OK, "it is set", "", needed)
        elif denied := [one for one in found if isinstance(one, DeniedRead)]:
            yield Check(where, name, Answer.UNKNOWN, "it could not be read", denied[0].remedy, needed)
        else:
            yield Check(where, name, Answer.FAILED, "it is not set", f"set it: {page}", needed)
    yield _of_decryption(settings, page)


def _of_decryption(settings: RepositorySettings, page: str) -> Check:
    """Judge whether plans decrypt. They do not unless the variable says so."""
    name, where, remedy = "SSM_NO_DECRYPT", "variables", f"remove it, or set it to true: {page}"
    value = settings.find_variable(name, PLAN)
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


def _of_own_workflows(settings: RepositorySettings, setup: str) -> Iterator[Check]:
    """Judge two workflows that use the action by a search: the name of the job is a line of its own."""
    yield from _of_variables(settings)
    for path, needed in OWN_WORKFLOWS.items():
        text = settings.files if isinstance(settings.files, DeniedRead) else settings.files.get(path)
        if isinstance(text, DeniedRead):
            yield Check("workflows", path, Answer.UNKNOWN, "it could not be read", text.remedy, needed)
        elif text is None:
            message = f"it is not on {settings.default_branch}"
            yield Check("workflows", path, Answer.FAILED, message, f"use one file: `{setup}`", needed)
        elif needed is Needed.PLAN and not _CHECK_JOB.search(text):
            message = f"it has no job `{REQUIRED_CHECK}`: a required check of that name stays pending"
            yield Check("workflows", path, Answer.FAILED, message, f"use one file: `{setup}`")
        elif needed is Needed.APPLY and not APPLIES.search(without_comments(text)):
            message = "no job of it applies: it has neither the environment ssm-apply nor `command: apply`"
            yield Check("workflows", path, Answer.FAILED, message, f"use one file: `{setup}`", needed)
        elif needed is Needed.APPLY and not any(
            _PLAN_WORKFLOW.fullmatch(step.plan_workflow) for step in read_action_steps(path, text) or ()
        ):
            message = "it does not name the workflow that plans, so each merge is refused"
            line = f"write `plan-workflow: {WORKFLOWS}/plan.yml` where it has `reviewed: true`"
            yield Check(
                "workflows", path, Answer.FAILED, message, f"{line}, or use one file: `{setup}`", needed
            )
        else:
            yield Check("workflows", path, Answer.OK, "it exists", "", needed)
