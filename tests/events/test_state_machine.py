"""The whole run: the state machine of the template, against a function that is simulated."""

from __future__ import annotations

from typing import Any

import pytest

from tests.events.state_machine import TaskError, definition, run
from tests.events.templates import loaded

MACHINE = definition()
RETRIED = 5
"""Retries of an exception that the function raised."""


def answer(
    slice_number: int, not_attempted: int = 0, written: int = 1, status: str = "planned"
) -> dict[str, Any]:
    return {"status": status, "slice": slice_number, "not_attempted": not_attempted, "written": written}


class Slices:
    """A function that has a number of parameters to write, and writes some of them in each slice."""

    def __init__(self, work: int, per_slice: int = 10) -> None:
        self.work = work
        self.per_slice = per_slice
        self.payloads: list[Any] = []

    def __call__(self, name: str, payload: Any) -> dict[str, Any]:
        assert name == "WholeFunction.Arn"
        self.payloads.append(payload)
        written = min(self.work, self.per_slice)
        self.work -= written
        return answer(payload["whole_run"]["slice"], self.work, written)


def test_a_run_that_fits_into_one_slice_succeeds() -> None:
    function = Slices(work=10)
    done = run(MACHINE, function, given={"source": "aws.events"})
    assert (done.status, done.states[-1]) == ("SUCCEEDED", "Complete")
    assert function.payloads == [{"whole_run": {"execution": "execution-1", "slice": 1}}]


def test_a_run_without_work_succeeds() -> None:
    done = run(MACHINE, lambda _, __: answer(1, not_attempted=0, written=0))
    assert (done.status, done.states[-1]) == ("SUCCEEDED", "Complete")


def test_slices_follow_until_nothing_is_left() -> None:
    function = Slices(work=35)
    done = run(MACHINE, function, execution="arn:execution")
    assert done.status == "SUCCEEDED"
    assert function.payloads == [
        {"whole_run": {"execution": "arn:execution", "slice": number}} for number in (1, 2, 3, 4)
    ]


def test_an_overlapping_run_ends_at_once_as_a_success() -> None:
    function = Slices(work=100)
    done = run(MACHINE, lambda _, __: answer(1, 100, 0, "overlapping"))
    assert (done.status, done.states[-1]) == ("SUCCEEDED", "Overlapping")
    assert function.work == 100


def test_a_slice_that_had_work_and_wrote_nothing_fails_the_run() -> None:
    function = Slices(work=35, per_slice=0)
    done = run(MACHINE, function)
    assert (done.status, done.error) == ("FAILED", "NothingWritten")
    assert len(function.payloads) == 1


def test_a_run_fails_after_its_200th_slice() -> None:
    function = Slices(work=2_001)
    done = run(MACHINE, function)
    assert (done.status, done.error) == ("FAILED", "TooManySlices")
    assert len(function.payloads) == 200


def test_a_run_that_is_complete_with_its_200th_slice_succeeds() -> None:
    assert run(MACHINE, Slices(work=2_000)).status == "SUCCEEDED"


def test_an_exception_is_retried_with_the_same_slice() -> None:
    function = Slices(work=15)
    failing = [False, True, True, False]

    def invoke(name: str, payload: Any) -> dict[str, Any]:
        if failing.pop(0):
            raise RuntimeError
        return function(name, payload)

    done = run(MACHINE, invoke)
    assert done.status == "SUCCEEDED"
    assert [payload["whole_run"]["slice"] for payload in function.payloads] == [1, 2]
    assert done.waits == [60, 120]


@pytest.mark.parametrize("error", [RuntimeError(), TaskError("States.Timeout"), TaskError("Lambda.Unknown")])
def test_an_exception_that_stays_fails_the_run_after_its_retries(error: Exception) -> None:
    calls = []

    def invoke(_: str, payload: Any) -> Any:
        calls.append(payload)
        raise error

    done = run(MACHINE, invoke)
    assert (done.status, done.error) == ("FAILED", getattr(error, "name", "RuntimeError"))
    assert len(calls) == 1 + RETRIED
    assert done.waits == [60, 120, 240, 480, 900]


@pytest.mark.parametrize(
    "error",
    [
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
    ],
)
def test_errors_of_lambda_have_retries_of_their_own(error: str) -> None:
    calls = []

    def invoke(_: str, payload: Any) -> Any:
        calls.append(payload)
        raise TaskError(error)

    done = run(MACHINE, invoke)
    assert (done.status, done.error) == ("FAILED", error)
    assert len(calls) == 11
    assert done.waits == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]


def test_the_task_outlasts_the_function_and_the_run_outlasts_its_slices() -> None:
    timeout = loaded("template.yaml")["Resources"]["WholeFunction"]["Properties"]["Timeout"]
    task = MACHINE["States"]["Slice"]["TimeoutSeconds"]
    assert timeout < task < timeout + 120
    assert MACHINE["TimeoutSeconds"] > 200 * task


def test_every_state_is_reached_by_another() -> None:
    states = MACHINE["States"]
    targets = {MACHINE["StartAt"]}
    for state in states.values():
        targets |= {state.get("Next"), state.get("Default")} | {
            one["Next"] for one in state.get("Choices", ())
        }
    assert targets - {None} == set(states)
