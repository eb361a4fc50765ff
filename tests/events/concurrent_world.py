"""A world in virtual time: each call takes a while, passes a quota that all callers share, and may fail.

    Quota         a token bucket on the side of AWS: a call above it is refused with ThrottlingException
    Chances       the shares of calls that fail
    TimedTraffic  request, quota, fault, effect, response
    TimedWorld    the world with that traffic; `watch` is called after each change of a parameter
    RatedStore    the store with the rates and retries of the real one (`stores.calls`)

The rates are those that AWS documents or has named (`aws_limits.CALL_RATES` has the sources). The burst of
two seconds and the time of a call are assumptions.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

from ssm_reconcile.aws_limits import CALL_CLASSES, CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Parameter, Place, canonical
from ssm_reconcile.stores.buckets import Rates
from ssm_reconcile.stores.calls import Calls, attempt, retrying
from ssm_reconcile.stores.session import CONNECT_SECONDS
from ssm_reconcile.system import Clock
from tests.events.concurrent_scheduler import Scheduler
from tests.fake_aws.request import Request
from tests.fake_aws.rules import PAGE
from tests.fake_aws.store import MemoryStore, Page, View
from tests.fake_aws.traffic import Call, Fault, Traffic, lost, refused
from tests.fake_aws.world import ACCOUNT, World

_Answer = TypeVar("_Answer")

QUOTAS: Mapping[CallClass, float] = {
    CallClass.DESCRIBE: 10,  # not public
    CallClass.GET: 40,
    CallClass.PUT: 3,
    CallClass.DELETE: 5,
    CallClass.TAGS: 5,
    CallClass.LIST_TAGS: 5,
    CallClass.RESOURCES: 15,
    CallClass.KMS: 500,
}
"""Calls per second of an account in a region."""
BURST_SECONDS = 2.0
MILLISECONDS: Mapping[str, tuple[float, float]] = {
    "GetParameters": (10, 40),
    "ListTagsForResource": (10, 40),
    "DescribeParameters": (20, 60),
    "GetResources": (20, 60),
    "PutParameter": (30, 60),
    "AddTagsToResource": (20, 50),
    "RemoveTagsFromResource": (20, 50),
    "DeleteParameters": (30, 60),
}
"""The shortest and the longest time of a call; others take 10 to 60."""


@dataclass(slots=True)
class Quota:
    """A token bucket that refuses."""

    rate: float
    tokens: float
    updated: float = 0.0

    def admits(self, now: float) -> bool:
        self.tokens = min(self.rate * BURST_SECONDS, self.tokens + (now - self.updated) * self.rate)
        self.updated = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Chances:
    """The shares of calls that are throttled, that fail with HTTP 500, and whose response is lost.

    Of the failures with HTTP 500, half have had their effect.
    """

    throttled: float = 0.0
    broken: float = 0.0
    unanswered: float = 0.0

    def fault(self, chance: random.Random) -> Fault | None:
        drawn = chance.random()
        if drawn < self.throttled:
            return refused(Trouble.THROTTLED)
        drawn -= self.throttled
        if drawn < self.broken:
            return lost(done=drawn < self.broken / 2, code="InternalServerError")
        drawn -= self.broken
        return lost(done=True, code="ConnectionClosedError") if drawn < self.unanswered else None


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: its time, whether the quota refused it."""

    call: Call
    at: float
    throttled: bool


