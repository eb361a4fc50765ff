"""The page is complete and self-contained, and names and values add no elements to it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import pytest
from hypothesis import given

from ssm_reconcile.change import Change, Difference, TagDiff
from ssm_reconcile.errors import Finding, Remedy, Severity
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.changes import AttributeLine, attribute_lines
from ssm_reconcile.renderers.escaping import UNSAFE, visible
from ssm_reconcile.renderers.groups import AddressGroup, ConflictView
from ssm_reconcile.renderers.html import plan_html, report_html
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Result
from tests.property.profiles import examples
from tests.unit.renderers import plans
from tests.unit.renderers.test_laws import TEXT, WORLDS, changes_of, hostile_plans, report_of

ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "main", "h1", "h2", "p",
    "strong", "code", "div", "section", "ul", "li", "span", "table", "caption", "thead", "tbody",
    "tr", "th", "td", "b", "details", "summary", "form", "label", "select", "option", "input",
    "datalist", "button", "footer", "script", "del", "i", "ins",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "href", "id", "for", "hidden",
    "open", "role", "scope", "value", "list", "placeholder", "autocomplete", "spellcheck", "type",
    "maxlength", "data-k", "data-n", "data-p", "data-s", "data-t", "data-w", "data-what",
    "aria-label", "aria-labelledby", "aria-live", "aria-hidden",
}  # fmt: skip
VOID = {"meta", "input"}


class Page(HTMLParser):
    """The elements, attributes and rows of a page, and the text of each element by its tag.

    `sections` has the number of rows before each section.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.rows: list[dict[str, str]] = []
        self.names: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.links: list[str] = []
        self.sections: dict[str, int] = {}
        self._in_row = False
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        known = {name: value or "" for name, value in attrs}
        self.attributes |= known.keys()
        self.links += [known[word] for word in ("href", "src", "action") if word in known]
        if tag == "tr":
            self._in_row = "data-k" in known
        if "data-k" in known:
            self.rows.append(known)
        if tag == "h2":
            self.sections[known["id"]] = len(self.rows)
        if tag == "th" and known.get("role") == "rowheader" and self._in_row:
            self.names.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-2:] == ["th", "code"] and self._in_row:
            self.names[-1] += data
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)


def page_of(plan: Plan) -> str:
    return plan_html(PlanView(plans.document_of(plan)), apply_command="ssm-reconcile apply")


