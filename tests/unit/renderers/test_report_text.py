"""A report on a terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Change
from ssm_reconcile.errors import Address, Finding, Remedy, Severity
from ssm_reconcile.plan import Mode, Narrowing
from ssm_reconcile.renderers.report_text import SIGNS, report_text
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from tests.unit.renderers import plans

DENIED, STALE = "PutParameter: AccessDeniedException", "the source has a new version"


def view_of(*results: Result, plan: Any = None, **more: Any) -> ReportView:
    report = plans.reported(plan or plans.twelve(), results, **more)
    return ReportView(plans.report_document_of(report))


def report_of(*results: Result, plan: Any = None, **more: Any) -> str:
    return report_text(view_of(*results, plan=plan, **more), width=200)


def text_of(*outcomes: Outcome, width: int = 100, **more: Any) -> str:
    """Return the report of some outcomes."""
    plan = plans.plan_of([one.change for one in outcomes], **more)
    return report_text(ReportView(plans.report_document_of(Report(plan, outcomes))), width=width)


def created(name: str, *targets: str) -> list[Change]:
    return [plans.create(target, name) for target in targets or plans.REGIONS[:1]]


def held(change: Change, target: str = "eu-west-1", count: int = 2) -> tuple[Outcome, Finding]:
    """Return the outcome of a change that a guard withholds, and the finding of the guard."""
    change = plans.withheld(change, "max-deletes", f"{count} deletes are more than 1")
    remedy = Remedy(f"--max-deletes {count}", "max-deletes", target, count, "0" * 12)
    message = f"{count} to delete or replace in {target} are more than 1: all withheld"
    finding = Finding(Severity.WARNING, "max-deletes", message, "prod.yaml:8:24", (Address(target),), remedy)
    cause = f"max-deletes: {count} deletes are more than 1"
    return Outcome(change, Result.WITHHELD, cause), finding


def test_the_sum_is_first_then_what_was_not_applied_then_what_was_applied() -> None:
    lines = report_of(Result.APPLIED, Result.FAILED).splitlines()
    assert lines[0].startswith("Applied 6 of 12 changes: 6 failed")
    assert 0 < lines.index("Not applied") < lines.index("Applied")
    assert lines.index("Not applied") < lines.index("Conflicts, not written: 3") < lines.index("Applied")


def test_each_change_that_was_not_applied_has_a_line_and_each_cause_is_stated_once() -> None:
    text = text_of(
        *(Outcome(one, Result.FAILED, DENIED) for name in ("/a", "/b") for one in created(name)),
        *(Outcome(one, Result.STALE, STALE) for one in created("/c")),
    )
    assert (
        f"Not applied\n  {DENIED}:\n"
        "    x failed create   /a   ap-southeast-2\n"
        "    x failed create   /b   ap-southeast-2\n"
        f"  {STALE}:\n"
        "    ? stale create    /c   ap-southeast-2\n"
    ) in text


def test_equal_outcomes_in_several_targets_share_a_line() -> None:
    two, three = ("eu-west-1", "us-west-2"), ("ap-southeast-2", "eu-west-1", "us-west-2")
    text = text_of(
        *(Outcome(one, Result.APPLIED) for one in created("/a", *two)),
        *(Outcome(one, Result.APPLIED) for one in created("/b", *three)),
        *(Outcome(one, Result.FAILED, DENIED) for one in created("/c", *two)),
    )
    assert "· create   /a   eu-west-1, us-west-2\n" in text
    assert "· create   /b   all 3 regions\n" in text
    assert text.count("/c") == 1


def test_each_result_has_a_sign_and_a_word_and_the_legend_has_those_that_occur() -> None:
    assert len({sign for sign, _ in SIGNS.values()}) == len(Result) == len(SIGNS)
    every = report_of(*Result)
    assert every.splitlines()[-1] == "x failed   ? stale   # withheld   o not attempted   · applied"
    assert "  o not attempted create   " in every
    assert report_of(Result.APPLIED, Result.STALE).splitlines()[-1] == "? stale   · applied"
    assert report_of(Result.FAILED).splitlines()[-1] == "x failed"
    assert report_of(Result.APPLIED).splitlines()[-1].startswith("  · create")


def test_colours_are_added_to_the_signs_only_if_wanted() -> None:
    view = view_of(*Result)
    assert "\x1b" not in report_text(view)
    assert "\x1b[31mx\x1b[0m failed" in report_text(view, color=True)


def test_a_withheld_change_says_how_to_lift_it_and_its_finding_is_not_repeated() -> None:
    outcome, finding = held(plans.delete("eu-west-1", "/a"))
    text = text_of(outcome, findings=[finding])
    assert (
        "  max-deletes: 2 to delete or replace in eu-west-1 are more than 1: all withheld. If meant:\n"
        "    --max-deletes 2 (prod.yaml:8:24)\n"
        "    # withheld delete   /a   eu-west-1\n"
    ) in text
    assert text.count("--max-deletes 2") == text.count("more than 1") == 1
    assert "warning" not in text


def test_changes_withheld_in_several_targets_have_the_flags_of_their_own_targets() -> None:
    both = [held(plans.delete(target, "/a"), target) for target in ("eu-west-1", "us-west-2")]
    outcomes, findings = zip(
        *both, held(plans.delete("ap-southeast-2", "/a"), "ap-southeast-2", 9), strict=True
    )
    text = text_of(*outcomes, findings=findings)
    assert (
        "  max-deletes: 2 deletes are more than 1. If meant: --max-deletes 2\n"
        "    # withheld delete   /a   eu-west-1, us-west-2\n"
    ) in text
    assert "max-deletes: 9 to delete or replace in ap-southeast-2 are more than 1: all withheld." in text


def test_a_withheld_change_of_a_run_that_stopped_says_how_to_lift_it() -> None:
    outcome, finding = held(plans.delete("eu-west-1", "/a"))
    text = text_of(replace(outcome, error=""), findings=[finding])
    assert "all withheld. If meant:\n    --max-deletes 2" in text
    assert "    # withheld delete   /a   eu-west-1\n" in text


def test_a_report_of_an_earlier_version_keeps_the_findings_of_guards() -> None:
    outcome, finding = held(plans.delete("eu-west-1", "/a"))
    document = plans.report_document_of(
        Report(plans.plan_of([outcome.change], findings=[finding]), (outcome,))
    )
    del document["outcomes"][0]["withheld_by"]
    text = report_text(ReportView(document), width=200)
    assert "  max-deletes: 2 deletes are more than 1:\n    # withheld delete   /a   eu-west-1\n" in text
    assert "If meant: --max-deletes 2 [max-deletes]" in text


def test_a_note_on_applied_changes_is_stated_once_after_the_others() -> None:
    note = "replaced: its history starts again"
    text = text_of(
        *(Outcome(one, Result.APPLIED, note=note) for name in ("/a", "/b") for one in created(name)),
        *(Outcome(one, Result.APPLIED) for one in created("/c")),
    )
    assert "Applied\n  · create   /c" in text
    assert f"  {note}:\n    · create   /a   ap-southeast-2\n    · create   /b   ap-southeast-2\n" in text


def many_applied(number: int, *problems: Outcome) -> str:
    names = [f"/team-{i % 30}/service-{i % 7}/setting-{i}" for i in range(number // 2)]
    changes = [one for name in names for one in created(name, "eu-west-1", "us-west-2")]
    kinds = [plans.update("us-west-2", f"/updated/{i % 30}/x{i}") for i in range(60)]
    done = (Outcome(one, Result.APPLIED) for one in (*changes[: number - len(kinds) - len(problems)], *kinds))
    return text_of(*done, *problems)


def test_a_thousand_outcomes_take_at_most_150_lines() -> None:
    problems = [
        Outcome(plans.update("eu-west-1", f"/team-{i}/broken"), result, f"cause {i}")
        for i, result in enumerate((Result.FAILED, Result.STALE, Result.WITHHELD, Result.NOT_ATTEMPTED) * 10)
    ]
    text = many_applied(1000, *problems)
    assert text.startswith("Applied 960 of 1,000 changes: ")
    assert len(text.splitlines()) <= 150
    assert max(map(len, text.splitlines())) <= 100
    assert all(one.change.name in text for one in problems)
    assert "  · create   /team-" in text


@pytest.mark.parametrize(("notes", "paths", "below"), [(1, 59, 70), (2, 29, 40), (3, 18, 28), (4, 14, 18)])
def test_groups_of_applied_changes_are_listed_by_the_deepest_paths_that_fit(
    notes: int, paths: int, below: int
) -> None:
    names = {f"{i}": [f"/{i}-{n % paths}/{n}/{x}" for n in range(below) for x in "ab"] for i in range(notes)}
    outcomes = [
        Outcome(one, Result.APPLIED, note=i) for i in names for name in names[i] for one in created(name)
    ]
    text = text_of(Outcome(plans.create("eu-west-1", "/single"), Result.APPLIED), *outcomes)
    assert text.count("/** × ") == notes * paths
    assert "other paths" not in text


def test_the_numbers_of_applied_changes_by_path_add_up() -> None:
    both = [one for i in range(40) for one in created(f"/a/{i}", "eu-west-1", "us-west-2")]
    one = created("/a/only", "eu-west-1")
    text = text_of(*(Outcome(change, Result.APPLIED) for change in (*both, *one)), targets=plans.REGIONS)
    assert "Applied\n  · create   /a/* × 41   81 changes in eu-west-1, us-west-2\n" in text
    same = text_of(*(Outcome(change, Result.APPLIED) for change in (*both, *created("/b/x", "us-west-2"))))
    assert "· create   /a/* × 40   eu-west-1, us-west-2\n" in same
    assert "· create   /b/x        us-west-2\n" in same


def test_a_few_deletes_are_named_also_among_many_changes() -> None:
    deletes = [plans.delete("eu-west-1", f"/gone/{i:02}") for i in range(20)]
    creates = [one for i in range(100) for one in created(f"/a/{i}")]
    text = text_of(*(Outcome(change, Result.APPLIED) for change in (*deletes, *creates)))
    assert text.count("  · delete   /gone/") == 20
    assert "  · create   /a/* × 100  " in text
    more = (*deletes, plans.delete("eu-west-1", "/gone/20"), *creates)
    assert "  · delete   /gone/* × 21   " in text_of(*(Outcome(one, Result.APPLIED) for one in more))


def test_more_equal_failures_than_fit_are_grouped_by_path() -> None:
    changes = [one for i in range(300) for one in created(f"/service-{i % 3}/setting-{i}")]
    text = text_of(*(Outcome(change, Result.FAILED, DENIED) for change in changes))
    assert "    x failed create   /service-0/* × 100   ap-southeast-2\n" in text
    assert len(text.splitlines()) < 20


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_a_narrow_terminal_but_for_names(width: int) -> None:
    text = report_text(view_of(Result.APPLIED, Result.FAILED, Result.STALE), width=width)
    long = [line for line in text.splitlines() if len(line) > width]
    assert all(len(line.split()) == 1 for line in long), long
    assert text.count("/shop/prod/db/password") == 2


def test_a_report_does_not_repeat_the_conflicts_and_findings_of_the_shown_plan() -> None:
    plan = plans.twelve()
    view, shown = view_of(Result.APPLIED, Result.FAILED, plan=plan), PlanView(plans.document_of(plan))
    text = report_text(view, width=200, shown=shown)
    assert "CloudFormation" not in text
    assert "plain-secret" not in text
    assert "6 failed, 3 conflicts, 1 invalid" in text
    new = Finding(Severity.WARNING, "lost", "a version was overwritten")
    again = view_of(Result.APPLIED, plan=plan, findings=(new,))
    assert "warning: a version was overwritten [lost]" in report_text(again, width=200, shown=shown)


def test_a_saved_report_has_the_conflicts_and_findings() -> None:
    text = report_of(Result.APPLIED)
    assert "it is managed by CloudFormation:\n    /shop/prod/stack   us-west-2\n" in text
    assert "[plain-secret]" in text


def test_a_report_says_how_its_plan_was_narrowed_and_made_unless_the_plan_was_shown() -> None:
    plan = replace(plans.twelve(), narrowing=Narrowing(("eu-west-1",)), mode=Mode.NO_DECRYPT)
    notices = ("Narrowed to --target eu-west-1", "Made without decryption")
    text = report_of(Result.APPLIED, plan=plan)
    assert all(notice in text for notice in notices)
    shown = report_text(view_of(Result.APPLIED, plan=plan), shown=PlanView(plans.document_of(plan)))
    assert not any(notice in shown for notice in notices)


def test_a_result_of_a_later_version_is_listed_as_not_applied() -> None:
    document = plans.report_document_of(plans.reported(plans.twelve(), [Result.APPLIED]))
    document["outcomes"][0] |= {"outcome": "postponed", "error": "later"}
    text = report_text(ReportView(document), width=200)
    assert "Not applied\n  later:\n    * postponed " in text
    assert text.splitlines()[-1] == "* postponed   · applied"


def test_an_interrupted_run_has_a_notice() -> None:
    assert "Interrupted: the next run applies the rest" in report_of(Result.NOT_ATTEMPTED, interrupted=True)


MIXED = [
    *(
        Outcome(one, Result.FAILED, "PutParameter: AccessDeniedException: not authorized")
        for one in created("/app/a/long/name/of/a/parameter", "eu-west-1", "us-west-2")
    ),
    Outcome(
        plans.update("eu-west-1", "/b"),
        Result.STALE,
        STALE,
        "its record was written, and a later run repairs it",
    ),
    Outcome(plans.update("eu-west-1", "/c"), Result.STALE, STALE),
    Outcome(plans.delete("us-west-2", "/n"), Result.NOT_ATTEMPTED),
    Outcome(plans.create("us-west-2", "/d"), Result.APPLIED),
    Outcome(
        plans.create("eu-west-1", "/e"),
        Result.APPLIED,
        note="replaced: its history starts again, as AWS cannot change it",
    ),
]
UNREAD = "its source could not be read, and nothing is known about it"


def mixed(width: int, *, color: bool = False) -> str:
    """Return an interrupted report with every kind of block, without the id of its plan."""
    plan = plans.plan_of(
        [one.change for one in MIXED],
        targets=("eu-west-1", "us-west-2"),
        incomplete=["us-west-2"],
        narrowing=Narrowing(targets=("eu-west-1",)),
        mode=Mode.NO_DECRYPT,
    )
    left = [Remaining("prod", "eu-west-1", f"/r/{i}", UNREAD) for i in range(2)]
    report = Report(plan, tuple(MIXED), tuple(left), interrupted=True)
    text = report_text(ReportView(plans.report_document_of(report)), width=width, color=color)
    return re.sub(r"(?<=[( ])\w{12}(?=\))", "0123456789ab", text)


def test_a_whole_report_on_a_wide_terminal() -> None:
    assert (
        mixed(100)
        == """\