class TimedTraffic(Traffic):
    """Carries calls in virtual time."""

    def __init__(self, scheduler: Scheduler, chance: random.Random, chances: Chances) -> None:
        super().__init__()
        self.chances = chances
        self.sent: list[Sent] = []
        self._scheduler = scheduler
        self._chance = chance
        self._quotas: dict[tuple[Place, CallClass], Quota] = {}

    def travel(self, shortest: float, longest: float) -> None:
        """Let half of the time of a call pass, which is given in milliseconds."""
        self._scheduler.sleep(self._chance.uniform(shortest, longest) / 2000)

    def perform(
        self, call: Call, effect: Callable[[], _Answer], *, skip: Callable[[_Answer], _Answer] | None = None
    ) -> _Answer:
        """One call: it travels, passes the quota, is struck or done, and its response travels."""
        times = MILLISECONDS.get(call.operation, (10, 60))
        self.travel(*times)
        admitted = self._admits(call)
        self.sent.append(Sent(call, self._scheduler.monotonic(), not admitted))
        fault = self.chances.fault(self._chance) if admitted else refused(Trouble.THROTTLED)
        try:
            if fault is not None and not fault.done:
                fault.strike(call)
            answer = super().perform(call, effect, skip=skip)
        except StoreError as failure:
            self._scheduler.sleep(CONNECT_SECONDS if failure.kind is Trouble.UNREACHABLE else 0)
            raise
        finally:
            self.travel(*times)
        if fault is not None:
            fault.strike(call)
        return answer

    def _admits(self, call: Call) -> bool:
        kind = CALL_CLASSES[call.operation]
        if call.operation == "GetCallerIdentity":
            return True
        rate = QUOTAS[kind]
        quota = self._quotas.setdefault((call.place, kind), Quota(rate, rate * BURST_SECONDS))
        return quota.admits(self._scheduler.monotonic())

    def table(self, place: Place | None = None) -> Counter[str]:
        """Return the number of requests by operation, those that were refused by the quota included."""
        return Counter(one.call.operation for one in self.sent if place in (None, one.call.place))

    def busiest(self, kind: CallClass, place: Place, seconds: int) -> float:
        """Return the highest rate of a class of calls over so many seconds."""
        counts = Counter(
            int(one.at // seconds)
            for one in self.sent
            if one.call.place == place and CALL_CLASSES[one.call.operation] is kind
        )
        return max(counts.values(), default=0) / seconds


@dataclass(frozen=True, slots=True)
class Written:
    """One version of a parameter as the function wrote it; `text` is None for a delete."""

    place: Place
    name: str
    text: str | None
    at: float


class TimedWorld(World):
    """A world in virtual time. `written` is what the function wrote; `watch` is called after each change."""

    def __init__(self, scheduler: Scheduler, chance: random.Random, chances: Chances | None = None) -> None:
        super().__init__(scheduler)
        self._scheduler = scheduler
        self.timed = self.traffic = TimedTraffic(scheduler, chance, chances or Chances())
        self.written: list[Written] = []
        self.watch: Callable[[Place, str], object] = lambda place, name: None

    def restart(self) -> None:
        """Forget what was called and written so far."""
        self.timed.forget()
        self.timed.sent.clear()
        self.written.clear()

    def write(self, place: Place, request: Request, user: str) -> int:
        version = super().write(place, request, user)
        self._record(place, request.name, request.value.reveal())
        return version

    def delete(self, place: Place, *names: str) -> None:
        super().delete(place, *names)
        for name in names:
            self._record(place, name, None)

    def _record(self, place: Place, name: str, text: str | None) -> None:
        if self._scheduler.group is not None:  # otherwise another writer
            self.written.append(Written(place, canonical(name), text, self.clock.monotonic()))
        self.watch(place, canonical(name))


class RatedStore(MemoryStore):
    """A place with the rates and retries of the real store. A read by name is one call for fifty names."""

    def __init__(self, world: TimedWorld, place: Place, calls: Calls) -> None:
        super().__init__(world, place, buckets=calls.rates)
        self._calls = calls

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        wanted = sorted({canonical(name) for name in names})
        found: dict[str, Parameter] = {}
        for start in range(0, len(wanted), PAGE):
            batch = wanted[start : start + PAGE]
            found |= self._call("DescribeParameters", tuple(batch), partial(self._named, batch))
        return found

    def await_turn(self, step: CallClass) -> None:
        self._calls.rates[step].take()
        super().await_turn(step)

    def _named(self, names: list[str]) -> dict[str, Parameter]:
        view = self._view(self.world.lag.describe).stored
        return {name: view[name].latest.parameter for name in names if name in view}

    def _view(self, lag: timedelta) -> View:
        """Return the visible state. Names are sorted for a listing only: that of 30,000 takes long."""
        if lag:
            return super()._view(lag)
        return View((), self._region.parameters)

    def _page(self, lag: timedelta, after: str, size: int, *, tagged: bool) -> Page:
        return super()._view(lag).page(after, size, tagged=tagged)

    def _send(
        self, call: Call, effect: Callable[[], _Answer], skip: Callable[[_Answer], _Answer] | None = None
    ) -> _Answer:
        send = partial(self.world.traffic.perform, call, effect, skip=skip)
        return (self._calls.write if call.writes else self._calls.read)(call.operation, send)


@dataclass(slots=True)
class Opener:
    """Opens places as `ssm.Aws` does: the places of one process share their rates."""

    world: TimedWorld
    clock: Clock
    chance: random.Random
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        self.rates = Rates(self.clock)

    def connect(self, access: Access) -> RatedStore:
        account = access.role_arn.split(":")[4] if access.role_arn else ACCOUNT
        place = self.world.place(access.region, account)

        def identify() -> StoreError | None:
            call = Call("GetCallerIdentity", place)
            send = partial(self.world.traffic.perform, call, lambda: None)
            return attempt(send, operation=call.operation, place=str(place))

        retrying(identify, self.clock, self.chance.random)
        buckets = self.rates.of(place, access.rates, read_only=access.read_only)
        return RatedStore(
            self.world, place, Calls(str(place), "function", buckets, self.clock, self.chance.random)
        )
