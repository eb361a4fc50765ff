"""Tags of a replica: the tags of its source, and our own that make it a replica."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import send_write
from ssm_reconcile.apply.work import ChangeStopped, Work, raise_failed, raise_stale
from ssm_reconcile.aws_limits import RESERVED_TAG_PREFIX, TAG_LIMIT, CallClass
from ssm_reconcile.change import Adopt, Change, Mark, Release, Retag, TagDiff, Unmark
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import SECURE, Tags, canonical
from ssm_reconcile.record import (
    CLEARED,
    EXPIRES,
    SOURCE,
    ExpiryMark,
    Record,
    Standing,
    digest,
    mark_former_secret,
    mark_of,
    record_of,
)
from ssm_reconcile.report import Result

WriteCheck: TypeAlias = Callable[[], None]
MARK_MAY_COUNT = (
    "its mark may still count if its source is deleted again: the next run removes it, or remove the tag"
    f" {EXPIRES} yourself"
)


def retag_or_adopt(work: Work, change: Change, effect: Retag | Adopt) -> str:
    """Bring tags and record up to date, or take ownership of an equal parameter; the version stays.

    A retagged parameter must still be ours, an adopted one must still have no owner.

    Args:
        work: the target.
        change: the change.
        effect: the tags to add and to remove, and the new record.

    Raises:
        ChangeStopped: stale where source or target have changed; failed where a call failed.
    """
    checks.check_source(work, change)
    standing = Standing.OURS if isinstance(effect, Retag) else Standing.FREE
    live = checks.confirm_target(work, change, standing, recent_suffice=True)
    check = partial(checks.check_version, work, change)
    write_tags(work, change, effect.tags, effect.record, live, check=check, standing=standing)
    work.written[canonical(change.name)] = effect.record.version
    return ""


def release(work: Work, change: Change, effect: Release) -> str:
    """Remove our tags from an adopted replica whose source is gone; its value stays.

    Args:
        work: the target.
        change: the change.
        effect: the tags to remove.

    Raises:
        ChangeStopped: stale where the source exists again or the target has changed; failed where a call
            failed.
    """
    live = checks.confirm_target(work, change, Standing.OURS)
    checks.check_mark(work, change, live)

    def check() -> None:
        checks.check_version(work, change)
        checks.check_source_gone(work, change)

    remove = partial(work.store.remove_tags, change.name, effect.tags.removed)
    _send(work, change, remove, check, Standing.OURS)
    work.written[canonical(change.name)] = change.expected.version
    work.note_tags(change, live, {key: live[key] for key in live if key not in effect.tags.removed})
    return ""


def mark(work: Work, change: Change, effect: Mark) -> str:
    """Write the mark of a replica whose source is gone. Its time begins now, however old the plan is.

    Args:
        work: the target.
        change: the change.
        effect: the time until a run deletes the replica.

    Raises:
        ChangeStopped: withheld where the source exists again; stale where the target has changed or has a
            mark already; failed where a call failed.
    """
    live, arn = checks.confirm_target(work, change, Standing.OURS), work.place.arn(change.name)
    record = record_of(live)
    assert record is not None  # otherwise it would not be ours
    if mark_of(live, arn) is not None:
        raise_stale("it has a mark already")

    def check() -> None:
        checks.check_version(work, change)
        checks.check_source_gone(work, change)

    def write() -> None:
        expires = work.clock.now() + effect.after + timedelta(seconds=1)  # whole seconds, and never too early
        written = {EXPIRES: ExpiryMark(expires, digest(arn), record.source_version).text()}
        work.note_tags(change, live, {**live, **written})
        work.store.add_tags(change.name, written)

    _send(work, change, write, check, Standing.OURS)
    work.written[canonical(change.name)] = change.expected.version
    return ""


def unmark(work: Work, change: Change, effect: Unmark) -> str:
    """Remove the mark of a replica whose source exists again, whatever version the replica has by then.

    Args:
        work: the target.
        change: the change.
        effect: the tags to remove.

    Raises:
        ChangeStopped: stale where the replica is not ours, has opted out, or has another mark than the plan
            saw; failed where a call failed.
    """
    try:
        live = checks.confirm_target(work, change, Standing.OURS)
    except ChangeStopped as stopped:
        if stopped.result is not Result.FAILED:
            raise
        reason = f"{stopped.reason}; {MARK_MAY_COUNT}"
        raise ChangeStopped(Result.FAILED, reason, stopped.failure) from None
    if live.get(EXPIRES) != effect.tags.before[EXPIRES]:
        raise_stale(checks.MARK_CHANGED)
    send_tags(work, change, {}, effect.tags.removed, live, standing=Standing.OURS)
    return ""


def remove_mark(work: Work, change: Change, standing: Standing) -> Change:
    """Remove a mark before a new version is written; return the change with the present time of the replica.

    A run that is killed after the write of the value would leave a mark that counts: the record, which names
    the source version, is written last. Tags may move LastModifiedDate (not documented).

    Args:
        work: the target.
        change: the change.
        standing: confirmed before a repetition.

    Raises:
        ChangeStopped: stale where the target has changed; failed where a call failed.
    """
    _send_removal(work, change, (EXPIRES,), partial(checks.check_version, work, change), standing)
    value = checks.live_value(work, change, decrypt=False, doing="its version could not be confirmed")
    if value is None:
        raise_stale("it is gone")
    if value.version != change.expected.version:
        raise_stale(checks.version_moved(change, value))
    return replace(change, expected=replace(change.expected, modified=value.last_modified))


def write_tags(
    work: Work,
    change: Change,
    tags: TagDiff,
    record: Record,
    live: Tags,
    *,
    check: WriteCheck = lambda: None,
    standing: Standing | None = None,
) -> None:
    """Add and remove tags, our record among them, with at most two calls.

    Args:
        work: the target.
        change: the change.
        tags: the tags to add and to remove.
        record: the record to write. Its time is set to now: tags may move LastModifiedDate (not documented),
            and the replica must not look changed after its record.
        live: the tags that the parameter has.
        check: called right before the first call; it stops the change when the parameter has changed.
        standing: confirmed before a repetition of the first call; None where the value was written before.
    """
    record = mark_former_secret(replace(record, written=work.clock.now()), live, secret=was_secret(change))
    added = {**tags.added, **work.ownership(change, record)}
    outdated = {EXPIRES} if SOURCE in added else {EXPIRES, SOURCE}
    removed = [key for key in sorted({*tags.removed, *outdated}) if key in live]
    send_tags(work, change, added, removed, live, check=check, standing=standing)


def send_tags(
    work: Work,
    change: Change,
    added: Tags,
    removed: Sequence[str],
    live: Tags,
    *,
    removes_first: bool = False,
    check: WriteCheck = lambda: None,
    standing: Standing | None = None,
) -> None:
    """Add and remove tags with at most two calls.

    Args:
        work: the target.
        change: the change.
        added: the tags to add or to overwrite; at least one, or one is removed.
        removed: the keys to remove.
        live: as for `write_tags`.
        removes_first: whether tags are removed before others are added, also where there is room for all.
        check: as for `write_tags`.
        standing: as for `write_tags`.
    """
    countable = {key for key in live if not key.startswith(RESERVED_TAG_PREFIX)}
    add = partial(_send, work, change, partial(work.store.add_tags, change.name, added), check, standing)
    calls = [add] if added else []
    calls += [partial(_send_removal, work, change, removed, check, standing)] if removed else []
    # AWS counts the tags after each call, so the removal comes first where the sum would pass the limit. So
    # does that of a mark: a run that is killed in between must not leave a mark that counts.
    if removes_first or len(countable | added.keys()) > TAG_LIMIT or EXPIRES in removed:
        calls.reverse()
    for call in calls:
        call()
    work.note_tags(change, live, {key: tag for key, tag in {**live, **added}.items() if key not in removed})


def was_secret(change: Change) -> bool:
    """Whether the live parameter is a SecureString and the change makes it plain."""
    return any(one.attribute == "type" and one.before == SECURE for one in change.differences)


def _send_removal(
    work: Work, change: Change, keys: Sequence[str], check: WriteCheck, standing: Standing | None
) -> None:
    """Remove tags. If the call fails, overwrite a mark among them with a text that does not count.

    Otherwise the old time would count when the source goes again. AWS may refuse one call and not the other,
    the overwritten tag needs no room, and the version does not matter. The change fails in any case,
    and a later run removes the tag.
    """
    remove = partial(work.store.remove_tags, change.name, keys)
    try:
        _send(work, change, remove, check, standing)
    except ChangeStopped as stopped:
        if EXPIRES not in keys or stopped.result is not Result.FAILED:
            raise
        work.keeps_mark.add(canonical(change.name))
        overwrite = partial(work.store.add_tags, change.name, {EXPIRES: CLEARED})
        try:
            _send(work, change, overwrite, lambda: None, standing)
        except ChangeStopped:
            reason = f"{stopped.reason}; {MARK_MAY_COUNT}"
            raise ChangeStopped(Result.FAILED, reason, stopped.failure) from None
        reason = f"{stopped.reason}; its mark does not count any more; the next run removes it"
        raise ChangeStopped(Result.FAILED, reason, stopped.failure) from None


def _send(
    work: Work, change: Change, write: Callable[[], None], check: WriteCheck, standing: Standing | None
) -> None:
    """Write tags. After a lost response the call is repeated: the result is the same."""
    name = canonical(change.name)

    def check_before_first() -> None:
        # Our own tags may move LastModifiedDate (not documented), so later checks would fail by our own
        # write.
        if name not in work.tagged:
            check()

    def confirm() -> None:
        if standing is not None and name not in work.tagged:
            checks.confirm_target(work, change, standing)

    def send() -> bool:
        try:
            write()
        except StoreError as failure:
            if failure.kind is Trouble.LOST:
                work.tagged.add(name)
            raise
        work.tagged.add(name)
        return True

    try:
        send_write(
            work,
            CallClass.TAGS,
            check=check_before_first,
            send=send,
            recover=lambda: None,
            confirm=confirm,
            has_begun=name in work.tagged or name in work.written,
        )
    except ChangeStopped as stopped:
        if name not in work.tagged and name not in work.written:
            raise
        reason = f"{stopped.reason}; some tags were written; the next run completes them"
        raise ChangeStopped(Result.FAILED, reason) from None
    except StoreError as failure:
        written = name in work.written
        raise_failed(
            failure,
            doing="its value was written and its tags were not; the next run writes them" if written else "",
        )
