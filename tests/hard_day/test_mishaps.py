"""Each mishap is found by a plan, explained with its cause and the way out, and mended by going that way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hard_day.day import SECRET, Day
from tests.hard_day.mishaps import MISHAPS, Mishap


def told(document: dict[str, Any]) -> set[str]:
    """Every row, finding and guard of a plan."""
    every = [*document["changes"], *document["others"]]
    rows = {one["row"] for one in every}
    guards = {guard for one in document["changes"] for guard in one["withheld_by"]}
    return rows | guards | {finding["code"] for finding in document["findings"]}


def plain(text: str) -> str:
    return " ".join(text.split())


def test_there_are_twenty_at_least_and_no_two_alike() -> None:
    assert len({one.title for one in MISHAPS}) == len(MISHAPS) >= 20


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda one: one.title.replace(" ", "-"))
def test_a_mishap_is_found_explained_and_mended(day: Day, mishap: Mishap) -> None:
    mishap.happen(day)
    day.pass_time()
    assert mishap.found in told(day.plan(*mishap.words))

    said = plain(day.explain(mishap.name, *mishap.words))
    assert mishap.cause in said
    assert mishap.remedy in said
    assert SECRET not in said

    mishap.mend(day)
    day.pass_time()
    done = day.run("apply", "--yes", "-q", *mishap.words, *mishap.flags)
    assert done.exit_code == 0, done.output
    day.pass_time()
    after = day.plan(*mishap.words)
    assert after["changes"] == []
    left = {word for word, count in after["summary"].items() if count} - {"in_sync"}
    assert left == set(), after["others"]
    assert mishap.found not in told(after)
    again = plain(day.explain(mishap.name, *mishap.words))
    assert mishap.cause not in again


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda one: one.title.replace(" ", "-"))
def test_without_the_way_out_the_mishap_stays(day: Day, mishap: Mishap) -> None:
    """So that the way out is what mended it, and not an apply alone, where that is not the way out itself."""
    mishap.happen(day)
    day.pass_time()
    assert mishap.found in told(day.plan(*mishap.words))
    day.run("apply", "--yes", "-q", *mishap.words)
    day.pass_time()
    still = mishap.found in told(day.plan(*mishap.words))
    assert still is not mishap.by_apply_alone


def test_an_apply_alone_is_the_way_out_where_a_key_was_re_pointed_and_nowhere_else() -> None:
    assert [one.title for one in MISHAPS if one.by_apply_alone] == ["an alias points to another key"]
