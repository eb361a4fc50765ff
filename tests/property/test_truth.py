"""Truth: a plan says exactly what differs, before and after; its id is of what is done, no more, no less."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.change import Adopt, Change, Create, Release, Replace, Retag, Row, Update
from ssm_reconcile.model import SECURE, canonical
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import RECORD, key_digest, parse_record
from ssm_reconcile.spec import DeleteMode, Glob, Replication, Run
from tests.fake_aws.region import Stored
from tests.property import actions
from tests.property.expected import View
from tests.property.places import FAR_ACCOUNT, FROM, NEAR, SOURCE, TO_NEAR, three_places
from tests.property.profiles import examples
from tests.property.scenarios import Cast, Scenario, disturb, scenarios
from tests.simulated_aws import SimulatedAws


def sides(aws: SimulatedAws, spec: Replication, change: Change) -> tuple[View, Stored | None, Stored | None]:
    """The source and the live parameter that a change is about."""
    view = View(aws, spec, spec.target(change.target))
    source = None if change.source_name is None else aws.world.peek(aws.here, change.source_name)
    return view, source, aws.world.peek(view.place, change.name)


def repointed(view: View, change: Change, source: Stored, live: Stored) -> bool:
    """Whether the record says that the replica was written under another key than it should have now."""
    if change.effect.__class__ not in (Update, Replace, Retag) or source.latest.parameter.type != SECURE:
        return False
    record = parse_record(live.tags.get(RECORD, ""))
    taken_over = isinstance(change.effect, Update) and change.effect.takes_over
    return record is not None and not taken_over and record.key not in ("none", key_digest(view.key(source)))


@given(scenario=scenarios())
@examples(40)
def test_a_change_names_exactly_the_attributes_that_differ(scenario: Scenario) -> None:
    aws = scenario.play()
    for change in aws.plan(scenario.spec, run=scenario.run).changes:
        if not isinstance(change.effect, Update | Replace | Retag | Adopt):
            continue
        view, source, live = sides(aws, scenario.spec, change)
        assert source is not None
        assert live is not None
        differing = view.differing(source, live)
        if repointed(view, change, source, live):
            differing.add("KeyId")
        said = {difference.attribute for difference in change.differences}
        if change.desired is not None and change.desired.may_rise:
            differing.discard("tier")  # without decryption it is unknown whether the value needs Advanced
        unseen = any("could not be compared" in reason for reason in change.reasons)
        if (isinstance(change.effect, Update) and change.effect.unproven) or unseen:
            # Without decryption the value is listed as an attribute that may differ.
            differing.add("value")
        elif scenario.run.no_decrypt and SECURE in (source.latest.parameter.type, live.latest.parameter.type):
            differing.discard("value")  # settled by versions, or replaced for another reason
            said.discard("value")
        assert said == differing, change


@given(scenario=scenarios())
@examples(30)
def test_parameters_in_sync_do_not_differ(scenario: Scenario) -> None:
    """The other half: no difference of a replica goes unsaid because it is called in sync."""
    aws = scenario.play()
    plan = aws.plan(scenario.spec, run=scenario.run)
    said = {(item.target, canonical(item.name)) for item in plan.named}
    for target in scenario.spec.targets:
        view = View(aws, scenario.spec, target)
        for address, placed in view.placed().items():
            if (target.name, address) in said:
                continue
            live = aws.world.peek(view.place, address)
            assert live is not None
            assert address in view.ours()
            # A source that opts out leaves the address to another one that a rewrite maps to it.
            opted_in = [one for one in placed if not scenario.spec.skip_sync.applies(one.tags, target.name)]
            source = (opted_in or placed)[0]
            assert view.differing(source, live) == set()
            assert view.replicated(live.tags) == view.tags(source)


@given(scenario=scenarios())
@examples(30)
def test_the_values_before_and_after_are_the_existing_and_the_desired_ones(scenario: Scenario) -> None:
    aws = scenario.play()
    plan = aws.plan(scenario.spec, run=scenario.run)
    shown = {}
    for change in plan.changes:
        view, source, live = sides(aws, scenario.spec, change)
        shown[change.target, change.name] = (change, view, source, live)
    for change, view, source, live in shown.values():
        if source is None or live is None or not isinstance(change.effect, Update | Replace):
            continue
        secret = SECURE in (source.latest.parameter.type, live.latest.parameter.type)
        for difference in change.differences:
            if difference.attribute == "description":
                now, then = live.latest.parameter.description, source.latest.parameter.description
                assert (difference.before, difference.after) == (now, then)
            elif difference.attribute == "value":
                record = parse_record(live.tags.get(RECORD, ""))
                was = canonical(change.name) in view.ours() and record is not None and record.key != "none"
                hidden = secret or was or view.spec.hides(source.latest.parameter.name)
                assert difference.secret == hidden
                if not hidden:
                    assert difference.before == live.latest.settled.value.reveal()[:200]
                    assert difference.after == view.shaped(source)[:200]


@given(scenario=scenarios())
@examples(30)
def test_tags_are_added_and_removed_as_they_differ(scenario: Scenario) -> None:
    aws = scenario.play()
    for change in aws.plan(scenario.spec, run=scenario.run).changes:
        view, source, live = sides(aws, scenario.spec, change)
        if isinstance(change.effect, Release) or source is None or change.desired is None:
            continue
        wanted = view.tags(source)
        if isinstance(change.effect, Create | Replace) or live is None:
            assert change.tags.added == wanted
            assert change.tags.removed == ()
            continue
        there = view.replicated(live.tags)
        assert change.tags.added == {k: v for k, v in wanted.items() if there.get(k) != v}
        assert set(change.tags.removed) == there.keys() - wanted.keys()


@given(scenario=scenarios())
@examples(30)
def test_after_an_apply_every_applied_change_is_as_planned(scenario: Scenario) -> None:
    aws = scenario.play()
    report = aws.apply(scenario.spec, run=scenario.run)
    for outcome in report.outcomes:
        change = outcome.change
        view, source, live = sides(aws, scenario.spec, change)
        if outcome.result != "applied":
            continue
        if change.desired is None:
            gone = change.action.value == "delete"
            assert (live is None) == gone
            assert live is None or not actions.has_ownership_tags(dict(live.tags))
            continue
        assert source is not None
        assert live is not None
        # An adopted or retagged replica keeps the ways of writing that make no difference.
        assert view.differing(source, live) == set()
        assert view.replicated(live.tags) == view.tags(source)
        assert canonical(change.name) in view.ours()


# The id. What follows is every field of every noun that a change is made of, but for those that only
# people read or that follow from others; so that a new field counts until it is left out here.

NOT_IN_THE_ID = frozenset(
    {
        # what only people read
        "reasons",
        "differences",
        "writer",
        "changed_outside",
        "exposes",
        "source_made_plain",
        "withheld",  # `fate` follows from it, and is in the id
        "rule",
        "hidden",
        "warnings",
        "kind",
        "source_name",
        "last_modified_user",
        "where",
        "pending",
        # follows from others: which versions, and what the row says
        "version",
        "last_modified",
        "source_version",
        "source_modified",
        "record",
        "put",
        "origin",
        "skip",
        "chained",
        "problems",
        "key_id",
        # of a secret the source's version stands for it, of others the source's version as well
        "allowed_pattern",
        "before",
    }
)


def essence(thing: Any) -> Any:
    """All that a change does and assumes, as plain data that can be compared."""
    if is_dataclass(thing) and not isinstance(thing, type):
        named = {f.name: getattr(thing, f.name) for f in fields(thing) if f.name not in NOT_IN_THE_ID}
        return (type(thing).__name__, *((name, essence(value)) for name, value in sorted(named.items())))
    if isinstance(thing, dict) or hasattr(thing, "items"):
        return tuple(sorted((str(k), essence(v)) for k, v in thing.items()))
    if isinstance(thing, tuple):
        return tuple(essence(one) for one in thing)
    return thing


def effects(plan: Plan) -> list[Any]:
    """Return the effects of a plan and its assumptions."""
    return [
        (
            essence(change),
            change.row,
            change.fate,
            change.effect.__class__.__name__,
            sorted(change.tags.removed),
            change.expected.source_version,
            change.expected.source_modified,
            change.expected.version,
            change.expected.modified,
            tuple(sorted(difference.attribute for difference in change.differences)),
        )
        for change in plan.changes
    ]


@st.composite
def twists(draw: st.DrawFn) -> tuple[Scenario, actions.UserAction]:
    """A scenario, and one thing more that happens in it."""
    scenario = draw(scenarios())
    names = tuple(sorted({action.name for action in scenario.before if hasattr(action, "name")}))
    cast = Cast(draw, names, tuple(target.name for target in scenario.spec.targets))
    return scenario, disturb(cast, shady=True)


@given(twist=twists())
@examples(50)
def test_the_id_differs_exactly_when_an_effect_differs(twist: tuple[Scenario, actions.UserAction]) -> None:
    scenario, action = twist
    aws = scenario.play()
    before = aws.plan(scenario.spec, run=scenario.run)
    actions.perform(aws, [action])
    aws.pass_time(minutes=20)
    after = aws.plan(scenario.spec, run=scenario.run)
    assert (before.plan_id == after.plan_id) == (effects(before) == effects(after))


@given(scenario=scenarios())
@examples(15)
def test_a_lifted_guard_changes_the_id_exactly_when_it_changes_what_may_happen(scenario: Scenario) -> None:
    """A fate, or whether an update may become a replacement where AWS refuses it in place."""
    aws = scenario.play()
    plans = [
        aws.plan(scenario.spec, run=_lifting(scenario.run, guard, lifted))
        for guard, lifted in (
            ("allow_replace", True),
            ("allow_replace", False),
            ("overwrite_outside", False),
            ("allow_exposure", False),
            ("max_deletes", 0),
        )
    ]
    for one in plans:
        for other in plans:
            assert [(c.target, c.name, c.row) for c in one.changes] == [
                (c.target, c.name, c.row) for c in other.changes
            ]
            assert (one.plan_id == other.plan_id) == (effects(one) == effects(other))


def test_the_rows_of_changes_are_the_rows_of_the_table() -> None:
    """The laws above speak of these; a new row has to be thought of here too."""
    assert {row.value for row in Row} == {
        "foreign",
        "detached",
        "copied",
        "held",
        "opted_out",
        "chained",
        "skipped",
        "kept_out",
        "expiring",
        "delete",
        "orphan",
        "invalid",
        "create",
        "adopt",
        "conflict",
        "replace",
        "update",
        "retag",
        "in_sync",
        "undone",  # of `undo`: tests/property/test_undo.py
    }


def _lifting(run: Run, guard: str, lifted: int) -> Run:
    """The run with one guard lifted."""
    given: dict[str, Any] = {guard: lifted}
    return replace(run, **given)


def one_update() -> tuple[SimulatedAws, Replication]:
    """An AWS on which one replica is to be updated, whatever else happens to it."""
    spec = Replication("prod", FROM, (TO_NEAR,), (Glob("/p/**"),), DeleteMode.OWNED)
    aws = three_places()
    aws.put("/p/a", "one", tags={"team": "a"})
    aws.apply(spec)
    aws.pass_time(minutes=20)
    aws.put("/p/a", "two")
    aws.pass_time(minutes=20)
    return aws, spec


@pytest.mark.parametrize(
    "action",
    [
        actions.AddTags(NEAR, "/p/a", (("extra", "1"),)),
        actions.AddTags(NEAR, "/p/a", (("team", "b"),)),
        actions.AddTags(SOURCE, "/p/a", (("team", "b"),)),
        actions.AddTags(SOURCE, "/p/a", (("more", "1"),)),
        actions.RemoveTags(SOURCE, "/p/a", ("team",)),
        actions.Edit(SOURCE, "/p/a", {"description": "edited"}),
        actions.Edit(SOURCE, "/p/a", {}),
        actions.Edit(NEAR, "/p/a", {}),
        actions.Recreate(NEAR, "/p/a", "one"),
    ],
    ids=str,
)
def test_whatever_alters_a_pending_update_alters_the_id(action: actions.UserAction) -> None:
    """Also tags, which move no version."""
    aws, spec = one_update()
    before = aws.plan(spec)
    actions.perform(aws, [action])
    aws.pass_time(minutes=20)
    after = aws.plan(spec)
    assert [change.action for change in after.changes] == ["update"]
    assert after.plan_id != before.plan_id


def test_the_same_change_in_another_account_has_another_id() -> None:
    """A role that leads elsewhere is not what was approved, though every name and version is the same."""
    aws, spec = one_update()
    aws.world.delete(aws.there, "/p/a")
    aws.pass_time(minutes=20)
    role = f"arn:aws:iam::{FAR_ACCOUNT}:role/ssm-reconcile"
    elsewhere = replace(TO_NEAR, access=replace(TO_NEAR.access, role_arn=role))
    ids = {aws.plan(replace(spec, targets=(target,))).plan_id for target in (TO_NEAR, elsewhere)}
    assert len(ids) == 2
