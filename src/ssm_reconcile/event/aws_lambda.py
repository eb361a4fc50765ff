"""The handler of the Lambda function: an event or a batch of messages -> reconciled names, or a whole run.

    SPEC_PATH          the spec, bundled with the function          default: replication.yaml
    SPEC_URI           or read from s3://bucket/key or ssm:/name    read again every SPEC_TTL seconds (300)
    NAME               only the replication of that name
    QUEUE_URL          the queue: its messages are retried early, and long ones are split
    DEAD_LETTERS_URL   the queue for messages that failed too often for a reason of their own
    TABLE              the DynamoDB table with the state of the stack (state.py)
    WHOLE_RUN_ARN      the state machine of the whole run
    WHOLE_RUN_HOURS    hours between two whole runs on schedule                default: 24

A batch is answered with `batchItemFailures`, the messages to retry (AWS Lambda Developer Guide, "Handling
errors for an SQS event source"). Each message is done, retried, or refused for a reason that only a person
can remove; a refusal is logged with its name, counted, and raises an alarm. Logs hold no value.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from aws_lambda_powertools import Logger

from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.errors import NothingPlanned, ReconcileError, StoreError, Trouble
from ssm_reconcile.event.aws_clients import AwsClients
from ssm_reconcile.event.events import (
    FullRun,
    Message,
    Watch,
    read_document,
    read_request,
)
from ssm_reconcile.event.full_run import LEASE_AFTER, FullRunSlice, SliceResult
from ssm_reconcile.event.invocation_log import NAMESPACE, InvocationLog
from ssm_reconcile.event.messages import Inbox
from ssm_reconcile.event.name_run import NameRun, NameRunResult
from ssm_reconcile.event.requests import merge_requests, source_places
from ssm_reconcile.event.state import FailFastTable, State, TableUnavailableError, entry_of
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.model import Access, ProblemKind
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Result
from ssm_reconcile.session import Connect, HigherThroughput, Places, open_places, without_probing
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.stores.base import Store

PASS_SECONDS = 30.0
"""Seconds that a further pass over some messages needs; with less, they are returned to the queue."""
AWAY_SECONDS = 60.0
"""Seconds in which a place that could not be used is not tried again: so it does not delay the others."""
READ_SECONDS = 10.0
"""Time to wait for a response: less than the reserve at the end of an invocation (`timer.RESERVE`)."""
FRESH_SECONDS = 15.0
"""Age up to which open places serve a retried message."""


class Context(Protocol):
    """The part of Lambda's context object that is used."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the function is killed."""


class UnfinishedError(ReconcileError):
    """Work without a queue message has to be retried: Lambda retries an invocation only if it fails."""


