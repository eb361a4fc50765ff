"""The messages of one invocation -> each is done, retried after a pause, or a dead letter.

The queue counts receives, and a message is received many times while a region is away. So attempts that fail
for a reason of the message itself are counted apart, in the table; after some of them the message goes to the
dead letters, with the reason. The queue's own limit of receives is left to invocations that are killed.

A record may hold several events: they share its identifier, and it is retried as a whole. A record with many
names is split: its names go back to the queue, a few in each message, so they do not delay other records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ssm_reconcile.errors import ReconcileError, StoreError
from ssm_reconcile.event.aws_clients import NAMES_A_MESSAGE, AwsClients
from ssm_reconcile.event.events import FullRun, Message, Names, Rejected
from ssm_reconcile.event.invocation_log import InvocationLog
from ssm_reconcile.event.name_run import NameRunResult
from ssm_reconcile.event.requests import COUNTED, Retry, RetryCause
from ssm_reconcile.event.state import MessageAttempts, State, TableUnavailableError
from ssm_reconcile.event.timer import Timer

NAMES_A_PASS = 10
"""Names that one pass reads and writes. At the default rates it reads their tags in two seconds and writes
in three, so tags that it has read are young enough not to be read again before the write."""
MOST_ATTEMPTS = 10
"""Attempts of a message that fail for its own reason; after the last it is a dead letter."""
FIRST_PAUSE, LONGEST_PAUSE = 5, 900
"""Seconds until a message is retried: the first pause doubles with each attempt, up to the longest."""
OLDEST = timedelta(hours=84)
"""Age from which a message that is retried is a dead letter: its queue drops it after four days."""
MANY_RECEIVES = 100
"""Receives from which each pause is the longest, so that a message outlives its retention before the limit of
receives of its queue."""
HOLD_MARGIN = 30
"""Seconds for which a message stays hidden after the end of its invocation: AWS deletes it in this time."""
BUSY_PAUSE, LOOK_PAUSE = 5, 60
"""Seconds: until another invocation has finished; until reads show all concurrent writes."""

NO_MESSAGE = "#"
"""First character of the identifier of a record that is not a message of the queue."""

Named = Sequence[tuple[Message, frozenset[str]]]
"""The messages of a pass, each with the names that replications select."""


@dataclass(slots=True)
class _QueueRecord:
    """One record of the queue with its messages; `retries` are the reasons to retry it."""

    messages: list[Message]
    retries: list[Retry] = field(default_factory=list)
    attempts: MessageAttempts = field(default_factory=MessageAttempts)
    written: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> int:
        """The number of names in all its messages."""
        return sum(len(one.content.names) for one in self.messages if isinstance(one.content, Names))


class Inbox:
    """The messages of one invocation."""

    def __init__(
        self,
        messages: Iterable[Message],
        environment: Mapping[str, str],
        aws: AwsClients,
        state: State | None,
        timer: Timer,
        log: InvocationLog,
    ) -> None:
        """Take the messages.

        Args:
            messages: The messages of the invocation.
            environment: QUEUE_URL and DEAD_LETTERS_URL.
            aws: Sends messages and sets pauses.
            state: Counts attempts; None without a table.
            timer: The time of the invocation.
            log: Logs and metrics.
        """
        self._queue = environment.get("QUEUE_URL")
        self._dead_letters = environment.get("DEAD_LETTERS_URL")
        self._aws, self._state, self._timer, self._log = aws, state, timer, log
        self._records: dict[str, _QueueRecord] = {}
        self._has_attempts = self._lost_count = False
        self.rejected: list[tuple[Message, Rejected]] = []
        for number, message in enumerate(messages):
            if isinstance(message.content, Rejected):
                self.rejected.append((message, message.content))
            else:
                key = message.identifier or f"{NO_MESSAGE}{number}"
                self._records.setdefault(key, _QueueRecord([])).messages.append(
                    replace(message, identifier=key)
                )

    @property
    def work(self) -> list[Message]:
        """The messages that ask for something."""
        return [message for record in self._records.values() for message in record.messages]

    @property
    def full_runs(self) -> list[Message]:
        """The messages that ask for a whole run."""
        return [message for message in self.work if isinstance(message.content, FullRun)]

    @property
    def is_retried(self) -> bool:
        """Whether a message was received before: then states of keys are read again."""
        return any(message.received > 1 for message in self.work)

    @property
    def is_unfinished(self) -> bool:
        """Whether something must be retried that is not a message of the queue."""
        return any(one.retries and key.startswith(NO_MESSAGE) for key, one in self._records.items())

    def hold(self) -> None:
        """Hide the messages until just after this invocation, so that they return soon if it is killed."""
        seconds = math.ceil(self._timer.remaining()) + HOLD_MARGIN
        self._postpone({message.receipt: seconds for message in self.work if message.receipt})

    def split(self) -> None:
        """Send the names of each record with many names back to the queue, a few in each message."""
        for key, record in list(self._records.items()):
            if not self._queue or record.names <= NAMES_A_PASS:
                continue
            contents = [one.content for one in record.messages if isinstance(one.content, Names)]
            documents = [
                content.document(content.names[start : start + NAMES_A_MESSAGE])
                for content in contents
                for start in range(0, len(content.names), NAMES_A_MESSAGE)
            ]
            try:
                self._aws.send(self._queue, documents)
            except ReconcileError as failure:
                self._log.log_error(failure)
                record.retries.append(Retry(RetryCause.OUTAGE, failure.message))
                continue
            record.messages = [one for one in record.messages if not isinstance(one.content, Names)]
            if not record.messages:
                del self._records[key]

    def passes(self) -> Iterator[list[Message]]:
        """Yield the messages with names, those of small records first, some names at a time."""
        found: list[Message] = []
        names: set[str] = set()
        for record in sorted(self._records.values(), key=lambda record: record.names):
            for message in () if record.retries else _cut(record.messages):
                if found and len(names | _names(message)) > NAMES_A_PASS:
                    yield found
                    found, names = [], set()
                found.append(message)
                names |= _names(message)
        if found:
            yield found

    def written(self, named: Named) -> dict[str, int]:
        """Return how many times earlier attempts wrote a replica that then differed, by `write_key`."""
        self._read_attempts()
        found: dict[str, int] = {}
        for message, _ in named:
            for key, count in self._records[message.identifier].attempts.written.items():
                found[key] = max(found.get(key, 0), count)
        return found

    def take(self, named: Named, found: NameRunResult) -> None:
        """Take the results of a pass."""
        results = {result.name: result for result in found.results}
        for message, names in named:
            record = self._records[message.identifier]
            for name in sorted(names):
                result = results[name]
                if result.retry is not None:
                    record.retries.append(result.retry)
                for key in result.differing:
                    record.written[key] = record.attempts.written.get(key, 0) + 1

    def leave(self, messages: Iterable[Message]) -> None:
        """Return messages to the queue that the time of this invocation does not allow."""
        for message in messages:
            self._records[message.identifier].retries.append(
                Retry(RetryCause.BUSY, "the time of the invocation is over")
            )

    def leave_all(self, why: str) -> None:
        """Return all messages to the queue, without a count of attempts."""
        for record in self._records.values():
            record.retries.append(Retry(RetryCause.OUTAGE, why))

    def fail(self, named: Named, error: Exception) -> bool:
        """Retry the messages of a pass that raised an error; return whether it is an outage."""
        is_outage = isinstance(error, StoreError | TableUnavailableError)
        cause, why = RetryCause.OUTAGE if is_outage else RetryCause.OWN, f"stopped by {type(error).__name__}"
        for message, names in named:
            if names:
                self._records[message.identifier].retries.append(Retry(cause, why))
        return is_outage

    def fail_full_runs(self) -> None:
        """Retry the messages that ask for a whole run."""
        for message in self.full_runs:
            self._records[message.identifier].retries.append(Retry(RetryCause.OUTAGE, "the whole run failed"))

    def settle(self) -> list[str]:
        """Count attempts, send dead letters, set pauses; return the identifiers of messages to retry."""
        self._read_attempts()
        pauses: dict[str, int] = {}
        receipts: dict[str, int] = {}
        for key, record in self._records.items():
            if not record.retries or key.startswith(NO_MESSAGE):
                continue
            attempts = self._count(key, record)
            first = record.messages[0]
            is_old = first.sent is not None and self._timer.now() - first.sent >= OLDEST
            if (attempts.failed >= MOST_ATTEMPTS or is_old) and self._send_dead_letter(record):
                continue
            failed = first.received if self._lost_count else attempts.failed
            pauses[key] = min(_pause(one.cause, failed, first.received) for one in record.retries)
            if first.receipt:
                receipts[first.receipt] = pauses[key]
            if first.sent is not None:
                self._log.log_waiting((self._timer.now() - first.sent).total_seconds())
        self._postpone(receipts)
        return list(pauses)

    def _postpone(self, receipts: Mapping[str, int]) -> None:
        """Set when messages become visible again. Without it they do after the timeout of the queue."""
        if self._queue and receipts:
            try:
                self._aws.postpone(self._queue, receipts.items())
            except ReconcileError as failure:
                self._log.log_error(failure)

    def _count(self, key: str, record: _QueueRecord) -> MessageAttempts:
        """Count an attempt that failed for the message's own reason, and the writes that differed."""
        counts = any(one.cause in COUNTED for one in record.retries)
        if self._state is None:
            return MessageAttempts(record.messages[0].received if counts else 0)
        written = {**record.attempts.written, **record.written}
        attempts = MessageAttempts(record.attempts.failed + counts, written)
        if attempts != record.attempts:
            try:
                self._state.write_attempts(key, attempts)
            except TableUnavailableError as failure:
                self._log.log_table(failure.message)
                self._lost_count = True
        return attempts

    def _send_dead_letter(self, record: _QueueRecord) -> bool:
        """Send a message to the dead letters; return False if it could not be sent."""
        if not self._dead_letters:
            return False
        why = "; ".join(dict.fromkeys(one.why for one in record.retries))
        try:
            self._aws.send_dead_letter(self._dead_letters, record.messages[0].body, why)
        except ReconcileError as failure:
            self._log.log_error(failure)
            return False
        names = sorted({name for message in record.messages for name in _names(message)})
        self._log.log_dead_letter(record.messages[0].identifier, names, why)
        return True

    def _read_attempts(self) -> None:
        """Read the attempts of messages that were received before."""
        wanted = [key for key, one in self._records.items() if one.messages[0].received > 1]
        if self._state is None or not wanted or self._has_attempts:
            return
        self._has_attempts = True
        try:
            found = self._state.read_attempts(wanted)
        except TableUnavailableError as failure:
            self._log.log_table(failure.message)
            self._lost_count = True
            return
        for key, attempts in found.items():
            self._records[key].attempts = attempts


def _names(message: Message) -> frozenset[str]:
    return frozenset(message.content.names) if isinstance(message.content, Names) else frozenset()


def _cut(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the messages with names, those with too many for one pass in parts."""
    for message in messages:
        if isinstance(message.content, Names):
            names = message.content.names
            for start in range(0, len(names), NAMES_A_PASS):
                part = names[start : start + NAMES_A_PASS]
                yield replace(message, content=replace(message.content, names=part))


def _pause(cause: RetryCause, failed: int, received: int) -> int:
    """Return the seconds until a message is retried."""
    if received > MANY_RECEIVES:
        return LONGEST_PAUSE
    match cause:
        case RetryCause.BUSY:
            return BUSY_PAUSE
        case RetryCause.LOOK | RetryCause.COUNT:
            return LOOK_PAUSE
        case RetryCause.OUTAGE:
            tries = received
        case _:
            tries = max(failed, 1)
    pause: int = FIRST_PAUSE * 2 ** min(tries - 1, 10)
    return min(LONGEST_PAUSE, pause)
