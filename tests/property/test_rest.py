"""Rest: what is in sync is neither written nor read; a plan of it costs listing calls only."""

from __future__ import annotations

from hypothesis import given

from ssm_reconcile.model import canonical
from ssm_reconcile.spec import Run
from tests.property.profiles import examples
from tests.property.stage import Stage
from tests.property.stories import Story, stories

MODES = (Run(), Run(no_decrypt=True), Run(verify_values=True))


def settled(story: Story) -> Stage:
    """A stage on which all that can be applied is applied."""
    stage = story.told()
    stage.apply(story.spec, run=story.run)
    stage.later()
    stage.world.traffic.forget()
    return stage


@given(story=stories())
@examples(40)
def test_a_run_that_finds_nothing_to_do_writes_nothing(story: Story) -> None:
    stage = settled(story)
    if stage.plan(story.spec, run=story.run).changes:
        return  # something that AWS refuses; test_converge says which
    for run in (story.run, *MODES):
        asked = Run(verify_values=run.verify_values, no_decrypt=run.no_decrypt, adopt=story.run.adopt)
        if stage.plan(story.spec, run=asked).changes:
            continue
        before = stage.world.state()
        stage.world.traffic.forget()
        report = stage.apply(story.spec, run=asked)
        assert report.outcomes == ()
        assert stage.world.traffic.writes() == []
        assert stage.world.state() == before


@given(story=stories())
@examples(40)
def test_of_what_is_in_sync_no_value_is_read(story: Story) -> None:
    """Values are asked only for addresses that are reported: conflicts have to be compared every time."""
    stage = settled(story)
    stage.world.traffic.forget()
    plan = stage.plan(story.spec)
    asked = {
        canonical(name)
        for call in stage.world.calls
        if call.operation == "GetParameters"
        for name in call.names
    }
    reported: set[str] = set()
    for item in plan.named:
        reported.add(canonical(item.name))
    for target in story.spec.targets:
        for name, stored in stage.world.region(stage.source).parameters.items():
            shown = stored.latest.parameter.name
            place = stage.places[target.name]
            if canonical(story.spec.address(shown, stage.source, place, target.name)) in reported:
                reported.add(name)
    assert asked <= reported


@given(story=stories())
@examples(25)
def test_a_plan_never_writes_whatever_it_finds(story: Story) -> None:
    stage = story.told()
    before = stage.world.state()
    stage.world.traffic.forget()
    stage.plan(story.spec, run=story.run)
    assert stage.world.traffic.writes() == []
    assert stage.world.state() == before
