"""Histories of old runs that are started again: they apply nothing, and overwrite no result."""

from __future__ import annotations

import pytest

from tests.workflows.stage import Stage, log_of, results, spec

pytestmark = pytest.mark.slow

BOTH = spec("/app/**", "/shop/**")
LESS = spec("/app/**", "/shop/none")


def test_an_old_merge_that_is_run_again_applies_nothing_and_overwrites_no_result(stage: Stage) -> None:
    stage.open(BOTH, 7)
    stage.plan(7)
    assert results(stage.push(stage.merge(7))) == {"merged": "success"}
    old = stage.last_run()
    stage.put("/more/x", "1")
    stage.open(BOTH.replace('"/shop/**"', '"/shop/**", "/more/**"'), 8)
    stage.plan(8)
    assert results(stage.push(stage.merge(8))) == {"merged": "success"}
    held = stage.holds()
    stage.delete("/more/x")
    before = {comment.id: comment.body for comment in stage.hub.comments}
    jobs = stage.rerun(old)
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert "main has changed replication.yaml since" in log_of(jobs)
    assert stage.holds() == held
    assert {comment.id: comment.body for comment in stage.hub.comments} == before


@pytest.mark.parametrize("event", ["schedule", "repository_dispatch"])
def test_an_old_run_without_a_review_that_is_run_again_applies_nothing(stage: Stage, event: str) -> None:
    stage.variables["SSM_SCHEDULE"] = "apply"
    assert results(stage.later(event)) == {"routine": "success"}
    old, held = stage.last_run(), stage.holds()
    stage.put("/app/new", "x")
    stage.commit(LESS)
    jobs = stage.rerun(old)
    assert results(jobs) == {"routine": "failure"}, log_of(jobs)
    assert stage.holds() == held


def test_an_old_apply_by_plan_id_that_is_run_again_applies_nothing(stage: Stage) -> None:
    stage.hub.environment("ssm-apply-changed").reviewers.clear()
    plan_id = stage.push(stage.commit(BOTH))["merged"].outputs["plan-id"][:12]
    assert results(stage.by_hand(**{"plan-id": plan_id})) == {"by-hand": "success"}
    old = stage.last_run()
    for name in stage.holds():
        stage.delete(name, region="us-east-2")
    stage.commit(LESS)
    jobs = stage.rerun(old)
    assert results(jobs) == {"by-hand": "failure"}, log_of(jobs)
    assert stage.holds() == {}
