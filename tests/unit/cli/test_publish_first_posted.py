"""`first_posted` in publication.json: the time when this plan was first shown for this commit."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ssm_reconcile.renderers.escaping import dumps
from tests.github.content import Hub
from tests.unit.cli.conftest import HEAD, MERGE, NUMBER, Cli, save
from tests.unit.renderers import plans

FIRST, SECOND = "19822345678", "19822345999"
THEN = "2026-11-20T10:00:00Z"
PLAN_FILE = ".github/workflows/ssm-reconcile.yml"
Again: TypeAlias = Callable[[], str]


@pytest.fixture
def earlier(hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A run that posted a plan long ago and stored it; the next command is of a later run of the commit."""
    hub.add_run(FIRST, PLAN_FILE, "pull_request", HEAD, branch="change")
    cli("publish", save(plans.document_of(plans.twelve())))
    hub.comments[0].updated = THEN
    cli("publish", "plan.json", "--save", "plan")
    files = {path.name: path.read_bytes() for path in Path("plan").iterdir()}
    hub.keep(FIRST, "ssm-plan", {**files, "plan.json": Path("plan.json").read_bytes()})
    hub.add_run(SECOND, PLAN_FILE, "pull_request", HEAD, branch="change")
    monkeypatch.setenv("GITHUB_RUN_ID", SECOND)
    return hub


@pytest.fixture
def again(earlier: Hub, cli: Cli) -> Again:
    """Return a function that publishes the same plan and returns the time in the publication."""

    def run() -> str:
        result = cli("publish", "plan.json", "--save", "again")
        assert result.exit_code == 0, result.stderr
        publication = json.loads((Path("again") / "publication.json").read_text())
        return str(publication["comments"][0]["first_posted"])

    return run


def altered(hub: Hub, **fields: Any) -> None:
    """Alter the publication in the artifact of the first run."""
    artifact = hub.artifacts.pop()
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(files["publication.json"])
    comment = fields.pop("comment", {})
    document = {**document, **fields, "comments": [{**document["comments"][0], **comment}]}
    hub.keep(FIRST, "ssm-plan", {**files, "publication.json": dumps(document).encode()})


def test_the_same_plan_in_a_later_run_keeps_the_time_of_the_first(earlier: Hub, again: Again) -> None:
    assert again() == THEN
    assert earlier.comments[0].edits == 1
    assert earlier.comments[0].updated != THEN


def test_a_new_comment_with_the_same_plan_keeps_the_time(earlier: Hub, again: Again) -> None:
    earlier.fail("PATCH", "comments/", 403)
    assert again() == THEN
    assert len(earlier.comments) == 2


def test_a_later_attempt_of_the_same_run_keeps_the_time(
    earlier: Hub, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_RUN_ID", FIRST)
    monkeypatch.setenv("GITHUB_WORKFLOW", "another name, so that the comment is edited")
    earlier.runs[FIRST]["head_sha"] = "of a run whose commit is not that of the pull request"
    assert again() == THEN
    assert earlier.comments[0].edits == 1


@pytest.mark.parametrize(("branch", "expected"), [("main", True), ("topic", False)])
def test_a_plan_that_the_default_branch_made_again_keeps_the_time(
    earlier: Hub, again: Again, branch: str, expected: bool
) -> None:
    earlier.runs[FIRST] |= {"event": "schedule", "head_branch": branch, "head_sha": MERGE}
    earlier.artifacts[0].name = f"ssm-plan-{NUMBER}"
    assert (again() == THEN) is expected


def test_another_plan_has_a_time_of_its_own(earlier: Hub, again: Again) -> None:
    save(plans.document_of(plans.in_sync()))
    earlier.requests.clear()
    assert again() == earlier.comments[0].updated != THEN
    assert not earlier.asked("GET", "/artifacts"), "the earlier publication is not needed"


def test_the_publication_of_several_comments_is_read_once(
    earlier: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(Path("plan.json").read_text())
    (part,) = document["replications"]
    document["replications"] = [{**part, "name": name} for name in ("prod", "staging")]
    two = save(document, "two.json")
    monkeypatch.setenv("GITHUB_RUN_ID", FIRST)
    cli("publish", two, "--comment", "always")
    monkeypatch.setenv("GITHUB_RUN_ID", SECOND)
    earlier.requests.clear()
    assert cli("publish", two, "--comment", "always", "--save", "again").exit_code == 0
    publication = json.loads((Path("again") / "publication.json").read_text())
    assert len(publication["comments"]) == 2
    assert len(earlier.asked("GET", f"/runs/{FIRST}/artifacts")) == 1


def test_the_same_plan_of_a_newer_commit_has_a_time_of_its_own(earlier: Hub, again: Again) -> None:
    newer = "4" * 40
    earlier.pulls[NUMBER]["head"]["sha"] = newer
    Path("event.json").write_text(json.dumps({"pull_request": {"number": NUMBER, "head": {"sha": newer}}}))
    earlier.runs[FIRST]["head_sha"] = newer
    assert again() != THEN


def test_a_failure_between_two_equal_plans_gives_the_second_a_time_of_its_own(
    earlier: Hub, again: Again, cli: Cli
) -> None:
    cli("publish", "--failed", "no credentials")
    assert again() != THEN


def test_a_failed_plan_after_a_failed_plan_reads_no_publication(
    earlier: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ("publish", "--failed", "no credentials", "--save")
    monkeypatch.setenv("GITHUB_RUN_ID", FIRST)
    assert cli(*failed, "failed").exit_code == 0
    files = {path.name: path.read_bytes() for path in Path("failed").iterdir()}
    earlier.artifacts.clear()
    earlier.keep(FIRST, "ssm-plan", {**files, "plan.json": Path("plan.json").read_bytes()})
    altered(earlier, comment={"first_posted": THEN})
    monkeypatch.setenv("GITHUB_RUN_ID", SECOND)
    earlier.requests.clear()
    assert cli(*failed, "again").exit_code == 0
    publication = json.loads((Path("again") / "publication.json").read_text())
    assert publication["comments"][0]["first_posted"] == earlier.comments[0].updated != THEN
    assert not earlier.asked("GET", "/(artifacts|runs)"), "the marker of a failure names no plan"
    assert len(earlier.requests) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"path": ".github/workflows/other.yml"},
        {"head_branch": "another"},
        {"head_sha": "5" * 40},
        {"event": "workflow_run", "head_branch": "main"},
        {"head_repository": {"full_name": "mallory/params"}},
    ],
)
def test_the_time_of_a_run_of_something_else_does_not_count(
    earlier: Hub, again: Again, change: dict[str, Any]
) -> None:
    earlier.runs[FIRST] |= change
    assert again() != THEN


