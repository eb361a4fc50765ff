"""A run for some names is the whole run, for these names: every row of the table, and every guard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.change import Fate, Row, effect_of
from ssm_reconcile.errors import NothingPlanned, Trouble
from ssm_reconcile.event.reconciler import MANY_UPDATES, EventReconciler, Planned
from ssm_reconcile.event.requests import NameRequest
from ssm_reconcile.event.results import NameResult, results_of
from ssm_reconcile.model import SECURE, Access, Place, canonical
from ssm_reconcile.places import Places, open_places
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import DETACHED, OWNER
from ssm_reconcile.report import Report
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Adopt, DeleteMode, Glob, Limits, Replication, Rewrite, RewriteIn, Run, Source
from tests.builders import replication, target, unwatched
from tests.doubles.clock import FakeClock
from tests.fake_aws.store import Memory
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import World

EVERYTHING = Limits(max_deletes=1000, max_change_percent=100)
SPEC = replication(include=(Glob("/p/**"),), limits=EVERYTHING)


class Never:
    def is_set(self) -> bool:
        return False


class Town:
    """A world, and both kinds of run in it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.world = World(self.clock)
        self.here = self.world.place("us-east-1")
        self.there = self.world.place("us-east-2")

    def places(self, *specs: Replication) -> Places:
        return open_places(specs, Memory(self.world).connect, Run())

    def whole(self, *specs: Replication, run: Run | None = None) -> Plan:
        return reconcile.make_plan(specs, Session(self.places(*specs), run or Run(), self.clock, unwatched))

    def apply(self, *specs: Replication, run: Run | None = None) -> Report:
        run = run or Run(max_deletes=1000, max_change_percent=100)
        plan = self.whole(*specs, run=run)
        report = reconcile.carry_out(
            plan, specs, Session(self.places(*specs), run, self.clock, unwatched), Never()
        )
        self.clock.advance(timedelta(hours=1))
        return report

    def standby(self, *specs: Replication, run: Run | None = None) -> EventReconciler:
        return EventReconciler(specs, self.places(*specs), run or Run(), self.clock, unwatched)

    def planned(self, names: Iterable[str], *specs: Replication, run: Run | None = None) -> Planned:
        return self.standby(*specs, run=run).plan(wishes(names, *specs))

    def put(self, *names: str, **more: Any) -> None:
        for name in names:
            self.world.put(
                self.here, name, more.get("value", "v"), **{k: v for k, v in more.items() if k != "value"}
            )


def wishes(names: Iterable[str], *specs: Replication) -> dict[str, NameRequest]:
    return {
        canonical(name): NameRequest(canonical(name), frozenset(spec.name for spec in specs))
        for name in names
    }


def rows(plan: Plan) -> dict[tuple[str, str], Any]:
    """Everything that a plan says of each address."""
    found: dict[tuple[str, str], Any] = {(c.target, c.name): effect_of(c) for c in plan.changes}
    found |= {(o.target, o.name): (o.row, o.counted, o.reasons) for o in plan.others}
    return found


@pytest.fixture
def town() -> Town:
    """One address in every row but `orphan`, and what it takes to get there."""
    town = Town()
    world, here, there = town.world, town.here, town.there
    other = replication(name="other", include=(Glob("/p/foreign"),))
    back = replication(
        name="back", source=Source(Access("us-east-2")), include=(Glob("/p/chained"),),
        targets=(target("us-east-1", region="us-east-1"),),
    )  # fmt: skip
    world.add_key(here, "alias/lonely")
    town.put("/p/foreign", "/p/kept_out", "/p/opted_out", "/p/delete", "/p/retag", "/p/update", "/p/in_sync")
    town.put("/p/detached", "/p/copied", "/p/adopt", "/p/conflict")
    world.put(here, "/p/replace", "v", tier="Standard")
    world.put(there, "/p/chained", "theirs")
    town.apply(other)
    town.apply(back)
    for name in ("/p/detached", "/p/copied", "/p/adopt", "/p/conflict"):
        world.put(there, name, "w" if name == "/p/conflict" else "v")
    town.apply(SPEC)
    world.tag(there, "/p/detached", {OWNER: f"{DETACHED}prod@{here.account}/us-east-1"})
    tags = world.tags(there, "/p/in_sync")
    assert tags is not None
    for name in ("/p/copied", "/p/adopt"):
        world.delete(there, name)
        town.clock.advance(timedelta(minutes=1))
        world.put(there, name, "v", tags=tags if name == "/p/copied" else None)
    world.tag(there, "/p/opted_out", {"skip_sync": "1"})
    world.tag(here, "/p/kept_out", {"skip_sync": "1"})
    world.tag(here, "/p/retag", {"team": "a"})
    world.put(there, "/p/replace", "v", tier="Advanced")
    town.put("/p/skipped", tags={"skip_sync": "1"})
    town.put("/p/create")
    town.put("/p/update", value="w")
    town.put("/p/invalid", type=SECURE, key_id="alias/lonely")
    world.delete(here, "/p/delete")
    town.clock.advance(timedelta(hours=1))
    return town


