"""Thread pools that run each call at once, in the thread that submits it.

A run of the simulated AWS takes milliseconds, most of them the start of threads and switches between them.
In one thread its calls also have the same order each time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest


def run_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all thread pools of this test run each call at once."""
    monkeypatch.setattr(ThreadPoolExecutor, "submit", _submit)


def _submit(_pool: ThreadPoolExecutor, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(call(*args, **named))
    except BaseException as error:  # noqa: BLE001 - a thread of a pool keeps each error in its future
        future.set_exception(error)
    return future
