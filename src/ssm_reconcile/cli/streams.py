"""Text -> stdout, stderr or a file: results on stdout, all else on stderr, colour only where it is wanted.

A stream that is closed from the start, or breaks later (`| head -1`, a full disk), changes what is shown
and nothing else: the work goes on, and the exit code is the same.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from ssm_reconcile.errors import ReconcileError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

COLOR_CHOICES = ("auto", "always", "never")


class Lasting:
    """A text stream that takes everything, also after it broke; then the text goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, unless the stream broke."""
        try:
            return self.stream.write(text)
        except UnicodeError:
            raise
        except (OSError, ValueError) as failure:
            self._broke(failure)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts, unless the stream broke."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, unless the stream broke."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as failure:
            self._broke(failure)

    def _broke(self, failure: Exception) -> None:
        """Send what is still to come nowhere. A result that is lost without a reader's doing is reported."""
        lost = isinstance(failure, OSError) and failure.errno != errno.EPIPE
        is_result = sys.stdout is cast("TextIO", self)
        _drop(self.stream)
        if lost and is_result:
            reason = failure.strerror if isinstance(failure, OSError) else ""
            aside(f"Warning: standard output could not be written: {reason}")


def prepare() -> None:
    """Make both streams last, and replace characters that a terminal cannot show by escapes."""
    _fill_descriptors()
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    sys.stdout, sys.stderr = _lasting(sys.stdout), _lasting(sys.stderr)


def _fill_descriptors() -> None:
    """Open the null device where a standard descriptor is closed.

    The next file or socket would take its number, and what is printed would be written into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stderr
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - a child process needs them as well
    os.close(descriptor)


def _lasting(stream: TextIO | None) -> TextIO:
    if isinstance(stream, Lasting):
        return cast("TextIO", stream)
    stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return cast("TextIO", Lasting(stream))


def finish() -> None:
    """Flush both streams, so that one that broke is noticed here and not at exit; undo `prepare`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, Lasting):
            stream.flush()
            setattr(sys, name, stream.stream)


def result(text: str) -> None:
    """Writes what was asked for to stdout."""
    _write(sys.stdout, text)


def aside(text: str) -> None:
    """Writes anything else to stderr."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text if text.endswith("\n") or not text else text + "\n")
    stream.flush()


def _drop(stream: TextIO) -> None:
    """Send everything that is still written to a stream nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return  # no real file behind it: nothing can break later either


def colored(stream: TextIO, choice: str, environment: Mapping[str, str] | None = None) -> bool:
    """Whether to write colour: `--color` decides, then NO_COLOR, FORCE_COLOR, then the terminal.

    NO_COLOR and FORCE_COLOR count when they are not empty (no-color.org, force-color.org).
    """
    known = os.environ if environment is None else environment
    if choice != "auto":
        return choice == "always"
    if known.get("NO_COLOR"):
        return False
    if known.get("FORCE_COLOR"):
        return True
    return stream.isatty() and known.get("TERM") != "dumb"


def asks(stdin: TextIO | None = None) -> bool:
    """Whether somebody is there to answer a question: stdin is a terminal."""
    return (stdin or sys.stdin).isatty()


def confirmed(question: str) -> bool:
    """Asks on stderr and reads a line from stdin; anything but y or yes is no."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        aside("")
    return answer.strip().lower() in {"y", "yes"}


def check_writable(path: Path, flag: str = "--out") -> None:
    """Raises UsageError when a file could not be written there: better before the work than after."""
    parent = path.absolute().parent
    if path.is_dir():
        message = f"{path} is a directory; {flag} wants the name of a file"
        raise UsageError(message)
    if not parent.is_dir():
        message = f"there is no directory {parent} for {flag} {path}"
        raise UsageError(message, "make it first, or name another file")
    if not os.access(path if path.exists() else parent, os.W_OK):
        message = f"{flag} {path} cannot be written"
        raise UsageError(message, "check its permissions, or name another file")


def save(path: Path, text: str) -> None:
    """Writes a file as a whole or not at all, mode 0644; raises ReconcileError when that fails.

    A link stays a link, and what is no regular file (a pipe, /dev/null) is written to as it is.
    """
    place = type(path)(os.path.realpath(path))  # `resolve` raises for a circle of links
    try:
        if place.exists() and not stat.S_ISREG(place.stat().st_mode):
            place.write_text(text, encoding="utf-8")
            return
        _replace(place, text)
    except OSError as failure:
        message = f"{path} could not be written: {failure.strerror or type(failure).__name__}"
        raise ReconcileError(message, "name another file") from failure


def _replace(place: Path, text: str) -> None:
    import tempfile  # a tenth of what `--help` would take, and only saving needs it

    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    temporary = place.parent / name
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def styled(text: str, color: str, *, on: bool) -> str:
    """Text in a colour, where colour is on."""
    return click.style(text, fg=color, bold=True) if on else text
