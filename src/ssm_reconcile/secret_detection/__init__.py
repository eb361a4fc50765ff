"""A name or a value -> whether it looks like a secret, so that a plain String is not shown.

Here: keys, tokens and URLs that are recognised by themselves. In `fields.py`: fields with the name of a
secret, in JSON, YAML, .env, XML, connection strings and the like; values that only refer to a secret.

Every rule takes time in proportion to the length of the text: quantifiers are bounded, or anchored at the
beginning of a run. A longer text than `LIMIT` is not searched and counts as a secret. Random text without a
prefix or a field name is not recognised. Decision 0023 has the reasons and the measurements.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
from functools import lru_cache
from urllib.parse import unquote

from ssm_reconcile.secret_detection import fields

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
_TOKEN = re.compile(
    r"""
    -----BEGIN[ ]|----[ ]BEGIN[ ]SSH2|PuTTY-User-Key-File|AGE-SECRET-KEY-1
    |LS0tLS1CRUdJTi                                                # a PEM block in base64
    |(?<![A-Za-z0-9])(?:
        A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])            # AWS
        |gh[opsur]_[A-Za-z0-9]{16}|github_pat_[A-Za-z0-9_]{16}     # GitHub
        |gl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent)-[A-Za-z0-9_-]{16}
        |xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10}|xapp-[0-9]-[A-Za-z0-9-]{10}
        |[rs]k_(?:live|test)_[A-Za-z0-9]{8}|whsec_[A-Za-z0-9]{16}  # Stripe
        |AIza[A-Za-z0-9_-]{30}|ya29\.[A-Za-z0-9_-]{16}|GOCSPX-[A-Za-z0-9_-]{16}
        |npm_[A-Za-z0-9]{30}|pypi-AgEI[A-Za-z0-9_-]{16}|dckr_pat_[A-Za-z0-9_-]{16}
        |SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16}               # SendGrid
        |sk-[A-Za-z0-9]{32}|sk-(?:proj|ant|svcacct|admin)-[A-Za-z0-9_-]{16}|hf_[A-Za-z]{30}
        |do[opr]_v1_[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0(?:csp|atp|idp)-[A-Za-z0-9_-]{20}
        |dapi[0-9a-f]{32}|hv[bsr]\.[A-Za-z0-9_-]{20}|ATATT3[A-Za-z0-9_-]{16}|gl(?:sa|c)_[A-Za-z0-9_]{20}
        |NRAK-[A-Z0-9]{20}|PMAK-[a-f0-9]{20}|lin_api_[A-Za-z0-9]{20}|dp\.(?:pt|st|ct|sa)\.[A-Za-z0-9]{20}
        |SK[0-9a-f]{32}(?![A-Za-z0-9])|key-[0-9a-f]{32}(?![A-Za-z0-9])
        |[0-9a-f]{32}-us[0-9]{1,2}(?![A-Za-z0-9])|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}
    )
    |\.atlasv1\.[A-Za-z0-9_-]{20}
    |hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9_/]{8}
    |discord(?:app)?\.com/api/webhooks/[0-9]{5,25}/[A-Za-z0-9_-]{8}|webhook\.office\.com/webhookb2/
    |\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{20}|\$argon2(?:id|i|d)\$|\$[56]\$[./A-Za-z0-9$=]{8}
    |(?<![A-Za-z])(?i:bearer|basic)[ ]{1,4}(?=[A-Za-z0-9+/=._~-]{0,40}[0-9A-Z=])[A-Za-z0-9+/=._~-]{16}
    |(?i:login)[ \t\n]{1,9}[^ \t\n]{1,99}[ \t\n]{1,9}(?i:password)[ \t\n]{1,9}[^ \t\n]   # .netrc
    |^(?![0-9A-Fa-f:]{1,64}$)(?:[A-Za-z][A-Za-z0-9.-]{0,254}|[0-9.]{7,15}|\*):(?:[0-9]{4,5}|\*)
        :[^:\s/]{1,64}:(?:[A-Za-z_][^:\s/]{1,64}|\*):[^:\s][^:\n]*$                           # .pgpass
    |^[ \t]{0,9}(?:requirepass|masterauth)[ \t]{1,9}["']?[^\s"'$]                             # redis.conf
    |\bcurl[ ][^\n]{0,200}?(?<=[ ])(?:-u|--user)[ =]?["']?[^\s:"'$]{1,64}:["']?[^\s"'$]
    """,
    re.VERBOSE | re.MULTILINE,
)
_DOTTED = re.compile(r"[^A-Za-z0-9_.=-]+")
_JWT_PART = re.compile(r"[A-Za-z0-9_=-]{8}")
_JWT_HEADER = re.compile(r"eyJ[A-Za-z0-9_=-]{8}")
_URL = 512
"""Characters of a URL that are searched for a password."""
_USER = re.compile(r"[^\s/?#:@\"'<>\[]*")
_PORT = re.compile(
    r"""(?:[0-9]{1,5}|\$?\{[^{}\s]*\}|\$[A-Z_]+)(?:,[^,:@/\s"']+(?::[0-9]{1,5})?)*
    (?:[/?#]|,?$|["'>)\]}](?=[\s,:;>\]})]|$)|,["'\[{]|<[/])""",
    re.VERBOSE,
)
"""The text after a host: a port, or further hosts, then the path or the end."""
_HOST_AND_PORT = re.compile(r"(?!sha[0-9]{3}:)[A-Za-z0-9_.-]{1,253}:[0-9]{2,5}(?:[/?,]|$|\s|[\"'])")
_DRIVER = re.compile(r"(?:tcp|udp|unix)[46]?\(")
_BEFORE_AT = re.compile(r"[\s\"'<>()]")
_RANDOM_USER = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}")
_AWS_SECRET = re.compile(r"[A-Za-z0-9/+]{40}")
_ITEMS = re.compile(r"[\s,;:='\"]+")
AWS_SECRET_BITS = 4.2
"""Bits per character. A random secret of forty characters has more, a path or a hash has fewer."""


def name_looks_secret(name: str) -> bool:
    """Whether the value of a parameter is likely a secret, according to its name."""
    return any(map(_level_looks_secret, name.split("/")))  # no rule matches a slash


@lru_cache(maxsize=4096)  # names have most of their levels in common
def _level_looks_secret(level: str) -> bool:
    lowered = level.lower()
    return (
        _NAME_PARTS.search(lowered) is not None
        or _NAME_ENDS.search(lowered) is not None
        or _NAME_ENDS.search(fields.snake_case(level)) is not None
    )


def value_looks_secret(text: str) -> bool:
    """Whether a plain value has the shape of a secret, or holds one anywhere."""
    return _looks_secret(text, 0)


def _looks_secret(text: str, depth: int, *, encoded: bool = True) -> bool:
    """Whether a text holds a secret. `encoded`: also search the decoded text."""
    if len(text) > LIMIT or depth > DEPTH:
        return True
    if _has_token(text) or (
        encoded and any(_looks_secret(one, depth, encoded=False) for one in _decoded(text))
    ):
        return True
    document = _document(text)
    if document is None:
        return fields.has_secret_field(text)
    return any(
        secret or (len(leaf) >= SHORTEST and _looks_secret(leaf, depth + 1, encoded=encoded))
        for leaf, secret in fields.leaves(document)
    )


def _document(text: str) -> object:
    """Return a JSON object, list or text, None for any other text."""
    if text.lstrip("\ufeff \t\r\n")[:1] not in {"{", "[", '"'}:
        return None
    try:
        document: object = json.loads(text.lstrip("\ufeff"), object_pairs_hook=fields.JsonMembers)
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


def _has_token(text: str) -> bool:
    """Whether a text holds a secret that is recognised without a field name."""
    return (
        _TOKEN.search(text) is not None
        or _has_password_url(text)
        or _has_login(text)
        or _has_jwt(text)
        or any(map(_is_aws_secret, _ITEMS.split(text)))
    )


def _has_password_url(text: str) -> bool:
    """Whether a URL of any scheme names a password, or a long random user."""
    start = text.find("://")
    last_at = text.rfind("@")
    while -1 < start < last_at:
        rest = text[start + len("://") : start + len("://") + _URL].split(None, 1)
        if rest and "@" in rest[0] and _has_password(rest[0]):
            return True
        start = text.find("://", start + len("://"))
    return False


def _has_password(url: str) -> bool:
    """Whether a URL without its scheme begins with a user and a password, or with a long random user."""
    user = _USER.match(url)
    if user is None:
        return False
    after = url[user.end() :]
    if after.startswith("@"):
        return _RANDOM_USER.fullmatch(user[0]) is not None
    if not after.startswith(":") or "@" not in after or _PORT.match(after, 1):
        return False
    password, _, host = after[1:].partition("@")
    return "@" in host if not password else not fields.is_reference(password)


def _has_login(text: str) -> bool:
    """Whether a text holds a login without a scheme: `user:password@tcp(host)`, `//user:password@host`."""
    at = text.find("@")
    while at != -1:
        before = _BEFORE_AT.split(text[max(0, at - 200) : at])[-1]
        if _is_login(before, text[at + 1 : at + 270]):
            return True
        at = text.find("@", at + 1)
    return False


def _is_login(before: str, after: str) -> bool:
    """Whether the words around an `@` are a user with a password, and a host."""
    if "://" in before or re.match(r"(?:mailto|sips?|acct):", before):
        return False
    if ":" not in before or -1 < before.find("=") < before.find(":"):
        before = before.rpartition("=")[2] if ":" not in before else before.partition("=")[2]
    if before.startswith("//"):
        return _has_password(f"{before[2:]}@{after}")
    thin = before.rpartition("thin:")[2]
    if thin != before or after.startswith("//"):
        user, mark, password = thin.partition("/")
        if user and mark and password and not fields.is_reference(password):
            return True
    user, _, password = before.partition(":")
    if not user or not password or fields.is_reference(password):
        return False
    return (_DRIVER.match(after) or _HOST_AND_PORT.match(after)) is not None


def _has_jwt(text: str) -> bool:
    """Whether a text holds a JWT or a JWE: parts with dots, the first a JSON object in base64."""
    if "eyJ" not in text:
        return False
    for word in _DOTTED.split(text):
        parts = word.split(".")
        for first, second, third in zip(parts, parts[1:], parts[2:], strict=False):
            if _JWT_HEADER.search(first) and _JWT_PART.match(second or third):
                return True
    return False


def _is_aws_secret(item: str) -> bool:
    """Whether a word is forty random characters, the form of the secret of an access key."""
    return (
        _AWS_SECRET.fullmatch(item) is not None
        and any(map(str.isupper, item))
        and any(map(str.islower, item))
        and any(map(str.isdigit, item))
        and _bits(item) >= AWS_SECRET_BITS
    )


def _bits(text: str) -> float:
    """Return the entropy per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
