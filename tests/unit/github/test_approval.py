"""The approval of a plan: proven by what GitHub reports of the run, or refused with the missing part."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.github.approval import (
    ApprovalGap,
    ApprovalRefused,
    ProvenApproval,
    prove_approval,
    read_approval_request,
)
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.workflow_run import read_workflow_run
from ssm_reconcile.renderers.escaping import dumps
from tests.doubles.clock import FakeClock
from tests.github.content import Hub, user
from tests.unit.cli.conftest import Cli
from tests.unit.github.conftest import BEFORE, MERGE, RUN
from tests.unit.publishers.conftest import HEAD, NUMBER, TOKEN
from tests.unit.renderers import plans

NAME = "ssm-apply-changed"
DOCUMENT = plans.document_of(plans.twelve())
PLAN_ID = DOCUMENT["plan_id"]


@pytest.fixture
def approved(merged: Hub) -> Hub:
    """An environment with a reviewer, who approved the run; the plan in a file."""
    merged.environment(NAME).reviewers.append("bob")
    merged.judge(RUN, NAME, "Bob", "approved")
    Path("plan.json").write_text(dumps(DOCUMENT))
    return merged


def prove(*, separate: bool = True) -> ProvenApproval:
    run = read_workflow_run(os.environ)
    return prove_approval(
        read_approval_request(GitHub(run, FakeClock()), run, NAME, PLAN_ID), separate=separate
    )


def refused(*, separate: bool = True) -> ApprovalRefused:
    with pytest.raises(ApprovalRefused) as caught:
        prove(separate=separate)
    return caught.value


def test_an_approval_by_another_person_is_proven(approved: Hub) -> None:
    assert prove() == ProvenApproval(NAME, "bob", int(RUN), PLAN_ID, (NUMBER,))


def test_an_entry_from_before_the_plan_was_posted_does_not_count(approved: Hub, cli: Cli) -> None:
    before = cli("github", "reviews").stdout.strip()
    assert approval(cli, "--reviews-before", "none").exit_code == 0
    refusal = approval(cli, "--reviews-before", before)
    assert refusal.exit_code == 4
    assert "has no approval of the environment" in refusal.stderr
    assert "since this plan was posted" in refusal.stderr
    approved.judge(RUN, NAME, "frank", "rejected")
    assert approval(cli, "--reviews-before", before).exit_code == 4
    before = cli("github", "reviews").stdout.strip()
    approved.judge(RUN, NAME, "bob", "approved")
    assert approval(cli, "--reviews-before", before).exit_code == 0


@pytest.mark.parametrize("before", ["unknown", "0123456789ab", "none,0123456789ab"])
def test_entries_that_cannot_be_found_again_prove_nothing(approved: Hub, cli: Cli, before: str) -> None:
    """The login of an earlier approver can change, and the entry would be a new one."""
    assert approval(cli, "--reviews-before", before).exit_code == 4


def test_a_history_without_an_entry_has_a_list_too(approved: Hub, cli: Cli) -> None:
    approved.approvals.clear()
    assert cli("github", "reviews").stdout == "none\n"
    approved.restrict(TOKEN, {"contents": "read"})
    assert cli("github", "reviews").exit_code == 4


def test_the_name_of_an_environment_has_no_case(approved: Hub) -> None:
    approved.approvals[RUN][0]["environments"][0]["name"] = NAME.upper()
    assert prove().approved_by == "bob"


def rerun(hub: Hub) -> None:
    hub.runs[RUN]["run_attempt"] = 2


def delete_environment(hub: Hub) -> None:
    del hub.environments[NAME]


def remove_reviewers(hub: Hub) -> None:
    hub.environments[NAME].reviewers.clear()
    hub.environments[NAME].branches = ["main"]


def bypass(hub: Hub) -> None:
    hub.approvals.clear()


def approve_another_environment(hub: Hub) -> None:
    hub.approvals.clear()
    hub.judge(RUN, "production", "bob", "approved")


def approve_another_run(hub: Hub) -> None:
    hub.approvals = {"499": hub.approvals.pop(RUN)}


def approve_by_an_app(hub: Hub) -> None:
    hub.approvals.clear()
    hub.judge(RUN, NAME, "helper[bot]", "approved")


def leave_pending(hub: Hub) -> None:
    hub.approvals[RUN][0]["state"] = "pending"


def reject(hub: Hub) -> None:
    hub.judge(RUN, NAME, "frank", "rejected")


@pytest.mark.parametrize(
    ("change", "gap", "words"),
    [
        (rerun, ApprovalGap.ATTEMPT, "attempt 2 of run 500"),
        (delete_environment, ApprovalGap.NO_ENVIRONMENT, "does not exist"),
        (remove_reviewers, ApprovalGap.NO_REVIEWERS, "no required reviewers"),
        (bypass, ApprovalGap.NOT_APPROVED, "no approval of the environment"),
        (approve_another_environment, ApprovalGap.NOT_APPROVED, "no approval of the environment"),
        (approve_another_run, ApprovalGap.NOT_APPROVED, "no approval of the environment"),
        (approve_by_an_app, ApprovalGap.NOT_APPROVED, "no approval of the environment"),
        (leave_pending, ApprovalGap.NOT_APPROVED, "no approval of the environment"),
        (reject, ApprovalGap.REJECTED, "rejected the environment"),
    ],
)
@pytest.mark.parametrize("separate", [True, False])
def test_a_proof_with_a_gap_is_refused_with_the_ways_forward(
    approved: Hub, change: Callable[[Hub], None], gap: ApprovalGap, words: str, separate: bool
) -> None:
    change(approved)
    error = refused(separate=separate)
    assert error.gap is gap
    assert words in error.message
    assert "open a new pull request" in error.remedy
    assert f"gh workflow run ssm-reconcile.yml -f plan-id={PLAN_ID[:12]}" in error.remedy


def test_a_rerun_that_only_the_runner_reports_is_refused(
    approved: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "2")
    assert refused().gap is ApprovalGap.ATTEMPT
    assert "start a new run" in refused().remedy


def author(hub: Hub) -> None:
    hub.pulls[NUMBER]["user"] = user("BOB")


def pusher(hub: Hub) -> None:
    hub.runs["400"]["actor"] = user("bob")


def commit_author(hub: Hub) -> None:
    hub.commits[HEAD]["author"] = user("bob")


def committer(hub: Hub) -> None:
    hub.commits[HEAD]["committer"] = user("bob")


def actor(hub: Hub) -> None:
    hub.runs[RUN]["actor"] = user("bob")


def triggering_actor(hub: Hub) -> None:
    hub.runs[RUN]["triggering_actor"] = user("bob")


def earlier_pull_request_of_the_push(hub: Hub) -> None:
    middle = "c" * 40
    hub.branches["main"] = [BEFORE, middle, MERGE]
    hub.merged_by[middle] = [6]
    hub.pulls[6] = hub.pulls[NUMBER] | {"number": 6, "user": user("bob")}


@pytest.mark.parametrize(
    "change",
    [
        author,
        pusher,
        commit_author,
        committer,
        actor,
        triggering_actor,
        earlier_pull_request_of_the_push,
    ],
)
def test_an_approval_of_the_own_change_does_not_count(approved: Hub, change: Callable[[Hub], None]) -> None:
    change(approved)
    error = refused()
    assert error.gap is ApprovalGap.OWN_APPROVAL
    assert "@bob" in error.message
    assert prove(separate=False).approved_by == "bob"


def test_of_two_approvers_the_one_who_did_not_contribute_counts(approved: Hub) -> None:
    author(approved)
    approved.judge(RUN, NAME, "grace", "approved")
    assert prove().approved_by == "grace"


def test_without_a_run_of_the_pull_request_its_pusher_is_unknown(approved: Hub) -> None:
    """The author of a commit does not count as a source: anyone can forge it."""
    del approved.runs["400"]
    assert refused().gap is ApprovalGap.UNKNOWN_PUSHER
    assert prove(separate=False).approved_by == "bob"


def test_after_a_forced_push_the_pull_request_of_the_last_commit_counts(approved: Hub) -> None:
    approved.fail("GET", "/compare/", 404)
    assert prove().pull_requests == (NUMBER,)


def test_a_new_branch_has_no_commit_before_it(approved: Hub) -> None:
    Path("event.json").write_text(json.dumps({"before": "0" * 40}))
    assert prove().pull_requests == (NUMBER,)
    assert not approved.asked("GET", "/compare/")


def test_a_pull_request_that_is_open_or_of_another_branch_is_not_of_the_push(approved: Hub) -> None:
    approved.pulls[NUMBER]["base"] = {"ref": "release"}
    assert prove().pull_requests == ()
    approved.pulls[NUMBER] |= {"base": {"ref": "main"}, "merged_at": None}
    assert prove().pull_requests == ()


def approval(cli: Cli, *words: str) -> Any:
    given = ("--environment", NAME, "--plan", "plan.json", "--out", "approval.json", *words)
    return cli("github", "approval", *given)


def test_the_command_saves_the_approval(approved: Hub, cli: Cli) -> None:
    result = approval(cli)
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("approval.json").read_text()) == {
        "environment": NAME, "approved_by": "bob", "run": int(RUN), "plan_id": PLAN_ID,
        "pull_requests": [NUMBER],
    }  # fmt: skip
    assert f"@bob approved the plan {PLAN_ID[:12]}" in result.stderr
    assert approval(cli, "--quiet").stderr == ""


def test_a_refusal_ends_4_and_saves_nothing(approved: Hub, cli: Cli) -> None:
    author(approved)
    result = approval(cli)
    assert result.exit_code == 4
    assert "What to do: have another person approve" in result.stderr
    assert not Path("approval.json").exists()
    assert approval(cli, "--no-separate-approver").exit_code == 0


@pytest.mark.parametrize(
    ("missing", "path"),
    [("actions", "actions/runs"), ("contents", "compare"), ("pull-requests", "commits")],
)
def test_a_proof_without_a_permission_is_refused_with_the_permissions(
    approved: Hub, cli: Cli, missing: str, path: str
) -> None:
    every = {"actions": "read", "contents": "read", "pull-requests": "read"}
    approved.restrict(TOKEN, every)
    assert approval(cli).exit_code == 0
    Path("approval.json").unlink()
    approved.restrict(TOKEN, {name: level for name, level in every.items() if name != missing})
    result = approval(cli)
    assert result.exit_code == 4
    assert f"/{path}" in result.stderr
    assert "the token needs `actions: read`, `contents: read` and `pull-requests: read`" in result.stderr
    assert not Path("approval.json").exists()


@pytest.mark.parametrize("name", ["GITHUB_RUN_ID", "GITHUB_TOKEN", "GITHUB_REPOSITORY"])
def test_outside_of_a_run_the_command_is_wrong_usage(
    approved: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    result = approval(cli)
    assert result.exit_code == 64
    assert name in result.stderr


def test_a_file_that_is_not_a_plan_is_wrong_usage(approved: Hub, cli: Cli) -> None:
    Path("plan.json").write_text("{}")
    assert approval(cli).exit_code == 64


def test_the_commands_of_the_action_are_not_in_the_list_of_commands(cli: Cli) -> None:
    assert "\n  github" not in cli("--help").stdout
    assert cli("github", "--help").exit_code == 0
