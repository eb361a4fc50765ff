"""The tree of one document -> a view of its valid values, and a finding for each violation of the schema.

`schema/replication.schema.json` is the one list of rules, for editors and for this loader. The library
`jsonschema` applies it to the plain values of the tree. Its errors become findings with positions and with
messages of our own, because its messages repeat whole values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ssm_reconcile.errors import Severity, UsageError, Where
from ssm_reconcile.load.messages import SpecFindings, advise_name, brace_error, echo, inline, name_hint, quote
from ssm_reconcile.load.tree import ListNode, MappingNode, Node, ScalarKind, ScalarNode
from ssm_reconcile.spec import PLACEHOLDER, TARGET_PLACEHOLDERS
from ssm_reconcile.wording import did_you_mean, nearest

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Schema: TypeAlias = Mapping[str, Any]
SCHEMAS = ("replication", "plan", "report", "doctor", "doctor-probe", "status")
_BRACE = re.compile(r"\{\}|\\\{")
"""A brace in a pattern that allows placeholders."""
_MISSPELLED = 0.8
"""Similarity (difflib, 0 to 1) from which an unknown property is taken for a known one."""
_PROPERTY_RULES = frozenset({"required", "additionalProperties"})
"""Keywords about properties of a value: each missing or unknown property is a finding."""
_MISREAD_CODES = frozenset({"yaml-tag", "yaml-syntax", "unknown-alias"})
"""Codes of errors about a value that was most likely meant as text: the schema adds nothing to them."""


def schema_text(name: str) -> str:
    """Return the JSON Schema `replication`, `plan`, `report`, `doctor`, `doctor-probe` or `status`.

    Raises:
        UsageError: The name is unknown, or the schema is not installed.
    """
    if name not in SCHEMAS:
        message = f"no schema has that name: write one of {', '.join(SCHEMAS)}"
        raise UsageError(message)
    file = f"{name}.schema.json"
    packaged = resources.files("ssm_reconcile").joinpath("schema", file)
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    checkout = Path(__file__).resolve().parents[3] / "schema" / file
    if not checkout.is_file():
        message = f"the schema {file} is not installed"
        raise UsageError(message, "install ssm-reconcile again")
    return checkout.read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def replication_schema() -> Schema:
    """Return the schema of a replication, parsed."""
    schema: Schema = json.loads(schema_text("replication"))
    return schema


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node, or nothing, with accessors that return None for a value that is missing or not valid.

    `bad` holds the identities of the nodes that the schema refused: checks of meaning skip them, so that
    one mistake makes one finding.
    """

    node: Node | None
    bad: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.node is not None and id(self.node) not in self.bad

    @property
    def where(self) -> Where:
        """The position of the node."""
        return self.node.where if self.node is not None else Where("")

    def at(self, *keys: str) -> NodeView:
        """Return the view of a property, or of one further below."""
        view = self
        for key in keys:
            entries = view.node.entries if view and isinstance(view.node, MappingNode) else ()
            found = (value for name, value in entries if name.text == key and id(name) not in view.bad)
            view = NodeView(next(found, None), self.bad)
        return view

    def pairs(self) -> Iterator[tuple[ScalarNode, NodeView]]:
        """Return the properties of a mapping, without those whose key is wrong."""
        if self and isinstance(self.node, MappingNode):
            for key, value in self.node.entries:
                if id(key) not in self.bad:
                    yield key, NodeView(value, self.bad)

    def each(self) -> Iterator[NodeView]:
        """Return the valid items of a list."""
        if self and isinstance(self.node, ListNode):
            yield from filter(None, (NodeView(item, self.bad) for item in self.node.items))

    def texts(self) -> Iterator[ScalarNode]:
        """Return the items of a list that are text."""
        yield from filter(None, (view.text_node for view in self.each()))

    @property
    def text_node(self) -> ScalarNode | None:
        """The node, None when it is not valid text."""
        node = self.node
        return node if self and isinstance(node, ScalarNode) and node.kind is ScalarKind.STRING else None

    @property
    def text(self) -> str | None:
        """The text of the node, None when it is not text."""
        node = self.text_node
        return None if node is None else node.text

    @property
    def raw(self) -> str | None:
        """The text of a valid scalar of any type: `10`, `0.5` or `true`."""
        return self.node.text if self and isinstance(self.node, ScalarNode) else None


@dataclass(frozen=True, slots=True)
class Violation:
    """A keyword of the schema that a node does not satisfy.

    `rule` is the keyword, `wanted` its value (for `required` and `additionalProperties` the one property),
    `node` the value or the key that is wrong, `path` the path in the document, such as `targets[0].region`.
    """

    rule: str
    wanted: Any
    schema: Schema
    node: Node
    where: Where
    path: str

    @property
    def label(self) -> str:
        """The path in backticks, or `the document`."""
        return f"`{echo(self.path, 80)}`" if self.path else "the document"

    @property
    def example(self) -> str:
        """A valid value for this place."""
        examples = self.schema.get("examples") or [self.schema.get("default")]
        return inline(examples[0])

    @property
    def text(self) -> str:
        """The text of a scalar, not safe to show; empty for a list or a mapping."""
        return self.node.text if isinstance(self.node, ScalarNode) else ""


