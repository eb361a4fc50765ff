"""A plan that another program wrote, or an earlier version: no output hides that two values differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ssm_reconcile.change import Difference
from ssm_reconcile.cli.show import render_plan
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.renderers.changes import attribute_lines, change_view
from ssm_reconcile.renderers.escaping import dumps
from tests.unit.renderers import plans

ARN = "arn:aws:sts::123456789012:assumed-role/deploy/alice@example.com"
OUTPUTS = ("text", "markdown", "html")
LONG = "x" * 230


def forged(**value: Any) -> Any:
    """Return the document of an update of `/a` with this entry of its value."""
    made = json.loads(
        dumps(
            plans.document_of(plans.plan_of([plans.update("eu-west-1", "/a", Difference("value", "x", "y"))]))
        )
    )
    made["changes"][0]["attributes"]["value"] = value
    return read_plan_document(json.dumps(made))


def part(before: str | None, after: str | None, **keys: Any) -> dict[str, Any]:
    return {"key": "k", "before": before, "after": after, **keys}


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [part(None, None)],
        [part("same", "same", context=True)],
        [part("same", "same")],
        [part("same", "same", before_length=4, after_length=4)],
    ],
)
@pytest.mark.parametrize("output", OUTPUTS)
def test_values_are_shown_where_no_part_differs(parts: list[Any], output: str) -> None:
    text = "".join(
        render_plan(output, forged(before="SAFE", after="EVIL", form="json", parts=parts), color=False)
    )
    assert [side in text for side in ("SAFE", "EVIL")] == [True, True]


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_part_with_two_texts_is_a_difference_although_it_says_unchanged(output: str) -> None:
    changed = forged(before="SAFE", after="EVIL", form="json", parts=[part("OLD", "NEW", context=True)])
    text = "".join(render_plan(output, changed, color=False))
    assert [side in text for side in ("OLD", "NEW")] == [True, True]


def phrases(**value: Any) -> list[str]:
    change = forged(**value)["changes"][0]
    return [line.phrase(is_new=False) for line in attribute_lines(change, "us-east-1")]


def test_notes_and_a_number_of_parts_are_shown_without_parts() -> None:
    assert phrases(before="a", after="b", form="list", parts=[], notes=["1 item moved"]) == ["1 item moved"]
    assert phrases(before="a", after="b", form="env", parts=[], more=2) == ["2 more keys differ"]


def test_a_long_part_without_lengths_is_shown_around_its_first_difference() -> None:
    old, new = LONG + "old", LONG + "new"
    (line, note) = phrases(before=old[:200], after=new[:200], form="env", parts=[part(old, new)])
    assert line == f'k: "… {"x" * 40}old" -> "… {"x" * 40}new"'
    assert note == "before has 233 characters, after has 233; shown from character 191"


def test_equal_texts_differ_after_the_part_that_is_shown_if_they_are_cut() -> None:
    cut = part("x" * 200, "x" * 200, before_length=250, after_length=251)
    assert phrases(before="a", after="b", form="env", parts=[cut]) == [
        f"k: {'x' * 200} … differs after the part that is shown"
    ]
    assert phrases(before="same", after="same") == ["same on both sides"]
    assert phrases(before="x" * 200, after="x" * 200, cut=True) == [
        f"{'x' * 200} … differs after the part that is shown"
    ]


@pytest.mark.parametrize("writer", [ARN, "", None])
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_plan_of_an_earlier_version_shows_no_session_and_the_writer_once(
    writer: str | None, output: str
) -> None:
    made = forged(before="x", after="y")
    (change,) = made["changes"]
    change |= {"changed_outside": True, "fate": "withheld", "withheld_by": ["changed-outside"]}
    made["summary"]["withheld"] = 1
    change["expected"] |= {"version": 4, "last_modified": "2026-11-02T08:00:00.000Z"}
    change["reasons"] = [
        f"changed outside ssm-reconcile by {ARN}",
        f"withheld: it was changed outside (by {ARN})",
    ]
    change["writer"] = writer
    if writer is None:
        del change["writer"]
    assert read_plan_document(json.dumps(made)) == made
    text = "".join(render_plan(output, made, color=False))
    assert [part in text for part in ("alice", "assumed-role", "role deploy")] == [False, False, True]
    view = change_view(change, "123456789012/us-east-1", "eu-west-1")
    assert view.holds == ("withheld: it was changed outside (by role deploy)",)
    outside = ("changed outside ssm-reconcile by role deploy",)
    assert view.reasons == (() if writer == ARN else outside)


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (ARN, "role deploy"),
        ("arn:aws-cn:iam::123456789012:user/ops/bob", "user bob"),
        ("arn:aws:sts::123456789012:federated-user/alice", "a federated user"),
        ("arn:aws:iam::123456789012:saml-provider/x", "an unknown identity"),
        (
            "arn:aws:kms:us-east-1:123456789012:key/1",
            "arn:aws:kms:us-east-1:123456789012:key/1",
        ),
    ],
)
def test_each_identity_in_a_reason_has_its_short_name(arn: str, name: str) -> None:
    made = forged(before="x", after="y")
    (change,) = made["changes"]
    change["reasons"] = [f"written by {arn} and others"]
    assert change_view(change, "1/us-east-1", "eu-west-1").reasons == (f"written by {name} and others",)
