"""Builders of specs, parameters, changes and plans, and a pure judge (resolve, prove, diff).

`Held` is a parameter with its value and tags, as a test makes it up. `judge` puts a source and a target
of them through the pure steps, with no store in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ssm_reconcile.change import (
    Change,
    Create,
    Delete,
    Fate,
    Preconditions,
    Release,
    Replace,
    Retag,
    Row,
    TagDiff,
    Update,
)
from ssm_reconcile.diff import TargetDiff, diff
from ssm_reconcile.diff.case import TargetContext
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import (
    MANAGED_KEY,
    SECURE,
    Access,
    DesiredParameter,
    Key,
    Keyring,
    KeyState,
    Listing,
    Parameter,
    Place,
    Reading,
    SealedText,
    Tags,
    UnreadableValue,
    Value,
    ValueReadings,
    ValueRequest,
    canonical,
)
from ssm_reconcile.plan import Mode, Narrowing, Other, Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.record import (
    OWNER,
    RECORD,
    Origin,
    Record,
    compose_own,
    digest,
    key_digest,
    ownership_tags,
)
from ssm_reconcile.report import Outcome, Report
from ssm_reconcile.resolve import Route, resolve
from ssm_reconcile.settle import Proof, prove
from ssm_reconcile.shape import read
from ssm_reconcile.spec import DeleteMode, Glob, Replication, Run, Source, Target
from ssm_reconcile.system import Progress

ACCOUNT = "123456789012"
HERE = Place(ACCOUNT, "us-east-1")
THERE = Place(ACCOUNT, "us-east-2")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MADE = NOW - timedelta(days=30)
"""When sources of the pure tests were written."""
COPIED_AT = NOW - timedelta(days=20)
"""When replicas of the pure tests were written."""
RUN_KEY = b"k" * 32
US = "arn:aws:sts::123456789012:assumed-role/ssm-reconcile/run"
SOMEBODY = "arn:aws:iam::123456789012:user/another-writer"
OWNED_BY = "prod@123456789012/us-east-1"
ID = "k3v9x2m7qa"
"""The id of the spec of every test that asks for no other."""


# Nouns


def target(name: str = "us-east-2", **more: Any) -> Target:
    return Target(name, more.pop("access", Access(more.pop("region", "us-east-2"))), **more)


def replication(**more: Any) -> Replication:
    given: dict[str, Any] = {
        "name": "prod",
        "id": ID,
        "source": Source(Access("us-east-1")),
        "targets": (target(),),
        "include": (Glob("/p/**"),),
        "delete": DeleteMode.OWNED,
    }
    return Replication(**{**given, **more})


def parameter(name: str = "/p/a", kind: str = "String", version: int = 1, **more: Any) -> Parameter:
    at = more.pop("at", MADE)
    if kind == SECURE:
        more.setdefault("key_id", MANAGED_KEY)
    return Parameter(name, kind, version, at, **more)


def listing(
    place: Place, *parameters: Parameter, tags: Mapping[str, Tags] | None = None, **more: Any
) -> Listing:
    return Listing(
        place, caller=US, parameters={canonical(p.name): p for p in parameters}, tags=tags or {}, **more
    )


def desired(name: str = "/p/a", kind: str = "String", version: int = 1, **more: Any) -> DesiredParameter:
    source = more.pop("source", None) or parameter(name, kind, version)
    tags = more.pop("tags", {})
    if source.is_secret:
        more.setdefault("key_id", MANAGED_KEY)
        more.setdefault("key_identity", more["key_id"])
    return DesiredParameter(name, source, tags, more.pop("tier", source.tier), **more)


def record(
    name: str = "/p/a",
    of: Parameter | None = None,
    version: int = 1,
    written: datetime = COPIED_AT,
    **more: Any,
) -> Record:
    """The record of a replica in `THERE` that was made from a source in `HERE`."""
    made_from = of or parameter(name)
    given: dict[str, Any] = {
        "source_version": made_from.version,
        "source_modified": made_from.last_modified,
        "version": version,
        "written": written,
        "origin": Origin.CREATED,
        "own": compose_own(THERE.arn(name), made_from.type, more.pop("spec_id", ID)),
        "source": digest(HERE.arn(made_from.name)),
        "key": key_digest(MANAGED_KEY) if made_from.is_secret else "none",
        "rewrite": "none",
    }
    return Record(**{**given, **more})


def store_error(kind: Trouble, operation: str = "PutParameter", code: str = "") -> StoreError:
    return StoreError(kind, place=str(THERE), operation=operation, code=code or kind.value, remedy="do that")


# A pure judge


@dataclass(frozen=True)
class Held:
    """A parameter with its value and tags. `broken`: its value cannot be read."""

    parameter: Parameter
    value: str = "v"
    tags: Tags = field(default_factory=dict)
    broken: str = ""

    @property
    def name(self) -> str:
        return self.parameter.name


def held(name: str = "/p/a", value: str = "v", kind: str = "String", version: int = 1, **more: Any) -> Held:
    tags = more.pop("tags", {})
    broken = more.pop("broken", "")
    return Held(parameter(name, kind, version, **more), value, tags, broken)


def replica(of: Held, value: str | None = None, *, owner: str = OWNED_BY, **more: Any) -> Held:
    """A replica in `THERE` as we left it, made from a source. What is given differs from that.

    `record`: changes to the record; `own_tags=False`: without our tags.
    """
    origin = more.pop("origin", Origin.CREATED)
    changes = more.pop("record", {})
    tags = dict(more.pop("tags", of.tags))
    owned = more.pop("own_tags", True)
    name = more.pop("name", of.parameter.name)
    broken = more.pop("broken", "")
    more.setdefault("last_modified", COPIED_AT)
    more.setdefault("last_modified_user", US)
    more.setdefault("version", 1)
    live = replace(of.parameter, name=name, **more)
    if owned:
        own = replace(record(name, of.parameter, origin=origin), **changes)
        tags |= ownership_tags(owner, own, source_name=of.parameter.name, name=name)
    return Held(live, of.value if value is None else value, tags, broken)


def _listing(place: Place, held_there: Iterable[Held], *, complete: bool = True) -> Listing:
    parameters = list(held_there)
    tags = {canonical(one.name): one.tags for one in parameters if one.tags}
    return listing(place, *(one.parameter for one in parameters), tags=tags, complete=complete)


def ring(place: Place, *aliases: str, **states: KeyState) -> Keyring:
    """A keyring in which each alias means a key of its own, and the managed key itself."""
    keys = {MANAGED_KEY: Key(MANAGED_KEY, managed=True)}
    for alias in aliases:
        identity = f"arn:aws:kms:{place.region}:{place.account}:key/{alias.removeprefix('alias/')}"
        keys[alias] = Key(identity, states.get(alias.removeprefix("alias/"), KeyState.USABLE))
    return Keyring(keys)


def key_arn(place: Place, alias: str) -> str:
    return ring(place, alias).identity(alias)


def _reading(one: Held, substitutions: Any, *, show: bool) -> Reading | UnreadableValue:
    if one.broken:
        trouble = Trouble.KEY if one.broken == "InvalidKeyId" else None
        return UnreadableValue(one.broken, "it cannot be read", trouble)
    at = one.parameter
    value = Value(canonical(at.name), at.type, at.version, at.last_modified, SealedText(one.value))
    return read(value, ValueRequest(value.name, tuple(substitutions), show), RUN_KEY)


@dataclass(frozen=True)
class Judged:
    """The result of the pure steps for a source and a target."""

    diff: TargetDiff
    proof: Proof
    desired: Mapping[str, DesiredParameter]

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.diff.changes

    @property
    def change(self) -> Change:
        (change,) = self.diff.changes
        return change

    @property
    def other(self) -> Other:
        (other,) = self.diff.others
        return other

    @property
    def rows(self) -> list[str]:
        """The rows of all addresses that show, and `in_sync` for each of the rest."""
        shown = [(c.name, c.row.value) for c in self.diff.changes]
        shown += [(o.name, o.row.value) for o in self.diff.others]
        return [row for _, row in sorted(shown)] + ["in_sync"] * self.diff.in_sync

    @property
    def row(self) -> str:
        (row,) = self.rows
        return row

    @property
    def reasons(self) -> str:
        both: list[Change | Other] = [*self.diff.changes, *self.diff.others]
        (one,) = both
        return "; ".join(one.reasons)

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.diff.findings]


def judge(
    source: Sequence[Held] | Held = (),
    live: Sequence[Held] | Held = (),
    *,
    spec: Replication | None = None,
    run: Run | None = None,
    source_complete: bool = True,
    source_ring: Keyring | None = None,
    target_ring: Keyring | None = None,
    now: datetime = NOW,
) -> Judged:
    """Puts everything into its row: resolve, prove, read what is asked for, diff."""
    spec = spec or replication()
    run = run or Run()
    at_source = [source] if isinstance(source, Held) else list(source)
    at_target = [live] if isinstance(live, Held) else list(live)
    here, there = _listing(HERE, at_source, complete=source_complete), _listing(THERE, at_target)
    aim = spec.targets[0]
    source_ring = source_ring or ring(HERE)
    target_ring = target_ring or ring(THERE)
    wanted = resolve(Route(spec, aim, here, there.place, source_ring, target_ring, now))
    proof = prove(spec, aim.name, wanted, here, there, run)
    by_source = {canonical(one.name): one for one in at_source}
    by_live = {canonical(one.name): one for one in at_target}
    readings = ValueReadings(
        source={
            address: _reading(by_source[canonical(q.name)], q.substitutions, show=q.show)
            for address, q in proof.source.items()
        },
        live={
            address: _reading(by_live[canonical(q.name)], q.substitutions, show=q.show)
            for address, q in proof.live.items()
        },
    )
    context = TargetContext(
        replication=spec,
        target=aim,
        claim=spec.claim(HERE),
        desired=wanted,
        source=here,
        live=there,
        ring=target_ring,
        run=run,
        settled=proof.equal,
        unproven=proof.unproven,
        readings=readings,
        as_of=now,
        only=tuple(Glob(text) for text in run.only),
    )
    return Judged(diff(context), proof, wanted)


# Changes and plans for guards


def change(effect: Any, name: str = "/p/a", **more: Any) -> Change:
    given: dict[str, Any] = {
        "replication": "prod",
        "target": "us-east-2",
        "name": name,
        "row": Row.UPDATE,
        "effect": effect,
        "expected": Preconditions(1, MADE, 1, COPIED_AT),
        "source_name": name,
    }
    return Change(**{**given, **more})


def creates(count: int, prefix: str = "/p/c") -> list[Change]:
    return [
        change(Create(desired(f"{prefix}{i:03}")), f"{prefix}{i:03}", row=Row.CREATE) for i in range(count)
    ]


def updates(count: int, prefix: str = "/p/u", **more: Any) -> list[Change]:
    names = [f"{prefix}{i:03}" for i in range(count)]
    return [change(Update(desired(name), TagDiff()), name, **more) for name in names]


def deletes(count: int, prefix: str = "/p/d", **more: Any) -> list[Change]:
    names = [f"{prefix}{i:03}" for i in range(count)]
    return [change(Delete(name), name, row=Row.DELETE, **more) for name in names]


def releases(count: int, prefix: str = "/p/l") -> list[Change]:
    names = [f"{prefix}{i:03}" for i in range(count)]
    before = TagDiff(before={OWNER: OWNED_BY, RECORD: "r"})
    return [change(Release(name, before), name, row=Row.DELETE) for name in names]


def replaces(count: int, prefix: str = "/p/r") -> list[Change]:
    names = [f"{prefix}{i:03}" for i in range(count)]
    return [change(Replace(desired(name)), name, row=Row.REPLACE) for name in names]


def retags(count: int, prefix: str = "/p/t") -> list[Change]:
    names = [f"{prefix}{i:03}" for i in range(count)]
    return [change(Retag(desired(name), TagDiff(), record(name)), name, row=Row.RETAG) for name in names]


def part(*changes: Change, replicas: int = 100, **more: Any) -> ReplicationPlan:
    """One replication with one target. `target`: fields of it."""
    aim = TargetPlan("us-east-2", str(THERE), replicas=replicas, **more.pop("target", {}))
    more.setdefault("selected", 100)
    return ReplicationPlan("prod", str(HERE), (aim,), tuple(changes), **more)


def plan_of(*changes: Change, mode: Mode = Mode.NORMAL, **narrowed: Any) -> Plan:
    return Plan((part(*changes),), mode=mode, narrowing=Narrowing(**narrowed))


def fates(plan: ReplicationPlan) -> dict[str, int]:
    """Return the number of changes by fate."""
    return {
        fate.value: sum(one.fate is fate for one in plan.changes)
        for fate in Fate
        if any(one.fate is fate for one in plan.changes)
    }


class Watched:
    """Keep all progress."""

    def __init__(self) -> None:
        self.all: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)


def outcome(report: Report, name: str = "/p/a") -> Outcome:
    (found,) = [one for one in report.outcomes if one.change.name == name]
    return found


def counted(plan: Plan | ReplicationPlan) -> dict[str, int]:
    """The summary without what is nought."""
    summary = plan.summary if isinstance(plan, Plan) else plan.summary()
    return {word: count for word, count in summary.items() if count}
