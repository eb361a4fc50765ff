"""Histories of merges that another overtook, had no effect or are approved late; drift runs of branches."""

from __future__ import annotations

import pytest
import yaml

from tests.workflows.expressions import filled
from tests.workflows.prepared import prepared
from tests.workflows.stage import APPLYING, CALLED, WORKFLOWS, Stage, log_of, results, spec
from tests.workflows.test_histories_review import RULES

pytestmark = pytest.mark.slow

CHANGED = "ssm-apply-changed"
BASE, MORE = RULES % ("", ""), RULES % ("", '    - "/more/**"\n')
SHOP = RULES % ('    - "/shop/**"\n', "")


@prepared
def two(stage: Stage) -> None:
    """Two reviewed pull requests: 7 brings /shop, 8 brings /more. No push has a result yet."""
    stage.put("/more/x", "1")
    stage.last_push = stage.commit(BASE)
    stage.later("workflow_dispatch", mode="apply")
    stage.open(SHOP, 7)
    stage.open(MORE, 8)
    stage.plan(7, jobs={"plan"})
    stage.plan(8, jobs={"plan"})


def test_the_last_of_the_first_merges_applies_what_was_reviewed_in_all_of_them(two: Stage) -> None:
    two.put("/third/x", "1")
    two.open(BASE.replace('"/app/**"', '"/app/**"\n    - "/third/**"'), 9)
    two.plan(9, jobs={"plan"})
    shas = [two.merge(number) for number in (8, 9)]
    for sha in shas:
        assert two.trigger("push", two.push_payload(sha), sha, "refs/heads/main", jobs=APPLYING)
    two.scheduler.settle()
    assert two.last_run().conclusion == "success", log_of(two.last_run().jobs)
    assert {"/third/x", "/more/x"} <= set(two.holds())
    for number in (8, 9):
        assert "as reviewed" in two.comment(number).body
        assert "not reviewed" not in two.comment(number).body


def test_a_merge_without_effect_does_not_refuse_the_next_one(two: Stage) -> None:
    two.push(two.merge(8))
    two.open(MORE + "# the end\n", 9)
    two.plan(9, jobs={"plan"})
    assert two.hub.shown(9) == [], "a plan without changes has no comment"
    assert results(two.push(two.merge(9))) == {"merged": "success"}
    jobs = two.push(two.merge(7))
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert "/shop/limit" in two.holds()


def test_an_approval_after_another_merge_does_not_promise_that_its_run_applies_the_plan(two: Stage) -> None:
    two.put("/shop/limit", "999")
    two.push(two.merge(7))
    run = two.last_run()
    assert two.push(two.merge(8))["approval"].result == "waiting", "/shop/limit was never approved"
    two.scheduler.approve(run, CHANGED, "bob")
    two.scheduler.settle()
    assert run.jobs["changed"].result == "failure"
    assert "/shop/limit" not in two.holds()
    assert "asks for an approval, or lists its changes as not reviewed: [its run]" in two.comment(7).body
    assert "/shop/limit" in two.comment(8).body


def test_a_drift_run_of_another_branch_does_not_write_the_issue_of_the_default_branch(stage: Stage) -> None:
    stage.open(spec("/shop/**"))
    assert results(stage.by_hand("change-7", mode="drift")) == {"drift": "success"}
    assert stage.hub.issues == []
    stage.later("schedule")
    (issue,) = stage.hub.issues
    before = issue.body
    jobs = stage.by_hand("change-7", mode="drift")
    assert (issue.state, issue.body) == ("open", before)
    assert "only runs of the default branch write it" in log_of(jobs)


def test_a_drift_run_of_another_branch_cancels_none_of_the_default_branch() -> None:
    job = yaml.safe_load((WORKFLOWS / CALLED).read_text())["jobs"]["drift"]
    refs = ("refs/heads/main", "refs/heads/main", "refs/heads/topic")
    group, inputs = job["concurrency"]["group"], {"spec": "replication.yaml"}
    groups = [filled(group, {"github": {"ref": ref}, "inputs": inputs}, {}) for ref in refs]
    assert groups[0] == groups[1] != groups[2]


def test_a_merge_that_failed_does_not_end_a_refusal(two: Stage) -> None:
    two.variables["SSM_SCHEDULE"] = "apply"
    two.put("/shop/limit", "999")
    two.push(two.merge(7))
    run = two.last_run()
    two.hub.backdate(run.id, days=1)
    two.scheduler.reject(run, CHANGED, "bob")
    two.scheduler.settle()
    sha = two.merge(8)
    two.hub.fail("GET", "/commits/.*/pulls", 502, times=50)
    assert results(two.push(sha)) == {"merged": "failure"}
    two.hub.faults.clear()
    two.later("schedule")
    assert "/shop/limit" not in two.holds()
