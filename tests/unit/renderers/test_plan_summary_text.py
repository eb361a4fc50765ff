"""Whole first lines of small plans: sums, targets, guards, dangers and notices, at two widths."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Change, Difference, Row, TagDiff
from ssm_reconcile.errors import Address, Finding, Remedy, Severity
from ssm_reconcile.plan import Mode, Narrowing, Plan
from ssm_reconcile.renderers.plan_summary_text import PlanDetail, PlanSummaryText
from ssm_reconcile.renderers.view import PlanView
from tests.unit.renderers import plans

TWO = ("eu-west-1", "us-west-2")


def text_of(
    plan: Plan, width: int, extent: Any = "grouped", *, color: bool = False, **detail: Any
) -> tuple[str, bool]:
    """Return the first lines of a plan without its id, and whether a list in them is cut."""
    page = PlanSummaryText(PlanView(plans.document_of(plan)), PlanDetail(**detail), width, color=color)
    page.add_summary(extent)
    return re.sub(r"Plan \w{12}", "Plan 0123456789ab", page.text()), page.is_cut


def withheld(number: int, targets: tuple[str, ...] = TWO) -> Plan:
    """Return a plan with a create, findings, and deletes that a guard withholds in each target."""
    changes = [
        plans.withheld(plans.delete(target, f"/g/{i}"), "max-deletes", f"{number} deletes are more than 1")
        for target in targets
        for i in range(number)
    ]
    findings = [
        Finding(
            Severity.WARNING, "max-deletes",
            f"{number} to delete or replace in {target} are more than 1: all withheld", "prod.yaml:8:24",
            (Address(target),),
            Remedy(f"--max-deletes {target}={number}", "max-deletes", target, number, "0"),
        )
        for target in targets
    ]  # fmt: skip
    findings += [Finding(Severity.ERROR, "size", f"too large {i}", "x") for i in range(2)]
    findings += [Finding(Severity.NOTICE, "n", "a note")]
    return plans.plan_of([*changes, plans.create(targets[0], "/a")], targets=targets, findings=findings)


RISKY = replace(
    plans.plan_of(
        [
            replace(plans.update("eu-west-1", "/a", Difference("value", "1", "2")), pending=True),
            plans.taken_over("eu-west-1", "/b"),
            plans.release("us-west-2", "/c"),
            plans.replaced("us-west-2", "/d", Difference("type", "String", "StringList")),
            plans.delete("us-west-2", "/e"),
        ],
        targets=TWO,
    ),
    dropped=(plans.create("us-west-2", "/x"),),
)
"""A plan with dangerous changes that its sums do not count, compared with that of the previous spec."""
INCOMPLETE = plans.plan_of(
    [],
    targets=TWO,
    incomplete=["eu-west-1"],
    source_complete=False,
    mode=Mode.NO_DECRYPT,
    narrowing=Narrowing(targets=("eu-west-1",)),
)


def test_withheld_changes_have_their_guard_its_flags_and_its_reasons() -> None:
    assert text_of(withheld(2), 110, "summary") == (
        """\
prod: 123456789012/us-east-1 -> 2 regions        498 selected

Plan 0123456789ab: 1 to create, 4 to delete (4 withheld), 320 in sync.   apply: 14 writes, at least 5 s

           delete  create  withheld  in sync
eu-west-1       2       1         2      160
us-west-2       2       -         2      160

WITHHELD, not applied: 4 of 5 changes. Let through by a flag of plan and apply, or by `lifts`:
  max-deletes (4 changes): --max-deletes eu-west-1=2, --max-deletes us-west-2=2
    2 to delete or replace in eu-west-1 are more than 1: all withheld (prod.yaml:8:24)
    2 to delete or replace in us-west-2 are more than 1: all withheld (prod.yaml:8:24)

DANGER: 4 of 5 changes
Findings: 2 errors and 1 notice
""",
        False,
    )


def test_a_narrow_terminal_has_a_sentence_for_each_target_and_indents_wrapped_lines() -> None:
    assert text_of(withheld(2), 40, "summary", color=True)[0] == (
        """\
