"""YAML text -> documents as trees with positions, strictly and within bounds.

PyYAML's parser makes the events; the tree is built here, since its own composer recurses, counts
nothing and keeps the last of two equal keys. What an alias stands for counts each time it is used,
so a "billion laughs" is refused when its counter, not the memory, is full.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ssm_reconcile.errors import Where
from ssm_reconcile.load.nodes import Items, Kind, Map, Node, Scalar, scalar
from ssm_reconcile.load.notes import Notes, quoted, shown
from ssm_reconcile.load.syntax import explain

DOCUMENT_LIMIT = 50
"""Documents in one file."""
DEPTH_LIMIT = 30
"""Levels of nesting, what aliases stand for included; a spec needs six."""
CHILD_LIMIT = 1000
"""Entries of one list or mapping."""
TEXT_LIMIT = 4096
"""Characters of one value."""
FILE_NODE_LIMIT = 20_000
"""Values in one file, those that aliases stand for counted each time."""
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _StoppedError(Exception):
    """The rest of this file is not read; what is wrong has been noted."""


@dataclass(slots=True)
class Budget:
    """How many values one load may still make, over all files."""

    nodes: int = 60_000


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. `root` is None when it is empty."""

    root: Node | None
    where: Where


@dataclass(frozen=True, slots=True)
class _Done:
    """A finished node: how many values it stands for and how many levels it has."""

    node: Node
    size: int
    height: int


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read; in a mapping keys and values take turns."""

    where: Where
    mapping: bool
    flow: bool
    anchor: str | None
    children: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1


def documents(text: str, file: str, notes: Notes, budget: Budget) -> list[Document]:
    """All documents of a text up to the first place where it cannot be read any further."""
    tree = _Tree(file, notes, budget)
    found: list[Document] = []
    if not _clean(text, file, notes):
        return found
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, DocumentStartEvent) and len(found) >= DOCUMENT_LIMIT:
                tree.stop(
                    event, "too-many-documents", f"a file may hold {DOCUMENT_LIMIT} documents: split it"
                )
            document = tree.take(event)
            if document is not None:
                found.append(document)
    except yaml.MarkedYAMLError as error:
        explain(error, text, file, tree.bracket, notes)
    except yaml.YAMLError:
        notes.error(Where(file), "yaml-syntax", "this is not YAML: check that it is a text file in UTF-8")
    except _StoppedError:
        pass
    else:
        if not any(document.root for document in found):
            message = "there is no replication in here: write one, or start from `ssm-reconcile schema`"
            notes.error(Where(file), "empty-file", message)
            return []
    return found


_UNSEEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u061b\u061d-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]|\r(?!\n)"
)
"""Control characters, and what breaks or turns lines without an editor showing it (bidi, U+2028)."""


def _clean(text: str, file: str, notes: Notes) -> bool:
    """Whether every character is one that a reviewer sees as what it is."""
    found = _UNSEEN.search(text)
    if found is None:
        return True
    at, char = found.start(), found[0]
    where = Where(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    message = f"the invisible character U+{ord(char):04X} is not allowed here: remove it"
    notes.error(where, "control-character", message)
    return False


@dataclass(slots=True)
class _Tree:
    """Builds one document after the other from events."""

    file: str
    notes: Notes
    budget: Budget
    left: int = FILE_NODE_LIMIT
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Done] = field(default_factory=dict)
    past_anchors: set[str] = field(default_factory=set)
    root: Node | None = None
    start: Where = field(default_factory=lambda: Where(""))

    def take(self, event: Event) -> Document | None:
        """Takes one event in; the document that it completes, if it does."""
        match event:
            case DocumentStartEvent():
                self.past_anchors.update(self.anchors)
                self.anchors, self.root, self.start = {}, None, self._where(event)
            case DocumentEndEvent():
                empty = isinstance(self.root, Scalar) and self.root.kind is Kind.NULL
                return Document(None if empty else self.root, self.start)
            case MappingStartEvent() | SequenceStartEvent():
                self._open(event)
            case MappingEndEvent() | SequenceEndEvent():
                self._close()
            case AliasEvent():
                self._add(self._alias(event), event)
            case ScalarEvent():
                self._scalar(event)
            case _:
                pass
        return None

    def stop(self, event: Event, code: str, message: str) -> None:
        """Notes what is wrong and reads no further."""
        self.notes.error(self._where(event), code, message)
        raise _StoppedError

    @property
    def bracket(self) -> Where | None:
        """The innermost bracket that is open."""
        return self.stack[-1].where if self.stack and self.stack[-1].flow else None

    def _where(self, event: Event) -> Where:
        mark = event.start_mark
        return Where(self.file) if mark is None else Where(self.file, mark.line + 1, mark.column + 1)

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        self._refuse_tag(event, event.tag)
        if len(self.stack) >= DEPTH_LIMIT:
            self._too_deep(event)
        self._count(1, event)
        mapping, flow = isinstance(event, MappingStartEvent), bool(event.flow_style)
        self.stack.append(_Open(self._where(event), mapping, flow, event.anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        node: Node
        if frame.mapping:
            node = Map(self._entries(frame), frame.where)
        else:
            node = Items(tuple(frame.children), frame.where)
        self._finish(_Done(node, frame.size, frame.height), frame.anchor)

    def _scalar(self, event: ScalarEvent) -> None:
        self._refuse_tag(event, event.tag)
        if len(event.value) > TEXT_LIMIT:
            self.stop(event, "too-long", f"a value may have {TEXT_LIMIT} characters")
        if event.anchor is not None and not event.value and event.implicit[0]:
            word = f"&{event.anchor}"
            message = f"YAML reads `{shown(word)}` as an anchor without a value: quote it: {quoted(word)}"
            self.notes.error(self._where(event), "yaml-syntax", message)
        done = _Done(scalar(event.value, self._where(event), plain=event.implicit[0]), 1, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = done
        self._add(done, event)

    def _alias(self, event: AliasEvent) -> _Done:
        name = str(event.anchor)
        found = self.anchors.get(name)
        if found is not None and len(self.stack) + found.height > DEPTH_LIMIT:
            self._too_deep(event)
        if any(frame.anchor == name for frame in self.stack):
            self.stop(
                event, "recursive-alias", f"the alias *{shown(name)} stands inside of what it stands for"
            )
        if found is None:
            hint = (
                "an anchor reaches to the end of its own document (`---`) only: repeat it here"
                if name in self.past_anchors
                else f"quote it if it is text: {quoted('*' + name)}; an alias needs &{shown(name)} before it"
            )
            message = f"there is no anchor &{shown(name)} before *{shown(name)}: {hint}"
            self.notes.error(self._where(event), "unknown-alias", message)
            return _Done(Scalar("", Kind.NULL, self._where(event)), 1, 1)
        return found

    def _too_deep(self, event: Event) -> None:
        self.stop(event, "too-deep", f"nested more than {DEPTH_LIMIT} levels deep: a spec never is")

    def _refuse_tag(self, event: Event, tag: str | None) -> None:
        if tag is not None:
            standard = tag.startswith("tag:")
            word = "!!" + tag.removeprefix("tag:yaml.org,2002:") if standard else tag
            advice = "and write text in quotes" if standard else f"or quote it: {quoted(word)}"
            message = f"a spec has no YAML tags: remove `{shown(word)}`, {advice}"
            self.notes.error(self._where(event), "yaml-tag", message)

    def _finish(self, done: _Done, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = done
        self._add(done, None)

    def _add(self, done: _Done, event: Event | None) -> None:
        """Hangs a node into its parent. Collections were counted child by child, aliases count whole."""
        if event is not None:
            self._count(done.size, event)
        if not self.stack:
            self.root = done.node
            return
        parent = self.stack[-1]
        parent.children.append(done.node)
        parent.size += done.size
        parent.height = max(parent.height, done.height + 1)
        if len(parent.children) > CHILD_LIMIT * (1 + parent.mapping):
            self.notes.error(done.node.where, "too-many-items", f"more than {CHILD_LIMIT} entries: too many")
            raise _StoppedError

    def _count(self, size: int, event: Event) -> None:
        self.left -= size
        self.budget.nodes -= size
        if self.left < 0 or self.budget.nodes < 0:
            message = "too many values, counting what aliases stand for: split the spec, or use fewer aliases"
            self.stop(event, "too-large", message)

    def _entries(self, frame: _Open) -> tuple[tuple[Scalar, Node], ...]:
        """The properties of a mapping: keys checked, the first of equal keys kept, merges resolved."""
        own: dict[str, tuple[Scalar, Node]] = {}
        merged: dict[str, tuple[Scalar, Node]] = {}
        merge_seen: Where | None = None
        for key, value in zip(frame.children[::2], frame.children[1::2], strict=True):
            if isinstance(key, Scalar) and key.text == "<<" and key.kind is Kind.TRAP:
                if merge_seen is not None:
                    self._duplicate(key, merge_seen)
                merge_seen = key.where
                self._merge(value, merged)
            elif isinstance(key, Scalar):
                self._check_key(key)
                if key.text in own:
                    self._duplicate(key, own[key.text][0].where)
                else:
                    own[key.text] = (key, value)
            else:
                self.notes.error(
                    key.where, "key-type", "a property name must be text, not a list or a mapping"
                )
        entries = tuple({**merged, **own}.values())
        if len(entries) > CHILD_LIMIT:
            self.notes.error(frame.where, "too-many-items", f"more than {CHILD_LIMIT} entries: too many")
            raise _StoppedError
        return entries

    def _merge(self, value: Node, merged: dict[str, tuple[Scalar, Node]]) -> None:
        sources = value.items if isinstance(value, Items) else (value,)
        for source in sources:
            if not isinstance(source, Map):
                message = "`<<` merges a mapping, or a list of mappings: write `<<: *anchor`"
                self.notes.error(source.where, "merge-key", message)
                continue
            for key, node in source.entries:
                merged.setdefault(key.text, (key, node))

    def _check_key(self, key: Scalar) -> None:
        if key.kind is not Kind.STRING:
            message = f"YAML reads `{shown(key.text)}` as {key.reading}: quote it: {quoted(key.text)}"
            self.notes.error(key.where, "unquoted", message)

    def _duplicate(self, key: Scalar, first: Where) -> None:
        message = f"`{shown(key.text)}` is here twice (first in line {first.line}): remove one of them"
        self.notes.error(key.where, "duplicate-key", message)
