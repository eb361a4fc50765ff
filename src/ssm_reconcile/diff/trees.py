"""Text of a plain value -> a tree of its keys; two trees or sequences -> the keys or items that differ.

A text has a tree if it is JSON, simple YAML or lines `KEY=value`.

Scalars keep their source text, so that `1`, `1.0` and `"1"` differ. The reader of YAML accepts block mappings
and lists with scalars of one line. A text with anything else, or with a key that occurs twice, has no tree.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple, NoReturn, TypeAlias


class Leaf(NamedTuple):
    """A scalar: its source text or, of a JSON string, its characters.

    `start` is the text before it on a line `KEY=value`: `export` and spaces can have a meaning, too.
    """

    text: str
    is_string: bool = False
    start: str = ""


ValueTree: TypeAlias = dict[str, "ValueTree"] | list["ValueTree"] | Leaf
DEPTH = 40
"""The most levels of a tree. A comparison writes the text of each subtree once for each of its levels."""
_BARE = re.compile(r"[A-Za-z0-9_./:+-]+")
_NOT_A_STRING = re.compile(r'(?:true|false|null|-?[0-9].*|["{\[].*)', re.DOTALL)
"""Text that a reader would take for another type than a string of JSON."""


def json_tree(text: str) -> ValueTree | None:
    """Return the tree of a JSON object or list."""
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return None
    try:
        return _tree(
            json.loads(
                text, parse_int=Leaf, parse_float=Leaf, parse_constant=_refuse, object_pairs_hook=_members
            )
        )
    except (ValueError, RecursionError):
        return None


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _members(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _tree(value: object, level: int = 0) -> ValueTree:
    if level > DEPTH:
        raise ValueError
    match value:
        case Leaf():
            return value
        case str():
            return Leaf(value, is_string=True)
        case dict():
            return {key: _tree(member, level + 1) for key, member in value.items()}
        case list():
            return [_tree(item, level + 1) for item in value]
        case _:
            return Leaf(json.dumps(value))


_ASSIGNMENT = re.compile(r"((?:export +)?([A-Za-z_][\w.-]*) *= *)(.*)", re.ASCII)


def assignment_tree(text: str) -> ValueTree | None:
    """Return the tree of lines `KEY=value`, with comments and empty lines between them."""
    found: dict[str, ValueTree] = {}
    for line in text.split("\n"):
        if not line.strip(" ") or line.lstrip(" ")[0] in "#;!":
            continue
        pair = _ASSIGNMENT.fullmatch(line)
        if pair is None or pair[2] in found or pair[3].endswith("\\") or not _is_closed(pair[3]):
            return None
        found[pair[2]] = Leaf(pair[3], start=pair[1])
    return found or None


def _is_closed(value: str) -> bool:
    """Whether a value that begins with a quotation mark or a bracket ends on the same line."""
    end = {'"': '"', "'": "'", "[": "]", "{": "}"}.get(value[:1])
    return end is None or (len(value) > 1 and value.rstrip(" ").endswith(end))


def yaml_tree(text: str) -> ValueTree | None:
    """Return the tree of a text in simple YAML of at least two lines."""
    lines = [
        (len(line) - len(line.lstrip(" ")), line.strip(" "))
        for line in text.split("\n")
        if line.strip(" ") and not line.lstrip(" ").startswith("#")
    ]
    if len(lines) < 2:  # noqa: PLR2004 - one line is more often a sentence
        return None
    try:
        return _YamlLines(lines).tree()
    except ValueError:
        return None


_KEY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_./ -]*?):(?: +(.+))?")
_UNUSUAL = re.compile(r"[|>&*!%@`?,#]|-$|---|\.\.\.$")
"""Starts of a scalar that this reader does not know: block scalars, anchors, aliases, tags, documents."""


class _YamlLines:
    """A reader of lines with their indentation. Raises ValueError for YAML that it does not know."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self.lines = lines
        self.at = 0

    def tree(self) -> ValueTree:
        found = self._block(self.lines[0][0], 0)
        if self.at < len(self.lines):
            raise ValueError
        return found

    def _indent(self) -> int:
        """Return the indentation of the next line; -1 at the end."""
        return self.lines[self.at][0] if self.at < len(self.lines) else -1

    def _is_item(self) -> bool:
        return self.lines[self.at][1].startswith("- ")

    def _block(self, indent: int, level: int) -> ValueTree:
        if level > DEPTH:
            raise ValueError
        return self._items(indent, level) if self._is_item() else self._mapping(indent, level)

    def _mapping(self, indent: int, level: int) -> dict[str, ValueTree]:
        found: dict[str, ValueTree] = {}
        while self._indent() == indent and not self._is_item():
            pair = _KEY.fullmatch(self.lines[self.at][1])
            if pair is None or pair[1] in found:
                raise ValueError
            self.at += 1
            if pair[2] is not None:
                found[pair[1]] = self._scalar(pair[2], indent)
            elif self._indent() > indent:
                found[pair[1]] = self._block(self._indent(), level + 1)
            elif self._indent() == indent and self._is_item():
                found[pair[1]] = self._items(indent, level + 1)
            else:
                found[pair[1]] = Leaf("")
        return found

    def _items(self, indent: int, level: int) -> list[ValueTree]:
        found: list[ValueTree] = []
        while self._indent() == indent and self._is_item():
            line = self.lines[self.at][1]
            rest = line[1:].lstrip(" ")
            if rest.startswith("- ") or _KEY.fullmatch(rest):
                inner = indent + len(line) - len(rest)
                self.lines[self.at] = (inner, rest)
                found.append(self._block(inner, level + 1))
            else:
                self.at += 1
                found.append(self._scalar(rest, indent))
        return found

    def _scalar(self, text: str, indent: int) -> Leaf:
        is_quoted = text[0] in "\"'[{"
        if self._indent() > indent or _UNUSUAL.match(text) or not _is_closed(text):
            raise ValueError
        if not is_quoted and ": " in text:
            raise ValueError
        return Leaf(text)


