"""The ownership rules of the previous version, which knows records of format 1 only.

A frozen copy of `parse`, `standing` and the check of `detach` as released before records held the source's
type and the spec's id. Do not update this file together with `record.py`: the tests ask it what a tool that
was not upgraded does with a record of today.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

OWNER = "ssm-reconcile:owner"
RECORD = "ssm-reconcile:record"
DETACHED = "detached:"

_PATTERN = re.compile(
    r"v=1 source=(\d{1,18})@(\d{1,15}) replica=(\d{1,18})@(\d{1,15}) origin=(created|adopted)"
    r" own=([0-9a-f]{32}) from=([0-9a-f]{32}) key=([0-9a-f]{16}|none|was) rewrite=([0-9a-f]{16}|none)"
)


def read_own(tags: Mapping[str, str]) -> str | None:
    """Return the field `own` of a record, None if the previous version cannot read the record."""
    found = _PATTERN.fullmatch(tags.get(RECORD, ""))
    return None if found is None else found[6]


def names(own: str, arn: str) -> bool:
    """Whether a record was written for the parameter of that ARN."""
    return own == hashlib.sha256(arn.encode()).hexdigest()[:32]


def standing(tags: Mapping[str, str], arn: str, owners: Iterable[str]) -> str:
    """Return what a live parameter is to the replication with these owner tags."""
    owner = tags.get(OWNER, "")
    detached = owner.startswith(DETACHED)
    own = read_own(tags)
    ours = owner in tuple(owners)
    if owner and not detached and own is not None and names(own, arn):
        return "ours" if ours else "foreign"
    if owner and not detached and own is None and not ours and RECORD in tags:
        return "foreign"
    if any(key.startswith("aws:cloudformation:") for key in tags):
        return "cloudformation"
    if detached:
        return "detached"
    return "copied" if ours and own is not None and not names(own, arn) else "free"


def detaches(tags: Mapping[str, str], arn: str, owners: Iterable[str]) -> bool:
    """Whether `detach` changes the owner tag of a parameter."""
    own = read_own(tags)
    return tags.get(OWNER) in tuple(owners) and own is not None and names(own, arn)
