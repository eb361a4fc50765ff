"""Text of a workflow -> its calls of the reusable workflow, with their triggers, specs and inputs. Pure.

A pattern of branches or paths is understood with the wildcards `*` and `**`, and `!` before it. Any other one
matches nothing, so a filter that is not understood does not pass for one that fits. Sources: GitHub docs,
"Workflow syntax", "Reusing workflows".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ssm_reconcile.load.messages import SpecFindings
from ssm_reconcile.load.tree import ListNode, MappingNode, Node, ScalarKind, ScalarNode, documents

REQUIRED_CHECK = "SSM check"
OWN_CHECK = re.compile(r"([^/]+( \(.*\))? / )?SSM check")
"""The names that the check has: in a job, by a call, and by a call for one spec of a matrix."""
ACTIONS_APP = 15368
"""The id of the app GitHub Actions on github.com, which reports the check."""
PERMISSIONS = {
    "actions": "read", "checks": "write", "contents": "read", "id-token": "write", "issues": "write",
    "pull-requests": "write",
}  # fmt: skip
"""The permissions of the jobs of the reusable workflow together."""
INPUTS = frozenset({
    "spec", "plan-role", "apply-role", "region", "account", "schedule", "no-decrypt", "session-seconds",
})  # fmt: skip
"""The inputs of the reusable workflow."""
DISPATCH_INPUTS = {
    "mode": "{ type: choice, options: [drift, apply], default: drift }",
    "plan-id": '{ type: string, default: "" }',
    "lift": '{ type: string, default: "" }',
}
"""The inputs of a start by hand that the reusable workflow reads, each with its lines."""
WRITTEN_CRON = "23 4/6 * * *"
DEFAULT_SPEC = "replication.yaml"
"""The spec of a call that names none."""
PLACEHOLDER = "OWNER"
"""The owner in the address of this project as long as nothing is released."""
_REPOSITORY = r"[^/@\s]+/(?i:ssm-reconcile)"
"""This project or a fork with its name: another repository may have a workflow `replicate.yml`, too."""
_USES = re.compile(
    r"(?:\./|(?P<repository>[^/@\s]+/[^/@\s]+)/)\.github/workflows/replicate\.yml(?:@(?P<version>.+))?"
)
_ROLES = frozenset({"plan-role", "apply-role"})
_ACTION = re.compile(r"(?i)(.*/)?\.?ssm-reconcile(@.+)?")
_MATRIX = re.compile(r"\$\{\{\s*matrix\.(\w[\w-]*)\s*\}\}")
_PATTERN = re.compile(r"[A-Za-z0-9._/* -]+")
_MOST_STARS = 4
"""Maximum wildcards of a pattern: the time of a comparison grows with their number."""
_PULL_REQUEST_TYPES = frozenset({"opened", "synchronize", "reopened"})
_CRON = re.compile(r"\s*[^\s]+(\s+[^\s]+){4}\s*")
_GENERATED_KEYS = (
    frozenset({"name", "on", "permissions", "jobs"}),
    frozenset({"strategy", "uses", "permissions", "with"}),
)
"""The keys of the workflow, and of its job, that `init --github` writes."""
_Filters = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class WorkflowCall:
    """A job that calls the reusable workflow.

    Attributes:
        path: The file of the workflow.
        job: The name of the job.
        repository: The repository of the reusable workflow; empty for a file of the same repository.
        version: The text behind `@`; empty for a file of the same repository.
        permissions: The permissions that the job grants.
        inputs: The text of each input.
        checks: The checks to require, one for each value of a matrix; empty if an expression makes them.
        specs: The specs, one for each value of a matrix; empty if another expression makes them.
        triggers: The filters of each event that starts the workflow; those of `schedule` are its cron lines.
        condition: The text of `if` of the job; empty without it.
        cancels: The text of `cancel-in-progress` of the job and of the workflow, for each that has it.
        groups: The text of `group` of `concurrency` of the job and of the workflow, for each that has it.
        conditional_needs: The jobs of the same workflow that the job needs and that have an `if`.
        is_fail_fast: Whether the failure of one spec of a matrix cancels the others.
        is_generated: Whether the workflow has the keys and the job that `init --github` writes, and no other.
    """

    path: str
    job: str
    repository: str
    version: str
    permissions: Mapping[str, str]
    inputs: Mapping[str, str]
    checks: tuple[str, ...]
    specs: tuple[str, ...]
    triggers: Mapping[str, _Filters]
    condition: str = ""
    cancels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    conditional_needs: tuple[str, ...] = ()
    is_fail_fast: bool = False
    is_generated: bool = False

    def is_for_pulls(self, branch: str) -> bool:
        """Return whether pull requests to a branch start the call, so that it reports its checks on them."""
        filters = self.triggers.get("pull_request")
        return filters is not None and _admits(filters, "branches", branch)

    @property
    def has_unknown_filter(self) -> bool:
        """Whether a filter of the branches of pull requests has a pattern that is not understood."""
        filters = self.triggers.get("pull_request", {})
        patterns = (*filters.get("branches", ()), *filters.get("branches-ignore", ()))
        return not all(_is_understood(pattern.removeprefix("!")) for pattern in patterns)


def read_calls(path: str, text: str) -> tuple[WorkflowCall, ...] | None:
    """Return the calls of the reusable workflow in a workflow; None if the text is not YAML.

    Args:
        path: The path of the workflow.
        text: The text of the workflow.
    """
    root = _root_of(path, text)
    if root is None:
        return None
    jobs = {name: _entries(job) for name, job in _entries(root.get("jobs")).items()}
    triggers = _triggers_of(root.get("on"))
    calls = (
        _call_of(path, name, {"permissions": root.get("permissions"), **job}, triggers)
        for name, job in jobs.items()
    )
    shared, groups, keys = _cancels(root), _groups(root), root.keys() - _GENERATED_KEYS[0]
    return tuple(
        replace(
            call,
            cancels=(*call.cancels, *shared),
            groups=(*_groups(jobs[call.job]), *groups),
            conditional_needs=tuple(
                one for one in _texts(jobs[call.job].get("needs")) if "if" in jobs.get(one, {})
            ),
            is_generated=list(jobs) == ["ssm"] and not keys | (jobs["ssm"].keys() - _GENERATED_KEYS[1]),
        )
        for call in calls
        if call is not None
    )


def _root_of(path: str, text: str) -> dict[str, Node] | None:
    """Return the entries of a workflow, whose scripts may be longer than a value of a spec."""
    found = documents(text.removeprefix("\ufeff"), path, SpecFindings(), longest=len(text))
    return _entries(found[0].root) if len(found) == 1 else None


class ActionStep(NamedTuple):
    """A step that uses the composite action, with the texts of two of its inputs."""

    uses: str
    command: str
    plan_workflow: str

    @property
    def may_apply(self) -> bool:
        """Whether it applies, or an expression decides."""
        return self.command == "apply" or "${{" in self.command

    @property
    def may_change(self) -> bool:
        """Whether it plans or applies, or an expression decides."""
        return self.may_apply or self.command == "plan"


def read_action_steps(path: str, text: str) -> tuple[ActionStep, ...] | None:
    """Return the steps of a workflow that use the composite action; None if the text is not YAML.

    A step of a fork with another name is recognised by its input `plan-workflow`.

    Args:
        path: The path of the workflow.
        text: The text of the workflow.
    """
    root = _root_of(path, text)
    if root is None:
        return None
    jobs = _entries(root.get("jobs"))
    lists = [_entries(job).get("steps") for job in jobs.values()]
    steps = [_entries(step) for one in lists if isinstance(one, ListNode) for step in one.items]
    read: list[ActionStep] = []
    for step in steps:
        uses, inputs = _text(step.get("uses")), _entries(step.get("with"))
        if _ACTION.fullmatch(uses) or (uses and "plan-workflow" in inputs):
            command = _text(inputs.get("command")) or "plan"
            read.append(ActionStep(uses, command, _text(inputs.get("plan-workflow"))))
    return tuple(read)


def _entries(node: Node | None) -> dict[str, Node]:
    return {key.text: value for key, value in node.entries} if isinstance(node, MappingNode) else {}


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, ScalarNode) else ""


def _input_text(node: Node) -> str:
    """Return the text of an input; null gives none."""
    return "" if isinstance(node, ScalarNode) and node.kind is ScalarKind.NULL else _text(node)


def _texts(node: Node | None) -> tuple[str, ...]:
    """Return the texts of a list, the keys of a mapping, or the text of one value."""
    if isinstance(node, MappingNode):
        return tuple(_entries(node))
    items = node.items if isinstance(node, ListNode) else () if node is None else (node,)
    return tuple(_text(item) for item in items if isinstance(item, ScalarNode))


def _triggers_of(node: Node | None) -> dict[str, _Filters]:
    if not isinstance(node, MappingNode):
        return {event: {} for event in _texts(node)}
    found: dict[str, _Filters] = {}
    for event, filters in _entries(node).items():
        found[event] = {name: _texts(values) for name, values in _entries(filters).items()}
        if isinstance(filters, ListNode):
            found[event] = {"cron": tuple(_text(_entries(one).get("cron")) for one in filters.items)}
    return found


def _cancels(entries: Mapping[str, Node | None]) -> tuple[str, ...]:
    """Return the text of `cancel-in-progress`, if there is one."""
    node = _entries(entries.get("concurrency")).get("cancel-in-progress")
    return () if node is None else (_text(node),)


def _groups(entries: Mapping[str, Node | None]) -> tuple[str, ...]:
    """Return the group of `concurrency`, if there is one."""
    node = entries.get("concurrency")
    text = _text(node) or _text(_entries(node).get("group"))
    return (text,) if text else ()


def _call_of(
    path: str, name: str, job: Mapping[str, Node | None], triggers: Mapping[str, _Filters]
) -> WorkflowCall | None:
    """Return the call of a job, whose permissions are those of the workflow unless it has its own."""
    uses = _USES.fullmatch(_text(job.get("uses")))
    if uses is None:
        return None
    granted = job.get("permissions")
    permissions = {key: _text(value) for key, value in _entries(granted).items()}
    if _text(granted) == "write-all":
        permissions = dict(PERMISSIONS)
    label = _text(job.get("name")) or name
    strategy = _entries(job.get("strategy"))
    matrix = _entries(strategy.get("matrix"))
    values: tuple[str, ...] = ("",)
    if "strategy" in job:
        lists = list(matrix.values())
        values = _texts(lists[0]) if len(lists) == 1 and isinstance(lists[0], ListNode) else ()
    labels = (f"{label} ({value})" if value else label for value in values)
    inputs = {key: _input_text(value) for key, value in _entries(job.get("with")).items()}
    if not (re.fullmatch(_REPOSITORY, uses["repository"] or "") or inputs.keys() & _ROLES):
        return None  # another workflow with this name
    checks = tuple(f"{one} / {REQUIRED_CHECK}" for one in labels)
    if "${{" in label:
        checks = ()
    repository = uses["repository"] or ""
    version = (uses["version"] or "unknown") if repository else ""
    specs = _specs_of(inputs.get("spec", DEFAULT_SPEC), matrix)
    is_fail_fast = len(values) != 1 and _text(strategy.get("fail-fast")) != "false"
    condition = _text(job.get("if"))
    return WorkflowCall(
        path, name, repository, version, permissions, inputs, checks, specs, triggers, condition,
        _cancels(job), is_fail_fast=is_fail_fast,
    )  # fmt: skip


def _specs_of(given: str, matrix: Mapping[str, Node]) -> tuple[str, ...]:
    key = _MATRIX.fullmatch(given)
    listed = matrix.get(key[1]) if key else None
    values = (given,) if key is None else _texts(listed) if isinstance(listed, ListNode) else ()
    if any("${{" in value for value in values):
        return ()
    return tuple(value.removeprefix("./").rstrip("/") for value in values)


def missing_triggers(call: WorkflowCall, branch: str, folders: frozenset[str]) -> dict[str, tuple[str, str]]:
    """Return a message and the line to write for each event that does not start a workflow as it has to.

    Args:
        call: The call.
        branch: The default branch.
        folders: The specs that are known to be folders, without `/` at the end.
    """
    found: dict[str, tuple[str, str]] = {}
    is_folder = {spec: spec in folders or not spec.endswith((".yaml", ".yml")) for spec in call.specs}
    written = ", ".join(f"{spec}/**" if is_folder[spec] else spec for spec in call.specs)
    filters = call.triggers.get("pull_request")
    line = f"write `pull_request: {{ branches: [{branch}] }}` under `on`"
    if filters is None:
        found["pull_request"] = ("pull requests do not start it, so none is planned", line)
    elif not _admits(filters, "branches", branch):
        found["pull_request"] = (f"pull requests to {branch} do not start it", line)
    elif filters.keys() & {"paths", "paths-ignore"}:
        message = "its filter of paths leaves the required check pending on other pull requests"
        found["pull_request"] = (message, line)
    elif "types" in filters and not set(filters["types"]) >= _PULL_REQUEST_TYPES:
        found["pull_request"] = ("its types leave out new pull requests or new commits", line)
    filters = call.triggers.get("push")
    line = f"write `push: {{ branches: [{branch}], paths: [{written or 'SPEC'}, {call.path}] }}` under `on`"
    if filters is None:
        found["push"] = ("a merge does not start it, so nothing is applied", line)
    elif not _admits(filters, "branches", branch) or _is_for_tags(filters):
        found["push"] = (f"a push to {branch} does not start it, so nothing is applied", line)
    elif missed := [
        spec
        for spec in call.specs
        if not _admits(filters, "paths", f"{spec}/new.yaml" if is_folder[spec] else spec)
    ]:
        found["push"] = (f"its filter of paths leaves out {missed[0]}: a merge of it applies nothing", line)
    return found | _missing_starts(call)


def _missing_starts(call: WorkflowCall) -> dict[str, tuple[str, str]]:
    """Return the faults of the events that are neither a pull request nor a merge."""
    found: dict[str, tuple[str, str]] = {}
    lines = call.triggers.get("schedule", {}).get("cron", ())
    line = f'write `schedule: [{{ cron: "{WRITTEN_CRON}" }}]` under `on`'
    if not lines:
        found["schedule"] = ("no schedule starts it, so drift is not detected", line)
    elif wrong := [one for one in lines if not _CRON.fullmatch(one)]:
        found["schedule"] = (f"{wrong[0] or 'an empty text'} is not a schedule", line)
    filters = call.triggers.get("workflow_dispatch")
    missing = [name for name in DISPATCH_INPUTS if name not in (filters or {}).get("inputs", ())]
    inputs = ", ".join(f"{name}: {DISPATCH_INPUTS[name]}" for name in missing)
    line = f"write `workflow_dispatch: {{ inputs: {{ {inputs} }} }}` under `on`, with its other inputs"
    if filters is None:
        message = "no one can start it by hand, such as to apply a plan that a merge refused"
        found["workflow_dispatch"] = (message, line)
    elif missing:
        message = f"a start by hand has no input {', '.join(missing)}"
        found["workflow_dispatch"] = (message, line)
    if "pull_request_target" in call.triggers:
        message = "a pull request of a fork starts it with the permissions of the default branch"
        found["pull_request_target"] = (message, "remove `pull_request_target` under `on`")
    return found


def _is_for_tags(filters: _Filters) -> bool:
    """Return whether the filters of pushes name tags only: then no push of a branch starts the workflow."""
    has_branches = filters.keys() & {"branches", "branches-ignore"}
    return not has_branches and bool(filters.keys() & {"tags", "tags-ignore"})


def _admits(filters: _Filters, kind: str, name: str) -> bool:
    """Return whether the filters of one kind, such as branches, let a name pass."""
    if kind in filters and not _is_selected(filters[kind], name):
        return False
    return not _is_selected(filters.get(f"{kind}-ignore", ()), name)


def _is_selected(patterns: Sequence[str], name: str) -> bool:
    """Return whether the last pattern that matches a name selects it: one with `!` does not."""
    found = False
    for pattern in patterns:
        if _matches(pattern.removeprefix("!"), name):
            found = not pattern.startswith("!")
    return found


def _is_understood(pattern: str) -> bool:
    return bool(_PATTERN.fullmatch(pattern)) and pattern.count("*") <= _MOST_STARS


def _matches(pattern: str, name: str) -> bool:
    if not _is_understood(pattern):
        return False
    words = re.split(r"(\*\*/|\*\*|\*)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.fullmatch("".join(known.get(word) or re.escape(word) for word in words), name) is not None
