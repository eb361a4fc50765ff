"""One world whose plan has a change of every kind, to be restored before each run that goes wrong.

/p/new*      creates, one of them a secret       /p/gone      its source is gone: deleted
/p/moved     updated, value and tags             /p/lent      adopted once, its source is gone: released
/p/tagged    retagged                            /p/out       opted out, with `replicas: delete`: deleted
/p/equal     adopted                             /p/wide      Advanced there, Standard here: replaced
/p/taken     taken over                          /p/calm      in sync; /p/foreign a conflict; /x not ours
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ssm_reconcile.change import Fate
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Report, Result
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import AdoptMode, DeleteMode, Glob, KeyRule, Orphans, Replication
from tests.doubles.clock import NOON
from tests.fake_aws.behaviour import AwsBehaviour
from tests.fake_aws.region import Region
from tests.fake_aws.world import Seen
from tests.property import actions
from tests.property.expected import View
from tests.property.places import FAR, FROM, NEAR, PLACES, SOURCE, TO_FAR, TO_NEAR, three_places
from tests.simulated_aws import SimulatedAws

SPEC = Replication(
    "prod",
    FROM,
    (TO_NEAR, TO_FAR),
    (Glob("/p/**"),),
    DeleteMode.CREATED,
    kms=(KeyRule("alias/app", ((NEAR, "alias/app"), (FAR, "alias/two"))),),
    skip_sync=SkipSync(replicas=OnSkip.DELETE),
    adopt=AdoptMode.OVERWRITE,
    orphans=Orphans.DELETE,
    id="k3v9x2m7qa",
)
TEAM = (("team", "a"),)
FIRST: tuple[actions.UserAction, ...] = (
    *(actions.Write(SOURCE, name, "as it was", tags=TEAM) for name in ("/p/moved", "/p/tagged", "/p/gone")),
    *(actions.Write(SOURCE, name, "as it was") for name in ("/p/lent", "/p/out", "/p/calm")),
    actions.Write(SOURCE, "/p/quiet", "hush", "SecureString", key="alias/app"),
    actions.Write(SOURCE, "/p/turned", "hush", "SecureString"),
    actions.Write(SOURCE, "/p/wide", "narrow"),
    actions.Write(NEAR, "/p/lent", "as it was"),
    actions.Write(FAR, "/p/lent", "as it was"),
)
SINCE: tuple[actions.UserAction, ...] = (
    *(actions.Write(SOURCE, f"/p/new{i}", f"fresh {i}", tags=TEAM) for i in range(3)),
    actions.Write(SOURCE, "/p/newest", "fresh and secret", "SecureString", key="alias/app"),
    actions.Write(SOURCE, "/p/moved", "as it is now"),
    actions.RemoveTags(SOURCE, "/p/moved", ("team",)),
    actions.AddTags(SOURCE, "/p/moved", (("owner", "b"),)),
    actions.Write(SOURCE, "/p/turned", "other hush", "SecureString"),
    actions.AddTags(SOURCE, "/p/tagged", (("team", "b"), ("tier", "1"))),
    actions.Delete(SOURCE, "/p/gone"),
    actions.Delete(SOURCE, "/p/lent"),
    actions.AddTags(SOURCE, "/p/out", (("skip_sync", "1"),)),
    actions.Write(NEAR, "/p/wide", "narrow", tier="Advanced"),
    actions.Write(SOURCE, "/p/equal", "the same"),
    actions.Write(NEAR, "/p/equal", "the same"),
    actions.Write(SOURCE, "/p/taken", "ours"),
    actions.Write(NEAR, "/p/taken", "theirs", tags=(("theirs", "1"),)),
    actions.Write(SOURCE, "/p/foreign", "ours"),
    actions.Write(NEAR, "/p/foreign", "theirs"),
    actions.Claim(NEAR, "/p/foreign"),
    *(
        actions.Write(where, "/x/elsewhere", "none of our business", tags=TEAM)
        for where in (SOURCE, NEAR, FAR)
    ),
)


State = Mapping[Place, Mapping[str, Seen]]


@dataclass(frozen=True, slots=True)
class Mixed:
    """An AWS with its initial world. `plan` and `state` are those of the initial world, computed once.

    `converged` has each world, with its time, from which the next run has converged: many faults lead to the
    same world, and the run after it is the same.
    """

    aws: SimulatedAws
    beginning: Mapping[Place, Region]
    passed: timedelta
    plan: Plan
    state: State
    converged: list[object] = field(default_factory=list)

    def again(self) -> SimulatedAws:
        """Restore the initial world and its time, without faults."""
        world = self.aws.world
        world.faults = None
        world.restore(self.beginning)
        world.traffic.forget()
        self.aws.clock.turn_to(self.passed)
        return self.aws

    def assert_converges(self) -> None:
        """Assert that the next run converges, unless it has done so from the same world at the same time."""
        aws = self.aws
        tagged = [
            (region.deleted, {name for name, one in region.parameters.items() if one.was_tagged})
            for region in aws.world.snapshot().values()
        ]
        begin = (aws.clock.now(), aws.world.pages, aws.world.state(), tagged)
        if begin not in self.converged:
            assert_converges(aws)
            self.converged.append(begin)


def mixed(readings: AwsBehaviour | None = None) -> Mixed:
    """A fresh one."""
    aws = three_places(readings)
    actions.perform(aws, FIRST)
    aws.pass_time(minutes=20)
    aws.apply(SPEC)
    aws.pass_time(minutes=20)
    actions.perform(aws, SINCE)
    aws.pass_time(minutes=20)
    passed = aws.clock.now() - NOON
    return Mixed(aws, aws.world.snapshot(), passed, aws.plan(SPEC), aws.world.state())


def assert_untouched(
    aws: SimulatedAws, before: State, plan: Plan | None, *, spec: Replication = SPEC
) -> None:
    """Whatever happened: the source and what no change of the plan names is as it was, byte for byte."""
    after = aws.world.state()
    changed = (
        set()
        if plan is None
        else {(change.target, canonical(change.name)) for change in plan.changes if change.fate is Fate.APPLY}
    )
    assert after[aws.here] == before[aws.here]
    for target, place in PLACES.items():
        for name in before[place].keys() | after[place].keys():
            if (target, name) not in changed:
                assert before[place].get(name) == after[place].get(name), f"{target} {name} was touched"


def assert_reported(aws: SimulatedAws, before: State, report: Report, *, spec: Replication = SPEC) -> None:
    """Every change has one outcome, and each outcome is true of the world."""
    assert [outcome.change for outcome in report.outcomes] == list(report.plan.changes)
    after = aws.world.state()
    for outcome in report.outcomes:
        change, place = outcome.change, PLACES[outcome.change.target]
        name = canonical(change.name)
        was, there = before[place].get(name), after[place].get(name)
        said = f"{outcome.result} {change.action} {change.target} {name}: {outcome.error}"
        if outcome.result is Result.APPLIED:
            assert not outcome.error, said
            assert_done(aws, spec, report, change.target, name)
        else:
            assert outcome.error, "an outcome without a reason"
        if outcome.result in (Result.STALE, Result.WITHHELD, Result.NOT_ATTEMPTED):
            assert was == there, said
    everything = all(outcome.result is Result.APPLIED for outcome in report.outcomes)
    if not everything:
        assert report.exit_code != 0
    assert report.exit_code in (0, 3, 5, 130)


def assert_done(aws: SimulatedAws, spec: Replication, report: Report, target: str, name: str) -> None:
    """One applied change is done: the address holds what was asked for."""
    change = next(c for c in report.plan.changes if c.target == target and canonical(c.name) == name)
    view = View(aws, spec, spec.target(target))
    live = aws.world.peek(view.place, name)
    if change.desired is None:
        assert live is None or not actions.has_ownership_tags(dict(live.tags))
        return
    source = aws.world.peek(aws.here, change.desired.source.name)
    assert live is not None
    assert source is not None
    assert view.differing(source, live) == set()
    assert view.replicated(live.tags) == view.tags(source)
    assert name in view.ours()


def assert_converges(aws: SimulatedAws) -> None:
    """The next run, in which nothing goes wrong, does all that is left; and what there was is still there."""
    aws.world.faults = None
    aws.pass_time(minutes=20)
    report = aws.apply(SPEC)
    assert [f"{o.change.name}: {o.error}" for o in report.outcomes if o.result is not Result.APPLIED] == []
    aws.pass_time(minutes=20)
    assert aws.plan(SPEC).changes == ()
    for target in SPEC.targets:
        view = View(aws, SPEC, target)
        for name, placed in view.placed().items():
            source = placed[0]
            live = aws.world.peek(view.place, name)
            if "skip_sync" in source.tags:
                assert live is None
            elif name != "/p/foreign" or target.name != NEAR:
                assert live is not None
                assert view.differing(source, live) == set()
        assert view.ours() <= view.placed().keys()


__all__ = ["SPEC", "Mixed", "assert_converges", "assert_reported", "assert_untouched", "mixed"]
