"""Runs of workflows -> their jobs, in the order that needs, concurrency groups and environments allow.

A run that is added executes nothing. `settle` executes jobs, one after the other, until each is finished,
waits for an approval, or waits in a concurrency group. The state of a job is its `result`:

    queued       its needs are not finished        in_progress  it is executed
    pending      in a concurrency group            success, failure, skipped, cancelled
    waiting      for an approval of its environment

Documents of runs and jobs in the API follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.github.content import Hub, stamp, user
from tests.workflows.concurrency import ConcurrencyGroups
from tests.workflows.expressions import Evaluation, filled, holds, shown
from tests.workflows.runner import Job, parsed

FINAL = {"success", "failure", "skipped", "cancelled"}
Make: TypeAlias = Callable[["StartedRun", str, Mapping[str, Any]], Job]


@dataclass(slots=True, eq=False)
class StartedRun:
    """One run of a workflow, in its current attempt.

    Attributes:
        id: The id in the API.
        file: The workflow file.
        github: The context `github`, without the token of a job.
        make: Returns a job that is not executed yet.
        approved: Environments that `bob` approves as soon as a job waits for them.
        before_job: Called before each job with its name.
        only: The jobs to run; None for all.
    """

    id: str
    file: Path
    github: dict[str, Any]
    make: Make
    approved: set[str] = field(default_factory=set)
    before_job: Callable[[str], None] = lambda _job: None
    only: set[str] | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    is_admitted: bool = False
    is_cancelled: bool = False
    passed: dict[str, set[str]] = field(default_factory=dict)
    """The jobs that passed each environment, by approval or by a bypass."""

    @property
    def workflow(self) -> dict[Any, Any]:
        return parsed(self.file)

    @property
    def is_finished(self) -> bool:
        return bool(self.jobs) and all(job.result in FINAL for job in self.jobs.values())

    @property
    def conclusion(self) -> str | None:
        if not self.is_finished:
            return None
        results = {job.result for job in self.jobs.values()}
        order = ("failure", "cancelled", "success", "skipped")
        return next(result for result in order if result in results)

    @property
    def status(self) -> str:
        results = {job.result for job in self.jobs.values()}
        if self.is_finished:
            return "completed"
        if not self.is_admitted:
            return "pending"
        order = ("in_progress", "waiting", "pending", "queued")
        return next(state for state in order if state in results)

    def add_jobs(self, names: set[str] | None = None) -> None:
        """Add the jobs of the file, or replace some of them for a new attempt."""
        for name, spec in self.workflow["jobs"].items():
            if (self.only is None or name in self.only) and (names is None or name in names):
                self.jobs[name] = self.make(self, name, spec)
                self.jobs[name].result = "queued"

    def needed(self, job: Job) -> dict[str, list[Job]]:
        """Return the jobs that a job needs, by the name in its file; several for a matrix."""
        names = _as_list(job.spec.get("needs", []))
        return {name: [one for one in self.jobs.values() if one.base == name] for name in names}


@dataclass(slots=True)
class Scheduler:
    """All runs of the repository."""

    hub: Hub
    runs: list[StartedRun] = field(default_factory=list)
    groups: ConcurrencyGroups = field(default_factory=ConcurrencyGroups)

    def add(self, run: StartedRun) -> None:
        """Add a run, or a new attempt of one; it enters the concurrency group of its workflow."""
        if run not in self.runs:
            self.runs.append(run)
        rules = run.workflow.get("concurrency")
        run.is_admitted = rules is None
        if rules is not None:
            self._enter(rules, run, {"github": run.github, "inputs": run.github["event"].get("inputs") or {}})
        self._show(run)

    def settle(self) -> None:
        """Execute all jobs that can be executed."""
        moved = True
        while moved:
            jobs = [(run, job) for run in self.runs for job in run.jobs.values()]
            moved = sum(self._advance(run, job) for run, job in jobs) > 0

    def cancel(self, member: object) -> None:
        """Cancel a run or a job that is not finished."""
        for run in self.runs:
            if run is member:
                run.is_cancelled = True
            for job in run.jobs.values():
                if member in (run, job) and job.result not in FINAL:
                    self._end(run, job, "cancelled")

    # One job

    def _advance(self, run: StartedRun, job: Job) -> bool:
        """Move a job to its next state; return whether anything happened."""
        run.is_admitted = run.is_admitted or self.groups.is_active(run)
        if not run.is_admitted or run.is_cancelled:
            return False
        match job.result:
            case "queued":
                return self._start(run, job)
            case "pending":
                if not self.groups.is_active(job):
                    return False
                self._admit(run, job)
                return True
            case "waiting":
                return self._ask(run, job)
            case _:
                return False

    def _start(self, run: StartedRun, job: Job) -> bool:
        needed = run.needed(job)
        if any(one.result not in FINAL for jobs in needed.values() for one in jobs):
            return False
        job.needs = {name: _need(jobs) for name, jobs in needed.items()}
        results = {need["result"] for need in job.needs.values()}
        functions = {
            "success": lambda: results <= {"success"}, "failure": lambda: "failure" in results,
            "cancelled": lambda: run.is_cancelled, "always": lambda: True,
        }  # fmt: skip
        contexts = {k: v for k, v in job.contexts({}).items() if k not in {"steps", "env", "runner"}}
        if not holds(job.spec.get("if"), contexts, functions):
            self._end(run, job, "skipped")
            return True
        if "strategy" in job.spec and not job.matrix:
            return self._expand(run, job, contexts)
        rules = job.spec.get("concurrency")
        job.result = "pending"
        if rules is None:
            self._admit(run, job)
        else:
            self._enter(rules, job, contexts)
            self._show(run)
        return True

    def _expand(self, run: StartedRun, job: Job, contexts: Mapping[str, Any]) -> bool:
        """Replace a job with a matrix of one dimension by a job for each value."""
        ((name, values),) = job.spec["strategy"]["matrix"].items()
        if isinstance(values, str):
            values = Evaluation(values.strip().removeprefix("${{").removesuffix("}}"), contexts, {}).value()
        if not values:
            self._end(run, job, "failure")  # GitHub: the matrix vector does not contain any values
            return True
        del run.jobs[job.name]
        for number, value in enumerate(values):
            label = f"{job.base} ({next(iter(value.values())) if isinstance(value, dict) else value})"
            one = run.make(run, f"{job.base}-{number}", job.spec)
            one.name, one.base, one.matrix, one.result = label, job.base, {name: value}, "queued"
            run.jobs[label] = one
        return True

    def _admit(self, run: StartedRun, job: Job) -> None:
        """Let a job that has its place in the group into its environment."""
        name = job.environment
        if name:
            environment = self.hub.environment(name)
            if environment.branches is not None and run.github["ref_name"] not in environment.branches:
                self._end(run, job, "failure")  # the branch is not allowed to deploy
                return
            if environment.reviewers:
                job.result = "waiting"
                self._show(run)
                return
        self._execute(run, job)

    def _ask(self, run: StartedRun, job: Job) -> bool:
        """Let a waiting job go on that was approved; end it if it was rejected or has no rule any more."""
        name = job.environment
        if name in run.approved and job.name not in run.passed.get(name, set()):
            self.approve(run, name, "bob")
        if job.name in run.passed.get(name, set()):
            self._execute(run, job)
        elif not self.hub.environment(name).reviewers:
            self._end(run, job, "failure")
        else:
            return False
        return True

    def approve(self, run: StartedRun, environment: str, by: str) -> None:
        """Approve all jobs of a run that wait for an environment now."""
        rules = self.hub.environment(environment)
        assert by in rules.reviewers, f"{by} is not a reviewer of {environment}"
        starter = run.github["triggering_actor"]
        assert not (rules.prevent_self_review and by == starter), "self-reviews are prevented"
        self.hub.judge(run.id, environment, by, "approved")
        self.bypass(run, environment)

    def bypass(self, run: StartedRun, environment: str) -> None:
        """Let the waiting jobs of a run go on without an approval, as an administrator can."""
        waiting = {
            j.name for j in run.jobs.values() if j.result == "waiting" and j.environment == environment
        }
        run.passed.setdefault(environment, set()).update(waiting)

    def reject(self, run: StartedRun, environment: str, by: str) -> None:
        """Reject all jobs of a run that wait for an environment now."""
        self.hub.judge(run.id, environment, by, "rejected")
        for job in list(run.jobs.values()):
            if job.result == "waiting" and job.environment == environment:
                self._end(run, job, "failure")

    def _execute(self, run: StartedRun, job: Job) -> None:
        job.result = "in_progress"
        self._show(run)
        run.before_job(job.name)
        job.result = "success"
        try:
            job.run()
        finally:
            self._end(run, job, job.result)

    def _end(self, run: StartedRun, job: Job, result: str) -> None:
        job.result = result
        self.hub.tokens.pop(job.github["token"], None)
        self.groups.leave(job)
        if run.is_finished:
            self.groups.leave(run)
        self._show(run)

    def _enter(self, rules: Any, member: object, contexts: Mapping[str, Any]) -> None:
        given = dict(rules) if isinstance(rules, dict) else {"group": rules}
        given["cancel-in-progress"] = filled(given.get("cancel-in-progress"), contexts, {}) == "true"
        for cancelled in self.groups.enter(filled(given["group"], contexts, {}), member, given):
            self.cancel(cancelled)

    def _show(self, run: StartedRun) -> None:
        """Update the documents of a run and its jobs in the API."""
        self.hub.runs[run.id] |= {
            "status": run.status, "conclusion": run.conclusion, "run_attempt": run.github["run_attempt"],
            "triggering_actor": user(run.github["triggering_actor"]), "updated_at": stamp(),
        }  # fmt: skip
        self.hub.jobs[run.id] = [
            {
                "name": job.spec.get("name", job.name), "run_attempt": run.github["run_attempt"],
                "status": "completed" if job.result in FINAL else job.result,
                "conclusion": job.result if job.result in FINAL else None,
            }
            for job in run.jobs.values()
        ]  # fmt: skip


def _need(jobs: list[Job]) -> dict[str, Any]:
    """Return the context of a needed job; of a matrix, the worst result and the outputs of the last job."""
    results = [job.result for job in jobs]
    order = ("failure", "cancelled", "success", "skipped")
    outputs = {key: value for job in jobs for key, value in job.outputs.items()}
    return {"result": next((one for one in order if one in results), "skipped"), "outputs": outputs}


def event_fits(workflow: Path, event: str, files: list[str] | None = None) -> bool:
    """Return whether a workflow has the event, and whether its path filter matches one of the files."""
    triggers = parsed(workflow)[True]  # `on` is true in YAML 1.1
    if event not in ([triggers] if isinstance(triggers, str) else triggers):
        return False
    rules = triggers[event] if isinstance(triggers, dict) else None
    paths = rules.get("paths") if isinstance(rules, dict) else None
    return paths is None or files is None or any(file in paths for file in files)


def default_inputs(workflow: Path) -> dict[str, str]:
    """Return the default inputs of a run that is started by hand."""
    triggers = parsed(workflow)[True]
    inputs = (triggers.get("workflow_dispatch") or {}).get("inputs") or {}
    return {name: shown(one.get("default")) for name, one in inputs.items()}


def with_needs(workflow: Path, names: set[str]) -> set[str]:
    """Return jobs and the jobs that they need."""
    jobs = parsed(workflow)["jobs"]
    needed = {one for name in names for one in _as_list(jobs[name].get("needs", []))}
    return names if needed <= names else with_needs(workflow, names | needed)


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
