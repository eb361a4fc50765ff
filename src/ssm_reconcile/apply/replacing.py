"""Replacements: delete, wait, create, for what AWS does not change in place.

Everything that can be checked is checked before the delete: between it and the create the name is
absent, and readers fail. Killed in between, the next run finds nothing there and creates it.
"""

from __future__ import annotations

from datetime import timedelta

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import attempt
from ssm_reconcile.apply.work import Ended, Work, failed, stale, withheld
from ssm_reconcile.apply.writing import Values, put_new
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import STANDARD, Desired, KeyState, Sealed, Tags, canonical
from ssm_reconcile.plan import Change
from ssm_reconcile.record import PREFIX, RECORD, Origin, Standing
from ssm_reconcile.report import Result
from ssm_reconcile.shape import ADVANCED_BYTES, STANDARD_BYTES, matches
from ssm_reconcile.stores.base import Step

SETTLING = timedelta(seconds=30)
"""AWS asks to wait so long before a deleted name is created again (aws-facts A1)."""
PATIENCE = timedelta(minutes=5)
PAUSE = 10.0


def replace(work: Work, change: Change, desired: Desired, origin: Origin, values: Values) -> str:
    """Replaces a replica. Returns a note."""
    checks.source_still_wants(work, change, desired)
    text = checks.shaped(change, desired, values)
    _fits(desired, text)
    _key_is_usable(work, desired)
    live = checks.target_tags(work, change, Standing.OURS)
    kept = {key: value for key, value in live.items() if _stays(work, key)}
    _delete(work, change)
    work.written[canonical(change.name)] = None
    _sleep(work, SETTLING.total_seconds())
    _create(work, change, desired, text, origin, {**kept, RECORD: live.get(RECORD, "")})
    return "replaced: deleted and created, its history starts anew"


def _stays(work: Work, key: str) -> bool:
    """Whether a tag of the replica is neither copied nor removed, and can be written: it is carried over."""
    return not key.startswith(("aws:", PREFIX)) and not work.ends.spec.replicates_tag(key)


def _fits(desired: Desired, text: Sealed) -> None:
    """A create that AWS is sure to refuse must not cost the replica that is there."""
    limit = STANDARD_BYTES if desired.source.tier == STANDARD else ADVANCED_BYTES
    if len(text.reveal().encode()) > limit:
        withheld("its value is too large for its tier: it is not deleted")
    if desired.substitutions and not matches(desired.source.allowed_pattern, text.reveal()):
        withheld("its rewritten value does not match its AllowedPattern: it is not deleted")


def _key_is_usable(work: Work, desired: Desired) -> None:
    if desired.key_id is None or not desired.source.is_secret:
        return
    key = work.ends.store.keys([desired.key_id]).get(desired.key_id)
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
            if work.dead or work.clock.monotonic() >= until:
                reason = f"deleted, and not created: {end.reason}; the next run creates it"
                raise Ended(Result.FAILED, reason) from None
        _sleep(work, PAUSE)


def _sleep(work: Work, seconds: float) -> None:
    """Waits even when the run is asked to stop: what was deleted is created before anything ends."""
    work.clock.sleep(seconds)
