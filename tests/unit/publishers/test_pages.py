"""The notices of an apply that refused, and the pages of replications that a spec no longer has."""

from __future__ import annotations

import pytest

from ssm_reconcile.publishers.pages import merge_group_notice, plan_pages, refusal, unreviewed_notice
from ssm_reconcile.renderers.danger import NO_DANGER
from tests.unit.renderers import plans


def test_a_comment_of_a_removed_replication_gets_a_page_without_danger_and_one_without_a_name_none() -> None:
    document = plans.document_of(plans.many(1))
    pages = plan_pages(document, known=["", "gone", "prod"])
    assert [(page.scope, page.worth, page.danger == NO_DANGER) for page in pages[1:]] == [
        ("gone", False, True)
    ]
    assert pages[0].scope == "prod"


def test_a_refusal_lists_the_changes_that_were_not_approved_each_on_a_line() -> None:
    document = plans.report_document_of(plans.reported(plans.plan_of([]), ()))
    assert refusal(document) == ""
    reason = {"severity": "error", "code": "plan-changed", "message": "2 changes are new. ", "where": ""}
    changes = [{**reason, "message": f"/a/{n}\nx", "about": ["prod"]} for n in range(31)]
    other = {**reason, "code": "max-deletes", "message": "other"}
    document["findings"] = [other, *changes, reason]
    first, second = refusal(document).split("\n\n")
    assert first == unreviewed_notice("2 changes are new")
    lines = second.splitlines()
    assert (lines[0], lines[-1]) == ("```text", "```")
    assert lines[1] == "/a/0\\u000ax"
    assert len(lines) == 33
    assert lines[-2] == "... and 1 more"


@pytest.mark.parametrize("reason", ["", "It differs.", "It differs.\n/a/b\n/c/d\n"])
def test_the_first_line_of_a_merge_group_is_a_sentence_and_the_others_are_a_list(reason: str) -> None:
    notice, *rest = merge_group_notice(reason).split("\n\n")
    assert notice.startswith(f"**Not as reviewed**: {'It differs' if reason else ''}. Nothing was written.")
    assert rest == (["```text\n/a/b\n/c/d\n```"] if "/a" in reason else [])
