"""Lifts: exactly the named changes are let through, while the lift holds, in a run that may use it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from ssm_reconcile.errors import Severity, Where
from ssm_reconcile.explain import remedies
from ssm_reconcile.guards import GUARDS, GuardRules, withhold_changes
from ssm_reconcile.lift import LIFTABLE, Lift, Member, digest_of, member_of, read_lift
from ssm_reconcile.load.schema import replication_schema
from ssm_reconcile.plan import ReplicationPlan
from ssm_reconcile.spec import Run
from tests.builders import deletes, fates, part, replaces, replication, updates

TODAY = date(2026, 11, 28)
LINE = Where("replication.yaml", 30, 5)
REVIEWED = Run(lifts_allowed=True)


def rules(*lifts: Lift, run: Run = REVIEWED) -> GuardRules:
    return GuardRules(replication(lifts=lifts), run, today=TODAY)


def lift_of(plan: ReplicationPlan, guard: str = "max-deletes", until: date = TODAY) -> Lift:
    """The lift that the remedy of a finding proposes."""
    (finding,) = [one for one in withhold_changes(plan, rules()).findings if one.code == guard]
    assert finding.remedy is not None
    found = finding.remedy
    return Lift(found.guard, found.target, found.changes, found.count, until, "the service is gone", LINE)


def codes(plan: ReplicationPlan) -> list[str]:
    return [finding.code for finding in plan.findings]


def test_a_lift_lets_exactly_its_changes_through_and_is_reported_with_its_reason() -> None:
    plan = part(*deletes(12), *updates(50))
    lift = lift_of(plan)
    found = withhold_changes(plan, rules(lift))
    assert {one.name: one.fate.value for one in found.changes if one.action == "delete"} == dict.fromkeys(
        [one.name for one in deletes(12)], "apply"
    )
    assert {one.withheld_by for one in found.changes if one.action == "update"} == {("max-change-percent",)}
    assert {one.lifted for one in found.changes if one.action == "delete"} == {
        (("max-deletes", lift.changes),)
    }
    (notice,) = [one for one in found.findings if one.code == "lifted"]
    assert notice.severity is Severity.NOTICE
    assert notice.where == "replication.yaml:30:5"
    assert notice.message == ("12 changes in us-east-2 not withheld by max-deletes: the service is gone")


@pytest.mark.parametrize(
    ("guard", "plan"),
    [
        ("max-deletes", part(*deletes(12))),
        ("max-change-percent", part(*updates(50))),
        ("replace", part(*replaces(3))),
        ("changed-outside", part(*updates(2, changed_outside=True))),
        ("exposure", part(*updates(2, exposes=True))),
        ("empty-source", part(*deletes(1), selected=0)),
    ],
)
def test_each_guard_can_be_lifted_and_its_count_is_a_number_of_changes(
    guard: str, plan: ReplicationPlan
) -> None:
    lift = lift_of(plan, guard)
    assert lift.count == len(plan.changes)
    assert fates(withhold_changes(plan, rules(lift))) == {"apply": lift.count}


def test_a_lift_of_reversed_roles_lets_everything_through() -> None:
    plan = part(*updates(3))
    given = replace(rules(), reversed_roles={"us-east-2": ["/p/a"]})
    (finding,) = withhold_changes(plan, given).findings
    assert finding.remedy is not None
    lift = Lift("roles-reversed", "us-east-2", finding.remedy.changes)
    given = replace(given, run=Run(lift=(lift,), lifts_allowed=True))
    assert fates(withhold_changes(plan, given)) == {"apply": 3}


@pytest.mark.parametrize(
    "change",
    [
        {"count": 11},
        {"count": 13},
        {"changes": "0123456789ab"},
        {"guard": "replace"},
        {"target": "eu-west-1"},
    ],
)
def test_another_count_digest_guard_or_target_lifts_nothing(change: dict[str, object]) -> None:
    plan = part(*deletes(12))
    lift = replace(lift_of(plan), **change)  # type: ignore[arg-type]  # fields of a Lift
    assert fates(withhold_changes(plan, rules(lift))) == {"withheld": 12}


@pytest.mark.parametrize("other", [part(*deletes(13)), part(*deletes(11)), part(*deletes(12, "/p/other"))])
def test_changes_outside_of_the_set_stay_withheld_and_the_present_digest_is_named(
    other: ReplicationPlan,
) -> None:
    lift = lift_of(part(*deletes(12)))
    found = withhold_changes(other, rules(lift))
    assert fates(found) == {"withheld": len(other.changes)}
    (warning,) = [one for one in found.findings if one.code == "lift-other-changes"]
    assert warning.where == "replication.yaml:30:5"
    assert f"({lift.changes} with count 12)" in warning.message
    assert f"{lift_of(other).changes} with count {len(other.changes)} are withheld now" in warning.message


def test_another_version_of_a_parameter_is_another_set() -> None:
    plan = part(*deletes(12))
    first, *rest = plan.changes
    newer = replace(first, expected=replace(first.expected, version=99))
    assert fates(withhold_changes(replace(plan, changes=(newer, *rest)), rules(lift_of(plan)))) == {
        "withheld": 12
    }


def test_a_lift_of_one_replication_is_not_one_of_another() -> None:
    plan = part(*deletes(12))
    lift = lift_of(plan)
    assert fates(withhold_changes(replace(plan, name="other"), rules(lift))) == {"withheld": 12}


def test_a_lift_holds_on_its_last_day_and_not_after_it() -> None:
    plan = part(*deletes(12))
    lift = lift_of(plan, until=TODAY)
    assert fates(withhold_changes(plan, rules(lift))) == {"apply": 12}
    late = replace(rules(lift), today=date(2026, 11, 29))
    found = withhold_changes(plan, late)
    assert fates(found) == {"withheld": 12}
    (warning,) = [one for one in found.findings if one.code == "lift-expired"]
    assert (warning.severity, warning.where) == (Severity.WARNING, "replication.yaml:30:5")
    assert "ended at the end of 2026-11-28 (UTC)" in warning.message


def test_an_expired_lift_is_reported_when_nothing_is_withheld_too() -> None:
    lift = Lift("max-deletes", "us-east-2", "0123456789ab", 12, date(2026, 1, 1), "old", LINE)
    assert codes(withhold_changes(part(*updates(1)), rules(lift))) == ["lift-expired"]
    assert codes(withhold_changes(part(*updates(1)), rules(lift, run=Run()))) == ["lift-expired"]


def test_a_lift_without_anything_to_lift_is_silent() -> None:
    lift = Lift("max-deletes", "us-east-2", "0123456789ab", 12, TODAY, "done", LINE)
    assert codes(withhold_changes(part(*updates(1)), rules(lift))) == []


def test_a_lift_of_a_target_that_the_run_does_not_have_is_silent() -> None:
    lift = Lift("max-deletes", "eu-west-1", "0123456789ab", 12, date(2026, 1, 1), "old", LINE)
    assert codes(withhold_changes(part(*updates(1)), rules(lift))) == []


def test_a_run_without_a_review_lifts_nothing_and_says_so() -> None:
    plan = part(*deletes(12))
    found = withhold_changes(plan, rules(lift_of(plan), run=Run()))
    assert fates(found) == {"withheld": 12}
    assert codes(found) == ["max-deletes", "lift-not-reviewed"]


def test_changes_that_a_lift_lets_through_count_for_later_guards() -> None:
    plan = part(*replaces(12), *deletes(9))
    lift = lift_of(plan, "replace")
    found = withhold_changes(plan, rules(lift))
    assert fates(found) == {"withheld": 21}
    assert {one.withheld_by for one in found.changes} == {("max-deletes",)}
    (finding,) = [one for one in found.findings if one.code == "max-deletes"]
    assert finding.remedy is not None
    assert finding.remedy.count == 21
    more = Lift("max-deletes", "us-east-2", finding.remedy.changes, 21, TODAY)
    assert fates(withhold_changes(plan, rules(lift, more))) == {"apply": 21}


def test_two_lifts_that_were_read_in_one_comment_hold_together() -> None:
    plan = part(*replaces(5), *deletes(12))
    lifts = lift_of(plan, "replace"), lift_of(plan, "max-deletes")
    found = withhold_changes(plan, rules(*lifts))
    assert {one.action.value: one.fate.value for one in found.changes} == {
        "delete": "apply",
        "replace": "withheld",
    }
    (finding,) = [one for one in found.findings if one.code == "max-deletes"]
    assert finding.message.endswith("all withheld. 12 changes of these are lifted")
    assert finding.remedy is not None
    last = Lift("max-deletes", "us-east-2", finding.remedy.changes, 5)
    assert fates(withhold_changes(plan, rules(*lifts, last))) == {"apply": 17}


def test_a_guard_that_nothing_lifts_has_no_digest() -> None:
    spec = replication(targets=(replace(replication().targets[0], frozen=True),))
    frozen = part(*deletes(1))
    frozen = replace(frozen, targets=(replace(frozen.targets[0], frozen=True),))
    (finding,) = withhold_changes(frozen, GuardRules(spec, REVIEWED)).findings
    assert (finding.code, finding.remedy) == ("frozen-target", None)


# Interrupted: the set of a saved plan


def saved(plan: ReplicationPlan, lift: Lift, members: list[Member] | None = None) -> Run:
    kept = [member_of(one) for one in plan.changes] if members is None else members
    return Run(lifts_allowed=True, saved_lifts={("prod", str(lift)): frozenset(kept)})


def test_the_rest_of_the_set_of_a_saved_plan_is_let_through() -> None:
    plan = part(*deletes(30))
    lift = lift_of(plan)
    rest = replace(plan, changes=plan.changes[15:])
    assert fates(withhold_changes(rest, rules(lift))) == {"withheld": 15}, "without the saved set"
    assert fates(withhold_changes(rest, rules(lift, run=saved(plan, lift)))) == {"apply": 15}


def test_a_change_outside_of_the_saved_set_stays_withheld() -> None:
    plan = part(*deletes(30))
    lift = lift_of(plan)
    wider = part(*deletes(31))
    found = withhold_changes(replace(wider, changes=wider.changes[15:]), rules(lift, run=saved(plan, lift)))
    assert [one.name for one in found.changes if one.withheld] == ["/p/d030"]


def test_a_saved_set_that_is_not_the_one_of_a_lift_lifts_nothing() -> None:
    plan = part(*deletes(30))
    lift = lift_of(plan)
    every = [member_of(one) for one in part(*deletes(40)).changes]
    rest = replace(plan, changes=plan.changes[15:])
    forged = saved(plan, lift, every)
    assert fates(withhold_changes(rest, rules(lift, run=forged))) == {"withheld": 15}
    assert fates(withhold_changes(rest, rules(run=saved(plan, lift)))) == {"withheld": 15}, "no lift"
    ended = lift_of(plan, until=date(2026, 1, 1))
    assert fates(withhold_changes(rest, rules(ended, run=saved(plan, ended)))) == {"withheld": 15}
    unreviewed = replace(saved(plan, lift), lifts_allowed=False)
    assert fates(withhold_changes(rest, rules(lift, run=unreviewed))) == {"withheld": 15}


# The form


def test_the_guards_that_can_be_lifted_are_the_same_everywhere() -> None:
    schema = replication_schema()["properties"]["lifts"]["items"]["properties"]["guard"]["enum"]
    assert list(LIFTABLE) == schema
    assert set(remedies._FIELDS) == {*LIFTABLE, "max-deletes-total"}, "a lift is for one target"
    assert set(LIFTABLE) <= set(GUARDS)


def test_a_digest_does_not_depend_on_the_order_of_the_changes() -> None:
    members = [member_of(one) for one in deletes(3)]
    assert digest_of("prod", "max-deletes", "a", members) == digest_of(
        "prod", "max-deletes", "a", members[::-1]
    )


def test_a_lift_of_the_command_line_is_read_back_as_it_is_written() -> None:
    text = "max-deletes@us-east-2=3f9a0c2b7d11"
    lift = read_lift(text)
    assert lift == Lift("max-deletes", "us-east-2", "3f9a0c2b7d11")
    assert str(lift) == text
    for wrong in ("max-deletes", "no-id@a=3f9a0c2b7d11", "replace@a=3f9a0c2b7d1", "replace@a b=3f9a0c2b7d11"):
        assert read_lift(wrong) is None
