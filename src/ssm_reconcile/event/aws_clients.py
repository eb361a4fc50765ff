"""The queue, and where a spec may lie, as the function itself uses them: SQS, S3 and SSM.

Clients are made once and kept. What goes wrong becomes a `ReconcileError` with operation and code: AWS's
own message is left out, as everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from ssm_reconcile.errors import ReconcileError

Answer = TypeVar("Answer")

NAMES_A_MESSAGE = 10
"""As many as one GetParameters takes; small enough for a message to end well within one invocation."""
MESSAGES_A_CALL = 10
"""Entries of SendMessageBatch and ChangeMessageVisibilityBatch."""
SEND_TRIES = 5
LARGEST_SPEC = 4_000_000
"""Bytes of a spec that are read; the loader takes no more."""


class AwsClients:
    """Clients of this process's own region, made when they are first used."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    def spec(self, uri: str) -> str:
        """The text of `s3://bucket/key` or of `ssm:/name`."""
        if uri.startswith("s3://"):
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            if bucket and key:
                return self._asked("GetObject", lambda: self._object(bucket, key))
        if uri.startswith("ssm:") and len(uri) > len("ssm:"):
            name = uri.removeprefix("ssm:")
            return self._asked("GetParameter", lambda: self._parameter(name))
        raise ReconcileError("SPEC_URI is neither s3://bucket/key nor ssm:/name", "mend it, or use SPEC_PATH")

    def send(self, queue: str, names: Sequence[str]) -> int:
        """Puts names on a queue, ten a message and ten messages a call; returns how many messages."""
        bodies = [
            json.dumps({"names": list(names[start : start + NAMES_A_MESSAGE]), "judged": True})
            for start in range(0, len(names), NAMES_A_MESSAGE)
        ]
        for start in range(0, len(bodies), MESSAGES_A_CALL):
            chunk = bodies[start : start + MESSAGES_A_CALL]
            self._send(queue, {str(number): body for number, body in enumerate(chunk)})
        return len(bodies)

    def postpone(self, queue: str, receipts: Iterable[tuple[str, int]]) -> None:
        """Has messages come again after so many seconds each, rather than after the queue's own timeout.

        Only makes it faster: what cannot be postponed comes again by itself.
        """
        every = list(receipts)
        for start in range(0, len(every), MESSAGES_A_CALL):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                for number, (receipt, seconds) in enumerate(every[start : start + MESSAGES_A_CALL])
            ]
            sqs = self._client("sqs")
            ask = partial(sqs.change_message_visibility_batch, QueueUrl=queue, Entries=entries)
            self._asked("ChangeMessageVisibility", ask)

    def _send(self, queue: str, left: Mapping[str, str]) -> None:
        """A batch is answered entry by entry: those that failed are sent again."""
        for _ in range(SEND_TRIES):
            entries = [{"Id": number, "MessageBody": body} for number, body in left.items()]
            ask = partial(self._client("sqs").send_message_batch, QueueUrl=queue, Entries=entries)
            answer = self._asked("SendMessage", ask)
            sent = {one["Id"] for one in answer.get("Successful", ())}
            left = {number: body for number, body in left.items() if number not in sent}
            if not left:
                return
        raise ReconcileError(f"SendMessage: {len(left)} messages were refused again and again")

    def _object(self, bucket: str, key: str) -> str:
        answer = self._client("s3").get_object(Bucket=bucket, Key=key)
        text: bytes = answer["Body"].read(LARGEST_SPEC + 1)
        return text.decode("utf-8")

    def _parameter(self, name: str) -> str:
        return str(self._client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            import boto3
            from botocore.config import Config

            config = Config(
                connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5}
            )
            client: Any = boto3.client
            self._clients[service] = client(service, config=config)
        return self._clients[service]

    def _asked(self, operation: str, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - told by its code below, without AWS's own words
            response = getattr(error, "response", None)
            told = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
            code = told if isinstance(told, str) else type(error).__name__
        raise ReconcileError(f"{operation} failed: {code}", "check the function's role and its settings")