class _Text(str):
    """Text of a spec. Its `repr` is constant, so that no message of the library holds a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "text"


class _Misread:
    """A value that YAML misreads, such as `012`: it has no type of the schema, and equals nothing."""


def _plain(node: Node, texts: dict[str, _Text]) -> Any:
    """Return a tree as the values that the library checks. `texts`: equal texts are one object in memory."""
    match node:
        case MappingNode():
            return {_Text(key.text): _plain(value, texts) for key, value in node.entries}
        case ListNode():
            return [_plain(item, texts) for item in node.items]
        case ScalarNode(kind=ScalarKind.STRING):
            return texts.setdefault(node.text, _Text(node.text))
        case ScalarNode(kind=ScalarKind.NULL):
            return None
        case ScalarNode(kind=ScalarKind.MISREAD):
            return _Misread()
        case _:
            return json.loads(node.text)


@lru_cache(maxsize=1)
def _validator() -> Validator:
    """Return the validator of a replication, with three rules that are stricter than the library's."""
    from jsonschema import Draft7Validator, ValidationError, validators

    def is_integer(_checker: object, value: object) -> bool:
        """Whether a value is written as a whole number; the library takes 1.0 too."""
        return isinstance(value, int) and not isinstance(value, bool)

    def pattern(_: Validator, wanted: str, value: object, _schema: Schema) -> Iterator[ValidationError]:
        """Compare the whole text: Python's `$` would let a line feed at the end pass."""
        if isinstance(value, str) and not re.fullmatch(wanted, value):
            yield ValidationError("pattern")

    def unique(_: Validator, _wanted: Any, value: object, _schema: Schema) -> Iterator[ValidationError]:
        """Return the second of two equal texts. The library compares all items with each other."""
        seen: set[str] = set()
        for i, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, str):
                if item in seen:
                    yield ValidationError("uniqueItems", path=[i])
                seen.add(item)

    types = Draft7Validator.TYPE_CHECKER.redefine("integer", is_integer)
    keywords = {"pattern": pattern, "uniqueItems": unique}
    # The type stubs have no type for `extend`.
    strict: Any = cast("Any", validators).extend(Draft7Validator, keywords, type_checker=types)
    validator: Validator = strict(replication_schema())
    return validator


def check(root: MappingNode, findings: SpecFindings) -> NodeView:
    """Report everything that the schema has against a document; return the view of its valid values.

    A misspelled property is an error, and in the view it has the name that was meant, so that its value is
    checked at the same time. Properties that begin with `x-` are left out.
    """
    free = MappingNode(tuple(one for one in root.entries if not one[0].text.startswith("x-")), root.where)
    misspelled: list[Violation] = []
    meant = _respelled(free, replication_schema(), "", misspelled)
    bad: set[int] = set()
    reported: set[tuple[Where, str]] = set()
    misread = {one.where for one in findings.all if one.code in _MISREAD_CODES}
    for violation in chain(misspelled, _violations(meant)):
        if findings.is_full(Severity.ERROR):
            break
        if violation.rule != "required":
            bad.add(id(violation.node))
        place = (violation.where, violation.path)
        # One value may break several rules (length and pattern): its first message is enough.
        repeated = place in reported or violation.where in misread
        if violation.rule in _PROPERTY_RULES or not repeated:
            reported.add(place)
            findings.error(violation.where, *_describe(violation))
    return NodeView(meant, frozenset(bad))


def _respelled(node: Node, schema: Schema, path: str, misspelled: list[Violation]) -> Node:
    """Return a tree with each misspelled property under the name that was meant.

    Args:
        node: The value to correct.
        schema: The schema of the value.
        path: The path of the value in the document.
        misspelled: Collects the misspelled properties.
    """
    if isinstance(node, ListNode):
        below = schema.get("items", {})
        items = (_respelled(item, below, f"{path}[{i}]", misspelled) for i, item in enumerate(node.items))
        return replace(node, items=tuple(items))
    if not isinstance(node, MappingNode):
        return node
    known = schema.get("properties", {})
    names = {key.text for key, _ in node.entries}
    entries: list[tuple[ScalarNode, Node]] = []
    for key, value in node.entries:
        name = key.text
        near = nearest(name, known, cutoff=_MISSPELLED) if known and name not in known else None
        if near is not None and near not in names:
            misspelled.append(_unknown_property(key, schema, path))
            name = near
            names.add(near)
        child = _respelled(value, known.get(name, {}), f"{path}.{name}".removeprefix("."), misspelled)
        entries.append((key if name == key.text else replace(key, text=name), child))
    return replace(node, entries=tuple(entries))


