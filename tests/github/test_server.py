"""The simulated GitHub itself: permissions of a token, edits by people, reviews, runs and their artifacts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
import urllib3

from tests.github.content import BOT, REPOSITORY, Hub, account_id
from tests.github.permissions import permitted
from tests.github.server import serving

TOKEN = "ghs-of-the-run"
HEAD = "1" * 40
Ask: TypeAlias = Callable[..., tuple[int, Any]]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        hub.pulls[7] = {"number": 7, "head": {"sha": HEAD}, "user": {"login": "alice"}}
        yield hub


@pytest.fixture
def ask(hub: Hub) -> Ask:
    """Return a function that sends a request and returns the status and the document."""

    def send(method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        url = hub.graphql_url if path == "graphql" else f"{hub.api_url}/repos/{REPOSITORY}/{path}"
        headers = {"Authorization": f"Bearer {token}"}
        response = urllib3.request(
            method, url, body=None if body is None else json.dumps(body), headers=headers, redirect=False
        )
        return response.status, json.loads(response.data) if response.data else None

    return send


@pytest.mark.parametrize(
    ("method", "path", "granted", "allowed"),
    [
        ("GET", "actions/runs/5", {"actions": "read"}, True),
        ("GET", "environments/ssm-apply", {"contents": "read"}, False),
        ("GET", "compare/a...b", {"contents": "write"}, True),
        ("POST", "issues/7/comments", {"pull-requests": "read"}, False),
        ("POST", "issues/7/comments", {"pull-requests": "write"}, True),
        ("POST", "issues", {"pull-requests": "write"}, False),
        ("POST", "check-runs", {"checks": "write"}, True),
        ("GET", "branches/main/protection", {"contents": "read"}, False),
        ("GET", "rules/branches/main", {}, True),
        ("DELETE", "actions/artifacts/5", {"actions": "read"}, False),
        ("DELETE", "actions/artifacts/5", None, True),
    ],
)
def test_a_request_needs_a_permission_of_its_token(
    method: str, path: str, granted: dict[str, str] | None, allowed: bool
) -> None:
    assert permitted(method, path, granted) is allowed


def test_a_job_without_the_permission_gets_403_and_a_token_that_ended_401(hub: Hub, ask: Ask) -> None:
    hub.restrict("ghs-job", {"contents": "read"})
    assert ask("GET", "issues/7/comments", token="ghs-job")[0] == 403
    query = {"query": "query { nodes }", "variables": {"ids": [hub.say(7, "text").node]}}
    assert ask("POST", "graphql", query, token="ghs-job")[1]["errors"][0]["type"] == "FORBIDDEN"
    del hub.tokens["ghs-job"]
    assert ask("GET", "issues/7/comments", token="ghs-job")[0] == 401


def test_pull_requests_write_is_not_enough_for_a_comment_on_an_issue(hub: Hub, ask: Ask) -> None:
    issue = hub.open("drift", "text")
    hub.restrict("ghs-job", {"pull-requests": "write"})
    assert ask("POST", f"issues/{issue.number}/comments", {"body": "x"}, "ghs-job")[0] == 403
    assert ask("POST", "issues/7/comments", {"body": "x"}, "ghs-job")[0] == 201


def test_an_edit_by_a_person_keeps_the_author_and_names_the_editor(hub: Hub, ask: Ask) -> None:
    comment = hub.say(7, "the plan")
    hub.edit(comment, "another plan", by="mallory")
    query = {"query": "query { nodes }", "variables": {"ids": [comment.node]}}
    (node,) = ask("POST", "graphql", query)[1]["data"]["nodes"]
    assert node["viewerDidAuthor"] is True
    assert node["editor"] == {"login": "mallory"}
    assert ask("GET", f"issues/comments/{comment.id}")[1]["user"]["login"] == BOT


def test_a_locked_pull_request_takes_no_comment_and_says_that_it_is_locked(hub: Hub, ask: Ask) -> None:
    comment = hub.say(7, "before")
    hub.pulls[7]["locked"] = True
    assert ask("POST", "issues/7/comments", {"body": "x"})[0] == 403
    assert ask("PATCH", f"issues/comments/{comment.id}", {"body": "x"})[0] == 403
    assert ask("GET", "issues/7")[1]["locked"] is True


def test_a_review_has_its_commit_and_can_be_dismissed(hub: Hub, ask: Ask) -> None:
    review = hub.review(7, "bob", ago=60)
    hub.review(7, "carol", "COMMENTED")
    hub.dismiss(review)
    listed = ask("GET", "pulls/7/reviews")[1]
    assert [(one["user"]["login"], one["state"], one["commit_id"]) for one in listed] == [
        ("bob", "DISMISSED", HEAD), ("carol", "COMMENTED", HEAD),
    ]  # fmt: skip
    assert listed[0]["submitted_at"] < listed[1]["submitted_at"]


def test_a_rate_limit_of_graphql_comes_with_status_200(hub: Hub, ask: Ask) -> None:
    hub.limit_graphql()
    status, document = ask("POST", "graphql", {"query": "query { nodes }", "variables": {"ids": []}})
    assert (status, document["errors"][0]["type"]) == (200, "RATE_LIMITED")


def test_an_artifact_names_its_run_and_expires(hub: Hub, ask: Ask) -> None:
    hub.add_run("5", ".github/workflows/plan.yml", "pull_request", HEAD, head_repository="mallory/params")
    artifact = hub.keep("5", "ssm-plan", {"plan.json": b"{}"})
    (listed,) = ask("GET", "actions/artifacts?name=ssm-plan")[1]["artifacts"]
    assert listed["workflow_run"]["head_sha"] == HEAD
    assert listed["workflow_run"]["head_repository_id"] != listed["workflow_run"]["repository_id"]
    artifact.expired = True
    assert ask("GET", f"actions/artifacts/{artifact.id}/zip")[0] == 410


def test_runs_are_listed_by_commit_event_and_age(hub: Hub, ask: Ask) -> None:
    hub.add_run("5", ".github/workflows/plan.yml", "pull_request", HEAD)
    hub.add_run("6", ".github/workflows/apply.yml", "push", HEAD)
    listed = ask("GET", f"actions/runs?head_sha={HEAD}&event=push")[1]["workflow_runs"]
    assert [one["id"] for one in listed] == [6]
    hub.backdate("5", days=8)
    assert ask("GET", "actions/workflows/plan.yml/runs")[1]["total_count"] == 1
    recent = ask("GET", "actions/runs?created=>=2026-01-01")[1]["workflow_runs"]
    assert {one["id"] for one in recent} == {5, 6}


def test_an_environment_has_rules_and_a_run_its_approvals(hub: Hub, ask: Ask) -> None:
    hub.add_run("6", ".github/workflows/apply.yml", "push", HEAD)
    assert ask("GET", "environments/ssm-apply-changed")[0] == 404
    hub.environment("ssm-apply-changed").reviewers.append("bob")
    (rule,) = ask("GET", "environments/ssm-apply-changed")[1]["protection_rules"]
    assert rule["type"] == "required_reviewers"
    assert ask("GET", "actions/runs/6/approvals")[1] == []
    hub.judge("6", "ssm-apply-changed", "bob", "approved")
    (entry,) = ask("GET", "actions/runs/6/approvals")[1]
    assert (entry["state"], entry["user"]["login"]) == ("approved", "bob")
    assert not {"created_at", "run_attempt"} & entry.keys()


def test_a_check_run_needs_a_title_and_a_summary(hub: Hub, ask: Ask) -> None:
    body: dict[str, Any] = {
        "name": "SSM",
        "head_sha": HEAD,
        "conclusion": "success",
        "output": {"title": "x"},
    }
    assert ask("POST", "check-runs", body)[0] == 422
    status, check = ask("POST", "check-runs", body | {"output": {"title": "x", "summary": "y"}})
    assert (status, check["status"]) == (201, "completed")
    assert ask("PATCH", f"check-runs/{check['id']}", {"conclusion": "failure"})[1]["conclusion"] == "failure"
    assert ask("GET", f"commits/{HEAD}/check-runs?check_name=SSM")[1]["total_count"] == 1


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("actions/variables", "variables"),
        ("actions/organization-variables", "variables"),
        ("environments/ssm-plan/variables", "environments"),
        ("environments/ssm-plan/deployment-branch-policies", "actions"),
        ("branches/main", "contents"),
        ("branches/main/protection", "administration"),
        ("codeowners/errors", "contents"),
        ("contents", "contents"),
    ],
)
def test_a_setting_needs_a_permission_of_its_own(hub: Hub, ask: Ask, path: str, permission: str) -> None:
    hub.environment("ssm-plan").branches = ["main", "tag v1"]
    hub.protection, hub.contents = {}, {".github/CODEOWNERS": b"* @acme/ops"}
    everything = dict.fromkeys(("actions", "contents", "variables", "environments", "administration"), "read")
    hub.restrict("ghs-all-but-one", {name: "read" for name in everything if name != permission})
    hub.restrict("ghs-one", {permission: "read"})
    assert ask("GET", path, token="ghs-all-but-one")[0] == 403
    assert ask("GET", path, token="ghs-one")[0] == 200


def test_a_folder_lists_its_names_and_a_missing_one_is_not_found(hub: Hub, ask: Ask) -> None:
    hub.contents = {"README.md": b"x", ".github/workflows/plan.yml": b"y"}
    assert [one["name"] for one in ask("GET", "contents")[1]] == [".github", "README.md"]
    assert [one["name"] for one in ask("GET", "contents/.github")[1]] == ["workflows"]
    assert ask("GET", "contents/docs")[0] == 404


def test_pull_requests_are_listed_by_their_branch_and_their_state(hub: Hub, ask: Ask) -> None:
    def pull(number: int, branch: str, state: str, owner: str = "acme") -> dict[str, Any]:
        head = {"sha": HEAD, "ref": branch, "repo": {"full_name": f"{owner}/params"}}
        return {"number": number, "head": head, "base": {"ref": "main"}, "state": state}

    every = [
        pull(7, "change", "open"), pull(8, "other", "open"), pull(9, "change", "closed"),
        pull(10, "change", "open", "mallory"),
    ]  # fmt: skip
    hub.pulls = {one["number"]: one for one in every}
    listed = {
        query: [one["number"] for one in ask("GET", f"pulls?{query}")[1]]
        for query in ("head=acme:change", "head=acme:change&state=all", "head=acme%3Achange&state=closed")
    }
    assert list(listed.values()) == [[7], [7, 9], [9]]


def test_the_next_page_of_a_list_has_the_same_filters(hub: Hub) -> None:
    for number in range(20, 24):
        head = {"sha": HEAD, "ref": "change" if number % 2 else "other"}
        hub.pulls[number] = {"number": number, "head": head, "state": "closed"}
    url = f"{hub.api_url}/repos/{REPOSITORY}/pulls?head=acme:change&state=all&per_page=1"
    numbers = []
    while url:
        response = urllib3.request("GET", url, headers={"Authorization": f"Bearer {TOKEN}"})
        numbers += [one["number"] for one in json.loads(response.data)]
        link = response.headers.get("Link", "")
        url = link.partition(">")[0].removeprefix("<") if 'rel="next"' in link else ""
    assert numbers == [21, 23]


def test_a_change_of_the_base_is_in_the_timeline_of_a_pull_request(hub: Hub, ask: Ask) -> None:
    hub.pulls[7]["base"] = {"ref": "main"}
    hub.retarget(7, "release")
    assert ask("GET", "pulls/7")[1]["base"] == {"ref": "release"}
    hub.restrict("ghs-job", {"pull-requests": "read"})
    (event,) = ask("GET", "issues/7/timeline", token="ghs-job")[1]
    assert event["event"] == "base_ref_changed"
    assert event["created_at"]


POLICY = {"protected_branches": False, "custom_branch_policies": True}
NAMES = {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}}
RULESET = {"name": "r", "target": "branch", "enforcement": "active", "conditions": NAMES, "rules": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("environments/e", {"reviewer": []}),
        ("environments/e", {"wait_timer": "5"}),
        ("environments/e", {"deployment_branch_policy": {"custom_branch_policies": True}}),
        ("environments/e", {"deployment_branch_policy": POLICY | {"protected_branches": True}}),
        ("environments/e", {"reviewers": [{"type": "User", "id": 1}]}),
        ("environments/e", {"reviewers": [{"type": "Team", "id": account_id("alice")}]}),
        ("environments/e", {"reviewers": [{"type": "User", "id": account_id("alice")}] * 7}),
        ("rulesets", {"name": "r"}),
        ("rulesets", RULESET | {"enforcement": "on"}),
        ("rulesets", RULESET | {"rule": []}),
        ("rulesets", RULESET | {"conditions": {"ref_name": {"include": []}}}),
        ("rulesets", RULESET | {"rules": [{"type": "pull_request", "parameters": {}}]}),
        ("rulesets", RULESET | {"rules": [{"type": "unknown"}]}),
    ],
)
def test_a_setting_of_another_form_than_documented_is_refused(
    hub: Hub, ask: Ask, path: str, body: Any
) -> None:
    method = "POST" if path == "rulesets" else "PUT"
    assert ask(method, path, body)[0] == 422
    assert (hub.environments, hub.rulesets) == ({}, [])


def test_a_put_of_an_environment_resets_all_that_the_body_leaves_out(hub: Hub, ask: Ask) -> None:
    alice = [{"type": "User", "id": account_id("alice")}]
    body = {"reviewers": alice, "wait_timer": 5, "deployment_branch_policy": POLICY}
    assert ask("PUT", "environments/e", body)[0] == 200
    assert [ask("POST", "environments/e/deployment-branch-policies", {"name": "main"})[0] for _ in "12"] == [
        200, 303,
    ]  # fmt: skip
    found = hub.environments["e"]
    assert (found.reviewers, found.wait_timer, found.branches) == (["alice"], 5, ["main"])
    assert ask("PUT", "environments/e")[0] == 200
    assert (found.reviewers, found.wait_timer, found.branches) == ([], 0, None)
    assert ask("POST", "environments/e/deployment-branch-policies", {"name": "main"})[0] == 404


def test_a_ruleset_has_a_name_of_its_own_and_its_rules_hold_while_it_is_active(hub: Hub, ask: Ask) -> None:
    rule = {"type": "deletion"}
    status, made = ask("POST", "rulesets", RULESET | {"rules": [rule]})
    assert status == 201
    assert ask("POST", "rulesets", RULESET)[0] == 422
    origin = {"ruleset_id": made["id"], "ruleset_source_type": "Repository"}
    assert ask("GET", "rules/branches/main")[1] == [rule | origin]
    assert ask("PUT", f"rulesets/{made['id']}", RULESET | {"enforcement": "disabled"})[0] == 200
    assert ask("GET", "rules/branches/main")[1] == []
    assert ask("GET", "rulesets/1")[0] == 404
    hub.visibility, hub.plan = "private", "free"
    assert ask("GET", "rulesets")[0] == 403


def test_a_job_may_not_change_settings(hub: Hub, ask: Ask) -> None:
    hub.restrict("ghs-job", {"actions": "write", "contents": "write"})
    for method, path in (("PUT", "environments/e"), ("POST", "rulesets")):
        assert ask(method, path, RULESET, "ghs-job")[0] == 403
