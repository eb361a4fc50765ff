"""SIGINT and SIGTERM -> a request to stop; the second SIGINT ends the process at once with 130.

While planning nothing is at stake, so the first signal ends the work (KeyboardInterrupt: botocore
would take an ordinary exception for a failed call and try again). While writing it only sets the
event: no new work, what is in flight is finished and reported.
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
from ssm_reconcile.progress import Progress, Watch

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CURSOR = "\x1b[?25h"
"""Shows the cursor, which a progress bar hides."""
_NOTICE = "\nStopping: nothing new is begun, what is in flight is finished. Ctrl-C again ends at once.\n"


class Stopping:
    """A request to stop that signals make; used as a context in the main thread."""

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self._event = threading.Event()
        self._never = threading.Event()
        self._gentle = False
        self._before: dict[int, Any] = {}
        self._leave = leave

    def is_set(self) -> bool:
        """Whether somebody asked to stop."""
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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """While this lasts a signal interrupts nothing: the work sees `is_set` and ends in order."""
        self._gentle = True
        try:
            yield
        finally:
            self._gentle = False

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            if number == signal.SIGINT or not self._gentle:
                self._say(_CURSOR if sys.stderr.isatty() else "")
                self._leave(INTERRUPTED)
            return
        self._event.set()
        if not self._gentle:
            raise KeyboardInterrupt
        self._say(_NOTICE)

    @staticmethod
    def _say(text: str) -> None:
        """Past the buffers: a signal may have come in the middle of a write."""
        try:
            os.write(2, text.encode())
        except OSError:
            return

    def heeding(self, watch: Watch) -> Watch:
        """A watch that ends the worker which reports to it, once the run was asked to stop."""

        def heed(progress: Progress) -> None:
            if self.is_set():
                message = "interrupted"
                raise Interrupted(message)
            watch(progress)

        return heed
