"""Alarms and function together: the metrics that the function writes in a situation make its alarm fire.

The stack of the simulator runs for some time. Each metric that it prints is a data point at the time of the
simulator, and the alarms of the template are evaluated over them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.state import TableUnavailableError
from ssm_reconcile.model import Place
from tests.events.cloudwatch import ALARM, EXTRA, HOUR, MINUTE, history
from tests.events.pump import Account, Deployed
from tests.events.test_alarms import ALARMS, METRICS
from tests.fake_aws.traffic import Fault, refused

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
guards: { max_deletes: 2 }
"""
OWN = [name for name, (namespace, *_) in METRICS.items() if namespace == "ssm-reconcile"]


class Watched:
    """A stack, and the data points of its metrics. Second 0 is the end of the first whole run."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.account = Account()
        self.stack: Deployed = self.account.deploy(SPEC)
        self._capsys = capsys
        for number in range(20):
            self.account.world.put(self.account.here, f"/prod/{number:02}", "one")
        self.stack.whole_run()
        self.account.clock.advance(timedelta(minutes=10))
        capsys.readouterr()
        self._begin: datetime = self.account.clock.now()
        self.points: dict[str, list[tuple[float, float]]] = defaultdict(list)

    @property
    def now(self) -> float:
        return (self.account.clock.now() - self._begin).total_seconds()

    def run(self, until: float, every: Callable[[], None] | None = None) -> None:
        """Handle messages until a second; `every` is called each minute before."""
        step = self.now
        while self.now < until:
            if every is not None and self.now >= step:
                every()
                step += MINUTE
            if not (self.stack.run_started() or self.stack.poll()):
                due = self.stack.queue.next_visible()
                ends = min(until, step) if every is not None else until
                ends = ends if due is None else min(ends, (due - self._begin).total_seconds())
                self.account.clock.advance(timedelta(seconds=max(0.001, ends - self.now)))
            self.read()

    def read(self) -> None:
        """Take the metrics that were printed."""
        for line in self._capsys.readouterr().out.splitlines():
            if '"_aws"' in line:
                document = json.loads(line)
                for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                    name = metric["Name"]
                    self.points[name] += [(self.now, value) for value in document[name]]

    def fired(self, name: str) -> float | None:
        """Return the second at which an alarm fires, at the latest of all evaluation ranges."""
        found = []
        for extra in EXTRA:
            states = history(ALARMS[name], self.points[METRICS[name][1]], self.now + MINUTE, extra)
            found.append(next((at for at, state in states if state == ALARM), None))
        assert (None in found) is (set(found) == {None}), found
        return max((one for one in found if one is not None), default=None)

    def alarms(self) -> set[str]:
        """Return the alarms on metrics of the function that fire."""
        return {name for name in OWN if self.fired(name) is not None}

    def change(self) -> None:
        """Change one parameter."""
        number = int(self.now) // MINUTE % 20
        self.account.put(self.account.here, f"/prod/{number:02}", f"at {self.now}")

    def refuse(self, trouble: Trouble, *operations: str) -> None:
        """Refuse operations in the target, all of them by default."""

        def plan(operation: str, where: Place, _names: tuple[str, ...], _nth: int) -> Fault | None:
            is_struck = where == self.account.there and (not operations or operation in operations)
            return refused(trouble) if is_struck else None

        self.account.world.faults = plan


@pytest.fixture
def watched(capsys: pytest.CaptureFixture[str]) -> Watched:
    return Watched(capsys)


def test_changes_of_an_hour_raise_no_alarm(watched: Watched) -> None:
    watched.run(HOUR, watched.change)
    assert sum(value for _, value in watched.points["Applied"]) >= 59
    assert watched.alarms() == set()


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_target_that_is_away_raises_an_alarm_within_15_minutes(watched: Watched, is_busy: bool) -> None:
    watched.refuse(Trouble.UNREACHABLE)
    watched.change()
    if is_busy:
        watched.run(HOUR / 2, watched.change)
    else:
        watched.run(3 * HOUR)
    fired = watched.fired("TargetUnavailable")
    assert fired is not None
    assert fired <= 15 * MINUTE
    assert watched.alarms() - {"ChangesWait", "FailedChanges"} == {"TargetUnavailable"}


def test_a_target_that_is_away_for_four_minutes_raises_no_alarm(watched: Watched) -> None:
    watched.refuse(Trouble.UNREACHABLE)
    watched.run(4 * MINUTE, watched.change)
    watched.account.world.faults = None
    watched.run(HOUR, watched.change)
    assert watched.alarms() == set()


def test_a_change_that_waits_raises_an_alarm_within_half_an_hour(watched: Watched) -> None:
    watched.refuse(Trouble.UNREACHABLE)
    watched.change()
    watched.run(HOUR)
    fired = watched.fired("ChangesWait")
    assert fired is not None
    assert 15 * MINUTE <= fired <= 32 * MINUTE


def test_writes_that_are_denied_raise_an_alarm(watched: Watched) -> None:
    watched.refuse(Trouble.DENIED, "PutParameter")
    watched.change()
    watched.run(2 * HOUR)
    fired = watched.fired("FailedChanges")
    assert fired is not None
    assert fired <= 45 * MINUTE


def test_a_conflict_raises_the_alarm_of_refused_changes(watched: Watched) -> None:
    watched.account.world.put(watched.account.there, "/prod/foreign", "theirs")
    watched.account.put(watched.account.here, "/prod/foreign", "ours")
    watched.run(10 * MINUTE)
    assert watched.alarms() == {"RefusedChanges"}
    assert (watched.fired("RefusedChanges") or HOUR) <= 2 * MINUTE


def test_more_deletes_than_the_guard_allows_raise_the_alarm_of_withheld_changes(watched: Watched) -> None:
    for number in range(5):
        watched.account.delete(watched.account.here, f"/prod/{number:02}")
    watched.run(10 * MINUTE)
    assert "WithheldChanges" in watched.alarms()


def test_an_unusable_spec_raises_its_alarm(watched: Watched) -> None:
    watched.stack.spec = "version: 2"
    watched.account.clock.advance(timedelta(minutes=6))
    watched.change()
    watched.run(20 * MINUTE)
    assert watched.alarms() == {"SpecUnusable"}


def test_a_table_that_is_away_raises_its_alarm(watched: Watched) -> None:
    def fail(operation: str) -> None:
        raise TableUnavailableError(operation)

    watched.stack.table.fault = fail
    watched.change()
    watched.run(10 * MINUTE)
    assert "TableUnavailable" in watched.alarms()


def test_the_watch_reports_a_whole_run_that_is_overdue(watched: Watched) -> None:
    for hours in (20, 24):
        watched.account.clock.advance(timedelta(hours=hours))
        watched.stack.invoke({"watch": "whole-run"})
        watched.read()
    watched.account.clock.advance(timedelta(hours=3))
    fired = watched.fired("WholeRunOverdue")
    assert fired is not None
    assert 44 * HOUR <= fired <= 46 * HOUR


def test_the_watch_reports_drift_that_stays_until_a_weekly_run(watched: Watched) -> None:
    watched.account.world.put(watched.account.there, "/prod/foreign", "theirs")
    watched.account.world.put(watched.account.here, "/prod/foreign", "ours")
    watched.stack.whole_run()
    watched.read()
    for _ in range(3):
        watched.account.clock.advance(timedelta(days=1))
        watched.stack.invoke({"watch": "whole-run"})
        watched.read()
    fired = watched.fired("DriftStays")
    assert fired is not None
    assert 28 * HOUR <= fired <= 60 * HOUR
