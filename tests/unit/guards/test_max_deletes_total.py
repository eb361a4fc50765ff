"""Maximum deletes and replacements in all targets of a replication in one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from ssm_reconcile.change import Change, Fate
from ssm_reconcile.errors import Address, Remedy, Where
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.lift import Lift, digest_of, member_of
from ssm_reconcile.plan import ReplicationPlan, TargetPlan
from ssm_reconcile.spec import Limits, Run
from tests.builders import creates, deletes, fates, part, replaces, replication, target, updates
from tests.simulated_aws import SimulatedAws
from tests.unit.guards.test_marks import marks, waiting

TARGETS = tuple(f"t{number}" for number in range(8))
SPEC = replication(targets=tuple(target(name) for name in TARGETS))


def there(changes: Sequence[Change], name: str) -> list[Change]:
    return [replace(one, target=name) for one in changes]


def plan_of(*counts: int, **fields: Any) -> ReplicationPlan:
    """A plan with that many deletes in each of the targets. `fields`: of each target."""
    changes = [
        one for name, count in zip(TARGETS, counts, strict=False) for one in there(deletes(count), name)
    ]
    fields.setdefault("replicas", 100)
    every = tuple(TargetPlan(name, "", **fields) for name in TARGETS[: len(counts)])
    return replace(part(*changes), targets=every)


def rules(run: Run = Run(), **limits: Any) -> GuardRules:
    return GuardRules(replace(SPEC, limits=Limits(**limits)), run)


@pytest.mark.parametrize(("counts", "withheld"), [((10,) * 5, 0), ((9,) * 6, 54), ((10,) * 5 + (1,), 51)])
def test_fifty_go_and_fifty_one_are_withheld_all_of_them(counts: tuple[int, ...], withheld: int) -> None:
    found = withhold_changes(plan_of(*counts), rules())
    assert found.summary()["withheld"] == withheld
    assert {one.withheld_by for one in found.changes} == {("max-deletes-total",) if withheld else ()}


def test_only_deletes_and_replacements_count_and_are_withheld() -> None:
    plan = plan_of(9, 9, 9, 9, 9)
    more = [*there(replaces(6), "t0"), *there(creates(5), "t1"), *there(updates(5), "t1")]
    plan = replace(plan, changes=(*plan.changes, *more))
    allowed = rules(Run(allow_replace=True), max_deletes=20)
    assert fates(withhold_changes(plan, allowed)) == {"withheld": 51, "apply": 10}
    assert fates(withhold_changes(plan, rules())) == {"withheld": 6, "apply": 55}, (
        "the replacements wait anyway"
    )


def test_a_target_over_its_own_limit_does_not_count() -> None:
    found = withhold_changes(plan_of(60, 9, 9, 9), rules())
    assert fates(found) == {"withheld": 60, "apply": 27}
    assert [one.code for one in found.findings] == ["max-deletes"]


@pytest.mark.parametrize(("given", "withheld"), [(53, 54), (54, 0), (0, 54)])
def test_a_flag_has_priority_over_the_spec(given: int, withheld: int) -> None:
    found = withhold_changes(plan_of(*(9,) * 6), rules(Run(max_deletes_total=given), max_deletes_total=10))
    assert found.summary()["withheld"] == withheld


def test_the_flag_for_one_target_raises_the_limit_for_all_to_the_same_number() -> None:
    assert fates(withhold_changes(plan_of(60), rules(Run(max_deletes=60)))) == {"apply": 60}
    assert fates(withhold_changes(plan_of(60, 1), rules(Run(max_deletes=60)))) == {"withheld": 61}
    low = rules(Run(max_deletes=5), max_deletes=60)
    assert fates(withhold_changes(plan_of(5), low)) == {"apply": 5}
    strict = rules(Run(max_deletes=60, max_deletes_total=50))
    assert fates(withhold_changes(plan_of(60), strict)) == {"withheld": 60}


def test_the_flag_for_one_target_does_not_raise_a_limit_that_the_spec_sets() -> None:
    explicit = rules(Run(max_deletes=60), max_deletes_total=20)
    assert fates(withhold_changes(plan_of(20), explicit)) == {"apply": 20}
    assert fates(withhold_changes(plan_of(21), explicit)) == {"withheld": 21}


def test_a_limit_of_nought_withholds_the_first() -> None:
    assert fates(withhold_changes(plan_of(1, 0), rules(max_deletes_total=0))) == {"withheld": 1}


def test_the_finding_is_one_for_all_targets_and_names_the_number_and_the_line() -> None:
    line = Where("replication.yaml", 40, 3)
    spec = replace(SPEC, limit_lines={"max_deletes_total": line})
    (finding,) = withhold_changes(plan_of(*(9,) * 6), GuardRules(spec)).findings
    assert (finding.code, finding.where) == ("max-deletes-total", "replication.yaml:40:3")
    assert finding.about == tuple(map(Address, TARGETS[:6]))
    assert "54 to delete or replace in all targets are more than 50: all withheld" in finding.message
    assert "`guards.max_deletes_total`" in finding.message
    assert "--max-deletes-total" not in finding.message
    assert finding.remedy == Remedy("--max-deletes-total 54", "max-deletes-total", "", 54, "")


def test_a_withheld_change_has_the_limit_and_the_count() -> None:
    (reason,) = withhold_changes(plan_of(*(9,) * 6), rules()).changes[0].withheld
    assert (reason.guard, reason.limit, reason.count) == ("max-deletes-total", 50, 54)


def test_changes_that_a_lift_names_do_not_count_and_are_not_withheld() -> None:
    plan = plan_of(60, 9)
    members = [member_of(one) for one in plan.changes if one.target == "t0"]
    digest = digest_of("prod", "max-deletes", "t0", members)
    lift = Lift("max-deletes", "t0", digest, 60, date(2026, 12, 31), "reviewed")
    lifted = GuardRules(replace(SPEC, lifts=(lift,)), Run(lifts_allowed=True), today=date(2026, 11, 23))
    assert fates(withhold_changes(plan, lifted)) == {"apply": 69}
    more = plan_of(60, *(9,) * 6)
    found = withhold_changes(more, lifted)
    assert {one.target for one in found.changes if one.fate is Fate.APPLY} == {"t0"}
    assert found.summary()["withheld"] == 54


class TestMarks:
    """With `delete.after`, marks count when they are written and while they wait, as for one target."""

    def plan(self, new: int, outstanding: int, due: int) -> ReplicationPlan:
        """A plan with that many of each kind in each of six targets."""
        found = plan_of(*(due,) * 6)
        changes = [one for name in TARGETS[:6] for one in there(marks(new), name)]
        others = [one for name in TARGETS[:6] for one in waiting(outstanding, target=name)]
        return replace(found, changes=(*found.changes, *changes), others=tuple(others))

    @pytest.mark.parametrize(
        ("new", "outstanding", "due", "withheld"),
        [(8, 0, 0, 0), (9, 0, 0, 54), (1, 8, 0, 6), (0, 8, 1, 6), (3, 3, 2, 0), (3, 3, 3, 36), (0, 9, 0, 0)],
    )
    def test_new_marks_outstanding_marks_and_due_deletes_count_together(
        self, new: int, outstanding: int, due: int, withheld: int
    ) -> None:
        spec = replace(SPEC, grace=timedelta(days=7))
        found = withhold_changes(self.plan(new, outstanding, due), GuardRules(spec))
        assert found.summary()["withheld"] == withheld
        assert {one.code for one in found.findings} == ({"max-deletes-total"} if withheld else set())
        number = 6 * (new + outstanding + due)
        assert (
            not withheld or f"{number} to delete, replace or mark in all targets" in found.findings[0].message
        )

    def test_marks_to_release_do_not_count(self) -> None:
        released = [one for name in TARGETS[:5] for one in waiting(10, target=name, is_released=True)]
        found = replace(plan_of(9, 9, 9, 9, 9), others=tuple(released))
        assert fates(withhold_changes(found, rules())) == {"apply": 45}

    def test_outstanding_marks_of_a_target_over_its_own_limit_do_not_count(self) -> None:
        found = replace(plan_of(9, 9, 9, 9, 9, 0), others=waiting(60, target="t5"))
        assert fates(withhold_changes(found, rules())) == {"apply": 45}


class TestANarrowedRun:
    def test_the_deletes_at_other_names_count(self) -> None:
        assert fates(withhold_changes(plan_of(*(1,) * 8, deletes_outside_run=5), rules())) == {"apply": 8}
        assert fates(withhold_changes(plan_of(*(1,) * 8, deletes_outside_run=6), rules())) == {"withheld": 8}

    def test_the_deletes_that_only_leaves_out_count_as_well(self) -> None:
        names = ("us-east-2", "eu-west-1", "eu-central-1")
        spec = replication(
            targets=tuple(target(name, region=name) for name in names), limits=Limits(max_deletes_total=5)
        )
        aws = SimulatedAws(spec)
        for number in range(8):
            aws.put(f"/p/{number}")
        aws.apply()
        aws.delete("/p/0", "/p/1")
        one = aws.plan(run=Run(only=("/p/0",)))
        assert {change.withheld_by for change in one.changes} == {("max-deletes-total",)}
        (finding,) = (found for found in one.all_findings if found.code == "max-deletes-total")
        assert finding.message.startswith("6 to delete or replace in all targets")
        two = aws.plan(run=Run(only=("/p/0",), targets=names[:2]))
        assert {change.withheld_by for change in two.changes} == {()}, "the third target is not read"

    def test_deletes_that_a_full_run_withholds_do_not_count(self) -> None:
        outside = plan_of(1, 0)
        first, second = outside.targets
        over = replace(outside, targets=(first, replace(second, deletes_outside_run=60)))
        assert fates(withhold_changes(over, rules())) == {"apply": 1}
        frozen = replace(second, deletes_outside_run=60, replicas=200, frozen=True)
        high = rules(max_deletes=60)
        assert fates(withhold_changes(replace(outside, targets=(first, frozen)), high)) == {"apply": 1}
        thawed = replace(frozen, frozen=False)
        assert fates(withhold_changes(replace(outside, targets=(first, thawed)), high)) == {"withheld": 1}

    def test_deletes_outside_of_a_target_over_its_own_limit_do_not_count(self) -> None:
        found = plan_of(8, 9, 9, 9, 9, 9, 1)
        first, *others = found.targets
        found = replace(found, targets=(replace(first, deletes_outside_run=5), *others))
        assert fates(withhold_changes(found, rules())) == {"withheld": 8, "apply": 46}

    def test_half_of_the_replicas_is_not_a_limit_if_the_run_has_one(self) -> None:
        found = plan_of(1, 0)
        first, second = found.targets
        found = replace(found, targets=(first, replace(second, replicas=10, deletes_outside_run=8)))
        given = rules(Run(max_deletes=60, max_deletes_total=8))
        assert fates(withhold_changes(found, given)) == {"withheld": 1}
        assert fates(withhold_changes(found, rules(max_deletes_total=8))) == {"apply": 1}

    def test_a_plan_whose_deletes_are_counted_elsewhere_is_not_judged(self) -> None:
        assert fates(withhold_changes(plan_of(*(9,) * 8, counts_elsewhere=True), rules())) == {"apply": 72}
