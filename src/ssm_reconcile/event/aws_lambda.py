"""The door on AWS Lambda: an event or a batch of messages -> reconciled names, or a whole run.

    SPEC_PATH     the spec, bundled with the function          default: replication.yaml
    SPEC_URI      or read from s3://bucket/key or ssm:/name    read again every SPEC_TTL seconds (300)
    NAME          the stage: only the replication of that name
    QUEUE_URL     where a whole run that takes too long puts its names, and failed messages are postponed

A batch is answered as ReportBatchItemFailures wants it: with the messages that have to come again. What
can never succeed (a poison message, a name out of scope, a conflict) is told, counted and done with.
Logs are structured and hold no value; metrics are written in CloudWatch's embedded format.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ssm_reconcile.errors import Finding, ReconcileError, SpecError, StoreError
from ssm_reconcile.event import event_reader
from ssm_reconcile.event.aws_clients import AwsClients
from ssm_reconcile.event.events import Full, Message, Names, Rejected
from ssm_reconcile.event.full_run import Whole, run_whole
from ssm_reconcile.event.reconciler import EventReconciler
from ssm_reconcile.event.requests import NameRequest, Sorted, sort_out
from ssm_reconcile.event.results import NameResult, results_of
from ssm_reconcile.event.timer import Timer
from ssm_reconcile.places import Connect, open_places
from ssm_reconcile.progress import Progress
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Replication, Run

NAMESPACE = "ssm-reconcile"
RESERVE = 10.0
"""Seconds at the end of an invocation in which nothing new is begun: what is in flight has them."""
FIRST_PAUSE, LONGEST_PAUSE = 5, 600
"""Seconds until a message that failed comes again: doubled each time."""
_COUNTS = {
    "Applied": Result.APPLIED, "Failed": Result.FAILED, "Stale": Result.STALE, "Withheld": Result.WITHHELD,
}  # fmt: skip


class Context(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Until the invocation is cut off."""


class UnfinishedError(ReconcileError):
    """Something has to come again, and only failing says so: no queue is behind this invocation."""


