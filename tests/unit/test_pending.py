"""A plan against the spec before: what is done anyway, what is new, what is not done any more."""

from __future__ import annotations

from dataclasses import replace

from ssm_reconcile.approve import mark_pending, narrowed_to
from ssm_reconcile.change import Withholding
from ssm_reconcile.load import load_text
from ssm_reconcile.plan import Plan
from ssm_reconcile.spec import Run
from tests.unit.renderers import plans

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }, { region: eu-west-1 }]
parameters: { include: ["/app/**"] }
delete: owned
"""
(PROD,) = load_text(SPEC).replications


def compared(now: Plan, before: Plan) -> tuple[set[str], set[str]]:
    """The names of what is pending, and of what is dropped."""
    plan = mark_pending(now, before.replications)
    assert plan.dropped is not None
    return {c.name for c in plan.changes if c.pending}, {c.name for c in plan.dropped}


A, B = plans.create("eu-west-1", "/a"), plans.create("eu-west-1", "/b")


def test_a_change_of_both_plans_is_pending_and_a_change_of_one_is_new_or_dropped() -> None:
    C = plans.delete("eu-west-1", "/c")  # noqa: N806 - as A and B
    assert compared(plans.plan_of([A, B]), plans.plan_of([B, C])) == ({"/b"}, {"/c"})


def test_a_change_that_does_something_else_is_not_pending() -> None:
    other = plans.update("eu-west-1", "/a")
    assert compared(plans.plan_of([A]), plans.plan_of([other])) == (set(), set())


def test_a_change_that_a_guard_withheld_before_and_not_now_is_not_pending() -> None:
    withheld = replace(A, withheld=(Withholding("max-deletes", ""),))
    assert compared(plans.plan_of([A]), plans.plan_of([withheld])) == (
        set(),
        set(),
    )


def test_a_target_that_is_another_place_now_has_nothing_pending() -> None:
    before = plans.plan_of([A])
    (part,) = before.replications
    moved = tuple(replace(target, place="210987654321/eu-west-1") for target in part.targets)
    before = replace(before, replications=(replace(part, targets=moved),))
    assert compared(plans.plan_of([A]), before) == (set(), set())


def test_a_replication_that_was_not_there_before_has_nothing_pending() -> None:
    plan = mark_pending(plans.plan_of([A]), ())
    assert [change.pending for change in plan.changes] == [False]


def test_the_plan_id_does_not_know_of_the_comparison() -> None:
    plan = plans.plan_of([A, B])
    assert mark_pending(plan, plan.replications).plan_id == plan.plan_id


def test_a_spec_is_the_same_wherever_it_stands() -> None:
    (moved,) = load_text(f"# a comment\n\n{SPEC}", "elsewhere.yaml").replications
    assert moved == PROD


def test_a_spec_with_another_rule_is_not_the_same() -> None:
    (other,) = load_text(SPEC.replace("/app/**", "/app/*")).replications
    assert other != PROD


def test_the_base_is_narrowed_without_a_word_about_targets_that_it_has_not() -> None:
    run = Run(targets=("eu-west-1", "new"))
    assert [target.name for target in narrowed_to([PROD], run)[0].targets] == ["eu-west-1"]
    assert narrowed_to([PROD], Run(targets=("new",))) == ()
    assert narrowed_to([PROD], Run()) == (PROD,)
