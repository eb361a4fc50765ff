"""An operation of AWS -> its burst and its sustained rate, found by calls until the first throttled answer.

    burst   calls without a pause, ten at a time, until one is throttled
    up      a few seconds at each rate, from the default to four times it; the first throttled call ends it
    top     the highest rate, after a second burst of the same size, so that no calls are saved
    halve   the throttled rate, while three calls at half of it are throttled too
    down    from there in steps of seven percent, until a step passes without a throttled call

A throttled call shows that the quota has no saved calls left, so a step down that passes is not above the
quota. A step that passes with saved calls may be, so steps up only find the rate to begin with. A step down
that passes has `HOLD_CALLS` calls: with them, a rate three percent above the quota is throttled.

Calls are not repeated. A quota is found with at most 16 throttled calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from ssm_reconcile.aws_limits import CALL_RATES, CallClass
from ssm_reconcile.doctor.probe_calls import READS_PER_SECOND, ProbeCalls, ProbeEndError, is_throttled
from ssm_reconcile.errors import StoreError, Trouble

HIGHEST_FACTOR = 4
"""The highest rate that is probed, as a multiple of the default rate."""
HIGHEST_RATE = 19.0
"""The highest rate that is probed, in calls per second; below that of `READS_PER_SECOND`."""
HOLD_CALLS = 30
"""Calls of a step down."""
UP_SECONDS = 4.0
TOP_SECONDS = 15.0
"""Seconds of a step up, and of the step at the highest rate."""
SPEC_SHARE = 0.9
"""The part of a measured rate that is proposed for the spec."""
LONGEST_LATENCY = 1.0
"""Seconds. With slower responses, calls at a steady rate would pile up."""

_UP = 2**0.5
_DOWN = 0.93
_HALF_CALLS = 3
"""Calls at half of a throttled rate."""
_FLOOR = 1 / 16
"""The lowest rate that is probed, as a part of the default rate."""
_REACHED = 0.9
"""The part of a rate that must be reached: a slower client measures itself."""
_MOST_STEPS_DOWN = 5
"""Full steps down that are counted for the limit of calls; a throttled step is shorter."""
_REST = 1.1
_WORKERS = 40
_BURST_WORKERS = 10
"""Calls under way in a burst: after a throttled call, at most the others of them are throttled too."""
SLOW_CLIENT = "this client is not faster"


@dataclass(frozen=True, slots=True)
class RatePlan:
    """One measurement: the operation, and the limit of its calls.

    Attributes:
        kind: The class of the operation, a key of `rates` in the spec.
        operation: The operation of the AWS API.
        burst: Calls that are sent without a pause.
    """

    kind: CallClass
    operation: str
    burst: int

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates of the steps up."""
        start = CALL_RATES[self.kind]
        highest = min(HIGHEST_FACTOR * start, HIGHEST_RATE)
        steps = [start * _UP**i for i in range(8)]
        return (*(rate for rate in steps if rate < highest * 0.99), highest)

    @property
    def most_calls(self) -> int:
        """The limit of calls."""
        up = sum(self.calls_up(rate) for rate in self.rates)
        return 2 * self.burst + up + _MOST_STEPS_DOWN * HOLD_CALLS

    def calls_up(self, rate: float) -> int:
        """Return the calls of a step up."""
        return round(rate * (TOP_SECONDS if rate == self.rates[-1] else UP_SECONDS))


RATE_PLANS = (
    RatePlan(CallClass.LIST_TAGS, "ListTagsForResource", READS_PER_SECOND),
    RatePlan(CallClass.DESCRIBE, "DescribeParameters", READS_PER_SECOND),
    RatePlan(CallClass.PUT, "PutParameter", 40),
    RatePlan(CallClass.TAGS, "AddTagsToResource", 40),
    RatePlan(CallClass.DELETE, "DeleteParameters", 40),
)
"""The measurements in their order. The rate of tag reads limits the clean-up, so it is known first."""
UPDATED_NAMES = 12
"""Parameters that are created one a second for the updates: AWS refuses two of one parameter at a time."""
CREATES_AT_RATE = 20
"""Creates at the rate of the updates, to see whether they are limited alike."""


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """The result of one measurement.

    Attributes:
        kind: The class of the operation.
        operation: The operation of the AWS API.
        burst: Calls of the burst that were answered; None if they were not sent.
        burst_is_limit: Whether AWS throttled the burst.
        sustained: The highest rate without a throttled call, in calls per second; None if it was not found.
        is_limit: Whether AWS throttled a higher rate.
        calls: All calls.
        throttled: The throttled calls.
        codes: The error codes of failed calls.
        reason: The reason for which no rate was found.
    """

    kind: CallClass
    operation: str
    burst: int | None = None
    burst_is_limit: bool = False
    sustained: float | None = None
    is_limit: bool = False
    calls: int = 0
    throttled: int = 0
    codes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def spec_rate(self) -> float | None:
        """The rate to put into the spec, rounded down; None if none was found."""
        if self.sustained is None:
            return None
        return max(0.1, math.floor(self.sustained * SPEC_SHARE * 10) / 10)


@dataclass(slots=True)
class _Step:
    """Calls that are sent together; the first failure ends it. Workers only append, which is atomic."""

    started: list[float] = field(default_factory=list)
    results: list[StoreError | None] = field(default_factory=list)
    over: list[ProbeEndError] = field(default_factory=list)

    @property
    def is_ended(self) -> bool:
        return bool(self.over) or any(one is not None for one in self.results)

    @property
    def codes(self) -> list[str]:
        """The codes of the throttled calls."""
        return [one.code for one in self.results if one is not None and is_throttled(one)]

    @property
    def failure(self) -> StoreError | None:
        """The first failure that is not throttling."""
        return next((one for one in self.results if one is not None and not is_throttled(one)), None)

    @property
    def rate(self) -> float:
        """The rate that was reached, in calls per second."""
        seconds = max(self.started) - min(self.started) if self.started else 0.0
        return (len(self.started) - 1) / seconds if seconds else math.inf


