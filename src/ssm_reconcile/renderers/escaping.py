"""Untrusted text -> text that has no effect on a terminal or on Markdown and does not deceive a reader.

Names, values, descriptions and tags are written by others. Control, bidi, zero-width and blank characters
other than the space become visible escapes, and so do letters of a second alphabet within a word. A value
is one line of at most EXCERPT characters.

    visible      any text on one line, for a terminal
    inert        lines that are not commands for a runner of GitHub Actions
    value_text   a tag on one line, as JSON unless it is plain
    span, code   a name as a code span of Markdown, and as HTML for <summary>
    prose        a sentence in Markdown that may quote names
    fence        a block of Markdown that its content cannot end
    dumps        a document as JSON, as it is printed and saved; `json_blocks` yields it in blocks
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ssm_reconcile.shape import EXCERPT

TEXT_LIMIT = 1100
"""Characters of a text that are shown. No name in AWS is longer, but one in a forged file can be."""
LINE_LIMIT = 4000
"""Characters of a line with several texts; names and tags of AWS are shorter (API reference)."""

UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680"
    "\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164"
    "\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff"
    "]"
)
"""Controls, formats (bidi, zero width, tags), surrogates, private use, variation selectors, and every
blank except the space. A test compares it with the Unicode categories."""
_MARKS = re.compile(r"(?:^|(?<=[\u0300-\u036f]{2}))[\u0300-\u036f]+")
"""Combining marks at the start, or more than two on one letter: they would cover other characters."""

_PLAIN = re.compile(
    r'(?![\s"(…]|[-+] )(?!.* -> )(?!.*, )(?!.* (?:added|removed)$|(?:added|removed): ).+(?<!\s)'
)

_NO_SCRIPT = frozenset([
    "CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "COMBINING",
    "MICRO", "MASCULINE", "FEMININE",
])  # fmt: skip
"""First words of the Unicode names of characters that are used together with any alphabet."""
_STYLED = frozenset([
    "SMALL", "ROMAN", "MATHEMATICAL", "FULLWIDTH", "DOUBLE", "SCRIPT", "BLACK", "KELVIN",
    "ANGSTROM", "MODIFIER", "TURNED", "EULER", "PLANCK",
])  # fmt: skip
"""First words of the Unicode names of letters that look like Latin letters."""
_IPA_LOOK_ALIKES = "\u0251\u0261\u0269"
_UNIT = re.compile(
    "[0-9]*(?:[\u03bc\u00b5](?:s|m|g|l|L|F|H|A|V|W|C|J|Hz|Pa|mol)|[kKMGTmnp\u03bc\u00b5]?[\u03a9\u2126])"
)
"""A unit of measurement: its Greek letter is intended."""
_LETTERS = re.compile("\\\\(?:u[0-9a-fA-F]{4}|[ -~])|(?:[^\\W_]|[\u0300-\u036f])+")
"""A word, or an escape of JSON, whose letter must stay and is not part of a word."""


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """Return the alphabet of a character; empty for digits and characters that every alphabet uses."""
    category = unicodedata.category(character)
    if category == "No" or character in "0123456789":
        return ""
    name = unicodedata.name(character, "").removeprefix("EXTENDED ")
    first = re.split("[ -]", name, maxsplit=1)[0]
    if first in _NO_SCRIPT:
        return ""
    small = first == "LATIN" and ("SMALL CAPITAL" in name or character in _IPA_LOOK_ALIKES)
    return "STYLED" if small or first in _STYLED or category == "Nl" else first


def _escape_mixed(word: re.Match[str]) -> str:
    """Return a word with the letters of all alphabets but its most frequent one as escapes."""
    foreign = _foreign_letters(word[0])
    return "".join(json_escapes(one) if one in foreign else one for one in word[0]) if foreign else word[0]


def _foreign_letters(word: str) -> frozenset[str]:
    """Return the letters of a word that are of another alphabet than most of it."""
    if word.isascii() or _UNIT.fullmatch(word):
        return frozenset()
    counts = Counter(filter(None, map(_script, word)))
    if len(counts) < 2:  # noqa: PLR2004 - one alphabet is not mixed
        return frozenset()
    kept = max(counts, key=lambda one: (counts[one], one == "LATIN"))
    return frozenset(one for one in word if _script(one) not in {"", kept})


def json_escapes(text: str) -> str:
    r"""Return characters as JSON escapes: `\u202e`; a character above U+FFFF has two."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def escape(text: str) -> str:
    """Return the text with a visible escape for every character that is not safe to print.

    A letter of another alphabet within a word is not safe: a Cyrillic letter can look like a Latin one.
    """
    if text.isascii() and text.isprintable():  # most texts
        return text
    if not text.isascii():
        text = _LETTERS.sub(_escape_mixed, text)
    return _MARKS.sub(lambda m: json_escapes(m[0]), UNSAFE.sub(lambda m: json_escapes(m[0]), text))


def escaped_characters(text: str) -> list[str]:
    """Return the characters that `escape` replaces, each once, in their order."""
    found = set(UNSAFE.findall(text)).union(*_MARKS.findall(text))
    if not text.isascii():
        found = found.union(*(_foreign_letters(word[0]) for word in _LETTERS.finditer(text)))
    return [one for one in dict.fromkeys(text) if one in found]


def look_alike(before: str, after: str) -> bool:
    """Whether two different texts can look the same: by their letters, or once they are escaped."""
    pairs = {(a, b) for a, b in zip(before, after, strict=False) if a != b}
    if len(before) == len(after) and all(_script(a) != _script(b) and (a + b).isalpha() for a, b in pairs):
        return True
    shown = [unicodedata.normalize("NFKC", escape(text)) for text in (before, after)]
    return shown[0] == shown[1]


