"""Histories of an approval: job `changed` applies what another person approved, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.workflows.prepared import prepared
from tests.workflows.stage import APPLY_ROLE, APPLYING, PLAN_ROLE, Stage, log_of, results, spec

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
CHANGED = "ssm-apply-changed"
REFUSED = {"merged": "success", "approval": "success", "changed": "failure"}


@prepared
def merged(stage: Stage) -> None:
    """A merge whose plan changed after its review: job `approval` waits."""
    stage.open(ALL)
    stage.plan()
    stage.put("/shop/limit", "999")
    stage.push(stage.merge())


def approved(stage: Stage, by: str = "bob") -> str:
    """Approve the last run; return its log."""
    run = stage.last_run()
    stage.scheduler.approve(run, CHANGED, by)
    stage.scheduler.settle()
    return log_of(run.jobs)


def no_reviewers(stage: Stage) -> None:
    stage.hub.environment(CHANGED).reviewers.clear()


def created_by_a_reference(stage: Stage) -> None:
    del stage.hub.environments[CHANGED]


@pytest.mark.parametrize("change", [no_reviewers, created_by_a_reference])
def test_an_environment_without_reviewers_applies_nothing_and_names_the_ways_forward(
    stage: Stage, change: Callable[[Stage], None]
) -> None:
    change(stage)
    stage.open(ALL)
    stage.plan()
    stage.put("/shop/limit", "999")
    jobs = stage.push(stage.merge())
    assert results(jobs) == REFUSED, log_of(jobs)
    assert stage.holds() == {}
    plan_id = jobs["merged"].outputs["plan-id"][:12]
    for text in (stage.comment().body, log_of(jobs)):
        assert "has no required reviewers" in text
        assert f"plan-id={plan_id}" in text
    assert jobs["changed"].step("Apply the approved plan").outputs["failure-reason"] == "refused"


def test_the_plan_of_the_refusal_is_applied_by_its_id_by_hand(stage: Stage) -> None:
    no_reviewers(stage)
    jobs = stage.push(stage.commit(ALL))
    jobs = stage.by_hand(**{"plan-id": jobs["merged"].outputs["plan-id"][:12]})
    assert results(jobs) == {"by-hand": "success"}, log_of(jobs)
    assert "/shop/limit" in stage.holds()


def test_a_rerun_of_an_approved_run_is_refused(merged: Stage) -> None:
    run = merged.last_run()
    approved(merged)
    merged.delete("/shop/limit", region="us-east-2")
    merged.rerun(run, by="carol", jobs={"approval", "changed"})
    assert "start a new run instead of a re-run" in approved(merged)
    assert run.jobs["changed"].result == "failure"
    assert "/shop/limit" not in merged.holds()


def test_a_rerun_of_the_apply_alone_is_refused(merged: Stage) -> None:
    run = merged.last_run()
    approved(merged)
    merged.delete("/shop/limit", region="us-east-2")
    jobs = merged.rerun(run, by="carol", jobs={"changed"})
    assert jobs["changed"].result == "failure"
    assert "start a new run instead of a re-run" in log_of(jobs)
    assert "/shop/limit" not in merged.holds()


@pytest.mark.parametrize("person", ["alice", "carol"])
def test_the_approval_of_the_author_or_the_last_pusher_is_refused(stage: Stage, person: str) -> None:
    stage.hub.environment(CHANGED).reviewers.append(person)
    stage.open(ALL)
    stage.plan(actor="carol")  # alice is the author, carol pushed the last commit
    stage.put("/shop/limit", "999")
    stage.push(stage.merge(), actor="dave")
    log = approved(stage, by=person)
    assert f"@{person} approved it, and also is an author, pusher or committer" in log
    assert stage.holds() == {}


def test_a_bypass_by_an_administrator_is_not_an_approval(merged: Stage) -> None:
    run = merged.last_run()
    merged.scheduler.bypass(run, CHANGED)
    merged.scheduler.settle()
    assert results(run.jobs) == REFUSED
    assert "has no approval of the environment" in log_of(run.jobs)
    assert merged.holds() == {}


def test_a_job_that_may_not_read_the_approval_applies_nothing(merged: Stage) -> None:
    run = merged.last_run()
    merged.hub.restrict(run.jobs["changed"].github["token"], {"contents": "read", "pull-requests": "write"})
    assert "the token needs `actions: read`" in approved(merged)
    assert run.jobs["changed"].result == "failure"
    assert merged.holds() == {}


def test_the_job_that_waits_gets_no_credentials_and_no_permissions(merged: Stage) -> None:
    approved(merged)
    assert merged.assumed == [(PLAN_ROLE, "ssm-plan"), (APPLY_ROLE, "ssm-apply"), (APPLY_ROLE, "ssm-apply")]
    assert merged.last_run().jobs["approval"].permissions == {}


def test_a_rejection_applies_nothing(merged: Stage) -> None:
    run = merged.last_run()
    merged.scheduler.reject(run, CHANGED, "bob")
    merged.scheduler.settle()
    assert results(run.jobs) == {"merged": "success", "approval": "failure"}
    assert merged.holds() == {}


def test_a_mistyped_plan_id_is_a_usage_error_and_not_a_drift_run(stage: Stage) -> None:
    jobs = stage.by_hand(**{"plan-id": "9535f42588"})
    assert results(jobs) == {"by-hand": "failure"}
    assert "a plan id is 12 to 64 hex digits" in jobs["by-hand"].log + jobs["by-hand"].summary
    assert not stage.hub.issues
    assert stage.holds() == {}


def test_a_plan_id_on_another_branch_is_refused_in_words(stage: Stage) -> None:
    stage.hub.environment("ssm-apply").branches = None
    stage.open(ALL)
    jobs = stage.by_hand("change-7", actor="mallory", **{"plan-id": "9535f4258859"})
    assert results(jobs) == {"by-hand": "failure"}
    assert "from the default branch only" in log_of(jobs)
    assert stage.assumed == []


def test_an_apply_by_hand_of_another_branch_is_refused_without_a_branch_rule(stage: Stage) -> None:
    stage.hub.environment("ssm-apply").branches = None
    stage.open(ALL)
    jobs = stage.by_hand("change-7", mode="apply")
    assert results(jobs) == {"routine": "failure"}, log_of(jobs)
    assert any("from the default branch only" in line for line in jobs["routine"].annotations)
    assert stage.holds() == {}
    assert stage.hub.issues == []


def test_the_author_of_a_merge_that_was_overtaken_does_not_approve_its_changes(stage: Stage) -> None:
    stage.hub.environment(CHANGED).reviewers.append("mallory")
    stage.open(ALL, 7, author="mallory")
    first = stage.merge(7)
    payload = stage.push_payload(first)
    stage.open(ALL + "# a comment\n", 8)
    second = stage.merge(8)
    overtaken = stage.trigger("push", payload, first, "refs/heads/main", actor="dave", jobs=APPLYING)
    stage.push(second, actor="dave")
    assert overtaken is not None
    assert overtaken.jobs["merged"].result == "failure"
    stage.scheduler.approve(stage.last_run(), CHANGED, "mallory")
    stage.scheduler.settle()
    assert results(stage.last_run().jobs) == REFUSED, log_of(stage.last_run().jobs)
    assert "@mallory approved it, and also is an author" in log_of(stage.last_run().jobs)
    assert stage.holds() == {}
