"""A run for some names is the whole run, for these names: every row of the table, and every guard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile import reconcile
from ssm_reconcile.by_name import NamePlan, NamePlanner, source_candidates
from ssm_reconcile.change import Fate, Row
from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.requests import Applied, NameRequest, NameResult, RetryCause, results_of
from ssm_reconcile.model import SECURE, Access, Place, canonical
from ssm_reconcile.observe import list_names
from ssm_reconcile.plan import Plan, effect_of
from ssm_reconcile.record import DETACHED, OWNER
from ssm_reconcile.spec import (
    AdoptMode,
    DeleteMode,
    Glob,
    Hold,
    Limits,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
    Source,
)
from tests.builders import HERE, NOW, THERE, replication, target
from tests.doubles.clock import FakeClock, StopFlag
from tests.fake_aws.store import MemoryStore
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import Lag, World
from tests.simulated_aws import SimulatedAws, unwatched

EVERYTHING = Limits(max_deletes=1000, max_change_percent=100)
SPEC = replication(include=(Glob("/p/**"),), limits=EVERYTHING, holds=(Hold(Glob("/p/held")),))


def planner_for(aws: SimulatedAws, *specs: Replication, run: Run | None = None) -> NamePlanner:
    return NamePlanner(specs, aws.places(*specs), run or Run(), aws.clock, unwatched)


def planned_for(
    aws: SimulatedAws, names: Iterable[str], *specs: Replication, run: Run | None = None
) -> NamePlan:
    """Return the plan of a run for some names."""
    return planner_for(aws, *specs, run=run).plan(selected(names, *specs))


def put_all(aws: SimulatedAws, *names: str, **more: Any) -> None:
    for name in names:
        aws.put(name, **more)


def selected(names: Iterable[str], *specs: Replication) -> dict[str, frozenset[str]]:
    return {canonical(name): frozenset(spec.name for spec in specs) for name in names}


def result(planner: NamePlanner, planned: NamePlan, names: dict[str, frozenset[str]]) -> NameResult:
    """Apply the plan for one name and return its result."""
    report = reconcile.carry_out(planned.plan, planned.specs, planner.session(), StopFlag())
    requests = {name: NameRequest(name, specs) for name, specs in names.items()}
    (found,) = results_of(Applied(planned, report), requests, {})
    return found


def rows(plan: Plan) -> dict[tuple[str, str], Any]:
    """Everything that a plan says of each address."""
    found: dict[tuple[str, str], Any] = {(c.target, c.name): effect_of(c) for c in plan.changes}
    found |= {(o.target, o.name): (o.row, o.counted, o.reasons) for o in plan.others}
    return found


@pytest.fixture
def aws() -> SimulatedAws:
    """One address in every row but `orphan` and `expiring`, and what it takes to get there."""
    aws = SimulatedAws()
    world, here, there = aws.world, aws.here, aws.there
    other = replication(name="other", include=(Glob("/p/foreign"),))
    back = replication(
        name="back", source=Source(Access("us-east-2")), include=(Glob("/p/chained"),),
        targets=(target("us-east-1", region="us-east-1"),),
    )  # fmt: skip
    world.add_key(here, "alias/lonely")
    put_all(
        aws, "/p/foreign", "/p/kept_out", "/p/opted_out", "/p/delete", "/p/retag", "/p/update", "/p/in_sync"
    )
    put_all(aws, "/p/detached", "/p/copied", "/p/adopt", "/p/conflict")
    world.put(here, "/p/replace", "v", tier="Standard")
    world.put(there, "/p/chained", "theirs")
    aws.apply(other)
    aws.apply(back)
    for name in ("/p/detached", "/p/copied", "/p/adopt", "/p/conflict"):
        world.put(there, name, "w" if name == "/p/conflict" else "v")
    aws.apply(SPEC)
    world.tag(there, "/p/detached", {OWNER: f"{DETACHED}prod@{here.account}/us-east-1"})
    tags = world.tags(there, "/p/in_sync")
    assert tags is not None
    for name in ("/p/copied", "/p/adopt"):
        world.delete(there, name)
        aws.clock.advance(timedelta(minutes=1))
        world.put(there, name, "v", tags=tags if name == "/p/copied" else None)
    world.tag(there, "/p/opted_out", {"skip_sync": "1"})
    world.tag(here, "/p/kept_out", {"skip_sync": "1"})
    world.tag(here, "/p/retag", {"team": "a"})
    world.put(there, "/p/replace", "v", tier="Advanced")
    aws.put("/p/skipped", tags={"skip_sync": "1"})
    aws.put("/p/create")
    aws.put("/p/held")
    aws.put("/p/update", value="w")
    aws.put("/p/invalid", kind=SECURE, key_id="alias/lonely")
    world.delete(here, "/p/delete")
    aws.clock.advance(timedelta(hours=1))
    return aws


RUNS = [Run(), Run(allow_replace=True, overwrite_outside=True), Run(verify_values=True), Run(no_decrypt=True)]


@pytest.mark.parametrize("run", RUNS, ids=["plain", "lifted", "verify", "no-decrypt"])
def test_the_plan_of_each_name_is_its_part_of_a_full_run(aws: SimulatedAws, run: Run) -> None:
    whole = rows(aws.plan(SPEC, run=run))
    kinds = {value["row"] if isinstance(value, dict) else str(value[0]) for value in whole.values()}
    assert kinds == {str(row) for row in Row} - {"orphan", "in_sync", "expiring", "undone"}
    for name in (*aws.world.names(aws.here), "/p/delete", "/p/never"):
        planned = planned_for(aws, [name], SPEC, run=run)
        assert rows(planned.plan) == {end: row for end, row in whole.items() if end[1] == name}, name
        assert not planned.unsure


def test_many_names_in_one_plan_are_planned_as_in_a_full_run(aws: SimulatedAws) -> None:
    names = [*aws.world.names(aws.here), "/p/delete"]
    assert rows(planned_for(aws, names, SPEC).plan) == rows(aws.plan(SPEC))


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, delete=DeleteMode.NEVER),
        replace(SPEC, delete=DeleteMode.CREATED),
        replace(SPEC, grace=timedelta(days=7)),
        replace(SPEC, adopt=AdoptMode.OVERWRITE),
        replace(SPEC, types=frozenset({"StringList"})),
        replace(SPEC, add_tags=(("by", "us"),)),
    ],
    ids=["never", "created", "after", "overwrite", "orphans", "tags"],
)
def test_the_plan_of_each_name_is_its_part_of_a_full_run_under_other_rules(
    aws: SimulatedAws, spec: Replication
) -> None:
    whole = rows(aws.plan(spec))
    for name in (*aws.world.names(aws.here), "/p/delete"):
        assert rows(planned_for(aws, [name], spec).plan) == {
            e: row for e, row in whole.items() if e[1] == name
        }


class TestMarks:
    SPEC = replace(SPEC, grace=timedelta(days=7))

    def marked(self, spec: Replication) -> SimulatedAws:
        aws = SimulatedAws()
        put_all(aws, "/p/a", "/p/b", "/p/c")
        aws.put("/p/d", region="us-east-2")
        aws.put("/p/d")
        aws.apply(spec)
        aws.delete("/p/a", "/p/d")
        aws.apply(spec)
        return aws

    def test_a_mark_is_written_and_a_delete_that_is_due_is_left_to_a_whole_run(self) -> None:
        spec = replace(self.SPEC, delete=DeleteMode.CREATED)
        aws = self.marked(spec)
        waiting = planned_for(aws, ["/p/a", "/p/d"], spec).plan
        assert [(one.row, one.counted) for one in waiting.others] == [(Row.EXPIRING, "expiring")] * 2
        aws.pass_time(days=8)
        assert {one.row for one in aws.plan(spec).changes} == {Row.DELETE}
        due = planned_for(aws, ["/p/a", "/p/d"], spec).plan
        assert due.changes == ()
        assert [(one.name, one.counted, one.is_released) for one in due.others] == [
            ("/p/a", "expiring", False),
            ("/p/d", "expiring", True),
        ]
        assert all(one.reasons[-1] == "the next whole run does it" for one in due.others)

    def test_a_mark_counts_with_the_deletes_and_marks_of_all_names(self) -> None:
        aws = SimulatedAws()
        put_all(aws, *(f"/p/{i}" for i in range(9)))
        spec = replace(self.SPEC, limits=Limits(max_deletes=3))
        aws.apply(spec)
        aws.delete("/p/0", "/p/1")
        aws.apply(spec)
        aws.delete("/p/2", "/p/3")
        aws.pass_time()
        (change,) = planned_for(aws, ["/p/2"], spec).plan.changes
        assert change.row is Row.EXPIRING
        assert [(one.guard, one.count) for one in change.withheld] == [("max-deletes", 4)]


class TestRewrittenNames:
    REGION = Rewrite(Glob("/p/us-east-1/**"), RewriteIn.NAME, "us-east-1", "{target.region}")
    SPEC = replication(rewrites=(REGION,), limits=EVERYTHING)

    def test_a_change_and_a_delete_are_made_at_the_address(self) -> None:
        aws = SimulatedAws()
        put_all(aws, "/p/us-east-1/a", "/p/stays")
        planned = planned_for(aws, ["/p/us-east-1/a"], self.SPEC)
        assert [(c.name, c.action) for c in planned.plan.changes] == [("/p/us-east-2/a", "create")]
        aws.apply(self.SPEC)
        aws.delete("/p/us-east-1/a")
        planned = planned_for(aws, ["/p/us-east-1/a"], self.SPEC)
        assert [(c.name, c.row, c.fate) for c in planned.plan.changes] == [
            ("/p/us-east-2/a", Row.DELETE, Fate.APPLY)
        ]
        assert planned.names_of("prod", "us-east-2", "/p/us-east-2/a") == {"/p/us-east-1/a"}

    def test_two_names_at_one_address_are_found_if_only_one_is_requested(self) -> None:
        aws = SimulatedAws()
        put_all(aws, "/p/us-east-1/a", "/p/us-east-2/a")
        for name in ("/p/us-east-1/a", "/p/us-east-2/a"):
            planned = planned_for(aws, [name], self.SPEC)
            assert [other.row for other in planned.plan.others] == [Row.INVALID]

    def test_a_replica_of_another_source_name_is_not_deleted(self) -> None:
        aws = SimulatedAws()
        put_all(aws, "/p/us-east-1/a", "/p/stays")
        aws.apply(self.SPEC)
        planned = planned_for(aws, ["/p/us-east-2/a"], self.SPEC)  # never was, and lands where a replica is
        assert not planned.plan.changes


class TestGuards:
    def deleted(self, count: int, limit: int = 10) -> tuple[SimulatedAws, Replication]:
        aws, spec = SimulatedAws(), replace(SPEC, limits=Limits(max_deletes=limit))
        put_all(aws, *(f"/p/{i:02}" for i in range(30)))
        aws.apply(spec)
        aws.delete(*(f"/p/{i:02}" for i in range(count)))
        return aws, spec

    def test_a_delete_counts_the_deletes_at_other_names(self) -> None:
        aws, spec = self.deleted(11)
        (change,) = planned_for(aws, ["/p/00"], spec).plan.changes
        assert change.withheld_by == ("max-deletes",)
        aws, spec = self.deleted(10)
        (change,) = planned_for(aws, ["/p/00"], spec).plan.changes
        assert change.fate is Fate.APPLY

    def test_a_limit_that_covers_the_deletes_lifts_the_guard(self) -> None:
        aws, spec = self.deleted(11)
        assert (
            planned_for(aws, ["/p/00"], spec, run=Run(max_deletes=10)).plan.changes[0].fate is Fate.WITHHELD
        )
        assert planned_for(aws, ["/p/00"], spec, run=Run(max_deletes=11)).plan.changes[0].fate is Fate.APPLY

    def test_half_of_the_replicas_is_half_of_all_replicas(self) -> None:
        aws, spec = self.deleted(16, limit=20)
        assert planned_for(aws, ["/p/00"], spec).plan.changes[0].fate is Fate.WITHHELD
        aws, spec = self.deleted(15, limit=20)
        assert planned_for(aws, ["/p/00"], spec).plan.changes[0].fate is Fate.APPLY

    def test_an_empty_source_deletes_nothing(self) -> None:
        aws, spec = self.deleted(30, limit=100)
        assert planned_for(aws, ["/p/00"], spec).plan.changes[0].withheld_by[0] == "empty-source"

    def test_a_failed_listing_deletes_nothing(self) -> None:
        for operation in ("GetResources", "DescribeParameters"):
            aws, spec = self.deleted(1)
            aws.world.faults = lambda called, place, names, nth, operation=operation: (
                refused(Trouble.THROTTLED) if called == operation and not names else None
            )
            planned = planned_for(aws, ["/p/00"], spec)
            assert not planned.plan.changes
            assert set(planned.unsure) == {"/p/00"}

    def unlistable(self, aws: SimulatedAws, where: Place) -> None:
        aws.world.faults = lambda operation, place, names, nth: (
            refused(Trouble.THROTTLED)
            if operation == "DescribeParameters" and not names and place == where
            else None
        )

    @pytest.mark.parametrize("end", ["here", "there"])
    def test_a_delete_that_cannot_be_counted_does_not_stop_other_names(self, end: str) -> None:
        aws, spec = self.deleted(1)
        aws.put("/p/01", value="w")
        aws.put("/p/new")
        self.unlistable(aws, getattr(aws, end))
        planned = planned_for(aws, ["/p/00", "/p/01", "/p/new"], spec)
        assert {c.name: (c.action, c.fate) for c in planned.plan.changes} == {
            "/p/01": ("update", Fate.APPLY),
            "/p/new": ("create", Fate.APPLY),
        }
        assert set(planned.unsure) == {"/p/00"}

    def test_a_target_that_cannot_be_listed_does_not_stop_a_delete_in_another(self) -> None:
        aws, spec = SimulatedAws(), replace(SPEC, targets=(target(), target("us-west-2", region="us-west-2")))
        put_all(aws, "/p/a", "/p/b")
        aws.apply(spec)
        aws.delete("/p/a")
        self.unlistable(aws, aws.there)
        planned = planned_for(aws, ["/p/a", "/p/b"], spec)
        assert [(c.target, c.name, c.action) for c in planned.plan.changes] == [
            ("us-west-2", "/p/a", "delete")
        ]
        assert set(planned.unsure) == {"/p/a"}

    def test_updates_are_no_percentage_of_the_replicas_and_list_nothing(self) -> None:
        aws, spec = SimulatedAws(), replace(SPEC, limits=Limits(max_change_percent=30))
        names = [f"/p/{i:02}" for i in range(40)]
        put_all(aws, *names)
        aws.apply(spec)
        put_all(aws, *names, value="w")
        assert {change.fate for change in aws.plan(spec).changes} == {Fate.WITHHELD}
        aws.world.traffic.forget()
        planned = planned_for(aws, names, spec)
        assert {change.fate for change in planned.plan.changes} == {Fate.APPLY}
        assert aws.world.traffic.count("GetResources") == 0

    def test_an_update_and_a_delete_in_one_plan_are_no_percentage_either(self) -> None:
        aws, spec = self.deleted(1)
        spec = replace(spec, limits=Limits(max_change_percent=10))
        names = [f"/p/{i:02}" for i in range(30)]
        put_all(aws, *names[1:], value="w")
        planned = planned_for(aws, names, spec)
        assert {change.fate for change in planned.plan.changes} == {Fate.APPLY}

    def test_a_planner_that_does_not_list_replicas_leaves_deletes_to_its_caller(self) -> None:
        """Neither the number of deletes nor an empty source is judged: the caller counts."""
        aws, spec = self.deleted(30)
        aws.world.traffic.forget()
        planner = NamePlanner((spec,), aws.places(spec), Run(), aws.clock, unwatched, lists_replicas=False)
        planned = planner.plan(selected([f"/p/{i:02}" for i in range(30)], spec))
        assert {(change.action, change.fate) for change in planned.plan.changes} == {("delete", Fate.APPLY)}
        assert all(call.names for call in aws.world.calls if call.operation == "DescribeParameters")
        assert aws.world.traffic.count("GetResources") == 0

    def test_a_frozen_target_is_planned_and_not_written(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a")
        spec = replace(SPEC, targets=(target(frozen=True),))
        assert planned_for(aws, ["/p/a"], spec).plan.changes[0].withheld_by == ("frozen-target",)


class TestRetries:
    def result(self, aws: SimulatedAws, *specs: Replication) -> NameResult:
        names = selected(["/p/a"], *specs)
        planner = planner_for(aws, *specs)
        return result(planner, planner.plan(names), names)

    @pytest.mark.parametrize("operation", ["GetParameters", "ListTagsForResource"])
    def test_a_name_that_cannot_be_read_is_retried(self, operation: str) -> None:
        aws = SimulatedAws()
        aws.put("/p/a")
        aws.world.faults = at_call(operation, refused(Trouble.DENIED))
        assert self.result(aws, SPEC).status == "again"

    def test_a_target_that_cannot_be_read_does_not_stop_the_other(self) -> None:
        aws = SimulatedAws()
        west = aws.world.place("us-west-2")
        spec = replace(SPEC, targets=(target(), target("us-west-2", region="us-west-2")))
        aws.put("/p/a")
        aws.world.faults = lambda operation, place, *_: (
            refused(Trouble.UNREACHABLE) if place == aws.there and operation == "DescribeParameters" else None
        )
        assert self.result(aws, spec).status == "again"
        assert aws.world.names(west) == ["/p/a"]

    def test_a_conflict_is_not_retried(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a")
        aws.world.put(aws.there, "/p/a", "w")
        result = self.result(aws, SPEC)
        assert (result.status, result.retry) == ("refused", None)
        assert any("differs" in reason or "not ours" in reason for reason in result.reasons)

    def test_a_failed_write_is_retried(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a")
        aws.world.faults = at_call("PutParameter", refused(Trouble.DENIED))
        retry = self.result(aws, SPEC).retry
        assert retry is not None
        assert (retry.cause, retry.why[:6]) == (RetryCause.OWN, "failed")

    def test_a_delete_that_could_not_be_confirmed_is_retried(self) -> None:
        aws = SimulatedAws()
        put_all(aws, "/p/a", "/p/b")
        aws.apply(SPEC)
        aws.delete("/p/a")
        planner, names = planner_for(aws, SPEC), selected(["/p/a"], SPEC)
        planned = planner.plan(names)
        aws.world.faults = at_call("GetParameters", refused(Trouble.DENIED), name="/p/a")
        assert result(planner, planned, names).status == "again"
        assert aws.world.names(aws.there) == ["/p/a", "/p/b"]


def test_two_replications_of_one_source_share_its_reads() -> None:
    aws = SimulatedAws()
    first = replication(name="one", targets=(target("us-east-2"),))
    second = replication(name="two", targets=(target("us-west-2", region="us-west-2"),))
    aws.put("/p/a")
    aws.world.traffic.forget()
    planned = planned_for(aws, ["/p/a"], first, second)
    assert len(planned.plan.changes) == 2
    here = [call for call in aws.world.calls if call.place == aws.here]
    assert [call.operation for call in here].count("DescribeParameters") == 1


def test_without_names_nothing_is_read() -> None:
    aws = SimulatedAws()
    assert not planned_for(aws, [], SPEC).plan.replications
    assert {call.operation for call in aws.world.calls} == {"GetCallerIdentity"}


@pytest.mark.parametrize("mine", ["k3v9x2m7qa", None])
@pytest.mark.parametrize("happens", ["update", "delete"])
def test_an_event_for_a_name_whose_replica_has_another_id_writes_nothing(
    happens: str, mine: str | None
) -> None:
    aws = SimulatedAws()
    put_all(aws, "/p/a", "/p/b", "/p/c")
    aws.apply(replace(SPEC, id="h5t8w4p2zc"))
    if happens == "update":
        aws.put("/p/a", value="w")
    else:
        aws.delete("/p/a")
    aws.clock.advance(timedelta(hours=1))
    planned = planned_for(aws, ["/p/a"], replace(SPEC, id=mine))
    assert not planned.plan.changes
    assert [other.row for other in planned.plan.others] == ([Row.FOREIGN] if happens == "update" else [])


def test_an_event_for_a_deleted_source_keeps_a_replica_without_an_id() -> None:
    aws = SimulatedAws()
    put_all(aws, "/p/a", "/p/b", "/p/c")
    aws.apply(replace(SPEC, id=None))
    aws.delete("/p/a")
    aws.clock.advance(timedelta(hours=1))
    assert not planned_for(aws, ["/p/a"], replace(SPEC, id="k3v9x2m7qa")).plan.changes
    assert [change.row for change in planned_for(aws, ["/p/a"], replace(SPEC, id=None)).plan.changes] == [
        Row.DELETE
    ]


def named(old: str, new: str, match: str = "/**") -> Replication:
    return replication(include=(Glob("/**"),), rewrites=(Rewrite(Glob(match), RewriteIn.NAME, old, new),))


def test_without_rewrites_the_only_candidate_is_the_address_itself() -> None:
    assert source_candidates(SPEC, target(), HERE, THERE, "/p/a") == frozenset({"/p/a"})


def test_a_rewrite_that_removes_text_cannot_be_reversed() -> None:
    assert source_candidates(named("x", ""), target(), HERE, THERE, "/a") is None
    assert source_candidates(named("x", "a"), target(), HERE, THERE, "/" + "a" * 20) is None


LEVELS = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=2).map(
    lambda x: "/" + "/".join(x)
)


@given(st.text("ab", min_size=1, max_size=2), st.text("ab", min_size=1, max_size=2), LEVELS)
def test_every_name_that_is_placed_at_an_address_is_a_candidate(old: str, new: str, name: str) -> None:
    spec, place = named(old, new), Place("123456789012", "us-east-2")
    address = canonical(spec.address(name, HERE, place, "us-east-2"))
    found = source_candidates(spec, target(), HERE, place, address)
    assert found is None or name in found
    assert all(canonical(spec.address(one, HERE, place, "us-east-2")) == address for one in found or ())


def opened(world: World) -> MemoryStore:
    return MemoryStore(world, world.place("us-east-1"))


def listed_world(count: int, clock: FakeClock | None = None) -> World:
    made = World(clock or FakeClock(NOW))
    for i in range(count):
        made.put(made.place("us-east-1"), f"/p/{i:03}", f"v{i}", tags={"n": str(i)} if i % 2 else None)
    return made


class TestListNames:
    def test_only_the_given_names_are_read_with_attributes_and_tags(self) -> None:
        w = listed_world(30)
        found = list_names(opened(w), ["/p/001", "p/x", "/p/004", "/p/nowhere"], unwatched, FakeClock(NOW))
        assert (set(found.listing.parameters), found.unsure) == ({"/p/001", "/p/004"}, {})
        assert dict(found.listing.tags_of("/p/001")) == {"n": "1"}
        assert found.listing.confirmed == {"/p/001", "/p/004", "/p/nowhere", "/p/x"}
        assert w.traffic.count("GetResources") == 0

    def test_a_name_that_is_deleted_and_still_described_is_unsure(self) -> None:
        clock = FakeClock(NOW)
        w = listed_world(3, clock)
        clock.advance(timedelta(days=1))
        w.lag = Lag(describe=timedelta(hours=1))
        w.delete(w.place("us-east-1"), "/p/001")
        found = list_names(opened(w), ["/p/000", "/p/001"], unwatched, clock)
        assert (set(found.listing.parameters), set(found.unsure)) == ({"/p/000"}, {"/p/001"})
        assert found.listing.confirmed == {"/p/000"}

    def test_the_time_of_each_read_of_tags_is_taken(self) -> None:
        clock = FakeClock(NOW)
        clock.advance(timedelta(seconds=7))
        found = list_names(opened(listed_world(3)), ["/p/000", "/p/nowhere"], unwatched, clock)
        assert found.listing.tags_read_at == {"/p/000": 7.0}

    def test_a_name_whose_tags_cannot_be_read_is_unsure_and_not_shown(self) -> None:
        w = listed_world(3)
        w.faults = at_call("ListTagsForResource", refused(Trouble.DENIED), name="/p/001")
        found = list_names(opened(w), ["/p/000", "/p/001"], unwatched, FakeClock(NOW))
        assert (set(found.listing.parameters), set(found.unsure)) == ({"/p/000"}, {"/p/001"})

    def test_the_listing_of_a_place_that_fails_is_incomplete(self) -> None:
        w = listed_world(3)
        w.faults = at_call("DescribeParameters", refused(Trouble.CREDENTIALS))
        found = list_names(opened(w), ["/p/000"], unwatched, FakeClock(NOW))
        assert (found.listing.complete, dict(found.listing.parameters)) == (False, {})
        assert found.listing.confirmed == frozenset()
