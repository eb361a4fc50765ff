"""Undo of replicas that a later apply marked for a delete; and the calls of an undo by its budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import EXPIRES, mark_of
from ssm_reconcile.report import Result
from ssm_reconcile.spec import AdoptMode
from tests.builders import outcome, replication
from tests.fake_aws.traffic import Fault, at_call, killed, refused
from tests.faults.test_kills import Killed
from tests.simulated_aws import SimulatedAws
from tests.unit.undo.test_faults import mixed
from tests.unit.undo.test_undo import LIFTED


def marked(value: str = "new") -> tuple[SimulatedAws, Plan]:
    """Return an AWS with a replica that was updated or tagged and then marked, and the undo of the former."""
    aws = SimulatedAws(replication(grace=timedelta(days=7)))
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "old", tags={"team": "a"})
    aws.apply()
    aws.put("/p/a", value, tags={"team": "b", "more": "1"})
    report = aws.apply()
    aws.delete("/p/a")
    aws.apply()
    assert EXPIRES in (aws.world.tags(aws.there, "/p/a") or {})
    return aws, aws.plan_undo(report, run=LIFTED)


@pytest.mark.parametrize("value", ["new", "old"], ids=["update", "retag"])
def test_a_later_mark_is_in_the_plan_and_goes(value: str) -> None:
    aws, plan = marked(value)
    assert EXPIRES in plan.changes[0].tags.removed
    assert aws.carry_out(plan, run=LIFTED).summary["applied"] == 1
    assert (aws.value("/p/a"), aws.plain_tags("/p/a")) == ("old", {"team": "a"})
    assert EXPIRES not in (aws.world.tags(aws.there, "/p/a") or {})


@pytest.mark.parametrize("value", ["new", "old"], ids=["update", "retag"])
@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("done", [True, False])
def test_no_mark_counts_on_what_a_killed_undo_has_written(value: str, number: int, done: bool) -> None:
    aws, plan = marked(value)
    arn, before = aws.there.arn("/p/a"), (aws.value("/p/a"), aws.plain_tags("/p/a"))
    seen = 0

    def die(operation: str, *_: object) -> Fault | None:
        nonlocal seen
        seen += operation in ("PutParameter", "AddTagsToResource", "RemoveTagsFromResource")
        return None if seen < number else killed(Killed(), done=done and seen == number)

    aws.world.faults = die
    try:
        aws.carry_out(plan, run=LIFTED)
    except Killed:
        after = (aws.value("/p/a"), aws.plain_tags("/p/a"))
        assert after == before or mark_of(aws.world.tags(aws.there, "/p/a") or {}, arn) is None
    else:
        assert seen < number


@pytest.mark.parametrize("value", ["new", "old"], ids=["update", "retag"])
def test_a_mark_that_is_not_the_one_of_the_plan_stops_the_undo(value: str) -> None:
    aws, plan = marked(value)
    aws.world.tag(aws.there, "/p/a", {EXPIRES: "another"})
    before = aws.world.state()
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert (done.result, done.error) == (Result.STALE, f"its tag {EXPIRES} has changed since the plan")
    assert aws.world.state() == before


def test_a_mark_that_is_written_after_the_plan_stops_the_undo() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old")
    aws.put("/p/a", "new")
    plan = aws.plan_undo(aws.apply(), run=LIFTED)
    aws.world.tag(aws.there, "/p/a", {EXPIRES: "another"})
    before = aws.world.state()
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert (done.result, done.error) == (Result.STALE, f"its tag {EXPIRES} has changed since the plan")
    assert aws.world.state() == before


def test_a_type_that_aws_does_not_change_in_place_fails_after_the_removal_of_a_mark() -> None:
    aws, plan = marked()
    aws.world.faults = at_call("PutParameter", refused(Trouble.TYPE))
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert done.result is Result.FAILED
    assert done.error.endswith("; its mark was removed")
    assert aws.value("/p/a") == "new"


def test_a_write_that_finds_another_version_after_the_removal_of_a_mark_fails() -> None:
    aws, plan = marked()
    before = aws.world.before

    def put_theirs() -> None:
        aws.put("/p/a", "theirs", region="us-east-2")

    def put_at_second_read() -> None:
        before("GetParameters", lambda: before("GetParameters", put_theirs))

    before("RemoveTagsFromResource", put_at_second_read)
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert done.result is Result.FAILED
    assert done.error.endswith("; its mark was removed; run undo again")
    assert aws.value("/p/a") == "theirs"


def adopted() -> tuple[SimulatedAws, Plan]:
    aws = SimulatedAws()
    for region in ("us-east-1", "us-east-2"):
        aws.put("/p/a", region=region)
    return aws, aws.plan_undo(aws.apply(), run=LIFTED)


def taken_over() -> tuple[SimulatedAws, Plan]:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    aws.put("/p/a", "ours")
    aws.put("/p/a", "theirs", region="us-east-2")
    return aws, aws.plan_undo(aws.apply(), run=LIFTED)


def all_kinds() -> tuple[SimulatedAws, Plan]:
    aws, _, report = mixed()
    return aws, aws.plan_undo(report, run=LIFTED)


def half_done() -> tuple[SimulatedAws, Plan]:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", SECURE, tags={"gone": "1"})
    aws.put("/p/a", "new", SECURE)
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    aws.world.traffic.forget()
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
    aws.carry_out(plan, run=LIFTED)
    aws.world.faults = None
    return aws, aws.plan_undo(report, run=LIFTED)


@pytest.mark.parametrize(
    "make",
    [adopted, taken_over, all_kinds, half_done, marked, lambda: marked("old")],
    ids=["adopted", "taken over", "mixed", "half done", "marked, updated", "marked, tagged"],
)
def test_an_undo_makes_the_calls_of_its_budget(make: Callable[[], tuple[SimulatedAws, Plan]]) -> None:
    aws, plan = make()
    assert plan.budget is not None
    assert plan.changes
    aws.world.traffic.forget()
    assert aws.carry_out(plan, run=LIFTED).exit_code == 0
    calls = Counter(call.operation for call in aws.world.calls)
    del calls["GetCallerIdentity"]
    assert dict(plan.budget.calls) == {name: calls[name] for name in plan.budget.calls}
    assert calls.keys() == plan.budget.calls.keys()
