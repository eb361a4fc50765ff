"""Tags: those of the source, and our own that make the parameter a replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import attempt
from ssm_reconcile.apply.work import Ended, Work, failed
from ssm_reconcile.aws_limits import TAG_LIMIT
from ssm_reconcile.change import Adopt, Change, Release, Retag, TagDiff
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import SECURE, Desired, Tags, canonical
from ssm_reconcile.record import SOURCE, Record, Standing, keyless
from ssm_reconcile.report import Result
from ssm_reconcile.stores.base import Step

Look: TypeAlias = Callable[[], None]


def retag(work: Work, change: Change, effect: Retag) -> str:
    """Brings the tags of a replica, and its record, in line. No new version."""
    checks.source_still_wants(work, change, effect.desired)
    wanted = Standing.OURS
    live = checks.target_tags(work, change, wanted)
    look = partial(checks.live_version, work, change)
    write_tags(work, change, effect.desired, effect.tags, effect.record, live, look=look, wanted=wanted)
    work.written[canonical(change.name)] = effect.record.version
    return ""


def adopt(work: Work, change: Change, effect: Adopt) -> str:
    """Takes ownership of an equal parameter that is still nobody's."""
    checks.source_still_wants(work, change, effect.desired)
    wanted = Standing.FREE
    live = checks.target_tags(work, change, wanted)
    look = partial(checks.live_version, work, change)
    write_tags(work, change, effect.desired, effect.tags, effect.record, live, look=look, wanted=wanted)
    work.written[canonical(change.name)] = effect.record.version
    return ""


def release(work: Work, change: Change, effect: Release) -> str:
    """Takes our tags off an adopted replica whose source is gone; its value stays."""
    checks.target_tags(work, change, Standing.OURS)

    def look() -> None:
        checks.live_version(work, change)
        checks.refuse_unless_gone(work, change)

    remove_tags(work, change, effect.tags.removed, look, Standing.OURS)
    return ""


def nothing_to_look_at() -> None:
    """The check of a write that follows another one of the same change."""


def write_tags(
    work: Work,
    change: Change,
    desired: Desired,
    tags: TagDiff,
    record: Record,
    live: Tags,
    *,
    look: Look = nothing_to_look_at,
    wanted: Standing | None = None,
) -> None:
    """Adds and removes what differs, the record among it; two calls at most.

    `look` is called right before the first of them and ends the change when something has moved. Where
    the sum would pass AWS's limit of 50, what goes is removed before what comes is added. `wanted` is the
    standing to confirm before a repeated first call; None where the value was written before. The record is
    of this moment: tags may move LastModifiedDate, and must not make the replica look younger.
    """
    record = keyless(replace(record, written=work.clock.now()), live, secret=was_secret(change))
    added = {**tags.added, **work.ownership(desired, change.name, record)}
    removed = [key for key in tags.removed if key in live]
    if SOURCE in live and SOURCE not in added:
        removed.append(SOURCE)
    users = {key for key in live if not key.startswith("aws:")}
    first = bool(removed) and len(users | added.keys()) > TAG_LIMIT
    if first:
        remove_tags(work, change, removed, look, wanted)
    add_tags(work, change, added, look, wanted)
    if removed and not first:
        remove_tags(work, change, removed, look, wanted)


def was_secret(change: Change) -> bool:
    """Whether what is there is a SecureString, and is not to be one any more."""
    return any(one.attribute == "type" and one.before == SECURE for one in change.differences)


def add_tags(
    work: Work, change: Change, tags: Mapping[str, str], look: Look, wanted: Standing | None
) -> None:
    """AddTagsToResource. After a lost answer it is simply said again: it adds the same tags."""
    _send(work, change, lambda: work.ends.store.add_tags(change.name, tags), look, wanted)


def remove_tags(
    work: Work, change: Change, keys: list[str] | tuple[str, ...], look: Look, wanted: Standing | None
) -> None:
    """RemoveTagsFromResource. After a lost answer it is simply said again."""
    _send(work, change, lambda: work.ends.store.remove_tags(change.name, keys), look, wanted)


def _send(work: Work, change: Change, write: Callable[[], None], look: Look, wanted: Standing | None) -> None:
    name = canonical(change.name)

    def check() -> None:
        """Only before anything was written: tags of our own may have moved LastModifiedDate (B9)."""
        if name not in work.tagged:
            look()

    def confirm() -> None:
        if wanted is not None and name not in work.tagged:
            checks.target_tags(work, change, wanted)

    def send() -> bool:
        try:
            write()
        except StoreError as failure:
            if failure.kind is Trouble.LOST:
                work.tagged.add(name)
            raise
        work.tagged.add(name)
        return True

    begun = name in work.tagged or name in work.written
    try:
        attempt(work, Step.TAG, check=check, send=send, landed=lambda: None, confirm=confirm, begun=begun)
    except Ended as end:
        if name not in work.tagged and name not in work.written:
            raise
        raise Ended(Result.FAILED, f"{end.reason}; a part of it was written, the next run mends it") from None
    except StoreError as failure:
        written = name in work.written
        failed(
            failure,
            doing="its value was written, its tags were not; the next run mends it" if written else "",
        )
