"""The facts that each output of a report has: text, Markdown and HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Change, Difference, Row, Update
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.plan import Mode, Narrowing, Plan
from ssm_reconcile.renderers.comment_context import NO_CONTEXT
from ssm_reconcile.renderers.drift_issue import report_issue
from ssm_reconcile.renderers.html import plan_html, report_html
from ssm_reconcile.renderers.markdown import plan_comment, plan_summary
from ssm_reconcile.renderers.report_markdown import report_comment, report_summary
from ssm_reconcile.renderers.report_text import report_text
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Outcome, Report, Result
from tests.unit.renderers import plans, shapes

HERE = "eu-west-1"
OUTPUTS: dict[str, Callable[[ReportView], str]] = {
    "text": report_text,
    "comment": report_comment,
    "summary": report_summary,
    "issue": lambda view: report_issue(view, context=NO_CONTEXT, budget=60_000),
    "html": report_html,
}
every_output = pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)


def applied(plan: Plan) -> ReportView:
    outcomes = tuple(Outcome(change, Result.APPLIED) for change in plan.changes)
    return ReportView(plans.report_document_of(Report(plan, outcomes)))


def exposed(name: str) -> Change:
    kinds = Difference("type", "SecureString", "String")
    return plans.update(HERE, name, kinds, plans.secret(), exposes=True)


def taken_over(name: str) -> Change:
    change = plans.update(HERE, name, Difference("value", "1", "2"))
    assert isinstance(change.effect, Update)
    return replace(change, effect=replace(change.effect, takes_over=True))


@every_output
def test_a_report_says_that_places_are_incomplete_and_how_its_plan_was_made(
    output: Callable[[ReportView], str],
) -> None:
    plan = plans.plan_of(
        [plans.create("us-west-2", "/a")],
        incomplete=(HERE,),
        source_complete=False,
        narrowing=Narrowing(only=("/a/**",)),
        mode=Mode.NO_DECRYPT,
    )
    page = " ".join(output(applied(plan)).replace("`", "").replace("**", "").split())
    assert "123456789012/us-east-1 was not listed completely. No delete is planned." in page
    assert "eu-west-1 was not listed completely. Nothing is planned there." in page
    assert "Narrowed to --only /a/" in page
    assert "SecureString values were not compared." in page


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("expose", exposed("/x/secret")),
        ("take over", taken_over("/x/theirs")),
        ("release", plans.release(HERE, "/x/old")),
    ],
)
def test_a_dangerous_change_is_named_by_its_kind_among_many_applied_ones(word: str, change: Change) -> None:
    updates = [plans.update(HERE, f"/u/{i}", Difference("value", "1", "2")) for i in range(60)]
    others = [plans.update(HERE, f"/x/{i}", Difference("value", "1", "2")) for i in range(60)]
    report = applied(plans.plan_of([change, *updates, *others], targets=[HERE]))
    lines = [" ".join(line.split()) for line in report_text(report).splitlines()]
    assert f"· {word} {change.name} {HERE}" in lines
    assert f"\n{word} {change.name}\n" in report_comment(report)
    assert f">{word}</span>" in report_html(report)


def test_forty_exposed_secrets_are_all_named_in_a_comment() -> None:
    report = applied(plans.plan_of([exposed(f"/x/{i}") for i in range(40)], targets=[HERE]))
    comment = report_comment(report)
    assert all(f"\nexpose /x/{i}\n" in comment for i in range(40))


def test_a_report_of_an_earlier_version_names_the_action() -> None:
    plan = plans.plan_of([exposed("/x")], targets=[HERE])
    document: Any = plans.report_document_of(Report(plan, (Outcome(plan.changes[0], Result.APPLIED),)))
    assert document["outcomes"][0].pop("exposes")
    assert "· update   /x" in report_text(ReportView(document))


def test_the_title_of_the_page_is_not_repeated_below_it() -> None:
    page = report_html(applied(plans.twelve()))
    assert page.count("pplied 12 of 12 changes") == 2  # in <title> and <h1>


@pytest.mark.parametrize(
    ("plan", "results", "lead"),
    [
        (plans.plan_of([plans.create(HERE, "/a")]), (Result.APPLIED,), ""),
        (plans.twelve(), (Result.APPLIED,), "3 conflicts, 1 invalid."),
        (
            plans.twelve(),
            (Result.APPLIED, Result.FAILED, Result.STALE),
            "4 failed, 4 stale, 3 conflicts, 1 invalid.",
        ),
    ],
)
def test_the_page_of_a_report_counts_the_addresses_that_differ_from_the_spec(
    plan: Plan, results: tuple[Result, ...], lead: str
) -> None:
    page = report_html(ReportView(plans.report_document_of(plans.reported(plan, results))))
    assert f'<p class="lead">{lead}</p>' in page


def test_the_page_of_a_report_counts_the_results_of_each_target() -> None:
    plan = plans.plan_of(
        [plans.create(target, name) for target in (HERE, "us-west-2") for name in ("/a", "/b")]
    )
    results = (Result.APPLIED, Result.FAILED, Result.APPLIED, Result.APPLIED)
    outcomes = tuple(map(Outcome, plan.changes, results))
    page = report_html(ReportView(plans.report_document_of(Report(plan, outcomes))))
    rows = re.findall(r"<code>([a-z0-9-]+)</code></th>(.*?)</tr>", page)
    assert {target: re.findall(r'data-w="(.*?)">(.*?)</td>', cells) for target, cells in rows} == {
        "ap-southeast-2": [],
        HERE: [("applied", "1"), ("failed", "<b>1</b>")],
        "us-west-2": [("applied", "2")],
    }


def guarded_report() -> ReportView:
    plan = shapes.guarded_plan()
    outcomes = [
        Outcome(change, Result.WITHHELD, "; ".join(f"{hold.guard}: {hold.why}" for hold in change.withheld))
        if change.withheld
        else Outcome(change, Result.APPLIED)
        for change in plan.changes
    ]
    return ReportView(plans.report_document_of(Report(plan, tuple(outcomes))))


def test_no_output_says_a_sentence_or_a_flag_of_a_guard_twice() -> None:
    view, report = PlanView(plans.document_of(shapes.guarded_plan())), guarded_report()
    texts = [plan_text(view, width=200), plan_comment(view), plan_html(view), report_comment(report)]
    for page in (*texts, report_html(report)):
        assert page.count("Bring the change to the source") == 1
    for page in (plan_html(view), report_html(report)):
        assert page.count("If meant: <code>--overwrite-outside</code>") == 1


def test_the_page_of_a_report_says_once_why_changes_are_withheld() -> None:
    page = report_html(guarded_report())
    assert page.count("12 to delete or replace in eu-west-1 are more than 5") == 1
    assert '<span class="label">withheld by max-deletes</span>' in page


def test_a_summary_leaves_out_the_block_that_is_too_large_and_limits_the_reasons() -> None:
    changes = [
        plans.withheld(plans.create(HERE, f"/{i}"), "frozen", f"reason {i} {'because ' * 20}")
        for i in range(1_000)
    ]
    page = plan_summary(PlanView(plans.document_of(plans.plan_of(changes, targets=[HERE]))), budget=50_000)
    assert 17_000 < len(page.encode()) <= 50_000
    assert "* … and 900 more, all in the saved plan." in page
    assert "the first 100 listed below" in page


def test_a_report_of_many_findings_and_causes_is_limited_and_counts_the_others() -> None:
    found = [Finding(Severity.WARNING, "plain-secret", f"/shop/{i} looks secret") for i in range(1_000)]
    others = [plans.other(HERE, f"/o/{i}", Row.CONFLICT, "conflict", f"reason {i}") for i in range(1_000)]
    plan = plans.plan_of([plans.create(HERE, f"/{i}") for i in range(100)], findings=found, others=others)
    outcomes = tuple(
        Outcome(change, Result.FAILED, f"cause {number}") for number, change in enumerate(plan.changes)
    )
    text = report_text(ReportView(plans.report_document_of(Report(plan, outcomes))), width=100)
    assert len(text.splitlines()) < 200
    for line in ("980 more reasons", "60 more causes", "980 more findings"):
        assert f"... and {line}" in text
    assert "Not all is listed here: `--out FILE` and `--format json` have the whole report." in text
