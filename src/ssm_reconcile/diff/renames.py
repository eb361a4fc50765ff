"""Replicas of another owner at the same source -> the suggestion that the spec was renamed. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ssm_reconcile.change import Row
from ssm_reconcile.diff import TargetDiff
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.model import Listing, Place, canonical
from ssm_reconcile.record import OWNER
from ssm_reconcile.spec import Replication

MANY = 2
"""Foreign replicas of one name from which on a renamed spec is likely."""
_NAME = re.compile(r"[a-z0-9-]{1,64}")


def renamed(
    spec: Replication, source: Place, drafts: Mapping[str, TargetDiff], live: Mapping[str, Listing]
) -> list[Finding]:
    """Return one finding for each other name at the same source that owns many replicas in the way."""
    counts: dict[str, dict[str, int]] = {}
    for target, draft in sorted(drafts.items()):
        for other in draft.others:
            if other.row is not Row.FOREIGN:
                continue
            owner = live[target].tags_of(canonical(other.name)).get(OWNER, "")
            name, _, place = owner.rpartition("@")
            if place == f"{source.account}/{source.region}" and name != spec.name and _NAME.fullmatch(name):
                in_target = counts.setdefault(name, {})
                in_target[target] = in_target.get(target, 0) + 1
    return [
        _finding(spec, name, found) for name, found in sorted(counts.items()) if sum(found.values()) >= MANY
    ]


def _finding(spec: Replication, name: str, found: Mapping[str, int]) -> Finding:
    message = (
        f"{spec.name}: {sum(found.values()):,} conflicts in {', '.join(found)} are replicas of `{name}` at"
        f" the same source: if this replication was named `{name}` before, add `previous_names: [{name}]`"
        " to the spec, and they are taken over"
    )
    return Finding(Severity.WARNING, "spec-renamed", message, str(spec.where or spec.name))
