"""A scheduled run: everything planned at once, applied here if it fits, else handed to the queue in parts.

What is handed on are names: whoever takes them reads the world anew, so a part may come twice, late or
after a second whole run. Guards have judged the whole; what they withhold is not handed on. Deletes are
never handed on: they come after all writes, so they wait for the whole run that finds the writes done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ssm_reconcile import reconcile
from ssm_reconcile.change import Change, Fate
from ssm_reconcile.event.reconciler import EventReconciler
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import UNMET, Plan
from ssm_reconcile.report import Report, Result
from ssm_reconcile.session import Session

Send: TypeAlias = Callable[[Sequence[str]], int]
"""Puts names on the queue; returns how many messages that made."""
SLACK = 1.5
"""How much longer an apply may take than its budget says: throttling, retries, slow answers."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What became of a whole run. `report` None: all of it was handed on.

    `handed_on` are source names, in so many `messages`. `deferred` deletes wait for the next run.
    `remaining` addresses do not hold what the spec asks for, and nobody is at work on them.
    """

    plan: Plan
    report: Report | None
    handed_on: tuple[str, ...] = ()
    messages: int = 0
    deferred: int = 0
    remaining: int = 0

    def count(self, result: Result) -> int:
        """How many changes ended so, here."""
        if self.report is None:
            held = sum(change.fate is Fate.WITHHELD for change in self.plan.changes)
            return held if result is Result.WITHHELD else 0
        return self.report.summary[result.value]


def run_whole(standby: EventReconciler, timer: Timer, send: Send | None) -> Whole:
    """Plans everything, and applies or hands on. Raises as `make_plan` does."""
    session = Session(standby.places, standby.run, timer, timer.patience)
    plan = reconcile.make_plan(standby.specs, session)
    seconds = plan.budget.seconds if plan.budget is not None else 0.0
    if send is not None and seconds * SLACK > timer.left():
        return _handed_on(plan, send)
    session = replace(session, progress=standby.watch)
    report = reconcile.carry_out(plan, standby.specs, session, timer)
    left = [one.change for one in report.outcomes if one.result is Result.NOT_ATTEMPTED]
    names = _writes(left) if send is not None else ()
    return Whole(
        plan=plan,
        report=report,
        handed_on=names,
        messages=send(names) if send is not None and names else 0,
        deferred=sum(change.desired is None for change in left),
        remaining=len(_addresses(report) - (_of(left) if send is not None else set())),
    )


def _handed_on(plan: Plan, send: Send) -> Whole:
    todo = [change for change in plan.changes if change.fate is Fate.APPLY]
    names = _writes(todo)
    unheld = sum(other.counted in UNMET for other in plan.others)
    return Whole(
        plan=plan,
        report=None,
        handed_on=names,
        messages=send(names) if names else 0,
        deferred=sum(change.desired is None for change in todo),
        remaining=unheld + len(plan.changes) - len(todo),
    )


def _writes(changes: Sequence[Change]) -> tuple[str, ...]:
    """The source names of changes that write something, each once, in order."""
    return tuple(sorted({canonical(c.desired.source.name) for c in changes if c.desired is not None}))


def _addresses(report: Report) -> set[tuple[str, str, str]]:
    return {(one.replication, one.target, one.name) for one in report.remaining}


def _of(changes: Sequence[Change]) -> set[tuple[str, str, str]]:
    return {change.order for change in changes}
