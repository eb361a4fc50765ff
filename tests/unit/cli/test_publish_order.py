"""`publish` in a run that another run, a newer commit or the merge has overtaken: it leaves the comment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.github.marked import RESULT_MARK, facts_of
from tests.github.content import Hub
from tests.unit.cli.conftest import NUMBER, Cli, outputs, save
from tests.unit.publishers.conftest import marker
from tests.unit.renderers import plans

RUN = 19822345678
NEWER, OLDER = str(RUN + 1), str(RUN - 1)
RESULT = marker(run=NEWER).replace("ssm-reconcile:plan", RESULT_MARK)


def twelve() -> str:
    return save(plans.document_of(plans.twelve()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": {"sha": "5" * 40}}, "has a newer commit"),
        ({"state": "closed"}, "is closed"),
        ({"state": "closed", "merged_at": "2026-11-23T10:00:00Z"}, "is merged"),
    ],
)
@pytest.mark.parametrize("words", [("plan.json",), ("--failed", "no credentials")])
@pytest.mark.parametrize("shown", [True, False])
def test_a_plan_of_an_old_commit_or_after_the_end_writes_no_comment(
    hub: Hub, cli: Cli, change: dict[str, Any], message: str, words: tuple[str, ...], shown: bool
) -> None:
    if shown:
        cli("publish", twelve())
    save(plans.document_of(plans.in_sync()))
    hub.pulls[NUMBER] |= change
    result = cli("publish", *words, "--comment", "always", "--save", "plan")
    assert result.exit_code == 0, result.stderr
    assert f"Pull request 7 {message}: the comment is left as it is." in result.stderr
    assert [(comment.edits, comment.minimized) for comment in hub.comments] == [(0, "")] * shown
    assert not Path("plan").exists()
    assert outputs()["failure-reason"] == ("" if words == ("plan.json",) else "plan-failed")


@pytest.mark.parametrize("words", [("plan.json",), ("--failed", "no credentials")])
def test_a_plan_leaves_the_comment_of_a_newer_run(hub: Hub, cli: Cli, words: tuple[str, ...]) -> None:
    twelve()
    newer = hub.say(NUMBER, marker(run=NEWER))
    hub.say(NUMBER, marker(run=str(RUN + 2), scope="staging"))
    hub.say(NUMBER, marker(run=OLDER, scope="test"))
    result = cli("publish", *words)
    assert result.exit_code == 0, result.stderr
    assert f"Pull request 7 has a comment of run {RUN + 2}, which is newer" in result.stderr
    assert (newer.edits, len(hub.comments)) == (0, 3)


@pytest.mark.parametrize("run", [str(RUN), OLDER, "", "²", "9" * 30])
def test_a_plan_edits_the_comment_of_this_run_of_an_older_or_of_no_run(hub: Hub, cli: Cli, run: str) -> None:
    hub.say(NUMBER, marker(run=run))
    assert cli("publish", save(plans.document_of(plans.in_sync()))).exit_code == 0
    (comment,) = hub.comments
    assert (comment.edits, (facts_of(comment.body) or {})["run"]) == (1, str(RUN))


def test_without_the_id_of_a_run_no_run_is_newer(hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_RUN_ID")
    comment = hub.say(NUMBER, marker(run=NEWER))
    assert cli("publish", save(plans.document_of(plans.in_sync()))).exit_code == 0
    assert comment.edits == 1


def test_without_the_commit_of_a_run_no_commit_is_newer(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_SHA")
    Path("event.json").write_text(json.dumps({"pull_request": {"number": NUMBER}}))
    result = cli("publish", twelve())
    assert result.exit_code == 0, result.stderr
    assert "newer commit" not in result.stderr
    assert len(hub.comments) == 1


def test_a_comment_of_another_author_with_a_newer_run_stops_nothing(hub: Hub, cli: Cli) -> None:
    hub.say(NUMBER, marker(run=NEWER), "mallory")
    cli("publish", twelve())
    assert len(hub.comments) == 2


@pytest.mark.parametrize("words", [("report.json",), ("--failed", "no credentials")])
def test_a_result_leaves_the_result_of_a_newer_run(
    hub: Hub, cli: Cli, push: None, words: tuple[str, ...]
) -> None:
    save(plans.report_document_of(plans.reported(plans.twelve())), "report.json")
    newer = hub.say(NUMBER, RESULT)
    result = cli("publish", *words)
    assert result.exit_code == 0, result.stderr
    assert "which is newer: the comment is left as it is" in result.stderr
    assert (newer.edits, len(hub.comments)) == (0, 1)


def test_a_result_is_posted_after_the_merge_whatever_run_made_the_plan(
    hub: Hub, cli: Cli, push: None
) -> None:
    hub.say(NUMBER, marker(run=NEWER))
    cli("publish", save(plans.report_document_of(plans.reported(plans.twelve())), "report.json"))
    assert hub.comments[-1].body.startswith(f"<!-- {RESULT_MARK} ")


def test_a_pull_request_that_cannot_be_read_gets_no_comment_and_a_warning(hub: Hub, cli: Cli) -> None:
    hub.fail("GET", "pulls/7$", 422)
    result = cli("publish", twelve())
    assert (result.exit_code, hub.comments) == (0, [])
    assert "::warning::no comment on the pull request" in result.stdout
