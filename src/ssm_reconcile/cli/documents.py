"""A path, or standard input -> the text of a plan, report, event or spec; never an error about bytes.

Saved plans and reports are JSON in UTF-8. Bytes that are not UTF-8 are replaced, so that the reader of the
document reports what is wrong with it; an encoding that can be recognized is named instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ssm_reconcile.encoding import ADVICE, WrongEncoding, without_mark, wrong_encoding
from ssm_reconcile.errors import UsageError


def read_document(path: Path) -> str:
    """Return the text of a saved plan or report; raise UsageError for another encoding."""
    return document_text(path.read_bytes(), str(path))


def document_text(content: bytes, name: str) -> str:
    """Return the text of these bytes; `name` is the file in messages."""
    return _utf8(content, name).decode("utf-8", errors="replace")


def read_text(name: str, limit: int) -> str:
    """Return the text of a file or of standard input (`-`), up to `limit` bytes; strictly UTF-8."""
    if name == "-":
        return standard_input(limit)
    with Path(name).open("rb") as file:
        return _strict(file.read(limit), name, limit)


def standard_input(limit: int) -> str:
    """Return up to `limit` bytes of standard input as text; raise UsageError where it is not UTF-8."""
    return _strict(sys.stdin.buffer.read(limit), "standard input", limit)


def guessed_text(content: bytes) -> str:
    """Return the text of bytes in whatever encoding, to find out what kind of file it is."""
    found = wrong_encoding(content)
    return without_mark(content).decode("utf-8" if found is None else found.codec, errors="replace")


def _strict(content: bytes, name: str, limit: int) -> str:
    try:
        return _utf8(content, name).decode("utf-8")
    except UnicodeDecodeError as error:
        if len(content) >= limit and error.reason == "unexpected end of data":
            return content[: error.start].decode("utf-8")  # cut by us; the reader refuses the size
        raise UsageError(f"{name} is not UTF-8 text", "save it as UTF-8") from None


def _utf8(content: bytes, name: str) -> bytes:
    found = wrong_encoding(content)
    if isinstance(found, WrongEncoding):
        raise UsageError(f"{name} is in {found.name}, not in UTF-8", ADVICE)
    return without_mark(content)
