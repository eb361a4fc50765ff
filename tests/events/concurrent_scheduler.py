"""Virtual time for code that runs in several threads: one thread runs at a time, in an order given by a seed.

    Scheduler   a `Clock`; `sleep` resumes the thread with the earliest time
    Group       the threads of one invocation; `kill` ends them: every later sleep of them raises `Killed`
    Pool        a `ThreadPoolExecutor` whose threads run in virtual time
    Lock        a lock that lets another thread run while it waits

`Scheduler.installed` puts pools and locks of this kind into the modules of `ssm_reconcile`. The thread that
made the scheduler is a thread like the others: it sleeps, or waits with `run` until nothing is left to do.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import pytest

from tests.doubles.clock import NOON

STUCK = 60.0
"""Seconds of real time after which a thread that does not continue is an error of the simulation."""


class Killed(BaseException):
    """The invocation of this thread was killed."""


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class Group:
    """The threads of one invocation. `fatal` is the number of the sleep in which it is killed, if it is."""

    killed: bool = False
    sleeps: int = 0
    fatal: int | None = None
    tasks: dict[Task, None] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Task:
    """One thread in virtual time. `turn` numbers its continuations; only the latest one counts."""

    group: Group | None = None
    turn: int = 0
    ended: bool = False
    baton: threading.Lock = field(default_factory=_taken)

    def check(self) -> None:
        """Raise Killed if the invocation of this thread was killed."""
        if self.group is not None and self.group.killed:
            raise Killed


@dataclass(eq=False, slots=True)
class Alarm:
    """Something to do at a time, by the thread that gives up control then. It must not sleep."""

    act: Callable[[], object]
    cancelled: bool = False


class Scheduler:
    """A clock with threads. Only the thread that has the control may call it."""

    def __init__(self, start: datetime = NOON) -> None:
        self._start = start
        self._elapsed = 0.0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, int, Task | Alarm]] = []
        self._main = self._current = Task()
        self._idle: list[_Worker] = []
        self._failure: BaseException | None = None
        self._continued = 0

    # Clock

    def now(self) -> datetime:
        """Return the virtual time of day."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Let other threads run until the time has come. Raises Killed in a killed invocation."""
        task = self._current
        if task.group is not None:
            task.group.sleeps += 1
            if task.group.sleeps == task.group.fatal:
                self.kill(task.group)
        task.check()
        self._push(self._elapsed + max(0.0, seconds), task)
        self._give_up_control()
        task.check()

    # Threads

    @property
    def group(self) -> Group | None:
        """The group of the running thread."""
        return self._current.group

    def at(self, seconds: float, act: Callable[[], object]) -> Alarm:
        """Do something at a virtual time."""
        alarm = Alarm(act)
        self._push(seconds, alarm)
        return alarm

    def start(self, run: Callable[[], object], group: Group | None) -> None:
        """Start a thread of a group, now."""
        worker = self._idle.pop() if self._idle else _Worker(self)
        worker.task, worker.run = Task(group, baton=worker.task.baton), run
        if group is not None:
            group.tasks[worker.task] = None
        self._push(self._elapsed, worker.task)

    def kill(self, group: Group) -> None:
        """End the threads of a group: each continues now, with `Killed`."""
        group.killed = True
        for task in list(group.tasks):
            if task is not self._current:
                self.wake(task)

    def run(self) -> None:
        """Let everything happen until nothing is left to do.

        Raises:
            BaseException: Whatever a thread or an alarm has raised, except `Killed`.
        """
        assert self._current is self._main
        self._give_up_control()

    def park(self) -> Task:
        """Let other threads run until this one is woken."""
        task = self._current
        task.check()
        self._give_up_control()
        task.check()
        return task

    def wake(self, task: Task) -> None:
        """Continue a parked thread now."""
        self._push(self._elapsed, task)

    @property
    def current(self) -> Task:
        """The running thread."""
        return self._current

    def _push(self, seconds: float, item: Task | Alarm) -> None:
        turn = 0
        if isinstance(item, Task):
            item.turn += 1
            turn = item.turn
        heapq.heappush(self._due, (seconds, next(self._numbers), turn, item))

    def _give_up_control(self) -> None:
        """Hand the control to the next thread, and wait until this one has it again."""
        task = self._current
        following = self._next()
        self._current = following
        if following is not task:
            self._hand_over(following)
            self._await(task)
        if task is self._main and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _await(self, task: Task) -> None:
        if task is not self._main:
            task.baton.acquire()
            return
        seen = -1
        while not task.baton.acquire(timeout=STUCK):
            if seen == self._continued:
                raise AssertionError("the simulation is stuck: a thread waits for something outside of it")
            seen = self._continued

    def _hand_over(self, task: Task) -> None:
        self._current = task
        self._continued += 1
        task.baton.release()

    def _next(self) -> Task:
        while self._due and self._failure is None:
            seconds, _, turn, item = heapq.heappop(self._due)
            if isinstance(item, Task):
                if item.turn == turn and not item.ended:
                    self._elapsed = max(self._elapsed, seconds)
                    return item
            elif not item.cancelled:
                self._elapsed = max(self._elapsed, seconds)
                self._current = self._main  # not what the thread does that gives up control
                try:
                    item.act()
                except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                    self._failure = error
        return self._main

    def _finish(self, worker: _Worker, error: BaseException | None) -> None:
        """Give the control away at the end of a thread."""
        worker.task.ended = True
        if worker.task.group is not None:
            worker.task.group.tasks.pop(worker.task, None)
        if error is not None and not isinstance(error, Killed):
            self._failure = self._failure or error
        self._idle.append(worker)
        self._hand_over(self._next())

    # Code under test

    @contextmanager
    def installed(self, patch: pytest.MonkeyPatch, seed: int = 1) -> Iterator[Scheduler]:
        """Put pools and locks in virtual time, and a seed, into the modules that use others."""
        pool = partial(Pool, self)
        locks = SimpleNamespace(Lock=partial(Lock, self), BoundedSemaphore=partial(Lock, self))
        others = {"threading": locks, "random": random.Random(seed)}  # noqa: S311 - a repeatable test
        others |= {"ThreadPoolExecutor": pool, "ReadPool": pool}
        others |= {"_wait_while_busy": lambda _: None}  # in virtual time no processor is busy
        with patch.context() as within:
            for name, module in sorted(sys.modules.items()):
                if name.startswith("ssm_reconcile."):
                    for known in others.keys() & vars(module).keys():
                        within.setattr(module, known, others[known])
            try:
                yield self
            finally:
                self._end_workers()

    def _end_workers(self) -> None:
        for worker in self._idle:
            worker.run = None
            worker.task.baton.release()
        self._idle.clear()


