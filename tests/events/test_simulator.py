"""The simulator of the storm: threads in virtual time, quotas, the queue, and processes that are killed."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from functools import partial

import pytest

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError
from ssm_reconcile.event.messages import HOLD_MARGIN
from tests.events.concurrent_changes import Change, Storm, seconds_needed
from tests.events.concurrent_scheduler import Group, Killed, Lock, Pool, Scheduler
from tests.events.concurrent_stack import BATCH, Stack
from tests.events.concurrent_world import QUOTAS, Chances, TimedWorld
from tests.events.pump import TIMEOUT
from tests.fake_aws.store import MemoryStore
from tests.fake_aws.traffic import Call

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
"""


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    with redirect_stdout(io.StringIO()), Scheduler().installed(monkeypatch) as found:
        yield found


class TestThreads:
    def test_the_thread_with_the_earliest_time_continues(self, scheduler: Scheduler) -> None:
        seen = []

        def walk(name: str, step: float) -> None:
            for _ in range(3):
                scheduler.sleep(step)
                seen.append((name, scheduler.monotonic()))

        scheduler.start(partial(walk, "slow", 3), None)
        scheduler.start(partial(walk, "fast", 2), None)
        scheduler.run()
        expected = [("fast", 2), ("slow", 3), ("fast", 4), ("slow", 6), ("fast", 6), ("slow", 9)]
        assert seen == expected

    def test_a_pool_runs_as_many_calls_at_once_as_it_has_workers(self, scheduler: Scheduler) -> None:
        with Pool(scheduler, max_workers=2) as pool:
            pool.map(scheduler.sleep, [1] * 5)
        assert scheduler.monotonic() == 3

    def test_a_pool_returns_results_in_order_and_raises_errors(self, scheduler: Scheduler) -> None:
        def divide(number: int) -> float:
            scheduler.sleep(number)
            return 6 / number

        with Pool(scheduler, max_workers=3) as pool:
            assert list(pool.map(divide, [3, 2, 1])) == [2, 3, 6]
            failed = pool.submit(divide, 0)
        with pytest.raises(ZeroDivisionError):
            failed.result()

    def test_a_lock_is_held_by_one_thread(self, scheduler: Scheduler) -> None:
        lock, seen = Lock(scheduler), []

        def work(number: int) -> None:
            with lock:
                seen.append(number)
                scheduler.sleep(1)
                seen.append(number)

        with Pool(scheduler, max_workers=3) as pool:
            pool.map(work, range(3))
        assert seen == [0, 0, 1, 1, 2, 2]

    def test_an_error_of_a_thread_is_raised_in_the_test(self, scheduler: Scheduler) -> None:
        scheduler.start(lambda: 1 / 0, None)
        with pytest.raises(ZeroDivisionError):
            scheduler.run()

    def test_a_killed_group_makes_no_call_any_more(self, scheduler: Scheduler) -> None:
        world = TimedWorld(scheduler, random.Random(1))  # noqa: S311 - a repeatable test
        store = MemoryStore(world, world.place("us-east-1"))
        group, seen = Group(), []

        def work() -> None:
            try:
                with Pool(scheduler, max_workers=2) as pool:
                    list(pool.map(store.tags, "ab"))
            finally:
                seen.append(group.killed)
                store.tags("c")

        scheduler.start(work, group)
        scheduler.at(0.001, partial(scheduler.kill, group))
        scheduler.run()
        assert seen == [True]
        assert not world.timed.sent
        assert scheduler.monotonic() == 0.001

    def test_an_invocation_is_killed_in_the_sleep_that_was_chosen(self, scheduler: Scheduler) -> None:
        seen: list[float] = []
        group = Group(fatal=3)

        def work() -> None:
            try:
                while True:
                    scheduler.sleep(1)
                    seen.append(scheduler.monotonic())
            except Killed:
                seen.append(-1)
                raise

        scheduler.start(work, group)
        scheduler.run()
        assert seen == [1, 2, -1]


