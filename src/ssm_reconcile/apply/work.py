"""The context of one target during an apply, and the exception that stops one change."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.aws_limits import STANDARD_BYTES
from ssm_reconcile.change import Change, TagDiff
from ssm_reconcile.errors import Finding, Severity, StoreError, Trouble
from ssm_reconcile.model import ADVANCED, DesiredParameter, Listing, Place, SealedText, Tags, canonical
from ssm_reconcile.record import (
    Origin,
    Record,
    compose_own,
    digest,
    key_digest,
    ownership_tags,
    rewrite_digest,
)
from ssm_reconcile.report import ParameterVersion, Result, Written
from ssm_reconcile.shape import utf8_size
from ssm_reconcile.spec import Replication, Run, Target
from ssm_reconcile.stores.base import Put, Reader, Store
from ssm_reconcile.system import Clock, Stop

RECENT_SECONDS = 15.0
"""Age up to which tags that the plan read directly are not read again before a write that deletes nothing."""
UNREACHABLE_LIMIT = 3
"""Calls that may not reach the target before it is given up."""


class ChangeStopped(Exception):  # noqa: N818 - not an error: it carries the outcome of one change
    """One change was stopped before it was applied. `failure` is the call that failed, if one did."""

    def __init__(self, result: Result, reason: str, failure: StoreError | None = None) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason
        self.failure = failure

    @property
    def trouble(self) -> Trouble | None:
        """The kind of the call that failed."""
        return None if self.failure is None else self.failure.kind


def raise_stale(reason: str) -> NoReturn:
    """Stop a change: nothing was written, because source or target changed since the plan.

    Raises:
        ChangeStopped: always, with the result `stale`.
    """
    raise ChangeStopped(Result.STALE, reason)


def raise_withheld(reason: str) -> NoReturn:
    """Stop a change that would be risky now.

    Raises:
        ChangeStopped: always, with the result `withheld`.
    """
    raise ChangeStopped(Result.WITHHELD, reason)


def raise_failed(failure: StoreError, *, doing: str = "") -> NoReturn:
    """Stop a change because a call failed. `doing` says what could not be done.

    Raises:
        ChangeStopped: always, with the result `failed`.
    """
    raise ChangeStopped(Result.FAILED, failed_reason(failure, doing), failure)


def failed_reason(failure: StoreError, doing: str = "") -> str:
    """Return operation, code and remedy of a failed call; AWS's own message may quote a value."""
    text = f"{failure.operation}: {failure.code}"
    return " - ".join(part for part in (text, doing, failure.remedy) if part)


@dataclass(frozen=True, slots=True)
class RecentTags:
    """Tags of one place that the plan read by ListTagsForResource, for as long as they are recent.

    The tags of a listing by GetResources have no time and are never returned.
    """

    listing: Listing
    clock: Clock

    def of(self, name: str) -> Tags | None:
        """Return the tags of a parameter; None if they must be read again."""
        key = canonical(name)
        read_at = self.listing.tags_read_at.get(key)
        if read_at is None or self.clock.monotonic() - read_at > RECENT_SECONDS:
            return None
        return self.listing.tags_of(key)


