"""Histories on the simulated GitHub: tokens of jobs, approvals, attempts, merge groups, other branches.

They hold what the simulation promises to the tests of reviewed applies, on the workflows as they are.
"""

from __future__ import annotations

from tests.github.content import BOT
from tests.workflows.prepared import prepared
from tests.workflows.stage import PLAN_ROLE, Stage, log_of, results, spec

ALL = spec("/app/**", "/shop/**")
CHANGED = "ssm-apply-changed"


@prepared
def waiting(stage: Stage) -> None:
    """A merge whose plan changed after its review: job `approval` waits for an approval."""
    stage.open(ALL)
    stage.plan()
    stage.put("/shop/limit", "999")
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success", "approval": "waiting", "changed": "queued"}, log_of(jobs)


def test_an_approval_is_in_the_history_of_the_run_and_the_job_goes_on(waiting: Stage) -> None:
    run = waiting.last_run()
    assert waiting.hub.runs[run.id]["status"] == "waiting"
    waiting.scheduler.approve(run, CHANGED, "bob")
    waiting.scheduler.settle()
    assert (run.conclusion, waiting.hub.runs[run.id]["conclusion"]) == ("success", "success")
    (entry,) = waiting.hub.approvals[run.id]
    assert (entry["state"], entry["user"]["login"]) == ("approved", "bob")
    assert "/shop/limit" in waiting.holds()


def test_a_second_attempt_waits_again_and_keeps_the_approval_of_the_first(waiting: Stage) -> None:
    run = waiting.last_run()
    waiting.scheduler.approve(run, CHANGED, "bob")
    waiting.scheduler.settle()
    jobs = waiting.rerun(run, by="carol", jobs={"approval", "changed"})
    assert jobs["approval"].result == "waiting"
    document = waiting.hub.runs[run.id]
    assert (document["run_attempt"], document["triggering_actor"]["login"]) == (2, "carol")
    assert document["actor"]["login"] == "alice"
    assert len(waiting.hub.approvals[run.id]) == 1


def test_each_job_has_a_token_with_its_own_permissions_which_ends_with_it(stage: Stage) -> None:
    stage.open(ALL)
    jobs = stage.plan()
    tokens = [jobs[name].github["token"] for name in ("validate", "plan")]
    assert len(set(tokens)) == 2
    assert not set(tokens) & stage.hub.tokens.keys()
    assert stage.hub.permissions[tokens[0]] == {"contents": "read"}
    assert {request.token for request in stage.hub.requests} <= {*tokens, ""}


def test_a_job_without_the_permission_to_comment_gets_403_from_the_api(
    stage: Stage,
) -> None:
    stage.permissions["plan"] = {"contents": "read", "id-token": "write"}
    stage.open(ALL)
    jobs = stage.plan(jobs={"plan"})
    assert not stage.hub.comments
    assert any(line.startswith("::warning::no comment") for line in jobs["plan"].annotations)


def test_an_edited_comment_keeps_its_author(stage: Stage) -> None:
    stage.open(ALL)
    stage.plan(jobs={"plan"})
    comment = stage.comment()
    stage.hub.edit(comment, comment.body.replace("/shop/limit", "/shop/other"), by="mallory")
    assert (comment.author, comment.editor) == (BOT, "mallory")


def test_two_pull_requests_in_one_push(stage: Stage) -> None:
    stage.open(ALL, 7)
    stage.merge(7)
    stage.open(spec("/shop/**"), 8)
    payload = stage.push_payload(stage.merge(8))
    compared = stage.hub.branches["main"]
    assert compared[compared.index(payload["before"]) + 1 :] == compared[-2:]
    assert [stage.hub.merged_by[sha] for sha in compared[-2:]] == [[7], [8]]


def test_a_run_by_hand_on_another_branch_has_its_branch_and_not_the_apply_environment(stage: Stage) -> None:
    stage.open(ALL)
    jobs = stage.by_hand("change-7", actor="mallory", mode="drift")
    assert results(jobs) == {"drift": "success"}, log_of(jobs)
    assert stage.hub.runs[stage.last_run().id]["head_branch"] == "change-7"
    assert stage.assumed == [(PLAN_ROLE, "ssm-plan")]
    assert results(stage.by_hand("change-7", actor="mallory", mode="apply")) == {"routine": "failure"}
    assert stage.holds() == {}


def test_a_pull_request_names_its_files_and_its_last_commit(stage: Stage) -> None:
    stage.open(ALL, files={".github/workflows/ssm-reconcile.yml": "name: other"})
    assert {file["filename"] for file in stage.hub.pull_files[7]} == {
        ".github/workflows/ssm-reconcile.yml", "replication.yaml",
    }  # fmt: skip
    review = stage.hub.review(7, "bob")
    assert review.commit == stage.hub.pulls[7]["head"]["sha"]
