"""YAML text -> trees of nodes with positions, strictly and within limits.

PyYAML's parser makes the events; the tree is built here in one walk over them. `yaml.compose` cannot do it:
its recursion in C ends the process on a deeply nested text, it counts nothing before the whole text is in
memory, and it stops at the first unknown alias. Here an alias counts as many values as its anchor holds, each
time it is used, so the limit of a "billion laughs" is reached before any memory is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, TypeAlias

import yaml

from ssm_reconcile.errors import Where
from ssm_reconcile.load.messages import TOO_LARGE, SpecFindings, echo, quote

DOCUMENT_LIMIT = 50
"""Documents in one file."""
DEPTH_LIMIT = 30
"""Levels of nesting, those inside an anchor included; a spec needs six."""
CHILD_LIMIT = 1000
"""Entries of one list or mapping."""
TEXT_LIMIT = 4096
"""Characters of one value."""
FILE_NODE_LIMIT = 20_000
"""Values in one file, those of an anchor counted for each alias."""
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class ScalarKind(StrEnum):
    """The kind of value that YAML 1.1 reads a scalar as, limited to what a spec allows."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    MISREAD = "misread"
    """A value that looks like text and is not read as text: `012`, `1_000`, `12:30`, `no`, `2026-01-01`."""


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode:
    """One value. `reading` names the YAML type of a value that is not text."""

    text: str
    kind: ScalarKind
    where: Where
    reading: str = ""
    size: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class ListNode:
    """A list. `size` counts its values with those below, `height` its levels."""

    items: tuple[Node, ...]
    where: Where
    size: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class MappingNode:
    """A mapping with unique keys and resolved merge keys. `size` and `height` as in a list."""

    entries: tuple[tuple[ScalarNode, Node], ...]
    where: Where
    size: int = 1
    height: int = 1


Node: TypeAlias = ScalarNode | ListNode | MappingNode

_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers
_TAG = "tag:yaml.org,2002:"
_PLAIN_NUMBERS = {
    "int": (ScalarKind.INTEGER, re.compile(r"-?(0|[1-9][0-9]{0,17})")),
    "float": (ScalarKind.NUMBER, re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}")),
}
_TRUE = frozenset({"yes", "on", "true"})


def scalar(text: str, where: Where, *, plain: bool) -> ScalarNode:
    """Return a scalar with its YAML 1.1 type.

    Args:
        text: The text of the scalar, without quotes.
        where: Its position.
        plain: Whether it is written without quotes; a quoted scalar is always text.
    """
    tag = _resolved(text) if plain else "str"
    if tag == "str":
        return ScalarNode(text, ScalarKind.STRING, where)
    if tag == "null":
        return ScalarNode(text, ScalarKind.NULL, where, "nothing")
    if tag == "bool":
        kind = ScalarKind.BOOLEAN if text in {"true", "false"} else ScalarKind.MISREAD
        return ScalarNode(text, kind, where, "true" if text.lower() in _TRUE else "false")
    if tag in _PLAIN_NUMBERS:
        kind, form = _PLAIN_NUMBERS[tag]
        return ScalarNode(text, kind if form.fullmatch(text) else ScalarKind.MISREAD, where, "a number")
    reading = "a date" if tag == "timestamp" else "a special character"
    return ScalarNode(text, ScalarKind.MISREAD, where, reading)


