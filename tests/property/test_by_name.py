"""By name: what a run for some names says of an address is what a whole run says of it, in any world."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlan, NamePlanner
from ssm_reconcile.event.events import Names
from ssm_reconcile.event.requests import match_replications, source_places
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import Plan, effect_of
from ssm_reconcile.report import Result
from tests.doubles.clock import StopFlag
from tests.property.places import LIFTED
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios
from tests.simulated_aws import SimulatedAws, unwatched


def rows(plan: Plan) -> dict[tuple[str, str], Any]:
    """Everything that a plan says of each address, by target and canonical name."""
    found: dict[tuple[str, str], Any] = {(c.target, canonical(c.name)): effect_of(c) for c in plan.changes}
    found |= {(o.target, canonical(o.name)): (o.row, o.counted, o.reasons) for o in plan.others}
    return found


def names_of(aws: SimulatedAws, whole: Plan) -> set[str]:
    """Every name at the source, and those that something was made from and that are gone."""
    gone = {change.source_name for change in whole.changes if change.source_name is not None}
    return {canonical(name) for name in (*aws.world.names(aws.here), *gone)}


def planner_for(aws: SimulatedAws, scenario: Scenario) -> NamePlanner:
    return NamePlanner((scenario.spec,), aws.places(scenario.spec), LIFTED, aws.clock, unwatched)


def planned(aws: SimulatedAws, scenario: Scenario, names: set[str]) -> NamePlan:
    planner = planner_for(aws, scenario)
    sources = source_places(planner.specs, planner.places)
    wanted, _ = match_replications([scenario.spec], sources, Names(tuple(sorted(names))))
    return planner.plan(wanted)


def at_addresses(found: NamePlan, whole: Plan) -> dict[tuple[str, str], Any]:
    """Return the result of a whole run for the addresses of some names."""
    known = {(target, address) for (_, target), every in found.addresses.items() for address in every}
    return {end: row for end, row in rows(whole).items() if end in known}


@given(scenario=scenarios())
@examples(20)
def test_all_names_at_once_are_as_in_a_whole_run(scenario: Scenario) -> None:
    aws = scenario.play()
    whole = aws.plan(scenario.spec)
    found = planned(aws, scenario, names_of(aws, whole))
    assert rows(found.plan) == at_addresses(found, whole)
    assert not found.unsure


@given(scenario=scenarios(), data=st.data())
@examples(20)
def test_one_name_alone_is_as_in_a_whole_run(scenario: Scenario, data: st.DataObject) -> None:
    aws = scenario.play()
    whole = aws.plan(scenario.spec)
    names = sorted(names_of(aws, whole))
    if not names:
        return
    found = planned(aws, scenario, {data.draw(st.sampled_from(names))})
    assert rows(found.plan) == at_addresses(found, whole)


@given(scenario=scenarios())
@examples(12)
def test_changes_applied_by_name_are_in_sync_for_a_full_run(scenario: Scenario) -> None:
    aws = scenario.play()
    found = planned(aws, scenario, names_of(aws, aws.plan(scenario.spec)))
    session = planner_for(aws, scenario).session()
    report = reconcile.carry_out(found.plan, found.specs, session, StopFlag())
    aws.pass_time(minutes=20)
    done = {(o.change.target, o.change.name) for o in report.outcomes if o.result is Result.APPLIED}
    left = {(change.target, change.name) for change in aws.plan(scenario.spec).changes}
    assert done & left == set()
