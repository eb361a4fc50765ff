"""A GitHub server on loopback with one pull request, and the variables of the run after its merge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.github.content import REPOSITORY, Hub, stamp
from tests.unit.cli.conftest import cli  # noqa: F401 - a fixture of all tests of this folder
from tests.unit.publishers.conftest import (  # noqa: F401 - fixtures of all tests of this folder
    HEAD,
    NUMBER,
    TOKEN,
    clock,
    event,
    github,
    hub,
    publish,
)

RUN = "500"
MERGE, BEFORE = "abcdef0" + "0" * 33, "b" * 40


@pytest.fixture
def merged(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:  # noqa: F811 - the fixture above
    """A push that merges the pull request of alice, whose last commit carol pushed."""
    hub.pulls[NUMBER] |= {
        "user": {"login": "alice"}, "state": "closed", "created_at": stamp(7200), "closed_at": stamp(-3600),
        "merged_at": stamp(-3600), "merge_commit_sha": MERGE, "changed_files": 1,
    }  # fmt: skip
    hub.pull_files[NUMBER] = [{"filename": "replication.yaml", "status": "modified"}]
    hub.merged_by[MERGE] = [NUMBER]
    hub.branches["main"] = [BEFORE, MERGE]
    hub.files[MERGE] = ["replication.yaml"]
    hub.commits[HEAD] = {"sha": HEAD, "author": {"login": "dave"}, "committer": {"login": "web-flow"}}
    hub.add_run(
        "400", ".github/workflows/ssm-reconcile.yml", "pull_request", HEAD, branch="change", actor="carol"
    )
    hub.add_run(RUN, ".github/workflows/ssm-reconcile.yml", "push", MERGE, actor="erin")
    (tmp_path / "event.json").write_text(f'{{"before": "{BEFORE}"}}')
    monkeypatch.chdir(tmp_path)
    variables = {
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_API_URL": hub.api_url,
        "GITHUB_GRAPHQL_URL": hub.graphql_url,
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_SHA": MERGE,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_RUN_ID": RUN,
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_WORKFLOW_REF": f"{REPOSITORY}/.github/workflows/ssm-reconcile.yml@refs/heads/main",
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return hub
