"""Two runs at once on the same targets: neither harms what the other did, and the next run finds rest.

The second run, whole, from its listing to its last write, happens at one call of the first after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.change import Replace, Update
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.report import Report, Result
from tests.fake_aws.behaviour import AwsBehaviour, Recreate
from tests.fake_aws.traffic import Fault
from tests.faults.mixed import SPEC, Mixed, assert_untouched, mixed
from tests.property import actions
from tests.property.places import NEAR, PLACES, SOURCE
from tests.simulated_aws import SimulatedAws


class AtCall:
    """Has something happen right before the nth call of a run, once, in the thread that makes the call."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self.number, self.act = number, act
        self.seen = 0
        self.lock = threading.Lock()

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        with self.lock:
            self.seen += 1
            due = self.seen == self.number
        if due:
            self.act()
        return None


@pytest.fixture(scope="module")
def world() -> Mixed:
    return mixed()


def calls_of_a_run(world: Mixed) -> list[int]:
    """Return the numbers of the calls that write, and of every third call."""
    aws = world.again()
    aws.apply(SPEC)
    return [number for number, call in enumerate(aws.world.calls, 1) if call.writes or number % 3 == 0]


def crossed(aws: SimulatedAws, number: int) -> tuple[Report, Report]:
    """Both reports: of the run that was crossed, and of the one that crossed it."""
    second: list[Report] = []
    aws.world.faults = AtCall(number, lambda: second.append(aws.apply(SPEC)))
    first = aws.apply(SPEC)
    aws.world.faults = None
    return first, second[0]


def assert_both_reported(aws: SimulatedAws, first: Report, second: Report) -> None:
    """Each run says what it did, and what it did not do because the other had."""
    for report in (first, second):
        assert [outcome.change for outcome in report.outcomes] == list(report.plan.changes)
        for outcome in report.outcomes:
            if isinstance(outcome.change.effect, Replace) and outcome.result is Result.FAILED:
                # The other run created it between our delete and our create: we did write, so not stale.
                assert "a parameter with this name was created" in outcome.error
                continue
            assert outcome.result in (Result.APPLIED, Result.STALE), f"{outcome.change.name} {outcome.error}"


def test_a_second_run_at_each_write_and_every_third_call_of_the_first(world: Mixed) -> None:
    for number in calls_of_a_run(world):
        aws = world.again()
        first, second = crossed(aws, number)
        assert_both_reported(aws, first, second)
        assert_untouched(aws, world.state, world.plan)
        for target in SPEC.targets:
            for change in world.plan.changes:
                if change.target == target.name and change.desired is not None:
                    value = aws.world.value(PLACES[target.name], change.name)
                    assert value == aws.world.value(aws.here, change.name), "both meant the same"
        world.assert_converges()


@pytest.mark.parametrize("recreate", list(Recreate))
def test_a_create_right_after_a_delete_whatever_aws_answers(recreate: Recreate) -> None:
    """One run may replace while the other one looks: not documented by AWS."""
    world = mixed(AwsBehaviour(recreate=recreate))
    for number in calls_of_a_run(world)[5::3]:
        aws = world.again()
        first, second = crossed(aws, number)
        assert_both_reported(aws, first, second)
        world.assert_converges()


CROSSINGS: dict[str, actions.UserAction] = {
    "the source goes": actions.Delete(SOURCE, "/p/moved"),
    "the source is created again": actions.Recreate(SOURCE, "/p/moved", "created again"),
    "the source comes back": actions.Write(SOURCE, "/p/gone", "back again"),
    "the source opts out": actions.AddTags(SOURCE, "/p/moved", (("skip_sync", "1"),)),
    "the replica changes": actions.Write(NEAR, "/p/moved", "by hand"),
    "the replica goes": actions.Delete(NEAR, "/p/moved"),
    "the replica is created again": actions.Recreate(NEAR, "/p/moved", "created again"),
    "the replica opts out": actions.AddTags(NEAR, "/p/moved", (("skip_sync", "1"),)),
    "the replica is detached": actions.Detach(NEAR, "/p/moved"),
    "the replica is claimed": actions.Claim(NEAR, "/p/moved"),
    "what is to go is changed": actions.Write(NEAR, "/p/gone", "by hand"),
    "what is to go is detached": actions.Detach(NEAR, "/p/gone"),
    "what is to go is gone": actions.Delete(NEAR, "/p/gone"),
    "a name is taken": actions.Write(NEAR, "/p/new1", "theirs"),
    "what is to be replaced is changed": actions.Write(NEAR, "/p/wide", "by hand", tier="Advanced"),
    "what is to be adopted is changed": actions.Write(NEAR, "/p/equal", "by hand"),
    "what is to be adopted is claimed": actions.Claim(NEAR, "/p/equal"),
    "what is to be released is detached": actions.Detach(NEAR, "/p/lent"),
}


