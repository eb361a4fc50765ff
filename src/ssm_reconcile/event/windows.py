"""Changes that count over a window: places in the table -> the plan with the changes that got one.

Deletes of events and whole runs count (`guards.max_deletes`, and `guards.max_deletes_total` of all targets),
and updates of events if the spec limits them (`guards.events.max_updates`). At the limit, the changes without
a place are withheld, one by one: which of them go does not depend on how messages were batched. Without a
recent count of the replicas, one delete for each target and window goes, and the others wait for a whole run.

With `delete.after`, a replica counts once from its mark to its delete: both have one entry, and each whole
run keeps the entries of the marks that are not due.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ssm_reconcile.change import Action, Change, Delete, Fate, Mark, Withholding
from ssm_reconcile.delete_counts import excess_of_deletes
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.event.requests import Retry, RetryCause
from ssm_reconcile.event.state import (
    MOST_ENTRIES,
    ReplicaCount,
    Reservation,
    State,
    TableUnavailableError,
    entry_of,
)
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import SAME_MOMENT
from ssm_reconcile.report import Outcome, Result
from ssm_reconcile.spec import Limits, Replication
from ssm_reconcile.system import Clock
from ssm_reconcile.wording import plural

DELETES, DELETES_TOTAL, UPDATES = "max-deletes", "max-deletes-total", "max-updates"
"""The guards that count over a window."""
ALL_TARGETS = ""
"""The target of a window that counts the changes of all targets."""
NO_TABLE = "the table cannot be reached, so deletes wait"
NO_COUNT = "a whole run has to count the replicas of the target before another delete"
UNSENT = frozenset({Result.STALE, Result.WITHHELD, Result.NOT_ATTEMPTED})

REMEDY = "apply a reviewed plan with a lift, or wait until the window is over"
RECOUNT = timedelta(minutes=15)
"""Age of a count from which a delete without a time waits for a new one if half of the count forbids it."""

Order = tuple[str, str, str]
Allows = Callable[[int, ReplicaCount | None], bool]


@dataclass(slots=True)
class Windows:
    """The places that one run takes.

    Attributes:
        state: The state of the stack.
        clock: The time.
        longest: The age at which a count of replicas is no longer used.
        is_whole_run: Whether a whole run takes the places: it has counted, and `max_updates` limits events.
        times: The times of the events, by change.
        waiting: The changes that wait, and why.
        table_error: Why the table could not be used; empty if it could.
    """

    state: State
    clock: Clock
    longest: timedelta
    is_whole_run: bool = False
    times: Mapping[Order, datetime] = field(default_factory=dict)
    waiting: dict[Order, Retry] = field(default_factory=dict)
    table_error: str = ""
    _made: list[tuple[Reservation, timedelta]] = field(default_factory=list)

    def reserve(self, plan: Plan, specs: Iterable[Replication]) -> Plan:
        """Return the plan without the changes that wait, and with those withheld that got no place."""
        for spec in specs:
            for target in spec.targets:
                for guard, counts, allows in self._guards(spec.limits):
                    pair = (spec.name, target.name)
                    changes = [one for one in plan.changes if counts(one) and _is_open(one, pair)]
                    if changes:
                        plan = self._reserve(plan, guard, pair, changes, spec.limits, allows)
            plan = self._reserve_total(plan, spec)
        return without_changes(plan, self.waiting)

    def give_back(self, outcomes: Iterable[Outcome]) -> None:
        """Free the places of changes that certainly did not happen: nothing was sent for them."""
        unsent = [one.change for one in outcomes if one.result in UNSENT and not one.sent]
        for made, window in self._made:
            entries = {_entry(one, made.guard) for one in unsent if _is_of(one, made.pair)}
            try:
                self.state.give_back(made, entries, window)
            except TableUnavailableError as failure:  # the places are free when the window is over
                self.table_error = failure.message

    def _reserve_total(self, plan: Plan, spec: Replication) -> Plan:
        """Return the plan with the deletes withheld that got no place in the window of all targets.

        The places in the windows of their targets are free again when the run ends: nothing is sent for them.
        """
        limits, pair = spec.limits, (spec.name, ALL_TARGETS)
        changes = [
            one
            for one in plan.changes
            if one.is_to_delete and _is_open(one, (spec.name, one.target)) and one.order not in self.waiting
        ]
        if not changes or not _has_total_window(spec):
            return plan

        def allows(total: int, _: ReplicaCount | None) -> bool:
            return total <= limits.of_all_targets()

        return self._reserve(plan, DELETES_TOTAL, pair, changes, limits, allows)

    def _reserve(
        self, plan: Plan, guard: str, pair: tuple[str, str], changes: Sequence[Change],
        limits: Limits, allows: Allows,
    ) -> Plan:  # fmt: skip
        try:
            made = self.state.reserve(
                guard, pair, (_entry(one, guard) for one in changes), limits.window, allows
            )
        except TableUnavailableError as failure:
            self.table_error = failure.message
            if guard != UPDATES:
                self.waiting |= {one.order: Retry(RetryCause.OUTAGE, NO_TABLE) for one in changes}
            return plan
        self._made.append((made, limits.window))
        over = [one for one in changes if _entry(one, guard) not in made.reserved]
        if guard == DELETES:
            waiting = [one for one in over if self._needs_count(one, made, limits)]
            self.waiting |= {one.order: Retry(RetryCause.COUNT, NO_COUNT) for one in waiting}
            over = [one for one in over if one.order not in self.waiting]
        reason = _reason(guard, limits, made, over)
        return withhold_over_window(plan, guard, pair, {one.order for one in over}, reason)

    def _guards(self, limits: Limits) -> Iterator[tuple[str, Callable[[Change], bool], Allows]]:
        """Yield each guard that counts over a window, whether a change counts, and the rule for one more."""

        def allows_delete(total: int, count: ReplicaCount | None) -> bool:
            if count is None or not self._is_counted(count):
                return total <= min(1, limits.max_deletes)
            return not excess_of_deletes(total, limits.max_deletes, count.replicas)

        yield DELETES, lambda change: change.is_to_delete, allows_delete
        most = limits.max_updates
        if most is not None and not self.is_whole_run:
            yield UPDATES, lambda change: change.action is Action.UPDATE, lambda total, _: total <= most

    def _needs_count(self, change: Change, made: Reservation, limits: Limits) -> bool:
        """Whether a new count may allow a delete: there is none, or one from before the event.

        Since that count, events may have made more replicas, and half of them is more than half of the count.
        """
        if made.total >= limits.max_deletes or self.is_whole_run:
            return False
        if made.count is None or not self._is_counted(made.count):
            return True
        at = self.times.get(change.order)
        if at is None:
            return self.clock.now() - made.count.at >= RECOUNT
        return made.count.at <= at + SAME_MOMENT  # the time of an event is in whole seconds

    def _is_counted(self, count: ReplicaCount | None) -> bool:
        return count is not None and self.clock.now() - count.at <= self.longest


def _is_of(change: Change, pair: tuple[str, str]) -> bool:
    return change.replication == pair[0] and pair[1] in (ALL_TARGETS, change.target)


def _entry(change: Change, guard: str) -> str:
    """Return the entry of a change in a window: a repeated delivery of its event has the same entry."""
    if guard == DELETES_TOTAL:
        return entry_of(change.target, _entry(change, DELETES))
    expected, effect = change.expected, change.effect
    if isinstance(effect, Mark) or (isinstance(effect, Delete) and effect.expires is not None):
        return entry_of_mark(change.name)
    if change.action is Action.DELETE:
        return entry_of(change.name, expected.version, expected.modified)
    return entry_of(change.name, expected.source_version, expected.source_modified)


def _has_total_window(spec: Replication) -> bool:
    """Whether the windows of the targets together allow more than the limit on all targets.

    Otherwise they are the limit, and no run writes an item that all invocations share. A change of the spec
    that makes it true starts the window of all targets empty: the deletes before it count for their targets.
    """
    return len(spec.targets) * spec.limits.max_deletes > spec.limits.of_all_targets()


def keep_marks_of_all(state: State, plan: Plan, spec: Replication) -> None:
    """Keep the entries of marks that are not due in the window of all targets, if there is one.

    Args:
        state: The state of the stack.
        plan: A plan for everything.
        spec: The replication.

    Raises:
        TableUnavailableError: The table gave no answer.
    """
    if _has_total_window(spec):
        marks = [one for one in plan.others if one.is_to_delete and one.replication == spec.name]
        entries = (entry_of(one.target, entry_of_mark(one.name)) for one in marks)
        state.keep(DELETES_TOTAL, (spec.name, ALL_TARGETS), entries, spec.limits.window)


def entry_of_mark(name: str) -> str:
    """Return the entry of a replica from its mark to its deletion."""
    return entry_of("mark", name)


def _reason(guard: str, limits: Limits, made: Reservation, over: Sequence[Change]) -> Withholding:
    """Return the reason for changes that got no place."""
    every = {DELETES: limits.max_deletes, DELETES_TOTAL: limits.of_all_targets()}
    deletes = "deletes and marks" if any(isinstance(one.effect, Mark) for one in over) else "deletes"
    nouns = {DELETES: deletes, DELETES_TOTAL: f"{deletes} in all targets"}
    limit = every.get(guard, limits.max_updates or 0)
    count, noun = made.total + len(over), nouns.get(guard, "updates by events")
    replicas = made.count.replicas if guard == DELETES and made.count is not None else None
    hours = int(limits.window.total_seconds() // 3600)
    excess = excess_of_deletes(count, limit, replicas) or f"more than the {MOST_ENTRIES:,} of one window"
    why = f"{count} {noun} in {hours} hours are {excess}"
    return Withholding(guard, why, limit, count, REMEDY)


def _is_open(change: Change, pair: tuple[str, str]) -> bool:
    return (change.replication, change.target) == pair and change.fate is Fate.APPLY


def withhold_over_window(
    plan: Plan, guard: str, pair: tuple[str, str], held: Collection[tuple[str, str, str]], reason: Withholding
) -> Plan:
    """Return the plan with changes withheld for which a window had no place left.

    The guards of one plan cannot count what other invocations did, so the event path counts in its table.

    Args:
        plan: The plan.
        guard: The name of the guard.
        pair: The names of the replication and the target; an empty target stands for all.
        held: The changes by their `order`.
        reason: The reason for each of them.
    """
    if not held:
        return plan
    about = tuple(Address(target) for target in sorted({target for _, target, _ in held}))
    place = pair[1] or plural(len(about), "target")
    message = f"{plural(len(held), 'change')} in {place} withheld: {reason.why}"
    finding = Finding(Severity.WARNING, guard, message, pair[1] or pair[0], about)
    parts = tuple(
        replace(
            part,
            changes=tuple(
                replace(one, withheld=(*one.withheld, reason)) if one.order in held else one
                for one in part.changes
            ),
            findings=(*part.findings, finding),
        )
        if part.name == pair[0]
        else part
        for part in plan.replications
    )
    return replace(plan, replications=parts)


def without_changes(plan: Plan, orders: Collection[Order]) -> Plan:
    """Return the plan without some changes, given by their `order`."""
    if not orders:
        return plan
    parts = tuple(
        replace(part, changes=tuple(one for one in part.changes if one.order not in orders))
        for part in plan.replications
    )
    return replace(plan, replications=parts)
