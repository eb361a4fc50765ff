"""Counts and lists in English."""

from __future__ import annotations

import pytest

from ssm_reconcile.wording import cut, first_of, join, plural


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 changes"), (1, "1 change"), (2, "2 changes"), (1050, "1,050 changes")]
)
def test_a_number_has_its_noun_in_the_right_form(number: int, text: str) -> None:
    assert plural(number, "change") == text


def test_an_irregular_plural_is_given() -> None:
    assert plural(2, "address", "addresses") == "2 addresses"


@pytest.mark.parametrize(
    ("items", "text"),
    [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c"), ("abcd", "a, b, c and d")],
)
def test_items_are_joined_by_commas_and_one_and(items: str, text: str) -> None:
    assert join(list(items)) == text


@pytest.mark.parametrize(("items", "text"), [("ab", "a, b"), ("abc", "a, b and 1 more"), ("", "")])
def test_the_first_items_are_followed_by_the_number_of_the_others(items: str, text: str) -> None:
    assert first_of(list(items), 2) == text


def test_a_long_list_is_cut_as_the_first_items_are() -> None:
    assert join(["a", "b", "c"], most=2) == first_of(["a", "b", "c"], 2)
    assert join(["a", "b"], most=2) == "a and b"


def test_lines_that_are_left_out_are_counted_in_one_line() -> None:
    assert cut(["a", "b"], 2) == ["a", "b"]
    assert cut(["a", "b", "c"], 2) == ["a", "b", "... and 1 more"]
    assert cut(["a"] * 1_002, 1, "more lines", "…") == ["a", "… and 1,001 more lines"]
