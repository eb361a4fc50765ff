"""Overlap of two patterns, compared with the matches of each pattern."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.errors import Where
from ssm_reconcile.load.messages import SpecFindings
from ssm_reconcile.load.patterns import PatternIndex, covers, overlaps
from ssm_reconcile.load.tree import ScalarKind, ScalarNode
from ssm_reconcile.spec import Glob
from tests.property.profiles import examples

LEVELS = ["a", "b", "ab", "ba", "aab"]
NAMES = ["/" + "/".join(levels) for depth in range(1, 5) for levels in product(LEVELS, repeat=depth)]
"""Every name of up to four levels over a small alphabet."""

level = st.sampled_from(["*", "a", "b", "a*", "*b", "*a*", "a*b", "ab", "**"])
patterns = st.lists(level, min_size=1, max_size=4).map(lambda levels: "/" + "/".join(levels))


@examples(150)
@given(patterns, patterns)
def test_patterns_that_share_a_name_overlap(one: str, other: str) -> None:
    """Never a no where some name is meant by both."""
    shared = [name for name in NAMES if Glob(one).matches(name) and Glob(other).matches(name)]
    assert not shared or overlaps(one, other)


@examples(150)
@given(patterns, patterns)
def test_a_pattern_that_covers_another_matches_all_its_names(wide: str, narrow: str) -> None:
    """Never a yes where some name is meant by the narrow one alone."""
    if covers(wide, narrow):
        assert not [name for name in NAMES if Glob(narrow).matches(name) and not Glob(wide).matches(name)]


@examples(60)
@given(patterns, patterns)
def test_overlaps_is_symmetric_and_follows_from_covers(one: str, other: str) -> None:
    assert overlaps(one, other) == overlaps(other, one)
    assert covers(one, one)
    assert not covers(one, other) or overlaps(one, other)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("/a/**", "/a/b", True),
        ("/a/**", "/a", False),
        ("/a/*", "/a/b/c", False),
        ("/**/x", "/x", True),
        ("/**/x/**", "/a/x", False),
        ("/**/x/**", "/a/x/b/c", True),
        ("/a/**/c", "/a/b*/*", True),
        ("/a*", "/*b", True),
        ("/a*", "/b*", False),
        ("/a*c", "/a*d", False),
        ("/**/a", "/**/b", False),
        ("/a/**", "/**/b", True),
        ("foo", "/foo", True),
        ("/a/**/b/**/c", "/a/b/c", True),
        ("/a/**/b/**/c", "/a/c/b", False),
    ],
)
def test_patterns_overlap_or_do_not(one: str, other: str, meet: bool) -> None:
    assert overlaps(one, other) is meet
    assert overlaps(other, one) is meet


@pytest.mark.parametrize(
    ("wide", "narrow", "all_of_it"),
    [
        ("/a/**", "/a/b/*", True),
        ("/a/*", "/a/**", False),
        ("/a/*/b", "/a/**/b", False),
        ("/a/**", "/a", False),
        ("/**", "/a/**", True),
        ("/**/*", "/**", True),
        ("/a/*", "/a/b*", True),
        ("/a/b*", "/a/*", False),
        ("/*a*", "/xay*", True),
        ("/**/c", "/a/**/c", True),
        ("/a/**/c", "/a/b*/c", True),
        ("foo", "/foo", True),
        ("/A", "/a", False),
    ],
)
def test_a_pattern_covers_another_or_does_not(wide: str, narrow: str, all_of_it: bool) -> None:
    assert covers(wide, narrow) is all_of_it


def test_a_comparison_beyond_the_limit_is_not_made() -> None:
    findings = SpecFindings(comparisons_left=100)
    index = PatternIndex([ScalarNode("/a*", ScalarKind.STRING, Where("a.yaml"))], findings)
    assert index.overlapping("/*a") is not None
    assert index.overlapping("/*a") is None
    assert findings.comparisons_left < 0
