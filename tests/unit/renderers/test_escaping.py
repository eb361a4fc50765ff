"""Untrusted text has no effect on a terminal or on Markdown, and does not deceive a reader."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from ssm_reconcile.renderers.escaping import (
    UNSAFE,
    code,
    dumps,
    escape,
    escaped_lines,
    fence,
    prose,
    span,
    value_text,
    visible,
)


def test_a_document_has_no_command_for_a_runner() -> None:
    document = {"##[error]a": "::error::b ##[group]c"}
    text = dumps(document)
    assert "##[" not in text
    assert json.loads(text) == document


def test_every_control_format_and_blank_character_counts_as_unsafe() -> None:
    bad = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"}
    missed = [
        f"U+{point:04X}"
        for point in range(sys.maxunicode + 1)
        if unicodedata.category(chr(point)) in bad and chr(point) != " " and not UNSAFE.match(chr(point))
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("p\u0430ypal", r"p\u0430ypal"),
        ("/app/\u0440assword", r"/app/\u0440assword"),
        ("\u041c\u043e\u0441\u043a\u0432a", "\u041c\u043e\u0441\u043a\u0432" + r"\u0061"),
        ("\u03bfnline", r"\u03bfnline"),
        ("\u0430b", r"\u0430b"),
        ("b\u0430", r"b\u0430"),
        ("\uff50assword", r"\uff50assword"),
        ("p\u0430\u0301ypal", r"p\u0430" + "\u0301ypal"),
    ],
)
def test_letters_of_a_second_alphabet_within_a_word_are_marked(text: str, seen: str) -> None:
    assert visible(text) == seen
    assert visible(seen) == seen
    assert seen.replace("\\", "\\\\") in value_text(text).replace("\\", "\\\\")


@pytest.mark.parametrize(
    "text",
    [
        "caf\u00e9 na\u00efve \u0141\u00f3d\u017a",
        "\u041c\u043e\u0441\u043a\u0432\u0430 is \u041c\u043e\u0441\u043a\u0432\u0430",
        "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1",
        "\u6771\u4eac\u30bf\u30ef\u30fc",
        "T\u30b7\u30e3\u30c4",
        "\ud55c\uad6d\uc5b4",
        "\u043f\u0440\u043e\u0434-prod_\u043f\u0440\u043e\u0434",
    ],
)
def test_words_of_one_alphabet_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


def test_an_escape_of_json_is_not_a_letter_of_the_word_after_it() -> None:
    text = "line\n\u041c\u043e\u0441\u043a\u0432\u0430 \t\u0430 \x07\u0430 p\u0430ypal"
    document = dumps({"value": text})
    assert json.loads(document) == {"value": text}
    assert r"p\u0430ypal" in document
    assert r"\n" + "\u041c\u043e" in document


@pytest.mark.parametrize(
    "letter",
    [
        "\u05e1", "\u10e7", "\u1d0f", "\u217c", "\u07cb", "\u0ae6", "\uff50", "\u0585", "\u13a0", "\u0261",
        "\u212a", "\u0661", "\u03bf", "\u0430", "\u2c9f",
    ],
)  # fmt: skip
def test_a_letter_of_any_other_script_within_a_latin_word_is_escaped(letter: str) -> None:
    assert visible(f"goo{letter}gle") == f"goo\\u{ord(letter):04x}gle"


@pytest.mark.parametrize(
    "text",
    ["10\u03bcm", "\u00b5s", "k\u03a9", "5M\u2126", "m\u00b2", "T\u30b7\u30e3\u30c4", "\u65e5\u672cabc",
     "na\u00efve", "\u05e9\u05dc\u05d5\u05dd", "\u0627\u0661", "\u041c\u043e\u0441\u043a\u0432\u0430-db",
     "1\u00ba"],
)  # fmt: skip
def test_units_and_words_of_one_script_are_shown_as_they_are(text: str) -> None:
    assert visible(text) == text


def test_letters_of_any_script_and_common_symbols_are_safe() -> None:
    assert UNSAFE.search("aZ09 /_.-é漢字Ж→×…€😀") is None


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("/shop/prod/db", "/shop/prod/db"),
        ("a\nb\x1b[31m", "a\\u000ab\\u001b[31m"),
        ("x\u202egnp.exe", "x\\u202egnp.exe"),
        ("\u200b\U000e0041", "\\u200b\\udb40\\udc41"),
        ("\ud800", "\\ud800"),
        ("\u0301x", "\\u0301x"),
        ("e\u0301", "e\u0301"),
        ("e" + "\u0301" * 5, "e\u0301\u0301" + "\\u0301" * 3),
    ],
)
def test_a_character_that_is_not_safe_becomes_a_visible_escape(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_lines_are_escaped_one_by_one() -> None:
    for character in map(chr, range(0x301)):
        text = f"a{character}b\n{character}"
        assert escaped_lines(text) == "\n".join(map(escape, text.split("\n")))


def test_a_text_longer_than_any_name_in_aws_is_cut_with_an_ellipsis() -> None:
    assert visible("a" * 2000) == "a" * 1100 + "…"


@pytest.mark.parametrize("text", ['{"max": 100}', "alias/shop", "a,b", "https://x.example/?a=b", "C:\\temp"])
def test_a_plain_value_is_unchanged(text: str) -> None:
    assert value_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " a",
        "a ",
        "- a",
        "a added",
        '"a"',
        "(secret)",
        "a -> b",
        "a, b",
        "a\tb",
        "a\u00a0b",
        "…",
        "a\nb",
        "\ud800",
    ],
)
def test_a_value_that_is_not_plain_is_shown_as_json_that_decodes_to_it(text: str) -> None:
    assert value_text(text).startswith('"')
    assert json.loads(value_text(text)) == text


def test_a_long_value_is_cut_at_two_hundred_characters_with_an_ellipsis() -> None:
    assert value_text("a" * 200) == "a" * 200
    assert value_text("a" * 201) == f'"{"a" * 200}" …'


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("/a/b", "`/a/b`"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        ("", "` `"),
        ("@team #1 <img>", "`@team #1 <img>`"),
    ],
)
def test_a_code_span_can_have_any_text(text: str, markdown: str) -> None:
    assert span(text) == markdown


def test_a_pipe_is_escaped_only_in_a_table() -> None:
    assert (span("a|b"), span("a|b", table=True)) == ("`a|b`", "`a\\|b`")


def test_code_in_html_has_no_syntax_of_html_or_markdown() -> None:
    assert code("/a/<b>&`*") == "<code>/a/&#60;b&#62;&#38;&#96;&#42;</code>"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("11 deletes are more than 10: all withheld.", "11 deletes are more than 10: all withheld."),
        ("add it to `kms` (source: alias/x)", "add it to `kms` (source: `alias/x`)"),
        ("ask @team, see #1", "ask `@team`, see `#1`"),
        ("a *b* _c_ <d> [e](f) www.g.example", "a `*b*` `_c_` `<d>` `[e](f`) `www.g.example`"),
        ("1. no list", "`1.` no list"),
        ("- no list", "`-` no list"),
        ("commit deadbeefcafe", "commit `deadbeefcafe`"),
        ("stray ` tick", "stray `` ` `` tick"),
        (":smile:", "`:smile`:"),
    ],
)
def test_in_prose_plain_words_stay_and_everything_else_becomes_code(text: str, markdown: str) -> None:
    assert prose(text) == markdown


def test_a_fence_is_longer_than_any_run_of_backticks_inside() -> None:
    assert fence(["a ```` b"]) == "`````diff\na ```` b\n`````"