def visible(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return a name or a sentence on one line, safe to print; a text that is cut ends with an ellipsis."""
    if len(text) > limit:
        text = text[:limit] + "…"
    return escape(text)


_RUNNER_COMMAND = re.compile(r"^(\s*):(?=:)|##\[", re.MULTILINE)
"""A runner obeys `::` at the start of a line, after white space, and `##[` anywhere in a line.

Source: actions/runner, src/Runner.Common/ActionCommand.cs.
"""


def inert(text: str) -> str:
    """Return the text with an escape in everything that a runner of GitHub Actions reads as a command."""
    return _RUNNER_COMMAND.sub(lambda m: "##\\u005b" if m[0] == "##[" else f"{m[1]}\\u003a", text)


def json_text(text: str) -> str:
    """Return a value as JSON, safe to print."""
    return escape(json.dumps(text, ensure_ascii=False))


def value_text(text: str) -> str:
    r"""Return a key or value of a tag on one line: unchanged where it is plain, otherwise as JSON.

    Only JSON begins with a quotation mark, so a reader sees which of the two it is.

    >>> value_text("alias/shop"), value_text("a\nb"), value_text("")
    ('alias/shop', '"a\\nb"', '""')
    """
    part = text[:EXCERPT]
    if part == text and is_plain(part) and escape(part) == part:
        return part
    return f"{json_text(part)}{'' if part == text else ' …'}"


def is_plain(text: str) -> bool:
    """Whether a text in a phrase cannot be taken for a note, for two texts, or for a part of one."""
    return _PLAIN.fullmatch(text) is not None


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def span(text: str, *, table: bool = False) -> str:
    """Return a Markdown code span: GitHub renders no mention, link, HTML or emphasis in it.

    `table`: escape pipes, which end a cell even inside of code (GFM, tables extension).
    """
    text = visible(text) or " "
    mark = "`" * (_longest_run(text) + 1)
    edges = text[0] + text[-1] if text.strip() else ""
    pad = " " if edges.strip("` ") != edges else ""
    body = text.replace("|", "\\|") if table else text
    return f"{mark}{pad}{body}{pad}{mark}"


def code(text: str) -> str:
    """Return a code span for a line of HTML, with entities for all but plain characters."""
    plain = re.sub(r"[^A-Za-z0-9/_.\- ]", lambda m: f"&#{ord(m[0])};", visible(text))
    return f"<code>{plain}</code>"


_WORD = re.compile(
    r"""[("']*
    (?:[A-Za-z]+(?:['-][A-Za-z]+)*|[0-9]{1,6}(?:[.,][0-9]{1,6})?%?|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}|--?|…)?
    [)"',.;:!?]*""",
    re.VERBOSE,
)
_COMMIT = re.compile(r"[a-fA-F]{7,}")
"""A word that GitHub can render as a link to a commit."""
_ODD = re.compile(r"""(?P<open>[("']*)(?P<body>.*?)(?P<close>[)"',.;:!?]*)""")


def prose(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return a sentence as Markdown: plain words stay, everything else becomes a code span.

    A list of what is allowed also covers syntax that GitHub adds later. A list of what is not would not.
    """
    out = ""
    for part in re.split("(`[^`]+`)", visible(text, limit)):
        words = [span(part[1:-1])] if re.fullmatch("`[^`]+`", part) else map(_word, part.split(" "))
        for i, word in enumerate(words):
            touching = not i and out.endswith("`") and word.startswith("`")
            out += f"{' ' if i or touching else ''}{word}"
    out = out.strip(" ")
    first = out.split(" ", 1)[0]
    return f"{span(first)}{out[len(first) :]}" if re.match(r"[-+]|[0-9]+[.)]", first) else out


def _word(word: str) -> str:
    if _WORD.fullmatch(word) and not _COMMIT.search(word):
        return word
    parts = _ODD.fullmatch(word)
    if parts is None or not parts["body"] or "`" in word:
        return span(word)
    return f"{parts['open']}{span(parts['body'])}{parts['close']}"


def fence(lines: list[str], language: str = "diff") -> str:
    """Return a fenced block, whose fence is longer than any run of backticks inside."""
    body = "\n".join(lines)
    mark = "`" * max(3, _longest_run(body) + 1)
    return f"{mark}{language}\n{body}\n{mark}"


def dumps(document: Mapping[str, Any]) -> str:
    """Return canonical, readable JSON: sorted keys, two spaces, a newline at the end.

    Characters that are not safe to print, and commands of a runner, are escaped, which JSON allows in any
    string.
    """
    return "".join(json_blocks(document))


def json_blocks(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of `dumps` in blocks: the items of each list of the document one by one.

    The text of a plan of many changes is never in memory as a whole. The keys of the document must be texts.
    """
    encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, indent=2).encode
    comma = ""
    yield "{"
    for key, value in sorted(document.items()):
        start = f"{comma}\n  {encode(key)}: "
        comma = ","
        if isinstance(value, str) or not isinstance(value, Sequence):
            text = encode(value).replace("\n", "\n  ")
            yield inert(escaped_lines(f"{start}{text}"))
            continue
        start = f"{start}["
        for item in value:
            text = encode(item).replace("\n", "\n    ")
            yield inert(escaped_lines(f"{start}\n    {text}"))
            start = ","
        yield "\n  ]" if value else inert(escaped_lines(f"{start}]"))
    yield "\n}\n" if document else "}\n"


_PRINTABLE = re.compile(r"[ -~\n]*")
"""Lines without a character that `escape` replaces: most lines of a document, each of which takes time."""


def escaped_lines(text: str) -> str:
    """Return the text with each line safe to print; line breaks stay."""
    if _PRINTABLE.fullmatch(text):
        return text
    return "\n".join(escape(line) for line in text.split("\n"))
