"""The simulated AWS of a test with its clock, and runs of specs on it. Every stage of the tests is one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ssm_reconcile import reconcile
from ssm_reconcile.plan import Plan
from ssm_reconcile.session import Connect, Places, Session, open_places
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.system import Progress
from tests.doubles.clock import NOON, FakeClock
from tests.fake_aws.behaviour import AwsBehaviour
from tests.fake_aws.store import Memory
from tests.fake_aws.world import Lag, World


def unwatched(progress: Progress) -> None:
    """Discard progress."""


class SimulatedAws:
    """One world. `connect` opens a place: a test can replace it."""

    def __init__(
        self, behaviour: AwsBehaviour | None = None, *, lag: Lag | None = None, start: datetime = NOON
    ) -> None:
        self.clock = FakeClock(start)
        self.world = World(self.clock, behaviour, lag=lag)
        self.memory = Memory(self.world)
        self.connect: Connect = self.memory.connect
        self.here = self.world.place("us-east-1")
        self.there = self.world.place("us-east-2")

    def opened(self, specs: Sequence[Replication], run: Run) -> Places:
        """Open the places of a run."""
        return open_places(specs, self.connect, run)

    def session(self, specs: Sequence[Replication], run: Run) -> Session:
        """Open the places of a run, and return its session."""
        return Session(self.opened(specs, run), run, self.clock, unwatched)

    def planned_by(self, specs: Sequence[Replication], run: Run) -> Plan:
        """Return the plan of a run of its own."""
        return reconcile.make_plan(specs, self.session(specs, run))
