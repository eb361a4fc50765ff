"""A text or a JSON document -> whether a field with the name of a secret has a value.

A field counts by the last word of its name: `db.password`, `ClientSecret`, `API_KEY`, but neither
`token_url` nor `max_tokens: 4096`. Empty values, placeholders
(`${TOKEN}`, `***`), switches, ARNs and URLs are not secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

CONTEXT = 80
"""Characters before a separator that may hold the name of a field, and after it the value."""
PLACEHOLDER = re.compile(
    r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|\$\([A-Za-z_]\w*\)|%[A-Z_]+%|<[A-Za-z_ -]+>|\*+|[xX]{3,}|\.\.\.+"
    r"|%\(?\w*\)?s|null|nil|none|None|undefined|true|false|True|False|yes|no|on|off|required|optional|enabled|disabled"
)
"""What stands for a value that is elsewhere, or switches something."""
_REFERENCE = re.compile(r"arn:|https?://|\{\{resolve:|\$\{|ssm:|secretsmanager:|!Ref|!Sub")
_NUMBER = re.compile(r"[-+0-9.]+[a-z]{0,2}")
_SECRET_HINT = re.compile(
    r"pass(?:word|wd|phrase|code)|pass(?![a-z])|pwd|secret|token|credential|creds|dsn|jwt|pem"
    r"|conn(?:ection)?.?str|(?:private|api|access|account|auth|encryption|signing|master|license|shared).?key",
    re.IGNORECASE,
)
"""A text without any of these has no secret field."""
_SECRET = re.compile(
    r"[a-z]*(?:passwords?|passwd|passphrase|passcode|pwd|secrets?|tokens?|credentials?|creds|jwt"
    r"|(?:private|api|access|account|auth|secret|encryption|signing|master|license|shared)keys?)"
    r"|(?:db|user|root|admin|mysql|pg|smtp|mail|redis|ldap)?pass|[a-z]*dsn|(?:tls|ssl|cert|key)?pem|conn(?:ection)?str(?:ing)?s?"
)
"""A word, or two words in one, that name a secret."""
_ABOUT = re.compile(
    r"uri|urls?|endpoints?|hosts?|hostname|domain|port|arns?|names?|ids?|kid|ttl|length|min|max|size|count|limits?"
    r"|enabled?|disabled|expiry|expires|expiration|lifetime|validity|timeout|types?|polic(?:y|ies)|paths?|files?"
    r"|filename|dir|directory|issuer|audience|alg|algorithm|rotation|refresh|days|hours|minutes|seconds|ms|header"
    r"|prefix|suffix|field|attribute|param|parameter|env|variable|reset|required|region|version|manager|provider"
    r"|duration|interval|age|budget|source|store|backend|format|scopes?|status|method|mode|location|ref|reference"
    r"|bucket|table|queue|topic|roles?|groups?|users?|username|usage|chars|characters|complexity|history|strength"
    r"|attempts|retries|per|bytes|window|label|title|description|hint|regex|pattern|service|engine|driver|grant"
    r"|kind|class|space|cache"
)
"""Last words of a field that says something about a secret, and does not hold it."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS = re.compile(r"[a-z]+")
_ARN = re.compile(
    r"(?<![A-Za-z0-9])arn:aws[a-z-]{0,12}:[a-z0-9-]{1,40}:[a-z0-9-]{0,30}:[0-9]{0,12}:[\w/.:*-]+"
)
"""`...:secret:prod/password` is a name and no field."""
_SEPARATOR = re.compile(r"[:=]")
_NAME_BACKWARDS = re.compile(r"""[ \t>=:]*\]?["']?\\?([A-Za-z0-9_.-]+(?:\ [A-Za-z0-9_.-]+)?)""")
"""The name before a separator, at most two words, in reversed text."""
_VALUE_END = re.compile(r"[\s,;&}\])<\"']")
_ELEMENT = re.compile(r"<(?:[A-Za-z]\w{0,20}:)?([A-Za-z][\w.-]{0,63})(?:\s[^<>]{0,200})?>([^<]{1,80})")
_PAIR = re.compile(
    r"""\b(?:name|key)["']?[ ]{0,4}[:=][ ]{0,4}["']?([\w.-]{1,64})["']?[,\s]{1,20}"""
    r"""["']?value["']?[ ]{0,4}[:=][ ]{0,4}(.{1,80})""",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?<![\w-])--?([A-Za-z][\w-]{1,63})[ ]{1,4}(?=([^\s-].{0,79}))")


