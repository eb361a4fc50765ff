"""Requests for some names -> their replicas reconciled, and one result for each name.

    leases     taken for all names in one pass; a name that another invocation works on is left to its message
    plan       by_name.py; reads of these names only
    reserve    deletes (and updates, if the spec limits those of events) get a place in a window, or wait
    apply      the checks and writes of every apply, and its reads after the writes
    release    places of deletes that certainly did not happen; then the leases

Without the table, creates and updates go on: each write is checked right before it. Names that were written
are read once more later, since a concurrent invocation may have written an older value. Deletes wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlan, NamePlanner
from ssm_reconcile.errors import NothingPlanned, StoreError
from ssm_reconcile.event.leases import Leases
from ssm_reconcile.event.requests import (
    Applied,
    NameRequest,
    NameResult,
    Retry,
    RetryCause,
    results_of,
    stale_names,
)
from ssm_reconcile.event.state import State, lease_of
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.event.windows import Order, Windows
from ssm_reconcile.model import Access
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Report, Result
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Replication

UNLEASED = Retry(RetryCause.LOOK, "it was written while the table could not be reached")
IN_WORK = Retry(RetryCause.BUSY, "another invocation works on this name")


@dataclass(frozen=True, slots=True)
class NameRunResult:
    """The result of a run for some names.

    Attributes:
        results: One for each request, sorted by name.
        plan: The plan, or None if no lease was free.
        report: Its report.
        unavailable: The names of targets that could not be used, and of replications whose source could not.
        away: The places of these.
        table_error: Why the table could not be used; empty if it could.
        needs_count: Whether a delete waits for a whole run.
    """

    results: tuple[NameResult, ...]
    plan: Plan | None = None
    report: Report | None = None
    unavailable: tuple[str, ...] = ()
    away: frozenset[Access] = frozenset()
    table_error: str = ""
    needs_count: bool = False


@dataclass(frozen=True, slots=True)
class NameRun:
    """A run for some names.

    Attributes:
        planner: The replications and their open places.
        timer: The time of the invocation.
        state: The state of the stack; None without a table, as on a laptop.
        longest: The age at which a count of replicas is no longer used.
    """

    planner: NamePlanner
    timer: Timer
    state: State | None
    longest: timedelta

    def run(self, requests: Mapping[str, NameRequest], written: Mapping[str, int]) -> NameRunResult:
        """Reconcile names.

        Args:
            requests: The requests by canonical name.
            written: How many times earlier attempts wrote a name that then differed.

        Raises:
            ReconcileError: Nothing could be planned.
        """
        leases = Leases(self.state, self.timer)
        try:
            busy = self._take_leases(leases, requests)
            left = tuple(NameResult(name, retry=IN_WORK, at=requests[name].at) for name in busy)
            todo = {name: one for name, one in requests.items() if name not in busy}
            found = self._reconcile(todo, written, leases) if todo else NameRunResult(())
        finally:
            leases.release()
        results = sorted((*found.results, *left), key=lambda one: one.name)
        return replace(found, results=tuple(results), table_error=leases.error or found.table_error)

    def _take_leases(self, leases: Leases, requests: Mapping[str, NameRequest]) -> set[str]:
        """Take the leases of all names in all targets; return the names that another run works on."""
        wanted = {
            name: {
                lease_of(spec.name, target.name, name)
                for spec in self.planner.specs
                if spec.name in request.specs
                for target in spec.targets
            }
            for name, request in requests.items()
        }
        refused = leases.take(one for each in wanted.values() for one in each)
        busy = {name for name, each in wanted.items() if each & refused}
        leases.release(one for name in busy for one in wanted[name])
        return busy

    def _reconcile(
        self, requests: Mapping[str, NameRequest], written: Mapping[str, int], leases: Leases
    ) -> NameRunResult:
        try:
            with self.timer.read_until():
                planned = self.planner.plan({name: one.specs for name, one in requests.items()})
                stale = stale_names(planned, requests, self.timer.now())
        except NothingPlanned as error:
            return self._no_plan(requests, error)
        windows = None if self.state is None else Windows(self.state, self.timer, self.longest)
        plan = planned.plan if windows is None else windows.reserve(planned.plan, planned.specs)
        session = self.planner.session()
        report = reconcile.carry_out(plan, planned.specs, session, self.timer, planned.listings)
        waiting: Mapping[Order, Retry] = {}
        if windows is not None:
            windows.give_back(report.outcomes)
            waiting = windows.waiting
        applied = Applied(
            replace(planned, plan=plan),
            report,
            stopped=self.timer.is_set(),
            waiting=_by_name(planned, waiting),
            stale=stale,
        )
        results = results_of(applied, requests, written)
        if leases.error:
            results = tuple(map(_look_again, results))
        unavailable, away = find_unavailable(planned.specs, plan, report, session, stopped=applied.stopped)
        return NameRunResult(
            results,
            plan,
            report,
            unavailable,
            away,
            table_error="" if windows is None else windows.table_error,
            needs_count=any(one.cause is RetryCause.COUNT for one in waiting.values()),
        )

    def _no_plan(self, requests: Mapping[str, NameRequest], error: NothingPlanned) -> NameRunResult:
        """Return the result of a run in which no place of these names could be read."""
        retry = Retry(RetryCause.OUTAGE, error.message)
        concerned = {spec for one in requests.values() for spec in one.specs}
        names = {t.name for spec in self.planner.specs if spec.name in concerned for t in spec.targets}
        results = tuple(NameResult(name, retry=retry, at=one.at) for name, one in requests.items())
        return NameRunResult(results, unavailable=tuple(sorted(names)))


def _by_name(planned: NamePlan, waiting: Mapping[Order, Retry]) -> dict[str, Retry]:
    found: dict[str, Retry] = {}
    for change in planned.plan.changes:
        if change.order in waiting:
            names = planned.names_of(change.replication, change.target, change.name)
            found |= dict.fromkeys(names, waiting[change.order])
    return found


def _look_again(result: NameResult) -> NameResult:
    """Return the result of a name that was written without a lease as one to read once more."""
    if result.retry is None and result.count(Result.APPLIED):
        return replace(
            result, retry=Retry(RetryCause.LOOK, "it was written while the table could not be reached")
        )
    return result


def find_unavailable(
    specs: Sequence[Replication], plan: Plan, report: Report, session: Session, *, stopped: bool
) -> tuple[tuple[str, ...], frozenset[Access]]:
    """Return the targets that could not be used, and replications whose source could not; and the places.

    Args:
        specs: The replications of the plan.
        plan: The plan.
        report: The report of its apply.
        session: The session, with the open places.
        stopped: Whether the time of the invocation ended the apply.
    """
    names: set[str] = set()
    away: set[Access] = set()
    given_up = {
        (one.change.replication, one.change.target)
        for one in report.outcomes
        if one.result is Result.NOT_ATTEMPTED and not stopped
    }
    for spec in specs:
        part = next((one for one in plan.replications if one.name == spec.name), None)
        if part is None or not part.source_complete:
            names.add(f"source of {spec.name}")
            away.add(spec.source.access)
            continue
        complete = {target.name for target in part.targets if target.complete}
        for target in spec.targets:
            opened = session.places.opened.get(target.access)
            is_away = target.name not in complete or isinstance(opened, StoreError)
            if is_away or (spec.name, target.name) in given_up:
                names.add(target.name)
                away.add(target.access)
    return tuple(sorted(names)), frozenset(away)
