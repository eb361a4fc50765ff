"""The surroundings of an inbox for tests: clients that record, a table in memory, a clock, and a log."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from aws_lambda_powertools import Logger

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.event.aws_clients import AwsClients
from ssm_reconcile.event.events import Message, Names
from ssm_reconcile.event.invocation_log import InvocationLog
from ssm_reconcile.event.messages import Inbox
from ssm_reconcile.event.name_run import NameRunResult
from ssm_reconcile.event.requests import NameResult, Retry, RetryCause
from ssm_reconcile.event.state import State
from ssm_reconcile.event.timer import Timer
from tests.doubles.clock import FakeClock
from tests.events.memory_table import MemoryTable

ENVIRONMENT = {"QUEUE_URL": "queue", "DEAD_LETTERS_URL": "dead"}


class Clients(AwsClients):
    """Records what is sent; `fails` makes every call fail."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Mapping[str, Any]] = []
        self.dead: list[tuple[str, str]] = []
        self.pauses: dict[str, int] = {}
        self.fails = False

    def _check(self) -> None:
        if self.fails:
            raise ReconcileError("SendMessage failed")

    def send(self, queue: str, documents: Iterable[Mapping[str, Any]]) -> None:
        """Record documents."""
        self._check()
        assert queue == "queue"
        self.sent += documents

    def send_dead_letter(self, queue: str, body: str, reason: str) -> None:
        """Record a dead letter."""
        self._check()
        assert queue == "dead"
        self.dead.append((body, reason))

    def postpone(self, queue: str, receipts: Iterable[tuple[str, int]]) -> None:
        """Record pauses."""
        self._check()
        assert queue == "queue"
        self.pauses |= dict(receipts)


class Stage:
    """An inbox with its surroundings."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clients = Clients()
        self.table = MemoryTable()
        self.state: State | None = State(self.table, self.clock)
        self.environment = dict(ENVIRONMENT)
        self.lines = io.StringIO()
        self.log = InvocationLog(Logger(service=str(uuid.uuid4()), stream=self.lines), "prod")

    def inbox(self, *messages: Message) -> Inbox:
        return Inbox(messages, self.environment, self.clients, self.state, Timer(self.clock), self.log)

    def fail(self, cause: RetryCause, received: int = 1) -> tuple[list[str], int | None]:
        """Retry the one message for a cause; return what is retried, and its pause."""
        message = named("m", "/a", received=received)
        inbox = self.inbox(message)
        self.clients.pauses.clear()
        take(inbox, message, NameResult("/a", retry=Retry(cause, "why")))
        return inbox.settle(), self.clients.pauses.get("r-m")


def named(identifier: str, *names: str, received: int = 1, sent: datetime | None = None) -> Message:
    receipt = f"r-{identifier}" if identifier else ""
    return Message(Names(names), identifier, receipt, received, sent, json.dumps(list(names)))


def take(inbox: Inbox, message: Message, *results: NameResult) -> None:
    """Give the results of a pass with one message to an inbox."""
    names = frozenset(result.name for result in results)
    (known,) = (one for one in inbox.work if one.body == message.body)
    inbox.written([(known, names)])
    inbox.take([(known, names)], NameRunResult(tuple(results)))
