"""Batches in lanes -> what was made of each: workers spread over the lanes, so that none lies idle.

Each lane waits for a quota of its own. A worker that is free takes the next batch of the lane in which
the fewest are at work; where they are equally many, of the first.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")
Found = TypeVar("Found")


def in_lanes(
    lanes: Iterable[Sequence[Batch]], do: Callable[[Batch], Found], *, workers: int
) -> Iterator[Found]:
    """What `do` makes of every batch, in no order that means anything.

    What it raises is raised here, and no further batch is begun.
    """
    left = _Lanes(lanes)
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for done in [pool.submit(_work, left, do) for _ in range(min(workers, len(left)))]:
            yield from done.result()


def _work(left: _Lanes[Batch], do: Callable[[Batch], Found]) -> list[Found]:
    """One worker, until nothing is left."""
    found: list[Found] = []
    try:
        while (taken := left.take()) is not None:
            lane, batch = taken
            found.append(do(batch))
            left.leave(lane)
    except BaseException:
        left.close()
        raise
    return found


class _Lanes(Generic[Batch]):
    """What is left of some lanes, and how many are at work in each. Thread-safe."""

    def __init__(self, lanes: Iterable[Sequence[Batch]]) -> None:
        self._left = [deque(lane) for lane in lanes]
        self._busy = [0] * len(self._left)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many batches are left."""
        return sum(map(len, self._left))

    def take(self) -> tuple[int, Batch] | None:
        """The next batch and its lane; None when there is none left."""
        with self._lock:
            open_lanes = [number for number, left in enumerate(self._left) if left]
            if not open_lanes:
                return None
            lane = min(open_lanes, key=self._busy.__getitem__)
            self._busy[lane] += 1
            return lane, self._left[lane].popleft()

    def leave(self, lane: int) -> None:
        """One worker less is at work in a lane."""
        with self._lock:
            self._busy[lane] -= 1

    def close(self) -> None:
        """Nothing more is to be taken."""
        with self._lock:
            for left in self._left:
                left.clear()
