"""Rest: what is in sync is neither written nor read; a plan of it costs listing calls only."""

from __future__ import annotations

from hypothesis import given

from ssm_reconcile.model import canonical
from ssm_reconcile.spec import Run
from tests.property.places import PLACES
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios
from tests.simulated_aws import SimulatedAws

MODES = (Run(), Run(no_decrypt=True), Run(verify_values=True))


def settled(scenario: Scenario) -> SimulatedAws:
    """An AWS on which all that can be applied is applied."""
    aws = scenario.play()
    aws.apply(scenario.spec, run=scenario.run)
    aws.pass_time(minutes=20)
    aws.world.traffic.forget()
    return aws


@given(scenario=scenarios())
@examples(20)
def test_a_run_that_finds_nothing_to_do_writes_nothing(scenario: Scenario) -> None:
    aws = settled(scenario)
    if aws.plan(scenario.spec, run=scenario.run).changes:
        return  # something that AWS refuses; test_converge says which
    for run in (scenario.run, *MODES):
        asked = Run(verify_values=run.verify_values, no_decrypt=run.no_decrypt, adopt=scenario.run.adopt)
        if aws.plan(scenario.spec, run=asked).changes:
            continue
        before = aws.world.state()
        aws.world.traffic.forget()
        report = aws.apply(scenario.spec, run=asked)
        assert report.outcomes == ()
        assert aws.world.traffic.writes() == []
        assert aws.world.state() == before


@given(scenario=scenarios())
@examples(20)
def test_of_what_is_in_sync_no_value_is_read(scenario: Scenario) -> None:
    """Values are asked only for addresses that are reported: conflicts have to be compared every time."""
    aws = settled(scenario)
    aws.world.traffic.forget()
    plan = aws.plan(scenario.spec)
    asked = {
        canonical(name)
        for call in aws.world.calls
        if call.operation == "GetParameters"
        for name in call.names
    }
    reported: set[str] = set()
    for item in plan.named:
        reported.add(canonical(item.name))
    for target in scenario.spec.targets:
        for name, stored in aws.world.region(aws.here).parameters.items():
            shown = stored.latest.parameter.name
            place = PLACES[target.name]
            if canonical(scenario.spec.address(shown, aws.here, place, target.name)) in reported:
                reported.add(name)
    assert asked <= reported


@given(scenario=scenarios())
@examples(12)
def test_a_plan_never_writes_whatever_it_finds(scenario: Scenario) -> None:
    aws = scenario.play()
    before = aws.world.state()
    aws.world.traffic.forget()
    aws.plan(scenario.spec, run=scenario.run)
    assert aws.world.traffic.writes() == []
    assert aws.world.state() == before
