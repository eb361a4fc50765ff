"""Threads for reads -> their results, without waiting for them when the run is interrupted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType


class ReadPool(ThreadPoolExecutor):
    """A thread pool that an interrupt leaves at once.

    The standard pool waits for its threads, and one of them may wait half a minute for a server that
    does not answer. Nothing is lost: these threads only read, and the process ends right after.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.shutdown(wait=not interrupted, cancel_futures=error is not None)
