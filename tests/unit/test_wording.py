"""Counts and lists in English."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ssm_reconcile.wording import cut, first_of, join, parse_time, plural, span_text, time_before, utc_text

pytestmark = pytest.mark.large

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


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


def test_a_time_is_in_utc_to_the_minute() -> None:
    assert utc_text(NOON.astimezone(timezone(timedelta(hours=13)))) == "2026-11-02 12:00 UTC"
    assert utc_text(NOON.replace(second=59, microsecond=999_999)) == "2026-11-02 12:00 UTC"


@pytest.mark.parametrize(
    "text",
    ["2026-11-02T12:00:00.000Z", "2026-11-02T12:00:00", "2026-11-02T01:00:00-11:00", "20261102T120000Z"],
)
def test_the_time_of_a_document_is_in_utc_with_and_without_a_zone(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        assert parse_time(text) == NOON
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [None, "", "yesterday", "2026-99-99T12:00:00.000Z", "0001-01-01T00:00:00+14:00", "\x1b[31m", "9" * 5000],
)
def test_another_text_has_no_time(text: str | None) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=-61), ""),
        (timedelta(days=-400), ""),
        (timedelta(seconds=-60), "just before"),
        (timedelta(0), "just before"),
        (timedelta(seconds=59), "just before"),
        (timedelta(seconds=60), "1 min before"),
        (timedelta(minutes=59, seconds=59), "59 min before"),
        (timedelta(hours=1), "1 h before"),
        (timedelta(hours=47, minutes=59), "47 h before"),
        (timedelta(hours=48), "2 days before"),
        (timedelta(days=412), "412 days before"),
    ],
)
def test_a_time_is_relative_to_another_in_whole_units(before: timedelta, text: str) -> None:
    assert time_before(NOON - before, NOON) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0 min"),
        (timedelta(seconds=119), "1 min"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(minutes=60), "1 h"),
        (timedelta(hours=47), "47 h"),
        (timedelta(hours=48), "2 days"),
    ],
)
def test_a_span_has_one_whole_unit(span: timedelta, text: str) -> None:
    assert span_text(span) == text
