r"""Texts with half a character in them (a lone surrogate, `\ud800` in JSON) -> what can be encoded.

JSON can carry such a text and UTF-8 cannot. AWS is not known to store one; where it arrives all the
same, it concerns one parameter and does not stop the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LONE = re.compile("[\ud800-\udfff]")


def is_unicode(text: str) -> bool:
    """Whether a text holds whole characters only."""
    return text.isascii() or _LONE.search(text) is None


def printable(text: str) -> str:
    """The text with U+FFFD in place of each half character."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


def printable_tree(document: dict[str, Any]) -> dict[str, Any]:
    """A JSON document with printable texts only; the document itself where they all are."""
    if _is_unicode(document):
        return document
    found: dict[str, Any] = _printable(document)
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
    """The bytes of any text, for digests and sizes. Different texts have different bytes."""
    return text.encode("utf-8", "surrogatepass")