RUNS = [Run(), Run(allow_replace=True, overwrite_outside=True), Run(verify_values=True), Run(no_decrypt=True)]


@pytest.mark.parametrize("run", RUNS, ids=["plain", "lifted", "verify", "no-decrypt"])
def test_of_every_name_it_says_what_a_whole_run_says(town: Town, run: Run) -> None:
    whole = rows(town.whole(SPEC, run=run))
    kinds = {value["row"] if isinstance(value, dict) else str(value[0]) for value in whole.values()}
    assert kinds == {str(row) for row in Row} - {"orphan", "in_sync"}
    for name in (*town.world.names(town.here), "/p/delete", "/p/never"):
        planned = town.planned([name], SPEC, run=run)
        assert rows(planned.plan) == {end: row for end, row in whole.items() if end[1] == name}, name
        assert not planned.unsure


def test_many_names_at_once_are_each_as_alone(town: Town) -> None:
    names = [*town.world.names(town.here), "/p/delete"]
    assert rows(town.planned(names, SPEC).plan) == rows(town.whole(SPEC))


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, delete=DeleteMode.NEVER),
        replace(SPEC, delete=DeleteMode.CREATED),
        replace(SPEC, adopt=Adopt.OVERWRITE),
        replace(SPEC, types=frozenset({"StringList"})),
        replace(SPEC, add_tags=(("by", "us"),)),
    ],
    ids=["never", "created", "overwrite", "orphans", "tags"],
)
def test_so_it_is_whatever_the_spec_says(town: Town, spec: Replication) -> None:
    whole = rows(town.whole(spec))
    for name in (*town.world.names(town.here), "/p/delete"):
        assert rows(town.planned([name], spec).plan) == {e: row for e, row in whole.items() if e[1] == name}


class TestRewrittenNames:
    REGION = Rewrite(Glob("/p/us-east-1/**"), RewriteIn.NAME, "us-east-1", "{target.region}")
    SPEC = replication(rewrites=(REGION,), limits=EVERYTHING)

    def test_a_change_and_a_delete_are_made_at_the_address(self) -> None:
        town = Town()
        town.put("/p/us-east-1/a", "/p/stays")
        planned = town.planned(["/p/us-east-1/a"], self.SPEC)
        assert [(c.name, c.action) for c in planned.plan.changes] == [("/p/us-east-2/a", "create")]
        town.apply(self.SPEC)
        town.world.delete(town.here, "/p/us-east-1/a")
        planned = town.planned(["/p/us-east-1/a"], self.SPEC)
        assert [(c.name, c.row, c.fate) for c in planned.plan.changes] == [
            ("/p/us-east-2/a", Row.DELETE, Fate.APPLY)
        ]
        assert planned.names_of("prod", "us-east-2", "/p/us-east-2/a") == {"/p/us-east-1/a"}

    def test_two_names_on_one_address_are_found_although_only_one_was_told(self) -> None:
        town = Town()
        town.put("/p/us-east-1/a", "/p/us-east-2/a")
        for name in ("/p/us-east-1/a", "/p/us-east-2/a"):
            planned = town.planned([name], self.SPEC)
            assert [other.row for other in planned.plan.others] == [Row.INVALID]

    def test_a_replica_of_a_rival_is_not_deleted(self) -> None:
        town = Town()
        town.put("/p/us-east-1/a", "/p/stays")
        town.apply(self.SPEC)
        planned = town.planned(["/p/us-east-2/a"], self.SPEC)  # never was, and lands where a replica is
        assert not planned.plan.changes


