r"""Text and bytes: the encoding of a file, and strings that UTF-8 cannot encode. Pure.

Editors and shells on Windows write UTF-16, or UTF-8 with a byte order mark. `wrong_encoding` names the
encoding of such bytes; `without_mark` removes the mark of UTF-8.

JSON can carry a lone surrogate (`\ud800`), half of a character, and UTF-8 cannot. AWS is not known to store
one. A value that has one concerns one parameter and does not stop the run.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar("_T")
_LONE = re.compile("[\ud800-\udfff]")
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


def is_unicode(text: str) -> bool:
    """Whether a text holds no lone surrogate, so that UTF-8 can encode it."""
    return text.isascii() or _LONE.search(text) is None


def printable(text: str) -> str:
    """Return the text with U+FFFD in place of each lone surrogate."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


def printable_tree(document: _T) -> _T:
    """Return a JSON document with printable texts only; the same object where all texts are printable.

    Only mappings, lists and tuples are searched. The entries of another sequence, such as those of
    `documents.encode.EntrySequence`, are made printable where each of them is made.
    """
    if _is_unicode(document):
        return document
    found: _T = _printable(document)
    return found


def _is_unicode(node: Any) -> bool:
    if isinstance(node, str):
        return is_unicode(node)
    if isinstance(node, Mapping):
        return all(map(_is_unicode, node)) and all(map(_is_unicode, node.values()))
    return not isinstance(node, list | tuple) or all(map(_is_unicode, node))


def _printable(node: Any) -> Any:
    if isinstance(node, str):
        return printable(node)
    if isinstance(node, Mapping):
        return {_printable(key): _printable(value) for key, value in node.items()}
    return [_printable(one) for one in node] if isinstance(node, list | tuple) else node


def utf8(text: str) -> bytes:
    """Return the bytes of any text, for digests and sizes. Different texts have different bytes."""
    return text.encode("utf-8", "surrogatepass")
