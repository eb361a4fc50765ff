"""Workflows of a repository -> checks of their calls of the reusable workflow. Pure.

A remedy names the command that writes the workflow again only if that command writes all of its specs and
inputs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor import Answer, Check, Needed
from ssm_reconcile.github.settings import WORKFLOWS, DeniedRead, RepositorySettings
from ssm_reconcile.github.workflow_calls import (
    DEFAULT_SPEC,
    INPUTS,
    PERMISSIONS,
    PLACEHOLDER,
    REQUIRED_CHECK,
    WRITTEN_CRON,
    WorkflowCall,
    missing_triggers,
    read_action_steps,
    read_calls,
)
from ssm_reconcile.github.workflow_run import paths_below

CALLER = f"{WORKFLOWS}/ssm-reconcile.yml"
REUSABLE = f"{WORKFLOWS}/replicate.yml"
"""The reusable workflow itself, in the repository of this project and in its copies."""
OWN_WORKFLOWS = {f"{WORKFLOWS}/plan.yml": Needed.PLAN, f"{WORKFLOWS}/apply.yml": Needed.APPLY}
"""The workflows of a repository that uses the action instead of the reusable workflow."""
APPLIES = re.compile(r"\bssm-apply\b|\bcommand:\s*['\"]?apply\b")
"""Signs of a workflow that applies by the action: the environment, or the command."""
_WRITTEN_INPUTS = frozenset({"spec", "plan-role", "apply-role", "region", "account"})
"""The inputs that `init --github` writes."""
_ONE_FILE = "Or remove it, and run `ssm-reconcile init --github` for a workflow that is checked"
_SCHEDULES = frozenset({"", "drift", "apply"})
_ACCOUNT = re.compile("[0-9]{12}")
_SHA = re.compile("[0-9a-f]{40}")
_PLAN_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/(ssm-reconcile-.+-)plan")
_WRITTEN_EVENTS = {
    "merge_group", "pull_request", "push", "repository_dispatch", "schedule", "workflow_dispatch",
}  # fmt: skip
"""The events that `init --github` writes."""
_VARIABLE = re.compile(r"\$\{\{\s*vars\.(\w+)\s*\}\}")
_COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)
_FORMER = re.compile(r"\bssm-reconcile(\s+-\S+)*\s+(plan|apply)\b|SSM_(PLAN|APPLY)_ROLE")
_DECRYPTS = re.compile(r"\$\{\{\s*vars\.(\w+)\s*!=\s*'false'\s*\}\}")
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_ALWAYS = re.compile(r"true|always\(\)|success\(\)|!\s*cancelled\(\)")
_BY_REF = re.compile(r"github\.(ref|head_ref|run_id|event_name|event\.pull_request)\b")
"""A group with one of these differs between pull requests and the default branch."""
_OF_PULL_REQUESTS = re.compile(r"github\.event_name\s*==\s*'pull_request'")


def find_calls(settings: RepositorySettings) -> tuple[WorkflowCall, ...]:
    """Return the calls of the reusable workflow on the default branch."""
    found: list[WorkflowCall] = []
    for path, text in _workflows(settings).items():
        if isinstance(text, str):
            found += read_calls(path, text) or ()
    return tuple(found)


def find_action_workflows(settings: RepositorySettings) -> dict[str, str]:
    """Return a use of the action in each workflow that plans or applies by it, by the path of the workflow.

    `plan.yml` and `apply.yml` have checks of their own, unless other workflows use the action, too.
    """
    found: dict[str, str] = {}
    for path, text in _workflows(settings).items():
        steps = read_action_steps(path, text) if isinstance(text, str) and path != REUSABLE else ()
        used = next((step.command for step in steps or () if step.may_change), None)
        if used is not None:
            found[path] = used
    return found if found.keys() - OWN_WORKFLOWS.keys() else {}


def is_partial(settings: RepositorySettings) -> bool:
    """Return whether a call may exist that could not be read."""
    return any(
        isinstance(text, DeniedRead) or _is_damaged(path, text) for path, text in _workflows(settings).items()
    )


def _workflows(settings: RepositorySettings) -> dict[str, str | DeniedRead | None]:
    texts = {WORKFLOWS: settings.files} if isinstance(settings.files, DeniedRead) else settings.files
    return {
        path: text for path, text in texts.items() if path == WORKFLOWS or path.startswith(f"{WORKFLOWS}/")
    }


def _is_damaged(path: str, text: str | None) -> bool:
    if text is None or not ("replicate.yml" in text or "ssm-reconcile" in text):
        return False
    return read_calls(path, text) is None


def setup_command(settings: RepositorySettings, specs: Sequence[str], *words: str) -> str:
    """Return the command of `init --github` for some specs.

    Args:
        settings: The settings of the repository.
        specs: The paths of the specs in the repository.
        words: More options of the command.
    """
    options = [] if settings.default_branch == "main" else ["--branch", settings.default_branch]
    if not settings.is_account_known:
        options += ["--account", next(filter(_ACCOUNT.fullmatch, _accounts(settings)), "ACCOUNT_ID")]
    names = tuple(map(settings.shown, specs))
    again = CommandLine(() if names == (DEFAULT_SPEC,) else names)
    return " ".join((again.init_github(settings.name, *options), *words))


def _accounts(settings: RepositorySettings) -> list[str]:
    return [call.inputs.get("account", "") for call in find_calls(settings)]


def check_calls(settings: RepositorySettings, specs: Sequence[str]) -> Iterator[Check]:
    """Judge the workflows that call the reusable workflow.

    Args:
        settings: The settings of the repository.
        specs: The paths of the specs in the repository; that of a folder ends with `/`.
    """
    calls = find_calls(settings)
    for path, text in _workflows(settings).items():
        if isinstance(text, DeniedRead):
            message = "it could not be read"
            yield Check("workflows", path, Answer.UNKNOWN, message, text.remedy, Needed.PLAN)
        elif _is_damaged(path, text):
            message = "it names ssm-reconcile, and cannot be read as YAML"
            remedy = f"correct it: {settings.page}/actions shows the line"
            yield Check("workflows", path, Answer.UNKNOWN, message, remedy, Needed.PLAN)
    others = {} if calls else find_action_workflows(settings)
    for path, used in others.items():
        message = f"not checked: this workflow of your own uses the action with `command: {used}`"
        remedy = f"compare it with docs/github-actions.md, and require its check. {_ONE_FILE}"
        yield Check("workflows", path, Answer.UNKNOWN, message, remedy, Needed.PLAN)
    if not calls and not others and not is_partial(settings):
        message = f"no workflow on {settings.default_branch} calls the reusable workflow"
        remedy = f"write it with `{setup_command(settings, specs)}`, and push it to {settings.default_branch}"
        yield Check("workflows", CALLER, Answer.FAILED, message, remedy, Needed.PLAN)
    folders = frozenset(spec.rstrip("/") for spec in specs if spec.endswith("/"))
    for call in calls:
        yield from _of_triggers(settings, call, folders)
        yield from _of_call(settings, call)
        yield from _of_runs(settings, call)
    if calls:
        yield from _of_specs(settings, calls, specs)
        yield from _of_shared(calls)
        yield from _of_others(settings, calls)


def check_placeholders(settings: RepositorySettings) -> Iterator[Check]:
    """Report steps whose action has the placeholder of the owner.

    Args:
        settings: The settings of the repository.
    """
    for path, text in _workflows(settings).items():
        steps = read_action_steps(path, text) if isinstance(text, str) and path != REUSABLE else ()
        if any(step.uses.startswith(f"{PLACEHOLDER}/") for step in steps or ()):
            message = f"a step uses {PLACEHOLDER}/ssm-reconcile, a placeholder: GitHub cannot resolve it"
            remedy = f"replace {PLACEHOLDER} in `uses` with the owner of ssm-reconcile on GitHub"
            yield Check("workflows", f"{path}: owner", Answer.FAILED, message, remedy, Needed.PLAN)


def _write_again(settings: RepositorySettings, call: WorkflowCall, *specs: str) -> str:
    """Return how to write a workflow again, for its specs and some more; empty if that would lose an edit."""
    if not (call.path == CALLER and call.is_generated and call.specs):
        return ""
    if not _is_as_written(call, settings.default_branch):
        return ""
    return f"write it again: `{setup_command(settings, (*call.specs, *specs), '--force')}`"


def _is_as_written(call: WorkflowCall, branch: str) -> bool:
    """Return whether triggers, inputs and permissions are those that `init --github` writes."""
    triggers, inputs = call.triggers, call.inputs
    plan_role = _PLAN_ROLE.fullmatch(inputs.get("plan-role", ""))
    has_paths = [
        one.removesuffix("/**") for one in triggers.get("push", {}).get("paths", ())
    ] == [*call.specs, CALLER]  # fmt: skip
    return bool(
        plan_role
        and inputs.get("apply-role", "").endswith(f":role/{plan_role[1]}apply")
        and inputs.keys() == _WRITTEN_INPUTS
        and dict(call.permissions) == PERMISSIONS
        and triggers.keys() == _WRITTEN_EVENTS
        and triggers["schedule"].get("cron") == (WRITTEN_CRON,)
        and all(triggers[one].get("branches") == (branch,) for one in ("merge_group", "pull_request", "push"))
        and has_paths
    )


def _or(first: str, second: str) -> str:
    return f"{first}, or {second}" if second else first


def _of_triggers(
    settings: RepositorySettings, call: WorkflowCall, folders: frozenset[str]
) -> Iterator[Check]:
    where = f"workflow {call.path}"
    found = missing_triggers(call, settings.default_branch, folders)
    for event, (message, line) in found.items():
        needed = Needed.PLAN if event in {"pull_request", "push"} else Needed.NOTHING
        yield Check(where, f"{call.job}: {event}", Answer.FAILED, message, line, needed)
    if not found:
        yield Check(where, f"{call.job}: triggers", Answer.OK, "each event that is needed starts it")


def _of_runs(settings: RepositorySettings, call: WorkflowCall) -> Iterator[Check]:
    """Report what skips or cancels the runs of a call."""
    where = f"workflow {call.path}"
    condition = _expression(call.condition)
    if condition == "false":
        message = f"its condition is false: the job never runs, and a merge waits for `{REQUIRED_CHECK}`"
        remedy = f"remove `if` of the job {call.job}"
        yield Check(where, f"{call.job}: if", Answer.FAILED, message, remedy, Needed.PLAN)
    elif condition and not _ALWAYS.fullmatch(condition) and not _is_here(condition, settings.name):
        message = "whether its condition holds for each event, also for a pull request, is unknown"
        remedy = f"remove `if` of the job {call.job}: without a run, a merge waits for `{REQUIRED_CHECK}`"
        yield Check(where, f"{call.job}: if", Answer.UNKNOWN, message, remedy, Needed.PLAN)
    if call.is_fail_fast:
        message = "if one spec fails, GitHub cancels the jobs of the others, also while they apply"
        remedy = f"write `fail-fast: false` under `strategy` of the job {call.job}"
        yield Check(where, f"{call.job}: fail-fast", Answer.FAILED, message, remedy)
    if call.conditional_needs and condition not in {"always()", "!cancelled()", "! cancelled()"}:
        names = ", ".join(call.conditional_needs)
        message = f"it needs {names}, which has a condition: if that job is skipped, this one is skipped, too"
        remedy = f"remove `needs` of the job {call.job}: without a run, a merge waits for `{REQUIRED_CHECK}`"
        yield Check(where, f"{call.job}: needs", Answer.UNKNOWN, message, remedy, Needed.PLAN)
    # A run of a pull request must not be in the group of one that applies.
    is_by_ref = all(_BY_REF.search(group) for group in call.groups)
    cancels = [
        text
        for text in map(_expression, call.cancels)
        if text != "false" and not (is_by_ref and _OF_PULL_REQUESTS.fullmatch(text))
    ]
    remedy = "remove `concurrency`: the reusable workflow has its own queues"
    if not cancels and any("github.run_id" not in group for group in call.groups):
        message = "GitHub keeps one waiting run of a group: a newer run cancels one that waits to apply"
        yield Check(where, f"{call.job}: concurrency", Answer.WARNING, message, remedy)
    for text in cancels:
        is_known = text == "true" or bool(_OF_PULL_REQUESTS.fullmatch(text))
        message = "a newer run cancels one that applies"
        message = message if is_known else f"whether {message} is unknown: an expression decides"
        answer = Answer.FAILED if is_known else Answer.UNKNOWN
        yield Check(where, f"{call.job}: concurrency", answer, message, remedy)


def _expression(text: str) -> str:
    """Return a text without the signs of an expression around all of it."""
    found = _EXPRESSION.fullmatch(text.strip())
    return found[1] if found else text.strip()


def _is_here(condition: str, repository: str) -> bool:
    """Return whether a condition only says that the workflow is in this repository, and not in a fork."""
    owner = repository.partition("/")[0]
    return bool(
        re.fullmatch(rf"github\.repository\s*==\s*'{re.escape(repository)}'", condition)
        or re.fullmatch(rf"github\.repository_owner\s*==\s*'{re.escape(owner)}'", condition)
    )


def _of_specs(
    settings: RepositorySettings, calls: Sequence[WorkflowCall], specs: Sequence[str]
) -> Iterator[Check]:
    """Judge whether a call names each spec."""
    for spec in specs:
        path = spec.rstrip("/")
        callers = [call for call in calls if paths_below([path], call.specs)]
        if callers:
            yield Check("workflows", spec, Answer.OK, f"{callers[0].path} plans and applies it")
        elif not all(call.specs for call in calls):
            message = "an expression makes the specs of a call, so it is unknown whether it is one of them"
            remedy = "list the specs in the matrix, and write `spec: ${{ matrix.spec }}`"
            yield Check("workflows", spec, Answer.UNKNOWN, message, remedy, Needed.PLAN)
        elif is_partial(settings):
            message = "no call that could be read names it, and a workflow could not be read"
            remedy = "read that workflow yourself"
            yield Check("workflows", spec, Answer.UNKNOWN, message, remedy, Needed.PLAN)
        elif below := [one for call in calls for one in call.specs if paths_below([one], [path])]:
            message = "no call names the folder; calls name specs in it"
            remedy = (
                f"check these specs: `ssm-reconcile doctor --github {shlex.join(map(settings.shown, below))}`"
            )
            yield Check("workflows", spec, Answer.UNKNOWN, message, remedy, Needed.PLAN)
        else:
            message = "no call of the reusable workflow names it, so it is neither planned nor applied"
            first = next((call for call in calls if call.path == CALLER), calls[0])
            remedy = f"write `spec: {path}` in {first.path}, beside {', '.join(first.specs)} in a matrix"
            if all(call.path != CALLER for call in calls):
                again = f"write {CALLER} for it: `{setup_command(settings, [path])}`"
                again = again if _workflows(settings).get(CALLER) is None else ""
            else:
                again = _write_again(settings, first, path)
            yield Check("workflows", spec, Answer.FAILED, message, _or(remedy, again), Needed.PLAN)


def _of_shared(calls: Sequence[WorkflowCall]) -> Iterator[Check]:
    """Report specs and checks that belong to several calls."""
    named = [(spec, call) for call in calls for spec in call.specs]
    for number, (spec, call) in enumerate(named):
        for other, second in named[:number]:
            if paths_below([spec], [other]) or paths_below([other], [spec]):
                places = f"{second.path} ({second.job}) and {call.path} ({call.job})"
                message, remedy = f"each of its merges is applied twice, by {places}", "remove one of them"
                yield Check("workflows", f"{spec}: calls", Answer.FAILED, message, remedy)
            elif spec.lower() == other.lower():
                message = f"its path and {other} differ in case only: GitHub gives both the same queue"
                yield Check("workflows", f"{spec}: path", Answer.FAILED, message, "rename one of them")
    checks = [check for call in calls for check in call.checks]
    for name in sorted({check for check in checks if checks.count(check) > 1}):
        paths = ", ".join(dict.fromkeys(call.path for call in calls if name in call.checks))
        message = f"several calls report it ({paths}): the success of one passes for that of the other"
        remedy = "give the job of one of them another id, and require its check, too"
        yield Check("workflows", f"check `{name}`", Answer.FAILED, message, remedy)


def _of_others(settings: RepositorySettings, calls: Sequence[WorkflowCall]) -> Iterator[Check]:
    """Report the workflows beside a call that apply, too, such as those before an upgrade."""
    known = {REUSABLE, *(call.path for call in calls)}
    for path, text in _workflows(settings).items():
        if path in known or not path.startswith(f"{WORKFLOWS}/") or not isinstance(text, str):
            continue
        code = without_comments(text)
        uses = any(step.may_change for step in read_action_steps(path, text) or ())
        is_former = path in OWN_WORKFLOWS and (uses or _FORMER.search(code))
        if is_former or ("ssm-reconcile" in code and APPLIES.search(code)):
            message = f"it also plans or applies, beside {calls[0].path}: two workflows act on each merge"
            yield Check(
                "workflows", path, Answer.FAILED, message, f"remove it: git rm {settings.shown(path)}"
            )


def without_comments(text: str) -> str:
    """Return the text of a workflow without its comments."""
    return _COMMENT.sub("", text)


def _of_call(settings: RepositorySettings, call: WorkflowCall) -> Iterator[Check]:
    where = f"workflow {call.path}"
    if call.version and not _SHA.fullmatch(call.version):
        message = f"{call.version} can be moved to other code, which then has your roles"
        remedy = "name a full commit id, with the version as a comment"
        remedy = _or(remedy, _write_again(settings, call))
        yield Check(where, f"{call.job}: version", Answer.FAILED, message, remedy)
    else:
        yield Check(where, f"{call.job}: version", Answer.OK, "it is a commit")
    if call.repository.partition("/")[0] == PLACEHOLDER:
        message = f"`uses: {call.repository}/…` has the placeholder {PLACEHOLDER}: GitHub cannot resolve it"
        remedy = (
            f"replace {PLACEHOLDER} in `uses` of the job {call.job} with the owner of ssm-reconcile on GitHub"
        )
        yield Check(where, f"{call.job}: owner", Answer.FAILED, message, remedy, Needed.PLAN)
    missing = _missing_permissions(call)
    if missing:
        message = f"it does not grant {', '.join(missing)}: GitHub refuses each of its runs"
        remedy = f"add them to `permissions` of the job {call.job}"
        yield Check(where, f"{call.job}: permissions", Answer.FAILED, message, remedy, Needed.PLAN)
    else:
        yield Check(where, f"{call.job}: permissions", Answer.OK, "they are sufficient", "", Needed.PLAN)
    for name, needed in {"plan-role": Needed.PLAN, "apply-role": Needed.APPLY, "region": Needed.PLAN}.items():
        yield _of_input(settings, call, name, needed)
    if unknown := sorted(call.inputs.keys() - INPUTS):
        message = f"the reusable workflow of this version has no input {', '.join(unknown)}"
        remedy = f"correct the name under `with` of the job {call.job}: GitHub refuses each of its runs"
        yield Check(where, f"{call.job}: inputs", Answer.FAILED, message, remedy, Needed.PLAN)
    schedule = call.inputs.get("schedule", "")
    if "${{" not in schedule and schedule not in _SCHEDULES:
        message = f"{schedule} is neither drift nor apply"
        yield Check(where, f"{call.job}: schedule input", Answer.FAILED, message, "write one of the two")
    if not call.checks:
        message = "an expression makes its matrix or name, so the names of its checks are unknown"
        remedy = f"require `NAME / {REQUIRED_CHECK}` for each spec, and list the specs in the matrix"
        yield Check(where, f"{call.job}: checks", Answer.UNKNOWN, message, remedy)
    if _may_decrypt(settings, call.inputs.get("no-decrypt", "")):
        message = "plans decrypt, so everyone who can push a branch can read the secrets"
        yield Check(where, f"{call.job}: no-decrypt", Answer.WARNING, message, "remove the input no-decrypt")


def _may_decrypt(settings: RepositorySettings, text: str) -> bool:
    variable = _DECRYPTS.fullmatch(text)
    return (settings.find_variable(variable[1].upper(), "") if variable else text) == "false"


def _missing_permissions(call: WorkflowCall) -> list[str]:
    granted = call.permissions
    return [
        f"{name}: {level}" for name, level in PERMISSIONS.items() if granted.get(name) not in {level, "write"}
    ]


def _of_input(settings: RepositorySettings, call: WorkflowCall, name: str, needed: Needed) -> Check:
    """Judge an input that must have a value; that of a variable is looked up."""
    where, subject, text = f"workflow {call.path}", f"{call.job}: {name}", call.inputs.get(name, "")
    variable = _VARIABLE.fullmatch(text)
    value = settings.find_variable(variable[1].upper(), "") if variable else text
    if isinstance(value, DeniedRead):
        message = f"the variable {variable[1] if variable else ''} could not be read"
        return Check(where, subject, Answer.UNKNOWN, message, value.remedy, needed)
    if not value:
        message = f"the variable {variable[1]} is not set" if variable else "it is not given"
        remedy = f"write it under `with` of the job {call.job}"
        if variable:
            remedy = f"set it: {settings.page}/settings/variables/actions"
        return Check(where, subject, Answer.FAILED, message, remedy, needed)
    return Check(where, subject, Answer.OK, "it is given", "", needed)
