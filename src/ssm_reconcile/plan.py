"""The plan as data: made by `diff`, limited by guards, shown by renderers, applied by `apply`.

    Plan                 all replications of a run; has the id that an approval names
    └── ReplicationPlan  one replication: its targets, changes, others, findings
        ├── TargetPlan   one target: whether it is complete, its number of replicas, and of those in sync
        ├── Change       one address that a change is planned for
        └── Other        one address where nothing is done, with the reasons

The plan contains no value of a SecureString, and nothing that is computed from one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ssm_reconcile.attributes import COPIED, FIRST
from ssm_reconcile.change import (
    Change,
    Delete,
    Difference,
    Fate,
    Mark,
    Preconditions,
    Release,
    Restore,
    Row,
    TagDiff,
    Update,
)
from ssm_reconcile.encoding import printable
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.model import SECURE, ProblemKind
from ssm_reconcile.record import EXPIRES, instant, key_digest, rewrite_digest
from ssm_reconcile.wording import first_of


class Mode(StrEnum):
    """The values that are read for the plan."""

    NORMAL = "normal"
    VERIFY = "verify-values"
    NO_DECRYPT = "no-decrypt"


@dataclass(frozen=True, slots=True)
class ExistingParameter:
    """A parameter that is not a replica, and differs from the one that the spec places there.

    Attributes:
        differences: The attributes that differ.
        tags: The tags that differ.
        kind: The type of the source parameter.
        version: Its version.
        modified: The time of its last change.
        writer: The ARN of the identity that changed it last.
        is_shown: Whether `show` of the spec matches its name and that of the source, so that comments and
            pages show it too.
    """

    differences: tuple[Difference, ...]
    tags: TagDiff
    kind: str
    version: int
    modified: datetime
    writer: str = ""
    is_shown: bool = False


@dataclass(frozen=True, slots=True)
class Other:
    """One address where nothing is done, with the reasons.

    Attributes:
        replication: The name of the replication.
        target: The name of the target.
        name: The name of the parameter in the target.
        row: The row of the table of cases.
        counted: Its key in a summary.
        reasons: Sentences for people.
        problems: The kinds of its problems in the row `invalid`.
        is_outage: Whether one of them is a problem of the place only.
        conflict: The parameter that exists, in the row `conflict` if it was compared.
        expires: The instant of its mark, in the row `expiring`.
        is_released: Whether the replica is released then, and not deleted.
        mark_stays: Whether the replica keeps a mark that counts although its source exists.
    """

    replication: str
    target: str
    name: str
    row: Row
    counted: str
    reasons: tuple[str, ...] = ()
    problems: frozenset[ProblemKind] = frozenset()
    is_outage: bool = False
    conflict: ExistingParameter | None = None
    expires: datetime | None = None
    is_released: bool = False
    mark_stays: bool = False

    @property
    def is_to_delete(self) -> bool:
        """Whether a later run deletes the replica, so that it counts for `max_deletes`."""
        return self.expires is not None and not self.is_released


COUNTED = (
    "create", "update", "retag", "replace", "adopt", "delete",
    "in_sync", "skipped", "opted_out", "held", "expiring", "orphaned", "conflict", "detached", "invalid",
)  # fmt: skip
"""The keys of a summary. Each address is counted under exactly one; `withheld` counts changes again."""


UNMET = frozenset({"conflict", "detached", "invalid"})
"""The keys of addresses without a change that do not have what the spec asks for."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target.

    Attributes:
        replicas: The number of listed replicas of the replication, also those that a narrowed run does not
            select.
        for_names: Whether the plan is for some names: `max_change_percent` does not apply.
        counts_elsewhere: Whether the caller limits deletes by its own counts: the guards do not count them.
        deletes_outside_run: The number of deletes that a whole run would make at names that this run does
            not select.
        deletes_outside_only: The number of those at names that `--only` leaves out: they count for the
            limits on deletes too.
        lagging: The canonical addresses of which a description and a value of different versions were read.
            Empty in a full run.
    """

    name: str
    place: str
    complete: bool = True
    frozen: bool = False
    replicas: int = 0
    in_sync: int = 0
    for_names: bool = False
    counts_elsewhere: bool = False
    deletes_outside_run: int = 0
    deletes_outside_only: int = 0
    lagging: frozenset[str] = frozenset()

    @property
    def deletes_outside(self) -> int:
        """The number of deletes, also by later runs, at names that this run leaves out."""
        return self.deletes_outside_run + self.deletes_outside_only


@dataclass(frozen=True, slots=True)
class ReplicationPlan:
    """One replication of the plan.

    Attributes:
        name: The name of the replication.
        source: Account and region of the source.
        targets: The targets, in the order of the spec.
        changes: The changes, sorted.
        others: The addresses where nothing is done, sorted.
        findings: The findings.
        selected: The number of source parameters that the spec selects.
        source_complete: Whether the source was listed completely.
        in_scope: The number of selected parameters that `--only` matches; None without `--only`.
        matched: The patterns of `--only` that match a selected parameter or a replica.
        spec_id: The digest of the id of the spec, which its records get.
        has_expired_hold: Whether a hold of the spec has expired. It still holds.
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
    has_expired_hold: bool = False

    @property
    def complete(self) -> bool:
        """Whether the source and all targets were listed completely."""
        return self.source_complete and all(target.complete for target in self.targets)

    def summary(self, target: str | None = None) -> dict[str, int]:
        """Return the counts of one target or of all, by the keys of `COUNTED` and `withheld`."""
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
    """The targets and patterns that a run was limited to; empty for all.

    `unmatched` has the patterns of `only` that match nothing that was listed.
    """

    targets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.targets or self.only)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run. Sorted, so that the same input gives the same plan.

    `dropped`: with `plan --against`, the changes that only the other spec makes. Not part of the plan id.
    `as_of`: the instant at which the plan judges whether something has expired; None in a run without a plan.
    Not part of the plan id.
    """

    replications: tuple[ReplicationPlan, ...]
    mode: Mode = Mode.NORMAL
    narrowing: Narrowing = Narrowing()
    findings: tuple[Finding, ...] = ()
    budget: Budget | None = None
    dropped: tuple[Change, ...] | None = None
    as_of: datetime | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes."""
        return tuple(change for part in self.replications for change in part.changes)

    @property
    def others(self) -> tuple[Other, ...]:
        """All addresses without a change."""
        return tuple(other for part in self.replications for other in part.others)

    @property
    def named(self) -> tuple[Change | Other, ...]:
        """All addresses, with or without a change."""
        return (*self.changes, *self.others)

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The findings of the run, then those of each replication."""
        return self.findings + tuple(f for part in self.replications for f in part.findings)

    @property
    def complete(self) -> bool:
        """Whether every place was listed completely."""
        return all(part.complete for part in self.replications)

    @property
    def has_expired_hold(self) -> bool:
        """Whether a hold of the spec has expired, so that a person has to extend or remove it."""
        return any(part.has_expired_hold for part in self.replications)

    @property
    def summary(self) -> dict[str, int]:
        """The counts of all replications."""
        total: Counter[str] = Counter()
        for part in self.replications:
            total.update(part.summary())
        return {word: total[word] for word in (*COUNTED, "withheld")}

    @property
    def plan_id(self) -> str:
        """The id of the plan: 64 hex digits. An approval names it."""
        return self.read_ids()[0]

    def read_ids(self) -> tuple[str, tuple[str, ...]]:
        """Return the id of the plan and the ids of its replications, in their order."""
        whole, found = hashlib.sha256(b"["), []
        for number, part in enumerate(self.replications):
            whole.update(b"," * bool(number))
            digest = hashlib.sha256()
            for piece in _canonical_parts(part, self):
                whole.update(piece)
                digest.update(piece)
            found.append(digest.hexdigest())
        whole.update(b"]")
        return whole.hexdigest(), tuple(found)

    def id_of(self, part: ReplicationPlan) -> str:
        """Return the id of one replication of this plan: 64 hex digits."""
        digest = hashlib.sha256()
        for piece in _canonical_parts(part, self):
            digest.update(piece)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """The calls of one rate class in one place, which take longer than all others of an apply.

    Attributes:
        place: Account and region, or the region of a place that could not be opened.
        operation: The operation that names the rate class.
        rate: Its calls per second.
        seconds: The least time of an apply with this limit.
        fitting_rate: The rate at which another class is the limit; for ListTagsForResource only, else None.
    """

    place: str
    operation: str
    rate: float
    seconds: float
    fitting_rate: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """The cost of an apply: calls by operation, and the least time in seconds at the configured rates.

    `limit` is the cause of the least time, None without calls. `with_higher_throughput` is the limit with the
    setting for higher throughput on, if now it is PutParameter at its default rate.
    """

    calls: Mapping[str, int]
    seconds: float
    limit: BudgetLimit | None = None
    with_higher_throughput: BudgetLimit | None = None

    @property
    def writes(self) -> int:
        """The number of calls that write."""
        return sum(count for name, count in self.calls.items() if name in WRITES)


WRITES = frozenset({"PutParameter", "AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters"})


def mark_stays(target: str, names: Sequence[str], why: str) -> Finding:
    """Return the finding that marks in a target count although the sources of their replicas exist.

    Args:
        target: The name of the target.
        names: The names of the replicas.
        why: Why the marks are not removed.
    """
    text = (
        f"{first_of(names, 5)}: the source exists again, but the mark of the replica stays: {why}."
        " If the source is deleted again, a run may delete the replica at the time of this mark, even if"
        f" it has passed. Remove the tag {EXPIRES} from the replica, or let a run write to it while the"
        " source exists"
    )
    # The target too: outputs leave out a finding on addresses alone, since their reasons say the same.
    about = (Address(target), *(Address(target, name) for name in names))
    return Finding(Severity.WARNING, "mark-stays", text, target, about)


def effect_of(change: Change) -> dict[str, Any]:
    """Return the effect and the preconditions of a change, without any value or digest of one.

    The plan id is computed from these documents.
    """
    desired = change.desired
    document: dict[str, Any] = {
        "target": change.target,
        "place": change.place,
        "name": change.name,
        "action": change.action.value,
        "row": change.row.value,
        "fate": change.fate.value,
        "expected": versions_of(change.expected),
        "tags_added": change.tags.added,
        "tags_removed": [key for key in change.tags.removed if key != EXPIRES or not change.clears_mark],
        "differs": sorted(difference.attribute for difference in change.differences),
        **({"clears_mark": True} if change.clears_mark else {}),
    }
    match change.effect:
        case Delete(expires=datetime() as expires) | Release(expires=datetime() as expires):
            document["expires"] = instant(expires)
        case Mark(after=after, releases=releases):
            document |= {"after": int(after.total_seconds()), "releases": releases}
        case Restore() as effect:
            document["restores"] = _restored(effect)
        case Update() as effect:
            document |= {"takes_over": effect.takes_over, "unproven": effect.unproven}
            document["may_replace"] = effect.may_replace
        case _:
            pass
    if desired is not None:
        source = desired.source
        document["source"] = source.name
        document["desired"] = {
            "type": source.type,
            "tier": desired.tier,
            "key": desired.key_identity,
            "shaping": [key_digest(desired.key_identity), rewrite_digest(desired.substitutions)],
        }
        for one in COPIED:
            value = one.of(source)
            if value != one.default or one.since == FIRST:
                # not shown for a secret; the source version represents it
                hidden = one.is_private and _of_a_secret(change)
                shown = value if isinstance(value, str) else list(value)
                document["desired"][one.field] = None if hidden else shown
        if desired.may_rise:
            document["desired"]["may_rise"] = True
    return document


def versions_of(expected: Preconditions) -> list[int | None]:
    """Return versions, and times in milliseconds."""
    return [
        expected.source_version,
        _millis(expected.source_modified),
        expected.version,
        _millis(expected.modified),
    ]


def _millis(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _restored(effect: Restore) -> list[int | str | None]:
    """Return the former version with its time, the owner, and the source version that the record names."""
    former, record = effect.desired.source, effect.record
    made_from = None if record is None else record.source_version
    version = Preconditions(version=former.version, modified=former.last_modified)
    return [*versions_of(version)[2:], effect.owner, made_from]


def _of_a_secret(change: Change) -> bool:
    """Whether either side is a SecureString: both may have the same AllowedPattern."""
    kinds = {kind for d in change.differences if d.attribute == "type" for kind in (d.before, d.after)}
    return SECURE in kinds or (change.desired is not None and change.desired.source.is_secret)


def fingerprint(document: object) -> str:
    """Return the SHA-256 of a document as canonical JSON: 64 hex digits."""
    return hashlib.sha256(_canonical(document)).hexdigest()


def _canonical(document: object) -> bytes:
    """Return canonical JSON: sorted keys, no spaces."""
    return printable(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)).encode()


def _canonical_parts(part: ReplicationPlan, plan: Plan) -> Iterator[bytes]:
    """Yield the canonical JSON that an id is computed from, in pieces.

    It has the effects and preconditions of all changes, and nothing else. The whole JSON of many changes is
    never in memory.
    """
    yield b'{"changes":['
    for number, change in enumerate(sorted(part.changes, key=lambda c: c.order)):
        yield b"," * bool(number) + _canonical(effect_of(change))
    rest = {
        "mode": plan.mode.value,
        "only": sorted(plan.narrowing.only),
        "replication": part.name,
        "source": part.source,
        "targets": sorted(plan.narrowing.targets),
        **({} if part.spec_id is None else {"spec_id": part.spec_id}),
    }
    yield b"]," + _canonical(rest)[1:]
