"""Plan, or report of an apply -> the status of each target and its counts, as metrics for Prometheus.

status      condition (the first that applies)
unknown     the target was not listed completely
failed      a change failed
conflict    a parameter of someone else, or a parameter that the target cannot hold
detached    a detached replica
withheld    a guard withholds a change
pending     a change is not applied yet
in_sync     none of these: the target equals the spec

`metrics` writes statuses and counts in the text format of Prometheus, for a collector that reads files.
Detached replicas have a count of their own: it is the number to watch after a failover.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ssm_reconcile.plan import Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.report import Outcome, Result

STATES = (
    "in_sync", "pending", "failed", "withheld", "conflict", "invalid", "detached", "held", "skipped",
    "expiring",
    "orphaned",
)  # fmt: skip
"""Keys of the counts of a target: each address is counted once."""
_SKIPPED = frozenset({"skipped", "opted_out"})
_RESULTS = {
    Result.APPLIED: "in_sync",
    Result.FAILED: "failed",
    Result.STALE: "pending",
    Result.WITHHELD: "withheld",
    Result.NOT_ATTEMPTED: "pending",
}


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """The status of one target of one replication. The keys of `counts` are `STATES`."""

    replication: str
    target: str
    place: str
    complete: bool
    counts: dict[str, int]

    @property
    def status(self) -> str:
        """The status: the worst that applies."""
        if not self.complete:
            return "unknown"
        present = {**self.counts, "conflict": self.counts["conflict"] + self.counts["invalid"]}
        return next((word for word in reversed(STATUSES) if present.get(word)), "in_sync")


STATUSES = ("in_sync", "pending", "withheld", "detached", "conflict", "failed", "unknown")
"""From best to worst."""


def target_statuses(plan: Plan, outcomes: Iterable[Outcome] = ()) -> tuple[TargetStatus, ...]:
    """Return the status of each target: before an apply, or after it with the outcomes of its report."""
    results = {one.change.order: _RESULTS[one.result] for one in outcomes}
    return tuple(
        TargetStatus(part.name, target.name, target.place, target.complete, _counts(part, target, results))
        for part in plan.replications
        for target in part.targets
    )


def _counts(
    part: ReplicationPlan, target: TargetPlan, results: dict[tuple[str, str, str], str]
) -> dict[str, int]:
    counts: Counter[str] = Counter({"in_sync": target.in_sync})
    for change in part.changes:
        if change.target == target.name:
            counts[results.get(change.order, "withheld" if change.withheld else "pending")] += 1
    for other in part.others:
        if other.target == target.name:
            counts["skipped" if other.counted in _SKIPPED else other.counted] += 1
    return {state: counts[state] for state in STATES}


def metrics(statuses: Sequence[TargetStatus], now: datetime) -> str:
    """Return the statuses in the text format of Prometheus. `now` is the time of the plan, timezone-aware."""
    blocks = (
        _gauge(
            "ssm_reconcile_parameters",
            "Parameters of a target by state.",
            ((one, {"state": state}, one.counts[state]) for one in statuses for state in STATES),
        ),
        _gauge(
            "ssm_reconcile_target_status",
            "1 for the status of a target, 0 for the other statuses.",
            ((one, {"status": name}, int(one.status == name)) for one in statuses for name in STATUSES),
        ),
        _gauge(
            "ssm_reconcile_target_complete",
            "Whether a target was listed completely.",
            ((one, {}, int(one.complete)) for one in statuses),
        ),
        _gauge(
            "ssm_reconcile_last_look_timestamp_seconds",
            "Time of the last plan of a target, in seconds since 1970.",
            ((one, {}, round(now.timestamp())) for one in statuses),
        ),
    )
    return "".join(blocks)


def _gauge(name: str, help_text: str, samples: Iterable[tuple[TargetStatus, dict[str, str], int]]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    for one, labels, value in samples:
        named = {"replication": one.replication, "target": one.target, "place": one.place, **labels}
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in named.items())
        lines.append(f"{name}{{{pairs}}} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
