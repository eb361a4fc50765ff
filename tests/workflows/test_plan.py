"""Runs of pull requests, as a runner makes them: what a pull request gets, and what a fork's does not."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from tests.workflows.stage import PLAN_ROLE, SECRET, Stage, log_of, results, spec

pytestmark = pytest.mark.slow

SAME = spec("/app/**") + "# the same, in another text\n"
PLANNED = {"touched": "success", "validate": "success", "plan": "success", "check": "success"}


def test_a_pull_request_gets_validation_a_plan_a_comment_and_an_artifact(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    jobs = stage.plan()
    assert results(jobs) == PLANNED, log_of(jobs)
    body = stage.comment().body
    assert "3 changes" in body
    assert "+ /shop/limit  [String]" in body
    assert "+ /app/url  [String]" in body.split("<b>Already pending</b>")[1]
    assert "**2 of the changes are already pending**" in body
    assert [artifact.name for artifact in stage.hub.artifacts] == ["ssm-plan"]
    assert "3 changes" in jobs["plan"].summary
    assert stage.assumed == [(PLAN_ROLE, "ssm-plan")]
    assert jobs["plan"].step("Plan and post the comment").outputs["changes"] == "3"
    assert stage.holds() == {}, "a plan writes nothing"


def test_no_secret_and_no_token_is_anywhere(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    everything = log_of(stage.plan()) + stage.all_output()
    assert "/app/key" in everything
    assert SECRET not in everything
    assert "ghs-101" not in everything


def test_the_next_commit_edits_the_comment(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    stage.plan()
    stage.open(SAME)
    stage.plan()
    assert "/shop/limit" not in stage.comment().body
    assert stage.comment().edits == 1


@pytest.mark.parametrize(("fork", "author"), [(True, "mallory"), (False, "dependabot[bot]")])
def test_a_fork_and_dependabot_get_validation_and_no_credentials(
    stage: Stage, fork: bool, author: str
) -> None:
    stage.open(spec("/app/**").replace("delete:", "delte:"), fork=fork, author=author)
    jobs = stage.plan()
    assert results(jobs) == {"touched": "success", "validate": "failure", "check": "failure"}
    (first, *_) = jobs["validate"].annotations
    assert first.startswith("::error file=replication.yaml,line=")
    assert jobs["validate"].permissions == {"contents": "read"}
    assert stage.assumed == []
    assert not stage.hub.comments


def test_a_repository_that_is_not_set_up_yet_plans_nothing(stage: Stage) -> None:
    del stage.variables["SSM_PLAN_ROLE"]
    stage.open(SAME)
    assert results(stage.plan()) == {"touched": "success", "validate": "success", "check": "success"}


def test_errors_of_a_spec_are_reported_on_their_lines_and_in_the_comment(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    stage.plan()
    stage.open(spec("/app/**").replace("delete:", "delte:"))
    jobs = stage.plan()
    assert results(jobs) == {
        "touched": "success",
        "validate": "failure",
        "plan": "failure",
        "check": "failure",
    }
    body = stage.comment().body
    assert "This run made no plan" in body
    assert "`delte` is not a property" in body.replace("&#96;", "`")
    assert "/shop/limit" not in body
    assert jobs["plan"].step("Plan and post the comment").outputs["failure-reason"] == "plan-failed"


def test_missing_credentials_are_reported_in_the_comment(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    stage.plan()
    stage.variables["SSM_PLAN_ROLE"] = "arn:aws:iam::123456789012:role/another"
    stage.open(SAME)
    jobs = stage.plan()
    assert results(jobs) == {**PLANNED, "plan": "failure", "check": "failure"}
    assert "such as getting credentials" in stage.comment().body


def test_a_spec_that_is_new_is_compared_with_nothing(stage: Stage) -> None:
    stage._git("rm", "--quiet", "replication.yaml")
    stage._git("commit", "--quiet", "--message", "no spec")
    stage.open(spec("/shop/**"))
    jobs = stage.plan()
    assert results(jobs) == PLANNED, log_of(jobs)
    assert "pending" not in stage.comment().body


def test_a_plan_in_which_something_is_invalid_fails_the_job_and_is_kept_for_the_merge(stage: Stage) -> None:
    """The comment shows it, so it is what was reviewed; the rest of it can be applied."""
    stage.ssm().put_parameter(Name="/app/lonely", Value="x", Type="SecureString", KeyId="alias/lonely")
    stage.open(SAME)
    jobs = stage.plan()
    assert results(jobs)["plan"] == "failure"
    assert "no KMS key is mapped for" in stage.comment().body
    assert [artifact.name for artifact in stage.hub.artifacts] == ["ssm-plan"]


def test_values_that_look_like_workflow_commands_are_none(stage: Stage) -> None:
    stage.put("/app/hostile", "::error title=forged::look\n::add-mask::e\n::set-env name=PATH::/tmp")
    stage.open(SAME)
    jobs = stage.plan()
    assert results(jobs)["plan"] == "success"
    assert not [line for line in jobs["plan"].annotations if "forged" in line or "mask" in line]


def test_a_comment_that_github_does_not_take_is_a_warning_and_the_plan_is_kept(stage: Stage) -> None:
    stage.hub.denied.add("comment")
    stage.open(SAME)
    jobs = stage.plan()
    assert results(jobs)["plan"] == "success"
    assert [line for line in jobs["plan"].annotations if line.startswith("::warning::no comment")]
    assert stage.hub.artifacts


def test_an_old_run_that_is_started_again_does_not_overwrite_the_plan_of_a_newer_commit(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    stage.plan()
    old = stage.last_run()
    stage.open(SAME)
    stage.plan()
    before = stage.comment().body
    jobs = stage.rerun(old)
    assert jobs["plan"].result == "success", log_of(jobs)
    assert "Pull request 7 has a newer commit: the comment is left as it is" in jobs["plan"].log
    assert stage.comment().body == before


def test_no_run_writes_the_comment_with_the_plan_after_the_merge(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    stage.plan()
    before, old = stage.comment().body, stage.last_run()
    stage.merge()
    stage.put("/app/url", "https://example.com")
    jobs = stage.rerun(old)
    assert "Pull request 7 is merged: the comment is left as it is" in jobs["plan"].log
    assert stage.comment().body == before


def test_a_comment_that_shows_another_plan_and_cannot_be_corrected_fails_the_job(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    stage.plan()
    stage.open(SAME)
    stage.hub.pulls[7]["locked"] = True
    jobs = stage.plan()
    assert results(jobs)["plan"] == "failure"
    assert "out of date" in jobs["plan"].log
    assert "pull request 7 is locked" in jobs["plan"].log
    assert "unlock it, and start this run again" in jobs["plan"].log


def test_the_install_is_by_hash_and_of_the_code_at_its_own_ref(stage: Stage) -> None:
    stage.open(SAME)
    stage.plan()
    asked = next(stage.folder.glob("run-*/plan/machine/installed")).read_text().splitlines()
    first, second = asked
    assert "--require-hashes --requirement" in first
    assert first.endswith("/requirements/run.txt")
    assert "--no-deps --no-build-isolation" in second


def test_a_pull_request_without_the_spec_gets_the_check_and_no_plan(stage: Stage) -> None:
    stage.open(spec("/app/**"), files={"README.md": "words"})
    jobs = stage.plan()
    assert results(jobs) == {"touched": "success", "check": "success"}, log_of(jobs)
    assert stage.assumed == []
    assert not stage.hub.comments


def test_a_pull_request_that_changes_a_workflow_only_is_planned(stage: Stage) -> None:
    stage.open(spec("/app/**"), files={".github/workflows/other.yml": "name: other"})
    assert results(stage.plan()) == PLANNED


def test_the_check_fails_when_the_spec_cannot_be_compared(stage: Stage) -> None:
    stage.open(spec("/app/**", "/shop/**"))
    payload = {"merge_group": {"base_sha": "f" * 40}}
    jobs = stage.start("merge_group", payload, stage.last_push, "refs/heads/main")
    assert results(jobs) == {"touched": "failure", "check": "failure"}


@pytest.mark.parametrize(("setting", "notices"), [("false", 1), ("true", 0), (None, 0)])
def test_a_plan_that_may_decrypt_is_noticed_and_is_not_the_default(
    stage: Stage, setting: str | None, notices: int
) -> None:
    if setting:
        stage.variables["SSM_NO_DECRYPT"] = setting
    stage.open(SAME)
    jobs = stage.plan(jobs={"plan"})
    found = [line for line in jobs["plan"].annotations if "may decrypt secrets" in line]
    assert len(found) == notices
    with zipfile.ZipFile(io.BytesIO(stage.hub.artifacts[-1].content)) as archive:
        assert json.loads(archive.read("plan.json"))["run"]["no_decrypt"] is (notices == 0)