[1mprod: 123456789012/us-east-1 -> 2[0m
[1m  regions[0m
  498 selected

[1mPlan 0123456789ab: 1 to create, 4 to[0m
[1m  delete (4 withheld), 320 in sync.[0m
  apply: 14 writes, at least 5 s

eu-west-1: 2 delete, 1 create, 2
  withheld, 160 in sync
us-west-2: 2 delete, 2 withheld, 160 in
  sync

[1;35mWITHHELD, not applied: 4 of 5 changes.[0m
[1;35m  Let through by a flag of plan and[0m
[1;35m  apply, or by `lifts`:[0m
  max-deletes (4 changes):
    --max-deletes eu-west-1=2
    --max-deletes us-west-2=2
    2 to delete or replace in eu-west-1
      are more than 1: all withheld
      (prod.yaml:8:24)
    2 to delete or replace in us-west-2
      are more than 1: all withheld
      (prod.yaml:8:24)

[1;31mDANGER: 4 of 5 changes[0m
Findings: 2 errors and 1 notice
""".replace("[", "\x1b[")
    )


def test_dangers_that_the_sums_do_not_count_are_named_and_pending_changes_are_counted() -> None:
    assert text_of(RISKY, 40, "summary", color=True)[0] == (
        """\
[1mprod: 123456789012/us-east-1 -> 2[0m
[1m  regions[0m
  498 selected

[1mPlan 0123456789ab: 2 to update, 1 to[0m
[1m  replace, 1 to delete, 1 to retag, 320[0m
[1m  in sync.[0m
  apply: 14 writes, at least 5 s
1 of them already pending: the previous
  spec makes them too.
1 change of the previous spec no longer
  made.

eu-west-1: 2 update, 160 in sync
us-west-2: 1 delete, 1 replace, 1 retag,
  160 in sync

[1;31mDANGER: 4 of 5 changes (1 to take over[0m
[1;31m  and 1 to release)[0m
""".replace("[", "\x1b[")
    )


def test_an_incomplete_plan_without_changes_names_its_places_and_its_limits() -> None:
    assert text_of(INCOMPLETE, 40, color=True)[0] == (
        """\
[1mprod: 123456789012/us-east-1 ->[0m
[1m  eu-west-1, us-west-2[0m
  498 selected

[1;31mINCOMPLETE, and nothing to do in the[0m
[1;31m  places that were listed: 320 in sync.[0m
[1;31mINCOMPLETE: the source[0m
[1;31m  123456789012/us-east-1 was not listed[0m
[1;31m  completely. No delete is planned.[0m
[1;31mINCOMPLETE: eu-west-1 was not listed[0m
[1;31m  completely. Nothing is planned there.[0m
Narrowed to --target eu-west-1: nothing
  else was planned.
Made without decryption: SecureString
  values were not compared.
""".replace("[", "\x1b[")
    )
    assert text_of(INCOMPLETE, 110, "summary")[0].startswith(
        """\
prod: 123456789012/us-east-1 -> 2 regions        498 selected

INCOMPLETE, and nothing to do in the places that were listed: 320 in sync.

           in sync
eu-west-1      160  INCOMPLETE
us-west-2      160
INCOMPLETE: the source 123456789012/us-east-1 was not listed completely. No delete is planned.
"""
    )


def test_a_plan_without_changes_has_no_colour_but_that_of_its_replication() -> None:
    assert text_of(plans.plan_of([], targets=TWO), 50, color=True)[0] == (
        "\x1b[1mprod: 123456789012/us-east-1 -> eu-west-1,\x1b[0m\n\x1b[1m  us-west-2\x1b[0m\n"
        "  498 selected\n\nNothing to do: 320 in sync.\n"
    )


def test_long_lists_of_targets_flags_and_reasons_are_cut() -> None:
    assert text_of(withheld(2, tuple("abcde")), 50, guards=2, targets=2) == (
        """\
prod: 123456789012/us-east-1 -> 5 regions
  498 selected

Plan 0123456789ab: 1 to create, 10 to delete (10
  withheld), 800 in sync.
  apply: 14 writes, at least 5 s

   delete  create  withheld  in sync
a       2       1         2      160
b       2       -         2      160
... and 3 more regions: --summary lists all of
them

WITHHELD, not applied: 10 of 11 changes. Let
  through by a flag of plan and apply, or by
  `lifts`:
  max-deletes (10 changes):
    --max-deletes a=2, --max-deletes b=2
    --max-deletes c=2, --max-deletes d=2
    ... and 1 more
    2 to delete or replace in a are more than 1:
      all withheld (prod.yaml:8:24)
    2 to delete or replace in b are more than 1:
      all withheld (prod.yaml:8:24) (and 3 more
      reasons)
""",
        True,
    )


def test_lists_of_as_many_items_as_there_is_room_for_are_not_cut() -> None:
    text, is_cut = text_of(withheld(2, tuple("abcd")), 80, guards=4, targets=4)
    assert not is_cut
    assert (
        """
a       2       1         2      160
b       2       -         2      160
c       2       -         2      160
d       2       -         2      160

WITHHELD, not applied: 8 of 9 changes. Let through by a flag of plan and apply,
  or by `lifts`:
  max-deletes (8 changes):
    --max-deletes a=2, --max-deletes b=2, --max-deletes c=2, --max-deletes d=2
    2 to delete or replace in a are more than 1: all withheld (prod.yaml:8:24)
    2 to delete or replace in b are more than 1: all withheld (prod.yaml:8:24)
    2 to delete or replace in c are more than 1: all withheld (prod.yaml:8:24)
    2 to delete or replace in d are more than 1: all withheld (prod.yaml:8:24)
"""
        in text
    )


def test_of_many_targets_those_with_the_most_dangerous_counts_are_shown() -> None:
    changes = [plans.create("a", "/1"), plans.delete("b", "/2"), *(plans.update("c", f"/{i}") for i in "345")]
    text, is_cut = text_of(plans.plan_of(changes, targets=tuple("abcd")), 100, targets=2)
    assert is_cut
    assert (
        """
   delete  update  create  in sync
b       1       -       -      160
c       -       3       -      160
... and 2 more regions: --summary lists all of them
"""
        in text
    )


def test_targets_keep_their_order_where_all_are_shown() -> None:
    changes = [plans.create("a", "/1"), plans.delete("b", "/2")]
    text, is_cut = text_of(plans.plan_of(changes, targets=tuple("ab")), 100, targets=2)
    assert not is_cut
    assert text.endswith("\na       -       1      160\nb       1       -      160\n")


def test_each_count_of_a_target_has_a_column() -> None:
    words = ("conflict", "detached", "invalid", "expiring", "orphaned", "held", "opted_out", "skipped")
    changes: list[Change] = [
        plans.adopt("eu-west-1", "/1"),
        plans.retag("eu-west-1", "/2", TagDiff({}, {"team": "a"})),
        plans.update("eu-west-1", "/3", Difference("value", "1", "2")),
        plans.delete("eu-west-1", "/4"),
        plans.create("us-west-2", "/5"),
        plans.replaced("us-west-2", "/6", Difference("type", "String", "StringList")),
        plans.withheld(plans.create("us-west-2", "/7"), "a-guard", "a reason"),
    ]
    others = [plans.other("eu-west-1", "/o", Row.SKIPPED, word, "x") for word in words]
    text, _ = text_of(plans.plan_of(changes, targets=TWO, others=others), 159)
    table = text.split("\n\n")[2].splitlines()
    assert table[0].split() == [
        "delete", "replace", "update", "create", "adopt", "retag", "withheld", "conflict", "detached",
        "invalid", "expiring", "orphaned", "held", "opted", "out", "skipped", "in", "sync",
    ]  # fmt: skip
    assert table[1].split() == ["eu-west-1", *"1-1-11-11111111", "160"]
    assert table[2].split() == ["us-west-2", *"-1-2--1--------", "160"]
    assert len({len(line) for line in table}) == 1
    assert text.startswith(
        "prod: 123456789012/us-east-1 -> 2 regions        498 selected, 1 skipped by skip_sync\n"
    )
    assert text.endswith("\nWITHHELD, not applied: 1 of 7 changes\n  a-guard (1 change)\n    a reason\n")
    widest = len(table[0])
    assert "\n".join(table) in text_of(plans.plan_of(changes, targets=TWO, others=others), widest)[0]
    narrow, _ = text_of(plans.plan_of(changes, targets=TWO, others=others), widest - 1)
    assert "\nus-west-2: 1 replace, 2 create, 1 withheld, 160 in sync\n" in narrow


@pytest.mark.parametrize("number", [10, 11])
def test_up_to_ten_targets_are_named_without_a_table(number: int) -> None:
    names = [f"t{i:02}" for i in range(number)]
    (first, *_) = text_of(plans.plan_of([], targets=names), 150)[0].splitlines()
    where = ", ".join(names) if number == 10 else "11 regions"
    assert first == f"prod: 123456789012/us-east-1 -> {where}        498 selected"


def test_a_title_that_fills_the_terminal_has_its_counts_on_its_line() -> None:
    plan = plans.plan_of([plans.create("eu-west-1", "/a")], targets=TWO[:1])
    title = "prod: 123456789012/us-east-1 -> eu-west-1        498 selected\n"
    sums = "\nPlan 0123456789ab: 1 to create, 160 in sync.   apply: 14 writes, at least 5 s\n"
    assert text_of(plan, len(title) - 1)[0].startswith(title)
    assert text_of(plan, len(title) - 2)[0].startswith(title.replace("        ", "\n  "))
    assert text_of(plan, len(sums) - 2)[0].endswith(sums)
    assert text_of(plan, len(sums) - 3)[0].endswith(sums.replace("   ", "\n  "))


def test_sums_costs_and_findings_are_wrapped_in_a_very_narrow_terminal() -> None:
    text, _ = text_of(withheld(2), 27, "summary")
    assert " in sync.\n  apply: 14 writes, at\n    least 5 s\n" in text
    assert text.endswith("\nDANGER: 4 of 5 changes\nFindings: 2 errors and 1\n  notice\n")


def test_one_reason_more_than_the_limit_is_counted() -> None:
    text, is_cut = text_of(withheld(2, tuple("abc")), 90, guards=2)
    assert is_cut
    assert text.endswith(
        "    2 to delete or replace in a are more than 1: all withheld (prod.yaml:8:24)\n"
        "    2 to delete or replace in b are more than 1: all withheld (prod.yaml:8:24) (and 1 more\n"
        "      reason)\n"
    )


def test_the_flags_of_a_guard_are_beside_it_where_they_fit() -> None:
    line = "  max-deletes (4 changes): --max-deletes eu-west-1=2, --max-deletes us-west-2=2\n"
    assert line in text_of(withheld(2), len(line) - 1)[0]
    assert line not in text_of(withheld(2), len(line) - 2)[0]


def test_a_guard_that_no_flag_lifts_has_its_finding() -> None:
    change = plans.withheld(plans.create("eu-west-1", "/a"), "a-guard", "a reason")
    finding = Finding(Severity.WARNING, "a-guard", "a reason", "", (Address("eu-west-1"),))
    text, _ = text_of(plans.plan_of([change], targets=TWO[:1], findings=[finding]), 90)
    assert text.endswith("\n\nWITHHELD, not applied: 1 of 1 change\n  a-guard (1 change)\n    a reason\n")


def test_of_many_replications_some_are_named() -> None:
    parts = tuple(
        part for name in "abc" for part in plans.plan_of([], targets=TWO[:1], name=name).replications
    )
    text, is_cut = text_of(Plan(parts), 90, targets=2)
    assert is_cut
    assert text.startswith(
        """\
a: 123456789012/us-east-1 -> eu-west-1        498 selected
b: 123456789012/us-east-1 -> eu-west-1        498 selected
... and 1 more replication

Nothing"""
    )


def test_many_targets_with_equal_counts_share_a_row_unless_one_is_incomplete() -> None:
    names = [f"t{i:02}" for i in range(11)]
    changes = [plans.create(name, "/a") for name in names]
    text, _ = text_of(plans.plan_of(changes, targets=names, incomplete=["t03"]), 90)
    assert (
        """
                create  in sync
t00 and 9 alike       1      160
t03                   1      160  INCOMPLETE
The numbers are those of one region: --summary lists each.
""".replace("                create", "                 create")
        in text
    )