READERS: Mapping[str, Callable[[str], ValueTree | None]] = {
    "json": json_tree,
    "env": assignment_tree,
    "yaml": yaml_tree,
}
"""The readers by form, in the order in which they are tried."""


def compact(tree: ValueTree, *, is_sorted: bool = False) -> str:
    """Return a tree on one line; different trees of one form have different texts.

    `is_sorted`: with sorted keys, so that trees which differ in the order of keys only have equal texts.
    """
    match tree:
        case Leaf():
            is_bare = not (tree.is_string or tree.start) and _BARE.fullmatch(tree.text) is not None
            return tree.text if is_bare else _quoted(tree.start + tree.text)
        case dict():
            keys = sorted(tree) if is_sorted else tree
            members = (f"{_quoted(key)}: {compact(tree[key], is_sorted=is_sorted)}" for key in keys)
            return "{" + ", ".join(members) + "}"
        case _:
            return "[" + ", ".join(compact(item, is_sorted=is_sorted) for item in tree) + "]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def keys_that_differ(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the keys that only one side has, and those with two values, sorted."""
    if before == after:
        return []  # most parameters: `==` is a hundred times faster, and DeepDiff is not even imported
    from deepdiff import DeepDiff

    # The defaults skip keys that begin with `__`, and report two maps with few equal keys as one change.
    found = DeepDiff(before, after, ignore_private_variables=False, threshold_to_diff_deeper=0)
    return sorted(map(str, found.affected_root_keys))


def tree_differences(
    before: ValueTree, after: ValueTree, path: str = "", *, is_flat: bool = False
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the path, the old and the new text of each scalar or subtree that differs, in document order.

    DeepDiff gets one level at a time, and no list: with its defaults, a list of 4,000 numbers takes a minute.

    Args:
        before: The tree of the text in the target.
        after: The tree of the text to be written.
        path: The path of both in the document.
        is_flat: Whether the trees have one level only, so that a path is a key and has no quotation marks.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        differing = frozenset(keys_that_differ(_identities(before), _identities(after)))
        for key in (key for key in {**before, **after} if key in differing):
            inner = key if is_flat else path + _segment(key, is_first=not path)
            if key in before and key in after:
                yield from tree_differences(before[key], after[key], inner)
            else:
                yield (inner, *shown_texts(before.get(key), after.get(key)))
    elif isinstance(before, list) and isinstance(after, list):
        old, new = ([compact(item, is_sorted=True) for item in side] for side in (before, after))
        for run in differing_runs(old, new):
            for i, j in run.pairs():
                at = f"{path}[{i if j is None else j}]"
                if i is None or j is None:
                    sides = (None if i is None else before[i], None if j is None else after[j])
                    yield (at, *shown_texts(*sides))
                elif old[i] != new[j]:
                    yield from tree_differences(before[i], after[j], at)
    else:
        yield (path, *shown_texts(before, after))


def has_equal_order(before: ValueTree, after: ValueTree) -> bool:
    """Whether the keys that two trees have in common are in the same order on both sides."""
    if isinstance(before, dict) and isinstance(after, dict):
        common = [key for key in before if key in after]
        is_equal = common == [key for key in after if key in before]
        return is_equal and all(has_equal_order(before[key], after[key]) for key in common)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) != len(after) or all(map(has_equal_order, before, after))
    return True


