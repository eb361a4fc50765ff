"""Input that a person can forge or change: `github reviewed` refuses each in words and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.github.content import Hub, repository, stamp
from tests.unit.cli.conftest import Cli
from tests.unit.github.test_reviewed_push import PLAN, PLAN_RUN, fetch, files, show
from tests.unit.publishers.conftest import HEAD, NUMBER, SPEC, marker
from tests.unit.renderers import plans

OTHER_RUN = "666"


@pytest.fixture
def shown(merged: Hub) -> Hub:
    """A merged pull request with a comment and the artifact of its run."""
    show(merged)
    return merged


def refusal(hub: Hub, cli: Cli, *words: str) -> str:
    """Return the reason; check that no file and nothing on GitHub is written."""
    before = [(one.id, one.body, one.minimized) for one in hub.comments]
    result = fetch(cli, *words)
    assert result.exit_code == 4, result.stderr
    assert "What to do" in result.stderr
    assert not Path("reviewed").exists()
    assert [(one.id, one.body, one.minimized) for one in hub.comments] == before
    assert {one.method for one in hub.requests if not one.path.endswith("/graphql")} == {"GET"}
    return result.stderr


def test_the_good_input_is_accepted(shown: Hub, cli: Cli) -> None:
    assert fetch(cli).exit_code == 0


def test_a_forged_artifact_is_refused(shown: Hub, cli: Cli) -> None:
    """A plan with other changes beside the publication and the comment of the first one."""
    (comment,) = shown.comments
    publication = {
        "format_version": "1.0", "spec": SPEC, "pull_request": NUMBER, "head": HEAD, "base": "",
        "comments": [{
            "scope": "prod", "file": "comment.md", "comment": comment.id, "plan": f"sha256:{PLAN.plan_id}",
            "first_posted": stamp(60),
        }],
    }  # fmt: skip
    forged = files(plans.many(2), publication, comment.body)
    shown.artifacts = [shown.keep(PLAN_RUN, "ssm-plan", forged)]
    assert "the stored plan is not the one that the comment in pull request 7 shows" in refusal(shown, cli)


def test_a_forged_marker_is_refused(shown: Hub, cli: Cli) -> None:
    """The comment of the bot gets the marker of a run that the attacker controls."""
    shown.add_run(OTHER_RUN, ".github/workflows/evil.yml", "pull_request", HEAD, branch="change")
    (comment,) = shown.comments
    forged = marker(run=OTHER_RUN, plan=f"sha256:{plans.many(2).plan_id}")
    shown.edit(comment, forged + comment.body.partition("\n")[2], by="mallory")
    assert f"run {OTHER_RUN}, which the comment in pull request 7 names, is of the workflow" in refusal(
        shown, cli
    )


@pytest.mark.parametrize("run", ["0", "-1", "x", "9" * 5000, "1e3", "../../../user"])
def test_a_forged_marker_whose_run_is_not_an_id_is_refused(shown: Hub, cli: Cli, run: str) -> None:
    (comment,) = shown.comments
    shown.edit(comment, comment.body.replace(f'"run": "{PLAN_RUN}"', f'"run": "{run}"'), by="mallory")
    assert "has no comment with a plan" in refusal(shown, cli)


def test_a_comment_by_another_bot_is_refused(shown: Hub, cli: Cli) -> None:
    shown.comments[0].author = "helper[bot]"
    assert "has no comment with a plan" in refusal(shown, cli)


def test_the_run_of_another_workflow_is_refused(shown: Hub, cli: Cli) -> None:
    shown.runs[PLAN_RUN]["path"] = ".github/workflows/evil.yml"
    words = "of the workflow .github/workflows/evil.yml, not of .github/workflows/ssm-reconcile.yml"
    assert words in refusal(shown, cli)


def test_an_artifact_of_another_repository_is_refused(shown: Hub, cli: Cli) -> None:
    shown.runs[PLAN_RUN]["head_repository"] = repository("mallory/params")
    assert f"run {PLAN_RUN}, which the comment in pull request 7 names, is of another repository" in refusal(
        shown, cli
    )


def test_a_run_that_only_another_repository_has_is_refused(shown: Hub, cli: Cli) -> None:
    """The id of a run in another repository is not found in this one."""
    del shown.runs[PLAN_RUN]
    assert f"/actions/runs/{PLAN_RUN}: HTTP 404" in refusal(shown, cli)


def test_an_expired_artifact_is_refused(shown: Hub, cli: Cli) -> None:
    shown.artifacts[0].expired = True
    assert f"the artifact ssm-plan of run {PLAN_RUN} has expired" in refusal(shown, cli)


@pytest.mark.parametrize("mode", ["required", "if-any"])
def test_a_review_by_the_author_is_refused(shown: Hub, cli: Cli, mode: str) -> None:
    shown.review(NUMBER, "alice")
    assert "@alice is the author" in refusal(shown, cli, "--review", mode)


@pytest.mark.parametrize("mode", ["required", "if-any"])
def test_a_dismissed_review_is_refused(shown: Hub, cli: Cli, mode: str) -> None:
    shown.dismiss(shown.review(NUMBER, "bob"))
    assert "@bob gave a review that was dismissed" in refusal(shown, cli, "--review", mode)


def test_a_dismissed_review_does_not_make_another_one_count(shown: Hub, cli: Cli) -> None:
    shown.dismiss(shown.review(NUMBER, "bob"))
    shown.review(NUMBER, "carol", ago=90)
    assert "@carol approved before this plan was posted" in refusal(shown, cli)


def test_an_edited_comment_is_refused(shown: Hub, cli: Cli) -> None:
    (comment,) = shown.comments
    shown.edit(comment, comment.body.replace("12 changes", "2 changes"), by="mallory")
    assert "the comment in pull request 7 was edited after the plan was posted" in refusal(shown, cli)
