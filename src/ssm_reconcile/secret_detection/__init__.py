"""A name or a value -> whether it looks like a secret, so that a plain String is not shown.

    tokens.py   keys, tokens and URLs that are recognised by themselves
    fields.py   fields with the name of a secret, in JSON, YAML, .env, XML, connection strings and the like
    names.py    the kind of value that a field holds, by its name; values that only refer to a secret

Every rule takes time in proportion to the length of the text: quantifiers are bounded, or anchored at the
beginning of a run. A longer text than `LIMIT` is not searched and counts as a secret. Random text without a
prefix or a field name is not recognised. Decision 0023 has the reasons and the measurements.
"""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import unquote

from ssm_reconcile.secret_detection.fields import JsonMembers, has_secret_field, leaves
from ssm_reconcile.secret_detection.names import snake_case
from ssm_reconcile.secret_detection.tokens import has_token

__all__ = ["name_looks_secret", "value_looks_secret"]

LIMIT = 65_536
"""Characters that are searched. AWS takes 8 KB; a rewrite may make more of it."""
DEPTH = 6
"""Levels of JSON texts within JSON texts that are searched; a deeper text counts as a secret."""
SHORTEST = 6
"""Characters of a text in a document that is searched on its own."""
_NAME_PARTS = re.compile(
    r"password|passwd|passphrase|pwd|secret|token|credential|creds|jwt"
    r"|private[_-]?key|api[_-]?key|access[_-]?key|consumer[_-]?key|passkey"
)
"""Words that make a name look secret, anywhere in the name."""
_NAME_ENDS = re.compile(
    r"(?:dsn|pem|conn(?:ection)?[^a-z0-9/]?str(?:ings?|s)?|(?:(?<![a-z])|root|db|admin|user)pw|[a-z0-9][_-]pat)(?![a-z])"
)
"""The same at the end of a word; at its beginning it means something else (`connection_strategy`)."""
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-][A-Za-z0-9+/_\s-]{14,}={0,2}\s*")


def name_looks_secret(name: str) -> bool:
    """Whether the value of a parameter is likely a secret, according to its name."""
    lowered = name.lower()
    return (
        _NAME_PARTS.search(lowered) is not None
        or _NAME_ENDS.search(lowered) is not None
        or _NAME_ENDS.search(snake_case(name)) is not None
    )


def value_looks_secret(text: str) -> bool:
    """Whether a plain value has the shape of a secret, or holds one anywhere."""
    return _looks_secret(text, 0)


def _looks_secret(text: str, depth: int, *, encoded: bool = True) -> bool:
    """Whether a text holds a secret. `encoded`: also search the decoded text."""
    if len(text) > LIMIT or depth > DEPTH:
        return True
    if has_token(text) or (
        encoded and any(_looks_secret(one, depth, encoded=False) for one in _decoded(text))
    ):
        return True
    document = _document(text)
    if document is None:
        return has_secret_field(text)
    return any(
        secret or (len(leaf) >= SHORTEST and _looks_secret(leaf, depth + 1, encoded=encoded))
        for leaf, secret in leaves(document)
    )


def _document(text: str) -> object:
    """Return a JSON object, list or text, None for any other text."""
    if text.lstrip("\ufeff \t\r\n")[:1] not in {"{", "[", '"'}:
        return None
    try:
        document: object = json.loads(text.lstrip("\ufeff"), object_pairs_hook=JsonMembers)
    except (ValueError, RecursionError):
        return None
    return document


def _decoded(text: str) -> list[str]:
    """Return the text with percent-encoding decoded, and with base64 decoded, if it has them."""
    found = [unquote(text)] if _PERCENT.search(text) else []
    if _BASE64.fullmatch(text):
        packed = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            found.append(base64.b64decode(packed + "=" * (-len(packed) % 4)).decode())
        except ValueError:
            return found
    return found