def _unknown_property(key: ScalarNode, schema: Schema, path: str) -> Violation:
    return Violation("additionalProperties", key.text, schema, key, key.where, path)


def _violations(root: Node) -> Iterator[Violation]:
    """Return each rule of the schema that a document breaks."""
    # Sorted, because the library visits the values of free names in the order of a set.
    errors = sorted(_validator().iter_errors(_plain(root, {})), key=lambda one: list(one.absolute_path))
    for error in errors:
        yield from _violations_of(error, root)


def _violations_of(error: ValidationError, root: Node) -> Iterator[Violation]:
    """Return the violations of one error: one for each property that is missing or unknown, else one."""
    node, where, path = root, root.where, ""
    for step in error.absolute_path:
        if isinstance(node, MappingNode):
            key, node = next(one for one in node.entries if one[0].text == step)
            where, path = key.where, f"{path}.{step}"
        elif isinstance(node, ListNode):
            node = node.items[int(step)]
            where, path = node.where, f"{path}[{step}]"
    path = path.removeprefix(".")
    rule, schema = str(error.validator), cast("Schema", error.schema)
    wanted: Any = error.validator_value
    keys = {key.text: key for key, _ in node.entries} if isinstance(node, MappingNode) else {}
    known = schema.get("properties", {})
    match rule:
        case "required":
            # A misspelled name is reported as that.
            present = {*keys, *(nearest(name, known) for name in keys if name not in known)}
            for missing in wanted:
                if missing not in present:
                    yield Violation(rule, missing, schema, node, where, path)
        case "additionalProperties":
            yield from (
                _unknown_property(key, schema, path) for name, key in keys.items() if name not in known
            )
        case _:
            if "propertyNames" in error.absolute_schema_path:
                node = keys[str(error.instance)]
                path = f"{path}.{node.text}"
            yield Violation(rule, wanted, schema, node, node.where, path)


def _describe(violation: Violation) -> tuple[str, str]:
    """Return the code and the message of a violation."""
    node, rule, wanted = violation.node, violation.rule, violation.wanted
    if rule == "additionalProperties":
        return "unknown-property", _unknown(violation)
    if isinstance(node, ScalarNode) and rule in {"type", "enum", "const"}:
        misread = _misread(violation, node)
        if misread is not None:
            return misread
    if rule == "enum" and not isinstance(node, ScalarNode):
        return (
            "wrong-type",
            f"{violation.label} must be one of: {', '.join(map(str, wanted))}{_other_form(violation)}",
        )
    if rule == "pattern" and (error := _brace_error(violation)):
        return "unknown-placeholder", f"{violation.label}: {error}"
    if rule == "minLength" and wanted > 1:
        return "bad-format", f"{violation.label} must have at least {wanted} characters"
    code, message = _MESSAGES[rule]
    return code, f"{violation.label} {message(violation)}"


def _misread(violation: Violation, node: ScalarNode) -> tuple[str, str] | None:
    """Return code and message for a scalar that YAML does not read as the type that the schema asks for."""
    label, schema = violation.label, violation.schema
    if node.kind is ScalarKind.STRING:
        return None
    if node.kind is ScalarKind.NULL and node.text == "":
        return "empty-value", f"{label} has no value: write one, for example {violation.example}"
    if "enum" in schema:
        return "unknown-value", f"{label} {_enum(replace(violation, wanted=schema['enum']))}"
    if schema.get("type") != "string":
        return None
    units = [
        one for one in (f"{node.text}d", f"{node.text}h") if _is_number_without_unit(node.text, schema, one)
    ]
    if units:
        message = f"{label} has a number without a unit: write {' or '.join(units)}"
        return "unquoted", f"{message}; it must be {schema['patternErrorMessage']}"
    message = f"{label}: YAML reads `{echo(node.text)}` as {node.reading}: quote it: {quote(node.text)}"
    if "pattern" in schema and not re.fullmatch(schema["pattern"], node.text):
        message += f"; and it must be {schema['patternErrorMessage']}"
    return "unquoted", message


def _is_number_without_unit(text: str, schema: Schema, with_unit: str) -> bool:
    """Whether a number does not match the pattern of a schema, and would with this unit."""
    pattern = schema.get("pattern", "")
    return text.isdecimal() and not re.fullmatch(pattern, text) and bool(re.fullmatch(pattern, with_unit))


_OTHER_FORMS = {
    "skip_sync.values": "a list of texts",
    "delete": "a mapping such as { mode: owned, after: 7d }",
}


def _other_form(violation: Violation) -> str:
    """Return the form that a property may have instead of one text, for the end of a message."""
    form = _OTHER_FORMS.get(violation.path)
    return f" (or {form})" if form else ""


