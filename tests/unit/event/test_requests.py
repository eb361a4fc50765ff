"""A burst on one name is one wish; when reads are older than what was told, that is noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ssm_reconcile.event.events import Full, Message, Names, Operation, Origin, Reason, Rejected
from ssm_reconcile.event.requests import NameRequest, sort_out
from ssm_reconcile.event.stale_reads import SHOWS_WITHIN, unseen
from ssm_reconcile.model import Access
from tests.builders import HERE, NOW, listing, parameter, replication

SPEC = replication()
ORIGIN = Origin(HERE.account, HERE.region)
SECOND = timedelta(seconds=1)


def told(name: str, operation: Operation, seconds: int, identifier: str = "1") -> Message:
    return Message(Names((name,), operation, ORIGIN, NOW + seconds * SECOND), identifier)


def test_what_is_about_one_name_is_one_wish_with_the_youngest_word() -> None:
    messages = [
        told("/p/a", Operation.CREATE, 0, "1"), told("/p/a", Operation.DELETE, 9, "2"),
        told("/p/a", Operation.UPDATE, 3, "3"), told("/p/b", Operation.UPDATE, 1, "4"),
    ]  # fmt: skip
    batch = sort_out(messages, [SPEC], {"prod": HERE})
    assert batch.wishes == {
        "/p/a": NameRequest("/p/a", frozenset({"prod"}), Operation.DELETE, NOW + 9 * SECOND),
        "/p/b": NameRequest("/p/b", frozenset({"prod"}), Operation.UPDATE, NOW + SECOND),
    }
    assert [(message.identifier, set(names)) for message, names in batch.named] == [
        ("1", {"/p/a"}), ("2", {"/p/a"}), ("3", {"/p/a"}), ("4", {"/p/b"}),
    ]  # fmt: skip


def test_a_bare_name_takes_nothing_from_what_an_event_said() -> None:
    messages = [told("/p/a", Operation.UPDATE, 5), Message(Names(("/p/a",)), "2")]
    for order in (messages, messages[::-1]):
        assert sort_out(order, [SPEC], {"prod": HERE}).wishes["/p/a"].at == NOW + 5 * SECOND


@pytest.mark.parametrize("other", [Operation.TAGS, Operation.LABEL, Operation.POLICY])
def test_an_event_that_moves_no_date_does_not_hide_a_change(other: Operation) -> None:
    """Otherwise a change of tags, right after an update, would have an older read believed."""
    messages = [told("/p/a", Operation.UPDATE, 5), told("/p/a", other, 6)]
    for order in (messages, messages[::-1]):
        wish = sort_out(order, [SPEC], {"prod": HERE}).wishes["/p/a"]
        assert (wish.operation, wish.at) == (Operation.UPDATE, NOW + 5 * SECOND)


def test_one_bad_message_is_rejected_and_the_others_go_on() -> None:
    bad = Message(Rejected(Reason.SHAPE), "x")
    batch = sort_out(
        [bad, told("/q", Operation.UPDATE, 0, "y"), told("/p/a", Operation.UPDATE, 0), Message(Full())],
        [SPEC],
        {"prod": HERE},
    )
    assert [(message.identifier, why.reason) for message, why in batch.rejected] == [
        ("x", Reason.SHAPE), ("y", Reason.SCOPE),
    ]  # fmt: skip
    assert list(batch.wishes) == ["/p/a"]


OLD, NEW = NOW - timedelta(days=1), NOW


@pytest.mark.parametrize(
    ("operation", "there", "seen"),
    [
        (Operation.UPDATE, NEW, True),
        (Operation.UPDATE, OLD, False),
        (Operation.UPDATE, None, False),
        (Operation.CREATE, None, False),
        (Operation.CREATE, NEW, True),
        (Operation.DELETE, None, True),
        (Operation.DELETE, OLD, False),
        (Operation.DELETE, NEW + 5 * SECOND, True),  # it was made again since
        (Operation.LABEL, OLD, True),  # a label makes no version
        (Operation.POLICY, OLD, True),
        (Operation.UNKNOWN, OLD, True),
        (Operation.UPDATE, NEW - 2 * SECOND, True),  # events say their time to the second
    ],
)
def test_what_was_read_shows_what_was_told(operation: Operation, there: object, seen: bool) -> None:
    known = [] if there is None else [parameter("/p/a", at=there)]
    told_of = {"/p/a": NameRequest("/p/a", frozenset({"prod"}), operation, NOW)}
    found = unseen([SPEC], told_of, {Access("us-east-1"): listing(HERE, *known)}, NOW + SECOND)
    assert (found == {}) is seen


def test_after_a_minute_reads_are_believed() -> None:
    told_of = {"/p/a": NameRequest("/p/a", frozenset({"prod"}), Operation.UPDATE, NOW)}
    listings = {Access("us-east-1"): listing(HERE, parameter("/p/a", at=OLD))}
    assert unseen([SPEC], told_of, listings, NOW + SHOWS_WITHIN)
    assert not unseen([SPEC], told_of, listings, NOW + SHOWS_WITHIN + SECOND)


def test_what_is_told_of_a_time_to_come_is_not_waited_for() -> None:
    told_of = {"/p/a": NameRequest("/p/a", frozenset({"prod"}), Operation.UPDATE, NOW + timedelta(days=1))}
    listings = {Access("us-east-1"): listing(HERE, parameter("/p/a", at=OLD))}
    assert not unseen([SPEC], told_of, listings, NOW)
