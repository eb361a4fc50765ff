"""Histories of a merge queue: a group is merged only if its plan is the one that was reviewed."""

from __future__ import annotations

import pytest

from tests.workflows.stage import PLAN_ROLE, Stage, log_of, results, spec
from tests.workflows.test_histories_review import RULES

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
PASSED = {"touched": "success", "validate": "success", "queued": "success", "check": "success"}
FAILED = {**PASSED, "queued": "failure", "check": "failure"}


def test_a_group_whose_plan_is_as_reviewed_is_merged_and_applied(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    sha, jobs = stage.queue(7)
    assert results(jobs) == PASSED, log_of(jobs)
    assert stage.holds() == {}, "the check writes nothing"
    assert stage.assumed == [(PLAN_ROLE, "ssm-plan")] * 2
    assert len(stage.hub.shown(7)) == 1, "and no comment"
    stage.land(sha)
    assert results(stage.push(sha)) == {"merged": "success"}
    assert "/shop/limit" in stage.holds()


def test_a_value_that_changed_since_the_review_keeps_the_group_out_of_main(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.put("/shop/limit", "999")
    jobs = stage.queue(7)[1]
    assert results(jobs) == FAILED, log_of(jobs)
    summary = jobs["queued"].summary
    assert "Not as reviewed" in summary
    assert "altered: create /shop/limit in us-east-2 (prod): source version 1 became 2" in summary
    assert [line for line in jobs["queued"].annotations if "must not be merged" in line]
    assert stage.hub.pulls[7]["state"] == "open"
    assert stage.holds() == {}
    stage.replan()
    assert results(stage.queue(7)[1]) == PASSED, "after the new plan was posted"


def test_a_group_with_a_pull_request_without_a_reviewed_plan_fails(stage: Stage) -> None:
    stage.put("/more/x", "1")
    stage.commit(RULES % ("", ""))
    stage.open(RULES % ('    - "/shop/**"\n', ""), 7)
    stage.open(RULES % ("", '    - "/more/**"\n'), 8)
    stage.plan(7, jobs={"plan"})
    jobs = stage.queue(7, 8)[1]
    assert results(jobs) == FAILED, log_of(jobs)
    assert "pull request 8 has no comment with a plan" in jobs["queued"].summary
    stage.plan(8, jobs={"plan"})
    assert results(stage.queue(7, 8)[1]) == PASSED


def test_a_rotated_value_that_main_replicates_already_does_not_keep_a_group_out(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.put("/app/url", "https://rotated.example.org")
    jobs = stage.queue(7)[1]
    assert results(jobs) == PASSED, log_of(jobs)


def test_an_approval_of_an_older_plan_keeps_a_group_out(stage: Stage) -> None:
    stage.open(ALL)
    stage.hub.review(7, "bob", ago=3600)
    stage.plan(jobs={"plan"})
    jobs = stage.queue(7)[1]
    assert results(jobs) == FAILED, log_of(jobs)
    assert "approved before this plan was posted" in jobs["queued"].summary


def test_a_group_that_changes_nothing_in_aws_needs_no_reviewed_plan(stage: Stage) -> None:
    stage.variables["SSM_SCHEDULE"] = "apply"
    stage.later("schedule")
    stage.open(spec("/app/**") + "# the same, in another text\n")
    stage.plan(jobs={"plan"})
    assert stage.hub.shown(7) == []
    jobs = stage.queue(7)[1]
    assert results(jobs) == PASSED, log_of(jobs)


def test_a_group_that_does_not_touch_the_spec_gets_no_credentials(stage: Stage) -> None:
    stage.open(spec("/app/**"), files={".github/workflows/other.yml": "name: other"})
    stage.open(spec("/app/**"), 8, files={"README.md": "words"})
    jobs = stage.queue(7)[1]
    assert results(jobs) == {"touched": "success", "validate": "success", "check": "success"}, log_of(jobs)
    assert results(stage.queue(8)[1]) == {"touched": "success", "check": "success"}
    assert stage.assumed == []
