"""Text -> stdout, stderr or a file: results on stdout, all else on stderr, colour only where it is wanted.

A reader that goes away (`| head -1`) is no error: what is left to say is dropped, and the exit code
stays what it would have been.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

import click

from ssm_reconcile.errors import ReconcileError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

COLOR_CHOICES = ("auto", "always", "never")


def prepare() -> None:
    """Makes characters that a terminal cannot show into escapes, where they would be an exception."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def finish() -> None:
    """Flushes both streams, so that a reader that went away is noticed here and not at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _drop(stream)
        except ValueError:
            continue  # closed already


def result(text: str) -> None:
    """Writes what was asked for to stdout."""
    _write(sys.stdout, text)


def aside(text: str) -> None:
    """Writes anything else to stderr."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text if text.endswith("\n") or not text else text + "\n")
        stream.flush()
    except BrokenPipeError:
        _drop(stream)


def _drop(stream: TextIO) -> None:
    """Lets everything that is still written to a stream go nowhere."""
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
    try:
        sys.stderr.write(question)
        sys.stderr.flush()
        answer = sys.stdin.readline()
    except BrokenPipeError:
        return False
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
