"""The open pull requests to plan again: which ones are listed, and which are left out with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.github import open_pulls
from tests.github.content import Hub, repository, user
from tests.unit.cli.conftest import Cli

SPEC = "replication.yaml"


def pull(hub: Hub, number: int, *files: str, **changes: Any) -> None:
    """Open a pull request of this repository that changes some files, by default the spec."""
    names = files or (SPEC,)
    hub.pull_files[number] = [{"filename": name} for name in names]
    hub.pulls[number] = {
        "number": number, "state": "open", "user": user("alice"), "merged_at": None,
        "head": {"sha": f"{number:040x}", "ref": f"change-{number}", "repo": repository()},
        "base": {"ref": "main"}, "changed_files": len(names), "mergeable": True,
    } | changes  # fmt: skip


@pytest.fixture
def there(merged: Hub) -> Hub:
    merged.pulls.clear()
    return merged


def listed(cli: Cli, *words: str) -> tuple[list[dict[str, Any]], list[int], str]:
    """Return the content of the file, the numbers of the step output, and the log."""
    Path("output").unlink(missing_ok=True)
    result = cli("github", "open", "--out", "open.json", *words)
    assert result.exit_code == 0, result.stderr
    pulls = json.loads(Path("output").read_text().removeprefix("pulls="))
    assert all(one.keys() == {"number", "head"} for one in pulls)
    return json.loads(Path("open.json").read_text()), [one["number"] for one in pulls], result.stderr


def test_an_open_pull_request_that_touches_the_spec_is_listed_with_its_last_commit(
    there: Hub, cli: Cli
) -> None:
    pull(there, 8)
    file, numbers, log = listed(cli)
    assert file == [{"number": 8, "head": f"{8:040x}", "mergeable": True, "left_out": ""}]
    assert numbers == [8]
    assert "1 open pull request to plan again" in log
    assert listed(cli, "-q") == (file, numbers, "")


def test_without_an_open_pull_request_the_matrix_is_empty(there: Hub, cli: Cli) -> None:
    assert listed(cli)[:2] == ([], [])


@pytest.mark.parametrize(
    "changes",
    [
        {"head": {"sha": "8" * 40, "repo": repository("mallory/params")}},
        {"head": {"sha": "8" * 40, "repo": None}},
        {"user": user("dependabot[bot]")},
        {"base": {"ref": "release"}},
        {"state": "closed"},
    ],
    ids=["fork", "deleted fork", "Dependabot", "another base", "closed"],
)
def test_a_pull_request_that_may_not_be_planned_is_not_listed(
    there: Hub, cli: Cli, changes: dict[str, Any]
) -> None:
    pull(there, 8, **changes)
    pull(there, 9)
    file, numbers, _ = listed(cli)
    assert numbers == [one["number"] for one in file] == [9]


def test_only_pull_requests_that_touch_the_spec_are_listed(there: Hub, cli: Cli) -> None:
    pull(there, 8, "README.md")
    pull(there, 9, "specs/a.yaml", "README.md")
    there.pull_files[10] = [{"filename": "old.yaml", "previous_filename": "specs/b.yaml"}]
    pull(there, 11, "specs-of-others/a.yaml")
    there.pulls[10] = there.pulls[9] | {"number": 10, "changed_files": 1}
    assert listed(cli, "--spec", "specs")[1] == [9, 10]


@pytest.mark.parametrize(
    ("files", "changes", "reason"),
    [
        ((SPEC, ".github/workflows/x.yml"), {}, "it changes .github/workflows/x.yml"),
        ((SPEC, "action.yml"), {}, "it changes action.yml"),
        ((SPEC,), {"mergeable": False}, "it conflicts with the default branch"),
        ((SPEC,), {"changed_files": 4000}, "it changes more files than GitHub lists"),
    ],
)
def test_a_pull_request_that_cannot_be_planned_again_is_left_out_with_the_reason(
    there: Hub, cli: Cli, files: tuple[str, ...], changes: dict[str, Any], reason: str
) -> None:
    pull(there, 8, *files, **changes)
    file, numbers, log = listed(cli)
    assert numbers == []
    assert [one["left_out"] for one in file] == [reason]
    assert f"Pull request 8 is not planned again: {reason}." in log


def test_a_pull_request_whose_merge_github_has_not_tried_is_planned(there: Hub, cli: Cli) -> None:
    pull(there, 8, mergeable=None)
    file, numbers, _ = listed(cli)
    assert (file[0]["mergeable"], numbers) == (None, [8])


def test_at_most_a_hundred_are_planned_and_a_limited_number_is_examined(
    there: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_pulls, "PLANNED", 2)
    for number, file in ((5, "README.md"), (6, SPEC), (7, "README.md"), (8, SPEC), (9, SPEC)):
        pull(there, number, file)
    assert listed(cli)[1] == [6, 8]
    pull(there, 6, "README.md")
    monkeypatch.setattr(open_pulls, "EXAMINED", 4)
    assert listed(cli)[1] == [8], "the fifth is not examined"


def test_the_page_has_both_limits() -> None:
    page = (Path(__file__).parents[3] / "docs" / "github-actions.md").read_text(encoding="utf-8")
    planned, examined = open_pulls.PLANNED, open_pulls.EXAMINED
    assert f"at most {planned}, the last updated ones first; it examines at most {examined}." in page


def test_a_list_that_github_does_not_give_fails_the_command(there: Hub, cli: Cli) -> None:
    there.fail("GET", "/pulls$", 403)
    result = cli("github", "open", "--out", "open.json")
    assert result.exit_code == 4
    assert "the open pull requests cannot be listed" in result.stderr
    assert not Path("open.json").exists()
