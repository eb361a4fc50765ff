"""Standard streams: results and messages out, the answer to a question in.

Results go to stdout, all other text to stderr, colour only where it is wanted. A stream that is closed
from the start, or breaks later (`| head -1`, a full disk), changes what is shown and nothing else: the
work goes on, and the exit code is the same. Only a command whose whole result is its output fails.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO, cast


class LastingStream:
    """A text stream that accepts every write; after an error of the stream the text is discarded.

    Attributes:
        stream: The stream.
        is_closed: Whether the process was started without it.
        lost: The reason why a text was discarded; empty if none was, or its reader closed the pipe.
    """

    def __init__(self, stream: TextIO, *, is_closed: bool = False) -> None:
        self.stream = stream
        self.is_closed = is_closed
        self.lost = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text; discard it if the stream has failed."""
        if self.is_closed and text:
            self.lost = "it is closed"
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
        """Discard the rest."""
        if isinstance(failure, OSError) and failure.errno != errno.EPIPE:
            self.lost = failure.strerror or str(failure)
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass  # not a file of the operating system: a later write cannot fail at exit


def prepare_streams() -> None:
    """Make both streams accept every write, and escape characters that the terminal cannot encode."""
    filled = _fill_descriptors()
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    sys.stdout = _lasting(sys.stdout, is_closed=1 in filled)
    sys.stderr = _lasting(sys.stderr)


def _fill_descriptors() -> set[int]:
    """Open the null device where a standard descriptor is closed; return these descriptors.

    Otherwise the next file or socket gets that number, and printed text is written into it.
    """
    filled = set()
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stderr
        filled.add(descriptor)
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - a child process needs them as well
    os.close(descriptor)
    return filled


def _lasting(stream: TextIO | None, *, is_closed: bool = False) -> TextIO:
    if isinstance(stream, LastingStream):
        return cast("TextIO", stream)
    stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return cast("TextIO", LastingStream(stream, is_closed=is_closed))


def restore_streams() -> None:
    """Flush both streams, so that an error is handled here and not at exit; undo `prepare_streams`.

    A result that was lost is reported, unless stdout was closed from the start.
    """
    sys.stdout.flush()
    if isinstance(sys.stdout, LastingStream) and sys.stdout.lost and not sys.stdout.is_closed:
        log(f"Warning: standard output could not be written: {sys.stdout.lost}")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, LastingStream):
            stream.flush()
            setattr(sys, name, stream.stream)


def check_output() -> None:
    """Check that no text for stdout was lost. A reader that closes the pipe is not an error.

    Raises:
        ReconcileError: A text was lost.
    """
    from ssm_reconcile.errors import ReconcileError

    sys.stdout.flush()
    if isinstance(sys.stdout, LastingStream) and sys.stdout.lost:
        message = f"standard output could not be written: {sys.stdout.lost}"
        sys.stdout.lost = ""  # it is reported once
        raise ReconcileError(message, "run the command again with standard output to a file or a program")


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
        log("\n")
    return answer.strip().lower() in {"y", "yes"}
