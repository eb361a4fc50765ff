"""Leases of names: which ones a run holds, and for how long."""

from __future__ import annotations

import pytest

from ssm_reconcile.event.state import State, lease_of
from tests.events.pump import STATEFUL, Account
from tests.events.test_deployed import SPEC, assert_converged

TWO = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
OTHER = """---
version: 1
name: other
source: { region: us-east-1 }
targets: [{ region: eu-west-1 }]
parameters: { include: ["/other/**"] }
delete: owned
"""


@pytest.fixture
def account() -> Account:
    return Account()


def test_a_name_that_is_left_to_another_invocation_keeps_no_lease(account: Account) -> None:
    """Its lease in the other target was free and was taken; it is free again before the other names run."""
    stack = account.deploy(TWO)
    until = account.clock.now().timestamp() + 100
    State(stack.table, account.clock).take_leases([lease_of("prod", "us-east-2", "/prod/a")], "other", until)
    seen: list[frozenset[str]] = []
    account.world.before("PutParameter", lambda: seen.append(stack.table.held()))
    account.put(account.here, "/prod/a", "v")
    account.put(account.here, "/prod/b", "v")
    stack.poll()
    west = [lease_of("prod", "eu-west-1", name) for name in ("/prod/a", "/prod/b")]
    assert [one in seen[0] for one in west] == [False, True]
    assert account.world.names(account.world.place("eu-west-1")) == ["/prod/b"]
    assert len(stack.queue.messages) == 1
    account.drain()
    assert_converged(account)


def test_only_replications_that_select_the_name_have_leases(account: Account) -> None:
    stack = account.deploy(SPEC + OTHER, environment={**STATEFUL, "NAME": ""})
    seen: list[frozenset[str]] = []
    account.world.before("PutParameter", lambda: seen.append(stack.table.held()))
    account.put(account.here, "/prod/a", "v")
    stack.poll()
    assert seen == [{lease_of("prod", "us-east-2", "/prod/a")}]
