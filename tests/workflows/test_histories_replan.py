"""Histories of open pull requests that a run of the default branch plans again."""

from __future__ import annotations

import base64

import pytest

from tests.workflows.prepared import prepared
from tests.workflows.stage import PLAN_ROLE, REPLANNING, SECRET, Stage, log_of, results, spec
from tests.workflows.test_histories_review import RULES

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
PLANNED = {"open": "success", "replan (7)": "success", "check": "success"}
NOTHING = {"open": "success", "check": "success"}
WAITING = {"merged": "success", "approval": "waiting", "changed": "queued"}


def artifacts(stage: Stage) -> list[str]:
    return [artifact.name for artifact in stage.hub.artifacts]


@prepared
def planned(stage: Stage) -> None:
    """A pull request with a plan that selects /shop/limit."""
    stage.open(ALL)
    stage.plan(jobs={"plan"})


@pytest.mark.parametrize("event", ["push", "workflow_dispatch"])
def test_after_a_change_of_main_the_merge_applies_the_plan_that_was_posted_again(
    stage: Stage, event: str
) -> None:
    stage.put("/more/x", "1")
    stage.commit(RULES % ("", ""))
    stage.open(RULES % ('    - "/shop/**"\n', ""))
    stage.plan(jobs={"plan"})
    assert "/more/x" not in stage.plan_comment().body
    stage.commit(RULES % ("", '    - "/more/**"\n'))
    jobs = stage.replan(event)
    assert results(jobs) == PLANNED, log_of(jobs)
    body = stage.plan_comment().body
    assert "/shop/limit" in body.split("<b>Already pending</b>")[0]
    assert "/more/x" in body.split("<b>Already pending</b>")[1], "main selects it as well"
    assert artifacts(stage) == ["ssm-plan", "ssm-plan-7"]
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert set(stage.holds()) == {"/app/url", "/app/key", "/shop/limit", "/more/x"}


