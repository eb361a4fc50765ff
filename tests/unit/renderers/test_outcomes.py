"""Groups of the outcomes of a report."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.renderers.outcomes import RESULTS, OutcomeView, group_outcomes
from ssm_reconcile.report import Result

OUTCOMES = st.lists(
    st.builds(
        OutcomeView,
        target=st.sampled_from("tuv"),
        name=st.sampled_from(("/a", "/b", "/c")),
        action=st.sampled_from(("delete", "update", "a later action")),
        kind=st.just("String"),
        result=st.sampled_from((*RESULTS, "a later result")),
        error=st.sampled_from(("", "it failed")),
        note=st.sampled_from(("", "a note")),
        guards=st.sampled_from(((), ("frozen-target",))),
    ),
    unique_by=lambda one: (one.target, one.name),
)


def outcome(result: str, name: str = "/a", action: str = "update", error: str = "") -> OutcomeView:
    return OutcomeView("us-east-2", name, action, "String", result, error, "")


@given(OUTCOMES)
def test_every_outcome_is_in_exactly_one_group(outcomes: list[OutcomeView]) -> None:
    groups = group_outcomes(outcomes)
    found = [
        (group.result, group.cause, group.kind.word, group.guards, name, target)
        for group in groups
        for name, targets in group.names.items()
        for target in targets
    ]
    expected = [(one.result, one.cause, one.action, one.guards, one.name, one.target) for one in outcomes]
    assert sorted(found) == sorted(expected)
    assert sum(group.size for group in groups) == len(outcomes)
    keys = [(group.result, group.cause, group.kind.word, group.guards) for group in groups]
    assert len(keys) == len(set(keys))


def test_the_results_that_are_known_are_those_of_a_report() -> None:
    assert sorted(RESULTS) == sorted(Result)


def test_groups_are_in_the_order_of_results_then_causes_then_danger() -> None:
    groups = group_outcomes(
        [
            outcome("applied", "/deleted", "delete"),
            outcome("stale", error="second cause"),
            outcome("stale", "/b", error="first of its result only if it has no cause"),
            outcome("later"),
            outcome("failed", error="it failed"),
            outcome("stale", "/c"),
            outcome("stale", "/d", "create", error="second cause"),
        ]
    )
    assert [(group.result, group.cause, group.kind.word) for group in groups] == [
        ("later", "", "update"),
        ("failed", "it failed", "update"),
        ("stale", "", "update"),
        ("stale", "second cause", "update"),
        ("stale", "second cause", "create"),
        ("stale", "first of its result only if it has no cause", "update"),
        ("applied", "", "delete"),
    ]
