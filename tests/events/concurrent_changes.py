"""Random changes at the source in virtual time, the time at which each is done, and what they need at least.

A change is done when the target holds its value or the value of a later change, or when source and target
hold the same. An event whose invocation was killed may wait for the visibility timeout: `Change` has the
numbers of the invocations that received it.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.model import Place
from tests.events.concurrent_stack import Stack
from tests.events.concurrent_world import BURST_SECONDS, QUOTAS

PEACE = 3600.0
"""Seconds between the whole run and the first change."""
RECREATED_AFTER = 31.0
"""Seconds; AWS refuses a create within thirty seconds of the delete."""


@dataclass(eq=False, slots=True)
class Change:
    """One change at the source: its value, None for a delete, and when it was done."""

    number: int
    name: str
    text: str | None
    at: float
    event: str = ""
    done: float | None = None
    invocations: set[int] = field(default_factory=set)


class Storm:
    """Changes of some names over some seconds from now on, one after the other, at random times.

    Four of five names exist before, with a replica that a whole run has made and counted.
    """

    def __init__(
        self, stack: Stack, *, events: int, names: int, seconds: float, deletes: float = 0.05, seed: int = 1
    ) -> None:
        self.stack = stack
        self.changes: list[Change] = []
        self._chance = random.Random(f"storm {seed}")  # noqa: S311 - a repeatable test
        self._names = [f"/prod/{number % 20:02}/{number:04}" for number in range(names)]
        self._deletes = deletes
        self._deleted: dict[str, float] = {}
        self._pending: dict[str, list[Change]] = {}
        for name in self._names[: names * 4 // 5]:
            stack.world.put(stack.here, name, "value -1")
        stack.start_whole_run()
        stack.scheduler.run()
        stack.scheduler.sleep(PEACE)
        self.begin = stack.scheduler.monotonic()
        stack.world.restart()
        stack.world.watch = self._watch
        for moment in sorted(self._chance.uniform(0, seconds) for _ in range(events)):
            stack.scheduler.at(self.begin + moment, self._change)

    def _change(self) -> None:
        now = self.stack.scheduler.monotonic() - self.begin
        while True:
            name = self._chance.choice(self._names)
            if now - self._deleted.get(name, -RECREATED_AFTER) >= RECREATED_AFTER:
                break
        exists = self.stack.world.peek(self.stack.here, name) is not None
        goes = exists and self._chance.random() < self._deletes
        number = len(self.changes)
        one = Change(number, name, None if goes else f"value {number}", now)
        self.changes.append(one)
        self._pending.setdefault(name, []).append(one)
        operation = "Delete" if goes else "Update" if exists else "Create"
        event = self.stack.event(self.stack.here, name, operation)
        one.event = event["id"]
        if one.text is None:
            self._deleted[name] = now
            self.stack.world.delete(self.stack.here, name)
        else:
            self.stack.world.put(self.stack.here, name, one.text)
        self.stack.publish(event)

    def _watch(self, place: Place, name: str) -> None:
        world, now = self.stack.world, self.stack.scheduler.monotonic() - self.begin
        found, wanted = world.value(self.stack.there, name), world.value(self.stack.here, name)
        reached = -1 if found is None else int(found.removeprefix("value "))
        left = []
        for one in self._pending.get(name, ()):
            if found == wanted or one.number <= reached:
                one.done = now
            else:
                left.append(one)
        self._pending[name] = left

    # What came of it

    def settle(self) -> None:
        """Note which invocations had each change."""
        by_event = {one.event: one for one in self.changes}
        for invocation in self.stack.runner.started:
            for record in invocation.event["Records"]:
                by_event[json.loads(record["body"])["id"]].invocations.add(invocation.number)

    def spared(self) -> list[Change]:
        """Return the changes none of whose invocations was killed."""
        killed = {one.number for one in self.stack.runner.started if one.killed}
        return [one for one in self.changes if not one.invocations & killed]

    def done_within(self, share: float, changes: Sequence[Change]) -> float:
        """Return the seconds after which that share of the changes is done."""
        times = sorted(math.inf if one.done is None else one.done for one in changes)
        return times[math.ceil(share * len(times)) - 1]

    def burnt(self) -> Counter[str]:
        """Return the number of writes of each version of the source."""
        return Counter(one.text for one in self.stack.world.written if one.text is not None)


def seconds_needed(changes: Iterable[Change]) -> float:
    """Return the seconds that the quota of PutParameter needs for the changes.

    A single writer knows each change at once, writes the names in the order of their changes, each with its
    latest value, and needs no time for anything else. Deletes have a quota of their own.
    """
    rate = QUOTAS[CallClass.PUT]
    tokens = most = rate * BURST_SECONDS
    waiting: deque[str] = deque()
    latest: dict[str, str | None] = {}
    now = last = 0.0
    events = deque(changes)
    while events or waiting:
        ready = now + max(0.0, (1 - tokens) / rate) if waiting else math.inf
        moment = min(ready, events[0].at if events else math.inf)
        tokens, now = min(most, tokens + (moment - now) * rate), moment
        if events and events[0].at <= now:
            change = events.popleft()
            if change.name not in waiting:
                waiting.append(change.name)
            latest[change.name] = change.text
            continue
        if latest[waiting.popleft()] is not None:
            tokens -= 1
            last = now
    return last
