"""Hold: no run and no fault writes or deletes at a held name, and a hold changes nothing at other names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile import reconcile
from ssm_reconcile.change import Row
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.plan import Plan, effect_of
from ssm_reconcile.spec import Replication
from tests.doubles.clock import StopFlag
from tests.fake_aws.world import Seen
from tests.faults.test_any_faults import Storm, deaths, failures
from tests.faults.test_kills import Killed
from tests.property.expected import View
from tests.property.profiles import examples
from tests.property.scenarios import HOLDS, RENAMES, Scenario, scenarios
from tests.property.test_by_name import names_of, planned, planner_for
from tests.property.test_converge import held_back, unsettled
from tests.simulated_aws import SimulatedAws

UNTOUCHED = {Row.FOREIGN, Row.DETACHED, Row.COPIED}
"""The rows before `held`."""
State = Mapping[Place, Mapping[str, Seen]]


@st.composite
def held_scenarios(draw: st.DrawFn) -> Scenario:
    """A scenario whose spec has a hold, and in half of them a rewrite of names."""
    scenario = draw(scenarios())
    rewrites = draw(st.sampled_from((scenario.spec.rewrites, (RENAMES,))))
    spec = replace(scenario.spec, holds=draw(st.sampled_from(HOLDS)), rewrites=rewrites)
    first = None if scenario.first is None else replace(scenario.first, rewrites=rewrites)
    return replace(scenario, spec=spec, first=first)


def held_addresses(aws: SimulatedAws, spec: Replication) -> set[tuple[str, str]]:
    """Every held address, by target."""
    return {(target.name, name) for target in spec.targets for name in View(aws, spec, target).held()}


def changed_addresses(aws: SimulatedAws, spec: Replication, before: State) -> set[tuple[str, str]]:
    """Every address at which anything is not as before."""
    after = aws.world.state()
    places = {target.name: View(aws, spec, target).place for target in spec.targets}
    return {
        (target, name)
        for target, place in places.items()
        for name in before[place].keys() | after[place].keys()
        if before[place].get(name) != after[place].get(name)
    }


def effects_by_address(plan: Plan) -> dict[tuple[str, str], object]:
    """The row of each address that a plan names, with its effect."""
    found: dict[tuple[str, str], object] = {
        (one.target, canonical(one.name)): effect_of(one) for one in plan.changes
    }
    return found | {(one.target, canonical(one.name)): (one.row, one.reasons) for one in plan.others}


@given(scenario=held_scenarios(), failing=failures, death=deaths)
@examples(80)
def test_a_held_name_is_never_written_or_deleted_by_any_run_or_fault(
    scenario: Scenario, failing: dict[tuple[str, int], str], death: tuple[int, bool] | None
) -> None:
    aws, spec = scenario.play(), scenario.spec
    held, before = held_addresses(aws, spec), aws.world.state()
    aws.world.traffic.forget()
    aws.world.faults = Storm(failing, death)
    with suppress(Killed, ReconcileError):
        aws.apply(spec, run=scenario.run)
    assert not held & changed_addresses(aws, spec, before)
    aws.world.faults = None
    aws.pass_time(minutes=20)
    aws.apply(spec, run=scenario.run)
    assert not held & changed_addresses(aws, spec, before)


@given(scenario=held_scenarios())
@examples(40)
def test_a_held_name_is_never_written_or_deleted_by_an_event(scenario: Scenario) -> None:
    aws, spec = scenario.play(), scenario.spec
    held, before = held_addresses(aws, spec), aws.world.state()
    found = planned(aws, scenario, names_of(aws, aws.plan(replace(spec, holds=()))))
    session = planner_for(aws, scenario).session()
    reconcile.carry_out(found.plan, found.specs, session, StopFlag())
    assert not held & changed_addresses(aws, spec, before)


@given(scenario=held_scenarios())
@examples(60)
def test_each_held_address_has_the_row_and_no_other_address_changes_its_row(scenario: Scenario) -> None:
    aws, spec = scenario.play(), scenario.spec
    held = held_addresses(aws, spec)
    plan = aws.plan(spec, run=scenario.run)
    rows = {(one.target, canonical(one.name)): one.row for one in plan.named}
    assert {address for address, row in rows.items() if row is Row.HELD} >= {
        address for address in held if rows.get(address) not in UNTOUCHED
    }
    free = effects_by_address(aws.plan(replace(spec, holds=()), run=scenario.run))
    now = effects_by_address(plan)
    for address in (free.keys() | now.keys()) - held:
        assert rows.get(address) is Row.HELD or now.get(address) == free.get(address)


@given(scenario=held_scenarios())
@examples(40)
def test_after_the_end_of_a_hold_the_next_apply_converges(scenario: Scenario) -> None:
    aws = scenario.play()
    aws.apply(scenario.spec, run=scenario.run)
    aws.pass_time(minutes=20)
    free = replace(scenario.spec, holds=())
    besides = held_back(aws, scenario.run, aws.apply(free, run=scenario.run))
    aws.pass_time(minutes=20)
    assert unsettled(aws.plan(free, run=scenario.run), besides) == []
