"""A plan on a terminal."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ssm_reconcile.change import Change, Difference, Row, TagDiff, Update, ValuePart, ValueParts
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.plan import Budget, BudgetLimit, ExistingParameter, Mode, Narrowing, Other, Plan
from ssm_reconcile.renderers.changes import AttributeLine, ChangeView
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView
from tests.unit.renderers import plans
from tests.unit.renderers.shapes import (
    DANGEROUS,
    SHAPES,
    deletes_withheld,
    guard_finding,
    guarded_plan,
    large_plan,
)

PUT = "PutParameter at 3/s in 1/us-east-2"
FITS = "Raise the quota of ListTagsForResource first, then `rates: {list_tags: %d}` fits."
COMMAND = re.compile(r"Apply exactly this:( .*)?|ssm-reconcile apply .*")


def text_of(*changes: Change, width: int = 200, extent: Any = "grouped", **more: Any) -> str:
    return render(plans.plan_of(changes, **more), width=width, extent=extent)


def render(plan: Plan, width: int = 100, **more: Any) -> str:
    return plan_text(PlanView(plans.document_of(plan)), width=width, **more)


def deletes(number: int, target: str = "eu-west-1", path: str = "/a") -> list[Change]:
    return [plans.delete(target, f"{path}/{i:02}") for i in range(number)]


def guarded(number: int) -> Plan:
    """Return a plan with deletes that a guard withholds, and one create."""
    return deletes_withheld(number, "eu-west-1", plans.create("eu-west-1", "/b"))


def conflict(target: str, name: str, difference: Difference, writer: str = "") -> Other:
    """Return a conflict whose sides are known."""
    found = plans.other(target, name, Row.CONFLICT, "conflict", "it differs in value")
    existing = ExistingParameter((difference,), TagDiff(), "String", 1, plans.NOW, writer)
    return replace(found, conflict=existing)


class TestSummary:
    def test_a_plan_without_changes_counts_the_parameters_in_sync(self) -> None:
        assert text_of().splitlines()[-1] == "Nothing to do: 480 in sync."

    def test_several_incomplete_targets_are_one_notice(self) -> None:
        text = text_of(incomplete=("eu-west-1", "us-west-2"))
        assert (
            "INCOMPLETE: eu-west-1 and us-west-2 were not listed completely. Nothing is planned there."
            in text
        )

    def test_a_plan_of_one_target_has_no_table(self) -> None:
        text = text_of(plans.create("eu-west-1", "/b"), targets=("eu-west-1",))
        assert text.splitlines()[0].startswith("prod: 123456789012/us-east-1 -> eu-west-1 ")
        assert text.count("eu-west-1") == 1

    def test_skipped_parameters_are_counted_by_their_reason(self) -> None:
        left = [
            plans.other("eu-west-1", "/a", Row.SKIPPED, "skipped", "its source carries skip_sync"),
            plans.other("eu-west-1", "/b", Row.CHAINED, "skipped", "its source is itself a replica"),
        ]
        assert "498 selected, 1 skipped by skip_sync, 1 skipped because they are replicas" in text_of(
            others=left
        )

    @pytest.mark.parametrize(
        ("seconds", "operation", "fitting", "raised", "lines"),
        [
            (60.0, "PutParameter", None, None, ["apply: 0 writes, at least 60 s"]),
            (61.0, "PutParameter", None, None, [f"apply: 0 writes, at least 61 s: {PUT}"]),
            (
                3000.0, "PutParameter", None, 10,
                [
                    f"apply: 0 writes, at least 50 min: {PUT}",
                    "With higher throughput on, it takes at least 34 min: ListTagsForResource at 5/s.",
                    FITS % 10,
                ],
            ),
            (
                3000.0, "ListTagsForResource", 7, None,
                [
                    "apply: 0 writes, at least 50 min: ListTagsForResource at 3/s in 1/us-east-2",
                    FITS % 7,
                ],
            ),
        ],
    )  # fmt: skip
    def test_a_long_apply_names_its_limit_and_the_rate_that_would_fit(
        self, seconds: float, operation: str, fitting: int | None, raised: int | None, lines: list[str]
    ) -> None:
        limit = BudgetLimit("1/us-east-2", operation, 3.0, seconds, fitting)
        then = BudgetLimit("1/us-east-1", "ListTagsForResource", 5.0, 2000.0, raised) if raised else None
        plan = plans.plan_of([plans.create("eu-west-1", "/b")])
        text = render(replace(plan, budget=Budget({}, seconds, limit, then)), width=160)
        sums = text.partition("in sync.   ")[2].partition("\n\n")[0]
        assert [line.strip() for line in sums.splitlines()] == lines

    @pytest.mark.parametrize("width", range(60, 120))
    def test_the_limit_of_a_long_apply_is_wrapped_with_the_rates_in_one_piece(self, width: int) -> None:
        limit = BudgetLimit("123456789012/ap-southeast-1", "PutParameter", 3.0, 3000.0)
        then = BudgetLimit("123456789012/us-east-1", "ListTagsForResource", 5.0, 2000.0, 10)
        plan = plans.plan_of([plans.create("eu-west-1", "/b")])
        text = render(replace(plan, budget=Budget({"PutParameter": 9000}, 3000.0, limit, then)), width=width)
        lines = text[text.index("  apply: ") :].partition("\n\n")[0].splitlines()
        assert max(map(len, lines)) <= width
        assert "`rates: {list_tags: 10}`" in " ".join(line.strip() for line in lines if "rates: {" in line)
        starts = ("  apply: ", "  With ", "  Raise ")
        assert all(line.startswith((*starts, "    ")) for line in lines)
        assert [start for start in starts for line in lines if line.startswith(start)] == list(starts)

    def test_a_plan_of_an_older_version_has_no_limit(self) -> None:
        document = plans.document_of(plans.plan_of([plans.create("eu-west-1", "/b")]))
        document["budget"] = {"calls": {}, "writes": 900, "seconds": 300.0}
        assert read_plan_document(json.dumps(document)) == document
        assert "apply: 900 writes, at least 5 min\n" in plan_text(PlanView(document), color=False)

    def test_a_summary_has_the_counts_the_danger_and_the_reasons_but_no_change(self) -> None:
        plan = guarded(12)
        text = render(plan, extent="summary")
        assert "Plan " in text.splitlines()[2]
        assert "\nDANGER: 12 of 13 changes\n" in text
        assert "    12 to delete or replace in eu-west-1 are more than 5" in text
        assert "/shop/old" not in text
        assert "/b" not in text
        assert "Findings: 1 warning" in render(plans.twelve(), extent="summary")

    @pytest.mark.large
    def test_a_summary_has_a_line_for_each_of_many_targets(self) -> None:
        targets = [f"account-{i:03}" for i in range(160)]
        plan = plans.plan_of([plans.create(target, "/a") for target in targets], targets=targets)
        assert set(targets) <= set(render(plan, extent="summary").split())
        assert "--summary lists each" in render(plan)
        several = [
            change
            for i, target in enumerate(targets)
            for change in (
                *(plans.create(target, f"/a/{j}") for j in range(i % 13)),
                *(plans.delete(target, f"/d/{j}") for j in range(i // 13)),
            )
        ]
        assert "--summary lists all of them" in render(plans.plan_of(several, targets=targets))


class TestDanger:
    def test_kinds_are_in_the_order_of_danger(self) -> None:
        taken = plans.update("eu-west-1", "/taken", Difference("value", "1", "2"))
        assert isinstance(taken.effect, Update)
        text = text_of(
            plans.retag("eu-west-1", "/tags", TagDiff({}, {"a": "b"})),
            plans.adopt("eu-west-1", "/met"),
            plans.create("eu-west-1", "/new"),
            plans.update("eu-west-1", "/old", Difference("value", "1", "2")),
            plans.release("eu-west-1", "/kept"),
            replace(taken, effect=replace(taken.effect, takes_over=True)),
            plans.update("eu-west-1", "/bare", plans.secret(), exposes=True),
            plans.replaced("eu-west-1", "/again"),
            plans.delete("eu-west-1", "/gone"),
        )
        names = re.findall(r"^  (.) (/\w+)", text, re.MULTILINE)
        assert names == [
            ("-", "/gone"), ("!", "/again"), ("*", "/bare"), (">", "/taken"), ("<", "/kept"), ("~", "/old"),
            ("+", "/new"), ("=", "/met"), ("@", "/tags"),
        ]  # fmt: skip

    def test_the_legend_has_the_signs_that_occur(self) -> None:
        text = text_of(plans.create("eu-west-1", "/a"), plans.delete("eu-west-1", "/b"))
        assert "- delete   + create" in text.splitlines()

    def test_withheld_changes_are_first_and_their_reason_is_stated_once(self) -> None:
        lines = render(guarded(12)).splitlines()
        advice = "Let through by a flag of plan and apply, or by `lifts`:"
        assert lines[10:13] == [
            f"WITHHELD, not applied: 12 of 13 changes. {advice}",
            "  max-deletes (12 changes): --max-deletes 12",
            "    12 to delete or replace in eu-west-1 are more than 5: all withheld (replication.yaml:8:24)",
        ]
        assert lines[14] == "- delete   + create   # WITHHELD"
        assert lines[16] == "Delete, WITHHELD by max-deletes: 12"
        assert lines[17].startswith("  its source is gone; version 4")
        assert "".join(lines).count("more than 5") == "".join(lines).count("its source is gone") == 1
        assert sum(line.startswith(" #- /shop/old/") for line in lines) == 12

    def test_a_group_with_the_reasons_of_the_group_above_does_not_repeat_them(self) -> None:
        held = [plans.delete("eu-west-1", name) for name in ("/a", "/b")]
        kept = [plans.withheld(change, "max-deletes", "too many") for change in held]
        text = text_of(*kept, *(plans.delete("us-west-2", name) for name in ("/c", "/d")))
        assert "\nDelete, not withheld: 2   for the same reasons as above\n" in text
        assert text.count("its source is gone") == 1

    def test_a_wrapped_reason_begins_no_line_with_a_command_of_a_runner(self) -> None:
        reason = "the tag " + "x" * 70 + " ::error::y ##[group]z"
        text = text_of(plans.delete("eu-west-1", "/a", reasons=(reason,)), width=80)
        assert not re.search(r"^\s*::|##\[", text, re.MULTILINE)
        assert re.search(r"^\s*\\u003a:error::y", text, re.MULTILINE)

    def test_a_guard_of_several_targets_has_its_flag_and_each_sentence_once(self) -> None:
        text = render(guarded_plan())
        assert "  changed-outside (4 changes): --overwrite-outside\n    2 replicas in eu-west-1 were" in text
        assert "    2 replicas in us-west-2 were changed outside ssm-reconcile: withheld\n" in text
        assert text.count("Bring the change to the") == text.count("--overwrite-outside") == 1

    def test_a_small_withheld_group_of_a_large_kind_is_listed(self) -> None:
        assert " #~ /shop/prod/api/limit   String   eu-west-1, us-west-2" in render(guarded_plan())

    def test_a_change_that_is_withheld_in_one_target_only_is_listed_for_each(self) -> None:
        kept = plans.withheld(plans.delete("eu-west-1", "/a"), "max-deletes", "too many")
        text = text_of(kept, plans.delete("us-west-2", "/a"))
        assert re.findall(r"^ ([# ]-) /a   SecureString   (\S+)", text, re.MULTILINE) == [
            ("#-", "eu-west-1"),
            (" -", "us-west-2"),
        ]

    def test_changes_of_many_combinations_of_guards_are_one_group(self) -> None:
        changes = [plans.withheld(one, f"guard-{i % 5}", "no") for i, one in enumerate(deletes(10))]
        text = text_of(*changes)
        assert text.count("Delete, WITHHELD: 10") == text.count("Delete") == 1
        assert text.count("by guard-3") == 2

    def test_a_flag_for_several_targets_has_the_largest_number(self) -> None:
        changes, findings = [], []
        for target, number in zip(plans.REGIONS[:3], (9, 12, 10), strict=True):
            held = deletes(number, target)
            changes += [plans.withheld(one, "max-deletes", f"{number} deletes are too many") for one in held]
            flag = f"--max-deletes {number}"
            findings.append(guard_finding("max-deletes", target, f"{number} deletes in {target}", flag))
        assert "\n  max-deletes (31 changes): --max-deletes 12\n" in text_of(*changes, findings=findings)

    @pytest.mark.parametrize("number", [40, 41])
    def test_more_than_forty_dangerous_changes_under_one_path_are_counted(self, number: int) -> None:
        text = text_of(*deletes(number))
        assert text.count("  - /a/") == (40 if number == 40 else 1)
        assert ("  - /a/* × 41   SecureString   eu-west-1" in text) is (number == 41)
        assert ("--full" in text) is (number == 41)

    def test_few_dangerous_changes_beside_many_are_listed(self) -> None:
        text = text_of(*deletes(60), *deletes(5, path="/b"))
        assert "  - /a/* × 60   SecureString   eu-west-1" in text
        assert text.count("  - /b/0") == 5

    def test_dangerous_changes_under_many_paths_are_grouped_when_they_are_very_many(self) -> None:
        gone = [one for i in range(50) for one in deletes(3, path=f"/p{i:02}/x")]
        text = text_of(*gone)
        assert "Delete: 150   its source is gone" in text
        assert len(re.findall(r"^  - /p\d\d/x/\d\d ", text, re.MULTILINE)) == 120
        assert len(re.findall(r"^  - /p\d\d/x/\* × 3 ", text, re.MULTILINE)) == 10

    def test_dangerous_changes_under_as_many_paths_are_named(self) -> None:
        gone = [plans.delete("eu-west-1", f"/p{i}/x") for i in range(101)]
        assert len(re.findall(r"^  - /p\d+/x ", text_of(*gone), re.MULTILINE)) == 101
        most = [plans.delete("eu-west-1", f"/p{i}/x") for i in range(301)]
        text = text_of(*most)
        assert len(re.findall(r"^  - /p\d+/x ", text, re.MULTILINE)) == 119
        assert "  - other paths × 182   SecureString" in text

    def test_an_explanation_that_holds_for_all_of_a_kind_is_stated_once(self) -> None:
        held = plans.withheld(plans.adopt("eu-west-1", "/a"), "guard-1", "why")
        text = text_of(held, plans.adopt("eu-west-1", "/b"), plans.adopt("eu-west-1", "/c"))
        assert "Adopt, WITHHELD by guard-1: 1   only tags are written; the parameter already exists" in text
        assert "\nAdopt, not withheld: 2   for the same reasons as above\n" in text
        assert text.count("the parameter already exists, equal in all that is replicated") == 1

    def test_a_reason_of_some_of_a_kind_is_stated_with_them(self) -> None:
        kept = plans.delete("eu-west-1", "/b", reasons=("another reason",))
        held = plans.withheld(plans.delete("eu-west-1", "/a"), "guard-1", "why")
        text = text_of(held, *deletes(2), kept, *deletes(2, "us-west-2", "/x"))
        assert text.count("its source is gone") == 2
        assert text.count("another reason") == 1

    def test_full_lists_each_change(self) -> None:
        text = text_of(
            *deletes(60), *(plans.create("eu-west-1", f"/b/{i}") for i in range(60)), extent="full"
        )
        assert text.count("  - /a/") == text.count("  + /b/") == 60
        assert "×" not in text


class TestTargets:
    def test_the_same_change_in_all_targets_is_one_line(self) -> None:
        text = text_of(*(plans.create(target, "/a") for target in plans.REGIONS), targets=plans.REGIONS)
        assert "  + /a   String   all 5 regions   value on" in text.splitlines()

    def test_the_targets_of_a_change_are_named_or_its_exceptions(self) -> None:
        text = text_of(
            *(plans.create(target, "/a") for target in plans.REGIONS[:2]),
            *(plans.create(target, "/b") for target in plans.REGIONS[1:]),
            targets=plans.REGIONS,
        )
        lines = [re.split(" {3,}", line.strip()) for line in text.splitlines()]
        assert ["+ /a", "String", "ap-southeast-2, ca-central-1", "value on"] in lines
        assert ["+ /b", "String", "all 5 regions but ap-southeast-2", "value on"] in lines

    def test_changes_with_other_values_are_not_merged(self) -> None:
        text = text_of(
            plans.update("eu-west-1", "/a", Difference("value", "1", "3")),
            plans.update("us-west-2", "/a", Difference("value", "2", "3")),
        )
        assert text.count("  ~ /a   String   ") == 2

    def test_last_changes_that_differ_are_stated_for_their_targets(self) -> None:
        text = render(plans.twelve(), width=120)
        assert "ap-southeast-2: version 4, last changed 2026-11-02 08:00 UTC" in text
        assert "eu-west-1: version 4, last changed 2026-11-02 08:00 UTC" in text
        assert text.count("/shop/prod/legacy/token") == 1


class TestChange:
    def test_a_change_that_fits_is_one_line(self) -> None:
        change = plans.update(
            "eu-west-1", "/a", Difference("value", "1", "2"), Difference("description", "", "x")
        )
        assert (
            "  ~ /a   String   eu-west-1   value 1 -> 2, description x added" in text_of(change).splitlines()
        )

    def test_a_change_that_does_not_fit_has_its_attributes_below(self) -> None:
        change = plans.update(
            "eu-west-1",
            "/a",
            Difference("value", "1" * 40, "2" * 40),
            Difference("tier", "Standard", "Advanced"),
        )
        lines = text_of(change, width=80).splitlines()
        start = lines.index("  ~ /a   String   eu-west-1")
        assert lines[start + 1 : start + 4] == [
            f"      value  - {'1' * 40}",
            f"             + {'2' * 40}",
            "      tier   Standard -> Advanced",
        ]

    def test_parts_of_a_value_have_one_label_and_context_is_dim(self) -> None:
        view = PlanView(plans.document_of(plans.plan_of([])))
        lines = (
            AttributeLine("value", "100", "250", key="limits.max"),
            AttributeLine("value", "a", "a", key="line 3", is_context=True),
        )
        view.changes = (ChangeView("eu-west-1", "/a", "update", "String", lines),)
        text = plan_text(view, color=True)
        assert "      value  limits.max: 100 -> 250\n" in text
        assert "             \x1b[2mline 3: a\x1b[0m\n" in text

    def test_the_types_of_a_replacement_are_stated_once(self) -> None:
        change = plans.replaced(
            "eu-west-1", "/a", Difference("type", "String", "StringList"), kind="StringList"
        )
        assert text_of(change).count("String -> StringList") == 1

    @pytest.mark.parametrize("width", [60, 40])
    def test_tags_are_packed_into_lines_and_never_broken(self, width: int) -> None:
        change = plans.create("eu-west-1", "/a", tags={"team": "orders", "tier": "backend", "url": "a, b"})
        lines = [line.strip() for line in text_of(change, width=width).splitlines()]
        narrow = ["tags   team=orders, tier=backend", 'url="a, b"']
        assert ('tags   team=orders, tier=backend, url="a, b"' in lines) is (width == 60)
        assert (set(narrow) <= set(lines)) is (width == 40)

    def test_columns_are_aligned(self) -> None:
        text = text_of(plans.create("eu-west-1", "/a"), plans.create("eu-west-1", "/longer", "SecureString"))
        lines = [line for line in text.splitlines() if line.startswith("  + /")]
        assert lines[0].index("String") == lines[1].index("SecureString")
        assert lines[0].index("eu-west-1") == lines[1].index("eu-west-1")

    def test_many_adoptions_are_grouped_by_path(self) -> None:
        text = text_of(*(plans.adopt("eu-west-1", f"/a/{i}") for i in range(50)))
        assert "  = /a/* × 50   String   eu-west-1" in text.splitlines()
        assert text.count("equal in all that is replicated") == 1

    def test_attributes_that_are_left_out_have_a_note(self) -> None:
        keys = tuple(ValuePart(f"k{i}.y", "1", "2") for i in range(10))
        for number, shown in ((5, 10), (25, 2), (40, 0)):
            value = Difference("value", "x", "y", parts=ValueParts("json", keys, 0, ()))
            text = text_of(*(plans.update("eu-west-1", f"/a/{i}", value) for i in range(number)), width=100)
            assert text.count(".y: 1 -> 2") == number * shown
            assert text.count("... and 8 more differences") == (number if shown == 2 else 0)
            assert ("Not all is listed here" in text) is (shown < 10)

    def test_a_change_outside_and_cut_remarks_are_noted_at_every_level(self) -> None:
        bob: dict[str, Any] = {"writer": "arn:aws:iam::123456789012:user/bob", "changed_outside": True}
        makers: list[Callable[..., Change]] = [
            plans.delete,
            plans.replaced,
            partial(plans.update, exposes=True),
            plans.release,
        ]
        changes = [make("eu-west-1", f"/{n}/{i}") for n, make in enumerate(makers) for i in range(40)]
        changes[0] = plans.delete("eu-west-1", "/0/0", **bob)
        text = text_of(*changes, width=100)
        assert "its source is gone" not in text
        assert re.findall(r"^  . (\S+) .*   changed outside$", text, re.MULTILINE) == ["/0/0"]
        assert "Not all is listed here" in text

    def test_a_pattern_states_how_many_changes_there_are_where_targets_differ(self) -> None:
        changes = [
            plans.create(target, f"/a/{i}") for i in range(50) for target in plans.REGIONS[: 1 + i % 2]
        ]
        text = text_of(*changes, targets=plans.REGIONS)
        assert "  + /a/* × 50   String   75 changes in 2 regions" in text.splitlines()


class TestRest:
    def test_conflicts_are_listed_with_the_difference_and_the_targets(self) -> None:
        left = [
            plans.other(target, "/x", Row.CONFLICT, "conflict", "it differs in value")
            for target in ("us-west-2", "eu-west-1")
        ]
        assert (
            "Conflicts, not written: 2\n  it differs in value:\n    /x   eu-west-1, us-west-2\n"
            in text_of(others=left)
        )

    def test_many_conflicts_are_counted_without_their_sides(self) -> None:
        left = [conflict("eu-west-1", f"/x/{i}", Difference("value", "theirs", "ours")) for i in range(300)]
        text = render(plans.plan_of([], others=left))
        assert "/x/* × 300" in text
        assert "theirs" not in text
        assert render(plans.plan_of([], others=left), extent="full").count("theirs -> ours") == 300

    def test_many_findings_of_one_kind_are_counted(self) -> None:
        found = [Finding(Severity.WARNING, "plain-secret", f"/a/{i} looks secret") for i in range(300)]
        text = render(plans.plan_of([], findings=found))
        assert text.count("looks secret") == 20
        assert "... and 280 more findings: 280 of plain-secret" in text
        assert render(plans.plan_of([], findings=found), extent="full").count("looks secret") == 300

    def test_a_plan_with_all_changes_withheld_has_no_apply_command(self) -> None:
        kept = plans.withheld(plans.replaced("eu-west-1", "/a"), "replace", "only with --allow-replace")
        assert "Apply exactly this" not in text_of(kept)

    def test_the_apply_command_repeats_the_narrowing(self) -> None:
        plan = plans.plan_of(
            [plans.create("eu-west-1", "/b")],
            narrowing=Narrowing(("eu-west-1",), ("/b/**",)),
            mode=Mode.NO_DECRYPT,
        )
        assert render(plan, width=200).splitlines()[-1] == (
            "Apply exactly this: ssm-reconcile apply --target eu-west-1 --only '/b/**' --no-decrypt"
            f" --expect-plan {plan.plan_id[:12]}"
        )

    def test_the_caller_can_give_the_apply_command(self) -> None:
        text = render(plans.twelve(), apply_command="ssm-reconcile apply my.yaml")
        assert "Apply exactly this: ssm-reconcile apply my.yaml --expect-plan" in text


class TestWidth:
    @pytest.mark.parametrize("width", [40, 60, 80])
    def test_on_a_narrow_terminal_only_names_and_values_are_wider_than_it(self, width: int) -> None:
        text = render(plans.twelve(), width=width)
        wide = [line for line in text.splitlines() if len(line) > width and not COMMAND.fullmatch(line)]
        assert [line for line in wide if not re.fullmatch(r" *(\w+ +)?([-+!~=#]{0,2} )?\S+", line)] == []

    def test_every_name_and_target_is_there_at_any_width(self) -> None:
        view = PlanView(plans.document_of(plans.twelve()))
        for width in (20, 40, 80, 100, 120):
            words = re.split(r"[\s,]+", plan_text(view, width=width))
            assert {change.name for change in view.changes} <= set(words)
            assert {"WITHHELD", "Delete:"} & set(words) == {"Delete:"}

    def test_a_name_in_a_sentence_is_never_broken(self) -> None:
        name = "/shop/prod/" + "a-long-name-" * 6
        assert name in text_of(plans.delete("eu-west-1", name), width=40).split()

    @pytest.mark.parametrize("plan", [plans.twelve(), guarded(12), plans.many(80)])
    @pytest.mark.parametrize("width", [40, 100])
    def test_colour_changes_no_character(self, plan: Plan, width: int) -> None:
        coloured = render(plan, width, color=True)
        assert "\x1b[31m-\x1b[0m " in coloured
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(plan, width)
        assert "\x1b" not in render(plan, width)


class TestSize:
    @pytest.mark.large
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize(("withheld", "others"), [(False, 0), (True, 300)])
    def test_a_thousand_changes_take_at_most_150_lines(self, shape: str, withheld: bool, others: int) -> None:
        text = render(large_plan(shape, 1000, withheld=withheld, others=others))
        assert text.count("\n") <= 150
        assert_each_is_named(text)
        assert_nothing_twice(text)

    def test_many_targets_guards_and_replications_take_at_most_150_lines(self) -> None:
        targets = [f"account-{i:03}" for i in range(200)]
        changes = [
            plans.withheld(plans.delete(targets[i], f"/d/{i}"), f"guard-{i % 7}", "too many")
            for i in range(40)
        ]
        changes += [plans.create(targets[i % 200], f"/c/{i}") for i in range(960)]
        findings = [
            guard_finding(f"guard-{i % 7}", target, f"{i} deletes in {target} are too many", f"--max {i}")
            for i, target in enumerate(targets)
        ]
        plan = plans.plan_of(changes, targets=targets, findings=findings, incomplete=targets)
        (part,) = plan.replications
        empty = [replace(part, name=f"other-{i}", changes=(), targets=(), findings=()) for i in range(60)]
        text = render(replace(plan, replications=(part, *empty)))
        assert text.count("\n") <= 150
        assert len(re.findall(r"^ #- /d/\d+ ", text, re.MULTILINE)) == DANGEROUS

    @pytest.mark.large
    @pytest.mark.parametrize("shape", ["paths", "targets"])
    def test_four_thousand_changes_take_at_most_150_lines(self, shape: str) -> None:
        assert render(large_plan(shape, 4000, others=20)).count("\n") <= 150

    @pytest.mark.parametrize(
        "plan", [plans.in_sync(), plans.twelve(), plans.many(8), plans.many(80), guarded(30), guarded_plan()]
    )
    @pytest.mark.parametrize("width", [80, 100, 120])
    def test_no_line_is_there_twice(self, plan: Plan, width: int) -> None:
        text = render(plan, width)
        assert_nothing_twice(text)
        words = " ".join(text.split())
        for finding in PlanView(plans.document_of(plan)).findings:
            assert all(words.count(sentence) <= 1 for sentence in finding.problem.split(". "))

    def test_the_first_thirty_lines_of_a_large_plan_say_what_is_deleted_and_withheld_and_why(self) -> None:
        shown = "\n".join(render(guarded_plan()).splitlines()[:30])
        assert "WITHHELD, not applied: 17 of 400 changes" in shown
        sums = "133 to update (4 withheld), 1 to replace (1 withheld), 14 to delete (12 withheld)"
        assert sums in " ".join(shown.split())
        assert "12 to delete or replace in eu-west-1 are more than 5" in shown
        assert "max-deletes (12 changes): --max-deletes 12" in shown
        assert "Delete, WITHHELD by max-deletes: 12\n  its source is gone" in shown
        assert shown.count("#- /shop/old/") >= 2


def assert_each_is_named(text: str) -> None:
    """Each dangerous change of a large plan has a line of its own."""
    named = re.findall(r"^ [ #][-!*<] (\S+)", text, re.MULTILINE)
    assert len(set(named)) == len(named) == DANGEROUS


def assert_nothing_twice(text: str) -> None:
    """No line is there twice, apart from the attributes and remarks of single changes."""
    lines = Counter(line for line in text.splitlines() if line.strip() and not line.startswith("      "))
    assert [line for line, number in lines.items() if number > 1] == []
