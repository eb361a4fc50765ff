"""`publish --save` on a pull request, and after its merge `github reviewed` and `publish --reviewed`.

Both commands read the saved files by the same rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import Result

from ssm_reconcile.github import artifacts
from ssm_reconcile.renderers.escaping import dumps
from tests.doubles.clock import FakeClock
from tests.github.content import Artifact, Hub
from tests.unit.cli.conftest import Cli, outputs
from tests.unit.github.conftest import BEFORE, MERGE
from tests.unit.publishers.conftest import HEAD, NUMBER
from tests.unit.renderers import plans

PLAN_RUN = "400"
DOCUMENT = plans.document_of(plans.twelve())
PLAN_ID = DOCUMENT["plan_id"]
FILES = ("plan.json", "publication.json", "comment.md")
StorePlan: TypeAlias = Callable[..., Artifact]


@pytest.fixture
def publish_plan(merged: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that calls `publish` in a run of the pull request, before its merge."""
    pull = {"number": NUMBER, "head": {"sha": HEAD}, "base": {"sha": BEFORE}}
    Path("pull.json").write_text(json.dumps({"pull_request": pull}))

    def run(*words: str) -> None:
        after = dict(merged.pulls[NUMBER])
        merged.pulls[NUMBER] |= {"state": "open", "closed_at": None, "merged_at": None}
        with monkeypatch.context() as plan_run:
            plan_run.setenv("GITHUB_EVENT_NAME", "pull_request")
            plan_run.setenv("GITHUB_EVENT_PATH", "pull.json")
            plan_run.setenv("GITHUB_RUN_ID", PLAN_RUN)
            result = cli("publish", *words)
        assert result.exit_code == 0, result.stderr
        merged.pulls[NUMBER] = after

    return run


@pytest.fixture
def store_plan(merged: Hub, publish_plan: Callable[..., None]) -> StorePlan:
    """Return a function that publishes a plan in a run of the pull request, and stores the folder."""

    def run(files: Iterable[str] = FILES) -> Artifact:
        Path("plan").mkdir(exist_ok=True)
        Path("plan/plan.json").write_text(dumps(DOCUMENT))
        publish_plan("plan/plan.json", "--save", "plan")
        return merged.keep(PLAN_RUN, "ssm-plan", {name: Path("plan", name).read_bytes() for name in files})

    return run


def by_github(cli: Cli) -> Result:
    return cli("github", "reviewed", "--out", "reviewed")


def by_publish(cli: Cli) -> Result:
    return cli("publish", "--reviewed", "reviewed/7.json")


@pytest.fixture(params=[by_github, by_publish])
def fetch(request: pytest.FixtureRequest, cli: Cli) -> Callable[[], Result]:
    """Each command that fetches a reviewed plan."""
    Path("reviewed").mkdir()
    return lambda: request.param(cli)


def refusal(fetch: Callable[[], Result]) -> str:
    result = fetch()
    assert result.exit_code == 4, result.stderr
    assert "What to do" in result.stderr
    assert list(Path("reviewed").iterdir()) == []
    return result.stderr


def test_a_plan_that_was_published_and_stored_is_accepted_after_the_merge(
    store_plan: StorePlan, fetch: Callable[[], Result]
) -> None:
    store_plan()
    result = fetch()
    assert result.exit_code == 0, result.stderr
    assert Path("reviewed/7.json").read_text() == dumps(DOCUMENT)
    assert PLAN_ID[:12] in result.stderr


def test_the_step_outputs_of_a_fetched_plan_are_those_of_a_plan(store_plan: StorePlan, cli: Cli) -> None:
    store_plan()
    Path("output").unlink()
    Path("reviewed").mkdir()
    assert by_publish(cli).exit_code == 0
    found = outputs()
    assert found["plan-id"] == PLAN_ID
    assert found["plan-path"] == str(Path("reviewed/7.json").absolute())
    assert found["changes"] == "12"


def test_a_comment_with_one_other_character_is_refused_after_the_merge(
    merged: Hub, store_plan: StorePlan, fetch: Callable[[], Result]
) -> None:
    store_plan()
    (comment,) = merged.comments
    changed = comment.body.replace("12 changes", "13 changes", 1)
    assert sum(one != other for one, other in zip(comment.body, changed, strict=True)) == 1
    merged.edit(comment, changed, by="mallory")
    assert "was edited after the plan was posted" in refusal(fetch)


def test_the_comment_with_the_result_of_an_apply_changes_nothing(
    merged: Hub, store_plan: StorePlan, cli: Cli, fetch: Callable[[], Result]
) -> None:
    store_plan()
    report = plans.report_document_of(plans.reported(plans.twelve()))
    Path("report.json").write_text(dumps(report))
    assert cli("publish", "report.json", "--plan", "plan/plan.json").exit_code == 0
    assert len(merged.comments) == 2
    assert fetch().exit_code == 0


def test_an_artifact_of_an_older_version_is_refused_and_the_plan_is_to_be_run_again(
    store_plan: StorePlan, fetch: Callable[[], Result]
) -> None:
    store_plan(["plan.json"])
    text = refusal(fetch)
    assert "has no publication.json, which older versions did not store" in text
    assert "run the plan again before a merge" in text
    assert "plan-folder" in text


