"""The bytes of a file -> its text, or the encoding that it is in instead of UTF-8. Pure.

Editors and shells on Windows write UTF-16, or UTF-8 with a byte order mark. The mark is dropped.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_MARKS = (  # UTF-32 first: its little-endian mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "UTF-32", "utf-32"),
    (codecs.BOM_UTF32_BE, "UTF-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "UTF-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "UTF-16", "utf-16"),
)
_UNMARKED = (("UTF-16", "utf-16-le", 1), ("UTF-16", "utf-16-be", 0))
"""Without a mark, ASCII text in UTF-16 has a zero byte at each odd, or each even, position."""
ADVICE = "save it as UTF-8 (in PowerShell: `Set-Content -Encoding utf8`; elsewhere: `iconv -t UTF-8`)"


@dataclass(frozen=True, slots=True)
class WrongEncoding:
    """The encoding of a file that is not in UTF-8, and its codec."""

    name: str
    codec: str


def wrong_encoding(content: bytes) -> WrongEncoding | None:
    """Return the encoding of bytes that are recognizably not UTF-8; None for all others."""
    for mark, name, codec in _MARKS:
        if content.startswith(mark):
            return WrongEncoding(name, codec)
    for name, codec, zero in _UNMARKED:
        start = content[:64]
        if len(start) > 1 and not any(start[zero::2]) and all(start[1 - zero :: 2]):
            return WrongEncoding(name, codec)
    return None


def without_mark(content: bytes) -> bytes:
    """Return the bytes without the byte order mark of UTF-8."""
    return content.removeprefix(codecs.BOM_UTF8)
