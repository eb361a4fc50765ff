"""The time of an invocation: nothing new starts near its end, and no read waits into it."""

from __future__ import annotations

import pytest

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.event.timer import RESERVE, Timer
from ssm_reconcile.system import SystemClock
from tests.doubles.clock import FakeClock


def timer_of(clock: FakeClock, seconds: float) -> Timer:
    """A timer of an invocation that is killed after so many seconds."""
    timer = Timer(clock)
    timer.begin(lambda: seconds - clock.monotonic())
    return timer


def test_without_an_invocation_it_is_a_clock() -> None:
    clock = FakeClock()
    timer = Timer(clock)
    timer.sleep(1000)
    assert not timer.is_set()
    assert timer.monotonic() == 1000
    assert timer.now() == clock.now()
    with timer.read_until():
        timer.sleep(1000)


def test_it_stops_before_the_end_and_sleeps_no_longer() -> None:
    clock = FakeClock()
    timer = timer_of(clock, RESERVE + 10)
    assert not timer.is_set()
    timer.sleep(20)
    assert timer.is_set()
    assert clock.slept == [10]
    timer.sleep(5)
    assert clock.slept == [10, 0]


def test_the_next_invocation_has_an_end_of_its_own() -> None:
    timer = Timer(FakeClock())
    timer.begin(lambda: RESERVE)
    assert timer.is_set()
    timer.begin(lambda: RESERVE + 1)
    assert not timer.is_set()


def test_the_time_of_the_kill_is_known() -> None:
    clock = FakeClock()
    timer = timer_of(clock, 300)
    clock.sleep(100)
    assert timer.ends_at() == clock.now().timestamp() + 200


def test_reads_leave_a_share_of_the_time_to_writes() -> None:
    clock = FakeClock()
    timer = timer_of(clock, RESERVE + 100)
    with timer.read_until(0.25):
        timer.sleep(75)
        with pytest.raises(StoreError, match="it takes too long") as found:
            timer.sleep(0.1)
        assert found.value.kind is Trouble.LOST
        clock.sleep(1)
        with pytest.raises(StoreError):
            timer.check()
    assert clock.slept == [75, 1]
    timer.sleep(24)
    assert clock.slept == [75, 1, 24]


def test_the_next_reads_have_a_share_of_the_time_that_is_left_then() -> None:
    clock = FakeClock()
    timer = timer_of(clock, RESERVE + 100)
    with timer.read_until(0.5):
        timer.sleep(50)
    with timer.read_until(0.5):
        timer.sleep(25)
        with pytest.raises(StoreError):
            timer.sleep(1)


def test_reads_that_failed_leave_no_limit() -> None:
    clock = FakeClock()
    timer = timer_of(clock, RESERVE + 100)
    with pytest.raises(StoreError), timer.read_until(1.0):
        timer.sleep(10)
    timer.begin(lambda: RESERVE + 100)
    timer.sleep(10)
    assert clock.slept == [10]


def test_real_time_passes() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01
    assert clock.now().tzinfo is not None
