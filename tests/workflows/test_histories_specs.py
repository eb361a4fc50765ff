"""Histories of callers with several specs: a matrix and a folder. Nothing of one spec is used for another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ssm_reconcile.github.workflow_run import artifact_suffix
from tests.workflows.prepared import prepared
from tests.workflows.schedule import StartedRun
from tests.workflows.stage import APPLYING, CALLED, CALLER, WORKFLOWS, Stage, log_of, results, spec

pytestmark = pytest.mark.slow

A, B = "specs/a.yaml", "specs/b.yaml"
SUFFIX = {one: artifact_suffix([one]) for one in (A, B)}
MATRIX = f"    strategy: {{ fail-fast: false, matrix: {{ spec: [{A}, {B}] }} }}\n    uses:"
CHANGED = "ssm-apply-changed"
FIRST = "version: 1"
"""The spec in replication.yaml, which no caller of these histories names."""


def text_of(name: str, *globs: str) -> str:
    return spec(*globs).replace("name: prod", f"name: {name}")


def call_specs(stage: Stage, given: str, jobs: str = "    uses:") -> None:
    """Let the workflow of the repository call the reusable one for other specs."""
    folder = stage.folder / "workflows"
    folder.mkdir(parents=True, exist_ok=True)
    text = (WORKFLOWS / CALLER).read_text().replace("    uses:", jobs)
    text = text.replace("      - replication.yaml\n", f"      - {A}\n      - {B}\n")
    (folder / CALLER).write_text(text.replace("spec: replication.yaml", f"spec: {given}"))
    shutil.copyfile(WORKFLOWS / CALLED, folder / CALLED)
    stage.caller = folder / CALLER


def commit_specs(stage: Stage) -> None:
    (stage.repository / "specs").mkdir()
    stage.commit(text_of("a", "/none-a/**"), A)
    stage.last_push = stage.commit(text_of("b", "/none-b/**"), B)


def propose(stage: Stage, number: int = 7, **globs: str) -> None:
    """Open a pull request that sets the globs of specs, with spaces between."""
    files = {f"specs/{name}.yaml": text_of(name, *text.split()) for name, text in globs.items()}
    stage.open(FIRST, number, files=files)


def push(stage: Stage, sha: str) -> StartedRun:
    stage.push(sha)
    return stage.last_run()


def artifacts(stage: Stage) -> set[str]:
    names = [(one.run, one.name) for one in stage.hub.artifacts]
    assert len(set(names)) == len(names)
    return {name for _run, name in names}


@prepared
def matrix(stage: Stage) -> None:
    """Two specs, and a reviewed pull request that selects /app for one and /shop for the other."""
    commit_specs(stage)
    call_specs(stage, "${{ matrix.spec }}", MATRIX)
    propose(stage, a="/app/**", b="/shop/**")
    jobs = stage.plan()
    assert {name for name, job in jobs.items() if job.result == "success"} == {
        f"{one}: {job}" for one in (A, B) for job in ("touched", "validate", "plan", "check")
    }, log_of(jobs)


def test_each_spec_has_its_artifacts_comments_and_checks_and_the_merge_applies_both(matrix: Stage) -> None:
    assert artifacts(matrix) == {f"ssm-plan{SUFFIX[one]}" for one in (A, B)}
    plans = [comment.body for comment in matrix.hub.shown(7)]
    assert ["/shop/limit" in body for body in plans].count(True) == 1
    assert ["/app/url" in body for body in plans].count(True) == 1
    assert {check["name"] for check in matrix.hub.check_runs} == {f"SSM plan ({one})" for one in (A, B)}
    run = push(matrix, matrix.merge())
    assert results(run.jobs) == {f"{one}: merged": "success" for one in (A, B)}, log_of(run.jobs)
    assert set(matrix.holds()) == {"/app/url", "/app/key", "/shop/limit"}
    assert {f"ssm-report{SUFFIX[one]}" for one in (A, B)} < artifacts(matrix)
    assert {job["name"] for job in matrix.hub.jobs[run.id]} >= {
        f"ssm ({one}) / Apply the reviewed plan" for one in (A, B)
    }


def test_a_plan_that_changed_and_its_refusal_are_those_of_its_spec_only(matrix: Stage) -> None:
    matrix.put("/shop/limit", "999")
    matrix.variables["SSM_SCHEDULE"] = "apply"
    run = push(matrix, matrix.merge())
    assert results(run.jobs) == {
        f"{A}: merged": "success", f"{B}: merged": "success", f"{B}: approval": "waiting",
        f"{B}: changed": "queued",
    }, log_of(run.jobs)  # fmt: skip
    assert f"ssm-plan-changed{SUFFIX[B]}" in artifacts(matrix)
    assert f"ssm-plan-changed{SUFFIX[A]}" not in artifacts(matrix)
    matrix.scheduler.reject(run, CHANGED, "bob")
    matrix.scheduler.settle()
    matrix.put("/app/url", "https://example.com")
    jobs = matrix.later("schedule")
    assert results(jobs) == {f"{A}: routine": "success", f"{B}: routine": "failure"}, log_of(jobs)
    assert matrix.holds() == {"/app/url": "https://example.com", "/app/key": matrix.holds()["/app/key"]}
    assert "refused-plan" in log_of({"b": jobs[f"{B}: routine"]})


def test_an_approved_plan_is_the_one_of_its_spec(matrix: Stage) -> None:
    matrix.put("/shop/limit", "999")
    matrix.put("/app/url", "https://example.com")
    run = push(matrix, matrix.merge())
    matrix.scheduler.approve(run, CHANGED, "bob")
    matrix.scheduler.settle()
    assert results(run.jobs) == {
        f"{one}: {job}": "success" for one in (A, B) for job in ("merged", "approval", "changed")
    }, log_of(run.jobs)
    assert set(matrix.holds()) == {"/app/url", "/app/key", "/shop/limit"}


def reviewed_first(stage: Stage, review: str) -> StartedRun:
    """Merge two plans that changed; bob approves or rejects the first before the second is posted."""
    stage.put("/shop/limit", "999")
    stage.put("/app/url", "https://example.com")

    def judge(job: str) -> None:
        if job == f"{B}: merged":
            getattr(stage.scheduler, review)(stage.last_run(), CHANGED, "bob")

    sha = stage.merge()
    stage.start("push", stage.push_payload(sha), sha, "refs/heads/main", jobs=APPLYING, meanwhile=judge)
    return stage.last_run()


def test_the_approval_of_one_plan_is_not_that_of_a_plan_that_was_posted_after_it(matrix: Stage) -> None:
    run = reviewed_first(matrix, "approve")
    assert results(run.jobs) == {
        f"{A}: merged": "success", f"{A}: approval": "success", f"{A}: changed": "success",
        f"{B}: merged": "success", f"{B}: approval": "waiting", f"{B}: changed": "queued",
    }, log_of(run.jobs)  # fmt: skip
    matrix.scheduler.bypass(run, CHANGED)
    matrix.scheduler.settle()
    assert run.jobs[f"{B}: changed"].result == "failure"
    assert "by a person since this plan was posted" in log_of(run.jobs)
    assert set(matrix.holds()) == {"/app/url", "/app/key"}


def test_a_second_approval_by_the_same_person_is_that_of_the_later_plan(matrix: Stage) -> None:
    run = reviewed_first(matrix, "approve")
    matrix.scheduler.approve(run, CHANGED, "bob")
    matrix.scheduler.settle()
    assert run.jobs[f"{B}: changed"].result == "success", log_of(run.jobs)
    assert set(matrix.holds()) == {"/app/url", "/app/key", "/shop/limit"}


def test_a_rejection_before_a_plan_was_posted_is_not_one_of_this_plan(matrix: Stage) -> None:
    run = reviewed_first(matrix, "reject")
    matrix.scheduler.approve(run, CHANGED, "bob")
    matrix.scheduler.settle()
    assert run.jobs[f"{A}: approval"].result == "failure"
    assert run.jobs[f"{B}: changed"].result == "success", log_of(run.jobs)
    assert set(matrix.holds()) == {"/shop/limit"}


def test_a_merge_of_one_spec_neither_applies_nor_shows_another_that_differs(matrix: Stage) -> None:
    push(matrix, matrix.merge())
    matrix.put("/shop/limit", "drift")
    matrix.put("/more/x", "1")
    propose(matrix, 8, a="/app/** /more/**")
    jobs = matrix.plan(8)
    assert jobs[f"{B}: plan"].result == "skipped"
    run = push(matrix, matrix.merge(8))
    assert results(run.jobs) == {f"{A}: merged": "success"}, log_of(run.jobs)
    assert "/more/x" in matrix.holds()
    assert matrix.holds()["/shop/limit"] == "100"


def test_a_merge_that_failed_for_one_spec_is_taken_over_by_the_next_of_this_spec(matrix: Stage) -> None:
    """The push between them succeeded, but it was not one of this spec."""
    push(matrix, matrix.merge())
    matrix.put("/more/x", "1")
    propose(matrix, 8, b="/shop/** /more/**")
    matrix.plan(8)

    def fail(job: str) -> None:
        if job == f"{B}: merged":
            matrix.hub.fail("GET", "/commits/.*/pulls", 502, times=50)

    sha = matrix.merge(8)
    matrix.start("push", matrix.push_payload(sha), sha, "refs/heads/main", meanwhile=fail)
    assert results(matrix.last_run().jobs)[f"{B}: merged"] == "failure"
    matrix.hub.faults.clear()
    propose(matrix, 9, a="/app/u*")
    matrix.plan(9)
    assert push(matrix, matrix.merge(9)).conclusion == "success"
    matrix.put("/last/x", "1")
    propose(matrix, 10, b="/shop/** /more/** /last/**")
    matrix.plan(10)
    run = push(matrix, matrix.merge(10))
    assert results(run.jobs)[f"{B}: merged"] == "success", log_of(run.jobs)
    body = matrix.comment(8).body
    assert "Applied" in body, "the result of both is on the first pull request, too"


def test_a_merge_without_effect_has_a_result_although_another_spec_failed(matrix: Stage) -> None:
    push(matrix, matrix.merge())
    propose(matrix, 8, a="/app/u*", b="/shop/**")
    matrix.open(FIRST, 8, files={B: text_of("b", "/shop/**") + "# the end\n"})
    matrix.plan(8)

    def fail(job: str) -> None:
        matrix.hub.faults.clear()
        if job == f"{A}: merged":
            matrix.hub.fail("GET", "/commits/.*/pulls", 502, times=50)

    sha = matrix.merge(8)
    matrix.start("push", matrix.push_payload(sha), sha, "refs/heads/main", meanwhile=fail)
    matrix.hub.faults.clear()
    assert results(matrix.last_run().jobs)[f"{A}: merged"] == "failure"
    assert f"ssm-in-sync{SUFFIX[B]}" in artifacts(matrix)
    matrix.put("/more/x", "1")
    propose(matrix, 9, b="/shop/** /more/**")
    matrix.plan(9)
    run = push(matrix, matrix.merge(9))
    assert results(run.jobs) == {f"{B}: merged": "success"}, log_of(run.jobs)
    assert "/more/x" in matrix.holds()


def test_plans_made_again_are_stored_and_posted_by_spec(matrix: Stage) -> None:
    matrix.put("/shop/limit", "999")
    jobs = matrix.replan()
    assert results(jobs) == {
        f"{one}: {job}": "success" for one in (A, B) for job in ("open", "replan (7)", "check")
    }, log_of(jobs)
    again = artifacts(matrix) - {f"ssm-plan{SUFFIX[one]}" for one in (A, B)}
    assert again == {f"ssm-plan{SUFFIX[B]}-7"}
    run = push(matrix, matrix.merge())
    assert results(run.jobs) == {f"{one}: merged": "success" for one in (A, B)}, log_of(run.jobs)
    assert matrix.holds()["/shop/limit"] == "999"


def test_a_folder_of_specs_is_planned_and_applied_together(stage: Stage) -> None:
    commit_specs(stage)
    call_specs(stage, "specs")
    propose(stage, a="/app/**", b="/shop/**")
    jobs = stage.plan()
    assert results(jobs)["check"] == "success", log_of(jobs)
    assert artifacts(stage) == {f"ssm-plan{artifact_suffix(['specs'])}"}
    assert len(stage.hub.shown(7)) == 2, "one comment for each replication"
    assert "already pending" not in "".join(comment.body for comment in stage.hub.shown(7))
    stage.put("/shop/limit", "999")
    assert results(stage.replan())["replan (7)"] == "success"
    run = push(stage, stage.merge())
    assert results(run.jobs) == {"merged": "success"}, log_of(run.jobs)
    assert set(stage.holds()) == {"/app/url", "/app/key", "/shop/limit"}
    assert Path(f"ssm-report{artifact_suffix(['specs'])}").name in artifacts(stage)


def test_dispatches_for_two_specs_do_not_replace_each_other(matrix: Stage) -> None:
    push(matrix, matrix.merge())
    jobs = matrix.later("repository_dispatch")
    assert results(jobs) == {f"{one}: routine": "success" for one in (A, B)}, log_of(jobs)
