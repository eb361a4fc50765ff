"""Whose work a replica is: the record of a comparison, and whether somebody else has changed it since."""

from __future__ import annotations

from dataclasses import replace

from ssm_reconcile.diff.case import Case
from ssm_reconcile.model import SECURE, Desired, Parameter
from ssm_reconcile.plan import Change
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
    """
    _, live = both(case)
    record = case.record
    if record is None or record.left_at(live):
        return change
    if same_writer(live.last_modified_user, case.scene.live.caller):
        return change
    who = live.last_modified_user if live.last_modified_user.startswith("arn:") else "somebody else"
    return replace(
        change, changed_outside=True, reasons=(*change.reasons, f"changed outside ssm-reconcile by {who}")
    )


def exposed(case: Case, change: Change) -> Change:
    """Mark a write that turns a SecureString into plain text, and whether the source was made plain."""
    wanted, live = both(case)
    if wanted.source.is_secret or not live.is_secret:
        return change
    arn = case.scene.live.arn(live.name)
    meant = case.record is not None and recorded_source_type(case.record, arn) == SECURE
    reason = (
        f"its value becomes plain text: it is a SecureString here and a {wanted.source.type} at the source"
    )
    if meant:
        reason += ", where it was a SecureString at the last write"
    return replace(change, exposes=True, source_made_plain=meant, reasons=(*change.reasons, reason))


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
