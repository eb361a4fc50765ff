"""Whether the branch of a run still has the spec of its commit: the rule, and `github current`."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.current import APPLIED, BranchMovedError, check_current, last_result
from ssm_reconcile.github.workflow_run import WorkflowRun, read_workflow_run
from tests.doubles.clock import FakeClock
from tests.github.content import REPOSITORY, Hub
from tests.unit.cli.conftest import Cli
from tests.unit.github.conftest import BEFORE, MERGE
from tests.unit.publishers.conftest import TOKEN

OLD, NEW = "abcdef0" + "1" * 33, "f" * 40
SPECS = ["params/replication.yaml", "specs"]


@pytest.fixture
def push(event: WorkflowRun) -> WorkflowRun:
    return replace(event, event_name="push", payload={}, sha=OLD, ref="refs/heads/main")


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


@pytest.mark.parametrize(
    ("artifact", "is_result", "is_applied"),
    [
        ("ssm-report", True, True), ("ssm-in-sync", True, True), ("ssm-plan-changed", True, False),
        ("ssm-plan", False, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [None, "-a-12345678"])
def test_the_last_result_is_a_report_or_a_plan_that_was_shown_for_an_approval(
    merged: Hub, artifact: str, suffix: str | None, *, is_result: bool, is_applied: bool
) -> None:
    merged.branches["main"].insert(0, NEW)
    merged.add_run("490", ".github/workflows/ssm-reconcile.yml", "push", BEFORE)
    merged.keep("490", artifact + (suffix or ""), {"x": b""})
    run = replace(read_workflow_run(os.environ), artifact_suffix=suffix)
    github = GitHub(run, FakeClock())
    assert last_result(github, run) == (BEFORE if is_result else NEW)
    assert last_result(github, run, APPLIED) == (BEFORE if is_applied else NEW)


# The command


def move(hub: Hub, *files: str) -> None:
    hub.branches["main"].append(NEW)
    hub.files[NEW] = list(files)


def test_the_command_ends_0_while_the_branch_has_the_spec_of_the_run(merged: Hub, cli: Cli) -> None:
    result = cli("github", "current")
    assert result.exit_code == 0, result.stderr
    assert f"main has the spec of {MERGE[:7]}" in result.stderr
    assert cli("github", "current", "--quiet").stderr == ""
    move(merged, "README.md")
    assert cli("github", "current").exit_code == 0


def test_the_command_ends_4_if_the_branch_has_another_spec(merged: Hub, cli: Cli) -> None:
    move(merged, "replication.yaml", "other.yaml")
    result = cli("github", "current")
    assert result.exit_code == 4
    assert f"main has changed replication.yaml since {MERGE[:7]}" in result.stderr
    assert "What to do: start the run of the last commit of main" in result.stderr
    assert cli("github", "current", "--spec", "elsewhere.yaml").exit_code == 0
    assert cli("github", "current", "--spec", "elsewhere.yaml", "--spec", "other.yaml").exit_code == 4
    assert cli("publish", "--current").exit_code == 1, "the same check, with its former exit code"


def test_the_command_ends_4_if_the_commit_left_the_branch(merged: Hub, cli: Cli) -> None:
    merged.branches["main"] = [NEW]
    result = cli("github", "current")
    assert result.exit_code == 4
    assert "no longer a part of main" in result.stderr


def test_without_the_permission_to_compare_the_command_refuses(merged: Hub, cli: Cli) -> None:
    merged.restrict(TOKEN, {"actions": "read", "pull-requests": "read"})
    result = cli("github", "current")
    assert result.exit_code == 4
    assert "it is unknown whether the spec is current" in result.stderr
    assert "contents: read" in result.stderr


@pytest.mark.parametrize(
    ("name", "text"), [("GITHUB_REF", "refs/tags/v1"), ("GITHUB_SHA", ""), ("GITHUB_TOKEN", "")]
)
def test_without_a_branch_a_commit_or_a_token_the_command_is_wrong_usage(
    merged: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    result = cli("github", "current")
    assert result.exit_code == 64
    assert name in result.stderr
