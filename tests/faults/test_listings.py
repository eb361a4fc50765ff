"""Listings that lie: a page that is skipped, one that lags behind. Nothing is deleted on their word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.change import Fate
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Orphans
from tests.fake_aws.traffic import Fault, skipped
from tests.fake_aws.world import Lag, Pages
from tests.faults.mixed import SPEC, Mixed, mixed
from tests.property.places import FAR, NEAR, PLACES, SOURCE, three_places
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios
from tests.property.test_converge import held_back, unsettled
from tests.simulated_aws import SimulatedAws


class Skipping:
    """A fault plan in which one page of one listing comes back empty."""

    def __init__(self, operation: str, place: Place, page: int) -> None:
        self.operation, self.place, self.page = operation, place, page
        self.struck = False

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        if (operation, place, nth) != (self.operation, self.place, self.page):
            return None
        self.struck = True
        return skipped()


@pytest.fixture(scope="module")
def world() -> Mixed:
    return mixed()


def truth(aws: SimulatedAws) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The addresses that a plan on true listings changes, and those of them that it removes."""
    plan = aws.plan(SPEC)
    changed = {(c.target, canonical(c.name)) for c in plan.changes if c.fate is Fate.APPLY}
    gone = {(c.target, canonical(c.name)) for c in plan.changes if c.action in ("delete", "replace")}
    return changed, gone


@pytest.mark.parametrize("where", [SOURCE, NEAR, FAR])
@pytest.mark.parametrize("operation", ["DescribeParameters", "GetResources"])
def test_a_page_that_is_skipped_deletes_nothing_wrongly(world: Mixed, operation: str, where: str) -> None:
    page = 1
    while skips(world, operation, where, page):
        page += 1
    assert page > 4, "every page of the listing was skipped once"


def skips(world: Mixed, operation: str, where: str, page: int) -> bool:
    """One run in which one page is skipped, and what holds after it; False when the page does not exist."""
    aws = world.again()
    aws.world.pages = Pages(describe=(2,), resources=(2,))
    changed, gone = truth(aws)
    before = aws.world.state()
    faults = Skipping(operation, PLACES[where], page)
    aws.world.traffic.forget()
    aws.world.faults = faults
    aws.apply(SPEC)
    after = aws.world.state()
    for target in (NEAR, FAR):
        place = PLACES[target]
        for name, was in before[place].items():
            there = after[place].get(name)
            if (target, name) not in gone:
                assert there is not None, f"{target} {name} was deleted"
            if (target, name) not in changed:
                assert there is not None
                assert there.value == was.value
                assert there.parameter == was.parameter
    world.assert_converges()
    return faults.struck


LAGS = (
    Lag(describe=timedelta(hours=1)),
    Lag(resources=timedelta(hours=1)),
    Lag(describe=timedelta(hours=1), resources=timedelta(hours=1)),
    Lag(describe=timedelta(seconds=20), resources=timedelta(minutes=15)),
)
"""Lag of listings; reads of one parameter have none (not documented by AWS)."""


@given(scenario=scenarios(), lag=st.sampled_from(LAGS), pause=st.integers(0, 3))
@examples(60)
def test_listings_that_lag_do_no_harm_and_the_next_run_after_them_converges(
    scenario: Scenario, lag: Lag, pause: int
) -> None:
    aws = scenario.play()
    true_plan = aws.plan(scenario.spec, run=scenario.run)
    leaving = {
        (change.target, canonical(change.name))
        for change in true_plan.changes
        if change.action in ("delete", "replace")
    }
    deeds_before = aws.world.state()
    aws.clock.sleep(float(pause))
    aws.world.lag = lag
    report = aws.apply(scenario.spec, run=scenario.run)
    after = aws.world.state()
    for target in scenario.spec.targets:
        place = PLACES[target.name]
        for name in deeds_before[place].keys() - after[place].keys():
            assert (target.name, name) in leaving, (
                f"{target.name} {name} was deleted although only a listing missed it"
            )
    for outcome in report.outcomes:
        place, name = PLACES[outcome.change.target], canonical(outcome.change.name)
        if outcome.result in (Result.STALE, Result.WITHHELD):
            assert deeds_before[place].get(name) == after[place].get(name)
    aws.world.lag = Lag()
    aws.pass_time(minutes=90)
    besides = held_back(aws, scenario.run, aws.apply(scenario.spec, run=scenario.run))
    aws.pass_time(minutes=20)
    assert unsettled(aws.plan(scenario.spec, run=scenario.run), besides) == []


def test_an_orphan_whose_source_a_listing_leaves_out_is_not_deleted() -> None:
    """Its type was changed by hand to one that the rules leave out, so that it looks like an orphan."""
    from ssm_reconcile.spec import DeleteMode, Glob, Replication
    from tests.property.places import FROM, TO_NEAR

    spec = Replication(
        "prod",
        FROM,
        (TO_NEAR,),
        (Glob("/p/**"),),
        DeleteMode.OWNED,
        types=frozenset({"String"}),
        orphans=Orphans.DELETE,
        id="k3v9x2m7qa",
    )
    aws = three_places()
    aws.put("/p/a", "one")
    aws.put("/p/b", "two")
    aws.apply(spec)
    aws.pass_time(minutes=20)
    aws.world.put(aws.there, "/p/a", "one", "SecureString")
    aws.pass_time(minutes=20)
    aws.world.pages = Pages(describe=(1,))
    aws.world.traffic.forget()
    aws.world.faults = Skipping("DescribeParameters", aws.here, 1)
    aws.apply(spec)
    assert aws.world.value(aws.there, "/p/a") == "one"


def test_tags_that_a_bulk_read_of_the_source_leaves_out_are_not_taken_from_a_replica() -> None:
    """A retag is confirmed on both sides when it is planned (section 4)."""
    spec = replace(SPEC, targets=SPEC.targets[:1])
    aws = three_places()
    for name in ("/p/a", "/p/b"):
        aws.put(name, "one", tags={"team": "a"})
    aws.apply(spec)
    aws.pass_time(minutes=20)
    before = aws.world.state()
    aws.world.traffic.forget()
    aws.world.pages = Pages(resources=(1,))
    aws.world.faults = Skipping("GetResources", aws.here, 1)
    plan = aws.plan(spec)
    assert plan.changes == ()
    assert aws.world.state() == before
