"""Runs of workflows -> their jobs, in the order that needs, concurrency groups and environments allow.

A run that is added executes nothing. `settle` executes jobs, one after the other, until each is finished,
waits for an approval, or waits in a concurrency group. A job that calls a reusable workflow is replaced by
the jobs of that workflow, once for each value of its matrix. The state of a job is its `result`:

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
from tests.workflows.expressions import Evaluation, evaluated, filled, holds, shown
from tests.workflows.runner import Job, parsed

FINAL = {"success", "failure", "skipped", "cancelled"}
LEVELS = ("none", "read", "write")
Make: TypeAlias = Callable[["StartedRun", str, Mapping[str, Any]], Job]


class StartupFailure(Exception):  # noqa: N818 - the word that GitHub uses
    """GitHub refuses a run."""


@dataclass(slots=True, eq=False)
class Call:
    """A call of a reusable workflow: `label` is the name of its job, `prefix` is empty without a matrix."""

    label: str
    prefix: str
    workflow: Mapping[Any, Any]
    inputs: Mapping[str, Any]
    is_admitted: bool = False
    is_cancelled: bool = False


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
        variables: The context `vars`.
    """

    id: str
    file: Path
    github: dict[str, Any]
    make: Make
    approved: set[str] = field(default_factory=set)
    before_job: Callable[[str], None] = lambda _job: None
    only: set[str] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
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
        results = {_conclusion(job) for job in self.jobs.values()}
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
        """Add the jobs of the file, or replace some of them for a new attempt.

        Raises:
            StartupFailure: A job of a called workflow has a permission that the caller does not grant.
        """
        if names is None:
            self.calls = []
        for name, spec in self.workflow["jobs"].items():
            if "uses" not in spec:
                self._add(name, spec, names)
                continue
            if names is None:
                self.calls += self._read_calls(name, spec)
            for call in self.calls:
                for inner, of_call in call.workflow["jobs"].items():
                    self._add(inner, of_call, names, call)

    def _add(
        self, name: str, spec: Mapping[str, Any], names: set[str] | None, call: Call | None = None
    ) -> None:
        if (self.only is None or name in self.only) and (names is None or name in names):
            self.add_job(name, spec, call, name).result = "queued"

    def add_job(self, name: str, spec: Mapping[str, Any], call: Call | None, base: str) -> Job:
        """Add one job; its name has the prefix of its call."""
        full = f"{call.prefix}{name}" if call else name
        job = self.make(self, full, spec)
        job.name, job.base, job.call, job.inputs = full, base, call, call.inputs if call else None
        self.jobs[full] = job
        return job

    def _read_calls(self, name: str, spec: Mapping[str, Any]) -> list[Call]:
        """Return the calls of one job: one for each value of a matrix with one dimension."""
        file = self.file.parent / spec["uses"].partition("@")[0].rpartition("/")[2]
        called = parsed(file)
        for inner, of_call in called["jobs"].items():
            for permission, level in of_call["permissions"].items():
                granted = spec["permissions"].get(permission, "none")
                if LEVELS.index(level) > LEVELS.index(granted):
                    message = f"The nested job '{inner}' is requesting '{permission}: {level}', but is only"
                    raise StartupFailure(f"{message} allowed '{permission}: {granted}'.")
        ((key, values),) = (spec.get("strategy") or {}).get("matrix", {"": [None]}).items()
        found = []
        for value in values:
            contexts = {"github": self.github, "vars": self.variables, "matrix": {key: value}}
            label = name if value is None else f"{name} ({value})"
            prefix = "" if value is None else f"{value}: "
            found.append(Call(label, prefix, called, _call_inputs(called, spec["with"], contexts)))
        return found

    def needed(self, job: Job) -> dict[str, list[Job]]:
        """Return the jobs that a job needs, by the name in its file; several for a matrix."""
        names = _as_list(job.spec.get("needs", []))
        same = [one for one in self.jobs.values() if one.call is job.call]
        return {name: [one for one in same if one.base == name] for name in names}


def _call_inputs(
    called: Mapping[Any, Any], given: Mapping[str, Any], contexts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the inputs of a call with their types; refuse one that is not declared, or of another type."""
    kinds = {"string": str, "boolean": bool, "number": int}
    declared = called[True]["workflow_call"]["inputs"]  # `on` is true in YAML 1.1
    values = {name: evaluated(text, contexts) for name, text in given.items()}
    assert values.keys() <= declared.keys(), f"no such inputs: {values.keys() - declared.keys()}"
    assert not (missing := {n for n, one in declared.items() if one.get("required")} - values.keys()), missing
    found = {name: values.get(name, one.get("default")) for name, one in declared.items()}
    found = {name: "" if value is None else value for name, value in found.items()}
    for name, value in found.items():
        assert isinstance(value, kinds[declared[name]["type"]]), f"{name}: {value!r}"
    return found


def _conclusion(job: Job) -> str:
    """Return the result of a job for its run and for the jobs that need it."""
    contexts = {k: v for k, v in job.contexts({}).items() if k not in {"steps", "env", "runner"}}
    is_ignored = filled(job.spec.get("continue-on-error"), contexts, {}) == "true"
    return "success" if is_ignored and job.result == "failure" else job.result


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
        for call in run.calls:
            rules = call.workflow.get("concurrency")
            call.is_admitted = rules is None
            if rules is not None:
                self._enter(rules, call, {"github": run.github, "inputs": call.inputs})
        self._show(run)

    def settle(self) -> None:
        """Execute all jobs that can be executed."""
        moved = True
        while moved:
            jobs = [(run, job) for run in self.runs for job in run.jobs.values()]
            moved = sum(self._advance(run, job) for run, job in jobs) > 0

    def cancel(self, member: object) -> None:
        """Cancel a run, a call or a job that is not finished."""
        if isinstance(member, StartedRun | Call):
            member.is_cancelled = True
        for run in self.runs:
            for job in list(run.jobs.values()):
                if member in (run, job.call, job) and job.result not in FINAL:
                    self._end(run, job, "cancelled")

    # One job

    def _advance(self, run: StartedRun, job: Job) -> bool:
        """Move a job to its next state; return whether anything happened."""
        run.is_admitted = run.is_admitted or self.groups.is_active(run)
        call: Call | None = job.call
        if call is not None:
            call.is_admitted = call.is_admitted or self.groups.is_active(call)
        if not run.is_admitted or run.is_cancelled or (call and (not call.is_admitted or call.is_cancelled)):
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
        for value in values:
            label = f"{job.base} ({next(iter(value.values())) if isinstance(value, dict) else value})"
            one = run.add_job(label, job.spec, job.call, job.base)
            one.matrix, one.result = {name: value}, "queued"
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
        if all(one.result in FINAL for one in run.jobs.values() if one.call is job.call):
            self.groups.leave(job.call)
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
                "name": (f"{job.call.label} / " if job.call else "") + job.spec.get("name", job.name),
                "run_attempt": run.github["run_attempt"],
                "status": "completed" if job.result in FINAL else job.result,
                "conclusion": job.result if job.result in FINAL else None,
            }
            for job in run.jobs.values()
        ]  # fmt: skip


def _need(jobs: list[Job]) -> dict[str, Any]:
    """Return the context of a needed job; of a matrix, the worst result and the outputs of the last job."""
    results = [_conclusion(job) for job in jobs]
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


def with_needs(jobs: Mapping[str, Any], names: set[str]) -> set[str]:
    """Return the names of jobs and of the jobs that they need."""
    needed = {one for name in names for one in _as_list(jobs[name].get("needs", []))}
    return names if needed <= names else with_needs(jobs, names | needed)


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
