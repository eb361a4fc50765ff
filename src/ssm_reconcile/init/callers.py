"""Workflows of a repository and specs -> whether another workflow already calls for these specs. Pure.

Two calls for one spec would apply each merge twice. So `init --github` writes no second one: it keeps the
workflows that exist, or refuses.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.workflow_calls import WorkflowCall, read_action_steps, read_calls
from ssm_reconcile.github.workflow_run import paths_below

_REUSABLE = ".github/workflows/replicate.yml"
"""The reusable workflow itself, in a copy of this project."""


def other_callers(
    workflow: str, texts: Mapping[str, str], specs: Sequence[str], *, may_keep: bool
) -> dict[str, tuple[str, ...]]:
    """Return the workflows beside one that call for some specs, each with these specs.

    Args:
        workflow: The path of the workflow that `init --github` writes.
        texts: The text of each workflow by its path.
        specs: The paths of the specs in the repository; that of a folder may end with `/`.
        may_keep: Whether these workflows may stay as they are instead of a new one.

    Raises:
        UsageError: The specs of a workflow are unknown, or a spec would be called twice.
    """
    names = [spec.rstrip("/") for spec in specs]
    found: dict[str, tuple[str, ...]] = {}
    calls = [call for path, text in texts.items() for call in _calls_of(path, text, workflow)]
    for call in calls:
        shared = tuple(name for name in names if any(_overlap(name, one) for one in call.specs))
        if call.path != workflow and not call.specs:
            message = f"{call.path} calls the reusable workflow, and its specs could not be read"
            raise UsageError(message, "write its specs as a list in the matrix")
        if call.path != workflow and shared:
            found[call.path] = (*found.get(call.path, ()), *shared)
    covered = {spec for call in calls for spec in call.specs}
    if found and not (may_keep and set(names) <= covered):
        path, shared = next(iter(found.items()))
        listed = ", ".join(shared)
        message = f"{path} already plans and applies {listed}: a second call would apply each merge twice"
        remedy = f"leave out {listed}"
        if covered >= set(shared):
            remedy += "; for the settings of that workflow, name its specs only, and --apply without --force"
        raise UsageError(message, remedy)
    return found


def applying_workflows(workflow: str, texts: Mapping[str, str]) -> list[str]:
    """Return the workflows beside one that apply by the composite action.

    Args:
        workflow: The path of the workflow that `init --github` writes.
        texts: The text of each workflow by its path.
    """
    return [
        path for path, text in texts.items() if path not in {workflow, _REUSABLE} and _may_apply(path, text)
    ]


def _may_apply(path: str, text: str) -> bool:
    """Return whether a workflow applies by the composite action, or that is unknown."""
    steps = read_action_steps(path, text)
    return "ssm-reconcile" in text if steps is None else any(step.may_apply for step in steps)


def check_applying(workflow: str, texts: Mapping[str, str]) -> None:
    """Check that no other workflow applies by the composite action.

    Args:
        workflow: The path of the new workflow.
        texts: The text of each workflow by its path.

    Raises:
        UsageError: One does: with the new workflow, each merge would be applied twice.
    """
    found = applying_workflows(workflow, texts)
    if found:
        message = f"{found[0]} already applies by the action: a second workflow would apply each merge twice"
        remedy = (
            f"`git rm {shlex.join(found)}`, and run this command again; --force writes it beside the other"
        )
        raise UsageError(message, remedy)


def checks_of(path: str, text: str, branch: str, remedy: str) -> tuple[str, ...]:
    """Return the checks that a workflow reports on pull requests to a branch.

    Args:
        path: The path of the workflow.
        text: Its text.
        branch: The default branch.
        remedy: What to do if they are unknown.

    Raises:
        UsageError: They are not known, so a ruleset would require the wrong ones.
    """
    calls = read_calls(path, text)
    reporting = [call for call in calls or () if call.is_for_pulls(branch)]
    if not calls or not all(call.checks for call in reporting):
        raise UsageError(f"{path} exists, and the checks that it reports could not be read", remedy)
    return tuple(dict.fromkeys(check for call in reporting for check in call.checks))


def checks_of_others(workflow: str, texts: Mapping[str, str], branch: str) -> tuple[str, ...]:
    """Return the checks that the workflows beside one report on pull requests to a branch.

    Args:
        workflow: The path of the workflow that `init --github` writes.
        texts: The text of each workflow by its path.
        branch: The default branch.

    Raises:
        UsageError: They are not known.
    """
    found: list[str] = []
    for path, text in texts.items():
        if path != workflow and _calls_of(path, text, workflow):
            found += checks_of(path, text, branch, "write its specs as a list in the matrix")
    return tuple(dict.fromkeys(found))


def specs_without_call(text: str, specs: Sequence[str]) -> list[str]:
    """Return the specs that no call of a workflow names.

    Args:
        text: The text of the workflow.
        specs: The paths of the specs in the repository; that of a folder may end with `/`.
    """
    known = [spec for call in read_calls("", text) or () for spec in call.specs]
    return [spec for spec in specs if not paths_below([spec.rstrip("/")], known)]


def lost_parts(path: str, before: str, after: str) -> list[str]:
    """Return notes on the specs and inputs that a workflow no longer has.

    Args:
        path: The path of the workflow.
        before: Its former text.
        after: Its new text.
    """
    (new,) = read_calls(path, after) or ()
    notes = []
    for old in read_calls(path, before) or ():
        specs = [spec for spec in old.specs if spec not in new.specs]
        inputs = [
            f"{name}: {value}"
            for name, value in old.inputs.items()
            if name != "spec" and value != new.inputs.get(name)
        ]
        if specs:
            notes.append(f"{path} no longer calls for {', '.join(specs)}: it is neither planned nor applied.")
        if inputs:
            notes.append(f"{path} no longer has {'; '.join(inputs)}: write it under `with` if you need it.")
    return notes


def _calls_of(path: str, text: str, workflow: str) -> Sequence[WorkflowCall]:
    """Return the calls of a workflow; raises UsageError if it is not YAML and may have one."""
    calls = read_calls(path, text)
    if calls is None and path != workflow and "replicate.yml" in text:
        raise UsageError(f"{path} cannot be read as YAML, and it names the reusable workflow", "correct it")
    return calls or ()


def _overlap(first: str, second: str) -> bool:
    """Return whether one of two paths is the other, in any case, or contains it."""
    one, other = first.lower(), second.lower()
    return bool(paths_below([one], [other]) or paths_below([other], [one]))
