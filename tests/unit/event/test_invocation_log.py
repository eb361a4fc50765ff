"""The metrics and log lines of one invocation: each value under its own name, with its unit."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from ssm_reconcile.change import Create
from ssm_reconcile.errors import Finding, ReconcileError, Severity, SpecError
from ssm_reconcile.event.events import FullRun, Message, Reason, Rejected
from ssm_reconcile.event.full_run import SliceResult
from ssm_reconcile.event.invocation_log import InvocationLog
from ssm_reconcile.event.name_run import NameRunResult
from ssm_reconcile.event.requests import NameResult, Retry, RetryCause
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Outcome, Report, Result
from tests.builders import NOW, change, creates, desired, part

SECOND = timedelta(seconds=1)
BUSY = Retry(RetryCause.BUSY, "busy")


def finding(code: str) -> Finding:
    return Finding(Severity.WARNING, code, f"text of {code}", "here")


class Stage:
    """A log, and what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._lines = io.StringIO()
        self.log = InvocationLog(Logger(service=str(uuid.uuid4()), stream=self._lines, level="INFO"), "prod")

    def metrics(self) -> dict[str, Any]:
        """Return the values of each metric that was written, zeros left out; lists for several values."""
        self.log.flush()
        found: dict[str, Any] = {}
        for line in self._capsys.readouterr().out.splitlines():
            document = json.loads(line)
            for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                values = [one for one in document[metric["Name"]] if one]
                if values:
                    found[metric["Name"]] = (values, metric["Unit"])
        return found

    def lines(self, message: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self._lines.getvalue().splitlines()]
        return [line for line in found if line["message"] == message]


