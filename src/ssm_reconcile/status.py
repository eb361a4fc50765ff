"""A plan, or the report of an apply -> how each target is doing, in one word and in counts.

word        when (the first that fits)
unknown     it was not listed to its end
failed      a change failed, or was not what it had been by then
conflict    something is there that is not ours, or that it cannot take
detached    something there lives on its own
withheld    a guard holds something back
pending     something is still to be applied
in_sync     nothing of that: it holds what the spec says

`drift_of` lists the addresses of a plan that differ from the spec, for `plan --fail-on-drift`.
`metrics` is the same in the text format of Prometheus, one gauge a state, for a file that a collector
picks up. Detached parameters are a count of their own: after a failover they are what one wants to see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ssm_reconcile.change import Fate, Row
from ssm_reconcile.plan import UNMET, Other, Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.spec import Orphans, Replication

STATES = (
    "in_sync",
    "pending",
    "failed",
    "withheld",
    "conflict",
    "invalid",
    "detached",
    "skipped",
    "orphaned",
)
"""What is counted of a target: each address once."""
_SKIPPED = frozenset({"skipped", "opted_out"})
_RESULTS = {
    Result.APPLIED: "in_sync",
    Result.FAILED: "failed",
    Result.STALE: "pending",
    Result.WITHHELD: "withheld",
    Result.NOT_ATTEMPTED: "pending",
}


@dataclass(frozen=True, slots=True)
class Status:
    """One target of one replication. `counts` by the words of `STATES`."""

    replication: str
    target: str
    place: str
    complete: bool
    counts: dict[str, int]

    @property
    def word(self) -> str:
        """How it is doing, the worst first."""
        if not self.complete:
            return "unknown"
        counts = self.counts
        if counts["failed"]:
            return "failed"
        if counts["conflict"] or counts["invalid"]:
            return "conflict"
        return next((word for word in ("detached", "withheld", "pending") if counts[word]), "in_sync")


WORDS = ("in_sync", "pending", "withheld", "detached", "conflict", "failed", "unknown")


def of_plan(plan: Plan) -> tuple[Status, ...]:
    """How each target is doing before anything is applied."""
    return _statuses(plan, {})


def of_report(report: Report) -> tuple[Status, ...]:
    """How each target is doing after an apply, as far as its outcomes tell."""
    return _statuses(report.plan, {one.change.order: one for one in report.outcomes})


def _statuses(plan: Plan, outcomes: dict[tuple[str, str, str], Outcome]) -> tuple[Status, ...]:
    return tuple(
        Status(part.name, target.name, target.place, target.complete, _counts(part, target, outcomes))
        for part in plan.replications
        for target in part.targets
    )


def _counts(
    part: ReplicationPlan, target: TargetPlan, outcomes: dict[tuple[str, str, str], Outcome]
) -> dict[str, int]:
    counts: Counter[str] = Counter({"in_sync": target.in_sync})
    for change in part.changes:
        if change.target != target.name:
            continue
        outcome = outcomes.get(change.order)
        if outcome is not None:
            counts[_RESULTS[outcome.result]] += 1
        else:
            counts["withheld" if change.fate is Fate.WITHHELD else "pending"] += 1
    for other in part.others:
        if other.target == target.name:
            counts["skipped" if other.counted in _SKIPPED else other.counted] += 1
    return {state: counts[state] for state in STATES}


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One address of a plan that does not hold what the spec asks for. `state` is its action or count."""

    replication: str
    target: str
    name: str
    state: str
    reasons: tuple[str, ...] = ()


def drift_of(plan: Plan, specs: Iterable[Replication]) -> tuple[Drift, ...]:
    """Return every change, withheld ones included, and every address that a person has to settle.

    An orphan counts where its spec says `orphans: delete`. What is skipped, opted out, kept out or chained
    is as the spec wants it. An incomplete place has no addresses: `plan.complete` tells of it.
    """
    deleted = {spec.name for spec in specs if spec.orphans is Orphans.DELETE}
    found = [
        Drift(
            change.replication,
            change.target,
            change.name,
            f"{change.action.value}{', withheld' if change.fate is Fate.WITHHELD else ''}",
            change.all_reasons if change.withheld else (),
        )
        for change in plan.changes
    ]
    found += [
        Drift(other.replication, other.target, other.name, _state(other), other.reasons)
        for other in plan.others
        if other.counted in UNMET or (other.row is Row.ORPHAN and other.replication in deleted)
    ]
    return tuple(sorted(found))


def _state(other: Other) -> str:
    return other.row.value if other.row in (Row.FOREIGN, Row.COPIED) else other.counted


def metrics(statuses: Sequence[Status], now: datetime) -> str:
    """The text format of Prometheus. `now` is timezone-aware: when it was looked at."""
    blocks = (
        _gauge(
            "ssm_reconcile_parameters",
            "Parameters of a target by state.",
            ((one, {"state": state}, one.counts[state]) for one in statuses for state in STATES),
        ),
        _gauge(
            "ssm_reconcile_target_status",
            "1 for the word that says how a target is doing, 0 for the others.",
            ((one, {"status": word}, int(one.word == word)) for one in statuses for word in WORDS),
        ),
        _gauge(
            "ssm_reconcile_target_complete",
            "Whether a target could be listed to its end.",
            ((one, {}, int(one.complete)) for one in statuses),
        ),
        _gauge(
            "ssm_reconcile_last_look_timestamp_seconds",
            "When a target was looked at last, in seconds since 1970.",
            ((one, {}, round(now.timestamp())) for one in statuses),
        ),
    )
    return "".join(blocks)


def _gauge(name: str, help_text: str, samples: Iterable[tuple[Status, dict[str, str], int]]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    for one, labels, value in samples:
        named = {"replication": one.replication, "target": one.target, "place": one.place, **labels}
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in named.items())
        lines.append(f"{name}{{{told}}} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
