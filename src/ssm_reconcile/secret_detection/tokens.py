"""A text -> whether it holds a key, a token or a URL with a password, in a form that needs no field name."""

from __future__ import annotations

import math
import re
from collections import Counter

from ssm_reconcile.secret_detection.names import is_reference

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


def has_token(text: str) -> bool:
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
    return "@" in host if not password else not is_reference(password)


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
        if user and mark and password and not is_reference(password):
            return True
    user, _, password = before.partition(":")
    if not user or not password or is_reference(password):
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
