"""Grace: no run deletes early, none forgets, whatever fails; a saved plan does not change with the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from itertools import product
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlanner
from ssm_reconcile.errors import ReconcileError, Trouble
from ssm_reconcile.record import EXPIRES, ExpiryMark, digest, mark_of
from ssm_reconcile.report import Report, Result
from ssm_reconcile.spec import DeleteMode, Run
from tests.builders import outcome, replication
from tests.fake_aws.behaviour import AwsBehaviour, Moves
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.traffic import FaultPlan, at_call, refused
from tests.fake_aws.world import Lag
from tests.faults.test_any_faults import Storm, deaths, failures
from tests.faults.test_kills import Dying, Killed
from tests.faults.test_matrix import KINDS, OPERATIONS, Striking
from tests.property.places import LIFTED
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios
from tests.simulated_aws import SimulatedAws, unwatched
from tests.unit.apply.test_outdated_marks import (
    NOTHING_WRITTEN,
    assert_waits_again,
    change_outside,
    findings,
    staged,
)
from tests.unit.apply.test_outdated_marks import returned as marked_and_returned

NAMES = ("/p/a", "/p/b")
AFTER = timedelta(days=2)
SKIPPED = {"skip_sync": ""}
DOUBTFUL = {"Skip-Sync": ""}


@dataclass(slots=True)
class Town:
    """An AWS with a few replicas, and what happened to each: what the laws are about.

    Attributes:
        written: The last time before a run that wrote the replica, its mark excepted.
        seen: The last time at which a run saw the source, and was allowed to write tags of its replica.
        can_clear: Whether the faults leave the run one of the two writes of tags.
    """

    aws: SimulatedAws
    faults: FaultPlan | None = None
    can_clear: bool = False
    written: dict[str, datetime] = field(default_factory=dict)
    seen: dict[str, datetime] = field(default_factory=dict)

    def state(self, name: str) -> object:
        """Return all of a replica except its mark."""
        found = self.aws.world.peek(self.aws.there, name)
        if found is None:
            return None
        tags = {key: value for key, value in found.tags.items() if key != EXPIRES}
        return (found.latest.parameter.version, tags)

    def exists(self, name: str) -> bool:
        return self.aws.world.peek(self.aws.here, name) is not None

    def run(self, act: Callable[[], Report | None], *, deletes: bool, sees: Sequence[str] = NAMES) -> None:
        """Run, with the faults that are due, and check that nothing was deleted early."""
        aws, storm, can_clear = self.aws, self.faults, self.can_clear
        self.faults, self.can_clear = None, False
        unwritable: set[str] = set()
        aws.world.traffic.forget()
        aws.world.faults = storm
        before, now = {name: self.state(name) for name in NAMES}, aws.clock.now()
        with suppress(Killed, ReconcileError):
            report = act()
            if report is not None:
                held = (one.change for one in report.outcomes if one.result is Result.WITHHELD)
                unwritable = {one.name for one in held if not NOTHING_WRITTEN.isdisjoint(one.withheld_by)}
        aws.world.faults = None
        for name in NAMES:
            after = self.state(name)
            if before[name] is not None and after is None:
                self.check_deleted(name, deletes=deletes)
            elif after != before[name]:
                self.written[name] = now
            is_seen = name in sees and name not in unwritable and (storm is None or can_clear)
            if is_seen and self.exists(name):
                self.seen[name] = now

    def check_deleted(self, name: str, *, deletes: bool) -> None:
        now = self.aws.clock.now()
        assert deletes, "the event path deletes nothing"
        assert not self.exists(name)
        assert now >= self.written[name] + AFTER, "it was written less than the time ago"
        assert now >= self.seen.get(name, now - AFTER) + AFTER, "its source was seen less than the time ago"

    def whole_run(self) -> None:
        self.run(self.aws.apply, deletes=True)

    def event(self, name: str) -> None:
        self.run(lambda: apply_event(self.aws, name), deletes=False, sees=(name,))


def apply_event(aws: SimulatedAws, name: str) -> Report:
    """Reconcile one name, as an event does."""
    spec = aws.spec
    planner = NamePlanner((spec,), aws.places(), aws.run, aws.clock, unwatched, lists_replicas=False)
    planned = planner.plan({name: frozenset({spec.name})})
    return reconcile.carry_out(planned.plan, planned.specs, planner.session(), aws.stop, planned.listings)


Step: TypeAlias = Callable[[Town], None]


def whole_run(town: Town) -> None:
    town.whole_run()


def guarded_run(town: Town) -> None:
    town.run(lambda: town.aws.apply(run=Run(parallelism=1)), deletes=True)


def event(name: str) -> Step:
    def step(town: Town) -> None:
        town.event(name)

    return step


def wait(hours: int) -> Step:
    def step(town: Town) -> None:
        town.aws.pass_time(hours=hours)

    return step


def delete_source(name: str) -> Step:
    def step(town: Town) -> None:
        if town.exists(name):
            town.aws.delete(name)
        town.aws.pass_time(minutes=2)

    return step


def put_source(name: str, value: str, tags: Mapping[str, str]) -> Step:
    def step(town: Town) -> None:
        with suppress(Refusal):
            town.aws.put(name, value)
            town.aws.world.tag(town.aws.here, name, dict(tags))

    return step


def change_replica(name: str) -> Step:
    """Write the replica as another client does, so that guards withhold its change."""

    def step(town: Town) -> None:
        if town.aws.version(name) is not None:
            with suppress(Refusal):
                town.aws.put(name, "by hand", region="us-east-2")
        town.aws.pass_time(minutes=20)

    return step


def tamper(name: str, text: str) -> Step:
    """Write another text into the mark; none of them counts."""

    def step(town: Town) -> None:
        with suppress(Refusal):
            town.aws.world.tag(town.aws.there, name, {EXPIRES: text})

    return step


def strike(failing: Mapping[tuple[str, int], str], death: tuple[int, bool] | None) -> Step:
    """Let the next run have faults."""

    def step(town: Town) -> None:
        town.faults, town.can_clear = Storm(failing, death), False

    return step


def refuse(operation: str) -> Step:
    """Let AWS refuse one operation in the next run: a mark can be removed or overwritten all the same."""

    def step(town: Town) -> None:
        town.faults, town.can_clear = at_call(operation, refused(Trouble.DENIED)), True

    return step


def _of_other_parameter(name: str) -> str:
    return ExpiryMark(datetime.fromisoformat("2020-01-01T00:00:00+00:00"), digest(name), 1).text()


TEXTS = ("", "cleared", "2020-01-01T00:00:00Z", _of_other_parameter("x"))
names = st.sampled_from(NAMES)
steps = st.one_of(
    st.just(whole_run),
    st.just(whole_run),
    st.just(guarded_run),
    st.builds(event, names),
    st.builds(wait, st.sampled_from((1, 20, 47, 49, 100))),
    st.builds(delete_source, names),
    st.builds(delete_source, names),
    st.builds(put_source, names, st.sampled_from(("v", "w")), st.sampled_from(({}, {}, SKIPPED, DOUBTFUL))),
    st.builds(change_replica, names),
    st.builds(tamper, names, st.sampled_from(TEXTS)),
    st.builds(strike, failures, deaths),
    st.builds(strike, failures, deaths),
    st.builds(refuse, st.sampled_from(("AddTagsToResource", "RemoveTagsFromResource", "PutParameter"))),
)
behaviours = st.builds(AwsBehaviour, tags_move_modified=st.sampled_from(Moves))


def town(behaviour: AwsBehaviour, lag: int) -> Town:
    """Return a world in sync."""
    base, started = in_sync(behaviour)
    aws = base.copy()
    aws.world.lag = Lag(resources=timedelta(minutes=lag))
    return Town(aws, written=dict.fromkeys(NAMES, started))


@cache
def in_sync(behaviour: AwsBehaviour) -> tuple[SimulatedAws, datetime]:
    """Return an AWS in sync, of which tests use a copy, and the time before its apply."""
    spec = replication(grace=AFTER)
    aws = SimulatedAws(spec, run=LIFTED, behaviour=behaviour, pause=timedelta(minutes=1))
    for name in NAMES:
        aws.put(name, "v")
    started = aws.clock.now()
    aws.apply()
    aws.pass_time(hours=1)
    return aws, started


@given(behaviour=behaviours, lag=st.sampled_from((0, 30)), happening=st.lists(steps, max_size=14))
@examples(100)
def test_no_run_deletes_early_and_none_forgets(
    behaviour: AwsBehaviour, lag: int, happening: list[Step]
) -> None:
    here = town(behaviour, lag)
    for step in happening:
        step(here)
    here.faults = None
    for name in NAMES:
        delete_source(name)(here)
    here.aws.pass_time(hours=2)
    here.whole_run()
    left = [name for name in NAMES if here.state(name) is not None]
    for name in left:
        mark = mark_of(here.aws.world.tags(here.aws.there, name) or {}, here.aws.there.arn(name))
        assert mark is not None, f"{name} was forgotten"
        assert mark.expires <= here.aws.clock.now() + AFTER + timedelta(seconds=1)
    here.aws.clock.advance(AFTER + timedelta(minutes=1))
    for name in left:
        here.event(name)
    here.whole_run()
    assert [name for name in NAMES if here.state(name) is not None] == []


def returned(behaviour: AwsBehaviour, value: str, tags: Mapping[str, str]) -> Town:
    """Return a world in which the mark of /p/a is due, and its source is back."""
    here = town(behaviour, 0)
    for step in (delete_source("/p/a"), whole_run, wait(100), put_source("/p/a", value, tags)):
        step(here)
    return here


@given(
    behaviour=behaviours,
    value=st.sampled_from(("v", "w")),
    tags=st.sampled_from(({}, SKIPPED)),
    run=st.sampled_from((whole_run, event("/p/a"))),
    fault=st.tuples(st.just({}), st.tuples(st.integers(1, 24), st.booleans())) | st.tuples(failures, deaths),
    after=st.sampled_from((wait(0), whole_run, event("/p/a"))),
)
@examples(60)
def test_a_fault_while_a_mark_is_cleared_does_not_shorten_the_next_time(
    behaviour: AwsBehaviour,
    value: str,
    tags: Mapping[str, str],
    run: Step,
    fault: tuple[dict[tuple[str, int], str], tuple[int, bool] | None],
    after: Step,
) -> None:
    here = returned(behaviour, value, tags)
    strike(*fault)(here)
    for step in (run, after, delete_source("/p/a"), whole_run):
        step(here)
    assert here.exists("/p/b")


@pytest.mark.parametrize("operation", ["AddTagsToResource", "RemoveTagsFromResource", "PutParameter"])
@pytest.mark.parametrize("run", [whole_run, event("/p/a")], ids=["whole run", "event"])
@pytest.mark.parametrize("tags", [{}, SKIPPED, DOUBTFUL], ids=["", "skipped", "doubtful"])
@pytest.mark.parametrize("value", ["v", "w"])
def test_one_write_of_tags_suffices_to_clear_a_mark(
    value: str, tags: Mapping[str, str], run: Step, operation: str
) -> None:
    here = returned(AwsBehaviour(), value, tags)
    for step in (refuse(operation), run, delete_source("/p/a"), whole_run):
        step(here)
    assert here.state("/p/a") is not None
    assert here.exists("/p/b")


ANYWHERE = (
    "PutParameter",
    "AddTagsToResource",
    "RemoveTagsFromResource",
    "DeleteParameters",
    "GetParameters",
)
AT_THE_SOURCE = ("ListTagsForResource",)
"""Operations that must work in the target before a tag is written there, and may fail at the source."""


@pytest.mark.parametrize("guard", ["", "changed-outside", "max-deletes"])
@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        ("none", ANYWHERE[0]),
        *product(("throttled", "lost-before", "lost-after", "denied"), [*ANYWHERE, *AT_THE_SOURCE]),
    ],
)
@pytest.mark.parametrize("writes", [False, True], ids=["", "another writes"])
def test_a_source_that_a_run_saw_resets_the_time_whatever_fails_or_is_withheld(
    kind: str, operation: str, guard: str, writes: bool
) -> None:
    aws = staged(guard)[0] if guard else marked_and_returned()
    where = aws.here if operation in AT_THE_SOURCE else None
    if kind != "none":
        aws.world.faults = Striking(operation, KINDS[kind], lambda _: True, where)
    plan = aws.plan()
    if writes:
        aws.pass_time()
        change_outside(aws)
    report = aws.carry_out(plan)
    if findings(report.plan):  # the tags of the source could not be read: nothing may be written
        assert outcome(report).change.withheld_by == ("unconfirmed",)
        assert report.exit_code == 5
    else:
        assert_waits_again(aws)


@pytest.mark.parametrize("run", [whole_run, event("/p/a")], ids=["whole run", "event"])
@pytest.mark.parametrize("moves", Moves)
@pytest.mark.parametrize("tags", [{}, SKIPPED], ids=["", "skipped"])
@pytest.mark.parametrize("value", ["v", "w"])
def test_a_kill_at_any_write_that_clears_a_mark_does_not_shorten_the_next_time(
    value: str, tags: Mapping[str, str], moves: Moves, run: Step
) -> None:
    for number in range(1, 5):
        for done in (False, True):
            here = returned(AwsBehaviour(tags_move_modified=moves), value, tags)
            here.faults = Dying(number, done=done, writes=True)
            for step in (run, delete_source("/p/a"), whole_run):
                step(here)
            assert here.exists("/p/b")


@pytest.mark.parametrize("kind", ["throttled", "lost-before", "lost-after", "denied", "expired"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("phase", ["mark", "delete"])
def test_whatever_fails_when_it_is_marked_or_deleted_a_later_run_deletes_it_in_time(
    phase: str, operation: str, kind: str
) -> None:
    for nth in (None, 1):
        here = town(AwsBehaviour(), 0)
        delete_source("/p/a")(here)
        if phase == "delete":
            for step in (whole_run, wait(49)):
                step(here)
        here.faults = at_call(operation, KINDS[kind], nth=nth)
        here.whole_run()
        here.whole_run()
        if phase == "mark":
            assert here.state("/p/a") is not None
            mark = mark_of(here.aws.world.tags(here.aws.there, "/p/a") or {}, here.aws.there.arn("/p/a"))
            assert mark is not None
            wait(49)(here)
            here.whole_run()
        assert here.state("/p/a") is None
        assert here.state("/p/b") is not None


@given(happening=st.lists(steps, max_size=10))
@examples(30)
def test_a_source_that_stays_is_in_sync_without_a_mark(happening: list[Step]) -> None:
    here = town(AwsBehaviour(), 0)
    for step in happening:
        step(here)
    here.faults = None
    here.aws.pass_time(hours=1)
    for name in NAMES:
        put_source(name, "v", {})(here)
        here.aws.world.untag(here.aws.here, name, "skip_sync")
        here.aws.world.untag(here.aws.here, name, "Skip-Sync")
    here.aws.pass_time(hours=1)
    here.whole_run()
    here.aws.pass_time(hours=1)
    assert here.aws.plan().summary["in_sync"] == len(NAMES)
    for name in NAMES:
        assert EXPIRES not in (here.aws.world.tags(here.aws.there, name) or {})


@given(scenario=scenarios(), hours=st.lists(st.sampled_from((0, 1, 47, 49, 120)), min_size=2, max_size=2))
@examples(30)
def test_the_clock_changes_no_effect_of_a_plan_of_the_same_instant(
    scenario: Scenario, hours: list[int]
) -> None:
    aws = scenario.play()
    spec = replace(scenario.spec, grace=AFTER)
    aws.apply(spec, run=scenario.run)
    aws.pass_time(hours=hours[0])
    first = aws.plan(spec, run=scenario.run)
    assert first.as_of is not None
    aws.pass_time(hours=hours[1])
    session = replace(aws.session(spec, run=scenario.run), as_of=first.as_of)
    again = reconcile.make_plan((spec,), session)
    assert again.plan_id == first.plan_id
    assert again.summary == first.summary


def test_the_clock_does_not_make_a_parameter_policy_expire_in_a_plan_of_the_same_instant() -> None:
    aws = SimulatedAws(replication())
    moment = (aws.clock.now() + timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    policy = f'{{"Type":"Expiration","Version":"1.0","Attributes":{{"Timestamp":"{moment}"}}}}'
    aws.put("/p/a", "v", tier="Advanced", policies=(policy,))
    first = aws.plan()
    assert first.summary["create"] == 1
    aws.pass_time(days=2)
    assert first.as_of is not None
    session = replace(aws.session(), as_of=first.as_of)
    assert reconcile.make_plan((aws.spec,), session).plan_id == first.plan_id
    assert aws.plan().summary["invalid"] == 1


@given(scenario=scenarios(run=st.just(Run())))
@examples(30)
def test_a_time_changes_nothing_but_deletes(scenario: Scenario) -> None:
    """A plan with `delete.after` differs from one without it only where a source is gone."""
    aws = scenario.play()
    at_once = aws.plan(scenario.spec, run=scenario.run)
    later = aws.plan(replace(scenario.spec, grace=AFTER), run=scenario.run)

    def rest(plan: object) -> list[object]:
        assert isinstance(plan, type(at_once))
        left = [one for one in plan.changes if one.row not in ("delete", "expiring")]
        return [(one.order, one.effect, one.row) for one in left]

    assert rest(at_once) == rest(later)
    gone = {one.order for one in at_once.changes if one.row == "delete"}
    assert {one.order for one in later.changes if one.row == "expiring"} <= gone
    if scenario.spec.delete is DeleteMode.NEVER:
        assert at_once.plan_id == later.plan_id
