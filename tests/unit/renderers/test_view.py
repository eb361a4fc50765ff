"""The view decides order, merging, grouping and hiding for all outputs."""

from __future__ import annotations

from typing import Any

from ssm_reconcile.change import Change, Difference, Row, TagDiff
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.changes import AttributeLine, ChangeView
from ssm_reconcile.renderers.danger import danger_of
from ssm_reconcile.renderers.outline import merge_targets
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.report import Result
from tests.unit.renderers import plans


def view_of(*changes: Change, **more: Any) -> PlanView:
    return PlanView(plans.document_of(plans.plan_of(changes, **more)))


def seen(change: Change) -> ChangeView:
    return view_of(change).changes[0]


def test_the_most_dangerous_changes_come_first() -> None:
    here = "eu-west-1"
    tags = TagDiff({}, {"a": "1"})
    view = view_of(
        plans.retag(here, "/a", tags),
        plans.adopt(here, "/b"),
        plans.create(here, "/c"),
        plans.update(here, "/d", Difference("value", "1", "2")),
        plans.replaced(here, "/e"),
        plans.delete(here, "/f"),
        plans.delete(here, "/e2"),
    )
    assert [change.name for change in view.changes] == ["/e2", "/f", "/e", "/d", "/c", "/b", "/a"]


def test_an_unknown_action_is_before_all_others_and_counted_as_unknown() -> None:
    document = plans.document_of(
        plans.plan_of([plans.create("eu-west-1", "/a"), plans.delete("eu-west-1", "/b")])
    )
    (made,) = [change for change in document["changes"] if change["action"] == "create"]
    made["action"] = "burn"
    view = PlanView(document)
    assert [change.action for change in view.changes] == ["burn", "delete"]
    assert view.danger_counts == ["1 delete", "1 change of an unknown action"]


def test_the_same_change_in_several_targets_is_merged_and_a_different_one_is_not() -> None:
    change = Difference("value", "1", "2")
    view = view_of(
        plans.update("ap-southeast-2", "/a", change),
        plans.update("eu-west-1", "/a", change),
        plans.update("us-west-2", "/a", Difference("description", "1", "2")),
    )
    assert [(one.change.attributes, one.targets) for one in merge_targets(view.changes)] == [
        (("value",), ("ap-southeast-2", "eu-west-1")),
        (("description",), ("us-west-2",)),
    ]


def test_a_withheld_change_is_not_merged_with_one_that_is_applied() -> None:
    applied = plans.delete("eu-west-1", "/a")
    kept = plans.withheld(plans.delete("us-west-2", "/a"), "max-deletes", "too many")
    assert [one.change.withheld for one in merge_targets(view_of(applied, kept).changes)] == [False, True]


def test_a_secret_is_shown_as_its_source_version_only() -> None:
    change = plans.update("eu-west-1", "/a", plans.secret(), kind="SecureString", version=9)
    assert seen(change).lines == (
        AttributeLine("value", note="(secret) changed, from us-east-1 version 9", wraps=True),
    )


def test_the_value_of_a_new_secret_is_not_called_changed() -> None:
    line = seen(plans.create("eu-west-1", "/a", "SecureString")).lines[0]
    assert line == AttributeLine("value", note="(secret) from us-east-1 version 2", wraps=True)


def test_a_plain_value_that_becomes_a_secret_is_hidden_too() -> None:
    change = plans.update(
        "eu-west-1", "/a", plans.secret(), Difference("type", "String", "SecureString"), kind="SecureString"
    )
    view = seen(change)
    assert view.kind == "String -> SecureString"
    assert (
        view.lines[1].note == "(secret: the old plain value is hidden too) changed, from us-east-1 version 9"
    )


def test_a_plain_value_with_a_secret_name_is_hidden_with_the_reason() -> None:
    assert (
        seen(plans.update("eu-west-1", "/token", plans.secret()))
        .lines[0]
        .note.startswith("(hidden because of its name or its tags) changed")
    )


def test_a_difference_after_the_shown_part_of_a_long_value_has_a_note() -> None:
    change = plans.update("eu-west-1", "/a", Difference("value", "x" * 200, "x" * 200, cut=True))
    assert "differs after the part that is shown" in seen(change).lines[0].note


