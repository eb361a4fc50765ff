"""A target -> its replicas on their own: each owner tag becomes a detached mark, or is given back.

    prod@123456789012/us-east-1   ->   detached:prod@123456789012/us-east-1      and back with `undo`

What is needed when the standby region goes live: from then on nothing writes, adopts or deletes there in
the name of this replication. The record stays, so that the way back is one tag as well. The source is
not asked for anything, since it may be what is down. Each parameter is confirmed right before its tag is
written, ends in an outcome, and is left alone when it is done already: a run that was cut short is
finished by running it again.

Costs a listing by owner tag (N/50 DescribeParameters, twice), then one read and one write a replica.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ssm_reconcile.apply.attempts import attempt
from ssm_reconcile.apply.work import (
    ChangeStopped,
    SourceTags,
    Work,
    raise_failed,
    raise_stale,
    raise_withheld,
)
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.clock import Clock, Stop
from ssm_reconcile.errors import PlaceError, StoreError
from ssm_reconcile.model import Place, Tags
from ssm_reconcile.partitions import partition_of
from ssm_reconcile.places import Places
from ssm_reconcile.progress import Phase, Progress, ProgressListener
from ssm_reconcile.record import DETACHED, OWNER, Claim, detached_from, record_of
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Replication, Run, Target
from ssm_reconcile.stores.base import Reader, Store


@dataclass(frozen=True, slots=True)
class Aim:
    """What to detach: the replicas of one replication in one target; `undo` takes them back.

    `claim` has the owner tags and ids that count as its own. `without_id`: so do replicas without an id.
    """

    spec: Replication
    target: Target
    store: Store
    claim: Claim
    undo: bool = False
    without_id: bool = False

    @property
    def before(self) -> tuple[str, ...]:
        """The owner tags of what is still to be done."""
        return tuple(DETACHED + owner for owner in self.claim.owners) if self.undo else self.claim.owners

    def after(self, owner: str) -> str:
        """What an owner tag becomes."""
        return owner.removeprefix(DETACHED) if self.undo else DETACHED + owner


@dataclass(frozen=True, slots=True, order=True)
class Handover:
    """What became of one replica. `reason` says why it was not done."""

    name: str
    result: Result
    reason: str = ""
    of_another_spec: bool = False


class AnotherSpec(ChangeStopped):
    """A replica of another spec with the same name was left alone."""


@dataclass(frozen=True, slots=True)
class Detachment:
    """What became of one replication in one target."""

    replication: str
    target: str
    place: str
    undo: bool
    handovers: tuple[Handover, ...]
    interrupted: bool = False

    @property
    def summary(self) -> dict[str, int]:
        """Outcomes by result; withheld is what only looks like a replica."""
        counts = Counter(one.result for one in self.handovers)
        return {result.value: counts[result] for result in Result}

    @property
    def of_another_spec(self) -> int:
        """Return how many replicas of another spec with the same name were left alone."""
        return sum(one.of_another_spec for one in self.handovers)

    @property
    def exit_code(self) -> int:
        """130 interrupted, 5 replicas of another spec stay, 3 not all of it was done, 0 done."""
        if self.interrupted:
            return 130
        if self.of_another_spec:
            return 5
        return 0 if all(one.result in {Result.APPLIED, Result.WITHHELD} for one in self.handovers) else 3


def aim_at(spec: Replication, target: str, places: Places, *, undo: bool, without_id: bool = False) -> Aim:
    """What `detach` is about; raises StoreError when the target cannot be reached.

    Raises PlaceError when the source cannot be reached either and the spec does not say its account,
    which is a part of the owner tag.
    """
    one = spec.target(target)
    store = places.store(one.access)
    return Aim(spec, one, store, spec.claim(_source(spec, one, places)), undo, without_id)


def _source(spec: Replication, target: Target, places: Places) -> Place:
    """The account and region of the source; asked of the source only where it answers."""
    access = spec.source.access
    found = places.opened[access]
    if not isinstance(found, StoreError):
        return found.place
    account = spec.source.account or (access.role_arn or "").split(":")[4:5]
    if not account and target.access.role_arn is None:
        account = places.store(target.access).place.account  # the same credentials, so the same account
    if not account:
        message = f"{spec.name}: the source cannot be reached ({found.code}), and its account is not known"
        raise PlaceError(message, f"write `source.account` into the spec ({spec.source.where})")
    return Place(
        account if isinstance(account, str) else account[0], access.region, partition_of(access.region)
    )


def find(reader: Reader, owners: Sequence[str]) -> frozenset[str]:
    """The canonical names of what carries one of these owner tags. Raises StoreError."""
    return reader.names_tagged(OWNER, owners)


def detach(
    aim: Aim, names: Iterable[str], clock: Clock, watch: ProgressListener, stop: Stop, parallelism: int
) -> Detachment:
    """Detaches those replicas, and what a second listing shows besides; never raises for one of them."""
    work = Work(*(aim.spec, aim.target, aim.store, aim.store), Run(), clock, stop, SourceTags(aim.store))
    done: dict[str, Handover] = {}
    left = frozenset(names)
    while left and not stop.is_set():
        with ThreadPoolExecutor(max_workers=max(1, parallelism)) as pool:
            for one in pool.map(lambda name: _one(work, aim, name), sorted(left)):
                done[one.name] = one
                watch(Progress(str(work.place), Phase.WRITING, len(done), max(len(done), len(left))))
        left = frozenset() if work.failure_reason or stop.is_set() else _again(aim, done)
    for name in left - done.keys():
        done[name] = Handover(name, Result.NOT_ATTEMPTED, "the run was stopped")
    return Detachment(
        replication=aim.spec.name,
        target=aim.target.name,
        place=str(work.place),
        undo=aim.undo,
        handovers=tuple(sorted(done.values())),
        interrupted=stop.is_set(),
    )


def _again(aim: Aim, done: dict[str, Handover]) -> frozenset[str]:
    """What a listing shows that the one before did not: it was written in between, or listings lagged."""
    try:
        return find(aim.store, aim.before) - done.keys()
    except StoreError:
        return frozenset()  # the first listing was whole; this one was for good measure


def _one(work: Work, aim: Aim, name: str) -> Handover:
    """One replica: looked at, and its owner tag written, right after."""
    if work.stop.is_set() or work.failure_reason:
        return Handover(name, Result.NOT_ATTEMPTED, work.failure_reason or "the run was stopped")
    owner = ""

    def check() -> None:
        nonlocal owner
        try:
            tags = aim.store.tags(name)
        except StoreError as failure:
            raise_failed(failure, doing="its ownership could not be confirmed")
        owner = _confirmed(aim, name, tags)

    def send() -> bool:
        aim.store.add_tags(name, {OWNER: aim.after(owner)})
        return True

    try:
        attempt(work, CallClass.TAGS, check=check, send=send, recover=lambda: None)
    except ChangeStopped as end:
        if end.failure is not None:
            work.record_failure(end.failure)
        reason = "" if end.result is Result.APPLIED else end.reason
        return Handover(name, end.result, reason, isinstance(end, AnotherSpec))
    except StoreError as failure:
        return Handover(name, Result.FAILED, f"{failure.operation}: {failure.code} - {failure.remedy}")
    return Handover(name, Result.APPLIED)


def _confirmed(aim: Aim, name: str, tags: Tags | None) -> str:
    """The owner tag that is to be changed; ends when it is done already, or not ours to do."""
    if tags is None:
        raise_stale("it is gone")
    owner = tags.get(OWNER, "")
    if owner in {aim.after(one) for one in aim.before}:
        raise ChangeStopped(Result.APPLIED, "it is done already")
    if owner not in aim.before:
        whose = f"is of {detached_from(tags) or owner}" if owner else "is gone"
        raise_stale(f"its owner tag {whose} by now")
    record = record_of(tags)
    if record is None or not record.is_for(aim.store.place.arn(name)):
        raise_withheld(
            "its record was written for another parameter: somebody copied the tags, it is no replica"
        )
    _refuse_another_id(aim, record.id_digest(aim.store.place.arn(name)))
    return owner


def _refuse_another_id(aim: Aim, found: str | None) -> None:
    """End one replica whose record has the id of another spec, or no id while the spec has one."""
    if found in aim.claim.ids:
        return
    if found is not None:
        reason = (
            "its record has another id: it is a replica of another spec with the same name."
            " If it is of this spec, list its id in `previous_ids`"
        )
        raise AnotherSpec(Result.WITHHELD, reason)
    if not aim.without_id:
        reason = (
            "its record has no id, and may be of another spec with the same name; --without-id includes it"
        )
        raise ChangeStopped(Result.NOT_ATTEMPTED, reason)
