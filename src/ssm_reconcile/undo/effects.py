"""One past change + the live parameter and its history -> a change that takes it back, or why not.

created      deleted, while its record and version are those of the report (row `undone`)
marked       the mark to delete is removed, likewise (row `undone`)
updated      the former version is written again, with its attributes and the tags that the update changed
tagged       the tags return: of a retag, or of an adoption (no longer a replica)
released     not possible: only an apply makes a parameter without an owner a replica
deleted, or deleted and created again: not possible, since AWS keeps no history of a deleted parameter
tagged, and the value written by an earlier run, which failed at the tags: not possible, they do not fit it

The former version, its tags and its record are those of `former.py`. A mark to delete
(`ssm-reconcile:expires`) is removed and never written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from ssm_reconcile.diff.compare import VALUE
from ssm_reconcile.model import DesiredParameter, Parameter, Tags, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.record import (
    CLEARED,
    EXPIRES,
    OWNER,
    PREFIX,
    RECORD,
    SAME_MOMENT,
    SOURCE,
    Origin,
    Standing,
    record_of,
    source_name,
    standing,
)
from ssm_reconcile.report import ParameterVersion
from ssm_reconcile.undo.former import (
    NotUndone,
    UndoContext,
    compose_record,
    desired_as_live,
    desired_former,
    find_version,
    former_differences,
    ownership_before,
    refuse_changed,
    refuse_impossible,
    restore_reasons,
)
from ssm_reconcile.undo.match import PastChange, compare_user_tags
from ssm_reconcile.wording import utc_text


def take_back(context: UndoContext, past: PastChange) -> Change | Other:
    """Return the change that takes a past change back, or an address with the reason why there is none."""
    try:
        return _plan_change(context, past)
    except NotUndone as reason:
        name, target = context.spec.name, context.target.name
        return Other(name, target, past.name, reason.row, reason.row.value, reason.reasons)


def _end_in_sync(reason: str = "already taken back: it is as it was before the apply") -> NoReturn:
    raise NotUndone(Row.IN_SYNC, reason)


def _end_without_owner(context: UndoContext, past: PastChange, found: _FoundState) -> NoReturn:
    """End at a parameter with its former tags, not a replica. No record proves the value of a secret."""
    _find_former(context, past, found)
    version = found.live.version
    if found.has_value and found.live.is_secret:
        unknown = "may be the former value or another one, which only a read of both shows"
        raise NotUndone(Row.CONFLICT, f"version {version} {unknown}")
    _end_in_sync()


@dataclass(frozen=True, slots=True)
class _FoundState:
    """The live parameter of a past change, as the apply left it, or half taken back by a run that failed.

    Attributes:
        live: The parameter.
        tags: Its tags.
        has_value: Whether an undo has written the former value, and not its tags.
        has_ownership: Whether the ownership tags that the apply added are gone. An undo removes them last.
    """

    live: Parameter
    tags: Tags
    has_value: bool = False
    has_ownership: bool = False


def _plan_change(context: UndoContext, past: PastChange) -> Change:
    if past.impossible_reason:
        refuse_impossible(past.impossible_reason)
    found = _find_state(context, past)
    if past.before is None:
        return _plan_delete(context, found)
    return _plan_restore(context, past, found) if past.touches_record else _plan_unmark(context, past, found)


def _find_state(context: UndoContext, past: PastChange) -> _FoundState:
    """Return the live parameter, if it is as the apply left it, or half taken back."""
    name, after = canonical(past.name), past.after
    assert after is not None
    if name in context.unread:
        refuse_impossible(context.unread[name])
    live, tags = context.live.parameters.get(name), context.live.tags_of(name)
    if live is None:
        if past.before is None:
            _end_in_sync()
        refuse_changed("it does not exist any more")
    skip_sync = context.spec.skip_sync
    if skip_sync.applies(tags, context.target.name) or skip_sync.is_doubtful(tags, context.target.name):
        refuse_changed(f"it carries the tag {skip_sync.tag} itself, or one like it")
    has_value = past.restores_value and live.version == after.version + 1
    _check_version(live, after, has_value=has_value)
    found = _FoundState(live, tags, has_value)
    return replace(found, has_ownership=_check_ownership(context, past, found))


def _check_version(live: Parameter, after: ParameterVersion, *, has_value: bool) -> None:
    if live.version < after.version:
        why = f"the listing of AWS has version {live.version}, the report version {after.version}"
        refuse_impossible(f"{why}: a listing may lag; run again, or the parameter was created again")
    if has_value:
        return  # that it is the former value is checked with its history
    if live.version != after.version:
        refuse_changed(f"it is at version {live.version}, and the apply left version {after.version}")
    if after.modified is not None and abs(live.last_modified - after.modified) > SAME_MOMENT:
        refuse_changed(f"its version {live.version} is of {utc_text(live.last_modified)}")


def _check_ownership(context: UndoContext, past: PastChange, state: _FoundState) -> bool:
    """Check that the ownership tags are those that the apply left; or those before it: then return True."""
    tags = state.tags
    left, found = past.tags.after.get(RECORD), tags.get(RECORD)
    if not past.touches_record:
        left = found
    was_free = left is not None and RECORD not in past.tags.before
    has_ownership = was_free and not {OWNER, RECORD, SOURCE} & tags.keys()
    if left != found and not has_ownership:
        reason = "its record was written again" if left and found else "its ownership tags differ"
        changed, kept = compare_user_tags(context.spec, past, tags)
        if kept:
            refuse_changed(reason, *kept)
        if not changed and _is_taken_back(context, past, state):
            _end_in_sync()
        refuse_changed(reason)
    status = standing(tags, context.live.arn(past.name), context.claim, placed=True)
    # An undo that failed may have removed the owner tag that the apply added, and not the record yet.
    is_begun = OWNER in past.tags.after and not {OWNER} & {*past.tags.before, *tags}
    was_released = OWNER in past.tags.before and OWNER not in {*past.tags.after, *tags}
    is_free = found is None or is_begun or was_released
    if status is not (Standing.FREE if is_free else Standing.OURS):
        refuse_changed(f"its ownership has changed: it is {status}")
    return has_ownership


def _is_taken_back(context: UndoContext, past: PastChange, found: _FoundState) -> bool:
    """Whether the parameter has the ownership tags that an undo writes last, after the value."""
    if past.before is None or (past.restores_value and not found.has_value):
        return False
    ours = {key: tag for key, tag in found.tags.items() if key in (OWNER, RECORD, SOURCE)}
    unchanged = {key: tag for key, tag in found.tags.items() if key not in past.tags.before}
    left = {**unchanged, **past.tags.after}
    own, was = ownership_before(context, past, left)
    if was is Standing.FREE:
        if ours == own:
            _end_without_owner(context, past, found)
        return False
    version = find_version(context, past, found.live).parameter if past.restores_value else found.live
    wanted, record = compose_record(context, past, own, version, left), record_of(ours)
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
        refuse_changed("its mark was written again")
    effect = Unmark(TagDiff(before={EXPIRES: found.tags[EXPIRES]}))
    reasons = ("the apply marked it for a delete",)
    return _build_change(context, Row.UNDONE, effect, found.live, found.tags, reasons)


def _plan_delete(context: UndoContext, found: _FoundState) -> Change:
    """Return the delete of a parameter that the apply created."""
    record = record_of(found.tags)
    if record is None or found.live.version != 1 or record.origin is not Origin.CREATED:
        refuse_impossible("its record does not say that the apply created it")
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
    own, was = ownership_before(context, past, tags)
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
            if kept:
                refuse_changed(*kept)
            _end_without_owner(context, past, found)
        # An undo removes ownership tags last, after the value and the other tags: someone else did it.
        if found.has_ownership or (put and OWNER not in tags):
            refuse_changed("its ownership tags were removed", *kept)
        reasons.append("it is not a replica any more")
    else:
        record = compose_record(context, past, own, former.version, tags)
        old = {key: tags[key] for key in (EXPIRES, *(() if is_replica else own)) if key in tags}
        new = {} if is_replica else own
        both = TagDiff({**user_tags.before, **old}, {**user_tags.after, **new})
        effect = replace(effect, tags=both, owner=own[OWNER], record=record)
        if not is_replica:
            reasons.append("it is a replica again")
        elif not put:
            reasons.append("its former tags and record return")
        if record.is_of_outside_value:
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
        return _FormerState(live, desired_as_live(live, context))
    version = find_version(context, past, live)
    desired = desired_former(context, version.parameter, live)
    # After an undone take-over, only the report has the record that names the source and hides the values.
    tags = {**past.tags.before, **found.tags}
    differences = former_differences(context, version, desired, live, tags)
    if found.has_value:
        if any(one for one in differences if one.attribute != VALUE or not live.is_secret):
            after = live.version - 1
            refuse_changed(f"it is at version {live.version}, and the apply left version {after}")
        reason = f"version {live.version} has the former value already"
        if live.is_secret:
            may_be = "may be the former value; it is compared before the tags are written"
            reason = f"version {live.version} {may_be}"
        return _FormerState(version.parameter, desired, reasons=(reason,))
    reasons = tuple(restore_reasons(version.parameter, live, desired, record_of(past.tags.before)))
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


def _check_tag_room(effect: Restore, live: Tags) -> None:
    left = {*live, *effect.tags.added} - set(effect.tags.removed)
    if sum(not key.startswith(RESERVED_TAG_PREFIX) for key in left) > TAG_LIMIT:
        refuse_impossible(f"with its former tags it would have more than {TAG_LIMIT}")
