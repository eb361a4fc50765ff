"""Histories of results: people, several pull requests, two merges in a row, applies by hand; check runs."""

from __future__ import annotations

import pytest

from tests.workflows.prepared import prepared
from tests.workflows.stage import APPLYING, Stage, log_of, results, spec

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
CHANGED = "ssm-apply-changed"


@prepared
def reviewed(stage: Stage) -> None:
    """A pull request that brings /shop, planned and approved by bob."""
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    stage.hub.review(7, "bob")


def test_the_result_names_the_reviewer_of_the_plan(reviewed: Stage) -> None:
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    for text in (reviewed.comment().body, jobs["merged"].summary):
        assert "**Applied 3 of 3 changes, as reviewed by `@bob`.**" in text


def test_the_result_names_the_person_who_approved_the_current_plan(reviewed: Stage) -> None:
    reviewed.put("/shop/limit", "999")
    reviewed.push(reviewed.merge())
    run = reviewed.last_run()
    reviewed.scheduler.approve(run, CHANGED, "bob")
    reviewed.scheduler.settle()
    assert run.jobs["changed"].result == "success", log_of(run.jobs)
    for text in (reviewed.comment().body, run.jobs["changed"].summary):
        assert "**Applied 3 of 3 changes, as approved by `@bob`.**" in text


def test_an_apply_by_hand_is_on_the_pull_request_that_changed_the_spec_last(stage: Stage) -> None:
    stage.open(ALL)  # never planned, so nothing is applied by its merge
    plan_id = stage.push(stage.merge())["merged"].outputs["plan-id"]
    refused = stage.comment().body
    stage.commit("words", "README.md")
    jobs = stage.by_hand(actor="carol", **{"plan-id": plan_id[:12]})
    assert results(jobs) == {"by-hand": "success"}, log_of(jobs)
    text = "**Applied 3 of 3 changes by plan id, started by `@carol`.**"
    assert text in stage.comment().body
    assert text in jobs["by-hand"].summary
    assert stage.comment().body != refused
    stage.put("/shop/limit", "999")
    jobs = stage.by_hand(actor="carol", **{"plan-id": plan_id[:12]})
    assert results(jobs) == {"by-hand": "failure"}, log_of(jobs)
    assert text in stage.comment().body, "a refused id says nothing on the merge"
    assert "Not applied" in jobs["by-hand"].summary


def test_each_pull_request_of_a_push_gets_the_result_with_its_own_plan(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"), 7)
    stage.plan(7)
    stage.merge(7)
    stage.open(spec("/app/url", "/shop/**"), 8)
    stage.plan(8)
    jobs = stage.push(stage.merge(8))
    assert jobs["merged"].result == "success", log_of(jobs)
    bodies = [stage.comment(number).body for number in (7, 8)]
    assert all(body.startswith("<!-- ssm-reconcile:result ") for body in bodies)
    headlines = {body.split("\n")[3] for body in bodies}
    assert len(headlines) == 1, "one apply, one result"


def test_two_merges_in_a_row_the_first_names_the_run_that_took_over_and_gets_its_result(stage: Stage) -> None:
    stage.commit("words", "README.md")
    stage.open(ALL, 7)
    stage.plan(7)
    first = stage.merge(7)
    stage.open(spec("/app/url", "/shop/**"), 8)
    stage.plan(8)
    second = stage.merge(8)
    payloads = [(sha, stage.push_payload(sha)) for sha in (first, second)]
    runs = [
        stage.trigger("push", payload, sha, "refs/heads/main", jobs=APPLYING) for sha, payload in payloads
    ]
    assert runs[0]
    assert runs[1]
    seen: list[str] = []

    def note(job: str) -> None:
        if job == "merged":
            seen.append(stage.comment(7).body)

    runs[1].before_job = note
    stage.scheduler.settle()
    assert runs[0].jobs["merged"].result == "failure"
    assert f"The run of `{second[:7]}` applies it" in seen[0]
    assert f"/actions/runs/{runs[1].id})" in seen[0]
    assert stage.comment(8).body.startswith("<!-- ssm-reconcile:result ")


def test_the_check_run_of_a_plan_is_on_the_head_commit(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan()
    stage.open(ALL.replace("delete:", "delte:"))
    stage.plan()
    good, bad = stage.hub.check_runs
    assert (good["name"], good["conclusion"], good["output"]["title"]) == ("SSM plan", "success", "3 changes")
    assert bad["head_sha"] == stage.hub.pulls[7]["head"]["sha"] != good["head_sha"]
    assert (bad["conclusion"], bad["output"]["title"]) == ("failure", "No plan was made")


def test_the_check_run_of_a_run_without_credentials_is_a_failure(stage: Stage) -> None:
    stage.variables["SSM_PLAN_ROLE"] = "arn:aws:iam::123456789012:role/another"
    stage.open(ALL)
    stage.plan()
    (check,) = stage.hub.check_runs
    assert check["conclusion"] == "failure"
    assert "such as getting credentials" in check["output"]["summary"]


def test_a_job_without_checks_write_warns_and_plans(stage: Stage) -> None:
    stage.permissions["plan"] = {"contents": "read", "id-token": "write", "pull-requests": "write"}
    stage.open(ALL)
    jobs = stage.plan(jobs={"plan"})
    assert results(jobs)["plan"] == "success", log_of(jobs)
    assert any("no check run" in line and "checks: write" in line for line in jobs["plan"].annotations)
    assert "3 changes" in stage.comment().body
