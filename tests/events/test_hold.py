"""Held names in the event path: skipped, logged, not retried; an expired hold counts as remaining."""

from __future__ import annotations

from ssm_reconcile.event.state import State
from tests.events.pump import Account, Deployed
from tests.events.test_deployed import SPEC, writes
from tests.events.test_outcomes import lines

INCLUDE = '["/prod/**"]'
HELD = SPEC.replace(INCLUDE, f"{INCLUDE}, hold: [{{ match: /prod/a, reason: audit }}]")
EXPIRED = HELD.replace("reason: audit", 'until: "2001-01-01"')


def held(account: Account, spec: str = HELD) -> Deployed:
    """A stack with the hold, of which the replicas were made before the hold."""
    before = account.deploy(SPEC)
    for name in ("/prod/a", "/prod/b"):
        account.put(account.here, name, "v")
    account.drain()
    before.spec = spec
    account.clock.sleep(600)
    account.world.traffic.forget()
    return before


def test_a_held_name_is_skipped_and_not_retried() -> None:
    account = Account()
    stack = held(account)
    account.put(account.here, "/prod/a", "w")
    account.put(account.here, "/prod/b", "w")
    account.drain()
    found = {line["parameter"]: line for line in lines(stack, "name")[-2:]}
    assert (found["/prod/a"]["result"], found["/prod/b"]["result"]) == ("held", "applied")
    assert found["/prod/a"]["reasons"] == ["the hold on `/prod/a` stops every change (audit)"]
    assert account.world.value(account.there, "/prod/a") == "v"
    assert account.world.value(account.there, "/prod/b") == "w"
    assert not stack.queue.dead
    assert not stack.queue.messages


def test_a_held_replica_is_not_deleted_with_its_source() -> None:
    account = Account()
    stack = held(account)
    account.delete(account.here, "/prod/a")
    account.drain()
    stack.whole_run()
    assert account.world.value(account.there, "/prod/a") == "v"
    assert writes(account, account.there) == []
    assert not stack.queue.dead


def test_the_same_event_is_reconciled_when_the_hold_is_gone() -> None:
    """The version of a held source is not kept as made."""
    account = Account()
    stack = held(account)
    account.put(account.here, "/prod/a", "w")
    account.drain()
    stack.spec = SPEC
    account.clock.sleep(600)
    account.publish(account.event(account.here, "/prod/a", "Update"))
    account.drain()
    assert account.world.value(account.there, "/prod/a") == "w"


def test_an_expired_hold_holds_is_logged_and_remains() -> None:
    account = Account()
    stack = held(account, EXPIRED)
    account.put(account.here, "/prod/a", "w")
    account.put(account.here, "/prod/b", "w")
    account.drain()
    assert account.world.value(account.there, "/prod/a") == "v"
    assert account.world.value(account.there, "/prod/b") == "w"
    assert {line["code"] for line in lines(stack, "finding")} == {"hold-expired"}
    stack.whole_run()
    found = State(stack.table, account.clock).read_whole_run()
    assert found is not None
    assert found.remaining == 1
