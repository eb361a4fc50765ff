"""Paths and `-` -> text; text -> a file that is written completely or not at all."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from ssm_reconcile.errors import ReconcileError, UsageError


def check_writable(path: Path, flag: str = "--out") -> None:
    """Check that a file can be written, before any work.

    Args:
        path: The file.
        flag: The option that names it, for the message.

    Raises:
        UsageError: The file cannot be written.
    """
    parent = path.absolute().parent
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a directory", "give the path of a file")
    if not parent.is_dir():
        message = f"{flag} {path}: the directory {parent} does not exist"
        raise UsageError(message, "create it, or give another path")
    if not os.access(path if path.exists() else parent, os.W_OK):
        message = f"{flag} {path} cannot be written"
        raise UsageError(message, "check the permissions, or give another path")


def save(path: Path, text: str | Iterable[str]) -> None:
    """Write a text, or the blocks of one, to a file: completely or not at all, with mode 0644.

    A symbolic link stays a link. A file that is not regular (a pipe, /dev/null) is written in place.

    Raises:
        ReconcileError: The file could not be written.
    """
    place = type(path)(os.path.realpath(path))  # `Path.resolve` raises for a loop of links
    blocks = (text,) if isinstance(text, str) else text
    try:
        if place.exists() and not stat.S_ISREG(place.stat().st_mode):
            with place.open("w", encoding="utf-8") as file:
                file.writelines(blocks)
            return
        _replace(place, blocks)
    except OSError as failure:
        message = f"{path} could not be written: {failure.strerror or type(failure).__name__}"
        raise ReconcileError(message, "give another path") from failure


def _replace(place: Path, blocks: Iterable[str]) -> None:
    import tempfile  # slow to import, and only needed to save

    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    temporary = place.parent / name
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_document(path: Path) -> str:
    """Return the text of a saved plan or report; raise UsageError for another encoding."""
    return decode_document(path.read_bytes(), str(path))


def decode_document(content: bytes, name: str) -> str:
    """Return the text of some bytes; `name` is the file in messages.

    Bytes that are not UTF-8 are replaced: the reader of the document reports what is wrong with it.
    """
    return _utf8(content, name).decode("utf-8", errors="replace")


def read_text(name: str, limit: int) -> str:
    """Return the text of a file or of standard input (`-`), up to `limit` bytes.

    Raises:
        UsageError: The text is not UTF-8.
    """
    if name == "-":
        name, content = "standard input", sys.stdin.buffer.read(limit)
    else:
        with Path(name).open("rb") as file:
            content = file.read(limit)
    try:
        return _utf8(content, name).decode("utf-8")
    except UnicodeDecodeError as error:
        if len(content) >= limit and error.reason == "unexpected end of data":
            # Cut at the limit; the reader refuses the size. The object of the error has no byte order mark.
            return error.object[: error.start].decode("utf-8")
        raise UsageError(f"{name} is not UTF-8 text", "save it as UTF-8") from None


def decode_guess(content: bytes) -> str:
    """Return the text of bytes in an unknown encoding, only to detect the kind of a file."""
    from ssm_reconcile.encoding import without_mark, wrong_encoding

    found = wrong_encoding(content)
    return without_mark(content).decode("utf-8" if found is None else found.codec, errors="replace")


def _utf8(content: bytes, name: str) -> bytes:
    from ssm_reconcile.encoding import ADVICE, WrongEncoding, without_mark, wrong_encoding

    found = wrong_encoding(content)
    if isinstance(found, WrongEncoding):
        raise UsageError(f"{name} is in {found.name}, not in UTF-8", ADVICE)
    return without_mark(content)
