"""Situations of the deployed event path with several invocations at once, on the simulator of the storm."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial

import pytest

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import Place
from tests.events.concurrent_scheduler import Scheduler
from tests.events.concurrent_stack import Stack
from tests.events.concurrent_world import BURST_SECONDS, QUOTAS
from tests.fake_aws.traffic import Fault, refused

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
"""
TWO_TARGETS = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: us-west-2 }]")
MINUTE, HOUR = 60.0, 3600.0
PUTS_A_SECOND = QUOTAS[CallClass.PUT]


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    with redirect_stdout(io.StringIO()), Scheduler().installed(monkeypatch) as found:
        yield found


def replicated(scheduler: Scheduler, names: list[str], spec: str = SPEC) -> Stack:
    """Return a stack whose names have replicas with the value `old`."""
    stack = Stack(scheduler, spec)
    for name in names:
        stack.put(name, "old")
    scheduler.run()
    scheduler.sleep(5 * MINUTE)
    assert stack.world.names(stack.there) == sorted(names)
    return stack


def values(stack: Stack, place: Place) -> dict[str, str | None]:
    return {name: stack.world.value(place, name) for name in stack.world.names(place)}


def assert_settled(stack: Stack, *places: Place) -> None:
    """Assert that the targets equal the source, and that no message is left or lost."""
    for place in places or (stack.there,):
        assert values(stack, place) == values(stack, stack.here)
    assert not stack.queue.messages
    assert not stack.queue.dead
    assert not stack.queue.expired
    assert not any(one.killed for one in stack.runner.started)


def written_at(stack: Stack, place: Place, name: str, text: str | None) -> float:
    """Return when the function first wrote a value (None: deleted)."""
    return next(
        one.at for one in stack.world.written if (one.place, one.name, one.text) == (place, name, text)
    )


class TestTwoInvocationsOnOneName:
    """The second one starts while a write of the first one is on its way."""

    def test_a_late_put_does_not_write_an_older_value_over_a_newer_one(self, scheduler: Scheduler) -> None:
        stack = replicated(scheduler, ["/prod/a"])
        stack.world.before("PutParameter", partial(scheduler.sleep, 20))
        stack.put("/prod/a", "older")
        scheduler.at(scheduler.monotonic() + 5, partial(stack.put, "/prod/a", "newer"))
        scheduler.run()
        assert_settled(stack)
        assert stack.world.value(stack.there, "/prod/a") == "newer"

    def test_a_late_delete_does_not_remove_what_was_created_again(self, scheduler: Scheduler) -> None:
        stack = replicated(scheduler, ["/prod/a", *(f"/prod/{number}" for number in range(9))])
        stack.world.before("DeleteParameters", partial(scheduler.sleep, 20))
        event = stack.event(stack.here, "/prod/a", "Delete")
        stack.world.delete(stack.here, "/prod/a")
        scheduler.sleep(28)  # the event is late; AWS permits a create half a minute after the delete
        stack.publish(event)
        scheduler.at(scheduler.monotonic() + 8, partial(stack.put, "/prod/a", "again"))
        scheduler.run()
        assert_settled(stack)
        assert stack.world.value(stack.there, "/prod/a") == "again"


class TestAMessageWithManyNames:
    @pytest.mark.parametrize("concurrency", [2, 20])
    def test_it_does_not_delay_its_neighbours(self, scheduler: Scheduler, concurrency: int) -> None:
        stack = Stack(scheduler, SPEC, concurrency=concurrency)
        many = [f"/prod/many/{number:04}" for number in range(500)]
        few = [f"/prod/few/{number:02}" for number in range(24)]
        for name in (*many, *few):
            stack.world.put(stack.here, name, "new")
        for body in (json.dumps({"names": many}), *few):
            stack.queue.send(body)
        scheduler.run()
        assert_settled(stack)
        assert max(written_at(stack, stack.there, name, "new") for name in few) < 2 * MINUTE


class TestManyMessages:
    """500 names in messages of ten."""

    @pytest.mark.parametrize("concurrency", [2, 20])
    def test_more_invocations_at_once_are_not_slower(self, scheduler: Scheduler, concurrency: int) -> None:
        stack = Stack(scheduler, SPEC, concurrency=concurrency)
        names = [f"/prod/{number:04}" for number in range(500)]
        for name in names:
            stack.world.put(stack.here, name, "new")
        for start in range(0, 500, 10):
            stack.queue.send(json.dumps({"names": names[start : start + 10]}))
        scheduler.run()
        assert_settled(stack)
        assert scheduler.monotonic() < 1.5 * 500 / PUTS_A_SECOND