class _Worker:
    """A thread of the operating system that runs one task after the other."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.task = Task()
        self.run: Callable[[], object] | None = None
        self._scheduler = scheduler
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self.task.baton.acquire()
            if self.run is None:
                return
            error: BaseException | None = None
            try:
                self.task.check()
                self.run()
            except BaseException as raised:  # noqa: BLE001 - raised again in the main thread
                error = raised
            self._scheduler._finish(self, error)


class Lock:
    """A lock, or with `value` above one a semaphore; a thread that waits for it lets others run."""

    def __init__(self, scheduler: Scheduler, value: int = 1) -> None:
        self._scheduler = scheduler
        self._free = value
        self._waiting: deque[Task] = deque()

    def __enter__(self) -> Self:
        while not self._free:
            self._waiting.append(self._scheduler.current)
            self._scheduler.park()
        self._free -= 1
        return self

    def __exit__(self, *_: object) -> None:
        self._free += 1
        if self._waiting:
            self._scheduler.wake(self._waiting.popleft())


@dataclass(eq=False, slots=True)
class _Future:
    scheduler: Scheduler
    call: Callable[[], Any]
    done: bool = False
    value: Any = None
    error: BaseException | None = None
    waiting: list[Task] = field(default_factory=list)

    def finish(self, value: Any = None, error: BaseException | None = None) -> None:
        self.done, self.value, self.error = True, value, error
        for task in self.waiting:
            self.scheduler.wake(task)
        self.waiting.clear()

    def wait(self) -> None:
        while not self.done:
            self.waiting.append(self.scheduler.current)
            self.scheduler.park()

    def result(self) -> Any:
        self.wait()
        if self.error is not None:
            raise self.error
        return self.value


class Pool:
    """The part of `ThreadPoolExecutor` that is used, in virtual time."""

    def __init__(self, scheduler: Scheduler, max_workers: int = 8, thread_name_prefix: str = "") -> None:
        self._scheduler = scheduler
        self._most = max_workers
        self._busy = 0
        self._left: deque[_Future] = deque()
        self._all: list[_Future] = []

    def submit(self, call: Callable[..., Any], *arguments: Any) -> _Future:
        """Start a call in a thread of its own, or after other calls of this pool."""
        future = _Future(self._scheduler, partial(call, *arguments))
        self._all.append(future)
        self._left.append(future)
        if self._busy < self._most:
            self._busy += 1
            self._scheduler.start(self._work, self._scheduler.group)
        return future

    def map(self, call: Callable[..., Any], *arguments: Iterable[Any]) -> Iterator[Any]:
        """Return the results in the order of the arguments."""
        futures = [self.submit(call, *one) for one in zip(*arguments, strict=False)]
        return (future.result() for future in futures)

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        """Wait for all calls."""
        while cancel_futures and self._left:
            self._left.popleft().finish(error=CancelledError())
        for future in self._all if wait else ():
            future.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Killed):
            self.shutdown(cancel_futures=error is not None)

    def _work(self) -> None:
        while self._left:
            future = self._left.popleft()
            try:
                value = future.call()
            except BaseException as error:  # noqa: BLE001 - raised by `result`
                future.finish(error=error)
            else:
                future.finish(value)
        self._busy -= 1
