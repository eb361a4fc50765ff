"""Histories of changes that a pull request did not cause: they do not refuse its merge."""

from __future__ import annotations

import pytest

from tests.workflows.prepared import prepared
from tests.workflows.stage import Stage, log_of, results, spec

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
WAITING = {"merged": "success", "approval": "waiting", "changed": "queued"}
ROTATED = "https://rotated.example.org"


@prepared
def reviewed(stage: Stage) -> None:
    """A pull request that adds /shop, planned and reviewed, to a spec that is applied."""
    stage.later("workflow_dispatch", mode="apply")
    assert set(stage.holds()) == {"/app/url", "/app/key"}
    stage.open(ALL)
    stage.plan(jobs={"plan"})


def test_a_value_that_was_rotated_before_the_merge_is_left_and_named(reviewed: Stage) -> None:
    reviewed.put("/app/url", ROTATED)
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert reviewed.holds()["/shop/limit"] == "100"
    assert reviewed.holds()["/app/url"] == "https://example.org"
    body = reviewed.comment().body
    assert "Applied 1 of 1 as reviewed" in body
    assert "1 change left: not reviewed" in body
    assert "update `/app/url` in `us-east-2` (prod)" in body
    reviewed.later("schedule")
    (issue,) = reviewed.hub.issues
    assert "/app/url" in issue.body


def test_a_rotated_value_is_applied_in_the_run_of_the_merge_if_schedules_apply(reviewed: Stage) -> None:
    reviewed.variables["SSM_SCHEDULE"] = "apply"
    reviewed.put("/app/url", ROTATED)
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert reviewed.holds()["/shop/limit"] == "100"
    assert reviewed.holds()["/app/url"] == ROTATED
    assert "not reviewed" not in reviewed.comment().body


@pytest.mark.parametrize("schedule", ["drift", "apply"])
def test_a_rotated_value_of_a_parameter_that_the_pull_request_adds_refuses_it(
    reviewed: Stage, schedule: str
) -> None:
    reviewed.variables["SSM_SCHEDULE"] = schedule
    reviewed.put("/shop/limit", "999")
    reviewed.put("/app/url", ROTATED)
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert set(reviewed.holds()) == {"/app/url", "/app/key"}
    assert reviewed.holds()["/app/url"] == "https://example.org"
    assert "altered: create /shop/limit" in reviewed.comment().body


def test_a_delete_that_was_not_reviewed_and_that_the_former_spec_makes_is_under_the_guards(
    stage: Stage,
) -> None:
    names = [f"/app/p{number:02}" for number in range(12)]
    for name in names:
        stage.put(name, "x")
    stage.later("workflow_dispatch", mode="apply")
    stage.variables["SSM_SCHEDULE"] = "apply"
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.delete(names[0])
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert names[0] not in stage.holds(), "one delete is within max_deletes"
    stage.open(spec("/app/**", "/shop/**", "/more/**"), 8)
    stage.put("/more/x", "1")
    stage.plan(8, jobs={"plan"})
    for name in names[1:]:
        stage.delete(name)
    jobs = stage.push(stage.merge(8))
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert jobs["merged"].outputs["failure-reason"] == "refused"
    assert set(names[1:]) <= set(stage.holds()), "11 deletes are more than max_deletes"
    assert stage.holds()["/more/x"] == "1", "the reviewed change is applied"


def test_a_merge_that_adds_the_spec_has_no_former_one(stage: Stage) -> None:
    stage._git("rm", "--quiet", "replication.yaml")
    stage.commit("words", "README.md")
    stage.last_push = stage._git("rev-parse", "HEAD")
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.put("/app/url", ROTATED)
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert stage.holds() == {}


def test_a_checkout_without_history_binds_every_change_to_the_review(reviewed: Stage) -> None:
    reviewed.put("/app/url", ROTATED)
    sha = reviewed.merge()
    reviewed.shallow = True
    jobs = reviewed.push(sha)
    assert results(jobs) == WAITING, log_of(jobs)
    assert any("check out with fetch-depth: 0" in line for line in jobs["merged"].annotations)
    assert "/shop/limit" not in reviewed.holds()
