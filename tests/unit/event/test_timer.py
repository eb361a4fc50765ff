"""Nothing is begun, and nothing waited for, beyond the end of an invocation."""

from __future__ import annotations

import pytest

from ssm_reconcile.errors import StoreError
from ssm_reconcile.event.aws_lambda import Timer
from ssm_reconcile.system import Phase, Progress, SystemClock
from tests.doubles.clock import FakeClock


def test_without_an_invocation_it_is_a_clock() -> None:
    clock = FakeClock()
    timer = Timer(clock)
    timer.sleep(1000)
    assert not timer.is_set()
    assert timer.monotonic() == 1000
    assert timer.now() == clock.now()


def test_it_stops_at_its_end_and_sleeps_no_longer() -> None:
    clock = FakeClock()
    timer = Timer(clock)
    timer.begin(lambda: 10 - clock.monotonic())
    assert not timer.is_set()
    timer.sleep(20)
    assert timer.is_set()
    assert clock.slept == [10]
    timer.sleep(5)
    assert clock.slept == [10, 0]


def test_the_next_invocation_has_an_end_of_its_own() -> None:
    clock = FakeClock()
    timer = Timer(clock)
    timer.begin(lambda: 0)
    assert timer.is_set()
    timer.begin(lambda: 5)
    assert not timer.is_set()


def test_a_listing_leaves_a_quarter_of_the_time() -> None:
    clock = FakeClock()
    timer = Timer(clock)
    for phase in Phase:
        timer.check_listing(Progress("there", phase, 1))  # no limit before the timer begins
    timer.begin(lambda: 100 - clock.monotonic())
    clock.sleep(74)
    timer.check_listing(Progress("there", Phase.LISTING, 1))
    clock.sleep(2)
    for phase in (Phase.LISTING, Phase.TAGS):
        with pytest.raises(StoreError, match="it takes too long"):
            timer.check_listing(Progress("there", phase, 1))
    timer.check_listing(Progress("there", Phase.WRITING, 1))


def test_real_time_passes() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01
    assert clock.now().tzinfo is not None