@dataclass(slots=True)
class SourceTags:
    """The tags of source parameters by ListTagsForResource, read once for each name and run. Thread-safe.

    Attributes:
        source: The place of the source.
        recent: The reads of the plan, which are not repeated while they are recent.
    """

    source: Reader
    recent: RecentTags | None = None
    known: dict[str, Tags | StoreError | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    name_locks: dict[str, threading.Lock] = field(default_factory=dict)

    def of(self, name: str) -> Tags | None:
        """Return the tags of a source parameter; None if the parameter does not exist.

        Raises:
            StoreError: the read failed.
        """
        key = canonical(name)
        with self.lock:  # for the dictionary only, so that no thread waits for the read of another name
            name_lock = self.name_locks.setdefault(key, threading.Lock())
        with name_lock:  # a second thread waits here, and then finds the answer of the first
            if key not in self.known:
                recent = None if self.recent is None else self.recent.of(key)
                try:
                    self.known[key] = self.source.tags(name) if recent is None else recent
                except StoreError as failure:
                    self.known[key] = failure
        answer = self.known[key]
        if isinstance(answer, StoreError):
            raise answer
        return answer


@dataclass(slots=True)
class Work:
    """One target during an apply: source and target, clock, and what was written so far."""

    spec: Replication
    target: Target
    source: Reader
    store: Store
    run: Run
    clock: Clock
    stop: Stop
    source_tags: SourceTags
    recent: RecentTags | None = None
    """The tags of the target that the plan read."""
    findings: list[Finding] = field(default_factory=list)
    written: dict[str, int | None] = field(default_factory=dict)
    """Version by canonical name of the parameters that were written; None for deleted ones."""
    modified: dict[str, datetime] = field(default_factory=dict)
    """LastModifiedDate by canonical name of the written versions, as reads after the writes returned it."""
    tags_written: dict[str, TagDiff] = field(default_factory=dict)
    """By canonical name the tags before and after of those that a finished change wrote or removed."""
    recreated: set[str] = field(default_factory=set)
    """Canonical names of the parameters that were deleted and created again."""
    tagged: set[str] = field(default_factory=set)
    """Canonical names whose tags were written, or may have been: a response was lost."""
    keeps_mark: set[str] = field(default_factory=set)
    """Canonical names whose mark could not be removed."""
    failure_reason: str = ""
    """Why no more changes are started in this target; empty while they are."""
    unreachable: int = 0

    @property
    def place(self) -> Place:
        """The target's account and region."""
        return self.store.place

    def live_tags(self, name: str, doing: str, *, recent_suffice: bool = False) -> Tags | None:
        """Return the tags of a parameter of the target; a failed read stops the change.

        Args:
            name: the name of the parameter.
            doing: the step that fails without this read, for the message.
            recent_suffice: whether tags that the plan read in the last `RECENT_SECONDS` are returned.
        """
        recent = self.recent.of(name) if recent_suffice and self.recent is not None else None
        if recent is not None:
            return recent
        try:
            return self.store.tags(name)
        except StoreError as failure:
            raise_failed(failure, doing=doing)

    def state_of(self, change: Change) -> Written:
        """Return the state before and after an applied change; call it after the reads that verify."""
        name, expected = canonical(change.name), change.expected
        before = None if expected.version is None else ParameterVersion(expected.version, expected.modified)
        version = self.written.get(name, expected.version)
        after = None if version is None else ParameterVersion(version, self.modified.get(name))
        return Written(before, after, self.tags_written.get(name), recreated=name in self.recreated)

    def note_tags(self, change: Change, before: Tags, after: Tags) -> None:
        """Keep the tags that a change wrote or removed, for the report.

        Args:
            change: the change.
            before: the tags before it; those that it did not change may be among them.
            after: the tags after it, likewise.
        """
        keys = {key for key in {*before, *after} if before.get(key) != after.get(key)}
        self.tags_written[canonical(change.name)] = TagDiff(
            {key: before[key] for key in sorted(keys) if key in before},
            {key: after[key] for key in sorted(keys) if key in after},
        )

    def warn(self, code: str, change: Change, message: str) -> None:
        """Add a warning about one change to the report.

        Args:
            code: the message code of the finding.
            change: the change.
            message: the text after the name of the parameter.
        """
        where = f"{change.target} {change.name}"
        self.findings.append(Finding(Severity.WARNING, code, f"{change.name}: {message}", where))

    def record_failure(self, failure: StoreError) -> None:
        """Stop the target when its credentials are not valid, or after three unreachable calls."""
        if failure.kind is Trouble.CREDENTIALS:
            self.failure_reason = f"{failure.operation}: {failure.code}. {failure.remedy}"
        elif failure.kind is Trouble.UNREACHABLE:
            self.unreachable += 1
            if self.unreachable >= UNREACHABLE_LIMIT:
                self.failure_reason = f"{failure.place} cannot be reached ({failure.code})"

    def record(self, change: Change, version: int, origin: Origin) -> Record:
        """Return the record for a write.

        Args:
            change: the change.
            version: the version of the replica that the write makes or has made.
            origin: how the parameter became a replica.
        """
        desired, expected = change.wanted, change.expected
        source = desired.source
        return Record(
            source_version=expected.source_version or source.version,
            source_modified=expected.source_modified or source.last_modified,
            version=version,
            written=self.clock.now(),
            origin=origin,
            own=compose_own(self.place.arn(change.name), source.type, self.spec.id),
            source=digest(self.source.place.arn(source.name)),
            key=key_digest(desired.key_identity),
            rewrite=rewrite_digest(desired.substitutions),
        )

    def ownership(self, change: Change, record: Record) -> dict[str, str]:
        """Return our own tags for a replica."""
        owner = self.spec.owner(self.source.place)
        return ownership_tags(owner, record, source_name=change.wanted.source.name, name=change.name)


def tier_of(desired: DesiredParameter, text: SealedText) -> str:
    """Return the tier to request: a large value that the plan did not read needs Advanced."""
    large = desired.may_rise and utf8_size(text.reveal()) > STANDARD_BYTES
    return ADVANCED if large else desired.tier


def put_request(change: Change, text: SealedText, tags: Tags | None) -> Put:
    """Return the complete PutParameter.

    Args:
        change: the change.
        text: the value.
        tags: the tags of a create; None for an overwrite, which AWS refuses with tags.
    """
    desired = change.wanted
    source = desired.source
    live_has_policies = any(one.attribute == "policies" for one in change.differences)
    return Put(
        name=change.name,
        text=text,
        type=source.type,
        overwrite=tags is None,
        tier=tier_of(desired, text),
        clears_policies=tags is None and not source.policies and live_has_policies,
        **{one.field: getattr(source, one.field) for one in COPIED},
        key_id=desired.key_id if source.is_secret else None,
        tags=tags,
    )
