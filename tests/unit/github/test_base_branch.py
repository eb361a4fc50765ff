"""A run of a pull request executes the workflow of its base branch, and another base may have another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.github import server
from tests.github.content import Hub, repository, stamp
from tests.unit.cli.conftest import Cli
from tests.unit.github.test_reviewed_push import OTHER_HEAD, PLAN_RUN, fetch, refusal, show
from tests.unit.publishers.conftest import HEAD, NUMBER

MINUTE = 60


@pytest.fixture
def second(merged: Hub) -> Hub:
    """Pull request 9 from the same branch, open, to a base branch with another workflow."""
    show(merged)
    merged.runs[PLAN_RUN]["created_at"] = stamp(60 * MINUTE)
    merged.pulls[NUMBER] |= {"created_at": stamp(90 * MINUTE)}
    merged.pulls[9] = {
        "number": 9, "state": "open", "user": {"login": "mallory"}, "base": {"ref": "release"},
        "head": {"sha": HEAD, "ref": "change", "repo": repository()}, "merged_at": None,
        "created_at": stamp(80 * MINUTE), "closed_at": None,
    }  # fmt: skip
    return merged


def accepted(cli: Cli) -> Result:
    result = fetch(cli)
    assert result.exit_code == 0, result.stderr
    return result


def leave_open(_hub: Hub) -> None:
    pass


def close(hub: Hub) -> None:
    hub.pulls[9] |= {"state": "closed", "closed_at": stamp(79 * MINUTE)}


def merge(hub: Hub) -> None:
    hub.pulls[9] |= {"state": "closed", "closed_at": stamp(79 * MINUTE), "merged_at": stamp(79 * MINUTE)}


def open_later(hub: Hub) -> None:
    hub.pulls[9]["created_at"] = stamp()


@pytest.mark.parametrize("change", [leave_open, close, merge, open_later])
def test_a_second_pull_request_of_the_same_commit_with_another_base_is_refused(
    second: Hub, cli: Cli, change: Callable[[Hub], None]
) -> None:
    change(second)
    assert "pull request 9 has the same last commit and another base: release" in refusal(cli)


def test_a_second_pull_request_of_another_commit_that_was_open_at_the_run_is_refused(
    second: Hub, cli: Cli
) -> None:
    """Its branch may have had the commit of the run for a moment."""
    second.pulls[9]["head"]["sha"] = OTHER_HEAD
    words = f"pull request 9 has the same branch, was open at run {PLAN_RUN}, and another base: release"
    assert words in refusal(cli)
    second.pulls[9]["closed_at"] = stamp(65 * MINUTE)  # the run may have been created with a delay
    assert words in refusal(cli)


def another_base_is_equal(hub: Hub) -> None:
    hub.pulls[9]["base"] = {"ref": "main"}


def another_branch(hub: Hub) -> None:
    hub.pulls[9]["head"]["ref"] = "other"


def a_fork(hub: Hub) -> None:
    hub.pulls[9]["head"]["repo"] = repository("mallory/params")


def closed_before_the_run(hub: Hub) -> None:
    hub.pulls[9]["head"]["sha"] = OTHER_HEAD
    hub.pulls[9]["closed_at"] = stamp(75 * MINUTE)


def opened_after_the_run(hub: Hub) -> None:
    hub.pulls[9]["head"]["sha"] = OTHER_HEAD
    hub.pulls[9]["created_at"] = stamp(30 * MINUTE)


@pytest.mark.parametrize(
    "change",
    [another_base_is_equal, another_branch, a_fork, closed_before_the_run, opened_after_the_run],
)
def test_a_second_pull_request_that_did_not_start_the_run_refuses_nothing(
    second: Hub, cli: Cli, change: Callable[[Hub], None]
) -> None:
    change(second)
    accepted(cli)


def test_a_run_of_another_branch_with_the_same_commit_is_refused(second: Hub, cli: Cli) -> None:
    another_branch(second)
    second.runs[PLAN_RUN]["head_branch"] = "other"
    assert "of the branch other, not of change" in refusal(cli)


def test_a_list_of_other_branches_refuses_nothing(
    second: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may ignore a filter that it does not understand."""
    another_branch(second)
    monkeypatch.setattr(server, "_label", lambda _pull: "acme:change")
    accepted(cli)


def test_pull_requests_of_all_pages_are_read(second: Hub, cli: Cli) -> None:
    last = second.pulls.pop(9)
    for number in range(100, 230):
        second.pulls[number] = last | {"number": number, "base": {"ref": "main"}}
    accepted(cli)
    second.pulls[9] = last
    assert "pull request 9 has the same last commit" in refusal_again(cli)


def refusal_again(cli: Cli) -> str:
    result = fetch(cli)
    assert result.exit_code == 4
    return result.stderr


@pytest.mark.parametrize("number", [NUMBER, 9])
def test_a_base_that_was_changed_after_the_run_is_refused(second: Hub, cli: Cli, number: int) -> None:
    """While the pull request had another base, its runs executed the workflow of that base."""
    another_base_is_equal(second)
    second.retarget(number, "main", ago=65 * MINUTE)  # the run may have been created with a delay
    assert f"the base of pull request {number} was changed at the start of run {PLAN_RUN}" in refusal(cli)


def test_a_base_that_changed_by_itself_after_the_run_is_refused(second: Hub, cli: Cli) -> None:
    del second.pulls[9]
    second.retarget(NUMBER, "main")
    second.timelines[NUMBER][0]["event"] = "automatic_base_change_succeeded"
    assert f"the base of pull request {NUMBER} was changed" in refusal(cli)


def test_a_base_that_was_changed_before_the_run_counts(second: Hub, cli: Cli) -> None:
    del second.pulls[9]
    second.retarget(NUMBER, "main", ago=75 * MINUTE)
    second.timelines[NUMBER].append({"event": "labeled", "created_at": stamp()})
    accepted(cli)


def test_a_change_of_the_base_at_an_unknown_time_is_refused(second: Hub, cli: Cli) -> None:
    del second.pulls[9]
    second.retarget(NUMBER, "main", ago=75 * MINUTE)
    del second.timelines[NUMBER][0]["created_at"]
    assert f"the base of pull request {NUMBER} was changed" in refusal(cli)


def test_a_run_without_a_time_is_refused_if_another_base_is_possible(second: Hub, cli: Cli) -> None:
    second.runs[PLAN_RUN]["created_at"] = None
    closed_before_the_run(second)
    assert "pull request 9 has the same branch" in refusal(cli)
    del second.pulls[9]
    accepted(cli)


def test_a_plan_of_the_default_branch_has_the_workflow_of_the_default_branch(merged: Hub, cli: Cli) -> None:
    """A re-plan executes no file of the pull request, so another base cannot change it."""
    merged.add_run("450", ".github/workflows/ssm-reconcile.yml", "schedule", "b" * 40)
    show(merged, run="450", name="ssm-plan-7")
    merged.pulls[9] = merged.pulls[NUMBER] | {"number": 9, "base": {"ref": "release"}}
    accepted(cli)
    assert Path("reviewed/7.json").exists()
