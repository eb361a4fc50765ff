"""CloudWatch's evaluation of an alarm: its properties and data points -> its state over time.

Source: Amazon CloudWatch User Guide, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat
missing data". An alarm is evaluated each minute over windows that end at that minute; once an hour if its
windows together are longer than a day. CloudWatch retrieves more data points than `EvaluationPeriods`, and
uses the older ones before it fills in missing ones. The number of those it retrieves is not documented for
each period: `EXTRA` has several, and an alarm must work with each of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

MINUTE, HOUR, DAY = 60, 3_600, 86_400
LONGEST_RANGE = 7 * DAY
EXTRA = (0, 2, 5)
"""Data points that are retrieved beside `EvaluationPeriods`; 2 is the example of the user guide."""
OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

Points: TypeAlias = Sequence[tuple[float, float]]
"""Seconds and values."""

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm for values above a threshold."""

    statistic: str
    period: int
    evaluated: int
    needed: int
    threshold: float
    missing: str

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Alarm:
        """Return the alarm of a resource of a template, with its parameters rendered."""
        if properties["ComparisonOperator"] != "GreaterThanThreshold" or "Metrics" in properties:
            raise NotImplementedError("only one metric and GreaterThanThreshold")
        evaluated = properties["EvaluationPeriods"]
        return cls(
            properties["Statistic"],
            properties["Period"],
            evaluated,
            properties.get("DatapointsToAlarm", evaluated),
            float(properties["Threshold"]),
            properties["TreatMissingData"],
        )

    @property
    def interval(self) -> int:
        """The seconds between two evaluations."""
        return HOUR if self.evaluated * self.period > DAY else MINUTE

    def is_valid(self) -> bool:
        """Whether PutMetricAlarm accepts it."""
        longest = LONGEST_RANGE if self.period >= HOUR else DAY
        return 1 <= self.needed <= self.evaluated and self.evaluated * self.period <= longest

    def evaluate(self, found: Sequence[bool | None], before: str) -> str:
        """Return the state for the data points of the range, the oldest first.

        Args:
            found: Whether each is breaching; None for a missing one.
            before: The state before.
        """
        real = [one for one in found if one is not None]
        if len(real) >= self.evaluated:
            return ALARM if sum(real[-self.evaluated :]) >= self.needed else OK
        breaching, filled = sum(real), self.evaluated - len(real)
        if self.missing == "breaching":
            return ALARM if breaching + filled >= self.needed else OK
        if breaching >= self.needed:
            return ALARM
        if self.missing == "notBreaching":
            return OK
        if len(real) > breaching:  # a real data point within the threshold
            return OK
        if self.missing == "ignore":
            return before
        if not real:
            return NO_DATA
        # Only breaching ones, and too few: an alarm if the oldest of them is old enough ("premature alarm").
        recent = list(found[-self.evaluated :])
        return ALARM if True in recent and len(recent) - recent.index(True) >= self.needed else before


def history(alarm: Alarm, points: Points, until: float, extra: int) -> list[tuple[int, str]]:
    """Return the state after each evaluation, from second 0 on. A new alarm has insufficient data.

    Args:
        alarm: The alarm.
        points: The data points of its metric; each counts for the minute that it is in.
        until: The last second.
        extra: The number of data points that are retrieved beside `EvaluationPeriods`.
    """
    times = [int(at // MINUTE) * MINUTE for at, _ in sorted(points)]
    values = [value for _, value in sorted(points)]
    count = min(alarm.evaluated + extra, max(alarm.evaluated, LONGEST_RANGE // alarm.period))
    state, found = NO_DATA, []
    for now in range(0, int(until) + 1, alarm.interval):
        edges = [bisect_left(times, now - alarm.period * k) for k in range(count, -1, -1)]
        windows = [values[start:end] for start, end in pairwise(edges)]
        statistic = STATISTICS[alarm.statistic]
        breaching = [statistic(one) > alarm.threshold if one else None for one in windows]
        state = alarm.evaluate(breaching, state)
        found.append((now, state))
    return found