class TestGuards:
    def deleted(self, count: int, limit: int = 10) -> tuple[Town, Replication]:
        town, spec = Town(), replace(SPEC, limits=Limits(max_deletes=limit))
        town.put(*(f"/p/{i:02}" for i in range(30)))
        town.apply(spec)
        town.world.delete(town.here, *(f"/p/{i:02}" for i in range(count)))
        return town, spec

    def test_a_delete_counts_all_that_would_go(self) -> None:
        town, spec = self.deleted(11)
        (change,) = town.planned(["/p/00"], spec).plan.changes
        assert change.withheld_by == ("max-deletes",)
        town, spec = self.deleted(10)
        (change,) = town.planned(["/p/00"], spec).plan.changes
        assert change.fate is Fate.APPLY

    def test_a_number_that_covers_them_lifts_it(self) -> None:
        town, spec = self.deleted(11)
        assert town.planned(["/p/00"], spec, run=Run(max_deletes=10)).plan.changes[0].fate is Fate.WITHHELD
        assert town.planned(["/p/00"], spec, run=Run(max_deletes=11)).plan.changes[0].fate is Fate.APPLY

    def test_over_half_of_the_replicas_is_counted_of_all_of_them(self) -> None:
        town, spec = self.deleted(16, limit=20)
        assert town.planned(["/p/00"], spec).plan.changes[0].fate is Fate.WITHHELD
        town, spec = self.deleted(15, limit=20)
        assert town.planned(["/p/00"], spec).plan.changes[0].fate is Fate.APPLY

    def test_an_empty_source_deletes_nothing(self) -> None:
        town, spec = self.deleted(30, limit=100)
        assert town.planned(["/p/00"], spec).plan.changes[0].withheld_by[0] == "empty-source"

    def test_a_listing_that_fails_deletes_nothing_and_comes_again(self) -> None:
        for operation in ("GetResources", "DescribeParameters"):
            town, spec = self.deleted(1)
            town.world.faults = lambda called, place, names, nth, operation=operation: (
                refused(Trouble.THROTTLED) if called == operation and not names else None
            )
            with pytest.raises(NothingPlanned):
                town.planned(["/p/00"], spec)

    def unlistable(self, town: Town, where: Place) -> None:
        town.world.faults = lambda operation, place, names, nth: (
            refused(Trouble.THROTTLED)
            if operation == "DescribeParameters" and not names and place == where
            else None
        )

    @pytest.mark.parametrize("end", ["here", "there"])
    def test_a_delete_that_cannot_be_judged_keeps_none_of_its_neighbours(self, end: str) -> None:
        town, spec = self.deleted(1)
        town.put("/p/01", value="w")
        town.put("/p/new")
        self.unlistable(town, getattr(town, end))
        planned = town.planned(["/p/00", "/p/01", "/p/new"], spec)
        assert {c.name: (c.action, c.fate) for c in planned.plan.changes} == {
            "/p/01": ("update", Fate.APPLY),
            "/p/new": ("create", Fate.APPLY),
        }
        assert set(planned.unsure) == {"/p/00"}

    def test_a_target_that_cannot_be_listed_keeps_no_delete_in_another(self) -> None:
        town, spec = Town(), replace(SPEC, targets=(target(), target("us-west-2", region="us-west-2")))
        town.put("/p/a", "/p/b")
        town.apply(spec)
        town.world.delete(town.here, "/p/a")
        self.unlistable(town, town.there)
        planned = town.planned(["/p/a", "/p/b"], spec)
        assert [(c.target, c.name, c.action) for c in planned.plan.changes] == [
            ("us-west-2", "/p/a", "delete")
        ]
        assert set(planned.unsure) == {"/p/a"}

    def test_updates_that_have_to_be_counted_wait_with_it(self) -> None:
        town, spec = self.deleted(1)
        town.put(*(f"/p/{i:02}" for i in range(1, 1 + MANY_UPDATES)), value="w")
        self.unlistable(town, town.there)
        with pytest.raises(NothingPlanned):
            town.planned([f"/p/{i:02}" for i in range(1 + MANY_UPDATES)], spec)

    def changed(self, count: int) -> tuple[Town, Replication]:
        town, spec = Town(), replace(SPEC, limits=Limits(max_change_percent=30))
        town.put(*(f"/p/{i:02}" for i in range(40)))
        town.apply(spec)
        town.put(*(f"/p/{i:02}" for i in range(count)), value="w")
        return town, spec

    def test_a_batch_of_many_updates_is_a_share_of_all_replicas(self) -> None:
        town, spec = self.changed(13)
        planned = town.planned([f"/p/{i:02}" for i in range(13)], spec)
        assert {change.fate for change in planned.plan.changes} == {Fate.WITHHELD}
        town, spec = self.changed(12)
        planned = town.planned([f"/p/{i:02}" for i in range(12)], spec)
        assert {change.fate for change in planned.plan.changes} == {Fate.APPLY}

    def test_a_few_updates_list_nothing(self) -> None:
        town, spec = self.changed(MANY_UPDATES - 1)
        town.world.traffic.forget()
        planned = town.planned([f"/p/{i:02}" for i in range(MANY_UPDATES - 1)], spec)
        assert {change.fate for change in planned.plan.changes} == {Fate.APPLY}
        assert town.world.traffic.count("GetResources") == 0

    def test_replicas_are_counted_once_in_a_while(self) -> None:
        town, spec = self.changed(12)
        standby = town.standby(spec)
        told = wishes([f"/p/{i:02}" for i in range(12)], spec)
        town.world.traffic.forget()
        standby.plan(told)
        standby.plan(told)
        assert town.world.traffic.count("GetResources") == 1
        town.clock.advance(timedelta(minutes=11))
        standby.plan(told)
        assert town.world.traffic.count("GetResources") == 2

    def test_half_a_count_is_none(self) -> None:
        """Of sixteen updates a listing that broke off must not make too large a share later."""
        town, spec = Town(), replace(SPEC, limits=Limits(max_change_percent=30))
        town.put(*(f"/p/{i:02}" for i in range(60)))
        town.apply(spec)
        town.put(*(f"/p/{i:02}" for i in range(16)), value="w")
        standby, told = town.standby(spec), wishes([f"/p/{i:02}" for i in range(16)], spec)
        pages = iter(range(100))
        town.world.faults = lambda operation, place, names, nth: (
            refused(Trouble.THROTTLED)
            if operation == "DescribeParameters" and not names and next(pages) > 0
            else None
        )
        with pytest.raises(NothingPlanned):
            standby.plan(told)
        town.world.faults = None
        assert {change.fate for change in standby.plan(told).plan.changes} == {Fate.APPLY}

    def test_a_frozen_target_is_planned_and_not_written(self) -> None:
        town = Town()
        town.put("/p/a")
        spec = replace(SPEC, targets=(target(frozen=True),))
        assert town.planned(["/p/a"], spec).plan.changes[0].withheld_by == ("frozen-target",)


