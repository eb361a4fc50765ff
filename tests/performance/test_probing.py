"""Probing beside a second client on the same quota, in virtual time: most throttled calls of both, and rates.

One scene: eight workers of ours send PutParameter calls as fast as their bucket allows, for ten or twenty
minutes. A second client calls at a share of the quota, all the time or in a part of it. Arrivals vary, as in
a network, and each client repeats its throttled calls.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, product

import pytest

from benchmarks.quotas import Bucket as ServerBucket
from ssm_reconcile.stores.buckets import Bucket
from ssm_reconcile.stores.probing import HIGHEST
from tests.doubles.clock import FakeClock

RATE = 3.0
"""Our configured rate: the lowest default, with which a few throttled calls are the largest part."""
WORKERS = 8
MOST_THROTTLED = 0.005
FEW_THROTTLED = 10
"""Throttled calls of a client that are accepted also if they are a larger part: it sends few calls."""
LEAST_FOUND = {"a second": 0.8, "20 calls": 0.8, "a minute": 0.7}
"""The rate found, as a part of the free quota, by key of BURSTS.

A minute of saved calls lets the rate rise so far that the ceiling is above the quota, twice.
"""
CHANCE = 1.25
"""Factor between two scenes that differ by chance only: the moments of the calls."""
QUOTAS = (1.0, 1.3, 2.0, 4.0, 10.0)
"""Quotas as multiples of the configured rate."""
BURSTS: dict[str, Callable[[float], float]] = {
    "a second": lambda quota: max(1.0, quota),
    "20 calls": lambda _: 20.0,
    "a minute": lambda quota: 60 * quota,
}
ACTIVE: dict[str, Callable[[float, float], bool]] = {
    "constant": lambda now, end: True,
    "starts": lambda now, end: now >= end / 2,
    "stops": lambda now, end: now < end / 2,
    "bursty": lambda now, end: now % 30 < 10,
    "pauses": lambda now, end: now % 300 < 60,
}
SHARES = (0.3, 0.6)


class SceneClock(FakeClock):
    """A clock of a scene; a wait is noted, and the scene goes on at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.time = self.wait = 0.0

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.wait = seconds


@dataclass(slots=True)
class Calls:
    sent: int = 0
    throttled: int = 0

    @property
    def share(self) -> float:
        return self.throttled / max(1, self.sent)

    @property
    def is_rarely_throttled(self) -> bool:
        return self.throttled <= max(FEW_THROTTLED, MOST_THROTTLED * self.sent)


@dataclass(slots=True)
class Scene:
    """One scene.

    Attributes:
        quota: Calls per second that the server admits.
        burst: A key of BURSTS: the calls that the server saves.
        share: The part of the quota that the second client wants while it is active; 0 for none.
        client: A key of ACTIVE: when the second client is active.
        probes: Whether our bucket probes.
        is_full: Whether the server has saved a burst at the start.
        seconds: The duration.
        counted_from: Seconds from which calls are counted.
        seed: Of the moments of the calls.
        rate: Our configured rate.
        workers: Our threads.
        latency: Seconds of each call of ours, beside the time of its way.
        ours: Our calls.
        theirs: The calls of the second client.
        top: Our highest rate.
        found: The rate that was found, to which the bucket returns.
    """

    quota: float
    burst: str
    share: float = 0.0
    client: str = "constant"
    probes: bool = True
    is_full: bool = True
    seconds: float = 1200.0
    counted_from: float = 0.0
    seed: int = 1
    rate: float = RATE
    workers: int = WORKERS
    latency: float = 0.0
    ours: Calls = field(default_factory=Calls)
    theirs: Calls = field(default_factory=Calls)
    top: float = 0.0
    found: float = 0.0

    @property
    def both(self) -> Calls:
        return Calls(self.ours.sent + self.theirs.sent, self.ours.throttled + self.theirs.throttled)

    def run(self) -> Scene:
        clock, chance, numbers = SceneClock(), random.Random(self.seed), count()  # noqa: S311 - the same scene every time, not a secret
        server = ServerBucket(self.quota, BURSTS[self.burst](self.quota))
        if not self.is_full:
            server.tokens = 0.0
        highest = HIGHEST * self.rate if self.probes else 0.0

        def listen(rate: float, *, throttled: bool, found: float = 0.0) -> None:
            self.found = found or self.rate

        bucket = Bucket(self.rate, clock, listen, highest=highest, jitter=chance.random)
        due: list[tuple[float, int, Callable[[], None]]] = []

        def later(seconds: float, act: Callable[[], None]) -> None:
            heapq.heappush(due, (clock.time + seconds, next(numbers), act))

        def note(calls: Calls, *, is_admitted: bool) -> None:
            if clock.time >= self.counted_from:
                calls.sent += 1
                calls.throttled += not is_admitted

        def send(tries: int = 0) -> None:
            clock.wait = 0.0
            bucket.take()
            way = 0.2 if chance.random() < 0.05 else chance.uniform(0.005, 0.03)
            later(clock.wait + way, lambda: arrive(tries))

        def arrive(tries: int) -> None:
            is_admitted = server.take(clock.time)
            note(self.ours, is_admitted=is_admitted)
            later(0.0125 + self.latency, lambda: receive(tries, is_admitted=is_admitted))

        def receive(tries: int, *, is_admitted: bool) -> None:
            if is_admitted:
                bucket.admit()
                send()
            else:
                bucket.reduce()
                later(chance.random() * min(20, 0.5 * 2**tries), lambda: send(tries + 1))

        def other() -> None:
            later(chance.uniform(0.5, 1.5) / (self.share * self.quota), other)
            if ACTIVE[self.client](clock.time, self.seconds):
                try_other()

        def try_other() -> None:
            is_admitted = server.take(clock.time)
            note(self.theirs, is_admitted=is_admitted)
            if not is_admitted:
                later(chance.uniform(0.5, 1.5), try_other)

        for _ in range(self.workers):
            send()
        if self.share:
            other()
        while due[0][0] < self.seconds:
            clock.time, _, act = heapq.heappop(due)
            act()
            self.top = max(self.top, bucket.rate)
        return self


