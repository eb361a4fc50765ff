r"""Texts of one attribute -> all of them in one notation, and notes on what a reader cannot see.

A text is one line: `\n`, `\t`, `\r`, and the escapes of `escape`. Nothing is quoted. Each character that has
an escape is named in a note, so a text with a backslash is not taken for it; where an attribute has both, a
backslash of a text is doubled. Two different texts never look alike.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ssm_reconcile.renderers.escaping import escape, escaped_characters, json_escapes, look_alike
from ssm_reconcile.wording import plural

UNKNOWN = -1
"""The length of a part whose end is left out, if nothing more is known of it."""
NAMED = 4
"""The most characters that one note names."""
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
        texts: Every text of the attribute that is shown.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        every = list(texts)
        self._doubles = any("\\" in text for text in every) and any(map(escaped_characters, every))
        self._named: set[str] = set()

    def texts(self, part: ShownText) -> tuple[str | None, str | None]:
        """Return both sides as they are printed."""
        if self._looks_alike(part):
            shown = {word: _exact(text) for word, text, _ in part.sides}
        else:
            shown = {word: self._text(text) for word, text, _ in part.sides}
        for word, text, length in part.sides:
            mark = " …" if part.is_cut(text, length) else ""
            shown[word] = f"{'… ' if part.start else ''}{shown[word]}{mark}"
        return shown.get("before"), shown.get("after")

    def _text(self, text: str) -> str:
        text = text.replace("\\", "\\\\") if self._doubles else text
        for character, short in _SHORT.items():
            text = text.replace(character, short)
        return escape(text)

    def _looks_alike(self, part: ShownText) -> bool:
        """Whether the two sides are different and look alike: é may be one character or two."""
        if part.before is None or part.after is None or part.before == part.after:
            return False
        return look_alike(self._text(part.before), self._text(part.after)) or look_alike(
            part.before, part.after
        )

    def notes(self, part: ShownText, *, is_line: bool = False) -> list[str]:
        """Return notes on the characters, the ends and the lengths of both sides.

        Args:
            part: Both sides.
            is_line: Whether the part is a line of the value, in which spaces at the start mean little.
        """
        return [*self._characters(part), *_ends(part, is_line=is_line), *_lengths(part)]

    def _characters(self, part: ShownText) -> Iterator[str]:
        found: dict[str, list[str]] = {}
        for word, text, _ in part.sides:
            for character in escaped_characters(text):
                found.setdefault(character, []).append(word)
        if self._looks_alike(part):
            yield "both sides may look alike, so every character beyond ASCII has an escape"
            common = set(part.before or "") & set(part.after or "")
            for word, text, _ in part.sides:
                own = (one for one in dict.fromkeys(text) if not one.isascii() and one not in common)
                found |= {character: [word] for character in own}
        new = {character: words for character, words in found.items() if character not in self._named}
        self._named |= new.keys()
        if new and self._doubles and "\\" not in self._named:
            self._named.add("\\")
            yield "\\\\ is one backslash"
        for character, words in list(new.items())[:NAMED]:
            where = f"{words[0]}: " if len(words) < len(part.sides) else ""
            yield f"{where}{_SHORT.get(character) or json_escapes(character)} is {_name(character)}"
        if len(new) > NAMED:
            yield plural(len(new) - NAMED, "more character has an escape", "more characters have an escape")


def _exact(text: str) -> str:
    """Return a text in ASCII. Different texts have different results."""
    return json.dumps(text)[1:-1].replace('\\"', '"')


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
