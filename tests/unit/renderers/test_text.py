"""A plan on a terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ssm_reconcile.change import Change, Difference, Row
from ssm_reconcile.plan import Mode, Narrowing
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView
from tests.unit.renderers import plans


def text_of(*changes: Change, width: int = 200, **more: Any) -> str:
    return plan_text(PlanView(plans.document_of(plans.plan_of(changes, **more))), width=width)


def test_a_plan_without_changes_counts_the_parameters_in_sync() -> None:
    assert text_of().splitlines()[-1] == "Nothing to do: 480 in sync."


def test_an_incomplete_plan_without_changes_is_called_incomplete() -> None:
    text = text_of(incomplete=("eu-west-1",))
    assert "INCOMPLETE: eu-west-1 was not listed completely. Nothing is planned there." in text
    assert text.splitlines()[-1].startswith("INCOMPLETE, and nothing to do in the places")


def test_an_incomplete_source_is_named() -> None:
    assert "No delete is planned." in text_of(source_complete=False)


def test_a_change_that_fits_is_one_line() -> None:
    line = "  ~ /a   String   update   value 1 -> 2, description x added"
    text = text_of(
        plans.update("eu-west-1", "/a", Difference("value", "1", "2"), Difference("description", "", "x"))
    )
    assert line in text.splitlines()


def test_a_change_that_does_not_fit_has_a_line_for_each_attribute() -> None:
    change = plans.update(
        "eu-west-1", "/a", Difference("value", "1" * 40, "2" * 40), Difference("tier", "Standard", "Advanced")
    )
    assert text_of(change, width=80).splitlines()[4:8] == [
        "  ~ /a   String   update",
        f"      value  {'1' * 40}",
        f"          -> {'2' * 40}",
        "      tier   Standard -> Advanced",
    ]


def test_the_tags_of_a_create_are_on_one_line_where_they_fit() -> None:
    change = plans.create("eu-west-1", "/a", tags={"team": "orders", "tier": "backend", "url": "a, b"})
    assert '      tags   team=orders, tier=backend, url="a, b"' in text_of(change, width=60).splitlines()
    narrow = [line.strip() for line in text_of(change, width=40).splitlines() if "tags" in line]
    assert narrow == ["tags   team=orders", "tags   tier=backend", 'tags   url="a, b"']


def test_columns_are_aligned() -> None:
    lines = text_of(plans.create("eu-west-1", "/a"), plans.delete("eu-west-1", "/longer")).splitlines()[3:5]
    assert lines[0].index("SecureString") == lines[1].index("String")
    assert lines[0].index("delete") == lines[1].index("create")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_on_a_narrow_terminal_only_names_and_values_are_wider_than_it(width: int) -> None:
    text = plan_text(PlanView(plans.document_of(plans.twelve())), width=width)
    attribute = re.compile(r" {6}(value|type|KeyId|tags) +\S.*| {6,}-> \S+")
    # A command is copied, so it stands on one line.
    name = re.compile(r" *([-+~!=] )?\S+|Apply exactly this:( .*)?|ssm-reconcile apply .*")
    wide = [line for line in text.splitlines() if len(line) > width]
    assert [line for line in wide if not attribute.fullmatch(line) and not name.fullmatch(line)] == []


def test_colour_is_used_on_request_only() -> None:
    view = PlanView(plans.document_of(plans.twelve()))
    assert "\x1b" not in plan_text(view)
    coloured = plan_text(view, color=True)
    assert "\x1b[31m-\x1b[0m /shop/prod/legacy/token" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plan_text(view)


def test_adoptions_are_folded_by_path() -> None:
    text = text_of(*(plans.adopt("eu-west-1", f"/a/{i}") for i in range(30)))
    assert "  = /a/* × 30   adopt (tags only)" in text.splitlines()


def test_conflicts_are_listed_with_the_difference_and_the_targets() -> None:
    left = [
        plans.other(target, "/x", Row.CONFLICT, "conflict", "it differs in value")
        for target in ("us-west-2", "eu-west-1")
    ]
    assert "Conflicts, not written: 2\n  it differs in value:\n    /x   eu-west-1, us-west-2\n" in text_of(
        others=left
    )


def test_skipped_parameters_are_counted_by_their_reason() -> None:
    left = [
        plans.other("eu-west-1", "/a", Row.SKIPPED, "skipped", "its source carries skip_sync"),
        plans.other("eu-west-1", "/b", Row.CHAINED, "skipped", "its source is itself a replica"),
    ]
    assert "498 selected, 1 skipped by skip_sync, 1 skipped because they are replicas" in text_of(others=left)


def test_withheld_changes_are_marked_counted_and_explained() -> None:
    kept = plans.withheld(plans.replaced("eu-west-1", "/a"), "replace", "only with --allow-replace")
    text = text_of(kept, plans.create("eu-west-1", "/b"))
    assert "replace WITHHELD" in text
    assert "withheld: only with --allow-replace" in text
    assert "1 of them WITHHELD by a guard: replace." in text


def test_a_plan_with_all_changes_withheld_has_no_apply_command() -> None:
    kept = plans.withheld(plans.replaced("eu-west-1", "/a"), "replace", "only with --allow-replace")
    assert "Apply exactly this" not in text_of(kept)


def test_the_apply_command_repeats_the_narrowing() -> None:
    plan = plans.plan_of(
        [plans.create("eu-west-1", "/b")],
        narrowing=Narrowing(("eu-west-1",), ("/b/**",)),
        mode=Mode.NO_DECRYPT,
    )
    assert plan_text(PlanView(plans.document_of(plan)), width=200).splitlines()[-1] == (
        "Apply exactly this: ssm-reconcile apply --target eu-west-1 --only '/b/**' --no-decrypt"
        f" --expect-plan {plan.plan_id[:12]}"
    )


def test_the_caller_can_give_the_apply_command() -> None:
    view = PlanView(plans.document_of(plans.twelve()))
    text = plan_text(view, apply_command="ssm-reconcile apply my.yaml")
    assert f"Apply exactly this: ssm-reconcile apply my.yaml --expect-plan {view.short_id}" in text


def test_the_cost_of_an_apply_is_stated() -> None:
    assert "apply: 14 writes, at least 5 s" in text_of(plans.create("eu-west-1", "/b"))


def test_a_name_in_a_sentence_is_never_broken() -> None:
    name = "/shop/prod/" + "a-long-name-" * 6
    assert name in text_of(plans.delete("eu-west-1", name), width=40).split()
