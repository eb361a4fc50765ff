r"""Texts of one attribute -> all of them in one notation, and notes on what a reader cannot see.

A text is one line: `\n`, `\t`, `\r`, and the escapes of `escape`. Nothing is quoted. Each character that has
an escape is named in a note, so a text with a backslash is not taken for it; where an attribute has both, a
backslash of a text is doubled. Two different texts never look alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations, islice
from typing import NamedTuple

from ssm_reconcile.renderers.escaping import escape, escaped_characters, json_escapes, look_alike, visible
from ssm_reconcile.wording import plural

UNKNOWN = -1
"""The length of a part whose end is left out, if nothing more is known of it."""
NAMED = 4
"""The most characters that one note names."""
KEYS = 50
"""The most keys of an attribute that are compared with each other. Only a forged file has more."""
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_CONTROLS = {
    "\n": "LINE FEED", "\t": "TAB", "\r": "CARRIAGE RETURN", "\0": "NULL", "\x1b": "ESCAPE", "\x7f": "DELETE",
}  # fmt: skip
_UNNAMED = {
    "Cc": "a control character", "Co": "a private use character", "Cs": "half of a character",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShownText:
    """The old and the new text of a part (None: there is none). `start` characters are left out before both.

    `lengths` are the lengths of the whole part.
    """

    before: str | None
    after: str | None
    start: int = 0
    lengths: tuple[int, int] = (0, 0)

    @property
    def sides(self) -> list[tuple[str, str, int]]:
        """The words for the sides that exist, their texts and their whole lengths."""
        both = (("before", self.before, self.lengths[0]), ("after", self.after, self.lengths[1]))
        return [(word, text, length) for word, text, length in both if text is not None]

    def is_cut(self, text: str, length: int) -> bool:
        """Whether the end of a side is left out."""
        return length == UNKNOWN or self.start + len(text) < length


class ValueNotation:
    """The notation for all texts of one attribute. A character is named once.

    Args:
        parts: Every part of the attribute that is shown.
        keys: The keys of these parts.
    """

    def __init__(self, parts: Iterable[ShownText], keys: Iterable[str] = ()) -> None:
        every = list(parts)
        self._pieces = {part: _pieces(part) for part in every}
        self._alike_keys = _look_alike_keys(keys)
        texts = [text for part in every for _, text, _ in part.sides]
        has_escape = any(map(escaped_characters, texts)) or any(map(_has_alike, self._pieces.values()))
        self._doubles = has_escape and any("\\" in text for text in texts)
        self._named: set[str] = set()

    def texts(self, part: ShownText) -> tuple[str | None, str | None]:
        """Return both sides as they are printed."""
        shown = {}
        for word, text, length in part.sides:
            own = ((piece.before if word == "before" else piece.after, piece) for piece in self._pieces[part])
            printed = "".join(self._piece(one, is_alike=piece.is_alike) for one, piece in own)
            mark = " …" if part.is_cut(text, length) else ""
            shown[word] = f"{'… ' if part.start else ''}{printed}{mark}"
        return shown.get("before"), shown.get("after")

    def key(self, key: str) -> str:
        """Return the key of a part as it is printed. Unusual keys are quoted JSON."""
        return _ascii(visible(key)) if key in self._alike_keys else visible(key)

    def _piece(self, text: str, *, is_alike: bool) -> str:
        text = _one_line(text.replace("\\", "\\\\") if self._doubles else text)
        return _ascii(text) if is_alike else text

    def notes(self, part: ShownText, key: str = "", *, is_line: bool = False) -> list[str]:
        """Return notes on the characters of key and sides, and on the ends and the lengths of both sides.

        Args:
            part: Both sides.
            key: The key of the part.
            is_line: Whether the part is a line of the value, in which spaces at the start mean little.
        """
        found = [*self._key_characters(key), *self._characters(part)]
        return [*found, *_ends(part, is_line=is_line), *_lengths(part)]

    def _key_characters(self, key: str) -> Iterator[str]:
        found = (
            [one for one in key if not one.isascii()] if key in self._alike_keys else escaped_characters(key)
        )
        yield from self._names(dict.fromkeys(found, "in the key: "))

    def _characters(self, part: ShownText) -> Iterator[str]:
        found: dict[str, list[str]] = {}
        for word, text, _ in part.sides:
            for character in escaped_characters(text):
                found.setdefault(character, []).append(word)
        if _has_alike(self._pieces[part]):
            yield "both sides may look alike, so every character beyond ASCII has an escape there"
            for piece in self._pieces[part]:
                for word, text, other in (("before", *piece[:2]), ("after", *piece[1::-1])):
                    own = (one for one in text if not one.isascii() and one not in other)
                    found |= {one: [word] for one in own if piece.is_alike and one not in found}
        sides = len(part.sides)
        yield from self._names(
            {one: f"{words[0]}: " if len(words) < sides else "" for one, words in found.items()}
        )

    def _names(self, found: Mapping[str, str]) -> Iterator[str]:
        """Yield the names of characters that no note named before. `found` has where each of them is."""
        new = {character: where for character, where in found.items() if character not in self._named}
        self._named |= new.keys()
        if new and self._doubles and "\\" not in self._named:
            self._named.add("\\")
            yield "\\\\ is one backslash"
        for character, where in list(new.items())[:NAMED]:
            yield f"{where}{_SHORT.get(character) or json_escapes(character)} is {_name(character)}"
        if len(new) > NAMED:
            yield plural(len(new) - NAMED, "more character has an escape", "more characters have an escape")


class _Piece(NamedTuple):
    """Successive pieces of both sides, and whether they differ and look alike."""

    before: str
    after: str
    is_alike: bool = False


_WORDS = re.compile(
    "\\\\(?:u[0-9a-fA-F]{4}|[ -~])[\u0300-\u036f]*|(?:[^\\W_]|[\u0300-\u036f])+|.[\u0300-\u036f]*",
    re.DOTALL,
)
"""Words, escapes of JSON and other characters: `escape` has equal results for a text and for these parts."""


def _pieces(part: ShownText) -> list[_Piece]:
    """Return the pieces of both sides by words, so that a look-alike is found beside other differences.

    é may be one character or two. Texts in ASCII do not look alike where a backslash is doubled.
    """
    before, after = part.before or "", part.after or ""
    if None in (part.before, part.after) or before == after or (before + after).isascii():
        return [_Piece(before, after)]
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    found = []
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        sides = "".join(old[start:end]), "".join(new[new_start:new_end])
        found.append(_Piece(*sides, is_alike=tag == "replace" and _hides_difference(*sides)))
    return found if _has_alike(found) else [_Piece(before, after, _hides_difference(before, after))]


def _has_alike(pieces: Iterable[_Piece]) -> bool:
    return any(piece.is_alike for piece in pieces)


def _hides_difference(before: str, after: str) -> bool:
    """Whether two texts look alike, or one has a letter that looks like a different one of the other."""
    if look_alike(before, after) or look_alike(_one_line(before), _one_line(after)):
        return True
    return _has_look_alike(before, after) or _has_look_alike(after, before)


def _has_look_alike(text: str, other: str) -> bool:
    own = (one for one in set(text) - set(other) if not one.isascii() and escape(one) == one)
    return any(unicodedata.normalize("NFKC", one) in unicodedata.normalize("NFKC", other) for one in own)


_PATH_SIGNS = re.compile(r'[][".]')
"""Signs that a key has only with other than plain characters: `["\u00e4"]`, but `a`."""


def _look_alike_keys(keys: Iterable[str]) -> frozenset[str]:
    """Return the keys that look like another key. Only the first KEYS are compared."""
    every = {key: _PATH_SIGNS.sub("", key) for key in islice(dict.fromkeys(keys), KEYS)}
    if all(map(str.isascii, every)):
        return frozenset()
    groups: defaultdict[str | int, list[str]] = defaultdict(list)
    for key, letters in every.items():
        groups[unicodedata.normalize("NFKC", escape(letters))].append(key)
        groups[len(letters)].append(key)
    pairs = (pair for group in groups.values() for pair in combinations(group, 2))
    return frozenset(key for pair in pairs if look_alike(*map(every.__getitem__, pair)) for key in pair)


def _one_line(text: str) -> str:
    for character, short in _SHORT.items():
        text = text.replace(character, short)
    return escape(text)


def _ascii(text: str) -> str:
    """Return a text with an escape for each character beyond ASCII."""
    return "".join(one if one.isascii() else json_escapes(one) for one in text)


def _name(character: str) -> str:
    """Return `ZERO WIDTH SPACE (U+200B)`."""
    name = unicodedata.name(character, "") or _CONTROLS.get(character)
    name = name or _UNNAMED.get(unicodedata.category(character), "an unassigned character")
    return f"{name} (U+{ord(character):04X})"


def _ends(part: ShownText, *, is_line: bool) -> Iterator[str]:
    """Yield the sides that are empty, and those with other spaces at an end than the other side."""
    for word, text, _ in part.sides:
        if not text and not part.start:
            yield f"{word} is empty"
    for verb in ("begins", "ends"):
        counts = {word: _spaces(part, text, length, verb) for word, text, length in part.sides}
        if len(part.sides) == 1 and is_line and verb == "begins":
            continue
        if len(part.sides) > 1 and len(set(counts.values())) == 1:
            continue
        yield from (f"{word} {verb} with {plural(n, 'space')}" for word, n in counts.items() if n)


def _spaces(part: ShownText, text: str, length: int, verb: str) -> int:
    """Return the number of spaces at an end of a side; 0 where that end is left out."""
    if verb == "begins":
        return 0 if part.start else len(text) - len(text.lstrip(" "))
    return 0 if part.is_cut(text, length) else len(text) - len(text.rstrip(" "))


def _lengths(part: ShownText) -> Iterator[str]:
    """Yield the lengths of both sides where a text is cut."""
    is_cut = part.start or any(part.is_cut(text, length) for _, text, length in part.sides)
    if is_cut and UNKNOWN not in part.lengths:
        (word, _, length), *others = part.sides
        text = f"{word} has {plural(length, 'character')}"
        text += "".join(f", {word} has {length:,}" for word, _, length in others)
        yield text + (f"; shown from character {part.start + 1:,}" if part.start else "")
