"""What one target's apply works with, and the trouble that ends one change."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.aws_limits import STANDARD_BYTES
from ssm_reconcile.change import Change
from ssm_reconcile.clock import Clock, Stop
from ssm_reconcile.errors import Finding, Severity, StoreError, Trouble
from ssm_reconcile.model import ADVANCED, Desired, Place, Sealed, Tags, canonical
from ssm_reconcile.record import (
    Origin,
    Record,
    compose_own,
    digest,
    key_digest,
    ownership_tags,
    rewrite_digest,
)
from ssm_reconcile.report import Result
from ssm_reconcile.shape import size_of
from ssm_reconcile.spec import Replication, Run, Target
from ssm_reconcile.stores.base import Put, Reader, Store


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of one replication and target: the source is only ever read."""

    spec: Replication
    target: Target
    source: Reader
    store: Store


class Ended(Exception):  # noqa: N818 - not an error: how one change ended, told from deep inside
    """One change has ended without being applied; `failure` is the call that ended it, if one did."""

    def __init__(self, result: Result, reason: str, failure: StoreError | None = None) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason
        self.failure = failure


def stale(reason: str) -> NoReturn:
    """Ends a change: nothing was written, the world had moved."""
    raise Ended(Result.STALE, reason)


def withheld(reason: str) -> NoReturn:
    """Ends a change: it must not be done now."""
    raise Ended(Result.WITHHELD, reason)


def failed(failure: StoreError, *, doing: str = "") -> NoReturn:
    """Ends a change: operation, code and our own sentence; AWS's message may quote the value."""
    text = f"{failure.operation}: {failure.code}"
    raise Ended(Result.FAILED, " - ".join(part for part in (text, doing, failure.remedy) if part), failure)


@dataclass(slots=True)
class SourceTags:
    """The tags of source parameters, read directly, once a name and run."""

    source: Reader
    known: dict[str, Tags | StoreError | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    asking: dict[str, threading.Lock] = field(default_factory=dict)

    def of(self, name: str) -> Tags | None:
        """The tags of a source parameter, None when it is gone; raises the error of the first try."""
        key = canonical(name)
        with self.lock:
            mine = self.asking.setdefault(key, threading.Lock())
        with mine:
            if key not in self.known:
                try:
                    self.known[key] = self.source.tags(name)
                except StoreError as failure:
                    self.known[key] = failure
        answer = self.known[key]
        if isinstance(answer, StoreError):
            raise answer
        return answer


@dataclass(slots=True)
class Work:
    """One target while it is being written: its ends, its clock, and what has been learnt."""

    ends: Ends
    run: Run
    clock: Clock
    stop: Stop
    source_tags: SourceTags
    findings: list[Finding] = field(default_factory=list)
    written: dict[str, int | None] = field(default_factory=dict)
    """Version by canonical name of what was written here; None for what was deleted."""
    tagged: set[str] = field(default_factory=set)
    """Canonical names whose tags were written here, or may have been: an answer was lost."""
    dead: str = ""
    """Why nothing more can be done in this target, once that is known."""
    unreachable: int = 0

    @property
    def place(self) -> Place:
        """The target's account and region."""
        return self.ends.store.place

    def note(self, code: str, change: Change, message: str) -> None:
        """A finding about one change."""
        where = f"{change.target} {change.name}"
        self.findings.append(Finding(Severity.WARNING, code, f"{change.name}: {message}", where))

    def learn(self, failure: StoreError) -> None:
        """Gives up on a target whose credentials are gone, or that is not reached again and again."""
        if failure.kind is Trouble.CREDENTIALS:
            self.dead = f"{failure.operation}: {failure.code}. {failure.remedy}"
        elif failure.kind is Trouble.UNREACHABLE:
            self.unreachable += 1
            if self.unreachable >= UNREACHABLE_LIMIT:
                self.dead = f"{failure.place} cannot be reached ({failure.code})"

    def record(self, change: Change, desired: Desired, version: int, origin: Origin) -> Record:
        """The record of a write that is about to happen, or has just answered with a version."""
        source = desired.source
        expected = change.expected
        return Record(
            source_version=expected.source_version or source.version,
            source_modified=expected.source_modified or source.last_modified,
            version=version,
            written=self.clock.now(),
            origin=origin,
            own=compose_own(self.place.arn(change.name), source.type, self.ends.spec.id),
            source=digest(self.ends.source.place.arn(source.name)),
            key=key_digest(desired.key_identity),
            rewrite=rewrite_digest(desired.substitutions),
        )

    def ownership(self, desired: Desired, name: str, record: Record) -> dict[str, str]:
        """Our own tags for a replica."""
        owner = self.ends.spec.owner(self.ends.source.place)
        return ownership_tags(owner, record, source_name=desired.source.name, name=name)


UNREACHABLE_LIMIT = 3


def tier_of(desired: Desired, text: Sealed) -> str:
    """Return the tier to request for a value; a value that the plan did not read may need Advanced."""
    large = desired.may_rise and size_of(text.reveal()) > STANDARD_BYTES
    return ADVANCED if large else desired.tier


def request(
    desired: Desired, name: str, text: Sealed, *, tags: Mapping[str, str] | None, clears: bool = False
) -> Put:
    """Return the complete PutParameter: an overwrite without tags, a create with them.

    `clears`: the live parameter has policies, and the source has none.
    """
    source = desired.source
    return Put(
        name=name,
        text=text,
        type=source.type,
        overwrite=tags is None,
        tier=tier_of(desired, text),
        clears_policies=clears,
        **{one.field: getattr(source, one.field) for one in COPIED},
        key_id=desired.key_id if source.is_secret else None,
        tags=tags,
    )
