"""The text of the issue on drift: its title, its first paragraphs, and its comments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.comment_context import CommentContext, marker_line, without_marker
from ssm_reconcile.renderers.danger import danger_of
from ssm_reconcile.renderers.drift_issue import (
    ISSUE_MARK,
    closing_comment,
    failure_issue,
    growth_comment,
    issue_title,
    plan_differences,
    plan_issue,
    report_differences,
    report_issue,
)
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Remaining, Result
from tests.unit.renderers import plans

HERE = "eu-west-1"
EXPIRED = Finding(Severity.ERROR, "hold-expired", "the hold on `/shop/*` expired", "replication.yaml:7:9")
CONTEXT = CommentContext("3f9c2ab" + "0" * 33, "1", "https://ci.example/1", "SSM apply #1", promise=False)
LINK = "[SSM apply &#35;1](https://ci.example/1)"
HOLD = (
    "A hold of the spec has expired, and still stops every change of its parameters: extend `until`, or"
    " remove the entry. The finding below has its line."
)
CLOSES = "Scheduled runs keep this issue up to date, and the first run that finds no difference closes it."


def view_of(plan: Plan) -> PlanView:
    return PlanView(plans.document_of(plan))


def left(*counted: Row) -> Plan:
    others = [plans.other(HERE, f"/o/{row.value}", row, row.value, "because") for row in counted]
    return plans.plan_of([], others=others)


def test_the_title_is_one_short_line() -> None:
    assert issue_title(["prod", "dev"], "1\nchange") == "SSM drift of prod and dev: 1\\u000achange"
    assert issue_title([], "1 change") == "SSM drift of the spec: 1 change"
    assert issue_title(list("abcd"), "x") == "SSM drift of a, b, c and 1 more: x"
    assert issue_title(["prod"], "x" * 300) == f"SSM drift of prod: {'x' * 181}…"


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        (plans.plan_of([]), ""),
        (plans.plan_of([plans.create(HERE, "/a")]), "1 change"),
        (plans.plan_of([], incomplete=[HERE]), "a place could not be listed"),
        (plans.plan_of([], findings=[EXPIRED]), "a hold has expired"),
        (plans.plan_of([plans.create(HERE, "/a")], incomplete=["b"], targets=[HERE, "b"]),
         "a place could not be listed, 1 change"),
        (left(Row.CONFLICT, Row.INVALID, Row.EXPIRING), "1 conflict, 1 invalid"),
        (plans.plan_of([], others=[plans.other(HERE, "/a", Row.CONFLICT, "detached", "why")]), "1 detached"),
    ],
)  # fmt: skip
def test_differences_of_a_plan_open_an_issue(plan: Plan, found: str) -> None:
    assert plan_differences(view_of(plan)) == found


def test_differences_of_an_apply_are_all_that_it_did_not_do() -> None:
    changes = [plans.create(HERE, f"/a/{number}") for number in range(3)]
    others = [plans.other(HERE, "/c", Row.CONFLICT, "conflict", "why")]
    plan = plans.plan_of(changes, others=others, findings=[EXPIRED], incomplete=["us-west-2"])
    report = plans.reported(plan, [Result.FAILED, Result.APPLIED, Result.APPLIED])
    gone = [Remaining("prod", HERE, f"/g/{number}", "new") for number in range(2)]
    document = plans.report_document_of(replace(report, remaining=(*report.remaining, *gone)))
    assert report_differences(ReportView(document)) == (
        "a place could not be listed, 1 failed, 2 still different, 1 conflict, a hold has expired"
    )
    whole = plans.reported(plans.plan_of(changes))
    assert not report_differences(ReportView(plans.report_document_of(whole)))


WAYS = """\
### Two ways forward

1. **Keep the values of the targets.** Make the same change at the source, and the next run finds no\
 difference. For a permanent difference, put the `skip_sync` tag on the parameter in the target, or exclude\
 its name in the spec.
2. **Restore the values of the spec.** Run the workflow by hand with mode `apply`, or run\
 `{command}`. A parameter that was changed outside ssm-reconcile is overwritten only with\
 `--overwrite-outside`. A change that a guard withholds stays as it is: its reason is below.

