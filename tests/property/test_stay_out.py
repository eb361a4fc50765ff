"""Stay out: what is not ours and not placed never appears; what no change names is not moved by a byte."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given

from ssm_reconcile.model import canonical
from ssm_reconcile.plan import Fate
from ssm_reconcile.record import OWNER
from ssm_reconcile.renderers.json import dumps, plan_document
from ssm_reconcile.spec import Run
from tests.property.expected import View
from tests.property.profiles import examples
from tests.property.stories import Story, stories

STRANGERS = ("/elsewhere/by-the-team", "/p2/close-by", "/P/a", "/p", "standalone")
"""Names that no spec of a story selects, unless it selects everything."""


@given(story=stories())
@examples(80)
def test_what_is_neither_ours_nor_placed_is_not_mentioned(story: Story) -> None:
    stage = story.told()
    for place in stage.places.values():
        for name in STRANGERS:
            stage.world.put(place, name, "none of our business", tags={"team": "elsewhere"})
    plan = stage.plan(story.spec, run=story.run)
    mentioned = {(item.target, canonical(item.name)) for item in (*plan.changes, *plan.others)}
    document = dumps(plan_document(plan, tool_version="0", created=datetime(2026, 11, 23, tzinfo=UTC)))
    for target in story.spec.targets:
        view = View(stage, story.spec, target)
        known = set(view.placed()) | view.ours()
        for name, stored in stage.world.region(view.place).parameters.items():
            if name in known:
                continue
            assert (target.name, name) not in mentioned
            # One exception, which section 4 makes: copied ownership tags give a warning, wherever they are.
            warned = (stored.tags.get(OWNER) or "").startswith(("prod@", "older@"))
            elsewhere = any(name in one for one in (named_anywhere(plan),))
            if not warned and not elsewhere:
                assert f'"{stored.latest.parameter.name}"' not in document
    assert "none of our business" not in document or selects_all(story)


def named_anywhere(plan: object) -> set[str]:
    """The names that a plan has for good reason in another target, or at the source."""
    from ssm_reconcile.plan import Plan

    assert isinstance(plan, Plan)
    names = {canonical(item.name) for item in (*plan.changes, *plan.others)}
    names |= {canonical(change.source_name) for change in plan.changes if change.source_name}
    return names


def selects_all(story: Story) -> bool:
    """Whether the spec of a story means every name."""
    return any(glob.text == "/**" for glob in story.spec.include)


@given(story=stories())
@examples(120)
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
