"""A replica that changes between its listing and the read of its value."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.change import Action
from ssm_reconcile.model import SECURE, Place
from ssm_reconcile.report import Report
from ssm_reconcile.spec import AdoptMode, Replication, Run
from tests.builders import SOMEBODY, US, outcome, replication
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws, unwatched

LIFTED = Run(overwrite_outside=True)


def old_replica(spec: Replication | None = None, *, new: str = "new") -> SimulatedAws:
    """Return an AWS whose replica is two hours old; the source changed one hour ago."""
    aws = SimulatedAws(spec)
    aws.replicate("/p/a", "v")
    aws.pass_time(hours=1)
    if new:
        aws.put("/p/a", new)
    aws.pass_time(hours=1)
    return aws


def ended(report: Report) -> tuple[str, tuple[str, ...]]:
    one = outcome(report)
    return one.result.value, one.change.withheld_by


def put_before(
    aws: SimulatedAws, operation: str, value: str, kind: str = "String", user: str = SOMEBODY
) -> None:
    """Write the replica right before the next call of an operation."""
    aws.world.before(operation, lambda: aws.world.put(aws.there, "/p/a", value, kind, user=user))


class TestARunOverAListing:
    @pytest.mark.parametrize("user", [SOMEBODY, US])
    def test_a_replica_hardened_before_its_value_is_read_stays_a_secret(self, user: str) -> None:
        aws = old_replica()
        put_before(aws, "GetParameters", "hunter2", SECURE, user)
        report = aws.carry_out(aws.plan())
        assert ended(report) == ("withheld", ("changed-outside", "exposure"))
        assert (aws.live("/p/a").type, aws.value("/p/a")) == (SECURE, "hunter2")

    def test_the_exposure_guard_alone_withholds_it_when_outside_changes_are_overwritten(self) -> None:
        aws = old_replica()
        put_before(aws, "GetParameters", "hunter2", SECURE)
        report = aws.carry_out(aws.plan(run=LIFTED), run=LIFTED)
        assert ended(report) == ("withheld", ("exposure",))
        assert aws.live("/p/a").type == SECURE

    def test_a_replica_written_outside_before_its_value_is_read_is_withheld(self) -> None:
        aws = old_replica()
        put_before(aws, "GetParameters", "theirs")
        report = aws.carry_out(aws.plan())
        assert ended(report) == ("withheld", ("changed-outside",))
        assert aws.value("/p/a") == "theirs"

    def test_with_all_guards_lifted_it_is_stale_and_the_next_run_writes_it(self) -> None:
        aws = old_replica()
        run = Run(overwrite_outside=True, allow_exposure=True, only=("/p/a",))
        put_before(aws, "GetParameters", "hunter2", SECURE)
        assert ended(aws.carry_out(aws.plan(run=run), run=run)) == ("stale", ())
        assert aws.live("/p/a").type == SECURE
        assert ended(aws.carry_out(aws.plan(run=run), run=run)) == ("applied", ())
        assert (aws.live("/p/a").type, aws.value("/p/a")) == ("String", "new")

    def test_a_retag_does_not_record_a_version_that_was_not_listed(self) -> None:
        aws = old_replica(new="")
        aws.put("/p/a", "v")  # the same value: only the record is out of date
        aws.world.before(
            "GetParameters",
            lambda: aws.world.put(aws.there, "/p/a", "v", description="theirs", user=SOMEBODY),
        )
        plan = aws.plan()
        assert [change.action for change in plan.changes] == [Action.RETAG]
        assert ended(aws.carry_out(plan)) == ("stale", ())
        (change,) = aws.plan().changes
        assert (change.changed_outside, change.withheld_by) == (True, ("changed-outside",))


class TestAListingThatLags:
    def test_a_secret_that_the_listing_still_shows_as_plain_is_not_exposed(self) -> None:
        aws = old_replica()
        aws.world.lag = Lag(describe=timedelta(seconds=90))
        aws.world.put(aws.there, "/p/a", "hunter2", SECURE, user=SOMEBODY)
        aws.pass_time(seconds=5)
        assert ended(aws.carry_out(aws.plan())) == ("withheld", ("changed-outside", "exposure"))
        assert aws.live("/p/a").type == SECURE

    def test_it_is_not_taken_over_as_plain_text_either(self) -> None:
        aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
        aws.put("/p/a", "v")
        aws.world.put(aws.there, "/p/a", "x")
        aws.pass_time(hours=2)
        aws.world.lag = Lag(describe=timedelta(seconds=90))
        aws.world.put(aws.there, "/p/a", "hunter2", SECURE, user=SOMEBODY)
        aws.pass_time(seconds=5)
        assert ended(aws.carry_out(aws.plan())) == ("withheld", ("exposure",))
        assert aws.live("/p/a").type == SECURE

    def test_our_own_last_write_is_not_called_outside_while_listings_do_not_show_it(self) -> None:
        aws = old_replica()
        aws.world.lag = Lag(describe=timedelta(minutes=90))
        assert ended(aws.apply()) == ("applied", ())
        aws.pass_time(seconds=5)
        aws.put("/p/a", "newer")
        (change,) = aws.plan().changes
        assert (change.expected.version, change.changed_outside, change.withheld_by) == (2, False, ())
        aws.world.lag = Lag()
        assert ended(aws.apply()) == ("applied", ())
        assert aws.value("/p/a") == "newer"


def test_an_event_does_not_expose_a_replica_hardened_after_it_was_described() -> None:
    aws = old_replica()
    hardened: list[str] = []

    def harden(operation: str, place: Place, names: tuple[str, ...], _: int) -> None:
        # Both places are read at the same time: only the tags of the target follow its description.
        if (operation, place) == ("ListTagsForResource", aws.there) and not hardened:
            hardened.extend(names)
            aws.world.put(aws.there, "/p/a", "hunter2", SECURE, user=SOMEBODY)

    aws.world.faults = harden
    planner = NamePlanner((aws.spec,), aws.places(), Run(), aws.clock, unwatched)
    names = {"/p/a": frozenset({aws.spec.name})}
    planned = planner.plan(names)
    assert (set(planned.unsure), planned.plan.changes) == ({"/p/a"}, ())
    planned = planner.plan(names)
    report = reconcile.carry_out(planned.plan, planned.specs, planner.session(), aws.stop)
    assert ended(report) == ("withheld", ("changed-outside", "exposure"))
    assert aws.live("/p/a").type == SECURE
