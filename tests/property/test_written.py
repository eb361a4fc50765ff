"""Written: a report names version, time and tags that each change found, and those that it left."""

from __future__ import annotations

from hypothesis import given

from ssm_reconcile.model import canonical
from ssm_reconcile.report import ParameterVersion, Result
from tests.fake_aws.region import Stored
from tests.property.places import PLACES
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios


def version_of(found: Stored | None) -> ParameterVersion | None:
    if found is None:
        return None
    return ParameterVersion(found.latest.parameter.version, found.latest.parameter.last_modified)


def tags_of(found: Stored | None) -> dict[str, str]:
    return {} if found is None else dict(found.tags)


@given(scenario=scenarios())
@examples(40)
def test_a_change_that_was_applied_names_the_state_before_and_after(scenario: Scenario) -> None:
    aws = scenario.play()
    before = aws.world.snapshot()
    report = aws.apply(scenario.spec, run=scenario.run)
    for outcome in report.outcomes:
        if outcome.result is not Result.APPLIED:
            assert outcome.written is None
            continue
        place = PLACES[outcome.change.target]
        found = before[place].parameters.get(canonical(outcome.change.name))
        left = aws.world.peek(place, outcome.change.name)
        written = outcome.written
        assert written is not None
        assert written.before == version_of(found)
        assert written.after == version_of(left)
        then, now = tags_of(found), tags_of(left)
        changed = {key for key in then.keys() | now.keys() if then.get(key) != now.get(key)}
        assert written.tags is not None
        assert written.tags.before == {key: then[key] for key in then.keys() & changed}
        assert written.tags.after == {key: now[key] for key in now.keys() & changed}
