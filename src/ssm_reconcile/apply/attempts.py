"""One write, repeated only where a repetition is safe.

A clean refusal (throttling, an endpoint that was not reached) wrote nothing: wait and write again. A lost
response (reset, timeout, HTTP 5xx) may have written: read first, then decide. All other failures are final.
The retries of the SDK are off for writes, because the SDK repeats without reading.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from ssm_reconcile.apply.work import ChangeStopped, Work, raise_failed
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.report import Result

_T = TypeVar("_T")
TRIES = {Trouble.THROTTLED: 12, Trouble.LOST: 6, Trouble.UNREACHABLE: 3}
FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0
INSTANT = 0.001
"""Seconds that count as no time: a clock may not be able to measure less."""


def send_write(
    work: Work,
    kind: CallClass,
    *,
    check: Callable[[], None],
    send: Callable[[], _T],
    recover: Callable[[], _T | None],
    confirm: Callable[[], object] = lambda: None,
    has_begun: bool = False,
) -> _T:
    """Wait for a turn, check, and write; repeat where that is safe. Return the result of the write.

    Args:
        work: the target.
        kind: the class of the write, for its rate.
        check: called right before every try; raises ChangeStopped when the parameter is not as planned.
        send: the write.
        recover: called after a lost response. Returns the result of the write if it was done, else None.
        confirm: called before `check` in every try but the first: repeats what the caller confirmed before.
        has_begun: whether an earlier write of this change is done: then a request to stop waits for this one.

    Raises:
        StoreError: AWS refused for good.
        ChangeStopped: by `check`, by a request to stop, or because no read showed whether the write was done.
    """
    tried = dict.fromkeys(TRIES, 0)
    while True:
        work.store.await_turn(kind)
        # Many changes wait here for their turn, so this is where a request to stop takes effect.
        if work.stop.is_set() and not has_begun:
            raise ChangeStopped(Result.NOT_ATTEMPTED, "the run was stopped")
        if any(tried.values()):  # the wait before a repetition may be long enough for another client to write
            confirm()
        check()
        try:
            return send()
        except StoreError as failure:
            work.record_failure(failure)
            if failure.kind not in TRIES:
                raise
            if failure.kind is Trouble.LOST:
                answer = _recover(work, failure, recover)
                if answer is not None:
                    return answer
            tried[failure.kind] += 1
            if work.failure_reason or tried[failure.kind] >= TRIES[failure.kind]:  # a failed target: no retry
                raise
            if not pause(work, tried[failure.kind]):
                reason = "stopped while waiting for the next attempt"
                raise ChangeStopped(Result.NOT_ATTEMPTED, reason) from None


def _recover(work: Work, lost: StoreError, recover: Callable[[], _T | None]) -> _T | None:
    """Read whether a write with a lost response was done. The change fails when the reads fail too."""
    for tried in range(1, TRIES[Trouble.LOST]):
        try:
            return recover()
        except StoreError as failure:
            if failure.kind not in TRIES:
                break
            pause(work, tried)
    raise_failed(
        lost,
        doing="the response was lost and the result could not be verified; the next run checks it",
    )


def pause(work: Work, tried: int) -> bool:
    """Wait longer after each try, with full jitter. Return False when the run was asked to stop meanwhile."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0**tried)
    return wait(work, random.uniform(0.1, longest))  # noqa: S311 - jitter, not a secret


def wait(work: Work, seconds: float) -> bool:
    """Wait in small pieces. Return False as soon as the run is asked to stop."""
    until = work.clock.monotonic() + seconds
    while not work.stop.is_set():
        left = until - work.clock.monotonic()
        if left < INSTANT:
            return True
        work.clock.sleep(min(left, 0.5))
    return False
