"""The table of cases. The first row that fits decides; every address is in exactly one row.

row        when
foreign    something placed here; live belongs to another owner, another id, or CloudFormation
detached   live carries a detached mark
copied     something placed here; live has our owner tag and another parameter's record
held       a hold of the spec matches the source that is placed here, or that the replica was made from
opted_out  live carries the skip_sync tag itself
chained    the source parameter is itself a replica
skipped    source carries skip_sync; live is absent or not a replica
kept_out   source carries skip_sync; live is ours
expiring   as delete, but its mark is not due, or is yet to be written (`delete.after`)
delete     ours, its source is gone, and the spec would place that source here
orphan     ours, and the spec places nothing here
invalid    placed, but the target cannot take it; or source or live carries a tag that is almost the skip tag
create     placed, absent
adopt      placed, live is not a replica, equal in all that we replicate
conflict   placed, live is not a replica, and differs
replace    ours, a difference that AWS cannot change in place
update     ours, an attribute differs (or its value could not be compared)
retag      ours, only tags differ, or only the record is out of date
in_sync    ours, proven or compared equal
"""

from __future__ import annotations

from collections.abc import Callable

from ssm_reconcile.change import Row
from ssm_reconcile.diff.case import Case
from ssm_reconcile.model import DesiredParameter, Tags
from ssm_reconcile.record import (
    EXPIRES,
    OWNER,
    SOURCE,
    WAS_SECRET,
    Claim,
    Record,
    Standing,
    detached_from,
    has_source_tag,
    is_resolved,
    key_digest,
    proves_equal,
    standing,
)


def _is_equal(case: Case) -> bool:
    """Whether no replicated attribute, tag or value is known to differ."""
    return not case.differences and not case.unproven and not case.tag_diff


def _record_is_current(case: Case) -> bool:
    """Whether the ownership tags and the record of the replica are up to date."""
    wanted, live, record = case.desired, case.live, case.record
    if wanted is None or live is None or record is None:
        return False
    source = wanted.source.name if has_source_tag(wanted.source.name, wanted.name) else None
    return (
        (case.tags.get(OWNER), case.tags.get(SOURCE)) == (case.context.owner, source)
        and EXPIRES not in case.tags
        and case.recorded_id == case.context.id_digest
        and _key_is_recorded(wanted, record)
        and proves_equal(record, wanted, live, case.context.source.place)
    )


def _key_is_recorded(wanted: DesiredParameter, record: Record) -> bool:
    """Whether the record has the current key. While KMS cannot resolve the key, any key counts as current."""
    unknown = wanted.source.is_secret and not is_resolved(wanted.key_identity)
    was = record.key == WAS_SECRET and not wanted.source.is_secret
    return unknown or was or record.key == key_digest(wanted.key_identity)


def _is_left_over(case: Case) -> bool:
    """Whether a replica has no desired parameter. Some tags of its own prevent its delete."""
    return case.desired is None and not case.problems


def _is_abandoned(case: Case) -> bool:
    """Whether the source of a replica is gone, and the spec would place it here."""
    return _is_left_over(case) and case.source_gone and case.would_place


_NOT_OURS = frozenset({Standing.FOREIGN, Standing.OTHER_ID, Standing.CLOUDFORMATION})


TABLE: tuple[tuple[Row, Callable[[Case], bool]], ...] = (
    (
        Row.FOREIGN,
        lambda case: case.desired is not None and case.standing in _NOT_OURS,
    ),
    (Row.DETACHED, lambda case: case.standing is Standing.DETACHED),
    (Row.COPIED, lambda case: case.desired is not None and case.standing is Standing.COPIED),
    (Row.HELD, lambda case: bool(case.holds)),
    (Row.OPTED_OUT, lambda case: case.opted_out),
    (Row.CHAINED, lambda case: case.desired is not None and case.desired.chained),
    (Row.SKIPPED, lambda case: case.desired is not None and case.desired.skip and not case.ours),
    (Row.KEPT_OUT, lambda case: case.desired is not None and case.desired.skip),
    (Row.EXPIRING, lambda case: _is_abandoned(case) and case.is_waiting),
    (Row.DELETE, _is_abandoned),
    (Row.ORPHAN, _is_left_over),
    (Row.INVALID, lambda case: bool(case.problems)),
    (Row.CREATE, lambda case: case.live is None),
    (Row.ADOPT, lambda case: not case.ours and _is_equal(case)),
    (Row.CONFLICT, lambda case: not case.ours),
    (Row.REPLACE, lambda case: case.needs_replace),
    (Row.UPDATE, lambda case: bool(case.differences) or case.unproven),
    (Row.RETAG, lambda case: bool(case.tag_diff) or not _record_is_current(case)),
    (Row.IN_SYNC, lambda _: True),
)


def row_of(case: Case) -> Row:
    """Return the first row that fits."""
    return next(row for row, fits in TABLE if fits(case))


def standing_if_reattached(tags: Tags, arn: str, claim: Claim) -> Standing:
    """Return the standing of a detached parameter if its owner tag had the former owner again.

    `detach --undo` changes `OURS`, changes `NO_ID` with `--without-id`, and refuses all others.

    Args:
        tags: The tags of the detached parameter.
        arn: The ARN of the parameter.
        claim: The owner tags and ids of the replication.
    """
    owner = detached_from(tags)
    assert owner is not None
    return standing({**tags, OWNER: owner}, arn, claim, placed=False)


def detached_reason(case: Case) -> str:
    """Return why no run changes a detached parameter, and what reattaches it if this spec can."""
    owner, claim = detached_from(case.tags), case.context.claim
    if owner not in claim.owners:
        return f"it is detached; it was a replica of {owner}"
    match standing_if_reattached(case.tags, case.context.live.arn(case.address), claim):
        case Standing.OURS:
            return "it is detached; `detach --undo` reattaches it"
        case Standing.NO_ID:
            return "it is detached, and its record has no id; `detach --undo --without-id` reattaches it"
        case Standing.OTHER_ID:
            return "it is detached; it was a replica of another spec with the same name and another id"
        case Standing.COPIED:
            return "it is detached, and its record is not of this parameter, so `detach --undo` skips it"
        case _:
            return "it is detached, and its record is missing or cannot be read, so `detach --undo` skips it"
