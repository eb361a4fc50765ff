"""A whole run in slices: each slice plans everything and applies what its time allows.

A state machine (deploy/template.yaml) invokes slices until one reports that nothing was left. A slice ends as
an apply ends on SIGTERM: what runs is finished, nothing new starts. The next slice plans again, so it takes
nothing over. One execution at a time has the lease of the whole run.

The changes of a plan are applied in groups. The leases of a group are taken before it and released after it,
so an event waits for its name for seconds only. Writes come before deletes. Guards judge the whole plan, and
deletes also count over the window of the stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.change import Action, Change
from ssm_reconcile.errors import Finding
from ssm_reconcile.event.leases import Leases
from ssm_reconcile.event.name_run import find_unavailable
from ssm_reconcile.event.state import State, TableUnavailableError, lease_of
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.event.windows import DELETES, Windows, entry_of_mark, keep_marks_of_all
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import UNMET, Plan
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.session import Session
from ssm_reconcile.system import Phase, Progress

GROUP = 100
"""Changes of each target in one group: half a minute at three writes a second."""
READ_SHARE = 0.25
"""Share of the time of a slice that remains for its writes after its listings."""
LEASE_AFTER = 300.0
"""Seconds for which the lease of the whole run outlives a slice, until the next slice starts."""


@dataclass(slots=True)
class SliceResult:
    """The result of one slice.

    Attributes:
        plan: The plan for everything.
        findings: The findings of the plan and of its apply.
        counts: The number of changes by result; withheld ones included.
        remaining: The number of addresses that do not hold what the spec asks for.
        unapplied: The outcomes of changes that were attempted, or withheld, and not applied.
        unavailable: The names of targets and sources that could not be used.
        leased: The number of changes left to events that work on them.
        table_error: Why the table could not be used; empty if it could.
    """

    plan: Plan
    findings: dict[Finding, None] = field(default_factory=dict)
    counts: dict[Result, int] = field(default_factory=lambda: dict.fromkeys(Result, 0))
    remaining: set[tuple[str, str, str]] = field(default_factory=set)
    unapplied: list[Outcome] = field(default_factory=list)
    unavailable: tuple[str, ...] = ()
    leased: int = 0
    table_error: str = ""

    def add(self, report: Report) -> None:
        """Add the report of one group."""
        self.findings |= dict.fromkeys(report.findings)
        for outcome in report.outcomes:
            self.add_outcome(outcome)
        self.remaining |= {
            (one.replication, one.target, one.name) for one in report.remaining if one.after_write
        }

    def add_outcome(self, outcome: Outcome) -> None:
        """Add one outcome."""
        self.counts[outcome.result] += 1
        if outcome.result is not Result.APPLIED:
            self.remaining.add(outcome.change.order)
            if outcome.result is not Result.NOT_ATTEMPTED:
                self.unapplied.append(outcome)


@dataclass(frozen=True, slots=True)
class FullRunSlice:
    """One slice of a whole run.

    Attributes:
        planner: The replications and their open places.
        timer: The time of the invocation.
        state: The state of the stack; None without a table.
        longest: The age at which a count of replicas is no longer used.
        execution: The execution of the state machine; empty without one.
    """

    planner: NamePlanner
    timer: Timer
    state: State | None
    longest: timedelta
    execution: str = ""

    def run(self) -> SliceResult:
        """Plan everything, and apply as much as the time allows.

        Raises:
            NothingPlanned: No source, or no target, could be listed.
        """
        session = self.planner.session()
        with self.timer.read_until(READ_SHARE):
            plan = reconcile.make_plan(self.planner.specs, replace(session, progress=self._check_listing))
        result = SliceResult(plan, dict.fromkeys(plan.all_findings))
        unmet = (one for one in plan.others if one.counted in UNMET)
        result.remaining |= {(one.replication, one.target, one.name) for one in unmet}
        self._write_counts(result)
        withheld = [change for change in plan.changes if change.to_apply is None]
        for change in withheld:
            why = "; ".join(one.why for one in change.withheld)
            result.add_outcome(Outcome(change, Result.WITHHELD, why))
        lost = set(find_unavailable(self.planner.specs, plan, None, session, stopped=False)[0])
        for group in _groups(plan):
            todo = [] if self.timer.is_set() else [one for one in group if one.target not in lost]
            for change in group if not todo else [one for one in group if one.target in lost]:
                result.add_outcome(Outcome(change, Result.NOT_ATTEMPTED))
            if todo:
                lost |= self._apply(todo, plan, session, result)
        result.unavailable = tuple(sorted({*result.unavailable, *lost}))
        return result

    def _check_listing(self, progress: Progress) -> None:
        """End a listing whose time is over; `observe` turns the error into an incomplete place."""
        if progress.phase in {Phase.LISTING, Phase.TAGS}:
            self.timer.check()

    def _apply(self, group: Sequence[Change], plan: Plan, session: Session, result: SliceResult) -> set[str]:
        """Apply one group, and return the names of the targets that could not be used."""
        leases = Leases(self.state, self.timer)
        if self.execution:  # the retry of a slice that was killed takes its leases over
            leases.token = self.execution
        try:
            wanted = {change.order: _lease(change) for change in group}
            busy = leases.take(wanted.values())
            mine = [change for change in group if wanted[change.order] not in busy]
            leased = [change for change in group if wanted[change.order] in busy]
            result.leased += len(leased)
            result.remaining |= {change.order for change in leased}
            windows = self._windows()
            reduced = _only(plan, mine)
            if windows is not None:
                reduced = windows.reserve(reduced, self.planner.specs)
            report = reconcile.carry_out(reduced, self.planner.specs, session, self.timer)
            result.add(report)
            if windows is not None:
                windows.give_back(report.outcomes)
                for order in windows.waiting:
                    change = next(one for one in mine if one.order == order)
                    result.add_outcome(Outcome(change, Result.NOT_ATTEMPTED))
                result.table_error = result.table_error or windows.table_error
        finally:
            leases.release()
        result.table_error = result.table_error or leases.error
        stopped = self.timer.is_set()
        return set(find_unavailable(self.planner.specs, reduced, report, session, stopped=stopped)[0])

    def _windows(self) -> Windows | None:
        if self.state is None:
            return None
        return Windows(self.state, self.timer, self.longest, is_whole_run=True)

    def _write_counts(self, result: SliceResult) -> None:
        """Keep the number of replicas of each complete target, and its marks, for the guard on events."""
        if self.state is None:
            return
        counts = {
            (part.name, target.name): target.replicas
            for part in result.plan.replications
            for target in part.targets
            if target.complete and part.source_complete
        }
        try:
            self.state.write_counts(counts)
            for spec in self.planner.specs:
                for target in spec.targets:
                    pair = (spec.name, target.name)
                    marked = (
                        entry_of_mark(one.name)
                        for one in result.plan.others
                        if one.is_to_delete and (one.replication, one.target) == pair
                    )
                    self.state.keep(DELETES, pair, marked, spec.limits.window)
                keep_marks_of_all(self.state, result.plan, spec)
        except TableUnavailableError as failure:
            result.table_error = failure.message


def _lease(change: Change) -> str:
    return lease_of(change.replication, change.target, canonical(change.name))


def _groups(plan: Plan) -> Iterator[list[Change]]:
    """Yield the changes to make, some of each target at a time; the deletes of a target come last."""
    by_target: dict[tuple[str, str], list[Change]] = {}
    for change in plan.changes:
        if change.to_apply is not None:
            by_target.setdefault((change.replication, change.target), []).append(change)
    for changes in by_target.values():
        changes.sort(key=lambda change: change.action is Action.DELETE)
    longest = max(map(len, by_target.values()), default=0)
    for start in range(0, longest, GROUP):
        yield [one for changes in by_target.values() for one in changes[start : start + GROUP]]


def _only(plan: Plan, changes: Sequence[Change]) -> Plan:
    """Return the plan with only these changes."""
    kept: Mapping[tuple[str, str, str], Change] = {change.order: change for change in changes}
    parts = tuple(
        replace(part, changes=tuple(one for one in part.changes if one.order in kept), others=())
        for part in plan.replications
    )
    return replace(plan, replications=parts)
