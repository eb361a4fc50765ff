"""A storm of changes with several invocations at once, AWS's quotas, faults, lost responses and kills.

1,000 events on 250 names: creates, updates, deletes, and creates half a minute after a delete. Events and
messages are delivered in any order, some twice. All processes share the quotas of the accounts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from itertools import pairwise

import pytest

from tests.events.concurrent_changes import Storm, seconds_needed
from tests.events.concurrent_scheduler import Scheduler
from tests.events.concurrent_stack import VISIBILITY, Stack
from tests.events.concurrent_world import Chances

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
guards: { max_deletes: 1000, max_change_percent: 100 }
"""
SECONDS = 60.0
"""Time in which the events arrive: about twice as fast as their writes are possible."""
FAULTS = Chances(throttled=0.05, broken=0.01, unanswered=0.01)
KILLED = 0.03
TABLE_FAILS = 0.005
REPEATED = 0.01
SLOWER = 1.3


@pytest.fixture(scope="module")
def storm() -> Iterator[Storm]:
    """A storm with four invocations at once that is over."""
    scheduler = Scheduler()
    with scheduler.installed(pytest.MonkeyPatch()):
        stack = Stack(scheduler, SPEC, concurrency=4, repeated=REPEATED)
        found = Storm(stack, events=1000, names=250, seconds=SECONDS)
        stack.world.timed.chances = FAULTS
        stack.table.failing = TABLE_FAILS
        stack.runner.killed_share = KILLED
        scheduler.run()
        found.settle()
        yield found


def test_the_storm_is_what_it_should_be(storm: Storm) -> None:
    """Every kind of change and every fault happened, in invocations that ran at the same time."""
    started = storm.stack.runner.started
    assert len(storm.changes) == 1000
    assert len({one.name for one in storm.changes}) >= 240
    assert sum(one.text is None for one in storm.changes) > 15
    assert any(one.killed for one in started)
    assert any(later.at < (one.ended or 0) for one, later in pairwise(started))
    operations = storm.stack.world.timed.table()
    assert operations.keys() >= {"PutParameter", "AddTagsToResource", "DeleteParameters"}


def test_source_and_target_are_equal_at_the_end(storm: Storm) -> None:
    world, here, there = storm.stack.world, storm.stack.here, storm.stack.there
    expected = {name: world.value(here, name) for name in world.names(here)}
    assert {name: world.value(there, name) for name in world.names(there)} == expected


def test_no_message_is_lost(storm: Storm) -> None:
    queue = storm.stack.queue
    assert not queue.messages
    assert not queue.dead
    assert not queue.expired
    assert all(one.done is not None for one in storm.changes)


def test_each_version_of_the_source_is_written_at_most_once(storm: Storm) -> None:
    assert {text: times for text, times in storm.burnt().items() if times > 1} == {}


def test_changes_are_done_nearly_as_fast_as_the_write_quota_permits(storm: Storm) -> None:
    limit = SLOWER * seconds_needed(storm.changes)
    assert storm.done_within(0.95, storm.spared()) <= limit


def test_all_changes_are_done_within_the_visibility_timeout_after_that(storm: Storm) -> None:
    limit = SLOWER * seconds_needed(storm.changes) + VISIBILITY
    assert storm.done_within(1.0, storm.changes) <= limit


def kill_every_fifth(storm: Storm) -> None:
    storm.stack.runner.killed_share = 0.2


def take_the_table_away(storm: Storm) -> None:
    scheduler, table = storm.stack.scheduler, storm.stack.table
    scheduler.at(storm.begin + 5, partial(setattr, table, "failing", 2.0))
    scheduler.at(storm.begin + 65, partial(setattr, table, "failing", 0.0))


def start_whole_runs(storm: Storm) -> None:
    for seconds in (5, 30, 55, 80):
        storm.stack.scheduler.at(storm.begin + seconds, storm.stack.start_whole_run)


def refuse_more_calls(storm: Storm) -> None:
    storm.stack.world.timed.chances = Chances(throttled=0.15, broken=0.05, unanswered=0.05)


@pytest.mark.parametrize(
    "trouble", [kill_every_fifth, take_the_table_away, start_whole_runs, refuse_more_calls]
)
def test_a_storm_with_more_trouble_converges_all_the_same(
    monkeypatch: pytest.MonkeyPatch, trouble: Callable[[Storm], None]
) -> None:
    scheduler = Scheduler()
    with redirect_stdout(io.StringIO()), scheduler.installed(monkeypatch):
        stack = Stack(scheduler, SPEC, concurrency=3, repeated=REPEATED)
        storm = Storm(stack, events=200, names=50, seconds=20)
        stack.world.timed.chances = FAULTS
        trouble(storm)
        scheduler.run()
    test_source_and_target_are_equal_at_the_end(storm)
    test_no_message_is_lost(storm)
    if trouble is not take_the_table_away:  # without leases, two invocations may write the same version
        test_each_version_of_the_source_is_written_at_most_once(storm)
