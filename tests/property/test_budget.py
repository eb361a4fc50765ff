"""Budget: what N parameters in R targets cost in calls. The formulas are those of `docs/guarantees.md`.

a plan of what is in sync     under (R+1) * (ceil(N/50) + ceil(N/100) + 10) calls, no decryption
--verify-values               at most (R+1) * ceil(N/10) more
a first replication           at most 1.05 writes a parameter and target
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from math import ceil

import pytest

from ssm_reconcile.spec import DeleteMode, Glob, KeyRule, Limits, Replication, Run
from tests.builders import replication
from tests.property.places import FAR, FROM, NEAR, TO_FAR, TO_NEAR, three_places
from tests.simulated_aws import SimulatedAws

SIZES = (0, 1, 9, 10, 11, 49, 50, 51, 100, 101)
"""The edges of batches and pages."""
WRITES = ("PutParameter", "AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters")


def spec_for(targets: int) -> Replication:
    """To one target, or to both."""
    return Replication(
        "prod",
        FROM,
        (TO_NEAR, TO_FAR)[:targets],
        (Glob("/p/**"),),
        DeleteMode.OWNED,
        kms=(KeyRule("alias/app", ((NEAR, "alias/app"), (FAR, "alias/app"))),),
    )


def aws_with(size: int) -> SimulatedAws:
    """So many parameters in the source: tagged ones, secrets under two keys, lists."""
    aws = three_places()
    for i in range(size):
        kind = ("String", "SecureString", "StringList")[i % 3]
        key = {"key_id": "alias/app"} if kind == "SecureString" and i % 2 else {}
        tags = {"team": "a"} if i % 2 else None
        aws.put(f"/p/{i:05}", f"value {i}", kind, tags=tags, **key)
    aws.pass_time(minutes=20)
    return aws


def counted(aws: SimulatedAws) -> Counter[str]:
    """The calls since the log was emptied, without STS, which is called once a place."""
    return Counter(call.operation for call in aws.world.calls if call.operation != "GetCallerIdentity")


def most(size: int, targets: int) -> int:
    """The calls that a plan of what is in sync may cost, and one more."""
    return (targets + 1) * (ceil(size / 50) + ceil(size / 100) + 10)


@pytest.mark.parametrize(("size", "targets"), [*((size, 2) for size in SIZES), (11, 1), (499, 1)])
def test_calls_stay_under_the_formula(size: int, targets: int) -> None:
    aws, spec = aws_with(size), spec_for(targets)
    aws.world.traffic.forget()
    report = aws.apply(spec)
    calls = counted(aws)
    assert report.summary["applied"] == size * targets
    assert sum(calls[name] for name in WRITES) <= 1.05 * size * targets

    aws.pass_time(minutes=20)
    aws.world.traffic.forget()
    assert aws.plan(spec).changes == ()
    calls = counted(aws)
    assert calls.total() < most(size, targets)
    assert calls["GetParameters"] == 0
    in_sync = calls.total()

    aws.world.traffic.forget()
    assert aws.plan(spec, run=Run(verify_values=True)).changes == ()
    calls = counted(aws)
    assert calls.total() <= in_sync + (targets + 1) * ceil(size / 10)
    assert calls["GetParameters"] == (targets + 1) * ceil(size / 10)


def test_a_plan_reads_only_what_has_changed() -> None:
    """Ten changed of three hundred: the listings, and one batch of values a place."""
    targets = 2
    aws, spec = aws_with(300), spec_for(targets)
    aws.apply(spec)
    aws.pass_time(minutes=20)
    for i in range(0, 300, 30):
        there = aws.world.peek(aws.here, f"/p/{i:05}")
        assert there is not None
        aws.put(f"/p/{i:05}", "changed", there.latest.parameter.type)
    aws.pass_time(minutes=20)
    aws.world.traffic.forget()
    assert len(aws.plan(spec).changes) == 10 * targets
    calls = counted(aws)
    assert calls["GetParameters"] == targets + 1
    assert calls.total() < most(300, targets)


@pytest.mark.parametrize("size", [10, 101])
def test_a_foreign_listing_costs_one_scan_and_not_a_read_each(size: int) -> None:
    """Everything is there already and untagged, so bulk reads of tags say nothing about it (section 4)."""
    aws, spec = three_places(), spec_for(1)
    for i in range(size):
        aws.put(f"/p/{i:05}", "same")
        aws.world.put(aws.there, f"/p/{i:05}", "same")
    aws.pass_time(minutes=20)
    aws.world.traffic.forget()
    assert aws.plan(spec).summary["adopt"] == size
    calls = counted(aws)
    assert calls["ListTagsForResource"] <= 50
    assert calls.total() < most(size, 1) + ceil(size / 50) + 50 + 2 * ceil(size / 10)


def test_the_stated_budget_of_an_apply_is_what_it_costs() -> None:
    """The writes that a plan announces are those of its apply, when nothing fails."""
    aws, spec = aws_with(120), spec_for(2)
    for changes in (0, 1, 2):
        for i in range(0, 30 * changes, 3):
            aws.put(f"/p/{i:05}", f"changed {changes}")
        aws.pass_time(minutes=20)
        aws.world.traffic.forget()
        report = aws.apply(spec)
        budget = report.plan.budget
        assert budget is not None
        calls = counted(aws)
        written = {name: calls[name] for name in WRITES if calls[name]}
        said = {name: budget.calls[name] for name in WRITES if name in budget.calls}
        assert written == said


def test_the_stated_budget_counts_the_marks_that_are_written_and_removed() -> None:
    spec = replication(grace=timedelta(days=2), limits=Limits(max_deletes=100))
    aws = SimulatedAws(spec)
    names = [f"/p/{i:02}" for i in range(30)]
    for name in names:
        aws.put(name, "v")
    aws.apply()
    aws.delete(*names[:9])
    assert aws.apply().plan.summary["retag"] == 9
    aws.pass_time(days=3)
    aws.put(names[4], "by hand", region="us-east-2")
    returned = ((names[0], "v"), (names[1], "v"), (names[2], "other"), (names[3], "v"), (names[4], "v"))
    for name, value in returned:
        aws.put(name, value, tags={"skip_sync": ""} if name == names[3] else {})
    aws.delete(*names[10:14])
    aws.pass_time()
    aws.world.traffic.forget()
    plan = aws.plan()
    planned = counted(aws)
    report = aws.carry_out(plan)
    withheld = [one.change.name for one in report.outcomes if one.result.value != "applied"]
    assert withheld == [names[4]]
    assert {one.row.value for one in plan.changes} == {"expiring", "delete", "retag", "update", "kept_out"}
    assert plan.budget is not None
    calls = counted(aws)
    calls.subtract(planned)
    assert {name: calls[name] for name in plan.budget.calls} == dict(plan.budget.calls)