class RateMeter:
    """Measures operations with the calls of one run.

    Args:
        calls: Sends the requests.
        executor: Returns an executor with that many workers.

    Attributes:
        lowest: The lowest rate of the last measurement.
    """

    def __init__(self, calls: ProbeCalls, executor: Callable[[int], Executor]) -> None:
        self.lowest = math.inf
        self._calls = calls
        self._executor = executor

    def measure(
        self, plan: RatePlan, burst: Callable[[int], object], steady: Callable[[int], object]
    ) -> MeasuredRate:
        """Measure one operation.

        Args:
            plan: The operation and its limits.
            burst: Sends the call with that number, of the burst.
            steady: Sends the call with that number, of the steps.

        Raises:
            ProbeEndError: No further request may be sent.
        """
        found, self.lowest = MeasuredRate(plan.kind, plan.operation), math.inf
        self._calls.wait(_REST)
        if self._calls.latency > LONGEST_LATENCY:
            return replace(found, reason=f"a response takes {self._calls.latency:.1f} s")
        first = self._step(burst, range(plan.burst), math.inf)
        log = [first]
        found = replace(found, burst=first.results.count(None), burst_is_limit=bool(first.codes))
        if first.failure is None:
            found = self._sustained(plan, found, log, steady)
        codes = [code for step in log for code in step.codes]
        failures = [step.failure.code for step in log if step.failure is not None]
        return replace(
            found,
            calls=sum(len(step.started) for step in log),
            throttled=len(codes),
            codes=tuple(sorted({*codes, *failures})),
            reason=failures[0] if failures else found.reason,
        )

    def passes(self, send: Callable[[int], object], rate: float, count: int) -> bool:
        """Return whether calls at a rate are answered without throttling.

        Args:
            send: Sends the call with that number.
            rate: Calls per second.
            count: The number of calls.

        Raises:
            StoreError: A call failed for another reason.
            ProbeEndError: No further request may be sent.
        """
        found = self._step(send, range(count), rate)
        if found.failure is not None:
            raise found.failure
        return not found.codes

    def _sustained(
        self, plan: RatePlan, found: MeasuredRate, log: list[_Step], send: Callable[[int], object]
    ) -> MeasuredRate:
        """Add the sustained rate: up to the first throttled step, then down from there."""
        floor = plan.rates[0] * _FLOOR
        passed: float | None = None
        for rate in plan.rates:
            if rate == plan.rates[-1] and found.burst_is_limit:
                log.append(self._step(send, range(found.burst or 0), math.inf))
            log.append(step := self._step(send, range(plan.calls_up(rate)), rate))
            if step.is_ended:
                break
            if step.rate < rate * _REACHED:
                return replace(found, sustained=max(passed or 0.0, step.rate), reason=SLOW_CLIENT)
            passed = rate
        else:
            return replace(found, sustained=passed)
        rate = self._halve(log, send, rate, floor)
        while log[-1].failure is None and (rate := rate * _DOWN) >= floor:
            if sum(len(one.started) for one in log) + HOLD_CALLS > plan.most_calls:
                return replace(found, reason=f"not found with {plan.most_calls} calls")
            log.append(step := self._step(send, range(HOLD_CALLS), rate))
            if not step.is_ended:
                return replace(found, sustained=min(rate, step.rate), is_limit=True)
        return replace(found, reason=f"below {floor:.2g} calls per second")

    def _halve(self, log: list[_Step], send: Callable[[int], object], rate: float, floor: float) -> float:
        """Halve a throttled rate while it is more than twice the quota; return the last throttled rate.

        After a throttled call less than one call is saved. So if one of the next calls at half of the rate is
        throttled, the quota is lower than that. If none is, calls without a pause use what is saved.
        """
        while log[-1].failure is None and rate >= floor:
            log.append(step := self._step(send, range(_HALF_CALLS), rate / 2))
            if not step.is_ended:
                log.append(self._step(send, range(_HALF_CALLS + 1), math.inf))
                break
            rate /= 2
        return rate

    def _step(self, send: Callable[[int], object], numbers: Iterable[int], rate: float) -> _Step:
        """Send calls at a rate until one fails, and wait for those under way; raise ProbeEndError."""
        found, clock = _Step(), self._calls.clock
        self.lowest = min(self.lowest, rate)
        began = clock.monotonic()
        sent: list[Future[None]] = []
        with self._executor(_BURST_WORKERS if rate == math.inf else _WORKERS) as pool:
            for position, number in enumerate(numbers, 1):
                if (left := began + position / rate - clock.monotonic()) > 0:
                    clock.sleep(left)
                if found.is_ended:
                    break
                sent.append(pool.submit(self._send, found, send, number))
        for one in sent:
            one.result()  # raises what `_send` does not expect
        if found.over:
            raise found.over[0]
        return found

    def _send(self, found: _Step, send: Callable[[int], object], number: int) -> None:
        """Send one call, unless one has failed."""
        if found.is_ended:
            return
        found.started.append(self._calls.clock.monotonic())
        try:
            send(number)
        except ProbeEndError as over:
            found.over.append(over)
        except StoreError as failure:
            is_busy = failure.kind is Trouble.THROTTLED and not is_throttled(failure)
            found.results.append(None if is_busy else failure)
        else:
            found.results.append(None)
