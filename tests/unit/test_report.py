"""Outcomes of a plan, and the exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.plan import Other, Plan
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from tests.builders import creates, part


def report(*results: Result, plan: Plan | None = None, interrupted: bool = False) -> Report:
    changes = creates(len(results))
    outcomes = tuple(Outcome(one, result) for one, result in zip(changes, results, strict=True))
    return Report(plan or Plan((part(*changes),)), outcomes, interrupted=interrupted)


def other(counted: str) -> Plan:
    return Plan((part(others=(Other("prod", "us-east-2", "/p/x", Row.CONFLICT, counted),)),))


def test_the_summary_has_every_result() -> None:
    found = report(Result.APPLIED, Result.APPLIED, Result.STALE).summary
    assert found == {"applied": 2, "failed": 0, "stale": 1, "withheld": 0, "not_attempted": 0}


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ((), 0),
        ((Result.APPLIED,), 0),
        ((Result.APPLIED, Result.FAILED), 3),
        ((Result.STALE,), 3),
        ((Result.NOT_ATTEMPTED,), 3),
        ((Result.WITHHELD, Result.APPLIED), 5),
        ((Result.WITHHELD, Result.FAILED), 5),
    ],
)
def test_the_exit_code_follows_the_results(results: tuple[Result, ...], code: int) -> None:
    assert report(*results).exit_code == code


def test_an_interrupted_run_says_so_before_all_else() -> None:
    assert report(Result.WITHHELD, Result.FAILED, interrupted=True).exit_code == 130


@pytest.mark.parametrize(
    ("counted", "code"),
    [("conflict", 3), ("detached", 3), ("invalid", 3), ("orphaned", 0), ("skipped", 0), ("opted_out", 0)],
)
def test_an_unmet_address_makes_the_report_incomplete(counted: str, code: int) -> None:
    assert report(plan=other(counted)).exit_code == code


def test_an_incomplete_place_is_not_done() -> None:
    assert report(plan=Plan((part(target={"complete": False}),))).exit_code == 3
    assert report(plan=Plan((part(source_complete=False),))).exit_code == 3


def test_a_remaining_address_makes_the_report_incomplete() -> None:
    gone = Remaining("prod", "us-east-2", "/p/a", "written, but it does not exist any more")
    assert replace(report(Result.APPLIED), remaining=(gone,)).exit_code == 3
