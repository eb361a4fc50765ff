"""`doctor --github`: the command that fails when a setting is missing, for the checks that failed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.github.content import Hub
from tests.unit.cli.conftest import Cli
from tests.unit.github.test_settings import CALL, CALLER, TRIGGERS, complete, require

__all__ = ["complete"]

WORKFLOW = f"workflow {CALLER}: ssm"


def needed(cli: Cli) -> dict[str, str]:
    """Return what each check is needed for that is not ok."""
    checks: list[dict[str, Any]] = json.loads(cli("doctor", "--github", "--format", "json").stdout)["checks"]
    return {f"{one['where']}: {one['subject']}": one["needed_for"] for one in checks if one["answer"] != "ok"}


def call(hub: Hub, *replaced: tuple[str, str]) -> None:
    """Give the repository a call in place of two workflows of its own."""
    for name in ("plan.yml", "apply.yml"):
        hub.contents.pop(f".github/workflows/{name}", None)
    text = CALL
    for old, new in replaced:
        assert text.count(old) == 1
        text = text.replace(old, new)
    hub.contents[CALLER] = text.encode()
    require(hub, "ssm / SSM check")


def test_variables_and_workflows(complete: Hub, cli: Cli) -> None:
    complete.variables["repository"] = {"SSM_NO_DECRYPT": "yes"}
    for name in ("plan.yml", "apply.yml"):
        complete.contents[f".github/workflows/{name}"] = b"jobs: {}\n"
    assert needed(cli) == {
        "variables: SSM_PLAN_ROLE": "plan",
        "variables: SSM_APPLY_ROLE": "apply",
        "variables: SSM_REGION": "plan",
        "variables: SSM_ACCOUNT": "nothing",
        "variables: SSM_NO_DECRYPT": "plan",
        "workflows: .github/workflows/plan.yml": "nothing",
        "workflows: .github/workflows/apply.yml": "apply",
    }
    del complete.contents[".github/workflows/plan.yml"]
    assert needed(cli)["workflows: .github/workflows/plan.yml"] == "plan"


def test_environments(complete: Hub, cli: Cli) -> None:
    plan, apply = complete.environment("ssm-plan"), complete.environment("ssm-apply")
    plan.branches, plan.reviewers = ["main"], ["bob"]
    apply.branches = ["dev"]
    assert needed(cli) == {
        "environment ssm-plan: branches": "plan",
        "environment ssm-plan: required reviewers": "plan",
        "environment ssm-apply: branches": "apply",
    }
    plan.branches, plan.reviewers, apply.branches = None, [], ["main", "dev"]
    assert needed(cli) == {"environment ssm-apply: branches": "nothing"}
    complete.environments.clear()
    assert needed(cli) == {
        "environment ssm-plan: environment": "plan",
        "environment ssm-apply: environment": "apply",
        "environment ssm-apply-changed: environment": "apply",
    }


@pytest.mark.parametrize(
    ("replaced", "found"),
    [
        (
            [(TRIGGERS, "on: {release: }\n")],
            {"pull_request": "plan", "push": "plan", "schedule": "nothing", "workflow_dispatch": "nothing"},
        ),
        (
            [
                ("arn:aws:iam::123456789012:role/plan", '""'),
                ("      apply-role: arn:aws:iam::123456789012:role/apply\n", ""),
                ("      region: us-east-1\n", "      regoin: us-east-1\n      schedule: x\n"),
                ("checks: write, ", ""),
                ("a" * 40, "v0"),
            ],
            {
                "plan-role": "plan", "apply-role": "apply", "region": "plan", "inputs": "plan",
                "permissions": "plan", "version": "nothing", "schedule input": "nothing",
            },
        ),
        ([("  ssm:\n", "  ssm:\n    if: false\n")], {"if": "plan"}),
        ([("  ssm:\n", "  ssm:\n    if: github.actor == 'x'\n")], {"if": "plan"}),
    ],
)  # fmt: skip
def test_a_call(complete: Hub, cli: Cli, replaced: list[tuple[str, str]], found: dict[str, str]) -> None:
    call(complete, *replaced)
    of_call = {subject: what for subject, what in needed(cli).items() if subject.startswith(WORKFLOW)}
    assert of_call == {f"{WORKFLOW}: {subject}": what for subject, what in found.items()}


def test_without_a_call_of_the_spec_nothing_is_planned(complete: Hub, cli: Cli) -> None:
    call(complete, ("      region", "      spec: other.yaml\n      region"))
    assert needed(cli)["workflows: replication.yaml"] == "plan"
    complete.contents[CALLER] = b"on: push\njobs: {}\n"
    assert needed(cli)["workflows: .github/workflows/ssm-reconcile.yml"] == "plan"
