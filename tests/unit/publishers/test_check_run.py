"""The check run of a plan: conclusion, title, summary, commit."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_reconcile.change import Difference, Row
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers.check_run import (
    SUMMARY_LIMIT,
    check_title,
    create_check_run,
    failure_check,
    plan_check,
)
from ssm_reconcile.renderers.comment_context import CommentContext
from ssm_reconcile.renderers.markdown import plan_comment
from ssm_reconcile.renderers.view import PlanView
from tests.github.content import Hub
from tests.unit.publishers.conftest import HEAD, TOKEN
from tests.unit.renderers import plans

URL = "https://github.com/acme/params/actions/runs/19822345678"
CONTEXT = CommentContext(HEAD, "19822345678", URL, "SSM plan #214")
CONFLICT = plans.other("eu-west-1", "/a", Row.CONFLICT, "conflict", "it is not a replica")
INVALID = plans.other("eu-west-1", "/b", Row.INVALID, "invalid", "too large")
EXPIRED = Finding(Severity.ERROR, "hold-expired", "the hold expired")


def withheld_deletes() -> Plan:
    changes = [plans.withheld(plans.delete("eu-west-1", f"/a/{i}"), "max-deletes", "many") for i in range(3)]
    return plans.plan_of([*changes, plans.create("eu-west-1", "/b")])


@pytest.mark.parametrize(
    ("plan", "title"),
    [
        (plans.plan_of([]), "No changes"),
        (plans.plan_of([], others=[CONFLICT]), "1 conflict, no changes"),
        (plans.plan_of([plans.create("eu-west-1", "/a")]), "1 change"),
        (
            plans.plan_of([plans.create("eu-west-1", "/a")], others=[CONFLICT, INVALID]),
            "1 change, 1 conflict, 1 invalid",
        ),
        (plans.twelve(), "2 deletes, 1 replacement of 12 changes, 3 conflicts, 1 invalid"),
        (
            plans.plan_of([plans.taken_over("eu-west-1", "/a"), plans.release("eu-west-1", "/b")]),
            "1 take-over, 1 release of 2 changes",
        ),
        (withheld_deletes(), "3 deletes of 4 changes, 3 withheld"),
        (plans.plan_of([], incomplete=["eu-west-1"]), "No changes, incomplete"),
        (plans.plan_of([], findings=[EXPIRED]), "No changes, a hold has expired"),
    ],
)
def test_the_title_has_the_danger_first(plan: Plan, title: str) -> None:
    assert check_title(PlanView(plans.document_of(plan))) == title


@pytest.mark.parametrize(
    ("plan", "code", "is_success"),
    [
        (plans.in_sync(), 0, True),
        (plans.many(3), 2, True),
        (plans.many(3), 3, False),
        (plans.in_sync(), 1, False),
        (plans.in_sync(), 64, False),
        (plans.many(3), None, True),
        (plans.plan_of([], others=[INVALID]), None, False),
        (plans.plan_of([], incomplete=["eu-west-1"]), None, False),
        (plans.plan_of([], others=[CONFLICT]), None, True),
        (plans.plan_of([], findings=[EXPIRED]), None, False),
    ],
)
def test_the_conclusion_follows_the_exit_code_of_the_plan(
    plan: Plan, code: int | None, is_success: bool
) -> None:
    assert plan_check("SSM plan", plans.document_of(plan), code, CONTEXT).is_success is is_success


@pytest.mark.large
@pytest.mark.parametrize("parameters", [3, 800])
def test_the_summary_is_the_plan_within_the_limit(parameters: int) -> None:
    check = plan_check("SSM plan", plans.document_of(plans.many(parameters)), 0, CONTEXT)
    assert len(check.summary) <= SUMMARY_LIMIT
    assert check.summary.startswith("## SSM plan for `prod`: ")
    assert plans.name_at(0) in check.summary


@pytest.mark.large
def test_a_summary_of_long_letters_is_within_the_limit() -> None:
    value = Difference("value", "é" * 100, "ü" * 100)
    changes = [plans.update("eu-west-1", f"/a/{number}", value) for number in range(600)]
    check = plan_check("SSM plan", plans.document_of(plans.plan_of(changes)), 0, CONTEXT)
    assert 20_000 < len(check.summary) <= SUMMARY_LIMIT


def test_a_summary_that_has_at_most_65535_bytes_with_its_marker_is_whole() -> None:
    document = plans.document_of(
        plans.plan_of([plans.create("eu-west-1", f"/a/{number}/{'x' * 900}") for number in range(67)])
    )

    def context(length: int) -> CommentContext:
        return CommentContext(HEAD, "1", URL, "a" * length)

    def size(length: int) -> int:
        return len(plan_comment(PlanView(document), budget=10**6, context=context(length)).encode())

    length = 65_535 - size(1) + 1
    assert size(length) == 65_535
    assert "Too long" not in plan_check("SSM plan", document, 0, context(length)).summary
    assert "Too long" in plan_check("SSM plan", document, 0, context(length + 1)).summary


def test_a_check_run_is_on_the_commit_of_the_plan_and_links_to_the_run(hub: Hub, github: GitHub) -> None:
    create_check_run(github, plan_check("SSM plan", plans.document_of(plans.twelve()), 3, CONTEXT), CONTEXT)
    (check,) = hub.check_runs
    expected: dict[str, Any] = {
        "name": "SSM plan", "head_sha": HEAD, "status": "completed", "conclusion": "failure",
        "details_url": URL,
    }  # fmt: skip
    assert expected.items() <= check.items()
    assert check["output"]["title"].startswith("2 deletes, 1 replacement of 12 changes")
    assert "Applied on merge only as it is shown here" in check["output"]["summary"]
    assert f"made in [SSM plan &#35;214]({URL})" in check["output"]["summary"]


def test_a_failure_is_a_failed_check_with_its_reason(hub: Hub, github: GitHub) -> None:
    create_check_run(github, failure_check("SSM plan", ["prod"], "AccessDenied: @team", CONTEXT), CONTEXT)
    (check,) = hub.check_runs
    assert (check["conclusion"], check["output"]["title"]) == ("failure", "No plan was made")
    assert "```text\nAccessDenied: @team\n```" in check["output"]["summary"]


def test_a_token_without_checks_write_is_denied(hub: Hub, github: GitHub) -> None:
    hub.restrict(TOKEN, {"pull-requests": "write"})
    with pytest.raises(GitHubError) as caught:
        create_check_run(github, failure_check("SSM plan", [], "x", CONTEXT), CONTEXT)
    assert caught.value.kind is Kind.DENIED
    assert not hub.check_runs