class TestDoubt:
    def result(self, town: Town, *specs: Replication) -> NameResult:
        told = wishes(["/p/a"], *specs)
        standby = town.standby(*specs)
        planned = standby.plan(told)
        (result,) = results_of(planned, standby.carry_out(planned, Never()), told)
        return result

    @pytest.mark.parametrize("operation", ["GetParameters", "ListTagsForResource"])
    def test_a_name_that_cannot_be_read_comes_again(self, operation: str) -> None:
        town = Town()
        town.put("/p/a")
        town.world.faults = at_call(operation, refused(Trouble.DENIED))
        assert self.result(town, SPEC).word == "again"

    def test_what_one_target_cannot_say_does_not_keep_the_other(self) -> None:
        town = Town()
        west = town.world.place("us-west-2")
        spec = replace(SPEC, targets=(target(), target("us-west-2", region="us-west-2")))
        town.put("/p/a")
        town.world.faults = lambda operation, place, *_: (
            refused(Trouble.UNREACHABLE) if place == town.there and operation == "GetParameters" else None
        )
        assert self.result(town, spec).word == "again"
        assert town.world.names(west) == ["/p/a"]

    def test_a_conflict_does_not_come_again(self) -> None:
        town = Town()
        town.put("/p/a")
        town.world.put(town.there, "/p/a", "w")
        result = self.result(town, SPEC)
        assert (result.word, result.again) == ("refused", "")
        assert any("differs" in reason or "not ours" in reason for reason in result.reasons)

    def test_a_write_that_failed_comes_again(self) -> None:
        town = Town()
        town.put("/p/a")
        town.world.faults = at_call("PutParameter", refused(Trouble.DENIED))
        assert self.result(town, SPEC).again.startswith("failed")

    def test_a_delete_that_could_not_be_confirmed_comes_again(self) -> None:
        town = Town()
        town.put("/p/a", "/p/b")
        town.apply(SPEC)
        town.world.delete(town.here, "/p/a")
        town.world.before(
            "GetParameters",
            lambda: setattr(
                town.world, "faults", at_call("GetParameters", refused(Trouble.DENIED), name="/p/a")
            ),
            times=0,
        )
        standby, told = town.standby(SPEC), wishes(["/p/a"], SPEC)
        planned = standby.plan(told)
        town.world.faults = at_call("GetParameters", refused(Trouble.DENIED), name="/p/a")
        (result,) = results_of(planned, standby.carry_out(planned, Never()), told)
        assert result.word == "again"
        assert town.world.names(town.there) == ["/p/a", "/p/b"]


