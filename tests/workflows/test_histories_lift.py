"""Histories of lifts: a review or a plan id lets the changes of a guard through, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.aws import Answer, Asked, proxied
from tests.workflows.prepared import prepared
from tests.workflows.stage import Stage, log_of, results, spec

pytestmark = pytest.mark.slow

GONE = [f"/app/p{number:02}" for number in range(12)]
LIFTS = 'lifts: [{{guard: max-deletes, target: us-east-2, count: {count}, changes: "{changes}", {more}}}]\n'


@prepared
def withheld(stage: Stage) -> None:
    """Replicas whose source has lost two of three: more deletes than the limit."""
    stage.later("workflow_dispatch", mode="apply")
    for name in ("/app/url", "/app/key"):
        stage.put(f"{name}2", "x")
        stage.delete(name)


def plan_of(stage: Stage) -> dict[str, Any]:
    """Return the plan of a drift run."""
    jobs = stage.later("workflow_dispatch", mode="drift")
    found: dict[str, Any] = json.loads(Path(jobs["drift"].step("Plan").outputs["plan-path"]).read_text())
    return found


def codes(plan: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in plan["findings"]}


def remedy(stage: Stage) -> dict[str, Any]:
    (found,) = [one["remedy"] for one in plan_of(stage)["findings"] if one["code"] == "max-deletes"]
    assert isinstance(found, dict)
    return found


def with_lift(stage: Stage, until: str = "2099-12-31") -> str:
    """Return the spec with a lift of what is withheld now."""
    more = f'until: "{until}", reason: "gone"'
    return spec("/app/**") + LIFTS.format(**{**remedy(stage), "more": more})


def by_id(stage: Stage, plan_id: str, lift: str) -> Any:
    return stage.by_hand(**{"plan-id": plan_id[:12], "lift": lift})["by-hand"]


def test_a_lift_is_used_with_the_id_of_the_plan_that_has_it(withheld: Stage) -> None:
    lift = f"max-deletes@us-east-2={remedy(withheld)['changes']}"
    job = by_id(withheld, plan_of(withheld)["plan_id"], lift)
    assert job.result == "failure"
    assert "/app/url" in withheld.holds(), "that was the id of the plan without the lift"
    shown = job.step("Apply the plan with this id").outputs["plan-id"]
    job = by_id(withheld, shown, f" {lift},")
    assert job.result == "success", job.log
    assert set(withheld.holds()) == {"/app/url2", "/app/key2"}


def test_changes_outside_of_the_set_of_a_lift_stay_withheld(withheld: Stage) -> None:
    lift = f"max-deletes@us-east-2={remedy(withheld)['changes']}"
    withheld.later("workflow_dispatch", mode="apply")
    withheld.delete("/app/url2")
    job = by_id(withheld, plan_of(withheld)["plan_id"], lift)
    assert job.result == "failure"
    assert "lift-other-changes" in job.log
    assert {"/app/url", "/app/key", "/app/url2", "/app/key2"} == set(withheld.holds())


@pytest.mark.parametrize("mode", ["drift", "apply"])
def test_a_lift_without_a_plan_id_is_wrong_usage_and_nothing_is_applied(withheld: Stage, mode: str) -> None:
    lift = f"max-deletes@us-east-2={remedy(withheld)['changes']}"
    jobs = withheld.by_hand(mode=mode, lift=lift)
    assert results(jobs) == {"by-hand": "failure"}, log_of(jobs)
    assert any("give its id in plan-id" in line for line in jobs["by-hand"].annotations)
    assert jobs["by-hand"].step("Assume the apply role").outcome == "skipped"
    assert set(withheld.holds()) == {"/app/url", "/app/key"}


def test_a_lift_of_the_spec_is_used_by_the_merge_of_its_reviewed_plan(withheld: Stage) -> None:
    withheld.open(with_lift(withheld))
    withheld.plan(jobs={"plan"})
    withheld.hub.review(7, "bob", ago=-5)
    jobs = withheld.push(withheld.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert set(withheld.holds()) == {"/app/url2", "/app/key2"}


@pytest.mark.parametrize("mode", ["drift", "apply"])
def test_a_reviewed_lift_does_not_lift_a_delete_that_came_up_after_the_review(
    stage: Stage, mode: str
) -> None:
    stage.variables["SSM_SCHEDULE"] = mode
    for name in GONE:
        stage.put(name, "x")
    stage.by_hand(mode="apply")
    for name in GONE:
        stage.delete(name)
    stage.open(with_lift(stage))
    stage.plan(jobs={"plan"})
    stage.delete("/app/url")
    jobs = stage.push(stage.merge())
    assert "12 changes of these are lifted" in log_of(jobs)
    assert set(stage.holds()) == {"/app/url", "/app/key"}, log_of(jobs)


def test_a_lift_of_the_spec_lifts_nothing_in_a_scheduled_run_and_drift_shows_that(withheld: Stage) -> None:
    withheld.commit(with_lift(withheld))
    plan = plan_of(withheld)
    assert plan["summary"]["withheld"] == 2
    assert "lift-not-reviewed" in codes(plan)
    withheld.variables["SSM_SCHEDULE"] = "apply"
    jobs = withheld.later("schedule")
    assert results(jobs) == {"routine": "failure"}, log_of(jobs)
    assert "lift-not-reviewed" in log_of(jobs)
    assert {"/app/url", "/app/key"} <= set(withheld.holds())


def test_a_lift_that_has_ended_is_a_warning_and_lifts_nothing(withheld: Stage) -> None:
    withheld.open(with_lift(withheld, until="2020-01-01"))
    jobs = withheld.plan()
    assert results(jobs)["plan"] == "success", log_of(jobs)
    assert "lift-expired" in withheld.plan_comment().body
    jobs = withheld.push(withheld.merge())
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert jobs["merged"].outputs["failure-reason"] == "refused"
    assert {"/app/url", "/app/key"} <= set(withheld.holds())


@pytest.fixture
def interrupted(stage: Stage) -> Iterator[Stage]:
    """The merge of a lift of 14 deletes; from the second call that deletes on, they are refused."""

    def meddle(asked: Asked) -> Answer | None:
        is_refused = asked.operation == "DeleteParameters" and asked.nth > 1
        return Answer(400, "AccessDeniedException") if is_refused else None

    for name in GONE:
        stage.put(name, "x")
    stage.later("workflow_dispatch", mode="apply")
    for name in (*GONE, "/app/url", "/app/key"):
        stage.delete(name)
    stage.put("/app/new", "x")
    stage.open(with_lift(stage))
    stage.plan(jobs={"plan"})
    with proxied(stage.endpoint) as proxy:
        stage.endpoint, proxy.meddle = proxy.url, meddle
        jobs = stage.push(stage.merge())
        assert results(jobs) == {"merged": "failure"}, log_of(jobs)
        proxy.meddle = None
        left = set(stage.holds())
        assert 0 < len(left - {"/app/new"}) < len(GONE), "some are deleted"
        yield stage


def test_an_interrupted_lift_of_a_merge_is_resumed_by_running_the_job_again(interrupted: Stage) -> None:
    jobs = interrupted.rerun(interrupted.last_run())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert set(interrupted.holds()) == {"/app/new"}


def test_an_interrupted_lift_of_a_merge_is_not_resumed_by_a_schedule(interrupted: Stage) -> None:
    interrupted.variables["SSM_SCHEDULE"] = "apply"
    before = set(interrupted.holds())
    interrupted.later("schedule")
    assert set(interrupted.holds()) >= before - {"/app/new"}
