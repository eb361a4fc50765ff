"""Events of a change whose replicas are all made already: only the description of the source is read."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.state import State, lease_of
from tests.doubles.clock import FakeClock
from tests.events.pump import Account, Deployed
from tests.events.test_deployed import SPEC, assert_converged, tag_event
from tests.fake_aws.traffic import refused
from tests.fake_aws.world import Lag, World

FULL = {"DescribeParameters": 2, "ListTagsForResource": 2}
SHORT = {"DescribeParameters": 1}
YOUNG = {"GetParameters": 1}
"""The version of the source again, since the event is younger than the longest lag of a read."""


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stack(account: Account) -> Deployed:
    found = account.deploy(SPEC)
    account.put(account.here, "/prod/a", "v")
    account.drain()
    forget(account)
    return found


def forget(account: Account) -> None:
    account.world.traffic.forget()
    account.published = 0


def calls(account: Account) -> Counter[str]:
    """Return the calls of the function since the last look, without those that open places."""
    found = Counter(call.operation for call in account.world.calls if call.operation != "GetCallerIdentity")
    forget(account)
    return found


def test_a_repeated_event_reads_the_description_of_the_source_only(account: Account, stack: Deployed) -> None:
    for _ in range(2):
        account.publish(account.event(account.here, "/prod/a", "Create"))
        account.drain()
        assert calls(account) == SHORT | YOUNG
    account.publish(account.event(account.here, "/prod/a", "Create"))
    account.clock.advance(timedelta(seconds=61))
    account.drain()
    assert calls(account) == SHORT


def test_an_event_that_found_nothing_to_do_leaves_its_version_as_well(
    account: Account, stack: Deployed
) -> None:
    stack.whole_run()
    account.world.put(account.here, "/prod/b", "v")
    stack.whole_run()
    forget(account)
    event = account.event(account.here, "/prod/b", "Create")
    for expected in (FULL, SHORT):
        account.publish(event)
        account.drain()
        assert calls(account) == expected | YOUNG


def test_a_new_version_is_written(account: Account, stack: Deployed) -> None:
    account.put(account.here, "/prod/a", "w")
    account.drain()
    assert calls(account)["DescribeParameters"] == 2
    assert_converged(account)


def test_a_source_that_was_created_again_with_the_same_version_is_written(
    account: Account, stack: Deployed
) -> None:
    account.world.delete(account.here, "/prod/a")
    account.clock.advance(timedelta(minutes=1))
    account.put(account.here, "/prod/a", "again")
    account.drain()
    assert_converged(account)


def test_an_event_that_no_version_shows_is_read_in_full(account: Account, stack: Deployed) -> None:
    account.publish(account.event(account.here, "/prod/a", "LabelParameterVersion"))
    account.drain()
    assert calls(account) == FULL


def test_a_change_of_tags_is_read_in_full_also_beside_an_update(account: Account, stack: Deployed) -> None:
    account.world.tag(account.here, "/prod/a", {"team": "a"})
    event = account.event(account.here, "/prod/a", "Create")
    stack.invoke([event, tag_event(account, account.here, "/prod/a")])
    assert (account.world.tags(account.there, "/prod/a") or {})["team"] == "a"


def test_a_name_that_is_sent_by_hand_is_read_in_full(account: Account, stack: Deployed) -> None:
    stack.queue.send("/prod/a")
    account.drain()
    assert calls(account) == FULL


def test_with_another_spec_it_is_read_in_full(account: Account, stack: Deployed) -> None:
    event = account.event(account.here, "/prod/a", "Update")
    stack.spec = SPEC + "tags: { add: { team: a } }\n"
    account.clock.advance(timedelta(minutes=6))
    account.publish(event)
    account.drain()
    assert (account.world.tags(account.there, "/prod/a") or {})["team"] == "a"


@pytest.mark.parametrize(("seconds", "expected"), [(1, SHORT), (3, FULL)])
def test_an_event_of_up_to_two_seconds_later_may_be_of_the_known_version(
    account: Account, stack: Deployed, seconds: int, expected: dict[str, int]
) -> None:
    """Two APIs may round one moment differently; a later event is of another change."""
    stored = account.world.peek(account.here, "/prod/a")
    assert stored is not None
    at = (stored.latest.parameter.last_modified + timedelta(seconds=seconds)).isoformat()
    account.clock.advance(timedelta(minutes=5))
    account.publish(account.event(account.here, "/prod/a", "Update") | {"time": at})
    account.drain()
    assert calls(account)["ListTagsForResource"] == expected.get("ListTagsForResource", 0)


def test_a_version_that_one_of_the_leases_lost_is_not_known(account: Account) -> None:
    """For example, a whole run has taken the lease since, and left nothing there."""
    stack = account.deploy(
        SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
    )
    west = account.world.place("eu-west-1")
    account.put(account.here, "/prod/a", "v")
    event = account.event(account.here, "/prod/a", "Create")
    account.drain()
    state, lease = State(stack.table, account.clock), lease_of("prod", "eu-west-1", "/prod/a")
    state.take_leases([lease], "whole run", account.clock.now().timestamp() + 60)
    state.release_leases({lease: None}, "whole run")
    account.world.delete(west, "/prod/a")
    account.publish(event)
    account.drain()
    assert account.world.value(west, "/prod/a") == "v"


def test_a_name_whose_write_failed_is_read_in_full(account: Account, stack: Deployed) -> None:
    account.world.faults = lambda operation, *_: (
        refused(Trouble.DENIED) if operation == "PutParameter" else None
    )
    account.put(account.here, "/prod/a", "w")
    stack.poll()
    account.world.faults = None
    account.drain()
    assert_converged(account)


def test_a_target_that_was_away_is_written_although_the_other_one_is_done(account: Account) -> None:
    stack = account.deploy(
        SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
    )
    west = account.world.place("eu-west-1")
    account.world.faults = lambda _, place, *__: refused(Trouble.UNREACHABLE) if place == west else None
    account.put(account.here, "/prod/a", "v")
    for _ in range(3):
        stack.poll()
        account.wait()
    account.world.faults = None
    account.drain()
    assert account.world.value(west, "/prod/a") == "v"


def test_an_event_of_a_later_change_that_no_description_shows_yet_is_retried() -> None:
    account = Account(world=World(FakeClock(tick=timedelta(milliseconds=1)), lag=Lag(timedelta(seconds=8))))
    account.clock = account.world.clock  # type: ignore[assignment]  # the one that was just made
    stack = account.deploy(SPEC)
    account.put(account.here, "/prod/a", "v")
    account.drain()
    account.clock.advance(timedelta(minutes=5))
    account.put(account.here, "/prod/a", "w")
    account.drain()
    assert account.world.value(account.there, "/prod/a") == "w"
    assert not stack.queue.dead


def test_a_source_that_cannot_be_described_is_retried(account: Account, stack: Deployed) -> None:
    account.world.faults = lambda operation, place, *_: (
        refused(Trouble.THROTTLED) if (operation, place) == ("DescribeParameters", account.here) else None
    )
    account.publish(account.event(account.here, "/prod/a", "Create"))
    stack.poll()
    assert stack.queue.messages
    account.world.faults = None
    account.drain()
    assert_converged(account)


def test_some_names_of_a_pass_may_be_known_and_others_not(account: Account, stack: Deployed) -> None:
    account.publish(account.event(account.here, "/prod/a", "Create"))
    account.put(account.here, "/prod/b", "v")
    account.drain()
    assert_converged(account)
    assert not stack.queue.dead
