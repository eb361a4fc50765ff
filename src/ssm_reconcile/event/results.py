"""A plan for some names, its report -> what became of each name, and whether it comes again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ssm_reconcile.change import Delete, Fate, Release
from ssm_reconcile.event.reconciler import Planned
from ssm_reconcile.event.requests import NameRequest
from ssm_reconcile.plan import UNMET, Other
from ssm_reconcile.report import Outcome, Report, Result

_PASSING = frozenset({Result.FAILED, Result.STALE, Result.NOT_ATTEMPTED})


@dataclass(frozen=True, slots=True)
class NameResult:
    """What became of one name in all targets. `again`: why it has to come again; empty when it need not.

    What a guard withholds, what is in conflict and what is invalid does not come again by itself: the
    same would happen, for ever. It is told, counted, and found anew by every whole run.
    """

    name: str
    outcomes: tuple[Outcome, ...] = ()
    others: tuple[Other, ...] = ()
    again: str = ""
    at: datetime | None = None

    def count(self, result: Result) -> int:
        """How many changes ended so."""
        return sum(outcome.result is result for outcome in self.outcomes)

    @property
    def word(self) -> str:
        """One word for it: the worst that happened."""
        if self.again:
            return "again"
        if self.count(Result.WITHHELD):
            return "withheld"
        if any(other.counted in UNMET for other in self.others):
            return "refused"
        return "applied" if self.count(Result.APPLIED) else "nothing to do"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not simply done, each once."""
        said = [self.again] if self.again else []
        for outcome in self.outcomes:
            said += [outcome.error, outcome.note, *(outcome.change.reasons if outcome.error else ())]
        said += [reason for other in self.others for reason in other.reasons]
        return tuple(dict.fromkeys(text for text in said if text))


def results_of(planned: Planned, report: Report, wishes: Mapping[str, NameRequest]) -> tuple[NameResult, ...]:
    """One result for each name, sorted."""
    outcomes: dict[str, list[Outcome]] = {}
    others: dict[str, list[Other]] = {}
    for outcome in report.outcomes:
        change = outcome.change
        for name in planned.names_of(change.replication, change.target, change.name):
            outcomes.setdefault(name, []).append(outcome)
    for other in planned.plan.others:
        for name in planned.names_of(other.replication, other.target, other.name):
            others.setdefault(name, []).append(other)
    return tuple(
        NameResult(
            name=name,
            outcomes=tuple(outcomes.get(name, ())),
            others=tuple(others.get(name, ())),
            again=_again(name, planned, outcomes.get(name, [])),
            at=wishes[name].at,
        )
        for name in sorted(wishes)
    )


def _again(name: str, planned: Planned, outcomes: list[Outcome]) -> str:
    if name in planned.unsure:
        return planned.unsure[name]
    for outcome in outcomes:
        if outcome.result in _PASSING or _doubted(outcome):
            return f"{outcome.result}: {outcome.error}" if outcome.error else str(outcome.result)
    return planned.unseen.get(name, "")  # whatever was applied was made of what is older than the event


def _doubted(outcome: Outcome) -> bool:
    """A delete that no guard withheld and that could not be confirmed: a later look may settle it."""
    change = outcome.change
    return (
        outcome.result is Result.WITHHELD
        and change.fate is Fate.APPLY
        and isinstance(change.effect, Delete | Release)
    )
