"""The size of a comment: visible lines as well as bytes, whatever the plan has."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.change import Change, Difference, Row
from ssm_reconcile.errors import Address, Finding, Remedy, Severity
from ssm_reconcile.plan import Budget, BudgetLimit, Plan
from ssm_reconcile.renderers.comment_context import CommentContext
from ssm_reconcile.renderers.html import plan_html
from ssm_reconcile.renderers.markdown import (
    COMMENT_BUDGET,
    COMMENT_LINES,
    plan_comment,
    plan_summary,
    visible_lines,
)
from ssm_reconcile.renderers.report_markdown import report_comment
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Result
from tests.property.profiles import examples
from tests.unit.renderers import plans
from tests.unit.renderers.test_golden import CONTEXT, assert_golden

pytestmark = pytest.mark.large

TARGETS = tuple(f"team-{number:02}" for number in range(12))


def view_of(plan: Plan) -> PlanView:
    return PlanView(plans.document_of(plan))


def creates(number: int, target: str = "eu-west-1") -> list[Change]:
    return [plans.create(target, f"/shop/new-{i:03}", value=f"v{i}") for i in range(number)]


INNERMOST = re.compile(r"^<details( open)?>((?:(?!^</?details).)*)^</details>$", re.MULTILINE | re.DOTALL)


def without_folds(page: str, *, keep_open: bool) -> str:
    """Return the page without its folds; `keep_open`: only the closed ones are left out."""
    while INNERMOST.search(page):
        page = INNERMOST.sub(lambda found: found[2] if found[1] and keep_open else "", page)
    return page


def outside_of_folds(page: str) -> int:
    """Return the number of non-empty lines outside of any `<details>`."""
    return sum(bool(line.strip("> ")) for line in without_folds(page, keep_open=False).splitlines())


PAGE = """<!-- marker -->

## Title

<details open><summary>Open</summary>

```diff
- a
</details>
```
</details>

<details><summary>Closed</summary>

hidden

<details open><summary>Inside</summary>

hidden
</details>
</details>

* a reason

  ```text
  /name
  ```

