"""The comment and the summary: marker, levels of detail, dangerous changes first, budgets."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Change, Difference, Row, TagDiff, ValuePart, ValueParts
from ssm_reconcile.errors import Finding, Remedy, Severity
from ssm_reconcile.plan import Mode, Narrowing, Plan
from ssm_reconcile.renderers.comment_context import Approval, ApprovalKind, CommentContext
from ssm_reconcile.renderers.markdown import (
    COMMENT_BUDGET,
    SUMMARY_BUDGET,
    plan_comment,
    plan_summary,
)
from ssm_reconcile.renderers.report_markdown import report_comment, report_summary
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Result
from tests.unit.renderers import plans
from tests.unit.renderers.shapes import guarded_plan

CONTEXT = CommentContext(
    "3f9c2ab0d1e2", "19822345678", "https://github.com/acme/params/actions/runs/19822345678", "SSM plan #214"
)


def view_of(plan: Plan) -> PlanView:
    return PlanView(plans.document_of(plan))


def comment_of(*changes: Change, level: int = 0, **more: Any) -> str:
    return plan_comment(view_of(plans.plan_of(changes, **more)), level=level)


def marker(comment: str) -> Any:
    found = re.fullmatch(r"<!-- ssm-reconcile:plan (\{.*\}) -->", comment.split("\n", 1)[0])
    assert found
    return json.loads(found[1])


def test_the_first_line_is_a_marker_that_a_later_run_can_read() -> None:
    view = view_of(plans.twelve())
    assert marker(plan_comment(view, context=CONTEXT)) == {
        "v": 1,
        "scope": "prod",
        "plan": f"sha256:{view.plan_id}",
        "head": "3f9c2ab0d1e2",
        "run": "19822345678",
        "level": 0,
        "danger": "3",
        "dangers": "3d6ced8763a2 bfc90241a0fc e0d062102758",
        "unresolved": "3 conflicts, 1 invalid",
    }


def test_no_text_can_end_the_marker() -> None:
    comment = plan_comment(view_of(plans.plan_of([], name="--><b>")), context=CommentContext(head="-->"))
    assert comment.split("\n", 1)[0].count("-->") == 1
    assert marker(comment)["scope"] == "--><b>"


def test_the_footer_links_to_the_run_that_made_it() -> None:
    comment = plan_comment(view_of(plans.twelve()), context=CONTEXT)
    assert f"for `3f9c2ab`, made in [SSM plan &#35;214]({CONTEXT.run_url})." in comment


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://x/) [y](https://z", "https://x/ y", "http://x/<b>"]
)
def test_only_a_plain_web_address_is_linked(url: str) -> None:
    assert "made in" not in plan_comment(view_of(plans.twelve()), context=CommentContext(run_url=url))


def test_the_counts_come_first() -> None:
    lines = plan_comment(view_of(plans.twelve())).split("\n")
    assert lines[1] == "## SSM plan for `prod`: 12 changes in 3 regions"
    assert lines[3].startswith("**5 to create, 4 to update, 1 to replace, 2 to delete.** 480 in sync")


def test_dangerous_changes_are_in_the_alert_with_their_attributes_and_nowhere_else() -> None:
    comment = plan_comment(view_of(plans.twelve()))
    assert (
        "> [!CAUTION]\n> **Delete: 2** (its source is gone)\n>\n> ```diff\n"
        "> - /shop/prod/legacy/token  [SecureString]  (ap-southeast-2, eu-west-1)\n"
    ) in comment
    assert comment.count("/shop/prod/legacy/token") == comment.count("/shop/prod/db/dsn") == 1


def test_a_line_that_holds_for_some_targets_only_names_them() -> None:
    comment = plan_comment(view_of(plans.twelve()))
    last = ">       version 4, last changed 2026-11-02 08:00 UTC by"
    assert f"{last} role ssm-reconcile  (ap-southeast-2)\n" in comment
    assert f"{last} user bob, outside ssm-reconcile  (eu-west-1)\n" in comment
    assert (
        "! /shop/prod/db/password  [SecureString]  (ap-southeast-2, eu-west-1)\n"
        "      value  (secret) changed, from us-east-1 version 9\n"
        "      KeyId  alias/shop-old -> alias/shop  (eu-west-1)\n"
    ) in comment


def test_a_difference_of_several_lines_in_some_targets_is_below_their_names() -> None:
    long = Difference("value", "a" * 50, "b" * 50)
    short = Difference("value", "a", "b")
    comment = comment_of(plans.update("eu-west-1", "/a", long), plans.update("us-west-2", "/a", short))
    assert f"      eu-west-1:\n      value  - {'a' * 50}\n             + {'b' * 50}\n" in comment
    assert "      value  a -> b  (us-west-2)\n" in comment


def test_a_list_without_attributes_names_the_targets_in_which_others_changed_a_replica() -> None:
    comment = plan_comment(view_of(plans.twelve()), level=1)
    line = "- /shop/prod/legacy/token  [SecureString]  (ap-southeast-2, eu-west-1)"
    assert f"> {line}, changed outside in eu-west-1\n" in comment
    outside = plans.delete("eu-west-1", "/a", changed_outside=True)
    assert "> - /a  [SecureString]  (eu-west-1), changed outside\n" in comment_of(outside, level=1)


def test_a_delete_in_all_targets_is_one_line() -> None:
    comment = plan_comment(view_of(plans.many(10, deletes=1)))
    assert f"> - {plans.name_at(0)}  [SecureString]  (all regions)\n" in comment
    assert comment.split("Attributes of all changes", maxsplit=1)[0].count(plans.name_at(0)) == 1


def test_a_reason_of_a_group_is_named_once() -> None:
    gone = [plans.delete("eu-west-1", f"/a/{i}") for i in range(3)]
    other = plans.delete("eu-west-1", "/b", reasons=("the spec places no source parameter here",))
    comment = comment_of(*gone, other)
    assert comment.count("its source is gone") == 1
    last = "version 4, last changed 2026-11-02 08:00 UTC by role ssm-reconcile"
    assert f"> **Delete: 3** (its source is gone; {last})\n" in comment
    assert comment.count(last) == 2
    assert "> **Delete: 1** (the spec places no source parameter here)\n" in comment


def test_reasons_that_differ_are_at_each_change() -> None:
    changes = [plans.update("eu-west-1", f"/a/{i}", plans.secret(), reasons=(f"why {i}",)) for i in range(2)]
    comment = comment_of(*changes)
    assert "<b>Update: 2</b></summary>\n\n```diff\n" in comment
    assert comment.count("      why 0\n") == comment.count("      why 1\n") == 1


def test_dangerous_changes_come_first_under_their_path() -> None:
    comment = comment_of(
        plans.create("eu-west-1", "/a/a"), plans.update("eu-west-1", "/a/b", plans.secret()), level=1
    )
    assert comment.index("! /a/b") < comment.index("+ /a/a")


def test_the_attributes_of_a_change_have_no_colour() -> None:
    tags = TagDiff({"old": "1", "same": "1"}, {"same": "2", "team": "a"})
    changed = plans.update("eu-west-1", "/a", Difference("KeyId", "alias/old", "alias/new"), tags=tags)
    assert (
        "! /a  [String]  (eu-west-1)\n"
        "      KeyId  alias/old -> alias/new\n"
        "      tags   old=1 removed\n"
        "             same=1 -> same=2\n"
        "             team=a added\n"
    ) in comment_of(changed)


def test_parts_of_a_value_have_their_keys_and_context() -> None:
    parts = ValueParts(
        "lines", (ValuePart("line 1", "same", "same", is_context=True), ValuePart("line 2", "old", "new"))
    )
    changed = plans.update("eu-west-1", "/a", Difference("value", "old", "new", parts=parts))
    assert "      value  line 1: same\n             line 2: old -> new\n" in comment_of(changed)


def test_a_text_that_could_be_misread_has_a_line_of_its_own() -> None:
    changed = plans.update("eu-west-1", "/a", Difference("value", "a -> b", " c"))
    assert "      value  - a -> b\n             +  c\n" in comment_of(changed)


def test_two_long_values_of_an_attribute_are_one_below_the_other() -> None:
    changed = plans.update("eu-west-1", "/a", Difference("value", "a" * 50, "b" * 50))
    assert f"      value  - {'a' * 50}\n             + {'b' * 50}\n" in comment_of(changed)


def test_the_consequences_of_a_replacement_are_named_once() -> None:
    changed = plans.replaced("us-west-2", "/a", Difference("type", "String", "StringList"))
    comment = comment_of(changed)
    consequence = "replaced by delete and create: reads fail for a moment, and the version history is lost"
    assert f"> **Replace: 1** ({consequence})\n" in comment
    assert (
        "> - /a  [String -> StringList]  (us-west-2)\n>       version 7, last changed 2026-11-02 08:00 UTC\n"
    ) in comment
    for level in range(4):
        assert comment_of(changed, level=level).count(consequence) == 1


def test_the_changes_are_in_the_order_of_their_danger() -> None:
    changes = [
        plans.create("eu-west-1", "/a/create"),
        plans.update("eu-west-1", "/b/update", plans.secret()),
        plans.release("eu-west-1", "/c/release"),
        replace(plans.update("eu-west-1", "/d/exposed"), exposes=True),
        plans.replaced("eu-west-1", "/e/replace"),
        plans.delete("eu-west-1", "/f/delete"),
    ]
    names = re.findall(r"^(?:> )?[-!+] /\w/(\w+)", comment_of(*changes), re.MULTILINE)
    assert names == ["delete", "replace", "exposed", "release", "update", "create"]


@pytest.mark.parametrize("level", [0, 1])
def test_a_release_is_not_mistaken_for_a_change_of_tags(level: int) -> None:
    retagged = plans.retag("us-west-2", "/a", TagDiff({}, {"team": "a"}))
    comment = comment_of(plans.release("eu-west-1", "/a"), retagged, level=level)
    assert "> **Release: 1** (its source is gone; it was adopted: it stays and loses our tags)\n" in comment
    assert f"> ! /a  [String]{' tags' if level else ''}  (eu-west-1)\n" in comment
    assert comment.count("! /a  [String]") == 2
    assert "<b>Retag: 1</b>" in comment


def test_columns_that_are_zero_in_all_targets_are_left_out() -> None:
    assert "\n| Region | Create | In sync |\n" in comment_of(plans.create("eu-west-1", "/a"))
    changes = [plans.create("eu-west-1", "/a"), plans.delete("eu-west-1", "/b")]
    assert "\n| Region | Delete | Create | In sync |\n" in comment_of(*changes)
    assert "\n| Region | Adopt |\n" in comment_of(plans.adopt("eu-west-1", "/a"), in_sync=0)


@pytest.mark.parametrize(
    ("changes", "targets"), [([], plans.REGIONS), ([plans.create("eu-west-1", "/a")], ("eu-west-1",))]
)
def test_a_table_that_repeats_the_sums_is_left_out(changes: list[Change], targets: Sequence[str]) -> None:
    page = comment_of(*changes, targets=targets)
    assert "In sync |" not in page
    assert "160 in sync" in page or "800 in sync" in page


def test_the_title_names_the_only_target_with_changes() -> None:
    assert "## SSM plan for `prod`: 1 change in `eu-west-1`\n" in comment_of(plans.create("eu-west-1", "/a"))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_adoptions_are_folded_by_path_at_every_level(level: int) -> None:
    comment = comment_of(*(plans.adopt("eu-west-1", f"/a/b/{i}") for i in range(7)), level=level)
    assert "/a/b/3" not in comment
    folded = "<details><summary><b>Adopt: 7</b></summary>\n\nonly tags are written"
    assert (folded in comment) is ("= /a/b/* × 7\n" in comment) is (level < 3)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_above_0_has_a_note(level: int) -> None:
    comment = plan_comment(view_of(plans.twelve()), level=level)
    assert "> [!NOTE]\n> Too long for" in comment
    assert marker(comment)["level"] == level


def test_four_hundred_changes_are_one_line_a_parameter() -> None:
    view = view_of(plans.many(80))
    comment = plan_comment(view, level=1)
    assert "## SSM plan for `prod`: 400 changes to 80 parameters in 5 regions" in comment
    assert all(comment.count(f" {plans.name_at(number)} ") == 1 for number in range(80))
    assert len(comment.encode()) < 10_000


def test_the_first_level_that_fits_is_taken() -> None:
    view = view_of(plans.many(80))
    full = len(plan_comment(view).encode())
    assert marker(plan_comment(view, budget=full))["level"] == 0
    assert marker(plan_comment(view, budget=full - 1))["level"] == 1


@pytest.mark.large
def test_four_thousand_changes_fit_with_every_delete_listed() -> None:
    view = view_of(plans.many(800, deletes=300))
    comment = plan_comment(view)
    assert len(comment.encode()) <= COMMENT_BUDGET
    assert all(f"- {plans.name_at(number)}  [SecureString]  (all" in comment for number in range(300))
    summary = plan_summary(view)
    assert len(summary.encode()) <= SUMMARY_BUDGET


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_the_first_deletes_and_replacements_are_not_folded(level: int) -> None:
    comment = plan_comment(view_of(plans.many(80, deletes=40)), level=level)
    assert all(f"> - {plans.name_at(number)}  [SecureString]  (all" in comment for number in range(40))
    assert "> **Replace: 5** (replaced by delete and create" in comment
    assert f"> - {plans.name_at(40)}  [String]  (all regions)\n" in comment


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_secret_that_becomes_plain_text_is_listed_once_at_every_level(level: int) -> None:
    exposed = replace(plans.update("eu-west-1", "/one/secret"), exposes=True)
    comment = comment_of(exposed, plans.update("eu-west-1", "/app/other"), level=level)
    assert "> **Expose as plain text: 1**\n" in comment
    assert "> ! /one/secret  [" in comment
    assert comment.count("/one/secret") == 1


def test_deletes_that_do_not_fit_are_counted() -> None:
    comment = plan_comment(view_of(plans.many(300, deletes=300)), budget=10_000)
    listed = len(re.findall("^(?:> )?- /", comment, re.MULTILINE))
    assert len(comment.encode()) <= 10_000
    assert listed >= 100
    assert f"… and {300 - listed:,} more parameters to delete: the saved plan lists them all." in comment
    assert "> **Delete: 1,500**, 57 of 300 parameters here (its source is gone)\n" in comment
    assert "<details><summary><b>243 more parameters to delete</b></summary>" in comment


def test_folded_creates_and_updates_of_level_two_add_up() -> None:
    comment = plan_comment(view_of(plans.many(80)), level=2)
    counts = re.findall(r"^[+!] .*  \((\d+) changes\)$", comment, re.MULTILINE)
    assert sum(map(int, counts)) == 77 * 5


@pytest.mark.large
def test_a_summary_is_cut_between_sections_with_a_note() -> None:
    summary = plan_summary(view_of(plans.many(400)), budget=20_000)
    assert len(summary.encode()) <= 20_000
    assert summary.count("<details") == summary.count("</details>")
    assert re.search(r"\d+ more sections? did not fit here", summary)
    assert summary.index("[!CAUTION]") < summary.index("<b>Update: 665</b> (part 1 of")
    narrowed = replace(plans.many(400), mode=Mode.NO_DECRYPT, narrowing=Narrowing(("eu-west-1",)))
    notes = "\n\nNarrowed to `--target eu-west-1`: nothing else was planned. Made without decryption: "
    assert notes in plan_summary(view_of(narrowed), budget=20_000)


def test_withheld_changes_are_explained_at_the_top() -> None:
    kept = [
        plans.withheld(plans.delete("eu-west-1", f"/a/{i}"), "max-deletes", "too many") for i in range(11)
    ]
    message = "11 to delete in eu-west-1 are more than 10: all withheld. If meant: --max-deletes 11"
    comment = comment_of(
        *kept, findings=[Finding(Severity.WARNING, "max-deletes", message, "replication.yaml:9:3")]
    )
    assert "> **11 changes withheld.**\n" in comment
    assert (
        "> * `max-deletes`: 11 to delete in `eu-west-1` are more than 10: all withheld."
        " If meant: `--max-deletes` 11\n" in comment
    )
    assert "> **Delete: 11, withheld by `max-deletes`** (its source is gone; version 4, last" in comment
    assert "> - /a/3  [SecureString]  (eu-west-1)\n" in comment
    assert "too many" not in comment
    assert "[!CAUTION]" not in comment
    assert "finding</b>" not in comment


def test_changes_that_are_made_and_changes_that_are_withheld_are_in_separate_lists() -> None:
    held = [
        plans.withheld(one, "frozen", "frozen")
        for one in (plans.delete("us-west-2", "/held/a"), plans.update("us-west-2", "/held/b"))
    ]
    changes = [plans.delete("eu-west-1", "/made/a"), plans.create("eu-west-1", "/made/b"), *held]
    for level, inside in ((0, True), (1, False)):
        page = comment_of(*changes, level=level)
        caution, warning = page.split("[!CAUTION]")[1].split("[!WARNING]")
        assert "**Delete: 1**" in caution
        assert "- /made/a" in caution
        assert "**2 changes withheld.** The other changes are not affected." in warning
        assert "> **Delete: 1, withheld by `frozen`**" in warning
        assert "> - /held/a" in warning
        assert ("> **Update: 1, withheld by `frozen`**" in warning) is inside
        assert ("<b>Update: 1, withheld by <code>frozen</code></b>" in warning) is not inside
        assert "<b>Create: 1</b>" in warning
        assert page.count("/held/a") == page.count("/held/b") == page.count("/made/b") == 1


def test_a_sentence_that_findings_of_a_guard_share_is_shown_once() -> None:
    page = plan_comment(view_of(guarded_plan()))
    assert page.count("Bring the change to the source") == 1
    assert page.count("> * `changed-outside`: 2 replicas in") == 2


def test_the_reasons_of_a_guard_without_a_finding_are_those_of_its_changes() -> None:
    held = [plans.withheld(plans.delete("eu-west-1", f"/a/{i}"), "unconfirmed", "no tags") for i in range(3)]
    comment = comment_of(*held)
    assert "> * `unconfirmed`: no tags\n" in comment
    assert comment.count("no tags") == 1


def test_an_incomplete_place_is_named_at_the_top() -> None:
    comment = comment_of(incomplete=("eu-west-1",), source_complete=False)
    assert "nothing to do, and INCOMPLETE" in comment
    assert "> **`eu-west-1` was not listed completely.** Nothing is planned there." in comment
    assert "No delete is planned." in comment


def test_the_options_of_a_narrowed_plan_are_named() -> None:
    comment = comment_of(narrowing=Narrowing(only=("/a|b/**",)), mode=Mode.NO_DECRYPT)
    assert "Narrowed to `--only /a|b/**`: nothing else was planned." in comment
    assert "values were not compared" in comment


def test_conflicts_are_folded_and_invalid_parameters_are_open() -> None:
    comment = comment_of(
        others=[
            plans.other("eu-west-1", "/a", Row.CONFLICT, "conflict", "differs in value"),
            plans.other("us-west-2", "/a", Row.CONFLICT, "conflict", "differs in value"),
            plans.other("us-west-2", "/b", Row.INVALID, "invalid", "too large"),
        ]
    )
    assert "<details><summary><b>2 conflicts, not written</b></summary>\n\n* differs in value" in comment
    assert "  /a  (eu-west-1, us-west-2)" in comment
    assert "<details open><summary><b>1 invalid, not written</b></summary>" in comment


def test_a_line_of_the_caller_is_under_the_title() -> None:
    lines = plan_comment(view_of(plans.twelve()), intro="**Not applied.**").split("\n")
    assert lines[3] == "**Not applied.**"


def report_of(*results: Result, plan: Plan | None = None, **more: Any) -> Any:
    report = plans.reported(plan or plans.twelve(), results, **more)
    return ReportView(plans.report_document_of(report))


def test_the_plan_of_a_complete_apply_has_one_line_on_it() -> None:
    comment = report_comment(report_of(Result.APPLIED), view_of(plans.twelve()))
    assert comment.split("\n")[3] == "**Applied 12 of 12 as reviewed**, 3 conflicts, 1 invalid."
    assert "Not applied" not in comment


def test_the_page_of_a_report_has_no_promise_on_the_next_apply() -> None:
    assert "Applied on merge" not in report_comment(report_of(Result.APPLIED))
    assert "Applied on merge" in plan_comment(view_of(plans.twelve()))


@pytest.mark.parametrize("level", [0, 1, 3])
def test_a_plan_that_is_shown_after_a_merge_has_no_promise_on_the_merge(level: int) -> None:
    view = view_of(plans.twelve())
    applied = report_of(Result.APPLIED)
    for page in (
        plan_comment(view, intro="**Not applied.**", level=level),
        report_comment(applied, view, level=level),
        plan_summary(view, intro="**Not applied.**"),
    ):
        assert "Applied on merge" not in page
        assert f"<sub>Plan `{view.short_id}`." in page
    assert "Applied on merge" in plan_comment(view, level=level)
    assert "Applied on merge" in plan_summary(view)


def guarded() -> Plan:
    """Return a plan whose deletes are withheld, with the remedy of the guard."""
    changes = [plans.withheld(plans.delete("eu-west-1", f"/a/{i}"), "max-deletes", "many") for i in range(3)]
    remedy = Remedy("--max-deletes 3", "max-deletes", "eu-west-1", 3, "0123456789ab")
    finding = Finding(Severity.WARNING, "max-deletes", "3 to delete: all withheld", remedy=remedy)
    return plans.plan_of([*changes, plans.create("eu-west-1", "/b")], findings=[finding])


LIFT = (
    '  - {guard: "max-deletes", target: "eu-west-1", count: 3, changes: "0123456789ab", until: "2026-11-30",'
    ' reason: ""}'
)


@pytest.mark.parametrize("with_plan", [False, True])
def test_a_result_shows_the_lift_of_a_guard_once_and_not_its_flag(with_plan: bool) -> None:
    plan = guarded()
    report = report_of(Result.APPLIED, Result.WITHHELD, plan=plan)
    page = report_comment(report, view_of(plan) if with_plan else None)
    assert page.count(LIFT) == 1
    assert "--max-deletes" not in page
    assert "If meant" not in page
    assert "3 to delete: all withheld" in page


def test_a_result_shows_the_lift_of_a_guard_that_the_reviewed_plan_does_not_have() -> None:
    report = report_of(Result.WITHHELD, plan=guarded())
    assert report_comment(report, view_of(plans.twelve())).count(LIFT) == 1


@pytest.mark.parametrize(
    ("approval", "headline"),
    [
        (Approval(ApprovalKind.APPROVED, ("bob",)), "6 of 12 changes, as approved by `@bob`**, 6 failed"),
        (
            Approval(ApprovalKind.REVIEWED, ("a-b", "carol")),
            "6 of 12 changes, as reviewed by `@a-b` and `@carol`**, 6 failed",
        ),
        (
            Approval(ApprovalKind.PLAN_ID, ("carol",)),
            "6 of 12 changes by plan id, started by `@carol`**, 6 failed",
        ),
        (None, "6 of 12**, 6 failed"),
    ],
)
def test_a_result_names_the_people_behind_it_and_notifies_no_one(
    approval: Approval | None, headline: str
) -> None:
    context, report = replace(CONTEXT, approval=approval), report_of(Result.APPLIED, Result.FAILED)
    for page in (
        report_comment(report, context=context),
        report_comment(report, view_of(plans.twelve()), context=context),
        report_summary(report, context=context),
    ):
        assert f"**Applied {headline}" in page
        assert not re.search(r"(?<!`)@[a-z]", page)


def test_a_login_cannot_leave_its_code_span() -> None:
    hostile = Approval(ApprovalKind.APPROVED, ("x` @team `\n<b>",))
    page = report_comment(report_of(Result.APPLIED), context=replace(CONTEXT, approval=hostile))
    assert "as approved by ``@x` @team `\\u000a<b>``" in page


def test_findings_that_the_plan_lacks_are_open_beside_the_result() -> None:
    report = plans.report_document_of(plans.reported(plans.twelve(), [Result.APPLIED]))
    left = {"severity": "warning", "code": "not-reviewed", "message": "1 change left: update /app/url"}
    report["findings"].append({**left, "where": "", "replication": "", "about": []})
    comment = report_comment(ReportView(report), view_of(plans.twelve()))
    head, _, rest = comment.partition("<details open><summary><b>1 finding</b></summary>")
    assert "as reviewed" in head
    assert rest.strip().startswith("* **warning** `not-reviewed`: 1 change left: update `/app/url`")


def test_changes_that_were_not_applied_are_in_the_order_of_their_danger() -> None:
    comment = report_comment(report_of(Result.FAILED))
    found = re.findall(r"^  (\w+) /", comment, re.MULTILINE)
    assert list(dict.fromkeys(found)) == ["delete", "replace", "update", "create"]


def test_failed_changes_are_listed_with_their_errors() -> None:
    comment = report_comment(report_of(Result.FAILED, Result.APPLIED))
    assert (
        "**Applied 6 of 12**, 6 failed and 3 conflicts, 1 invalid. The next apply retries the rest."
        in comment
    )
    assert comment.count("* failed: PutParameter in `eu-west-1` failed: TooManyUpdates") == 1
    assert "update /shop/prod/db/password  (ap-southeast-2, eu-west-1)\n" in comment


def test_a_report_lists_what_was_applied_by_action_and_path_last() -> None:
    comment = report_comment(report_of(Result.APPLIED, plan=plans.many(80)))
    applied = comment.split("<b>Applied: 400</b>")[1]
    assert "\ndelete /auth/prod/cache/setting-000  (all regions)\n" in applied
    assert "\ncreate /auth/prod/cache/* × 3  (all regions)\n" in applied
    assert len(applied.splitlines()) < 60


def test_the_numbers_of_applied_changes_by_path_are_exact() -> None:
    changes = [plans.create("eu-west-1", f"/a/{i}") for i in range(30)]
    changes += [plans.create("us-west-2", f"/a/{i}") for i in range(25)]
    comment = report_comment(report_of(Result.APPLIED, plan=plans.plan_of(changes)))
    assert "\ncreate /a/* × 30  (55 changes)\n" in comment


def test_a_page_with_the_plan_lists_applied_changes_with_a_note_only() -> None:
    plan = plans.twelve()
    report = plans.reported(plan)
    first, *rest = report.outcomes
    noted = replace(report, outcomes=(replace(first, note="a version was overwritten"), *rest))
    page = report_comment(ReportView(plans.report_document_of(noted)), view_of(plan))
    assert "<b>Applied, with a note: 1</b>" in page
    assert page.count("a version was overwritten") == 1


def test_a_report_says_once_why_changes_are_withheld() -> None:
    page = report_comment(report_of(Result.WITHHELD, plan=guarded()))
    problems = [one.problem for one in report_of(Result.WITHHELD, plan=guarded()).findings if one.remedy]
    assert problems
    assert all(page.count(problem.split(" (")[0]) == 1 for problem in problems)


def test_a_result_without_a_cause_has_its_word_only() -> None:
    assert "\n* not attempted\n" in report_comment(report_of(Result.NOT_ATTEMPTED))


def test_a_report_has_no_numbers_that_are_zero_and_no_sum_twice() -> None:
    page = report_comment(report_of(Result.APPLIED, Result.FAILED))
    assert " 0 " not in page.split("\n", 1)[1]
    assert page.count("6 of 12") == 1


@pytest.mark.large
def test_a_long_report_stays_within_its_budget_and_shows_the_plan_where_there_is_room() -> None:
    plan = plans.many(800)
    report = report_of(Result.FAILED, Result.STALE, plan=plan)
    assert len(report_comment(report).encode()) <= COMMENT_BUDGET
    both = report_comment(report, view_of(plan))
    assert len(both.encode()) <= COMMENT_BUDGET
    assert "**Applied 0 of 4,000**" in both


def test_the_page_of_an_interrupted_apply_names_the_next_run() -> None:
    assert "Interrupted: the next apply makes the rest." in report_comment(
        report_of(Result.NOT_ATTEMPTED, interrupted=True)
    )