@pytest.mark.parametrize(
    "fields",
    [
        {"pull_request": 8},
        {"head": "5" * 40},
        {"spec": "other.yaml"},
        {"comment": {"plan": "sha256:other"}},
        {"comment": {"scope": "staging"}},
        {"comment": {"first_posted": "yesterday"}},
        {"format_version": "9.0"},
    ],
)
def test_the_time_of_another_publication_does_not_count(
    earlier: Hub, again: Again, fields: dict[str, Any]
) -> None:
    altered(earlier, **fields)
    assert again() != THEN


def test_the_time_of_a_run_that_may_be_of_another_base_does_not_count(earlier: Hub, again: Again) -> None:
    pull = earlier.pulls[NUMBER]
    earlier.pulls[8] = pull | {"number": 8, "base": {"ref": "release"}}
    assert again() != THEN


def test_the_marker_has_no_say_in_the_time(earlier: Hub, again: Again) -> None:
    comment = earlier.comments[0]
    earlier.edit(comment, comment.body.replace('"v":1', f'"v":1,"first_posted":"{THEN}"'), by="mallory")
    earlier.artifacts.clear()
    assert again() != THEN


def test_a_comment_that_someone_edited_after_the_first_run_loses_its_time(earlier: Hub, again: Again) -> None:
    """A review can be of the edited text, so an earlier time would approve what the reviewer did not see."""
    comment = earlier.comments[0]
    earlier.edit(comment, comment.body.replace("DELETE", "keep"), by="mallory")
    assert again() != THEN


def test_a_comment_with_another_text_than_the_first_run_posted_loses_its_time(
    earlier: Hub, again: Again
) -> None:
    earlier.comments[0].body += "\nmore"
    assert earlier.comments[0].edits == 0
    assert again() != THEN


def test_the_edit_by_which_the_first_run_posted_the_plan_keeps_the_time(earlier: Hub, again: Again) -> None:
    earlier.comments[0].editor = "github-actions[bot]"
    assert earlier.comments[0].updated == THEN
    assert again() == THEN


@pytest.mark.parametrize("case", ["no permission", "expired", "gone", "no run", "damaged", "another name"])
def test_a_time_that_cannot_be_read_is_that_of_the_comment(earlier: Hub, again: Again, case: str) -> None:
    match case:
        case "no permission":
            earlier.denied.add("actions")
        case "expired":
            earlier.artifacts[0].expired = True
        case "gone":
            earlier.artifacts.clear()
        case "no run":
            del earlier.runs[FIRST]
        case "damaged":
            earlier.artifacts[0].content = b"not an archive"
        case _:
            earlier.artifacts[0].name = "other"
    assert again() == earlier.comments[0].updated != THEN


def test_the_artifact_may_have_another_name(earlier: Hub, again: Again, cli: Cli) -> None:
    earlier.artifacts[0].name = "plan-of-prod"
    cli("publish", "plan.json", "--save", "again", "--artifact", "plan-of-prod")
    publication = json.loads((Path("again") / "publication.json").read_text())
    assert publication["comments"][0]["first_posted"] == THEN
