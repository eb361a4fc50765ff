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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias, assert_never

from ssm_reconcile.errors import Finding
from ssm_reconcile.model import Desired, Tags, sorted_tags
from ssm_reconcile.record import Record, key_digest, rewrite_digest


class Row(StrEnum):
    """The rows of the table of cases, in the order in which they are tried (design, section 4)."""

    FOREIGN = "foreign"
    DETACHED = "detached"
    COPIED = "copied"
    OPTED_OUT = "opted_out"
    CHAINED = "chained"
    SKIPPED = "skipped"
    KEPT_OUT = "kept_out"
    DELETE = "delete"
    ORPHAN = "orphan"
    INVALID = "invalid"
    CREATE = "create"
    ADOPT = "adopt"
    CONFLICT = "conflict"
    REPLACE = "replace"
    UPDATE = "update"
    RETAG = "retag"
    IN_SYNC = "in_sync"


class Action(StrEnum):
    """What is done at one address."""

    CREATE = "create"
    UPDATE = "update"
    RETAG = "retag"
    REPLACE = "replace"
    ADOPT = "adopt"
    DELETE = "delete"


class Fate(StrEnum):
    """Whether a change is to be applied, or a guard withholds it."""

    APPLY = "apply"
    WITHHELD = "withheld"


class Mode(StrEnum):
    """How much is read to make the plan."""

    NORMAL = "normal"
    VERIFY = "verify-values"
    NO_DECRYPT = "no-decrypt"


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute that differs, before and after, as a person may see it.

    Attributes are named as in the design: `value`, `type`, `description`, `AllowedPattern`, `tier`,
    `policies`, `DataType`, `KeyId`. `secret`: it differs, and neither side is shown. `cut`: a plain
    value is longer than what is shown.
    """

    attribute: str
    before: str | None = None
    after: str | None = None
    secret: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class TagDiff:
    """The tags that differ: only those keys, as they are and as they are to be."""

    before: Tags = field(default_factory=dict)
    after: Tags = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    @property
    def added(self) -> dict[str, str]:
        """Tags to add or to overwrite."""
        return dict(sorted_tags(self.after))

    @property
    def removed(self) -> tuple[str, ...]:
        """Keys to remove."""
        return tuple(sorted(set(self.before) - set(self.after)))


@dataclass(frozen=True, slots=True)
class Expected:
    """What must still be true when the change is made. `version` None: nothing is there."""

    source_version: int | None = None
    source_modified: datetime | None = None
    version: int | None = None
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """A new parameter, its tags in the same call."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class Update:
    """A new version of what is there. `takes_over`: it was not ours before.

    `put` is false when only tags differ, so that no version is burnt. `unproven`: its values were
    not compared (`--no-decrypt`); apply compares them and may find that tags are enough.
    """

    desired: Desired
    tags: TagDiff
    put: bool = True
    takes_over: bool = False
    unproven: bool = False
    origin_adopted: bool = False
    record: Record | None = None
    """The record to write when nothing is put."""


@dataclass(frozen=True, slots=True)
class Retag:
    """Tags and record only; no new version."""

    desired: Desired
    tags: TagDiff
    record: Record


@dataclass(frozen=True, slots=True)
class Adopt:
    """Takes ownership of an equal parameter by its tags."""

    desired: Desired
    tags: TagDiff
    record: Record


@dataclass(frozen=True, slots=True)
class Replace:
    """Delete, wait, create: for what AWS does not change in place."""

    desired: Desired
    origin_adopted: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """The replica goes. `source_name`: whose absence at the source must be confirmed right before."""

    source_name: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """An adopted replica whose source is gone keeps its value and loses our tags (`delete: created`)."""

    source_name: str | None
    tags: TagDiff


Effect: TypeAlias = Create | Update | Retag | Adopt | Replace | Delete | Release


