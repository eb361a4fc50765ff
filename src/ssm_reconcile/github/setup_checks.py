"""Settings of a repository on GitHub -> checks of what protects an apply. Pure.

A workflow of the repository calls the reusable workflow and names the roles; its path is free. Two workflows
that use the action instead are accepted as well, with variables for the roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor import Answer, Check, Needed
from ssm_reconcile.github.code_owners import check_owners, read_entries
from ssm_reconcile.github.settings import (
    APPLY,
    APPROVAL,
    CODEOWNERS,
    ENVIRONMENTS,
    ORGANIZATION,
    PLAN,
    REPOSITORY,
    WORKFLOWS,
    DeniedRead,
    EnvironmentSettings,
    MergeRules,
    RepositorySettings,
)
from ssm_reconcile.github.workflow_calls import (
    DEFAULT_SPEC,
    PERMISSIONS,
    REQUIRED_CHECK,
    WorkflowCall,
    missing_triggers,
    read_calls,
)
from ssm_reconcile.github.workflow_run import paths_below
from ssm_reconcile.wording import plural

CALLER = f"{WORKFLOWS}/ssm-reconcile.yml"
REUSABLE = f"{WORKFLOWS}/replicate.yml"
"""The reusable workflow itself, in the repository of this project and in its copies."""
OWN_WORKFLOWS = {f"{WORKFLOWS}/plan.yml": Needed.PLAN, f"{WORKFLOWS}/apply.yml": Needed.APPLY}
"""The workflows of a repository that uses the action instead of the reusable workflow."""
VARIABLES = {
    "SSM_PLAN_ROLE": Needed.PLAN,
    "SSM_APPLY_ROLE": Needed.APPLY,
    "SSM_REGION": Needed.PLAN,
    "SSM_ACCOUNT": Needed.NOTHING,
}
_IN_CONDITIONS = {"SSM_PLAN_ROLE", "SSM_APPLY_ROLE"}
"""Conditions of jobs use these variables, and a variable of an environment is unknown there."""
_SHA = re.compile("[0-9a-f]{40}")
_VARIABLE = re.compile(r"\$\{\{\s*vars\.(\w+)\s*\}\}")
_COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)
_FORMER = re.compile(r"ssm-reconcile|SSM check|SSM_(PLAN|APPLY)_ROLE")
_APPLIES = re.compile(r"\bssm-apply\b|\bcommand:\s*['\"]?apply\b")
"""Signs of a workflow that applies by the action: the environment, or the command."""
_PLAN_WORKFLOW = re.compile(r"^\s+plan-workflow:\s*['\"]?(\.github/workflows/)?plan\.ya?ml\b", re.MULTILINE)
_DECRYPTS = re.compile(r"\$\{\{\s*vars\.(\w+)\s*!=\s*'false'\s*\}\}")


def _find_calls(settings: RepositorySettings) -> tuple[WorkflowCall, ...]:
    texts = {} if isinstance(settings.files, DeniedRead) else settings.files
    found: list[WorkflowCall] = []
    for path, text in texts.items():
        if path.startswith(f"{WORKFLOWS}/") and isinstance(text, str):
            found += read_calls(path, text) or ()
    return tuple(found)


def _has_own_workflows(settings: RepositorySettings) -> bool:
    files = {} if isinstance(settings.files, DeniedRead) else settings.files
    return not _find_calls(settings) and any(files.get(path) is not None for path in OWN_WORKFLOWS)


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
    words = () if settings.default_branch == "main" else ("--branch", settings.default_branch)
    again = CommandLine(() if tuple(specs) == (DEFAULT_SPEC,) else tuple(specs))
    setup = again.init_github(settings.name, *words)
    return (
        *_of_environments(settings, setup),
        *_of_merges(settings, setup),
        *_of_code_owners(settings, specs, setup),
        *(
            _of_own_workflows(settings, setup)
            if _has_own_workflows(settings)
            else _of_calls(settings, specs, setup)
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
        if name != PLAN:
            yield _of_branches(where, found, settings.default_branch, setup, page)


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
    for name in _required_checks(settings):
        requirements[f"check `{name}`"] = (name in rules.checks, f"a merge needs `{name}`")
    where, page = f"branch {settings.default_branch}", f"{settings.page}/settings/rules"
    for subject, (holds, requirement) in requirements.items():
        if holds:
            yield Check(where, subject, Answer.OK, requirement)
        elif denied:
            message = f"whether {requirement} could not be read"
            yield Check(where, subject, Answer.UNKNOWN, message, denied)
        else:
            remedy = f"run `{setup} --apply`, or require it in a ruleset: {page}"
            yield Check(where, subject, Answer.FAILED, f"no rule says that {requirement}", remedy)


def _required_checks(settings: RepositorySettings) -> tuple[str, ...]:
    if _has_own_workflows(settings):
        return (REQUIRED_CHECK,)
    calls = _find_calls(settings)
    return tuple(check for call in calls for check in call.checks) if calls else (f"ssm / {REQUIRED_CHECK}",)


def _of_code_owners(settings: RepositorySettings, specs: Sequence[str], setup: str) -> Iterator[Check]:
    where, files = "CODEOWNERS", settings.files
    if isinstance(files, DeniedRead):
        yield Check(where, "file", Answer.UNKNOWN, "it could not be read", files.remedy)
        return
    path = next((path for path in CODEOWNERS if files[path] is not None), None)
    if path is None:
        remedy = f"run `{setup} --code-owner @OWNER`, and push .github/CODEOWNERS"
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
    for scope in (environment, REPOSITORY, ORGANIZATION):
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


def _of_own_workflows(settings: RepositorySettings, setup: str) -> Iterator[Check]:
    """Judge two workflows that use the action by a search: the name of the job is a line of its own."""
    yield from _of_variables(settings)
    job = re.compile(rf"^\s+name:\s*(['\"]?){re.escape(REQUIRED_CHECK)}\1\s*(#.*)?$", re.MULTILINE)
    for path, needed in OWN_WORKFLOWS.items():
        text = settings.files if isinstance(settings.files, DeniedRead) else settings.files.get(path)
        if isinstance(text, DeniedRead):
            yield Check("workflows", path, Answer.UNKNOWN, "it could not be read", text.remedy, needed)
        elif text is None:
            message = f"it is not on {settings.default_branch}"
            yield Check("workflows", path, Answer.FAILED, message, f"use one file: `{setup}`", needed)
        elif needed is Needed.PLAN and not job.search(text):
            message = f"it has no job `{REQUIRED_CHECK}`: a required check of that name stays pending"
            yield Check("workflows", path, Answer.FAILED, message, f"use one file: `{setup}`")
        elif needed is Needed.APPLY and not _APPLIES.search(_without_comments(text)):
            message = "no job of it applies: it has neither the environment ssm-apply nor `command: apply`"
            yield Check("workflows", path, Answer.FAILED, message, f"use one file: `{setup}`", needed)
        elif needed is Needed.APPLY and not _PLAN_WORKFLOW.search(text):
            message = "it does not name the workflow that plans, so each merge is refused"
            line = f"write `plan-workflow: {WORKFLOWS}/plan.yml` where it has `reviewed: true`"
            yield Check(
                "workflows", path, Answer.FAILED, message, f"{line}, or use one file: `{setup}`", needed
            )
        else:
            yield Check("workflows", path, Answer.OK, "it exists", "", needed)


def _without_comments(text: str) -> str:
    return _COMMENT.sub("", text)


def _of_calls(settings: RepositorySettings, specs: Sequence[str], setup: str) -> Iterator[Check]:
    """Judge the workflows that call the reusable workflow."""
    calls, files = _find_calls(settings), settings.files
    write_again = f"write it again: `{setup} --force`"
    texts = {WORKFLOWS: files} if isinstance(files, DeniedRead) else files
    for path, text in texts.items():
        if not path.startswith(WORKFLOWS):
            continue
        if isinstance(text, DeniedRead):
            yield Check("workflows", path, Answer.UNKNOWN, "it could not be read", text.remedy, Needed.PLAN)
        elif text is not None and read_calls(path, text) is None and "replicate.yml" in text:
            message = "it calls the reusable workflow and cannot be read as YAML"
            yield Check("workflows", path, Answer.UNKNOWN, message, write_again, Needed.PLAN)
    if not calls and not any(isinstance(text, DeniedRead) for text in texts.values()):
        message = f"no workflow on {settings.default_branch} calls the reusable workflow"
        remedy = f"write it with `{setup}`, and push it to {settings.default_branch}"
        yield Check("workflows", CALLER, Answer.FAILED, message, remedy, Needed.PLAN)
    folders = frozenset(spec.rstrip("/") for spec in specs if spec.endswith("/"))
    for call in calls:
        yield from _of_triggers(call, settings.default_branch, folders, write_again)
        yield from _of_call(settings, call, write_again)
    if calls:
        yield from _of_specs(calls, specs, write_again)
        yield from _of_shared(calls)
        yield from _of_others(calls, texts)


def _of_triggers(
    call: WorkflowCall, branch: str, folders: frozenset[str], write_again: str
) -> Iterator[Check]:
    where = f"workflow {call.path}"
    found = missing_triggers(call, branch, folders)
    for event, (message, line) in found.items():
        needed = Needed.NOTHING if event == "schedule" else Needed.PLAN
        remedy = f"{line}, or {write_again}"
        yield Check(where, f"{call.job}: {event}", Answer.FAILED, message, remedy, needed)
    if not found:
        yield Check(where, f"{call.job}: triggers", Answer.OK, "each event that is needed starts it")


def _of_specs(calls: Sequence[WorkflowCall], specs: Sequence[str], write_again: str) -> Iterator[Check]:
    """Judge whether a call names each spec."""
    for spec in specs:
        path = spec.rstrip("/")
        callers = [call for call in calls if paths_below([path], call.specs)]
        if callers:
            yield Check("workflows", spec, Answer.OK, f"{callers[0].path} plans and applies it")
        elif all(call.specs for call in calls):
            message = "no call of the reusable workflow names it, so it is neither planned nor applied"
            remedy = f"write `spec: {path}` in {calls[0].path}, or {write_again}"
            yield Check("workflows", spec, Answer.FAILED, message, remedy, Needed.PLAN)
        else:
            message = "an expression makes the specs of a call, so it is unknown whether it is one of them"
            remedy = "list the specs in the matrix, and write `spec: ${{ matrix.spec }}`"
            yield Check("workflows", spec, Answer.UNKNOWN, message, remedy, Needed.PLAN)


def _of_shared(calls: Sequence[WorkflowCall]) -> Iterator[Check]:
    """Report specs and checks that belong to several calls."""
    named = [(spec, call) for call in calls for spec in call.specs]
    for number, (spec, call) in enumerate(named):
        for other, second in named[:number]:
            if paths_below([spec], [other]) or paths_below([other], [spec]):
                places = f"{second.path} ({second.job}) and {call.path} ({call.job})"
                message, remedy = f"each of its merges is applied twice, by {places}", "remove one of them"
                yield Check("workflows", f"{spec}: calls", Answer.FAILED, message, remedy)
    checks = [check for call in calls for check in call.checks]
    for name in sorted({check for check in checks if checks.count(check) > 1}):
        paths = ", ".join(dict.fromkeys(call.path for call in calls if name in call.checks))
        message = f"several calls report it ({paths}): the success of one passes for that of the other"
        remedy = "give the job of one of them another id, and require its check, too"
        yield Check("workflows", f"check `{name}`", Answer.FAILED, message, remedy)


def _of_others(
    calls: Sequence[WorkflowCall], texts: Mapping[str, str | DeniedRead | None]
) -> Iterator[Check]:
    """Report the workflows beside a call that apply, too, such as those before an upgrade."""
    known = {REUSABLE, *(call.path for call in calls)}
    for path, text in texts.items():
        if path in known or not path.startswith(f"{WORKFLOWS}/") or not isinstance(text, str):
            continue
        code = _without_comments(text)
        is_former = path in OWN_WORKFLOWS and _FORMER.search(code)
        if is_former or ("ssm-reconcile" in code and _APPLIES.search(code)):
            message = f"it also plans or applies, beside {calls[0].path}: two workflows act on each merge"
            yield Check("workflows", path, Answer.FAILED, message, f"remove it: git rm {path}")


def _of_call(settings: RepositorySettings, call: WorkflowCall, write_again: str) -> Iterator[Check]:
    where = f"workflow {call.path}"
    if call.version and not _SHA.fullmatch(call.version):
        message = f"{call.version} can be moved to other code, which then has your roles"
        remedy = f"name a full commit id, with the version as a comment: {write_again}"
        yield Check(where, f"{call.job}: version", Answer.FAILED, message, remedy)
    else:
        yield Check(where, f"{call.job}: version", Answer.OK, "it is a commit")
    missing = _missing_permissions(call)
    if missing:
        message = f"it does not grant {', '.join(missing)}: GitHub refuses each of its runs"
        remedy = f"add them to `permissions` of the job {call.job}"
        yield Check(where, f"{call.job}: permissions", Answer.FAILED, message, remedy, Needed.PLAN)
    else:
        yield Check(where, f"{call.job}: permissions", Answer.OK, "they are sufficient", "", Needed.PLAN)
    for name, needed in {"plan-role": Needed.PLAN, "apply-role": Needed.APPLY, "region": Needed.PLAN}.items():
        yield _of_input(settings, call, name, needed, write_again)
    if not call.checks:
        message = "an expression makes its matrix or name, so the names of its checks are unknown"
        remedy = f"require `NAME / {REQUIRED_CHECK}` for each spec, and list the specs in the matrix"
        yield Check(where, f"{call.job}: checks", Answer.UNKNOWN, message, remedy)
    if _may_decrypt(settings, call.inputs.get("no-decrypt", "")):
        message = "plans decrypt, so everyone who can push a branch can read the secrets"
        yield Check(where, f"{call.job}: no-decrypt", Answer.WARNING, message, "remove the input no-decrypt")


def _may_decrypt(settings: RepositorySettings, text: str) -> bool:
    variable = _DECRYPTS.fullmatch(text)
    return (_find_variable(settings, variable[1].upper(), "") if variable else text) == "false"


def _missing_permissions(call: WorkflowCall) -> list[str]:
    granted = call.permissions
    return [
        f"{name}: {level}" for name, level in PERMISSIONS.items() if granted.get(name) not in {level, "write"}
    ]


def _of_input(
    settings: RepositorySettings, call: WorkflowCall, name: str, needed: Needed, write_again: str
) -> Check:
    """Judge an input that must have a value; that of a variable is looked up."""
    where, subject, text = f"workflow {call.path}", f"{call.job}: {name}", call.inputs.get(name, "")
    variable = _VARIABLE.fullmatch(text)
    value = _find_variable(settings, variable[1].upper(), "") if variable else text
    if isinstance(value, DeniedRead):
        message = f"the variable {variable[1] if variable else ''} could not be read"
        return Check(where, subject, Answer.UNKNOWN, message, value.remedy, needed)
    if not value:
        message = f"the variable {variable[1]} is not set" if variable else "it is not given"
        remedy = f"set it: {settings.page}/settings/variables/actions" if variable else write_again
        return Check(where, subject, Answer.FAILED, message, remedy, needed)
    return Check(where, subject, Answer.OK, "it is given", "", needed)
