"""Two plain texts -> the parts that differ: by key, by item, by line, or around the first difference.

Only for texts that may be shown. Different texts have at least one part that differs, or a note. The cost is
proportional to the length of the texts, apart from a logarithm and the depth of a tree.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TypeAlias

from ssm_reconcile.change import ValuePart, ValueParts
from ssm_reconcile.diff.trees import (
    READERS,
    DifferingRun,
    ValueTree,
    compact,
    differing_runs,
    has_equal_order,
    json_tree,
    longest_increasing,
    tree_differences,
)
from ssm_reconcile.shape import EXCERPT, excerpt, excerpt_start
from ssm_reconcile.wording import plural

LIMIT = 65_536
"""Characters that are compared by part. AWS takes 8 KB; a rewrite may make more of it."""
PARTS = 20
"""The most parts of a value that are kept."""
CREATED_LINES = 5
"""The lines of a new value that are kept."""
_KeyedTexts: TypeAlias = tuple[str, str | None, str | None]
"""A key with the old and the new text. Equal texts: an unchanged part."""


def value_parts(before: str | None, after: str, *, is_list: bool) -> ValueParts:
    """Return the parts in which two plain values differ; of a new value, the parts to show.

    Args:
        before: The value in the target; None where the parameter does not exist.
        after: The value to be written.
        is_list: Whether both values are of type StringList.
    """
    if max(len(before or ""), len(after)) > LIMIT:
        return _kept("text", [("", before, after)])
    if before is None:
        return _created(after, is_list=is_list)
    if is_list:
        return _by_item(before, after)
    old, new, notes = _without_line_ends(before, after)
    if old == new:
        return ValueParts("lines", (), notes=tuple(notes))
    by_key = _by_key(old, new)
    if by_key is not None and by_key.parts:
        return replace(by_key, notes=(*notes, *by_key.notes))
    notes += [] if by_key is None else ["only the formatting differs: all keys and values are equal"]
    if "\n" in old or "\n" in new:
        return _kept("lines", _line_differences(old.split("\n"), new.split("\n")), notes)
    return _kept("text", [("", old, new)], notes)


def _created(text: str, *, is_list: bool) -> ValueParts:
    """Return a new value: JSON on one line, other texts by their first lines."""
    tree = json_tree(text) if "\n" in text else None
    if tree is not None:
        return _kept("json", [("", None, compact(tree))])
    lines = text.removesuffix("\n").split("\n")
    if len(lines) == 1:
        return _kept("list" if is_list else "text", [("", None, text)])
    shown = [(f"line {number}", None, line) for number, line in enumerate(lines[:CREATED_LINES], start=1)]
    return replace(_kept("lines", shown), more=max(0, len(lines) - CREATED_LINES))


def _by_key(before: str, after: str) -> ValueParts | None:
    """Return the keys that differ, no parts where only the formatting differs; None without keys."""
    for form, read in READERS.items():
        old, new = read(before), read(after)
        if old is None or new is None or not (form == "json" or _have_common_keys(old, new)):
            continue
        notes = _format_notes(form, before, after)
        if not (notes or has_equal_order(old, new)):
            notes = ["the order of the keys differs too"]
        return _kept(form, tree_differences(old, new, is_flat=form == "env"), notes)
    return None


def _have_common_keys(before: ValueTree, after: ValueTree) -> bool:
    """Whether two trees are lists, or have a key in common.

    Two texts of other forms can look like keys: `QUJD=` is Base64, and a key only if both sides have it.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        return not before.keys().isdisjoint(after)
    return isinstance(before, list) and isinstance(after, list)


def _format_notes(form: str, before: str, after: str) -> list[str]:
    """Return the differences of two texts beside those of their keys: comments and layout."""
    notes = []
    if form != "json":
        (before, old), (after, new) = _without_comments(form, before), _without_comments(form, after)
        notes += [] if old == new else ["comments differ too"]
    return notes + ([] if _has_equal_layout(form, before, after) else ["the formatting differs too"])


def _without_comments(form: str, text: str) -> tuple[str, list[str]]:
    """Return a text without the lines that are comments, and the comments."""
    signs = ("#", ";", "!") if form == "env" else ("#",)
    comments = [line for line in text.split("\n") if line.lstrip(" ").startswith(signs)]
    lines = [line for line in text.split("\n") if not line.lstrip(" ").startswith(signs)]
    return "\n".join(lines), comments


_TOKENS = {
    "json": re.compile(r'(\s*)("(?:[^"\\]|\\.)*"|[^\s"{}\[\],:]+|\S)'),
    "env": re.compile(r"((?: *\n)*)([^\n]+)"),
    "yaml": re.compile(r"(\s*)(-(?= )|[A-Za-z0-9_][A-Za-z0-9_./ -]*?:(?= |$)|\S(?:.*\S)?)", re.MULTILINE),
}
"""Blanks, and the token after them that they do not change: in YAML a key or a scalar, in `.env` a line."""


_SIGNS = frozenset("{}[],:-")


def _has_equal_layout(form: str, before: str, after: str) -> bool:
    """Whether the tokens that both texts have in common have equal blanks before them.

    Where tokens were added or removed, the blanks at that place are not compared.
    """
    (old_blanks, old_tokens), (new_blanks, new_tokens) = (_tokens(form, text) for text in (before, after))
    start = new_start = 0
    end = DifferingRun(len(old_tokens), len(old_tokens), len(new_tokens), len(new_tokens))
    for run in (*differing_runs(_with_depth(old_tokens), _with_depth(new_tokens)), end):
        if old_blanks[start : run.start] != new_blanks[new_start : run.new_start]:
            return False
        changed, new = old_tokens[run.start : run.end], new_tokens[run.new_start : run.new_end]
        if list(map(_sign_of, changed)) == list(map(_sign_of, new)):
            start, new_start = run.start, run.new_start
            if any(map(_is_another_notation, changed, new)):
                return False
        else:
            start, new_start = run.end + 1, run.new_end + 1
    return True


