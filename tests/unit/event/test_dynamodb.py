"""Reads of the table on DynamoDB: up to a hundred keys in a call, consistent, and again for keys left out."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_reconcile.event.dynamodb import DynamoTable
from ssm_reconcile.event.state import TableUnavailableError


class Busy:
    """A client that leaves all keys of its first calls unprocessed; `keys` are the numbers of keys."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.keys: list[int] = []

    def batch_get_item(self, *, RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        """Answer for some keys."""
        assert RequestItems["state"]["ConsistentRead"], "a read must show the writes of all invocations"
        found = RequestItems["state"]["Keys"]
        self.keys.append(len(found))
        if len(self.keys) <= self.calls:
            return {"Responses": {}, "UnprocessedKeys": RequestItems}
        return {"Responses": {"state": [{**key, "token": {"S": "t"}} for key in found]}}


class TestReads:
    def test_keys_that_stay_unprocessed_are_an_error_after_five_calls(self) -> None:
        client = Busy(100)
        with pytest.raises(TableUnavailableError, match="unprocessed"):
            DynamoTable(client, "state").read(["a"])
        assert client.keys == [1] * 5

    def test_keys_that_were_left_unprocessed_are_read_again(self) -> None:
        client = Busy(4)
        assert set(DynamoTable(client, "state").read(["a", "b"])) == {"a", "b"}
        assert client.keys == [2] * 5

    def test_one_call_reads_up_to_a_hundred_keys(self) -> None:
        client = Busy(0)
        assert len(DynamoTable(client, "state").read([f"{i}" for i in range(201)])) == 201
        assert client.keys == [100, 100, 1]