@pytest.fixture
def stage(capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    found = Stage(capsys)
    yield found
    found.log.flush()  # Powertools keeps metrics that were not written for the next invocation


def outcomes(*results: Result) -> tuple[Outcome, ...]:
    return tuple(Outcome(change(Create(desired())), result) for result in results)


EACH = (
    *(Result.APPLIED,) * 2, *(Result.FAILED,) * 3, *(Result.STALE,) * 4, *(Result.WITHHELD,) * 5,
)  # fmt: skip
COUNTED = {"Applied": ([2], "Count"), "Failed": ([3], "Count"), "Stale": ([4], "Count")} | {
    "Withheld": ([5], "Count")
}


class TestNames:
    def test_outcomes_are_counted_by_result_and_names_by_status(self, stage: Stage) -> None:
        results = (
            NameResult("/a", outcomes(*EACH), retry=BUSY),
            NameResult("/b", contended=True),
            NameResult("/c", retry=BUSY),
            NameResult("/d", retry=BUSY),
            NameResult("/e", contended=True),
        )
        stage.log.log_names(NameRunResult(results), NOW)
        assert stage.metrics() == COUNTED | {"Again": ([3], "Count"), "Contended": ([2], "Count")}

    def test_the_lag_is_that_of_finished_names_in_seconds_and_never_below_zero(self, stage: Stage) -> None:
        results = (
            NameResult("/a", at=NOW - 5 * SECOND),
            NameResult("/b", at=NOW - 9 * SECOND, retry=BUSY),
            NameResult("/c", at=NOW + 7 * SECOND),
            NameResult("/d"),
        )
        stage.log.log_names(NameRunResult(results), NOW)
        found = stage.metrics()
        assert found["LagSeconds"] == ([5], "Seconds")
        assert found["Again"] == ([1], "Count")

    def test_places_count_as_one_and_are_logged_by_name(self, stage: Stage) -> None:
        stage.log.log_names(NameRunResult((), unavailable=("a", "b"), table_error="away"), NOW)
        assert stage.metrics() == {"TargetUnavailable": ([1], "Count"), "TableUnavailable": ([1], "Count")}
        assert stage.lines("cannot be used")[0]["places"] == ["a", "b"]
        assert stage.lines("the table cannot be used")[0]["reason"] == "away"

    def test_findings_of_plan_and_report_are_logged_once(self, stage: Stage) -> None:
        plan = Plan((part(findings=(finding("one"), finding("two"))),))
        report = Report(plan, (), findings=(finding("two"), finding("three")))
        stage.log.log_names(NameRunResult((), plan, report), NOW)
        assert [one["code"] for one in stage.lines("finding")] == ["one", "two", "three"]

    def test_the_line_of_a_name_has_its_result_in_each_target_and_the_reasons(self, stage: Stage) -> None:
        found = NameResult("/a", outcomes(Result.FAILED), retry=BUSY, at=NOW - 2.5 * SECOND)
        stage.log.log_names(NameRunResult((found,)), NOW)
        (line,) = stage.lines("name")
        assert {key: line[key] for key in ("parameter", "result", "targets", "reasons", "lag")} == {
            "parameter": "/a", "result": "again", "targets": {"us-east-2": "create failed"},
            "reasons": ["busy"], "lag": 2.5,
        }  # fmt: skip

    def test_a_name_with_nothing_to_do_has_no_line(self, stage: Stage) -> None:
        stage.log.log_names(
            NameRunResult((NameResult("/a"), NameResult("/b", outcomes(Result.APPLIED)))), NOW
        )
        assert [one["parameter"] for one in stage.lines("name")] == ["/b"]


class TestSlices:
    def test_changes_are_counted_by_result(self, stage: Stage) -> None:
        found = SliceResult(Plan(()), {finding("one"): None}, unavailable=("a", "b"), table_error="away")
        for outcome in outcomes(*EACH, Result.NOT_ATTEMPTED):
            found.add_outcome(outcome)
        stage.log.log_slice(found, 7, FullRun())
        assert stage.metrics() == COUNTED | {
            "Remaining": ([7], "Count"),
            "TargetUnavailable": ([1], "Count"),
            "TableUnavailable": ([1], "Count"),
        }
        assert [one["code"] for one in stage.lines("finding")] == ["one"]
        assert stage.lines("cannot be used")[0]["places"] == ["a", "b"]

    def test_its_line_names_the_plan_the_execution_and_what_is_left(self, stage: Stage) -> None:
        found = SliceResult(Plan((part(*creates(2)),)), leased=4)
        for outcome in outcomes(Result.APPLIED, Result.FAILED, Result.FAILED):
            found.add_outcome(outcome)
        stage.log.log_slice(found, 9, FullRun("execution", 3))
        (line,) = stage.lines("whole run")
        assert line["planned"]["create"] == 2
        assert {key: count for key, count in line["outcomes"].items() if count} == {"applied": 1, "failed": 2}
        expected = {
            "plan_id": found.plan.plan_id, "execution": "execution", "slice": 3, "leased": 4, "remaining": 9,
            "complete": True,
        }  # fmt: skip
        assert {key: line[key] for key in expected} == expected
        (failed, _) = stage.lines("change")
        assert {key: failed[key] for key in ("parameter", "target", "action", "result")} == {
            "parameter": "/p/a", "target": "us-east-2", "action": "create", "result": "failed",
        }  # fmt: skip

    def test_two_hundred_changes_that_were_not_made_have_lines(self, stage: Stage) -> None:
        found = SliceResult(Plan(()))
        for outcome in outcomes(*(Result.FAILED,) * 201, *(Result.NOT_ATTEMPTED, Result.APPLIED) * 5):
            found.add_outcome(outcome)
        stage.log.log_slice(found, 0, FullRun())
        assert len(stage.lines("change")) == 200


class TestOtherValues:
    def test_a_watch_counts_hours_and_what_remained(self, stage: Stage) -> None:
        stage.log.log_watch(3.5, 12)
        assert stage.metrics() == {"HoursSinceWholeRun": ([3.5], "None"), "Remaining": ([12], "Count")}
        stage.log.log_watch(4.5, None)
        assert stage.metrics() == {"HoursSinceWholeRun": ([4.5], "None")}

    def test_the_age_of_a_message_is_in_seconds_and_never_below_zero(self, stage: Stage) -> None:
        stage.log.log_waiting(70)
        stage.log.log_waiting(-3)
        assert stage.metrics() == {"WaitingSeconds": ([70], "Seconds")}

    def test_each_dead_letter_counts_once_and_is_logged_with_its_names(self, stage: Stage) -> None:
        for number in range(2):
            stage.log.log_dead_letter(f"m{number}", ["/a"], "why")
        assert stage.metrics() == {"DeadLettered": ([1, 1], "Count")}
        first = stage.lines("dead letter")[0]
        assert (first["message_id"], first["parameters"], first["reason"]) == ("m0", ["/a"], "why")

    def test_a_rejected_entry_has_its_reason_and_only_one_that_is_not_understood_is_refused(
        self, stage: Stage
    ) -> None:
        reasons = (Rejected(Reason.SCOPE, "/a"), Rejected(Reason.NAME), Rejected(Reason.SHAPE))
        stage.log.reject([(Message(one, f"m{number}"), one) for number, one in enumerate(reasons)])
        assert stage.metrics() == {"Rejected": ([3], "Count"), "Refused": ([2], "Count")}
        lines = [(one["message_id"], one["reason"]) for one in stage.lines("rejected")]
        assert lines == [(f"m{number}", str(one)) for number, one in enumerate(reasons)]

    def test_a_finding_has_its_code_its_text_and_its_place(self, stage: Stage) -> None:
        stage.log.log_findings([finding("one")])
        (line,) = stage.lines("finding")
        assert (line["code"], line["text"], line["where"]) == ("one", "text of one", "here")

    def test_an_error_of_ours_has_its_remedy_and_a_foreign_one_the_place_of_its_code(
        self, stage: Stage
    ) -> None:
        stage.log.log_error(ReconcileError("it failed", "do this"))
        with pytest.raises(KeyError) as caught:
            COUNTED["s3cret"]
        stage.log.log_error(caught.value)
        ours, foreign = stage.lines("stopped")
        assert (ours["reason"], ours["remedy"]) == ("it failed", "do this")
        assert foreign["reason"] == "unexpected KeyError"
        assert __file__ in foreign["frames"][0]
        assert "s3cret" not in json.dumps(foreign)

    def test_the_findings_of_an_invalid_spec_are_logged(self, stage: Stage) -> None:
        stage.log.log_error(SpecError([finding("spec-1")]))
        assert [one["code"] for one in stage.lines("finding")] == ["spec-1"]
        assert stage.lines("stopped")
