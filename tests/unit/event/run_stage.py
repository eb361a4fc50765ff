"""A run of the event path on the simulated AWS: an invocation with an end, and a table in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.event.events import Operation
from ssm_reconcile.event.full_run import FullRunSlice, SliceResult
from ssm_reconcile.event.name_run import NameRun, NameRunResult
from ssm_reconcile.event.requests import NameRequest
from ssm_reconcile.event.state import State, TableUnavailableError
from ssm_reconcile.event.timer import RESERVE, Timer
from ssm_reconcile.model import Place
from ssm_reconcile.spec import Replication, Run
from tests.builders import replication
from tests.events.memory_table import MemoryTable
from tests.simulated_aws import SimulatedAws, unwatched

WORKING_SECONDS = 100.0
"""Seconds of an invocation in which new work may start."""
COUNT_USED = timedelta(hours=48)
EXECUTION = "execution"


class RunStage:
    """A simulated AWS, and one invocation after the other on it."""

    def __init__(self, spec: Replication | None = None) -> None:
        self.aws = SimulatedAws(spec or replication(), pause=timedelta())
        self.table = MemoryTable()
        self.timer = Timer(self.aws.clock)
        self.state: State | None = State(self.table, self.timer)

    def begin(self) -> NamePlanner:
        """Start an invocation, and return its planner."""
        end = self.aws.clock.monotonic() + WORKING_SECONDS + RESERVE
        self.timer.begin(lambda: end - self.aws.clock.monotonic())
        specs, places = (self.aws.spec,), self.aws.places()
        return NamePlanner(specs, places, Run(), self.timer, unwatched, lists_replicas=False)

    def run(self, *requests: NameRequest, written: Mapping[str, int] | None = None) -> NameRunResult:
        """Reconcile some names."""
        run = NameRun(self.begin(), self.timer, self.state, COUNT_USED, "digest")
        return run.run({one.name: one for one in requests}, written or {})

    def run_slice(self) -> SliceResult:
        """Make one slice of a whole run."""
        return FullRunSlice(self.begin(), self.timer, self.state, COUNT_USED, EXECUTION).run()

    def put(self, *names: str, value: str = "v") -> None:
        """Write to the source."""
        for name in names:
            self.aws.put(name, value)

    def replicate(self, *names: str) -> None:
        """Write to the source, make the replicas without this stage, and let an hour pass."""
        self.put(*names)
        self.aws.apply()
        self.aws.pass_time()
        self.aws.world.traffic.forget()

    def request(
        self, name: str = "/p/a", operation: Operation = Operation.UPDATE, ago: float = 0.0
    ) -> NameRequest:
        """Return the request of an event that is so many seconds old."""
        at = self.aws.clock.now() - timedelta(seconds=ago)
        return NameRequest(name, frozenset({self.aws.spec.name}), operation, at, is_visible=True)

    def request_by_hand(self, name: str = "/p/a") -> NameRequest:
        """Return the request for a name without an event."""
        return replace(self.request(name, Operation.UNKNOWN), at=None, is_visible=False)

    def end_time(self) -> None:
        """Let the time for new work pass."""
        self.aws.clock.advance(timedelta(seconds=WORKING_SECONDS))

    def lose_table(self, *operations: str) -> None:
        """Let some operations of the table fail, or all."""

        def fault(operation: str) -> None:
            if not operations or operation in operations:
                raise TableUnavailableError("no answer")

        self.table.fault = fault

    def calls(self, operation: str, place: Place | None = None) -> int:
        """Return the number of calls of an operation, in one place or in all."""
        return sum(one.operation == operation and place in (None, one.place) for one in self.aws.world.calls)
