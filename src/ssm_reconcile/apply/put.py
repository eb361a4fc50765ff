"""Creates and updates: a value with all its attributes, and the record of what it was made from."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import send_write, wait
from ssm_reconcile.apply.tag import remove_mark, was_secret, write_tags
from ssm_reconcile.apply.work import ChangeStopped, Work, put_request, raise_failed, raise_stale
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.change import Change, TagDiff, Update
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import IMAGE, SealedText, Tags, Value, canonical
from ssm_reconcile.record import EXPIRES, RECORD, Origin, Record, Standing, mark_former_secret
from ssm_reconcile.report import Result
from ssm_reconcile.shape import normalize_value

LOST_WAITS = (1.0, 5.0)
"""Seconds before each further read after a lost response, until the read shows another version."""
IMAGE_PATIENCE = 300.0
"""Seconds that AWS may take to validate an AMI id (User Guide, "Native parameter support for AMI IDs")."""
IMAGE_PAUSE = 10.0


class InPlaceRefused(Exception):  # noqa: N818 - not an error: the update has to become a replacement
    """AWS does not change this parameter in place; the API reference does not say which types it refuses."""


def create(work: Work, change: Change, values: checks.Values) -> str:
    """Create a replica and its tags in one call, without overwriting.

    Args:
        work: the target.
        change: the change.
        values: source values by the name of the change.

    Returns:
        A note for the report.

    Raises:
        ChangeStopped: stale where the source has changed or the name is taken; failed where a call failed.
    """
    checks.check_source(work, change)
    made = put_new(work, change, checks.value_to_write(change, values), Origin.CREATED, {})
    work.note_tags(change, {}, made)
    return ""


def put_new(work: Work, change: Change, text: SealedText, origin: Origin, kept: Tags) -> Tags:
    """Send a PutParameter without overwrite, and return the tags of the new parameter.

    Args:
        work: the target.
        change: the change.
        text: the value.
        origin: how the parameter became a replica, for the record.
        kept: tags of the parameter that was deleted before, and its record.

    Raises:
        ChangeStopped: stale where the name is taken, unless by a write of this function whose response was
            lost; failed where AWS refused.
    """
    sent, lost = list[str](), False
    made: Tags = {}

    def send() -> int:
        nonlocal lost, made
        made = _tags_of_new(work, change, origin, kept)
        sent.append(made[RECORD])
        try:
            return work.store.put(put_request(change, text, made))
        except StoreError as failure:
            # Kept over all tries: a later try that finds the name taken may find the write of the lost one.
            lost = lost or failure.kind is Trouble.LOST
            if failure.kind is not Trouble.EXISTS:
                raise
            found = work.live_tags(change.name, "the name is taken, and its owner could not be read")
            if found is None:
                raise _still_deleting(failure) from None
            made = found
            return _version_if_ours(sent, made, lost=lost)

    def recover() -> int | None:
        nonlocal made
        made = (tags := work.store.tags(change.name)) or {}
        return None if tags is None else _version_if_ours(sent, made, lost=True)

    # A replacement has deleted the name before: then the create is finished even when the run is stopped.
    begun = canonical(change.name) in work.written
    try:
        version = send_write(
            work, CallClass.PUT, check=lambda: None, send=send, recover=recover, has_begun=begun
        )
    except StoreError as failure:
        raise_failed(failure)
    work.written[canonical(change.name)] = version
    _await_image(work, change, version)
    return made


def _tags_of_new(work: Work, change: Change, origin: Origin, kept: Tags) -> dict[str, str]:
    record = mark_former_secret(work.record(change, 1, origin), kept, secret=was_secret(change))
    return {**kept, **change.wanted.tags, **work.ownership(change, record)}


def _still_deleting(taken: StoreError) -> StoreError:
    """Return the error for a name that AWS calls taken while no parameter has it.

    AWS refuses a deleted name for a while. That passes, as throttling does, so the create is repeated.
    """
    return StoreError(
        Trouble.THROTTLED,
        place=taken.place,
        operation=taken.operation,
        code=taken.code,
        remedy="AWS has not finished the deletion of the parameter with this name; the next run creates it",
    )


def _version_if_ours(sent: list[str], tags: Tags, *, lost: bool) -> int:
    """Return version 1 when the live record is one that was sent and its response was lost; else stale."""
    if lost and tags.get(RECORD) in sent:
        return 1
    raise_stale("a parameter with this name was created since the plan")


def update(work: Work, change: Change, effect: Update, values: checks.Values) -> str:
    """Overwrite a replica, or take a parameter over; then bring tags and record up to date.

    Args:
        work: the target.
        change: the change.
        effect: the effect of the change.
        values: source values by the name of the change.

    Returns:
        A note for the report.

    Raises:
        ChangeStopped: stale or failed.
        InPlaceRefused: AWS does not change this parameter in place.
    """
    checks.check_source(work, change)
    standing = Standing.FREE if effect.takes_over else Standing.OURS
    live_tags = checks.confirm_target(work, change, standing, recent_suffice=True)
    if not effect.put:
        assert effect.record is not None
        check = partial(checks.check_version, work, change)
        write_tags(work, change, effect.tags, effect.record, live_tags, check=check, standing=standing)
        work.written[canonical(change.name)] = effect.record.version
        return ""
    text = checks.value_to_write(change, values)
    if effect.unproven:
        record = _record_if_equal(work, change, text, effect.origin)
        if record is not None:
            write_tags(work, change, effect.tags, record, live_tags)
            work.written[canonical(change.name)] = record.version
            return "its value was equal: only tags were written"
    version, note = overwrite_unmarked(work, change, text, standing, live_tags)
    tags, had = effect.tags, {key: value for key, value in live_tags.items() if key != EXPIRES}
    if version == 1:  # the parameter was deleted right before the write, and its tags with it
        tags, had = TagDiff({}, effect.desired.tags), {}
    write_tags(work, change, tags, work.record(change, version, effect.origin), had)
    return note


def _record_if_equal(work: Work, change: Change, text: SealedText, origin: Origin) -> Record | None:
    """Return the record to write when the plan could not compare the value, and it is equal."""
    if any(difference.attribute != "value" for difference in change.differences):
        return None
    value = _decrypted_value(work, change)
    if not checks.is_as_planned(change, value):
        raise_stale(checks.version_moved(change, value))
    if not _is_equal(change, value, text):
        return None
    return replace(work.record(change, value.version, origin), written=value.last_modified)


def _is_equal(change: Change, value: Value, text: SealedText) -> bool:
    """Whether a live value equals a text to write, as `shape` compares them."""
    kind = change.wanted.source.type
    return normalize_value(value.text.reveal(), value.type) == normalize_value(text.reveal(), kind)


def _decrypted_value(work: Work, change: Change) -> Value:
    value = checks.live_value(work, change, decrypt=True, doing="its value could not be compared")
    if value is None:
        raise_stale("it is gone")
    return value


def overwrite_unmarked(
    work: Work, change: Change, text: SealedText, standing: Standing, live: Tags
) -> tuple[int, str]:
    """Overwrite the value as `overwrite` does, after the removal of a mark; return the version and a note.

    Args:
        work: the target.
        change: the change.
        text: the value.
        standing: the owner that is confirmed before a repetition.
        live: the tags of the parameter.

    Raises:
        ChangeStopped: stale or failed.
        InPlaceRefused: AWS does not change this parameter in place.
    """
    if EXPIRES not in live:
        return overwrite(work, change, text, standing)
    change = remove_mark(work, change, standing)
    try:
        return overwrite(work, change, text, standing)
    except ChangeStopped as stopped:
        if stopped.result is Result.FAILED:
            raise
        again = "run undo again" if change.is_undo else "the next run writes the value"
        reason = f"{stopped.reason}; its mark was removed; {again}"
        raise ChangeStopped(Result.FAILED, reason) from None


def overwrite(work: Work, change: Change, text: SealedText, standing: Standing) -> tuple[int, str]:
    """Overwrite a parameter with the attributes of a change; return the version and a note on it.

    Args:
        work: the target.
        change: the change.
        text: the value.
        standing: the owner that is confirmed before a repetition.

    Raises:
        ChangeStopped: stale or failed.
        InPlaceRefused: AWS does not change this parameter in place.
    """

    def recover() -> int | None:
        """Return the version when the live value is the one that was sent; None when nothing was written."""
        value = _decrypted_value(work, change)
        for seconds in LOST_WAITS:  # a read may lag behind the write whose response was lost
            if not checks.is_as_planned(change, value):
                break
            wait(work, seconds)
            value = _decrypted_value(work, change)
        if checks.is_as_planned(change, value):
            return None
        if _is_equal(change, value, text):
            return value.version
        raise_stale(f"it is at version {value.version}, written by another client")

    request = put_request(change, text, None)
    try:
        version = send_write(
            work,
            CallClass.PUT,
            check=lambda: checks.check_version(work, change),
            send=lambda: work.store.put(request),
            recover=recover,
            confirm=lambda: checks.confirm_target(work, change, standing),
        )
    except StoreError as failure:
        if failure.kind not in (Trouble.TYPE, Trouble.DOWNGRADE):
            raise_failed(failure)
        raise InPlaceRefused(failure.code) from None
    work.written[canonical(change.name)] = version
    _await_image(work, change, version)
    return version, _note(work, change, version)


def _note(work: Work, change: Change, version: int) -> str:
    """Return the note for an unexpected version: another client wrote or deleted in the last milliseconds."""
    expected = change.expected.version or 0
    if version == expected + 1:
        return ""
    if version == 1:
        work.recreated.add(canonical(change.name))
        return "created again: it was deleted right before the write"
    work.warn(
        "version-overwritten",
        change,
        f"another client wrote version {version - 1} between the check and the write of this run. It was"
        " overwritten; it is still in the history of the parameter",
    )
    return f"version {version - 1} of another client was overwritten"


def _await_image(work: Work, change: Change, version: int) -> None:
    """Wait until AWS has validated an AMI id.

    AWS validates after its response, and drops an id that is not valid without an error (PutParameter,
    DataType).
    """
    if change.wanted.source.data_type != IMAGE:
        return
    until = work.clock.monotonic() + IMAGE_PATIENCE
    while True:
        try:
            answers = work.store.values([change.name], decrypt=False)
            found = answers.found.get(canonical(change.name))
        except StoreError:
            found = None
        if found is not None and found.version >= version:
            return
        late = work.clock.monotonic() >= until
        if late or not wait(work, IMAGE_PAUSE):
            work.written.pop(canonical(change.name), None)
            code, why = "NotYetAvailable", "stopped while AWS was checking the AMI id; the next run checks it"
            if late:
                invalid = f"the AMI id is not valid in {work.place.region}"
                code, why = "NotAvailable", f"AWS accepted the write and then dropped it: {invalid}"
            place = str(work.place)
            raise_failed(
                StoreError(Trouble.REFUSED, place=place, operation="PutParameter", code=code, remedy=why)
            )
