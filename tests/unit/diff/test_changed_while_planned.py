"""A replica that changes between its listing and the read of its value."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.change import Action
from ssm_reconcile.model import SECURE
from ssm_reconcile.report import Report
from ssm_reconcile.spec import AdoptMode, Replication, Run
from tests.builders import SOMEBODY, US, Stage, outcome, replication
from tests.fake_aws.world import Lag
from tests.simulated_aws import unwatched

LIFTED = Run(overwrite_outside=True)


def old_replica(spec: Replication | None = None, *, new: str = "new") -> Stage:
    """Return a stage whose replica is two hours old; the source changed one hour ago."""
    stage = Stage(spec)
    stage.replicate("/p/a", "v")
    stage.pass_time(hours=1)
    if new:
        stage.world.put(stage.here, "/p/a", new)
    stage.pass_time(hours=1)
    return stage


def ended(report: Report) -> tuple[str, tuple[str, ...]]:
    one = outcome(report)
    return one.result.value, one.change.withheld_by


def put_before(stage: Stage, operation: str, value: str, kind: str = "String", user: str = SOMEBODY) -> None:
    """Write the replica right before the next call of an operation."""
    stage.world.before(operation, lambda: stage.world.put(stage.there, "/p/a", value, kind, user=user))


class TestARunOverAListing:
    @pytest.mark.parametrize("user", [SOMEBODY, US])
    def test_a_replica_hardened_before_its_value_is_read_stays_a_secret(self, user: str) -> None:
        stage = old_replica()
        put_before(stage, "GetParameters", "hunter2", SECURE, user)
        report = stage.carry_out(stage.plan())
        assert ended(report) == ("withheld", ("changed-outside", "exposure"))
        assert (stage.live("/p/a").type, stage.value("/p/a")) == (SECURE, "hunter2")

    def test_the_exposure_guard_alone_withholds_it_when_outside_changes_are_overwritten(self) -> None:
        stage = old_replica()
        put_before(stage, "GetParameters", "hunter2", SECURE)
        report = stage.carry_out(stage.plan(LIFTED), LIFTED)
        assert ended(report) == ("withheld", ("exposure",))
        assert stage.live("/p/a").type == SECURE

    def test_a_replica_written_outside_before_its_value_is_read_is_withheld(self) -> None:
        stage = old_replica()
        put_before(stage, "GetParameters", "theirs")
        report = stage.carry_out(stage.plan())
        assert ended(report) == ("withheld", ("changed-outside",))
        assert stage.value("/p/a") == "theirs"

    def test_with_all_guards_lifted_it_is_stale_and_the_next_run_writes_it(self) -> None:
        stage = old_replica()
        run = Run(overwrite_outside=True, allow_exposure=True, only=("/p/a",))
        put_before(stage, "GetParameters", "hunter2", SECURE)
        assert ended(stage.carry_out(stage.plan(run), run)) == ("stale", ())
        assert stage.live("/p/a").type == SECURE
        assert ended(stage.carry_out(stage.plan(run), run)) == ("applied", ())
        assert (stage.live("/p/a").type, stage.value("/p/a")) == ("String", "new")

    def test_a_retag_does_not_record_a_version_that_was_not_listed(self) -> None:
        stage = old_replica(new="")
        stage.world.put(stage.here, "/p/a", "v")  # the same value: only the record is out of date
        stage.world.before(
            "GetParameters",
            lambda: stage.world.put(stage.there, "/p/a", "v", description="theirs", user=SOMEBODY),
        )
        plan = stage.plan()
        assert [change.action for change in plan.changes] == [Action.RETAG]
        assert ended(stage.carry_out(plan)) == ("stale", ())
        (change,) = stage.plan().changes
        assert (change.changed_outside, change.withheld_by) == (True, ("changed-outside",))


class TestAListingThatLags:
    def test_a_secret_that_the_listing_still_shows_as_plain_is_not_exposed(self) -> None:
        stage = old_replica()
        stage.world.lag = Lag(describe=timedelta(seconds=90))
        stage.world.put(stage.there, "/p/a", "hunter2", SECURE, user=SOMEBODY)
        stage.pass_time(seconds=5)
        assert ended(stage.carry_out(stage.plan())) == ("withheld", ("changed-outside", "exposure"))
        assert stage.live("/p/a").type == SECURE

    def test_it_is_not_taken_over_as_plain_text_either(self) -> None:
        stage = Stage(replication(adopt=AdoptMode.OVERWRITE))
        stage.world.put(stage.here, "/p/a", "v")
        stage.world.put(stage.there, "/p/a", "x")
        stage.pass_time(hours=2)
        stage.world.lag = Lag(describe=timedelta(seconds=90))
        stage.world.put(stage.there, "/p/a", "hunter2", SECURE, user=SOMEBODY)
        stage.pass_time(seconds=5)
        assert ended(stage.carry_out(stage.plan())) == ("withheld", ("exposure",))
        assert stage.live("/p/a").type == SECURE

    def test_our_own_last_write_is_not_called_outside_while_listings_do_not_show_it(self) -> None:
        stage = old_replica()
        stage.world.lag = Lag(describe=timedelta(minutes=90))
        assert ended(stage.apply()) == ("applied", ())
        stage.pass_time(seconds=5)
        stage.world.put(stage.here, "/p/a", "newer")
        (change,) = stage.plan().changes
        assert (change.expected.version, change.changed_outside, change.withheld_by) == (2, False, ())
        stage.world.lag = Lag()
        assert ended(stage.apply()) == ("applied", ())
        assert stage.value("/p/a") == "newer"


def test_an_event_does_not_expose_a_replica_hardened_after_it_was_described() -> None:
    stage = old_replica()
    put_before(stage, "ListTagsForResource", "hunter2", SECURE)
    planner = NamePlanner((stage.spec,), stage.places(), Run(), stage.clock, unwatched)
    planned = planner.plan({"/p/a": frozenset({stage.spec.name})})
    report = reconcile.carry_out(planned.plan, planned.specs, planner.session(), stage.stop)
    assert ended(report) == ("withheld", ("changed-outside", "exposure"))
    assert stage.live("/p/a").type == SECURE