@dataclass(slots=True)
class Function:
    """One process of the function; spec, places and clients are kept between its invocations."""

    environment: Mapping[str, str]
    timer: Timer = field(default_factory=Timer)
    aws: AwsClients = field(default_factory=AwsClients)
    connect: Connect | None = None
    logger: Logger = field(default_factory=lambda: Logger(service=NAMESPACE))
    planner: NamePlanner | None = None
    loaded_at: float = 0.0
    reopens: bool = False
    """Whether the next invocation opens the places again."""
    away: dict[Access, tuple[float, StoreError]] = field(default_factory=dict)
    """Places that could not be used, each with the time at which it is tried again."""
    spec_digest: str = ""
    throughput: HigherThroughput = field(init=False)
    _opener: Connect | None = None
    _state: State | None = None
    _table: FailFastTable | None = None

    def __post_init__(self) -> None:
        self.throughput = HigherThroughput(self.timer, lambda _: None)

    def handle(self, event: Any, context: Context) -> dict[str, Any]:
        """Do what an event asks for, and return the messages to retry, or the result of a slice.

        Raises:
            UnfinishedError: Something without a message has to be retried.
        """
        self.timer.begin(lambda: context.get_remaining_time_in_millis() / 1000)
        self.logger.append_keys(request_id=context.aws_request_id)
        if self._table is not None:
            self._table.begin()
        log = InvocationLog(self.logger, self.environment.get("NAME") or "all")
        request = read_request(event)
        try:
            if isinstance(request, FullRun):
                return self._run_slice(request, log)
            if isinstance(request, Watch):
                return self._watch(log)
            inbox = Inbox(read_document(event), self.environment, self.aws, self.state(), self.timer, log)
            self._reconcile(inbox, log)
            identifiers = inbox.settle()
        finally:
            log.flush()
        if inbox.is_unfinished:
            raise UnfinishedError("not all could be done; see the log")
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}

    def state(self) -> State | None:
        """Return the state of the stack; None without a table."""
        name = self.environment.get("TABLE")
        if name and self._state is None:
            self._table = FailFastTable(self.aws.table(name))
            self._state = State(self._table, self.timer)
        return self._state

    @property
    def longest(self) -> timedelta:
        """The age at which a count of replicas is no longer used: twice the schedule of the whole run."""
        return timedelta(hours=2 * float(self.environment.get("WHOLE_RUN_HOURS") or 24))

    def _reconcile(self, inbox: Inbox, log: InvocationLog) -> None:
        """Reconcile the names of all messages, pass by pass, and start or make a whole run."""
        log.reject(inbox.rejected)
        planner = self._ready(log, fresh=inbox.is_retried) if inbox.work else None
        if planner is None:  # without a spec no message can be judged: each is retried, and none is lost
            inbox.leave_all("the spec, or all places, cannot be used; see the log")
            log.count("Again", len(inbox.work))
            return
        inbox.hold()
        inbox.split()
        waiting = deque(inbox.passes())
        is_first = True
        while waiting:
            messages = waiting.popleft()
            if not is_first and self.timer.left() < PASS_SECONDS:
                inbox.leave(messages)
            elif not self._run_pass(planner, messages, inbox, log):
                waiting.extend([message] for message in messages)  # so that one of them does not fail all
            is_first = False
        if inbox.full_runs and not self._run_scheduled(log):
            inbox.fail_full_runs()

    def _run_pass(
        self, planner: NamePlanner, messages: list[Message], inbox: Inbox, log: InvocationLog
    ) -> bool:
        """Reconcile the names of some messages; return False if each of them has to be tried by itself."""
        batch = merge_requests(messages, planner.specs, source_places(planner.specs, planner.places))
        log.reject(batch.rejected)
        if not batch.requests:
            return True
        usable = replace(planner, places=self._places(planner.places))
        run = NameRun(usable, self.timer, self.state(), self.longest, self.spec_digest)
        try:
            found = run.run(batch.requests, inbox.written(batch.named))
        except Exception as error:  # noqa: BLE001 - logged, and the messages are retried
            log.log_error(error)
            if len(messages) > 1 and not isinstance(error, StoreError | TableUnavailableError):
                return False
            if not inbox.fail(batch.named, error):
                log.count("Failed", len(batch.requests))
            return True
        self._note(found)
        log.log_names(found, self.timer.now())
        inbox.take(batch.named, found)
        if found.needs_count:
            self._start_whole_run(log)
        return True

    def _note(self, found: NameRunResult) -> None:
        """Keep what the next pass must know: places that cannot be used, keys that may change."""
        until = self.timer.monotonic() + AWAY_SECONDS
        for access in found.away:
            self.away.setdefault(access, (until, _away(access)))  # one that is away was not tried
        if found.plan is not None:
            # A key may be enabled again at any time, and places keep the states of their keys.
            self.reopens |= _has_key_problem(found.plan)

    def _places(self, places: Places) -> Places:
        """Return the places without those that could not be used a moment ago."""
        now = self.timer.monotonic()
        self.away = {access: one for access, one in self.away.items() if now < one[0]}
        errors = {access: error for access, (_, error) in self.away.items() if access in places.opened}
        return Places({**places.opened, **errors}) if errors else places

    def _run_scheduled(self, log: InvocationLog) -> bool:
        """Start a whole run, or make one without a state machine; return False if it failed."""
        machine = self.environment.get("WHOLE_RUN_ARN")
        try:
            if machine:
                self.aws.start_whole_run(machine)
            else:
                self._run_slice(FullRun(), log)
        except UnfinishedError:  # logged already
            return False
        except ReconcileError as error:  # the schedule retries
            log.log_error(error)
            return False
        return True

    def _start_whole_run(self, log: InvocationLog) -> None:
        """Start a whole run for a delete that needs a count, once in a while."""
        machine, state = self.environment.get("WHOLE_RUN_ARN"), self.state()
        if not machine or state is None:
            return
        try:
            token = state.begin_start_of_whole_run()
            if token is None:
                return
            try:
                self.aws.start_whole_run(machine)
            except ReconcileError:
                state.undo_start_of_whole_run(token)
                raise
            self.logger.info("started a whole run, which counts the replicas")
        except ReconcileError as error:
            log.log_error(error)

    def _run_slice(self, request: FullRun, log: InvocationLog) -> dict[str, Any]:
        """Make one slice of a whole run, unless another execution makes one.

        Raises:
            UnfinishedError: Nothing could be planned.
        """
        answer: dict[str, Any] = {"status": "planned", "slice": request.number}
        if not self._take_whole_run(request, log):
            self.logger.warning("another whole run is running", execution=request.execution)
            return answer | {"status": "overlapping", "not_attempted": 0, "written": 0}
        left = written = 0
        try:
            found = self._apply_slice(request, log)
            left, written = found.counts[Result.NOT_ATTEMPTED], found.counts[Result.APPLIED]
            remaining = len(found.remaining) + (not found.plan.complete) + found.plan.has_expired_hold
            log.log_slice(found, remaining, request)
        except Exception as error:  # noqa: BLE001 - logged without its message, which may hold a value
            log.log_error(error)
            log.count("Failed", 1)
            if isinstance(error, NothingPlanned | StoreError):
                log.count("TargetUnavailable", 1)
            raise UnfinishedError("the whole run failed; see the log") from None
        finally:
            if not (left and written):  # the state machine invokes no further slice
                self._end_whole_run(request, log)
        if not left:
            self._keep_whole_run(remaining, log)
        return answer | {"not_attempted": left, "written": written}

    def _apply_slice(self, request: FullRun, log: InvocationLog) -> SliceResult:
        planner = self._ready(log, fresh=True)
        if planner is None:
            raise UnfinishedError("the spec, or all places, cannot be used")
        return FullRunSlice(planner, self.timer, self.state(), self.longest, request.execution).run()

    def _take_whole_run(self, request: FullRun, log: InvocationLog) -> bool:
        """Take the lease of the whole run; True as well without a table, or if it cannot be reached."""
        state = self.state()
        if state is None or not request.execution:
            return True
        try:
            return state.take_whole_run(request.execution, self.timer.ends_at() + LEASE_AFTER)
        except TableUnavailableError as failure:
            log.log_table(failure.message)
            return True

    def _end_whole_run(self, request: FullRun, log: InvocationLog) -> None:
        state = self.state()
        if state is not None and request.execution:
            try:
                state.release_whole_run(request.execution)
            except TableUnavailableError as failure:  # the lease ends by itself
                log.log_table(failure.message)

    def _keep_whole_run(self, remaining: int, log: InvocationLog) -> None:
        state = self.state()
        if state is not None:
            try:
                state.write_whole_run(remaining)
            except TableUnavailableError as failure:
                log.log_table(failure.message)

    def _watch(self, log: InvocationLog) -> dict[str, Any]:
        """Report the age of the last whole run, and what remained after it.

        Raises:
            TableUnavailableError: The table could not be read.
        """
        state = self.state()
        if state is None:
            return {"hours": None}
        last = state.read_whole_run()
        since = last.at if last is not None else state.begin_watch()
        hours = (self.timer.now() - since) / timedelta(hours=1)
        log.log_watch(hours, None if last is None else last.remaining)
        return {"hours": hours}

    def _ready(self, log: InvocationLog, *, fresh: bool = False) -> NamePlanner | None:
        """Return the planner, with spec and places not older than SPEC_TTL, or with `fresh` than seconds.

        Places keep the states of their keys, and a retried message may need the state of now.

        If the spec cannot be loaded again, the last one that could stays in use; None without any.
        """
        ttl = float(self.environment.get("SPEC_TTL") or 300)
        age = self.timer.monotonic() - self.loaded_at
        is_recent = age < ttl and not self.reopens and not (fresh and age >= FRESH_SECONDS)
        if self.planner is not None and is_recent:
            opened = self._places(self.planner.places).opened
            if not any(isinstance(one, StoreError) and key not in self.away for key, one in opened.items()):
                return self.planner
        try:
            specs = self._specs()
        except Exception as error:  # noqa: BLE001 - logged; the last good spec stays in use
            log.log_error(error)
            log.count("SpecFailed", 1)
            return self.planner
        try:
            self.planner = self._open(specs)
        except Exception as error:  # noqa: BLE001 - logged; the last good spec stays in use
            log.log_error(error)
            log.count("TargetUnavailable" if isinstance(error, StoreError) else "SpecFailed", 1)
            return self.planner
        self.loaded_at, self.reopens = self.timer.monotonic(), False
        return self.planner

    def _open(self, specs: tuple[Replication, ...]) -> NamePlanner:
        """Open the places of the specs. A new spec may raise rates, so it gets new rate limits."""
        if self._opener is None or (self.planner is not None and self.planner.specs != specs):
            self._opener = self.connect or self._connect_to_aws()
        opener = without_probing(self._opener)  # a batch is short, and many run at the same time

        def connect(access: Access) -> Store:
            until, error = self.away.get(access, (0.0, None))
            if error is not None and self.timer.monotonic() < until:
                raise error
            try:
                return opener(access)
            except StoreError as failure:
                self.away[access] = (self.timer.monotonic() + AWAY_SECONDS, failure)
                raise

        places = open_places(specs, connect, Run())
        return NamePlanner(
            specs, places, Run(), self.timer, lambda _: None, self.state() is None, self.throughput
        )

    def _connect_to_aws(self) -> Connect:
        from ssm_reconcile.stores.ssm import Aws
        from ssm_reconcile.system import return_freed_memory

        return_freed_memory()
        return Aws(clock=self.timer, read_seconds=READ_SECONDS).connect

    def _specs(self) -> tuple[Replication, ...]:
        from ssm_reconcile.load import load_text

        uri = self.environment.get("SPEC_URI")
        path = self.environment.get("SPEC_PATH") or "replication.yaml"
        try:
            file = Path(self.environment.get("LAMBDA_TASK_ROOT") or ".") / path
            text = self.aws.spec(uri) if uri else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as failure:
            raise ReconcileError(f"SPEC_PATH {path} cannot be read ({type(failure).__name__})") from None
        specs = load_text(text, uri or path, name=self.environment.get("NAME") or None).replications
        self.spec_digest = entry_of(self.environment.get("NAME"), text)  # the same in every process
        return specs


def _away(access: Access) -> StoreError:
    return StoreError(
        Trouble.UNREACHABLE,
        place=access.region,
        operation="opening",
        code="it could not be used a moment ago",
        remedy="it is tried again in a minute",
    )


def _has_key_problem(plan: Plan) -> bool:
    return any(ProblemKind.KEY in other.problems for other in plan.others)


_functions: list[Function] = []


def answer(event: Any, context: Context) -> dict[str, Any]:
    """Handle one invocation; the name of the handler in deployed templates."""
    if not _functions:
        _functions.append(Function(dict(os.environ)))
    return _functions[0].handle(event, context)