def _tokens(form: str, text: str) -> tuple[list[str], list[str]]:
    """Return the blanks before each token, and the tokens. The last token is the end of the text."""
    pairs = [*_TOKENS[form].findall(text), (text[len(text.rstrip()) :], "")]
    return [blanks for blanks, _ in pairs], [token for _, token in pairs]


def _with_depth(tokens: Sequence[str]) -> list[str]:
    """Return tokens with the number of brackets around them: those of other levels are not matched."""
    changes = [(token in ("{", "[")) - (token in ("}", "]")) for token in tokens]
    return [f"{depth} {token}" for depth, token in zip(accumulate(changes), tokens, strict=True)]


def _sign_of(token: str) -> str:
    """Return a token without a key or a value; empty for the others: these may replace each other."""
    return token if token in _SIGNS else ""


def _is_another_notation(before: str, after: str) -> bool:
    """Whether two tokens are one string of JSON, written with other escapes."""
    is_string = before.startswith('"') and after.startswith('"')
    return is_string and before != after and json.loads(before) == json.loads(after)


def _without_line_ends(before: str, after: str) -> tuple[str, str, list[str]]:
    """Return two texts with equal line ends, and notes on those that differed."""
    old, new, notes = before, after, []
    ends = (_line_end(before), _line_end(after))
    if None not in ends:
        old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
        if ends[0] != ends[1]:
            notes.append(f"line ends: {ends[0]} before, {ends[1]} after")
    last = (old.endswith("\n"), new.endswith("\n"))
    if last[0] != last[1]:
        with_end, without = ("before", "after") if last[0] else ("after", "before")
        notes.append(f"{with_end} ends with a line break, {without} does not")
    return old.removesuffix("\n"), new.removesuffix("\n"), notes


def _line_end(text: str) -> str | None:
    """Return `LF` or `CRLF`; None without a line end, or with both kinds."""
    number = text.count("\r\n")
    if "\n" not in text or number not in (0, text.count("\n")):
        return None
    return "CRLF" if number else "LF"


def _line_differences(before: Sequence[str], after: Sequence[str]) -> Iterator[_KeyedTexts]:
    """Yield the lines that differ, each run with the unchanged lines next to it."""
    free = 0
    for run in differing_runs(before, after):
        if run.new_start > free:
            yield f"line {run.new_start}", after[run.new_start - 1], after[run.new_start - 1]
        for i, j in run.pairs():
            old, new = None if i is None else before[i], None if j is None else after[j]
            if old != new:
                is_shifted = j is None and run.start != run.new_start
                number = j if j is not None else i
                assert number is not None
                yield f"{'old ' if is_shifted else ''}line {number + 1}", old, new
        free = run.new_end
        if free < len(after):
            yield f"line {free + 1}", after[free], after[free]
            free += 1


def _by_item(before: str, after: str) -> ValueParts:
    """Return the items of a StringList that were changed, removed, added or moved."""
    old, new = ([item.strip(" ") for item in text.split(",")] for text in (before, after))
    places: defaultdict[str, deque[int]] = defaultdict(deque)
    for i, item in enumerate(old):
        places[item].append(i)
    kept: list[tuple[int, int]] = []
    added: set[int] = set()
    for j, item in enumerate(new):
        if places[item]:
            kept.append((places[item].popleft(), j))
        else:
            added.add(j)
    removed = {i for left in places.values() for i in left}
    in_order = set(longest_increasing([i for i, _ in kept]))
    moved = [pair for position, pair in enumerate(kept) if position not in in_order]
    found = [
        (i, (f"item {i + 1}", old[i] if i in removed else None, new[i] if i in added else None))
        for i in removed | added
    ]
    found += [(j, (f"item {i + 1} moved to item {j + 1}", old[i], old[i])) for i, j in moved]
    notes = [f"{plural(len(moved), 'item')} moved"] if moved else []
    shown = [sides for _, sides in sorted(found, key=lambda one: one[0])]
    return replace(_kept("list", shown[:PARTS], notes), more=max(0, len(shown) - PARTS))


def _kept(form: str, found: Iterable[_KeyedTexts], notes: Iterable[str] = ()) -> ValueParts:
    """Return the first parts with their texts cut, and the number of the others that differ."""
    parts: list[ValuePart] = []
    starts: Counter[str] = Counter()
    more = 0
    for key, before, after in found:
        if len(parts) < PARTS:
            starts[key[:EXCERPT]] += 1
            parts.append(_part(_cut_key(key, starts[key[:EXCERPT]]), before, after))
        else:
            more += before != after
    return ValueParts(form, tuple(parts), more, tuple(notes))


def _cut_key(key: str, number: int) -> str:
    """Return a key of at most EXCERPT characters; `number` counts the keys with an equal start."""
    if len(key) <= EXCERPT:
        return key
    return f"{key[:EXCERPT]}\N{HORIZONTAL ELLIPSIS}{f' ({number})' if number > 1 else ''}"


def _part(key: str, before: str | None, after: str | None) -> ValuePart:
    """Return a part with its texts cut around their first difference."""
    start = 0 if before == after else excerpt_start(before, after)
    return ValuePart(
        key,
        excerpt(before, start),
        excerpt(after, start),
        start,
        len(before or ""),
        len(after or ""),
        is_context=before == after,
    )
