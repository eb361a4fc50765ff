"""What was told and does not show yet: looked at again for a minute, and then no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ssm_reconcile.event.events import Operation
from ssm_reconcile.event.requests import NameRequest
from ssm_reconcile.event.stale_reads import SHOWS_WITHIN, unseen
from ssm_reconcile.model import Listing, Place
from tests.builders import replication

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SPEC = replication()


def looked_at(at: datetime | None, operation: Operation = Operation.UPDATE) -> bool:
    """Whether a name that is not there is looked at again after an event of that time."""
    wish = NameRequest("/p/a", frozenset({SPEC.name}), operation, at)
    nothing = Listing(Place("123456789012", "us-east-1"))
    return bool(unseen([SPEC], {"/p/a": wish}, {SPEC.source.access: nothing}, NOW))


@pytest.mark.parametrize(
    ("seconds", "again"), [(0, True), (-59, True), (-61, False), (59, True), (61, False), (10**7, False)]
)
def test_only_what_happened_about_now_may_be_late(seconds: int, *, again: bool) -> None:
    """A time to come is that of another clock, or made up: nothing would ever show it."""
    assert looked_at(NOW + timedelta(seconds=seconds)) is again
    assert timedelta(seconds=60) == SHOWS_WITHIN


def test_what_has_no_time_is_believed() -> None:
    assert not looked_at(None)


def test_a_delete_shows_by_absence() -> None:
    assert not looked_at(NOW, Operation.DELETE)
