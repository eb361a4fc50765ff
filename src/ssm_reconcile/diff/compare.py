"""One desired parameter + one live one -> the attributes that differ, as a person may see them.

Both sides are normalised first and compared then. Values are compared by their keyed digests only.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from ssm_reconcile.change import Difference, TagDiff
from ssm_reconcile.model import (
    ADVANCED,
    INTELLIGENT,
    MANAGED_KEY,
    STANDARD,
    Desired,
    Keyring,
    Parameter,
    Reading,
    Tags,
    Unreadable,
)
from ssm_reconcile.record import WAS_SECRET, Record, is_resolved, key_digest
from ssm_reconcile.spec import Replication

VALUE = "value"
IN_PLACE = frozenset({VALUE, "type", "description", "AllowedPattern", "policies", "KeyId"})
"""What an overwrite changes in AWS. A tier changes in place too, but only upwards."""


class Verdict(StrEnum):
    """What is known of two values."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


def verdict(source: Reading | Unreadable | None, live: Reading | Unreadable | None) -> Verdict:
    """Whether two readings are of the same value."""
    if not isinstance(source, Reading) or not isinstance(live, Reading):
        return Verdict.UNKNOWN
    return Verdict.EQUAL if source.digest == live.digest else Verdict.DIFFERENT


def value_difference(source: Reading | None, live: Reading | None) -> Difference:
    """How a value that differs may be shown: a secret never, a plain value by its beginning."""
    if source is None or source.excerpt is None or (live is not None and live.excerpt is None):
        by_shape = any(one is not None and one.looks_secret for one in (source, live))
        return Difference(VALUE, secret=True, by_shape=by_shape)
    return Difference(
        VALUE,
        before=None if live is None else live.excerpt,
        after=source.excerpt,
        cut=source.cut or (live is not None and live.cut),
    )


def attribute_differences(
    desired: Desired, live: Parameter, ring: Keyring, record: Record | None
) -> tuple[Difference, ...]:
    """All attributes but the value and the tags that differ, sorted by name.

    `record` is the replica's own, where it is ours: it remembers which key the write resolved to, so
    an alias that points elsewhere since is a difference although its name is the same.
    """
    before, after = _attributes_of(live, desired, ring), _attributes_to_be(desired, live)
    if record is not None and record.left_at(live) and _unknown_keys(before, after):
        after["KeyId"] = before["KeyId"]  # our own write chose it, and nobody has written since
    if before == after and not _repointed(desired, record):
        return ()
    secret = desired.source.is_secret or live.is_secret
    found = [_shown(name, live, desired, secret=secret) for name in _names_that_differ(before, after)]
    if _repointed(desired, record) and not any(d.attribute == "KeyId" for d in found):
        found.append(Difference("KeyId", live.key_id or MANAGED_KEY, desired.key_id, repointed=True))
    return tuple(sorted(found, key=lambda difference: difference.attribute))


def _unknown_keys(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether both sides have a key, and KMS could not tell of one of them which it is."""
    keys = (before["KeyId"], after["KeyId"])
    return None not in keys and not all(map(is_resolved, keys))


def _repointed(desired: Desired, record: Record | None) -> bool:
    return (
        record is not None
        and desired.source.is_secret
        and is_resolved(desired.key_identity)
        and record.key not in ("none", WAS_SECRET, key_digest(desired.key_identity))
    )


def _names_that_differ(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """DeepDiff on the pairs that are known to differ only: on everything it is slow (ux.md section 3)."""
    from deepdiff import DeepDiff

    difference = DeepDiff(before, after, view="tree", ignore_order=False)
    paths = {item.path(output_format="list")[0] for change in difference.values() for item in change}
    return sorted(str(path) for path in paths)


def _attributes_to_be(desired: Desired, live: Parameter) -> dict[str, Any]:
    source = desired.source
    either = INTELLIGENT in (desired.tier, live.tier)
    return {
        "type": source.type,
        "description": source.description,
        "AllowedPattern": source.allowed_pattern,
        "tier": INTELLIGENT if either else desired.tier,
        "policies": [_policy(text) for text in sorted(source.policies)],
        "DataType": source.data_type,
        "KeyId": desired.key_identity if source.is_secret else None,
    }


def _attributes_of(live: Parameter, desired: Desired, ring: Keyring) -> dict[str, Any]:
    """Intelligent-Tiering is a request and never a state: either tier answers it (aws-facts B3)."""
    either = INTELLIGENT in (desired.tier, live.tier)
    return {
        "type": live.type,
        "description": live.description,
        "AllowedPattern": live.allowed_pattern,
        "tier": INTELLIGENT if either else live.tier,
        "policies": [_policy(text) for text in sorted(live.policies)],
        "DataType": live.data_type,
        "KeyId": ring.identity(live.key_id or MANAGED_KEY) if live.is_secret else None,
    }


def _policy(text: str) -> Any:
    """A policy as JSON, so that its spaces make no difference; the text itself where it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _shown(name: str, live: Parameter, desired: Desired, *, secret: bool) -> Difference:
    """One attribute before and after. The pattern of a secret says too much about it."""
    source = desired.source
    match name:
        case "type":
            return Difference(name, live.type, source.type)
        case "description":
            return Difference(name, live.description, source.description)
        case "AllowedPattern":
            if secret:
                return Difference(name, secret=True)
            return Difference(name, live.allowed_pattern, source.allowed_pattern)
        case "tier":
            return Difference(name, live.tier, desired.tier)
        case "policies":
            return Difference(name, _joined(live.policies), _joined(source.policies))
        case "DataType":
            return Difference(name, live.data_type, source.data_type)
        case _:
            before = (live.key_id or MANAGED_KEY) if live.is_secret else None
            return Difference(name, before, desired.key_id)


def _joined(policies: tuple[str, ...]) -> str:
    return "[" + ",".join(sorted(policies)) + "]"


def tag_difference(replication: Replication, desired: Desired, live: Tags) -> TagDiff:
    """The tags that we replicate and that differ; `aws:*`, ours, ignored ones are not looked at."""
    kept = {key: value for key, value in live.items() if replication.replicates_tag(key)}
    if kept == desired.tags:
        return TagDiff()
    keys = {
        key
        for key in kept.keys() | desired.tags.keys()
        if key not in kept or key not in desired.tags or kept[key] != desired.tags[key]
    }
    return TagDiff(
        {key: kept[key] for key in sorted(keys & kept.keys())},
        {key: desired.tags[key] for key in sorted(keys & desired.tags.keys())},
    )


def cannot_change_in_place(desired: Desired, live: Parameter, differences: tuple[Difference, ...]) -> bool:
    """Whether only a replacement helps: another data type, or Advanced to Standard (aws-facts B3)."""
    downgrade = live.tier == ADVANCED and desired.tier == STANDARD
    return any(d.attribute == "DataType" or (d.attribute == "tier" and downgrade) for d in differences)
