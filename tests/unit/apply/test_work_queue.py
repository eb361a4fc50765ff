"""The batch that a worker takes next; puts and tags wait for their quotas in parallel."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from ssm_reconcile.apply import work_queue
from ssm_reconcile.apply.work_queue import run_queues

pytestmark = pytest.mark.threads

PATIENCE = 20.0


def test_every_batch_of_every_lane_is_done_once() -> None:
    lanes = [[f"{lane}{number}" for number in range(40)] for lane in "abc"]
    found = list(run_queues([*lanes, []], str.upper, workers=7))
    assert Counter(found) == Counter(one.upper() for lane in lanes for one in lane)


@pytest.mark.parametrize("lanes", [[], [[]], [[], []]])
def test_nothing_to_do_is_done_at_once(lanes: list[list[int]]) -> None:
    assert list(run_queues(lanes, lambda batch: batch, workers=8)) == []


def test_one_worker_does_the_lanes_in_their_order() -> None:
    assert list(run_queues([[1, 2], [3, 4]], lambda batch: batch, workers=1)) == [1, 2, 3, 4]


@pytest.mark.large
def test_a_long_lane_leaves_half_of_the_workers_to_the_other() -> None:
    """Each batch waits until four workers are in each lane: a queue that serves one lane first never ends."""
    meeting = threading.Barrier(8)
    seen: list[str] = []

    def work(batch: str) -> str:
        if len(seen) < 8:
            seen.append(batch)
            meeting.wait(PATIENCE)
        return batch

    list(run_queues([["put"] * 100, ["tag"] * 100], work, workers=8))
    assert Counter(seen) == {"put": 4, "tag": 4}


def test_when_a_lane_is_empty_all_workers_go_on_with_the_other() -> None:
    meeting = threading.Barrier(4)

    def work(batch: str) -> str:
        if batch == "tag":
            meeting.wait(PATIENCE)
        return batch

    assert len(list(run_queues([["put"], ["tag"] * 4], work, workers=4))) == 5


def test_an_exception_of_a_batch_is_raised_and_no_further_batch_starts() -> None:
    has_begun: list[int] = []

    def work(batch: int) -> int:
        has_begun.append(batch)
        if batch == 2:
            raise KeyboardInterrupt
        return batch

    with pytest.raises(KeyboardInterrupt):
        list(run_queues([range(100)], work, workers=1))
    assert has_begun == [0, 1, 2]


class _Busy:
    """The functions of `time` that the work queue calls; the CPU time runs while `is_busy` is set."""

    def __init__(self) -> None:
        self.monotonic = time.monotonic
        self.is_busy = threading.Event()
        self.is_busy.set()

    def process_time(self) -> float:
        return time.monotonic() if self.is_busy.is_set() else 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Busy:
    """A process that seems to use a whole processor."""
    found = _Busy()
    monkeypatch.setattr(work_queue, "time", found)
    return found


@pytest.mark.large
def test_a_busy_process_starts_a_worker_for_each_queue_and_no_other_until_it_is_free(clock: _Busy) -> None:
    all_workers = threading.Barrier(8)
    workers: set[int] = set()

    def work(batch: int) -> int:
        workers.add(threading.get_ident())
        if batch < 20:
            time.sleep(work_queue.START_PAUSE / 2)  # ten pauses in which another worker could start
            assert len(workers) <= 2 or not clock.is_busy.is_set()
        elif batch < 28:
            clock.is_busy.clear()
            all_workers.wait(PATIENCE)  # fewer workers would wait here in vain
        return batch

    found = run_queues([range(0, 40, 2), range(1, 40, 2), []], work, workers=8)
    assert sorted(found) == list(range(40))
    assert len(workers) == 8


def test_each_queue_has_a_worker_at_once_in_a_busy_process(clock: _Busy) -> None:
    both = threading.Barrier(2)
    began = time.monotonic()
    list(run_queues([["put"], ["tag"]], lambda _: both.wait(PATIENCE), workers=8))
    assert time.monotonic() - began < work_queue.LONGEST_PAUSE / 2


@pytest.mark.large
def test_a_worker_starts_after_the_longest_pause_in_a_busy_process(
    clock: _Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise batches that only wait, such as replacements, are done one after the other."""
    monkeypatch.setattr(work_queue, "LONGEST_PAUSE", 0.2)
    all_workers = threading.Barrier(4)
    places = run_queues([range(4)], lambda _: all_workers.wait(PATIENCE), workers=4)
    assert sorted(places) == [0, 1, 2, 3]


@pytest.mark.large
def test_workers_that_wait_are_joined_by_others_at_once() -> None:
    """Eight batches of a second each: one worker after the other would take eight seconds."""
    began = time.monotonic()
    list(run_queues([range(8)], lambda _: time.sleep(1.0), workers=8))
    assert time.monotonic() - began < 2.5


def test_no_further_batch_starts_after_an_error_in_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C interrupts the thread that waits, not the workers."""
    has_begun: list[int] = []

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    def work(batch: int) -> None:
        has_begun.append(batch)
        time.sleep(0.05)

    monkeypatch.setattr(work_queue, "_wait_while_busy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(run_queues([range(100)], work, workers=2))
    assert len(has_begun) < 10


def test_an_error_of_the_second_worker_ends_the_first() -> None:
    workers: list[int] = []

    def work(_: int) -> None:
        workers.append(threading.get_ident())
        time.sleep(0.05)
        if workers[0] != threading.get_ident():
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  it has no message
        list(run_queues([range(100)], work, workers=2))
    assert len(workers) < 20
