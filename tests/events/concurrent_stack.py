"""The deployed stack with several processes at once: event bus, queue, event source mapping, Lambda.

    Bus       EventBridge: at least once, some time after the change
    Poller    batches from the queue to the function, up to `MaximumConcurrency` at a time
    Lambda    processes: a free one is used again; a killed one is gone, with its memory
    Stack     all of them, and the function in each process

Numbers are those of deploy/template.yaml. AWS documents no times for the delivery of an event and the start
of a process: these are assumptions.
"""

from __future__ import annotations

import io
import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger

from ssm_reconcile.event.aws_lambda import Function
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.model import Place
from tests.events.concurrent_scheduler import Alarm, Group, Killed, Scheduler
from tests.events.concurrent_table import TimedTable
from tests.events.concurrent_world import Chances, Opener, TimedWorld
from tests.events.pump import (
    BARE,
    MAPPING,
    QUEUE,
    RESOURCES,
    STATEFUL,
    TIMEOUT,
    WHOLE_TIMEOUT,
    Invocation,
    Queue,
    QueueAsSqs,
    QueueClients,
    change_event,
)
from tests.events.state_machine import Execution, TaskError, definition, run
from tests.events.templates import matches, rendered

BATCH = int(MAPPING["BatchSize"])
WINDOW = float(MAPPING["MaximumBatchingWindowInSeconds"])
VISIBILITY = float(QUEUE["VisibilityTimeout"])
DELIVERY = (0.2, 1.5)
"""Seconds from a change to the message in the queue."""
REPEATED = (2.0, 30.0)
"""Seconds to the second message, for an event that is delivered twice."""
COLD_START = 1.5
WARM_START = 0.02
KILL_WITHIN = 300
"""The last sleep in which an invocation may be killed, as long as none has ended."""


@dataclass(eq=False, slots=True)
class Process:
    """One process of the function."""

    function: Function
    timer: Timer


@dataclass(eq=False, slots=True)
class Started:
    """One invocation: its event, its threads, and how it ended (`answer`, `error` or `killed`)."""

    event: Any
    number: int
    at: float
    group: Group = field(default_factory=Group)
    ended: float | None = None
    answer: Any = None
    error: Exception | None = None
    killed: bool = False


class Lambda:
    """Runs invocations in processes."""

    def __init__(
        self, scheduler: Scheduler, chance: random.Random, make: Callable[[], Process], timeout: float
    ) -> None:
        self.scheduler = scheduler
        self.chance = chance
        self.timeout = timeout
        self.killed_share = 0.0
        self.started: list[Started] = []
        self.processes = 0
        self._make = make
        self._free: list[Process] = []
        self._sleeps = deque([KILL_WITHIN], maxlen=10)
        self._owed = chance.random()

    def invoke(self, event: Any, at_end: Callable[[Started], object] = lambda _: None) -> Started:
        """Start an invocation; `at_end` is called in its thread when it has ended."""
        one = Started(event, len(self.started), self.scheduler.monotonic())
        self.started.append(one)
        self._owed += self.killed_share
        if self._owed >= 1:
            self._owed -= 1
            one.group.fatal = self.chance.randint(1, max(self._sleeps))
        self.scheduler.start(partial(self._run, one, at_end), one.group)
        return one

    def restart(self) -> None:
        """Let the next invocations start in new processes."""
        self._free.clear()

    def _run(self, one: Started, at_end: Callable[[Started], object]) -> None:
        scheduler = self.scheduler
        process = self._free.pop() if self._free else None
        limit: Alarm | None = None
        try:
            if process is None:
                scheduler.sleep(COLD_START)
                process = self._make()
                self.processes += 1
            context = Invocation(scheduler, self.timeout, f"request-{one.number}")
            limit = scheduler.at(scheduler.monotonic() + self.timeout, partial(scheduler.kill, one.group))
            one.answer = process.function.handle(one.event, context)
        except Killed:
            one.killed, process = True, None
        except Exception as error:  # noqa: BLE001 - an error of the function, which AWS retries
            one.error = error
        if limit is not None:
            limit.cancelled = True
        one.ended = scheduler.monotonic()
        if process is not None:
            self._free.append(process)
            self._sleeps.append(one.group.sleeps)
            self._owed += one.group.fatal is not None  # it has ended before: another one is killed for it
        at_end(one)


class Poller:
    """The event source mapping. `check` starts a batch if messages are visible and a place is free."""

    def __init__(self, queue: Queue, runner: Lambda, concurrency: int) -> None:
        self.queue = queue
        self.runner = runner
        self.concurrency = concurrency
        self.busy = 0
        self.scheduler = runner.scheduler
        self._next: Alarm | None = None
        queue.changed = self.check

    def check(self) -> None:
        """Look at the queue, now or when the next message becomes visible."""
        if self._next is not None:
            self._next.cancelled = True
            self._next = None
        due = self.queue.next_visible()
        if due is None or self.busy >= self.concurrency:
            return
        wait = (due - self.scheduler.now()).total_seconds()
        self._next = self.scheduler.at(self.scheduler.monotonic() + max(wait, WARM_START), self._collect)

    def _collect(self) -> None:
        records = self.queue.receive(BATCH)
        if records:
            self.busy += 1
            seconds = WINDOW if len(records) < BATCH else 0.0
            self.scheduler.at(self.scheduler.monotonic() + seconds, partial(self._send, records))
        self.check()

    def _send(self, records: list[dict[str, Any]]) -> None:
        if len(records) < BATCH:
            known = {record["messageId"] for record in records}
            more = self.queue.receive(BATCH - len(records))
            records = [*records, *(one for one in more if one["messageId"] not in known)]
        self.runner.invoke({"Records": records}, self._settle)

    def _settle(self, one: Started) -> None:
        self.busy -= 1
        if one.answer is not None:
            sent = {record["messageId"] for record in one.event["Records"]}
            failed = {entry["itemIdentifier"] for entry in one.answer["batchItemFailures"]}
            if failed <= sent:  # AWS takes an answer with anything else in it for a failure of all
                for identifier in sent - failed:
                    self.queue.delete(identifier)
        self.check()


