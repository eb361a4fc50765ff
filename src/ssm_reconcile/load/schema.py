"""The tree of one document -> a view of its valid values, and a finding for each violation of the schema.

`schema/replication.schema.json` is the one list of rules, for editors and for this loader. The walk applies
the keywords that this schema uses (JSON Schema draft 07). A test compares it with the library `jsonschema`.
It works on the nodes themselves, so each violation has its position, and no message repeats a whole value.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

from ssm_reconcile.errors import UsageError, Where
from ssm_reconcile.load.messages import SpecFindings, did_you_mean, inline, name_hint, nearest, quoted, shown
from ssm_reconcile.load.tree import ListNode, MappingNode, Node, ScalarKind, ScalarNode

Schema: TypeAlias = Mapping[str, Any]
SCHEMAS = ("replication", "plan", "report", "doctor")
_MISSPELLED = 0.8
"""Similarity (difflib, 0 to 1) from which an unknown property is taken for a known one."""
_MISREAD_CODES = frozenset({"yaml-tag", "yaml-syntax", "unknown-alias"})
"""Codes of errors about a value that was most likely meant as text: the schema adds nothing to them."""


def schema_text(name: str) -> str:
    """Return the JSON Schema `replication`, `plan`, `report` or `doctor`, as it ships.

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
            view = next((one for name, one in view.pairs() if name.text == key), NodeView(None))
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
        if self and isinstance(node, ScalarNode) and node.kind is ScalarKind.STRING:
            return node
        return None

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
    `path` the path in the document, such as `targets[0].region`, `about` the identity (`id`) of the node that
    is wrong. `once`: other violations of the same value are not reported.
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
        """The path in backticks, or `the document`."""
        return f"`{shown(self.path, 80)}`" if self.path else "the document"

    @property
    def example(self) -> str:
        """A valid value for this place."""
        examples = self.schema.get("examples") or [self.schema.get("default")]
        return inline(examples[0])

    @property
    def text(self) -> str:
        """The text of a scalar, not safe to show; empty for a list or a mapping."""
        return self.node.text if isinstance(self.node, ScalarNode) else ""

    @property
    def written(self) -> str:
        """The text of a scalar, safe to show."""
        return shown(self.text) if isinstance(self.node, ScalarNode) else "this"


_LIST_CONDITIONS = {"minItems": operator.ge, "maxItems": operator.le}
_MAPPING_CONDITIONS = {"minProperties": operator.ge, "maxProperties": operator.le}
_NUMBER_CONDITIONS = {"minimum": operator.ge, "maximum": operator.le, "exclusiveMinimum": operator.gt}
_TEXT_CONDITIONS: Mapping[str, Callable[[str, Any], bool]] = {
    "minLength": lambda text, least: len(text) >= least,
    "maxLength": lambda text, most: len(text) <= most,
    # The whole text: Python's `$` would let a line feed at the end pass.
    "pattern": lambda text, pattern: re.fullmatch(pattern, text) is not None,
}
"""By keyword of JSON Schema: whether a value of the type satisfies it (value, value of the keyword)."""


def check(root: MappingNode, findings: SpecFindings) -> NodeView:
    """Report everything that the schema has against a document; return the view of its valid values.

    A misspelled property is an error, and in the view it has the name that was meant, so that its value is
    checked at the same time. Properties that begin with `x-` are left out.
    """
    free = MappingNode(tuple(one for one in root.entries if not one[0].text.startswith("x-")), root.where)
    meant = _respelled(free, replication_schema())
    bad: set[int] = set()
    reported: set[tuple[Where, str]] = set()
    misread = {one.where for one in findings.all if one.code in _MISREAD_CODES}
    for violation in _every_violation(free, meant):
        if findings.full:
            break
        bad.add(violation.about)
        place = (violation.where, violation.path)
        # One value may break several rules (length and pattern): its first message is enough.
        if violation.once and (place in reported or violation.where in misread):
            continue
        reported.add(place)
        findings.error(violation.where, *describe(violation, replication_schema()))
    return NodeView(meant, frozenset(bad))


def _every_violation(free: MappingNode, meant: MappingNode) -> Iterator[Violation]:
    """Return the violations of the document as it was meant, after those of its misspelled properties."""
    schema = replication_schema()
    if meant is not free:
        yield from (one for one in violations(free, schema) if one.rule == "additionalProperties")
    yield from violations(meant, schema)


