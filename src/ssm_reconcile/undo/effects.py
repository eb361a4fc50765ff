"""One past change + the live parameter and its history -> a change that takes it back, or why not.

created      deleted, while its record and version are those of the report (row `undone`)
marked       the mark to delete is removed, likewise (row `undone`)
updated      the former version is written again, with its attributes and the tags that the update changed
tagged       the tags return: of a retag, of an adoption (no longer a replica), of a release (a replica again)
deleted, or deleted and created again: not possible, since AWS keeps no history of a deleted parameter
tagged, and the value written by an earlier run, which failed at the tags: not possible, they do not fit it

The record that a replica gets names the source version whose value it holds only if the live record proves
that the source has had a later one since. Otherwise it names none. So no later plan takes a value for proven
that an edited report names. A mark to delete (`ssm-reconcile:expires`) is removed and never written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn

from ssm_reconcile.aws_limits import RESERVED_TAG_PREFIX, TAG_LIMIT
from ssm_reconcile.change import (
    Change,
    Delete,
    Difference,
    Effect,
    Preconditions,
    Restore,
    Row,
    TagDiff,
    Unmark,
)
from ssm_reconcile.diff.compare import (
    VALUE,
    attribute_differences,
    names_other_key,
    outside_reason,
    value_difference,
)
from ssm_reconcile.model import (
    ADVANCED,
    MANAGED_KEY,
    DesiredParameter,
    Keyring,
    KeyState,
    Listing,
    Parameter,
    Place,
    Reading,
    Tags,
    Value,
    ValueRequest,
    canonical,
)
from ssm_reconcile.plan import Other
from ssm_reconcile.record import (
    CLEARED,
    EXPIRES,
    OWNER,
    PREFIX,
    RECORD,
    SAME_MOMENT,
    SOURCE,
    Claim,
    Origin,
    Record,
    Standing,
    compose_own,
    key_digest,
    record_of,
    source_name,
    standing,
    was_secret,
)
from ssm_reconcile.report import ParameterVersion
from ssm_reconcile.shape import read
from ssm_reconcile.spec import Replication, Target
from ssm_reconcile.stores.base import PastVersion
from ssm_reconcile.undo.match import PastChange, compare_user_tags
from ssm_reconcile.wording import utc_text


@dataclass(frozen=True, slots=True)
class UndoContext:
    """One target of an undo.

    Attributes:
        spec: The replication.
        target: The target.
        source: The place of the source.
        claim: The owner tags and ids of the replication.
        live: The listing of the target; the tags of the names of the report are read directly.
        unread: By canonical name, why tags or history could not be read.
        histories: By canonical name, the versions of the parameters that get a former one back.
        ring: The KMS keys of the target that former versions name.
        key: The key of the digests by which values are compared.
        now: The time of the plan.
    """

    spec: Replication
    target: Target
    source: Place
    claim: Claim
    live: Listing
    unread: Mapping[str, str]
    histories: Mapping[str, Sequence[PastVersion]]
    ring: Keyring
    key: bytes
    now: datetime


class _NotUndone(Exception):  # noqa: N818 - not an error: it carries the reason why a change is not taken back
    """A change is not taken back. `row` is `invalid` where that is not possible, else `conflict`."""

    def __init__(self, row: Row, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


def take_back(context: UndoContext, past: PastChange) -> Change | Other:
    """Return the change that takes a past change back, or an address with the reason why there is none."""
    try:
        return _plan_change(context, past)
    except _NotUndone as reason:
        name, target = context.spec.name, context.target.name
        return Other(name, target, past.name, reason.row, reason.row.value, (reason.reason,))


def _refuse_impossible(reason: str) -> NoReturn:
    raise _NotUndone(Row.INVALID, f"cannot be undone: {reason}")


def _refuse_changed(reason: str) -> NoReturn:
    raise _NotUndone(Row.CONFLICT, f"changed since the apply, and left as it is: {reason}")


def _end_in_sync(reason: str = "already taken back: it is as it was before the apply") -> NoReturn:
    raise _NotUndone(Row.IN_SYNC, reason)


@dataclass(frozen=True, slots=True)
class _FoundState:
    """The live parameter of a past change, as the apply left it, or half taken back by a run that failed.

    Attributes:
        live: The parameter.
        tags: Its tags.
        has_value: Whether an undo has written the former value, and not its tags.
        has_ownership: Whether an undo has returned the ownership tags, and not all others.
    """

    live: Parameter
    tags: Tags
    has_value: bool = False
    has_ownership: bool = False


def _plan_change(context: UndoContext, past: PastChange) -> Change:
    if past.impossible_reason:
        _refuse_impossible(past.impossible_reason)
    found = _find_state(context, past)
    if past.before is None:
        return _plan_delete(context, found)
    return _plan_restore(context, past, found) if past.touches_record else _plan_unmark(context, past, found)


def _find_state(context: UndoContext, past: PastChange) -> _FoundState:
    """Return the live parameter, if it is as the apply left it, or half taken back."""
    name, after = canonical(past.name), past.after
    assert after is not None
    if name in context.unread:
        _refuse_impossible(context.unread[name])
    live, tags = context.live.parameters.get(name), context.live.tags_of(name)
    if live is None:
        if past.before is None:
            _end_in_sync()
        _refuse_changed("it does not exist any more")
    skip_sync = context.spec.skip_sync
    if skip_sync.applies(tags, context.target.name) or skip_sync.is_doubtful(tags, context.target.name):
        _refuse_changed(f"it carries the tag {skip_sync.tag} itself, or one like it")
    has_value = past.restores_value and live.version == after.version + 1
    _check_version(live, after, has_value=has_value)
    found = _FoundState(live, tags, has_value)
    return replace(found, has_ownership=_check_ownership(context, past, found))


def _check_version(live: Parameter, after: ParameterVersion, *, has_value: bool) -> None:
    if live.version < after.version:
        why = f"the listing of AWS has version {live.version}, the report version {after.version}"
        _refuse_impossible(f"{why}: a listing may lag; run again, or the parameter was created again")
    if has_value:
        return  # that it is the former value is checked with its history
    if live.version != after.version:
        _refuse_changed(f"it is at version {live.version}, and the apply left version {after.version}")
    if after.modified is not None and abs(live.last_modified - after.modified) > SAME_MOMENT:
        _refuse_changed(f"its version {live.version} is of {utc_text(live.last_modified)}")


def _check_ownership(context: UndoContext, past: PastChange, state: _FoundState) -> bool:
    """Check that the ownership tags are those that the apply left; or those before it: then return True."""
    tags = state.tags
    left, found = past.tags.after.get(RECORD), tags.get(RECORD)
    if not past.touches_record:
        left = found
    was_free = left is not None and RECORD not in past.tags.before
    has_ownership = was_free and not {OWNER, RECORD, SOURCE} & tags.keys()
    if left != found and not has_ownership:
        if _is_taken_back(context, past, state):
            _end_in_sync()
        _refuse_changed("its record was written again" if left and found else "its ownership tags differ")
    status = standing(tags, context.live.arn(past.name), context.claim, placed=True)
    # An undo that failed may have removed the owner tag that the apply added, and not the record yet.
    is_begun = OWNER in past.tags.after and not {OWNER} & {*past.tags.before, *tags}
    was_released = OWNER in past.tags.before and OWNER not in {*past.tags.after, *tags}
    is_free = found is None or is_begun or was_released
    if status is not (Standing.FREE if is_free else Standing.OURS):
        _refuse_changed(f"its ownership has changed: it is {status}")
    return has_ownership


def _is_taken_back(context: UndoContext, past: PastChange, found: _FoundState) -> bool:
    """Whether the parameter has the tags and the record that an undo writes last, after the value."""
    if past.before is None or (past.restores_value and not found.has_value):
        return False
    ours = {key: tag for key, tag in found.tags.items() if key in (OWNER, RECORD, SOURCE)}
    unchanged = {key: tag for key, tag in found.tags.items() if key not in past.tags.before}
    left = {**unchanged, **past.tags.after}
    own, was = _ownership_before(context, past, left)
    if compare_user_tags(context.spec, past, found.tags)[0]:
        return False
    if was is Standing.FREE:
        return ours == own
    version = _find_version(context, past, found.live).parameter if past.restores_value else found.live
    wanted, record = _compose_record(context, past, own, version, left), record_of(ours)
    if wanted.version == version.version:
        wanted = replace(wanted, version=found.live.version)
    # The time, and the mark of a former secret in place of the key, are those of the write.
    return (
        record is not None
        and ours.get(OWNER) == own[OWNER]
        and record == replace(wanted, written=record.written, key=record.key)
    )


def _plan_unmark(context: UndoContext, past: PastChange, found: _FoundState) -> Change:
    """Return the change that removes a mark to delete, which the apply wrote. A removed one stays removed."""
    mark = past.tags.after.get(EXPIRES)
    if mark is None:
        _end_in_sync("the apply removed its mark to delete, and no undo writes a mark")
    if EXPIRES not in found.tags:
        _end_in_sync()
    if found.tags[EXPIRES] not in (mark, CLEARED):
        _refuse_changed("its mark was written again")
    effect = Unmark(TagDiff(before={EXPIRES: found.tags[EXPIRES]}))
    reasons = ("the apply marked it for a delete",)
    return _build_change(context, Row.UNDONE, effect, found.live, found.tags, reasons)


def _plan_delete(context: UndoContext, found: _FoundState) -> Change:
    """Return the delete of a parameter that the apply created."""
    record = record_of(found.tags)
    if record is None or found.live.version != 1 or record.origin is not Origin.CREATED:
        _refuse_impossible("its record does not say that the apply created it")
    effect = Delete(None, record=found.tags[RECORD])
    return _build_change(context, Row.UNDONE, effect, found.live, found.tags, ("the apply created it",))


@dataclass(frozen=True, slots=True)
class _FormerState:
    """The version that a parameter returns to (the live one if only tags return), and how it differs."""

    version: Parameter
    desired: DesiredParameter
    differences: tuple[Difference, ...] = ()
    reasons: tuple[str, ...] = ()


def _plan_restore(context: UndoContext, past: PastChange, found: _FoundState) -> Change:
    """Return the change that writes the former version or tags of a parameter, or both."""
    live, tags = found.live, found.tags
    former = _find_former(context, past, found)
    user_tags, kept = compare_user_tags(context.spec, past, tags)
    own, was = _ownership_before(context, past, tags)
    put = past.restores_value and not found.has_value
    equal_to = former.version.version if found.has_value else None
    is_replica = OWNER in tags and RECORD in tags
    effect = Restore(former.desired, user_tags, tags.get(RECORD), put, is_replica, equal_to)
    reasons = list(former.reasons)
    if was is Standing.FREE:
        ours = {key: tag for key, tag in tags.items() if key.startswith(PREFIX)}
        both = TagDiff({**user_tags.before, **ours}, {**user_tags.after, **own})
        effect = replace(effect, tags=both)
        if not (both or put):
            _end_in_sync()
        reasons.append("it is not a replica any more")
    else:
        record = _compose_record(context, past, own, former.version, tags)
        effect = replace(effect, owner=own[OWNER], record=record)
        if not is_replica:
            old = {key: tags[key] for key in own if key in tags}
            both = TagDiff({**user_tags.before, **old}, {**user_tags.after, **own})
            effect = replace(effect, tags=both)
            reasons.append("it is a replica again")
        elif not put:
            reasons.append("its former tags and record return")
        if record.version != former.version.version:
            reasons.append("its former value is that of another writer, and counts as changed outside again")
    _check_tag_room(effect, tags)
    row = Row.UPDATE if put else Row.RETAG
    change = _build_change(context, row, effect, live, {**own, **tags}, (*reasons, *kept))
    change = replace(change, differences=former.differences, kind=former.desired.source.type)
    if effect.owner is None or not is_replica:
        change = replace(change, is_shown=context.spec.shows(change.source_name or "", live.name))
    if live.is_secret and not former.desired.source.is_secret:
        why = f"its value becomes plain text: it is a SecureString now and was a {former.version.type} before"
        change = replace(change, exposes=True, reasons=(*change.reasons, why))
    return change


def _find_former(context: UndoContext, past: PastChange, found: _FoundState) -> _FormerState:
    """Return what a parameter returns to."""
    live = found.live
    if not past.restores_value:
        return _FormerState(live, _desired_as_live(live, context))
    version = _find_version(context, past, live)
    desired = _desired_former(context, version.parameter, live)
    # After an undone take-over, only the report has the record that names the source and hides the values.
    tags = {**past.tags.before, **found.tags}
    differences = _former_differences(context, version, desired, live, tags)
    if found.has_value:
        if any(one for one in differences if one.attribute != VALUE or not live.is_secret):
            after = live.version - 1
            _refuse_changed(f"it is at version {live.version}, and the apply left version {after}")
        reason = "its former value was written by an earlier undo"
        return _FormerState(version.parameter, desired, reasons=(reason,))
    reasons = tuple(_restore_reasons(version.parameter, live, desired, record_of(past.tags.before)))
    return _FormerState(version.parameter, desired, differences, reasons)


def _build_change(
    context: UndoContext, row: Row, effect: Effect, live: Parameter, tags: Tags, reasons: tuple[str, ...]
) -> Change:
    """Return a change; `tags` name its source."""
    return Change(
        replication=context.spec.name,
        target=context.target.name,
        name=live.name,
        row=row,
        effect=effect,
        expected=Preconditions(version=live.version, modified=live.last_modified),
        reasons=reasons,
        place=str(context.live.place),
        source_name=source_name(tags, live.name, context.source),
        kind=live.type,
        writer=live.last_modified_user,
    )


def _find_version(context: UndoContext, past: PastChange, live: Parameter) -> PastVersion:
    """Return the version of the history that the report names; the last one must be the live one."""
    assert past.before is not None
    history = context.histories.get(canonical(past.name), ())
    if not history or history[-1].parameter.version != live.version:
        _refuse_changed("it was written while the plan was made")
    number = past.before.version
    found = next((one for one in history if one.parameter.version == number), None)
    if found is None:
        _refuse_impossible(f"version {number} is not in its history any more")
    moment = past.before.modified
    if moment is None or abs(found.parameter.last_modified - moment) > SAME_MOMENT:
        _refuse_impossible(f"version {number} of its history is not the one in the report: its time differs")
    return found


def _desired_as_live(live: Parameter, context: UndoContext) -> DesiredParameter:
    """Return the live parameter in the form of a desired one, for a change that writes only tags."""
    key = (live.key_id or MANAGED_KEY) if live.is_secret else None
    identity = None if key is None else context.ring.identity(key)
    return DesiredParameter(live.name, live, {}, live.tier, key_id=key, key_identity=identity)


def _desired_former(context: UndoContext, former: Parameter, live: Parameter) -> DesiredParameter:
    """Return a former version as the parameter to write."""
    found = _desired_as_live(replace(former, name=live.name), context)
    key = None if found.key_id is None else context.ring.keys.get(found.key_id)
    if key is not None and key.state not in (KeyState.USABLE, KeyState.UNKNOWN):
        _refuse_impossible(f"the key {found.key_id} of version {former.version} is {key.state}")
    if former.expiration is not None and former.expiration <= context.now:
        _refuse_impossible(f"the Expiration policy of version {former.version} has passed")
    if former.data_type != live.data_type:
        _refuse_impossible("AWS does not change its DataType in place")
    return replace(found, tier=ADVANCED) if live.tier == ADVANCED else found


def _former_differences(
    context: UndoContext, past: PastVersion, desired: DesiredParameter, live: Parameter, tags: Tags
) -> tuple[Difference, ...]:
    """Return the attributes that differ, the value among them; of a secret, no text and no comparison."""
    found = attribute_differences(desired, live, context.ring, None)
    former = past.parameter
    if former.is_secret or live.is_secret:
        return (Difference(VALUE, secret=True), *found)
    now = context.histories[canonical(live.name)][-1]
    source = source_name(tags, live.name, context.source) or live.name
    hidden = any(map(context.spec.hides, (live.name, source))) or was_secret(tags)
    lifted = context.spec.shows(live.name, source)
    before, after = (_read_version(one, context.key, show=not hidden, lifted=lifted) for one in (now, past))
    if before.digest == after.digest:
        return found
    return (value_difference(after, before), *found)


def _read_version(past: PastVersion, key: bytes, *, show: bool, lifted: bool) -> Reading:
    one = past.parameter
    value = Value(canonical(one.name), one.type, one.version, one.last_modified, past.text)
    return read(value, ValueRequest(one.name, show=show, lifted=lifted), key)


def _restore_reasons(
    former: Parameter, live: Parameter, desired: DesiredParameter, record: Record | None
) -> Iterator[str]:
    """Yield the consequences of a value that returns; `record` is the one before the apply."""
    older = "an older secret" if former.is_secret else "an older value"
    yield f"returns to {older}: version {former.version} of {utc_text(former.last_modified)}"
    if live.tier == ADVANCED != former.tier:
        yield "its tier stays Advanced: AWS does not turn it back into Standard"
    if former.type != live.type:
        yield f"its type returns to {former.type}; where AWS refuses that in place, it is withheld"
    is_recorded = record is not None and record.is_at_recorded_version(former)
    if record is not None and is_recorded and names_other_key(record, desired.key_identity):
        yield f"its key {desired.key_id} names another key now than when version {former.version} was written"


def _ownership_before(context: UndoContext, past: PastChange, live: Tags) -> tuple[dict[str, str], Standing]:
    """Return the ownership tags before the apply, and whether they made the parameter our replica.

    Those that the apply did not write are in `live`, the tags that it left.
    """
    own = {key: live[key] for key in (OWNER, RECORD, SOURCE) if key in live and key not in past.tags.after}
    own |= {key: past.tags.before[key] for key in (OWNER, RECORD, SOURCE) if key in past.tags.before}
    of_aws = {key: tag for key, tag in live.items() if key.startswith(RESERVED_TAG_PREFIX)}
    was = standing({**own, **of_aws}, context.live.arn(past.name), context.claim, placed=True)
    fits = {Standing.OURS, Standing.FREE} if RECORD in past.tags.after else {Standing.OURS}
    if was not in fits:
        _refuse_impossible("the tags in the report are not those of a parameter before an apply of this spec")
    return own, was


def _compose_record(
    context: UndoContext, past: PastChange, own: Tags, version: Parameter, tags: Tags
) -> Record:
    """Return the record of a parameter that stays, or becomes again, a replica.

    The source version of the former record is kept only if the live record names a later one. A plan then
    finds neither that version nor, after a delete of the source, a parameter of that age. If another writer
    made the former version, the record names the version before, so that the value counts as theirs again.
    """
    before, now = record_of(own), record_of(tags)
    assert before is not None
    if now is None or OWNER not in tags:
        if source_name(own, past.name, context.source) is None:
            _refuse_impossible("the tags in the report do not name its source")
        arn, spec_id = context.live.arn(past.name), context.spec.id
        now = replace(before, origin=Origin.ADOPTED, own=compose_own(arn, version.type, spec_id))
        return replace(now, version=version.version).without_source()
    if before.version < version.version and not past.restores_value:
        _refuse_impossible(
            f"version {version.version} was written after its record, of version {before.version}, and before"
            " the apply, for example by a run that failed. Its former tags do not fit that value. Correct the"
            " source and apply again, or write the former value from its history by hand"
        )
    found = replace(now, version=version.version)
    if past.restores_value:
        found = replace(found, key=key_digest(_desired_as_live(version, context).key_identity))
        if outside_reason(before, version, context.live.caller):
            return replace(found, version=before.version, written=before.written).without_source()
    elif _record_claims(before) == _record_claims(now):
        return found
    is_earlier = before.source_version < now.source_version and before.source_modified <= now.source_modified
    if before.source != now.source or not (is_earlier and before.is_at_recorded_version(version)):
        return found.without_source()
    made_from = before.source_version, before.source_modified
    return replace(found, source_version=made_from[0], source_modified=made_from[1], rewrite=before.rewrite)


def _record_claims(record: Record) -> tuple[object, ...]:
    """Return the facts of a record by which versions prove that values are equal."""
    return (record.source_version, record.source_modified, record.version, record.source, record.rewrite)


def _check_tag_room(effect: Restore, live: Tags) -> None:
    own = {OWNER, RECORD} if effect.record is not None else set()
    left = {*live, *effect.tags.added, *own} - set(effect.tags.removed)
    if sum(not key.startswith(RESERVED_TAG_PREFIX) for key in left) > TAG_LIMIT:
        _refuse_impossible(f"with its former tags it would have more than {TAG_LIMIT}")
