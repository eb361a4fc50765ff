"""Digests of dangerous changes in a marker: by them, and not by their number, a comment is posted again."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from ssm_reconcile.change import Change
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.marked import facts_of
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers.marked_body import DriftIssues, PageResult
from ssm_reconcile.publishers.pages import failure_pages, plan_issue_pages, report_issue_pages
from ssm_reconcile.renderers.comment_context import CommentContext
from ssm_reconcile.renderers.danger import MOST, Danger
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.report import Result
from tests.github.content import Hub
from tests.unit.publishers.conftest import NUMBER, SPEC, Publish, marker, renamed
from tests.unit.renderers import plans

POSTED, EDITED = [("prod", PageResult.REPOSTED)], [("prod", PageResult.EDITED)]


def deletes(*names: str, target: str = "eu-west-1") -> Plan:
    return plans.plan_of([plans.delete(target, name) for name in names])


def numbered(first: int, count: int) -> Plan:
    return deletes(*(f"/shop/{number}" for number in range(first, first + count)))


def exposing(name: str) -> Change:
    return replace(plans.update("eu-west-1", name), exposes=True)


def test_one_delete_in_the_place_of_another_is_posted_again(hub: Hub, publish: Publish) -> None:
    publish(deletes("/shop/a", "/shop/b"))
    assert publish(deletes("/shop/a", "/shop/c")) == POSTED


def test_fewer_deletes_with_a_new_one_among_them_are_posted_again(hub: Hub, publish: Publish) -> None:
    publish(deletes("/shop/a", "/shop/b"))
    assert publish(deletes("/shop/c")) == POSTED


def test_some_of_the_deletes_that_are_shown_are_an_edit(hub: Hub, publish: Publish) -> None:
    publish(deletes("/shop/a", "/shop/b"))
    assert publish(deletes("/shop/b")) == EDITED


@pytest.mark.parametrize(
    "change",
    [
        plans.delete("us-west-2", "/shop/a"),
        plans.replaced("eu-west-1", "/shop/a"),
        exposing("/shop/a"),
    ],
)
def test_another_target_or_action_of_the_same_name_is_posted_again(
    hub: Hub, publish: Publish, change: Change
) -> None:
    publish(deletes("/shop/a"))
    assert publish(plans.plan_of([change])) == POSTED


@pytest.mark.parametrize(
    "change", [plans.taken_over("eu-west-1", "/shop/b"), plans.release("eu-west-1", "/shop/b")]
)
def test_a_take_over_and_a_release_are_posted_again(hub: Hub, publish: Publish, change: Change) -> None:
    first = plans.delete("eu-west-1", "/shop/a")
    publish(plans.plan_of([first]))
    assert publish(plans.plan_of([first, change])) == POSTED


def test_a_marker_from_before_take_overs_were_counted_is_posted_again_once(
    hub: Hub, publish: Publish
) -> None:
    taken = plans.taken_over("eu-west-1", "/shop/b")
    hub.say(NUMBER, marker(danger=0, dangers=""))
    results = [publish(plans.plan_of([taken]), run=str(run)) for run in (1, 2)]
    assert results == [POSTED, EDITED]


def test_an_issue_on_drift_has_the_take_overs_and_the_changes_outside() -> None:
    outside = plans.update("eu-west-1", "/shop/c", changed_outside=True)
    view = PlanView(plans.document_of(plans.plan_of([plans.taken_over("eu-west-1", "/shop/b"), outside])))
    assert view.drift_danger.count == 2
    assert view.drift_danger.adds_to(view.danger)


def test_a_replacement_that_also_exposes_a_secret_is_posted_again(hub: Hub, publish: Publish) -> None:
    publish(plans.plan_of([plans.replaced("eu-west-1", "/shop/a")]))
    exposed = replace(plans.replaced("eu-west-1", "/shop/a"), exposes=True)
    assert publish(plans.plan_of([exposed])) == POSTED


def test_a_replication_of_another_name_has_other_digests() -> None:
    one, other = deletes("/shop/a"), renamed(deletes("/shop/a"), "dev")
    assert digests(one) != digests(other)


def digests(plan: Plan) -> str | None:
    (page,) = plan_issue_pages(plans.document_of(plan))
    assert page.danger is not None
    return page.danger.digests


@pytest.mark.parametrize(
    ("first", "count", "result"), [(0, MOST, EDITED), (0, MOST - 1, EDITED), (1, MOST, POSTED)]
)
def test_up_to_100_changes_are_compared_one_by_one(
    hub: Hub, publish: Publish, first: int, count: int, result: object
) -> None:
    publish(numbered(0, MOST), run="1")
    assert publish(numbered(first, count), run="2") == result


@pytest.mark.parametrize(
    ("first", "count", "result"),
    [(0, MOST + 1, EDITED), (1, MOST + 1, POSTED), (0, MOST + 2, POSTED), (0, MOST, POSTED), (0, 0, EDITED)],
)
def test_above_100_changes_a_comment_is_posted_again_unless_the_set_is_the_same(
    hub: Hub, publish: Publish, first: int, count: int, result: object
) -> None:
    publish(numbered(0, MOST + 1), run="1")
    assert publish(numbered(first, count), run="2") == result


@pytest.mark.parametrize("count", [0, 1, MOST, MOST + 1, 1000])
def test_a_marker_stays_short(hub: Hub, publish: Publish, count: int) -> None:
    publish(numbered(0, count), always=True)
    first = hub.comments[0].body.split("\n", 1)[0]
    assert len(first) < 2_000
    assert json.loads(re.findall(r"\{.*\}", first)[0])["danger"] == str(count)


@pytest.mark.parametrize(("shown", "result"), [(1, POSTED), (2, EDITED), (3, EDITED)])
@pytest.mark.parametrize("more", [{}, {"dangers": "x" * 12}, {"dangers": "all:1"}])
def test_a_marker_with_the_number_only_or_a_damaged_one_is_compared_by_number(
    hub: Hub, publish: Publish, shown: int, result: object, more: dict[str, str]
) -> None:
    hub.say(NUMBER, marker(danger=shown, **more))
    assert publish(deletes("/shop/a", "/shop/b")) == result


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1", "1e3", ""])
def test_a_number_of_a_marker_that_is_not_one_counts_as_none(hub: Hub, publish: Publish, number: str) -> None:
    hub.say(NUMBER, marker(danger=number, run=number))
    assert publish(deletes("/shop/a")) == POSTED


def test_a_failed_plan_keeps_the_digests_and_those_of_an_old_marker_stay_unknown(
    hub: Hub, publish: Publish
) -> None:
    publish(deletes("/shop/a"))
    publish(failure_pages(["prod"], "no credentials"))
    assert publish(deletes("/shop/b")) == POSTED
    hub.comments.clear()
    hub.say(NUMBER, marker(danger=1))
    publish(failure_pages(["prod"], "no credentials"))
    assert publish(deletes("/shop/b")) == EDITED


def test_a_forged_marker_does_not_make_a_comment_longer(hub: Hub, publish: Publish) -> None:
    hub.say(NUMBER, marker(danger="9" * 500, dangers="f" * 40_000))
    publish(failure_pages(["prod"], "no credentials"))
    facts = facts_of(hub.comments[0].body)
    assert facts is not None
    assert (facts["danger"], facts["dangers"]) == ("0", "unknown")


def issues(github: GitHub) -> DriftIssues:
    return DriftIssues(github, SPEC, CommentContext(run="1"))


def test_an_issue_gets_a_comment_if_one_danger_takes_the_place_of_another(hub: Hub, github: GitHub) -> None:
    for name, comments in (("/shop/a", 0), ("/shop/b", 1), ("/shop/b", 1)):
        issues(github).publish(
            lambda _, name=name: plan_issue_pages(plans.document_of(deletes(name)))  # type: ignore[misc] # bound
        )
        assert len(hub.comments) == comments


def test_an_issue_on_an_apply_gets_a_comment_if_another_change_is_left_undone(
    hub: Hub, github: GitHub
) -> None:
    plan = plans.plan_of([plans.create("eu-west-1", "/a"), plans.create("eu-west-1", "/b")])
    for results in ([Result.FAILED, Result.APPLIED], [Result.APPLIED, Result.FAILED]):
        document = plans.report_document_of(plans.reported(plan, results))
        issues(github).publish(lambda _, found=document: report_issue_pages(found))  # type: ignore[misc] # bound
    assert len(hub.comments) == 1


def test_nothing_is_added_by_no_danger() -> None:
    assert not Danger().adds_to(Danger(1, None))
    assert not Danger().adds_to(Danger(1, f"all:{'0' * 32}"))
    assert Danger(1, "0" * 12).adds_to(Danger())
