"""A comment that GitHub refuses to change: the other way is taken, or the run fails; locked pull requests."""

from __future__ import annotations

import pytest

from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers.marked_body import OutdatedCommentError, PageResult, PullRequestComments
from ssm_reconcile.publishers.pages import Page, failure_pages, plan_pages
from tests.github.content import Hub
from tests.unit.publishers.conftest import NUMBER, SPEC, Publish, renamed
from tests.unit.renderers import plans


def plan(name: str = "on", *deletes: str) -> Plan:
    gone = [plans.delete("eu-west-1", name) for name in deletes]
    return plans.plan_of([plans.create("eu-west-1", f"/shop/{name}"), *gone])


def two_pages() -> list[Page]:
    both = (plan(), renamed(plan("off"), "staging"))
    return [page for one in both for page in plan_pages(plans.document_of(one))]


@pytest.mark.parametrize("status", [403, 404, 422])
def test_an_edit_that_is_refused_becomes_a_new_comment(hub: Hub, publish: Publish, status: int) -> None:
    publish(plan("on"))
    hub.fail("PATCH", "comments/", status)
    assert publish(plan("off")) == [("prod", PageResult.REPOSTED)]
    assert [bool(comment.minimized) for comment in hub.comments] == [True, False]
    assert "off" in hub.comments[1].body


def test_a_new_comment_that_is_refused_becomes_an_edit(hub: Hub, publish: Publish) -> None:
    publish(plan())
    hub.fail("POST", "comments$", 403)
    assert publish(plan("on", "/shop/old")) == [("prod", PageResult.EDITED)]
    (comment,) = hub.comments
    assert "/shop/old" in comment.body


def test_an_edit_whose_answer_was_lost_is_not_posted_again(hub: Hub, publish: Publish) -> None:
    publish(plan("on"))
    hub.fail("PATCH", "comments/", 502, times=9, done=True)
    assert publish(plan("off")) == [("prod", PageResult.EDITED)]
    (comment,) = hub.comments
    assert "off" in comment.body


def test_an_edit_that_was_lost_is_posted_again(hub: Hub, publish: Publish) -> None:
    publish(plan("on"))
    hub.fail("PATCH", "comments/", 502, times=9)
    assert publish(plan("off")) == [("prod", PageResult.REPOSTED)]


def test_minimising_that_fails_does_not_undo_what_was_posted(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(plan())
    comments = PullRequestComments(github, SPEC, number=NUMBER)
    pages = plan_pages(plans.document_of(plan("on", "/shop/old")))
    known = comments.find()
    hub.fail("POST", "/graphql$", 422)
    assert comments.publish(pages, known) == [("prod", PageResult.REPOSTED)]
    assert [one.minimized for one in hub.comments] == ["", ""]


@pytest.mark.parametrize("pages", [plan_pages(plans.document_of(plan("off"))), failure_pages(["prod"], "no")])
def test_a_comment_with_another_plan_or_state_that_stays_is_an_error_of_its_own(
    hub: Hub, publish: Publish, pages: list[Page]
) -> None:
    publish(plan("on"), run="5")
    hub.denied.add("comment")
    with pytest.raises(OutdatedCommentError) as caught:
        publish(pages)
    error = caught.value
    assert error.message.startswith(
        "pull request 7: the comment of run 5 is out of date, and could be neither"
    )
    assert "HTTP 403" in error.message
    assert "pull-requests: write" in error.remedy


def test_the_cause_of_a_comment_that_stays_is_the_refusal_of_the_first_way(
    hub: Hub, publish: Publish
) -> None:
    publish(plan("on"))
    hub.fail("PATCH", "comments/", 422)
    hub.fail("POST", "comments$", 403)
    with pytest.raises(OutdatedCommentError) as caught:
        publish(plan("off"))
    assert "HTTP 422" in caught.value.message


def test_a_comment_with_the_same_plan_that_stays_is_not_out_of_date(hub: Hub, publish: Publish) -> None:
    publish(plan(), run="1")
    hub.denied.add("comment")
    with pytest.raises(GitHubError) as caught:
        publish(plan(), run="2")
    assert not isinstance(caught.value, OutdatedCommentError)


def test_a_first_comment_that_is_refused_hides_no_comment_that_is_out_of_date(
    hub: Hub, publish: Publish
) -> None:
    publish(renamed(plan("on"), "staging"))
    hub.denied.add("comment")
    pages = two_pages()
    with pytest.raises(OutdatedCommentError):
        publish(pages)


def test_a_first_comment_that_is_refused_does_not_keep_another_from_being_corrected(
    hub: Hub, publish: Publish
) -> None:
    publish(renamed(plan("on"), "staging"))
    hub.fail("POST", "comments$", 403)
    pages = two_pages()
    with pytest.raises(GitHubError) as caught:
        publish(pages)
    assert not isinstance(caught.value, OutdatedCommentError)
    assert "off" in hub.comments[0].body


def test_a_rate_limit_is_not_tried_in_another_way(hub: Hub, publish: Publish) -> None:
    publish(plan("on"))
    hub.fail("PATCH", "comments/", 429, headers={"Retry-After": "900"})
    with pytest.raises(OutdatedCommentError) as caught:
        publish(plan("off"))
    assert caught.value.kind is Kind.LIMITED
    assert len(hub.asked("POST", "comments$")) == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_locked_pull_request_is_named_as_such(hub: Hub, publish: Publish, first: bool) -> None:
    if not first:
        publish(plan("on"))
    hub.pulls[NUMBER]["locked"] = True
    with pytest.raises(GitHubError) as caught:
        publish(plan("off"))
    assert "pull request 7 is locked" in caught.value.message
    assert caught.value.remedy == "unlock it, and start this run again"
    assert isinstance(caught.value, OutdatedCommentError) is not first


def test_a_refusal_without_a_lock_names_the_permission(hub: Hub, publish: Publish) -> None:
    hub.denied.add("comment")
    hub.fail("GET", "pulls/7$", 403)
    with pytest.raises(GitHubError) as caught:
        publish(plan())
    assert "pull-requests: write" in caught.value.remedy
