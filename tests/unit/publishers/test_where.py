"""The context of a run: its environment, its pull request, and newer commits on its branch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.client import BranchMovedError, GitHub, check_current, find_pull_request
from ssm_reconcile.github.workflow_run import WorkflowRun, read_workflow_run
from tests.doubles.clock import FakeClock
from tests.github.content import REPOSITORY, Hub

SHA = "abcdef0" + "1" * 33


def test_nothing_is_known_outside_of_a_runner() -> None:
    event = read_workflow_run({})
    assert event == WorkflowRun()
    assert event.number is None
    assert event.url == ""


def test_a_runner_of_an_enterprise_server_has_its_own_addresses() -> None:
    variables = {
        "GITHUB_API_URL": "https://git.example.com/api/v3/",
        "GITHUB_SERVER_URL": "https://git.example.com",
        "GITHUB_REPOSITORY": "acme/params",
    }
    event = read_workflow_run(variables)
    assert event.api_url == "https://git.example.com/api/v3"
    assert event.graphql_url == "https://git.example.com/api/graphql"
    assert replace(event, run_id="5").url == "https://git.example.com/acme/params/actions/runs/5"
    assert (
        read_workflow_run({**variables, "GITHUB_GRAPHQL_URL": "https://x.example/g"}).graphql_url
        == "https://x.example/g"
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"GITHUB_REPOSITORY": "../x/y"},
        {"GITHUB_REPOSITORY": "no-slash"},
        {"GITHUB_API_URL": "file:///etc/passwd"},
        {"GITHUB_API_URL": "https://user:word@git.example.com"},
    ],
)
def test_an_invalid_variable_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        read_workflow_run(variables)


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        ({"pull_request": {"number": 7}}, 7),
        ({"issue": {"number": 8, "pull_request": {}}}, 8),
        ({"issue": {"number": 8}}, None),
        ({"pull_request": {"number": "7"}}, None),
        ([], None),
    ],
)
def test_the_webhook_event_names_its_pull_request(tmp_path: Path, payload: Any, number: int | None) -> None:
    (tmp_path / "event.json").write_text(json.dumps(payload))
    assert read_workflow_run({"GITHUB_EVENT_PATH": str(tmp_path / "event.json")}).number == number


def test_the_head_is_the_pull_requests_own_commit_not_the_merge_that_github_tries_out() -> None:
    event = WorkflowRun(sha="0" * 40, payload={"pull_request": {"number": 1, "head": {"sha": SHA}}})
    assert event.head == SHA
    assert WorkflowRun(sha="0" * 40).head == "0" * 40


def merged(hub: Hub, number: int, at: str | None, base: str = "main", by: str = "") -> None:
    hub.pulls[number] = {"number": number, "merged_at": at, "base": {"ref": base}, "merge_commit_sha": by}
    hub.merged_by.setdefault(SHA, []).append(number)


@pytest.fixture
def push(event: WorkflowRun) -> WorkflowRun:
    return replace(event, event_name="push", payload={}, sha=SHA, ref="refs/heads/main")


def test_after_a_merge_the_pull_request_is_found_by_the_commit(
    hub: Hub, push: WorkflowRun, clock: FakeClock
) -> None:
    merged(hub, 5, "2026-11-23T10:00:00Z")
    assert find_pull_request(push, GitHub(push, clock)) == 5


def test_open_ones_and_those_into_other_branches_do_not_count(
    hub: Hub, push: WorkflowRun, clock: FakeClock
) -> None:
    merged(hub, 4, None)
    merged(hub, 5, "2026-11-23T10:00:00Z", base="release")
    assert find_pull_request(push, GitHub(push, clock)) is None


def test_of_several_the_one_merged_by_this_commit_counts_and_else_the_last(
    hub: Hub, push: WorkflowRun, clock: FakeClock
) -> None:
    merged(hub, 4, "2026-11-23T12:00:00Z")
    merged(hub, 5, "2026-11-23T10:00:00Z")
    assert find_pull_request(push, GitHub(push, clock)) == 4
    hub.pulls[5]["merge_commit_sha"] = SHA
    assert find_pull_request(push, GitHub(push, clock)) == 5


def test_a_commit_without_a_pull_request_has_none(push: WorkflowRun, github: GitHub) -> None:
    assert find_pull_request(push, github) is None
    assert find_pull_request(push, None) is None
    assert find_pull_request(replace(push, event_name="schedule"), github) is None


OLD, NEW = SHA, "f" * 40
SPECS = ["params/replication.yaml", "specs"]


def check(hub: Hub, push: WorkflowRun, clock: FakeClock) -> None:
    check_current(GitHub(push, clock), push, SPECS)


def test_the_tip_of_the_branch_is_current(hub: Hub, push: WorkflowRun, clock: FakeClock) -> None:
    hub.branches["main"] = [OLD]
    check(hub, push, clock)
    assert hub.asked("GET", rf"/compare/{OLD}\.\.\.main$")


@pytest.mark.parametrize("file", ["README.md", "replication.yaml", "params/replication.yaml.bak", "specs.md"])
def test_a_branch_that_moved_on_without_the_spec_is_current(
    hub: Hub, push: WorkflowRun, clock: FakeClock, file: str
) -> None:
    hub.branches["main"] = [OLD, NEW]
    hub.files[NEW] = [file]
    check(hub, push, clock)
    hub.files[NEW] = [file, "specs/prod.yaml"]
    with pytest.raises(BranchMovedError):
        check(hub, push, clock)


@pytest.mark.parametrize("file", ["params/replication.yaml", "specs/prod.yaml"])
def test_a_branch_that_changed_the_spec_is_not(
    hub: Hub, push: WorkflowRun, clock: FakeClock, file: str
) -> None:
    hub.branches["main"] = [OLD, NEW]
    hub.files[NEW] = [file]
    with pytest.raises(BranchMovedError) as caught:
        check(hub, push, clock)
    assert file in caught.value.message
    assert "the run of the last commit of main" in caught.value.remedy


def test_a_branch_with_too_many_changes_is_not_current(hub: Hub, push: WorkflowRun, clock: FakeClock) -> None:
    hub.branches["main"] = [OLD, NEW]
    hub.files[NEW] = [f"file-{i}" for i in range(300)]
    with pytest.raises(BranchMovedError, match="too much"):
        check(hub, push, clock)


def test_a_commit_that_left_the_branch_is_not_applied(hub: Hub, push: WorkflowRun, clock: FakeClock) -> None:
    hub.branches["main"] = [NEW]
    with pytest.raises(BranchMovedError, match="no longer a part of main"):
        check(hub, push, clock)


def test_a_branch_name_with_slashes_is_one_name(hub: Hub, push: WorkflowRun, clock: FakeClock) -> None:
    hub.branches["release/1.x"] = [OLD]
    check_current(GitHub(push, clock), replace(push, ref="refs/heads/release/1.x"), SPECS)
    assert hub.asked("GET", rf"^/repos/{REPOSITORY}/compare/{OLD}\.\.\.release%2F1\.x$")


def test_without_a_branch_there_is_nothing_to_compare_with(
    hub: Hub, push: WorkflowRun, clock: FakeClock
) -> None:
    check_current(GitHub(push, clock), replace(push, ref="refs/tags/v1"), SPECS)
    assert not hub.requests
