"""What was told and what was read -> names whose reads are older than what was told of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ssm_reconcile.errors import StoreError
from ssm_reconcile.event.events import Operation
from ssm_reconcile.event.requests import NameRequest
from ssm_reconcile.model import Access, Listing, Parameter
from ssm_reconcile.record import SAME_MOMENT
from ssm_reconcile.spec import Replication

SHOWS_WITHIN = timedelta(seconds=60)
"""How long a change that was told may take to show in reads before reads are believed (aws-facts B14)."""


def unseen(
    specs: Sequence[Replication],
    wishes: Mapping[str, NameRequest],
    listings: Mapping[Access, Listing | StoreError],
    now: datetime,
) -> dict[str, str]:
    """Names whose reads are older than the change that was told of them, as long as that may be lag.

    An event may overtake the reads that it leads to. Believing them would lose the change until the next
    whole run; so for a minute such a name is looked at again, also when something older was just applied.
    """
    found: dict[str, str] = {}
    for name, wish in wishes.items():
        if wish.at is None or abs(now - wish.at) > SHOWS_WITHIN:
            continue  # too long ago to be lag; or said of a time to come, which nothing can ever show
        for spec in specs:
            source = listings[spec.source.access]
            if spec.name in wish.specs and isinstance(source, Listing):
                there = source.parameters.get(name)
                if not _shows(wish.operation, there, wish.at):
                    found[name] = f"it does not show yet what happened at {wish.at.isoformat()}"
    return found


def _shows(operation: Operation, there: Parameter | None, at: datetime) -> bool:
    """Whether what was read can be what an event of that moment (to the second) tells of."""
    younger = there is not None and there.last_modified >= at - SAME_MOMENT
    match operation:
        case Operation.CREATE | Operation.UPDATE:
            return younger
        case Operation.DELETE:
            return there is None or younger  # younger: it was made again since
        case _:
            return True