def test_a_release_of_most_parameters_at_once_is_applied_as_a_whole(scheduler: Scheduler) -> None:
    names = [f"/prod/{number:02}" for number in range(60)]
    stack = replicated(scheduler, names)
    for name in names[:40]:
        stack.put(name, "new")
    scheduler.run()
    assert_settled(stack)


class Outage:
    """A place that cannot be reached for some seconds from now on."""

    def __init__(self, stack: Stack, place: Place, seconds: float) -> None:
        self._place = place
        self._clock = stack.scheduler
        self._until = self._clock.monotonic() + seconds
        stack.world.faults = self

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        is_down = place == self._place and self._clock.monotonic() < self._until
        return refused(Trouble.UNREACHABLE) if is_down else None


class TestOutages:
    LONGEST_PAUSE = 15 * MINUTE

    def changed(self, stack: Stack, count: int, seconds: float) -> dict[str, float]:
        """Change parameters, evenly over some seconds from now on; return the time of each change."""
        now = stack.scheduler.monotonic()
        times = {f"/prod/{number:03}": now + number * seconds / count for number in range(count)}
        for name, moment in times.items():
            stack.scheduler.at(moment, partial(stack.put, name, "new"))
        return times

    @pytest.mark.parametrize(("hours", "changes"), [(0.75, 40), (24, 4)])
    def test_a_target_that_is_down_loses_nothing_and_delays_no_other(
        self, scheduler: Scheduler, hours: float, changes: int
    ) -> None:
        stack = replicated(scheduler, [f"/prod/{number:03}" for number in range(changes)], TWO_TARGETS)
        west = stack.world.place("us-west-2")
        times = self.changed(stack, changes, hours * HOUR)
        Outage(stack, west, hours * HOUR)
        back = scheduler.monotonic() + hours * HOUR
        scheduler.run()
        assert_settled(stack, stack.there, west)
        for name, moment in times.items():
            assert written_at(stack, stack.there, name, "new") - moment < MINUTE
            assert written_at(stack, west, name, "new") - back < self.LONGEST_PAUSE + MINUTE

    def test_an_invalid_spec_loses_nothing(self, scheduler: Scheduler) -> None:
        stack = replicated(scheduler, [f"/prod/{number:03}" for number in range(24)])
        stack.runner.restart()
        stack.spec = "version: 2"
        self.changed(stack, 24, 45 * MINUTE)
        back = scheduler.monotonic() + 45 * MINUTE
        scheduler.at(back, partial(setattr, stack, "spec", SPEC))
        scheduler.run()
        assert_settled(stack)
        assert scheduler.monotonic() - back < self.LONGEST_PAUSE + MINUTE


def test_deletes_one_by_one_are_withheld_at_the_limit_of_the_guard(scheduler: Scheduler) -> None:
    names = [f"/prod/{number:03}" for number in range(150)]
    stack = replicated(scheduler, names)
    for number, name in enumerate(names[:60]):
        scheduler.at(scheduler.monotonic() + number, partial(stack.delete, name))
    scheduler.run()
    assert len(stack.world.names(stack.there)) == 140
    assert not stack.queue.messages
    assert not stack.queue.dead


def test_changes_of_12_minutes_among_2_000_parameters_stay_within_the_quotas(scheduler: Scheduler) -> None:
    updated = [f"/prod/u/{number:04}" for number in range(200)]
    deleted = [f"/prod/d/{number:03}" for number in range(20)]
    guards = "guards: { max_deletes: 1000 }\n"
    stack = replicated(scheduler, [*updated, *deleted], SPEC + guards)
    stack.start_whole_run()
    scheduler.run()
    for place in (stack.here, stack.there):
        for number in range(2000 - 220):
            stack.world.put(place, f"/other/{number:05}", "v", tier="Advanced")
    begin = scheduler.monotonic()
    stack.world.restart()
    changes: list[tuple[str, str | None]] = [(name, "new") for name in updated]
    changes += [(name, None) for name in deleted]
    stack.chance.shuffle(changes)
    for number, (name, text) in enumerate(changes):
        act = partial(stack.delete, name) if text is None else partial(stack.put, name, text)
        scheduler.at(begin + number * 12 * MINUTE / len(changes), act)
    scheduler.run()
    traffic = stack.world.timed
    assert not stack.queue.dead
    assert stack.world.names(stack.there)[-200:] == updated
    assert scheduler.monotonic() - begin < 13 * MINUTE
    assert not any(one.throttled for one in traffic.sent)
    for kind, rate in QUOTAS.items():
        for place in (stack.here, stack.there):
            assert traffic.busiest(kind, place, 60) <= rate / 4
            assert traffic.busiest(kind, place, 1) <= rate * BURST_SECONDS