ALL = tuple(product(QUOTAS, BURSTS, ACTIVE, SHARES))
FITTING = [one for one in ALL if one[0] * (1 - one[3]) >= 1 and (one[0] < 10 or one[3] == SHARES[-1])]
"""Scenes in which the quota holds our configured rate and the second client."""
SMALL = [one for one in ALL if one[0] * (1 - one[3]) < 1]
EXCEEDING = [one for one in SMALL if one[2] not in {"starts", "pauses"}]
STARTING = [one for one in SMALL if one[2] == "starts"]


@pytest.mark.parametrize(
    ("quota", "burst", "client", "share", "seconds", "seed", "rate"),
    [(*one, *((600, 2, 5), (1200, 3, 3))[number % 2]) for number, one in enumerate(FITTING)],
)
def test_both_clients_are_rarely_throttled(
    quota: float, burst: str, client: str, share: float, seconds: float, seed: int, rate: float
) -> None:
    scene = Scene(quota * rate, burst, share, client, seconds=seconds, seed=seed, rate=rate).run()
    assert scene.ours.is_rarely_throttled, scene.ours
    assert scene.theirs.is_rarely_throttled, scene.theirs
    assert scene.top <= HIGHEST * rate


@pytest.mark.parametrize(
    ("quota", "burst", "share"), [(q, b, s) for q, b, client, s in FITTING if client == "constant"]
)
def test_probing_finds_the_free_quota_beside_a_constant_client(
    quota: float, burst: str, share: float
) -> None:
    scene = Scene(quota * RATE, burst, share).run()
    assert scene.found >= max(RATE, LEAST_FOUND[burst] * min(HIGHEST * RATE, scene.quota * (1 - share)))


@pytest.mark.parametrize("latency", [0.15, 0.2, 0.25])
@pytest.mark.parametrize("rate", [3.0, 5.0])
def test_calls_one_after_the_other_are_not_slower_with_probing(rate: float, latency: float) -> None:
    with_probing, without = (
        Scene(20.0, "20 calls", rate=rate, probes=probes, workers=1, latency=latency).run().ours.sent
        for probes in (True, False)
    )
    assert with_probing >= without


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("quota", QUOTAS)
def test_probing_alone_finds_the_quota(quota: float, burst: str) -> None:
    scene = Scene(quota * RATE, burst).run()
    assert scene.ours.is_rarely_throttled
    assert scene.top <= HIGHEST * RATE
    assert scene.found >= max(RATE, LEAST_FOUND[burst] * min(HIGHEST * RATE, scene.quota))


@pytest.mark.parametrize(("quota", "burst", "client", "share"), EXCEEDING)
def test_demands_above_the_quota_are_throttled_as_without_probing(
    quota: float, burst: str, client: str, share: float
) -> None:
    """Nothing is saved at the start: the first throttled response comes before the first step."""
    probing, without = (
        Scene(quota * RATE, burst, share, client, is_full=False, probes=probes, seconds=600.0).run()
        for probes in (True, False)
    )
    assert (probing.ours, probing.theirs) == (without.ours, without.theirs)


@pytest.mark.parametrize(("quota", "burst", "client", "share"), STARTING)
def test_the_configured_rate_returns_when_a_second_client_starts_and_exceeds_the_quota(
    quota: float, burst: str, client: str, share: float
) -> None:
    assert Scene(quota * RATE, burst, share, client).run().found <= RATE


@pytest.mark.parametrize(
    ("quota", "burst", "client", "share"), [one for one in STARTING if one[1] != "a minute"]
)
def test_calls_are_throttled_as_without_probing_after_a_second_client_starts(
    quota: float, burst: str, client: str, share: float
) -> None:
    """Counted from a minute after its start. Without probing, a burst of a minute would last to the end."""
    probing, without = (
        Scene(quota * RATE, burst, share, client, probes=probes, counted_from=660.0).run()
        for probes in (True, False)
    )
    assert probing.both.share <= CHANCE * without.both.share


@pytest.mark.parametrize("burst", BURSTS)
def test_without_probing_a_quota_of_the_default_throttles_nothing(burst: str) -> None:
    scene = Scene(RATE, burst, probes=False).run()
    assert (scene.ours.throttled, scene.top) == (0, RATE)
    assert scene.ours.sent >= 1200 * RATE
