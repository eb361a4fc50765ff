"""Creates and updates: a value, all its attributes, and the record that says what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import attempt, wait
from ssm_reconcile.apply.tagging import was_secret, write_tags
from ssm_reconcile.apply.work import Work, failed, request, stale
from ssm_reconcile.change import Change, Create, TagDiff, Update
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import IMAGE, Desired, Sealed, Tags, Value, canonical
from ssm_reconcile.record import RECORD, Origin, Record, Standing, keyless
from ssm_reconcile.shape import normal
from ssm_reconcile.stores.base import Step

Values = Mapping[str, Value | StoreError]
IMAGE_PATIENCE = 300.0
"""Seconds that AWS may take to validate an AMI id (aws-facts B8)."""
IMAGE_PAUSE = 10.0


class CannotInPlace(Exception):  # noqa: N818 - not an error: the update has to become a replacement
    """AWS does not change this parameter in place, as only its answer could tell (aws-facts B2)."""


def create(work: Work, change: Change, effect: Create, values: Values) -> str:
    """Creates a replica without overwriting anything, its tags in the same call. Returns a note."""
    desired = effect.desired
    checks.source_still_wants(work, change, desired)
    text = checks.shaped(change, desired, values)
    put_new(work, change, desired, text, Origin.CREATED, {})
    return ""


def put_new(work: Work, change: Change, desired: Desired, text: Sealed, origin: Origin, kept: Tags) -> None:
    """PutParameter without overwrite. The name being taken is stale, unless it was taken by us.

    `kept` are tags of what was there before that are not ours to remove, and its record.
    """
    sent: list[str] = []
    lost = False

    def send() -> int:
        nonlocal lost
        record = keyless(work.record(change, desired, 1, origin), kept, secret=was_secret(change))
        tags = {**kept, **desired.tags, **work.ownership(desired, change.name, record)}
        sent.append(tags[RECORD])
        try:
            return work.ends.store.put(request(desired, change.name, text, tags=tags))
        except StoreError as failure:
            lost = lost or failure.kind is Trouble.LOST
            if failure.kind is not Trouble.EXISTS:
                raise
            tags_there = _who_took(work, change)
            if tags_there is None:
                raise _not_forgotten_yet(failure) from None
            return _ours_or_taken(sent, tags_there, lost=lost)

    def landed() -> int | None:
        tags = work.ends.store.tags(change.name)
        if tags is None:
            return None
        return _ours_or_taken(sent, tags, lost=True)

    try:
        begun = canonical(change.name) in work.written  # deleted, to be created anew
        version = attempt(work, Step.PUT, check=lambda: None, send=send, landed=landed, begun=begun)
    except StoreError as failure:
        failed(failure)
    work.written[canonical(change.name)] = version
    _settle_image(work, change, desired, version)


def _who_took(work: Work, change: Change) -> Tags | None:
    """The tags of what has the name by now; None when nothing is there."""
    try:
        return work.ends.store.tags(change.name)
    except StoreError as failure:
        failed(failure, doing="the name is taken, and by whom could not be found out")


def _not_forgotten_yet(taken: StoreError) -> StoreError:
    """A name that is taken by nothing: AWS forgets a deleted parameter only after a while (A1, G12)."""
    return StoreError(
        Trouble.THROTTLED,
        place=taken.place,
        operation=taken.operation,
        code=taken.code,
        remedy="AWS has not forgotten the deleted parameter of that name yet; the next run creates it",
    )


def _ours_or_taken(sent: list[str], tags: Tags, *, lost: bool) -> int:
    """Version 1 when the name was taken by a write of ours whose answer was lost; else stale."""
    if lost and tags.get(RECORD) in sent:
        return 1
    stale("the name was taken since the plan")


def update(work: Work, change: Change, effect: Update, values: Values) -> str:
    """Overwrites a replica (or takes one over), then brings tags and record in line. Returns a note."""
    desired = effect.desired
    checks.source_still_wants(work, change, desired)
    wanted = Standing.FREE if effect.takes_over else Standing.OURS
    live_tags = checks.target_tags(work, change, wanted)
    origin = Origin.ADOPTED if effect.origin_adopted else Origin.CREATED
    if not effect.put:
        assert effect.record is not None
        look = partial(checks.live_version, work, change)
        write_tags(work, change, desired, effect.tags, effect.record, live_tags, look=look, wanted=wanted)
        return ""
    text = checks.shaped(change, desired, values)
    if effect.unproven:
        record = _equal_after_all(work, change, desired, text, origin)
        if record is not None:
            write_tags(work, change, desired, effect.tags, record, live_tags)
            return "its value was equal after all: only tagged"
    version = _overwrite(work, change, desired, text, wanted)
    work.written[canonical(change.name)] = version
    _settle_image(work, change, desired, version)
    note = _remark(work, change, version)
    tags, had = effect.tags, live_tags
    if version == 1:
        tags, had = TagDiff({}, desired.tags), {}
    write_tags(work, change, desired, tags, work.record(change, desired, version, origin), had)
    return note


def _equal_after_all(
    work: Work, change: Change, desired: Desired, text: Sealed, origin: Origin
) -> Record | None:
    """The record of a comparison, when an unproven value is equal and nothing else differs."""
    if any(difference.attribute != "value" for difference in change.differences):
        return None
    value = _live_value(work, change)
    if value is None:
        stale("it is gone")
    if not checks.as_expected(change, value):
        stale(f"it is at version {value.version} by now, the plan saw {change.expected.version}")
    if normal(value.text.reveal(), value.type) != normal(text.reveal(), desired.source.type):
        return None
    return replace(work.record(change, desired, value.version, origin), written=value.last_modified)


def _live_value(work: Work, change: Change) -> Value | None:
    """The live value, decrypted, to compare it here and now."""
    try:
        answers = work.ends.store.values([change.name], decrypt=True)
    except StoreError as failure:
        failed(failure, doing="its value could not be compared")
    name = canonical(change.name)
    if name in answers.failed:
        failed(answers.failed[name], doing="its value could not be compared")
    return answers.found.get(name)


def _overwrite(work: Work, change: Change, desired: Desired, text: Sealed, wanted: Standing) -> int:
    def landed() -> int | None:
        """Ours when its value equals what we sent; not done when the version has not moved."""
        value = _live_value(work, change)
        if value is None:
            stale("it is gone")
        if checks.as_expected(change, value):
            return None
        if normal(value.text.reveal(), value.type) == normal(text.reveal(), desired.source.type):
            return value.version
        stale(f"it is at version {value.version} by now, written by somebody else")

    clears = not desired.source.policies and any(d.attribute == "policies" for d in change.differences)
    put = request(desired, change.name, text, tags=None, clears=clears)
    try:
        return attempt(
            work,
            Step.PUT,
            check=lambda: checks.live_version(work, change),
            send=lambda: work.ends.store.put(put),
            landed=landed,
            confirm=lambda: checks.target_tags(work, change, wanted),
        )
    except StoreError as failure:
        if failure.kind not in (Trouble.TYPE, Trouble.DOWNGRADE):
            failed(failure)
        raise CannotInPlace(failure.code) from None


def _remark(work: Work, change: Change, version: int) -> str:
    """What an unexpected version tells: that somebody wrote or deleted within those milliseconds."""
    expected = change.expected.version or 0
    if version == expected + 1:
        return ""
    if version == 1:
        return "re-created: it had been deleted meanwhile"
    work.note(
        "version-overwritten",
        change,
        f"version {version - 1} was written by somebody else between our check and our write, and is"
        " overwritten; it is still in the parameter's history",
    )
    return f"version {version - 1} of somebody else was overwritten"


def _settle_image(work: Work, change: Change, desired: Desired, version: int) -> None:
    """AWS validates AMI ids after it has answered, and drops a bad one in silence (aws-facts B8)."""
    if desired.source.data_type != IMAGE:
        return
    until = work.clock.monotonic() + IMAGE_PATIENCE
    while True:
        try:
            found = work.ends.store.values([change.name], decrypt=False).found.get(canonical(change.name))
        except StoreError:
            found = None
        if found is not None and found.version >= version:
            return
        late = work.clock.monotonic() >= until
        if late or not wait(work, IMAGE_PAUSE):
            work.written.pop(canonical(change.name), None)
            why = f"AWS took the write and did not keep it: the AMI id is not valid in {work.place.region}"
            lost = StoreError(
                Trouble.REFUSED,
                place=str(work.place),
                operation="PutParameter",
                code="NotAvailable" if late else "NotYetAvailable",
                remedy=why if late else "stopped while AWS was checking the AMI id; the next run will see",
            )
            failed(lost)
