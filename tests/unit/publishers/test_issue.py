"""The issue on drift: opened, kept up to date, closed; whose it is, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.marked import facts_of
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers.marked_body import DriftIssues, PageResult
from ssm_reconcile.publishers.pages import failure_issue_pages, plan_issue_pages, report_issue_pages
from ssm_reconcile.renderers.comment_context import CommentContext
from ssm_reconcile.renderers.drift_issue import ISSUE_MARK
from ssm_reconcile.report import Result
from tests.github.content import Hub, Issue
from tests.unit.publishers.conftest import HEAD, SPEC, renamed
from tests.unit.renderers import plans

RUN_URL = "https://github.com/acme/params/actions/runs/1"
Look: TypeAlias = Callable[..., list[tuple[str, PageResult]]]


@pytest.fixture
def look(github: GitHub) -> Look:
    """A scheduled run that has found a plan."""

    def run(plan: Plan, *, spec: str = SPEC) -> list[tuple[str, PageResult]]:
        document = plans.document_of(plan)
        return issues(github, spec).publish(lambda _: plan_issue_pages(document))

    return run


def issues(github: GitHub, spec: str = SPEC) -> DriftIssues:
    return DriftIssues(github, spec, CommentContext(HEAD, "1", RUN_URL, "SSM apply #1", promise=False))


def opened(hub: Hub) -> list[Issue]:
    return [issue for issue in hub.issues if issue.state == "open"]


def drifting(name: str = "/shop/a") -> Plan:
    return plans.plan_of([plans.create("eu-west-1", name)])


def edited() -> Plan:
    """The same drift, and a replica that another user changed."""
    bob = "arn:aws:iam::123456789012:user/bob"
    change = replace(plans.update("eu-west-1", "/shop/b"), changed_outside=True, writer=bob)
    return plans.plan_of([plans.create("eu-west-1", "/shop/a"), change])


def test_drift_opens_one_issue_that_the_next_run_keeps_up_to_date(hub: Hub, look: Look) -> None:
    assert look(drifting("/shop/a")) == [("prod", PageResult.CREATED)]
    assert look(drifting("/shop/b")) == [("prod", PageResult.EDITED)]
    (issue,) = hub.issues
    assert issue.title == "SSM drift of prod: 1 change"
    assert "/shop/b" in issue.body
    assert "/shop/a" not in issue.body
    assert not hub.comments


def test_the_same_drift_again_does_not_edit_the_issue(hub: Hub, look: Look) -> None:
    look(drifting())
    assert look(drifting()) == [("prod", PageResult.UNCHANGED)]
    assert hub.issues[0].edits == 0


def test_it_is_closed_with_a_word_by_the_first_run_that_finds_nothing(hub: Hub, look: Look) -> None:
    look(drifting())
    assert look(plans.in_sync()) == [("prod", PageResult.CLOSED)]
    (issue,) = hub.issues
    assert (issue.state, issue.reason) == ("closed", "completed")
    (comment,) = hub.comments
    assert "The targets are in sync" in comment.body
    assert RUN_URL in comment.body
    assert look(plans.in_sync()) == [("prod", PageResult.NOTHING)]


def test_new_drift_after_that_is_a_new_issue(hub: Hub, look: Look) -> None:
    look(drifting())
    look(plans.in_sync())
    assert look(drifting()) == [("prod", PageResult.CREATED)]
    assert [issue.state for issue in hub.issues] == ["closed", "open"]


def test_replicas_that_wait_for_their_deletion_open_no_issue(hub: Hub, look: Look) -> None:
    waiting = plans.other("eu-west-1", "/shop/a", Row.EXPIRING, "expiring", "its source is gone")
    assert look(plans.plan_of([], others=[waiting])) == [("prod", PageResult.NOTHING)]
    look(drifting())
    assert look(plans.plan_of([], others=[waiting])) == [("prod", PageResult.CLOSED)]


EXPIRED = Finding(Severity.ERROR, "hold-expired", "the hold on `/shop/*` expired", "replication.yaml:7:9")


def test_an_expired_hold_alone_opens_an_issue_that_does_not_claim_drift(hub: Hub, look: Look) -> None:
    assert look(plans.plan_of([], findings=[EXPIRED])) == [("prod", PageResult.CREATED)]
    (issue,) = hub.issues
    assert issue.title == "SSM drift of prod: a hold has expired"
    assert "A hold of the spec has expired" in issue.body
    assert "replication.yaml:7:9" in issue.body
    assert "differ from the spec." not in issue.body
    assert "Two ways forward" not in issue.body
    look(plans.plan_of([plans.create("eu-west-1", "/a")], findings=[EXPIRED]))
    assert issue.title == "SSM drift of prod: 1 change, a hold has expired"
    assert "differ from the spec. A hold of the spec has expired" in issue.body
    assert look(plans.in_sync()) == [("prod", PageResult.CLOSED)]


def test_an_apply_that_did_all_but_an_expired_hold_keeps_the_issue_open(hub: Hub, github: GitHub) -> None:
    plan = plans.plan_of([plans.create("eu-west-1", "/a")], findings=[EXPIRED])
    report = plans.report_document_of(plans.reported(plan))
    assert issues(github).publish(lambda _: report_issue_pages(report)) == [("prod", PageResult.CREATED)]
    (issue,) = hub.issues
    assert issue.title == "SSM drift of prod: a hold has expired"
    assert "did not apply all changes" not in issue.body
    assert "A hold of the spec has expired" in issue.body


def test_without_drift_no_issue_is_opened(hub: Hub, look: Look) -> None:
    assert look(plans.in_sync()) == [("prod", PageResult.NOTHING)]
    assert not hub.issues


def test_the_issue_names_changes_outside_and_the_two_ways_forward(hub: Hub, look: Look) -> None:
    look(plans.twelve())
    (issue,) = hub.issues
    assert issue.title == "SSM drift of prod: 12 changes, 3 conflicts, 1 invalid"
    outside = issue.body.split("### Changed outside ssm-reconcile")[1].split("###")[0]
    assert "/shop/prod/legacy/token  (eu-west-1): version 4" in outside
    assert "by user bob, outside ssm-reconcile" in outside
    assert "ap-southeast-2" not in outside
    ways = issue.body.split("### Two ways forward")[1]
    assert "1. **Keep the values of the targets.**" in ways
    assert "2. **Restore the values of the spec.**" in ways
    assert "--overwrite-outside" in ways
    assert "## SSM plan for `prod`: 12 changes in 3 regions" in ways
    assert "Applied on merge" not in issue.body


def test_an_issue_that_gets_worse_gets_a_comment_because_an_edit_sends_no_notification(
    hub: Hub, look: Look
) -> None:
    look(drifting())
    assert look(edited()) == [("prod", PageResult.EDITED)]
    (comment,) = hub.comments
    assert comment.number == hub.issues[0].number
    assert comment.body.startswith("More drift: 2 changes, found in [")
    look(edited())
    assert len(hub.comments) == 1


def test_an_issue_by_another_author_is_never_changed(hub: Hub, look: Look) -> None:
    look(drifting())
    planted = hub.open("mine", hub.issues[0].body, author="mallory")
    assert look(plans.in_sync()) == [("prod", PageResult.CLOSED)]
    assert planted.state == "open"
    assert planted.edits == 0


def test_pull_requests_and_issues_of_other_specs_are_not_used(hub: Hub, look: Look) -> None:
    look(drifting(), spec="other.yaml")
    hub.open("a pull request", hub.issues[0].body.replace("other.yaml", SPEC), is_pull=True)
    assert look(drifting()) == [("prod", PageResult.CREATED)]
    assert [issue.edits for issue in hub.issues] == [0, 0, 0]


def test_an_issue_on_a_later_page_is_found(hub: Hub, look: Look) -> None:
    for number in range(230):
        hub.open(f"something else {number}", "text")
    look(drifting())
    assert look(plans.in_sync()) == [("prod", PageResult.CLOSED)]


@pytest.mark.parametrize("count", [100, 101])
def test_every_own_issue_is_found_on_all_pages(hub: Hub, look: Look, count: int) -> None:
    look(drifting())
    for _ in range(count - 1):
        hub.open(hub.issues[0].title, hub.issues[0].body)
    hub.requests.clear()
    assert look(plans.in_sync()) == [("prod", PageResult.CLOSED)]
    assert opened(hub) == []
    sizes = [len(one.body["variables"]["ids"]) for one in hub.asked("POST", "graphql")]
    assert sum(sizes) == count
    assert max(sizes) <= 100, "GraphQL takes no more node ids in one query"


def test_each_replication_has_its_issue_and_that_of_a_removed_one_is_closed(hub: Hub, github: GitHub) -> None:
    both = [*plan_issue_pages(plans.document_of(drifting()))]
    both += plan_issue_pages(plans.document_of(renamed(drifting(), "dev")))
    issues(github).publish(lambda _: both)
    assert [issue.title.split(":")[0] for issue in hub.issues] == ["SSM drift of prod", "SSM drift of dev"]
    result = issues(github).publish(lambda _: both[:1])
    assert result == [("prod", PageResult.UNCHANGED), ("dev", PageResult.CLOSED)]
    assert hub.issues[1].reason == "not_planned"
    assert "was removed from the spec" in hub.comments[0].body


def test_a_run_without_a_plan_opens_an_issue_and_closes_none(hub: Hub, github: GitHub, look: Look) -> None:
    look(drifting())
    issues(github).publish(lambda known: failure_issue_pages(known or [""], "AccessDenied on `x` @team"))
    (issue,) = hub.issues
    assert issue.title == "SSM drift of prod: the run made no plan"
    assert "```text\nAccessDenied on `x` @team\n```" in issue.body
    assert look(plans.in_sync()) == [("prod", PageResult.CLOSED)]


def test_an_issue_without_names_is_closed_when_names_are_known(hub: Hub, github: GitHub, look: Look) -> None:
    issues(github).publish(lambda known: failure_issue_pages(known or [""], "no credentials"))
    assert hub.issues[0].title == "SSM drift of the spec: the run made no plan"
    assert look(drifting()) == [("prod", PageResult.CREATED), ("", PageResult.CLOSED)]
    assert [issue.title for issue in opened(hub)] == ["SSM drift of prod: 1 change"]


def test_the_issue_on_an_incomplete_apply_stays_open_until_nothing_remains(hub: Hub, github: GitHub) -> None:
    left = plans.report_document_of(plans.reported(drifting(), [Result.FAILED]))
    issues(github).publish(lambda _: report_issue_pages(left))
    (issue,) = hub.issues
    assert issue.title == "SSM drift of prod: 1 failed"
    assert "/shop/a" in issue.body
    done = plans.report_document_of(plans.reported(drifting()))
    assert issues(github).publish(lambda _: report_issue_pages(done)) == [("prod", PageResult.CLOSED)]


def test_a_lost_answer_does_not_open_a_second_issue(hub: Hub, look: Look) -> None:
    hub.fail("POST", "/issues$", 502, done=True)
    assert look(drifting()) == [("prod", PageResult.CREATED)]
    assert len(hub.issues) == 1


def test_an_issue_that_was_not_opened_is_opened_again(hub: Hub, look: Look) -> None:
    hub.fail("POST", "/issues$", 502)
    assert look(drifting()) == [("prod", PageResult.CREATED)]
    assert len(hub.issues) == 1
    assert len(hub.asked("POST", "/issues$")) == 2


def test_an_issue_that_cannot_be_opened_is_given_up(hub: Hub, look: Look) -> None:
    hub.fail("POST", "/issues$", 502, times=10)
    with pytest.raises(GitHubError) as caught:
        look(drifting())
    assert caught.value.kind is Kind.LOST
    assert len(hub.asked("POST", "/issues$")) == 3


def test_two_that_were_opened_at_once_become_one(hub: Hub, look: Look) -> None:
    look(drifting())
    hub.open("SSM drift of prod: 1 change", hub.issues[0].body)
    look(drifting())
    assert [issue.state for issue in hub.issues] == ["open", "closed"]


def test_a_long_one_is_shortened_where_github_refuses_it(hub: Hub, look: Look) -> None:
    hub.longest = 40_000
    look(plans.plan_of([plans.create("eu-west-1", f"/shop/{'long/' * 20}{number}") for number in range(350)]))
    (issue,) = hub.issues
    assert len(hub.asked("POST", "/issues$")) == 2
    assert len(issue.body.encode()) <= 30_000


def test_its_marker_is_not_that_of_a_comment(hub: Hub, look: Look) -> None:
    look(drifting())
    assert facts_of(hub.issues[0].body) is None
    facts = facts_of(hub.issues[0].body, ISSUE_MARK)
    assert facts is not None
    assert facts["spec"] == SPEC


def test_a_token_that_may_not_write_issues_says_so(hub: Hub, look: Look) -> None:
    hub.denied.add("issues")
    with pytest.raises(GitHubError) as caught:
        look(drifting())
    assert caught.value.kind is Kind.DENIED
