"""Properties of all outputs: with any names and values, pages are complete and no change is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ssm_reconcile.change import Change, Difference, Row, TagDiff, ValuePart, ValueParts
from ssm_reconcile.documents.decode import read_plan_document, read_report_document
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.plan import ExistingParameter, Plan
from ssm_reconcile.renderers.comment_context import CommentContext
from ssm_reconcile.renderers.drift_issue import plan_issue
from ssm_reconcile.renderers.escaping import UNSAFE, dumps, visible
from ssm_reconcile.renderers.markdown import (
    COMMENT_BUDGET,
    plan_comment,
    plan_summary,
)
from ssm_reconcile.renderers.report_markdown import report_comment
from ssm_reconcile.renderers.report_text import report_text
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from tests.property.profiles import examples
from tests.unit.renderers import plans

SCHEMA = json.loads((Path(__file__).parents[3] / "schema" / "plan.schema.json").read_text(encoding="utf-8"))
REPORT_SCHEMA = json.loads(
    (Path(__file__).parents[3] / "schema" / "report.schema.json").read_text(encoding="utf-8")
)
NASTY = [
    "`", "```", "~~~~", "|", "\\", "\n", "\r\n", "\u2028", "\x1b[2J", "\x9b1m", "\u202e", "\u200b",
    "\ufeff", "</details>", "<details>", "<!--", "-->", "<b>", "<img src=x>", "&lt;", "@team", "#1",
    "acme/x#1", "*", "_", "**", "[a](http://x)", "https://evil.example", "www.evil.example", "# ", "- ",
    "1. ", "> ", "    ", "\t", "| a | b |", "---", "===", ":smile:", "deadbeefcafe", "GH-1", "a", "/prod",
    " ", "é", "漢", "\u0301", "\U000e0041",
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=4)), min_size=1, max_size=6).map("".join)
REGIONS = ("eu-west-1", "us-west-2")


def differing_value(text: Callable[[], str]) -> Difference:
    """Return a difference with parts of hostile texts, as a forged plan may have them."""
    line = text()
    parts = (
        ValuePart(text(), text(), text()),
        ValuePart(text(), None, text(), start=3, after_length=900),
        ValuePart(text(), line, line, is_context=True),
    )
    return Difference("value", text(), text(), parts=ValueParts("json", parts, 3, (text(),)))


@st.composite
def hostile_plans(draw: Any) -> Plan:
    """Return a plan with a change of every action and an address of every kind, with hostile texts."""
    names = iter(draw(st.lists(TEXT, min_size=8, max_size=8, unique_by=visible)))

    def text() -> str:
        return str(draw(TEXT))

    tags = TagDiff({text(): text(), "x": text()}, {text(): text()})
    here, there = REGIONS
    changes = [
        plans.create(here, next(names), value=text(), description=text(), tags={text(): text()}),
        plans.update(
            here,
            next(names),
            differing_value(text),
            Difference("KeyId", text(), None),
            tags=tags,
            reasons=(text(),),
            changed_outside=True,
            writer=text(),
        ),
        plans.withheld(plans.delete(here, next(names), writer=text(), reasons=(text(),)), text(), text()),
        plans.replaced(there, next(names), Difference("type", text(), text()), kind=text()),
        plans.adopt(there, next(names)),
        plans.retag(there, next(names), tags),
    ]
    existing = ExistingParameter(
        (differing_value(text),), tags, text(), 1, plans.NOW, text(), is_shown=draw(st.booleans())
    )
    others = [
        replace(plans.other(here, next(names), Row.CONFLICT, "conflict", text(), text()), conflict=existing),
        plans.other(there, next(names), Row.INVALID, "invalid", text()),
    ]
    findings = [Finding(Severity.ERROR, text(), text(), text()), Finding(Severity.NOTICE, text(), text())]
    return plans.plan_of(changes, targets=REGIONS, others=others, findings=findings)


def pages_of(plan: Plan) -> list[str]:
    view = PlanView(read_plan_document(dumps(plans.document_of(plan))))
    issue = plan_issue(view, context=CommentContext(), budget=COMMENT_BUDGET)
    return [*(plan_comment(view, level=level) for level in range(4)), plan_summary(view), issue]


def report_of(plan: Plan, text: str) -> Report:
    outcomes = tuple(Outcome(change, Result.FAILED, text, text) for change in plan.changes)
    remaining = (Remaining("prod", REGIONS[0], text, text),)
    return Report(plan, outcomes, remaining, (Finding(Severity.ERROR, text, text, text),))


HTML = re.compile(
    r"<!-- ssm-reconcile:(plan|drift) \{[^<>&\n]*\} -->\n?"
    r"|<details( open)?><summary><b>([^<>`@|]|</?code>)*</b>[^<>`@|]*</summary>\n?"
    r"|<details><summary><code>[^<>`@|]*</code>[^<>`@|]*</summary>\n?"
    r"|</details>\n?"
)
INLINE = {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
BLOCKS = {
    "html_block",
    "heading_open", "heading_close", "inline", "paragraph_open", "paragraph_close", "table_open",
    "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close", "tr_open", "tr_close", "th_open",
    "th_close", "td_open", "td_close", "blockquote_open", "blockquote_close", "fence", "bullet_list_open",
    "ordered_list_open", "ordered_list_close",
    "bullet_list_close", "list_item_open", "list_item_close",
}  # fmt: skip


def assert_whole(page: str) -> None:
    """The page is made of the blocks of the renderer only, without links, mentions or HTML of others."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    assert {token.type for token in tokens} <= BLOCKS
    opened = 0
    for token in tokens:
        if token.type == "html_block":
            assert all(HTML.fullmatch(line + "\n") for line in token.content.splitlines()), token.content
            opened += token.content.count("<details") - token.content.count("</details>")
        if token.type == "heading_open":
            assert token.tag in ("h2", "h3")
        for child in token.children or ():
            if child.type == "html_inline":
                assert child.content in ("<sub>", "</sub>")
                continue
            assert child.type in INLINE, (child.type, token.content)
            if child.type == "text":
                # [!NOTE] and the like are GitHub's own words for its alerts
                prose = re.sub(r"^\[!(CAUTION|WARNING|NOTE)\]$", "", child.content)
                assert not re.search(r"[@#<>&|*_~\[\]\\`]|://|www\.|[0-9a-f]{7}", prose), prose
    assert opened == 0
    assert_tables(tokens)


