"""The schedule of runs itself: needs, concurrency groups, approvals, attempts, and a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.github.content import Hub
from tests.workflows.concurrency import LONGEST_QUEUE, ConcurrencyGroups
from tests.workflows.expressions import Evaluation
from tests.workflows.runner import Job
from tests.workflows.schedule import Scheduler, StartedRun, event_fits

ALL = {"group": "apply", "cancel-in-progress": False, "queue": "max"}


class NamedJob(Job):
    """A job that writes down its name, and ends with the conclusion that its file names."""

    done: list[str]

    def run(self) -> None:
        self.done.append(self.name)
        self.result = self.spec.get("ends", "success")
        self.outputs = {"value": str(self.matrix.get("pull", ""))}


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(Hub())


class Starter:
    """Starts runs of one workflow, and keeps the names of the executed jobs."""

    def __init__(self, scheduler: Scheduler, file: Path) -> None:
        self.scheduler, self.file, self.done = scheduler, file, list[str]()

    def __call__(self, number: int, event: str = "push") -> StartedRun:
        github = {
            "event": {}, "event_name": event, "run_id": str(number), "run_attempt": 1, "ref_name": "main",
            "triggering_actor": "alice", "token": "",
        }  # fmt: skip
        self.scheduler.hub.add_run(str(number), "apply.yml", event, "1" * 40)
        run = StartedRun(str(number), self.file, github, self._job)
        run.add_jobs()
        self.scheduler.add(run)
        return run

    def _job(self, run: StartedRun, name: str, spec: Mapping[str, Any]) -> Job:
        job = NamedJob(name, spec, run.github, {}, self.file.parent, {}, {}, {})
        job.done = self.done
        return job


@pytest.fixture
def workflow(scheduler: Scheduler, tmp_path: Path) -> Any:
    def write(text: str) -> Starter:
        file = tmp_path / "apply.yml"
        file.write_text(text)
        return Starter(scheduler, file)

    return write


def states(run: StartedRun) -> dict[str, str]:
    return {name: job.result for name, job in run.jobs.items()}


def test_by_default_the_newest_pending_member_replaces_the_older() -> None:
    groups, members = ConcurrencyGroups(), [object() for _ in range(4)]
    cancelled = [groups.enter(name, one, {}) for name, one in zip("aAaA", members, strict=True)]
    assert cancelled == [[], [], [members[1]], [members[2]]]
    groups.leave(members[0])
    assert groups.is_active(members[3])


def test_a_full_queue_cancels_the_member_that_arrives() -> None:
    groups, members = ConcurrencyGroups(), [object() for _ in range(LONGEST_QUEUE + 2)]
    cancelled = [groups.enter("apply", one, ALL) for one in members]
    assert [one for one in cancelled if one] == [[members[-1]]]
    groups.leave(members[0])
    assert groups.is_active(members[1])


def test_a_queue_cannot_be_combined_with_cancellation() -> None:
    with pytest.raises(AssertionError, match="refused by GitHub"):
        ConcurrencyGroups().enter("apply", object(), ALL | {"cancel-in-progress": True})


GATED = """\
on: push
jobs:
  first: { concurrency: { group: apply, queue: max } }
  gated: { needs: first, environment: gate, concurrency: { group: apply, queue: max } }
"""


def test_a_job_that_waits_for_an_approval_keeps_its_group(scheduler: Scheduler, workflow: Any) -> None:
    scheduler.hub.environment("gate").reviewers.append("bob")
    start = workflow(GATED)
    one, two = start(1), start(2)
    scheduler.settle()
    assert states(one) == {"first": "success", "gated": "waiting"}
    assert states(two) == {"first": "success", "gated": "pending"}, "the second waits behind the approval"
    three = start(3)
    scheduler.settle()
    assert states(three)["first"] == "pending"
    assert scheduler.hub.runs["1"]["status"] == "waiting"
    scheduler.reject(one, "gate", "bob")
    scheduler.settle()
    assert scheduler.hub.runs["1"]["conclusion"] == "failure"
    assert states(two)["gated"] == "waiting"


def test_an_environment_without_reviewers_lets_a_job_pass_without_an_approval(
    scheduler: Scheduler, workflow: Any
) -> None:
    run = workflow(GATED)(1)
    scheduler.settle()
    assert run.conclusion == "success"
    assert scheduler.hub.approvals == {}
    assert "gate" in scheduler.hub.environments, "a reference creates the environment"


def test_the_removal_of_the_rule_ends_a_job_that_waits(scheduler: Scheduler, workflow: Any) -> None:
    scheduler.hub.environment("gate").reviewers.append("bob")
    run = workflow(GATED)(1)
    scheduler.settle()
    scheduler.hub.environment("gate").reviewers.clear()
    scheduler.settle()
    assert states(run) == {"first": "success", "gated": "failure"}


def test_a_branch_that_is_not_allowed_gets_no_job(scheduler: Scheduler, workflow: Any) -> None:
    scheduler.hub.environment("gate").branches = ["release"]
    run = workflow(GATED)(1)
    scheduler.settle()
    assert states(run)["gated"] == "failure"


DISPATCH = """\
on: [push, repository_dispatch]
concurrency: { group: "${{ github.event_name == 'repository_dispatch' && 'dispatch' || github.run_id }}" }
jobs: { apply: { concurrency: { group: apply, queue: max } } }
"""


def test_a_group_of_the_workflow_debounces_dispatches(scheduler: Scheduler, workflow: Any) -> None:
    start = workflow(DISPATCH)
    dispatches = [start(number, "repository_dispatch") for number in range(1, 21)]
    push = start(21)
    scheduler.settle()
    assert [run.conclusion for run in dispatches] == ["success", *["cancelled"] * 18, "success"]
    assert push.conclusion == "success"
    assert len(start.done) == 3


MATRIX = """\
on: push
jobs:
  each:
    strategy: { matrix: { pull: "${{ fromJSON('[7, 8]') }}" } }
  broken: { ends: failure }
  skipped: { needs: broken }
  check: { needs: [each, broken, skipped], if: "${{ always() && needs.broken.result == 'failure' }}" }
"""


def test_a_matrix_is_a_job_for_each_value_and_a_failed_need_skips(
    scheduler: Scheduler, workflow: Any
) -> None:
    run = workflow(MATRIX)(1)
    scheduler.settle()
    assert states(run) == {
        "broken": "failure", "skipped": "skipped", "check": "success", "each (7)": "success",
        "each (8)": "success",
    }  # fmt: skip
    assert run.jobs["check"].needs["each"] == {"result": "success", "outputs": {"value": "8"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("contains('main,dev', 'DEV')", True),
        ("startsWith('refs/heads/main', 'refs/heads/')", True),
        ("format('{0}-{1}', 'a', 7)", "a-7"),
        ("contains(fromJSON('[1, 2]'), 2)", True),
    ],
)
def test_functions_of_expressions(text: str, value: object) -> None:
    assert Evaluation(text, {}, {}).value() == value


def test_a_workflow_starts_for_its_events_and_paths_only(tmp_path: Path) -> None:
    file = tmp_path / "plan.yml"
    file.write_text("on: { push: { paths: [replication.yaml] }, merge_group: }\n")
    assert event_fits(file, "push", ["replication.yaml"])
    assert event_fits(file, "merge_group")
    assert not event_fits(file, "push", ["README.md"])
    assert not event_fits(file, "schedule")
