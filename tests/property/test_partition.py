"""Partition: every address that is ours or placed is in exactly one row; no other address is in any."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from ssm_reconcile.change import Row
from ssm_reconcile.documents.status import EXCLUDED
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import COUNTED, Plan
from ssm_reconcile.spec import Replication
from ssm_reconcile.status import read_status
from tests.property.expected import View
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios
from tests.simulated_aws import SimulatedAws

COUNTED_AS = {
    Row.FOREIGN: {"conflict"},
    Row.DETACHED: {"detached"},
    Row.COPIED: {"conflict"},
    Row.HELD: {"held"},
    Row.OPTED_OUT: {"opted_out"},
    Row.CHAINED: {"skipped"},
    Row.SKIPPED: {"skipped"},
    Row.KEPT_OUT: {"opted_out", "delete", "retag"},
    Row.DELETE: {"delete", "retag", "orphaned"},
    Row.ORPHAN: {"orphaned", "delete", "retag"},
    Row.INVALID: {"invalid"},
    Row.CREATE: {"create"},
    Row.ADOPT: {"adopt", "conflict"},
    Row.CONFLICT: {"conflict", "update"},
    Row.REPLACE: {"replace"},
    Row.UPDATE: {"update"},
    Row.RETAG: {"retag"},
}
"""Design, section 7: how each row is counted. A release (`delete: created`) counts as a retag."""


def addresses(aws: SimulatedAws, spec: Replication) -> dict[str, set[str]]:
    """The addresses of each target that are ours or on which something is placed."""
    views = {target.name: View(aws, spec, target) for target in spec.targets}
    return {name: set(view.placed()) | view.ours() for name, view in views.items()}


def named(plan: Plan) -> dict[str, list[str]]:
    """The addresses that a plan names, by target."""
    found: dict[str, list[str]] = {}
    for item in plan.named:
        found.setdefault(item.target, []).append(canonical(item.name))
    return found


@given(scenario=scenarios())
@examples(30)
def test_each_address_is_in_exactly_one_row(scenario: Scenario) -> None:
    aws = scenario.play()
    plan = aws.plan(scenario.spec, run=scenario.run)
    said = named(plan)
    for target in plan.replications[0].targets:
        known = addresses(aws, scenario.spec)[target.name]
        mentioned = said.get(target.name, [])
        assert len(mentioned) == len(set(mentioned))
        assert set(mentioned) <= known
        assert target.in_sync == len(known) - len(mentioned), "what is not mentioned is in sync"
        assert target.replicas == len(View(aws, scenario.spec, scenario.spec.target(target.name)).ours())


@given(scenario=scenarios())
@examples(20)
def test_each_address_has_exactly_one_state(scenario: Scenario) -> None:
    aws = scenario.play()
    session = aws.session(scenario.spec, run=scenario.run)
    for target in read_status([scenario.spec], session).targets:
        placed = [canonical(one.name) for one in target.states if one.state != EXCLUDED]
        excluded = [canonical(one.name) for one in target.states if one.state == EXCLUDED]
        assert sorted(placed) == sorted(addresses(aws, scenario.spec)[target.name])
        assert len(excluded) == len(set(excluded) - set(placed))


@given(scenario=scenarios())
@examples(20)
def test_the_summary_adds_up(scenario: Scenario) -> None:
    aws = scenario.play()
    plan = aws.plan(scenario.spec, run=scenario.run)
    part = plan.replications[0]
    every = sum(len(names) for names in addresses(aws, scenario.spec).values())
    assert sum(plan.summary[word] for word in COUNTED) == every
    assert plan.summary["withheld"] == sum(change.fate == "withheld" for change in plan.changes)
    by_target = Counter[str]()
    for target in part.targets:
        by_target.update(part.summary(target.name))
    assert dict(by_target) == plan.summary == part.summary()


@given(scenario=scenarios())
@examples(20)
def test_each_row_is_counted_as_the_contract_says(scenario: Scenario) -> None:
    plan = scenario.play().plan(scenario.spec, run=scenario.run)
    for change in plan.changes:
        assert change.action.value in COUNTED_AS[change.row], change
    for other in plan.others:
        assert other.counted in COUNTED_AS[other.row], other
