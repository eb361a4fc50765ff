"""Standard streams: results and messages out, the answer to a question in.

Results go to stdout, all other text to stderr, colour only where it is wanted. A stream that is closed
from the start, or breaks later (`| head -1`, a full disk), changes what is shown and nothing else: the
work goes on, and the exit code is the same.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO, cast


class LastingStream:
    """A text stream that accepts every write; after an error of the stream the text is discarded."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text; discard it if the stream has failed."""
        try:
            return self.stream.write(text)
        except UnicodeError:
            raise
        except (OSError, ValueError) as failure:
            self._fail(failure)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts; discard them if the stream has failed."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, unless the stream has failed."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as failure:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        """Discard the rest. Report a lost result, unless its reader closed the pipe."""
        lost = isinstance(failure, OSError) and failure.errno != errno.EPIPE
        is_result = sys.stdout is cast("TextIO", self)
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass  # not a file of the operating system: a later write cannot fail at exit
        if lost and is_result:
            reason = failure.strerror if isinstance(failure, OSError) else ""
            log(f"Warning: standard output could not be written: {reason}")


def prepare_streams() -> None:
    """Make both streams accept every write, and escape characters that the terminal cannot encode."""
    _fill_descriptors()
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    sys.stdout, sys.stderr = _lasting(sys.stdout), _lasting(sys.stderr)


def _fill_descriptors() -> None:
    """Open the null device where a standard descriptor is closed.

    Otherwise the next file or socket gets that number, and printed text is written into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stderr
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - a child process needs them as well
    os.close(descriptor)


def _lasting(stream: TextIO | None) -> TextIO:
    if isinstance(stream, LastingStream):
        return cast("TextIO", stream)
    stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return cast("TextIO", LastingStream(stream))


def restore_streams() -> None:
    """Flush both streams, so that an error is handled here and not at exit; undo `prepare_streams`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, LastingStream):
            stream.flush()
            setattr(sys, name, stream.stream)


def write(text: str | Iterable[str]) -> None:
    """Write a result to stdout: a text, or the blocks of one that ends with a line break."""
    _write(sys.stdout, text)


def log(text: str | Iterable[str]) -> None:
    """Write any other text to stderr."""
    _write(sys.stderr, text)


def log_line(text: str) -> None:
    """Write a text with names of others to stderr, on one line that is not a command for a runner."""
    from ssm_reconcile.renderers.escaping import LINE_LIMIT, inert, visible

    log(inert(visible(text, LINE_LIMIT)))


def _write(stream: TextIO, text: str | Iterable[str]) -> None:
    if isinstance(text, str):
        text = (text if text.endswith("\n") or not text else text + "\n",)
    stream.writelines(text)
    stream.flush()


def use_color(stream: TextIO, choice: str, environment: Mapping[str, str] | None = None) -> bool:
    """Whether to write colour: `--color` decides, then NO_COLOR, FORCE_COLOR, then the terminal.

    NO_COLOR and FORCE_COLOR count when they are not empty (no-color.org, force-color.org).

    Args:
        stream: The stream that is written to.
        choice: The value of `--color`: `auto`, `always` or `never`.
        environment: The environment variables; None for those of the process.
    """
    known = os.environ if environment is None else environment
    if choice != "auto":
        return choice == "always"
    if known.get("NO_COLOR"):
        return False
    if known.get("FORCE_COLOR"):
        return True
    return stream.isatty() and known.get("TERM") != "dumb"


def can_ask() -> bool:
    """Whether a person can answer a question: stdin is a terminal."""
    return sys.stdin.isatty()


def shares_terminal() -> bool:
    """Whether the reader of stdout has just read what went to stderr: both are terminals."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Ask on stderr and read a line from stdin; return whether it is y or yes."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        log("")
    return answer.strip().lower() in {"y", "yes"}
