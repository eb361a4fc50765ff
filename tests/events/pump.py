"""AWS between a change and the function: EventBridge, SQS and the event source mapping.

Numbers and patterns are those of deploy/template.yaml. Like AWS it delivers at least once and in no order:
some events twice, some messages twice, failed ones again when their time has come, and to the dead letters
when they came too often. Time is the test's.
"""

from __future__ import annotations

import io
import itertools
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools import Logger

from ssm_reconcile.event.aws_clients import AwsClients
from ssm_reconcile.event.aws_lambda import Function
from ssm_reconcile.event.state import Table
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.model import Place
from ssm_reconcile.system import Clock
from tests.doubles.clock import FakeClock
from tests.events.memory_table import MemoryTable
from tests.events.state_machine import Execution, definition, run
from tests.events.templates import loaded, matches, rendered
from tests.fake_aws.store import Memory
from tests.fake_aws.world import World

RESOURCES = loaded("template.yaml")["Resources"]
MAPPING = RESOURCES["ChangeFunction"]["Properties"]["Events"]["Queue"]["Properties"]
QUEUE = RESOURCES["ChangeQueue"]["Properties"]
TIMEOUT = RESOURCES["ChangeFunction"]["Properties"]["Timeout"]
ENTRIES_A_CALL = 10
DEAD_LETTERS_URL = "dead-letters"
WHOLE_TIMEOUT = RESOURCES["WholeFunction"]["Properties"]["Timeout"]
BARE = {"SPEC_URI": "s3://bucket/replication.yaml", "NAME": "prod", "QUEUE_URL": "queue"}
STATEFUL = {"TABLE": "state", "DEAD_LETTERS_URL": DEAD_LETTERS_URL, "WHOLE_RUN_ARN": "machine"}
SCHEDULED: dict[str, Any] = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


def metrics(printed: str) -> Counter[str]:
    """Return the sum of each metric that was written in CloudWatch's embedded format."""
    total: Counter[str] = Counter()
    for line in printed.splitlines():
        if '"_aws"' in line:
            document = json.loads(line)
            for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                total[metric["Name"]] += sum(document[metric["Name"]])
    return total


def change_event(place: Place, name: str, operation: str, *, at: datetime, identifier: str) -> dict[str, Any]:
    """Return an event of Parameter Store."""
    return {
        "version": "0",
        "id": identifier,
        "detail-type": "Parameter Store Change",
        "source": "aws.ssm",
        "account": place.account,
        "region": place.region,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": [place.arn(name)],
        "detail": {"operation": operation, "name": name, "type": "String"},
    }


@dataclass(slots=True)
class Stored:
    """One message in the queue."""

    body: str
    identifier: str
    sent: datetime
    visible: datetime
    received: int = 0


class Queue:
    """A standard queue with its dead letters.

    Attributes:
        dead: The bodies that came too often, and those that the function sent there.
        expired: The bodies that were older than the retention period: they are lost.
        changed: Called when the time may be another at which the next message becomes visible.
    """

    def __init__(self, clock: Clock, chance: random.Random, *, twice: float = 0.0) -> None:
        self.clock = clock
        self.chance = chance
        self.twice = twice
        self.messages: dict[str, Stored] = {}
        self.dead: list[str] = []
        self.expired: list[str] = []
        self.changed: Callable[[], object] = lambda: None
        self.most = int(QUEUE["RedrivePolicy"]["maxReceiveCount"])
        self.retention = timedelta(seconds=int(QUEUE["MessageRetentionPeriod"]))
        self._numbers = itertools.count()

    def send(self, body: str) -> str:
        identifier = str(next(self._numbers))
        self.messages[identifier] = Stored(body, identifier, self.clock.now(), self.clock.now())
        self.changed()
        return identifier

    def expire(self) -> None:
        """Drop the messages that are older than the retention period."""
        oldest = self.clock.now() - self.retention
        for one in [one for one in self.messages.values() if one.sent <= oldest]:
            self.expired.append(self.messages.pop(one.identifier).body)

    def receive(self, most: int) -> list[dict[str, Any]]:
        """Some visible messages, in any order; now and then one stays visible all the same."""
        self.expire()
        now = self.clock.now()
        ready = [one for one in self.messages.values() if one.visible <= now]
        records = []
        for one in self.chance.sample(ready, min(most, len(ready))):
            one.received += 1
            if one.received > self.most:
                self.dead.append(self.messages.pop(one.identifier).body)
                continue
            if self.chance.random() >= self.twice:
                one.visible = now + timedelta(seconds=int(QUEUE["VisibilityTimeout"]))
            records.append(
                {
                    "messageId": one.identifier,
                    "receiptHandle": one.identifier,
                    "body": one.body,
                    "attributes": {
                        "ApproximateReceiveCount": str(one.received),
                        "SentTimestamp": str(round(one.sent.timestamp() * 1000)),
                    },
                    "eventSource": "aws:sqs",
                }
            )
        return records

    def delete(self, identifier: str) -> None:
        self.messages.pop(identifier, None)

    def hide(self, identifier: str, seconds: int) -> bool:
        """Set when a message that is in flight becomes visible; return whether it is in flight."""
        one = self.messages.get(identifier)
        if one is None or one.visible <= self.clock.now():
            return False
        one.visible = self.clock.now() + timedelta(seconds=seconds)
        self.changed()
        return True

    def next_visible(self) -> datetime | None:
        """Return when the next message is visible; None when nothing is left."""
        return min((one.visible for one in self.messages.values()), default=None)


