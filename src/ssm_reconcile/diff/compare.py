"""One desired parameter + the live one -> the attributes and tags that differ, as they may be shown.

Both sides are normalized before they are compared. Values are compared by their keyed digests; plain ones
that differ are compared in parts too (`values.py`). DeepDiff names the attributes and the tags that differ.
Its own report holds both sides, so the report is never shown.
"""

from __future__ import annotations

from enum import StrEnum

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.change import Difference, TagDiff
from ssm_reconcile.diff.trees import keys_that_differ
from ssm_reconcile.diff.values import value_parts
from ssm_reconcile.model import (
    ADVANCED,
    INTELLIGENT,
    MANAGED_KEY,
    STANDARD,
    STRING_LIST,
    DesiredParameter,
    Keyring,
    Parameter,
    Reading,
    Tags,
    UnreadableValue,
)
from ssm_reconcile.record import SAME_MOMENT, WAS_SECRET, Record, is_resolved, key_digest
from ssm_reconcile.shape import EXCERPT, excerpt
from ssm_reconcile.spec import Replication, TierMode
from ssm_reconcile.wording import outside_change_reason

VALUE = "value"
_BILLED = "Advanced is billed, and AWS does not take a parameter back to Standard"
_EQUAL_TAGS = TagDiff()
_FIXED = frozenset(one.name for one in COPIED if not one.in_place)
_PRIVATE = frozenset(one.name for one in COPIED if one.is_private)


