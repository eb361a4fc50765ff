"""One document's tree -> what the JSON schema has against it, in our own words and with positions.

The schema decides, jsonschema finds; the messages are made here, since jsonschema's repeat the whole
offending value. Two of its keywords are replaced: `pattern` means the whole text (Python's `$` lets a
line feed through), `uniqueItems` compares text only and names the second of two (its own compares
everything with everything).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ssm_reconcile.errors import UsageError, Where
from ssm_reconcile.load.complaints import Complaint, describe
from ssm_reconcile.load.nodes import Items, Kind, Map, Node, Scalar
from ssm_reconcile.load.notes import Notes, nearest

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Schema: TypeAlias = Mapping[str, Any]
_SURE = 0.8
"""From this similarity on, a misspelled property is taken for the one that was meant."""
_MISREAD = frozenset({"yaml-tag", "yaml-syntax", "unknown-alias"})
"""Codes of errors about a value that was most likely meant as text: the schema adds nothing to them."""
SCHEMAS = ("replication", "plan", "report", "doctor")


def schema_text(name: str) -> str:
    """The JSON schema of that name (`replication`, `plan`, `report`, `doctor`), as it ships.

    Raises `UsageError` for any other name.
    """
    if name not in SCHEMAS:
        message = f"there is no schema of that name: write one of {', '.join(SCHEMAS)}"
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
    """The schema of a replication, parsed."""
    schema: Schema = json.loads(schema_text("replication"))
    return schema


@lru_cache(maxsize=1)
def _validator() -> Validator:
    from jsonschema import Draft7Validator, validators

    def is_integer(_checker: object, instance: object) -> bool:
        return isinstance(instance, int) and not isinstance(instance, bool)

    types = Draft7Validator.TYPE_CHECKER.redefine("integer", is_integer)
    keywords = {"pattern": _pattern, "uniqueItems": _unique}
    # typeshed has no types for `extend`
    strict: Any = cast("Any", validators).extend(Draft7Validator, keywords, type_checker=types)
    validator: Validator = strict(replication_schema())
    return validator


def _pattern(
    _validator: Validator, pattern: str, instance: object, _schema: Schema
) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not re.fullmatch(pattern, instance):
        yield ValidationError("pattern")


def _unique(
    _validator: Validator, wanted: object, instance: object, _schema: Schema
) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    seen: set[str] = set()
    for i, item in enumerate(instance if wanted and isinstance(instance, list) else ()):
        if isinstance(item, str):
            if item in seen:
                yield ValidationError("uniqueItems", path=[i])
            seen.add(item)


class _Odd:
    """What is no JSON value at all, such as an unquoted `012`: fails every `type`, equals nothing."""


def _plain(node: Node) -> Any:
    """The tree as JSON values."""
    if isinstance(node, Map):
        return {key.text: _plain(value) for key, value in node.entries}
    if isinstance(node, Items):
        return [_plain(item) for item in node.items]
    return _value(node)


def _value(node: Scalar) -> object:
    match node.kind:
        case Kind.STRING:
            return node.text
        case Kind.INTEGER:
            return int(node.text)
        case Kind.NUMBER:
            return float(node.text)
        case Kind.BOOLEAN:
            return node.text == "true"
        case Kind.NULL:
            return None
        case Kind.TRAP:
            return _Odd()


def check(root: Map, notes: Notes) -> tuple[Map, frozenset[int]]:
    """Note everything that the schema has against a document; return it, and the nodes that are wrong.

    Those are identities (`id`) of values, and of the keys of properties that do not exist. A misspelled
    property is an error, and in the returned document it has the name that was meant, so that what it
    holds is checked at the same time.
    """
    free = Map(tuple(entry for entry in root.entries if not entry[0].text.startswith("x-")), root.where)
    meant = _respelled(free, replication_schema())
    bad: set[int] = set()
    told: set[tuple[Where, str]] = set()
    misread = {note.where for note in notes.all if note.code in _MISREAD}
    found = [one for one in _found(free, notes) if meant is not free and one.rule == "additionalProperties"]
    for complaint in (*found, *_found(meant, notes)):
        bad.add(complaint.about)
        # one value may break several rules (length and pattern): one sentence will do
        if complaint.once and ((complaint.where, complaint.path) in told or complaint.where in misread):
            continue
        told.add((complaint.where, complaint.path))
        code, message = describe(complaint, replication_schema())
        notes.error(complaint.where, code, message)
    return meant, frozenset(bad)


def _found(root: Map, notes: Notes) -> Iterator[Complaint]:
    for error in _validator().iter_errors(_plain(root)):
        if notes.full:
            return
        yield from _complaints(error, root)


def _respelled(node: Map, schema: Schema) -> Map:
    """The mapping with each misspelled property under the name that was meant; itself where none is."""
    known = schema.get("properties", {})
    here = {name.text for name, _ in node.entries}
    entries: list[tuple[Scalar, Node]] = []
    for key, value in node.entries:
        near = nearest(key.text, known, cutoff=_SURE) if known and key.text not in known else None
        name = key if near is None or near in here else replace(key, text=near)
        here.add(name.text)
        entries.append((name, _respelled_below(value, known.get(name.text, {}))))
    same = all(
        new is old for pair in zip(entries, node.entries, strict=True) for new, old in zip(*pair, strict=True)
    )
    return node if same else Map(tuple(entries), node.where)


def _respelled_below(node: Node, schema: Schema) -> Node:
    if isinstance(node, Map):
        return _respelled(node, schema)
    if isinstance(node, Items):
        items = tuple(_respelled_below(item, schema.get("items", {})) for item in node.items)
        return node if items == node.items else Items(items, node.where)
    return node


def _complaints(error: ValidationError, root: Map) -> Iterator[Complaint]:
    """One jsonschema error as complaints: about the key, the value, or each missing or unknown one."""
    path = list(error.absolute_path)
    node, key = _find(root, path)
    rule, wanted, schema = (
        str(error.validator),
        cast("Any", error.validator_value),
        cast("Schema", error.schema),
    )
    label = _label(path)
    if "propertyNames" in error.absolute_schema_path and isinstance(node, Map):
        name = next(name for name, _ in node.entries if name.text == error.instance)
        yield Complaint(rule, wanted, schema, name, name.where, f"{label}.{name.text}", id(name))
    elif rule == "required" and isinstance(node, Map):
        here = {name.text for name, _ in node.entries}
        known = schema.get("properties", {})
        meant = {nearest(name, known) for name in here if name not in known}
        for missing in wanted:
            if missing not in here and missing not in meant:  # a misspelled name is reported as that
                where = key.where if key is not None and isinstance(path[-1], str) else node.where
                yield Complaint(rule, missing, schema, node, where, label, 0, once=False)
    elif rule == "additionalProperties" and isinstance(node, Map):
        known = schema.get("properties", {})
        for name, _ in node.entries:
            if name.text not in known:
                yield Complaint(rule, name.text, schema, node, name.where, label, id(name), once=False)
    else:
        yield Complaint(rule, wanted, schema, node, node.where, label, id(node))


def _find(root: Map, path: Sequence[str | int]) -> tuple[Node, Scalar | None]:
    """The node at a path, and the key of the last property on the way."""
    node: Node = root
    key: Scalar | None = None
    for step in path:
        if isinstance(node, Items) and isinstance(step, int):
            node = node.items[step]
        elif isinstance(node, Map):
            key, node = next(entry for entry in node.entries if entry[0].text == step)
    return node, key


def _label(path: Sequence[str | int]) -> str:
    """How a person names a place in the document: `targets[0].region`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