def _resolved(text: str) -> str:
    """Return the short tag that YAML 1.1 gives a plain scalar, by PyYAML's own table."""
    for tag, expression in _RESOLVERS.get(text[:1], []):
        if expression.match(text):
            return str(tag).removeprefix(_TAG)
    return "str"


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One YAML document. `root` is None when it is empty."""

    root: Node | None
    where: Where


def documents(
    text: str, file: str, findings: SpecFindings, *, longest: int = TEXT_LIMIT
) -> list[YamlDocument]:
    """Return the documents of a text, up to the first position where it cannot be read further.

    Every error is added to `findings`. The walk stops at the first error of syntax and at the first limit.

    Args:
        text: The text of a file.
        file: The name of the file in positions.
        findings: The list that the findings are added to.
        longest: The maximum characters of a value.
    """
    found: list[YamlDocument] = []
    if _has_unseen_character(text, file, findings):
        return found
    tree = _Tree(file, findings, yaml.parse(text, Loader=_LOADER), longest=longest)
    try:
        found.extend(tree.documents())  # keeps the documents before an error
    except yaml.MarkedYAMLError as error:
        explain(error, text, file, tree.bracket, findings)
    except _StoppedError:
        pass
    else:
        if not any(document.root for document in found):
            message = "the file has no replication: write one, or run `ssm-reconcile init`"
            findings.error(Where(file), "empty-file", message)
            return []
    return found


_UNSEEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u061b\u061d-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]|\r(?!\n)"
)
"""Control characters, and characters that break or turn lines without an editor showing it (bidi, U+2028)."""


def _has_unseen_character(text: str, file: str, findings: SpecFindings) -> bool:
    """Whether a text has a character that a reviewer does not see as what it is; reports the first one."""
    found = _UNSEEN.search(text)
    if found is not None:
        at = found.start()
        where = Where(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        message = f"the invisible character U+{ord(found[0]):04X} is not allowed here: remove it"
        findings.error(where, "control-character", message)
    return found is not None


class _StoppedError(Exception):
    """The rest of this file is not read; the reason is in the findings."""


_CollectionStart: TypeAlias = yaml.MappingStartEvent | yaml.SequenceStartEvent


@dataclass(slots=True)
class _Tree:
    """Builds the documents of one file. The recursion is bounded by `DEPTH_LIMIT`."""

    file: str
    findings: SpecFindings
    events: Iterator[yaml.Event]
    left: int = FILE_NODE_LIMIT
    longest: int = TEXT_LIMIT
    open: list[_CollectionStart] = field(default_factory=list)
    """The lists and mappings whose end has not been read."""
    anchors: dict[str, Node] = field(default_factory=dict)
    past_anchors: set[str] = field(default_factory=set)

    def documents(self) -> Iterator[YamlDocument]:
        count = 0
        for event in self.events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            count += 1
            if count > DOCUMENT_LIMIT:
                message = f"more than {DOCUMENT_LIMIT} documents in one file: split the file"
                self._stop(self._where(event), "too-many-documents", message)
            self.past_anchors.update(self.anchors)
            self.anchors = {}
            root = self._node(next(self.events))
            next(self.events)  # the end of the document, where the parser may still find an error
            empty = isinstance(root, ScalarNode) and root.kind is ScalarKind.NULL
            yield YamlDocument(None if empty else root, self._where(event))

    @property
    def bracket(self) -> Where | None:
        """The innermost bracket that is open."""
        return self._where(self.open[-1]) if self.open and self.open[-1].flow_style else None

    def _node(self, event: yaml.Event) -> Node:
        node: Node
        if isinstance(event, yaml.AliasEvent):
            node = self._alias(event)
            self._count(node.size, event)
            return node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
            self._count(1, event)
        else:
            assert isinstance(event, _CollectionStart)
            node = self._collection(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _collection(self, event: _CollectionStart) -> ListNode | MappingNode:
        where, mapping = self._where(event), isinstance(event, yaml.MappingStartEvent)
        self._refuse_tag(event.tag, where)
        if len(self.open) >= DEPTH_LIMIT:
            self._too_deep(where)
        self._count(1, event)
        # Not closed when an error ends the walk: `bracket` is then the position to report.
        self.open.append(event)
        children = self._children(CHILD_LIMIT * (1 + mapping))
        self.open.pop()
        size = 1 + sum(child.size for child in children)
        height = 1 + max((child.height for child in children), default=0)
        if mapping:
            return MappingNode(self._entries(children, where), where, size, height)
        return ListNode(tuple(children), where, size, height)

    def _children(self, limit: int) -> list[Node]:
        """Read nodes to the end of the innermost open collection; in a mapping keys and values take turns."""
        children: list[Node] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent | yaml.SequenceEndEvent):
            children.append(self._node(event))
            if len(children) > limit:
                self._too_many(children[-1].where)
        return children

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        where = self._where(event)
        self._refuse_tag(event.tag, where)
        if len(event.value) > self.longest:
            self._stop(where, "too-long", f"a value of more than {self.longest:,} characters: shorten it")
        if event.anchor is not None and not event.value and event.implicit[0]:
            word = f"&{event.anchor}"
            message = f"YAML reads `{echo(word)}` as an anchor without a value: quote it: {quote(word)}"
            self.findings.error(where, "yaml-syntax", message)
        return scalar(event.value, where, plain=event.implicit[0])

    def _alias(self, event: yaml.AliasEvent) -> Node:
        name, where = str(event.anchor), self._where(event)
        found = self.anchors.get(name)
        if found is not None and len(self.open) + found.height > DEPTH_LIMIT:
            self._too_deep(where)
        if any(one.anchor == name for one in self.open):
            message = f"the alias *{echo(name)} is inside its own anchor: write the value out"
            self._stop(where, "recursive-alias", message)
        if found is not None:
            return found
        hint = (
            "an anchor is valid up to the end of its document (`---`): repeat it here"
            if name in self.past_anchors
            else f"quote it if it is text: {quote('*' + name)}; an alias needs &{echo(name)} before it"
        )
        message = f"the anchor &{echo(name)} is missing before *{echo(name)}: {hint}"
        self.findings.error(where, "unknown-alias", message)
        return ScalarNode("", ScalarKind.NULL, where)

    def _entries(self, children: list[Node], where: Where) -> tuple[tuple[ScalarNode, Node], ...]:
        """Return the properties of a mapping: keys checked, the first of equal keys kept, merges resolved."""
        own: dict[str, tuple[ScalarNode, Node]] = {}
        merged: dict[str, tuple[ScalarNode, Node]] = {}
        merge_key: ScalarNode | None = None
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, ScalarNode):
                message = "a property name must be text, not a list or a mapping: write a name"
                self.findings.error(key.where, "key-type", message)
            elif key.text == "<<" and key.kind is ScalarKind.MISREAD:
                if merge_key is not None:
                    self._duplicate(key, merge_key)
                merge_key = key
                self._merge(value, merged)
            else:
                if key.kind is not ScalarKind.STRING:
                    message = f"YAML reads `{echo(key.text)}` as {key.reading}: quote it: {quote(key.text)}"
                    self.findings.error(key.where, "unquoted", message)
                first, _ = own.setdefault(key.text, (key, value))
                if first is not key:
                    self._duplicate(key, first)
        entries = tuple({**merged, **own}.values())
        if len(entries) > CHILD_LIMIT:
            self._too_many(where)
        return entries

    def _merge(self, value: Node, merged: dict[str, tuple[ScalarNode, Node]]) -> None:
        for source in value.items if isinstance(value, ListNode) else (value,):
            if not isinstance(source, MappingNode):
                message = "`<<` merges a mapping, or a list of mappings: write `<<: *anchor`"
                self.findings.error(source.where, "merge-key", message)
                continue
            for key, node in source.entries:
                merged.setdefault(key.text, (key, node))

    def _duplicate(self, key: ScalarNode, first: ScalarNode) -> None:
        message = f"`{echo(key.text)}` is already written in line {first.where.line}: remove one of them"
        self.findings.error(key.where, "duplicate-key", message)

    def _refuse_tag(self, tag: str | None, where: Where) -> None:
        if tag is not None:
            standard = tag.startswith("tag:")
            word = "!!" + tag.removeprefix(_TAG) if standard else tag
            advice = "and write text in quotes" if standard else f"or quote it: {quote(word)}"
            self.findings.error(
                where, "yaml-tag", f"a spec has no YAML tags: remove `{echo(word)}`, {advice}"
            )

    def _count(self, size: int, event: yaml.Event) -> None:
        self.left -= size
        if not self.findings.take_nodes(size) or self.left < 0:
            self._stop(self._where(event), "too-large", TOO_LARGE)

    def _too_deep(self, where: Where) -> NoReturn:
        self._stop(where, "too-deep", f"nested more than {DEPTH_LIMIT} levels deep: write it flatter")

    def _too_many(self, where: Where) -> NoReturn:
        self._stop(where, "too-many-items", f"more than {CHILD_LIMIT:,} entries: write fewer")

    def _stop(self, where: Where, code: str, message: str) -> NoReturn:
        """Report an error and read no further."""
        self.findings.error(where, code, message)
        raise _StoppedError

    def _where(self, event: yaml.Event) -> Where:
        mark = event.start_mark
        return Where(self.file) if mark is None else Where(self.file, mark.line + 1, mark.column + 1)


_COLON = "a `:` is not expected here: quote the text that contains it, or correct the indentation"
_INDENT = "the indentation does not match the lines before, or a `:` or quotes are missing"
_BRACKET = "the bracket that opens here is not closed, or a `,` or `{}` is missing"
_PROBLEMS = (
    ("mapping values are not allowed", _COLON),
    ("could not find expected ':'", "a `:` is missing after a property name"),
    ("',' or ']'", _BRACKET.format("]")),
    ("',' or '}'", _BRACKET.format("}")),
    ("unknown escape character", "an unknown escape sequence: use single quotes, or write `\\\\` for `\\`"),
    ("entries are not allowed", "a list entry is not expected here: begin it on a line of its own"),
    ("expected key", _INDENT),
    ("<block end>", _INDENT),
    ("'-' indicator", "a list entry with `- ` is expected here, as in the lines before"),
    ("<document start>", "a value cannot follow here: remove it, or begin a document with `---`"),
    ("incompatible YAML document", "write YAML 1.1 or 1.2, or remove the %YAML line"),
    ("node content", "a value is missing here"),
)
"""Parts of the messages of the two parsers (libyaml and pure Python differ), and our messages."""
_AT_START = frozenset(
    {"while scanning a quoted scalar", "while parsing a flow sequence", "while parsing a flow mapping"}
)
"""Contexts whose beginning is a better position than the place where the parser stopped."""
_INDICATORS = {
    "while scanning an alias": "an alias",
    "while scanning an anchor": "an anchor",
    "while scanning a tag": "a tag",
    "while parsing a tag": "a tag",
    "while scanning a block scalar": "a text of several lines",
}
"""Contexts in which a character of YAML's own was most likely meant as text, and the YAML reading of it."""


