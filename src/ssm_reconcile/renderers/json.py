"""Document of a plan or a report -> its text in JSON, as it is printed and saved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ssm_reconcile.renderers.escaping import escape

_BLOCK = 4096
"""Tokens that are escaped together: a plan of many changes has millions of them."""


def dumps(document: Mapping[str, Any]) -> str:
    """Return canonical, readable JSON: sorted keys, two spaces, a newline at the end.

    Characters that are not safe to print are escaped, which JSON allows in any string.
    """
    return "".join(_blocks(document)) + "\n"


def _blocks(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text in blocks of whole lines."""
    tokens: list[str] = []
    for token in json.JSONEncoder(ensure_ascii=False, sort_keys=True, indent=2).iterencode(document):
        if len(tokens) >= _BLOCK and token.startswith("\n"):
            yield escaped_lines("".join(tokens))
            tokens = []
        tokens.append(token)
    yield escaped_lines("".join(tokens))


def escaped_lines(text: str) -> str:
    """Return the text with each line safe to print; line breaks stay."""
    return "\n".join(escape(line) for line in text.split("\n"))
