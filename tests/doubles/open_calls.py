"""Calls of several threads -> the most of them that are open at the same time."""

from __future__ import annotations

import threading
import time

PATIENCE = 20.0
"""Seconds after which calls that wait for each other are taken for calls one after the other."""


class OpenCalls:
    """Counts calls that are open at the same time. The first ones wait until as many are open as expected."""

    def __init__(self, expected: int) -> None:
        self.most = self._open = 0
        self._expected = expected
        self._change = threading.Condition()

    def wait(self) -> None:
        """Stay open until as many are open as expected, and a moment longer, for more."""
        with self._change:
            self._open += 1
            self.most = max(self.most, self._open)
            self._change.notify_all()
            assert self._change.wait_for(lambda: self.most >= self._expected, PATIENCE)
        time.sleep(0.05)
        with self._change:
            self._open -= 1
