"""The name of a field -> the kind of value it holds; a value -> whether it is only a reference to a secret.

A check of a value is about the whole value: `${A}` is a reference, `${A}b` may be a password.
"""

from __future__ import annotations

import base64
import re
from enum import Enum
from functools import lru_cache
from itertools import pairwise

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

_REFERENCE = (
    r"\$\{[^{}]*\}|\$?\{\{[^{}]*\}\}|#\{[^{}]*\}|\$\([^()\n]*\)|\$[A-Z_][A-Z0-9_]+|%[A-Z_]+%|%\(?\w*\)?s"
    r"|<[A-Za-z_ -]+>|\*{3,}|[xX]{3,}|\.\.\.+|\[?(?:REDACTED|redacted)\]?|TODO|REPLACE_ME"
    r"|@Microsoft\.KeyVault\([^()\n]*\)|arn:(?:aws[a-z-]{0,12}:[\w/.:*+=@-]*)?"
    r"|!(?:ENV|Ref|Sub|GetAtt|ImportValue)[ ][\"']?[\w${}:/.-]+[\"']?"
    r"|(?:file://)?/(?:run|etc|var|mnt|opt|vault|secrets?)/[\w./-]+"
    r"|(?:ssm|secretsmanager|vault|op|ref\+[a-z]+):[\w/.:-]*/[\w/.#:-]+"
    r"|(?i:null|nil|none|undefined|true|false|yes|no|on|off|required|optional|enabled|disabled)"
    r"|read|write|list|create|delete|update|manage|revoke|rotate|asc|desc"
    r"|inherit|include|omit|same-origin|bearer|Bearer"
)
"""References to a value elsewhere, placeholders, switches and scopes (`token:read`)."""
_PLACEHOLDER = re.compile(_REFERENCE)
_END = (
    r"(?:[ \t]*(?:$|\n)|[ \t]+(?:[#-]|/[/>]|[\w.-]+ ?[=:])|&[A-Za-z][\w.-]*=|; ?(?:$|\n|[A-Za-z][\w. -]*=)"
    r"|,(?:$|[\s\"'\[{]|[A-Za-z][\w.:-]*[=:])|[})\]\"'](?=$|[\s,;}\])\"'])|</| ?/>)"
)
_WHOLE = re.compile(rf"(?:{_REFERENCE})(?={_END})")
_EMPTY = re.compile(
    r"""(?:[ \t]*(?:$|\n)
    |[;&][ ]?[A-Za-z][\w. -]{2,}=
    |[ \t]*,[ ]*(?:$|[\"']?[A-Za-z][\w. -]*[\"']?[ ]?[:=])
    |[ \t]*[;,})\]\"'\\]+[ \t]*(?:$|\n)|[ \t]+[#]|[ \t]*</[A-Za-z]|[ \t]*/>[\s]*(?:$|<)
    |[})\]]+,?(?:[\s]|$|,[\"']))""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[-+0-9.,]+[ ]?[A-Za-z%]{0,2}(?:/[a-z]{1,6})?")
_DURATION = re.compile(
    r"P(?=[0-9T])[0-9YMWDTHS.]+|(?:[0-9]+(?:ms|[smhdwy]))+"
    r"|[0-9]+[ ]?(?:second|minute|hour|day|week|month|year)s?"
)
_ARN = re.compile(r"arn:aws[\w/.:*+=@-]*")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s@]+|/[\w./{}-]*")
_PLAIN_NAME = re.compile(r"[A-Za-z_${/.^*][\w./:${}*^ ,-]{0,127}")
_PATH = re.compile(r"[\w.~${}-]*[/\\.][\w./\\${}~ -]+")


class FieldKind(Enum):
    """The kind of value that a field holds, according to its name."""

    NOTHING = "nothing"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    SECRET_OR_NUMBER = "secret or number"  # noqa: S105 - the name of a kind
    NAME = "name"
    LOCATION = "location"
    MEASURE = "measure"
    KEY = "key"
    SIGNATURE = "signature"
    LOGIN = "login"


_LAST_WORDS = {FieldKind.NAME: _NAMING, FieldKind.LOCATION: _LOCATION, FieldKind.MEASURE: _MEASURE}


def snake_case(name: str) -> str:
    """Return a name in lower case, with `_` where it has the hump of camel case."""
    return _HUMP.sub("_", name).lower()


@lru_cache(maxsize=4096)
def kind_of_field(name: str, *, within_secret: bool = False) -> FieldKind:
    """Return the kind of value of a field. `within_secret`: a field above it holds secrets."""
    words = _WORDS.findall(snake_case(name))
    if not words:
        return FieldKind.SECRET if within_secret else FieldKind.NOTHING
    if within_secret or _names_secret(words):
        return _kind_of_words(words, within_secret=within_secret)
    if words[-1] == "pat" and len(words) > 1:
        return FieldKind.SECRET
    if words == ["auth"]:
        return FieldKind.LOGIN
    if words[-1] in {"sig", "signature"}:
        return FieldKind.SIGNATURE
    if words[-1] == "key" and len(words) > 1 and not any(map(_KEY_OF_DATA.fullmatch, words)):
        return FieldKind.KEY
    return FieldKind.NOTHING


def _names_secret(words: list[str]) -> bool:
    return any(map(_SECRET.fullmatch, words)) or any(_SECRET.fullmatch(a + b) for a, b in pairwise(words))


def _kind_of_words(words: list[str], *, within_secret: bool) -> FieldKind:
    """Return the kind of value of a field with a word for a secret in its name."""
    last = words[-1]
    whole = _SECRET.fullmatch(last) or _SECRET.fullmatch("".join(words[-2:]))
    if whole is not None:
        plural = whole[0].endswith("s") and not whole[0].endswith("ss")
        return FieldKind.SECRET_OR_NUMBER if plural else FieldKind.SECRET
    if words[-2:] in (["key", "id"], ["key", "ids"]):
        return FieldKind.NAME  # the id of a key is not the key
    default = FieldKind.SECRET if within_secret else FieldKind.SECRET_OR_NUMBER
    return next((kind for kind, form in _LAST_WORDS.items() if form.fullmatch(last)), default)


_MEASURES = (_NUMBER, _DURATION, _ARN, _URL)
"""Forms that are never secret in themselves; the URL has no user."""
_HARMLESS = {
    FieldKind.SECRET: (),
    FieldKind.SECRET_OR_NUMBER: (_NUMBER,),
    FieldKind.NAME: (*_MEASURES, _PLAIN_NAME),
    FieldKind.LOCATION: (*_MEASURES, _PATH),
    FieldKind.MEASURE: _MEASURES,
}


def is_harmless(kind: FieldKind, value: str) -> bool:
    """Whether a value is not a secret in a field of that kind."""
    match kind:
        case FieldKind.NOTHING:
            return True
        case FieldKind.KEY:
            return _KEY_SHAPE.fullmatch(value) is None or _UUID.fullmatch(value) is not None
        case FieldKind.SIGNATURE:
            return _SIGNATURE.fullmatch(value) is None
        case FieldKind.LOGIN:
            return not _is_encoded_login(value)
        case _:
            return any(form.fullmatch(value) for form in _HARMLESS[kind])


def _is_encoded_login(value: str) -> bool:
    """Whether a value is `user:password` in base64, as in the files of Docker and npm."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return False


def is_reference(value: str) -> bool:
    """Whether a value refers to another one, is a switch (`true`) or a scope, and nothing else."""
    return _PLACEHOLDER.fullmatch(value) is not None


def begins_with_reference(line: str) -> bool:
    """Whether the value at the beginning of a line is a reference and nothing else."""
    return _WHOLE.match(line) is not None


def is_empty(line: str) -> bool:
    """Whether a line begins with the next field or the end instead of a value."""
    return _EMPTY.match(line) is not None
