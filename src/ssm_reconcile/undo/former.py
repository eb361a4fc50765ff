"""A past change + the tags and the history of its parameter -> the version, tags and record from before it.

The record that a replica gets names the source version whose value it holds only if the live record proves
that the source has had a later one since. Otherwise it names none. So no later plan takes a value for proven
that an edited report names. If another client wrote the former version, the record has the replica version 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn

from ssm_reconcile.aws_limits import RESERVED_TAG_PREFIX
from ssm_reconcile.change import Difference, Row
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
from ssm_reconcile.record import (
    OWNER,
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
from ssm_reconcile.shape import read
from ssm_reconcile.spec import Replication, Target
from ssm_reconcile.stores.base import PastVersion
from ssm_reconcile.undo.match import PastChange
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


class NotUndone(Exception):  # noqa: N818 - not an error: it carries the reason why a change is not taken back
    """A change is not taken back. `row` is `invalid` where that is not possible, else `conflict`."""

    def __init__(self, row: Row, *reasons: str) -> None:
        super().__init__(*reasons)
        self.row = row
        self.reasons = reasons


def refuse_impossible(reason: str) -> NoReturn:
    """End at a change that cannot be taken back.

    Args:
        reason: Why not.

    Raises:
        NotUndone: Always.
    """
    raise NotUndone(Row.INVALID, f"cannot be undone: {reason}")


def refuse_changed(reason: str, *more: str) -> NoReturn:
    """End at a parameter that was changed since the apply.

    Args:
        reason: The difference.
        more: Other reasons.

    Raises:
        NotUndone: Always.
    """
    raise NotUndone(Row.CONFLICT, f"changed since the apply, and left as it is: {reason}", *more)


def find_version(context: UndoContext, past: PastChange, live: Parameter) -> PastVersion:
    """Return the version of the history that the report names; the last one must be the live one.

    Args:
        context: The target.
        past: The change.
        live: The live parameter.

    Raises:
        NotUndone: The history has no such version, or ends with another one than the live one.
    """
    assert past.before is not None
    history = context.histories.get(canonical(past.name), ())
    if not history or history[-1].parameter.version != live.version:
        refuse_changed("it was written while the plan was made")
    number = past.before.version
    found = next((one for one in history if one.parameter.version == number), None)
    if found is None:
        refuse_impossible(f"version {number} is not in its history any more")
    moment = past.before.modified
    if moment is None or abs(found.parameter.last_modified - moment) > SAME_MOMENT:
        refuse_impossible(f"version {number} of its history is not the one in the report: its time differs")
    return found


def desired_as_live(live: Parameter, context: UndoContext) -> DesiredParameter:
    """Return the live parameter in the form of a desired one, for a change that writes only tags.

    Args:
        live: The live parameter.
        context: The target.
    """
    key = (live.key_id or MANAGED_KEY) if live.is_secret else None
    identity = None if key is None else context.ring.identity(key)
    return DesiredParameter(live.name, live, {}, live.tier, key_id=key, key_identity=identity)


def desired_former(context: UndoContext, former: Parameter, live: Parameter) -> DesiredParameter:
    """Return a former version as the parameter to write.

    Args:
        context: The target.
        former: The former version.
        live: The live parameter.

    Raises:
        NotUndone: AWS would refuse that version now.
    """
    found = desired_as_live(replace(former, name=live.name), context)
    key = None if found.key_id is None else context.ring.keys.get(found.key_id)
    if key is not None and key.state not in (KeyState.USABLE, KeyState.UNKNOWN):
        refuse_impossible(f"the key {found.key_id} of version {former.version} is {key.state}")
    if former.expiration is not None and former.expiration <= context.now:
        refuse_impossible(f"the Expiration policy of version {former.version} has passed")
    if former.data_type != live.data_type:
        refuse_impossible("AWS does not change its DataType in place")
    return replace(found, tier=ADVANCED) if live.tier == ADVANCED else found


def former_differences(
    context: UndoContext, past: PastVersion, desired: DesiredParameter, live: Parameter, tags: Tags
) -> tuple[Difference, ...]:
    """Return the attributes that differ, the value among them; of a secret, no text and no comparison.

    Args:
        context: The target.
        past: The former version.
        desired: The former version as the parameter to write.
        live: The live parameter.
        tags: The tags by which values are hidden.
    """
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


def restore_reasons(
    former: Parameter, live: Parameter, desired: DesiredParameter, record: Record | None
) -> Iterator[str]:
    """Yield the consequences of a value that returns.

    Args:
        former: The former version.
        live: The live parameter.
        desired: The former version as the parameter to write.
        record: The record before the apply.
    """
    older = "an older secret" if former.is_secret else "an older value"
    yield f"returns to {older}: version {former.version} of {utc_text(former.last_modified)}"
    if live.tier == ADVANCED != former.tier:
        yield "its tier stays Advanced: AWS does not turn it back into Standard"
    if former.type != live.type:
        yield f"its type returns to {former.type}; where AWS refuses that in place, it is withheld"
    is_recorded = record is not None and record.is_at_recorded_version(former)
    if record is not None and is_recorded and names_other_key(record, desired.key_identity):
        yield f"its key {desired.key_id} names another key now than when version {former.version} was written"


def ownership_before(context: UndoContext, past: PastChange, live: Tags) -> tuple[dict[str, str], Standing]:
    """Return the ownership tags before the apply, and whether they made the parameter our replica.

    Args:
        context: The target.
        past: The change.
        live: The tags that the apply left: those that it did not write are in them.

    Raises:
        NotUndone: No apply of this spec has found such tags.
    """
    own = {key: live[key] for key in (OWNER, RECORD, SOURCE) if key in live and key not in past.tags.after}
    own |= {key: past.tags.before[key] for key in (OWNER, RECORD, SOURCE) if key in past.tags.before}
    of_aws = {key: tag for key, tag in live.items() if key.startswith(RESERVED_TAG_PREFIX)}
    was = standing({**own, **of_aws}, context.live.arn(past.name), context.claim, placed=True)
    fits = {Standing.OURS, Standing.FREE} if RECORD in past.tags.after else {Standing.OURS}
    if was not in fits:
        refuse_impossible("the tags in the report are not those of a parameter before an apply of this spec")
    return own, was


def compose_record(
    context: UndoContext, past: PastChange, own: Tags, version: Parameter, tags: Tags
) -> Record:
    """Return the record of a parameter that stays, or becomes again, a replica.

    The source version of the former record is kept only if the live record names a later one. A plan then
    finds neither that version nor, after a delete of the source, a parameter of that age. If another writer
    made the former version, the record names no version of the replica, so that the value counts as theirs
    again.

    Args:
        context: The target.
        past: The change.
        own: The ownership tags before the apply.
        version: The version that the parameter returns to.
        tags: The tags that the apply left.

    Raises:
        NotUndone: The former tags do not fit the value, or the spec places no source at the parameter.
    """
    before, now = record_of(own), record_of(tags)
    assert before is not None
    if now is None or OWNER not in tags:
        _check_placed(context, past.name, source_name(own, past.name, context.source), version.type)
        arn, spec_id = context.live.arn(past.name), context.spec.id
        now = replace(before, origin=Origin.ADOPTED, own=compose_own(arn, version.type, spec_id))
        return replace(now, version=version.version).without_source()
    is_outside = before.is_of_outside_value
    if before.version < version.version and not past.restores_value and not is_outside:
        refuse_impossible(
            f"version {version.version} was written after its record, of version {before.version}, and before"
            " the apply, for example by a run that failed. Its former tags do not fit that value. Correct the"
            " source and apply again, or write the former value from its history by hand"
        )
    found = replace(now, version=version.version)
    if past.restores_value:
        found = replace(found, key=key_digest(desired_as_live(version, context).key_identity))
        is_outside = bool(outside_reason(before, version, context.live.caller))
    if is_outside:
        return found.of_outside_value()
    if not past.restores_value and _record_claims(before) == _record_claims(now):
        return found
    is_earlier = before.source_version < now.source_version and before.source_modified <= now.source_modified
    if before.source != now.source or not (is_earlier and before.is_at_recorded_version(version)):
        return found.without_source()
    made_from = before.source_version, before.source_modified
    return replace(found, source_version=made_from[0], source_modified=made_from[1], rewrite=before.rewrite)


def _check_placed(context: UndoContext, name: str, source: str | None, kind: str) -> None:
    """Check that the spec places a source at an address, before a parameter there becomes a replica.

    Anyone may have edited the report. Without this check it could make any parameter a replica, and the
    next apply would then write or delete it.
    """
    spec = context.spec
    if source is None:
        refuse_impossible("the tags in the report do not name its source")
    address = spec.address(source, context.source, context.live.place, context.target.name)
    if spec.rule_for(source, kind) is None or canonical(address) != canonical(name):
        refuse_impossible(f"the spec does not place {source} there, so it does not become a replica")


def _record_claims(record: Record) -> tuple[object, ...]:
    """Return the facts of a record by which versions prove that values are equal."""
    return (record.source_version, record.source_modified, record.version, record.source, record.rewrite)
