"""Addresses of plans that were refused or wait for an approval, as unreviewed runs leave them out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.refusals import LeftOut, ReviewedApply, StoredPlan, find_left_out, left_out
from ssm_reconcile.github.workflow_run import WorkflowRun
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.report import Result
from tests.doubles.clock import FakeClock
from tests.github.content import Hub
from tests.unit.cli.conftest import Cli
from tests.unit.publishers.conftest import SPEC
from tests.unit.renderers import plans

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
A, B = ("prod", "eu-west-1", "/a"), ("prod", "eu-west-1", "/b")
WORKFLOW = ".github/workflows/ssm-reconcile.yml"
MERGE, LATER = "a" * 40, "b" * 40
OWN, RUN = "900", "100"


def stored(hours: float = 1, **given: Any) -> StoredPlan:
    usual = StoredPlan("1", NOW - timedelta(hours=hours), False, frozenset({A, B}), is_replaced=False)
    return replace(usual, **given)


def applied(*addresses: tuple[str, str, str], is_by_hand: bool = False, by: str = "prod") -> ReviewedApply:
    return ReviewedApply(
        NOW, is_by_hand, frozenset(addresses), frozenset({by}), is_complete=False, left=frozenset()
    )


# The rule


def test_a_plan_that_waits_leaves_out_its_addresses() -> None:
    assert left_out([stored(is_waiting=True)], [], NOW) == (LeftOut(*A, "waiting"), LeftOut(*B, "waiting"))


@pytest.mark.parametrize(("hours", "why"), [(7 * 24, "waiting"), (7 * 24 + 1, "refused")])
def test_after_seven_days_a_waiting_plan_counts_as_refused(hours: float, why: str) -> None:
    assert {one.why for one in left_out([stored(hours, is_waiting=True)], [], NOW)} == {why}


def test_a_plan_whose_run_ended_without_an_approval_counts_as_refused() -> None:
    assert {one.why for one in left_out([stored()], [], NOW)} == {"refused"}


def test_a_refusal_has_priority_over_a_plan_that_waits() -> None:
    both = [stored(is_waiting=True), stored(2, addresses=frozenset({A}))]
    for plans_ in (both, both[::-1]):
        assert {one.name: one.why for one in left_out(plans_, [], NOW)} == {"/a": "refused", "/b": "waiting"}


def test_a_later_reviewed_apply_ends_the_refusal_of_what_it_applied() -> None:
    done = applied(A)
    assert left_out([stored()], [done], NOW) == (LeftOut(*B, "refused"),)


def test_a_later_apply_of_a_plan_id_ends_the_refusal() -> None:
    assert left_out([stored()], [applied(is_by_hand=True)], NOW) == ()


@pytest.mark.parametrize("other", [{"is_by_hand": True}, {"is_complete": True}], ids=["by-hand", "merge"])
def test_an_apply_of_another_replication_ends_nothing(other: dict[str, Any]) -> None:
    plan = stored(is_replaced=True)
    assert left_out([plan], [replace(applied(), **other)], NOW) == ()
    assert len(left_out([plan], [replace(applied(by="stage"), **other)], NOW)) == 2


def test_an_earlier_apply_ends_nothing() -> None:
    earlier = replace(applied(A, B, is_by_hand=True), created=NOW - timedelta(hours=2))
    assert len(left_out([stored()], [earlier], NOW)) == 2


# What is read


@pytest.fixture
def routine(hub: Hub) -> WorkflowRun:
    hub.add_run(OWN, f"{WORKFLOW}@refs/heads/main", "schedule", LATER)
    hub.branches["main"] = [MERGE, LATER]
    hub.files[LATER] = ["README.md"]
    return WorkflowRun(repository="acme/params", run_id=OWN, sha=LATER, ref="refs/heads/main")


def leave(hub: Hub, run: str = RUN, *, event: str = "push", path: str = WORKFLOW, **given: Any) -> None:
    hub.add_run(run, path, event, MERGE, **given)
    plan = plans.plan_of([plans.create("eu-west-1", "/a")])
    hub.keep(run, "ssm-plan-changed", {"new-plan.json": dumps(plans.document_of(plan)).encode()})
    hub.backdate(run, days=1)


def found(github: GitHub, run: WorkflowRun) -> dict[str, str]:
    return {one.name: one.why for one in find_left_out(github, run, [SPEC], datetime.now(UTC))}


def report(
    hub: Hub, run: str, approval: str, *, outcome: str = "applied", name: str = "/a", **given: Any
) -> None:
    plan = plans.plan_of([plans.create("eu-west-1", name)])
    document = plans.report_document_of(plans.reported(plan, (Result(outcome),)))
    document |= {"approval": approval, **given}
    hub.keep(run, "ssm-report", {"report.json": dumps(document).encode()})


def test_a_run_that_waits_is_found(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    leave(hub)
    hub.runs[RUN]["status"] = "waiting"
    assert found(github, routine) == {"/a": "waiting"}


def test_plans_and_reports_are_those_of_the_spec_of_this_run(
    hub: Hub, github: GitHub, routine: WorkflowRun
) -> None:
    leave(hub)
    hub.add_run("110", WORKFLOW, "workflow_dispatch", MERGE)
    report(hub, "110", "expect-plan")
    (plan, done) = hub.artifacts[-2:]
    mine = replace(routine, artifact_suffix="-a-1")
    assert found(github, mine) == {}
    plan.name += "-a-1"
    assert found(github, mine) == {"/a": "refused"}
    assert found(github, routine) == {}
    done.name += "-a-1"
    assert found(github, mine) == {}


def test_a_rejection_is_found(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    leave(hub)
    hub.judge(RUN, "ssm-apply-changed", "bob", "rejected")
    hub.runs[RUN] |= {"status": "completed", "conclusion": "failure"}
    assert found(github, routine) == {"/a": "refused"}


def test_an_approval_without_its_apply_ends_no_refusal(
    hub: Hub, github: GitHub, routine: WorkflowRun
) -> None:
    leave(hub)
    hub.judge(RUN, "ssm-apply-changed", "bob", "approved")
    hub.runs[RUN] |= {"status": "completed", "conclusion": "failure"}
    assert found(github, routine) == {"/a": "refused"}


def test_a_later_merge_of_the_spec_that_was_applied_ends_a_refusal(
    hub: Hub, github: GitHub, routine: WorkflowRun
) -> None:
    leave(hub)
    hub.files[LATER] = [SPEC]
    assert found(github, routine) == {"/a": "refused"}, "its own run may have failed"
    hub.add_run("200", WORKFLOW, "push", LATER)
    report(hub, "200", "saved-plan", name="/b")
    assert found(github, routine) == {}


def test_a_later_merge_that_left_the_change_or_is_incomplete_ends_no_refusal(
    hub: Hub, github: GitHub, routine: WorkflowRun
) -> None:
    leave(hub)
    hub.files[LATER] = [SPEC]
    hub.add_run("200", WORKFLOW, "push", LATER)
    finding = {
        "severity": "warning", "code": "not-reviewed", "message": "1 change left", "where": "",
        "about": [{"target": "eu-west-1", "name": "/a"}],
    }  # fmt: skip
    report(hub, "200", "saved-plan", name="/b", findings=[finding])
    report(hub, "200", "saved-plan", name="/b", complete=False)
    assert found(github, routine) == {"/a": "refused"}


def test_a_rewritten_history_ends_no_refusal(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    leave(hub)
    hub.branches["main"] = [LATER]
    assert found(github, routine) == {"/a": "refused"}


def test_a_merge_of_too_many_files_to_know_ends_no_refusal(
    hub: Hub, github: GitHub, routine: WorkflowRun
) -> None:
    leave(hub)
    hub.files[LATER] = [f"docs/{number}.md" for number in range(300)]
    assert found(github, routine) == {"/a": "refused"}


@pytest.mark.parametrize(
    "other",
    [
        {"path": ".github/workflows/other.yml"},
        {"event": "workflow_dispatch"},
        {"branch": "feature"},
        {"head_repository": "mallory/params"},
    ],
)
def test_a_plan_of_another_origin_leaves_out_nothing(
    hub: Hub, github: GitHub, routine: WorkflowRun, other: dict[str, str]
) -> None:
    leave(hub, **other)
    assert found(github, routine) == {}


def test_the_run_of_an_artifact_of_another_branch_is_not_requested(
    hub: Hub, github: GitHub, routine: WorkflowRun
) -> None:
    leave(hub, branch="feature")
    assert found(github, routine) == {}
    assert not hub.asked("GET", f"/runs/{RUN}$")


@pytest.mark.parametrize(
    ("approval", "outcome", "left"),
    [
        ("expect-plan", "failed", {}),
        ("expect-plan", "not_attempted", {"/a": "refused"}),
        ("expect-plan", "withheld", {"/a": "refused"}),
        ("saved-plan", "applied", {}),
        ("saved-plan", "failed", {"/a": "refused"}),
        ("yes", "applied", {"/a": "refused"}),
    ],
)
def test_a_later_reviewed_apply_is_read_from_its_report(
    hub: Hub, github: GitHub, routine: WorkflowRun, approval: str, outcome: str, left: dict[str, str]
) -> None:
    leave(hub)
    hub.add_run("200", WORKFLOW, "workflow_dispatch", LATER)
    report(hub, "200", approval, outcome=outcome)
    assert found(github, routine) == left


@pytest.mark.parametrize(
    ("made_by", "commit"), [("pull_request", LATER), ("schedule", LATER), ("push", "c" * 40)]
)
def test_a_forged_report_ends_no_refusal(
    hub: Hub, github: GitHub, routine: WorkflowRun, made_by: str, commit: str
) -> None:
    """A pull request from main to a branch with other code, and a tag called main, have that branch."""
    leave(hub)
    hub.add_run("200", WORKFLOW, made_by, commit, branch="main")
    report(hub, "200", "expect-plan")
    assert found(github, routine) == {"/a": "refused"}


def test_an_expired_plan_leaves_out_nothing(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    leave(hub)
    hub.artifacts[0].expired = True
    assert found(github, routine) == {}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_damaged_plan_stops_the_run(hub: Hub, github: GitHub, routine: WorkflowRun, content: bytes) -> None:
    leave(hub)
    hub.artifacts = [hub.keep(RUN, "ssm-plan-changed", {"new-plan.json": content})]
    with pytest.raises(ReconcileError) as caught:
        found(github, routine)
    assert "it is unknown what was refused" in caught.value.message


def test_an_archive_without_the_plan_stops_the_run(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    leave(hub)
    hub.artifacts = [hub.keep(RUN, "ssm-plan-changed", {"else.json": b"{}"})]
    with pytest.raises(ReconcileError, match=r"it has no new-plan\.json"):
        found(github, routine)


def test_an_artifact_without_a_time_stops_the_run(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    leave(hub)
    hub.artifacts[0].created = ""
    with pytest.raises(ReconcileError, match="it has no time"):
        found(github, routine)


def test_a_missing_permission_stops_the_run(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    leave(hub)
    hub.denied.add("actions")
    with pytest.raises(GitHubError) as caught:
        found(github, routine)
    assert caught.value.kind is Kind.DENIED


def test_without_stored_plans_no_report_is_read(hub: Hub, github: GitHub, routine: WorkflowRun) -> None:
    report(hub, OWN, "yes")
    assert found(github, routine) == {}
    assert not hub.asked("GET", "/zip")


# The command


@pytest.fixture
def nightly(merged: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A scheduled run after a merge whose plan waits for an approval."""
    merged.add_run(OWN, WORKFLOW, "schedule", LATER)
    merged.branches["main"] = [MERGE, LATER]
    merged.files[LATER] = ["README.md"]
    monkeypatch.setenv("GITHUB_RUN_ID", OWN)
    leave(merged)
    return merged


