"""Histories of the queue: an unanswered approval blocks no one, and dispatches hold one place at most."""

from __future__ import annotations

import pytest

from tests.workflows.prepared import prepared
from tests.workflows.schedule import StartedRun
from tests.workflows.stage import APPLYING, Stage, log_of, results, spec

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")


@prepared
def waiting(stage: Stage) -> None:
    """An approval that no one answers."""
    stage.open(ALL)
    stage.plan()
    stage.put("/shop/limit", "999")
    stage.push(stage.merge())
    assert stage.last_run().jobs["approval"].result == "waiting"


def dispatch(stage: Stage) -> StartedRun:
    run = stage.trigger("repository_dispatch", {}, stage.last_push, "refs/heads/main")
    assert run is not None
    return run


def test_an_unanswered_approval_does_not_block_the_next_merge(waiting: Stage) -> None:
    waiting.open(spec("/shop/**"), 8)
    waiting.plan(8)
    jobs = waiting.push(waiting.merge(8))
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert set(waiting.holds()) == {"/shop/limit"}


def test_twenty_dispatches_and_a_waiting_approval_take_two_runs_and_block_no_merge(waiting: Stage) -> None:
    old = waiting.last_run()
    runs = [dispatch(waiting) for _ in range(20)]
    waiting.scheduler.settle()
    ran = "failure"  # exit code 5: the plan that waits is withheld
    assert [run.conclusion for run in runs] == [ran, *["cancelled"] * 18, ran]
    assert old.jobs["approval"].result == "waiting"
    assert [run.jobs["routine"].result for run in (runs[0], runs[-1])] == [ran, ran]
    assert waiting.holds() == {}


def test_merges_are_not_cancelled_by_dispatches(stage: Stage) -> None:
    pushes = []
    for number in range(3):
        sha = stage.commit(ALL + "#" * number)
        dispatch(stage)
        run = stage.trigger("push", stage.push_payload(sha), sha, "refs/heads/main", jobs=APPLYING)
        assert run is not None
        pushes.append(run)
        dispatch(stage)
    stage.scheduler.settle()
    assert [run.jobs["merged"].result for run in pushes] == ["failure", "failure", "success"], (
        "each ran; only the last one has the current spec"
    )
    assert pushes[-1].jobs["approval"].result == "waiting"


def test_starts_by_hand_that_apply_the_whole_spec_hold_one_place_with_the_dispatches(stage: Stage) -> None:
    runs, sha, given = [dispatch(stage)], stage.last_push, {"inputs": {"mode": "apply"}}
    for _ in range(3):
        run = stage.trigger("workflow_dispatch", given, sha, "refs/heads/main")
        assert run is not None
        runs.append(run)
    stage.scheduler.settle()
    assert [run.conclusion for run in runs] == ["success", "cancelled", "cancelled", "success"]