def assert_tables(tokens: list[Any]) -> None:
    tables = [token for token in tokens if token.type == "table_open"]
    assert len(tables) == 1
    rows = "".join({"tr_open": "(", "th_open": "x", "td_open": "x"}.get(token.type, "") for token in tokens)
    widths = {len(row) for row in rows.split("(")[1:]}
    assert len(widths) == 1
    assert rows.count("(") == 1 + len(REGIONS)


@pytest.mark.large
@given(hostile_plans())
@examples(25)
def test_any_name_and_value_leaves_the_page_complete(plan: Plan) -> None:
    for page in pages_of(plan):
        assert UNSAFE.search(page.replace("\n", "")) is None
        assert_whole(page)


@pytest.mark.large
@given(hostile_plans(), TEXT)
@examples(12)
def test_any_error_leaves_the_page_of_a_report_complete(plan: Plan, text: str) -> None:
    document = plans.report_document_of(report_of(plan, text))
    view = ReportView(read_report_document(dumps(document)))
    page = report_comment(view, PlanView(plans.document_of(plan)))
    assert_whole(page)
    for made in (page, report_comment(view), report_text(view)):
        assert UNSAFE.search(made.replace("\n", "")) is None


@pytest.mark.large
@given(hostile_plans(), st.sampled_from([20, 40, 80, 200]))
@examples(20)
def test_a_terminal_gets_no_unsafe_character_and_no_additional_line(plan: Plan, width: int) -> None:
    view = PlanView(plans.document_of(plan))
    text = plan_text(view, width=width)
    assert UNSAFE.search(text.replace("\n", "")) is None
    heads = [line for line in text.splitlines() if re.match(r" [# ][-+!*><~=@?]( |$)", line)]
    assert len(heads) >= len(plan.changes)
    for change in plan.changes:
        shown = visible(change.name).rstrip().replace("##[", "##\\u005b")  # a command of a runner
        assert any(shown in line for line in heads)