def test_the_command_saves_the_list_that_leave_out_takes(nightly: Hub, cli: Cli) -> None:
    result = cli("github", "refused", "--out", "refused.json")
    assert result.exit_code == 0
    assert Path("refused.json").read_text().startswith('[\n  {\n    "replication": "prod",\n')
    assert json.loads(Path("refused.json").read_text()) == [
        {"replication": "prod", "target": "eu-west-1", "name": "/a", "why": "refused"}
    ]
    assert "1 address of refused or waiting plans" in result.stderr
    assert cli("github", "refused", "--out", "refused.json", "-q").stderr == ""


@pytest.mark.parametrize(("status", "code"), [(403, 4), (502, 1)])
def test_the_command_fails_and_saves_nothing_if_github_does_not_answer(
    nightly: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    monkeypatch.setattr("ssm_reconcile.cli.github.SystemClock", FakeClock)
    nightly.fail("GET", "/actions/artifacts", status, times=9)
    result = cli("github", "refused", "--out", "refused.json")
    assert result.exit_code == code
    assert not Path("refused.json").exists()


def test_a_spec_outside_of_the_repository_is_wrong_usage(nightly: Hub, cli: Cli) -> None:
    assert cli("github", "refused", "--out", "refused.json", "--spec", "/etc/spec.yaml").exit_code == 64