end
"""


def test_the_lines_that_a_reader_sees_are_counted() -> None:
    # marker, title; fold, fence, two lines, fence; closed fold; reason, fence, name, fence; end
    assert visible_lines(PAGE) == 2 + 5 + 1 + 4 + 1


SIZES = {12: plans.twelve(), 40: plans.many(8), 400: plans.many(80), 4000: plans.many(800, deletes=300)}


def test_the_sizes_of_comments_equal_their_golden_file() -> None:
    rows = ["changes  bytes  visible lines  level"]
    for number, plan in SIZES.items():
        page = plan_comment(view_of(plan), context=CONTEXT)
        level = re.findall(r'"level":(\d)', page)[0]
        rows.append(f"{number:>7}  {len(page.encode()):>5}  {visible_lines(page):>13}  {level:>5}")
    assert_golden("sizes.txt", "\n".join(rows) + "\n")


@st.composite
def large_plans(draw: Any) -> Plan:
    """Return plans of any size, with anything that adds lines to a comment."""

    def many(most: int) -> int:
        return int(draw(st.sampled_from([0, 1, 3, most // 3, most])))

    targets = TARGETS[: draw(st.sampled_from([1, 3, 8, 9, 12]))]
    tags = {f"tag-{i}": "x" for i in range(many(30))}
    changes = [
        change
        for target in targets
        for change in (
            *(plans.delete(target, f"/gone/{target}/{i:03}") for i in range(many(66))),
            *(plans.replaced(target, f"/again/{i:03}") for i in range(many(66))),
            *(plans.create(target, f"/new/{i % 7}/{i:03}", tags=tags) for i in range(many(60))),
            *(plans.adopt(target, f"/adopt/{i:03}") for i in range(many(60))),
            *(plans.update(target, f"/up/{i:03}", Difference("value", "1", "2")) for i in range(many(40))),
        )
    ]
    held = many(len(changes))
    changes = [
        plans.withheld(one, f"guard-{i % 9}", "why") for i, one in enumerate(changes[:held])
    ] + changes[held:]
    others = [
        plans.other(target, f"/other/{i}", Row.INVALID, kind, f"reason {i}")
        for target in targets
        for kind in ("invalid", "conflict")
        for i in range(many(20))
    ]
    severity = draw(st.sampled_from([Severity.ERROR, Severity.WARNING]))
    findings = [Finding(severity, f"guard-{i % 9}", f"finding {i}", "") for i in range(many(30))]
    incomplete = targets[: many(len(targets))]
    return plans.plan_of(changes, targets=targets, others=others, findings=findings, incomplete=incomplete)


INTRO = "**Not applied**: it changed.\n\n```text\n" + "line\n" * 31 + "```"


@given(large_plans(), st.integers(0, 3), st.sampled_from(["", INTRO]), st.booleans())
@examples(12)
def test_no_comment_has_more_visible_lines_than_the_limit(
    plan: Plan, level: int, intro: str, applied: bool
) -> None:
    view = view_of(plan)
    pages = [plan_comment(view, level=level, intro=intro, context=CONTEXT)]
    if applied:
        results = (Result.FAILED, Result.STALE, Result.APPLIED)
        report = ReportView(plans.report_document_of(plans.reported(plan, results)))
        pages += [report_comment(report, view, intro=intro), report_comment(report)]
    for page in pages:
        assert outside_of_folds(page) <= visible_lines(page) <= COMMENT_LINES
        assert len(page.encode()) <= COMMENT_BUDGET
        assert page.count("<details") == page.count("\n</details>")


@given(large_plans())
@examples(5)
def test_dangerous_changes_are_in_the_open_part_of_every_comment(plan: Plan) -> None:
    view = view_of(plan)
    page = plan_comment(view)
    listed = re.findall(r"^> - /\w+/", without_folds(page, keep_open=True), re.MULTILINE)
    assert len(listed) >= min(
        30, len({(change.name, change.action, change.withheld) for change in view.dangerous})
    )


def test_sixty_lines_of_dangerous_changes_are_open_and_the_others_are_folded() -> None:
    plan = plans.plan_of([plans.delete("eu-west-1", f"/gone/{i:03}") for i in range(100)])
    page = plan_comment(view_of(plan))
    opened, rest = page.split("<details><summary><b>43 more parameters to delete</b></summary>")
    assert "> **Delete: 100**, 57 of 100 parameters here (its source is gone)\n" in opened
    assert re.findall(r"^> - /gone/(\d+)", opened, re.MULTILINE) == [f"{i:03}" for i in range(57)]
    folded = rest.split("</details>", maxsplit=1)[0]
    assert "**Delete: 100**, 43 of 100 parameters here" in folded
    assert re.findall(r"^- /gone/(\d+)", folded, re.MULTILINE) == [f"{i:03}" for i in range(57, 100)]


def test_changes_that_are_made_come_before_the_withheld_within_the_limit_of_sixty() -> None:
    page = plan_comment(view_of(dangers(50, 50)))
    listed = re.findall(r"^> - /(\w+)/", page, re.MULTILINE)
    assert listed == ["made"] * 50 + ["held"] * 4
    assert "> **Delete: 50, withheld by `frozen`**, 4 of 50 parameters here (its source is gone)\n" in page
    assert "<b>46 more parameters to delete</b>" in page


def dangers(made: int, held: int) -> Plan:
    """Return a plan of deletes that are made and of deletes that are withheld."""
    kept = [plans.withheld(plans.delete("eu-west-1", f"/held/{i:03}"), "frozen", "x") for i in range(held)]
    return plans.plan_of([*(plans.delete("eu-west-1", f"/made/{i:03}") for i in range(made)), *kept])


def test_a_withheld_change_is_open_also_where_others_take_all_lines() -> None:
    page = plan_comment(view_of(dangers(80, 20)))
    listed = re.findall(r"^> - /(\w+)/", page, re.MULTILINE)
    assert listed == ["made"] * 57 + ["held"]


def test_withheld_changes_and_others_share_the_size_of_a_comment() -> None:
    page = plan_comment(view_of(dangers(600, 600)), budget=20_000)
    assert len(page.encode()) <= 20_000
    assert "> - /made/" in page
    assert "… and 600 more parameters to delete: the saved plan lists them all." in page


def test_long_reasons_count_towards_the_size_of_a_comment() -> None:
    changes = [
        make("eu-west-1", f"/{make.__name__}/{i}/{copy}", reasons=(f"{i} {'because ' * 120}",))
        for make in (plans.delete, plans.replaced)
        for i in range(4)
        for copy in range(2)
    ]
    page = plan_comment(view_of(plans.plan_of(changes)), budget=6_000)
    assert len(page.encode()) <= 6_000
    assert "> - /delete/0/0" in page
    more = r"… and \d more parameters? to delete and 8 more parameters to replace: the saved plan"
    assert re.search(more, page)


def test_a_list_of_sixty_lines_needs_no_fold() -> None:
    plan = plans.plan_of([plans.delete("eu-west-1", f"/gone/{i:03}") for i in range(57)])
    page = plan_comment(view_of(plan))
    assert "parameters here" not in page
    assert "more parameters to delete" not in page


@pytest.mark.parametrize(("number", "folded"), [(39, False), (40, True)])
def test_attributes_are_folded_from_forty_changes_on(number: int, folded: bool) -> None:
    page = plan_comment(view_of(plans.plan_of(creates(number))))
    assert ("<details><summary><b>Attributes of all changes</b></summary>" in page) is folded
    assert "      value  v0\n" in page
    assert page.count("+ /shop/new-") >= 1


def test_a_few_changes_with_many_attributes_are_folded_too() -> None:
    tags = {f"tag-{i}": "x" for i in range(45)}
    changes = [plans.create("eu-west-1", f"/shop/{i}", tags=tags, value="1") for i in range(3)]
    changes.append(plans.update("eu-west-1", "/shop/x", *(Difference(f"a{i}", "1", "2") for i in range(120))))
    page = plan_comment(view_of(plans.plan_of(changes)))
    assert "<details><summary><b>Attributes of all changes</b></summary>" in page
    assert "      a119  1 -> 2\n" in page


def test_equal_changes_of_several_regions_are_shown_once() -> None:
    regions = ("ap-southeast-2", "eu-west-1", "us-west-2")
    changes = [plans.create(region, "/a", value="1") for region in regions[:2]]
    page = plan_comment(view_of(plans.plan_of([*changes, plans.create("us-west-2", "/a", value="2")])))
    assert (
        "+ /a  [String]  (all regions)\n"
        "      value  1  (ap-southeast-2, eu-west-1)\n"
        "      value  2  (us-west-2)\n"
    ) in page


def test_the_counts_of_more_than_eight_targets_are_folded() -> None:
    changes = [plans.create(target, "/a") for target in TARGETS]
    assert "<b>Counts of" not in plan_comment(view_of(plans.plan_of(changes[:8], targets=TARGETS[:8])))
    page = plan_comment(view_of(plans.plan_of(changes, targets=TARGETS)))
    assert "<details><summary><b>Counts of 12 regions</b></summary>\n\n| Region |" in page
    assert page.count("| `team-") == 12


def test_reasons_of_withheld_changes_beyond_the_first_are_folded() -> None:
    changes = [plans.withheld(plans.delete(one, "/a"), "max-deletes", "too many") for one in TARGETS]
    found = [Finding(Severity.WARNING, "max-deletes", f"reason of {one}", "") for one in TARGETS]
    page = plan_comment(view_of(plans.plan_of(changes, targets=TARGETS, findings=found)))
    assert "> * … and 7 more, all listed below." in page
    folded = page.split("<details><summary><b>All reasons of withheld changes</b></summary>")[1]
    assert folded.split("</details>", maxsplit=1)[0].count("* `max-deletes`: reason of") == 12


def withheld_in(number: int, count: int = 3) -> Plan:
    """Return a plan of deletes that a guard withholds in many targets, with a remedy for each."""
    targets = [f"team-{i:03}" for i in range(number)]
    changes = [plans.withheld(plans.delete(one, "/a"), "max-deletes", "too many") for one in targets]
    remedies = [Remedy("--max-deletes 3", "max-deletes", one, count, "0123456789ab") for one in targets]
    found = [
        Finding(Severity.WARNING, "max-deletes", f"reason of {one.target}", one.target, (), one)
        for one in remedies
    ]
    return plans.plan_of(changes, targets=targets, findings=found)


@pytest.mark.parametrize(("number", "folded"), [(5, False), (6, True), (36, True)])
def test_entries_that_lift_guards_are_folded_from_six_on_and_none_is_left_out(
    number: int, folded: bool
) -> None:
    page = plan_comment(view_of(withheld_in(number)))
    assert page.count("  - {guard: ") == number
    assert (f"<details><summary><b>{number} entries of the spec</b>" in page) is folded


def test_a_result_with_many_entries_that_lift_guards_has_few_visible_lines() -> None:
    view, applied = view_of(withheld_in(180)), plans.reported(withheld_in(180, count=4), (Result.WITHHELD,))
    report = ReportView(plans.report_document_of(applied))
    for page in (report_comment(report, view, intro=INTRO), report_comment(report)):
        assert page.count("  - {guard: ") >= 100
        assert "The comment on the new plan has 80 more." in page
        assert visible_lines(page) <= COMMENT_LINES


@pytest.mark.parametrize(("number", "is_open"), [(10, True), (11, False)])
def test_many_invalid_parameters_and_errors_are_folded(number: int, is_open: bool) -> None:
    state = " open" if is_open else ""
    names = [f"/big/{i}" for i in range(number)]
    others = [plans.other("eu-west-1", name, Row.INVALID, "invalid", "too large") for name in names]
    findings = [
        Finding(Severity.ERROR, "other", f"error {i}", "", (Address("eu-west-1", "/x"),))
        for i in range(number)
    ]
    page = plan_comment(view_of(plans.plan_of([], others=others, findings=findings)))
    assert f"<details{state}><summary><b>{number} invalid, not written</b>" in page
    assert f"<details{state}><summary><b>{number} findings</b>" in page


def test_an_overview_of_many_changes_has_their_paths() -> None:
    page = plan_comment(view_of(plans.plan_of(creates(21))), level=1)
    assert "<details open><summary><b>Create: 21</b></summary>\n\n```diff\n+ /shop/* × 21\n" in page
    assert "<details><summary><b>One line for each parameter</b></summary>" in page
    page = plan_comment(view_of(plans.plan_of(creates(20))), level=1)
    assert page.count("+ /shop/new-") == 20
    assert "One line for each parameter" not in page


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_comment_with_less_detail_links_to_the_saved_plan(level: int) -> None:
    page = plan_comment(view_of(plans.twelve()), level=level, context=CONTEXT)
    assert f"in the saved plan ([artifacts of the run]({CONTEXT.run_url}#artifacts))" in page
    assert "#artifacts" not in plan_comment(view_of(plans.twelve()), level=level, context=CommentContext())


def test_deletes_beyond_the_size_of_a_comment_are_counted_with_a_link() -> None:
    plan = plans.plan_of([plans.delete("eu-west-1", f"/gone/{'x' * 60}/{i:04}") for i in range(1_200)])
    page = plan_comment(view_of(plan), context=CONTEXT)
    listed = len(re.findall("^(?:> )?- /", page, re.MULTILINE))
    link = f"([artifacts of the run]({CONTEXT.run_url}#artifacts))"
    assert 60 < listed < 1_200
    assert (
        f"… and {1_200 - listed:,} more parameters to delete: the saved plan {link} lists them all." in page
    )
    assert len(page.encode()) <= COMMENT_BUDGET


def test_a_job_summary_has_no_limit_of_lines() -> None:
    page = plan_summary(view_of(plans.plan_of(creates(100))))
    assert "Attributes of all changes" not in page
    assert visible_lines(page) > COMMENT_LINES


def long_apply(number: int, seconds: float) -> Plan:
    """Return a plan of some creates, whose apply takes that time at least."""
    limit = BudgetLimit("1/eu-west-1", "PutParameter", 3.0, seconds)
    then = BudgetLimit("1/us-east-1", "ListTagsForResource", 5.0, seconds / 2, 10)
    return replace(plans.plan_of(creates(number)), budget=Budget({}, seconds, limit, then))


LONG_APPLY = (
    "Apply: 0 writes, at least 2.0 h: `PutParameter` at 3/s in `1/eu-west-1`. With higher throughput on, it"
    " takes at least 60 min: `ListTagsForResource` at 5/s. Raise the quota of `ListTagsForResource`"
    " first, then `rates: {list_tags: 10}` fits."
)


@pytest.mark.parametrize(
    ("number", "level"), [(1, 0), (39, 0), (41, 0), (41, 1), (41, 2), (41, 3), (400, 0), (400, 3)]
)
def test_a_comment_has_one_line_on_a_long_apply(number: int, level: int) -> None:
    def lines(seconds: float) -> list[str]:
        return plan_comment(view_of(long_apply(number, seconds)), level=level, context=CONTEXT).splitlines()

    assert lines(7200.0).count(LONG_APPLY) == 1
    assert not any(line.startswith("Apply: ") for line in lines(60.0))
    assert visible_lines("\n".join(lines(7200.0))) <= COMMENT_LINES


@pytest.mark.parametrize("budget", [900_000, 20_000])
def test_a_summary_has_one_line_on_a_long_apply(budget: int) -> None:
    page = plan_summary(view_of(long_apply(400, 7200.0)), budget=budget, context=CONTEXT)
    assert page.splitlines().count(LONG_APPLY) == 1


def test_a_page_has_one_line_on_a_long_apply() -> None:
    line = "<p>" + re.sub(r"`([^`]*)`", r"<code>\1</code>", LONG_APPLY) + "</p>"
    assert plan_html(view_of(long_apply(3, 7200.0))).splitlines().count(line) == 1
    assert "<p>Apply: " not in plan_html(view_of(long_apply(3, 60.0)))


def test_names_in_the_line_on_a_long_apply_are_no_markup() -> None:
    limit = BudgetLimit("<b>@team</b>\u202e", "PutParameter", 3.0, 7200.0)
    view = view_of(replace(plans.plan_of(creates(1)), budget=Budget({}, 7200.0, limit)))
    assert "in `<b>@team</b>\\u202e`." in plan_comment(view)
    assert "in <code>&lt;b&gt;@team&lt;/b&gt;\\u202e</code>." in plan_html(view)