def apply(aws: SimulatedAws, between: Callable[[], object]) -> Report:
    """Plan and apply in one run. `between` happens after the plan."""
    session = aws.session(SPEC)
    plan = reconcile.make_plan([SPEC], session)
    between()
    return reconcile.carry_out(plan, [SPEC], session, aws.stop)


@pytest.mark.parametrize("crossing", CROSSINGS)
def test_a_change_of_another_writer_between_plan_and_apply_is_never_lost(world: Mixed, crossing: str) -> None:
    """The change is stale, withheld or done; it never overwrites the other change."""
    action = CROSSINGS[crossing]
    aws = world.again()
    seen: list[object] = []

    def between() -> None:
        actions.perform(aws, [action])
        seen.append(aws.world.state())

    report = apply(aws, between)
    name = canonical(getattr(action, "name"))  # noqa: B009 - every crossing has one
    touched = [o for o in report.outcomes if canonical(o.change.name) == name and o.change.target == NEAR]
    assert [outcome.result for outcome in touched] in ([Result.STALE], [Result.WITHHELD])
    state = aws.world.state()
    after = seen[0]
    assert isinstance(after, dict)
    assert state[aws.there].get(name) == after[aws.there].get(name)
    assert state[aws.here] == after[aws.here]
    others = [o for o in report.outcomes if canonical(o.change.name) != name]
    assert {outcome.result for outcome in others} == {Result.APPLIED}


def test_a_source_that_moves_on_is_applied_as_it_was_planned(world: Mixed) -> None:
    """An approval is of a version, and AWS still has that version; the next run applies the next one."""
    aws = world.again()
    report = apply(aws, lambda: actions.perform(aws, [actions.Write(SOURCE, "/p/moved", "even newer")]))
    assert {outcome.result for outcome in report.outcomes} == {Result.APPLIED}
    assert aws.world.value(aws.there, "/p/moved") == "as it is now"
    aws.pass_time(minutes=20)
    assert [(c.name, c.action) for c in aws.plan(SPEC).changes] == [("/p/moved", "update")] * 2
    world.assert_converges()


class RightBefore:
    """Has something happen right before one call about one name in one place."""

    def __init__(self, operation: str, place: Place, name: str, act: Callable[[], object]) -> None:
        self.call, self.act = (operation, place, name), act

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        if names and (operation, place, names[0]) == self.call:
            self.act()
        return None


@pytest.mark.parametrize("operation", ["PutParameter", "AddTagsToResource"])
def test_an_overwritten_write_in_the_last_milliseconds_is_detected_and_reported(
    world: Mixed, operation: str
) -> None:
    """SSM has no conditional write: another write may come between our check and our write."""
    aws = world.again()
    by_hand = actions.Write(NEAR, "/p/moved", "by hand")
    aws.world.faults = RightBefore(operation, aws.there, "/p/moved", lambda: actions.perform(aws, [by_hand]))
    report = aws.apply(SPEC)
    mine = [o for o in report.outcomes if o.change.name == "/p/moved" and o.change.target == NEAR]
    assert isinstance(mine[0].change.effect, Update)
    if operation == "PutParameter":
        assert mine[0].result is Result.APPLIED
        assert "overwritten" in mine[0].note
        assert any(finding.code == "version-overwritten" for finding in report.findings)
        moved = aws.world.peek(aws.there, "/p/moved")
        assert moved is not None
        assert "by hand" in [version.settled.value.reveal() for version in moved.versions]
    else:
        # Its write came after ours, so it stands, and the last look says so.
        assert aws.world.value(aws.there, "/p/moved") == "by hand"
        assert any(left.name == "/p/moved" for left in report.remaining)
        assert report.exit_code == 3
