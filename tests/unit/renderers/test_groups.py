"""Names under one path become one line, and no name is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.documents import FindingEntry
from ssm_reconcile.renderers.changes import AttributeLine
from ssm_reconcile.renderers.groups import (
    KINDS,
    AddressGroup,
    ConflictView,
    FindingView,
    group_addresses,
    kind_counts,
    merge_findings,
    path_patterns,
)

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


@pytest.mark.large
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


def finding(message: str = "m", severity: str = "error", where: str = "", **more: Any) -> FindingEntry:
    found = {"severity": severity, "code": "c", "message": message, "where": where, **more}
    return cast("FindingEntry", found)


def merged(*findings: FindingEntry, shown: Sequence[tuple[str, str, str]] = ()) -> tuple[FindingView, ...]:
    return merge_findings(findings, set(shown), lambda replication, target: f"{replication}:{target}")


def test_findings_with_the_same_message_are_one_with_all_positions_and_targets() -> None:
    about = [{"target": "t1", "name": "/a"}, {"target": "", "name": "/b"}, {"target": "t2", "name": "/a"}]
    assert merged(
        finding(where="b.yaml:1:1", replication="prod", about=about),
        finding(where="a.yaml:1:1", about=about[:1]),
        finding(where="b.yaml:1:1", replication="prod", about=about[:1]),
        finding(),
    ) == (
        FindingView("error", "c", "m", "", ("b.yaml:1:1", "a.yaml:1:1"), None, ("prod:t1", "prod:t2", ":t1")),
    )


def test_errors_are_first_and_then_messages_in_order() -> None:
    found = merged(
        finding("b", "notice"),
        finding("z", "warning"),
        finding("a", "warning"),
        finding("y"),
        finding("n", "new"),
    )
    assert [f"{one.severity} {one.problem}" for one in found] == [
        "new n", "error y", "warning a", "warning z", "notice b",
    ]  # fmt: skip


def test_a_finding_on_shown_addresses_only_is_left_out() -> None:
    about = [{"target": "t1", "name": "/a"}, {"target": "t2", "name": "/a"}]
    both = [("prod", "t1", "/a"), ("prod", "t2", "/a")]
    one = finding(replication="prod", about=about)
    assert merged(one, shown=both) == ()
    assert len(merged(one, shown=both[:1])) == 1
    assert len(merged(one, shown=[("stage", *key[1:]) for key in both])) == 1
    assert len(merged(finding(), shown=both)) == 1
    assert merged(finding(about=about), shown=[("", *key[1:]) for key in both]) == ()


def test_the_flag_of_a_guard_is_in_the_message_and_not_in_the_problem() -> None:
    remedies: Any = [{"flag": "--max-deletes 2"}, {"flag": "--max-deletes 3"}]
    found = merged(*(finding("too many", remedy=remedy) for remedy in (*remedies, remedies[0])))
    assert [one.message for one in found] == [
        "too many. If meant: --max-deletes 2", "too many. If meant: --max-deletes 3",
    ]  # fmt: skip
    assert [(one.problem, one.remedy) for one in found] == [("too many", remedy) for remedy in remedies]


def test_addresses_are_grouped_by_kind_and_reasons() -> None:
    groups = group_addresses(
        [
            ("held", ["b"], "/z", "t2"),
            ("held", ["b"], "/z", "t1"),
            ("held", ["b"], "/a", "t1"),
            ("held", ["a", "\x1b"], "/a", "t1"),
            ("conflict", [], "/a\n", "t1"),
        ]
    )
    assert [(one.kind, one.reason, dict(one.names), one.size) for one in groups] == [
        ("conflict", "", {"/a\\u000a": ("t1",)}, 1),
        ("held", "a; \\u001b", {"/a": ("t1",)}, 1),
        ("held", "b", {"/a": ("t1",), "/z": ("t1", "t2")}, 3),
    ]


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        ("conflict", "1 conflict, not written", "2 conflicts, not written"),
        ("detached", "1 detached, left as it is", "2 detached, left as they are"),
        ("invalid", "1 invalid, not written", "2 invalid, not written"),
        ("expiring", "1 expiring, not deleted yet", "2 expiring, not deleted yet"),
        ("orphaned", "1 orphaned, left as it is", "2 orphaned, left as they are"),
        ("held", "1 held, left as it is", "2 held, left as they are"),
        ("opted_out", "1 opted out, left as it is", "2 opted out, left as they are"),
    ],
)
def test_each_kind_has_words_for_one_and_for_many(kind: str, one: str, two: str) -> None:
    assert [KINDS[kind].title(1), KINDS[kind].title(2)] == [one, two]
    assert kind_counts({"other": 3, "skipped": 2, kind: 1}) == f"{one.partition(',')[0]}, 2 skipped"
    assert kind_counts({kind: 2, "skipped": 2}, kind) == two.partition(",")[0]
    assert kind_counts({kind: 0}) == ""


LINE = AttributeLine("value", "a", "b")


def test_entries_have_the_targets_of_each_difference_that_the_output_shows() -> None:
    public = ConflictView((LINE,), "by me", is_public=True, targets=("t3", "t1"))
    private = ConflictView((LINE,), "by me", is_public=False, targets=("t2",))
    other = ConflictView((AttributeLine("value", "c", "d"),), "by me", is_public=False, targets=("t0",))
    group = AddressGroup(
        "conflict",
        "it differs",
        {"/a": ("t0", "t1", "t2", "t3", "t4"), "/b": ("t1",)},
        {"/a": (public, private, other)},
    )
    shown = [
        (name, at, one and [line.before for line in one.lines])
        for name, at, one in group.entries(is_public=False)
    ]
    assert shown == [
        ("/a", ("t4",), None), ("/a", ("t1", "t3"), ["a"]), ("/a", ("t2",), ["a"]), ("/a", ("t0",), ["c"]),
        ("/b", ("t1",), None),
    ]  # fmt: skip
    page = [(name, at, one and len(one.lines)) for name, at, one in group.entries(is_public=True)]
    assert page == [
        ("/a", ("t4",), None), ("/a", ("t1", "t3"), 1), ("/a", ("t0", "t2"), 0), ("/b", ("t1",), None),
    ]  # fmt: skip
    assert group == AddressGroup("conflict", "it differs", dict(group.names))


def test_names_of_a_group_are_sorted() -> None:
    (group,) = group_addresses([("held", ["a"], name, "t1") for name in ("/b", "/c", "/a")])
    assert list(group.names) == ["/a", "/b", "/c"]


def test_a_pattern_has_its_path_and_its_names() -> None:
    found = path_patterns(["/b/y", "/top", "/b/x", "/b/x"], 10)
    assert [(one.path, one.pattern, one.names) for one in found] == [
        ("/", "/top", ("/top",)),
        ("/b", "/b/*", ("/b/x", "/b/y")),
    ]
    (whole,) = path_patterns(["/b/y", "/c/z"], 1)
    assert (whole.path, whole.pattern, whole.names) == ("/", "/**", ("/b/y", "/c/z"))
