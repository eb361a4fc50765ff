"""Thread pools that run each call at once, in the thread that submits it.

A run of the simulated AWS takes milliseconds, most of them the start of threads and switches between them.
In one thread its calls also have the same order each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest


def run_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all thread pools of this test run each call at once."""
    monkeypatch.setattr(ThreadPoolExecutor, "__init__", _start)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", _submit)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", _stop)


class _Finished(Future[Any]):
    """A future with a result or an error from the start; all share one lock, which no other thread takes."""

    _condition = threading.Condition()
    _state = "FINISHED"

    def __init__(self, result: Any, error: BaseException | None) -> None:
        self._result, self._exception = result, error


def _start(_pool: ThreadPoolExecutor, /, *_args: Any, **_named: Any) -> None:
    """Make no queue and no locks: many runs of milliseconds make thousands of pools."""


def _submit(_pool: ThreadPoolExecutor, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
    try:
        return _Finished(call(*args, **named), None)
    except BaseException as error:  # noqa: BLE001 - a thread of a pool keeps each error in its future
        return _Finished(None, error)


def _stop(_pool: ThreadPoolExecutor, /, *_args: Any, **_named: Any) -> None:
    """Wait for nothing: each call has ended."""