def test_the_policy_allows_only_the_style_and_the_script_of_the_page() -> None:
    page = page_of(plans.twelve())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None

    def hashed(tag: str) -> str:
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    assert dict(part.split(" ", 1) for part in policy[1].split("; ")) == {
        "default-src": "'none'",
        "script-src": hashed("script"),
        "style-src": hashed("style"),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_has_no_link_to_another_page_and_fetches_nothing() -> None:
    page = page_of(plans.twelve())
    assert Page(page).links == ["#bar"]
    assert re.findall(r"(?:https?:)?//[a-z]|url\(|@import|\bon[a-z]+=", page) == []


def test_without_scripts_all_rows_are_visible_or_in_a_fold_and_the_controls_are_hidden() -> None:
    page = page_of(plans.twelve())
    assert '<details id="controls" hidden>' in page
    assert all("hidden" not in row for row in Page(page).rows)
    assert "Scripts are off" in page
    assert page.count('<details class="group flat" open>') == 2
    assert page.count('<details class="group reason" open>') == 4


def test_a_section_with_many_rows_is_folded_by_path_and_dangerous_changes_stay_unfolded() -> None:
    page = page_of(plans.many(80))
    dangerous, rest = page.split('<h2 id="other-changes">')
    assert dangerous.count("<details") - dangerous.count(" open>") == 1, "only the controls are closed"
    labels = re.findall(r'<span class="label">(.*?)</span><span class="counts"> (.*?)</summary>', rest)
    assert len(labels) == 16
    assert " open>" not in rest
    assert labels[0][0] == "<code>/auth/prod/cache</code>"
    counts = '<span class="a update">5 update</span> <span class="a create">15 create</span></span>'
    assert labels[0][1] == counts


def test_dangerous_changes_are_the_first_section_and_are_named_above_the_list() -> None:
    page = page_of(plans.twelve())
    assert [row["data-k"] for row in Page(page).rows][:3] == ["delete", "replace", "update"]
    assert Page(page).sections == {"dangerous-changes": 0, "other-changes": 2, "left-as-they-are": 8}
    note = (
        r"<strong>DANGER: 2 delete and 1 replace:</strong> /.+ and /.+\. 1 of them was last changed outside"
    )
    assert re.search(note, page)
    assert "SSM plan for prod: 12 changes in 3 regions" in page


def test_a_release_is_among_the_dangerous_changes() -> None:
    page = page_of(plans.plan_of([plans.release("eu-west-1", "/a"), plans.create("eu-west-1", "/b")]))
    assert Page(page).sections == {"dangerous-changes": 0, "other-changes": 1}
    assert '<span class="a release">release</span>' in page


def test_an_unknown_action_is_dangerous_and_has_a_sign() -> None:
    view = PlanView(plans.document_of(plans.plan_of([plans.create("eu-west-1", "/a")])))
    view.changes = (replace(view.changes[0], action="<burn>"),)
    page = plan_html(view)
    assert Page(page).sections == {"dangerous-changes": 0}
    assert '<span class="a unknown">&lt;burn&gt;</span>' in page


def test_a_withheld_change_has_a_word_and_the_flag_that_lets_it_through() -> None:
    held = plans.withheld(plans.update("eu-west-1", "/a"), "max-deletes", "3 deletes are more than 2")
    remedy = Remedy("--max-deletes 3 <b>", "max-deletes", "eu-west-1", 3, "0" * 16)
    finding = Finding(Severity.WARNING, "max-deletes", "3 to delete: all withheld", "eu-west-1", (), remedy)
    page = page_of(plans.plan_of([held, plans.create("eu-west-1", "/b")], findings=[finding]))
    assert Page(page).sections == {"withheld-changes": 0, "other-changes": 1}
    assert '<span class="tag withheld">WITHHELD</span>' in page
    assert '<span class="label">by max-deletes</span>' in page
    assert '<span class="r shared">withheld: 3 deletes are more than 2</span>' in page
    flag = "<code>--max-deletes 3 &lt;b&gt;</code>"
    assert f"<li>max-deletes: 3 to delete: all withheld. If meant: {flag}</li>" in page
    assert page.count("3 to delete: all withheld") == 1


def test_a_reason_that_changes_share_is_the_title_of_their_fold() -> None:
    deletes = [plans.delete("eu-west-1", f"/{n}", reasons=("its source <b> is gone",)) for n in range(3)]
    page = page_of(plans.plan_of([*deletes, plans.delete("eu-west-1", "/4", reasons=("another",))]))
    labels = re.findall(r'<details class="group (\w+)" open><summary><span class="label">(.*?)</span>', page)
    last = "version 4, last changed 2026-11-02 08:00 UTC by role ssm-reconcile"
    assert labels == [("reason", f"its source &lt;b&gt; is gone; {last}"), ("flat", "")]
    assert page.count(f'<span class="r shared">{last}</span>') == 3
    assert page.count(f'<span class="r">{last}</span>') == 1
    assert page.count('<span class="r shared">its source &lt;b&gt; is gone</span>') == 3
    assert page.count('<span class="r">another</span>') == 1


def test_the_last_change_is_named_by_target_where_it_differs() -> None:
    changes = [
        plans.delete("eu-west-1", "/a"),
        plans.delete("us-west-2", "/a", writer="arn:aws:iam::1:user/bob"),
    ]
    page = page_of(plans.plan_of(changes))
    assert len(Page(page).rows) == 1
    assert re.search(r'<span class="r">eu-west-1: version 4, [^<]*ssm-reconcile</span>', page)
    assert re.search(r'<span class="r">us-west-2: version 4, [^<]*bob</span>', page)


def test_changes_that_are_pending_or_no_longer_made_are_marked() -> None:
    pending = replace(plans.create("eu-west-1", "/a"), pending=True)
    plan = replace(plans.plan_of([pending]), dropped=(plans.create("us-west-2", "/b"),))
    page = page_of(plan)
    assert '<span class="tag pending">already pending</span>' in page
    assert Page(page).sections == {"changes": 0, "no-longer-made": 1}


def test_many_findings_and_counts_of_many_targets_are_in_closed_folds() -> None:
    regions = [f"eu-test-{number}" for number in range(11)]
    findings = [Finding(Severity.WARNING, "size", f"/{n}: too large") for n in range(11)]
    for number, state in ((10, " open"), (11, "")):
        change = plans.create(regions[0], "/a")
        page = page_of(plans.plan_of([change], targets=regions[:number], findings=findings[:number]))
        assert f"<details{state}><summary>{number} findings</summary>" in page
        assert f"<details{state}><summary>Counts of {number} regions</summary>" in page
        assert page.count(": too large") == number


def test_a_row_names_all_targets_or_those_that_it_leaves_out() -> None:
    regions = plans.REGIONS
    rows = {"/a": regions, "/b": regions[1:], "/c": regions[:2]}
    changes = [plans.create(region, name) for name, where in rows.items() for region in where]
    plan = plans.plan_of(changes, targets=regions)
    cells = re.findall(r'<td role="cell">((?:all 5|<span class="target">).*?)</td>', page_of(plan))
    assert [re.sub("<.*?>", "", cell) for cell in cells] == [
        "all 5 regions",
        "all 5 regions but ap-southeast-2",
        "ap-southeast-2, ca-central-1",
    ]


def cell_of_targets(number: int) -> str:
    """The targets of a change that is made in `number` of 40."""
    names = [f"123456789012-eu-west-{n:02}" for n in range(40)]
    changes = [plans.create(name, "/a") for name in names[:number]]
    (cell,) = re.findall(
        r'<td role="cell">(<span class="target">.*?)</td>', page_of(plans.plan_of(changes, targets=names))
    )
    return str(cell)


def test_a_name_and_its_comma_are_one_unit() -> None:
    cell = cell_of_targets(8)
    assert len(re.findall(r'<span class="target"><code>[^<]+</code>,</span> ', cell)) == 7
    assert cell.endswith("</code></span>")
    assert "<details>" not in cell
    css = resources.files("ssm_reconcile.renderers.html").joinpath("style.css").read_text()
    assert ".target { display: inline-block; max-width: 100%; }" in css


def test_more_than_eight_targets_are_in_a_fold_with_their_number() -> None:
    cell = cell_of_targets(27)
    shown, fold = cell.split("<details>")
    assert shown.count("<code>") == 8
    assert fold.startswith("<summary>and 19 more</summary>")
    assert fold.count("<code>") == 19
    assert "123456789012-eu-west-26" in fold


def test_the_script_takes_the_fold_of_a_cell_for_none_of_its_groups() -> None:
    page = page_of(plans.many(20))
    assert 'querySelectorAll("details.group")' in page
    assert 'querySelectorAll("details")' not in page


def test_a_change_that_is_the_same_in_all_targets_is_one_row_that_counts_for_each() -> None:
    rows = Page(page_of(plans.many(20))).rows
    assert len(rows) == 20
    assert {row["data-t"] for row in rows} == {"0 1 2 3 4"}


def test_changes_that_differ_in_their_details_have_separate_rows() -> None:
    one = plans.update("eu-west-1", "/a", Difference("value", "1", "2"))
    two = plans.update("us-west-2", "/a", Difference("value", "1", "3"))
    assert [row["data-t"] for row in Page(page_of(plans.plan_of([one, two]))).rows] == ["1", "2"]


def test_the_apply_command_is_shown_unless_all_changes_are_withheld() -> None:
    assert "ssm-reconcile apply --expect-plan" in page_of(plans.twelve())
    held = plans.withheld(plans.delete("eu-west-1", "/a"), "max-deletes", "too many")
    page = page_of(plans.plan_of([held]))
    assert "--expect-plan" not in page
    assert "1 of 1 change WITHHELD." in page
    assert "<li>max-deletes: too many</li>" in page


class Details(HTMLParser):
    """The text of each line on an attribute (the element `l` with a name `k` in it)."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self._open: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("class") or ""
        if kind.split()[:1] == ["k"] and self._open[-1].split()[:1] == ["l"]:
            self.lines.append("")
            self._inside = True
        if tag not in VOID:
            self._open.append(kind)

    def handle_endtag(self, tag: str) -> None:
        if self._open.pop().split()[:1] == ["l"]:
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.lines[-1] += data


def details(page: str) -> list[str]:
    return [" ".join(line.split()) for line in Details(page).lines]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (plans.update("eu-west-1", "/a", Difference("value", "1", "2")), "value before 1 \u2192 after 2"),
        (
            plans.update("eu-west-1", "/a", Difference("value", "<b>x" * 50, "<b>x" * 50, cut=True)),
            f"value {'<b>x' * 50} \u2026 differs after the part that is shown",
        ),
        (
            plans.update("eu-west-1", "/a", Difference("tier", "Standard", None)),
            "tier before Standard removed",
        ),
        (plans.update("eu-west-1", "/a", Difference("KeyId", None, "alias/a")), "KeyId after alias/a added"),
        (
            plans.update("eu-west-1", "/a", plans.secret(), kind="SecureString"),
            "value (secret) changed, from us-east-1 version 9",
        ),
        (
            plans.update("eu-west-1", "/a", plans.secret("AllowedPattern"), kind="SecureString"),
            "AllowedPattern (secret) changed",
        ),
        (
            plans.update("eu-west-1", "/a", plans.secret("<b>"), kind="SecureString"),
            "<b> (secret) changed",
        ),
        (
            plans.create("eu-west-1", "/a", "SecureString", value=None),
            "value (secret) from us-east-1 version 2",
        ),
        (plans.retag("eu-west-1", "/a", TagDiff({"k": "v"}, {"team": "a"})), "tags after team=a added"),
    ],
)
def test_each_attribute_that_differs_has_a_line_with_its_name(change: Change, line: str) -> None:
    assert line in details(page_of(plans.plan_of([change])))


def test_parts_of_a_value_are_under_one_label_and_context_has_no_sides() -> None:
    view = PlanView(plans.document_of(plans.plan_of([plans.update("eu-west-1", "/a")])))
    lines = (
        AttributeLine("value", "100", "250", key="limits.max"),
        AttributeLine("value", None, "true", key="limits.<new>"),
        AttributeLine("value", after="same", key="line 4", is_context=True),
    )
    view.changes = (replace(view.changes[0], lines=lines),)
    page = plan_html(view)
    assert details(page) == [
        "value limits.max before 100 \u2192 after 250",
        "value limits.<new> after true added",
        "value line 4 same",
    ]
    assert page.count('<span class="k">value </span>') == 1
    assert page.count('<span class="k again">value </span>') == 2
    assert re.search(r'<span class="l context">.*?<code>same</code></span>', page)


def test_the_lines_of_the_page_are_those_of_the_terminal() -> None:
    """No attribute is missing on either side."""
    document = plans.document_of(plans.twelve())
    for change in document["changes"]:
        alone = document.copy()
        alone["changes"] = [change]
        lines = attribute_lines(change, "us-east-1")
        shown = details(plan_html(PlanView(alone)))
        assert len(shown) == len(lines), change["name"]
        for line, text in zip(lines, shown, strict=True):
            assert text.startswith(f"{line.label} ")
            for part in (line.note, line.before, line.after):
                assert part is None or part in text


@pytest.mark.parametrize("is_public", [True, False])
def test_the_sides_of_a_conflict_are_shown_only_where_the_spec_allows_it(is_public: bool) -> None:
    conflict = ConflictView(
        (AttributeLine("value", "theirs", "ours"),),
        "version 1, last changed by user <b>",
        is_public,
        ("eu-west-1",),
    )
    view = PlanView(plans.document_of(plans.in_sync()))
    names = {"/a": ("eu-west-1", "us-west-2")}
    view.groups = (AddressGroup("conflict", "it differs in value", names, {"/a": (conflict,)}),)
    page = plan_html(view)
    assert sorted(row["data-t"] for row in Page(page).rows) == ["1", "2"]
    assert page.count("theirs") == page.count("ours") == is_public
    assert page.count("version 1, last changed by user &lt;b&gt;") == 1


def test_a_plan_without_changes_has_no_list_and_no_filter() -> None:
    page = page_of(plans.in_sync())
    assert "nothing to do" in page
    assert Page(page).elements["form"] == 0


def test_an_incomplete_place_is_in_the_title_and_in_a_note() -> None:
    page = page_of(plans.plan_of([], incomplete=("eu-west-1",), source_complete=False))
    assert "and INCOMPLETE</title>" in page
    assert "eu-west-1 was not listed completely. Nothing is planned there." in page
    assert "<code>eu-west-1</code> (INCOMPLETE)</th>" in page
    assert "No delete is planned." in page


def test_a_report_lists_failed_changes_first_and_each_cause_once() -> None:
    results = (Result.APPLIED, Result.NOT_ATTEMPTED, Result.STALE, Result.FAILED)
    report = plans.reported(plans.twelve(), results)
    page = report_html(ReportView(plans.report_document_of(report)))
    states = [row["data-s"] for row in Page(page).rows if row["data-s"]]
    assert list(dict.fromkeys(states)) == ["failed", "stale", "not attempted", "applied"]
    labels = re.findall(r'<span class="label">((?:failed|stale|not attempted).*?)</span>', page)
    assert labels == [
        "failed: PutParameter in eu-west-1 failed: TooManyUpdates",
        "stale: the source has a new version",
        "not attempted",
    ]
    assert '<span class="tag failed">failed</span>' in page


@pytest.mark.large
@given(hostile_plans(), TEXT)
@examples(25)
def test_any_name_and_value_is_text_without_markup(plan: Plan, text: str) -> None:
    report = ReportView(plans.report_document_of(report_of(plan, text)))
    made = (page_of(plan), report_html(report))
    pages = [Page(text) for text in made]
    for page in pages:
        assert set(page.elements) <= ELEMENTS
        assert page.attributes <= ATTRIBUTES
        assert page.links == ["#bar"]
        assert page.elements["script"] == page.elements["style"] == page.elements["form"] == 1
    assert UNSAFE.search("".join(made).replace("\n", "")) is None
    for change in plan.changes:
        assert visible(change.name) in pages[0].names


@given(WORLDS)
@examples(40)
def test_merged_rows_have_every_change_once(world: dict[tuple[str, str], tuple[str, bool]]) -> None:
    plan = plans.plan_of(changes_of(world), targets=plans.REGIONS)
    page = Page(page_of(plan))
    changes = {
        (plans.REGIONS[int(number)], name, row["data-k"], row["data-s"] == "withheld")
        for row, name in zip(page.rows, page.names, strict=True)
        for number in row["data-t"].split()
    }
    assert changes == {(target, name, action, held) for (target, name), (action, held) in world.items()}


THEMES = ("light", "dark")
TEXTS = ("text", "dim", "link", "delete", "replace", "update", "create", "adopt", "retag")
GROUNDS = ("page", "panel")


def colours(theme: str) -> dict[str, tuple[float, ...]]:
    """Return the colours of the style by their names, as parts from 0 to 1."""
    style = resources.files("ssm_reconcile.renderers.html").joinpath("style.css").read_text(encoding="utf-8")
    light, dark = style.split("prefers-color-scheme: dark", 1)
    found: dict[str, tuple[float, ...]] = {}
    for name, value in re.findall(r"--([a-z-]+): #([0-9a-f]+);", dark if theme == "dark" else light):
        digits = value if len(value) == len("rrggbb") else "".join(2 * digit for digit in value)
        found[name] = tuple(part / 255 for part in bytes.fromhex(digits))
    return found


def luminance(colour: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
def test_the_palette_has_the_contrast_of_wcag_aa(theme: str) -> None:
    """4.5 to 1 for each text on each ground on which the page uses it."""
    palette = colours(theme)
    pairs = [(text, ground) for text in TEXTS for ground in GROUNDS]
    pairs += [("text", ground) for ground in ("gone", "come", "warn", "error")]
    pairs += [("held", "held-ground"), ("link", "warn"), ("link", "error"), ("dim", "error"), ("dim", "warn")]
    for text, ground in pairs:
        a, b = luminance(palette[text]), luminance(palette[ground])
        assert (max(a, b) + 0.05) / (min(a, b) + 0.05) >= 4.5, (text, ground)
