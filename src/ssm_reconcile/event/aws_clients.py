"""The function's own calls to AWS: SQS for its queues, S3 or SSM for its spec, Step Functions, DynamoDB.

Clients are created once. A failure becomes a `ReconcileError` with the operation and the error code. The
message of AWS is left out, since it may quote a value or a name of another account.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.event.dynamodb import DynamoTable
from ssm_reconcile.event.state import Table

_T = TypeVar("_T")

NAMES_A_MESSAGE = 10
"""Names of one GetParameters call; one invocation reconciles so many in a small part of its time."""
LONGEST_REASON = 1_000
MESSAGES_A_CALL = 10
"""Most entries of SendMessageBatch and ChangeMessageVisibilityBatch (Amazon SQS API Reference)."""
SEND_TRIES = 5
LARGEST_SPEC = 4_000_000
"""Bytes of a spec that are read; the loader accepts no larger one."""


class AwsClients:
    """Clients in the region of the function, created when they are first used."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    def spec(self, uri: str) -> str:
        """Return the text at `s3://bucket/key` or `ssm:/name`.

        Raises:
            ReconcileError: The URI is invalid, or the text could not be read.
        """
        if uri.startswith("s3://"):
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            if bucket and key:
                return self._call("GetObject", lambda: self._object(bucket, key))
        if uri.startswith("ssm:") and len(uri) > len("ssm:"):
            name = uri.removeprefix("ssm:")
            return self._call("GetParameter", lambda: self._parameter(name))
        raise ReconcileError(
            "SPEC_URI is neither s3://bucket/key nor ssm:/name", "correct it, or use SPEC_PATH"
        )

    def send(self, queue: str, documents: Sequence[Mapping[str, Any]]) -> None:
        """Send documents to a queue as JSON, ten in a call.

        Raises:
            ReconcileError: A document could not be sent.
        """
        bodies = [{"MessageBody": json.dumps(document)} for document in documents]
        for start in range(0, len(bodies), MESSAGES_A_CALL):
            chunk = bodies[start : start + MESSAGES_A_CALL]
            self._send(queue, {str(number): body for number, body in enumerate(chunk)})

    def send_dead_letter(self, queue: str, body: str, reason: str) -> None:
        """Send the body of a message to the dead letters, with the reason as an attribute.

        Args:
            queue: The URL of the dead-letter queue.
            body: The body, unchanged, so that it can be redriven.
            reason: Why the message failed.

        Raises:
            ReconcileError: The message could not be sent.
        """
        attribute = {"DataType": "String", "StringValue": reason[:LONGEST_REASON] or "unknown"}
        self._send(queue, {"0": {"MessageBody": body, "MessageAttributes": {"reason": attribute}}})

    def start_whole_run(self, machine: str) -> None:
        """Start an execution of the state machine of the whole run.

        Raises:
            ReconcileError: It could not be started.
        """
        client = self._client("stepfunctions")
        self._call("StartExecution", lambda: client.start_execution(stateMachineArn=machine))

    def table(self, name: str) -> Table:
        """Return the table with the state of the stack. A call that gets no answer ends after seconds."""
        return DynamoTable(self._client("dynamodb", connect=2, read=3, attempts=2), name)

    def postpone(self, queue: str, receipts: Iterable[tuple[str, int]]) -> None:
        """Set the visibility timeout of messages, in seconds each.

        Only for an earlier retry: without it a message is retried after the timeout of the queue.
        """
        every = list(receipts)
        for start in range(0, len(every), MESSAGES_A_CALL):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                for number, (receipt, seconds) in enumerate(every[start : start + MESSAGES_A_CALL])
            ]
            sqs = self._client("sqs")
            call = partial(sqs.change_message_visibility_batch, QueueUrl=queue, Entries=entries)
            self._call("ChangeMessageVisibility", call)

    def _send(self, queue: str, unsent: Mapping[str, Mapping[str, Any]]) -> None:
        """Send up to ten messages. SQS accepts each entry by itself: those that failed are sent again."""
        for _ in range(SEND_TRIES):
            entries = [{"Id": number, **message} for number, message in unsent.items()]
            call = partial(self._client("sqs").send_message_batch, QueueUrl=queue, Entries=entries)
            response = self._call("SendMessage", call)
            sent = {one["Id"] for one in response.get("Successful", ())}
            unsent = {number: message for number, message in unsent.items() if number not in sent}
            if not unsent:
                return
        raise ReconcileError(f"SendMessage: {len(unsent)} messages were refused again and again")

    def _object(self, bucket: str, key: str) -> str:
        response = self._client("s3").get_object(Bucket=bucket, Key=key)
        text: bytes = response["Body"].read(LARGEST_SPEC + 1)
        return text.decode("utf-8")

    def _parameter(self, name: str) -> str:
        return str(self._client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

    def _client(self, service: str, connect: int = 3, read: int = 5, attempts: int = 3) -> Any:
        if service not in self._clients:
            import boto3
            from botocore.config import Config

            config = Config(
                connect_timeout=connect,
                read_timeout=read,
                retries={"mode": "standard", "total_max_attempts": attempts},
            )
            client: Any = boto3.client
            self._clients[service] = client(service, config=config)
        return self._clients[service]

    def _call(self, operation: str, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - reported below by its code, without the message of AWS
            response = getattr(error, "response", None)
            found = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
            code = found if isinstance(found, str) else type(error).__name__
        raise ReconcileError(f"{operation} failed: {code}", "check the function's role and its settings")
