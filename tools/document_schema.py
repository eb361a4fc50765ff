"""Types in `ssm_reconcile.documents` -> JSON Schema (draft-07) of a plan, a report and a status.

`tools/reference.py` writes the schemas; a test compares them with the committed files.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable, Sequence
from enum import Enum, EnumMeta
from types import UnionType
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints

from ssm_reconcile import documents
from ssm_reconcile.documents import OptionsEntry, PlanDocument, ReportDocument, counts, status
from ssm_reconcile.documents.counts import Keywords

NAMES = {
    str: "string", int: "integer", bool: "boolean", float: "number", object: "object", type(None): "null",
}  # fmt: skip
TITLES = {
    "plan": ("A plan of ssm-reconcile", PlanDocument),
    "report": ("A report of ssm-reconcile", ReportDocument),
    "status": ("A status of ssm-reconcile", status.StatusDocument),
}
OPTIONS = (
    "The options of the run that made a plan. A key is the option of the same name unless described here.",
    {"targets": "The names given by `--target`."},
)
"""Description of `OptionsEntry`, which has no class statement: its keys are the fields of `Run`."""
Node = dict[str, Any]
# Before Python 3.12 a TypedDict does not know its bases.
CLASSES = {
    one.name: one
    for module in (documents, counts, status)
    for one in ast.parse(inspect.getsource(module)).body
    if isinstance(one, ast.ClassDef)
}


def texts() -> dict[str, str]:
    """Return the text of each schema by its file name."""
    return {
        f"{name}.schema.json": json.dumps(schema(title, document), indent=2, ensure_ascii=False) + "\n"
        for name, (title, document) in TITLES.items()
    }


def schema(title: str, document: type) -> Node:
    """Return the schema of a document, with one definition for each type that it uses."""
    definitions: dict[str, Node] = {}
    top = members(document, definitions)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
    return {**head, **top, "definitions": dict(sorted(definitions.items()))}


def members(kind: type, definitions: dict[str, Node]) -> Node:
    """Return the schema of a TypedDict: properties in the order of their declaration."""
    summary, described = OPTIONS if kind is OptionsEntry else docstring(kind.__name__)
    total = getattr(kind, "__total__", True)
    properties: dict[str, Node] = {}
    required = []
    for key, hint in get_type_hints(kind, include_extras=True).items():
        optional = get_origin(hint) is NotRequired
        if total and not optional:
            required.append(key)
        properties[key] = described_as(
            node(get_args(hint)[0] if optional else hint, definitions), described.get(key) or option(key)
        )
    found: Node = {"type": "object", "description": summary, "properties": properties}
    return {**found, "required": sorted(required)} if required else found


def described_as(found: Node, text: str) -> Node:
    """Return a schema with a description; draft-07 ignores keys beside `$ref`."""
    return {"allOf": [found], "description": text} if "$ref" in found else {**found, "description": text}


def node(hint: Any, definitions: dict[str, Node]) -> Node:
    """Return the schema of a type; a TypedDict becomes a definition."""
    arguments = get_args(hint)
    match get_origin(hint):
        case origin if origin is Annotated:
            found = node(arguments[0], definitions)
            for extra in arguments[1:]:
                found = extended(found, extra, definitions)
            return found
        case origin if origin in (Union, UnionType):
            return any_of([node(one, definitions) for one in arguments])
        case origin if origin in (list, Sequence):
            return {"type": "array", "items": node(arguments[0], definitions)}
        case origin if origin is dict:
            item = node(arguments[1], definitions)
            return (
                {"type": "object"}
                if arguments[1] is object
                else {"type": "object", "additionalProperties": item}
            )
        case _ if hint in NAMES:
            return {"type": NAMES[hint]}
        case _:
            return reference(hint, definitions)


def reference(kind: type, definitions: dict[str, Node]) -> Node:
    """Return a reference to the definition of a TypedDict."""
    name = kind.__name__.removesuffix("Entry")
    name = name[0].lower() + name[1:]
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = members(kind, definitions)
    return {"$ref": f"#/definitions/{name}"}


def extended(found: Node, extra: object, definitions: dict[str, Node]) -> Node:
    """Return a schema with what `Annotated` adds to its type."""
    match extra:
        case Keywords():
            return {"allOf": [found], **extra.values} if "$ref" in found else {**found, **extra.values}
        case re.Pattern():
            return {**found, "pattern": f"^{extra.pattern}$"}
        case EnumMeta():
            members_of: Iterable[Enum] = extra.__members__.values()
            return {**found, "enum": [one.value for one in members_of]}
        case type():
            return reference(extra, definitions)
        case _:
            return found


def any_of(options: list[Node]) -> Node:
    """Return one schema for a union: types that need no other keyword are listed in one `type`."""
    plain = [one for one in options if "$ref" not in one]
    if len(plain) == len(options) and sum(len(one) > 1 for one in options) <= 1:
        merged: Node = {}
        for one in options:
            merged |= {**one, "type": [*merged.get("type", []), one["type"]]}
        return merged
    return {"oneOf": options}


def option(key: str) -> str:
    """Return the description of a key that is named as an option of the command line."""
    return f"`--{key.replace('_', '-')}`."


def docstring(name: str) -> tuple[str, dict[str, str]]:
    """Return the text before `Attributes:` and the description of each key, inherited ones included."""
    declared = CLASSES[name]
    described: dict[str, str] = {}
    for base in declared.bases:
        if isinstance(base, ast.Name) and base.id in CLASSES:
            described |= docstring(base.id)[1]
    summary, _, attributes = (ast.get_docstring(declared) or "").partition("Attributes:\n")
    for entry in re.split(r"\n(?= {4}\w)", attributes):
        key, _, text = entry.strip().partition(": ")
        described[key] = " ".join(text.split())
    return " ".join(summary.split()), described
