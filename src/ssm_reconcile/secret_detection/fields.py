"""A text or a JSON document -> whether a field with the name of a secret has a value.

A field counts by the words of its name: `db.password`, `ClientSecret`, `API_KEY`, but neither `token_url`
with a URL nor `max_tokens: 4096`. Empty values and references (`${TOKEN}`, `***`, ARNs) are not secrets. A
check of a value is about the whole value: `${A}` is a reference, `${A}b` may be a password.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from enum import Enum, auto
from functools import lru_cache
from itertools import pairwise
from typing import Any

_HINT = re.compile(
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

CONTEXT = 80
"""Characters before a separator that may hold the name of a field."""
REACH = 256
"""Characters after a separator that may hold the value."""
_ARN_TEXT = re.compile(
    r"(?<![A-Za-z0-9])arn:aws[a-z-]{0,12}:[a-z0-9-]{1,40}:[a-z0-9-]{0,30}:[0-9]{0,12}:[\w/.:*-]+"
    r"|\{\{resolve:[^{}\s]{1,512}\}\}"
)
"""An ARN such as `...:secret:prod/password` is a name, not a field."""
_ESCAPED_QUOTE = re.compile(r"(?<!\\)\\{1,16}([\"'])")
_SEPARATOR = re.compile(r"[:=]")
_NAME_BACKWARDS = re.compile(r"""[ \t>=:]*\]?["']?\\?([A-Za-z0-9_.-]+(?:\ [A-Za-z0-9_.-]+)?)""")
"""The name before a separator, at most two words, in reversed text."""
_BLOCK = re.compile(r"[|>][-+0-9]{0,2}\s*")
"""The start of a YAML text that follows on the lines below."""
_VALUE_END = re.compile(r"[\s,;&}\])<\"']")
_CHILD = re.compile(r"""["']?([A-Za-z_][\w.-]{0,63})["']?[ ]?:(?:[ ]+|$)(.*)""")
_FLOW_MAPPING = re.compile(r"""\{[ ]*["']?[A-Za-z_][\w.-]*["']?[ ]?:[ "'\[{]""")
_FLOW_MEMBER = re.compile(r"""["']?([A-Za-z_][\w.-]{0,63})["']?[ ]?:[ ]*(["']?[^,}\]]*)""")
_ELEMENT = re.compile(
    r"<(?:[A-Za-z]\w{0,20}:)?([A-Za-z][\w.-]{0,63})(?:\s[^<>]{0,200})?>(?:\s{0,80}<!\[CDATA\[)?([^<]{1,80})"
)
_PAIR = re.compile(
    r"""\b(?:name|key)["']?[ ]{0,4}[:=][ ]{0,4}["']?([\w.-]{1,64})["']?[,\s]{1,20}"""
    r"""["']?value["']?[ ]{0,4}[:=][ ]{0,4}(.{1,80})""",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?<![\w-])--?([A-Za-z][\w-]{1,63})[ ]{1,4}(?=([^\s-].{0,79}))")


class _FieldKind(Enum):
    """The kind of value that a field holds, according to its name."""

    NOTHING = auto()
    SECRET = auto()
    SECRET_OR_NUMBER = auto()
    NAME = auto()
    LOCATION = auto()
    MEASURE = auto()
    KEY = auto()
    SIGNATURE = auto()
    LOGIN = auto()


_LAST_WORDS = {_FieldKind.NAME: _NAMING, _FieldKind.LOCATION: _LOCATION, _FieldKind.MEASURE: _MEASURE}


def snake_case(name: str) -> str:
    """Return a name in lower case, with `_` where it has the hump of camel case."""
    return _HUMP.sub("_", name).lower()