def test_tags_are_one_line_each_before_and_after() -> None:
    change = plans.retag("eu-west-1", "/a", TagDiff({"a": "1", "b": ""}, {"a": "2", "c=d": "e"}))
    assert seen(change).lines == (
        AttributeLine("tags", "a=1", "a=2"),
        AttributeLine("tags", "b=", None),
        AttributeLine("tags", None, '"c=d"=e'),
    )


def test_a_delete_names_the_last_writer_of_the_replica() -> None:
    change = plans.delete(
        "eu-west-1", "/a", writer="arn:aws:iam::123456789012:user/bob", changed_outside=True
    )
    assert seen(change).remarks == (
        "version 4, last changed 2026-11-02 08:00 UTC by user bob, outside ssm-reconcile",
        "its source is gone",
    )


def test_a_withheld_change_has_a_reason() -> None:
    kept = plans.withheld(plans.create("eu-west-1", "/a"), "frozen-target", "the target is frozen")
    assert seen(kept).remarks == ("withheld: the target is frozen",)


def test_a_withheld_change_without_a_reason_names_its_guard() -> None:
    kept = plans.withheld(plans.create("eu-west-1", "/a"), "frozen-target", "")
    document = plans.document_of(plans.plan_of([kept]))
    document["changes"][0]["reasons"] = []
    (change,) = PlanView(document).changes
    assert change.remarks == ("withheld by frozen-target",)


def test_addresses_left_alone_are_grouped_by_their_reason() -> None:
    conflict = ("conflict", "differs in value")
    view = view_of(
        others=[
            plans.other("us-west-2", "/b", Row.CONFLICT, *conflict),
            plans.other("eu-west-1", "/b", Row.CONFLICT, *conflict),
            plans.other("eu-west-1", "/a", Row.CONFLICT, *conflict),
            plans.other("eu-west-1", "/c", Row.CONFLICT, "conflict", "differs in type"),
        ]
    )
    assert [(g.reason, list(g.names.items())) for g in view.groups] == [
        ("differs in type", [("/c", ("eu-west-1",))]),
        ("differs in value", [("/a", ("eu-west-1",)), ("/b", ("eu-west-1", "us-west-2"))]),
    ]


def test_equal_findings_are_merged_and_errors_come_first() -> None:
    view = view_of(
        findings=[
            Finding(Severity.WARNING, "b", "same", "x"),
            Finding(Severity.ERROR, "z", "bad", "y"),
            Finding(Severity.WARNING, "b", "same", "z"),
        ]
    )
    assert [(f.severity, f.message, f.where) for f in view.findings] == [
        ("error", "bad", ("y",)),
        ("warning", "same", ("x", "z")),
    ]


def test_a_finding_is_left_out_where_all_its_addresses_are_shown_with_their_reasons() -> None:
    a, b = Address("eu-west-1", "/a"), Address("eu-west-1", "/b")
    view = view_of(
        others=[plans.other("eu-west-1", "/a", Row.INVALID, "invalid", "too large")],
        findings=[
            Finding(Severity.ERROR, "size", "/a: too large", "eu-west-1 /a", (a,)),
            Finding(Severity.ERROR, "key", "no key (needed by /a, /b)", "eu-west-1 alias/a", (a, b)),
            Finding(Severity.ERROR, "max-deletes", "11 to delete", "eu-west-1", (Address("eu-west-1"),)),
        ],
    )
    assert [found.code for found in view.findings] == ["key", "max-deletes"]


def test_targets_are_called_regions_only_where_they_have_the_names_of_their_regions() -> None:
    document = plans.document_of(plans.plan_of([], targets=("eu-west-1",)))
    assert PlanView(document).place_word == "region"
    document["targets"][0]["place"] = "210987654321/eu-central-1"
    assert PlanView(document).place_word == "target"


def test_every_text_of_a_view_is_safe_to_print() -> None:
    evil = "/a\u202e\x1b[31m"
    view = view_of(
        plans.update("eu-west-1", evil, Difference("value", evil, "x"), reasons=(evil,)),
        others=[plans.other("eu-west-1", evil, Row.CONFLICT, "conflict", evil)],
        findings=[Finding(Severity.ERROR, evil, evil, evil)],
    )
    assert "\u202e" not in repr(vars(view)).encode("unicode_escape").decode().replace("\\\\u202e", "")
    assert "\x1b" not in "".join([view.changes[0].name, *view.changes[0].remarks, view.findings[0].message])
    assert list(view.groups[0].names) == ["/a\\u202e\\u001b[31m"]


