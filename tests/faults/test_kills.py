"""Kills: the process may die at any call, before or after its effect; the next run ends what this one began.

A death is a BaseException that no code may catch; from then on every call of the process dies too, so
that no thread of it does a thing afterwards.
"""

from __future__ import annotations

import threading

import pytest

from ssm_reconcile.change import Action, Release, Update
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.plan import WRITES
from tests.fake_aws.traffic import Fault, killed
from tests.faults.mixed import SPEC, Mixed, assert_untouched, mixed


class Killed(BaseException):
    """The closest to SIGKILL that Python can raise."""


class Dying:
    """A fault plan that kills at the nth call (of any place), or at the nth that writes."""

    def __init__(self, number: int, *, done: bool, writes: bool) -> None:
        self.number, self.done, self.writes = number, done, writes
        self.seen = 0
        self.dead = False
        self.struck: tuple[str, str] = ("", "")
        self.lock = threading.Lock()

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        with self.lock:
            if self.dead:
                return killed(Killed(), done=False)
            self.seen += not self.writes or operation in WRITES
            if self.seen < self.number:
                return None
            self.dead = True
            self.struck = (operation, names[0] if names else "")
            return killed(Killed(), done=self.done)


@pytest.fixture(scope="module")
def world() -> Mixed:
    return mixed()


def calls_of_a_run(world: Mixed, *, writes: bool) -> int:
    """Return the number of calls of a run without faults."""
    aws = world.again()
    aws.apply(SPEC)
    return len(aws.world.traffic.writes() if writes else aws.world.calls)


def dies(world: Mixed, dying: Dying) -> None:
    """A run that is killed, and all that holds after it."""
    aws = world.again()
    aws.world.faults = dying
    with pytest.raises(Killed):
        aws.apply(SPEC)
    assert dying.dead
    assert_untouched(aws, world.state, world.plan)
    world.assert_converges()


def test_the_mixed_plan_has_a_change_of_every_kind(world: Mixed) -> None:
    plan = world.again().plan(SPEC)
    assert {change.action for change in plan.changes} == set(Action)
    kinds = {type(change.effect).__name__ for change in plan.changes}
    assert kinds == {"Create", "Update", "Retag", "Adopt", "Replace", "Delete", "Release"}
    assert any(isinstance(c.effect, Update) and c.effect.takes_over for c in plan.changes)
    assert any(isinstance(c.effect, Update) and c.tags.removed and c.tags.added for c in plan.changes)
    assert {canonical(c.name) for c in plan.changes if isinstance(c.effect, Release)} == {"/p/lent"}
    assert {other.row.value for other in plan.others} >= {"foreign"}
    assert plan.summary["in_sync"] >= 1
    assert plan.summary["withheld"] == 0


@pytest.mark.parametrize(
    "done",
    [
        pytest.param(False, id="before the effect"),
        pytest.param(True, id="after the effect", marks=pytest.mark.threads),
    ],
)
def test_killed_at_every_write_in_turn(world: Mixed, done: bool) -> None:
    struck = set()
    for number in range(1, calls_of_a_run(world, writes=True) + 1):
        dying = Dying(number, done=done, writes=True)
        dies(world, dying)
        struck.add(dying.struck)
    operations = {operation for operation, _ in struck}
    assert operations == WRITES, "it was killed at every kind of write"


def test_killed_at_every_call_in_turn(world: Mixed) -> None:
    """Reads too: between a check and its write, and all through the plan."""
    for number in range(1, calls_of_a_run(world, writes=False) + 1):
        dies(world, Dying(number, done=True, writes=False))


def test_killed_again_and_again_it_gets_there_in_the_end(world: Mixed) -> None:
    """Each run is killed at its third write; every one brings the end nearer, and none does harm."""
    aws = world.again()
    plan = aws.plan(SPEC)
    before = aws.world.state()
    left = [len(plan.changes)]
    for _ in range(3 * len(plan.changes)):
        aws.world.faults = Dying(3, done=True, writes=True)
        try:
            aws.apply(SPEC)
        except Killed:
            assert_untouched(aws, before, plan)
        else:
            break
        finally:
            aws.world.faults = None
            aws.pass_time(minutes=20)
        left.append(len(aws.plan(SPEC).changes))
    assert left == sorted(left, reverse=True)
    assert aws.plan(SPEC).changes == ()
    assert_untouched(aws, before, plan)


def test_a_bootstrap_killed_half_way_resumes_without_a_guard_in_its_way() -> None:
    """With the guards as they come: creates, adopts and retags are never counted by a limit."""
    from ssm_reconcile.spec import Run
    from tests.property.places import three_places
    from tests.property.test_budget import spec_for

    aws, spec = three_places(), spec_for(2)
    for i in range(60):
        aws.put(f"/p/{i:03}", f"value {i}", tags={"team": "a"})
        if i % 3 == 0:
            aws.world.put(aws.there, f"/p/{i:03}", f"value {i}", tags={"team": "a"})
    aws.pass_time(minutes=20)
    for number in (1, 20, 30, 40):
        aws.world.faults = Dying(number, done=bool(number % 20), writes=True)
        with pytest.raises(Killed):
            aws.apply(spec, run=Run(parallelism=1))
        aws.world.faults = None
        aws.pass_time(minutes=20)
    report = aws.apply(spec, run=Run())
    assert report.summary["withheld"] == 0
    assert report.exit_code == 0
    aws.pass_time(minutes=20)
    assert aws.plan(spec).changes == ()
