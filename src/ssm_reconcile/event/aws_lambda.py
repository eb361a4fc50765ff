"""The handler of the Lambda function: an event or a batch of messages -> reconciled names, or a full run.

    SPEC_PATH     the spec, bundled with the function          default: replication.yaml
    SPEC_URI      or read from s3://bucket/key or ssm:/name    read again every SPEC_TTL seconds (300)
    NAME          only the replication of that name
    QUEUE_URL     the queue for the names of a long full run; its failed messages are retried early

A batch is answered with `batchItemFailures`, the messages to retry (AWS Lambda Developer Guide, "Handling
errors for an SQS event source"). A message that can never succeed (not readable, out of scope, in conflict)
is logged, counted and not retried. Logs hold no value. Metrics use the CloudWatch embedded metric format.

A full run makes one plan for everything. If the time is too short to apply it, its names go to the queue.
Whoever receives them reads the current state, so a part may arrive twice, late, or after the next full run.
Guards judge the whole plan, and withheld changes are not sent. Deletes are not sent either: they follow all
writes, so they wait for the full run that finds the writes done.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.change import Change, Fate
from ssm_reconcile.errors import Finding, ReconcileError, SpecError, StoreError, Trouble
from ssm_reconcile.event.aws_clients import AwsClients
from ssm_reconcile.event.events import FullRun, Message, Names, Rejected, read_document
from ssm_reconcile.event.requests import (
    NameRequest,
    NameResult,
    RequestBatch,
    merge_requests,
    results_of,
    source_places,
    stale_names,
)
from ssm_reconcile.model import ProblemKind, canonical
from ssm_reconcile.plan import UNMET, Plan
from ssm_reconcile.report import Result
from ssm_reconcile.session import Connect, open_places
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.system import Clock, Phase, Progress, SystemClock

NAMESPACE = "ssm-reconcile"
RESERVE = 10.0
"""Seconds at the end of an invocation in which nothing new starts, so that running requests can finish."""
RESERVED_SHARE = 0.25
"""Share of an invocation that remains after whole listings, for what is planned and written then."""
SLACK = 1.5
"""Factor for the time of an apply above its budget: throttling, retries, slow responses."""
FIRST_PAUSE, LONGEST_PAUSE = 5, 600
"""Seconds until a failed message is retried: the first pause doubles with each retry, up to the longest."""
_COUNTS = {
    "Applied": Result.APPLIED, "Failed": Result.FAILED, "Stale": Result.STALE, "Withheld": Result.WITHHELD,
}  # fmt: skip


class Context(Protocol):
    """The part of Lambda's context object that is used."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the function is killed."""


class UnfinishedError(ReconcileError):
    """Work without a queue message has to be retried: Lambda retries an invocation only if it fails."""


class Timer:
    """A `clock.Clock` and a `clock.Stop` for the invocation that `begin` started.

    One timer serves all invocations of a process, since the rate limits of a place outlive an invocation.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.left: Callable[[], float] = lambda: float("inf")
        """Returns the seconds in which new work may start; zero or less when there are none."""
        self._reserved = 0.0

    def begin(self, left: Callable[[], float]) -> None:
        """Start an invocation; `left` returns the seconds in which new work may start."""
        self.left = left
        self._reserved = left() * RESERVED_SHARE

    def is_set(self) -> bool:
        """Whether the time is over."""
        return self.left() <= 0

    def check_listing(self, progress: Progress) -> None:
        """Check that a listing may continue.

        Lambda kills a function at its timeout: nothing is logged, and its messages stay hidden until the
        visibility timeout of the queue ends.

        Raises:
            StoreError: The time that is left is reserved for the rest of the invocation.
        """
        if progress.phase in {Phase.LISTING, Phase.TAGS} and self.left() < self._reserved:
            raise StoreError(
                Trouble.LOST,
                place=progress.place,
                operation=progress.phase,
                code="it takes too long",
                remedy="raise `rates` in the spec, or the timeout of the function",
            )

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the time of the invocation is over."""
        self._clock.sleep(min(seconds, max(0.0, self.left())))


@dataclass(frozen=True, slots=True)
class FullRunResult:
    """The result of a full run.

    Attributes:
        plan: The plan for everything.
        findings: The findings of the plan and of its apply.
        counts: The number of changes by result, in this invocation.
        waiting: The changes that were not attempted here.
        remaining: The number of addresses that do not hold what the spec asks for, and for which no
            message is sent.
    """

    plan: Plan
    findings: Sequence[Finding]
    counts: Mapping[str, int]
    waiting: Sequence[Change]
    remaining: int

    @property
    def names(self) -> tuple[str, ...]:
        """The source names of the waiting changes that write, each once."""
        return tuple(
            sorted({canonical(c.desired.source.name) for c in self.waiting if c.desired is not None})
        )

    @property
    def deferred(self) -> int:
        """The number of deletes that wait for the next full run."""
        return sum(change.desired is None for change in self.waiting)


