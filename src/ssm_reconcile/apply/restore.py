"""Restorations: a former version of a replica, its former tags, or both. The source is not read.

The value is read from the history by `name:version`, ten values in a call, and written as any update.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ssm_reconcile.apply import checks, put
from ssm_reconcile.apply.tag import WriteCheck, send_tags, was_secret
from ssm_reconcile.apply.work import ChangeStopped, Work, raise_failed, raise_stale, raise_withheld
from ssm_reconcile.aws_limits import RESERVED_TAG_PREFIX
from ssm_reconcile.change import Change, Restore, TagDiff
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import SealedText, Tags, Value, canonical
from ssm_reconcile.record import EXPIRES, OWNER, RECORD, SAME_MOMENT, Standing, mark_former_secret
from ssm_reconcile.report import Result


def restore(work: Work, change: Change, effect: Restore, values: checks.Values) -> str:
    """Write a former version again, if the change has one, and then the former tags.

    Args:
        work: the target.
        change: the change.
        effect: the former version, tags and record.
        values: former values by the name of the change.

    Returns:
        A note for the report.

    Raises:
        ChangeStopped: stale where the parameter has changed; withheld where AWS does not change it in place;
            failed where a call failed.
    """
    standing = Standing.OURS if effect.is_replica else Standing.FREE
    live = checks.confirm_target(work, change, standing)
    checks.check_record(live, effect.live_record)
    _check_tags(live, effect.tags)
    if effect.equal_to is not None:
        _check_equal(work, change, effect.equal_to)
    check: WriteCheck = partial(checks.check_version, work, change)
    confirmed: Standing | None = standing
    version, note = change.expected.version or 0, ""
    if effect.put:
        version, note = _write_value(work, change, _former_value(change, effect, values), standing, live)
        live = {key: tag for key, tag in live.items() if key != EXPIRES}
        check, confirmed = (lambda: None), None  # the write of the value was checked
        if version == 1:  # the parameter was deleted right before the write, and its tags with it
            own = {OWNER, RECORD, *effect.tags.before}
            kept = {
                key: tag
                for key, tag in live.items()
                if key not in own and not key.startswith(RESERVED_TAG_PREFIX)
            }
            effect, live = replace(effect, tags=TagDiff({}, {**kept, **effect.tags.after})), {}
    added, removed = _tags_to_send(work, change, effect, version, live)
    # The record is written or removed last, so that a run after a failure recognises the parameter.
    send_tags(
        work, change, added, removed, live, removes_first=RECORD in added, check=check, standing=confirmed
    )
    work.written[canonical(change.name)] = version
    return note


def former_values(work: Work, changes: list[Change]) -> checks.Values:
    """Read the former values of up to ten changes, each of the version that the plan saw."""
    selectors = {change.name: f"{change.name}:{change.wanted.source.version}" for change in changes}
    return checks.read_versions(work.store, selectors)


def _check_tags(live: Tags, planned: TagDiff) -> None:
    """Check that the tags to write or to remove, and a mark to delete, are those that the plan saw."""
    for key in sorted({*planned.before, *planned.after, EXPIRES}):
        if live.get(key) != planned.before.get(key):
            raise_stale(f"its tag {key} has changed since the plan")


def _check_equal(work: Work, change: Change, version: int) -> None:
    """Check that the live value is that of another version, which an undo that failed has written again."""
    live, former = change.name, f"{change.name}:{version}"
    found = checks.read_versions(work.store, {live: live, former: former})
    values = [found.get(live), found.get(former)]
    for value in values:
        if isinstance(value, StoreError):
            raise_failed(value, doing="its value could not be compared with the former one")
    texts = {value.text.reveal() for value in values if isinstance(value, Value)}
    if None in values or len(texts) > 1:
        raise_stale("it was changed since the apply: its value is not the former one")


def _former_value(change: Change, effect: Restore, values: checks.Values) -> SealedText:
    value, former = values.get(change.name), effect.desired.source
    if value is None:
        raise_stale(f"version {former.version} is not in its history any more")
    if isinstance(value, StoreError):
        raise_failed(value, doing=f"the value of version {former.version} could not be read")
    if value.type != former.type or abs(value.last_modified - former.last_modified) > SAME_MOMENT:
        raise_stale(f"version {former.version} is another one than the plan saw")
    return value.text


def _write_value(
    work: Work, change: Change, text: SealedText, standing: Standing, live: Tags
) -> tuple[int, str]:
    """Overwrite the parameter, after the removal of a mark; return its version and a note on it."""
    try:
        return put.overwrite_unmarked(work, change, text, standing, live)
    except put.InPlaceRefused as refused:
        reason = f"AWS does not change this in place ({refused})"
        if EXPIRES in live:
            raise ChangeStopped(Result.FAILED, f"{reason}; its mark was removed") from None
        raise_withheld(reason)


def _tags_to_send(
    work: Work, change: Change, effect: Restore, version: int, live: Tags
) -> tuple[Tags, list[str]]:
    """Return the tags to write and the keys to remove.

    Args:
        work: the target.
        change: the change.
        effect: the tags and the record.
        version: the version of the parameter.
        live: the tags that the parameter has.
    """
    added = dict(effect.tags.added)
    if effect.record is not None and effect.owner is not None:
        record = replace(effect.record, written=work.clock.now())
        if not record.is_of_outside_value:
            record = replace(record, version=version)
        record = mark_former_secret(record, live, secret=was_secret(change))
        added |= {OWNER: effect.owner, RECORD: record.text()}
    return added, [key for key in effect.tags.removed if key in live]