def _identities(tree: Mapping[str, ValueTree]) -> dict[str, str]:
    return {key: compact(one, is_sorted=True) for key, one in tree.items()}


_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _segment(key: str, *, is_first: bool) -> str:
    if _SIMPLE_KEY.fullmatch(key):
        return key if is_first else f".{key}"
    return f"[{_quoted(key)}]"


def shown_texts(before: ValueTree | None, after: ValueTree | None) -> tuple[str | None, str | None]:
    """Return two scalars or subtrees as texts. A string of JSON has quotation marks only beside another type.

    A string that is added or removed has them if its text could be that of another type. A line `KEY=value`
    is shown whole where `export` or spaces before the value differ, or where only one side has such a line.
    """
    sides = [one for one in (before, after) if one is not None]
    leaves = [one for one in sides if isinstance(one, Leaf)]
    is_plain = len(leaves) == len(sides) and len({leaf.is_string for leaf in leaves}) == 1
    if is_plain and len(sides) == 1 and leaves[0].is_string:
        is_plain = _NOT_A_STRING.fullmatch(leaves[0].text) is None

    starts = {leaf.start for leaf in leaves}
    is_whole = len(starts) > 1 or (len(sides) == 1 and any(" " in start for start in starts))

    def text_of(one: ValueTree | None) -> str | None:
        if is_plain and isinstance(one, Leaf):
            return one.start + one.text if is_whole else one.text
        return None if one is None else compact(one)

    return text_of(before), text_of(after)


class DifferingRun(NamedTuple):
    """Items `before[start:end]` that became `after[new_start:new_end]`. Either side may be empty."""

    start: int
    end: int
    new_start: int
    new_end: int

    def pairs(self) -> Iterator[tuple[int | None, int | None]]:
        """Yield the positions of items that replace each other, then those that were removed or added."""
        return zip_longest(range(self.start, self.end), range(self.new_start, self.new_end))


def longest_increasing(numbers: Sequence[int]) -> list[int]:
    """Return the positions of a longest increasing subsequence of different numbers."""
    tails: list[int] = []
    positions: list[int] = []
    previous: list[int] = []
    for position, number in enumerate(numbers):
        length = bisect_left(tails, number)
        previous.append(positions[length - 1] if length else -1)
        tails[length : length + 1] = [number]
        positions[length : length + 1] = [position]
    found = []
    position = positions[-1] if positions else -1
    while position >= 0:
        found.append(position)
        position = previous[position]
    return found[::-1]


def differing_runs(before: Sequence[str], after: Sequence[str]) -> Iterator[DifferingRun]:
    """Yield the runs in which two sequences differ, in order; nothing for equal sequences.

    Only items that occur once on each side are matched, by the longest run of them in the same order
    (patience diff). Between two matches, equal items at the start and the end are matched too. Cost: n log n
    for any input; `difflib` is quadratic or worse for texts with many equal lines.
    """
    old_counts, new_counts = Counter(before), Counter(after)
    place = {item: j for j, item in enumerate(after) if new_counts[item] == 1 == old_counts[item]}
    unique = [(i, place[item]) for i, item in enumerate(before) if item in place]
    start = new_start = 0
    for position in longest_increasing([j for _, j in unique]):
        i, j = unique[position]
        yield from _trimmed(before, after, DifferingRun(start, i, new_start, j))
        start, new_start = i + 1, j + 1
    yield from _trimmed(before, after, DifferingRun(start, len(before), new_start, len(after)))


def _trimmed(before: Sequence[str], after: Sequence[str], run: DifferingRun) -> Iterator[DifferingRun]:
    """Yield the run without the equal items at its start and its end, unless nothing is left of it."""
    start, end, new_start, new_end = run
    while start < end and new_start < new_end and before[start] == after[new_start]:
        start, new_start = start + 1, new_start + 1
    while start < end and new_start < new_end and before[end - 1] == after[new_end - 1]:
        end, new_end = end - 1, new_end - 1
    if start < end or new_start < new_end:
        yield DifferingRun(start, end, new_start, new_end)
