"""A saved plan is decoded; any other text is refused without a quotation of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ssm_reconcile.diff.values import PARTS
from ssm_reconcile.documents.counts import MOST_PARTS
from ssm_reconcile.documents.decode import read_plan_document, read_report_document
from ssm_reconcile.errors import UsageError
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.report import Result
from tests.unit.renderers import plans

PLANTED = "hunter2"


def document(**changes: Any) -> dict[str, Any]:
    return {**plans.document_of(plans.twelve()), **changes}


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_plan_document(text)
    return f"{caught.value.message} {caught.value.remedy}"


def test_a_saved_plan_is_read_back_as_it_was() -> None:
    assert read_plan_document(dumps(document())) == document()


def test_as_many_parts_as_a_plan_has_are_read() -> None:
    assert MOST_PARTS == PARTS
    full = document()
    part = {"key": "k", "before": None, "after": "1"}
    full["changes"][0]["attributes"] = {"value": {"before": "", "after": "1", "parts": [part] * PARTS}}
    assert read_plan_document(dumps(full)) == full


def test_a_saved_report_is_read_back_as_it_was() -> None:
    made = plans.report_document_of(plans.reported(plans.twelve(), tuple(Result)))
    assert read_report_document(dumps(made)) == made


def test_keys_that_are_not_known_are_ignored() -> None:
    later = document(format_version="1.7", surprise={"deep": [1]})
    later["changes"][0]["mood"] = "fine"
    read = read_plan_document(dumps(later))
    assert [change["name"] for change in read["changes"]] == [
        change["name"] for change in document()["changes"]
    ]


@pytest.mark.parametrize("version", ["2.0", "0.9", "1", "1.x", "1.0.0", "one", "", "1.²"])
def test_another_major_or_a_version_that_is_none_is_refused(version: str) -> None:
    assert "format" in refusal(json.dumps(document(format_version=version)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version: 1",
        PLANTED,
        "[]",
        "null",
        '{"a": NaN}',
        "[" * 100_000,
        '{"n": 1' + "0" * 5000 + "}",
        '{"n": 1e999}',
        '{"n": "\\ud800"}',
        '{"\\uDfff": 1}',
        "{}",
        json.dumps({"format_version": "1.0", "plan_id": PLANTED}),
        dumps(plans.report_document_of(plans.reported(plans.twelve()))),
    ],
)
def test_a_text_that_is_not_a_plan_is_refused_without_quoting_it(text: str) -> None:
    message = refusal(text)
    assert "not a saved plan" in message
    assert PLANTED not in message


BAD_PARTS: list[tuple[str, Any]] = [
    ("form", 3),
    ("parts", {}),
    ("parts", [PLANTED]),
    ("parts", [{"key": 1, "before": None, "after": PLANTED}]),
    ("parts", [{"key": PLANTED, "before": [], "after": None}]),
    ("parts", [{"key": PLANTED, "before": None, "after": None, "start": PLANTED}]),
    ("parts", [{"key": PLANTED, "before": None, "after": None, "start": -1}]),
    ("parts", [{"key": PLANTED, "before": None, "after": None, "before_length": -1}]),
    ("parts", [{"key": PLANTED, "before": None, "after": None, "after_length": -1}]),
    ("parts", [{"key": PLANTED, "before": None, "after": "1"}] * (PARTS + 1)),
    ("more", True),
    ("more", -1),
    ("notes", [None]),
]


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("plan_id",), 7, "plan_id"),
        (("summary",), [], "summary"),
        (("summary", "create"), "5", "summary.*"),
        (("changes", 0, "name"), None, "changes[0].name"),
        (("changes", 0, "fate"), {"x": PLANTED}, "changes[0].fate"),
        (("changes", 0, "reasons"), PLANTED, "changes[0].reasons"),
        (("changes", 0, "expected", "version"), PLANTED, "changes[0].expected.version"),
        (("changes", 0, "attributes"), {"value": PLANTED}, "changes[0].attributes.*"),
        (("targets", 0, "complete"), "yes", "targets[0].complete"),
        (("targets", 0, "replicas"), True, "targets[0].replicas"),
        (("narrowed", "only"), {}, "narrowed.only"),
        (("findings",), None, "findings"),
        (("plan_id",), PLANTED, "plan_id"),
        (("plan_id",), "a" * 64 + "\n", "plan_id"),
        (("replications", 0, "id"), "A" * 64, "replications[0].id"),
        (("replications", 0, "selected"), PLANTED, "replications[0].selected"),
        (("replications", 0, "selected"), [PLANTED], "replications[0].selected"),
        (("budget", "seconds"), 10**400, "budget"),
        (("budget", "seconds"), -0.5, "budget"),
        (("changes", 0, "expected", "version"), 0, "changes[0].expected.version"),
        (("targets", 0, "replicas"), -1, "targets[0].replicas"),
        *(
            (("changes", 0, "attributes"), {"value": {key: bad}}, f"changes[0].attributes.*.{key}")
            for key, bad in BAD_PARTS
        ),
    ],
)
def test_a_damaged_plan_is_refused_by_the_place_of_the_damage(path: Any, value: Any, named: str) -> None:
    broken = json.loads(dumps(document()))
    *way, last = path
    node = broken
    for step in way:
        node = node[step]
    node[last] = value
    message = refusal(json.dumps(broken))
    assert f"`{named}`" in message
    assert PLANTED not in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("summary", "delete"), 0),
        (("targets", 0, "delete"), 0),
        (("changes", 0, "target"), "mars"),
        (("others", 0, "replication"), "elsewhere"),
        (("replications", 0, "name"), "elsewhere"),
    ],
)
def test_nothing_can_hide_behind_a_summary_or_in_a_target_that_is_not_listed(path: Any, value: Any) -> None:
    broken = json.loads(dumps(document()))
    *way, last = path
    node = broken
    for step in way:
        node = node[step]
    node[last] = value
    assert "damaged" in refusal(json.dumps(broken))


def test_a_document_with_two_equal_keys_is_refused() -> None:
    text = dumps(document())
    twice = text.replace('"plan_id"', f'"plan_id": "{"0" * 64}",\n  "plan_id"', 1)
    assert "not a saved plan" in refusal(twice)


def test_half_of_a_character_is_refused_although_all_else_is_a_plan() -> None:
    text = json.dumps(document(tool_version="HALF"))
    for half in ("\\ud83d", "\\uDE00"):
        assert "not a saved plan" in refusal(text.replace("HALF", half))


def test_a_character_that_json_writes_in_two_halves_is_one() -> None:
    whole = document(tool_version="\U0001f600")
    text = json.dumps(whole)
    assert "\\ud83d" in text
    assert read_plan_document(text) == whole
