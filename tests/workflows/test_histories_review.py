"""Histories of reviews and plans: only a plan that was reviewed as it is shown is applied on a merge."""

from __future__ import annotations

import time

import pytest

from tests.github.content import stamp
from tests.workflows.stage import Stage, log_of, results, spec

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
WAITING = {"merged": "success", "approval": "waiting", "changed": "queued"}
RULES = """\
version: 1
name: prod
source: { region: us-east-1, account: "123456789012" }
targets: [{ region: us-east-2, account: "123456789012" }]
parameters:
  include:
    - "/app/**"
%s    # one
    # two
    # three
%sdelete: owned
"""


def test_an_approving_review_that_is_older_than_the_plan_approves_nothing(stage: Stage) -> None:
    stage.open(ALL)
    stage.hub.review(7, "bob", ago=3600)
    stage.plan(jobs={"plan"})
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "@bob approved before this plan was posted" in log_of(jobs)
    assert stage.holds() == {}


def test_an_approving_review_of_the_plan_lets_the_merge_apply_it(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.hub.review(7, "bob", ago=-5)
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert "approved by @bob" in log_of(jobs)
    assert set(stage.holds()) == {"/app/url", "/app/key", "/shop/limit"}


def test_a_review_still_counts_if_the_plan_run_is_run_again_with_the_same_plan(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan()
    stage.hub.review(7, "bob")
    jobs = stage.rerun(stage.last_run())
    assert jobs["plan"].result == "success", log_of(jobs)
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert "approved by @bob" in log_of(jobs)


def test_a_review_still_counts_if_another_run_of_the_commit_makes_the_same_plan(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan()
    review = stage.hub.review(7, "bob")
    _wait_for_a_later_second()
    stage.plan()
    assert stage.plan_comment().updated > review.submitted, "the comment was edited after the review"
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert "approved by @bob" in log_of(jobs)


def test_without_the_permission_to_read_the_earlier_run_the_review_does_not_count(stage: Stage) -> None:
    stage.permissions["plan"] = {"contents": "read", "id-token": "write", "pull-requests": "write"}
    stage.open(ALL)
    stage.plan()
    stage.hub.review(7, "bob")
    _wait_for_a_later_second()
    assert results(stage.plan())["plan"] == "success"
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "@bob approved before this plan was posted" in log_of(jobs)


def test_a_review_does_not_count_if_the_plan_changes_when_it_is_run_again(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan()
    stage.hub.review(7, "bob")
    _wait_for_a_later_second()
    stage.put("/shop/more", "1")
    stage.rerun(stage.last_run())
    assert "/shop/more" in stage.plan_comment().body
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "@bob approved before this plan was posted" in log_of(jobs)
    assert stage.holds() == {}


def _wait_for_a_later_second() -> None:
    """Wait until times of the API, in whole seconds, are later than before."""
    time.sleep(1.1)


def test_a_dismissed_review_approves_nothing(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.hub.dismiss(stage.hub.review(7, "bob", ago=3600))
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "@bob gave a review that was dismissed" in log_of(jobs)
    assert stage.holds() == {}


def _restore(stage: Stage) -> None:
    """Show another plan until it is approved, and then the posted text again."""
    comment = stage.plan_comment()
    body = comment.body
    stage.hub.edit(comment, body.replace("/shop/limit", "/shop/other"), by="mallory")
    _wait_for_a_later_second()
    stage.hub.review(7, "bob")
    stage.hub.edit(comment, body, by="mallory")


def test_a_comment_that_was_edited_and_restored_is_not_what_was_reviewed(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    _restore(stage)
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "was edited after the plan was posted, and edited back since" in log_of(jobs)
    assert stage.holds() == {}


def test_a_review_of_a_restored_comment_does_not_count_after_another_run_of_the_plan(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    _restore(stage)
    _wait_for_a_later_second()
    stage.plan(jobs={"plan"})
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "@bob approved before this plan was posted" in log_of(jobs)
    assert stage.holds() == {}


def test_a_pull_request_that_changes_a_workflow_is_asked_for_an_approval(stage: Stage) -> None:
    stage.open(ALL, files={".github/workflows/other.yml": "on: push\n"})
    stage.plan(jobs={"plan"})
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "changes .github/workflows/other.yml" in log_of(jobs)
    assert stage.holds() == {}


def test_a_second_pull_request_to_a_base_with_another_workflow_approves_nothing(stage: Stage) -> None:
    """Its run has the workflow file of that base, but the same path, branch and commit as the first one."""
    stage.open(ALL)
    stage.hub.pulls[9] = {
        **stage.hub.pulls[7], "number": 9, "user": {"login": "mallory"}, "base": {"ref": "release"},
    }  # fmt: skip
    stage.plan(jobs={"plan"})
    stage.hub.pulls[9] |= {"state": "closed", "closed_at": stamp()}
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "pull request 9 has the same last commit and another base: release" in log_of(jobs)
    assert stage.holds() == {}


def test_a_pull_request_whose_base_was_changed_after_its_plan_approves_nothing(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.hub.retarget(7, "main")
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "the base of pull request 7 was changed" in log_of(jobs)
    assert stage.holds() == {}


def test_an_approving_review_by_the_author_approves_nothing(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.hub.review(7, "alice", ago=-5)
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "@alice is the author" in log_of(jobs)
    assert stage.holds() == {}


def test_a_push_of_two_pull_requests_applies_both_reviewed_plans(stage: Stage) -> None:
    _open_two(stage)
    stage.plan(7, jobs={"plan"})
    stage.plan(8, jobs={"plan"})
    stage.merge(7)
    jobs = stage.push(stage.merge(8))
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert {"/shop/limit", "/more/x"} <= set(stage.holds())


def test_a_push_of_two_pull_requests_with_one_reviewed_plan_applies_nothing(stage: Stage) -> None:
    _open_two(stage)
    stage.plan(7, jobs={"plan"})
    stage.merge(7)
    jobs = stage.push(stage.merge(8))
    assert results(jobs) == WAITING, log_of(jobs)
    assert "pull request 8 has no comment with a plan" in log_of(jobs)
    assert stage.holds() == {}


def _open_two(stage: Stage) -> None:
    """Open two pull requests, each of which selects more parameters."""
    stage.put("/more/x", "1")
    stage.commit(RULES % ("", ""))
    stage.open(RULES % ('    - "/shop/**"\n', ""), 7)
    stage.open(RULES % ("", '    - "/more/**"\n'), 8)
