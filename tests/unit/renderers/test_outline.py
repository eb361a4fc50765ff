"""Changes become groups in the order of danger, and no change is lost in one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from ssm_reconcile.documents.counts import BudgetEntry
from ssm_reconcile.renderers.changes import AttributeLine, ChangeView
from ssm_reconcile.renderers.groups import FindingView
from ssm_reconcile.renderers.outline import (
    ChangeGroup,
    GuardReason,
    ListedChange,
    apply_cost,
    apply_means,
    guard_reasons,
    guard_sentences,
    kind_from,
    merge_targets,
    outline_changes,
    run_flags,
    without_repeats,
)


def change(name: str, action: str = "update", target: str = "t1", **more: Any) -> ChangeView:
    return ChangeView(target, name, action, "String", **more)


def outline(*changes: ChangeView, **more: Any) -> tuple[ChangeGroup, ...]:
    return outline_changes(merge_targets(changes), **more)


def named(group: ChangeGroup) -> tuple[list[str], list[str]]:
    return [one.change.name for one in group.listed], [str(one.path) for one in group.patterns]


def test_groups_are_in_the_order_of_danger_with_words_for_each() -> None:
    groups = outline(
        change("/k", "retag"), change("/j", "adopt"), change("/i", "create"), change("/h"),
        change("/g", marks=True), change("/f", releases=True), change("/e", takes_over=True),
        change("/d", returns_secret=True), change("/c", exposes=True), change("/b", "replace"),
        change("/a", "delete"), change("/new", "burn"),
    )  # fmt: skip
    assert [
        (one.listed[0].change.name, one.kind.word, one.kind.title, one.kind.effect, one.kind.is_dangerous)
        for one in groups
    ] == [
        ("/new", "burn", "Burn", "unknown action", True),
        ("/a", "delete", "Delete", "", True),
        ("/b", "replace", "Replace", "", True),
        ("/c", "expose", "Expose as plain text", "", True),
        ("/d", "older secret", "Returns to an older secret", "", True),
        ("/e", "take over", "Take over", "", True),
        ("/f", "release", "Release", "", True),
        ("/g", "mark", "Mark to expire", "only tags are written", False),
        ("/h", "update", "Update", "", False),
        ("/i", "create", "Create", "", False),
        ("/j", "adopt", "Adopt", "only tags are written", False),
        ("/k", "retag", "Retag", "only tags are written", False),
    ]
    assert [one.kind.rank for one in groups] == [-1, *range(11)]


@pytest.mark.parametrize(
    ("action", "facts", "word"),
    [
        ("delete", {"takes_over": True}, "delete"),
        ("replace", {"releases": True, "takes_over": True}, "replace"),
        ("replace", {"exposes": True}, "expose"),
        ("update", {"exposes": True, "returns_secret": True, "takes_over": True}, "expose"),
        ("update", {"returns_secret": True, "takes_over": True}, "older secret"),
        ("update", {"takes_over": True, "releases": True}, "take over"),
        ("retag", {"releases": True}, "release"),
        ("retag", {"marks": True}, "mark"),
        ("delete", {"marks": True}, "mark"),
        ("retag", {}, "retag"),
    ],
)
def test_a_kind_is_the_most_dangerous_fact(action: str, facts: dict[str, bool], word: str) -> None:
    none = {"exposes": False, "takes_over": False, "releases": False}
    assert kind_from(action, **{**none, **facts}).word == word


def test_changes_that_differ_in_last_change_hold_or_place_of_the_key_are_one() -> None:
    one = change("/a", last_change="by me", last_change_with_age="by me now", holds=("1",))
    one = replace(one, changed_outside=True, lines=(AttributeLine("KeyId", "k", "t1"),))
    two = change("/a", target="t2", last_change="by you", last_change_with_age="by you now")
    two = replace(two, lines=(AttributeLine("KeyId", "k", "t2"),))
    three = change("/a", target="t3", last_change="by me", last_change_with_age="by me now")
    (merged,) = merge_targets([one, two, three])
    assert (merged.members, merged.targets) == ((one, two, three), ("t1", "t2", "t3"))
    assert merged.last_changes(with_age=False) == {"by me": ("t1", "t3"), "by you": ("t2",)}
    assert merged.last_changes(with_age=True) == {"by me now": ("t1", "t3"), "by you now": ("t2",)}
    assert merged.change.lines == ()
    three = replace(three, lines=(AttributeLine("KeyId", "k", "t3"),))
    assert ListedChange((three,)).change is three
    for more in ({"reasons": ("r",)}, {"withheld": True}, {"guards": ("g",)}, {"pending": True}):
        assert len(merge_targets([one, change("/a", target="t2", **more)])) == 2


def test_a_last_change_is_shared_only_where_all_of_a_group_have_it() -> None:
    mine, yours, none = (
        change(f"/{who}", last_change=who, last_change_with_age=who and f"{who} now")
        for who in ("me", "you", "")
    )
    again = change("/again", last_change="me", last_change_with_age="me now")
    (group,) = outline(mine, again)
    assert (group.shared_last_change(), group.shared_last_change(with_age=True)) == ("me", "me now")
    for others in ([], [yours], [none], [change("/me", target="t2", last_change="you")]):
        (group,) = outline(mine, *others)
        assert not group.shared_last_change()
    (group,) = outline(none, change("/none"))
    assert not group.shared_last_change()


def test_withheld_changes_are_the_first_of_their_kind_and_pending_ones_the_last() -> None:
    held: dict[str, Any] = {"withheld": True, "guards": ("g1",)}
    changes = [
        change("/p", pending=True), change("/a"), change("/h", **held), change("/h", target="t2", **held),
        change("/hp", pending=True, **held), change("/h2", **{**held, "guards": ("g0", "g1")}),
    ]  # fmt: skip
    found = [(one.guards, one.withheld, one.pending, one.size, named(one)[0]) for one in outline(*changes)]
    assert found == [
        (("g0", "g1"), True, False, 1, ["/h2"]),
        (("g1",), True, False, 2, ["/h"]),
        ((), False, False, 1, ["/a"]),
        (("g1",), True, True, 1, ["/hp"]),
        ((), False, True, 1, ["/p"]),
    ]
    whole = [(one.guards, one.withheld, one.pending, one.size) for one in outline(*changes, is_divided=False)]
    assert whole == [((), True, False, 4), ((), False, False, 2)]


def test_more_than_three_combinations_of_guards_are_one_group() -> None:
    held = [change(f"/{number}", withheld=True, guards=(f"g{number}",)) for number in range(4)]
    assert [one.guards for one in outline(*held[:3])] == [("g0",), ("g1",), ("g2",)]
    assert [(one.guards, one.size) for one in outline(*held)] == [((), 4)]


def test_four_reasons_that_most_changes_share_have_groups() -> None:
    changes = [
        change(f"/{reason}/{number}", reasons=("all", reason)) for reason in "abcde" for number in range(2)
    ]
    changes += [change("/c/3", reasons=("all", "c")), change("/own", reasons=("own", "all"))]
    found = [(one.reasons, one.size, named(one)[0][0]) for one in outline(*changes)]
    assert found == [
        (("all", "c"), 3, "/c/0"),
        (("all", "a"), 2, "/a/0"),
        (("all", "b"), 2, "/b/0"),
        (("all", "d"), 2, "/d/0"),
        (("all",), 3, "/e/0"),
    ]
    (whole,) = outline(*changes, is_divided=False)
    assert (whole.reasons, whole.size) == (("all",), 12)
    (plain,) = outline(change("/a"), change("/b"), changes[0])
    assert (plain.reasons, plain.size) == ((), 3)
    (alone,) = outline(changes[-1])
    assert alone.reasons == ()


def test_many_changes_are_patterns_with_their_contents() -> None:
    changes = [change(f"/a/{number}", attributes=("value",)) for number in range(4)]
    changes += [change(f"/b/{number}", attributes=("tags",), target="t2") for number in range(2)]
    changes += [change("/b/0", attributes=("value",), target="t1"), change("/c")]
    (group,) = outline(*changes, listed=8)
    assert named(group) == (["/a/0", "/a/1", "/a/2", "/a/3", "/b/0", "/b/1", "/b/0", "/c"], [])
    (group,) = outline(*changes, listed=7)
    assert named(group) == (["/c"], ["/a/* × 4", "/b/* × 2"])
    a, b = group.patterns
    assert (a.size, a.targets, a.is_uniform, a.contents) == (4, ("t1",), True, ("value",))
    assert (b.size, b.targets, b.is_uniform, b.contents) == (3, ("t1", "t2"), False, ("tags", "value"))
    (group,) = outline(*changes, listed=7, patterns=1)
    assert named(group) == ([], ["/** × 7"])
    (group,) = outline(*changes, listed=None, patterns=1)
    assert len(group.listed) == 8
    both = [change(f"/a/{i}", "create", at, attributes=("tags",)) for i in range(2) for at in "yx"]
    both = [replace(one, kind="" if one.target == "y" else "String") for one in both]
    both += [change(f"/a/{number}", "retag", attributes=("tags", "a")) for number in range(2)]
    made, tagged = outline(*both, listed=1)
    (pattern,) = made.patterns
    assert (pattern.contents, pattern.targets, pattern.is_uniform) == (("String",), ("x", "y"), True)
    assert tagged.patterns[0].contents == ("a", "tags")


def test_a_small_group_of_a_large_kind_is_listed() -> None:
    held = [change(f"/h/{number}", withheld=True) for number in range(2)]
    made = [change(f"/m/{number}") for number in range(7)]
    assert [named(one) for one in outline(*held, *made, listed=8)] == [
        (["/h/0", "/h/1"], []),
        ([], ["/m/* × 7"]),
    ]
    assert [len(one.listed) for one in outline(*made[:4], change("/c", "create"), listed=4)] == [4, 1]
    assert [named(one)[1] for one in outline(*held, *made, listed=7)] == [["/h/* × 2"], ["/m/* × 7"]]


def test_dangerous_changes_are_listed_up_to_forty_and_small_paths_of_more_too() -> None:
    few = [change(f"/a/{number:02}", "delete") for number in range(40)]
    (group,) = outline(*few, listed=0)
    assert len(group.listed) == 40
    (group,) = outline(*few, change("/b/1", "delete"), listed=None)
    assert (len(group.listed), group.patterns) == (41, ())
    (group,) = outline(*few, change("/b/1", "delete"), listed=0)
    assert (len(group.listed), group.patterns) == (41, ())
    (group,) = outline(*few, change("/a/40", "delete"), change("/b/1", "delete"), listed=0)
    assert named(group) == (["/b/1"], ["/a/* × 41"])
    paths = [change(f"/{path}/{number:02}", "delete") for path in "abcd" for number in range(40)]
    (group,) = outline(*paths)
    assert (len(group.listed), named(group)[1]) == (120, ["/d/* × 40"])
    (group,) = outline(*paths, dangers=79)
    assert (len(group.listed), len(group.patterns)) == (40, 3)
    (group,) = outline(*paths, dangers=2)
    assert named(group) == ([], ["/a/* × 40", "other paths × 120"])


def finding(code: str, problem: str, flag: str = "") -> FindingView:
    return FindingView("warning", code, problem, flag, ())


def test_guards_have_their_reasons_findings_and_numbers() -> None:
    held: dict[str, Any] = {"withheld": True}
    found = guard_reasons(
        [
            change("/a", guards=("g2", "g1"), holds=("withheld: x", "y"), **held),
            change("/b", guards=("g1",), holds=("y",), **held),
            change("/c", guards=("g1",), holds=("withheld: z",), **held),
            change("/d"),
        ],
        [finding("g1", "first"), finding("other", "no"), finding("g1", "second")],
    )
    first, second = finding("g1", "first"), finding("g1", "second")
    assert found == (GuardReason("g2", 1, (), ("x",)), GuardReason("g1", 3, (first, second), ("y", "z")))
    assert [guard_sentences(one) for one in found] == [["x"], ["first", "second"]]


def test_no_sentence_is_repeated() -> None:
    assert without_repeats(["a. b", "b. c", "a. b", "a"]) == ["a. b", "c", "", ""]


def test_the_flags_of_a_run_have_the_largest_numbers() -> None:
    flags = ["--max-deletes 3", "--x", "", "--max-deletes 12", "--max-deletes 4", "--y all", "--x"]
    flags += [f"--big {10**9}", "--big 5"]
    assert run_flags(finding("c", "p", flag) for flag in flags) == [
        "--max-deletes 12", "--x", "--y all", f"--big {10**9}", "--big 5",
    ]  # fmt: skip


def cost(seconds: float, **more: Any) -> BudgetEntry:
    limit = {"place": "1/eu", "operation": "PutParameter", "rate": 3.0, "seconds": seconds, "fitting_rate": 0}
    return cast("BudgetEntry", {"calls": {}, "writes": 1_200, "seconds": seconds, "limit": limit, **more})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.2, "5 s"),
        (60.0, "60 s"),
        (60.5, "61 s: <PutParameter> at 3/s in <1/eu>"),
        (99.5, "100 s: <PutParameter> at 3/s in <1/eu>"),
        (100.0, "2 min: <PutParameter> at 3/s in <1/eu>"),
        (5_999.0, "100 min: <PutParameter> at 3/s in <1/eu>"),
        (6_000.0, "1.7 h: <PutParameter> at 3/s in <1/eu>"),
    ],
)
def test_the_cost_of_an_apply_has_its_cause_where_it_is_long(seconds: float, text: str) -> None:
    assert apply_cost(cost(seconds), "<{}>".format) == f"apply: 1,200 writes, at least {text}"


def test_means_against_a_long_apply() -> None:
    raised = {"operation": "List", "place": "1/eu", "rate": 2.5, "seconds": 90.0, "fitting_rate": 10}
    fits = "Raise the quota of <ListTagsForResource> first, then [rates: {list_tags: %s}] fits."

    def means(budget: BudgetEntry | None) -> list[str]:
        return list(apply_means(budget, "<{}>".format, "[{}]".format))

    assert means(cost(100.0, with_higher_throughput=raised)) == [
        "With higher throughput on, it takes at least 90 s: <List> at 2.5/s.",
        fits % 10,
    ]
    assert means(cost(100.0, limit={**raised, "fitting_rate": 7})) == [fits % 7]
    assert means(cost(100.0)) == means(cost(60.0, with_higher_throughput=raised)) == means(None) == []
