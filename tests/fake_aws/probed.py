"""Runs of `doctor --probe` on the simulated AWS: quotas, slow responses, a log of the requests with times."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from benchmarks.quotas import Quotas
from ssm_reconcile.doctor.probe import ProbeReport, run_probe
from ssm_reconcile.doctor.probe_calls import ProbeArea, ProbeCalls
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import Place
from tests.fake_aws.store import MemoryStore
from tests.fake_aws.traffic import Fault, FaultPlan, refused
from tests.simulated_aws import SimulatedAws

PATH = "/probe"
RUN = "0123456789ab"
RUN_AGAIN = "ba9876543210"


class InlineExecutor(Executor):
    """Runs each call at once: threads would make the simulated time depend on the machine."""

    def __init__(self, _workers: int) -> None:
        pass

    def submit(self, function: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*args, **more))
        except Exception as error:  # noqa: BLE001 - the caller sees it in `result`
            done.set_exception(error)
        return done


class LoggedStore(MemoryStore):
    """A store that logs each request with its time; `latency` is the time of each response."""

    log: list[tuple[float, str, Mapping[str, Any]]]
    latency: float = 0.0

    def send(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.log.append((self.world.clock.monotonic(), operation, arguments))
        self.world.clock.sleep(self.latency)
        return super().send(operation, arguments)


@dataclass(slots=True)
class Probed:
    """A simulated AWS with one probe on it."""

    aws: SimulatedAws
    store: LoggedStore
    calls: ProbeCalls

    def run(self) -> ProbeReport:
        return run_probe(
            self.calls, self.aws.there, high_throughput=False, executor=InlineExecutor, note=lambda _: None
        )

    @property
    def names(self) -> list[str]:
        """The names that the target has now."""
        return self.aws.names("us-east-2")

    def sent(self, *operations: str) -> list[Mapping[str, Any]]:
        """The arguments of all requests of some operations."""
        return [arguments for _, operation, arguments in self.store.log if operation in operations]


def staged(aws: SimulatedAws | None = None, run: str = RUN, latency: float = 0.0) -> Probed:
    """A probe that has not begun."""
    aws = aws or SimulatedAws()
    store = LoggedStore(aws.world, aws.there)
    store.log, store.latency = [], latency
    calls = ProbeCalls(store, ProbeArea(PATH, run, ("skip_sync", "no_copy")), aws.clock, aws.stop)
    return Probed(aws, store, calls)


def limited(aws: SimulatedAws, rates: Mapping[str, float], burst: float) -> FaultPlan:
    """Throttle the operations of some classes beyond calls per second, with that burst for each."""
    quotas = Quotas(aws.clock.monotonic)
    quotas.enforce(rates, dict.fromkeys(rates, burst))

    def plan(operation: str, place: Place, _names: tuple[str, ...], _nth: int) -> Fault | None:
        admitted = quotas.admits(place.account, place.region, operation)
        return None if admitted else refused(Trouble.THROTTLED)

    return plan


def most_in_a_second(times: list[float]) -> int:
    """The most times within any second."""
    most, window = 0, deque[float]()
    for time in sorted(times):
        window.append(time)
        while window[0] <= time - 1:
            window.popleft()
        most = max(most, len(window))
    return most