@lru_cache(maxsize=4096)
def _kind_of_field(name: str, *, within_secret: bool = False) -> _FieldKind:
    """Return the kind of value of a field. `within_secret`: a field above it holds secrets."""
    words = _WORDS.findall(snake_case(name))
    if not words:
        return _FieldKind.SECRET if within_secret else _FieldKind.NOTHING
    if within_secret or _names_secret(words):
        return _kind_of_words(words, within_secret=within_secret)
    if words[-1] == "pat" and len(words) > 1:
        return _FieldKind.SECRET
    if words == ["auth"]:
        return _FieldKind.LOGIN
    if words[-1] in {"sig", "signature"}:
        return _FieldKind.SIGNATURE
    if words[-1] == "key" and len(words) > 1 and not any(map(_KEY_OF_DATA.fullmatch, words)):
        return _FieldKind.KEY
    return _FieldKind.NOTHING


def _names_secret(words: list[str]) -> bool:
    return any(map(_SECRET.fullmatch, words)) or any(_SECRET.fullmatch(a + b) for a, b in pairwise(words))


def _kind_of_words(words: list[str], *, within_secret: bool) -> _FieldKind:
    """Return the kind of value of a field with a word for a secret in its name."""
    last = words[-1]
    whole = _SECRET.fullmatch(last) or _SECRET.fullmatch("".join(words[-2:]))
    if whole is not None:
        plural = whole[0].endswith("s") and not whole[0].endswith("ss")
        return _FieldKind.SECRET_OR_NUMBER if plural else _FieldKind.SECRET
    if words[-2:] in (["key", "id"], ["key", "ids"]):
        return _FieldKind.NAME  # the id of a key is not the key
    default = _FieldKind.SECRET if within_secret else _FieldKind.SECRET_OR_NUMBER
    return next((kind for kind, form in _LAST_WORDS.items() if form.fullmatch(last)), default)


_MEASURES = (_NUMBER, _DURATION, _ARN, _URL)
"""Forms that are never secret in themselves; the URL has no user."""
_HARMLESS = {
    _FieldKind.SECRET: (),
    _FieldKind.SECRET_OR_NUMBER: (_NUMBER,),
    _FieldKind.NAME: (*_MEASURES, _PLAIN_NAME),
    _FieldKind.LOCATION: (*_MEASURES, _PATH),
    _FieldKind.MEASURE: _MEASURES,
}


def _is_harmless(kind: _FieldKind, value: str) -> bool:
    """Whether a value is not a secret in a field of that kind."""
    match kind:
        case _FieldKind.NOTHING:
            return True
        case _FieldKind.KEY:
            return _KEY_SHAPE.fullmatch(value) is None or _UUID.fullmatch(value) is not None
        case _FieldKind.SIGNATURE:
            return _SIGNATURE.fullmatch(value) is None
        case _FieldKind.LOGIN:
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


def has_secret_field(text: str) -> bool:
    """Whether a field with the name of a secret has a value, in any of the usual notations."""
    return _HINT.search(text) is not None and any(_is_secret(kind, value) for kind, value in _fields(text))


def _fields(text: str) -> Iterator[tuple[_FieldKind, str]]:
    """Return the kind of each field that may hold a secret, with the text after its name."""
    text = _ESCAPED_QUOTE.sub(r"\1", _ARN_TEXT.sub("arn:", text))
    for mark in _SEPARATOR.finditer(text):
        before = _NAME_BACKWARDS.match(text[max(0, mark.start() - CONTEXT) : mark.start()][::-1])
        kind = _FieldKind.NOTHING if before is None else _kind_of_field(before[1][::-1])
        if kind is not _FieldKind.NOTHING:
            value = text[mark.end() : mark.end() + REACH].lstrip(":=>")
            yield kind, value
            if kind in {_FieldKind.SECRET, _FieldKind.SECRET_OR_NUMBER}:
                yield from _below(kind, value, _indent(text, mark.start()))
    for pattern in (_ELEMENT, _PAIR, _OPTION):
        for found in pattern.finditer(text):
            yield _kind_of_field(found[1]), found[2].strip() if pattern is _ELEMENT else found[2]


