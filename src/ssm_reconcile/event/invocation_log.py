"""Logs and metrics of one invocation. Logs hold no value; metrics use the CloudWatch embedded metric format.

Each invocation with names writes all counts, zeros included, so that an alarm sees the end of a problem.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from datetime import datetime

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ssm_reconcile.errors import Finding, ReconcileError, SpecError
from ssm_reconcile.event.events import FullRun, Message, Rejected
from ssm_reconcile.event.full_run import SliceResult
from ssm_reconcile.event.name_run import NameRunResult
from ssm_reconcile.report import Result

NAMESPACE = "ssm-reconcile"
COUNTS = {
    "Applied": Result.APPLIED, "Failed": Result.FAILED, "Stale": Result.STALE, "Withheld": Result.WITHHELD,
}  # fmt: skip
MOST_LOGGED = 200
"""Changes of one slice of a whole run that are logged one by one."""


class InvocationLog:
    """Logs and metrics of one invocation; `service` is the dimension of the metrics."""

    def __init__(self, logger: Logger, service: str) -> None:
        self._logger = logger
        self._metrics = Metrics(namespace=NAMESPACE, service=service)

    def count(self, name: str, number: float, unit: MetricUnit = MetricUnit.Count) -> None:
        """Add a value to a metric.

        Args:
            name: The metric.
            number: The value.
            unit: The unit of the value.
        """
        self._metrics.add_metric(name, unit, number)

    def flush(self) -> None:
        """Write the metrics, if there are any."""
        if self._metrics.metric_set:
            self._metrics.flush_metrics()

    def reject(self, rejected: Sequence[tuple[Message, Rejected]]) -> None:
        """Log and count entries that lead to no action."""
        for message, why in rejected:
            self._logger.warning("rejected", reason=str(why), message_id=message.identifier)
        self.count("Rejected", len(rejected))
        self.count("Refused", sum(not why.reason.is_understood for _, why in rejected))

    def log_names(self, found: NameRunResult, now: datetime) -> None:
        """Log and count the results of names."""
        if found.plan is not None and found.report is not None:
            self.log_findings((*found.plan.all_findings, *found.report.findings))
        for result in found.results:
            log = self._logger.debug if result.status == "nothing to do" else self._logger.info
            lag = None if result.at is None else round((now - result.at).total_seconds(), 3)
            targets = {one.change.target: f"{one.change.action} {one.result}" for one in result.outcomes}
            log(
                "name", parameter=result.name, result=result.status, targets=targets,
                reasons=result.reasons, lag=lag,
            )  # fmt: skip
            if lag is not None and result.retry is None:
                self.count("LagSeconds", max(0.0, lag), MetricUnit.Seconds)
        for name, counted in COUNTS.items():
            self.count(name, sum(result.count(counted) for result in found.results))
        statuses = [result.status for result in found.results]
        for name, status in (("Again", "again"), ("Refused", "refused")):
            self.count(name, statuses.count(status))
        self.count("Contended", sum(result.contended for result in found.results))
        self._log_places(found.unavailable)
        self.log_table(found.table_error)

    def _log_places(self, unavailable: Sequence[str]) -> None:
        if unavailable:
            self._logger.error("cannot be used", places=unavailable)
        self.count("TargetUnavailable", float(bool(unavailable)))

    def log_table(self, error: str) -> None:
        """Log and count whether the table could be used."""
        if error:
            self._logger.error("the table cannot be used", reason=error)
        self.count("TableUnavailable", float(bool(error)))

    def log_slice(self, found: SliceResult, remaining: int, request: FullRun) -> None:
        """Log and count one slice of a whole run.

        Args:
            found: The result of the slice.
            remaining: The number of addresses that do not hold what the spec asks for.
            request: The execution and the number of the slice.
        """
        self.log_findings(found.findings)
        self._logger.info(
            "whole run", plan_id=found.plan.plan_id, planned=found.plan.summary,
            outcomes={str(result): count for result, count in found.counts.items()},
            execution=request.execution, slice=request.number, leased=found.leased,
            remaining=remaining, complete=found.plan.complete,
        )  # fmt: skip
        for outcome in found.unapplied[:MOST_LOGGED]:
            change = outcome.change
            self._logger.warning(
                "change", parameter=change.name, target=change.target, action=change.action,
                result=outcome.result, reason=outcome.error,
            )  # fmt: skip
        for name, counted in COUNTS.items():
            self.count(name, found.counts[counted])
        self.count("Remaining", remaining)
        self._log_places(found.unavailable)
        self.log_table(found.table_error)

    def log_watch(self, hours: float, remaining: int | None) -> None:
        """Count the hours since the last whole run, and what remained after it; None without a whole run."""
        self.count("HoursSinceWholeRun", hours, MetricUnit.NoUnit)
        if remaining is not None:
            self.count("Remaining", remaining)

    def log_waiting(self, seconds: float) -> None:
        """Count the age of a message that is retried."""
        self.count("WaitingSeconds", max(0.0, seconds), MetricUnit.Seconds)

    def log_dead_letter(self, message: str, names: Sequence[str], why: str) -> None:
        """Log and count a message that is a dead letter now.

        Args:
            message: The identifier of the message.
            names: The names in it.
            why: The reasons of its last attempt.
        """
        self._logger.error("dead letter", message_id=message, parameters=names, reason=why)
        self.count("DeadLettered", 1)

    def log_findings(self, findings: Iterable[Finding]) -> None:
        """Log findings, each once."""
        for finding in dict.fromkeys(findings):
            self._logger.warning("finding", code=finding.code, text=finding.message, where=finding.where)

    def log_error(self, error: BaseException) -> None:
        """Log what stopped a step. The message of a foreign exception may hold a value: it is left out."""
        if isinstance(error, SpecError):
            self.log_findings(error.findings)
        if isinstance(error, ReconcileError):
            self._logger.error("stopped", reason=error.message, remedy=error.remedy)
            return
        frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        self._logger.error("stopped", reason=f"unexpected {type(error).__qualname__}", frames=frames)
