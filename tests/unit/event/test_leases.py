"""The leases of one run, and a table that fails while they are taken."""

from __future__ import annotations

import pytest

from ssm_reconcile.event.leases import Leases
from ssm_reconcile.event.state import LeaseClaim, State, TableItem, TableUnavailableError, lease_of
from ssm_reconcile.event.timer import Timer
from tests.doubles.clock import FakeClock
from tests.events.memory_table import MemoryTable

A, B, C = (lease_of("prod", "us-east-2", name) for name in ("/p/a", "/p/b", "/p/c"))


class Stage:
    """A table, and runs with leases in it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.table = MemoryTable()

    def leases(self, *, seconds: float = 60) -> Leases:
        timer = Timer(self.clock)
        timer.begin(lambda: seconds)
        return Leases(State(self.table, timer), timer)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_leases_that_another_run_holds_are_returned(stage: Stage) -> None:
    one, other = stage.leases(), stage.leases()
    assert one.take([A, B]) == set()
    assert other.take([B, C]) == {B}
    assert set(other.held) == {C}
    other.release()
    assert stage.table.held() == {A, B}


def test_the_next_holder_finds_the_data_of_the_last_one(stage: Stage) -> None:
    one, other = stage.leases(), stage.leases()
    one.take([A, B])
    one.release(data={A: {"version": 3}})
    other.take([A, B])
    assert other.held == {A: {"version": 3}, B: None}


def test_a_lease_is_released_once_and_only_if_it_is_held(stage: Stage) -> None:
    one, other = stage.leases(), stage.leases()
    other.take([B])
    one.take([A, B])
    one.release([A, B])
    one.release()
    assert stage.table.calls["DeleteItem"] == 1
    assert stage.table.held() == {B}


def test_leases_that_a_failing_table_may_have_given_are_released(stage: Stage) -> None:
    class Failing(MemoryTable):
        def claim(self, identifier: str, item: TableItem, now: float) -> LeaseClaim:
            if identifier != A:
                raise TableUnavailableError("no answer")
            return super().claim(identifier, item, now)

    stage.table = Failing()
    leases = stage.leases()
    assert leases.take([A, B, C]) == set(), "the run goes on without leases"
    assert leases.error == "no answer"
    assert stage.table.held() == {A}
    leases.release()
    assert stage.table.held() == set()


def test_the_first_failure_is_reported(stage: Stage) -> None:
    def fail(operation: str) -> None:
        raise TableUnavailableError(f"{operation}: no answer")

    leases = stage.leases()
    leases.take([A])
    stage.table.fault = fail
    leases.release()
    assert leases.error == "DeleteItem: no answer"
    leases.take([A])
    leases.release()
    assert leases.error == "PutItem: no answer"


def test_without_a_table_all_leases_are_free() -> None:
    leases = Leases(None, Timer(FakeClock()))
    assert leases.take([A]) == set()
    leases.release()
    assert (leases.held, leases.error) == ({}, "")
