"""What became of a plan: one outcome for every change, and what remains."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from ssm_reconcile.change import Change
from ssm_reconcile.errors import Finding
from ssm_reconcile.plan import UNMET, Plan


class Result(StrEnum):
    """What became of one change."""

    APPLIED = "applied"
    FAILED = "failed"
    STALE = "stale"
    """We wrote nothing: the world had moved since the plan."""
    WITHHELD = "withheld"
    NOT_ATTEMPTED = "not_attempted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change. `error` is operation, code and our own sentence, never AWS's."""

    change: Change
    result: Result
    error: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Remaining:
    """One address that does not hold what the spec asks for, and why."""

    replication: str
    target: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that an apply has to say. Complete even when the run was cut short."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    remaining: tuple[Remaining, ...] = ()
    findings: tuple[Finding, ...] = ()
    interrupted: bool = False

    @property
    def summary(self) -> dict[str, int]:
        """Outcomes by result."""
        counts = Counter(outcome.result for outcome in self.outcomes)
        return {result.value: counts[result] for result in Result}

    @property
    def exit_code(self) -> int:
        """130 interrupted, 5 something withheld, 3 not all that the spec asks for holds, 0 done."""
        summary = self.summary
        if self.interrupted:
            return 130
        if summary["withheld"]:
            return 5
        asked = self.plan.summary
        unheld = summary["failed"] + summary["stale"] + summary["not_attempted"]
        unmet = any(asked[word] for word in UNMET)
        if unheld or self.remaining or unmet or not self.plan.complete:
            return 3
        return 0
