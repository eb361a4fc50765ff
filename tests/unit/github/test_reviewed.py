"""The reviewed plan: found by the comment's run, or refused with a reason and a way forward."""

from __future__ import annotations

import json

import pytest

from ssm_reconcile.errors import PlanRefused
from ssm_reconcile.github import artifacts, reviewed
from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.reviewed import reviewed_plan
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers.pages import failure_pages
from ssm_reconcile.renderers.escaping import dumps
from tests.github.content import Artifact, Hub, repository, stamp
from tests.unit.publishers.conftest import HEAD, NUMBER, SPEC, Publish, marker
from tests.unit.renderers import plans

RUN = "19822345678"
PLAN = plans.twelve()


def keep(
    hub: Hub, plan: Plan = PLAN, *, name: str = "ssm-plan", head: str = HEAD, event: str = "pull_request"
) -> Artifact:
    hub.add_run(RUN, ".github/workflows/plan.yml", event, head, branch="change")
    return hub.keep(RUN, name, {"plan.json": dumps(plans.document_of(plan)).encode()})


def fetched(github: GitHub) -> str:
    return str(reviewed_plan(github, NUMBER, SPEC, "ssm-plan")[1]["plan_id"])


def refused(github: GitHub) -> str:
    with pytest.raises(PlanRefused) as caught:
        fetched(github)
    assert "approve the plan as it is now" in caught.value.remedy
    return caught.value.message


def test_the_plan_that_the_comment_shows_is_fetched(hub: Hub, github: GitHub, publish: Publish) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    assert fetched(github) == PLAN.plan_id


def beside_the_plan(hub: Hub, **files: str) -> None:
    """The artifact of a run that saved what it posted."""
    hub.add_run(RUN, ".github/workflows/plan.yml", "pull_request", HEAD, branch="change")
    texts = {"plan.json": dumps(plans.document_of(PLAN)), "publication.json": "{}", **files}
    hub.keep(RUN, "ssm-plan", {name: text.encode() for name, text in texts.items()})


@pytest.mark.parametrize("name", ["comment.md", "comment.prod.md"])
def test_a_comment_that_is_still_as_it_was_posted_shows_the_reviewed_plan(
    hub: Hub, github: GitHub, publish: Publish, name: str
) -> None:
    publish(PLAN, run=RUN)
    (comment,) = hub.comments
    beside_the_plan(hub, **{name: comment.body})
    comment.body = comment.body.rstrip().replace("\n", "\r\n")  # as GitHub may store it
    assert fetched(github) == PLAN.plan_id


