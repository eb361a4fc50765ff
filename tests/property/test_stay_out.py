"""Stay out: what is not ours and not placed never appears; what no change names is not moved by a byte."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import assume, given

from ssm_reconcile.change import Fate
from ssm_reconcile.model import canonical
from ssm_reconcile.renderers.json import dumps, plan_document
from ssm_reconcile.spec import Run
from tests.property.expected import View
from tests.property.profiles import examples
from tests.property.stories import Story, stories

STRANGERS = ("/elsewhere/by-the-team", "/p2/close-by", "/P/a", "/p", "standalone")
"""Names that no spec of a story selects, unless it selects everything."""


@given(story=stories())
@examples(40)
def test_what_is_neither_ours_nor_placed_is_not_mentioned(story: Story) -> None:
    stage = story.told()
    for place in stage.places.values():
        for name in STRANGERS:
            stage.world.put(place, name, "none of our business", tags={"team": "elsewhere"})
    plan = stage.plan(story.spec, run=story.run)
    mentioned = {(item.target, canonical(item.name)) for item in plan.named}
    for target in story.spec.targets:
        view = View(stage, story.spec, target)
        known = set(view.placed()) | view.ours()
        for name in stage.world.names(view.place):
            assert name in known or (target.name, name) not in mentioned


@given(story=stories())
@examples(30)
def test_no_output_has_the_name_of_what_is_nobodys_business(story: Story) -> None:
    stage = story.told()
    assume(all(glob.text != "/**" for glob in story.spec.include))
    for place in stage.places.values():
        for name in STRANGERS:
            stage.world.put(place, name, "none of our business", tags={"team": "elsewhere"})
    plan = stage.plan(story.spec, run=story.run)
    document = dumps(plan_document(plan, tool_version="0", created=datetime(2026, 11, 23, tzinfo=UTC)))
    assert "none of our business" not in document
    assert [name for name in STRANGERS if re.search(rf"(?<![\w/-]){name}(?![\w/-])", document)] == []


@given(story=stories())
@examples(70)
def test_an_apply_moves_nothing_but_what_its_plan_changes(story: Story) -> None:
    stage = story.told()
    before = stage.world.state()
    report = stage.apply(story.spec, run=story.run)
    after = stage.world.state()
    changed = {(c.target, canonical(c.name)) for c in report.plan.changes if c.fate is Fate.APPLY}
    assert after[stage.source] == before[stage.source], "the source is only ever read"
    for target, place in stage.places.items():
        for name in before[place].keys() | after[place].keys():
            if (target, name) not in changed:
                assert before[place].get(name) == after[place].get(name)


@given(story=stories())
@examples(60)
def test_replicas_of_another_id_are_never_changed(story: Story) -> None:
    stranger = replace(story.spec, id="stranger", previous_ids=())
    stage = replace(story, first=stranger).told()
    others = {target.name: View(stage, story.spec, target).of_others() for target in story.spec.targets}
    before = stage.world.state()
    stage.apply(story.spec, run=story.run)
    after = stage.world.state()
    for target, names in others.items():
        for name in names:
            assert before[stage.places[target]].get(name) == after[stage.places[target]].get(name)


@given(story=stories())
@examples(30)
def test_what_a_guard_withholds_is_not_moved_either(story: Story) -> None:
    """The same without any flag that lifts a guard."""
    stage = story.told()
    before = stage.world.state()
    report = stage.apply(story.spec, run=Run(adopt=story.run.adopt))
    after = stage.world.state()
    changed = {(c.target, canonical(c.name)) for c in report.plan.changes if c.fate is Fate.APPLY}
    for target, place in stage.places.items():
        for name in before[place].keys() | after[place].keys():
            if (target, name) not in changed:
                assert before[place].get(name) == after[place].get(name)
