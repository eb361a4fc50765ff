"""A table that gives no answer: calls are repeated a few times in an invocation, and then not made."""

from __future__ import annotations

import pytest

from ssm_reconcile.event.state import FailFastTable, TableItem, TableUnavailableError
from tests.events.memory_table import MemoryTable


class Failing(MemoryTable):
    """A table whose next calls fail, so many times."""

    def __init__(self, failures: int) -> None:
        super().__init__()

        def fault(operation: str) -> None:
            if self.calls.total() <= failures:
                raise TableUnavailableError(f"{operation}: no answer")

        self.fault = fault


ITEM = TableItem("token", 0.0)


def test_a_call_without_an_answer_is_repeated_twice() -> None:
    table = Failing(2)
    assert FailFastTable(table).write("a", ITEM, None)
    assert table.calls == {"PutItem": 3}


def test_after_three_calls_without_an_answer_no_call_is_made_until_the_next_invocation() -> None:
    table = Failing(100)
    limited = FailFastTable(table)
    with pytest.raises(TableUnavailableError, match="PutItem: no answer"):
        limited.claim("a", ITEM, 0.0)
    for call in (
        lambda: limited.read(["a"]),
        lambda: limited.claim("a", ITEM, 0.0),
        lambda: limited.write("a", ITEM, None),
        lambda: limited.delete("a", "token"),
    ):
        with pytest.raises(TableUnavailableError, match="did not answer several times"):
            call()
    assert table.calls == {"PutItem": 3}
    limited.begin()
    with pytest.raises(TableUnavailableError, match="BatchGetItem: no answer"):
        limited.read(["a"])
    assert table.calls == {"PutItem": 3, "BatchGetItem": 3}


def test_failures_of_one_invocation_are_counted_together() -> None:
    table = Failing(2)
    limited = FailFastTable(table)
    assert limited.read(["a"]) == {}
    table.fault = Failing(100).fault
    with pytest.raises(TableUnavailableError):
        limited.delete("a", "token")
    assert table.calls == {"BatchGetItem": 3, "DeleteItem": 1}
