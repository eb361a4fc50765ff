"""A scheduled run: one plan for everything, applied here if time suffices, else sent to the queue in parts.

The queue gets names only. Whoever receives them reads the current state, so a part may arrive twice, late,
or after the next full run. Guards judge the whole plan, and withheld changes are not sent. Deletes are not
sent either: they follow all writes, so they wait for the full run that finds the writes done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.change import Change, Fate
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import UNMET, Plan
from ssm_reconcile.report import Report, Result

SendNames: TypeAlias = Callable[[Sequence[str]], int]
"""Sends names to the queue; returns the number of messages."""
SLACK = 1.5
"""Factor for the time of an apply above its budget: throttling, retries, slow responses."""


@dataclass(frozen=True, slots=True)
class FullRunResult:
    """The result of a full run.

    Attributes:
        report: The report of the apply; None when everything was sent to the queue.
        sent: The source names that were sent to the queue.
        messages: The number of messages that hold them.
        deferred: The number of deletes that wait for the next full run.
        remaining: The number of addresses that do not hold what the spec asks for, and for which no
            message was sent.
    """

    plan: Plan
    report: Report | None
    sent: tuple[str, ...] = ()
    messages: int = 0
    deferred: int = 0
    remaining: int = 0

    def count(self, result: Result) -> int:
        """Return the number of changes with that result in this invocation."""
        if self.report is None:
            withheld = sum(change.fate is Fate.WITHHELD for change in self.plan.changes)
            return withheld if result is Result.WITHHELD else 0
        return self.report.summary[result.value]


def run_all(planner: NamePlanner, timer: Timer, send: SendNames | None) -> FullRunResult:
    """Plan everything, then apply it or send it to the queue.

    Args:
        planner: The replications and their opened places.
        timer: The time of the invocation.
        send: Sends names to the queue; None without a queue, then everything is applied here.

    Raises:
        NothingPlanned: No source, or no target, could be listed.
        ReconcileError: The names could not be sent.
    """
    session = replace(planner.session(), progress=timer.check_listing)
    plan = reconcile.make_plan(planner.specs, session)
    seconds = plan.budget.seconds if plan.budget is not None else 0.0
    if send is not None and seconds * SLACK > timer.left():
        to_apply = [change for change in plan.changes if change.fate is Fate.APPLY]
        unmet = sum(other.counted in UNMET for other in plan.others)
        return _sent(plan, None, to_apply, send, unmet + len(plan.changes) - len(to_apply))
    session = replace(session, progress=planner.progress)
    report = reconcile.carry_out(plan, planner.specs, session, timer)
    left = [one.change for one in report.outcomes if one.result is Result.NOT_ATTEMPTED]
    remaining = {(one.replication, one.target, one.name) for one in report.remaining}
    if send is not None:
        remaining -= {change.order for change in left}
    return _sent(plan, report, left, send, len(remaining))


def _sent(
    plan: Plan, report: Report | None, changes: Sequence[Change], send: SendNames | None, remaining: int
) -> FullRunResult:
    """Send the source names of the changes that write, each once, and return the result."""
    written = {canonical(one.desired.source.name) for one in changes if one.desired is not None}
    names = tuple(sorted(written)) if send is not None else ()
    return FullRunResult(
        plan=plan,
        report=report,
        sent=names,
        messages=send(names) if send is not None and names else 0,
        deferred=sum(change.desired is None for change in changes),
        remaining=remaining,
    )
