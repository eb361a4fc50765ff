"""Histories of refused and waiting plans: an unreviewed run does not make the changes that they hold."""

from __future__ import annotations

import pytest

from tests.workflows.prepared import prepared
from tests.workflows.stage import Stage, log_of, results, spec
from tests.workflows.test_histories_review import RULES

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
CHANGED = "ssm-apply-changed"


@prepared
def waiting(stage: Stage) -> None:
    """A plan that waits for an approval, and a schedule that applies."""
    stage.variables["SSM_SCHEDULE"] = "apply"
    stage.open(ALL)
    stage.plan()
    stage.put("/shop/limit", "999")
    stage.push(stage.merge())
    stage.hub.backdate(stage.last_run().id, days=1)


def unreviewed(stage: Stage, event: str) -> str:
    jobs = stage.later(event)
    assert results(jobs) == {"routine": "failure"}, log_of(jobs)
    return log_of(jobs)


@pytest.mark.parametrize("event", ["schedule", "repository_dispatch"])
def test_a_schedule_between_a_plan_and_its_approval_makes_none_of_its_changes(
    waiting: Stage, event: str
) -> None:
    run = waiting.last_run()
    waiting.put("/app/new", "of no plan")
    assert "3 addresses of refused or waiting plans" in unreviewed(waiting, event)
    assert set(waiting.holds()) == {"/app/new"}
    waiting.scheduler.approve(run, CHANGED, "bob")
    waiting.scheduler.settle()
    assert run.jobs["changed"].result == "success", log_of(run.jobs)
    assert waiting.holds()["/shop/limit"] == "999"


@pytest.mark.parametrize("event", ["schedule", "repository_dispatch"])
def test_a_schedule_after_a_rejection_makes_none_of_its_changes(waiting: Stage, event: str) -> None:
    waiting.scheduler.reject(waiting.last_run(), CHANGED, "bob")
    waiting.scheduler.settle()
    unreviewed(waiting, event)
    assert waiting.holds() == {}


def test_an_approval_that_is_not_proven_does_not_let_the_schedule_apply(waiting: Stage) -> None:
    waiting.hub.environment(CHANGED).reviewers.append("alice")
    waiting.scheduler.approve(waiting.last_run(), CHANGED, "alice")  # the author
    waiting.scheduler.settle()
    unreviewed(waiting, "schedule")
    assert waiting.holds() == {}


def test_an_apply_by_plan_id_ends_a_refusal(waiting: Stage) -> None:
    run = waiting.last_run()
    waiting.scheduler.reject(run, CHANGED, "bob")
    plan_id = run.jobs["merged"].outputs["plan-id"][:12]
    jobs = waiting.by_hand(**{"plan-id": plan_id})
    assert results(jobs) == {"by-hand": "success"}, log_of(jobs)
    waiting.put("/shop/limit", "1000")
    assert results(waiting.later("schedule")) == {"routine": "success"}
    assert waiting.holds()["/shop/limit"] == "1000"


def test_the_schedule_keeps_current_what_was_approved_and_applied(waiting: Stage) -> None:
    waiting.scheduler.approve(waiting.last_run(), CHANGED, "bob")
    waiting.hub.backdate(waiting.last_run().id, days=1)
    waiting.scheduler.settle()
    waiting.put("/shop/limit", "1000")
    jobs = waiting.later("schedule")
    assert results(jobs) == {"routine": "success"}, log_of(jobs)
    assert waiting.holds()["/shop/limit"] == "1000"


def test_the_next_merge_of_the_spec_that_is_applied_ends_a_refusal(waiting: Stage) -> None:
    waiting.scheduler.reject(waiting.last_run(), CHANGED, "bob")
    waiting.scheduler.settle()
    waiting.open(spec("/app/**"), 8)
    waiting.plan(8, jobs={"plan"})
    assert results(waiting.push(waiting.merge(8))) == {"merged": "success"}
    assert set(waiting.holds()) == {"/app/url", "/app/key"}
    waiting.put("/app/url", "https://rotated.example.org")
    assert results(waiting.later("schedule")) == {"routine": "success"}


def test_a_run_that_cannot_read_what_was_refused_applies_nothing(waiting: Stage) -> None:
    waiting.permissions["routine"] = {"contents": "read", "issues": "write", "id-token": "write"}
    assert "unknown which plans were refused" in unreviewed(waiting, "schedule")
    assert waiting.holds() == {}
    del waiting.permissions["routine"]
    waiting.hub.artifacts[-1].content = b"not an archive"
    assert "so it is unknown what was refused" in unreviewed(waiting, "schedule")
    assert waiting.holds() == {}


def test_the_issue_of_a_drift_run_shows_what_is_left_out(waiting: Stage) -> None:
    waiting.variables["SSM_SCHEDULE"] = "drift"
    waiting.later("schedule")
    (issue,) = waiting.hub.issues
    assert "refused" in issue.body


@pytest.mark.parametrize("schedule", ["apply", "drift"])
@pytest.mark.parametrize("is_rejected", [True, False])
def test_the_merge_of_another_pull_request_makes_no_change_that_waits_or_was_rejected(
    stage: Stage, schedule: str, *, is_rejected: bool
) -> None:
    """Its plan was made before, so no one has seen these changes as a part of it."""
    stage.variables["SSM_SCHEDULE"] = schedule
    stage.put("/more/x", "1")
    stage.last_push = stage.commit(RULES % ("", ""))
    stage.open(RULES % ('    - "/shop/**"\n', ""), 7)
    stage.open(RULES % ("", '    - "/more/**"\n'), 8)
    stage.plan(7, jobs={"plan"})
    stage.plan(8, jobs={"plan"})
    stage.put("/shop/limit", "999")
    stage.push(stage.merge(7))
    if is_rejected:
        stage.scheduler.reject(stage.last_run(), CHANGED, "bob")
        stage.scheduler.settle()
    stage.hub.backdate(stage.last_run().id, days=1)
    jobs = stage.push(stage.merge(8))
    assert jobs["approval"].result == "waiting", log_of(jobs)
    stage.later("workflow_dispatch", mode="apply")
    assert stage.holds() == {}
