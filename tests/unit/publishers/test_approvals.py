"""The people behind an apply, as the files of `github approval` and `github reviewed` name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.workflow_run import WorkflowRun
from ssm_reconcile.publishers.approvals import NO_APPROVALS, approval_by_hand, read_approvals
from ssm_reconcile.renderers.comment_context import Approval, ApprovalKind
from tests.unit.renderers import plans

FILE = Path("reviews/reviewed.json")
REVIEWED = json.dumps(
    {
        "plans": [
            {"pull_request": 7, "file": "plans/7.json", "reviewed_by": ["zoe", "ann", "eve", "bob"]},
            {"pull_request": 8, "file": "8.json", "reviewed_by": ["kim", "bob", "dan", "liv", "mia"]},
            {"pull_request": 9, "file": "../9.json", "reviewed_by": []},
        ]
    }
)


def reviewed_by(*people: str) -> Approval:
    return Approval(ApprovalKind.REVIEWED, people)


def test_a_pull_request_has_its_reviewers_and_a_push_those_of_all_once_and_sorted() -> None:
    found = read_approvals(FILE, REVIEWED)
    assert found.of(7) == reviewed_by("zoe", "ann", "eve", "bob")
    assert found.of(None) == reviewed_by("ann", "bob", "dan", "eve", "kim", "liv", "mia", "zoe")
    assert found.of(9) is None
    assert found.of(10) is None
    assert NO_APPROVALS.of(None) is None


def test_the_file_of_a_plan_is_beside_the_list() -> None:
    found = read_approvals(FILE, REVIEWED).plans
    assert found == {number: Path(f"reviews/{number}.json") for number in (7, 8, 9)}


def test_the_approval_of_an_environment_counts_for_every_pull_request() -> None:
    found = read_approvals(Path("approval.json"), '{"approved_by": "ann"}')
    assert found.of(7) == found.of(None) == Approval(ApprovalKind.APPROVED, ("ann",))


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", "7", '{"approved_by": 7}', '{"plans": 7}', '{"plans": [{}]}', "[" * 100_000,
        '{"plans": [{"pull_request": "x", "file": "a", "reviewed_by": []}]}',
        '{"plans": [{"pull_request": 7, "file": 7, "reviewed_by": []}]}',
        '{"plans": [{"pull_request": 7, "file": "a", "reviewed_by": [7]}]}',
    ],
)  # fmt: skip
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_approvals(FILE, text)
    assert caught.value.message == "is not the file of `github approval` or `github reviewed`"


@pytest.mark.parametrize(
    ("event", "approval", "actors", "people"),
    [
        ("workflow_dispatch", "expect-plan", ("ann", "ann"), ("ann",)),
        ("workflow_dispatch", "expect-plan", ("zoe", "ann"), ("zoe", "ann")),
        ("workflow_dispatch", "expect-plan", ("", "ann"), ("ann",)),
        ("workflow_dispatch", "expect-plan", ("", ""), None),
        ("workflow_dispatch", "saved-plan", ("ann", "ann"), None),
        ("push", "expect-plan", ("ann", "ann"), None),
    ],
)
def test_the_people_who_start_an_apply_by_its_plan_id_have_approved_it(
    event: str, approval: str, actors: tuple[str, str], people: tuple[str, ...] | None
) -> None:
    document = plans.report_document_of(plans.reported(plans.plan_of([]), ()))
    document["approval"] = approval
    run = WorkflowRun(event_name=event, actor=actors[0], triggering_actor=actors[1])
    expected = None if people is None else Approval(ApprovalKind.PLAN_ID, people)
    assert approval_by_hand(run, document) == expected