class QueueAsSqs:
    """The two calls of the SQS client that `AwsClients` makes, over that queue: ten entries a call.

    What is sent to `DEAD_LETTERS_URL` is added to the dead letters of the queue.
    """

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """Send messages; every one is accepted."""
        assert QueueUrl
        assert 1 <= len(Entries) <= ENTRIES_A_CALL
        for entry in Entries:
            if QueueUrl == DEAD_LETTERS_URL:
                self.queue.dead.append(entry["MessageBody"])
            else:
                self.queue.send(entry["MessageBody"])
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def change_message_visibility_batch(
        self,
        *,
        QueueUrl: str,  # noqa: N803 - boto3's names
        Entries: list[dict[str, Any]],  # noqa: N803 - boto3's names
    ) -> dict[str, Any]:
        """Set when messages become visible again."""
        assert QueueUrl
        assert 1 <= len(Entries) <= ENTRIES_A_CALL
        hidden = {
            entry["Id"]: self.queue.hide(entry["ReceiptHandle"], entry["VisibilityTimeout"])
            for entry in Entries
        }
        failed = [{"Id": one, "Code": "MessageNotInflight"} for one, done in hidden.items() if not done]
        return {"Successful": [{"Id": one} for one, done in hidden.items() if done], "Failed": failed}


class QueueClients(AwsClients):
    """`AwsClients` with that queue behind its SQS client, a text for a spec, and a table.

    `started` counts the executions of the state machine that were started and have not run.
    """

    def __init__(self, queue: Queue, spec: Callable[[], str], table: Table | None = None) -> None:
        super().__init__()
        self._sqs = QueueAsSqs(queue)
        self._spec = spec
        self._table = MemoryTable() if table is None else table
        self.started = 0

    def table(self, name: str) -> Table:
        """Return the table, whatever its name."""
        assert name
        return self._table

    def start_whole_run(self, machine: str) -> None:
        """Start an execution of the state machine."""
        assert machine
        self.started += 1

    def spec(self, uri: str) -> str:
        """Return the text, whatever the address."""
        assert uri
        return self._spec()

    def _client(self, service: str, connect: int = 0, read: int = 0, attempts: int = 0) -> Any:
        assert service == "sqs"
        return self._sqs


@dataclass(slots=True)
class Invocation:
    """Lambda's context. `seconds`: how long it may take."""

    clock: Clock
    seconds: float = TIMEOUT
    aws_request_id: str = "request"
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.monotonic()

    def get_remaining_time_in_millis(self) -> int:
        return round(1000 * (self.began + self.seconds - self.clock.monotonic()))


