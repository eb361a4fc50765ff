"""Where the CPU of a run goes: samples of all threads while the command line works.

    python -m benchmarks.profiled plan --endpoint-url URL SPEC

A profiler that counts calls makes small functions look dear, and sees one thread. Here a thread looks
every few milliseconds at what the others execute; those that wait are left out. Prints to stderr, by
room of ours or by library, and by function, the share of samples.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from types import FrameType

INTERVAL = 0.004
_WAITING = (
    ("threading.py", "wait"), ("threading.py", "_wait_for_tstate_lock"), ("thread.py", "_worker"),
    ("socket.py", "readinto"), ("profiled.py", "_watch"), ("_base.py", "result"),
    ("connection.py", "_new_conn"),
)  # fmt: skip
_LIBRARIES = (
    "botocore",
    "urllib3",
    "boto3",
    "dateutil",
    "rich",
    "click",
    "yaml",
    "jsonschema",
    "json",
    "http",
)
SHOWN = 12


class Sampler:
    """Counts what threads do, by room and by function."""

    def __init__(self) -> None:
        self.rooms: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self._over = threading.Event()

    def start(self) -> None:
        """Begins to look."""
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """Looks no more."""
        self._over.set()

    def _watch(self) -> None:
        me = threading.get_ident()
        while not self._over.is_set():
            for thread, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way
                if thread != me and not _waits(frame):
                    self._count(frame)
            time.sleep(INTERVAL)

    def _count(self, frame: FrameType) -> None:
        code = frame.f_code
        self.functions[f"{_room(code.co_filename)}: {code.co_qualname}"] += 1
        walking: FrameType | None = frame
        while walking is not None:
            room = _room(walking.f_code.co_filename)
            if room != "python":
                self.rooms[room] += 1
                return
            walking = walking.f_back
        self.rooms["python"] += 1

    def text(self) -> str:
        """Two tables in Markdown."""
        return "\n".join((*_table("where", self.rooms), "", *_table("function", self.functions), ""))


def _waits(frame: FrameType) -> bool:
    name = (frame.f_code.co_filename.rpartition("/")[2], frame.f_code.co_name)
    return name in _WAITING


def _room(filename: str) -> str:
    """`ssm_reconcile.diff` for a file of ours, the library's name for one of theirs."""
    _, ours, rest = filename.rpartition("/ssm_reconcile/")
    if ours:
        return "ssm_reconcile." + rest.removesuffix(".py").split("/")[0]
    parts = filename.split("/")
    return next((name for name in _LIBRARIES if name in parts), "python")


def _table(head: str, counts: Counter[str]) -> list[str]:
    total = max(1, counts.total())
    rows = [f"| {name} | {100 * n / total:.0f}% |" for name, n in counts.most_common(SHOWN)]
    return [f"| {head} | share |", "|---|--:|", *rows]


def main() -> None:
    """Runs the command line under the sampler."""
    from ssm_reconcile.cli import main as door

    sampler = Sampler()
    sampler.start()
    try:
        door()
    finally:
        sampler.stop()
        sys.stderr.write(sampler.text())


if __name__ == "__main__":
    main()
