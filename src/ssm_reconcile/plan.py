"""What will be done, as data: made by `diff`, cut back by guards, shown by renderers, done by `apply`.

    Plan                 all replications of a run; has the id that an approval names
    └── ReplicationPlan  one replication: its targets, changes, others, findings
        ├── TargetPlan   one target: is it complete, how many replicas, what needs no change
        ├── Change       one address where something is to be done, with its fate
        └── Other        one address where nothing is done and a person should know why

No value of a SecureString is in here, nor anything computed from one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ssm_reconcile.change import Change, Fate, Row, effect_of
from ssm_reconcile.encoding import printable
from ssm_reconcile.errors import Finding


class Mode(StrEnum):
    """How much is read to make the plan."""

    NORMAL = "normal"
    VERIFY = "verify-values"
    NO_DECRYPT = "no-decrypt"


@dataclass(frozen=True, slots=True)
class Other:
    """One address where nothing is done, and why. `counted` is the summary's word for it."""

    replication: str
    target: str
    name: str
    row: Row
    counted: str
    reasons: tuple[str, ...] = ()


COUNTED = (
    "create", "update", "retag", "replace", "adopt", "delete",
    "in_sync", "skipped", "opted_out", "orphaned", "conflict", "detached", "invalid",
)  # fmt: skip
"""The words of a summary: every address is counted under exactly one. `withheld` counts fates."""


UNMET = frozenset({"conflict", "detached", "invalid"})
"""The words of addresses without a change that do not hold what the spec asks for."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target.

    `replicas` counts all replicas of the replication there, also those that a narrowed run does not select;
    `counted` is false when a run for some names did not list them. `deletes_outside_run` counts the deletes
    that a whole run would make at names that this run does not select.
    """

    name: str
    place: str
    complete: bool = True
    frozen: bool = False
    replicas: int = 0
    in_sync: int = 0
    counted: bool = True
    deletes_outside_run: int = 0


@dataclass(frozen=True, slots=True)
class ReplicationPlan:
    """One replication of the plan. `selected` counts source parameters that its rules select.

    `in_scope` counts those of them that a run narrowed by `--only` is about; None in any other run.
    `matched` are the patterns of `--only` that match a selected parameter or a replica.
    """

    name: str
    source: str
    targets: tuple[TargetPlan, ...] = ()
    changes: tuple[Change, ...] = ()
    others: tuple[Other, ...] = ()
    findings: tuple[Finding, ...] = ()
    selected: int = 0
    source_complete: bool = True
    in_scope: int | None = None
    matched: frozenset[str] = frozenset()
    spec_id: str | None = None
    """The digest of the id of the spec, which its records get."""

    @property
    def complete(self) -> bool:
        """Whether every place of it was listed to the end."""
        return self.source_complete and all(target.complete for target in self.targets)

    def summary(self, target: str | None = None) -> dict[str, int]:
        """Counts by the words of `COUNTED`, and `withheld`; of one target or of all."""
        counts: Counter[str] = Counter()
        for change in self.changes:
            if target in (None, change.target):
                counts[change.action.value] += 1
                counts["withheld"] += change.fate is Fate.WITHHELD
        for other in self.others:
            if target in (None, other.target):
                counts[other.counted] += 1
        counts["in_sync"] += sum(t.in_sync for t in self.targets if target in (None, t.name))
        return {word: counts[word] for word in (*COUNTED, "withheld")}


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a run was narrowed to; empty means everything.

    `unmatched` are the patterns of `only` that match nothing that was listed.
    """

    targets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.targets or self.only)


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """What a plan was compared with: a spec as it was before. `dropped`: what only that one would do.

    For people only, and not part of the plan id: an apply knows of no comparison.
    """

    dropped: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run will do. Sorted: the same world gives the same plan."""

    replications: tuple[ReplicationPlan, ...]
    mode: Mode = Mode.NORMAL
    narrowing: Narrowing = Narrowing()
    findings: tuple[Finding, ...] = ()
    budget: Budget | None = None
    against: PlanComparison | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of all replications."""
        return tuple(change for part in self.replications for change in part.changes)

    @property
    def others(self) -> tuple[Other, ...]:
        """The other addresses of all replications."""
        return tuple(other for part in self.replications for other in part.others)

    @property
    def named(self) -> tuple[Change | Other, ...]:
        """Every address that the plan names, changed or not."""
        return (*self.changes, *self.others)

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The findings of the run and of all replications."""
        return self.findings + tuple(f for part in self.replications for f in part.findings)

    @property
    def complete(self) -> bool:
        """Whether every place was listed to the end."""
        return all(part.complete for part in self.replications)

    @property
    def summary(self) -> dict[str, int]:
        """Counts over all replications."""
        total: Counter[str] = Counter()
        for part in self.replications:
            total.update(part.summary())
        return {word: total[word] for word in (*COUNTED, "withheld")}

    @property
    def plan_id(self) -> str:
        """The id over all replications: 64 hex digits."""
        digest = hashlib.sha256(b"[")
        for number, part in enumerate(self.replications):
            digest.update(b"," * bool(number))
            _identify(part, self, digest.update)
        digest.update(b"]")
        return digest.hexdigest()

    def id_of(self, part: ReplicationPlan) -> str:
        """The id of one replication of this plan: 64 hex digits."""
        digest = hashlib.sha256()
        _identify(part, self, digest.update)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Budget:
    """What an apply will cost: calls by operation, and the least time at the rates in force."""

    calls: Mapping[str, int]
    seconds: float

    @property
    def writes(self) -> int:
        """How many of the calls write."""
        return sum(count for name, count in self.calls.items() if name in WRITES)


WRITES = frozenset({"PutParameter", "AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters"})


def fingerprint(document: object) -> str:
    """SHA-256 over canonical JSON."""
    return hashlib.sha256(_canonical(document)).hexdigest()


def _canonical(document: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces."""
    return printable(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)).encode()


def _identify(part: ReplicationPlan, plan: Plan, tell: Callable[[bytes], object]) -> None:
    """What an approval binds to: effects with the versions that they assume, and nothing else.

    Told piece by piece, as canonical JSON of one object: of many changes, the whole is never in memory.
    """
    tell(b'{"changes":[')
    for number, change in enumerate(sorted(part.changes, key=lambda c: c.order)):
        tell(b"," * bool(number) + _canonical(effect_of(change)))
    rest = {
        "mode": plan.mode.value,
        "only": sorted(plan.narrowing.only),
        "replication": part.name,
        "source": part.source,
        "targets": sorted(plan.narrowing.targets),
        **({} if part.spec_id is None else {"spec_id": part.spec_id}),
    }
    tell(b"]," + _canonical(rest)[1:])
