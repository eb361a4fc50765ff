"""Changes that the previous spec makes too are marked and folded; dangerous ones are never folded."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ssm_reconcile.change import Change, Difference, TagDiff
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.renderers.html import plan_html
from ssm_reconcile.renderers.markdown import plan_comment, plan_summary
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView
from tests.unit.renderers import plans

NEW = plans.create("eu-west-1", "/shop/new", value="of this change")
PENDING = replace(plans.update("eu-west-1", "/shop/pending"), pending=True)
GONE = replace(plans.delete("eu-west-1", "/shop/gone"), pending=True)
DROPPED = plans.create("us-west-2", "/shop/dropped")


def view_of(plan: Plan) -> PlanView:
    return PlanView(read_plan_document(dumps(plans.document_of(plan))))


VIEW = view_of(replace(plans.plan_of([NEW, PENDING, GONE]), dropped=(DROPPED,)))


def fold(text: str, title: str) -> str:
    """Return the body of the fold with a title."""
    return text.split(f"<b>{title}</b>")[1].split("</details>", maxsplit=1)[0]


@pytest.mark.parametrize("level", [0, 1])
def test_pending_changes_are_folded_and_new_changes_are_not(level: int) -> None:
    text = plan_comment(VIEW, level=level)
    update = "<b>Update: 1</b></summary>\n\n```diff\n! /shop/pending  [String]"
    assert update in fold(text, "Already pending")
    assert text.count("/shop/pending") == 1
    assert "/shop/new" not in fold(text, "Already pending")
    assert text.count("/shop/new") == 1
    assert text.count("**2 of the changes are already pending**") == 1


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_pending_delete_is_never_folded(level: int) -> None:
    text = plan_comment(VIEW, level=level)
    assert text.count("> **Delete: 1, already pending** (its source is gone)\n") == 1
    assert text.count("> - /shop/gone  [SecureString]") == 1
    assert text.count("[!CAUTION]") == 1


def test_changes_that_only_the_previous_spec_makes_are_listed() -> None:
    dropped = fold(plan_comment(VIEW), "No longer made")
    assert "+ /shop/dropped  (us-west-2)" in dropped
    assert "<b>Create: 1</b>" in dropped  # neither withheld nor pending
    for text in (plan_comment(VIEW), plan_summary(VIEW)):
        assert text.count("/shop/dropped") == text.count("No longer made") == 1


def test_many_pending_changes_are_folded_by_path() -> None:
    many = [replace(plans.create("eu-west-1", f"/shop/many/{i:03}"), pending=True) for i in range(400)]
    text = plan_comment(view_of(replace(plans.plan_of([NEW, *many]), dropped=())))
    assert "/shop/many/* × 400" in fold(text, "Already pending")
    assert "/shop/new" in fold(text, "Create: 1")
    assert text.count("/shop/many/") == 1


def test_many_dropped_changes_are_folded_by_path() -> None:
    dropped = tuple(plans.create("eu-west-1", f"/shop/many/{i:03}") for i in range(400))
    text = plan_comment(view_of(replace(plans.plan_of([NEW]), dropped=dropped)))
    assert "/shop/many/* × 400" in fold(text, "No longer made")
    assert text.count("/shop/many/") == text.count("/shop/new") == 1


def test_without_a_comparison_no_change_is_called_pending() -> None:
    text = plan_comment(view_of(plans.twelve()))
    assert "pending" not in text
    assert "No longer" not in text


def test_the_terminal_marks_pending_changes() -> None:
    text = plan_text(VIEW)
    for line in (
        "Update, already pending: 1\n  ~ /shop/pending   String   eu-west-1\n",
        "Delete, already pending: 1",
        "2 of them already pending",
        "1 change of the previous spec no longer made.",
    ):
        assert text.count(line) == 1, line


@pytest.mark.parametrize(
    ("action", "pending"),
    [
        ("create", plans.create("eu-west-1", "/shop/b")),
        ("update", plans.update("eu-west-1", "/shop/b", Difference("value", "1", "2"))),
        ("retag", plans.retag("eu-west-1", "/shop/b", TagDiff({}, {"team": "a"}))),
        ("adopt", plans.adopt("eu-west-1", "/shop/b")),
        ("replace", plans.replaced("eu-west-1", "/shop/b", Difference("type", "String", "StringList"))),
        ("delete", plans.delete("eu-west-1", "/shop/b")),
    ],
)
def test_each_kind_of_pending_change_is_listed_once(action: str, pending: Change) -> None:
    view = view_of(replace(plans.plan_of([NEW, replace(pending, pending=True)]), dropped=()))
    text = plan_text(view)
    assert len(re.findall(r"^  \S /shop/b\b", text, re.MULTILINE)) == 1
    assert f"\n{action.capitalize()}, already pending: 1" in text
    for level in (0, 1):
        listed = re.findall(r"^(?:> )?[-+!=~±].*/shop/b\b", plan_comment(view, level=level), re.MULTILINE)
        assert len(listed) == 1, listed
    assert plan_html(view).count("<code>/shop/b</code>") == 1


def test_a_saved_plan_has_its_comparison() -> None:
    document = plans.document_of(replace(plans.plan_of([NEW, PENDING]), dropped=(DROPPED,)))
    assert document["against"] == {
        "pending": 1,
        "dropped": [
            {"replication": "prod", "target": "us-west-2", "name": "/shop/dropped", "action": "create"}
        ],
    }
    assert [change["pending"] for change in document["changes"]] == [False, True]