class ValueMatch(StrEnum):
    """The result of a comparison of two values."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


def compare_values(
    source: Reading | UnreadableValue | None, live: Reading | UnreadableValue | None
) -> ValueMatch:
    """Return whether two readings have the same value; unknown where one was not read."""
    if not isinstance(source, Reading) or not isinstance(live, Reading):
        return ValueMatch.UNKNOWN
    return ValueMatch.EQUAL if source.digest == live.digest else ValueMatch.DIFFERENT


def value_difference(source: Reading | None, live: Reading | None) -> Difference:
    """Return a difference of values as it may be shown: nothing of a secret, and parts of plain values.

    Args:
        source: The value to be written; None where it was not read.
        live: The value in the target; None where the parameter does not exist.
    """
    if source is None or source.text is None or (live is not None and live.text is None):
        by_shape = any(one is not None and one.looks_secret for one in (source, live))
        return Difference(VALUE, secret=True, by_shape=by_shape)
    before, after = None if live is None else live.text, source.text
    parts = value_parts(before, after, is_list=_are_lists(source, live))
    return Difference(
        VALUE,
        before=excerpt(before),
        after=excerpt(after),
        cut=len(after) > EXCERPT or len(before or "") > EXCERPT,
        parts=None if before is None and parts.is_whole else parts,
    )


def _are_lists(source: Reading, live: Reading | None) -> bool:
    return source.type == STRING_LIST and (live is None or live.type == STRING_LIST)


def attribute_differences(
    desired: DesiredParameter, live: Parameter, ring: Keyring, record: Record | None
) -> tuple[Difference, ...]:
    """Return the attributes that differ, except the value and the tags, sorted by name.

    Args:
        desired: The desired parameter.
        live: The live parameter.
        ring: The KMS keys of the target.
        record: The record of the replica, if it is ours. It has the key to which the last write resolved,
            so an alias that names another key now is a difference although its name is the same.
    """
    source = desired.source
    before = {"type": live.type, "tier": live.tier}
    after = {"type": source.type, "tier": desired.tier}
    for one in COPIED:
        if one.of(live) != one.of(source):
            before[one.name], after[one.name] = one.text_of(live), one.text_of(source)
    if INTELLIGENT in (desired.tier, live.tier):
        # Intelligent-Tiering is requested, never reported: either tier may result (user guide, tiers).
        before["tier"] = after["tier"]
    hidden = _PRIVATE if source.is_secret or live.is_secret else frozenset()
    found = [
        Difference(name, secret=True) if name in hidden else Difference(name, before[name], after[name])
        for name in keys_that_differ(before, after)
    ]
    found += _key_difference(desired, live, ring, record)
    return tuple(sorted(found, key=lambda difference: difference.attribute))


def _key_difference(
    desired: DesiredParameter, live: Parameter, ring: Keyring, record: Record | None
) -> list[Difference]:
    """Return how the keys differ: by what they resolve to, or because the alias names another key now."""
    before = (live.key_id or MANAGED_KEY) if live.is_secret else None
    old = None if before is None else ring.identity(before)
    new = desired.key_identity if desired.source.is_secret else None
    unknown = None not in (old, new) and not (is_resolved(old) and is_resolved(new))
    if record is not None and record.is_at_recorded_version(live) and unknown:
        old = new  # the last write chose the key, and the parameter has not changed since
    if old != new:
        return [Difference("KeyId", before, desired.key_id)]
    if record is not None and names_other_key(record, new):
        return [Difference("KeyId", live.key_id or MANAGED_KEY, desired.key_id, repointed=True)]
    return []


def names_other_key(record: Record, identity: str | None) -> bool:
    """Whether the key of a record is another one than a present key, if both are known."""
    return is_resolved(identity) and record.key not in ("none", WAS_SECRET, key_digest(identity))


def tag_difference(replication: Replication, desired: DesiredParameter, live: Tags) -> TagDiff:
    """Return the replicated tags that differ. Tags of AWS, ownership and ignored tags are not compared.

    Args:
        replication: The replication, which decides which tags are replicated.
        desired: The desired parameter.
        live: The tags of the live parameter.
    """
    kept = {key: value for key, value in live.items() if replication.replicates_tag(key)}
    keys = keys_that_differ(kept, desired.tags)
    if not keys:
        return _EQUAL_TAGS
    return TagDiff(
        {key: kept[key] for key in keys if key in kept},
        {key: desired.tags[key] for key in keys if key in desired.tags},
    )


def cannot_change_in_place(
    desired: DesiredParameter, live: Parameter, differences: tuple[Difference, ...]
) -> bool:
    """Whether a difference needs a replacement: the data type, or Advanced to Standard.

    Args:
        desired: The desired parameter.
        live: The live parameter.
        differences: The attributes that differ.
    """
    downgrade = live.tier == ADVANCED and desired.tier == STANDARD
    return any(d.attribute in _FIXED or (d.attribute == "tier" and downgrade) for d in differences)


def tier_reasons(mode: TierMode, desired: DesiredParameter, live: Parameter | None) -> tuple[str, ...]:
    """Return why a write changes the tier although the source has another one.

    Args:
        mode: The tier mode of the target.
        desired: The desired parameter.
        live: The live parameter, if any.
    """
    if desired.may_rise:
        return (f"it becomes Advanced if its value, which was not read, exceeds Standard; {_BILLED}",)
    before = desired.source.tier if live is None else live.tier
    if before != STANDARD or desired.tier != ADVANCED:
        return ()
    if mode is TierMode.KEEP:
        return (f"it becomes Advanced, since Standard cannot hold its value or policies; {_BILLED}",)
    if mode is TierMode.ADVANCED and live is not None:
        return (f"it becomes Advanced (`tier: advanced`); {_BILLED}",)
    return ()


def outside_reason(record: Record, live: Parameter, caller: str) -> str:
    """Return the reason why a replica counts as changed by another writer; empty if it does not.

    A record without a version of the replica is that of an undo, which returned the value of another writer.

    Args:
        record: The record of the replica.
        live: The replica, at the version to judge.
        caller: The ARN of the identity of the run.
    """
    if record.is_at_recorded_version(live):
        return ""
    if not same_writer(live.last_modified_user, caller):
        return outside_change_reason(live.last_modified_user)
    return "changed outside ssm-reconcile, and returned by an undo" if record.is_of_outside_value else ""


def is_same_version(reading: Reading, described: Parameter) -> bool:
    """Whether a value and a description are of the same version, date and type of a parameter."""
    same_moment = abs(reading.last_modified - described.last_modified) <= SAME_MOMENT
    return same_moment and (reading.version, reading.type) == (described.version, described.type)


def same_writer(writer: str, caller: str) -> bool:
    """Whether two ARNs are of one identity. The session name of an assumed role is ignored."""
    return bool(writer) and _identity(writer) == _identity(caller)


def _identity(arn: str) -> str:
    head, marker, rest = arn.partition(":assumed-role/")
    return head + marker + rest.rsplit("/", 1)[0] if marker else arn
