"""The batch that a worker takes next; puts and tags wait for their quotas in parallel."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from ssm_reconcile.apply import work_queue
from ssm_reconcile.apply.work_queue import run_queues

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


def test_a_busy_processor_gets_one_worker_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the test seems to use a whole processor for as long as `busy` is set."""
    busy = threading.Event()
    busy.set()
    both = threading.Barrier(2)
    workers: set[int] = set()

    def work(batch: int) -> int:
        workers.add(threading.get_ident())
        if batch < 20:
            time.sleep(work_queue.START_PAUSE / 2)  # ten pauses in which another worker could start
            assert len(workers) == 1
        elif batch < 22:
            busy.clear()
            both.wait(PATIENCE)  # one worker alone would wait here in vain
        return batch

    clock = _Clock(busy)
    monkeypatch.setattr(work_queue, "time", clock)
    assert sorted(run_queues([range(40)], work, workers=8)) == list(range(40))


class _Clock:
    """The functions of `time` that the work queue calls; the CPU time runs while `busy` is set."""

    def __init__(self, busy: threading.Event) -> None:
        self.monotonic = time.monotonic
        self._busy = busy

    def process_time(self) -> float:
        return time.monotonic() if self._busy.is_set() else 0.0


def test_workers_that_wait_are_joined_by_others_at_once() -> None:
    """Eight batches of a second each: one worker after the other would take eight seconds."""
    began = time.monotonic()
    list(run_queues([range(8)], lambda _: time.sleep(1.0), workers=8))
    assert time.monotonic() - began < 4.0