def has_secret_field(text: str) -> bool:
    """Whether a field with the name of a secret has a value, in any of the usual notations."""
    return _SECRET_HINT.search(text) is not None and any(_holds(name, value) for name, value in _fields(text))


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Return names, and what follows them."""
    text = _ARN.sub("arn:", text)
    for mark in _SEPARATOR.finditer(text):
        before = _NAME_BACKWARDS.match(text[max(0, mark.start() - CONTEXT) : mark.start()][::-1])
        if before is not None:
            yield before[1][::-1], text[mark.end() : mark.end() + CONTEXT].lstrip(":=>")
    for pattern in (_ELEMENT, _PAIR, _OPTION):
        for found in pattern.finditer(text):
            yield found[1], found[2]


def _holds(name: str, value: str) -> bool:
    """Whether a field's name is that of a secret and its value may be one."""
    sure = _names_secret(name)
    if sure is None:
        return False
    line = value.lstrip(" \t\\").split("\n", 1)[0]
    quote = line[:1] if line[:1] in {'"', "'"} else ""
    body = line[1:].partition(quote)[0].rstrip("\\") if quote else _VALUE_END.split(line, maxsplit=1)[0]
    if not body or body[0] in "{[(" or _stands_for(body):
        return False
    return sure or _NUMBER.fullmatch(body) is None


def _stands_for(value: str) -> bool:
    """Whether a value only says where another one is, or switches something."""
    return PLACEHOLDER.fullmatch(value) is not None or _REFERENCE.match(value) is not None


def _names_secret(name: str) -> bool | None:
    """Return True if a field holds a secret, False if it does unless it is a number, None if it does not."""
    words = _WORDS.findall(_HUMP.sub("_", name).lower())
    if not words or _ABOUT.fullmatch(words[-1]):
        return None
    last = _SECRET.fullmatch(words[-1]) or _SECRET.fullmatch("".join(words[-2:]))
    if last is not None:
        return last[0].endswith("ss") or not last[0].endswith("s")
    inner = any(map(_SECRET.fullmatch, words)) or any(_SECRET.fullmatch(a + b) for a, b in pairwise(words))
    return False if inner else None


def leaves(document: Any) -> Iterator[tuple[str, bool]]:
    """Return all texts of a JSON document, each with whether a field with the name of a secret holds it.

    A number in such a field is returned as a text.
    """
    todo: list[tuple[Any, bool]] = [(document, False)]
    while todo:
        one, secret = todo.pop()
        if isinstance(one, dict):
            todo += _members(one, secret=secret)
        elif isinstance(one, list):
            todo += [(value, secret) for value in one]
        elif isinstance(one, str):
            yield one, secret and one != "" and not _stands_for(one)
        elif secret and isinstance(one, int | float) and not isinstance(one, bool):
            yield str(one), True


def _members(document: dict[str, Any], *, secret: bool) -> Iterator[tuple[Any, bool]]:
    """Return the values of an object. `{"name": "DB_PASSWORD", "value": "x"}` is a field like any other."""
    named = next((str(document[key]) for key in ("name", "Name", "key", "Key") if key in document), "")
    for key, value in document.items():
        name = named if named and key in {"value", "Value"} else key
        sure = _names_secret(name)
        number = isinstance(value, int | float)
        words = _WORDS.findall(_HUMP.sub("_", name).lower())
        about = bool(words) and _ABOUT.fullmatch(words[-1]) is not None
        yield value, (sure is not None and (sure or not number)) or (secret and not about)
