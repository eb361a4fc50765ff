"""Hold: nothing is written, deleted, marked or unmarked at a held name; nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile import reconcile
from ssm_reconcile.change import Row
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.plan import Plan, effect_of
from ssm_reconcile.record import EXPIRES, SOURCE
from ssm_reconcile.spec import DeleteMode, Glob, Hold, Replication, Rewrite, RewriteIn
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
AFTER = timedelta(days=2)
TAKES_OVER = Rewrite(Glob("/p/a"), RewriteIn.NAME, "/p/a", "/p/b")
"""Places /p/a on the replica of /p/b, if the spec excludes /p/b."""


@st.composite
def held_scenarios(draw: st.DrawFn) -> Scenario:
    """A scenario whose spec has a hold, and mostly a rewrite of names, in some of them a new one."""
    scenario = draw(scenarios())
    spec, first = replace(scenario.spec, holds=draw(st.sampled_from(HOLDS))), scenario.first
    chosen = draw(st.sampled_from(("as it is", "renames", "takes over")))
    if chosen == "renames":
        spec = replace(spec, rewrites=(RENAMES,))
        first = None if first is None else replace(first, rewrites=(RENAMES,))
    elif chosen == "takes over":
        held = draw(st.sampled_from(((Hold(Glob("/p/b")),), spec.holds)))
        first = replace(spec, holds=(), exclude=(), rewrites=())
        spec = replace(spec, holds=held, exclude=(Glob("/p/b"),), rewrites=(TAKES_OVER,))
    return replace(scenario, spec=spec, first=first)


def mark(aws: SimulatedAws, spec: Replication, *, returns: bool) -> Replication:
    """Delete held sources, mark the replicas, and let the marks become due; return the spec with the time.

    Args:
        aws: The AWS.
        spec: The spec, whose holds begin after the marks.
        returns: Whether the sources are there again.
    """
    spec = replace(spec, grace=AFTER, delete=DeleteMode.OWNED)
    for source in tuple(aws.world.region(aws.here).parameters.values()):
        if spec.holds_on({source.latest.parameter.name}):
            aws.delete(source.latest.parameter.name)
    aws.pass_time(minutes=20)
    aws.apply(replace(spec, holds=()))
    for target in spec.targets if returns else ():
        place = View(aws, spec, target).place
        for name, stored in aws.world.state()[place].items():
            tags = dict(stored.tags)
            made_from = tags.get(SOURCE, name)
            if EXPIRES in tags and aws.world.peek(aws.here, made_from) is None:
                aws.put(made_from, "back")
    aws.clock.advance(AFTER)
    aws.pass_time(minutes=20)
    return spec


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


marks = st.sampled_from((None, "gone", "back"))
"""Whether replicas without a source are marked before the hold, and what is of their sources then."""


def played(scenario: Scenario, marked: str | None) -> tuple[SimulatedAws, Replication]:
    aws = scenario.play()
    spec = scenario.spec if marked is None else mark(aws, scenario.spec, returns=marked == "back")
    return aws, spec


@given(scenario=held_scenarios(), marked=marks, failing=failures, death=deaths)
@examples(40)
def test_a_held_name_is_never_written_deleted_marked_or_unmarked_by_any_run_or_fault(
    scenario: Scenario,
    marked: str | None,
    failing: dict[tuple[str, int], str],
    death: tuple[int, bool] | None,
) -> None:
    aws, spec = played(scenario, marked)
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


@given(scenario=held_scenarios(), marked=marks)
@examples(20)
def test_a_held_name_is_never_written_deleted_marked_or_unmarked_by_an_event(
    scenario: Scenario, marked: str | None
) -> None:
    aws, spec = played(scenario, marked)
    scenario = replace(scenario, spec=spec)
    held, before = held_addresses(aws, spec), aws.world.state()
    found = planned(aws, scenario, names_of(aws, aws.plan(replace(spec, holds=()))))
    session = planner_for(aws, scenario).session()
    reconcile.carry_out(found.plan, found.specs, session, StopFlag())
    assert not held & changed_addresses(aws, spec, before)


@given(scenario=held_scenarios())
@examples(30)
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
@examples(20)
def test_after_the_end_of_a_hold_the_next_apply_converges(scenario: Scenario) -> None:
    aws = scenario.play()
    aws.apply(scenario.spec, run=scenario.run)
    aws.pass_time(minutes=20)
    free = replace(scenario.spec, holds=())
    besides = held_back(aws, scenario.run, aws.apply(free, run=scenario.run))
    aws.pass_time(minutes=20)
    assert unsettled(aws.plan(free, run=scenario.run), besides) == []
