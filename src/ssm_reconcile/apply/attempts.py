"""One write, repeated only where a repetition is safe.

A clean refusal (throttling, an endpoint never reached) did nothing: wait and try again. A lost
answer (reset, timeout, 5xx) may have done it: look first, then decide. Everything else is final.
The SDK's own retries are off for writes, since it would repeat without looking.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from ssm_reconcile.apply.work import Ended, Work, failed
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.report import Result
from ssm_reconcile.stores.base import Step

Answer = TypeVar("Answer")
TRIES = {Trouble.THROTTLED: 12, Trouble.LOST: 6, Trouble.UNREACHABLE: 3}
FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0
INSTANT = 0.001
"""Less than this is no time: a clock need not be able to tell it."""


def attempt(
    work: Work,
    step: Step,
    *,
    check: Callable[[], None],
    send: Callable[[], Answer],
    landed: Callable[[], Answer | None],
    confirm: Callable[[], object] = lambda: None,
    begun: bool = False,
) -> Answer:
    """Awaits a turn, checks, writes. Raises StoreError when AWS refuses for good.

    A change of which nothing is written yet is not begun once the run is asked to stop: many may stand
    here, each waiting for its turn. `begun`: something is, so it is finished. `check` is called right
    before every try and ends the change when something has moved. `landed` is asked after a lost answer:
    what the write would have returned, or None when it was not done. `confirm` is called before the check
    of every try but the first: it repeats what the caller confirmed before the first try.
    """
    tried = dict.fromkeys(TRIES, 0)
    while True:
        work.ends.store.await_turn(step)
        if work.stop.is_set() and not begun:
            raise Ended(Result.NOT_ATTEMPTED, "the run was stopped")
        if any(tried.values()):
            confirm()
        check()
        try:
            return send()
        except StoreError as failure:
            work.learn(failure)
            if failure.kind not in TRIES:
                raise
            if failure.kind is Trouble.LOST:
                answer = _ask(work, failure, landed)
                if answer is not None:
                    return answer
            tried[failure.kind] += 1
            if work.dead or tried[failure.kind] >= TRIES[failure.kind]:
                raise
            if not pause(work, tried[failure.kind]):
                raise Ended(Result.NOT_ATTEMPTED, "stopped while waiting to try again") from None


def _ask(work: Work, lost: StoreError, landed: Callable[[], Answer | None]) -> Answer | None:
    """Looks whether a write with a lost answer was done. When that cannot be told, the change failed."""
    for tried in range(1, TRIES[Trouble.LOST]):
        try:
            return landed()
        except StoreError as failure:
            if failure.kind not in TRIES:
                break
            pause(work, tried)
    failed(
        lost,
        doing="its answer was lost, and whether it was done could not be found out; the next run will see",
    )


def pause(work: Work, tried: int) -> bool:
    """Waits longer each time, with full jitter. False when the run was asked to stop meanwhile."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0**tried)
    return wait(work, random.uniform(0.1, longest))  # noqa: S311 - jitter, not a secret


def wait(work: Work, seconds: float) -> bool:
    """Waits in small pieces. False as soon as the run is asked to stop."""
    until = work.clock.monotonic() + seconds
    while not work.stop.is_set():
        left = until - work.clock.monotonic()
        if left < INSTANT:
            return True
        work.clock.sleep(min(left, 0.5))
    return False
