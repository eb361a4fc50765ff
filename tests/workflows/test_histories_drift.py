"""Histories of drift runs: only a complete run of the current spec of main closes the issue on drift."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.workflows import stage as stage_module
from tests.workflows.prepared import prepared
from tests.workflows.stage import CALLED, CALLER, TARGET, WORKFLOWS, Stage, log_of, results, spec

pytestmark = pytest.mark.slow


@prepared
def drifted(stage: Stage) -> None:
    """An open issue: the two parameters that main selects are not in the target."""
    jobs = stage.later("schedule")
    assert results(jobs) == {"drift": "success"}, log_of(jobs)
    assert [issue.state for issue in stage.hub.issues] == ["open"]


@pytest.mark.parametrize("text", [spec("/none/**"), "version: 2\n"])
def test_a_drift_run_of_another_branch_does_not_write_the_issue(drifted: Stage, text: str) -> None:
    before = drifted.hub.issues[0].body
    drifted.open(text)
    jobs = drifted.by_hand("change-7", mode="drift")
    assert "only runs of the default branch write it" in log_of(jobs)
    assert [(issue.state, issue.body) for issue in drifted.hub.issues] == [("open", before)]
    assert drifted.holds() == {}


def test_a_drift_run_of_some_names_does_not_close_the_issue(
    drifted: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workflow has no input for names: this is a copy of it with the input `only` of the action."""
    drifted.by_hand(mode="apply")
    drifted.put("/app/new", "x")
    drifted.later("schedule")
    text = (WORKFLOWS / CALLED).read_text()
    before = "          unreviewed: true # it shows what a run without a review would do\n"
    assert text.count(before) == 1
    narrowed = tmp_path / "narrowed"
    narrowed.mkdir()
    shutil.copyfile(WORKFLOWS / CALLER, narrowed / CALLER)
    (narrowed / CALLED).write_text(text.replace(before, f"{before}          only: /app/url\n"))
    with monkeypatch.context() as patch:
        patch.setattr(stage_module, "WORKFLOWS", narrowed)
        jobs = drifted.later("schedule")
    assert results(jobs) == {"drift": "success"}, log_of(jobs)
    assert "Nothing to do" in log_of(jobs)
    assert drifted.hub.issues[-1].state == "open"
    drifted.put("/app/new", "x", region=TARGET)
    drifted.delete("/app/new")
    drifted.delete("/app/new", region=TARGET)
    drifted.later("schedule")
    assert drifted.hub.issues[-1].state == "closed", "a complete run finds no drift"


@pytest.mark.parametrize("has_drift", [False, True])
def test_an_old_drift_run_that_is_started_again_does_not_write_the_issue(
    stage: Stage, has_drift: bool
) -> None:
    stage.by_hand(mode="apply")
    stage.later("schedule")
    old = stage.last_run()
    stage.commit(spec("/app/**", "/shop/**"))
    stage.later("schedule")
    (issue,) = stage.hub.issues
    before = issue.body
    assert "/shop/limit" in before
    if has_drift:
        stage.put("/app/other", "x")
    jobs = stage.rerun(old)
    assert "main has changed replication.yaml since" in log_of(jobs)
    assert (issue.state, issue.body) == ("open", before)
