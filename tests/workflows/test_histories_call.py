"""Histories of the call itself: permissions, the commit of the tool, jobs by event, the result of a push."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.expressions import filled
from tests.workflows.runner import parsed
from tests.workflows.schedule import StartupFailure
from tests.workflows.stage import CALLED, CALLER, WORKFLOWS, Stage, log_of, results, spec
from tests.workflows.test_histories_specs import call_specs

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")


@pytest.mark.parametrize(
    "permission", ["actions: read", "checks: write", "contents: read", "id-token: write", "issues: write",
                   "pull-requests: write"],
)  # fmt: skip
def test_a_caller_that_lacks_a_permission_gets_no_run(stage: Stage, permission: str) -> None:
    call_specs(stage, "replication.yaml")
    assert stage.caller is not None
    text = stage.caller.read_text()
    name = permission.partition(":")[0]
    (line,) = (line for line in text.splitlines() if line.strip().startswith(permission))
    stage.caller.write_text(text.replace(f"{line}\n", ""))
    with pytest.raises(StartupFailure, match=f"'{name}: (read|write)', but is only allowed '{name}: none'"):
        stage.later("schedule")
    assert stage.assumed == []


@pytest.mark.parametrize("known", [{}, {"workflow_sha": "", "workflow_repository": ""}])
def test_a_runner_that_does_not_report_the_commit_of_the_workflow_gets_no_credentials(
    stage: Stage, known: dict[str, str]
) -> None:
    """Without the check, the checkout of the tool would be one of the caller's repository."""
    stage.tool = known
    stage.open(ALL, files={"action.yml": "runs: {using: composite, steps: []}\n"})
    jobs = stage.plan()
    assert results(jobs)["plan"] == results(jobs)["check"] == "failure"
    assert [line for line in jobs["plan"].annotations if "does not report the commit" in line]
    assert jobs["plan"].step("Check out the tool").outcome == "skipped"
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "failure"}
    assert results(stage.later("schedule")) == {"drift": "failure"}
    assert stage.assumed == []


PULL = {"touched", "validate", "plan", "check"}
AGAIN = {"open", "check"}


@pytest.mark.parametrize(
    ("event", "inputs", "schedule", "expected"),
    [
        ("schedule", {}, "drift", {"drift", *AGAIN}),
        ("schedule", {}, "apply", {"routine", *AGAIN}),
        ("repository_dispatch", {}, "drift", {"routine", "check"}),
        ("workflow_dispatch", {}, "apply", {"drift", *AGAIN}),
        ("workflow_dispatch", {"mode": "apply"}, "drift", {"routine", "check"}),
        ("workflow_dispatch", {"plan-id": "9535f4258859"}, "drift", {"by-hand", "check"}),
        ("workflow_dispatch", {"lift": "max-deletes@x=3f9a0c2b7d11"}, "drift", {"by-hand", "check"}),
    ],
)
def test_the_jobs_of_each_event(
    stage: Stage, event: str, inputs: dict[str, str], schedule: str, expected: set[str]
) -> None:
    stage.variables["SSM_SCHEDULE"] = schedule
    payload = {"inputs": inputs} if inputs else {}
    jobs = stage.start(event, payload, stage.last_push, "refs/heads/main")
    assert set(results(jobs)) == expected, log_of(jobs)


def whole_push(stage: Stage, **more: Any) -> dict[str, str]:
    """Run all jobs of a push; return their results."""
    sha = stage.merge()
    return results(stage.start("push", stage.push_payload(sha), sha, "refs/heads/main", **more))


@pytest.fixture
def two_open(stage: Stage) -> Stage:
    """Pull request 7 brings /shop and is planned; 8 is open."""
    stage.open(ALL, 7)
    stage.plan(7)
    stage.open(ALL + "# another\n", 8)
    return stage


def test_a_push_applies_and_plans_the_open_pull_requests_again(two_open: Stage) -> None:
    found = whole_push(two_open)
    assert found == {"merged": "success", "open": "success", "replan (8)": "success", "check": "success"}
    assert "/shop/limit" in two_open.holds()
    assert two_open.last_run().conclusion == "success"


