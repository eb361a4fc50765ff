"""Calls of the function to AWS: batches of ten, refused entries, and failures without the message of AWS."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.event.aws_clients import AwsClients


class Client:
    """Every service in one: it records the requests.

    Attributes:
        requests: The requests, each with its operation.
        services: The services for which a client was created, each with its configuration.
        refused: The bodies that SQS refuses, each with the number of times.
        error: The error of every call.
        content: The bytes of the S3 object.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.services: list[tuple[str, Any]] = []
        self.refused: dict[str, int] = {}
        self.error: Exception | None = None
        self.content = b""

    def _record(self, operation: str, request: dict[str, Any]) -> None:
        self.requests.append((operation, request))
        if self.error is not None:
            raise self.error

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        self._record("send", request)
        sent = []
        for entry in request["Entries"]:
            if self.refused.get(entry["MessageBody"]):
                self.refused[entry["MessageBody"]] -= 1
            else:
                sent.append({"Id": entry["Id"]})
        return {"Successful": sent} if sent else {}

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        self._record("postpone", request)
        return {}

    def start_execution(self, **request: Any) -> dict[str, Any]:
        self._record("start", request)
        return {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        self._record("object", request)
        return {"Body": io.BytesIO(self.content)}

    def get_parameter(self, **request: Any) -> dict[str, Any]:
        self._record("parameter", request)
        return {"Parameter": {"Name": request["Name"], "Value": "text"}}

    def bodies(self) -> list[list[Any]]:
        """Return the documents of each call of SendMessageBatch."""
        return [
            [json.loads(one["MessageBody"]) for one in request["Entries"]] for _, request in self.requests
        ]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client()

    def create(service: str, *, config: Any) -> Client:
        found.services.append((service, config))
        return found

    monkeypatch.setattr(boto3, "client", create)
    return found


def documents(numbers: Sequence[int]) -> list[dict[str, Any]]:
    return [{"names": [f"/{number}"]} for number in numbers]


class TestSend:
    def test_each_document_is_sent_once_ten_in_a_call(self, client: Client) -> None:
        AwsClients().send("queue", documents(range(21)))
        assert client.bodies() == [documents(range(10)), documents(range(10, 20)), documents([20])]
        for _, request in client.requests:
            assert request["QueueUrl"] == "queue"
            assert len({one["Id"] for one in request["Entries"]}) == len(request["Entries"])

    def test_only_the_refused_entries_are_sent_again(self, client: Client) -> None:
        client.refused = {
            json.dumps(one): count for one, count in zip(documents([1, 3]), (1, 4), strict=True)
        }
        AwsClients().send("queue", documents(range(4)))
        assert client.bodies() == [documents(range(4)), documents([1, 3]), *[documents([3])] * 3]

    def test_after_five_calls_the_number_of_refused_messages_is_reported(self, client: Client) -> None:
        client.refused = {json.dumps(one): 5 for one in documents([0, 2])}
        with pytest.raises(ReconcileError, match="SendMessage: 2 messages were refused"):
            AwsClients().send("queue", documents(range(3)))
        assert len(client.requests) == 5

    def test_a_dead_letter_keeps_its_body_and_has_the_start_of_its_reason(self, client: Client) -> None:
        clients = AwsClients()
        for reason in ("r" * 1001, ""):
            clients.send_dead_letter("dead", '{"a": 1}', reason)
        found = [request["Entries"] for _, request in client.requests]
        assert [[one["MessageBody"] for one in entries] for entries in found] == [['{"a": 1}']] * 2
        reasons = [entries[0]["MessageAttributes"]["reason"] for entries in found]
        assert reasons == [{"DataType": "String", "StringValue": text} for text in ("r" * 1000, "unknown")]
        assert {request["QueueUrl"] for _, request in client.requests} == {"dead"}


def test_each_message_gets_its_pause_ten_in_a_call(client: Client) -> None:
    receipts = [(f"r{number}", number) for number in range(23)]
    AwsClients().postpone("queue", iter(receipts))
    assert {request["QueueUrl"] for _, request in client.requests} == {"queue"}
    entries = [request["Entries"] for _, request in client.requests]
    assert [len(one) for one in entries] == [10, 10, 3]
    found = [(one["ReceiptHandle"], one["VisibilityTimeout"]) for chunk in entries for one in chunk]
    assert found == receipts
    assert all(len({one["Id"] for one in chunk}) == len(chunk) for chunk in entries)


def test_a_whole_run_is_an_execution_of_the_state_machine(client: Client) -> None:
    AwsClients().start_whole_run("machine")
    assert client.requests == [("start", {"stateMachineArn": "machine"})]


class TestSpecs:
    def test_a_spec_of_the_largest_size_is_read_whole_and_of_a_larger_one_a_byte_more(
        self, client: Client
    ) -> None:
        """The loader refuses that text."""
        for size, read in ((4_000_000, 4_000_000), (4_000_002, 4_000_001)):
            client.content = b"a" * size
            assert len(AwsClients().spec("s3://bucket/a/b.yaml")) == read
        assert client.requests[0] == ("object", {"Bucket": "bucket", "Key": "a/b.yaml"})

    def test_a_spec_in_a_parameter_is_read_by_its_name(self, client: Client) -> None:
        assert AwsClients().spec("ssm:/ops/spec") == "text"
        assert client.requests == [("parameter", {"Name": "/ops/spec"})]

    def test_a_spec_that_is_not_utf_8_is_reported(self, client: Client) -> None:
        client.content = b"\xff"
        with pytest.raises(ReconcileError, match="GetObject failed: UnicodeDecodeError"):
            AwsClients().spec("s3://bucket/key")

    @pytest.mark.parametrize("uri", ["s3://", "s3:///key", "s3://bucket/", "ssm:", "", "file:///spec"])
    def test_any_other_uri_is_refused_without_a_call(self, client: Client, uri: str) -> None:
        with pytest.raises(ReconcileError, match="neither") as found:
            AwsClients().spec(uri)
        assert "SPEC_PATH" in found.value.remedy
        assert not client.services


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ClientError({"Error": {"Code": "AccessDenied", "Message": "s3cret"}}, "Call"), "AccessDenied"),
            (ClientError({}, "Call"), "ClientError"),
            (ClientError({"Error": {"Code": None}}, "Call"), "ClientError"),  # type: ignore[typeddict-item] # a proxy's answer
            (TimeoutError("s3cret"), "TimeoutError"),
        ],
    )
    def test_a_failure_has_its_operation_and_its_code_without_the_message_of_aws(
        self, client: Client, error: Exception, code: str
    ) -> None:
        client.error = error
        clients = AwsClients()
        for operation, call in (
            ("SendMessage", lambda: clients.send("queue", documents([1]))),
            ("SendMessage", lambda: clients.send_dead_letter("dead", "body", "why")),
            ("ChangeMessageVisibility", lambda: clients.postpone("queue", [("r", 1)])),
            ("StartExecution", lambda: clients.start_whole_run("machine")),
            ("GetObject", lambda: clients.spec("s3://bucket/key")),
        ):
            with pytest.raises(ReconcileError) as found:
                call()
            assert found.value.message == f"{operation} failed: {code}"
            assert "role" in found.value.remedy
            assert found.value.__context__ is None, "a traceback would quote the message of AWS"


def test_clients_are_created_once_and_wait_for_seconds_only(client: Client) -> None:
    """The table is called often, and a call without an answer is repeated: it waits less."""
    clients = AwsClients()
    for _ in range(2):
        clients.table("state")
        clients.send("queue", documents([1]))
    limits = {
        service: (config.connect_timeout, config.read_timeout, config.retries)
        for service, config in client.services
    }
    assert len(client.services) == 2
    assert limits == {
        "dynamodb": (2, 3, {"mode": "standard", "total_max_attempts": 2}),
        "sqs": (3, 5, {"mode": "standard", "total_max_attempts": 3}),
    }
