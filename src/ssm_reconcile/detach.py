"""Target -> its replicas detached from their replication, or reattached with `undo`: one owner tag each.

    prod@123456789012/us-east-1   ->   detached:prod@123456789012/us-east-1      and back with `undo`

For a failover: no run of this replication writes, adopts or deletes a detached replica. The record stays, so
one tag is enough to undo it. The mark of a replica that waits for its deletion is removed before the owner
tag is written, in both directions. The source is not read, because it may be the region that failed. Each
owner tag is read directly before it is written. A replica that is already detached is a success, so an
interrupted run can be repeated.

Cost: two listings by owner tag (N/50 DescribeParameters each), then one read and one write for each replica,
and a second write for each mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ssm_reconcile.apply.attempts import send_write
from ssm_reconcile.apply.work import (
    ChangeStopped,
    SourceTags,
    Work,
    raise_stale,
    raise_withheld,
)
from ssm_reconcile.aws_limits import CallClass, partition_of
from ssm_reconcile.errors import PlaceError, StoreError
from ssm_reconcile.model import Place, Tags
from ssm_reconcile.record import DETACHED, EXPIRES, OWNER, Claim, detached_from, record_of
from ssm_reconcile.report import Result
from ssm_reconcile.session import Places
from ssm_reconcile.spec import Replication, Run, Target
from ssm_reconcile.stores.base import Store
from ssm_reconcile.system import Clock, Phase, Progress, ProgressListener, Stop


@dataclass(frozen=True, slots=True)
class DetachRequest:
    """The replicas of one replication in one target, to detach or, with `undo`, to reattach.

    `claim` has the owner tags and ids of the replication. `without_id` includes replicas without an id.
    """

    spec: Replication
    target: Target
    store: Store
    claim: Claim
    undo: bool = False
    without_id: bool = False

    @property
    def owners(self) -> tuple[str, ...]:
        """The owner tags of replicas that are not yet changed."""
        return tuple(DETACHED + owner for owner in self.claim.owners) if self.undo else self.claim.owners

    def find_replicas(self) -> frozenset[str]:
        """Return the canonical names of parameters with one of `owners`. Raises StoreError."""
        return self.store.names_tagged(OWNER, self.owners)

    def new_owner(self, owner: str) -> str:
        """Return the owner tag that replaces `owner`."""
        return owner.removeprefix(DETACHED) if self.undo else DETACHED + owner


@dataclass(frozen=True, slots=True, order=True)
class DetachOutcome:
    """The result for one replica, with the reason if it was not changed."""

    name: str
    result: Result
    reason: str = ""
    of_another_spec: bool = False


class AnotherSpecStopped(ChangeStopped):
    """The replica belongs to another spec with the same name."""


@dataclass(frozen=True, slots=True)
class DetachReport:
    """The results for one replication in one target."""

    replication: str
    target: str
    place: str
    undo: bool
    outcomes: tuple[DetachOutcome, ...]
    interrupted: bool = False

    @property
    def summary(self) -> dict[str, int]:
        """The number of replicas by result; parameters with copied tags are `withheld`."""
        counts = Counter(one.result for one in self.outcomes)
        return {result.value: counts[result] for result in Result}

    @property
    def of_another_spec(self) -> int:
        """The number of replicas of another spec with the same name; they are not changed."""
        return sum(one.of_another_spec for one in self.outcomes)

    @property
    def exit_code(self) -> int:
        """130 interrupted, 5 replicas of another spec remain, 3 incomplete, 0 done."""
        if self.interrupted:
            return 130
        if self.of_another_spec:
            return 5
        return 0 if all(one.result in {Result.APPLIED, Result.WITHHELD} for one in self.outcomes) else 3


def resolve_request(
    spec: Replication, target: str, places: Places, *, undo: bool, without_id: bool = False
) -> DetachRequest:
    """Return the request for a target of a replication.

    Args:
        spec: The replication.
        target: The name of one of its targets.
        places: The opened places; the source may have failed to open.
        undo: Reattach the replicas.
        without_id: Include replicas whose record has no id.

    Raises:
        StoreError: The target cannot be reached.
        PlaceError: The source cannot be reached, and the spec does not name its account, which is a part of
            the owner tag.
    """
    one = spec.target(target)
    store = places.store(one.access)
    return DetachRequest(spec, one, store, spec.claim(_source(spec, one, places)), undo, without_id)


def _source(spec: Replication, target: Target, places: Places) -> Place:
    """Return the account and region of the source, also if the source cannot be reached."""
    access = spec.source.access
    found = places.opened[access]
    if not isinstance(found, StoreError):
        return found.place
    account = spec.source.account
    if account is None and access.role_arn is not None:
        account = access.role_arn.split(":")[4]
    if account is None and target.access.role_arn is None:
        account = places.store(target.access).place.account  # the same credentials, so the same account
    if account is None:
        message = f"{spec.name}: the source cannot be reached ({found.code}), and its account is not known"
        raise PlaceError(message, f"write `source.account` into the spec ({spec.source.where})")
    return Place(account, access.region, partition_of(access.region))


def detach(
    request: DetachRequest,
    names: Iterable[str],
    clock: Clock,
    watch: ProgressListener,
    stop: Stop,
    parallelism: int,
) -> DetachReport:
    """Detach the replicas, and those that only the second listing shows. One failure does not stop the rest.

    Args:
        request: The replication and target.
        names: The canonical names that the first listing returned.
        clock: The clock for retries.
        watch: Called with the progress.
        stop: Set by a signal; the remaining replicas are reported as not attempted.
        parallelism: The maximum number of replicas at a time.
    """
    work = Work(
        *(request.spec, request.target, request.store, request.store),
        Run(),
        clock,
        stop,
        SourceTags(request.store),
    )
    done: dict[str, DetachOutcome] = {}
    left = frozenset(names)
    while left and not stop.is_set():
        with ThreadPoolExecutor(max_workers=max(1, parallelism)) as pool:
            for one in pool.map(lambda name: _one(work, request, name), sorted(left)):
                done[one.name] = one
                watch(Progress(str(work.place), Phase.WRITING, len(done), max(len(done), len(left))))
        left = frozenset() if work.failure_reason or stop.is_set() else _listed_late(request, done)
    for name in left - done.keys():
        done[name] = DetachOutcome(name, Result.NOT_ATTEMPTED, "the run was stopped")
    return DetachReport(
        replication=request.spec.name,
        target=request.target.name,
        place=str(work.place),
        undo=request.undo,
        outcomes=tuple(sorted(done.values())),
        interrupted=stop.is_set(),
    )


def _listed_late(request: DetachRequest, done: dict[str, DetachOutcome]) -> frozenset[str]:
    """Return the replicas that the first listing did not show: new ones, or because listings lag."""
    try:
        return request.find_replicas() - done.keys()
    except StoreError:
        return frozenset()  # the first listing was complete; this one is a second check


def _one(work: Work, request: DetachRequest, name: str) -> DetachOutcome:
    """Read the tags of one replica and write its owner tag directly after."""
    if work.stop.is_set() or work.failure_reason:
        return DetachOutcome(name, Result.NOT_ATTEMPTED, work.failure_reason or "the run was stopped")
    owner, is_marked = "", False

    def check() -> None:
        nonlocal owner, is_marked
        tags = work.live_tags(name, "its ownership could not be confirmed")
        owner = _confirmed(request, name, tags)
        is_marked = EXPIRES in (tags or {})

    def send() -> bool:
        if is_marked:
            request.store.remove_tags(name, (EXPIRES,))
            request.store.await_turn(CallClass.TAGS)
        request.store.add_tags(name, {OWNER: request.new_owner(owner)})
        return True

    try:
        send_write(work, CallClass.TAGS, check=check, send=send, recover=lambda: None)
    except ChangeStopped as stopped:
        if stopped.failure is not None:
            work.record_failure(stopped.failure)
        reason = "" if stopped.result is Result.APPLIED else stopped.reason
        return DetachOutcome(name, stopped.result, reason, isinstance(stopped, AnotherSpecStopped))
    except StoreError as failure:
        return DetachOutcome(name, Result.FAILED, f"{failure.operation}: {failure.code} - {failure.remedy}")
    return DetachOutcome(name, Result.APPLIED)


def _confirmed(request: DetachRequest, name: str, tags: Tags | None) -> str:
    """Return the owner tag to change.

    Raises:
        ChangeStopped: The tag is already changed, or the parameter is not a replica of this replication.
    """
    if tags is None:
        raise_stale("it no longer exists")
    owner = tags.get(OWNER, "")
    if owner in {request.new_owner(one) for one in request.owners}:
        raise ChangeStopped(Result.APPLIED, "already done")
    if owner not in request.owners:
        whose = f"is {detached_from(tags) or owner} now" if owner else "is gone"
        raise_stale(f"its owner tag {whose}")
    record = record_of(tags)
    if record is None:
        # Not `withheld` as copied tags are, with exit code 0: this may be a replica that stays attached.
        reason = (
            "its record is missing or cannot be read. If a later version of ssm-reconcile wrote it,"
            " run this command with that version"
        )
        raise ChangeStopped(Result.FAILED, reason)
    if not record.is_for(request.store.place.arn(name)):
        raise_withheld(
            "its record belongs to another parameter: the tags were copied, and it is not a replica"
        )
    _refuse_another_id(request, record.id_digest(request.store.place.arn(name)))
    return owner


def _refuse_another_id(request: DetachRequest, found: str | None) -> None:
    """Raise ChangeStopped for a record with the id of another spec, or without an id if the spec has one."""
    if found in request.claim.ids:
        return
    if found is not None:
        reason = (
            "its record has another id: it is a replica of another spec with the same name."
            " If it is of this spec, list its id in `previous_ids`"
        )
        raise AnotherSpecStopped(Result.WITHHELD, reason)
    if not request.without_id:
        reason = (
            "its record has no id, and may be of another spec with the same name; --without-id includes it"
        )
        raise ChangeStopped(Result.NOT_ATTEMPTED, reason)