def run_all(planner: NamePlanner, timer: Timer, *, has_queue: bool) -> FullRunResult:
    """Plan everything, and apply the plan unless there is a queue and too little time.

    Args:
        planner: The replications and their opened places.
        timer: The time of the invocation.
        has_queue: Whether the waiting changes can be sent to a queue.

    Raises:
        NothingPlanned: No source, or no target, could be listed.
    """
    session = planner.session()
    plan = reconcile.make_plan(planner.specs, session)
    seconds = plan.budget.seconds if plan.budget is not None else 0.0
    if has_queue and seconds * SLACK > timer.left():
        waiting = [change for change in plan.changes if change.fate is Fate.APPLY]
        unmet = sum(other.counted in UNMET for other in plan.others)
        withheld = sum(change.fate is Fate.WITHHELD for change in plan.changes)
        counts = {result.value: withheld if result is Result.WITHHELD else 0 for result in Result}
        return FullRunResult(
            plan, plan.all_findings, counts, waiting, unmet + len(plan.changes) - len(waiting)
        )
    report = reconcile.carry_out(plan, planner.specs, session, timer)
    waiting = [one.change for one in report.outcomes if one.result is Result.NOT_ATTEMPTED]
    remaining = {(one.replication, one.target, one.name) for one in report.remaining}
    if has_queue:
        remaining -= {change.order for change in waiting}
    findings = (*plan.all_findings, *report.findings)
    return FullRunResult(plan, findings, report.summary, waiting, len(remaining))


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

    def handle(self, event: Any, context: Context) -> dict[str, Any]:
        """Do what an event asks for, and return the messages to retry.

        Raises:
            UnfinishedError: Something without a message has to be retried.
        """
        self.timer.begin(lambda: context.get_remaining_time_in_millis() / 1000 - RESERVE)
        self.logger.append_keys(request_id=context.aws_request_id)
        metrics = Metrics(namespace=NAMESPACE, service=self.environment.get("NAME") or "all")
        messages = read_document(event)
        try:
            failed = self._handle(messages, metrics)
        finally:
            metrics.flush_metrics()
        if any(not message.identifier for message in failed):
            raise UnfinishedError("not all could be done; see the log")
        self._postpone(failed)
        identifiers = dict.fromkeys(message.identifier for message in failed)
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}

    def _handle(self, messages: list[Message], metrics: Metrics) -> list[Message]:
        """Return the messages to retry."""
        work = [message for message in messages if isinstance(message.content, Names | FullRun)]
        planner = self._ready(metrics) if work else None
        if planner is None:  # without a spec no message can be judged: each is retried, and none is lost
            self._reject([(m, m.content) for m in messages if isinstance(m.content, Rejected)], metrics)
            metrics.add_metric("Failed", MetricUnit.Count, len(work))
            return work
        batch = merge_requests(messages, planner.specs, source_places(planner.specs, planner.places))
        self._reject(batch.rejected, metrics)
        failed = self._run_names(planner, batch, metrics) if batch.requests else []
        full_runs = [message for message in messages if isinstance(message.content, FullRun)]
        if full_runs and not self._run_all(planner, metrics):
            failed += full_runs
        return failed

    def _reject(self, rejected: Sequence[tuple[Message, Rejected]], metrics: Metrics) -> None:
        for message, why in rejected:
            self.logger.warning("rejected", reason=str(why), message_id=message.identifier)
        metrics.add_metric("Rejected", MetricUnit.Count, len(rejected))

    def _run_names(self, planner: NamePlanner, batch: RequestBatch, metrics: Metrics) -> list[Message]:
        """Reconcile all names and return the messages to retry."""
        results: list[NameResult] = []
        broken: set[str] = set()
        try:
            results += self._results(planner, batch.requests)
        except Exception as error:  # noqa: BLE001 - logged, and the messages are retried
            self._log_error(error)
            broken |= set(batch.requests)
        self._log_results(results, len(broken), metrics)
        retried = {result.name for result in results if result.retry} | broken
        # One failed name retries its whole message. The other names of it are then in sync: a no-op.
        return [message for message, names in batch.named if names & retried]

    def _results(self, planner: NamePlanner, requests: Mapping[str, NameRequest]) -> tuple[NameResult, ...]:
        specs = {name: request.specs for name, request in requests.items()}
        planned = planner.plan(specs)
        stale = stale_names(planned, requests, self.timer.now())
        report = reconcile.carry_out(
            planned.plan, planned.specs, planner.session(), self.timer, planned.listings
        )
        self._log_findings((*planned.plan.all_findings, *report.findings))
        # A key may be enabled again at any time, and places keep the states of their keys.
        self.reopens |= any(ProblemKind.KEY in other.problems for other in planned.plan.others)
        return results_of(planned, report, requests, stale)

    def _log_results(self, results: list[NameResult], broken: int, metrics: Metrics) -> None:
        now = self.timer.now()
        for result in results:
            log = self.logger.debug if result.status == "nothing to do" else self.logger.info
            lag = None if result.at is None else round((now - result.at).total_seconds(), 3)
            targets = {one.change.target: f"{one.change.action} {one.result}" for one in result.outcomes}
            log(
                "name", parameter=result.name, result=result.status, targets=targets,
                reasons=result.reasons, lag=lag,
            )  # fmt: skip
            if lag is not None and not result.retry:
                metrics.add_metric("LagSeconds", MetricUnit.Seconds, max(0.0, lag))
        for name, counted in _COUNTS.items():
            metrics.add_metric(name, MetricUnit.Count, sum(result.count(counted) for result in results))
        metrics.add_metric("Failed", MetricUnit.Count, broken)
        refused = sum(result.status == "refused" for result in results)
        metrics.add_metric("Refused", MetricUnit.Count, refused)
        retried = sum(bool(result.retry) for result in results)
        metrics.add_metric("Again", MetricUnit.Count, retried + broken)

    def _run_all(self, planner: NamePlanner, metrics: Metrics) -> bool:
        """Make a full run; return False if it failed, so that the schedule retries it."""
        queue = self.environment.get("QUEUE_URL")
        try:
            found = run_all(planner, self.timer, has_queue=bool(queue))
            names = found.names if queue else ()
            messages = self.aws.send(queue, names) if queue else 0
        except Exception as error:  # noqa: BLE001 - logged, and the schedule retries
            self._log_error(error)
            metrics.add_metric("Failed", MetricUnit.Count, 1)
            return False
        self._log_findings(found.findings)
        self.logger.info(
            "whole run", plan_id=found.plan.plan_id, planned=found.plan.summary, outcomes=found.counts,
            handed_on=len(names), messages=messages, deferred=found.deferred,
            remaining=found.remaining, complete=found.plan.complete,
        )  # fmt: skip
        for name, counted in _COUNTS.items():
            metrics.add_metric(name, MetricUnit.Count, found.counts[counted.value])
        metrics.add_metric("Remaining", MetricUnit.Count, found.remaining + (not found.plan.complete))
        metrics.add_metric("HandedOn", MetricUnit.Count, len(names))
        return True

    def _ready(self, metrics: Metrics) -> NamePlanner | None:
        """Return the planner, with spec and places not older than SPEC_TTL.

        If the spec cannot be loaded again, the last one that could stays in use; None without any.
        """
        ttl = float(self.environment.get("SPEC_TTL") or 300)
        is_recent = self.timer.monotonic() - self.loaded_at < ttl and not self.reopens
        if self.planner is not None and is_recent:
            opened = self.planner.places.opened.values()
            if not any(isinstance(store, StoreError) for store in opened):
                return self.planner
        try:
            specs = self._specs()
            if self.connect is None:
                from ssm_reconcile.stores.ssm import Aws

                self.connect = Aws(clock=self.timer).connect
            places = open_places(specs, self.connect, Run())
        except Exception as error:  # noqa: BLE001 - logged; the last good spec stays in use
            self._log_error(error)
            metrics.add_metric("SpecFailed", MetricUnit.Count, 1)
            return self.planner
        timer = self.timer
        self.planner = NamePlanner(specs, places, Run(), timer, timer.check_listing)
        self.loaded_at, self.reopens = self.timer.monotonic(), False
        return self.planner

    def _specs(self) -> tuple[Replication, ...]:
        from ssm_reconcile.load import load_text

        uri = self.environment.get("SPEC_URI")
        path = self.environment.get("SPEC_PATH") or "replication.yaml"
        try:
            file = Path(self.environment.get("LAMBDA_TASK_ROOT") or ".") / path
            text = self.aws.spec(uri) if uri else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as failure:
            raise ReconcileError(f"SPEC_PATH {path} cannot be read ({type(failure).__name__})") from None
        return load_text(text, uri or path, name=self.environment.get("NAME") or None).replications

    def _postpone(self, failed: Iterable[Message]) -> None:
        """Retry failed messages after a short pause at first, and a longer one after each retry."""
        queue = self.environment.get("QUEUE_URL")
        receipts = {
            message.receipt: min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(message.received - 1, 10))
            for message in failed
            if message.receipt
        }
        if not queue or not receipts:
            return
        try:
            self.aws.postpone(queue, receipts.items())
        except ReconcileError as failure:
            self.logger.warning("not postponed", reason=failure.message)

    def _log_findings(self, findings: Iterable[Finding]) -> None:
        for finding in dict.fromkeys(findings):
            self.logger.warning("finding", code=finding.code, text=finding.message, where=finding.where)

    def _log_error(self, error: BaseException) -> None:
        """Log what stopped a step. The message of a foreign exception may hold a value: it is left out."""
        if isinstance(error, SpecError):
            self._log_findings(error.findings)
        if isinstance(error, ReconcileError):
            self.logger.error("stopped", reason=error.message, remedy=error.remedy)
            return
        frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        self.logger.error("stopped", reason=f"unexpected {type(error).__qualname__}", frames=frames)


_functions: list[Function] = []


def answer(event: Any, context: Context) -> dict[str, Any]:
    """Handle one invocation; the name of the handler in deployed templates."""
    if not _functions:
        _functions.append(Function(dict(os.environ)))
    return _functions[0].handle(event, context)