@pytest.mark.large
@given(hostile_plans())
@examples(15)
def test_any_document_is_valid_and_is_read_back_unchanged(plan: Plan) -> None:
    document = plans.document_of(plan)
    text = dumps(document)
    assert UNSAFE.search(text.replace("\n", "")) is None
    assert json.loads(text) == document
    assert read_plan_document(text) == document
    jsonschema.Draft7Validator(SCHEMA).validate(document)
    jsonschema.Draft7Validator(REPORT_SCHEMA).validate(plans.report_document_of(report_of(plan, "x")))


ACTIONS: dict[str, Callable[[str, str], Change]] = {
    "create": plans.create,
    "update": lambda target, name: plans.update(target, name, Difference("value", "1", "2")),
    "retag": lambda target, name: plans.retag(target, name, TagDiff({}, {"a": "1"})),
    "replace": plans.replaced,
    "delete": plans.delete,
}
WORLDS = st.dictionaries(
    st.tuples(st.sampled_from(plans.REGIONS), st.integers(0, 30).map(plans.name_at)),
    st.tuples(st.sampled_from(sorted(ACTIONS)), st.booleans()),
    max_size=60,
)


def changes_of(world: dict[tuple[str, str], tuple[str, bool]]) -> list[Change]:
    made = [(ACTIONS[action](target, name), held) for (target, name), (action, held) in world.items()]
    return [plans.withheld(change, "max-deletes", "too many") if held else change for change, held in made]


GROUP = re.compile(r"(?:(?:> )?\*\*|<details(?: open)?><summary><b>)([A-Z][a-z ]+): [\d,]*\d(, withheld)?")
LINE = re.compile(r"(?:> )?[-+!] (\S+)  \[\w+\](?: [\w, ]+?)??(?:  \(([^)]*)\))?")


def changes_in(page: str) -> set[tuple[str, str, str, bool]]:
    """Return the changes that a page lists: (target, name, action, withheld)."""
    found = set()
    action, held = "", False
    for text in page.splitlines():
        if group := GROUP.match(text):
            action, held = group[1].lower(), group[2] is not None
        if line := LINE.fullmatch(text):
            name, where = line.groups()
            targets = plans.REGIONS if where == "all regions" else tuple((where or "").split(", "))
            found |= {(target, name, action, held) for target in targets}
    return found


@given(WORLDS)
@examples(30)
def test_merged_lines_have_every_change_once(world: dict[tuple[str, str], tuple[str, bool]]) -> None:
    view = PlanView(plans.document_of(plans.plan_of(changes_of(world), targets=plans.REGIONS)))
    expected = {(target, name, action, held) for (target, name), (action, held) in world.items()}
    assert changes_in(plan_comment(view, level=1)) == expected
    danger = {change for change in expected if change[2] in ("delete", "replace")}
    assert danger <= changes_in(plan_comment(view, level=2)) <= expected
    assert danger == changes_in(plan_comment(view, level=3))


@given(WORLDS)
@examples(30)
def test_full_detail_has_every_change_with_its_targets(
    world: dict[tuple[str, str], tuple[str, bool]],
) -> None:
    view = PlanView(plans.document_of(plans.plan_of(changes_of(world), targets=plans.REGIONS)))
    page = plan_comment(view, budget=10**9)
    found = changes_in(page.split("Attributes of all changes")[-1])
    assert found == {(target, name, action, held) for (target, name), (action, held) in world.items()}


@given(WORLDS, st.integers(4_000, 60_000))
@examples(40)
def test_a_comment_fits_any_budget_and_is_never_cut(
    world: dict[tuple[str, str], tuple[str, bool]], budget: int
) -> None:
    view = PlanView(plans.document_of(plans.plan_of(changes_of(world), targets=plans.REGIONS)))
    page = plan_comment(view, budget=budget, context=CommentContext("abc", "1", "https://x.example/1", "run"))
    assert len(page.encode()) <= budget
    assert page.count("<details") == page.count("</details>")
    assert page.rstrip().endswith("</sub>")
