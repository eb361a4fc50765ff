"""The table of the event path on DynamoDB: conditional writes of items with a token and an expiry time.

Attributes of an item: `id` (S, partition key), `token` (S), `expires` (N, the time-to-live attribute of the
table, so in whole seconds) and `data` (S, JSON). Conditions and consistent reads: DynamoDB Developer Guide,
"Condition expressions" and "Read consistency".
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeVar

from ssm_reconcile.event.state import LeaseClaim, TableItem, TableUnavailableError

_T = TypeVar("_T")

READ_TRIES = 5
"""Calls for keys that BatchGetItem left unprocessed."""
KEYS_A_CALL = 100
"""Most keys of BatchGetItem (API Reference)."""
NAMES = {"#id": "id", "#token": "token", "#expires": "expires"}
"""Aliases in expressions: an attribute may have the name of a reserved word, as `token` has."""
REFUSED = "ConditionalCheckFailedException"


class DynamoTable:
    """A `state.Table` on DynamoDB."""

    def __init__(self, client: Any, name: str) -> None:
        """Use the table `name`; `client` is a boto3 client of DynamoDB."""
        self._client = client
        self._name = name

    def read(self, identifiers: Collection[str]) -> Mapping[str, TableItem]:
        """Return the items that exist, also expired ones, read consistently.

        Raises:
            TableUnavailableError: The table gave no answer.
        """
        wanted = sorted(identifiers)
        found: dict[str, TableItem] = {}
        for start in range(0, len(wanted), KEYS_A_CALL):
            keys: list[Any] = [{"id": {"S": one}} for one in wanted[start : start + KEYS_A_CALL]]
            for _ in range(READ_TRIES):
                request = {self._name: {"Keys": keys, "ConsistentRead": True}}
                answer = self._call(partial(self._client.batch_get_item, RequestItems=request))
                for one in answer["Responses"].get(self._name, ()):
                    found[one["id"]["S"]] = _item(one)
                keys = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
                if not keys:
                    break
            else:
                raise TableUnavailableError("BatchGetItem: keys were left unprocessed again and again")
        return found

    def claim(self, identifier: str, item: TableItem, now: float) -> LeaseClaim:
        """Write an item unless another token holds it.

        Args:
            identifier: The identifier.
            item: The item.
            now: The time, in seconds since the epoch.
        """
        condition = "attribute_not_exists(#id) OR #expires <= :now OR #token = :token"
        values = {":now": {"N": str(now)}, ":token": {"S": item.token}}
        answer = self._put(identifier, item, condition, values, {"ReturnValues": "ALL_OLD"})
        if answer is None:
            return LeaseClaim(is_taken=False)
        old = answer.get("Attributes")
        return LeaseClaim(is_taken=True, data=_item(old).data if old else None)

    def write(self, identifier: str, item: TableItem, replaces: str | None) -> bool:
        """Write an item if no other write was faster; return whether it was written.

        Args:
            identifier: The identifier.
            item: The item.
            replaces: The token of the item that was read before; None if there was none.
        """
        if replaces is None:
            return self._put(identifier, item, "attribute_not_exists(#id)", {}) is not None
        return self._put(identifier, item, "#token = :old", {":old": {"S": replaces}}) is not None

    def delete(self, identifier: str, token: str) -> None:
        """Delete an item if it has this token."""
        self._conditional(
            lambda: self._client.delete_item(
                TableName=self._name,
                Key={"id": {"S": identifier}},
                ConditionExpression="#token = :token",
                ExpressionAttributeNames={"#token": "token"},
                ExpressionAttributeValues={":token": {"S": token}},
            )
        )

    def _put(
        self,
        identifier: str,
        item: TableItem,
        condition: str,
        values: dict[str, Any],
        more: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any] | None:
        """Write an item; return the response, or None if the condition did not hold."""
        request: dict[str, Any] = {"TableName": self._name, "ConditionExpression": condition, **(more or {})}
        request["Item"] = {
            "id": {"S": identifier},
            "token": {"S": item.token},
            "expires": {"N": str(math.ceil(item.expires))},
            "data": {"S": json.dumps(item.data, sort_keys=True)},
        }
        request["ExpressionAttributeNames"] = {
            alias: name for alias, name in NAMES.items() if alias in condition
        }
        if values:
            request["ExpressionAttributeValues"] = values
        return self._conditional(lambda: self._client.put_item(**request))

    def _conditional(self, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Make a conditional write; return the response, or None if its condition did not hold."""

        def answer() -> Mapping[str, Any] | None:
            try:
                return call()
            except Exception as error:  # every other error is reported by `_call`
                if _code(error) != REFUSED:
                    raise
                return None

        return self._call(answer)

    @staticmethod
    def _call(call: Callable[[], _T]) -> _T:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - reported by its code, without the message of AWS
            code = _code(error)
        raise TableUnavailableError(f"DynamoDB: {code}", "check the table and the function's role")


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    found = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return found if isinstance(found, str) else type(error).__name__


def _item(attributes: Mapping[str, Any]) -> TableItem:
    """Return an item of the table; one without `data` (written by hand) has None."""
    data = attributes.get("data", {}).get("S", "null")
    token, expires = attributes.get("token", {}).get("S", ""), attributes.get("expires", {}).get("N", "0")
    return TableItem(token, float(expires), json.loads(data))