def test_a_changed_value_is_applied_after_the_plan_was_posted_again(planned: Stage) -> None:
    planned.put("/shop/limit", "200")
    assert results(planned.replan()) == PLANNED
    jobs = planned.push(planned.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert planned.holds()["/shop/limit"] == "200"


def test_the_check_run_of_a_plan_that_was_posted_again_is_on_the_head_of_the_pull_request(
    planned: Stage,
) -> None:
    planned.put("/shop/more", "1")
    assert results(planned.replan()) == PLANNED
    head = planned.hub.pulls[7]["head"]["sha"]
    assert head != planned.hub.branches["main"][-1]
    assert [
        (check["name"], check["head_sha"], check["conclusion"], check["output"]["title"])
        for check in planned.hub.check_runs
    ] == [("SSM plan", head, "success", "3 changes"), ("SSM plan", head, "success", "4 changes")]
    planned.replan()
    assert len(planned.hub.check_runs) == 2, "the same plan is not reported again"


def test_an_expired_hold_does_not_stop_a_plan_that_is_made_again(stage: Stage) -> None:
    expired = '  hold: [{ match: /app/key, until: "2020-01-01" }]\n'
    stage.open(RULES % ('    - "/shop/**"\n', expired))
    stage.plan(jobs={"plan"})
    stage.put("/shop/more", "1")
    jobs = stage.replan()
    assert results(jobs) == PLANNED, log_of(jobs)
    body = stage.plan_comment().body
    assert "/shop/more" in body
    assert "hold-expired" in body


def test_the_same_plan_is_not_posted_again_and_the_merge_applies_the_first_one(planned: Stage) -> None:
    jobs = planned.replan()
    assert results(jobs) == PLANNED, log_of(jobs)
    assert "Pull request 7 shows this plan" in log_of(jobs)
    assert planned.plan_comment().edits == 0
    assert artifacts(planned) == ["ssm-plan"]
    assert results(planned.push(planned.merge())) == {"merged": "success"}


def test_a_plan_of_the_workflow_before_an_upgrade_is_made_again_and_applied(planned: Stage) -> None:
    first = planned.last_run()
    planned.hub.runs[first.id]["path"] = ".github/workflows/plan.yml"
    assert results(planned.replan()) == PLANNED
    assert artifacts(planned) == ["ssm-plan", "ssm-plan-7"]
    planned.hub.review(7, "bob")
    assert results(planned.replan()) == PLANNED
    assert planned.plan_comment().edits == 1, "the plan of this workflow is not posted again"
    jobs = planned.push(planned.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert "/shop/limit" in planned.holds()


def test_no_secret_and_no_token_is_anywhere(planned: Stage) -> None:
    planned.put("/shop/limit", "200")
    everything = log_of(planned.replan()) + planned.all_output()
    assert "/app/key" in everything
    basic = base64.b64encode(b"x-access-token:ghs-").decode()[:-1]
    assert not [text for text in (SECRET, "ghs-1", basic) if text in everything]


def test_an_approval_of_the_plan_before_does_not_count(planned: Stage) -> None:
    planned.hub.review(7, "bob", ago=1)
    planned.put("/shop/limit", "200")
    planned.replan()
    jobs = planned.push(planned.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "@bob approved before this plan was posted" in log_of(jobs)
    assert planned.holds() == {}


def test_a_pull_request_that_changes_a_workflow_or_is_of_a_fork_is_not_planned_again(stage: Stage) -> None:
    stage.open(ALL, 7, files={".github/workflows/other.yml": "on: push\n"})
    stage.open(spec("/shop/**"), 8, fork=True, author="mallory")
    jobs = stage.replan()
    assert results(jobs) == NOTHING, log_of(jobs)
    assert "Pull request 7 is not planned again: it changes .github/workflows/other.yml" in log_of(jobs)
    assert stage.assumed == []
    assert stage.hub.comments == []


def test_a_pull_request_that_conflicts_with_main_is_left_as_it_is(planned: Stage) -> None:
    planned.commit(spec("/more/**"))
    jobs = planned.replan()
    assert results(jobs) == PLANNED, log_of(jobs)
    assert "Pull request 7 is not planned again: it conflicts with the default branch" in log_of(jobs)
    assert planned.plan_comment().edits == 0
    assert planned.assumed == [(PLAN_ROLE, "ssm-plan")], "by its own plan"


def test_a_commit_that_arrives_after_the_list_was_made_is_not_planned(planned: Stage) -> None:
    planned.put("/shop/limit", "200")

    def push(job: str) -> None:
        if job.startswith("replan"):
            planned.open(spec("/shop/**"))

    jobs = planned.replan(meanwhile=push)
    assert results(jobs) == PLANNED, log_of(jobs)
    assert "Pull request 7 is not planned again: it has a newer commit" in log_of(jobs)
    assert planned.plan_comment().edits == 0


def test_only_the_text_of_the_spec_is_taken_and_no_link_of_it_is_followed(stage: Stage) -> None:
    stage.open(ALL, files={"code.sh": "touch /tmp/x\n", ".gitattributes": "* filter=code\n"})
    stage.plan(jobs={"plan"})
    job = stage.replan()["replan (7)"]
    files = {file.name for file in job.workspace.iterdir()}
    assert files == {".git", ".ssm-reconcile", "replication.yaml"}
    assert "/shop/**" in (job.workspace / "replication.yaml").read_text()
    stage._git("checkout", "--quiet", "change-7")
    (stage.repository / "replication.yaml").unlink()
    (stage.repository / "replication.yaml").symlink_to("/etc/passwd")
    stage._git("commit", "--quiet", "--all", "--message", "link")
    head = stage._git("rev-parse", "HEAD")
    stage._git("checkout", "--quiet", "main")
    stage._git("update-ref", "refs/pull/7/head", head)
    stage.hub.pulls[7]["head"]["sha"] = head
    jobs = stage.replan()
    assert results(jobs) == PLANNED, log_of(jobs)
    assert "The spec of pull request 7 has errors" in log_of(jobs)
    assert (jobs["replan (7)"].workspace / "replication.yaml").read_text() == "/etc/passwd"
    assert "root:" not in log_of(jobs)


def test_a_run_by_hand_on_the_branch_of_a_pull_request_plans_nothing_and_fails_its_check(
    planned: Stage,
) -> None:
    planned.put("/shop/limit", "200")
    jobs = planned.replan("workflow_dispatch", branch="change-7")
    assert results(jobs) == {"check": "failure"}, "a skipped check would count as a success of this commit"
    assert "on the default branch only" in log_of(jobs)
    assert planned.plan_comment().edits == 0


def test_a_push_that_leaves_the_spec_as_it_is_plans_nothing_again(planned: Stage) -> None:
    planned.commit("words", "README.md")
    assert planned.replan("push") == {}


def test_an_incomplete_plan_is_not_posted_again(planned: Stage) -> None:
    before = planned.plan_comment().body
    planned.variables["SSM_PLAN_ROLE"] = "arn:aws:iam::123456789012:role/another"
    jobs = planned.replan()
    assert results(jobs) == {"open": "success", "replan (7)": "failure", "check": "failure"}
    assert planned.plan_comment().body == before
    assert len(planned.hub.shown(7)) == 1, "no comment on the failure either"


def test_of_several_runs_that_plan_again_the_newest_waits_and_pull_requests_do_not(planned: Stage) -> None:
    sha = planned.hub.branches["main"][-1]
    runs = [planned.trigger("schedule", {}, sha, "refs/heads/main", jobs=REPLANNING) for _ in range(3)]
    planned.plan(jobs={"plan"})
    assert [run.conclusion for run in runs if run] == ["success", "cancelled", "success"]
    assert planned.last_run().conclusion == "success"
