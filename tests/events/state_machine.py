"""Interpreter for the state machine of the template: its definition and a Python callable -> an execution.

It knows the part of Amazon States Language that the definition uses: Task with Retry and Catch, Choice, Pass,
Succeed, Fail, JSONPath with names only, `States.MathAdd`, and the context object. Waits advance no clock:
their seconds are listed. Everything else raises `NotImplementedError`, so that no new construct is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.events.templates import loaded, rendered

ALL = "States.ALL"
INVOKE = "arn:aws:states:::lambda:invoke"
MOST_STEPS = 10_000
_KEYS = {
    "Task": {"Resource", "TimeoutSeconds", "Parameters", "OutputPath", "Retry", "Catch", "Next"},
    "Choice": {"Choices", "Default"},
    "Pass": {"Result", "Parameters", "Next"},
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
}


class TaskError(Exception):
    """An error of a task, with its name as Step Functions reports it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True)
class Execution:
    """A finished execution.

    Attributes:
        status: `SUCCEEDED` or `FAILED`.
        error: The error of a failed execution, as the console shows it.
        states: The names of its states, in order.
        waits: The longest waits before each retry, in seconds (jitter can only shorten them).
        output: The last output.
    """

    status: str = "RUNNING"
    error: str | None = None
    states: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    output: Any = None


def definition(**parameters: str) -> dict[str, Any]:
    """Return the definition in deploy/template.yaml."""
    machine = loaded("template.yaml")["Resources"]["WholeRun"]["Properties"]["Definition"]
    found: dict[str, Any] = rendered(machine, **parameters)
    return found


def run(
    machine: Mapping[str, Any],
    invoke: Callable[[str, Any], Any],
    *,
    given: Any = None,
    execution: str = "execution-1",
) -> Execution:
    """Run a state machine to its end.

    Args:
        machine: The definition.
        invoke: The function: its name and the payload -> its result. `TaskError` is an error of Lambda;
            another exception is one of the function, and its class is the name of the error.
        given: The input of the execution.
        execution: The id of the execution.
    """
    context = {"Execution": {"Id": execution}}
    done = Execution(output=given)
    name = machine["StartAt"]
    for _ in range(MOST_STEPS):
        state = machine["States"][name]
        kind = state["Type"]
        unknown = set(state) - _KEYS[kind] - {"Type", "Comment"}
        if unknown:
            raise NotImplementedError(f"{kind}: {unknown}")
        done.states.append(name)
        if kind == "Succeed":
            done.status = "SUCCEEDED"
            return done
        if kind == "Fail":
            done.status, done.error = "FAILED", state["Error"]
            return done
        if kind == "Choice":
            name = _choose(state, done.output)
            continue
        name = state["Next"]
        if kind == "Pass":
            done.output = _pass(state, done.output, context)
            continue
        try:
            done.output = _task(state, done, context, invoke)
        except TaskError as error:
            caught = next((one for one in state.get("Catch", ()) if _names(one, error.name)), None)
            if caught is None:
                done.status, done.error = "FAILED", error.name
                return done
            name, done.output = caught["Next"], {"Error": error.name}
    raise AssertionError("the execution does not end")


def _choose(state: Mapping[str, Any], given: Any) -> str:
    for rule in state["Choices"]:
        if _holds(rule, given):
            return str(rule["Next"])
    return str(state["Default"])


def _holds(rule: Mapping[str, Any], given: Any) -> bool:
    """Whether a rule holds. A value of another type holds for no comparison; an absent one is an error."""
    value = _read(rule["Variable"], given, {})
    ((operator, operand),) = ((k, v) for k, v in rule.items() if k not in {"Variable", "Next"})
    if operator == "StringEquals":
        return isinstance(value, str) and value == operand
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if operator == "NumericEquals":
        return is_number and value == operand
    if operator == "NumericGreaterThanEquals":
        return bool(is_number and value >= operand)
    raise NotImplementedError(operator)


def _pass(state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> Any:
    return state["Result"] if "Result" in state else _build(state.get("Parameters", given), given, context)


def _task(
    state: Mapping[str, Any], done: Execution, context: Mapping[str, Any], invoke: Callable[[str, Any], Any]
) -> Any:
    if state["Resource"] != INVOKE:
        raise NotImplementedError(state["Resource"])
    retries = [0] * len(state["Retry"])
    while True:
        request = _build(state["Parameters"], done.output, context)
        try:
            result = invoke(request["FunctionName"], request["Payload"])
        except Exception as error:
            name = error.name if isinstance(error, TaskError) else type(error).__name__
            wait = _wait(state["Retry"], retries, name)
            if wait is None:
                raise TaskError(name) from error
            done.waits.append(wait)
        else:
            return _read(state.get("OutputPath", "$"), {"StatusCode": 200, "Payload": result}, context)


def _wait(retriers: Sequence[Mapping[str, Any]], used: list[int], name: str) -> float | None:
    """Return the wait before the next attempt, and count it; None if the error is not retried any more."""
    for number, retrier in enumerate(retriers):
        if _names(retrier, name):
            if used[number] >= retrier["MaxAttempts"]:
                return None
            wait = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** used[number]
            used[number] += 1
            return float(min(wait, retrier["MaxDelaySeconds"]))
    return None


def _names(rule: Mapping[str, Any], name: str) -> bool:
    return name in rule["ErrorEquals"] or rule["ErrorEquals"] == [ALL]


def _build(template: Any, given: Any, context: Mapping[str, Any]) -> Any:
    """Return a payload template with its `.$` fields read."""
    if isinstance(template, list):
        return [_build(one, given, context) for one in template]
    if not isinstance(template, Mapping):
        return template
    return {
        key.removesuffix(".$"): _read(value, given, context)
        if key.endswith(".$")
        else _build(value, given, context)
        for key, value in template.items()
    }


def _read(path: str, given: Any, context: Mapping[str, Any]) -> Any:
    added = re.fullmatch(r"States\.MathAdd\((\$[\w.$]*), *(-?\d+)\)", path)
    if added:
        return _read(added[1], given, context) + int(added[2])
    if not re.fullmatch(r"\${1,2}(\.\w+)*", path):
        raise NotImplementedError(path)
    value: Any = context if path.startswith("$$") else given
    for step in path.split(".")[1:]:
        value = value[step]  # an absent field fails the execution at once: States.Runtime is not retried
    return value
