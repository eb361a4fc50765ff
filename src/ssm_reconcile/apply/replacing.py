"""Replacements: delete, wait, create, for what AWS does not change in place.

Everything that can be checked is checked before the delete: between it and the create the name is
absent, and readers fail. Killed in between, the next run finds nothing there and creates it.
"""

from __future__ import annotations

from datetime import timedelta

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import INSTANT, attempt
from ssm_reconcile.apply.work import Ended, Work, failed, stale, tier_of, withheld
from ssm_reconcile.apply.writing import Values, put_new
from ssm_reconcile.aws_limits import ADVANCED_BYTES, DELETE_SECONDS, STANDARD_BYTES, TAG_LIMIT
from ssm_reconcile.change import Change
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import STANDARD, Desired, KeyState, Sealed, Tags, Value, canonical
from ssm_reconcile.record import PREFIX, RECORD, Origin, Standing
from ssm_reconcile.report import Result
from ssm_reconcile.shape import accepts, size_of, spoiled
from ssm_reconcile.stores.base import Step

PATIENCE = timedelta(minutes=5)
PAUSE = 10.0


def replace(work: Work, change: Change, desired: Desired, origin: Origin, values: Values) -> str:
    """Replaces a replica. Returns a note."""
    checks.source_still_wants(work, change, desired)
    text = checks.shaped(change, desired, values)
    _fits(desired, _unshaped(change, values), text)
    _policies_last(work, desired)
    _key_is_usable(work, desired)
    live = checks.target_tags(work, change, Standing.OURS)
    kept = {key: value for key, value in live.items() if _stays(work, key)}
    _tags_have_room(work, change, desired, kept)
    _delete(work, change)
    work.written[canonical(change.name)] = None
    _sleep(work, DELETE_SECONDS)
    _create(work, change, desired, text, origin, {**kept, RECORD: live.get(RECORD, "")})
    return "replaced: deleted and created, its history starts anew"


def _stays(work: Work, key: str) -> bool:
    """Whether a tag of the replica is neither copied nor removed, and can be written: it is carried over."""
    return not key.startswith(("aws:", PREFIX)) and not work.ends.spec.replicates_tag(key)


def _unshaped(change: Change, values: Values) -> Sealed:
    """The source value as it is, which `checks.shaped` has looked at."""
    value = values[change.name]
    assert isinstance(value, Value)
    return value.text


def _fits(desired: Desired, before: Sealed, text: Sealed) -> None:
    """A create that AWS is sure to refuse must not cost the replica that is there."""
    limit = STANDARD_BYTES if tier_of(desired, text) == STANDARD else ADVANCED_BYTES
    rewritten = text.reveal() != before.reveal()
    if rewritten and size_of(text.reveal()) > limit:
        withheld("its value is too large for its tier: it is not deleted")
    if not accepts(desired.source.allowed_pattern, before, text, desired.source.type):
        withheld("its rewritten value may not match its AllowedPattern: it is not deleted")
    if spoiled(before, text):
        withheld("its rewritten value is empty or holds a {{ }}, which AWS does not take: it is not deleted")


def _policies_last(work: Work, desired: Desired) -> None:
    """An Expiration may have passed since the plan, or may pass before the name can be created again."""
    moment = desired.source.expiration
    if moment is not None and moment <= work.clock.now() + timedelta(seconds=DELETE_SECONDS):
        withheld("its Expiration policy is past before it is created again: it is not deleted")


def _tags_have_room(work: Work, change: Change, desired: Desired, kept: Tags) -> None:
    """Somebody may have tagged the replica since the plan; what is carried over takes room."""
    own = work.ownership(desired, change.name, work.record(change, desired, 1, Origin.CREATED))
    if len({*kept, *desired.tags, *own}) > TAG_LIMIT:
        withheld(f"with the tags that stay on it there are more than {TAG_LIMIT}: it is not deleted")


def _key_is_usable(work: Work, desired: Desired) -> None:
    if desired.key_id is None or not desired.source.is_secret:
        return
    key = work.ends.store.keys([desired.key_id], fresh=True).get(desired.key_id)
    if key is not None and key.state not in (KeyState.USABLE, KeyState.UNKNOWN):
        withheld(f"its key {desired.key_id} is {key.state}: it is not deleted")


def _delete(work: Work, change: Change) -> None:
    def landed() -> frozenset[str] | None:
        answers = work.ends.store.values([change.name], decrypt=False)
        return answers.missing or None

    try:
        gone = attempt(
            work,
            Step.DELETE,
            check=lambda: checks.live_version(work, change),
            send=lambda: work.ends.store.delete([change.name]),
            landed=landed,
            confirm=lambda: checks.target_tags(work, change, Standing.OURS),
        )
    except StoreError as failure:
        failed(failure, doing="it was not deleted")
    if canonical(change.name) not in gone:
        stale("AWS did not delete it")


def _create(work: Work, change: Change, desired: Desired, text: Sealed, origin: Origin, kept: Tags) -> None:
    """Tried for minutes: until AWS has forgotten the old one it may refuse the new one."""
    until = work.clock.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            return put_new(work, change, desired, text, origin, kept)
        except Ended as end:
            if end.result is Result.STALE:
                raise Ended(Result.FAILED, f"deleted, and not created: {end.reason}") from None
            if work.dead or work.clock.monotonic() >= until or not _sleep(work, PAUSE):
                dropped = end.failure is not None and end.failure.code == "NotAvailable"
                then = (
                    "put that AMI there, and the next run creates it"
                    if dropped
                    else "the next run creates it"
                )
                reason = f"deleted, and not created: {end.reason}; {then}"
                raise Ended(Result.FAILED, reason) from None


def _sleep(work: Work, seconds: float) -> bool:
    """Waits even when the run is asked to stop: what was deleted is created before anything ends.

    False when the clock does not wait any more, because its process has no time left.
    """
    until = work.clock.monotonic() + seconds
    work.clock.sleep(seconds)
    left = until - work.clock.monotonic()
    if left >= INSTANT:  # a request to stop has cut it short
        work.clock.sleep(left)
    return until - work.clock.monotonic() < INSTANT
