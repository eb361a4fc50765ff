"""A run of a workflow: the variables of its runner, and its pull request."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.facts import find_pull_request
from ssm_reconcile.github.workflow_run import WorkflowRun, read_workflow_run
from tests.doubles.clock import FakeClock
from tests.github.content import Hub

SHA, HEAD = "abcdef0" + "1" * 33, "7" * 40


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
    hub.pulls[number] = {
        "number": number, "head": {"sha": HEAD}, "base": {"ref": base}, "merged_at": at,
        "merge_commit_sha": by,
    }  # fmt: skip
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
