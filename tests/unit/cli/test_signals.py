"""Signals: the first ends planning at once and lets a write finish; the second ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ssm_reconcile import cli
from ssm_reconcile.cli.signals import SignalStop
from ssm_reconcile.errors import Interrupted
from ssm_reconcile.system import Phase, Progress, ReadPool, SystemClock

SOURCE = Path(__file__).parents[3] / "src"


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # a signal is handled between two steps of the interpreter


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_planning_at_once(number: int) -> None:
    with SignalStop() as stop:
        with pytest.raises(KeyboardInterrupt):
            send(number)
        assert stop.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_writing_finish(number: int) -> None:
    with SignalStop() as stop, stop.finish_gently():
        send(number)
        assert stop.is_set()


def test_the_second_ctrl_c_leaves_at_once_with_130(capfd: pytest.CaptureFixture[str]) -> None:
    left: list[int] = []
    with SignalStop(left.append) as stop, stop.finish_gently():
        send(signal.SIGINT)
        assert left == []
        send(signal.SIGINT)
    assert left == [130]
    assert "\x1b" not in capfd.readouterr().err, "stderr is not a terminal"


def test_a_second_sigterm_does_not_cut_a_write_short() -> None:
    left: list[int] = []
    with SignalStop(left.append) as stop, stop.finish_gently():
        send(signal.SIGTERM)
        send(signal.SIGTERM)
    assert left == []


BLOCKED = """
import hashlib, sys
from ssm_reconcile import cli
from ssm_reconcile.cli.signals import SignalStop

with SignalStop(grace=0.2):
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # a C call that heeds no signal
"""


@pytest.mark.large
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_reading_also_while_the_main_thread_is_inside_a_c_call(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.5)  # until it is inside of that call
    process.send_signal(number)
    _, result = process.communicate(timeout=30)
    assert process.returncode == 130
    assert result == "Interrupted.\n"


def test_writing_is_never_overdue() -> None:
    left: list[int] = []
    with SignalStop(left.append, grace=0.01) as stop, stop.finish_gently():
        send(signal.SIGTERM)
        time.sleep(0.1)
    assert left == []


def test_reading_that_does_not_end_by_itself_is_ended() -> None:
    left = threading.Event()
    with SignalStop(lambda _: left.set(), grace=0.01):
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
        assert left.wait(10)


@pytest.mark.threads
def test_an_interrupt_does_not_wait_for_threads_that_read() -> None:
    hung = threading.Event()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ReadPool() as pool:  # noqa: PT012 - the pool is what is tested
        pool.submit(hung.wait, 30)
        raise KeyboardInterrupt
    assert time.monotonic() - start < 10
    hung.set()


def test_all_else_waits_for_threads_that_read() -> None:
    done = threading.Event()
    with pytest.raises(ValueError, match="trouble"), ReadPool() as pool:  # noqa: PT012 - as above
        pool.submit(threading.Timer(0.05, done.set).run)
        message = "trouble"
        raise ValueError(message)
    assert done.is_set()


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with SignalStop():
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) != before
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_worker_that_reports_progress_hears_of_the_stop() -> None:
    seen: list[Progress] = []

    def see(progress: Progress) -> None:
        seen.append(progress)

    progress = Progress("1/us-east-1", Phase.LISTING, 50)
    with SignalStop() as stop:
        watch = stop.interrupting(see)
        watch(progress)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        with pytest.raises(Interrupted):
            watch(progress)
    assert seen == [progress]


def test_sleep_ends_early_when_the_run_is_asked_to_stop() -> None:
    stop = threading.Event()
    clock = SystemClock(stop)
    threading.Timer(0.05, stop.set).start()
    start = clock.monotonic()
    clock.sleep(30)
    clock.sleep(30)
    clock.sleep(-1)
    assert clock.monotonic() - start < 10


def test_work_that_is_being_finished_waits_all_of_it() -> None:
    with SignalStop() as stop, stop.finish_gently():
        clock = SystemClock(stop)
        threading.Timer(0.05, send, [signal.SIGTERM]).start()
        start = clock.monotonic()
        clock.sleep(30)  # the signal ends the sleep that it falls into
        assert clock.monotonic() - start < 10
        start = clock.monotonic()
        clock.sleep(0.2)
        assert clock.monotonic() - start >= 0.19


def test_nothing_waits_any_more_when_planning_was_interrupted() -> None:
    with SignalStop() as stop:
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        clock = SystemClock(stop)
        start = clock.monotonic()
        clock.sleep(30)
        assert clock.monotonic() - start < 10


def test_the_time_of_day_has_a_zone() -> None:
    assert SystemClock(threading.Event()).now().tzinfo is not None


def test_the_exit_code_of_an_interrupt_is_the_same_everywhere() -> None:
    """`--help` does not import the errors, so the number is written twice."""
    assert Interrupted.exit_code == cli.INTERRUPTED
