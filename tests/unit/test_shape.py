"""One value and the rules: what a target gets, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from ssm_reconcile.model import SECURE, STRING_LIST, Reading, SealedText, Substitution, Value, ValueRequest
from ssm_reconcile.shape import (
    EXCERPT,
    digest_value,
    excerpt_start,
    is_invalid_rewrite,
    normalize_value,
    pattern_accepts,
    shape,
    utf8_size,
)
from ssm_reconcile.shape import read as read_value
from tests.builders import MADE

KEY = b"a key of this run"


def read(
    one: Value, substitutions: Iterable[Substitution], key: bytes, *, show: bool, pattern: str = ""
) -> Reading:
    return read_value(one, ValueRequest(one.name, tuple(substitutions), show, pattern), key)


def value(text: str, kind: str = "String") -> Value:
    return Value("/p/a", kind, 3, MADE, SealedText(text))


@pytest.mark.parametrize(
    ("text", "rules", "shaped"),
    [
        ("db.us-east-1.x", [("us-east-1", "us-east-2")], "db.us-east-2.x"),
        ("a us-east-1 b us-east-1", [("us-east-1", "eu")], "a eu b eu"),
        ("nothing here", [("us-east-1", "eu")], "nothing here"),
        ("a.b", [(".", "-")], "a-b"),
        ("a", [("a", "b"), ("b", "c")], "c"),
        ("", [("a", "b")], ""),
        ("x", [], "x"),
        ("aaa", [("aa", "b")], "ba"),
    ],
)
def test_rewrites_are_literal_and_hit_every_occurrence(
    text: str, rules: list[tuple[str, str]], shaped: str
) -> None:
    assert shape(SealedText(text), [Substitution(*rule) for rule in rules]).reveal() == shaped


@pytest.mark.parametrize(
    ("text", "kind", "form"),
    [
        ("a, b ,c", STRING_LIST, "a,b,c"),
        ("a,b,c", STRING_LIST, "a,b,c"),
        (" a , b ", STRING_LIST, "a,b"),
        ("a b, c", STRING_LIST, "a b,c"),
        ("a,\tb", STRING_LIST, "a,\tb"),
        ("a, b", "String", "a, b"),
        ("a, b", SECURE, "a, b"),
        ("line\r\nline\n", "String", "line\r\nline\n"),
    ],
)
def test_only_the_spaces_of_a_list_make_no_difference(text: str, kind: str, form: str) -> None:
    assert normalize_value(text, kind) == form


def test_digests_are_equal_when_values_are_and_only_within_one_run() -> None:
    assert digest_value(SealedText("v"), "String", KEY) == digest_value(SealedText("v"), "String", KEY)
    assert digest_value(SealedText("v"), "String", KEY) != digest_value(SealedText("w"), "String", KEY)
    assert digest_value(SealedText("v"), "String", KEY) != digest_value(
        SealedText("v"), "String", b"another run"
    )
    assert digest_value(SealedText("a, b"), STRING_LIST, KEY) == digest_value(
        SealedText("a,b"), STRING_LIST, KEY
    )


def test_a_digest_does_not_depend_on_the_type_otherwise() -> None:
    assert digest_value(SealedText("v"), "String", KEY) == digest_value(SealedText("v"), SECURE, KEY)


def test_a_reading_keeps_the_version_and_moment_of_the_answer() -> None:
    found = read(value("v"), [], KEY, show=True)
    assert (found.version, found.last_modified, found.text) == (3, MADE, "v")


def test_a_reading_is_of_the_shaped_value() -> None:
    found = read(value("us-east-1"), [Substitution("us-east-1", "eu")], KEY, show=True)
    assert found.text == "eu"
    assert found.digest == read(value("eu"), [], KEY, show=False).digest


@pytest.mark.parametrize(("kind", "show"), [("String", False), (SECURE, False), (SECURE, True)])
def test_a_value_that_must_not_be_seen_leaves_no_text(kind: str, *, show: bool) -> None:
    found = read(value("hunter2" * 100, kind), [], KEY, show=show)
    assert found.text is None
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(("text", "rewritten"), [("db.us-east-1", True), ("db.eu-west-1", False)])
def test_a_reading_reports_whether_a_rewrite_changed_the_value(text: str, *, rewritten: bool) -> None:
    found = read(value(text), [Substitution("us-east-1", "us-east-2")], KEY, show=False)
    assert found.rewritten is rewritten


def test_a_plain_value_is_kept_whole_and_is_not_in_the_repr() -> None:
    found = read(value("x" * 8000), [], KEY, show=True)
    assert found.text == "x" * 8000
    assert "xxx" not in repr(found)


@pytest.mark.parametrize(
    ("before", "after", "start"),
    [
        ("a" * EXCERPT, "b" * EXCERPT, 0),
        ("x" * 160 + "a" * 50, "x" * 160 + "b", 0),
        ("x" * 161 + "a" * 50, "x" * 161 + "b", 121),
        ("x" * 1000, "x" * 2000, 960),
        (None, "x" * 2000, 0),
        ("x" * 2000, None, 0),
    ],
)
def test_long_texts_are_shown_from_before_their_first_difference(
    before: str | None, after: str | None, start: int
) -> None:
    assert excerpt_start(before, after) == start


@pytest.mark.parametrize(
    ("text", "standard", "advanced"),
    [
        ("x" * 4096, True, True),
        ("x" * 4097, False, True),
        ("x" * 8192, False, True),
        ("x" * 8193, False, False),
        ("é" * 2048, True, True),
        ("é" * 2049, False, True),
        ("€" * 2731, False, False),
    ],
)
def test_sizes_are_bytes_of_the_shaped_value(text: str, *, standard: bool, advanced: bool) -> None:
    found = read(value(text), [], KEY, show=False)
    assert (found.fits_standard, found.fits_advanced) == (standard, advanced)


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("us-east-1", "", True),
        ("[[x]]", "{{x}}", True),
        ("a [[ssm:x]] b", "a {{ssm:x}} b", True),
        ("[[\n]]", "{{\n}}", True),
        ("[[}}", "{{}}", True),
        ("[[x", "{{x", False),
        ("x", '{"a":{"b":{}}}', False),
        ("{{x}} us-east-1", "{{x}} us-east-2", False),
        ("x", "y", False),
    ],
)
def test_a_rewrite_spoils_a_value_that_aws_takes_no_more(before: str, after: str, *, refused: bool) -> None:
    assert is_invalid_rewrite(SealedText(before), SealedText(after)) == refused


def test_a_reading_says_when_a_rewrite_has_spoiled_the_value() -> None:
    assert read(value("us-east-1"), [Substitution("us-east-1", "")], KEY, show=True).is_invalid_rewrite
    assert not read(value("us-east-1"), [Substitution("us-east-1", "eu")], KEY, show=True).is_invalid_rewrite


HANGS = r"^([a-zA-Z0-9]+\.?)+$"
"""Takes a backtracking engine longer than anyone waits, where a long value almost matches."""
LONG = "a" * 60


@pytest.mark.parametrize(
    ("pattern", "before", "after", "kind", "verdict"),
    [
        ("", "a", "b", "String", True),
        ("", "a", "b" * 8193, "String", True),
        (r"^(?=a).*", "a", "a", "String", True),  # AWS has accepted this value
        ("[a-z]+", "a", "b", "String", True),
        ("[a-z]+", "a", "1", "String", False),
        ("[a-z]+", "a", "b1", "String", None),  # a partial match: enough for some engines, not for all
        ("[a-z]+", "a1", "b1", "String", True),  # a partial match was enough for the source's value
        ("^[a-z]+$", "1", "2", "String", None),  # the pattern rejects the value that AWS holds
        ("[", "a", "b", "String", None),
        (r"^\p{Alnum}+$", "a", "!", "String", None),
        (r"^(?=a).*", "a", "b", "String", None),
        (r"^(.)\1$", "aa", "ab", "String", None),
        (r"^a++$", "a", "b", "String", None),
        (r"^(?<n>a)$", "a", "b", "String", False),
        (r"(?U)^\w+$", "a", "é", "String", None),
        (r"^[a-z&&[^b]]*$", "a]", "b", "String", None),
        ("^[a-z]+$", "a,b", "c,d", STRING_LIST, True),  # one match an item
        ("^[a-z]+$", "a,b", "c,1", STRING_LIST, False),
        ("^[a-z]+$", "a,b", "c,d", "String", None),
        ("^[a-z]$", "a", "a", "String", True),
        (HANGS, f"{LONG}.b", f"{LONG}.c", "String", True),
        (HANGS, f"{LONG}.b", f"{LONG}!", "String", False),
        ("a" * 1024, "a" * 1024, "b", "String", False),
        ("a" * 1025, "a" * 1025, "b", "String", None),
        ("^a+$", "a", "b" * 8193, "String", None),
        ("^.$", "a", "\ud800", "String", None),
        ("^\ud800$", "a", "b", "String", None),
        (r"^\pL{1,1000}$", "a", "1", "String", None),  # more than the memory that a pattern may take
    ],
)
def test_a_pattern_verdict_counts_only_where_every_reading_of_aws_agrees(
    pattern: str, before: str, after: str, kind: str, verdict: bool | None
) -> None:
    assert pattern_accepts(pattern, SealedText(before), SealedText(after), kind) is verdict


@pytest.mark.parametrize(("pattern", "fits"), [("^us-[a-z-]+1$", False), (r"^us-\p{Alnum}+1$", True)])
def test_a_reading_says_only_when_a_rewritten_value_surely_breaks_its_pattern(
    pattern: str, *, fits: bool
) -> None:
    rewrite = [Substitution("us-east-1", "us-east-2")]
    assert read(value("us-east-1"), rewrite, KEY, show=True, pattern=pattern).fits_pattern is fits


def test_the_search_for_references_takes_linear_time() -> None:
    start = time.thread_time()
    assert not is_invalid_rewrite(SealedText("x"), SealedText("{{" * 200_000))
    assert time.thread_time() - start < 1


def test_half_a_character_is_sealed_and_counted() -> None:
    found = read(value("a\ud800"), [], KEY, show=True)
    assert found.digest != read(value("a\ufffd"), [], KEY, show=True).digest
    assert utf8_size("a\ud800") == 4
