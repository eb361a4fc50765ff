"""Names under one path become one line, and no name is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.renderers.changes import AttributeLine
from ssm_reconcile.renderers.groups import ConflictView, path_patterns

LEVEL = st.text("abc", min_size=1, max_size=2)
NAMES = st.lists(
    st.lists(LEVEL, min_size=1, max_size=5).map(lambda levels: "/" + "/".join(levels)), unique=True
)


def test_names_of_one_path_are_one_line_with_their_number() -> None:
    assert [str(path) for path in path_patterns(["/a/b/x", "/a/b/y", "/a/c/z"], 10)] == [
        "/a/b/* × 2",
        "/a/c/z",
    ]


def test_too_many_paths_are_folded_one_level_higher() -> None:
    assert [str(path) for path in path_patterns(["/a/b/x", "/a/b/y", "/a/c/z"], 1)] == ["/a/** × 3"]


def test_more_first_levels_than_the_limit_are_the_largest_and_the_others() -> None:
    names = [f"/p{i}/x" for i in range(9)] + ["/p8/y", "/p7/y", "/p7/z"]
    found = path_patterns(names, 4)
    assert [str(path) for path in found] == ["/p0/x", "/p7/* × 3", "/p8/* × 2", "other paths × 6"]
    assert found[-1].names == tuple(f"/p{i}/x" for i in range(1, 7))


def test_names_without_a_slash_have_no_path() -> None:
    assert [str(path) for path in path_patterns(["a", "b"], 5)] == ["* × 2"]


def test_names_without_a_path_are_folded_at_the_root() -> None:
    assert [str(path) for path in path_patterns(["/a", "b"], 5)] == ["/* × 2"]


def test_no_names_give_no_patterns() -> None:
    assert path_patterns([], 5) == ()


@given(NAMES, st.integers(1, 6))
def test_every_name_is_under_exactly_one_pattern(names: list[str], limit: int) -> None:
    paths = path_patterns(names, limit)
    assert sorted(name for path in paths for name in path.names) == sorted(names)
    assert len(paths) <= max(limit, 1)


def test_each_line_of_a_conflict_has_its_place_in_the_value() -> None:
    lines = (
        AttributeLine("value", "a", "a", key="line 1", is_context=True),
        AttributeLine("value", " b", "b -> c", key="line 2"),
        AttributeLine("value", "  d", "  d", key="line 3", is_context=True),
        AttributeLine("type", "String", "SecureString"),
    )
    assert ConflictView(lines, "", is_public=True).text_lines() == [
        "value  line 1: a",
        "       line 2:",
        "       -  b",
        "       + b -> c",
        "       line 3:",
        "           d",
        "type   String -> SecureString",
    ]
