"""Replacements: delete, wait, create, for attributes that AWS does not change in place.

All that can be checked is checked before the delete: between delete and create the name does not exist, and
readers fail. If the process is killed in between, the next run finds no parameter and creates it.
"""

from __future__ import annotations

from datetime import timedelta

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import INSTANT, send_write
from ssm_reconcile.apply.put import put_new
from ssm_reconcile.apply.work import ChangeStopped, Work, raise_failed, raise_stale, raise_withheld, tier_of
from ssm_reconcile.aws_limits import (
    ADVANCED_BYTES,
    DELETE_SECONDS,
    STANDARD_BYTES,
    TAG_LIMIT,
    CallClass,
)
from ssm_reconcile.change import Change
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import STANDARD, DesiredParameter, KeyState, SealedText, Tags, Value, canonical
from ssm_reconcile.record import RECORD, Origin, Standing
from ssm_reconcile.report import Result
from ssm_reconcile.shape import is_invalid_rewrite, pattern_accepts, utf8_size

CREATE_LIMIT = timedelta(minutes=5)
"""Time in which the create is repeated: AWS may refuse a name that was just deleted."""
PAUSE = 10.0


def replace_replica(work: Work, change: Change, origin: Origin, values: checks.Values) -> str:
    """Replace a replica.

    Args:
        work: the target.
        change: the change.
        origin: how the parameter became a replica, for the record.
        values: source values by the name of the change.

    Returns:
        A note for the report.

    Raises:
        ChangeStopped: withheld or stale before the delete; failed where the delete or the create failed.
    """
    checks.check_source(work, change)
    text = checks.value_to_write(change, values)
    _check_value(change, text, values)
    moment = change.wanted.source.expiration
    if moment is not None and moment <= work.clock.now() + timedelta(seconds=DELETE_SECONDS):
        raise_withheld("its Expiration policy ends before it is created again: it is not deleted")
    _check_key(work, change.wanted)
    live = checks.confirm_target(work, change, Standing.OURS)
    kept = {key: value for key, value in live.items() if work.spec.leaves_tag(key)}
    _check_tag_count(work, change, kept)
    _delete(work, change)
    work.written[canonical(change.name)] = None
    work.recreated.add(canonical(change.name))
    _sleep(work, DELETE_SECONDS)
    made = _create(work, change, text, origin, {**kept, RECORD: live.get(RECORD, "")})
    work.note_tags(change, live, made)
    return "replaced: deleted and created, its history starts again at version 1"


def _check_value(change: Change, text: SealedText, values: checks.Values) -> None:
    """Withhold a replacement whose create AWS would refuse: the replica would be lost."""
    value, desired = values[change.name], change.wanted
    assert isinstance(value, Value)
    before = value.text
    limit = STANDARD_BYTES if tier_of(desired, text) == STANDARD else ADVANCED_BYTES
    rewritten = text.reveal() != before.reveal()
    if rewritten and utf8_size(text.reveal()) > limit:
        raise_withheld("its value is too large for its tier: it is not deleted")
    if not pattern_accepts(desired.source.allowed_pattern, before, text, desired.source.type):
        raise_withheld("its rewritten value may not match its AllowedPattern: it is not deleted")
    if is_invalid_rewrite(before, text):
        raise_withheld("its rewritten value is empty or holds a {{ }}, which AWS refuses: it is not deleted")


def _check_tag_count(work: Work, change: Change, kept: Tags) -> None:
    """Withhold where the new parameter would have too many tags: tags may have been added since the plan."""
    own = work.ownership(change, work.record(change, 1, Origin.CREATED))
    if len({*kept, *change.wanted.tags, *own}) > TAG_LIMIT:
        raise_withheld(
            f"with the tags that it keeps it would have more than {TAG_LIMIT} tags: it is not deleted"
        )


def _check_key(work: Work, desired: DesiredParameter) -> None:
    if desired.key_id is None or not desired.source.is_secret:
        return
    key = work.store.keys([desired.key_id], fresh=True).get(desired.key_id)
    if key is not None and key.state not in (KeyState.USABLE, KeyState.UNKNOWN):
        raise_withheld(f"its key {desired.key_id} is {key.state}: it is not deleted")


def _delete(work: Work, change: Change) -> None:
    def recover() -> frozenset[str] | None:
        answers = work.store.values([change.name], decrypt=False)
        return answers.missing or None

    try:
        gone = send_write(
            work,
            CallClass.DELETE,
            check=lambda: checks.check_version(work, change),
            send=lambda: work.store.delete([change.name]),
            recover=recover,
            confirm=lambda: checks.confirm_target(work, change, Standing.OURS),
        )
    except StoreError as failure:
        raise_failed(failure, doing="it was not deleted")
    if canonical(change.name) not in gone:
        raise_stale("AWS did not delete it")


def _create(work: Work, change: Change, text: SealedText, origin: Origin, kept: Tags) -> Tags:
    """Create, and repeat for minutes: AWS may refuse a name that was just deleted (DeleteParameters)."""
    until = work.clock.monotonic() + CREATE_LIMIT.total_seconds()
    while True:
        try:
            return put_new(work, change, text, origin, kept)
        except ChangeStopped as stopped:
            reason = f"deleted, and not created: {stopped.reason}"
            if stopped.result is Result.STALE:
                raise ChangeStopped(Result.FAILED, reason) from None
            if work.failure_reason or work.clock.monotonic() >= until or not _sleep(work, PAUSE):
                image = stopped.failure is not None and stopped.failure.code == "NotAvailable"
                then = f"{'copy the AMI to that region; ' if image else ''}the next run creates it"
                raise ChangeStopped(Result.FAILED, f"{reason}; {then}") from None


def _sleep(work: Work, seconds: float) -> bool:
    """Wait, also when the run is asked to stop: a deleted parameter is created before the run ends.

    Return False when the clock no longer waits, because the process has no time left.
    """
    until = work.clock.monotonic() + seconds
    work.clock.sleep(seconds)
    left = until - work.clock.monotonic()
    if left >= INSTANT:  # a request to stop ended the first sleep early
        work.clock.sleep(left)
    return until - work.clock.monotonic() < INSTANT