def test_two_replications_of_one_source_are_served_by_one_look() -> None:
    town = Town()
    first = replication(name="one", targets=(target("us-east-2"),))
    second = replication(name="two", targets=(target("us-west-2", region="us-west-2"),))
    town.put("/p/a")
    town.world.traffic.forget()
    planned = town.planned(["/p/a"], first, second)
    assert len(planned.plan.changes) == 2
    here = [call for call in town.world.calls if call.place == town.here]
    assert [call.operation for call in here].count("DescribeParameters") == 1


def test_no_name_is_no_work() -> None:
    town = Town()
    assert not town.planned([], SPEC).plan.replications
    assert {call.operation for call in town.world.calls} == {"GetCallerIdentity"}


@pytest.mark.parametrize("mine", ["k3v9x2m7qa", None])
@pytest.mark.parametrize("happens", ["update", "delete"])
def test_an_event_for_a_name_whose_replica_has_another_id_writes_nothing(
    happens: str, mine: str | None
) -> None:
    town = Town()
    town.put("/p/a", "/p/b", "/p/c")
    town.apply(replace(SPEC, id="h5t8w4p2zc"))
    if happens == "update":
        town.put("/p/a", value="w")
    else:
        town.world.delete(town.here, "/p/a")
    town.clock.advance(timedelta(hours=1))
    planned = town.planned(["/p/a"], replace(SPEC, id=mine))
    assert not planned.plan.changes
    assert [other.row for other in planned.plan.others] == ([Row.FOREIGN] if happens == "update" else [])


def test_an_event_for_a_deleted_source_keeps_a_replica_without_an_id() -> None:
    town = Town()
    town.put("/p/a", "/p/b", "/p/c")
    town.apply(replace(SPEC, id=None))
    town.world.delete(town.here, "/p/a")
    town.clock.advance(timedelta(hours=1))
    assert not town.planned(["/p/a"], replace(SPEC, id="k3v9x2m7qa")).plan.changes
    assert [change.row for change in town.planned(["/p/a"], replace(SPEC, id=None)).plan.changes] == [
        Row.DELETE
    ]
