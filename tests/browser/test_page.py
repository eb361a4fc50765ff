"""`--format html` in a browser, with a keyboard, on a phone, without scripts."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Difference
from ssm_reconcile.renderers.html import report_html
from ssm_reconcile.renderers.view import ReportView
from ssm_reconcile.report import Result
from tests.browser.conftest import Open, page_of, settled, shown
from tests.unit.renderers import plans

pytestmark = pytest.mark.slow

ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    "<a href=javascript:alert(1)>x</a>",
    "<iframe src=https://evil.example></iframe>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content=0;url=https://evil.example>",
    "&lt;script&gt;",
    "{{7*7}}",
)
VISIBLE = """name => { const rows = [...document.querySelectorAll("tr[data-k]:not([hidden])")];
  return rows.length === 1 && rows[0].querySelector("th").textContent === name; }"""
VISIBLE_IN_FOLD = """[...document.querySelectorAll("th code")]
  .find(name => name.textContent.endsWith("setting-004")).checkVisibility()"""
ON_TOP = """() => { const focused = document.activeElement, box = focused.getBoundingClientRect();
  return [box.top + 3, box.bottom - 3].every(
    y => focused.contains(document.elementFromPoint(box.left + box.width / 2, y))); }"""
"""Whether nothing covers the focused element."""
WIDTHS = """() => { const page = document.documentElement, found = [];
  if (page.scrollWidth > page.clientWidth) { found.push("page " + page.scrollWidth); }
  for (const e of document.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect(), hidden = e.closest(".vh, .skip, .sums thead, [hidden]");
    if (!hidden && box.width && (box.right > page.clientWidth + 1 || box.left < -1)) {
      found.push(e.tagName + "." + e.className + " " + Math.round(box.right)); } }
  return found.slice(0, 5); }"""
"""The elements that are cut at an edge of the screen, or that make the page wider than the screen."""
SECONDS = 20.0
"""About one second on an idle machine; the limit also holds while all other tests run."""


@pytest.fixture
def twelve(opened: Open) -> Any:
    return opened(page_of(plans.twelve()))


def test_the_count_is_announced_and_starts_with_all(twelve: Any) -> None:
    count = twelve.get_by_role("status")
    assert count.inner_text() == "Showing 12 of 12 changes, 5 of 5 addresses left as they are."
    assert count.get_attribute("aria-live") == "polite"


def test_rows_are_filtered_by_target(twelve: Any) -> None:
    twelve.get_by_label("Region", exact=True).select_option("us-west-2")
    settled(twelve, "Showing 3 of 12 changes, 2 of 5")
    assert "/shop/prod/legacy/token" not in shown(twelve)
    assert "/shop/prod/api/stripe-key" in shown(twelve)


def test_rows_are_filtered_by_action(twelve: Any) -> None:
    twelve.get_by_label("What").select_option("delete")
    settled(twelve, "Showing 2 of 12 changes, 0 of 5")
    assert shown(twelve) == ["/shop/prod/legacy/token"]
    assert twelve.get_by_role("heading", level=2).all_inner_texts() == ["Dangerous changes 2 of 3"]


def test_a_filter_without_a_match_says_so(twelve: Any) -> None:
    twelve.get_by_label("Text").fill("nowhere")
    settled(twelve, "Showing 0 of 12 changes, 0 of 5")
    assert twelve.get_by_text("Nothing matches the filter.").is_visible()
    assert twelve.get_by_role("table").count() == 1


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/shop/prod/api", 5),
        ("shop/prod/api/", 5),
        ("/shop/**/password", 2),
        ("/shop/*/hosts", 1),
        ("/*", 0),
        ("(", 0),
    ],
)
def test_rows_are_filtered_by_path(twelve: Any, path: str, count: int) -> None:
    twelve.get_by_label("Path").fill(path)
    settled(twelve, f"Showing {count} of 12 changes")


def test_rows_are_filtered_by_words_in_names_values_and_reasons(twelve: Any) -> None:
    for words, name in (
        ("STRIPE", "/shop/prod/api/stripe-key"),
        ("max 250", "/shop/prod/feature/limits"),
        ("cloudformation", "/shop/prod/stack"),
    ):
        twelve.get_by_label("Text").fill(words)
        twelve.wait_for_function(VISIBLE, arg=name)
        assert shown(twelve) == [name]


def test_filters_are_combined_and_reset(twelve: Any) -> None:
    twelve.get_by_label("Region", exact=True).select_option("eu-west-1")
    twelve.get_by_label("What").select_option("update")
    twelve.get_by_label("Text").fill("alias")
    settled(twelve, "Showing 1 of 12")
    twelve.get_by_role("button", name="Reset").click()
    settled(twelve, "Showing 12 of 12")


def test_the_state_of_an_apply_can_be_filtered(opened: Open) -> None:
    report = plans.reported(plans.twelve(), (Result.APPLIED, Result.APPLIED, Result.FAILED, Result.STALE))
    page = opened(report_html(ReportView(plans.report_document_of(report))))
    page.get_by_label("State").select_option("failed")
    settled(page, "Showing 3 of 12")


def test_every_control_can_be_used_with_a_keyboard(twelve: Any) -> None:
    named = """(e => e.name || e.id || e.className || (e.localName === "button" ? e.type : e.localName))
      (document.activeElement)"""
    seen = []
    for _ in range(14):
        twelve.keyboard.press("Tab")
        seen.append(twelve.evaluate(named))
        assert twelve.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    controls = ["target", "kind", "path", "text", "sort", "group", "reset", "unfold", "fold"]
    assert seen == ["skip", "summary", "summary", *controls, "copy", "copy"]
    twelve.get_by_label("Text").focus()
    twelve.keyboard.type("stripe")
    twelve.keyboard.press("Enter")
    settled(twelve, "Showing 3 of 12")
    assert twelve.url.endswith(".html#text=stripe")


def test_a_fold_is_opened_with_a_keyboard(opened: Open) -> None:
    page = opened(page_of(plans.many(80)))
    page.locator("summary", has_text="/auth/prod/db").focus()
    assert not page.get_by_text("/auth/prod/db/setting-004").is_visible()
    page.keyboard.press("Enter")
    assert page.get_by_text("/auth/prod/db/setting-004").is_visible()
    page.keyboard.press("Space")
    assert not page.get_by_text("/auth/prod/db/setting-004").is_visible()


def test_the_skip_link_leads_to_the_list_and_keeps_the_filter(opened: Open) -> None:
    page = opened(page_of(plans.many(80)), fragment="#kind=create")
    page.get_by_role("button", name="Unfold all").click()
    page.evaluate("() => { scrollTo(0, 0); document.activeElement.blur(); }")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "bar"
    assert page.evaluate("document.getElementById('bar').getBoundingClientRect().top") < 1
    assert page.url.endswith("#kind=create")


@pytest.mark.parametrize("width", [1280, 1000, 390])
def test_the_bar_stays_visible_and_covers_no_focused_element(opened: Open, width: int) -> None:
    page = opened(page_of(plans.many(30)), fragment="#group=path", viewport={"width": width, "height": 600})
    page.get_by_text("/shop/prod/queue/setting-015").wait_for()
    page.locator("summary:visible").last.focus()
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(ON_TOP), page.evaluate("document.activeElement.outerHTML")
    bar = page.locator("#bar").bounding_box()
    assert bar["y"] == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_a_screen_reader_finds_tables_with_headers_on_every_width(opened: Open, width: int) -> None:
    page = opened(page_of(plans.twelve()), viewport={"width": width, "height": 900})
    page.wait_for_timeout(100)
    assert page.get_by_role("table").count() == 7
    changes = page.get_by_role("table", name="Other changes")
    assert changes.get_by_role("row").count() == 7
    columns = ["What", "Name", "Type", "Where", "Details"]
    assert changes.get_by_role("columnheader").all_text_contents() == columns
    assert changes.get_by_role("rowheader").count() == 6
    assert changes.get_by_role("cell").count() == 6 * 4
    counts = page.get_by_role("table", name="Counts by region")
    assert counts.get_by_role("rowheader").all_inner_texts() == ["ap-southeast-2", "eu-west-1", "us-west-2"]
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("region", name="Dangerous changes").count() == 1
    for landmark in ("banner", "main", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1
    assert page.get_by_role("search").count() == (1 if width > 768 else 0), "folded on a narrow screen"


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_no_element_is_wider_than_the_screen(opened: Open, width: int) -> None:
    long = plans.update("eu-west-1", "/" + "n" * 900, Difference("value", "v" * 150, "w" * 150))
    held = plans.withheld(replace(long, name="/" + "n/" * 200), "max-deletes", "too many " + "x" * 200)
    twelve = plans.twelve()
    regions = [f"eu-{'long' * 8}-{number}" for number in range(9)]
    more = [plans.create(region, "/x" + "y" * 90) for region in regions[:5]]
    part = plans.plan_of(
        [long, held, *more, *twelve.changes],
        targets=("ap-southeast-2", "eu-west-1", "us-west-2", *regions),
        others=twelve.replications[0].others,
    )
    page = opened(page_of(part), viewport={"width": width, "height": 800})
    for group in ("", "path", "target"):
        page.evaluate("group => { location.hash = '#group=' + group; }", group)
        page.wait_for_function("group => document.getElementById('f-group').value === group", arg=group)
        page.locator("#unfold").evaluate("button => button.click()")
        if width < 768:
            page.locator("#controls").evaluate("fold => { fold.open = true; }")
        widths = page.evaluate(WIDTHS)
        assert widths == [], f"grouped by {group or 'default'}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(opened: Open, scheme: str) -> None:
    """WCAG AA: at least 4.5 to 1, for every element that has text of its own."""
    page = opened(page_of(plans.twelve()), color_scheme=scheme)
    worst = page.evaluate(
        """() => {
          const parse = c => c.match(/[\\d.]+/g).map(Number);
          const part = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
          const light = ([r, g, b]) => {
            return .2126 * part(r) + .7152 * part(g) + .0722 * part(b); };
          const ground = e => { for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] > 0) { return c; } } return [255, 255, 255]; };
          let worst = [99, ""];
          for (const e of document.querySelectorAll("body *")) {
            const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
            if (!own || !e.offsetParent) { continue; }
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < worst[0]) { worst = [ratio, e.outerHTML.slice(0, 80)]; }
          }
          return worst;
        }"""
    )
    assert worst[0] >= 4.5, worst


def test_hostile_names_and_values_have_no_effect(opened: Open) -> None:
    changes = [
        plans.update(
            "eu-west-1", f"/{number}/{attack}", Difference("value", attack, attack + "!"), reasons=(attack,)
        )
        for number, attack in enumerate(ATTACKS)
    ]
    page = opened(page_of(plans.plan_of(changes)))
    for number, attack in enumerate(ATTACKS):
        assert f"/{number}/{attack}" in shown(page)
    assert page.evaluate("document.querySelectorAll('script, style, iframe, img, svg, base').length") == 2
    page.get_by_label("Text").fill("<script>")
    settled(page, "Showing 2 of 11")


def test_the_policy_blocks_an_injected_script(opened: Open, browser: Any, tmp_path: Any) -> None:
    """The policy protects readers even if the quoting fails."""
    file = tmp_path / "broken.html"
    planted = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"></body>"
    file.write_text(page_of(plans.twelve()).replace("</body>", planted), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    page.get_by_label("Text").fill("stripe")
    settled(page, "Showing 3 of 12")
    assert page.title().startswith("SSM plan for prod")
    context.close()


def test_without_scripts_everything_can_be_read(opened: Open) -> None:
    page = opened(page_of(plans.twelve()), java_script_enabled=False)
    assert page.get_by_text("/shop/prod/feature/limits").is_visible()
    assert page.get_by_text("Scripts are off").is_visible()
    assert not page.locator("form").is_visible()


def test_without_scripts_a_fold_opens(opened: Open) -> None:
    page = opened(page_of(plans.many(80)), java_script_enabled=False)
    assert not page.get_by_text("/auth/prod/db/setting-004").is_visible()
    page.locator("summary", has_text="/auth/prod/db").click()
    assert page.get_by_text("/auth/prod/db/setting-004").is_visible()


def test_on_paper_all_folds_are_open_and_the_controls_are_not_there(opened: Open) -> None:
    page = opened(page_of(plans.many(80)))
    assert page.evaluate(VISIBLE_IN_FOLD) is False
    page.emulate_media(media="print")
    assert page.evaluate(VISIBLE_IN_FOLD) is True
    assert not page.get_by_label("Path").is_visible()


def test_ten_thousand_changes_stay_usable(opened: Open) -> None:
    changes = [
        plans.update(
            "eu-west-1", f"/a{n % 7}/b{n % 31}/setting-{n:05}", Difference("value", f"v{n}", f"w{n}")
        )
        for n in range(10_000)
    ]
    text = page_of(plans.plan_of(changes))
    assert len(text) < 8_000_000
    start = time.monotonic()
    page = opened(text)
    settled(page, "Showing 10,000 of 10,000")
    opening = time.monotonic() - start
    start = time.monotonic()
    page.get_by_label("Text").fill("setting-0420")
    settled(page, "Showing 10 of 10,000")
    page.get_by_role("button", name="Reset").click()
    settled(page, "Showing 10,000 of 10,000")
    page.get_by_label("Group by").select_option("none")
    page.wait_for_function("() => document.querySelectorAll('details.group').length === 1")
    page.evaluate("document.body.offsetHeight")
    assert opening < SECONDS
    assert time.monotonic() - start < SECONDS


def test_a_pattern_with_many_stars_takes_no_long_time(opened: Open) -> None:
    """A link can have any pattern in it."""
    changes = [plans.create("eu-west-1", f"/{'a' * 900}/{n}") for n in range(100)]
    text = page_of(plans.plan_of(changes))
    start = time.monotonic()
    page = opened(text, fragment="#path=" + "**a*a" * 40 + "**b")
    settled(page, "Showing 0 of 100 changes")
    assert time.monotonic() - start < SECONDS
