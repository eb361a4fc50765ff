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
from contextlib import ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import Self

from ssm_reconcile.errors import Interrupted
from ssm_reconcile.system import Progress, ProgressListener

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
        self._notice = _NOTICE
        self._leave = leave
        self._grace = grace
        self._undo = ExitStack()

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
                self._undo.callback(signal.signal, number, signal.signal(number, self._on_signal))
            self._undo.enter_context(_watchdog(self._overdue, self._grace))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @contextmanager
    def finish_gently(self, notice: str = _NOTICE) -> Iterator[None]:
        """Let a signal interrupt nothing inside of this context: workers check `is_set` between changes.

        Args:
            notice: The text that the first signal prints.
        """
        self._gentle, self._notice = True, notice
        try:
            yield
        finally:
            self._gentle = False

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            if number == signal.SIGINT or not self._gentle:
                self._say(_CURSOR if sys.stderr is not None and sys.stderr.isatty() else "")
                self._leave(Interrupted.exit_code)
            return
        self._event.set()
        if not self._gentle:
            raise KeyboardInterrupt
        self._say(self._notice)

    def _overdue(self) -> None:
        """End the process, unless it writes: then changes in flight are finished."""
        if not self._gentle:
            self._say("Interrupted.\n")
            self._leave(Interrupted.exit_code)

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


@contextmanager
def _watchdog(overdue: Callable[[], None], grace: float) -> Iterator[None]:
    """Call `overdue` in a thread, `grace` seconds after a signal, whatever the main thread does.

    The C handler of Python writes the number of a signal into a pipe at once (`signal.set_wakeup_fd`); the
    Python handler has to wait for the main thread.
    """
    over = threading.Event()
    reading, writing = os.pipe()

    def watch() -> None:
        try:
            while found := os.read(reading, 1):
                if found[0] in _SIGNALS and not over.wait(grace):
                    overdue()
        finally:
            os.close(reading)

    if hasattr(os, "set_blocking"):  # Windows: from Python 3.12 on, and not required
        os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=watch, name="signals", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        os.close(writing)  # ends the thread