@dataclass(frozen=True, slots=True)
class Change:
    """One address of one target, and what is to be done there.

    `source_name` is the source parameter it is about, `kind` the type that the parameter has or will have, for people. `writer` is who changed the
    live parameter last, `changed_outside` whether that was somebody else after us.
    """

    replication: str
    target: str
    name: str
    row: Row
    effect: Effect
    expected: Expected
    differences: tuple[Difference, ...] = ()
    reasons: tuple[str, ...] = ()
    source_name: str | None = None
    kind: str = ""
    writer: str = ""
    changed_outside: bool = False
    fate: Fate = Fate.APPLY
    withheld_by: tuple[str, ...] = ()

    @property
    def action(self) -> Action:
        """The action that this change counts as."""
        match self.effect:
            case Create():
                return Action.CREATE
            case Update():
                return Action.UPDATE
            case Retag() | Release():
                return Action.RETAG
            case Adopt():
                return Action.ADOPT
            case Replace():
                return Action.REPLACE
            case Delete():
                return Action.DELETE
            case _:
                assert_never(self.effect)

    @property
    def tags(self) -> TagDiff:
        """The tags that this change adds and removes."""
        match self.effect:
            case Create(desired) | Replace(desired):
                return TagDiff({}, desired.tags)
            case Update() | Retag() | Adopt() | Release():
                return self.effect.tags
            case Delete():
                return TagDiff()
            case _:
                assert_never(self.effect)

    @property
    def desired(self) -> Desired | None:
        """What the address should hold, None when it is to hold nothing of ours."""
        match self.effect:
            case Create(desired) | Replace(desired):
                return desired
            case Update() | Retag() | Adopt():
                return self.effect.desired
            case Delete() | Release():
                return None
            case _:
                assert_never(self.effect)

    @property
    def order(self) -> tuple[str, str, str]:
        """How changes are sorted: by replication, target and name."""
        return (self.replication, self.target, self.name)


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
    "in_sync", "skipped", "opted_out", "orphaned", "conflict", "invalid",
)  # fmt: skip
"""The words of a summary: every address is counted under exactly one. `withheld` counts fates."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target: `replicas` are all that are ours there, narrowed run or not."""

    name: str
    place: str
    complete: bool = True
    frozen: bool = False
    replicas: int = 0
    in_sync: int = 0


@dataclass(frozen=True, slots=True)
class ReplicationPlan:
    """One replication of the plan. `selected` counts source parameters that its rules select."""

    name: str
    source: str
    targets: tuple[TargetPlan, ...] = ()
    changes: tuple[Change, ...] = ()
    others: tuple[Other, ...] = ()
    findings: tuple[Finding, ...] = ()
    selected: int = 0
    source_complete: bool = True

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
    """What a run was narrowed to; empty means everything."""

    targets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.targets or self.only)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run will do. Sorted: the same world gives the same plan."""

    replications: tuple[ReplicationPlan, ...]
    mode: Mode = Mode.NORMAL
    narrowing: Narrowing = Narrowing()
    findings: tuple[Finding, ...] = ()
    budget: Budget | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of all replications."""
        return tuple(change for part in self.replications for change in part.changes)

    @property
    def others(self) -> tuple[Other, ...]:
        """The other addresses of all replications."""
        return tuple(other for part in self.replications for other in part.others)

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
        return fingerprint([_identity(part, self) for part in self.replications])

    def id_of(self, part: ReplicationPlan) -> str:
        """The id of one replication of this plan: 64 hex digits."""
        return fingerprint(_identity(part, self))


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
    """SHA-256 over canonical JSON: sorted keys, no spaces."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(part: ReplicationPlan, plan: Plan) -> dict[str, Any]:
    """What an approval binds to: effects with the versions that they assume, and nothing else."""
    return {
        "replication": part.name,
        "source": part.source,
        "mode": plan.mode.value,
        "targets": sorted(plan.narrowing.targets),
        "only": sorted(plan.narrowing.only),
        "changes": [effect_of(change) for change in sorted(part.changes, key=lambda c: c.order)],
    }


def effect_of(change: Change) -> dict[str, Any]:
    """What one change does and assumes, without any value or digest of one."""
    desired = change.desired
    document: dict[str, Any] = {
        "target": change.target,
        "name": change.name,
        "action": change.action.value,
        "row": change.row.value,
        "fate": change.fate.value,
        "expected": _expected_of(change.expected),
        "tags_added": change.tags.added,
        "tags_removed": list(change.tags.removed),
        "differs": sorted(difference.attribute for difference in change.differences),
    }
    if isinstance(change.effect, Update):
        document["takes_over"] = change.effect.takes_over
        document["unproven"] = change.effect.unproven
    if desired is not None:
        source = desired.source
        document["source"] = source.name
        document["desired"] = {
            "type": source.type,
            "description": source.description,
            # of a secret it is not shown, and the source version stands for it
            "allowed_pattern": None if source.is_secret else source.allowed_pattern,
            "tier": source.tier,
            "policies": list(source.policies),
            "data_type": source.data_type,
            "key": desired.key_identity,
            "shaping": [key_digest(desired.key_identity), rewrite_digest(desired.substitutions)],
        }
    return document


def _expected_of(expected: Expected) -> list[int | None]:
    """Versions, and times in milliseconds."""
    return [
        expected.source_version,
        _millis(expected.source_modified),
        expected.version,
        _millis(expected.modified),
    ]


def _millis(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def by_danger(changes: Iterable[Change]) -> list[Change]:
    """Deletes, replacements, updates, then the rest; by name within."""
    rank = {action: i for i, action in enumerate(
        (Action.DELETE, Action.REPLACE, Action.UPDATE, Action.CREATE, Action.ADOPT, Action.RETAG)
    )}  # fmt: skip
    return sorted(changes, key=lambda c: (rank[c.action], c.name, c.target))