@dataclass(slots=True)
class Function:
    """One process of the function; what is costly is kept between its invocations."""

    environment: Mapping[str, str]
    timer: Timer = field(default_factory=Timer)
    outside: AwsClients = field(default_factory=AwsClients)
    connect: Connect | None = None
    logger: Logger = field(default_factory=lambda: Logger(service=NAMESPACE))
    standby: EventReconciler | None = None
    loaded_at: float = 0.0

    def answer(self, event: Any, context: Context) -> dict[str, Any]:
        """Does what an event asks for. Raises where that alone makes it come again."""
        self.timer.begin(lambda: context.get_remaining_time_in_millis() / 1000 - RESERVE)
        self.logger.append_keys(request_id=context.aws_request_id)
        metrics = Metrics(namespace=NAMESPACE, service=self.environment.get("NAME") or "all")
        messages = event_reader.read_document(event)
        try:
            failed = self._answered(messages, metrics)
        finally:
            metrics.flush_metrics()
        if any(not message.identifier for message in failed):
            raise UnfinishedError("not all could be done; see the log")
        self._postpone(failed)
        identifiers = dict.fromkeys(message.identifier for message in failed)
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}

    def _answered(self, messages: list[Message], metrics: Metrics) -> list[Message]:
        """The messages that have to come again."""
        work = [message for message in messages if isinstance(message.news, Names | Full)]
        standby = self._ready(metrics) if work else None
        if standby is None:  # without a spec nothing can be judged, and no message may be lost for that
            self._reject([(m, m.news) for m in messages if isinstance(m.news, Rejected)], metrics)
            metrics.add_metric("Failed", MetricUnit.Count, len(work))
            return work
        batch = sort_out(messages, standby.specs, standby.sources())
        self._reject(batch.rejected, metrics)
        failed = self._names(standby, batch, metrics) if batch.wishes else []
        wholes = [message for message in messages if isinstance(message.news, Full)]
        if wholes and not self._whole(standby, metrics):
            failed += wholes
        return failed

    def _reject(self, rejected: Sequence[tuple[Message, Rejected]], metrics: Metrics) -> None:
        """What is nothing to act upon: told, counted, and done with."""
        for message, why in rejected:
            self.logger.warning("rejected", reason=str(why), message_id=message.identifier)
        metrics.add_metric("Rejected", MetricUnit.Count, len(rejected))

    # Names

    def _names(self, standby: EventReconciler, batch: Sorted, metrics: Metrics) -> list[Message]:
        """Reconciles all names; what a whole run has handed on goes by itself, since it was judged there."""
        results: list[NameResult] = []
        broken: set[str] = set()
        for judged in (False, True):
            wishes = {name: wish for name, wish in batch.wishes.items() if wish.judged is judged}
            try:
                results += self._reconciled(standby, wishes) if wishes else []
            except Exception as error:  # noqa: BLE001 - told, and the messages come again
                self._tell(error)
                broken |= set(wishes)
        self._tell_results(results, len(broken), metrics)
        again = {result.name for result in results if result.again} | broken
        return [message for message, names in batch.named if names & again]

    def _reconciled(
        self, standby: EventReconciler, wishes: Mapping[str, NameRequest]
    ) -> tuple[NameResult, ...]:
        planned = standby.plan(wishes)
        report = standby.carry_out(planned, self.timer)
        self._tell_findings((*planned.plan.all_findings, *report.findings))
        return results_of(planned, report, wishes)

    def _tell_results(self, results: list[NameResult], broken: int, metrics: Metrics) -> None:
        now = self.timer.now()
        for result in results:
            say = self.logger.debug if result.word == "nothing to do" else self.logger.info
            lag = None if result.at is None else round((now - result.at).total_seconds(), 3)
            targets = {one.change.target: f"{one.change.action} {one.result}" for one in result.outcomes}
            say(
                "name",
                parameter=result.name,
                result=result.word,
                targets=targets,
                reasons=result.reasons,
                lag=lag,
            )
            if lag is not None and not result.again:
                metrics.add_metric("LagSeconds", MetricUnit.Seconds, max(0.0, lag))
        for name, ended in _COUNTS.items():
            metrics.add_metric(name, MetricUnit.Count, sum(result.count(ended) for result in results))
        metrics.add_metric("Failed", MetricUnit.Count, broken)
        again = sum(bool(result.again) for result in results)
        metrics.add_metric("Again", MetricUnit.Count, again + broken)

    # A whole run

    def _whole(self, standby: EventReconciler, metrics: Metrics) -> bool:
        """Whether the run could be made."""
        queue = self.environment.get("QUEUE_URL")
        try:
            whole = run_whole(
                standby, self.timer, (lambda names: self.outside.send(queue, names)) if queue else None
            )
        except Exception as error:  # noqa: BLE001 - told, and the schedule's own retry comes
            self._tell(error)
            metrics.add_metric("Failed", MetricUnit.Count, 1)
            return False
        self._tell_whole(whole, metrics)
        return True

    def _tell_whole(self, whole: Whole, metrics: Metrics) -> None:
        self._tell_findings((*whole.plan.all_findings, *(whole.report.findings if whole.report else ())))
        summary = {result.value: whole.count(result) for result in Result}
        self.logger.info(
            "whole run", plan_id=whole.plan.plan_id, planned=whole.plan.summary, outcomes=summary,
            handed_on=len(whole.handed_on), messages=whole.messages, deferred=whole.deferred,
            remaining=whole.remaining, complete=whole.plan.complete,
        )  # fmt: skip
        for name, ended in _COUNTS.items():
            metrics.add_metric(name, MetricUnit.Count, whole.count(ended))
        metrics.add_metric("Remaining", MetricUnit.Count, whole.remaining + (not whole.plan.complete))
        metrics.add_metric("HandedOn", MetricUnit.Count, len(whole.handed_on))

    # What is kept

    def _ready(self, metrics: Metrics) -> EventReconciler | None:
        """Spec and places, made anew now and then; where that fails, those of before, if any."""
        ttl = float(self.environment.get("SPEC_TTL") or 300)
        if self.standby is not None and self.timer.monotonic() - self.loaded_at < ttl:
            opened = self.standby.places.opened.values()
            if not any(isinstance(store, StoreError) for store in opened):
                return self.standby
        try:
            specs = self._specs()
            if self.connect is None:
                from ssm_reconcile.stores.ssm import Aws

                self.connect = Aws(clock=self.timer).connect
            places = open_places(specs, self.connect, Run())
        except Exception as error:  # noqa: BLE001 - told; a spec that was good stays in force
            self._tell(error)
            metrics.add_metric("SpecFailed", MetricUnit.Count, 1)
            return self.standby
        counts = self.standby.counts if self.standby is not None and self.standby.specs == specs else {}
        self.standby = EventReconciler(
            specs, places, Run(), self.timer, _unwatched, counts, patience=self.timer.patience
        )
        self.loaded_at = self.timer.monotonic()
        return self.standby

    def _specs(self) -> tuple[Replication, ...]:
        from ssm_reconcile.load import load_text

        uri = self.environment.get("SPEC_URI")
        path = self.environment.get("SPEC_PATH") or "replication.yaml"
        text = self.outside.spec(uri) if uri else _bundled(path, self.environment.get("LAMBDA_TASK_ROOT"))
        return load_text(text, uri or path, name=self.environment.get("NAME") or None).replications

    # Telling

    def _postpone(self, failed: Iterable[Message]) -> None:
        """Has what failed come again soon at first, then ever later."""
        queue = self.environment.get("QUEUE_URL")
        receipts = {
            message.receipt: min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(message.received - 1, 10))
            for message in failed
            if message.receipt
        }
        if not queue or not receipts:
            return
        try:
            self.outside.postpone(queue, receipts.items())
        except ReconcileError as failure:
            self.logger.warning("not postponed", reason=failure.message)

    def _tell_findings(self, findings: Iterable[Finding]) -> None:
        for finding in dict.fromkeys(findings):
            self.logger.warning("finding", code=finding.code, text=finding.message, where=finding.where)

    def _tell(self, error: BaseException) -> None:
        """What stopped something: our own words, or only the kind and the place of what is not ours."""
        if isinstance(error, SpecError):
            self._tell_findings(error.findings)
        if isinstance(error, ReconcileError):
            self.logger.error("stopped", reason=error.message, remedy=error.remedy)
            return
        frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        self.logger.error("stopped", reason=f"unexpected {type(error).__qualname__}", frames=frames)


def _bundled(path: str, root: str | None) -> str:
    file = Path(root or ".") / path
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise ReconcileError(f"SPEC_PATH {path} cannot be read ({type(failure).__name__})") from None


def _unwatched(progress: Progress) -> None:
    """Nobody watches a function."""


_kept: list[Function] = []


def answer(event: Any, context: Context) -> dict[str, Any]:
    """The entry of the function, as the template names it."""
    if not _kept:
        _kept.append(Function(dict(os.environ)))
    return _kept[0].answer(event, context)