"""


def test_an_issue_has_the_changes_outside_above_the_ways_forward_and_the_plan() -> None:
    bob = "arn:aws:iam::123456789012:user/bob"
    outside = [
        replace(plans.update(HERE, f"/o/{number:02}", reasons=("edited",)), changed_outside=True, writer=bob)
        for number in range(52)
    ]
    view = view_of(plans.plan_of([plans.create(HERE, "/a"), plans.delete(HERE, "/b"), *outside]))
    body = plan_issue(view, context=replace(CONTEXT, command="ssm-reconcile apply --x"), budget=60_000)
    keys = [(HERE, "/b", "delete"), *((HERE, f"/o/{number:02}", "update") for number in range(52))]
    marker = marker_line(
        ["prod"],
        view.plan_id,
        CONTEXT,
        danger=danger_of(["prod"], 53, keys),
        state="54 changes",
        mark=ISSUE_MARK,
    )
    above, rest = body.split("### Changed outside ssm-reconcile\n\n```text\n")
    assert above == f"{marker}\nThe targets of `prod` differ from the spec. {CLOSES}\n\n"
    listed, rest = rest.split("\n```\n\n", 1)
    lines = listed.split("\n")
    assert len(lines) == 51
    assert lines[0] == (
        "/o/00  (eu-west-1): version 1, last changed 2026-11-02 08:00 UTC by user bob, outside ssm-reconcile"
    )
    assert lines[50] == "... and 2 more"
    assert rest.startswith(WAYS.format(command="ssm-reconcile apply --x") + "## SSM plan for `prod`")


def test_an_expired_hold_is_named_with_and_without_differences() -> None:
    change = [plans.create(HERE, "/a")]
    alone, both = (view_of(plans.plan_of(made, findings=[EXPIRED])) for made in ([], change))
    body = without_marker(plan_issue(alone, context=CONTEXT, budget=60_000))
    assert body.startswith(f"{HOLD} {CLOSES}\n\n## SSM plan")
    body = without_marker(plan_issue(both, context=CONTEXT, budget=60_000))
    assert body.startswith(
        f"The targets of `prod` differ from the spec. {HOLD} {CLOSES}\n\n"
        + WAYS.format(command="ssm-reconcile apply")
    )


def test_an_issue_on_an_apply_has_the_ways_forward_only_where_changes_are_left() -> None:
    plan = plans.plan_of([plans.create(HERE, "/a")], findings=[EXPIRED])
    failed, done = (
        ReportView(plans.report_document_of(plans.reported(plan, [result])))
        for result in (Result.FAILED, Result.APPLIED)
    )
    closes = CLOSES.replace("that finds no difference", "after which nothing remains")
    body = report_issue(failed, context=CONTEXT, budget=60_000)
    state = "1 failed, a hold has expired"
    marker = marker_line(["prod"], plan.plan_id, CONTEXT, danger=failed.danger, state=state, mark=ISSUE_MARK)
    assert body.startswith(
        f"{marker}\nThe last apply of `prod` did not apply all changes. {HOLD} {closes}\n\n"
        + WAYS.format(command="ssm-reconcile apply")
        + "## SSM apply for `prod`"
    )
    body = without_marker(report_issue(done, context=CONTEXT, budget=60_000))
    assert body.startswith(f"{HOLD} {closes}\n\n## SSM apply for `prod`")


def test_an_issue_has_at_most_its_size_and_names_its_run() -> None:
    plan = plans.plan_of([plans.create(HERE, f"/a/{'long/' * 40}{number:03}") for number in range(60)])
    report = ReportView(plans.report_document_of(plans.reported(plan, [Result.FAILED])))
    issues: list[Callable[[int], str]] = [
        lambda budget: plan_issue(view_of(plan), context=CONTEXT, budget=budget),
        lambda budget: report_issue(report, context=CONTEXT, budget=budget),
    ]
    for issue in issues:
        whole = issue(60_000)
        assert f"for `3f9c2ab`, made in {LINK}." in whole
        assert len(issue(len(whole.encode()) - 1).encode()) < len(whole.encode())


def test_a_run_without_a_plan_says_that_drift_is_unknown() -> None:
    reason = "no credentials" + "!" * 600
    marker = marker_line(["prod"], "", CONTEXT, state=f"failed: {reason}"[:500], mark=ISSUE_MARK)
    unknown = ", so it is unknown whether the targets differ from the spec."
    assert failure_issue(["prod"], reason, context=CONTEXT) == (
        f"{marker}\nThe last run made no plan for `prod`{unknown}\n\n"
        f"```text\n{reason}\n```\n\nFound in {LINK}.\n"
    )
    text = without_marker(failure_issue([""], "no", context=CommentContext()))
    assert text == f"The last run made no plan for the spec{unknown}\n\n```text\nno\n```"


def test_comments_on_more_drift_and_on_its_end() -> None:
    nothing = CommentContext()
    note = "The description above is up to date.\n"
    assert growth_comment("2 changes", CONTEXT) == f"More drift: 2 changes, found in {LINK}. {note}"
    assert growth_comment("2 changes", nothing) == f"More drift: 2 changes. {note}"
    assert closing_comment(CONTEXT, gone=False) == (
        f"The targets are in sync at `3f9c2ab`, according to {LINK}.\n"
    )
    assert closing_comment(nothing, gone=True) == "The replication was removed from the spec.\n"