def _indent(text: str, at: int) -> int:
    """Return the indentation of the line at a position. The search for its start is bounded."""
    line = text[max(0, at - CONTEXT) : at].rpartition("\n")[2]
    return len(line) - len(line.lstrip(" \t"))


def _below(kind: _FieldKind, value: str, indent: int) -> Iterator[tuple[_FieldKind, str]]:
    """Return the text, items or members on the lines below a YAML key without a value of its own."""
    first, _, rest = value.partition("\n")
    if first.strip() and not _BLOCK.fullmatch(first.strip()):
        return
    for line in rest.split("\n"):
        text = line.strip()
        if not text or text.startswith("# "):
            continue
        item = text.startswith("- ")
        depth = len(line) - len(line.lstrip(" \t"))
        if depth < indent or (depth == indent and not item):
            return
        text = text.removeprefix("- ").strip()
        child = _CHILD.fullmatch(text)
        yield (kind, text) if child is None else (_kind_of_field(child[1], within_secret=True), child[2])


def _is_secret(kind: _FieldKind, value: str) -> bool:
    """Whether a value may be a secret in a field of that kind."""
    if kind is _FieldKind.NOTHING:
        return False
    line = value.lstrip(" \t").split("\n", 1)[0].rstrip("\r")
    if _BLOCK.fullmatch(line) and "\n" in value:
        return False  # a YAML block: the lines below are judged on their own
    if line[:1] in {'"', "'"}:
        body, closed, after = line[1:].partition(line[0])
        if not closed or body or _EMPTY.match(after):
            return bool(body) and not is_reference(body) and not _is_harmless(kind, body)
    if _EMPTY.match(line) or _WHOLE.match(line):
        return False
    if line[0] in "{[(" and line[1:].strip() in {"", "}", "]", ")"}:
        return False
    if _FLOW_MAPPING.match(line):
        inherits = kind in {_FieldKind.SECRET, _FieldKind.SECRET_OR_NUMBER}
        return any(
            _is_secret(_kind_of_field(one[1], within_secret=inherits), one[2].rstrip() + "\n")
            for one in _FLOW_MEMBER.finditer(line[1:])
        )
    if line[0] == "[" and kind is _FieldKind.SECRET_OR_NUMBER:
        line = line[1:].strip(" ]")
    return not _is_harmless(kind, _VALUE_END.split(line, maxsplit=1)[0] or line)


class JsonMembers(list[tuple[str, Any]]):
    """The members of a JSON object, also those of the same name."""


def leaves(document: Any) -> Iterator[tuple[str, bool]]:
    """Return all texts of a JSON document, each with whether it is the value of a secret field.

    A number in such a field is returned as a text. Objects are `JsonMembers`.
    """
    todo: list[tuple[Any, _FieldKind]] = [(document, _FieldKind.NOTHING)]
    while todo:
        one, kind = todo.pop()
        if isinstance(one, JsonMembers):
            todo += _members(one, kind)
        elif isinstance(one, list):
            todo += [(value, kind) for value in one]
        elif isinstance(one, str):
            yield one, one != "" and not is_reference(one) and not _is_harmless(kind, one)
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield str(one), kind is _FieldKind.SECRET


def _members(members: JsonMembers, kind: _FieldKind) -> Iterator[tuple[Any, _FieldKind]]:
    """Return the values of an object. `{"name": "DB_PASSWORD", "value": "x"}` is a field like any other."""
    inherits = kind in {_FieldKind.SECRET, _FieldKind.SECRET_OR_NUMBER}
    first: dict[str, Any] = {}
    for key, value in members:
        first.setdefault(key.lower(), value)
    named = next((str(first[one]) for one in ("name", "key", "parameterkey") if one in first), "")
    for key, value in members:
        yield key, _FieldKind.NOTHING
        name = named if named and key.lower() in {"value", "parametervalue"} else key
        yield value, _kind_of_field(name, within_secret=inherits)
