"""Alarms of the template: each fires in the situation that it is for, and in no other one.

A situation is the data points of the alarm's metric. Each holds for every length of the evaluation range.
`test_each_setting_matters` changes one setting at a time, and expects another result in some situation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from tests.events.cloudwatch import ALARM, DAY, EXTRA, HOUR, MINUTE, NO_DATA, OK, Alarm, Points, history
from tests.events.templates import loaded, rendered

LONGEST_PAUSE = 900


def resources() -> dict[str, Any]:
    found = rendered(loaded("template.yaml")["Resources"], AlarmTopicArn="arn:topic", Stage="prod")
    return {name: one["Properties"] for name, one in found.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


PROPERTIES = resources()
ALARMS = {name: Alarm.of(properties) for name, properties in PROPERTIES.items()}

METRICS = {
    "ChangeFunctionErrors": ("AWS/Lambda", "Errors", "FunctionName", "ChangeFunction"),
    "WholeFunctionErrors": ("AWS/Lambda", "Errors", "FunctionName", "WholeFunction"),
    "WholeRunFailed": ("AWS/States", "ExecutionsFailed", "StateMachineArn", "WholeRun"),
    "WholeRunTimedOut": ("AWS/States", "ExecutionsTimedOut", "StateMachineArn", "WholeRun"),
    "WholeRunAborted": ("AWS/States", "ExecutionsAborted", "StateMachineArn", "WholeRun"),
    "WholeRunOverdue": ("ssm-reconcile", "HoursSinceWholeRun", "service", "prod"),
    "TargetUnavailable": ("ssm-reconcile", "TargetUnavailable", "service", "prod"),
    "WithheldChanges": ("ssm-reconcile", "Withheld", "service", "prod"),
    "RefusedChanges": ("ssm-reconcile", "Refused", "service", "prod"),
    "ContendedChanges": ("ssm-reconcile", "Contended", "service", "prod"),
    "FailedChanges": ("ssm-reconcile", "Failed", "service", "prod"),
    "ChangesWait": ("ssm-reconcile", "WaitingSeconds", "service", "prod"),
    "OldestMessage": ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "ChangeQueue.QueueName"),
    "DeadLettersWait": (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "QueueName",
        "DeadLetters.QueueName",
    ),
    "SpecUnusable": ("ssm-reconcile", "SpecFailed", "service", "prod"),
    "TableUnavailable": ("ssm-reconcile", "TableUnavailable", "service", "prod"),
    "DriftStays": ("ssm-reconcile", "Remaining", "service", "prod"),
}


def test_each_alarm_watches_its_metric_and_notifies_the_topic() -> None:
    assert set(METRICS) == set(ALARMS)
    for name, (namespace, metric, dimension, value) in METRICS.items():
        one = PROPERTIES[name]
        assert (one["Namespace"], one["MetricName"]) == (namespace, metric)
        assert one["Dimensions"] == [{"Name": dimension, "Value": value}]
        assert one["AlarmActions"] == ["arn:topic"]
        assert ALARMS[name].is_valid()
    # The end of the data is the other thing that this alarm is for.
    assert PROPERTIES["WholeRunOverdue"]["InsufficientDataActions"] == ["arn:topic"]


@dataclass(frozen=True)
class Situation:
    """Data points of a metric, and the expected states.

    Attributes:
        points: The data points. They start at second `START`, so that each alarm was evaluated before.
        until: The last second.
        fires: The first and the last second of the interval in which the alarm has to start; None: never.
        holds: The first and the last second between which the state is always `ALARM`.
        ends: The second at which the state is `OK` again, and stays it.
        last: The state at the end.
    """

    points: Points
    until: float
    fires: tuple[float, float] | None = None
    holds: tuple[float, float] | None = None
    ends: float | None = None
    last: str | None = None

    def is_met(self, alarm: Alarm) -> bool:
        return all(self._is_met(history(alarm, self.points, self.until, extra)) for extra in EXTRA)

    def _is_met(self, states: list[tuple[int, str]]) -> bool:
        first = next((at for at, state in states if state == ALARM), None)
        if self.fires is None:
            if first is not None:
                return False
        elif first is None or not self.fires[0] <= first <= self.fires[1]:
            return False
        if self.holds is not None:
            begin, end = self.holds
            if any(state != ALARM for at, state in states if begin <= at <= end):
                return False
        if self.ends is not None and any(state != OK for at, state in states if at >= self.ends):
            return False
        return self.last is None or states[-1][1] == self.last


START = 1_000 * MINUTE


def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
    return [(START + seconds, value) for seconds, value in points]


def every(interval: float, until: float, value: float = 0, begin: float = 0) -> list[tuple[float, float]]:
    """Return a data point in each interval."""
    return at(*((begin + n * interval, value) for n in range(int((until - begin) / interval) + 1)))


def retries(
    until: float, value: float = 1, begin: float = 0, seconds: float = 30
) -> list[tuple[float, float]]:
    """Return a data point for each attempt of a message that fails: pauses of 5 s, doubled up to 15 minutes.

    Args:
        until: No attempts after this second.
        value: The value of each data point.
        begin: The first attempt.
        seconds: The time of an attempt, and of the queue until it delivers again.
    """
    found, now, pause = [], begin, 5.0
    while now <= until:
        found.append((now, value))
        now += seconds + pause
        pause = min(LONGEST_PAUSE, 2 * pause)
    return at(*found)


def counts(threshold: int = 0) -> dict[str, Situation]:
    """Return the situations of an alarm that fires with the first data point above a threshold."""
    busy = every(20, HOUR)
    return {
        "one in a quiet system": Situation(
            at((0, threshold + 1)), START + 3 * HOUR, fires=(START, START + 2 * MINUTE), ends=START + HOUR
        ),
        "one among others": Situation(
            [*busy, *at((0, threshold + 1))],
            START + HOUR,
            fires=(START, START + 2 * MINUTE),
            holds=(START + MINUTE, START + 4 * MINUTE),
            ends=START + 6 * MINUTE,
        ),
        "at the threshold": Situation([*busy, *at((0, threshold))], START + HOUR, last=OK),
        "several below the threshold": Situation(every(20, HOUR, threshold * 0.6), START + HOUR, last=OK),
        "no data": Situation([], START + HOUR, last=OK),
    }


def target_unavailable() -> dict[str, Situation]:
    soon = (START + 5 * MINUTE, START + 15 * MINUTE)
    long = 6 * HOUR
    outage = [*every(60, -1, begin=-HOUR), *retries(3 * HOUR), *every(60, 5 * HOUR, begin=3 * HOUR + 1)]
    mixed = [*every(20, HOUR, 1), *every(20, HOUR, 0, begin=10)]
    return {
        "an outage, one message": Situation(
            outage, START + 5 * HOUR, soon, holds=(START + 900, START + 3 * HOUR), ends=START + 3.5 * HOUR
        ),
        "an outage, quick attempts": Situation(retries(HOUR, seconds=1), START + HOUR, soon),
        "an outage, many messages": Situation(mixed, START + HOUR, soon, (START + 900, START + HOUR)),
        "one fault among others": Situation([*every(20, long), *at((0, 1))], START + long, last=OK),
        "a fault of four minutes": Situation(
            [*every(20, 4 * MINUTE, 1), *every(20, long, 0, begin=4 * MINUTE)], START + long, last=OK
        ),
        "three short faults": Situation(
            [*every(20, long), *at((0, 1), (480, 1), (960, 1))], START + long, last=OK
        ),
        "a fault of 20 seconds in a quiet system": Situation(
            at((0, 1), (5, 1), (15, 1), (35, 0)), START + long
        ),
        "no data after a success": Situation(at((0, 0)), START + long, last=OK),
        "no data": Situation([], START + HOUR, last=NO_DATA),
    }


def failed() -> dict[str, Situation]:
    failing = [*every(60, -1, begin=-HOUR), *retries(5 * HOUR), *every(60, 7 * HOUR, begin=5 * HOUR + 1)]
    storm = [*every(20, 12 * MINUTE, 2), *every(20, 3 * HOUR, 0, begin=12 * MINUTE)]
    incidents = [*every(20, 3 * HOUR), *at((0, 5), (35 * MINUTE, 5), (70 * MINUTE, 5))]
    return {
        "a message that fails": Situation(
            failing,
            START + 7 * HOUR,
            fires=(START + 20 * MINUTE, START + 45 * MINUTE),
            holds=(START + 45 * MINUTE, START + 5 * HOUR),
            ends=START + 6 * HOUR,
        ),
        "a message that fails among others": Situation(
            [*retries(5 * HOUR), *every(20, 5 * HOUR)], START + 5 * HOUR, (START, START + 45 * MINUTE)
        ),
        "the end of a message that failed": Situation(
            retries(2 * HOUR), START + 7 * HOUR, (START, START + HOUR), ends=START + 6 * HOUR
        ),
        "faults that retries end": Situation(storm, START + 3 * HOUR, last=OK),
        "three short incidents": Situation(incidents, START + 3 * HOUR, last=OK),
        "one fault": Situation(at((0, 9)), START + 3 * HOUR, last=OK),
        "no data": Situation([], START + HOUR, last=OK),
    }


def changes_wait() -> dict[str, Situation]:
    """The waiting time of a message at its attempts, beside other messages that wait for a short time."""
    ages = [(moment, moment - START) for moment, _ in retries(2 * HOUR)]
    others = every(20, 2 * HOUR, 10)
    soon = (START + 15 * MINUTE, START + 32 * MINUTE)
    return counts(900) | {
        "a message that fails": Situation(ages, START + 2 * HOUR, soon),
        "a message that fails among others": Situation([*ages, *others], START + 2 * HOUR, soon),
        "a message that succeeds after ten minutes": Situation(
            [one for one in ages if one[1] < 700] + others, START + 2 * HOUR, last=OK
        ),
    }


def oldest_message() -> dict[str, Situation]:
    """SQS reports the age each minute while there are messages."""
    backlog = [(START + age, age) for age in range(0, 15 * MINUTE + 1, MINUTE)]
    stuck = [(START + age, age) for age in range(0, 2 * HOUR, MINUTE)]
    return counts(900) | {
        "a backlog of 15 minutes": Situation(
            [*backlog, *every(60, 3 * HOUR, 0, 15 * MINUTE + 1)], START + 3 * HOUR, last=OK
        ),
        "a backlog that stays": Situation(
            stuck,
            START + 2 * HOUR,
            (START + 15 * MINUTE, START + 20 * MINUTE),
            (START + 20 * MINUTE, START + 2 * HOUR),
        ),
    }


def whole_run_overdue() -> dict[str, Situation]:
    """The watch reports daily, some minutes late each day, and a complete whole run reports 0."""

    def watch(hours: list[float], begin: float = 20 * HOUR) -> list[tuple[float, float]]:
        return at(*((begin + n * (DAY + 10 * MINUTE), value) for n, value in enumerate(hours)))

    def run(day: float) -> list[tuple[float, float]]:
        return at((day * DAY, 0))

    healthy = [one for day in range(6) for one in run(day)] + watch([20.2] * 5 + [36])
    no_run = watch([20.2, 44.3, 68.4, 92.5])
    return {
        "a run a day, and one at the limit": Situation(healthy, START + 6.5 * DAY, last=OK),
        "a watch that is invoked twice": Situation(healthy + watch([20.2] * 3), START + 6 * DAY, last=OK),
        "a run that fails": Situation(
            run(0) + no_run,
            START + 4.5 * DAY,
            (START + 44 * HOUR, START + 46 * HOUR),
            (START + 46 * HOUR, START + 4.5 * DAY),
        ),
        "the first value above the limit": Situation(
            watch([20.2, 37, 0, 0, 0]),
            START + 5.2 * DAY,
            (START + DAY, START + 2 * DAY),
            ends=START + 4 * DAY,
        ),
        "a watch that stops": Situation(run(0) + watch([20.2]), START + 52 * HOUR, last=NO_DATA),
        "a watch that is late": Situation(at((0, 9), (25.5 * HOUR, 9)), START + 25.5 * HOUR, last=OK),
        "a watch that works": Situation(watch([20.2] * 3), START + 3.8 * DAY, last=OK),
        "a new stack": Situation(run(0.1), START + 0.9 * DAY, last=OK),
    }


def drift_stays() -> dict[str, Situation]:
    def daily(values: list[float], begin: float = 0) -> list[tuple[float, float]]:
        return at(*((begin + n * (DAY + 10 * MINUTE), value) for n, value in enumerate(values)))

    weekly = daily([3] * 7, 12 * HOUR) + at((0, 3))
    ended = [*weekly, *at((7 * DAY, 0)), *daily([0] * 4, 7.5 * DAY)]
    before = daily([0] * 3, -70 * HOUR)  # the last one is about 21 hours before the drift
    one_day = [*before, *at((0, 3), (27 * HOUR, 0)), *daily([3, 0, 0, 0], 20 * HOUR)]
    return {
        "a weekly run": Situation(
            ended,
            START + 11 * DAY,
            fires=(START + 28 * HOUR, START + 36 * HOUR),
            holds=(START + 36 * HOUR, START + 7 * DAY),
            ends=START + 7 * DAY + 2 * HOUR,
        ),
        "drift after days without": Situation(
            [*before, *weekly], START + 4 * DAY, fires=(START + 30 * HOUR, START + 40 * HOUR)
        ),
        "drift just after a report of 0": Situation(
            [*every(60, -1, begin=-HOUR), *weekly], START + 4 * DAY, (START + 54 * HOUR, START + 60 * HOUR)
        ),
        "one address": Situation(daily([1] * 4), START + 3 * DAY, (START + 28 * HOUR, START + 36 * HOUR)),
        "drift that the next run ends": Situation(one_day, START + 5 * DAY, last=OK),
        "no drift": Situation(daily([0] * 4), START + 4 * DAY, last=OK),
        "no data": Situation([], START + 2 * DAY, last=OK),
    }


SITUATIONS: dict[str, Callable[[], dict[str, Situation]]] = {
    **dict.fromkeys(ALARMS, counts),
    "TargetUnavailable": target_unavailable,
    "FailedChanges": failed,
    "ChangesWait": changes_wait,
    "OldestMessage": oldest_message,
    "WholeRunOverdue": whole_run_overdue,
    "DriftStays": drift_stays,
}


@cache
def situations(name: str) -> dict[str, Situation]:
    return SITUATIONS[name]()


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_fires_in_its_situations_and_in_no_other(name: str) -> None:
    assert not [text for text, one in situations(name).items() if not one.is_met(ALARMS[name])]
    assert any(one.fires for one in situations(name).values())
    assert any(one.fires is None for one in situations(name).values())


def changed(alarm: Alarm) -> Iterator[tuple[str, Alarm]]:
    """Return the alarm with one setting changed, each in turn."""
    for statistic in {"Sum", "Maximum", "Minimum", "Average", "SampleCount"} - {alarm.statistic}:
        yield statistic, replace(alarm, statistic=statistic)
    for missing in {"breaching", "notBreaching", "ignore", "missing"} - {alarm.missing}:
        yield missing, replace(alarm, missing=missing)
    step = 1 if alarm.threshold else 0.5
    yield "threshold lower", replace(alarm, threshold=alarm.threshold - step)
    yield "threshold higher", replace(alarm, threshold=alarm.threshold + step + 0.5)
    yield "period shorter", replace(alarm, period=alarm.period // 5)
    yield "period longer", replace(alarm, period=alarm.period * 2)
    if alarm.needed > 1:
        yield "fewer needed", replace(alarm, needed=alarm.needed - 1)
    if alarm.needed < alarm.evaluated:
        yield "more needed", replace(alarm, needed=alarm.needed + 1)
    if alarm.evaluated > alarm.needed:
        yield "fewer evaluated", replace(alarm, evaluated=alarm.evaluated - 1)
    yield "more evaluated", replace(alarm, evaluated=alarm.evaluated + 1)
    yield "one more of both", replace(alarm, evaluated=alarm.evaluated + 1, needed=alarm.needed + 1)


SAME_ABOVE_ZERO = {"Sum", "Maximum", "Average"}
"""Statistics of values that are never negative: one is above 0 if and only if the others are."""
EQUAL = {
    name: SAME_ABOVE_ZERO - {alarm.statistic}
    for name, alarm in ALARMS.items()
    if alarm.threshold == 0 and alarm.statistic in SAME_ABOVE_ZERO
}
EQUAL["WholeRunOverdue"] = {"Average", "Minimum"}  # an hour has one value, or the same value twice


@pytest.mark.parametrize("name", ALARMS)
def test_each_setting_matters(name: str) -> None:
    unnoticed = {
        text
        for text, alarm in changed(ALARMS[name])
        if all(one.is_met(alarm) for one in situations(name).values())
    }
    assert unnoticed == EQUAL.get(name, set())


TABLES = [
    # Two tables of the user guide. Needed; data points, the oldest first; states for each treatment.
    (3, "0-X-X", OK, OK, OK, OK),
    (3, "0----", OK, OK, OK, OK),
    (3, "-----", NO_DATA, "before", ALARM, OK),
    (3, "0XX-X", ALARM, ALARM, ALARM, ALARM),
    (3, "--X--", ALARM, "before", ALARM, OK),
    (2, "0-X-X", ALARM, ALARM, ALARM, ALARM),
    (2, "00X0X", ALARM, ALARM, ALARM, ALARM),
    (2, "0-X--", OK, OK, ALARM, OK),
    (2, "----0", OK, OK, ALARM, OK),
    (2, "---X-", ALARM, "before", ALARM, OK),
]


@pytest.mark.parametrize(("needed", "points", "missing", "ignore", "breaching", "not_breaching"), TABLES)
def test_the_model_agrees_with_the_user_guide(
    needed: int, points: str, missing: str, ignore: str, breaching: str, not_breaching: str
) -> None:
    found = [{"0": False, "X": True, "-": None}[one] for one in points]
    expected = {"missing": missing, "ignore": ignore, "breaching": breaching, "notBreaching": not_breaching}
    for treatment, state in expected.items():
        alarm = Alarm("Sum", 300, 3, needed, 0, treatment)
        assert alarm.evaluate(found, "before") == state


def test_the_windows_of_the_model_end_at_the_evaluation() -> None:
    alarm = Alarm("Sum", 300, 1, 1, 0, "notBreaching")
    states = dict(history(alarm, [(600, 1)], 1200, extra=0))
    assert [at for at, state in states.items() if state == ALARM] == [660, 720, 780, 840, 900]
    hourly = Alarm("Sum", HOUR, 26, 1, 0, "missing")
    assert [at for at, _ in history(hourly, [], 2 * HOUR, extra=0)] == [0, HOUR, 2 * HOUR]
