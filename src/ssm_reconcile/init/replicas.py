"""A survey -> the replicas of this source that another spec, or an earlier one, already wrote to the targets.

The proposed spec has a new id, and often a new name, so a plan of it reports such replicas as `foreign`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ssm_reconcile.init.survey import Survey
from ssm_reconcile.record import OWNER, is_replica, record_of
from ssm_reconcile.wording import counted


def foreign_replicas(seen: Survey, name: str) -> Iterator[str]:
    """Yield one warning for each name whose replicas are not those of a new spec with that name.

    Replicas of the same name without an id are left out: an apply records the new id.
    """
    found: Counter[str] = Counter()
    for one in seen.targets:
        for address in one.listing.parameters:
            tags, arn = one.listing.tags_of(address), one.listing.arn(address)
            owner, _, place = tags.get(OWNER, "").rpartition("@")
            if place != str(seen.listing.place) or not is_replica(tags, arn):
                continue
            record = record_of(tags)
            if owner != name or (record is not None and record.id_digest(arn)):
                found[owner] += 1
    for owner, count in sorted(found.items()):
        yield _warning(owner, count, name)


def _warning(owner: str, count: int, name: str) -> str:
    earlier = "" if owner == name else f", or list {owner} in `previous_names`"
    return (
        f"The targets hold {counted(count, 'replica')} of {owner} from this source. With this `name` and"
        f" `id`, a plan reports them as conflicts (`foreign`). To take over from the spec that wrote"
        f" them: write its `name: {owner}`{earlier}; write its `id`, or list that in"
        " `previous_ids`. The id is in that spec only; it cannot be read from the"
        " replicas. A spec without an `id` needs no entry."
    )
