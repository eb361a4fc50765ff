"""The pull requests that a result belongs to, and the run that took over a merge."""

from __future__ import annotations

import os

import pytest

from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.merges import last_spec_pull_request, pushed_pull_requests, run_that_took_over
from ssm_reconcile.github.workflow_run import WorkflowRun, read_workflow_run
from tests.doubles.clock import FakeClock
from tests.github.content import REPOSITORY, Hub, stamp
from tests.unit.github.conftest import BEFORE, MERGE, RUN
from tests.unit.publishers.conftest import NUMBER, TOKEN

SECOND, DOCS = "c" * 40, "d" * 40
PATHS = ("replication.yaml",)
APPLY = ".github/workflows/ssm-reconcile.yml"
RUNS_URL = f"https://github.com/{REPOSITORY}/actions"


def push(sha: str) -> tuple[GitHub, WorkflowRun]:
    run = read_workflow_run({**os.environ, "GITHUB_SHA": sha})
    return GitHub(run, FakeClock()), run


def merge(hub: Hub, sha: str, number: int, file: str) -> None:
    """Add a merged pull request that changes one file."""
    hub.branches["main"].append(sha)
    hub.files[sha] = [file]
    hub.merged_by[sha] = [number]
    hub.pull_files[number] = [{"filename": file}]
    hub.pulls[number] = hub.pulls[NUMBER] | {"number": number, "merged_at": stamp(), "merge_commit_sha": sha}


def test_each_pull_request_of_a_push_that_touches_the_spec_gets_the_result(merged: Hub) -> None:
    merge(merged, SECOND, 8, "replication.yaml")
    merge(merged, DOCS, 9, "README.md")
    assert pushed_pull_requests(*push(DOCS), PATHS) == (NUMBER, 8)


def test_a_push_without_the_spec_gives_the_result_to_its_last_pull_request(merged: Hub) -> None:
    merge(merged, SECOND, 8, "a.md")
    merge(merged, DOCS, 9, "b.md")
    assert pushed_pull_requests(*push(DOCS), ("other.yaml",)) == (9,)


def test_a_pull_request_of_a_push_that_was_overtaken_gets_the_result_too(merged: Hub) -> None:
    merge(merged, SECOND, 8, "replication.yaml")
    merged.add_run("600", APPLY, "push", SECOND)
    github, run = push(SECOND)
    run = read_workflow_run({**os.environ, "GITHUB_SHA": SECOND, "GITHUB_RUN_ID": "600"})
    assert pushed_pull_requests(github, run, PATHS) == (NUMBER, 8)
    merged.keep(RUN, "ssm-report", {"report.json": b"{}"})
    assert pushed_pull_requests(github, run, PATHS) == (8,), "the first push has its result"


def test_without_access_to_runs_the_commits_of_the_event_count(merged: Hub) -> None:
    merge(merged, SECOND, 8, "replication.yaml")
    merged.restrict(TOKEN, {"contents": "read", "pull-requests": "write"})
    assert pushed_pull_requests(*push(SECOND), PATHS) == (NUMBER, 8)


def test_an_apply_by_hand_belongs_to_the_pull_request_that_changed_the_spec_last(merged: Hub) -> None:
    merge(merged, DOCS, 9, "README.md")
    assert last_spec_pull_request(*push(DOCS), PATHS) == NUMBER
    assert last_spec_pull_request(*push(DOCS), ("README.md", "replication.yaml")) == 9
    assert last_spec_pull_request(*push(DOCS), (".",)) == 9
    assert last_spec_pull_request(*push(DOCS), ("none.yaml",)) is None


def test_of_several_pull_requests_with_the_commit_the_one_merged_last_counts(merged: Hub) -> None:
    merge(merged, SECOND, 8, "replication.yaml")
    merged.merged_by[SECOND] = [8, NUMBER]
    merged.pulls[NUMBER]["merged_at"] = "2026-01-01T00:00:00Z"
    assert last_spec_pull_request(*push(SECOND), PATHS) == 8
    merged.merged_by[SECOND] = [NUMBER, 8]
    assert last_spec_pull_request(*push(SECOND), PATHS) == 8


def test_a_spec_that_was_pushed_without_a_pull_request_has_none(merged: Hub) -> None:
    merge(merged, SECOND, 8, "replication.yaml")
    merged.merged_by.clear()
    assert last_spec_pull_request(*push(SECOND), PATHS) is None


@pytest.mark.parametrize(
    ("event", "branch", "conclusion", "found"),
    [
        ("push", "main", None, True),
        ("push", "main", "failure", True),
        ("push", "main", "cancelled", False),
        ("schedule", "main", None, False),
        ("push", "other", None, False),
    ],
)
def test_a_later_push_of_the_branch_took_over(
    merged: Hub, event: str, branch: str, conclusion: str | None, found: bool
) -> None:
    merge(merged, SECOND, 8, "replication.yaml")
    merged.add_run("600", APPLY, event, SECOND, branch=branch)["conclusion"] = conclusion
    expected = (SECOND, f"{RUNS_URL}/runs/600") if found else ("", f"{RUNS_URL}/workflows/ssm-reconcile.yml")
    assert run_that_took_over(*push(MERGE), PATHS) == expected


@pytest.mark.parametrize("file", ["other.yaml", APPLY])
def test_a_later_push_that_leaves_the_spec_as_it_is_took_nothing_over(merged: Hub, file: str) -> None:
    merge(merged, SECOND, 8, "replication.yaml")
    merge(merged, DOCS, 9, file)
    merged.add_run("600", APPLY, "push", SECOND)
    merged.add_run("700", APPLY, "push", DOCS)
    assert run_that_took_over(*push(MERGE), PATHS) == (SECOND, f"{RUNS_URL}/runs/600")
    assert run_that_took_over(*push(MERGE), (file,)) == (DOCS, f"{RUNS_URL}/runs/700")
    merged.fail("GET", "/compare/", 404, times=2)
    assert run_that_took_over(*push(MERGE), PATHS) == ("", f"{RUNS_URL}/workflows/ssm-reconcile.yml")


def test_an_earlier_run_and_one_of_another_workflow_took_nothing_over(merged: Hub) -> None:
    merged.add_run("450", APPLY, "push", BEFORE)
    merged.add_run("700", ".github/workflows/ci.yml", "push", SECOND)
    assert run_that_took_over(*push(MERGE), PATHS) == ("", f"{RUNS_URL}/workflows/ssm-reconcile.yml")
