"""A name or a value -> whether it looks like a secret, so that a plain String is not shown.

    tokens.py   keys, tokens and URLs that are recognised by themselves
    fields.py   fields with the name of a secret, in JSON, YAML, .env, XML, connection strings and the like

Every rule takes time in proportion to the length of the text: quantifiers are bounded, or anchored at the
beginning of a run. A longer text than `LIMIT` is not searched and counts as a secret. Random text without a
prefix or a field name is not recognised. Decision 0023 has the reasons and the measurements.
"""

from __future__ import annotations

import json
import re

from ssm_reconcile.secret_detection.fields import has_secret_field, leaves
from ssm_reconcile.secret_detection.tokens import has_token

__all__ = ["name_looks_secret", "value_looks_secret"]

LIMIT = 65_536
"""Characters that are searched. AWS takes 8 KB; a rewrite may make more of it."""
DEPTH = 6
"""How many JSON texts within JSON texts are followed; what is deeper counts as a secret."""
SHORTEST = 6
"""Characters of a text in a document that is searched on its own."""
_NAME_PARTS = re.compile(
    r"password|passwd|passphrase|pwd|secret|token|credential|creds|jwt"
    r"|private[_-]?key|api[_-]?key|access[_-]?key"
)
"""What makes a name look secret, wherever in it."""
_NAME_ENDS = re.compile(r"(?:dsn|pem|conn(?:ection)?[^a-z0-9/]?str(?:ings?|s)?)(?![a-z])")
"""The same at the end of a word; at its beginning it means something else (`connection_strategy`)."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def name_looks_secret(name: str) -> bool:
    """Whether the name of a parameter says that its value is a secret."""
    lowered = name.lower()
    return (
        _NAME_PARTS.search(lowered) is not None
        or _NAME_ENDS.search(lowered) is not None
        or _NAME_ENDS.search(_HUMP.sub("_", name).lower()) is not None
    )


def value_looks_secret(text: str) -> bool:
    """Whether a plain value has the shape of a secret, or holds one anywhere."""
    return _looks_secret(text, 0)


def _looks_secret(text: str, depth: int) -> bool:
    if len(text) > LIMIT or depth > DEPTH:
        return True
    return has_token(text) or has_secret_field(text) or _has_secret_member(text, depth)


def _has_secret_member(text: str, depth: int) -> bool:
    """Whether a JSON document holds a secret: also escaped, nested, or in a text of its own."""
    if text.lstrip()[:1] not in {"{", "[", '"'}:
        return False
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return any(
        secret or (len(leaf) >= SHORTEST and _looks_secret(leaf, depth + 1))
        for leaf, secret in leaves(document)
    )
