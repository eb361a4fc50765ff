"""The name of a field -> whether the field holds a secret, and which values make it harmless."""

from __future__ import annotations

import base64
import re
from enum import Enum
from functools import lru_cache
from itertools import pairwise

from ssm_reconcile.secret_detection.references import is_measure, is_number, is_path, is_plain_name

HINT = re.compile(
    r"pass(?:word|wd|phrase|code|key)|pass(?![a-z])|pwd|pw(?![a-z])|secret|token|credential|creds|dsn|jwt|pem"
    r"|(?<![a-z])(?:sig|auth|pat)(?![a-z])|signature|conn(?:ection)?.?str|key(?![a-z])",
    re.IGNORECASE,
)
"""A text without any of these has no secret field."""
_SECRET = re.compile(
    r"[a-z]*(?:passwords?|passwd|passphrase|passcode|passkey|pwd|secrets?|tokens?|credentials?|creds|jwt"
    r"|(?:private|api|access|account|auth|secret|encryption|signing|master|license|shared|consumer)keys?)"
    r"|(?:db|user|root|admin|mysql|pg|smtp|mail|redis|ldap)?(?:pass|pw)|[a-z]*dsn|(?:tls|ssl|cert|key)?pem"
    r"|conn(?:ection)?str(?:ing)?s?"
)
"""A word, or two words in one, that name a secret."""
_NAMING = re.compile(
    r"names?|hostname|filename|username|kid|types?|polic(?:y|ies)|issuer|audience|alg|algorithm|header|prefix|suffix"
    r"|fields?|attribute|param|parameter|env|variable|provider|manager|format|scopes?|status|method|mode|ref|reference"
    r"|roles?|groups?|hosts?|domain|bucket|hashing|hasher|encoder|encoding|endpoints?|urls?|uri|arns?|label"
    r"|description|title|hint|regex|pattern|grant|required"
)
"""Last words of a field whose value is the name of something."""
_LOCATION = re.compile(r"paths?|files?|dir|directory|location")
_MEASURE = re.compile(
    r"port|ttl|length|min|max|size|count|limits?|enabled?|disabled|expiry|expires|expiration|lifetime|validity|timeout"
    r"|rotation|refresh|days|hours|minutes|seconds|ms|reset|version|duration|interval|age|budget|usage|chars|characters"
    r"|complexity|history|strength|attempts|retries|per|bytes|window|ids?|region|source|store|backend|cache|service"
    r"|engine|driver|kind|class|space|table|queue|topic|users?|used|rate"
)
"""Last words of a field that holds no secret where the value is a number, a duration, an ARN or a URL."""
_KEY_OF_DATA = re.compile(
    r"public|partition|primary|foreign|sort|hash|cache|idempotency|object|range|index|kms|s3|bucket"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS = re.compile(r"[a-z]+")
_KEY_SHAPE = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_+=-]{20,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SIGNATURE = re.compile(r"[A-Za-z0-9+/%_=-]{12,}")


class Holds(Enum):
    """The kind of value that a field holds, by the field's name."""

    NOTHING = "nothing"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    SECRET_OR_NUMBER = "secret or number"  # noqa: S105 - the name of a kind
    NAME = "name"
    LOCATION = "location"
    MEASURE = "measure"
    KEY = "key"
    SIGNATURE = "signature"
    LOGIN = "login"


@lru_cache(maxsize=4096)
def holds(name: str, *, within_secret: bool = False) -> Holds:
    """Return the kind of value of a field. `within_secret`: a field above it holds secrets."""
    words = _WORDS.findall(_HUMP.sub("_", name).lower())
    if not words:
        return Holds.SECRET if within_secret else Holds.NOTHING
    if within_secret or _names_secret(words):
        return _about(words, within_secret=within_secret)
    if words[-1] == "pat" and len(words) > 1:
        return Holds.SECRET
    if words == ["auth"]:
        return Holds.LOGIN
    if words[-1] in {"sig", "signature"}:
        return Holds.SIGNATURE
    if words[-1] == "key" and len(words) > 1 and not any(map(_KEY_OF_DATA.fullmatch, words)):
        return Holds.KEY
    return Holds.NOTHING


def _names_secret(words: list[str]) -> bool:
    return any(map(_SECRET.fullmatch, words)) or any(_SECRET.fullmatch(a + b) for a, b in pairwise(words))


def _about(words: list[str], *, within_secret: bool) -> Holds:
    """Return the kind of value of a field with a word for a secret in its name."""
    last = words[-1]
    whole = _SECRET.fullmatch(last) or _SECRET.fullmatch("".join(words[-2:]))
    if whole is not None:
        plural = whole[0].endswith("s") and not whole[0].endswith("ss")
        return Holds.SECRET_OR_NUMBER if plural else Holds.SECRET
    if words[-2:] in (["key", "id"], ["key", "ids"]):
        return Holds.NAME  # the id of a key is no key
    for pattern, kind in ((_NAMING, Holds.NAME), (_LOCATION, Holds.LOCATION), (_MEASURE, Holds.MEASURE)):
        if pattern.fullmatch(last):
            return kind
    return Holds.SECRET if within_secret else Holds.SECRET_OR_NUMBER


def is_harmless(kind: Holds, value: str) -> bool:
    """Whether a value is no secret in a field of that kind."""
    match kind:
        case Holds.NOTHING:
            return True
        case Holds.SECRET:
            return False
        case Holds.SECRET_OR_NUMBER:
            return is_number(value)
        case Holds.NAME:
            return is_measure(value) or is_plain_name(value)
        case Holds.LOCATION:
            return is_measure(value) or is_path(value)
        case Holds.MEASURE:
            return is_measure(value)
        case Holds.KEY:
            return _KEY_SHAPE.fullmatch(value) is None or _UUID.fullmatch(value) is not None
        case Holds.SIGNATURE:
            return _SIGNATURE.fullmatch(value) is None
        case Holds.LOGIN:
            return not _is_encoded_login(value)


def _is_encoded_login(value: str) -> bool:
    """Whether a value is `user:password` in base64, as Docker and npm keep it."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return False
