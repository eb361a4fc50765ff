"""Report of an apply: one outcome for every change, and the addresses that still differ from the spec."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ssm_reconcile.change import Change, TagDiff
from ssm_reconcile.errors import Finding, Trouble
from ssm_reconcile.plan import UNMET, Plan


class Result(StrEnum):
    """The result of one change."""

    APPLIED = "applied"
    FAILED = "failed"
    STALE = "stale"
    """Nothing was written: the parameter or its source has changed since the plan."""
    WITHHELD = "withheld"
    NOT_ATTEMPTED = "not_attempted"


@dataclass(frozen=True, slots=True)
class ParameterVersion:
    """One version of a parameter; `modified` is None if no read showed its time."""

    version: int
    modified: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """The state that a change found and the one that it left; `undo` takes it back.

    The removal of a mark alone reads no version: then both are the version of the plan.

    Attributes:
        before: The version that was overwritten, tagged or deleted; None for a create.
        after: The version that the change left; None after a delete.
        tags: The tags that the change wrote or removed; None if that is unknown.
        recreated: Whether the parameter was deleted and created again, so that AWS has no former version.
    """

    before: ParameterVersion | None
    after: ParameterVersion | None
    tags: TagDiff | None
    recreated: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one change.

    Attributes:
        error: Operation, error code and remedy, without the message of AWS.
        note: A remark on a change that was applied.
        trouble: The kind of the failed call that stopped the change; None if no call failed.
        sent: Whether a delete was sent, so that it may have happened whatever the result is.
        written: The state before and after a change that was applied; None for any other.
        mark_removal: Why a withheld change kept its outdated mark: `stale` or `not_attempted`; None for any
            other.
    """

    change: Change
    result: Result
    error: str = ""
    note: str = ""
    trouble: Trouble | None = None
    sent: bool = False
    written: Written | None = None
    mark_removal: Result | None = None


@dataclass(frozen=True, slots=True)
class Remaining:
    """An address that differs from the spec after the run, with the reason.

    `after_write` is set if a read after the write did not show what was written.
    """

    replication: str
    target: str
    name: str
    reason: str
    after_write: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The report of an apply; complete also for an interrupted run."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    remaining: tuple[Remaining, ...] = ()
    findings: tuple[Finding, ...] = ()
    interrupted: bool = False

    @property
    def summary(self) -> dict[str, int]:
        """The number of outcomes by result."""
        counts = Counter(outcome.result for outcome in self.outcomes)
        return {result.value: counts[result] for result in Result}

    @property
    def exit_code(self) -> int:
        """130 interrupted, 5 a change is withheld, 3 an address differs or a hold has expired, 0 done."""
        summary = self.summary
        if self.interrupted:
            return 130
        if summary["withheld"] or any(one.change.withheld for one in self.outcomes):
            return 5
        planned = self.plan.summary
        unheld = summary["failed"] + summary["stale"] + summary["not_attempted"]
        unmet = any(planned[word] for word in UNMET)
        if unheld or self.remaining or unmet or self.plan.has_expired_hold or not self.plan.complete:
            return 3
        return 0
