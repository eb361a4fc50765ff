"""Whose work a replica is: the record of a comparison, and whether somebody else has changed it since."""

from __future__ import annotations

from dataclasses import replace

from ssm_reconcile.change import Change, changed_by
from ssm_reconcile.diff.case import Case
from ssm_reconcile.model import SECURE, Desired, Parameter
from ssm_reconcile.record import (
    WAS_SECRET,
    Origin,
    Record,
    compose_own,
    digest,
    is_resolved,
    key_digest,
    rewrite_digest,
)


def both(case: Case) -> tuple[Desired, Parameter]:
    """What is wanted and what is there, of a row that has both."""
    assert case.desired is not None
    assert case.live is not None
    return case.desired, case.live


def judged(case: Case, change: Change) -> Change:
    """Mark a replica whose version is not the recorded one and whose last writer is not us.

    The caller has found a difference in its value or in another replicated attribute than the tags.
    A read shows no writer: a version that is newer than the listed one and not recorded is not ours.
    """
    _, live = both(case)
    record, reading = case.record, case.live_reading
    if record is None:
        return change
    newer = reading is not None and case.is_mixed and reading.last_modified > live.last_modified
    if reading is not None and newer and not record.left_at(reading):
        reason = "changed outside ssm-reconcile while the plan was made"
        return replace(change, changed_outside=True, reasons=(*change.reasons, reason))
    if record.left_at(live) or same_writer(live.last_modified_user, case.scene.live.caller):
        return change
    reasons = (*change.reasons, changed_by(live.last_modified_user))
    return replace(change, changed_outside=True, reasons=reasons)


def exposed(case: Case, change: Change) -> Change:
    """Mark a write that turns a SecureString into plain text, and whether the source was made plain."""
    wanted, live = both(case)
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


def _was_made_plain(case: Case, wanted: Desired, live: Parameter) -> bool:
    """Whether the replica was made from the same source, and that source was a SecureString then."""
    scene, record = case.scene, case.record
    if record is None or record.source != digest(scene.source.arn(wanted.source.name)):
        return False
    return recorded_source_type(record, scene.live.arn(live.name)) == SECURE


def recorded_source_type(record: Record, arn: str) -> str | None:
    """Return the type that the source had at the last write; None if the record does not show it.

    `arn` is that of the replica. An old record that names a key was written for a SecureString.
    """
    names_key = record.key not in ("none", WAS_SECRET)
    return record.source_type(arn) or (SECURE if names_key else None)


def same_writer(writer: str, caller: str) -> bool:
    """Whether two identities are the same: of an assumed role the session name does not matter."""
    return bool(writer) and _identity(writer) == _identity(caller)


def _identity(arn: str) -> str:
    head, marker, rest = arn.partition(":assumed-role/")
    return head + marker + rest.rsplit("/", 1)[0] if marker else arn


def is_adopted(case: Case) -> bool:
    """Whether the replica was there before it was ours."""
    return case.record is not None and case.record.origin is Origin.ADOPTED


def compared(case: Case, origin: Origin) -> Record:
    """The record of a comparison: versions from the answers that carried the values compared.

    Where nothing was read since versions settle it, they are the versions that the record has.
    """
    wanted, live = both(case)
    scene = case.scene
    source, there = case.source_reading, case.live_reading
    if source is None or there is None:
        kept = case.record
        assert kept is not None
        version, written = kept.version, kept.written
        source_version, source_modified = kept.source_version, kept.source_modified
    else:
        version, written = there.version, there.last_modified
        source_version, source_modified = source.version, source.last_modified
    return Record(
        source_version=source_version,
        source_modified=source_modified,
        version=version,
        written=written,
        origin=origin,
        own=compose_own(scene.live.arn(live.name), wanted.source.type, scene.replication.id),
        source=digest(scene.source.arn(wanted.source.name)),
        key=_key_of(case, wanted),
        rewrite=rewrite_digest(wanted.substitutions),
    )


def _key_of(case: Case, wanted: Desired) -> str:
    """The key to record: nothing is written, so what is recorded stays while KMS cannot be asked."""
    if case.record is not None and wanted.source.is_secret and not is_resolved(wanted.key_identity):
        return case.record.key
    return key_digest(wanted.key_identity)