class TestAws:
    def test_the_quota_refuses_what_is_above_it(self, scheduler: Scheduler) -> None:
        world = TimedWorld(scheduler, random.Random(1))  # noqa: S311 - a repeatable test
        store = MemoryStore(world, world.place("us-east-1"))
        done = 0
        while scheduler.monotonic() < 60:
            try:
                store.tags("a")
                done += 1
            except StoreError as refusal:
                assert refusal.code == "ThrottlingException"  # noqa: PT017 - most calls are refused
        rate = QUOTAS[CallClass.LIST_TAGS]
        assert 60 * rate <= done <= 62 * rate + 1

    def test_faults_have_the_shares_that_were_chosen(self) -> None:
        chance = random.Random(1)  # noqa: S311 - a repeatable test
        chances = Chances(throttled=0.05, broken=0.01, unanswered=0.02)
        faults = [fault for _ in range(10_000) if (fault := chances.fault(chance)) is not None]
        codes = [fault.code for fault in faults]
        assert 700 < len(faults) < 900
        assert 70 < codes.count("InternalServerError") < 130
        assert 150 < codes.count("ConnectionClosedError") < 250
        assert 200 < sum(fault.done for fault in faults) < 300

    def test_the_same_seed_gives_the_same_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def calls(seed: int) -> list[tuple[Call, float]]:
            scheduler = Scheduler()
            with redirect_stdout(io.StringIO()), scheduler.installed(monkeypatch):
                stack = Stack(scheduler, SPEC, seed=seed, chances=Chances(0.05, 0.01, 0.01))
                Storm(stack, events=60, names=20, seconds=60)
                scheduler.run()
            return [(one.call, one.at) for one in stack.world.timed.sent]

        first = calls(1)
        assert calls(1) == first
        assert calls(2) != first

    def test_the_quota_needs_a_third_of_a_second_for_each_name(self) -> None:
        once = [Change(number, f"/{number}", "v", 0.0) for number in range(306)]
        assert seconds_needed(once) == pytest.approx(100)
        again = [*once, *(Change(number, f"/{number}", "w", 0.0) for number in range(306))]
        assert seconds_needed(again) == pytest.approx(100)
        gone = [*once, *(Change(number, f"/{number}", None, 0.0) for number in range(153))]
        assert seconds_needed(gone) == pytest.approx(49)


class TestProcesses:
    def test_batches_of_the_template_run_up_to_the_concurrency(self, scheduler: Scheduler) -> None:
        stack = Stack(scheduler, SPEC, concurrency=3)
        for number in range(120):
            stack.put(f"/prod/{number}", "v")
        scheduler.run()
        started = stack.runner.started
        sizes = [len(one.event["Records"]) for one in started]
        running = [sum(o.at <= one.at < (o.ended or 0) for o in started) for one in started]
        assert sum(sizes) == 120
        assert max(sizes) == BATCH
        assert max(running) == 3
        assert stack.runner.processes == 3

    def test_messages_of_a_killed_invocation_return_to_a_new_process(self, scheduler: Scheduler) -> None:
        stack = Stack(scheduler, SPEC)
        stack.put("/prod/a", "v")
        stack.world.before("DescribeParameters", lambda: scheduler.kill(stack.runner.started[0].group))
        scheduler.run()
        first, second = stack.runner.started
        assert first.killed
        assert not second.killed
        assert TIMEOUT < second.at - first.at < TIMEOUT + HOLD_MARGIN + 10
        assert stack.runner.processes == 2
        assert stack.world.value(stack.there, "/prod/a") == "v"

    def test_an_invocation_is_killed_at_the_timeout(self, scheduler: Scheduler) -> None:
        stack = Stack(scheduler, SPEC)
        stack.world.before("PutParameter", partial(scheduler.sleep, 10_000))
        stack.put("/prod/a", "v")
        scheduler.run()
        first, second = stack.runner.started
        assert first.killed
        assert first.ended == pytest.approx(first.at + TIMEOUT, abs=2)
        assert not second.killed

    def test_a_message_that_comes_too_often_becomes_a_dead_letter(self, scheduler: Scheduler) -> None:
        stack = Stack(scheduler, SPEC)
        stack.queue.most = 3
        stack.world.before("DescribeParameters", partial(scheduler.sleep, 10_000), times=100)
        stack.queue.send("/prod/a")
        scheduler.run()
        assert len(stack.runner.started) == 3
        assert stack.queue.dead == ["/prod/a"]

    def test_a_message_that_is_too_old_is_gone(self, scheduler: Scheduler) -> None:
        stack = Stack(scheduler, SPEC)
        stack.queue.most = 100_000
        stack.queue.retention = timedelta(hours=6)
        stack.world.before("DescribeParameters", partial(scheduler.sleep, 10_000), times=10_000)
        stack.queue.send("/prod/a")
        scheduler.run()
        assert stack.queue.expired == ["/prod/a"]
        assert scheduler.monotonic() >= 6 * 3600

    def test_some_events_and_messages_come_twice(self, scheduler: Scheduler) -> None:
        stack = Stack(scheduler, SPEC, repeated=0.5)
        for number in range(40):
            stack.put(f"/prod/{number}", "v")
        scheduler.run()
        received = [record["body"] for one in stack.runner.started for record in one.event["Records"]]
        assert len(received) > 50
        assert len(set(received)) == 40
