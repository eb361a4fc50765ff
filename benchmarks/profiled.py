"""The CPU time of a run by function: the command line under cProfile, in one thread.

    python -m benchmarks.profiled plan --endpoint-url URL SPEC

A profiler sees one thread, and a sampler beside the work sees it where it lets go of the interpreter's
lock, which is on the network. So the pools of threads are taken for ones that do all at once and in
order; CPU time is counted, not waiting. What is left of its bias: many calls of small functions look
dearer than they are. Prints to stderr, by room of ours or by library, and by function.
"""

from __future__ import annotations

import concurrent.futures
import cProfile
import pstats
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Self

_LIBRARIES = (
    "botocore", "urllib3", "boto3", "dateutil", "rich", "click", "yaml", "jsonschema", "json", "http",
    "email",
)  # fmt: skip
SHOWN = 12
Function = tuple[str, int, str]


class Serial:
    """A pool that runs each function at once."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Run the function."""
        done: Future[Any] = Future()
        try:
            done.set_result(work(*given))
        except Exception as error:  # noqa: BLE001 - as in a pool: the caller gets it with the result
            done.set_exception(error)
        return done

    def map(self, work: Callable[..., Any], *given: Iterable[Any]) -> Iterator[Any]:
        """Run the function for each item."""
        return iter([work(*each) for each in zip(*given, strict=False)])

    def shutdown(self, **_: Any) -> None:
        """Return; all functions have run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def profile_tables(profile: cProfile.Profile) -> str:
    """Two tables in Markdown; what C functions take is counted to who calls them."""
    rooms: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    stats: dict[Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # undocumented, stable
    for function, (_, _, own, _, callers) in stats.items():
        if function[0] != "~":
            _count(rooms, functions, function, own)
        else:
            for caller, (_, _, part, _) in callers.items():
                _count(rooms, functions, caller, part)
    return "\n".join(
        (*_table("where", rooms), "", *_table("function, with what it calls in C", functions), "")
    )


def _count(rooms: Counter[str], functions: Counter[str], function: Function, seconds: float) -> None:
    room = _room(function[0])
    microseconds = round(1e6 * seconds)  # a Counter counts whole things
    rooms[room] += microseconds
    functions[f"{room}: {function[2]}"] += microseconds


def _room(filename: str) -> str:
    """`ssm_reconcile.diff` for a file of ours, the library's name for one of theirs."""
    _, ours, rest = filename.rpartition("/ssm_reconcile/")
    if ours:
        return "ssm_reconcile." + rest.removesuffix(".py").split("/")[0]
    parts = filename.replace(".py", "").split("/")
    return next((name for name in _LIBRARIES if name in parts), "Python itself")


def _table(head: str, counts: Counter[str]) -> list[str]:
    total = max(1, counts.total())
    rows = [f"| {name} | {100 * n / total:.0f}% |" for name, n in counts.most_common(SHOWN)]
    return [f"| {head} | share |", "|---|--:|", *rows]


def main() -> None:
    """Run the command line under the profiler."""
    concurrent.futures.ThreadPoolExecutor = Serial  # type: ignore[misc, assignment]  # before ours import it
    from ssm_reconcile.cli import main as command_line

    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    try:
        command_line()
    finally:
        profile.disable()
        sys.stderr.write(profile_tables(profile))


if __name__ == "__main__":
    main()
