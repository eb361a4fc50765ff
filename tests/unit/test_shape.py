"""One value and the rules: what a target gets, and what is kept of it."""

from __future__ import annotations

import pytest

from ssm_reconcile.model import SECURE, STRING_LIST, Sealed, Substitution, Value
from ssm_reconcile.shape import EXCERPT, normal, read, seal, shape, spoiled, surely_matches
from tests.builders import MADE

KEY = b"a key of this run"


def value(text: str, kind: str = "String") -> Value:
    return Value("/p/a", kind, 3, MADE, Sealed(text))


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
    assert shape(Sealed(text), [Substitution(*rule) for rule in rules]).reveal() == shaped


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
    assert normal(text, kind) == form


def test_digests_are_equal_when_values_are_and_only_within_one_run() -> None:
    assert seal(Sealed("v"), "String", KEY) == seal(Sealed("v"), "String", KEY)
    assert seal(Sealed("v"), "String", KEY) != seal(Sealed("w"), "String", KEY)
    assert seal(Sealed("v"), "String", KEY) != seal(Sealed("v"), "String", b"another run")
    assert seal(Sealed("a, b"), STRING_LIST, KEY) == seal(Sealed("a,b"), STRING_LIST, KEY)


def test_a_digest_does_not_depend_on_the_type_otherwise() -> None:
    assert seal(Sealed("v"), "String", KEY) == seal(Sealed("v"), SECURE, KEY)


def test_a_reading_keeps_the_version_and_moment_of_the_answer() -> None:
    found = read(value("v"), [], KEY, show=True)
    assert (found.version, found.last_modified, found.excerpt, found.cut) == (3, MADE, "v", False)


def test_a_reading_is_of_the_shaped_value() -> None:
    found = read(value("us-east-1"), [Substitution("us-east-1", "eu")], KEY, show=True)
    assert found.excerpt == "eu"
    assert found.digest == read(value("eu"), [], KEY, show=False).digest


@pytest.mark.parametrize(("kind", "show"), [("String", False), (SECURE, False), (SECURE, True)])
def test_a_value_that_must_not_be_seen_leaves_no_excerpt(kind: str, *, show: bool) -> None:
    found = read(value("hunter2" * 100, kind), [], KEY, show=show)
    assert (found.excerpt, found.cut) == (None, False)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(("length", "cut"), [(EXCERPT, False), (EXCERPT + 1, True)])
def test_an_excerpt_says_when_it_is_cut(length: int, *, cut: bool) -> None:
    found = read(value("x" * length), [], KEY, show=True)
    assert (len(found.excerpt or ""), found.cut) == (EXCERPT, cut)


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
    assert spoiled(Sealed(before), Sealed(after)) == refused


def test_a_reading_says_when_a_rewrite_has_spoiled_the_value() -> None:
    assert read(value("us-east-1"), [Substitution("us-east-1", "")], KEY, show=True).spoiled
    assert not read(value("us-east-1"), [Substitution("us-east-1", "eu")], KEY, show=True).spoiled


@pytest.mark.parametrize(
    ("pattern", "before", "after", "sure"),
    [
        ("", "a", "b", True),
        ("[a-z]+", "a", "b", True),
        ("[a-z]+", "a", "1", False),
        ("[a-z]+", "a", "b1", False),  # a match of a part: enough for some engines, not for all
        ("[a-z]+", "a1", "b1", True),  # it was enough for the value that is there
        ("[", "a", "b", False),
    ],
)
def test_a_match_is_sure_when_it_is_one_however_aws_matches(
    pattern: str, before: str, after: str, *, sure: bool
) -> None:
    assert surely_matches(pattern, Sealed(before), Sealed(after)) == sure