def test_a_comment_that_reports_a_failed_plan_shows_no_plan(
    store_plan: StorePlan, publish_plan: Callable[..., None], fetch: Callable[[], Result]
) -> None:
    store_plan()
    publish_plan("--failed", "no credentials")
    assert "has no comment with a plan" in refusal(fetch)


def test_a_plan_may_have_the_most_bytes_and_not_one_more(
    store_plan: StorePlan, fetch: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sizes are those in the directory of the archive: nothing is unpacked to find them out."""
    store_plan()
    size = sum(Path("plan", name).stat().st_size for name in FILES)
    monkeypatch.setattr(artifacts, "FILE_LIMIT", size - 1)
    assert "are too large" in refusal(fetch)
    monkeypatch.setattr(artifacts, "FILE_LIMIT", size)
    assert fetch().exit_code == 0


def test_an_archive_that_is_too_large_is_not_read(
    store_plan: StorePlan, fetch: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(store_plan().content)
    monkeypatch.setattr(artifacts, "ZIP_LIMIT", size - 1)
    assert f"a file of more than {size - 1:,} bytes" in refusal(fetch)
    monkeypatch.setattr(artifacts, "ZIP_LIMIT", size)
    assert fetch().exit_code == 0


def test_an_archive_with_many_files_is_not_read(
    merged: Hub, store_plan: StorePlan, fetch: Callable[[], Result]
) -> None:
    store_plan()
    merged.artifacts = [merged.keep(PLAN_RUN, "ssm-plan", {f"{n}.md": b"" for n in range(51)})]
    assert "has too many files" in refusal(fetch)


# `publish --reviewed` alone


def test_publish_writes_the_outputs_of_the_reviewed_plan(store_plan: StorePlan, cli: Cli) -> None:
    store_plan()
    result = cli("publish", "--reviewed", "plan.json")
    assert result.exit_code == 0, result.stderr
    assert f"plan-id={PLAN_ID}" in Path("output").read_text()
    assert "pull request 7" in result.stderr


def test_publish_takes_another_artifact_and_another_pull_request(
    merged: Hub, store_plan: StorePlan, cli: Cli
) -> None:
    store_plan().name = "ssm-plan-prod"
    merged.merged_by.clear()
    words = ("publish", "--reviewed", "plan.json", "--artifact", "ssm-plan-prod")
    result = cli(*words)
    assert result.exit_code == 4
    assert "this commit is of no merged pull request" in result.stderr
    assert "What to do" in result.stderr
    assert cli(*words, "--pull-request", "7").exit_code == 0


def test_publish_refuses_the_plan_of_another_workflow(merged: Hub, store_plan: StorePlan, cli: Cli) -> None:
    store_plan()
    merged.runs[PLAN_RUN]["path"] = ".github/workflows/other.yml"
    result = cli("publish", "--reviewed", "plan.json")
    assert result.exit_code == 4
    assert (
        "of the workflow .github/workflows/other.yml, not of .github/workflows/ssm-reconcile.yml"
        in result.stderr
    )


def test_publish_fetches_the_plan_of_a_workflow_that_is_named(
    merged: Hub, store_plan: StorePlan, cli: Cli
) -> None:
    store_plan()
    other = ".github/workflows/other.yml"
    merged.runs[PLAN_RUN]["path"] = other
    assert cli("publish", "--reviewed", "plan.json", "--workflow", other).exit_code == 0


def test_publish_refuses_an_approval_that_is_not_of_this_plan(
    merged: Hub, store_plan: StorePlan, cli: Cli
) -> None:
    store_plan()
    merged.review(NUMBER, "bob", commit=MERGE)
    result = cli("publish", "--reviewed", "plan.json")
    assert result.exit_code == 4
    assert "@bob approved abcdef0, not 3f9c2ab" in result.stderr
    merged.review(NUMBER, "carol", ago=-5)
    assert cli("publish", "--reviewed", "plan.json").exit_code == 0


def test_publish_without_a_permission_refuses_and_names_it(
    merged: Hub, store_plan: StorePlan, cli: Cli
) -> None:
    store_plan()
    merged.denied.add("actions")
    result = cli("publish", "--reviewed", "plan.json")
    assert result.exit_code == 4
    assert "actions: read" in result.stderr
    assert not Path("plan.json").exists()


@pytest.mark.parametrize("path", ["/pulls$", "comments$", "artifacts$", "zip$"])
@pytest.mark.parametrize("status", [502, 429])
def test_publish_without_an_answer_of_github_is_to_be_run_again(
    merged: Hub, store_plan: StorePlan, cli: Cli, monkeypatch: pytest.MonkeyPatch, path: str, status: int
) -> None:
    store_plan()
    monkeypatch.setattr("ssm_reconcile.cli.publish.SystemClock", FakeClock)
    merged.fail("GET", path, status, times=9, headers={"Retry-After": "300"})
    result = cli("publish", "--reviewed", "plan.json")
    assert result.exit_code == 1
    assert "What to do: GitHub did not answer: run it again" in result.stderr
    assert "no reviewed plan" not in result.stderr
    assert not Path("plan.json").exists()
