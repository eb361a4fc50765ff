"""Which replications select a name, one request for each name, and reads older than an event."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ssm_reconcile.by_name import NamePlan
from ssm_reconcile.change import Create, Row
from ssm_reconcile.event.events import EventOrigin, FullRun, Message, Names, Operation, Reason, Rejected
from ssm_reconcile.event.requests import (
    READ_LAG,
    NameRequest,
    NameResult,
    match_replications,
    merge_requests,
    stale_names,
)
from ssm_reconcile.model import Access, Listing
from ssm_reconcile.plan import Other, Plan
from ssm_reconcile.report import Outcome, Result
from ssm_reconcile.spec import Glob, Source
from tests.builders import HERE, NOW, THERE, change, desired, listing, parameter, replication

SPEC = replication()
ORIGIN = EventOrigin(HERE.account, HERE.region)
SECOND = timedelta(seconds=1)


def result_in(target: str, result: Result) -> Outcome:
    return Outcome(change(Create(desired()), target=target), result)


@pytest.mark.parametrize(
    ("results", "rows", "status"),
    [
        ([Result.APPLIED], [Row.HELD], "held"),
        ([Result.WITHHELD], [Row.HELD], "withheld"),
        ([], [Row.HELD, Row.CONFLICT], "refused"),
        ([Result.APPLIED], [], "applied"),
        ([], [], "nothing to do"),
    ],
)
def test_the_status_of_a_name_is_that_of_the_target_where_the_least_was_done(
    results: list[Result], rows: list[Row], status: str
) -> None:
    outcomes = tuple(result_in(f"written-{number}", one) for number, one in enumerate(results))
    others = tuple(Other("prod", f"left-{row}", "/p/a", row, row.value) for row in rows)
    assert NameResult("/p/a", outcomes, others).status == status


def message(name: str, operation: Operation, seconds: int, identifier: str = "1") -> Message:
    return Message(Names((name,), operation, ORIGIN, NOW + seconds * SECOND), identifier)


def test_messages_about_one_name_are_one_request_with_the_latest_event() -> None:
    messages = [
        message("/p/a", Operation.CREATE, 0, "1"), message("/p/a", Operation.DELETE, 9, "2"),
        message("/p/a", Operation.UPDATE, 3, "3"), message("/p/b", Operation.UPDATE, 1, "4"),
    ]  # fmt: skip
    batch = merge_requests(messages, [SPEC], {"prod": HERE})
    assert batch.requests == {
        "/p/a": NameRequest("/p/a", frozenset({"prod"}), Operation.DELETE, NOW + 9 * SECOND, is_visible=True),
        "/p/b": NameRequest("/p/b", frozenset({"prod"}), Operation.UPDATE, NOW + SECOND, is_visible=True),
    }
    assert [(one.identifier, set(names)) for one, names in batch.named] == [
        ("1", {"/p/a"}), ("2", {"/p/a"}), ("3", {"/p/a"}), ("4", {"/p/b"}),
    ]  # fmt: skip


def test_a_bare_name_does_not_hide_an_event() -> None:
    messages = [message("/p/a", Operation.UPDATE, 5), Message(Names(("/p/a",)), "2")]
    for order in (messages, messages[::-1]):
        assert merge_requests(order, [SPEC], {"prod": HERE}).requests["/p/a"].at == NOW + 5 * SECOND


@pytest.mark.parametrize("other", [Operation.TAGS, Operation.LABEL, Operation.POLICY])
def test_an_event_that_changes_no_date_does_not_hide_a_change(other: Operation) -> None:
    """Otherwise a read from before the update would be trusted after a change of tags."""
    messages = [message("/p/a", Operation.UPDATE, 5), message("/p/a", other, 6)]
    for order in (messages, messages[::-1]):
        request = merge_requests(order, [SPEC], {"prod": HERE}).requests["/p/a"]
        assert (request.operation, request.at) == (Operation.UPDATE, NOW + 5 * SECOND)


def test_one_bad_message_is_rejected_and_the_others_are_requested() -> None:
    bad = Message(Rejected(Reason.SHAPE), "x")
    batch = merge_requests(
        [
            bad,
            message("/q", Operation.UPDATE, 0, "y"),
            message("/p/a", Operation.UPDATE, 0),
            Message(FullRun()),
        ],
        [SPEC],
        {"prod": HERE},
    )
    assert [(one.identifier, why.reason) for one, why in batch.rejected] == [
        ("x", Reason.SHAPE), ("y", Reason.SCOPE),
    ]  # fmt: skip
    assert list(batch.requests) == ["/p/a"]


SELECTIVE = replication(include=(Glob("/p/**"), Glob("bare")), exclude=(Glob("/p/own/**"),))
SOURCES = {"prod": HERE}


def event(*names: str, account: str = HERE.account, region: str = HERE.region) -> Names:
    return Names(names, Operation.UPDATE, EventOrigin(account, region))


def test_a_name_goes_to_the_replications_that_select_it() -> None:
    other = replication(name="other", include=(Glob("/p/a"),))
    found, rejected = match_replications(
        [SELECTIVE, other], SOURCES | {"other": HERE}, event("/p/a", "/p/b", "bare")
    )
    assert found == {
        "/p/a": frozenset({"prod", "other"}), "/p/b": frozenset({"prod"}), "/bare": frozenset({"prod"}),
    }  # fmt: skip
    assert rejected == []


@pytest.mark.parametrize("name", ["/q/a", "/p/own/a", "/bare/a"])
def test_a_name_that_no_rule_selects_is_out_of_scope(name: str) -> None:
    assert match_replications([SELECTIVE], SOURCES, event(name)) == ({}, [Rejected(Reason.SCOPE, name)])


def test_a_type_that_is_not_replicated_may_have_been_another() -> None:
    spec = replace(SELECTIVE, types=frozenset({"SecureString"}))
    assert match_replications([spec], SOURCES, event("/p/a"))[0]


@pytest.mark.parametrize(
    ("account", "region"),
    [(HERE.account, THERE.region), ("999999999999", HERE.region)],
    ids=["the target's own region", "another account"],
)
def test_an_event_from_another_place_is_rejected(account: str, region: str) -> None:
    found, rejected = match_replications([SELECTIVE], SOURCES, event("/p/a", account=account, region=region))
    assert found == {}
    assert [one.reason for one in rejected] == [Reason.ELSEWHERE]


def test_a_source_that_could_not_be_opened_is_known_by_the_account_in_the_spec() -> None:
    spec = replace(SELECTIVE, source=Source(Access("us-east-1"), account=HERE.account))
    assert match_replications([spec], {}, event("/p/a"))[0]
    assert not match_replications([spec], {}, event("/p/a", account="999999999999"))[0]
    assert match_replications([SELECTIVE], {}, event("/p/a", account="999999999999"))[0]


def test_a_bare_name_is_matched_with_every_source() -> None:
    assert match_replications([SELECTIVE], SOURCES, Names(("/p/a",)))[0]


OLD, NEW = NOW - timedelta(days=1), NOW


def is_stale(
    operation: Operation, read: datetime | None, *, after: timedelta = SECOND, at: datetime | None = NOW
) -> bool:
    """Whether a read of `/p/a` is older than an event, `after` so much time."""
    known = [] if read is None else [parameter("/p/a", at=read)]
    listings: dict[Access, Listing] = {SPEC.source.access: listing(HERE, *known)}
    planned = NamePlan(Plan(()), (SPEC,), listings=listings)
    request = NameRequest("/p/a", frozenset({SPEC.name}), operation, at)
    return bool(stale_names(planned, {"/p/a": request}, NOW + after))


@pytest.mark.parametrize(
    ("operation", "read", "stale"),
    [
        (Operation.UPDATE, NEW, False),
        (Operation.UPDATE, OLD, True),
        (Operation.UPDATE, None, True),
        (Operation.CREATE, None, True),
        (Operation.CREATE, NEW, False),
        (Operation.DELETE, None, False),
        (Operation.DELETE, OLD, True),
        (Operation.DELETE, NEW + 5 * SECOND, False),  # created again after the delete
        (Operation.LABEL, OLD, False),  # a label makes no version
        (Operation.POLICY, OLD, False),
        (Operation.UNKNOWN, OLD, False),
        (Operation.UPDATE, NEW - 2 * SECOND, False),  # the time of an event has no fraction of a second
    ],
)
def test_a_read_from_before_the_event_is_stale(
    operation: Operation, read: datetime | None, stale: bool
) -> None:
    assert is_stale(operation, read) is stale


@pytest.mark.parametrize(
    ("seconds", "stale"), [(0, True), (60, True), (61, False), (-60, True), (-61, False), (-(10**7), False)]
)
def test_after_a_minute_reads_are_trusted(seconds: int, stale: bool) -> None:
    """Also for an event with a time in the future, which no read would ever show."""
    assert is_stale(Operation.UPDATE, OLD, after=seconds * SECOND) is stale
    assert timedelta(seconds=60) == READ_LAG


def test_without_the_time_of_an_event_reads_are_trusted() -> None:
    assert not is_stale(Operation.UPDATE, None, at=None)
