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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlan, NamePlanner, SourceVersion
from ssm_reconcile.errors import NothingPlanned, StoreError
from ssm_reconcile.event.leases import Leases
from ssm_reconcile.event.requests import (
    MOST_WRITES,
    READ_LAG,
    Applied,
    NameRequest,
    NameResult,
    Retry,
    RetryCause,
    results_of,
    retry_after,
    stale_names,
    write_key,
)
from ssm_reconcile.event.state import State, lease_of
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.event.windows import Order, Windows, without_changes
from ssm_reconcile.model import Access, Listing
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import SAME_MOMENT
from ssm_reconcile.report import Report, Result
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Replication
from ssm_reconcile.stores.base import Reader

LAGS = Retry(RetryCause.STALE, "the description of the source is older than its value")
UNLEASED = Retry(RetryCause.LOOK, "it was written, and not read again under a lease")
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
        done: The names whose replicas are all made, each with the data for its leases.
    """

    results: tuple[NameResult, ...]
    plan: Plan | None = None
    report: Report | None = None
    unavailable: tuple[str, ...] = ()
    away: frozenset[Access] = frozenset()
    table_error: str = ""
    needs_count: bool = False
    done: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NameRun:
    """A run for some names.

    Attributes:
        planner: The replications and their open places.
        timer: The time of the invocation.
        state: The state of the stack; None without a table, as on a laptop.
        longest: The age at which a count of replicas is no longer used.
        spec_digest: A digest of the specs, which decide what replicas are made.
    """

    planner: NamePlanner
    timer: Timer
    state: State | None
    longest: timedelta
    spec_digest: str = ""

    def run(self, requests: Mapping[str, NameRequest], written: Mapping[str, int]) -> NameRunResult:
        """Reconcile names.

        Args:
            requests: The requests by canonical name.
            written: How many times earlier attempts wrote a replica that then differed, by `write_key`.

        Raises:
            ReconcileError: Nothing could be planned.
        """
        leases = Leases(self.state, self.timer)
        wanted = self._leases_of(requests)
        data: dict[str, Any] = {}
        try:
            busy = _take(leases, wanted)
            left = tuple(NameResult(name, retry=IN_WORK, at=requests[name].at) for name in busy)
            todo = {name: one for name, one in requests.items() if name not in busy}
            known = self._known(todo, wanted, leases)
            found = self._reconcile(todo, written, leases, known) if todo else NameRunResult(())
            data = {one: found.done[name] for name in found.done for one in wanted[name]}
        finally:
            leases.release(data=data)
        results = sorted((*found.results, *left), key=lambda one: one.name)
        return replace(found, results=tuple(results), table_error=leases.error or found.table_error)

    def _leases_of(self, requests: Mapping[str, NameRequest]) -> dict[str, set[str]]:
        """Return the leases of each name: one for each target."""
        return {
            name: {
                lease_of(spec.name, target.name, self.planner.address_of(spec, target, name))
                for spec in self.planner.specs
                if spec.name in request.specs
                for target in spec.targets
            }
            for name, request in requests.items()
        }

    def _known(
        self, requests: Mapping[str, NameRequest], wanted: Mapping[str, set[str]], leases: Leases
    ) -> dict[str, SourceVersion]:
        """Return the source versions of which the last holders of all leases of a name made all replicas.

        Only for events whose changes such a version shows: a change of tags, for example, leaves it as it is.
        """
        found: dict[str, SourceVersion] = {}
        for name, request in requests.items():
            left = [leases.held.get(one) for one in wanted[name]]
            versions = {_version_of(one, name, self.spec_digest) for one in left}
            version = versions.pop() if len(versions) == 1 else None
            if version is None or not request.is_visible or request.at is None:
                continue
            if version.modified >= request.at - SAME_MOMENT:  # else the event is of a later change
                found[name] = version
        return found

    def _reconcile(
        self,
        requests: Mapping[str, NameRequest],
        written: Mapping[str, int],
        leases: Leases,
        known: Mapping[str, SourceVersion],
    ) -> NameRunResult:
        try:
            with self.timer.read_until():
                planned = self.planner.plan({name: one.specs for name, one in requests.items()}, known)
                stale = stale_names(planned, requests, self.timer.now())
        except NothingPlanned as error:
            return self._no_plan(requests, error)
        windows = None
        if self.state is not None:
            times = _times(planned, requests)
            windows = Windows(self.state, self.timer, self.longest, times=times)
        plan = planned.plan if windows is None else windows.reserve(planned.plan, planned.specs)
        barred = {one.order for one in plan.changes if written.get(write_key(one.order), 0) >= MOST_WRITES}
        plan = without_changes(plan, barred)
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
            barred=frozenset(barred),
        )
        results = results_of(applied, requests, written)
        results = self._confirmed(planned, requests, results)
        if leases.error or applied.stopped:  # the end of the time also ends the reads after the writes
            results = tuple(map(_look_again, results))
        unavailable, away = find_unavailable(planned.specs, plan, report, session, stopped=applied.stopped)
        return NameRunResult(
            results,
            plan,
            report,
            unavailable,
            away,
            table_error="" if windows is None else windows.table_error,
            done=self._done(planned, results),
            needs_count=any(one.cause is RetryCause.COUNT for one in waiting.values()),
        )

    def _confirmed(
        self, planned: NamePlan, requests: Mapping[str, NameRequest], results: Iterable[NameResult]
    ) -> tuple[NameResult, ...]:
        """Return the results, with a retry for names whose description may be older than their event.

        The time of an event is in whole seconds. For a change right after another one, a description that
        lags looks new enough. Where no value was read, GetParameters reads the version.
        """
        suspects = {
            result.name: version
            for result in results
            if result.status == "nothing to do"
            and (at := requests[result.name].at) is not None
            and requests[result.name].is_visible
            and abs(self.timer.now() - at) <= READ_LAG
            for version in [_described(planned, result.name)]
            if version is not None and abs(version.modified - at) <= SAME_MOMENT
        }
        retries: dict[str, Retry] = {}
        for spec in self.planner.specs if suspects else ():
            names = sorted(name for name in suspects if spec.name in requests[name].specs)
            source = self.planner.places.opened.get(spec.source.access)
            if not names or source is None or isinstance(source, StoreError):
                continue
            retries |= _confirm_versions(source, {name: suspects[name] for name in names})
        return tuple(replace(one, retry=retries.get(one.name, one.retry)) for one in results)

    def _done(self, planned: NamePlan, results: Iterable[NameResult]) -> dict[str, dict[str, Any]]:
        """Return for each name whose replicas are all made the data for its leases: the source version."""
        found: dict[str, dict[str, Any]] = {}
        for result in results:
            version = planned.unchanged.get(result.name) if result.retry is None else None
            if version is None and result.status in {"applied", "nothing to do"}:
                version = _source_version(planned, result.name)
            if version is not None:
                modified = version.modified.timestamp()
                found[result.name] = {
                    "name": result.name, "version": version.version, "modified": modified,
                    "spec": self.spec_digest,
                }  # fmt: skip
        return found

    def _no_plan(self, requests: Mapping[str, NameRequest], error: NothingPlanned) -> NameRunResult:
        """Return the result of a run in which no place of these names could be read."""
        retry = Retry(RetryCause.OUTAGE, error.message)
        concerned = {spec for one in requests.values() for spec in one.specs}
        names = {t.name for spec in self.planner.specs if spec.name in concerned for t in spec.targets}
        results = tuple(NameResult(name, retry=retry, at=one.at) for name, one in requests.items())
        return NameRunResult(results, unavailable=tuple(sorted(names)))


def _take(leases: Leases, wanted: Mapping[str, set[str]]) -> set[str]:
    """Take the leases of all names in one pass; return the names that another run works on."""
    refused = leases.take(one for each in wanted.values() for one in each)
    busy = {name for name, each in wanted.items() if each & refused}
    leases.release(one for name in busy for one in wanted[name])
    return busy


def _version_of(data: Any, name: str, spec_digest: str) -> SourceVersion | None:
    """Return the source version in the data of a lease; None if it is of another name or spec."""
    match data:
        case {"name": found, "spec": spec, "version": int(version), "modified": int() | float() as modified}:
            if (found, spec) == (name, spec_digest):
                return SourceVersion(version, datetime.fromtimestamp(modified, UTC))
        case _:
            pass
    return None


def _described(planned: NamePlan, name: str) -> SourceVersion | None:
    """Return the version of a source parameter as its description has it; None if it does not exist."""
    return planned.unchanged.get(name) or _source_version(planned, name)


def _confirm_versions(source: Reader, expected: Mapping[str, SourceVersion]) -> dict[str, Retry]:
    """Return a retry for each name of which GetParameters returns another version than expected, or fails."""
    try:
        answers = source.values(sorted(expected), decrypt=False)
    except StoreError as failure:
        return dict.fromkeys(expected, retry_after(failure.kind, str(failure)))
    retries = {name: retry_after(one.kind, str(one)) for name, one in answers.failed.items()}
    for name, version in expected.items():
        there = answers.found.get(name)
        if name not in retries and (there is None or there.version != version.version):
            retries[name] = LAGS
    return retries


def _source_version(planned: NamePlan, name: str) -> SourceVersion | None:
    """Return the version of a source parameter as the plan read it; None if it is not the same everywhere."""
    found = {
        None if there is None else SourceVersion(there.version, there.last_modified)
        for spec in planned.specs
        if isinstance(source := planned.listings.get(spec.source.access), Listing)
        for there in [source.parameters.get(name)]
    }
    return found.pop() if len(found) == 1 else None


def _times(planned: NamePlan, requests: Mapping[str, NameRequest]) -> dict[Order, datetime]:
    """Return the time of the latest event of each change, for those that have one."""
    found: dict[Order, datetime] = {}
    for change in planned.plan.changes:
        names = planned.names_of(change.replication, change.target, change.name)
        times = [at for name in names if (at := requests[name].at) is not None]
        if times:
            found[change.order] = max(times)
    return found


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
        return replace(result, retry=UNLEASED)
    return result


def find_unavailable(
    specs: Sequence[Replication], plan: Plan, report: Report | None, session: Session, *, stopped: bool
) -> tuple[tuple[str, ...], frozenset[Access]]:
    """Return the targets that could not be used, and replications whose source could not; and the places.

    Args:
        specs: The replications of the plan.
        plan: The plan.
        report: The report of its apply; None before it.
        session: The session, with the open places.
        stopped: Whether the time of the invocation ended the apply.
    """
    names: set[str] = set()
    away: set[Access] = set()
    given_up = {
        (one.change.replication, one.change.target)
        for one in (() if report is None else report.outcomes)
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
