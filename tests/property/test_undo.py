"""Undo: after it, each change of its plan has its former state, and no version proves a value that differs.

The reports are those of random applies. In between, other people act, calls fail, and the process dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.change import Change, Fate, Row
from ssm_reconcile.errors import ReconcileError, Trouble
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import OWNER, PREFIX, RECORD
from ssm_reconcile.report import Report, Result
from ssm_reconcile.spec import Replication
from tests.fake_aws.behaviour import Moves
from tests.fake_aws.region import Region, Stored
from tests.faults.test_any_faults import Storm, deaths, failures
from tests.faults.test_kills import Killed
from tests.faults.test_matrix import KINDS
from tests.property import actions
from tests.property.places import LIFTED, PLACES
from tests.property.profiles import examples
from tests.property.scenarios import Cast, Scenario, disturb, scenarios
from tests.simulated_aws import SimulatedAws

UNDO = replace(LIFTED, without_hold=True)


def applied(scenario: Scenario) -> tuple[SimulatedAws, Mapping[Place, Region], Report]:
    """The AWS after an apply, what it held before, and the report."""
    aws = scenario.play()
    before = aws.world.snapshot()
    report = aws.apply(scenario.spec, run=scenario.run)
    aws.pass_time(minutes=20)
    return aws, before, report


def former(found: Stored | None) -> Any:
    """All that an undo returns: value, attributes, user's tags, and whether it was a replica."""
    if found is None:
        return None
    version = found.latest
    shown = version.parameter
    # An alias may mean another key since; AWS reports the alias.
    key = shown.key_id if (shown.key_id or "").startswith("alias/") else version.key_arn
    return (
        version.settled.value.reveal(),
        *(shown.type, key, shown.description, shown.allowed_pattern, shown.policies),
        shown.data_type,
        {key: tag for key, tag in found.tags.items() if not key.startswith(PREFIX)},
        found.tags.get(OWNER),
        RECORD in found.tags,
    )


def has_returned(
    aws: SimulatedAws, before: Mapping[Place, Region], change: Change, *, by_others: bool = False
) -> bool:
    """Whether a parameter is as it was before the apply.

    `by_others`: other people have changed tags since; those that the undo wrote must have returned.
    """
    place, name = PLACES[change.target], canonical(change.name)
    now, then = former(aws.world.peek(place, name)), former(before[place].parameters.get(name))
    if not by_others or now is None or then is None:
        return bool(now == then)
    keys = {key for key in (*change.tags.before, *change.tags.after) if not key.startswith(PREFIX)}
    tags = all(now[7].get(key) == then[7].get(key) for key in keys)
    return bool(now[:7] == then[:7] and now[8:] == then[8:] and tags)


def addresses(plan: Plan) -> list[tuple[str, str, str]]:
    return sorted((one.replication, one.target, canonical(one.name)) for one in plan.named)


@given(scenario=scenarios())
@examples(50)
def test_each_change_is_taken_back_or_listed_with_its_reason(scenario: Scenario) -> None:
    aws, before, report = applied(scenario)
    plan = aws.plan_undo(report, scenario.spec, run=UNDO)
    wrote = [one.change for one in report.outcomes if one.result in (Result.APPLIED, Result.FAILED)]
    assert addresses(plan) == sorted((c.replication, c.target, canonical(c.name)) for c in wrote)
    assert all(other.reasons for other in plan.others)
    others = {(other.target, canonical(other.name)) for other in plan.others}
    state = aws.world.state()
    done = aws.carry_out(plan, scenario.spec, run=UNDO)
    for outcome in done.outcomes:
        if outcome.result is Result.APPLIED:
            assert has_returned(aws, before, outcome.change), outcome
        else:
            assert outcome.result is Result.WITHHELD or outcome.trouble is Trouble.KEY, outcome
            others.add((outcome.change.target, canonical(outcome.change.name)))
    assert_untouched(aws, state, plan, others)


def assert_untouched(
    aws: SimulatedAws, before: Mapping[Place, Mapping[str, Any]], plan: Plan, left: set[tuple[str, str]]
) -> None:
    """Check that nothing changed but what the plan takes back."""
    names = {(change.target, canonical(change.name)) for change in plan.changes} - left
    now = aws.world.state()
    for target, place in PLACES.items():
        for name in before.get(place, {}).keys() | now.get(place, {}).keys():
            if (target, name) not in names:
                assert now[place].get(name) == before[place].get(name), (target, name)


def assert_proven_values_are_equal(aws: SimulatedAws, spec: Replication) -> None:
    """Check that no replica is in sync by versions whose value or attributes differ."""
    aws.pass_time(minutes=20)
    named = {(one.target, canonical(one.name)) for one in aws.plan(spec).named}
    verified = aws.plan(spec, run=replace(LIFTED, verify_values=True))
    assert [one for one in verified.changes if (one.target, canonical(one.name)) not in named] == []


Acts: TypeAlias = tuple[actions.UserAction, ...]


