"""The same on moto's SSM, SQS, S3 and EventBridge, through boto3 and the function's own entry.

moto sends no event of its own for a parameter, so the test puts it on the bus, under a
source that AWS keeps to itself. moto's events do not say their account; AWS's do, so the pump adds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.event import aws_lambda
from ssm_reconcile.event.aws_clients import AwsClients
from ssm_reconcile.event.timer import RESERVE
from tests.events.templates import loaded, rendered

SPEC = """\
version: 1
name: prod
source: { region: us-east-1, account: "123456789012" }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
rates: { put: 200, tags: 200, list_tags: 200, describe: 200, get: 200, resources: 200, delete: 200 }
"""
ACCOUNT = "123456789012"


def with_account(body: str) -> str:
    return json.dumps({"account": ACCOUNT} | json.loads(body)) if '"detail-type"' in body else body


class Context:
    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Cloud:
    """Clients, a bus with our rule, and the queue that it feeds."""

    def __init__(self) -> None:
        self.here: Any = boto3.client("ssm", region_name="us-east-1")
        self.there: Any = boto3.client("ssm", region_name="us-east-2")
        self.sqs: Any = boto3.client("sqs", region_name="us-east-1")
        self.events: Any = boto3.client("events", region_name="us-east-1")
        self.s3: Any = boto3.client("s3", region_name="us-east-1")
        self.dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        self.queue = self.sqs.create_queue(
            QueueName="changes",
            Attributes={
                "VisibilityTimeout": "0",
                "RedrivePolicy": json.dumps(
                    {"deadLetterTargetArn": self._arn(self.dead), "maxReceiveCount": "3"}
                ),
            },
        )["QueueUrl"]
        pattern = loaded("template.yaml")["Resources"]["ChangeRule"]["Properties"]["EventPattern"]
        self.events.put_rule(Name="changes", EventPattern=json.dumps(rendered(pattern, NamePrefix="/prod/")))
        self.events.put_targets(Rule="changes", Targets=[{"Id": "queue", "Arn": self._arn(self.queue)}])

    def _arn(self, url: str) -> str:
        result = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(result["Attributes"]["QueueArn"])

    def tell(self, name: str, operation: str) -> None:
        detail = {"operation": operation, "name": name, "type": "String"}
        entry = {"Source": "aws.ssm", "DetailType": "Parameter Store Change", "Detail": json.dumps(detail)}
        assert self.events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    def put(self, name: str, value: str, kind: str = "String") -> None:
        self.here.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)
        self.tell(name, "Update")

    def waiting(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages"]
        result = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
        return int(result["Attributes"][names[0]])

    def pump(self) -> None:
        """Deliver messages as the event source mapping does, until the queue is empty."""
        for _ in range(20):
            messages = self.sqs.receive_message(
                QueueUrl=self.queue, MaxNumberOfMessages=10, AttributeNames=["All"]
            ).get("Messages", [])
            if not messages:
                return
            records = [
                {
                    "messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"],
                    "body": with_account(one["Body"]), "attributes": one["Attributes"],
                }
                for one in messages
            ]  # fmt: skip
            answer = aws_lambda.answer({"Records": records}, Context())
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
            for one in messages:
                if one["MessageId"] not in failed:
                    self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
                else:
                    self.sqs.change_message_visibility(
                        QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=0
                    )

    def held(self) -> dict[str, str]:
        found = self.there.describe_parameters()["Parameters"]
        return {
            one["Name"]: self.there.get_parameter(Name=one["Name"], WithDecryption=True)["Parameter"]["Value"]
            for one in found
        }


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(aws_lambda, "_functions", [])
    with mock_aws():
        made = Cloud()
        made.s3.create_bucket(Bucket="specs")
        made.s3.put_object(Bucket="specs", Key="prod/replication.yaml", Body=SPEC.encode())
        monkeypatch.setenv("SPEC_URI", "s3://specs/prod/replication.yaml")
        monkeypatch.setenv("NAME", "prod")
        monkeypatch.setenv("QUEUE_URL", made.queue)
        yield made


def test_from_the_bus_through_the_queue_to_the_other_region(cloud: Cloud) -> None:
    cloud.put("/prod/a", "v")
    cloud.put("/prod/key", "s3cret", "SecureString")
    cloud.put("/dev/a", "v")
    assert cloud.waiting(cloud.queue) == 2
    cloud.pump()
    assert cloud.held() == {"/prod/a": "v", "/prod/key": "s3cret"}
    cloud.put("/prod/a", "w")
    cloud.here.delete_parameter(Name="/prod/key")
    cloud.tell("/prod/key", "Delete")
    cloud.pump()
    assert cloud.held() == {"/prod/a": "w"}
    assert cloud.waiting(cloud.queue) == 0


def test_a_poison_message_is_removed_and_a_scheduled_run_does_the_rest(cloud: Cloud) -> None:
    cloud.here.put_parameter(Name="/prod/untold", Value="v", Type="String")
    cloud.sqs.send_message(QueueUrl=cloud.queue, MessageBody="{ no json")
    cloud.pump()
    assert cloud.waiting(cloud.queue) == cloud.waiting(cloud.dead) == 0
    aws_lambda.answer({"detail-type": "Scheduled Event", "source": "aws.events"}, Context())
    assert cloud.held() == {"/prod/untold": "v"}


def test_names_go_onto_the_queue_and_come_off_it(cloud: Cloud) -> None:
    names = [f"/prod/{i:03}" for i in range(25)]
    for name in names:
        cloud.here.put_parameter(Name=name, Value="v", Type="String")
    AwsClients().send(cloud.queue, [{"names": names[start : start + 10]} for start in (0, 10, 20)])
    assert cloud.waiting(cloud.queue) == 3
    cloud.pump()
    assert sorted(name for page in cloud.there.get_paginator("describe_parameters").paginate()
                  for name in (one["Name"] for one in page["Parameters"])) == names  # fmt: skip


class TestTheSpec:
    def test_it_may_be_an_object_or_a_parameter(self, cloud: Cloud) -> None:
        cloud.here.put_parameter(Name="/ops/spec", Value=SPEC, Type="String")
        assert AwsClients().spec("s3://specs/prod/replication.yaml") == SPEC
        assert AwsClients().spec("ssm:/ops/spec") == SPEC

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("s3://specs/nope", "GetObject failed: NoSuchKey"),
            ("s3://nope/nope", "GetObject failed: NoSuchBucket"),
            ("ssm:/nope", "GetParameter failed: ParameterNotFound"),
            ("https://example.org/spec", "neither"),
            ("s3://specs", "neither"),
        ],
    )
    def test_a_missing_spec_is_reported_with_its_place(self, cloud: Cloud, uri: str, message: str) -> None:
        with pytest.raises(ReconcileError, match=message):
            AwsClients().spec(uri)


def test_a_missing_queue_is_reported(cloud: Cloud) -> None:
    with pytest.raises(ReconcileError, match="SendMessage failed"):
        AwsClients().send(cloud.queue + "x", [{"names": ["/prod/a"]}])
    with pytest.raises(ReconcileError, match="ChangeMessageVisibility failed"):
        AwsClients().postpone(cloud.queue + "x", [("r", 5)])


def test_no_call_waits_beyond_the_reserve_at_the_end_of_an_invocation(cloud: Cloud) -> None:
    """A response that never arrives must not let Lambda kill the function."""
    cloud.put("/prod/a", "v")
    cloud.pump()
    (function,) = aws_lambda._functions
    assert function.planner is not None
    opened: list[Any] = list(function.planner.places.opened.values())
    assert len(opened) == 2
    assert {store._ssm.meta.config.read_timeout for store in opened} == {10}
    assert RESERVE > 10
