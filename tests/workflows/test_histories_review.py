"""Histories of reviews and plans: only a plan that was reviewed as it is shown is applied on a merge."""

from __future__ import annotations

from tests.workflows.stage import Stage, log_of, results, spec

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


def test_a_dismissed_review_approves_nothing_and_needs_no_other(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.hub.dismiss(stage.hub.review(7, "bob", ago=3600))
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert "approved by" not in log_of(jobs)


def test_a_pull_request_that_changes_a_workflow_is_asked_for_an_approval(stage: Stage) -> None:
    stage.open(ALL, files={".github/workflows/other.yml": "on: push\n"})
    stage.plan(jobs={"plan"})
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "changes .github/workflows/other.yml" in log_of(jobs)
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
