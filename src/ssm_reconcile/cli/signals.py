"""SIGINT and SIGTERM -> a request to stop; the second SIGINT ends the process at once with 130.

While a command only reads nothing is at stake, so the first signal ends it (KeyboardInterrupt: botocore
would take an ordinary exception for a failed call and try again). Where that takes longer than `GRACE`,
a thread ends the process: the main thread may be inside a C call, such as a look-up of a host name, and
Python runs a signal's handler only after that call. While a command writes, a signal only sets the event:
no new work begins, what is in flight is finished and reported.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from ssm_reconcile.errors import Interrupted
from ssm_reconcile.progress import Progress, ProgressListener

INTERRUPTED = 130
GRACE = 1.2
"""Seconds after the first signal in which a command that only reads ends by itself."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CURSOR = "\x1b[?25h"
"""Shows the cursor, which a progress bar hides."""
_NOTICE = "\nStopping: no new change begins, changes in flight are finished. Ctrl-C again ends at once.\n"


class SignalStop:
    """A request to stop that signals make; used as a context in the main thread."""

    def __init__(self, leave: Callable[[int], object] = os._exit, grace: float = GRACE) -> None:
        self._event = threading.Event()
        self._never = threading.Event()
        self._gentle = False
        self._before: dict[int, Any] = {}
        self._leave = leave
        self._watchdog = _Watchdog(self._overdue, grace)

    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for a request to stop, at most so many seconds.

        Once asked, work that is being finished waits all of it: rates, retries and the pause before
        a deleted name is created again have to hold to the end.
        """
        if self._gentle and self._event.is_set():
            self._never.wait(timeout)
        return self._event.wait(timeout)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._on_signal)
            self._watchdog.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before:
            self._watchdog.end()
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)

    @contextmanager
    def finish_gently(self) -> Iterator[None]:
        """While this lasts a signal interrupts nothing: the work sees `is_set` and ends in order."""
        self._gentle = True
        try:
            yield
        finally:
            self._gentle = False

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            if number == signal.SIGINT or not self._gentle:
                self._say(_CURSOR if sys.stderr is not None and sys.stderr.isatty() else "")
                self._leave(INTERRUPTED)
            return
        self._event.set()
        if not self._gentle:
            raise KeyboardInterrupt
        self._say(_NOTICE)

    def _overdue(self) -> None:
        """Ends the process, unless it has begun to write: then it ends in order."""
        if not self._gentle:
            self._say("Interrupted.\n")
            self._leave(INTERRUPTED)

    @staticmethod
    def _say(text: str) -> None:
        """Past the buffers: a signal may have come in the middle of a write."""
        try:
            os.write(2, text.encode())
        except OSError:
            return

    def interrupting(self, watch: ProgressListener) -> ProgressListener:
        """A watch that ends the worker which reports to it, once the run was asked to stop."""

        def heed(progress: Progress) -> None:
            if self.is_set():
                message = "interrupted"
                raise Interrupted(message)
            watch(progress)

        return heed


class _Watchdog:
    """A thread that is told of signals by the C part of Python, whatever the main thread is doing."""

    def __init__(self, overdue: Callable[[], None], grace: float) -> None:
        self._overdue = overdue
        self._grace = grace
        self._over = threading.Event()
        self._pipe: int | None = None
        self._before = -1

    def start(self) -> None:
        """ProgressListener from now on; in the main thread only."""
        reading, self._pipe = os.pipe()
        if hasattr(os, "set_blocking"):  # Windows has it from Python 3.12 on, and does not ask for it
            os.set_blocking(self._pipe, False)
        self._before = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reading,), name="signals", daemon=True).start()

    def end(self) -> None:
        """ProgressListener no longer."""
        self._over.set()
        signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _watch(self, reading: int) -> None:
        try:
            while found := os.read(reading, 1):
                if found[0] in _SIGNALS and not self._over.wait(self._grace):
                    self._overdue()
        finally:
            os.close(reading)