def violations(
    node: Node, schema: Schema, path: str = "", where: Where | None = None, about: int | None = None
) -> Iterator[Violation]:
    """Return each rule of a schema that a node breaks, in the order of the schema.

    Args:
        node: The value to check.
        schema: The schema of that value.
        path: The path of the value in the document, such as `targets[0].region`.
        where: The position to report for a missing property: that of the value's key; by default its own.
        about: The identity of the node that a violation makes unusable; by default the value's own.
    """
    if "if" in schema:
        branch = "else" if any(violations(node, schema["if"])) else "then"
        yield from violations(node, schema[branch], path, where)
    for rule, wanted in schema.items():
        if not _satisfies(node, rule, wanted):
            yield Violation(rule, wanted, schema, node, node.where, path, about or id(node))
        elif rule == "items" and isinstance(node, ListNode):
            for i, item in enumerate(node.items):
                yield from violations(item, wanted, f"{path}[{i}]")
        elif rule == "uniqueItems" and isinstance(node, ListNode):
            yield from _repeated(node, schema, path)
        elif isinstance(node, MappingNode):
            yield from _property_violations(rule, wanted, schema, node, path, where or node.where)


def _satisfies(node: Node, rule: str, wanted: Any) -> bool:
    """Whether a value satisfies one keyword; it satisfies all that are not about values of its type."""
    value: str | float | None = None
    conditions: Mapping[str, Callable[[Any, Any], bool]] = {}
    match node:
        case ListNode():
            kind, value, conditions = "array", len(node.items), _LIST_CONDITIONS
        case MappingNode():
            kind, value, conditions = "object", len(node.entries), _MAPPING_CONDITIONS
        case ScalarNode(kind=ScalarKind.STRING):
            kind, value, conditions = "string", node.text, _TEXT_CONDITIONS
        case ScalarNode(kind=ScalarKind.INTEGER | ScalarKind.NUMBER):
            kind, value, conditions = node.kind.value, float(node.text), _NUMBER_CONDITIONS
        case _:
            kind = node.kind.value
    match rule:
        case "type":
            return wanted == kind or (wanted == "number" and kind == "integer")
        case "enum" | "const":
            return isinstance(node, ScalarNode) and value in (wanted if rule == "enum" else [wanted])
        case _:
            return rule not in conditions or conditions[rule](value, wanted)


def _property_violations(
    rule: str, wanted: Any, schema: Schema, node: MappingNode, path: str, where: Where
) -> Iterator[Violation]:
    known = schema.get("properties", {})
    prefix = f"{path}." if path else ""
    if rule == "required":
        here = {key.text for key, _ in node.entries}
        meant = {nearest(name, known) for name in here if name not in known}
        for missing in wanted:
            if missing not in here and missing not in meant:  # a misspelled name is reported as that
                yield Violation(rule, missing, schema, node, where, path, 0, once=False)
        return
    for key, value in node.entries:
        if rule == "propertyNames":
            text = replace(key, kind=ScalarKind.STRING)
            yield from violations(text, wanted, f"{prefix}{key.text}", about=id(key))
        elif rule == "properties" and key.text in known:
            yield from violations(value, known[key.text], f"{prefix}{key.text}", key.where)
        elif rule == "additionalProperties" and key.text not in known:
            if wanted is False:
                yield Violation(rule, key.text, schema, node, key.where, path, id(key), once=False)
            else:
                yield from violations(value, wanted, f"{prefix}{key.text}", key.where)


def _repeated(node: ListNode, schema: Schema, path: str) -> Iterator[Violation]:
    """Return the second of two equal texts; other items are equal to nothing."""
    seen: set[str] = set()
    for i, item in enumerate(node.items):
        if isinstance(item, ScalarNode) and item.kind is ScalarKind.STRING:
            if item.text in seen:
                yield Violation("uniqueItems", None, schema, item, item.where, f"{path}[{i}]", id(item))
            seen.add(item.text)


def _respelled(node: MappingNode, schema: Schema) -> MappingNode:
    """The mapping with each misspelled property under the name that was meant; itself where none is."""
    known = schema.get("properties", {})
    here = {name.text for name, _ in node.entries}
    entries: list[tuple[ScalarNode, Node]] = []
    for key, value in node.entries:
        near = nearest(key.text, known, cutoff=_MISSPELLED) if known and key.text not in known else None
        name = key if near is None or near in here else replace(key, text=near)
        here.add(name.text)
        entries.append((name, _respelled_below(value, known.get(name.text, {}))))
    same = all(
        new is old for pair in zip(entries, node.entries, strict=True) for new, old in zip(*pair, strict=True)
    )
    return node if same else MappingNode(tuple(entries), node.where)


def _respelled_below(node: Node, schema: Schema) -> Node:
    if isinstance(node, MappingNode):
        return _respelled(node, schema)
    if isinstance(node, ListNode):
        items = tuple(_respelled_below(item, schema.get("items", {})) for item in node.items)
        return node if items == node.items else ListNode(items, node.where)
    return node