@pytest.mark.parametrize("broken", ["open", "replan (8)"])
def test_a_plan_that_cannot_be_made_again_does_not_change_the_result_of_a_push(
    two_open: Stage, broken: str
) -> None:
    def fail(job: str) -> None:
        two_open.hub.faults.clear()
        if job == broken:
            two_open.hub.fail("GET", "/pulls", 502, times=50)

    found = whole_push(two_open, meanwhile=fail)
    assert found[broken] == "failure"
    assert found["merged"] == found["check"] == "success"
    assert two_open.last_run().conclusion == "success"
    two_open.hub.faults.clear()
    two_open.plan(8)
    assert results(two_open.push(two_open.merge(8))) == {"merged": "success"}


def test_the_same_failure_on_a_schedule_fails_the_check(two_open: Stage) -> None:
    two_open.hub.fail("GET", "/pulls", 502, times=50)
    assert results(two_open.replan()) == {"open": "failure", "check": "failure"}


def test_a_push_that_fails_to_apply_fails_its_run(two_open: Stage) -> None:
    def fail(job: str) -> None:
        two_open.hub.faults.clear()
        if job == "merged":
            two_open.hub.fail("GET", "/commits/.*/pulls", 502, times=50)

    found = whole_push(two_open, meanwhile=fail)
    assert (found["merged"], found["check"]) == ("failure", "success")
    assert two_open.last_run().conclusion == "failure"


def test_a_push_of_the_workflow_alone_plans_again_and_applies_nothing(two_open: Stage) -> None:
    two_open.put("/app/more", "1")  # the target differs, but not because of this push
    sha = two_open.commit("name: SSM\n", "ssm-reconcile.yml")
    two_open.hub.files[sha] = [".github/workflows/ssm-reconcile.yml"]
    jobs = two_open.start("push", two_open.push_payload(sha), sha, "refs/heads/main")
    assert "merged" not in results(jobs)
    assert results(jobs)["open"] == "success"
    assert two_open.holds() == {}


def test_a_push_whose_base_is_unknown_applies(two_open: Stage) -> None:
    sha = two_open.merge()
    payload = two_open.push_payload(sha)
    run = two_open.trigger("push", payload, sha, "refs/heads/main", jobs={"merged"})
    assert run is not None
    run.github["event"]["before"] = "0" * 40
    two_open.scheduler.settle()
    assert results(run.jobs) == {"merged": "success"}, log_of(run.jobs)


def test_a_run_of_another_branch_never_succeeds_with_the_required_check(stage: Stage) -> None:
    """A caller whose trigger `push` has more branches must not give a pull request a success."""
    stage.open(ALL)
    head = stage.hub.pulls[7]["head"]["sha"]
    stage.hub.branches["main"].append(head)
    stage.hub.files[head] = ["replication.yaml"]
    payload = {"before": stage.last_push, "after": head}
    jobs = stage.start("push", payload, head, "refs/heads/change-7")
    assert results(jobs) == {"check": "failure"}
    assert stage.assumed == []


def test_the_groups_of_calls_are_by_spec_and_those_of_the_caller_are_none() -> None:
    called, caller = (parsed(WORKFLOWS / file) for file in (CALLED, CALLER))
    rules = [
        called["concurrency"],
        *(job["concurrency"] for job in called["jobs"].values() if "concurrency" in job),
    ]
    assert len(rules) == 7
    assert all("inputs.spec" in rule["group"] for rule in rules)
    assert all("concurrency" not in one for one in (caller, *caller["jobs"].values())), (
        "it could be a deadlock"
    )
    group = called["concurrency"]["group"]
    pull = {"pull_request": {"number": 7}}
    for event, payload in (
        ("push", {}), ("pull_request", pull), ("merge_group", {}), ("schedule", {}),
        ("repository_dispatch", {}), ("workflow_dispatch", {}),
        ("workflow_dispatch", {"inputs": {"mode": "apply"}}),
    ):  # fmt: skip
        github = {"event_name": event, "ref": "refs/heads/main", "event": payload}
        found = {
            filled(group, {"github": {**github, "run_id": run}, "inputs": {"spec": spec}}, {})
            for run in ("5", "6") for spec in ("a/b", "a-b")
        }  # fmt: skip
        assert len(found) == (4 if event in {"push", "merge_group"} else 2), event
