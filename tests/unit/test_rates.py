"""Token buckets, with a clock that the tests turn."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from ssm_reconcile.aws_limits import CALL_RATES, CallClass
from ssm_reconcile.model import Access, Place
from ssm_reconcile.stores.buckets import Bucket, Rates
from ssm_reconcile.stores.calls import Calls
from ssm_reconcile.stores.ssm import Aws
from tests.doubles.clock import FakeClock

HERE = Place("111111111111", "us-east-1")


def after(clock: FakeClock, seconds: float) -> None:
    clock.advance(timedelta(seconds=seconds))


def test_a_burst_goes_out_at_once_and_the_rest_at_the_rate() -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock)
    for _ in range(10):
        bucket.take()
    assert clock.slept == pytest.approx([0.25] * 8)
    assert clock.monotonic() == pytest.approx(2.0)


@pytest.mark.parametrize("rate", [3.0, 5.0, 15.0, 40.0])
def test_calls_that_arrive_unevenly_still_fit_into_a_quota_that_saves_up_a_second(rate: float) -> None:
    """The same rate on both sides, and each call is up to a third of a second under way."""
    clock = FakeClock()
    bucket = Bucket(rate, clock)
    arrivals = []
    for number in range(200):
        bucket.take()
        arrivals.append(clock.monotonic() + (0.3 if number % 7 == 0 else 0.02))
    left, counted = rate, 0.0
    for arrival in sorted(arrivals):
        left = min(rate, left + (arrival - counted) * rate) - 1
        counted = arrival
        assert left > -0.001, "throttled"


def test_a_pause_never_saves_up_more_than_one_burst() -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock)
    after(clock, 3600)
    for _ in range(3):
        bucket.take()
    assert clock.slept == pytest.approx([0.25])


def test_a_high_rate_has_a_modest_burst() -> None:
    clock = FakeClock()
    bucket = Bucket(1000, clock)
    for _ in range(11):
        bucket.take()
    assert clock.slept == pytest.approx([0.001])


def test_a_rate_below_one_a_second_still_lets_the_first_call_out() -> None:
    clock = FakeClock()
    bucket = Bucket(0.5, clock)
    bucket.take()
    assert clock.slept == []
    bucket.take()
    assert clock.slept == pytest.approx([2.0])


class StandingClock(FakeClock):
    """Notes the waits and lets no time pass: everybody arrives at the same moment."""

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)


def test_threads_that_arrive_together_are_let_out_one_after_the_other() -> None:
    clock = StandingClock()
    bucket = Bucket(2, clock)  # one at once, then one each half second
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda _: bucket.take(), range(40)))
    assert sorted(clock.slept) == pytest.approx([n / 2 for n in range(1, 40)])


def test_throttling_cuts_the_rate_and_takes_the_burst_away() -> None:
    clock = FakeClock()
    bucket = Bucket(10, clock)
    bucket.reduce()
    assert bucket.rate == pytest.approx(7)
    bucket.take()
    assert clock.slept == pytest.approx([1 / 7])


def test_throttled_answers_of_one_second_count_once() -> None:
    clock = FakeClock()
    bucket = Bucket(10, clock)
    for _ in range(20):
        bucket.reduce()
    assert bucket.rate == pytest.approx(7)
    after(clock, 1)
    bucket.reduce()
    assert bucket.rate == pytest.approx(4.9, abs=0.5)


def test_responses_of_calls_that_had_their_turn_before_a_cut_do_not_cut_again() -> None:
    """Twenty calls in ten seconds were let out at the old rate: their refusals are one and the same."""
    clock = StandingClock()
    bucket = Bucket(2, clock)
    for _ in range(21):
        bucket.take()
    bucket.reduce()
    for _ in range(9):
        after(clock, 1)
        before = bucket.rate
        bucket.reduce()
        assert bucket.rate == before
    after(clock, 2)
    before = bucket.rate
    bucket.reduce()
    assert bucket.rate < before


def test_the_rate_comes_back_fast_then_waits_and_grows_no_further_than_configured() -> None:
    clock = FakeClock()
    bucket = Bucket(10, clock)
    bucket.reduce()
    after(clock, 5)
    assert 8.5 < bucket.rate < 9.5
    after(clock, 10)
    assert bucket.rate == pytest.approx(9.5)
    after(clock, 600)
    assert bucket.rate == pytest.approx(10)


@pytest.mark.parametrize("quota", [1.0, 2.5, 4.0])
@pytest.mark.parametrize(("reports_all", "used", "most_refused"), [(False, 0.85, 0.12), (True, 0.8, 0.25)])
def test_a_quota_that_is_lower_than_configured_is_found_and_held(
    quota: float, used: float, most_refused: float, *, reports_all: bool
) -> None:
    """Calls that are admitted in between make the bucket more patient."""
    clock = FakeClock()
    bucket = Bucket(5, clock)
    left, counted, admitted, refused = quota, 0.0, 0, 0
    while clock.monotonic() < 600:
        bucket.take()
        now = clock.monotonic()
        left = min(max(quota, 1.0), left + (now - counted) * quota)
        counted = now
        if left >= 1:
            left -= 1
            admitted += 1
            if reports_all:
                bucket.admit()
        else:
            refused += 1
            bucket.reduce()
    assert admitted > used * 600 * quota
    assert refused < most_refused * (admitted + refused)
    after(clock, 60)
    assert bucket.rate == 5, "without throttling, the full rate returns"


@pytest.mark.parametrize(("admitted", "is_cut"), [(0, True), (4, True), (5, False), (50, False)])
def test_a_throttled_call_after_admitted_ones_does_not_lower_the_rate(admitted: int, *, is_cut: bool) -> None:
    clock = FakeClock()
    bucket = Bucket(10, clock)
    for _ in range(admitted):
        bucket.admit()
    bucket.reduce()
    assert (bucket.rate < 10) is is_cut
    after(clock, 2)
    before = bucket.rate
    bucket.reduce()
    assert bucket.rate < before, "the next one follows at once"


def test_one_throttled_call_in_twenty_keeps_the_rate() -> None:
    clock = FakeClock()
    bucket = Bucket(3, clock)
    for number in range(600):
        bucket.take()
        if number % 20 == 7:
            bucket.reduce()
        else:
            bucket.admit()
    assert bucket.rate > 2.9
    assert clock.monotonic() < 600 / 3 * 1.1


def test_a_place_is_called_however_often_it_is_throttled() -> None:
    clock = FakeClock()
    bucket = Bucket(6.4, clock)
    for _ in range(100):
        after(clock, 1)
        bucket.reduce()
    assert 0.1 <= bucket.rate <= 0.3
    clock.slept.clear()
    bucket.take()
    assert sum(clock.slept) < 11


def test_callers_of_one_place_share_its_buckets() -> None:
    clock = FakeClock()
    shared = Rates(clock)
    one, other = shared.of(HERE), shared.of(HERE)
    assert one.keys() == CALL_RATES.keys()
    assert all(one[kind] is other[kind] for kind in one)


class WatchedClock(FakeClock):
    """Records the result of a function at each wait."""

    def __init__(self) -> None:
        super().__init__()
        self.watch: Callable[[], bool] = lambda: False
        self.seen: list[bool] = []

    def sleep(self, seconds: float) -> None:
        self.seen.append(self.watch())
        super().sleep(seconds)


@pytest.mark.threads
def test_at_most_parallelism_reads_of_a_class_are_open_in_one_place_whoever_reads() -> None:
    shared = Aws(clock=FakeClock(), parallelism=4)._rates
    callers = [Calls(str(HERE), "x", shared.of(HERE), FakeClock()) for _ in range(2)]
    lock, all_open, other_class = threading.Lock(), threading.Barrier(4), threading.Event()
    running = most = 0

    def read() -> None:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
        all_open.wait(timeout=10)
        assert other_class.wait(timeout=10), "another class has reads of its own"
        with lock:
            running -= 1

    with ThreadPoolExecutor(24) as pool:
        reads = [pool.submit(callers[n % 2].read, "ListTagsForResource", read) for n in range(24)]
        callers[0].read("GetParameters", other_class.set)
        for one in reads:
            one.result()
    assert most == 4


def test_a_read_takes_its_token_when_it_may_be_open() -> None:
    """Tokens of reads that wait for slow responses would go out at once, above the rate, when these end."""
    clock = WatchedClock()
    buckets = Rates(clock, parallelism=1).of(HERE, (("get", 1.0),))
    slot = buckets[CallClass.GET].open_reads

    def is_slot_free() -> bool:
        is_free = slot.acquire(blocking=False)
        if is_free:
            slot.release()
        return is_free

    clock.watch = is_slot_free
    caller = Calls(str(HERE), "x", buckets, clock)
    for _ in range(3):
        caller.read("GetParameters", lambda: None)
    assert clock.seen == [False, False], "a read that waits for its token has the only slot"


@pytest.mark.parametrize("place", [Place("111111111111", "eu-west-1"), Place("222222222222", "us-east-1")])
def test_another_account_or_region_has_buckets_of_its_own(place: Place) -> None:
    shared = Rates(FakeClock())
    assert shared.of(HERE)[CallClass.PUT] is not shared.of(place)[CallClass.PUT]


def test_operation_classes_do_not_wait_for_each_other() -> None:
    clock = FakeClock()
    buckets = Rates(clock).of(HERE)
    buckets[CallClass.PUT].take()
    buckets[CallClass.DELETE].take()
    assert clock.slept == []
    buckets[CallClass.PUT].take()
    assert clock.slept != []


def test_the_spec_sets_the_rate_of_a_class_over_the_default() -> None:
    buckets = Rates(FakeClock()).of(HERE, (("put", 40.0), ("get", 1.0)))
    assert (buckets[CallClass.PUT].rate, buckets[CallClass.GET].rate) == (40, 1)
    assert buckets[CallClass.DESCRIBE].rate == CALL_RATES[CallClass.DESCRIBE]


def test_the_lower_rate_of_two_specs_applies() -> None:
    shared = Rates(FakeClock())
    first = shared.of(HERE, (("put", 2.0),))
    shared.of(HERE, (("put", 9.0),))
    assert first[CallClass.PUT].rate == 2
    shared.of(HERE, (("put", 1.0),))
    assert first[CallClass.PUT].rate == 1


@pytest.mark.parametrize("rate", [9.0, 1.0])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_spec_without_a_rate_counts_with_the_default(rate: float, *, is_first: bool) -> None:
    shared = Rates(FakeClock())
    set_rates: tuple[tuple[str, float], ...] = (("put", rate),)
    first, second = (set_rates, ()) if is_first else ((), set_rates)
    shared.of(HERE, first)
    bucket = shared.of(HERE, second)[CallClass.PUT]
    assert (bucket.rate, bucket.is_set) == (min(3, rate), False)
    bucket.set_default(10)
    assert bucket.rate == rate


def test_a_place_that_is_only_read_has_no_rates_of_writes() -> None:
    shared = Rates(FakeClock())
    rates = (("put", 1.0), ("tags", 1.0), ("delete", 1.0), ("get", 1.0))
    reads = shared.of(HERE, rates, read_only=True)
    assert set(CallClass) - reads.keys() == {"put", "tags", "delete"}
    written = shared.of(HERE, tuple((kind, 20.0) for kind, _ in rates))
    assert [written[kind].rate for kind, _ in rates] == [20, 20, 20, 1]
    shared.of(HERE, read_only=True)
    assert [written[kind].rate for kind, _ in rates] == [20, 20, 20, 1]
    assert written[CallClass.PUT].is_set


def test_another_default_counts_until_all_specs_set_the_rate() -> None:
    shared = Rates(FakeClock())
    bucket = shared.of(HERE)[CallClass.PUT]
    bucket.set_default(10)
    assert shared.of(HERE)[CallClass.PUT].rate == 10, "a place that is opened again keeps it"
    bucket.set_default(3)
    assert bucket.rate == 3
    shared.of(HERE, (("put", 5.0),))
    bucket.set_default(10)
    assert (bucket.rate, bucket.is_set) == (5, False)


def test_the_default_does_not_count_where_all_specs_set_the_rate() -> None:
    bucket = Rates(FakeClock()).of(HERE, (("put", 20.0),))[CallClass.PUT]
    bucket.set_default(10)
    assert (bucket.rate, bucket.is_set) == (20, True)


def test_a_lower_rate_drops_the_tokens_of_the_higher_one() -> None:
    clock = FakeClock()
    shared = Rates(clock)
    bucket = shared.of(HERE, (("put", 20.0),))[CallClass.PUT]
    shared.of(HERE, (("put", 2.0),))
    for _ in range(2):
        bucket.take()
    assert clock.slept == [0.5]


def test_a_spec_with_the_same_rate_keeps_the_rate_that_probing_found() -> None:
    clock = FakeClock()
    shared = Rates(clock)
    bucket = shared.of(HERE, probe=True)[CallClass.PUT]
    use(bucket, clock, 100)
    found = bucket.rate
    shared.of(HERE, (("put", 30.0),), probe=True)
    bucket.set_default(3)
    assert bucket.rate == found > 3


def test_a_higher_default_does_not_end_the_recovery_from_throttling() -> None:
    clock = FakeClock()
    bucket = Bucket(3, clock)
    bucket.reduce()
    bucket.set_default(10)
    assert bucket.rate == pytest.approx(2.1)
    after(clock, 600)
    assert bucket.rate == 10


def test_the_listener_receives_another_default() -> None:
    heard: list[tuple[float, bool]] = []
    shared = Rates(FakeClock(), lambda *what, throttled, found=0.0: heard.append((what[2], throttled)))
    bucket = shared.of(HERE)[CallClass.PUT]
    heard.clear()
    bucket.set_default(10)
    assert heard == [(10, False)]


def test_the_listener_receives_each_rate_and_each_cut() -> None:
    heard: list[tuple[str, str, float, bool]] = []

    def listener(place: str, operation: str, rate: float, *, throttled: bool, found: float = 0.0) -> None:
        assert not found
        heard.append((place, operation, rate, throttled))

    buckets = Rates(FakeClock(), listener).of(HERE, (("put", 10.0),))
    assert (str(HERE), "PutParameter", 10.0, False) in heard
    assert len(heard) == len(CALL_RATES)
    buckets[CallClass.PUT].reduce()
    buckets[CallClass.PUT].reduce()
    [(place, operation, rate, throttled)] = heard[len(CALL_RATES) :]
    assert (place, operation, throttled) == (str(HERE), "PutParameter", True)
    assert rate == pytest.approx(7)


def test_the_schema_tells_the_defaults_that_are_in_force() -> None:
    path = Path(__file__).parents[2] / "schema" / "replication.schema.json"
    declared = json.loads(path.read_text(encoding="utf-8"))["properties"]["rates"]["properties"]
    assert declared.pop("probe")["default"] is Access("us-east-1").probe is False
    assert {name: one["default"] for name, one in declared.items()} == dict(CALL_RATES)
    for name, one in declared.items():
        assert f"Default {one['default']}:" in one["description"], name


def use(bucket: Bucket, clock: FakeClock, seconds: float, share: float = 1.0) -> None:
    """Take calls for some seconds, at a share of the rate; each is admitted."""
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        bucket.take()
        bucket.admit()
        if share < 1:
            after(clock, 1 / (share * bucket.rate))


def test_probing_raises_the_rate_by_a_step_after_each_stretch_that_uses_it() -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=20)
    use(bucket, clock, 14)
    assert bucket.rate == 4
    use(bucket, clock, 2)
    assert bucket.rate == pytest.approx(4.16)
    use(bucket, clock, 15)
    assert bucket.rate == pytest.approx(4.3264)


def test_probing_stops_at_the_highest_rate() -> None:
    clock = FakeClock()
    bucket = Bucket(5, clock, highest=6)
    use(bucket, clock, 600)
    assert bucket.rate == 6


def test_a_configured_rate_above_the_highest_is_not_probed() -> None:
    clock = FakeClock()
    bucket = Bucket(30, clock, highest=20)
    use(bucket, clock, 100)
    assert bucket.rate == 30


@pytest.mark.parametrize(("share", "climbs"), [(0.0, False), (0.5, False), (0.75, False), (0.95, True)])
def test_an_idle_or_slow_class_does_not_climb(share: float, *, climbs: bool) -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=16)
    if share:
        use(bucket, clock, 100, share)
    else:
        after(clock, 100)
        bucket.take()
    assert (bucket.rate > 4) is climbs


@pytest.mark.parametrize("admitted", [0, 100])
def test_the_first_throttled_response_returns_to_the_configured_rate_and_sets_a_ceiling(
    admitted: int,
) -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=16)
    use(bucket, clock, 200)
    throttled = bucket.rate
    assert throttled > 6
    for _ in range(admitted):
        bucket.admit()
    bucket.reduce()
    assert bucket.rate == pytest.approx(0.7 * 4)
    use(bucket, clock, 40)
    assert 4 <= bucket.rate < 4.2, "the return takes minutes"
    use(bucket, clock, 60)
    assert bucket.rate < 0.9 * throttled
    use(bucket, clock, 600)
    assert bucket.rate == pytest.approx(0.9 * throttled)


def test_the_highest_rate_is_lowered_by_a_tenth_at_the_first_throttled_response() -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=5)
    use(bucket, clock, 300)
    assert bucket.rate == 5
    bucket.reduce()
    use(bucket, clock, 300)
    assert bucket.rate == pytest.approx(4.5)


def test_a_throttled_response_at_the_configured_rate_ends_probing_after_many_admitted() -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=16)
    use(bucket, clock, 10)
    bucket.reduce()
    assert bucket.rate == 4, "as without probing, one among many does not lower the configured rate"
    use(bucket, clock, 100)
    assert bucket.rate == 4


def test_the_second_throttled_response_lowers_the_gain_and_the_third_ends_it() -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=8)
    rates = []
    for _ in range(5):
        use(bucket, clock, 500)
        rates.append(bucket.rate)
        bucket.reduce()
    assert rates == pytest.approx([8, 7.2, 4 + 0.7 * 3.2, 4, 4])


@pytest.mark.parametrize(("seconds", "ceiling"), [(14, 7.2), (16, 4)])
def test_throttled_responses_of_one_stretch_count_once(seconds: float, ceiling: float) -> None:
    """Late responses report the same overload; later ones at the configured rate leave no gain."""
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=8)
    use(bucket, clock, 500)
    bucket.reduce()
    after(clock, seconds)
    bucket.reduce()
    use(bucket, clock, 500)
    assert bucket.rate == pytest.approx(ceiling)


def test_calls_above_the_configured_rate_wait_for_a_random_time_only_if_they_wait() -> None:
    clock = StandingClock()
    bucket = Bucket(4, clock, highest=8, jitter=lambda: 0.5)
    for _ in range(3):
        bucket.take()
    assert clock.slept == [0.25], "at the configured rate, waits are not random"
    moving = FakeClock()
    bucket = Bucket(4, moving, highest=8, jitter=lambda: 0.5)
    use(bucket, moving, 500)
    after(moving, 10)
    moving.slept.clear()
    bucket.take()
    bucket.take()
    assert moving.slept == []
    bucket.take()
    assert moving.slept == [1.5 / 8]


def test_the_random_waits_are_those_of_the_store() -> None:
    clock = FakeClock()
    bucket = Aws(clock=clock, jitter=lambda: 0.5)._rates.of(HERE, probe=True)[CallClass.PUT]
    use(bucket, clock, 900)
    after(clock, 10)
    clock.slept.clear()
    for _ in range(2):
        bucket.take()
    assert clock.slept == pytest.approx([1.5 / 12])


def test_a_pause_lets_no_burst_of_the_higher_rate_out() -> None:
    clock = FakeClock()
    bucket = Bucket(4, clock, highest=16, jitter=lambda: 0.0)
    use(bucket, clock, 1000)
    assert bucket.rate == 16
    after(clock, 3600)
    clock.slept.clear()
    for _ in range(3):
        bucket.take()
    assert clock.slept == [1 / 16]


@pytest.mark.large
def test_only_writes_tags_deletes_and_listings_are_probed_up_to_four_times_the_default() -> None:
    clock = FakeClock()
    buckets = Rates(clock).of(HERE, probe=True)
    for kind, bucket in buckets.items():
        use(bucket, clock, 600)
        probed = kind in {"put", "tags", "list_tags", "delete", "describe"}
        assert bucket.rate == CALL_RATES[kind] * (4 if probed else 1), kind


@pytest.mark.parametrize("probes", [(True, False), (False, True)])
def test_a_place_is_probed_only_where_all_ask_for_it(probes: tuple[bool, ...]) -> None:
    clock = FakeClock()
    shared = Rates(clock)
    bucket = shared.of(HERE, probe=probes[0])[CallClass.PUT]
    use(bucket, clock, 100)
    assert (bucket.rate > 3) is probes[0]
    shared.of(HERE, probe=probes[1])
    assert bucket.rate == 3, "a rate that was found is given up"
    use(bucket, clock, 100)
    assert bucket.rate == 3


def test_a_spec_that_only_reads_in_a_place_does_not_end_the_probing_of_writes() -> None:
    clock = FakeClock()
    shared = Rates(clock)
    shared.of(HERE, read_only=True)
    buckets = shared.of(HERE, probe=True)
    for kind in (CallClass.PUT, CallClass.DESCRIBE):
        use(buckets[kind], clock, 100)
    assert buckets[CallClass.PUT].rate > CALL_RATES[CallClass.PUT]
    assert buckets[CallClass.DESCRIBE].rate == CALL_RATES[CallClass.DESCRIBE]


def test_probing_starts_at_the_default_of_higher_throughput() -> None:
    clock = FakeClock()
    bucket = Rates(clock).of(HERE, probe=True)[CallClass.PUT]
    bucket.set_default(10)
    assert bucket.rate == 10
    use(bucket, clock, 100)
    assert bucket.rate == 12


def test_the_listener_receives_the_rates_that_probing_finds() -> None:
    heard: list[tuple[float, bool, float]] = []
    clock = FakeClock()

    def listener(rate: float, *, throttled: bool, found: float = 0.0) -> None:
        heard.append((round(rate, 3), throttled, round(found, 3)))

    bucket = Bucket(4, clock, listener, highest=16)
    use(bucket, clock, 50)
    bucket.reduce()
    assert heard == [
        (4, False, 0),
        (4.16, False, 0),
        (4.326, False, 4.16),
        (4.499, False, 4.326),
        (2.8, True, 4.05),
    ], "a rate is found after a stretch that has used it"
    use(bucket, clock, 60)
    assert heard[-1] == (4.05, False, 4.05)
    assert {found for *_, found in heard[4:]} == {4.05}