class TimedClients(QueueClients):
    """The clients of the function."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.queue, lambda: stack.spec, stack.table)
        self._sqs = TimedSqs(stack.queue, stack.scheduler)
        self._stack = stack

    def start_whole_run(self, machine: str) -> None:
        super().start_whole_run(machine)
        self._stack.scheduler.sleep(0.05)
        self._stack.start_whole_run()


class TimedSqs(QueueAsSqs):
    """The SQS client of the function; its calls take time, so that the function may be killed in them."""

    def __init__(self, queue: Queue, scheduler: Scheduler) -> None:
        super().__init__(queue)
        self._scheduler = scheduler

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        return self._timed(partial(super().send_message_batch, **request))

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        return self._timed(partial(super().change_message_visibility_batch, **request))

    def _timed(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self._scheduler.sleep(0.005)
        answer = call()
        self._scheduler.sleep(0.005)
        return answer


class Stack:
    """One stack in a world in virtual time; `here` is its source."""

    def __init__(
        self,
        scheduler: Scheduler,
        spec: str,
        *,
        seed: int = 1,
        concurrency: int = 2,
        chances: Chances | None = None,
        repeated: float = 0.0,
        environment: Mapping[str, str] = STATEFUL,
        table_failing: float = 0.0,
    ) -> None:
        self.scheduler = scheduler
        self.spec = spec
        self.chance = random.Random(seed)  # noqa: S311 - a repeatable test
        self.world = TimedWorld(scheduler, self.chance, chances)
        self.here = self.world.place("us-east-1")
        self.there = self.world.place("us-east-2")
        self.repeated = repeated
        self.environment = {**BARE, **environment}
        self.pattern = rendered(RESOURCES["ChangeRule"]["Properties"]["EventPattern"], NamePrefix="/")
        self.queue = Queue(scheduler, self.chance, twice=repeated)
        self.table = TimedTable(scheduler, self.chance, table_failing)
        self.runner = Lambda(scheduler, self.chance, self._process, float(TIMEOUT))
        self.whole_runner = Lambda(scheduler, self.chance, self._process, float(WHOLE_TIMEOUT))
        self.executions: list[Execution] = []
        self.mapping = Poller(self.queue, self.runner, concurrency)
        self.log = io.StringIO()

    def _process(self) -> Process:
        timer = Timer(self.scheduler)
        function = Function(
            self.environment,
            timer=timer,
            aws=TimedClients(self),
            connect=Opener(self.world, timer, self.chance).connect,
            logger=Logger(service=f"storm-{id(timer)}", level="CRITICAL", stream=self.log),
        )
        return Process(function, timer)

    def start_whole_run(self) -> None:
        """Start an execution of the state machine."""
        self.scheduler.start(self._execute, None)

    def _execute(self) -> None:
        name = f"execution-{len(self.executions)}"
        self.executions.append(Execution())
        number = len(self.executions) - 1
        self.executions[number] = run(definition(), self._invoke_whole, execution=name)

    def _invoke_whole(self, _: str, payload: Any) -> Any:
        waiting = self.scheduler.current
        one = self.whole_runner.invoke(payload, lambda _: self.scheduler.wake(waiting))
        while one.ended is None:
            self.scheduler.park()
        if one.error is not None:
            raise one.error
        if one.killed:
            raise TaskError("Sandbox.Timedout")
        return one.answer

    # Changes at the source, and their events

    def put(self, name: str, value: str, **more: Any) -> None:
        there = self.world.peek(self.here, name) is not None
        self.world.put(self.here, name, value, **more)
        self.publish(self.event(self.here, name, "Update" if there else "Create"))

    def delete(self, name: str) -> None:
        self.world.delete(self.here, name)
        self.publish(self.event(self.here, name, "Delete"))

    def event(self, place: Place, name: str, operation: str) -> dict[str, Any]:
        identifier = str(self.chance.random())
        return change_event(place, name, operation, at=self.scheduler.now(), identifier=identifier)

    def publish(self, event: Mapping[str, Any]) -> None:
        """Deliver an event to the queue if the rule takes it, now and then twice."""
        if event["region"] != self.here.region or not matches(self.pattern, event):
            return
        delays = [self.chance.uniform(*DELIVERY)]
        if self.chance.random() < self.repeated:
            delays.append(self.chance.uniform(*REPEATED))
        for delay in delays:
            self.scheduler.at(self.scheduler.monotonic() + delay, partial(self.queue.send, json.dumps(event)))