def _unknown(violation: Violation) -> str:
    name, known = str(violation.wanted), violation.schema.get("properties", {})
    elsewhere = [place for place in _places(replication_schema(), name) if place != violation.path]
    if elsewhere and nearest(name, known, cutoff=_MISSPELLED) is None:
        hint = f"it belongs under `{elsewhere[0]}`"
    else:
        hint = advise_name(name, known)
    return f"`{echo(name)}` is not a property of {violation.label}: {hint}"


def _places(schema: Schema, name: str, path: str = "") -> Iterator[str]:
    """Return the places of the schema that have a property of that name."""
    properties = schema.get("properties", {})
    if name in properties and path:
        yield path
    for key, below in properties.items():
        deeper = f"{path}.{key}" if path else key
        yield from _places(below, name, deeper)
        if isinstance(below.get("items"), dict):
            yield from _places(below["items"], name, f"{deeper}[]")


def _required(violation: Violation) -> str:
    name = violation.wanted
    schema = violation.schema["properties"][name]
    example, *_ = schema["examples"]
    allowed = schema.get("enum") or schema.get("else", {}).get("enum", [])
    others = [one for one in allowed if one != example]
    message = f"has no `{name}`: write `{name}: {inline(example)}`"
    return message + (f" (or {', '.join(others)})" if others else "")


_TYPES = {
    "integer": "a whole number in plain digits, without quotes, such as",
    "number": "a number in plain digits, without quotes, such as",
    "boolean": "`true` or `false`, without quotes:",
    "object": "a mapping: write for example",
}


def _type(violation: Violation) -> str:
    node, example = violation.node, violation.example
    match violation.wanted:
        case "string":
            in_list = isinstance(node, ListNode)
            kind, sign = (
                ("a list", "begins with `[` or `- `") if in_list else ("a mapping", "has `{` or `: `")
            )
            return f"must be text, not {kind}: quote it if it {sign}, or write for example {example}"
        case "array":
            is_text = isinstance(node, ScalarNode) and node.kind is ScalarKind.STRING
            return f"must be a list: write {f'[{quote(violation.text)}]' if is_text else example}"
        case wanted:
            return f"must be {_TYPES[wanted]} {example}"


def _enum(violation: Violation) -> str:
    known = [str(one) for one in violation.wanted]
    near = nearest(violation.text, known)
    hint = f"{did_you_mean(near)} Allowed" if near else "write one of"
    return f"cannot be {quote(violation.text)}: {hint}: {', '.join(known)}{_other_form(violation)}"


def _pattern(violation: Violation) -> str:
    hint = name_hint(violation.text) if violation.path.startswith("parameters.") else ""
    if PLACEHOLDER.search(violation.text) and not _BRACE.search(violation.wanted):
        hint = "; placeholders are not allowed here"
    return f"cannot be {quote(violation.text)}: it must be {violation.schema['patternErrorMessage']}{hint}"


def _brace_error(violation: Violation) -> str | None:
    """Return the error about a brace, where the pattern of the schema has braces: there, placeholders are."""
    if not _BRACE.search(violation.wanted):
        return None
    known = TARGET_PLACEHOLDERS[:-1] if violation.path.endswith(".name") else TARGET_PLACEHOLDERS
    return brace_error(violation.text, known)


def _empty(violation: Violation) -> str:
    return f"is empty: write for example {violation.example}"


def _many(violation: Violation) -> str:
    return f"has more than {violation.wanted} entries: write fewer, or split the replication"


def _range(bound: str) -> Callable[[Violation], str]:
    return lambda one: f"cannot be {echo(one.text)}: write a number {bound} {one.wanted}"


_MESSAGES: Mapping[str, tuple[str, Callable[[Violation], str]]] = {
    "required": ("missing-property", _required),
    "type": ("wrong-type", _type),
    "enum": ("unknown-value", _enum),
    "const": (
        "unsupported-version",
        lambda one: f"cannot be {echo(one.text)}: write `version: {one.wanted}`",
    ),
    "pattern": ("bad-format", _pattern),
    "minLength": ("empty-value", _empty),
    "maxLength": ("too-long", lambda one: f"has {len(one.text)} characters, over {one.wanted}: shorten it"),
    "minimum": ("out-of-range", _range("from")),
    "maximum": ("out-of-range", _range("up to")),
    "exclusiveMinimum": ("out-of-range", _range("above")),
    "minItems": ("empty-value", _empty),
    "minProperties": ("empty-value", _empty),
    "maxItems": ("too-many-items", _many),
    "maxProperties": ("too-many-items", _many),
    "uniqueItems": ("duplicate-item", lambda one: f"repeats {quote(one.text)}: remove one of them"),
}
"""By keyword of JSON Schema: the code of a violation, and the message after the label."""