def test_a_comment_that_was_edited_does_not_show_what_was_reviewed(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(PLAN, run=RUN)
    (comment,) = hub.comments
    beside_the_plan(hub, **{"comment.md": comment.body})
    hub.edit(comment, comment.body.replace("DELETE", "create"), by="mallory")
    assert "was edited after the plan was posted" in refused(github)


@pytest.mark.parametrize("name", ["other.json", "comment.txt", "a.md"])
def test_an_archive_with_a_file_of_unknown_purpose_is_refused(
    hub: Hub, github: GitHub, publish: Publish, name: str
) -> None:
    publish(PLAN, run=RUN)
    beside_the_plan(hub, **{name: "{}"})
    assert "does not hold one plan" in refused(github)


def test_a_plan_of_another_name_beside_a_comment_is_refused(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    hub.artifacts.clear()
    texts = {"other.json": dumps(plans.document_of(PLAN)), "comment.md": hub.comments[0].body}
    hub.keep(RUN, "ssm-plan", {name: text.encode() for name, text in texts.items()})
    assert "does not hold one plan" in refused(github)


def test_it_is_fetched_again_after_an_apply_has_written_into_the_comment(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    publish(plans.many(3), run="2", reviews=False)
    assert fetched(github) == PLAN.plan_id


def test_of_a_run_that_ran_twice_the_artifact_that_fits_the_comment_counts(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    keep(hub, plans.many(2))
    keep(hub)
    keep(hub, plans.many(3))
    publish(PLAN, run=RUN)
    assert fetched(github) == PLAN.plan_id


def test_without_a_comment_no_reviewed_plan_is_found(hub: Hub, github: GitHub) -> None:
    assert "no comment with a plan" in refused(github)


def test_a_comment_of_another_author_names_no_plan(hub: Hub, github: GitHub) -> None:
    keep(hub)
    hub.say(NUMBER, marker(run=RUN, plan=f"sha256:{PLAN.plan_id}"), "mallory")
    assert "no comment with a plan" in refused(github)


def test_a_plan_of_an_earlier_commit_was_not_reviewed(hub: Hub, github: GitHub, publish: Publish) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    hub.pulls[NUMBER]["head"]["sha"] = "77ab01c2" + "0" * 32
    assert "is of 3f9c2ab, not of its last, 77ab01c" in refused(github)


def test_after_a_failed_plan_no_reviewed_plan_is_found(hub: Hub, github: GitHub, publish: Publish) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    publish(failure_pages(["prod"], "no"), run="2")
    assert "no comment with a plan" in refused(github)


@pytest.mark.parametrize(("head", "by"), [(HEAD, "push"), ("0" * 40, "pull_request")])
def test_a_run_that_is_not_the_pull_requests_makes_no_reviewed_plan(
    hub: Hub, github: GitHub, publish: Publish, head: str, by: str
) -> None:
    publish(PLAN, run=RUN)
    keep(hub, head=head, event=by)
    assert f"run {RUN}, which the comment in pull request 7 names, is" in refused(github)


def test_an_artifact_with_another_plan_is_not_the_one_that_was_reviewed(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(PLAN, run=RUN)
    keep(hub, plans.many(2))
    assert "is not the one that the comment shows" in refused(github)


def test_an_expired_or_missing_artifact_is_reported(hub: Hub, github: GitHub, publish: Publish) -> None:
    publish(PLAN, run=RUN)
    artifact = keep(hub)
    artifact.expired = True
    assert "has expired" in refused(github)
    artifact.name = "else"
    assert "has no artifact" in refused(github)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", json.dumps({"plan_id": 1}).encode()])
def test_an_artifact_that_is_not_a_plan_is_refused(
    hub: Hub, github: GitHub, publish: Publish, content: bytes
) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    hub.artifacts = [hub.keep(RUN, "ssm-plan", {"plan.json": content})]
    assert "is not a plan" in refused(github)


def test_an_archive_that_is_none_or_holds_two_files_is_refused(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(PLAN, run=RUN)
    keep(hub).content = b"no zip"
    assert "does not hold one plan" in refused(github)
    hub.artifacts = [hub.keep(RUN, "ssm-plan", {"plan.json": b"{}", "other.json": b"{}"})]
    assert "does not hold one plan" in refused(github)


def test_a_token_that_cannot_read_artifacts_is_reported_with_the_permission(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    hub.denied.add("actions")
    with pytest.raises(GitHubError) as caught:
        fetched(github)
    assert "actions: read" in caught.value.remedy


def test_a_plan_may_have_the_most_bytes_and_not_one_more(
    hub: Hub, github: GitHub, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is the one in the archive's directory: nothing is unpacked to find it out."""
    publish(PLAN, run=RUN)
    keep(hub)
    size = len(dumps(plans.document_of(PLAN)).encode())
    monkeypatch.setattr(artifacts, "FILE_LIMIT", size)
    assert fetched(github) == PLAN.plan_id
    monkeypatch.setattr(artifacts, "FILE_LIMIT", size - 1)
    assert "are too large" in refused(github)


def test_an_archive_that_is_too_large_is_not_read(
    hub: Hub, github: GitHub, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(PLAN, run=RUN)
    artifact = keep(hub)
    monkeypatch.setattr(reviewed, "ZIP_LIMIT", len(artifact.content))
    assert fetched(github) == PLAN.plan_id
    monkeypatch.setattr(reviewed, "ZIP_LIMIT", len(artifact.content) - 1)
    with pytest.raises(GitHubError) as caught:
        fetched(github)
    assert caught.value.kind is Kind.REFUSED


def test_a_run_of_a_fork_makes_no_reviewed_plan(hub: Hub, github: GitHub, publish: Publish) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    hub.runs[RUN]["head_repository"] = repository("mallory/params")
    assert "of another repository" in refused(github)


@pytest.mark.parametrize("name", [".github/workflows/plan.yml", "action.yml"])
def test_a_pull_request_that_changes_a_workflow_has_no_reviewed_plan(
    hub: Hub, github: GitHub, publish: Publish, name: str
) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    hub.pull_files[NUMBER] = [{"filename": "replication.yaml"}, {"filename": name}]
    assert f"changes {name}" in refused(github)


def test_a_pull_request_with_more_files_than_github_lists_has_no_reviewed_plan(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    publish(PLAN, run=RUN)
    keep(hub)
    hub.pulls[NUMBER]["changed_files"] = 3001
    assert "changes 3,001 files" in refused(github)


def test_a_plan_that_was_stored_after_the_merge_was_not_reviewed(
    hub: Hub, github: GitHub, publish: Publish
) -> None:
    """A re-run after the merge replaces the comment and the plan."""
    publish(PLAN, run=RUN)
    keep(hub)
    hub.pulls[NUMBER]["merged_at"] = stamp(60)
    assert "was stored after the merge" in refused(github)
