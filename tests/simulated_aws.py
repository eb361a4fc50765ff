"""The simulated AWS of all tests: parameters and keys of any place, a clock, and runs of specs on them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.cli import command_run
from ssm_reconcile.documents.decode import read_report_document
from ssm_reconcile.documents.encode import report_document
from ssm_reconcile.encoding import printable_tree
from ssm_reconcile.model import Parameter, Place
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.escaping import json_blocks
from ssm_reconcile.report import Report
from ssm_reconcile.session import Connect, Places, Session, open_places
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.system import Progress
from ssm_reconcile.undo import make_undo_plan
from tests.builders import replication
from tests.doubles.clock import FakeClock, StopFlag
from tests.fake_aws.behaviour import AwsBehaviour
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.world import ACCOUNT, Lag, World

HOUR = timedelta(hours=1)


def unwatched(progress: Progress) -> None:
    """Discard progress."""


class SimulatedAws:
    """A world, its clock, and the runs on it. `here` and `there` are the source and the target of most specs.

    Attributes:
        spec: The spec of a run for which a test gives none.
        run: The options of a run for which a test gives none.
        pause: The time before and after an apply, so that moments differ.
        connect: Opens a place; a test can replace it.
    """

    def __init__(
        self,
        spec: Replication | None = None,
        *,
        run: Run | None = None,
        behaviour: AwsBehaviour | None = None,
        lag: Lag | None = None,
        clock: FakeClock | None = None,
        pause: timedelta = HOUR,
    ) -> None:
        self.spec = spec or replication()
        self.run = run or Run()
        self.pause = pause
        self.clock = clock or FakeClock()
        self.stop = StopFlag()
        self.world = World(self.clock, behaviour, lag=lag)
        self.connect: Connect = Memory(self.world).connect
        self.here = self.place("us-east-1")
        self.there = self.place("us-east-2")

    def copy(self) -> SimulatedAws:
        """Return an AWS with the same content and time; later changes of one do not change the other."""
        other = SimulatedAws(
            self.spec,
            run=self.run,
            behaviour=self.world.readings,
            lag=self.world.lag,
            clock=self.clock.copy(),
            pause=self.pause,
        )
        other.world.pages = self.world.pages
        other.world.higher_throughput = set(self.world.higher_throughput)
        other.world.restore(self.world.snapshot())
        return other

    # Places, and what other people do there

    def place(self, name: str) -> Place:
        """Return a place by `region` or `account/region`."""
        account, _, region = name.rpartition("/")
        return self.world.place(region, account or ACCOUNT)

    def store(self, name: str = "us-east-2") -> MemoryStore:
        return MemoryStore(self.world, self.place(name))

    def pass_time(self, **by: float) -> None:
        """Let an hour pass, or the time given as for `timedelta`."""
        self.clock.advance(timedelta(**(by or {"hours": 1})))

    def put(
        self, name: str, value: str = "v", kind: str = "String", *, region: str = "us-east-1", **more: Any
    ) -> int:
        """Create or overwrite a parameter, as another writer (see `World.put`)."""
        return self.world.put(self.place(region), name, value, kind, **more)

    def delete(self, *names: str, region: str = "us-east-1") -> None:
        self.world.delete(self.place(region), *names)

    # Parameters of the target

    def live(self, name: str) -> Parameter:
        found = self.world.peek(self.there, name)
        assert found is not None, name
        return found.latest.parameter

    def value(self, name: str) -> str | None:
        return self.world.value(self.there, name)

    def version(self, name: str) -> int | None:
        found = self.world.peek(self.there, name)
        return None if found is None else found.latest.parameter.version

    def plain_tags(self, name: str) -> dict[str, str] | None:
        """Return the tags of a parameter in the target except those of its ownership."""
        tags = self.world.tags(self.there, name)
        return None if tags is None else {k: v for k, v in tags.items() if not k.startswith("ssm-reconcile:")}

    def names(self, region: str) -> list[str]:
        return self.world.names(self.place(region))

    # Runs

    def places(self, *specs: Replication, run: Run | None = None) -> Places:
        """Open the places of a run."""
        return open_places(specs or (self.spec,), self.connect, run or self.run)

    def session(self, *specs: Replication, run: Run | None = None) -> Session:
        """Open the places of a run, and return its session."""
        return Session(self.places(*specs, run=run), run or self.run, self.clock, unwatched)

    def plan(self, *specs: Replication, run: Run | None = None) -> Plan:
        """Return the plan of a run of its own."""
        return reconcile.make_plan(specs or (self.spec,), self.session(*specs, run=run))

    def carry_out(self, plan: Plan, *specs: Replication, run: Run | None = None) -> Report:
        """Apply a plan in a run of its own, as that of a saved plan."""
        session = self.session(*specs, run=run)
        return reconcile.carry_out(plan, specs or (self.spec,), session, self.stop)

    def apply(self, *specs: Replication, run: Run | None = None) -> Report:
        """Plan and apply in one run; `pause` passes before and after."""
        self.clock.advance(self.pause)
        session = self.session(*specs, run=run)
        plan = reconcile.make_plan(specs or (self.spec,), session)
        report = reconcile.carry_out(plan, specs or (self.spec,), session, self.stop)
        self.clock.advance(self.pause)
        return report

    def plan_undo(self, report: Report, *specs: Replication, run: Run | None = None) -> Plan:
        """Return the plan that takes a report back; the report is written and read as a file."""
        session = self.session(*specs, run=run)
        document = report_document(report, tool_version="1", created=self.clock.now())
        text = "".join(json_blocks(printable_tree(document)))
        return make_undo_plan(read_report_document(text), specs or (self.spec,), session)

    def undo(self, report: Report, *specs: Replication, run: Run | None = None) -> Report:
        """Take a report back in one run; `pause` passes before and after."""
        self.clock.advance(self.pause)
        done = self.carry_out(self.plan_undo(report, *specs, run=run), *specs, run=run)
        self.clock.advance(self.pause)
        return done

    def replicate(self, name: str = "/p/a", value: str = "v", kind: str = "String", **more: Any) -> None:
        """Put a parameter at the source, and its replica as an apply leaves it."""
        self.put(name, value, kind, **more)
        report = self.apply()
        assert report.summary["applied"] == 1, report.outcomes

    def connect_command_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let commands in this process run on this AWS and its clock, outside of CI and without colours."""
        for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: self.connect)
        monkeypatch.setattr(command_run, "SystemClock", lambda *_: self.clock)