class Deployed:
    """One stack: the rule in the source's region, its queue and its function."""

    def __init__(
        self,
        account: Account,
        spec: str,
        *,
        region: str,
        prefix: str = "/",
        twice: float = 0.0,
        environment: Mapping[str, str] = STATEFUL,
    ) -> None:
        self.account = account
        self.region = region
        self.spec = spec
        self.pattern = rendered(RESOURCES["ChangeRule"]["Properties"]["EventPattern"], NamePrefix=prefix)
        self.queue = Queue(account.clock, account.chance, twice=twice)
        self.invocations = 0
        self.batch = int(MAPPING["BatchSize"])
        self.log = io.StringIO()
        self.table = MemoryTable()
        self.clients = QueueClients(self.queue, lambda: self.spec, self.table)
        self.environment = {**BARE, **environment}
        self.executions = 0
        self.function = self.new_process()

    def new_process(self) -> Function:
        """Return the function as a new process has it: nothing is kept in memory."""
        return Function(
            self.environment,
            timer=Timer(self.account.clock),
            aws=self.clients,
            connect=Memory(self.account.world).connect,
            logger=Logger(service=f"ssm-reconcile-{uuid.uuid4()}", stream=self.log),
        )

    def takes(self, event: Mapping[str, Any]) -> bool:
        return event["region"] == self.region and matches(self.pattern, event)

    def invoke(self, event: Any, seconds: float = TIMEOUT) -> dict[str, Any]:
        self.invocations += 1
        try:
            return self.function.handle(event, Invocation(self.account.clock, seconds))
        finally:
            self.account.publish_own_writes()

    def whole_run(self, seconds: float = WHOLE_TIMEOUT) -> Execution:
        """Run the state machine of the template to its end."""
        self.executions += 1
        execution = f"execution-{self.executions}"

        def invoke(_: str, payload: Any) -> Any:
            return self.invoke(payload, seconds)

        return run(definition(), invoke, execution=execution)

    def run_slice(
        self, seconds: float = WHOLE_TIMEOUT, execution: str = "one", number: int = 1
    ) -> dict[str, Any]:
        """Invoke one slice of a whole run."""
        return self.invoke({"whole_run": {"execution": execution, "slice": number}}, seconds)

    def run_started(self) -> bool:
        """Run the executions that were started; return whether there was one."""
        count, self.clients.started = self.clients.started, 0
        for _ in range(count):
            self.whole_run()
        return bool(count)

    def poll(self) -> bool:
        """One batch, as the event source mapping handles it; False when nothing was visible."""
        records = self.queue.receive(self.batch)
        if not records:
            return False
        sent = {record["messageId"] for record in records}
        try:
            failed = {one["itemIdentifier"] for one in self.invoke({"Records": records})["batchItemFailures"]}
        except Exception:  # noqa: BLE001 - whatever it is, AWS makes the whole batch visible again
            return True
        if failed <= sent:  # AWS takes an answer with anything else in it for a failure of all
            for identifier in sent - failed:
                self.queue.delete(identifier)
        return True


class Account:
    """A world, its clock, and the default buses of its regions."""

    def __init__(self, seed: int = 7, *, world: World | None = None, twice: float = 0.0) -> None:
        self.clock = FakeClock(tick=timedelta(milliseconds=1))
        self.world = world or World(self.clock)
        self.chance = random.Random(seed)  # noqa: S311 - a repeatable test
        self.here = self.world.place("us-east-1")
        self.there = self.world.place("us-east-2")
        self.twice = twice
        self.stacks: list[Deployed] = []
        self.published = 0

    def deploy(
        self, spec: str, region: str = "us-east-1", environment: Mapping[str, str] = STATEFUL
    ) -> Deployed:
        """Deploy a stack; the end of a deployment starts a whole run."""
        stack = Deployed(self, spec, region=region, twice=self.twice, environment=environment)
        self.stacks.append(stack)
        return stack

    def event(self, place: Place, name: str, operation: str) -> dict[str, Any]:
        return change_event(place, name, operation, at=self.clock.now(), identifier=str(self.chance.random()))

    def publish(self, event: Mapping[str, Any]) -> None:
        """To every rule that takes it, now and then twice."""
        for stack in self.stacks:
            if stack.takes(event):
                for _ in range(1 + (self.chance.random() < self.twice)):
                    stack.queue.send(json.dumps(event))

    def put(self, place: Place, name: str, value: str, **more: Any) -> None:
        there = self.world.peek(place, name) is not None
        self.world.put(place, name, value, **more)
        self.publish(self.event(place, name, "Update" if there else "Create"))

    def delete(self, place: Place, name: str) -> None:
        self.world.delete(place, name)
        self.publish(self.event(place, name, "Delete"))

    def publish_own_writes(self) -> None:
        """Publish events for the writes of the function, in the regions where it wrote."""
        new, self.published = self.world.calls[self.published :], len(self.world.calls)
        for call in new:
            if call.operation in {"PutParameter", "DeleteParameters"}:
                word = "Update" if call.operation == "PutParameter" else "Delete"
                for name in call.names:
                    self.publish(self.event(call.place, name, word))

    def wait(self) -> None:
        """Let time pass until a message is visible."""
        due = [moment for stack in self.stacks if (moment := stack.queue.next_visible()) is not None]
        if due:
            self.clock.advance(max(timedelta(), min(due) - self.clock.now()))

    def drain(self, most: int = 100_000) -> int:
        """Runs until every queue is empty; returns how many batches that took."""
        for count in range(most):
            polled = [stack.run_started() or stack.poll() for stack in self.stacks]
            if any(polled):
                continue
            if not any(stack.queue.messages for stack in self.stacks):
                return count
            self.wait()
        raise AssertionError("it does not come to rest")
