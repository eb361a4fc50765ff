"""Stay out: what is not ours and not placed never appears; what no change names is not moved by a byte."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import assume, given

from ssm_reconcile.change import Fate
from ssm_reconcile.documents.encode import plan_document
from ssm_reconcile.model import canonical
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.spec import Run
from tests.property.expected import View
from tests.property.places import PLACES
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios

STRANGERS = ("/elsewhere/by-the-team", "/p2/close-by", "/P/a", "/p", "standalone")
"""Names that no spec of a scenario selects, unless it selects everything."""


@given(scenario=scenarios())
@examples(20)
def test_unowned_and_unplaced_parameters_are_not_mentioned(scenario: Scenario) -> None:
    aws = scenario.play()
    for place in PLACES.values():
        for name in STRANGERS:
            aws.world.put(place, name, "none of our business", tags={"team": "elsewhere"})
    plan = aws.plan(scenario.spec, run=scenario.run)
    mentioned = {(item.target, canonical(item.name)) for item in plan.named}
    for target in scenario.spec.targets:
        view = View(aws, scenario.spec, target)
        known = set(view.placed()) | view.ours()
        for name in aws.world.names(view.place):
            assert name in known or (target.name, name) not in mentioned


@given(scenario=scenarios())
@examples(15)
def test_no_output_has_the_name_of_an_unrelated_parameter(scenario: Scenario) -> None:
    aws = scenario.play()
    assume(all(glob.text != "/**" for glob in scenario.spec.include))
    for place in PLACES.values():
        for name in STRANGERS:
            aws.world.put(place, name, "none of our business", tags={"team": "elsewhere"})
    plan = aws.plan(scenario.spec, run=scenario.run)
    document = dumps(plan_document(plan, tool_version="0", created=datetime(2026, 11, 23, tzinfo=UTC)))
    assert "none of our business" not in document
    assert [name for name in STRANGERS if re.search(rf"(?<![\w/-]){name}(?![\w/-])", document)] == []


@given(scenario=scenarios())
@examples(35)
def test_an_apply_moves_nothing_but_what_its_plan_changes(scenario: Scenario) -> None:
    aws = scenario.play()
    before = aws.world.state()
    report = aws.apply(scenario.spec, run=scenario.run)
    after = aws.world.state()
    changed = {(c.target, canonical(c.name)) for c in report.plan.changes if c.fate is Fate.APPLY}
    assert after[aws.here] == before[aws.here], "the source is only ever read"
    for target, place in PLACES.items():
        for name in before[place].keys() | after[place].keys():
            if (target, name) not in changed:
                assert before[place].get(name) == after[place].get(name)


@given(scenario=scenarios())
@examples(30)
def test_replicas_of_another_id_are_never_changed(scenario: Scenario) -> None:
    stranger = replace(scenario.spec, id="stranger", previous_ids=())
    aws = replace(scenario, first=stranger).play()
    others = {target.name: View(aws, scenario.spec, target).of_others() for target in scenario.spec.targets}
    before = aws.world.state()
    aws.apply(scenario.spec, run=scenario.run)
    after = aws.world.state()
    for target, names in others.items():
        for name in names:
            assert before[PLACES[target]].get(name) == after[PLACES[target]].get(name)


@given(scenario=scenarios())
@examples(15)
def test_withheld_parameters_are_not_changed(scenario: Scenario) -> None:
    """The same without any flag that lifts a guard."""
    aws = scenario.play()
    before = aws.world.state()
    report = aws.apply(scenario.spec, run=Run(adopt=scenario.run.adopt))
    after = aws.world.state()
    changed = {(c.target, canonical(c.name)) for c in report.plan.changes if c.fate is Fate.APPLY}
    for target, place in PLACES.items():
        for name in before[place].keys() | after[place].keys():
            if (target, name) not in changed:
                assert before[place].get(name) == after[place].get(name)
