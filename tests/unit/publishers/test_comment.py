"""The pull request comment: its author, when it is edited, replaced or kept, and its maximum length."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.marked import RESULT_MARK, facts_of
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers.marked_body import PageResult, PullRequestComments
from ssm_reconcile.publishers.pages import failure_pages, gone_page, plan_pages, report_pages
from ssm_reconcile.renderers.markdown import SUMMARY_BUDGET, plan_summary
from ssm_reconcile.renderers.view import PlanView
from tests.github.content import Comment, Hub
from tests.unit.publishers.conftest import HEAD, NUMBER, SPEC, Publish, marker, renamed
from tests.unit.renderers import plans


def harmless(value: str = "on") -> Plan:
    return plans.plan_of([plans.create("eu-west-1", "/shop/a", value=value)])


def harmful(deletes: int = 1) -> Plan:
    changes = [plans.delete("eu-west-1", f"/shop/old-{i}") for i in range(deletes)]
    return plans.plan_of([plans.create("eu-west-1", "/shop/a"), *changes])


def facts(comment: Comment) -> dict[str, str]:
    found = facts_of(comment.body)
    assert found is not None
    return found


def test_the_first_plan_with_changes_is_posted_and_the_next_one_is_an_edit_of_it(
    hub: Hub, publish: Publish
) -> None:
    assert publish(harmless("on"), run="1") == [("prod", PageResult.CREATED)]
    assert publish(harmless("off"), run="2") == [("prod", PageResult.EDITED)]
    (comment,) = hub.comments
    assert "off" in comment.body
    assert facts(comment)["run"] == "2"
    assert facts(comment)["head"] == HEAD


def test_the_same_plan_again_does_not_edit_the_comment(hub: Hub, publish: Publish) -> None:
    publish(harmless())
    assert publish(harmless()) == [("prod", PageResult.UNCHANGED)]
    assert hub.comments[0].edits == 0


def test_without_changes_nothing_is_posted_unless_there_is_something_to_correct(
    hub: Hub, publish: Publish
) -> None:
    assert publish(plans.in_sync()) == [("prod", PageResult.NOTHING)]
    assert not hub.comments
    publish(harmless())
    assert publish(plans.in_sync()) == [("prod", PageResult.EDITED)]
    assert "nothing to do" in hub.comments[0].body


def test_asked_for_always_a_plan_without_changes_is_posted_too(hub: Hub, publish: Publish) -> None:
    assert publish(plans.in_sync(), always=True) == [("prod", PageResult.CREATED)]


def test_an_incomplete_plan_is_worth_a_comment(hub: Hub, publish: Publish) -> None:
    assert publish(plans.plan_of([], incomplete=["eu-west-1"])) == [("prod", PageResult.CREATED)]


@pytest.mark.parametrize("counted", ["conflict", "detached", "invalid", "orphaned"])
def test_an_address_that_a_person_has_to_look_at_is_worth_a_comment(
    hub: Hub, publish: Publish, counted: str
) -> None:
    plan = plans.plan_of([], others=[plans.other("eu-west-1", "/shop/a", Row.CONFLICT, counted, "why")])
    assert publish(plan) == [("prod", PageResult.CREATED)]
    assert "## SSM plan for `prod`: no changes, 1 " in hub.comments[0].body


def test_a_held_address_is_worth_a_comment_so_that_reviewers_see_a_new_hold(
    hub: Hub, publish: Publish
) -> None:
    held = plans.other("eu-west-1", "/shop/a", Row.HELD, "held", "the hold on `/shop/*` stops every change")
    assert publish(plans.plan_of([], others=[held])) == [("prod", PageResult.CREATED)]
    assert "the hold on `/shop/*` stops every change" in hub.comments[0].body


@pytest.mark.parametrize("counted", ["skipped", "opted_out"])
def test_an_address_that_is_left_alone_on_request_is_not_worth_a_comment(
    publish: Publish, counted: str
) -> None:
    plan = plans.plan_of([], others=[plans.other("eu-west-1", "/shop/a", Row.SKIPPED, counted, "why")])
    assert publish(plan) == [("prod", PageResult.NOTHING)]


def test_withheld_changes_and_releases_of_ownership_are_worth_a_comment(hub: Hub, publish: Publish) -> None:
    held = plans.withheld(plans.delete("eu-west-1", "/shop/a"), "max-deletes", "too many")
    assert publish(plans.plan_of([held, plans.release("eu-west-1", "/shop/b")])) == [
        ("prod", PageResult.CREATED)
    ]
    assert "/shop/b" in hub.comments[0].body


def test_a_marker_that_another_author_planted_is_never_touched(hub: Hub, publish: Publish) -> None:
    planted = hub.say(NUMBER, f"{marker(danger=99)}## SSM plan for `prod`: nothing to do", "mallory")
    before = planted.body
    assert publish(harmless()) == [("prod", PageResult.CREATED)]
    assert publish(harmful()) == [("prod", PageResult.REPOSTED)]
    assert publish(failure_pages(["prod"], "gone wrong")) == [("prod", PageResult.EDITED)]
    assert planted.body == before
    assert not planted.minimized
    assert planted.edits == 0


def test_a_comment_that_only_quotes_the_marker_is_not_used(hub: Hub, publish: Publish) -> None:
    quoting = hub.say(NUMBER, f"Look what it says:\n{marker()}")
    assert publish(harmless()) == [("prod", PageResult.CREATED)]
    assert quoting.edits == 0


def test_a_minimized_comment_stays_and_a_new_one_is_posted(hub: Hub, publish: Publish) -> None:
    publish(harmless("on"))
    hub.comments[0].minimized = "RESOLVED"
    assert publish(harmless("off")) == [("prod", PageResult.CREATED)]
    assert [bool(c.minimized) for c in hub.comments] == [True, False]


def test_our_comment_is_found_on_a_later_page(hub: Hub, publish: Publish) -> None:
    for i in range(130):
        hub.say(NUMBER, f"talk {i}", "alice")
    publish(harmless("on"))
    for i in range(130):
        hub.say(NUMBER, f"more talk {i}", "bob")
    assert publish(harmless("off")) == [("prod", PageResult.EDITED)]
    assert sum(facts_of(c.body) is not None for c in hub.comments) == 1


@pytest.mark.parametrize("count", [100, 101, 250])
def test_every_own_comment_is_found_on_all_pages(hub: Hub, github: GitHub, count: int) -> None:
    message = [hub.say(NUMBER, f"{marker()}{i}") for i in range(count)]
    assert [one.id for one in PullRequestComments(github, SPEC, number=NUMBER).find()] == [
        one.id for one in message
    ]
    sizes = [len(one.body["variables"]["ids"]) for one in hub.asked("POST", "graphql")]
    assert sum(sizes) == count
    assert max(sizes) <= 100, "GraphQL takes no more node ids in one query"


def test_a_plan_that_gains_a_delete_is_posted_again_and_the_old_comment_minimized(
    hub: Hub, publish: Publish
) -> None:
    publish(harmless())
    assert publish(harmful(1)) == [("prod", PageResult.REPOSTED)]
    assert publish(harmful(1), run="3") == [("prod", PageResult.EDITED)]
    assert publish(harmful(2)) == [("prod", PageResult.REPOSTED)]
    assert [c.minimized for c in hub.comments] == ["OUTDATED", "OUTDATED", ""]


def test_a_plan_that_loses_a_delete_is_an_edit(hub: Hub, publish: Publish) -> None:
    publish(harmful(2))
    assert publish(harmful(1)) == [("prod", PageResult.EDITED)]


def test_the_new_comment_is_posted_if_minimising_is_refused(hub: Hub, publish: Publish) -> None:
    hub.denied.add("minimize")
    publish(harmless())
    assert publish(harmful()) == [("prod", PageResult.REPOSTED)]
    assert publish(harmful(), run="9") == [("prod", PageResult.EDITED)]
    assert facts(hub.comments[1])["run"] == "9"


def test_of_several_own_comments_the_newest_stays_and_the_others_are_minimized(
    hub: Hub, publish: Publish
) -> None:
    for _ in range(3):
        hub.say(NUMBER, f"{marker()}old")
    assert publish(harmless()) == [("prod", PageResult.EDITED)]
    assert [bool(c.minimized) for c in hub.comments] == [True, True, False]


def test_replications_have_a_comment_each_and_do_not_meet(hub: Hub, publish: Publish) -> None:
    publish(harmless())
    publish(renamed(harmful(), "staging"))
    assert publish(harmless("off")) == [("prod", PageResult.EDITED)]
    assert [facts(c)["scope"] for c in hub.comments] == ["prod", "staging"]


def test_comments_of_another_spec_are_not_touched(hub: Hub, publish: Publish) -> None:
    other = hub.say(NUMBER, f"{marker(spec='other.yaml')}theirs")
    assert publish(harmless()) == [("prod", PageResult.CREATED)]
    assert other.edits == 0


def test_a_failed_plan_replaces_the_comment_and_keeps_its_danger(hub: Hub, publish: Publish) -> None:
    publish(harmful(2))
    assert publish(failure_pages(["prod"], "Error: no credentials")) == [("prod", PageResult.EDITED)]
    (comment,) = hub.comments
    assert "no credentials" in comment.body
    assert "out of date" in comment.body
    assert "/shop/old-0" not in comment.body
    assert publish(harmful(2)) == [("prod", PageResult.EDITED)], "nothing was gained since the last plan"


def test_a_failure_of_which_no_name_is_known_becomes_the_comment_of_the_next_plan(
    hub: Hub, publish: Publish
) -> None:
    publish(failure_pages([""], "replication.yaml:3:1: error: `sorce` is not a property"))
    assert publish(harmless()) == [("prod", PageResult.EDITED)]
    (comment,) = hub.comments
    assert facts(comment)["scope"] == "prod"
    assert "state" not in facts(comment)


def test_a_failure_of_which_no_name_is_known_is_minimised_once_each_replication_has_its_comment(
    hub: Hub, publish: Publish
) -> None:
    publish(harmless("on"))
    publish(failure_pages([""], "replication.yaml:3:1: error: `sorce` is not a property"))
    assert [c.minimized for c in hub.comments] == ["", ""]
    assert publish(harmless("off")) == [("prod", PageResult.EDITED)]
    assert [c.minimized for c in hub.comments] == ["", "OUTDATED"]


def test_the_comment_on_a_replication_that_left_the_spec_reports_it(hub: Hub, publish: Publish) -> None:
    publish(harmless())
    publish([gone_page("prod")])
    assert "removed from the spec" in hub.comments[0].body


@pytest.mark.large
def test_two_thousand_changes_fit_into_a_comment_with_every_delete_listed(hub: Hub, publish: Publish) -> None:
    plan = plans.many(400, deletes=40)
    assert len(plan.changes) == 2000
    publish(plan)
    (comment,) = hub.comments
    assert len(comment.body.encode()) < 60_000
    gone = {change.name for change in plan.changes if change.action.value == "delete"}
    assert len(gone) == 40
    assert all(re.search(rf"^> - {re.escape(name)}  ", comment.body, re.MULTILINE) for name in gone)
    view = PlanView(json.loads(json.dumps(plans.document_of(plan))))
    assert len(plan_summary(view).encode()) < SUMMARY_BUDGET == 900_000


def test_a_comment_that_github_finds_too_long_goes_one_level_down_and_once_more(
    hub: Hub, publish: Publish
) -> None:
    plan = plans.many(80)
    publish(plan)
    whole = hub.comments.pop()
    hub.longest = len(whole.body) - 1
    publish(plan)
    (comment,) = hub.comments
    assert int(facts(comment)["level"]) == int(facts(whole)["level"]) + 1
    assert len(hub.asked("POST", "comments$")) == 3


def test_a_comment_that_is_too_long_twice_is_given_up(hub: Hub, publish: Publish) -> None:
    hub.longest = 100
    with pytest.raises(GitHubError) as caught:
        publish(plans.many(80))
    assert caught.value.kind is Kind.TOO_LONG
    assert len(hub.asked("POST", "comments$")) == 2


def test_a_lost_answer_to_a_post_does_not_make_two_comments(hub: Hub, publish: Publish) -> None:
    hub.fail("POST", "comments$", 502, done=True)
    publish(harmless())
    assert len(hub.comments) == 1


def test_a_post_that_was_not_done_is_done_again(hub: Hub, publish: Publish) -> None:
    hub.fail("POST", "comments$", 502)
    publish(harmless())
    assert len(hub.comments) == 1


def test_a_post_that_is_never_done_is_given_up(hub: Hub, publish: Publish) -> None:
    hub.fail("POST", "comments$", 502, times=10)
    with pytest.raises(GitHubError) as caught:
        publish(harmless())
    assert caught.value.kind is Kind.LOST
    assert len(hub.asked("POST", "comments$")) == 3


def test_a_comment_that_was_deleted_in_between_is_posted_again(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(harmless("on"))
    hub.fail("PATCH", "comments/", 404)
    assert publish(harmless("off")) == [("prod", PageResult.REPOSTED)]
    assert "off" in hub.comments[-1].body


def test_a_token_without_the_permission_to_comment_is_an_error(hub: Hub, publish: Publish) -> None:
    hub.denied.add("comment")
    with pytest.raises(GitHubError) as caught:
        publish(harmless())
    assert caught.value.kind is Kind.DENIED
    assert "pull-requests: write" in caught.value.remedy


def test_after_the_merge_a_second_comment_has_the_report_and_the_plan_stays_as_it_was_posted(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    plan = plans.twelve()
    publish(plan, run="11")
    document = plans.report_document_of(plans.reported(plan))
    done = publish(report_pages(document, plans.document_of(plan)), run="22", head="f" * 40, reviews=False)
    assert done == [("prod", PageResult.CREATED)]
    shown, result = hub.comments
    assert (shown.edits, shown.minimized) == (0, "")
    assert result.body.startswith("<!-- ssm-reconcile:result ")
    assert "Applied 12 of 12 as reviewed" in result.body
    (ours_now,) = PullRequestComments(github, SPEC, number=NUMBER).find()
    assert ours_now.shows_plan
    shown_facts = [ours_now.fact(name) for name in ("run", "plan", "head")]
    assert shown_facts == ["11", f"sha256:{plan.plan_id}", HEAD]


def test_a_second_apply_without_changes_does_not_overwrite_the_first_report(
    hub: Hub, publish: Publish
) -> None:
    plan = plans.twelve()
    publish(plan)
    first = report_pages(plans.report_document_of(plans.reported(plan)), plans.document_of(plan))
    publish(first, run="22", reviews=False)
    before = hub.comments[1].body
    again = plans.report_document_of(plans.reported(plans.in_sync()))
    assert publish(report_pages(again, plans.document_of(plan)), run="23", reviews=False) == [
        ("prod", PageResult.UNCHANGED)
    ]
    assert hub.comments[1].body == before


@pytest.mark.parametrize("reviewed", [True, False])
def test_an_apply_that_had_nothing_to_do_is_a_result_where_a_plan_was_shown(
    hub: Hub, publish: Publish, reviewed: bool
) -> None:
    if reviewed:
        publish(plans.twelve())
    report = plans.report_document_of(plans.reported(plans.in_sync()))
    publish(report_pages(report, plans.document_of(plans.twelve())), run="22", reviews=False)
    results = [c.body for c in hub.comments if c.body.startswith("<!-- ssm-reconcile:result ")]
    assert len(results) == reviewed
    expected = "12 reviewed changes had been done before, or are no longer needed."
    assert all(expected in body for body in results)


def test_a_result_that_github_finds_too_long_is_sent_with_less_detail(hub: Hub, publish: Publish) -> None:
    pages = plan_pages(plans.document_of(plans.many(80)), "**Not applied**")
    publish(pages, reviews=False)
    comment = hub.comments.pop()
    whole = facts_of(comment.body, RESULT_MARK)
    assert whole is not None
    hub.longest = len(comment.body) - 1
    publish(pages, reviews=False)
    shorter = facts_of(hub.comments[0].body, RESULT_MARK)
    assert shorter is not None
    assert int(shorter["level"]) == int(whole["level"]) + 1


def test_a_plan_that_failed_in_its_pull_request_was_not_reviewed(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(harmless())
    publish(failure_pages(["prod"], "no"), run="2")
    (comment,) = PullRequestComments(github, SPEC, number=NUMBER).find()
    assert not comment.shows_plan


def test_runs_that_fail_after_the_merge_share_one_result(hub: Hub, publish: Publish) -> None:
    publish(harmless(), run="11")
    before = hub.comments[0].body
    publish(failure_pages(["prod"], "no"), run="22", reviews=False)
    publish(failure_pages(["prod"], "no, again"), run="23", reviews=False)
    shown, result = hub.comments
    assert shown.body == before
    assert "no, again" in result.body


@pytest.mark.parametrize(
    "body", ["", "<!-- ssm-reconcile:plan {bad} -->", "<!-- ssm-reconcile:plan [1] -->", "<!-- other {} -->"]
)
def test_a_damaged_marker_is_none(body: str) -> None:
    assert facts_of(body) is None


def test_line_ends_that_github_changed_do_not_hide_a_marker(hub: Hub, publish: Publish) -> None:
    publish(harmless())
    hub.comments[0].body = hub.comments[0].body.replace("\n", "\r\n")
    assert publish(harmless()) == [("prod", PageResult.UNCHANGED)]


def test_names_in_a_marker_cannot_end_it(hub: Hub, publish: Publish) -> None:
    plan = renamed(harmless(), "a--><b>")
    publish(plan)
    first = hub.comments[0].body.split("\n")[0]
    assert first.count("-->") == 1
    assert publish(replace(plan)) == [("a--><b>", PageResult.UNCHANGED)]
