"""A world with a source and two targets, and the product let loose on it.

    source   123456789012/us-east-1
    near     123456789012/us-east-2    the target "us-east-2"
    far      210987654321/eu-west-1    the target "eu", in another account, by a role

Keys: every place has alias/app and alias/two; alias/many is multi-Region; alias/lonely is in the
source only. Time stands still but for what is slept and what a test lets pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ssm_reconcile import reconcile
from ssm_reconcile.model import Access, Place
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Report
from ssm_reconcile.spec import Replication, Run, Source, Target
from ssm_reconcile.system import Stop
from tests.builders import Never
from tests.fake_aws.behaviour import AwsBehaviour
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws

SOURCE, NEAR, FAR = "source", "us-east-2", "eu"
FAR_ACCOUNT = "210987654321"
FROM = Source(Access("us-east-1"))
TO_NEAR = Target(NEAR, Access("us-east-2"))
TO_FAR = Target(FAR, Access("eu-west-1", role_arn=f"arn:aws:iam::{FAR_ACCOUNT}:role/ssm-reconcile"))
ALL = 10**6
"""More than any limit of a guard."""
LIFTED = Run(
    overwrite_outside=True,
    allow_replace=True,
    allow_empty_source=True,
    allow_reversed=True,
    allow_exposure=True,
    max_deletes=ALL,
    max_change_percent=ALL,
    parallelism=1,
)
"""A run in whose way no guard stands but a frozen target and what could not be confirmed."""


class Stage(SimulatedAws):
    """One world. `connect` wraps how places are opened, for tests that put something in between."""

    def __init__(self, readings: AwsBehaviour | None = None, *, lag: Lag | None = None) -> None:
        super().__init__(readings, lag=lag)
        self.source, self.near = self.here, self.there
        self.far = self.world.place("eu-west-1", FAR_ACCOUNT)
        for place in self.places.values():
            self.world.add_key(place, "alias/app")
            self.world.add_key(place, "alias/two")
            self.world.add_key(place, "alias/many", multi_region=True)
        self.world.add_key(self.source, "alias/lonely")

    @property
    def places(self) -> dict[str, Place]:
        """Every place by the name that scenarios have for it."""
        return {SOURCE: self.source, NEAR: self.near, FAR: self.far}

    def later(self, minutes: float = 20) -> None:
        """Time passes: enough for every listing to have caught up, and for a deleted name to be free."""
        self.clock.advance(timedelta(minutes=minutes))

    def plan(self, *specs: Replication, run: Run = LIFTED) -> Plan:
        """The plan of a run of its own."""
        return self.planned_by(specs, run)

    def apply(
        self,
        *specs: Replication,
        run: Run = LIFTED,
        stop: Stop | None = None,
        between: Callable[[], object] = lambda: None,
    ) -> Report:
        """Plan and apply, in one run as the command does it. `between` happens after the plan."""
        session = self.session(specs, run)
        plan = reconcile.make_plan(specs, session)
        between()
        return reconcile.carry_out(plan, specs, session, stop or Never())
