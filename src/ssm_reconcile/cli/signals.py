"""SIGINT and SIGTERM -> a request to stop; the second SIGINT ends the process at once with 130.

While a command only reads, the first signal interrupts it. The handler raises KeyboardInterrupt, since
botocore would treat an ordinary exception as a failed call and retry. If the command does not end within
`GRACE` seconds, a thread ends the process: the main thread may be inside a C call, such as the lookup of a
host name, and Python runs a signal handler only after that call.

While a command writes, a signal only sets an event: no new change begins, changes in flight are finished
and reported.
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
from ssm_reconcile.system import Progress, ProgressListener

INTERRUPTED = 130
GRACE = 1.2
"""Seconds that a reading command has to end after the first signal."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CURSOR = "\x1b[?25h"
"""The terminal sequence that shows the cursor, which a progress bar hides."""
_NOTICE = "\nStopping: no new change begins, changes in flight are finished. Ctrl-C again ends at once.\n"


class SignalStop:
    """The request to stop; a context manager that handles signals in the main thread.

    Args:
        leave: Ends the process with an exit code.
        grace: Seconds that a reading command has to end after the first signal.
    """

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
        """Wait for a request to stop, at most `timeout` seconds; return whether the run was asked to stop.

        After the request, changes in flight still wait the full time: rates, retries and the pause before
        a deleted name is created again must hold until the end.
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
        """Let a signal interrupt nothing inside of this context: workers check `is_set` between changes."""
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
        """End the process, unless it writes: then changes in flight are finished."""
        if not self._gentle:
            self._say("Interrupted.\n")
            self._leave(INTERRUPTED)

    @staticmethod
    def _say(text: str) -> None:
        """Write past the buffers of Python: the signal may have come in the middle of a write."""
        try:
            os.write(2, text.encode())
        except OSError:
            return

    def interrupting(self, listener: ProgressListener) -> ProgressListener:
        """Return a listener that raises Interrupted in the reporting worker once the run is asked to stop."""

        def check(progress: Progress) -> None:
            if self.is_set():
                raise Interrupted("interrupted")
            listener(progress)

        return check


class _Watchdog:
    """A thread that receives signal numbers through a pipe, whatever the main thread does.

    The C handler of Python writes the number at once (`signal.set_wakeup_fd`); the Python handler has to
    wait for the main thread.
    """

    def __init__(self, overdue: Callable[[], None], grace: float) -> None:
        self._overdue = overdue
        self._grace = grace
        self._over = threading.Event()
        self._pipe: int | None = None
        self._before = -1

    def start(self) -> None:
        """Start the thread; in the main thread only."""
        reading, self._pipe = os.pipe()
        if hasattr(os, "set_blocking"):  # Windows: from Python 3.12 on, and not required
            os.set_blocking(self._pipe, False)
        self._before = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reading,), name="signals", daemon=True).start()

    def end(self) -> None:
        """Stop the thread with the next signal, and restore the former pipe."""
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
