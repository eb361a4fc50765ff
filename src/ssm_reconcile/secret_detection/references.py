"""A value -> whether it only refers to a secret elsewhere, or says something harmless about one.

Each judgement covers the whole value: `${A}` is a reference, `${A}b` may be a password.
"""

from __future__ import annotations

import re

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
"""What stands for a value that is elsewhere, switches something, or is a scope (`token:read`)."""
PLACEHOLDER = re.compile(_REFERENCE)
_END = (
    r"(?:[ \t]*(?:$|\n)|[ \t]+(?:[#-]|/[/>]|[\w.-]+ ?[=:])|&[A-Za-z][\w.-]*=|; ?(?:$|\n|[A-Za-z][\w. -]*=)"
    r"|,(?:$|[\s\"'\[{]|[A-Za-z][\w.:-]*[=:])|[})\]\"'](?=$|[\s,;}\])\"'])|</| ?/>)"
)
_WHOLE = re.compile(rf"(?:{_REFERENCE})(?={_END})")
_ENTRY = r"""(?:[ \t]*(?:$|\n)
    |[;&][ ]?[A-Za-z][\w. -]{2,}=
    |[ \t]*,[ ]*(?:$|[\"']?[A-Za-z][\w. -]*[\"']?[ ]?[:=])
    |[ \t]*[;,})\]\"'\\]+[ \t]*(?:$|\n)|[ \t]+[#]|[ \t]*</[A-Za-z]|[ \t]*/>[\s]*(?:$|<)
    |[})\]]+,?(?:[\s]|$|,[\"']))"""
_EMPTY = re.compile(_ENTRY, re.VERBOSE)
_NUMBER = re.compile(r"[-+0-9.,]+[ ]?[A-Za-z%]{0,2}(?:/[a-z]{1,6})?")
_DURATION = re.compile(
    r"P(?=[0-9T])[0-9YMWDTHS.]+|(?:[0-9]+(?:ms|[smhdwy]))+"
    r"|[0-9]+[ ]?(?:second|minute|hour|day|week|month|year)s?"
)
_ARN = re.compile(r"arn:aws[\w/.:*+=@-]*")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s@]+|/[\w./{}-]*")
_PLAIN_NAME = re.compile(r"[A-Za-z_${/.^*][\w./:${}*^ ,-]{0,127}")
_PATH = re.compile(r"[\w.~${}-]*[/\\.][\w./\\${}~ -]+")


def stands_for(value: str) -> bool:
    """Whether a value only says where another one is, or switches something."""
    return PLACEHOLDER.fullmatch(value) is not None


def begins_with_reference(line: str) -> bool:
    """Whether the value at the beginning of a line is a reference, and ends with it."""
    return _WHOLE.match(line) is not None


def is_empty(line: str) -> bool:
    """Whether there is no value at the beginning of a line, and the next field or the end follows."""
    return _EMPTY.match(line) is not None


def is_number(value: str) -> bool:
    """Whether a value is a number, with a unit or a rate."""
    return _NUMBER.fullmatch(value) is not None


def is_measure(value: str) -> bool:
    """Whether a value is a number, a duration, an ARN or a URL without a user, which are never secret."""
    return is_number(value) or any(one.fullmatch(value) is not None for one in (_DURATION, _ARN, _URL))


def is_plain_name(value: str) -> bool:
    """Whether a value may be the name of something."""
    return _PLAIN_NAME.fullmatch(value) is not None


def is_path(value: str) -> bool:
    """Whether a value may be the path of a file."""
    return _PATH.fullmatch(value) is not None
