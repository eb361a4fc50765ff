"""Queues of batches -> the result of each batch: workers spread over the queues.

Each queue waits for a quota of its own. A free worker takes the next batch of the queue on which the fewest
workers are busy; of two such queues, the first.

Each queue gets a worker at once. Further workers start one after the other, and none while the process uses
most of a processor: a worker would then wait for the lock of the interpreter, and eight that wait cost a
quarter more CPU time than two. It starts after `LONGEST_PAUSE` all the same, since a batch may only wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

Batch = TypeVar("Batch")
Found = TypeVar("Found")

START_PAUSE = 0.05
"""Seconds after the start of a worker in which the CPU time of the process is measured."""
BUSY = 0.75
"""CPU time of all threads of the process for each second, from which on no worker is started."""
LONGEST_PAUSE = 5.0
"""Seconds after which a worker is started while the process is busy."""


def run_queues(
    queues: Iterable[Sequence[Batch]], do: Callable[[Batch], Found], *, workers: int
) -> Iterator[Found]:
    """Return the result of `do` for every batch, in no particular order.

    Args:
        queues: batches that wait for the same quota, a sequence for each quota.
        do: called from several threads. Its exception is raised here, and no further batch is started.
        workers: the most calls of `do` at a time.
    """
    left = _WorkQueues(queues)
    at_once = left.queues
    started: list[Future[list[Found]]] = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        try:
            while len(left) and len(started) < workers:
                if len(started) >= at_once:
                    _wait_while_busy(started)
                started.append(pool.submit(_run_worker, left, do))
            for done in started:
                yield from done.result()
        except BaseException:
            left.close()  # the pool waits for its workers, which would do all batches that are left
            raise


def _wait_while_busy(started: Sequence[Future[list[Found]]]) -> None:
    """Return when a further worker could do something, or when no batch is left for it."""
    end = time.monotonic() + LONGEST_PAUSE
    while (began := time.monotonic()) < end:
        used = time.process_time()
        if wait(started, START_PAUSE, FIRST_COMPLETED).done:
            return  # a worker ends only when no batch is left
        if time.process_time() - used < BUSY * (time.monotonic() - began):
            return


def _run_worker(left: _WorkQueues[Batch], do: Callable[[Batch], Found]) -> list[Found]:
    """Take batches until none is left."""
    found: list[Found] = []
    try:
        while (taken := left.take()) is not None:
            number, batch = taken
            found.append(do(batch))
            left.release(number)
    except BaseException:
        left.close()  # otherwise the other workers take all batches that are left before the error is raised
        raise
    return found


class _WorkQueues(Generic[Batch]):
    """The batches that are left in each queue, and the number of busy workers of each. Thread-safe."""

    def __init__(self, queues: Iterable[Sequence[Batch]]) -> None:
        self._left = [deque(queue) for queue in queues]
        self._busy = [0] * len(self._left)
        self._lock = threading.Lock()

    @property
    def queues(self) -> int:
        """The number of queues that have batches left."""
        return sum(map(bool, self._left))

    def __len__(self) -> int:
        """Return how many batches are left."""
        return sum(map(len, self._left))

    def take(self) -> tuple[int, Batch] | None:
        """Return the number of a queue and its next batch; None when no batch is left."""
        with self._lock:
            open_queues = [number for number, left in enumerate(self._left) if left]
            if not open_queues:
                return None
            # A worker on a busy queue waits for its quota, and a second one would wait with it.
            number = min(open_queues, key=self._busy.__getitem__)
            self._busy[number] += 1
            return number, self._left[number].popleft()

    def release(self, number: int) -> None:
        """Count one busy worker less for a queue."""
        with self._lock:
            self._busy[number] -= 1

    def close(self) -> None:
        """Drop all batches that are left."""
        with self._lock:
            for left in self._left:
                left.clear()