def describe(violation: Violation, whole: Schema) -> tuple[str, str]:
    """Return the code and the message; `whole` is the schema of the document, to look for better places."""
    node, rule = violation.node, violation.rule
    if rule == "additionalProperties":
        return "unknown-property", _unknown(violation, whole)
    if isinstance(node, ScalarNode) and rule in {"type", "enum", "const"}:
        misread = _misread(violation, node)
        if misread is not None:
            return misread
    if rule == "enum" and not isinstance(node, ScalarNode):
        return "wrong-type", f"{violation.label} must be one of: {', '.join(map(str, violation.wanted))}"
    if rule == "minLength" and violation.wanted > 1:
        return "bad-format", f"{violation.label} must have at least {violation.wanted} characters"
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
    message = f"{label}: YAML reads `{shown(node.text)}` as {node.reading}: quote it: {quoted(node.text)}"
    if "pattern" in schema and not re.fullmatch(schema["pattern"], node.text):
        message += f"; and it must be {schema['patternErrorMessage']}"
    return "unquoted", message


def _unknown(violation: Violation, whole: Schema) -> str:
    name, known = str(violation.wanted), violation.schema.get("properties", {})
    elsewhere = [place for place in _places(whole, name) if place != violation.path]
    if elsewhere and nearest(name, known, cutoff=_MISSPELLED) is None:
        hint = f"it belongs under `{elsewhere[0]}`"
    else:
        hint = did_you_mean(name, known)
    return f"`{shown(name)}` is not a property of {violation.label}: {hint}"


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
    others = [one for one in schema.get("enum", []) if one != schema["examples"][0]]
    message = f"has no `{name}`: write `{name}: {inline(schema['examples'][0])}`"
    return message + (f" (or {', '.join(others)})" if others else "")


def _type(violation: Violation) -> str:
    node, example = violation.node, violation.example
    match violation.wanted:
        case "string":
            kind, sign = (
                ("a list", "begins with `[` or `- `")
                if isinstance(node, ListNode)
                else ("a mapping", "begins with `{` or holds `: `")
            )
            return f"must be text, not {kind}: quote it if it {sign}, or write for example {example}"
        case "integer":
            return f"must be a whole number in plain digits, without quotes, such as {example}"
        case "number":
            return f"must be a number in plain digits, without quotes, such as {example}"
        case "boolean":
            return "must be `true` or `false`, without quotes"
        case "array":
            is_text = isinstance(node, ScalarNode) and node.kind is ScalarKind.STRING
            return f"must be a list: write {f'[{quoted(violation.text)}]' if is_text else example}"
        case _:
            return f"must be a mapping: write for example {example}"


def _enum(violation: Violation) -> str:
    known = [str(one) for one in violation.wanted]
    near = nearest(violation.text, known)
    hint = f"did you mean `{near}`? Allowed" if near else "write one of"
    more = " (or a list of texts)" if violation.path == "skip_sync.values" else ""
    return f"cannot be {quoted(violation.text)}: {hint}: {', '.join(known)}{more}"


def _pattern(violation: Violation) -> str:
    hint = name_hint(violation.text) if violation.path.startswith("parameters.") else ""
    return f"cannot be {quoted(violation.text)}: it must be {violation.schema['patternErrorMessage']}{hint}"


def _empty(violation: Violation) -> str:
    return f"is empty: write for example {violation.example}"


def _many(violation: Violation) -> str:
    return f"has more than {violation.wanted} entries: write fewer, or split the replication"


def _range(bound: str) -> Callable[[Violation], str]:
    return lambda one: f"cannot be {one.written}: write a number {bound} {one.wanted}"


_MESSAGES: Mapping[str, tuple[str, Callable[[Violation], str]]] = {
    "required": ("missing-property", _required),
    "type": ("wrong-type", _type),
    "enum": ("unknown-value", _enum),
    "const": (
        "unsupported-version",
        lambda one: f"{one.written} is not supported: write `{one.path}: {inline(one.wanted)}`",
    ),
    "pattern": ("bad-format", _pattern),
    "minLength": ("empty-value", _empty),
    "maxLength": (
        "too-long",
        lambda one: f"has {len(one.text)} characters; {one.wanted} are allowed: shorten it",
    ),
    "minimum": ("out-of-range", _range("from")),
    "maximum": ("out-of-range", _range("up to")),
    "exclusiveMinimum": ("out-of-range", _range("above")),
    "minItems": ("empty-value", _empty),
    "minProperties": ("empty-value", _empty),
    "maxItems": ("too-many-items", _many),
    "maxProperties": ("too-many-items", _many),
    "uniqueItems": ("duplicate-item", lambda one: f"repeats {quoted(one.text)}: remove one of them"),
}
"""By keyword of JSON Schema: the code of a violation, and the message after the label."""