Applied 2 of 7 changes: 2 failed, 1 not attempted, 2 stale (plan 0123456789ab).
Interrupted: the next run applies the rest.
Narrowed to --target eu-west-1: nothing else was planned.
Made without decryption: SecureString values were not compared.
INCOMPLETE: us-west-2 was not listed completely. Nothing is planned there.

Not applied
  PutParameter: AccessDeniedException: not authorized:
    x failed create          /app/a/long/name/of/a/parameter   eu-west-1, us-west-2
  the source has a new version; its record was written, and a later run repairs it:
    ? stale update           /b                                eu-west-1
  the source has a new version:
    ? stale update           /c                                eu-west-1
  o not attempted delete   /n                                us-west-2

Remaining: 2, its source could not be read, and nothing is known about it:
    /r/0   eu-west-1
    /r/1   eu-west-1

Applied
  · create   /d   us-west-2
  replaced: its history starts again, as AWS cannot change it:
    · create   /e   eu-west-1

x failed   ? stale   o not attempted   · applied
"""
    )


def test_a_whole_report_on_a_narrow_terminal_with_colours() -> None:
    assert (
        mixed(40, color=True)
        == """\
[1mApplied 2 of 7 changes: 2 failed, 1 not[0m
[1m  attempted, 2 stale (plan[0m
[1m  0123456789ab).[0m
[1;31mInterrupted: the next run applies the[0m
[1;31m  rest.[0m
Narrowed to --target eu-west-1: nothing
  else was planned.
Made without decryption: SecureString
  values were not compared.
[1;31mINCOMPLETE: us-west-2 was not listed[0m
[1;31m  completely. Nothing is planned there.[0m

[1mNot applied[0m
  PutParameter: AccessDeniedException:
    not authorized:
    [31mx[0m failed create
        /app/a/long/name/of/a/parameter
        eu-west-1, us-west-2
  the source has a new version; its
    record was written, and a later run
    repairs it:
    [33m?[0m stale update           /b
        eu-west-1
  the source has a new version:
    [33m?[0m stale update           /c
        eu-west-1
  [2mo[0m not attempted delete   /n
      us-west-2

[1mRemaining: 2, its source could not be[0m
[1m  read, and nothing is known about it:[0m
    /r/0   eu-west-1
    /r/1   eu-west-1

[1mApplied[0m
  [32m·[0m create   /d   us-west-2
  replaced: its history starts again, as
    AWS cannot change it:
    [32m·[0m create   /e   eu-west-1

[31mx[0m failed
[33m?[0m stale
[2mo[0m not attempted
[32m·[0m applied
""".replace("[", "\x1b[")
    )


def remaining(number: int) -> str:
    """Return the report of a plan without changes, with remaining addresses for a number of reasons."""
    left = [Remaining("prod", "eu-west-1", f"/r/{i:02}", f"reason {i:02}") for i in range(number)]
    report = Report(plans.plan_of([], targets=["eu-west-1"]), (), tuple(left))
    return report_text(ReportView(plans.report_document_of(report)), width=60)


def test_of_more_than_twenty_reasons_the_others_are_counted() -> None:
    last = "\n\nRemaining: 1, reason 19:\n    /r/19   eu-west-1\n"
    assert remaining(20).endswith(last)
    assert remaining(21).endswith(
        f"{last}  ... and 1 more reason\n\n"
        "Not all is listed here: `--out FILE` and `--format json`\n  have the whole report.\n"
    )


@pytest.mark.parametrize("number", [40, 41])
def test_of_more_than_forty_causes_the_others_are_counted(number: int) -> None:
    outcomes = [
        Outcome(plans.create("eu-west-1", f"/{i:02}"), Result.FAILED, f"cause {i:02}") for i in range(number)
    ]
    text = text_of(*outcomes)
    assert text.count("\n    x failed create   /") == text.count("\n  cause ") == 40
    assert ("\n  ... and 1 more cause\n" in text) is (number > 40)
    assert ("\nNot all is listed here: " in text) is (number > 40)


def test_a_line_that_fills_the_terminal_is_not_broken() -> None:
    outcome = Outcome(plans.create("eu-west-1", "/name"), Result.APPLIED)
    line = "  · create   /name   eu-west-1\n"
    assert text_of(outcome, width=len(line) - 1).endswith(f"\n\nApplied\n{line}")
    assert text_of(outcome, width=len(line) - 2).endswith(
        "\n\nApplied\n  · create   /name\n      eu-west-1\n"
    )
    long = Outcome(plans.create("eu-west-1", "/a/long/name"), Result.APPLIED)
    head = "  · create   /a/long/name\n"
    assert text_of(long, width=len(head) - 1).endswith(f"{head}      eu-west-1\n")
    assert text_of(long, width=len(head) - 2).endswith("  · create\n      /a/long/name\n      eu-west-1\n")


def test_a_legend_that_fills_the_terminal_is_one_line() -> None:
    legend = "x failed   ? stale   # withheld   o not attempted   · applied\n"
    view = view_of(*Result)
    assert report_text(view, width=len(legend) - 1).endswith(f"\n\n{legend}")
    assert report_text(view, width=len(legend) - 2).endswith(f"\n\n{legend.replace('   ', chr(10))}")


def test_of_many_targets_eight_are_named_in_order() -> None:
    names = [f"t{i:02}" for i in range(14)]
    text = text_of(*(Outcome(one, Result.APPLIED) for one in created("/a", *names[9::-1])), targets=names)
    assert text.endswith("  · create   /a   t00, t01, t02, t03, t04, t05, t06, t07 and 2 more\n")


@pytest.mark.parametrize(("number", "line"), [(40, "/a/39   eu-west-1\n"), (41, "/a/* × 41   eu-west-1\n")])
def test_more_than_forty_names_are_listed_by_path(number: int, line: str) -> None:
    for result in (Result.APPLIED, Result.FAILED):
        text = text_of(*(Outcome(plans.create("eu-west-1", f"/a/{i:02}"), result) for i in range(number)))
        assert f"create   {line}" in text
        assert text.count("create   ") == (number if number == 40 else 1)