_PLACEHOLDER_FIRST = re.compile(r":\s+(\{[a-z.]+\}[^\s,]+)")
"""A value without quotes that begins with a placeholder and goes on, as in `name: {target.account}-dr`."""


def explain(
    error: yaml.MarkedYAMLError, text: str, file: str, bracket: Where | None, findings: SpecFindings
) -> None:
    """Report a syntax error at the position where a reader looks for it.

    Args:
        error: The error of the YAML parser.
        text: The text of the file.
        file: The name of the file in positions.
        bracket: The position of the innermost open bracket; None outside of brackets.
        findings: The list that the finding is added to.
    """
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and (context in _AT_START or context in _INDICATORS):
        mark = error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    where = Where(file, line + 1, column + 1)
    lines = text.split("\n", line + 1)
    before, rest = (lines[line][:column], lines[line][column:]) if line < len(lines) else ("", "")
    if "quoted scalar" in context and "end of" in problem:
        message = "the quote that begins here is not closed: add the closing quote"
    elif bracket is not None and line >= len(text.splitlines()):
        where, message = bracket, "the bracket that opens here is not closed: add the closing bracket"
    elif "cannot start any token" in problem or (
        context not in _INDICATORS and "node content" in problem and rest[:1] in {",", "]", "}"}
    ):
        message = _bad_start(_token(before, rest))
    elif placeholder := _PLACEHOLDER_FIRST.search(lines[line] if line < len(lines) else ""):
        message = f"YAML reads a `{{` at the start of a value as a mapping: quote it: {quote(placeholder[1])}"
    elif context in _INDICATORS:
        token = _token(before, rest)
        reading = _INDICATORS[context]
        message = f"YAML reads `{echo(token)}` as the start of {reading}: quote it: {quote(token)}"
    else:
        known = (ours for part, ours in _PROBLEMS if part in problem)
        message = next(known, f"this is not valid YAML: {echo(problem, 120)}")
    findings.error(where, "yaml-syntax", message)


def _bad_start(token: str) -> str:
    if token.startswith("\t"):
        return "YAML does not allow tabs in the indentation: use spaces"
    return f"a value cannot begin with `{echo(token[:1])}`: quote it: {quote(token)}"


def _token(before: str, rest: str) -> str:
    """Return the text up to the end of the line, or of the value in a list in brackets."""
    in_brackets = not {"[", "{"}.isdisjoint(before)
    end = re.search(r"\s#|[,\]}]" if in_brackets else r"\s#", rest)
    return (rest[: end.start()] if end and end.start() else rest).rstrip(" \r") or rest[:1]