def two() -> Plan:
    dev = plans.plan_of([plans.create("eu-west-1", "/d")], name="dev")
    prod = plans.plan_of([plans.delete("eu-west-1", "/p"), plans.delete("us-west-2", "/p")])
    moved = [
        Change(**{**{f: getattr(c, f) for f in Change.__dataclass_fields__}, "replication": "dev"})
        for c in dev.changes
    ]
    part = type(dev.replications[0])(
        **{
            **{f: getattr(dev.replications[0], f) for f in type(dev.replications[0]).__dataclass_fields__},
            "changes": tuple(moved),
        }
    )
    return Plan((part, *prod.replications))


def test_targets_of_several_replications_have_different_labels() -> None:
    view = PlanView(plans.document_of(two()))
    assert [change.target for change in view.changes] == ["prod:eu-west-1", "prod:us-west-2", "dev:eu-west-1"]


def test_the_view_of_one_replication_has_its_own_counts_and_id() -> None:
    plan = two()
    view = PlanView(plans.document_of(plan), "prod")
    assert view.plan_id == plan.id_of(plan.replications[1])
    assert (view.summary["delete"], view.summary["create"], len(view.changes)) == (2, 0, 2)
    assert {change.target for change in view.changes} == {"eu-west-1", "us-west-2"}


def test_the_view_of_a_single_replication_has_the_plan_id() -> None:
    plan = plans.twelve()
    assert PlanView(plans.document_of(plan), "prod").plan_id == plan.plan_id


def test_the_sentence_of_a_report_counts_every_outcome() -> None:
    report = plans.reported(plans.twelve(), (Result.APPLIED, Result.FAILED, Result.NOT_ATTEMPTED))
    sentence = ReportView(plans.report_document_of(report)).sentence()
    assert sentence.startswith(
        "Applied 4 of 12 changes: 4 failed, 4 not attempted, 3 conflicts, 1 invalid (plan "
    )


def test_a_forged_file_cannot_make_a_secret_attribute_show_a_value() -> None:
    document = plans.document_of(plans.plan_of([plans.update("eu-west-1", "/a", plans.secret())]))
    document["changes"][0]["attributes"]["value"] = {"secret": True, "before": "hunter2", "after": "hunter3"}
    assert "hunter" not in repr(vars(PlanView(document)))


def test_the_danger_of_a_report_is_that_of_changes_that_were_not_applied() -> None:
    plan = plans.plan_of([plans.create("eu-west-1", "/a"), plans.delete("eu-west-1", "/b")])
    report = ReportView(plans.report_document_of(plans.reported(plan, (Result.APPLIED, Result.FAILED))))
    (left,) = [one for one in report.outcomes if one.result != "applied"]
    assert report.danger == danger_of(["prod"], 1, [(left.target, left.name, left.action)])


def test_the_danger_of_drift_has_changes_outside_too() -> None:
    edited = plans.update("eu-west-1", "/a", changed_outside=True)
    gone = plans.delete("eu-west-1", "/b", changed_outside=True)
    view = view_of(edited, gone, plans.create("eu-west-1", "/c"))
    deleted = ("eu-west-1", "/b", "delete")
    assert view.danger == danger_of(["prod"], 1, [deleted])
    assert view.drift_danger == danger_of(["prod"], 2, [deleted, ("eu-west-1", "/a", "update")])


def test_a_plan_of_withheld_changes_writes_nothing() -> None:
    made, other = plans.create("eu-west-1", "/a"), plans.create("eu-west-1", "/b")
    held = plans.withheld(made, "frozen-target", "it is frozen")
    views = [view_of(), view_of(held), view_of(held, other), view_of(other)]
    assert [view.has_writes for view in views] == [False, False, True, True]
    assert [view.withheld for view in views] == [0, 1, 1, 0]
    assert views[2].action_counts == "2 to create (1 withheld)"
