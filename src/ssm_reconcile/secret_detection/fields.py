"""A text or a JSON document -> whether a field with the name of a secret has a value.

A field counts by the words of its name: `db.password`, `ClientSecret`, `API_KEY`, but neither `token_url`
with a URL nor `max_tokens: 4096`. Empty values and references (`${TOKEN}`, `***`, ARNs) are not secrets; a
value that only begins like a reference is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ssm_reconcile.secret_detection.names import (
    HINT,
    FieldKind,
    begins_with_reference,
    is_empty,
    is_harmless,
    is_reference,
    kind_of_field,
)

CONTEXT = 80
"""Characters before a separator that may hold the name of a field."""
REACH = 256
"""Characters after a separator that may hold the value."""
_ARN = re.compile(
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


def has_secret_field(text: str) -> bool:
    """Whether a field with the name of a secret has a value, in any of the usual notations."""
    return HINT.search(text) is not None and any(_is_secret(kind, value) for kind, value in _fields(text))


def _fields(text: str) -> Iterator[tuple[FieldKind, str]]:
    """Return the kind of each field that may hold a secret, with the text after its name."""
    text = _ESCAPED_QUOTE.sub(r"\1", _ARN.sub("arn:", text))
    for mark in _SEPARATOR.finditer(text):
        before = _NAME_BACKWARDS.match(text[max(0, mark.start() - CONTEXT) : mark.start()][::-1])
        kind = FieldKind.NOTHING if before is None else kind_of_field(before[1][::-1])
        if kind is not FieldKind.NOTHING:
            value = text[mark.end() : mark.end() + REACH].lstrip(":=>")
            yield kind, value
            if kind in {FieldKind.SECRET, FieldKind.SECRET_OR_NUMBER}:
                yield from _below(kind, value, _indent(text, mark.start()))
    for pattern in (_ELEMENT, _PAIR, _OPTION):
        for found in pattern.finditer(text):
            yield kind_of_field(found[1]), found[2].strip() if pattern is _ELEMENT else found[2]


def _indent(text: str, at: int) -> int:
    """Return the indentation of the line at a position. The search for its start is bounded."""
    line = text[max(0, at - CONTEXT) : at].rpartition("\n")[2]
    return len(line) - len(line.lstrip(" \t"))


def _below(kind: FieldKind, value: str, indent: int) -> Iterator[tuple[FieldKind, str]]:
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
        yield (kind, text) if child is None else (kind_of_field(child[1], within_secret=True), child[2])


def _is_secret(kind: FieldKind, value: str) -> bool:
    """Whether a value may be a secret in a field of that kind."""
    if kind is FieldKind.NOTHING:
        return False
    line = value.lstrip(" \t").split("\n", 1)[0].rstrip("\r")
    if _BLOCK.fullmatch(line) and "\n" in value:
        return False  # a YAML block: the lines below are judged on their own
    if line[:1] in {'"', "'"}:
        body, closed, after = line[1:].partition(line[0])
        if not closed or body or is_empty(after):
            return bool(body) and not is_reference(body) and not is_harmless(kind, body)
    if is_empty(line) or begins_with_reference(line):
        return False
    if line[0] in "{[(" and line[1:].strip() in {"", "}", "]", ")"}:
        return False
    if _FLOW_MAPPING.match(line):
        inherits = kind in {FieldKind.SECRET, FieldKind.SECRET_OR_NUMBER}
        return any(
            _is_secret(kind_of_field(one[1], within_secret=inherits), one[2].rstrip() + "\n")
            for one in _FLOW_MEMBER.finditer(line[1:])
        )
    if line[0] == "[" and kind is FieldKind.SECRET_OR_NUMBER:
        line = line[1:].strip(" ]")
    return not is_harmless(kind, _VALUE_END.split(line, maxsplit=1)[0] or line)


class JsonMembers(list[tuple[str, Any]]):
    """The members of a JSON object, also those of the same name."""


def leaves(document: Any) -> Iterator[tuple[str, bool]]:
    """Return all texts of a JSON document, each with whether it is the value of a secret field.

    A number in such a field is returned as a text. Objects are `JsonMembers`.
    """
    todo: list[tuple[Any, FieldKind]] = [(document, FieldKind.NOTHING)]
    while todo:
        one, kind = todo.pop()
        if isinstance(one, JsonMembers):
            todo += _members(one, kind)
        elif isinstance(one, list):
            todo += [(value, kind) for value in one]
        elif isinstance(one, str):
            yield one, one != "" and not is_reference(one) and not is_harmless(kind, one)
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield str(one), kind is FieldKind.SECRET


def _members(members: JsonMembers, kind: FieldKind) -> Iterator[tuple[Any, FieldKind]]:
    """Return the values of an object. `{"name": "DB_PASSWORD", "value": "x"}` is a field like any other."""
    inherits = kind in {FieldKind.SECRET, FieldKind.SECRET_OR_NUMBER}
    first: dict[str, Any] = {}
    for key, value in members:
        first.setdefault(key.lower(), value)
    named = next((str(first[one]) for one in ("name", "key", "parameterkey") if one in first), "")
    for key, value in members:
        yield key, FieldKind.NOTHING
        name = named if named and key.lower() in {"value", "parametervalue"} else key
        yield value, kind_of_field(name, within_secret=inherits)
