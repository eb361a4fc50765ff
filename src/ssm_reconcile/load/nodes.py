"""A YAML document as a tree with positions, and a view of it that skips what is already known wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import yaml

from ssm_reconcile.errors import Where


class Kind(StrEnum):
    """What YAML 1.1 makes of a scalar, as far as a spec allows it."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    TRAP = "trap"
    """Something that looks like text and is none: `012`, `1_000`, `12:30`, `no`, `2026-01-01`."""


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """One value. `reading` says in words what YAML makes of it when that is not text."""

    text: str
    kind: Kind
    where: Where
    reading: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """A list."""

    items: tuple[Node, ...]
    where: Where


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A mapping, merge keys resolved; keys are unique."""

    entries: tuple[tuple[Scalar, Node], ...]
    where: Where


Node: TypeAlias = Scalar | Items | Map

_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset({"yes", "on", "true"})


def scalar(text: str, where: Where, *, plain: bool) -> Scalar:
    """A scalar with what YAML 1.1 reads it as; a quoted one is always text."""
    tag = _resolved(text) if plain else "str"
    if tag == "str":
        return Scalar(text, Kind.STRING, where)
    if tag == "null":
        return Scalar(text, Kind.NULL, where, "nothing")
    if tag == "bool":
        kind = Kind.BOOLEAN if text in {"true", "false"} else Kind.TRAP
        return Scalar(text, kind, where, "true" if text.lower() in _TRUE else "false")
    if tag == "int":
        kind = Kind.INTEGER if _INTEGER.fullmatch(text) else Kind.TRAP
        return Scalar(text, kind, where, "a number")
    if tag == "float":
        kind = Kind.NUMBER if _NUMBER.fullmatch(text) else Kind.TRAP
        return Scalar(text, kind, where, "a number")
    return Scalar(text, Kind.TRAP, where, "a date" if tag == "timestamp" else "a sign of its own")


def _resolved(text: str) -> str:
    """The short tag that YAML 1.1 gives a plain scalar, by PyYAML's own table."""
    for tag, expression in _RESOLVERS.get(text[:1], []):
        if expression.match(text):
            return str(tag).removeprefix(_TAG)
    return "str"


@dataclass(frozen=True, slots=True)
class View:
    """A node, or nothing, with questions that answer None where there is no sound answer.

    `bad` are the nodes that the schema has complained about: checks of meaning pass over them, so
    that one mistake makes one finding.
    """

    node: Node | None
    bad: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.node is not None and id(self.node) not in self.bad

    @property
    def where(self) -> Where:
        """Its position; asked only of a view that holds something."""
        return self.node.where if self.node is not None else Where("")

    def at(self, *keys: str) -> View:
        """The view of a property, or of one further below."""
        view = self
        for key in keys:
            view = next((one for name, one in view.pairs() if name.text == key), View(None))
        return view

    def pairs(self) -> Iterator[tuple[Scalar, View]]:
        """The properties of a mapping, without those whose key is wrong."""
        if self and isinstance(self.node, Map):
            for key, value in self.node.entries:
                if id(key) not in self.bad:
                    yield key, View(value, self.bad)

    def each(self) -> Iterator[View]:
        """The sound items of a list."""
        if self and isinstance(self.node, Items):
            for item in self.node.items:
                view = View(item, self.bad)
                if view:
                    yield view

    def each_text(self) -> Iterator[Scalar]:
        """The items of a list that are text."""
        for view in self.each():
            if isinstance(view.node, Scalar) and view.node.kind is Kind.STRING:
                yield view.node

    @property
    def text(self) -> str | None:
        """Its text, None when it is not text."""
        if self and isinstance(self.node, Scalar) and self.node.kind is Kind.STRING:
            return self.node.text
        return None

    @property
    def integer(self) -> int | None:
        """Its whole number, None when it is none."""
        if self and isinstance(self.node, Scalar) and self.node.kind is Kind.INTEGER:
            return int(self.node.text)
        return None

    @property
    def number(self) -> float | None:
        """Its number, None when it is none."""
        if self and isinstance(self.node, Scalar) and self.node.kind in {Kind.INTEGER, Kind.NUMBER}:
            return float(self.node.text)
        return None

    @property
    def flag(self) -> bool:
        """Whether it is `true`."""
        return (
            bool(self)
            and isinstance(self.node, Scalar)
            and self.node.kind is Kind.BOOLEAN
            and self.node.text == "true"
        )
