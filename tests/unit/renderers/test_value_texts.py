"""The texts of a value are shown in one notation that deceives no reader."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ssm_reconcile.change import Difference
from ssm_reconcile.diff.values import value_parts
from ssm_reconcile.renderers.changes import AttributeLine, attribute_lines
from ssm_reconcile.renderers.escaping import UNSAFE, escape, escaped_characters
from ssm_reconcile.renderers.value_texts import UNKNOWN, ShownText, ValueNotation
from tests.unit.renderers import plans


def lines_of(before: str | None, after: str, *, is_list: bool = False) -> tuple[AttributeLine, ...]:
    """Return the lines of a value as the views have them."""
    parts = value_parts(before, after, is_list=is_list)
    shown = Difference("value", before and before[:200], after[:200], parts=parts)
    change = plans.document_of(plans.plan_of([plans.update("eu-west-1", "/a", shown)]))["changes"][0]
    return attribute_lines(change, "us-east-1")


def phrases(before: str, after: str) -> list[str]:
    return [line.phrase(is_new=False) for line in lines_of(before, after)]


NAMED = {
    "zero width": ("a", "b\u200b", ["a -> b\\u200b", "after: \\u200b is ZERO WIDTH SPACE (U+200B)"]),
    "both sides": ("a\tb", "a\tc", ["a\\tb -> a\\tc", "\\t is TAB (U+0009)"]),
    "bidi": ("a\u202eb", "a", ["a\\u202eb -> a", "before: \\u202e is RIGHT-TO-LEFT OVERRIDE (U+202E)"]),
    "no-break space": ("a b", "a\u00a0b", ["a b -> a\\u00a0b", "after: \\u00a0 is NO-BREAK SPACE (U+00A0)"]),
    "a control": ("a", "\x02", ["a -> \\u0002", "after: \\u0002 is a control character (U+0002)"]),
    "null": ("a", "\0", ["a -> \\u0000", "after: \\u0000 is NULL (U+0000)"]),
    "escape": ("a", "\x1b", ["a -> \\u001b", "after: \\u001b is ESCAPE (U+001B)"]),
    "delete": ("a", "\x7f", ["a -> \\u007f", "after: \\u007f is DELETE (U+007F)"]),
    "carriage return": ("a", "\r", ["a -> \\r", "after: \\r is CARRIAGE RETURN (U+000D)"]),
    "private use": ("a", "\ue000", ["a -> \\ue000", "after: \\ue000 is a private use character (U+E000)"]),
    "a surrogate": ("a", "\ud800", ["a -> \\ud800", "after: \\ud800 is half of a character (U+D800)"]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), NAMED.values(), ids=NAMED)
def test_a_character_with_an_escape_is_named(before: str, after: str, expected: list[str]) -> None:
    assert phrases(before, after) == expected


ALIKE = {
    "composed or not": ("\u00e9", "e\u0301", "\\u00e9 -> e\\u0301"),
    "an escape and its text": ("\\u200bx", "\u200bx", "\\\\u200bx -> \\u200bx"),
    "a letter of another alphabet": ("p\u0430ypal", "paypal", "p\\u0430ypal -> paypal"),
    "a word of another alphabet": (
        "\u0441\u043e\u0441\u043e",
        "coco",
        "\\u0441\\u043e\\u0441\\u043e -> coco",
    ),
    "full width": ("\uff21", "A", "\\uff21 -> A"),
}


@pytest.mark.parametrize(("before", "after", "expected"), ALIKE.values(), ids=ALIKE)
def test_texts_that_look_alike_have_escapes_and_a_note(before: str, after: str, expected: str) -> None:
    phrase, note = phrases(before, after)
    assert phrase == expected
    assert note.startswith("both sides may look alike, so every character beyond ASCII has an escape there; ")


def test_a_look_alike_is_found_beside_another_difference_and_before_a_cut() -> None:
    assert phrases("caf\u00e9=1", "cafe\u0301=2")[0] == "caf\\u00e9=1 -> cafe\\u0301=2"
    line = lines_of("x" * 300 + "\u00e9" + "y" * 300, "x" * 300 + "e\u0301" + "y" * 300)[0]
    before, after = line.own_lines()
    assert "x\\u00e9y" in before
    assert "xe\\u0301y" in after
    first, note = phrases("\u00e4 \u0430 " + "y" * 300, "\u00e4 a " + "y" * 300)
    assert first.startswith("\u00e4 \\u0430 yyy")
    assert " -> \u00e4 a yyy" in first
    assert "before: \\u0430 is CYRILLIC SMALL LETTER A (U+0430)" in note


def test_other_words_beyond_ascii_are_shown_as_they_are() -> None:
    assert phrases("gr\u00fc\u00dfe 1", "gr\u00fc\u00dfe 2") == ["gr\u00fc\u00dfe 1 -> gr\u00fc\u00dfe 2"]
    assert phrases("\u00e4 b", "c \u00f6 d") == ["\u00e4 b -> c \u00f6 d"]


KEYS = {
    "composed or not": (
        '{"caf\u00e9": 1}', '{"cafe\u0301": 1}',
        [
            '["caf\\u00e9"]: 1 removed',
            "in the key: \\u00e9 is LATIN SMALL LETTER E WITH ACUTE (U+00E9)",
            '["cafe\\u0301"]: 1 added',
            "in the key: \\u0301 is COMBINING ACUTE ACCENT (U+0301)",
        ],
    ),
    "another alphabet": (
        '{"\u0430": 1}', '{"a": 1}',
        ['["\\u0430"]: 1 removed', "in the key: \\u0430 is CYRILLIC SMALL LETTER A (U+0430)", "a: 1 added"],
    ),
    "zero width": (
        '{"a\u200b": 1}', '{"a\u200b": 2}',
        ['["a\\u200b"]: 1 -> 2', "in the key: \\u200b is ZERO WIDTH SPACE (U+200B)"],
    ),
    "other letters": ('{"\u00e4": 1}', '{"\u00f6b": 1}', ['["\u00e4"]: 1 removed', '["\u00f6b"]: 1 added']),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), KEYS.values(), ids=KEYS)
def test_keys_have_the_notation_and_the_notes_of_values(before: str, after: str, expected: list[str]) -> None:
    assert phrases(before, after) == expected


def test_keys_with_an_equal_start_are_numbered() -> None:
    found = phrases(f'{{"{"k" * 300}1": 1}}', f'{{"{"k" * 300}2": 1}}')
    assert found == [f"{'k' * 200}…: 1 removed", f"{'k' * 200}… (2): 1 added"]


def test_a_backslash_is_doubled_only_where_the_value_also_has_an_escape() -> None:
    assert phrases("C:\\new", "C:\\old") == ["C:\\new -> C:\\old"]
    assert phrases("C:\\new", "C:\\old\tx") == [
        "C:\\\\new -> C:\\\\old\\tx", "\\\\ is one backslash; after: \\t is TAB (U+0009)",
    ]  # fmt: skip


def test_a_character_is_named_once_and_the_fifth_one_is_counted() -> None:
    found = phrases("a\nb", "\t\na\tb\u200b\u2060\u00ad\u202e\u00a0x")
    assert found[-1].endswith("U+202E); 1 more character has an escape")
    assert sum("TAB" in one for one in found) == 1


ENDS = {
    "a space at the end": ("a ", "a", "before ends with 1 space"),
    "more spaces": (" a", "  a", "before begins with 1 space; after begins with 2 spaces"),
    "nothing": ("", "a", "before is empty"),
    "lengths": (
        "x" * 300 + "old", "x" * 300 + "news",
        "before has 303 characters, after has 304; shown from character 261",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "note"), ENDS.values(), ids=ENDS)
def test_spaces_lengths_and_empty_texts_are_notes(before: str, after: str, note: str) -> None:
    assert lines_of(before, after)[-1] == AttributeLine("value", note=note, wraps=True)


IMITATIONS = [
    "",
    " a",
    "a ",
    "(secret) changed",
    "(empty)",
    '"a"',
    "a -> b",
    "a, b",
    "x added",
    "added: x",
    "- x",
    "… x",
]


@pytest.mark.parametrize("text", IMITATIONS)
def test_a_text_that_imitates_a_note_or_two_sides_gets_lines_of_its_own(text: str) -> None:
    line = lines_of("old", text)[0]
    assert line.needs_own_lines
    assert line.own_lines() == ["- old", f"+ {text}"]
    quoted = text.replace('"', '\\"')
    assert line.phrase(is_new=False) == f'"old" -> "{quoted}"'


@pytest.mark.parametrize("text", ["a", "-5", "a -b", "a,b", '{"a": 1}'])
def test_a_plain_text_stays_in_the_phrase(text: str) -> None:
    assert lines_of("old", text)[0].phrase(is_new=False) == f"old -> {text}"


def test_a_text_on_one_side_is_added_or_removed_unless_the_parameter_is_new() -> None:
    assert AttributeLine("description", "for the shop", None).phrase(is_new=False) == "removed: for the shop"
    assert AttributeLine("description", None, "for the shop").phrase(is_new=False) == "added: for the shop"
    assert AttributeLine("description", None, "for the shop").phrase(is_new=True) == "for the shop"
    assert AttributeLine("value", None, "1", key="max").phrase(is_new=False) == "max: 1 added"
    assert AttributeLine("tags", "team=x", None).phrase(is_new=False) == "team=x removed"


def test_a_text_of_unknown_length_has_a_mark_and_no_number() -> None:
    part = ShownText("x" * 200, "y", 0, (UNKNOWN, 1))
    notation = ValueNotation([part])
    assert notation.texts(part) == ("x" * 200 + " …", "y")
    assert notation.notes(part) == []


TEXTS = st.text() | st.text(alphabet="ab\\\u200b\u0301\u00e9e\n\t \u0430u20")


@given(before=TEXTS, after=TEXTS)
def test_different_texts_are_never_printed_alike(before: str, after: str) -> None:
    assume(before != after)
    part = ShownText(before, after, 0, (len(before), len(after)))
    notation = ValueNotation([part])
    old, new = notation.texts(part)
    assert old != new
    assert not UNSAFE.search(f"{old}{new}")
    assert not UNSAFE.search("".join(notation.notes(part)))


@given(before=TEXTS, after=TEXTS, is_list=st.booleans())
def test_a_difference_of_values_has_a_line_that_shows_it(before: str, after: str, *, is_list: bool) -> None:
    assume(before != after)
    lines = lines_of(before, after, is_list=is_list)
    assert any(line.note or line.before != line.after for line in lines)
    assert all("\n" not in line.phrase(is_new=False) for line in lines)


@given(TEXTS)
def test_the_escaped_characters_are_those_that_escaping_replaces(text: str) -> None:
    shown = escape(text)
    assert bool(escaped_characters(text)) is (shown != text)
    assert all(one in text for one in escaped_characters(text))
