"""One complaint of the schema -> a code and a sentence: what is wrong, and what to write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ssm_reconcile.errors import Where
from ssm_reconcile.load.name_hints import name_hint
from ssm_reconcile.load.nodes import Items, Kind, Map, Node, Scalar
from ssm_reconcile.load.notes import did_you_mean, inline, nearest, quoted, shown

Schema: TypeAlias = Mapping[str, Any]
Said: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Complaint:
    """A keyword of the schema that does not hold.

    `rule` is the keyword, `wanted` its value (for `required` and `additionalProperties` the one
    property), `path` the place as a person names it, `about` the identity of the node that is wrong.
    """

    rule: str
    wanted: Any
    schema: Schema
    node: Node
    where: Where
    path: str
    about: int
    once: bool = True

    @property
    def label(self) -> str:
        """The place in backticks, the document itself in words."""
        return f"`{shown(self.path, 80)}`" if self.path else "the document"

    @property
    def example(self) -> str:
        """What could be written here."""
        examples = self.schema.get("examples") or [self.schema.get("default")]
        return inline(examples[0])

    @property
    def text(self) -> str:
        """What was written, safe to show."""
        return quoted(self.node.text) if isinstance(self.node, Scalar) else ""


def describe(complaint: Complaint, whole: Schema) -> Said:
    """The code and the message; `whole` is the schema of the document, to look for better places."""
    if complaint.rule == "additionalProperties":
        return _unknown(complaint, whole)
    if isinstance(complaint.node, Scalar) and complaint.rule in {"type", "enum", "const"}:
        said = _misread(complaint)
        if said is not None:
            return said
    return _WORDS.get(complaint.rule, _otherwise)(complaint)


def _misread(complaint: Complaint) -> Said | None:
    """The traps: a scalar that YAML does not read as the kind of value that is wanted here."""
    node = complaint.node
    if not isinstance(node, Scalar) or node.kind is Kind.STRING:
        return None
    if node.kind is Kind.NULL and node.text == "":
        return "empty-value", f"{complaint.label} has no value: write one, for example {complaint.example}"
    schema = complaint.schema
    if "enum" in schema:
        return _enum(replace(complaint, wanted=schema["enum"]))
    if schema.get("type") != "string":
        return None
    read = (
        f"{complaint.label}: YAML reads `{shown(node.text)}` as {node.reading}: quote it: {quoted(node.text)}"
    )
    if "pattern" in schema and not re.fullmatch(schema["pattern"], node.text):
        read += f"; and it must be {schema['patternErrorMessage']}"
    return "unquoted", read


def _unknown(complaint: Complaint, whole: Schema) -> Said:
    name, known = str(complaint.wanted), complaint.schema.get("properties", {})
    here = complaint.label
    elsewhere = [place for place in _places(whole, name) if place != complaint.path]
    if elsewhere and nearest(name, known, cutoff=0.8) is None:
        message = f"`{shown(name)}` is not a property of {here}: it belongs under `{elsewhere[0]}`"
        return "unknown-property", message
    return "unknown-property", f"`{shown(name)}` is not a property of {here}: {did_you_mean(name, known)}"


def _places(schema: Schema, name: str, path: str = "") -> Iterator[str]:
    """The places of the schema that have a property of that name."""
    properties = schema.get("properties", {})
    if name in properties and path:
        yield path
    for key, below in properties.items():
        deeper = f"{path}.{key}" if path else key
        yield from _places(below, name, deeper)
        if isinstance(below.get("items"), dict):
            yield from _places(below["items"], name, f"{deeper}[]")


def _required(complaint: Complaint) -> Said:
    name = complaint.wanted
    schema = complaint.schema["properties"][name]
    message = f"{complaint.label} has no `{name}`: write `{name}: {inline(schema['examples'][0])}`"
    others = [one for one in schema.get("enum", []) if one != schema["examples"][0]]
    if others:
        message += f" (or {', '.join(others)})"
    return "missing-property", message


def _type(complaint: Complaint) -> Said:
    node, label = complaint.node, complaint.label
    match complaint.wanted:
        case "string":
            kind, signs = (
                ("a list", "begins with `[` or `- `")
                if isinstance(node, Items)
                else ("a mapping", "begins with `{` or holds `: `")
                if isinstance(node, Map)
                else ("something else", "is meant as text")
            )
            wanted = (
                f"must be one text, not {kind}: quote it if it {signs},"
                f" or write for example {complaint.example}"
            )
        case "integer":
            wanted = f"must be a whole number in plain digits, without quotes, such as {complaint.example}"
        case "number":
            wanted = f"must be a number in plain digits, without quotes, such as {complaint.example}"
        case "boolean":
            wanted = "must be `true` or `false`, without quotes"
        case "array":
            own = isinstance(node, Scalar) and node.kind is Kind.STRING
            wanted = f"must be a list: write {'[' + complaint.text + ']' if own else complaint.example}"
        case _:
            wanted = f"must hold properties: write for example {complaint.example}"
    return "wrong-type", f"{label} {wanted}"


def _enum(complaint: Complaint) -> Said:
    node, words = complaint.node, [str(one) for one in complaint.wanted]
    if not isinstance(node, Scalar):
        return "wrong-type", f"{complaint.label} must be one of: {', '.join(words)}"
    near = nearest(node.text, words)
    hint = f"did you mean `{near}`? It takes" if near else "write one of"
    said = f"{complaint.label} cannot be {quoted(node.text)}: {hint}: {', '.join(words)}"
    return "unknown-value", said + (" (or a list of texts)" if complaint.path == "skip_sync.values" else "")


def _const(complaint: Complaint) -> Said:
    written = shown(complaint.node.text) if isinstance(complaint.node, Scalar) else "this"
    message = (
        f"{complaint.label} {written} is not known: write `{complaint.path}: {inline(complaint.wanted)}`"
    )
    return "unsupported-version", message


def _pattern(complaint: Complaint) -> Said:
    words = complaint.schema.get("patternErrorMessage", f"of the form {complaint.wanted}")
    if not isinstance(complaint.node, Scalar):
        return "bad-format", f"{complaint.label} cannot be this: it must be {words}"
    hint = name_hint(complaint.node.text) if complaint.path.startswith("parameters.") else ""
    written = quoted(complaint.node.text)
    return "bad-format", f"{complaint.label} cannot be {written}: it must be {words}{hint}"


def _short(complaint: Complaint) -> Said:
    if complaint.wanted == 1:
        return "empty-value", f"{complaint.label} is empty: write for example {complaint.example}"
    return "bad-format", f"{complaint.label} must have at least {complaint.wanted} characters"


def _long(complaint: Complaint) -> Said:
    length = len(complaint.node.text) if isinstance(complaint.node, Scalar) else 0
    message = f"{complaint.label} has {length} characters; {complaint.wanted} are allowed: shorten it"
    return "too-long", message


def _range(words: str) -> Callable[[Complaint], Said]:
    def say(complaint: Complaint) -> Said:
        written = shown(complaint.node.text) if isinstance(complaint.node, Scalar) else "this"
        message = f"{complaint.label} cannot be {written}: write a number {words} {complaint.wanted}"
        return "out-of-range", message

    return say


def _few(complaint: Complaint) -> Said:
    return "empty-value", f"{complaint.label} is empty: write for example {complaint.example}"


def _many(complaint: Complaint) -> Said:
    message = (
        f"{complaint.label} has more than {complaint.wanted} entries: write fewer, or split the replication"
    )
    return "too-many-items", message


def _unique(complaint: Complaint) -> Said:
    return "duplicate-item", f"{complaint.label}: {complaint.text} is here twice: remove one of them"


def _otherwise(complaint: Complaint) -> Said:
    return "bad-format", f"{complaint.label} is not allowed like this: write for example {complaint.example}"


_WORDS: Mapping[str, Callable[[Complaint], Said]] = {
    "required": _required,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
    "minLength": _short,
    "maxLength": _long,
    "minimum": _range("from"),
    "maximum": _range("up to"),
    "exclusiveMinimum": _range("above"),
    "minItems": _few,
    "minProperties": _few,
    "maxItems": _many,
    "maxProperties": _many,
    "uniqueItems": _unique,
}
