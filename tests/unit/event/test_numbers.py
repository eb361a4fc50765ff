"""The numbers of the event path: each change of one is deliberate, and its page names the new one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.apply import put, work
from ssm_reconcile.event import aws_lambda, full_run, invocation_log, leases, messages, state, timer, windows

PAGE = (Path(__file__).parents[3] / "docs" / "event-driven.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "value", "phrase"),
    [
        (messages.NAMES_A_PASS, 10, "handled in passes of ten"),
        (messages.MOST_ATTEMPTS, 10, "After ten attempts that count"),
        (messages.FIRST_PAUSE, 5, "| 5 s, doubled with each receive"),
        (messages.LONGEST_PAUSE, 900, "at most 15 min"),
        (messages.MANY_RECEIVES + 1, 101, "From the 101st receive on, each pause is 15 minutes"),
        (messages.BUSY_PAUSE, 5, "the time of the invocation is over | 5 s |"),
        (messages.LOOK_PAUSE, 60, "a whole run that counts the replicas | 60 s |"),
        (leases.MARGIN, 15, "15 seconds after the time limit of the function"),
        (timer.RESERVE, 15, "Nothing new starts in the last 15 seconds of an invocation"),
        (full_run.GROUP, 100, "applied in groups of 100 for each target"),
    ],
)
def test_a_number_is_the_one_of_the_page(number: Any, value: Any, phrase: str) -> None:
    assert number == value
    assert phrase in PAGE


def test_the_numbers_that_no_page_names() -> None:
    """Any near value is as right; a changed one is measured first (tests/events/test_storm.py)."""
    assert messages.HOLD_MARGIN == 30
    assert (aws_lambda.PASS_SECONDS, aws_lambda.AWAY_SECONDS, aws_lambda.FRESH_SECONDS) == (30, 60, 15)
    assert (full_run.READ_SHARE, full_run.LEASE_AFTER, timer.WRITE_SHARE) == (0.25, 300, 0.4)
    assert (state.WRITE_TRIES, state.MOST_ENTRIES) == (8, 5000)
    assert (timedelta(days=15), timedelta(days=90)) == (state.ATTEMPTS_KEPT, state.COUNT_KEPT)
    assert (timedelta(minutes=15), timedelta(minutes=15)) == (state.START_PAUSE, windows.RECOUNT)
    assert (invocation_log.MOST_LOGGED, work.RECENT_SECONDS, put.LOST_WAITS) == (200, 15, (1, 5))
