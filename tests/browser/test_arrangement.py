"""Groups, order, folds and copies of names on the page, and their state in the URL."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_reconcile.change import Difference, Row, TagDiff
from ssm_reconcile.plan import Plan
from tests.browser.conftest import Open, page_of, settled, shown
from tests.unit.renderers import plans

pytestmark = pytest.mark.slow

GROUPS = """() => [...document.querySelectorAll("details.group:not([hidden])")].map(group => [
  group.querySelector(".label").textContent,
  group.querySelector(".counts").innerText.replace(/\\s+/g, " ").trim(),
  [...group.querySelectorAll("tbody tr")].filter(row => !row.hidden).length])"""
HELD = "withheld: 3 deletes are more than 2"


def mixed() -> Plan:
    """Return changes of two paths in two targets: one is equal in both, one is withheld."""
    east, west = "eu-west-1", "us-west-2"
    return plans.plan_of(
        [
            plans.create(east, "/app/a"),
            plans.create(west, "/app/a"),
            plans.update(east, "/app/b", Difference("value", "1", "2")),
            plans.delete(west, "/db/c"),
            plans.withheld(plans.delete(east, "/db/d"), "max-deletes", "3 deletes are more than 2"),
            plans.retag(west, "/db/a", TagDiff({}, {"team": "a"})),
        ],
        targets=(east, west),
        others=[plans.other(east, "/db/theirs", Row.CONFLICT, "conflict", "it differs in value")],
    )


@pytest.fixture
def page(opened: Open) -> Any:
    return opened(page_of(mixed()))


def arranged(page: Any, name: str, value: str) -> None:
    page.get_by_label(f"{name} by").select_option(value)
    page.wait_for_function("state => location.hash.includes(state)", arg=f"{name.lower()}={value}")


def test_sections_are_dangerous_withheld_other_and_left(page: Any) -> None:
    assert page.get_by_role("heading", level=2).all_inner_texts() == [
        "Dangerous changes 1",
        "Withheld changes 1",
        "Other changes 4",
        "Left as they are 1",
    ]
    held = page.get_by_role("region", name="Withheld changes")
    assert held.get_by_text("WITHHELD", exact=True).is_visible()
    assert held.locator(".label").inner_text() == "by max-deletes"
    assert not held.get_by_text(HELD).is_visible(), "it is among the notes"


def test_changes_are_grouped_by_path(page: Any) -> None:
    arranged(page, "Group", "path")
    assert page.get_by_text(HELD).is_visible()
    assert page.evaluate(GROUPS) == [
        ["/db", "1 delete", 1],
        ["/db", "1 delete", 1],
        ["/app", "1 update 2 create", 2],
        ["/db", "1 retag", 1],
        ["/db", "1", 1],
    ]


def test_an_equal_change_is_under_each_of_its_targets(page: Any) -> None:
    arranged(page, "Group", "target")
    other = [group for group in page.evaluate(GROUPS) if "create" in group[1]]
    assert other == [["eu-west-1", "1 update 1 create", 2], ["us-west-2", "1 create 1 retag", 2]]
    assert shown(page).count("/app/a") == 2
    settled(page, "Showing 6 of 6 changes, 1 of 1")


def test_counts_of_groups_and_sections_follow_the_filter(page: Any) -> None:
    arranged(page, "Group", "target")
    page.get_by_label("Region", exact=True).select_option("us-west-2")
    settled(page, "Showing 3 of 6 changes, 0 of 1")
    assert page.evaluate(GROUPS) == [["us-west-2", "1 delete", 1], ["us-west-2", "1 create 1 retag", 2]]
    assert page.get_by_role("heading", level=2).all_inner_texts() == [
        "Dangerous changes 1",
        "Other changes 2 of 4",
    ]


def test_the_default_grouping_comes_back(page: Any) -> None:
    before = page.evaluate(GROUPS)
    for value in ("target", "path", "none"):
        arranged(page, "Group", value)
    page.get_by_label("Group by").select_option("")
    page.wait_for_function("() => !location.hash")
    assert page.evaluate(GROUPS) == before


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name", ["/db/c", "/db/d", "/app/a", "/app/b", "/db/a", "/db/theirs"]),
        ("target", ["/db/c", "/db/d", "/app/b", "/app/a", "/db/a", "/db/theirs"]),
        ("action", ["/db/c", "/db/d", "/app/a", "/app/b", "/db/a", "/db/theirs"]),
    ],
)
def test_rows_are_sorted_inside_their_fold(page: Any, order: str, names: list[str]) -> None:
    assert shown(page) == ["/db/c", "/db/d", "/app/b", "/app/a", "/db/a", "/db/theirs"]
    arranged(page, "Sort", order)
    assert shown(page) == names


def test_a_reload_restores_all_controls(page: Any) -> None:
    arranged(page, "Group", "target")
    arranged(page, "Sort", "name")
    page.get_by_label("What").select_option("create")
    page.get_by_label("Path").fill("/app/*&=#%")
    settled(page, "Showing 0 of 6")
    page.get_by_label("Path").fill("/a**")
    settled(page, "Showing 2 of 6")
    groups = page.evaluate(GROUPS)
    page.wait_for_function("() => location.hash === '#kind=create&path=%2Fa**&sort=name&group=target'")
    page.reload()
    settled(page, "Showing 2 of 6")
    assert page.get_by_label("What").input_value() == "create"
    assert page.get_by_label("Path").input_value() == "/a**"
    assert page.evaluate(GROUPS) == groups
    assert len(groups) == 2


def test_a_link_restores_the_filter_and_going_back_removes_it(page: Any) -> None:
    page.evaluate("location.hash = '#target=us-west-2&kind=delete'")
    settled(page, "Showing 1 of 6")
    page.go_back()
    settled(page, "Showing 6 of 6")


@pytest.mark.parametrize(
    "fragment",
    [
        "#kind=nothing&target=nowhere&sort=constructor&group=__proto__&state=toString",
        "#%E0%A4%A&path=%00&&&===",
        "#__proto__=1&constructor=2&reset=3&submit=4",
        "#head",
    ],
)
def test_unknown_values_in_the_url_are_ignored(opened: Open, fragment: str) -> None:
    page = opened(page_of(mixed()), fragment=fragment)
    path = page.get_by_label("Path").input_value()
    settled(page, "Showing 0 of 6" if path else "Showing 6 of 6")
    assert page.get_by_label("Group by").input_value() == ""
    assert page.locator("#f-kind").evaluate("select => select.selectedIndex") == 0


def test_markup_in_the_url_is_text(opened: Open) -> None:
    attack = "%3Cimg%20src=x%20onerror=alert(1)%3E"
    page = opened(page_of(mixed()), fragment=f"#text={attack}&path={attack}&target={attack}&group={attack}")
    settled(page, "Showing 0 of 6")
    assert page.get_by_label("Text").input_value() == "<img src=x onerror=alert(1)>"
    assert page.locator("img").count() == 0


def test_a_long_value_in_the_url_is_cut(opened: Open) -> None:
    page = opened(page_of(mixed()), fragment="#text=" + "x" * 5000)
    settled(page, "Showing 0 of 6")
    assert len(page.get_by_label("Text").input_value()) == 200


def test_a_filter_unfolds_its_matches_and_a_reset_folds_them_again(opened: Open) -> None:
    page = opened(page_of(plans.many(80)))
    name = page.get_by_text("/auth/prod/db/setting-004")
    assert not name.is_visible()
    page.get_by_label("Text").fill("setting-004")
    settled(page, "Showing 5 of 400")
    assert name.is_visible()
    page.get_by_role("button", name="Reset").click()
    settled(page, "Showing 400 of 400")
    assert not name.is_visible()


def test_all_folds_are_opened_and_closed_at_once(opened: Open) -> None:
    page = opened(page_of(plans.many(80)))
    page.get_by_role("button", name="Unfold all").click()
    assert page.get_by_text("/shop/prod/queue/setting-079").is_visible()
    page.get_by_role("button", name="Fold all", exact=True).click()
    assert not page.get_by_text("/shop/prod/queue/setting-079").is_visible()
    assert page.get_by_text("/auth/prod/cache/setting-000").first.is_visible(), "not foldable"


@pytest.mark.parametrize("clipboard", [True, False])
def test_a_name_is_copied_and_the_copy_is_announced(opened: Open, clipboard: bool) -> None:
    page = opened(page_of(mixed()), permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('nothing')")
    if not clipboard:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('denied')); }")
    row = page.get_by_role("row", name="/db/c")
    row.get_by_role("button", name="Copy name").click()
    page.wait_for_function("() => document.getElementById('copied').textContent === 'Copied /db/c'")
    assert page.evaluate("navigator.clipboard.readText()") == "/db/c"


def test_a_name_is_copied_with_a_keyboard_after_a_change_of_groups(opened: Open) -> None:
    page = opened(page_of(mixed()), permissions=["clipboard-read", "clipboard-write"])
    arranged(page, "Group", "target")
    page.get_by_role("row", name="/app/a").last.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('copied').textContent === 'Copied /app/a'")
    assert page.evaluate("navigator.clipboard.readText()") == "/app/a"


def test_controls_are_folded_on_a_narrow_screen(opened: Open) -> None:
    page = opened(page_of(mixed()), viewport={"width": 400, "height": 800})
    assert not page.get_by_label("Path").is_visible()
    page.get_by_text("Filter, sort, group").click()
    page.get_by_label("Path").fill("/app")
    settled(page, "Showing 3 of 6")
    page.set_viewport_size({"width": 1200, "height": 800})
    assert page.get_by_label("Path").is_visible()
    assert not page.get_by_text("Filter, sort, group").is_visible()