@st.composite
def meanwhile(draw: st.DrawFn) -> tuple[Scenario, Acts, Acts]:
    """A scenario, and what other people do between the apply and the undo, and after the undo."""
    scenario = draw(scenarios())
    names = tuple(sorted({one.name for one in scenario.before if isinstance(one, actions.Write)}))
    cast = Cast(draw, names, tuple(target.name for target in scenario.spec.targets))
    between = [disturb(cast, shady=True) for _ in range(draw(st.integers(0, 4)))]
    after = [disturb(cast, shady=False) for _ in range(draw(st.integers(0, 3)))]
    return scenario, tuple(between), tuple(after)


@given(drawn=meanwhile())
@examples(50)
def test_after_an_undo_no_replica_is_in_sync_that_differs(drawn: Any) -> None:
    scenario, between, after = drawn
    aws, before, report = applied(scenario)
    actions.perform(aws, between)
    aws.pass_time(minutes=20)
    plan = aws.plan_undo(report, scenario.spec, run=UNDO)
    for outcome in aws.carry_out(plan, scenario.spec, run=UNDO).outcomes:
        if outcome.result is Result.APPLIED:
            assert has_returned(aws, before, outcome.change, by_others=True), outcome
    assert_proven_values_are_equal(aws, scenario.spec)
    actions.perform(aws, after)
    assert_proven_values_are_equal(aws, scenario.spec)


writes = st.tuples(
    st.sampled_from(("AddTagsToResource", "RemoveTagsFromResource", "PutParameter", "DeleteParameters")),
    st.integers(1, 4),
)
write_failures = st.dictionaries(writes, st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)


@given(scenario=scenarios(), failing=st.one_of(write_failures, failures), death=deaths)
@examples(50)
def test_a_second_undo_completes_one_with_faults(scenario: Scenario, failing: Any, death: Any) -> None:
    aws, before, report = applied(scenario)
    plan = aws.plan_undo(report, scenario.spec, run=UNDO)
    refused = set[tuple[str, str]]()
    aws.world.traffic.forget()
    aws.world.faults = Storm(failing, death)
    try:
        first = aws.carry_out(plan, scenario.spec, run=UNDO)
    except (Killed, ReconcileError):
        pass
    else:
        assert len(first.outcomes) == len(plan.changes)
    aws.world.faults = None
    aws.pass_time(minutes=20)
    assert_proven_values_are_equal(aws, scenario.spec)
    second = aws.plan_undo(report, scenario.spec, run=UNDO)
    done = aws.carry_out(second, scenario.spec, run=UNDO)
    for outcome in done.outcomes:
        # The key of a former version may have been disabled, which only a read of its value shows.
        assert outcome.result in (Result.APPLIED, Result.WITHHELD) or outcome.trouble is Trouble.KEY, outcome
        if outcome.result is not Result.APPLIED:
            refused.add((outcome.change.target, outcome.change.name))
    for change in plan.changes:
        if change.fate is Fate.APPLY and (change.target, change.name) not in refused:
            assert has_returned(aws, before, change), (change, second.others)


TRUE_REASONS = (
    "already taken back: it is as it was before the apply",
    "the apply removed its mark to delete",
    "cannot be undone: AWS keeps no history of a deleted parameter",
    "cannot be undone: its ownership tags were removed",
    "cannot be undone: it failed, and what it wrote is unknown",
    "cannot be undone: the Expiration policy of version",
    "cannot be undone: the key ",
)
"""Beginnings of the reasons for which a change of an undo is not taken back, if no one else wrote."""


@given(scenario=scenarios())
@examples(30)
def test_an_undo_of_an_undo_returns_to_the_state_after_the_apply(scenario: Scenario) -> None:
    aws, _, report = applied(scenario)
    after = aws.world.snapshot()
    undone = aws.undo(report, scenario.spec, run=UNDO)
    aws.pass_time(minutes=20)
    plan = aws.plan_undo(undone, scenario.spec, run=UNDO)
    for other in plan.others:
        assert all(reason.startswith(TRUE_REASONS) for reason in other.reasons), other
    for outcome in aws.carry_out(plan, scenario.spec, run=UNDO).outcomes:
        assert outcome.change.row is not Row.UNDONE
        if outcome.result is Result.APPLIED:
            assert has_returned(aws, after, outcome.change), outcome
    assert_proven_values_are_equal(aws, scenario.spec)


@given(scenario=scenarios())
@examples(30)
def test_a_second_undo_has_nothing_to_do(scenario: Scenario) -> None:
    aws, _, report = applied(scenario)
    first = aws.undo(report, scenario.spec, run=UNDO)
    done = {(o.change.target, o.change.name) for o in first.outcomes if o.result is Result.APPLIED}
    aws.pass_time(minutes=20)
    state = aws.world.state()
    second = aws.undo(report, scenario.spec, run=UNDO)
    assert [one for one in second.outcomes if (one.change.target, one.change.name) in done] == []
    if len(done) == len(first.outcomes):
        assert aws.world.state() == state
    if scenario.readings.tags_move_modified is Moves.YES:
        return  # a parameter at the same version with a later date counts as created again
    unknown = 0
    for other in second.plan.others:
        # No record proves the former value of a secret that was taken over.
        doubtful = other.row is Row.CONFLICT and "which only a read of both shows" in other.reasons[0]
        unknown += doubtful
        assert doubtful or other.row is Row.IN_SYNC or (other.target, other.name) not in done, other
    if first.exit_code == 0 and not unknown:
        assert second.exit_code == 0
