"""Case and row -> a change, an address to report, or None for an address in sync."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import assert_never

from ssm_reconcile.change import (
    Adopt,
    Change,
    Create,
    Delete,
    Difference,
    Effect,
    Mark,
    Preconditions,
    Release,
    Replace,
    Retag,
    Row,
    TagDiff,
    Unmark,
    Update,
)
from ssm_reconcile.diff.case import Case
from ssm_reconcile.diff.compare import VALUE, ValueMatch, outside_reason, tier_reasons, value_difference
from ssm_reconcile.diff.table import detached_reason
from ssm_reconcile.model import SECURE, DesiredParameter, Parameter
from ssm_reconcile.plan import ExistingParameter, Other
from ssm_reconcile.record import (
    EXPIRES,
    OWNER,
    RECORD,
    SOURCE,
    Origin,
    Record,
    Standing,
    compose_own,
    digest,
    instant,
    is_resolved,
    key_digest,
    rewrite_digest,
)
from ssm_reconcile.skip_sync import OnSkip
from ssm_reconcile.spec import AdoptMode, DeleteMode, Orphans
from ssm_reconcile.wording import period_text, utc_text

SOURCE_GONE = "its source is gone"
UNMARKED = "its source exists again: its mark is removed"
_KEPT_WITH_SOURCE = frozenset({Row.CHAINED, Row.KEPT_OUT, Row.ORPHAN, Row.INVALID})
"""Rows in which a replica whose source exists may be left as it is. Its mark must not be."""


def result(case: Case, row: Row) -> Change | Other | None:
    """Return the change or the report of one address in its row; None for an address in sync."""
    found = None if row is Row.IN_SYNC else _result(case, row)
    if not isinstance(found, Other) or not case.has_outdated_mark:
        return found
    if row in _KEPT_WITH_SOURCE and not case.has_doubtful_tag:
        effect = Unmark(TagDiff(before={EXPIRES: case.tags[EXPIRES]}))
        return replace(_change(case, row, effect, UNMARKED, *found.reasons), differences=())
    return replace(found, mark_stays=case.outdated_mark is not None)


def _result(case: Case, row: Row) -> Change | Other:
    report = partial(_other, case, row)
    skip_tag = case.context.replication.skip_sync.tag
    match row:
        case Row.FOREIGN:
            return report("conflict", _foreign_reason(case))
        case Row.DETACHED:
            return report("detached", detached_reason(case))
        case Row.COPIED:
            reason = "copied ownership tags: its record was written for another parameter"
            return report("conflict", f"{reason}; remove its ssm-reconcile:* tags")
        case Row.HELD:
            return report("held", _hold_reason(case))
        case Row.OPTED_OUT:
            return report("opted_out", f"it carries {skip_tag} itself and is not changed")
        case Row.CHAINED:
            return report("skipped", "its source is itself a replica")
        case Row.SKIPPED:
            return report("skipped", f"its source carries {skip_tag}")
        case Row.KEPT_OUT:
            return _kept_out(case)
        case Row.EXPIRING:
            return _expiring(case)
        case Row.DELETE:
            return _delete(case)
        case Row.ORPHAN:
            return _orphan(case)
        case Row.INVALID:
            reported = report("invalid", *dict.fromkeys(problem.reason for problem in case.problems))
            kinds = frozenset(problem.kind for problem in case.problems)
            return replace(reported, problems=kinds, is_outage=any(one.is_outage for one in case.problems))
        case Row.CREATE:
            return _create(case)
        case Row.ADOPT:
            return _adopt(case)
        case Row.CONFLICT:
            return _conflict(case)
        case Row.REPLACE:
            return _replace(case)
        case Row.UPDATE:
            return _update(case)
        case Row.RETAG:
            return _retag(case)
        case Row.IN_SYNC | Row.UNDONE:
            raise AssertionError("an address in sync has no result, and `undo` plans from a report")
        case _:
            assert_never(row)


def _other(case: Case, row: Row, counted: str, *reasons: str) -> Other:
    return Other(case.context.replication.name, case.context.target.name, case.name, row, counted, reasons)


def _change(case: Case, row: Row, effect: Effect, *reasons: str) -> Change:
    live = case.live
    wanted = case.desired
    of_tier: tuple[str, ...] = ()
    if isinstance(effect, Create | Replace | Update):
        of_tier = tier_reasons(case.context.target.tier, effect.desired, live)
    return Change(
        replication=case.context.replication.name,
        target=case.context.target.name,
        name=case.name,
        row=row,
        effect=effect,
        expected=_expected(case),
        differences=case.differences,
        reasons=(*reasons, *of_tier, *(wanted.warnings if wanted is not None else ())),
        place=str(case.context.live.place),
        source_name=wanted.source.name if wanted is not None else case.made_from,
        outdated_mark=case.outdated_mark,
        kind=wanted.source.type if wanted is not None else (live.type if live is not None else ""),
        writer=live.last_modified_user if live is not None else "",
    )


def _expected(case: Case) -> Preconditions:
    """Return the versions that the decision rests on: those that were read, else those that were listed.

    A live value that was read at a version which is neither the listed nor the recorded one belongs to a
    parameter of unknown attributes and writer. The listed version is expected then, so apply ends stale.
    """
    source = case.source_reading or (case.desired.source if case.desired is not None else None)
    live = case.live if case.live_reading is None or _is_unknown(case) else case.live_reading
    of_source = (None, None) if source is None else (source.version, source.last_modified)
    of_live = (None, None) if live is None else (live.version, live.last_modified)
    return Preconditions(*of_source, *of_live)


def _is_unknown(case: Case) -> bool:
    """Whether the live parameter changed since its listing, and not by a write that the record shows."""
    live, reading, record = case.live, case.live_reading, case.record
    if live is None or reading is None or not case.is_mixed:
        return False
    return record is None or reading.type != live.type or not record.is_at_recorded_version(reading)


def _foreign_reason(case: Case) -> str:
    if case.standing is Standing.CLOUDFORMATION:
        return "it is managed by CloudFormation"
    if case.standing is Standing.OTHER_ID:
        whose = f"it is a replica of another spec with the same name: the owner is {case.tags.get(OWNER)}"
        return f"{whose}, the id is another one; give one spec another `name`, or see `previous_ids`"
    return f"it is a replica of {case.tags.get(OWNER, 'another owner')}"


def _hold_reason(case: Case) -> str:
    """Return why a hold stops every change of a case; the reason in the spec is text of a person."""
    hold, name = case.hold, case.source_name
    assert hold is not None
    why = f" ({hold.reason})" if hold.reason else ""
    recorded = ""
    if name is None or not hold.match.matches(name):
        (made_from,) = case.source_names - {name} or {None}
        recorded = f"; the replica here was made from `{made_from}`"
        if made_from is None:
            recorded = "; the name of its source is not recorded, so every hold of the spec applies to it"
    mark = "" if case.mark is None else f"; its mark of {instant(case.mark.expires)} stays"
    return f"{hold.text(case.context.as_of.date())} stops every change{why}{recorded}{mark}"


_UNSURE = "the listing of the source is incomplete, so nothing is deleted"


def _kept_out(case: Case) -> Change | Other:
    rules = case.context.replication
    report = partial(_other, case, Row.KEPT_OUT, "opted_out")
    reason = f"its source carries {rules.skip_sync.tag}"
    if rules.skip_sync.replicas is OnSkip.KEEP:
        return report(f"{reason}: its replica is not changed")
    if rules.delete is DeleteMode.NEVER:
        return report(f"{reason}; `delete: never` keeps its replica")
    if rules.id is not None and case.recorded_id is None:
        return report(f"{reason}; its replica has no id, so it is kept")
    if case.has_doubtful_tag:
        return report(f"{reason}; {case.problems[-1].reason}")
    if not case.context.source.complete:
        return report(f"{reason}; {_UNSURE}")
    return _remove(case, Row.KEPT_OUT, None, f"{reason} and `skip_sync.replicas` says delete")


def _gone(case: Case) -> str:
    return SOURCE_GONE if case.made_from == case.name else f"its source {case.made_from} is gone"


def _expiring(case: Case) -> Change | Other:
    """Return the mark to write, or the report of a replica whose mark is not due."""
    if not case.context.source.complete:
        return _other(case, Row.EXPIRING, "orphaned", _UNSURE)
    mark, is_released = case.mark, _is_released(case)
    verb = "releases" if is_released else "deletes"
    if mark is None:
        after = case.context.replication.grace
        effect = Mark(case.made_from, after, is_released)
        reason = f"{_gone(case)}: it is marked, and the first whole run {period_text(after)} later {verb} it"
        return replace(_change(case, Row.EXPIRING, effect, reason), differences=())
    reason = f"{_gone(case)}: the first whole run after {utc_text(mark.expires)} {verb} it"
    found = _other(case, Row.EXPIRING, "expiring", reason)
    return replace(found, expires=mark.expires, is_released=is_released)


def _delete(case: Case) -> Change | Other:
    if not case.context.source.complete:
        return _other(case, Row.DELETE, "orphaned", _UNSURE)
    if case.context.replication.delete is DeleteMode.NEVER:
        return _other(case, Row.DELETE, "orphaned", f"{SOURCE_GONE}; `delete: never` keeps it")
    mark = case.mark
    return _remove(case, Row.DELETE, case.made_from, _gone(case), None if mark is None else mark.expires)


def _orphan(case: Case) -> Change | Other:
    rules = case.context.replication
    reason = "the spec places no source parameter here" + (
        f", and {SOURCE_GONE}" if case.is_source_gone else ""
    )
    if rules.orphans is Orphans.KEEP:
        return _other(case, Row.ORPHAN, "orphaned", f"{reason}; `orphans: delete` would delete it")
    if rules.delete is DeleteMode.NEVER:
        return _other(case, Row.ORPHAN, "orphaned", f"{reason}; `delete: never` keeps it")
    if not case.context.source.complete:
        return _other(case, Row.ORPHAN, "orphaned", f"{reason}; {_UNSURE}")
    # The source may be missing from the listing only: apply confirms its absence before the delete.
    return _remove(case, Row.ORPHAN, case.made_from if case.source_gone else None, reason)


def _is_released(case: Case) -> bool:
    """Whether a replica without a source is released: `delete: created` keeps adopted ones."""
    return _origin(case) is Origin.ADOPTED and case.context.replication.delete is DeleteMode.CREATED


def _remove(
    case: Case, row: Row, confirm: str | None, reason: str, expires: datetime | None = None
) -> Change:
    """Return a delete or, for an adopted replica under `delete: created`, a release of its tags."""
    reasons = (reason,) if expires is None else (reason, f"its mark ended at {utc_text(expires)}")
    if _is_released(case):
        ours = {key: case.tags[key] for key in (OWNER, RECORD, SOURCE, EXPIRES) if key in case.tags}
        effect = Release(confirm, TagDiff(before=ours), expires)
        reasons = (*reasons, "it was adopted: it stays and loses our tags")
        return replace(_change(case, row, effect, *reasons), differences=())
    return replace(_change(case, row, Delete(confirm, expires), *reasons), differences=())


def _tags_to_write(case: Case) -> TagDiff:
    """Return the tags that differ; a mark is removed with them, since the source exists."""
    if EXPIRES not in case.tags:
        return case.tag_diff
    return TagDiff({**case.tag_diff.before, EXPIRES: case.tags[EXPIRES]}, case.tag_diff.after)


def _create(case: Case) -> Change:
    assert case.desired is not None
    change = _change(case, Row.CREATE, Create(case.desired))
    return replace(change, differences=(value_difference(case.source_reading, None),))


def _adopt(case: Case) -> Change | Other:
    wanted, _ = _desired_and_live(case)
    if case.context.adopt is AdoptMode.NEVER:
        reason = "the parameter already exists and is equal; `adopt: never` does not adopt it"
        return _other(case, Row.ADOPT, "conflict", reason)
    effect = Adopt(wanted, _tags_to_write(case), _comparison_record(case, Origin.ADOPTED))
    return _change(case, Row.ADOPT, effect, "the parameter already exists, equal in all that is replicated")


def _conflict(case: Case) -> Change | Other:
    wanted, _ = _desired_and_live(case)
    report = partial(_conflicting, case)
    mode = case.context.adopt
    if case.unproven:
        reason = "cannot compare: its value is not read without decryption"
        return _other(case, Row.CONFLICT, "conflict", reason)
    same = case.value_match is ValueMatch.EQUAL and "type" not in case.differing
    reason = conflict_reason(case)
    if case.needs_replace:
        return report(reason, *_of_downgrade(case))
    if not (mode is AdoptMode.OVERWRITE or (mode is AdoptMode.SAME_VALUE and same)):
        return report(reason)
    effect = Update(
        wanted,
        _tags_to_write(case),
        put=bool(case.differences),
        takes_over=True,
        origin=Origin.ADOPTED,
        record=None if case.differences else _comparison_record(case, Origin.ADOPTED),
    )
    change = _change(case, Row.CONFLICT, effect, f"takes over: {reason} (`adopt: {mode}`)")
    change = replace(change, is_shown=_is_shown(case))
    return _mark_exposure(case, change) if effect.put else change


def conflict_reason(case: Case) -> str:
    """Return why the existing parameter of a case is in conflict."""
    reason = f"the parameter already exists, is not a replica, and differs in {', '.join(case.differing)}"
    return f"{reason}, which AWS cannot change in place" if case.needs_replace else reason


def _is_shown(case: Case) -> bool:
    """Whether comments and pages show both sides of an existing parameter."""
    wanted, _ = _desired_and_live(case)
    return case.context.replication.shows(wanted.source.name, wanted.name)


def _conflicting(case: Case, *reasons: str) -> Other:
    """Return the report of an existing parameter, with both sides of each difference that may be shown."""
    wanted, live = _desired_and_live(case)
    existing = ExistingParameter(
        case.differences,
        case.tag_diff,
        wanted.source.type,
        live.version,
        live.last_modified,
        live.last_modified_user,
        is_shown=_is_shown(case),
    )
    return replace(_other(case, Row.CONFLICT, "conflict", *reasons), conflict=existing)


def _replace(case: Case) -> Change:
    wanted, _ = _desired_and_live(case)
    effect = Replace(wanted, origin=_origin(case))
    reasons = ("AWS cannot change this in place", *_of_downgrade(case), *case.uncompared_reasons)
    return _mark_exposure(case, _mark_changed_outside(case, _change(case, Row.REPLACE, effect, *reasons)))


def _of_downgrade(case: Case) -> tuple[str, ...]:
    """Return the setting that accepts a live Advanced parameter whose source is Standard."""
    if not any(d.attribute == "tier" for d in case.differences):
        return ()
    return (f"`tier: keep` for {case.context.target.name} in the spec accepts the tier Advanced",)


def _update(case: Case) -> Change:
    wanted, live = _desired_and_live(case)
    effect = Update(
        wanted,
        _tags_to_write(case),
        unproven=case.unproven,
        may_replace=case.context.run.allow_replace and wanted.source.type != live.type,
        origin=_origin(case),
    )
    reasons = [*case.uncompared_reasons]
    if case.unproven:
        reasons.append("unproven: apply compares the values, and only retags when they are equal")
    if any(difference.repointed for difference in case.differences):
        reasons.append("key re-pointed: the alias means another key since it was written")
    reasons += _of_type_change(case)
    change = _change(case, Row.UPDATE, effect, *reasons)
    if case.unproven:
        change = replace(change, differences=(Difference(VALUE, secret=True), *case.differences))
    return _mark_exposure(case, _mark_changed_outside(case, change))


def _of_type_change(case: Case) -> list[str]:
    """Return the consequences of a change of type. AWS does not document whether it is done in place."""
    wanted, live = _desired_and_live(case)
    if wanted.source.type == live.type:
        return []
    allowed = case.context.run.allow_replace
    otherwise = "it is replaced (deleted and created)" if allowed else "it needs --allow-replace"
    found = [f"where AWS refuses to change the type in place, {otherwise}"]
    if wanted.source.is_secret:
        found.append("its history keeps the old plain values until it is deleted")
    return found


def _retag(case: Case) -> Change:
    wanted, _ = _desired_and_live(case)
    origin = _origin(case)
    owner = case.tags.get(OWNER)
    is_marked = EXPIRES in case.tags
    reasons = (UNMARKED,) if is_marked else () if case.tag_diff else ("its record is out of date",)
    if owner != case.context.owner:
        reasons = (f"it is a replica of {owner}, now of {case.context.owner}",)
    elif case.recorded_id != case.context.id_digest:
        reasons = (*reasons, _id_reason(case)) if case.tag_diff or is_marked else (_id_reason(case),)
    effect = Retag(wanted, _tags_to_write(case), _comparison_record(case, origin))
    return _change(case, Row.RETAG, effect, *reasons)


def _id_reason(case: Case) -> str:
    """Return why the id in the record is out of date."""
    if case.context.id_digest is None:
        return "its record has an earlier id, and the spec has none"
    had = "no id" if case.recorded_id is None else "an earlier id"
    return f"its record has {had}, and gets the id of the spec"


def _desired_and_live(case: Case) -> tuple[DesiredParameter, Parameter]:
    """Return the desired and the live parameter of a row that has both."""
    assert case.desired is not None
    assert case.live is not None
    return case.desired, case.live


def _mark_changed_outside(case: Case, change: Change) -> Change:
    """Mark the change to a replica that another identity has changed since the recorded version.

    The caller has found a difference in the value or in an attribute other than the tags. GetParameters
    returns no writer: a version that is newer than the listed one and not recorded counts as changed outside.
    """
    _, live = _desired_and_live(case)
    record, reading = case.record, case.live_reading
    if record is None:
        return change
    newer = reading is not None and case.is_mixed and reading.last_modified > live.last_modified
    if reading is not None and newer and not record.is_at_recorded_version(reading):
        reason = "changed outside ssm-reconcile while the plan was made"
        return replace(change, changed_outside=True, reasons=(*change.reasons, reason))
    reason = outside_reason(record, live, case.context.live.caller)
    return replace(change, changed_outside=True, reasons=(*change.reasons, reason)) if reason else change


def _mark_exposure(case: Case, change: Change) -> Change:
    """Mark a write that turns a SecureString into plain text, and whether the source was made plain."""
    wanted, live = _desired_and_live(case)
    read_as_secret = case.live_reading is not None and case.live_reading.type == SECURE
    if wanted.source.is_secret or not (live.is_secret or read_as_secret):
        return change
    meant = _was_made_plain(case, wanted, live)
    reason = (
        f"its value becomes plain text: it is a SecureString here and a {wanted.source.type} at the source"
    )
    if meant:
        reason += ", where it was a SecureString at the last write"
    return replace(change, exposes=True, source_made_plain=meant, reasons=(*change.reasons, reason))


def _was_made_plain(case: Case, wanted: DesiredParameter, live: Parameter) -> bool:
    """Whether the recorded source is the current source, and was a SecureString at the last write."""
    context, record = case.context, case.record
    if record is None or record.source != digest(context.source.arn(wanted.source.name)):
        return False
    return record.source_type(context.live.arn(live.name)) == SECURE


def _origin(case: Case) -> Origin:
    """Return the origin of a replica; of a parameter without a record, that the replica is created."""
    return Origin.CREATED if case.record is None else case.record.origin


def _comparison_record(case: Case, origin: Origin) -> Record:
    """Return the record of a comparison, with the versions of the responses whose values were compared.

    Where versions proved equality without a read, the record keeps the versions that it has.
    """
    wanted, live = _desired_and_live(case)
    context = case.context
    source, there = case.source_reading, case.live_reading
    if source is None or there is None:
        kept = case.record
        assert kept is not None
        versions = kept.source_version, kept.source_modified, kept.version, kept.written
    else:
        versions = source.version, source.last_modified, there.version, there.last_modified
    return Record(
        *versions,
        origin=origin,
        own=compose_own(context.live.arn(live.name), wanted.source.type, context.replication.id),
        source=digest(context.source.arn(wanted.source.name)),
        key=_key_of(case, wanted),
        rewrite=rewrite_digest(wanted.substitutions),
    )


def _key_of(case: Case, wanted: DesiredParameter) -> str:
    """Return the digest of the key to record; the recorded one while KMS cannot resolve the key."""
    if case.record is not None and wanted.source.is_secret and not is_resolved(wanted.key_identity):
        return case.record.key
    return key_digest(wanted.key_identity)
