"""The documents say what the plan says, validate against their schemas, and hold no secret."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ssm_reconcile.change import Change, Difference, Restore, Row, TagDiff, ValuePart, ValueParts
from ssm_reconcile.documents import UNSAVED_OPTIONS, ChangeEntry
from ssm_reconcile.documents.encode import (
    EntrySequence,
    change_entry,
    moment,
    plan_document,
    report_document,
    saved_plan_document,
)
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.plan import COUNTED, Plan
from ssm_reconcile.renderers.escaping import dumps, json_blocks
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.report import Outcome, ParameterVersion, Report, Result, Written
from ssm_reconcile.spec import Run
from tests.unit.renderers import plans

SCHEMAS = Path(__file__).parents[3] / "schema"


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))


def change_of(*changes: Any) -> Any:
    return plans.document_of(plans.plan_of(changes))["changes"][0]


def test_the_saved_options_are_the_fields_of_a_run_and_the_name() -> None:
    fields = {one.name for one in dataclasses.fields(Run)} - UNSAVED_OPTIONS
    assert schema("plan")["definitions"]["options"]["properties"].keys() == fields | {"name"}
    plan = plans.plan_of([plans.create("t", "/p/a")])
    saved = saved_plan_document(
        plan, tool_version="1", created=datetime.now(UTC), run=Run(), name=None, spec_files=()
    )
    assert saved["run"].keys() == fields | {"name"}


@pytest.mark.parametrize("name", ["plan", "report"])
def test_every_property_of_a_schema_is_described(name: str) -> None:
    def undescribed(node: Any, at: str) -> list[str]:
        found = []
        for key, child in node.get("properties", {}).items():
            if not (child.get("description") or "$ref" in child):
                found.append(f"{at}.{key}")
            found += undescribed(child, f"{at}.{key}")
        for key, child in node.get("definitions", {}).items():
            found += [] if child.get("description") else [f"{at}#{key}"]
            found += undescribed(child, f"{at}#{key}")
        return found

    jsonschema.Draft7Validator.check_schema(schema(name))
    assert undescribed(schema(name), name) == []


@pytest.mark.parametrize("plan", [plans.in_sync(), plans.twelve(), plans.many(20)], ids=["0", "12", "100"])
def test_a_plan_document_fits_its_schema_and_survives_the_round_trip(plan: Any) -> None:
    document = plans.document_of(plan)
    jsonschema.validate(document, schema("plan"))
    assert json.loads(dumps(document)) == document


def test_a_report_document_fits_its_schema_and_survives_the_round_trip() -> None:
    report = plans.reported(plans.twelve(), tuple(Result), interrupted=True)
    document = plans.report_document_of(report)
    jsonschema.validate(document, schema("report"))
    assert json.loads(dumps(document)) == document


def test_entries_are_made_one_by_one_while_a_document_is_written() -> None:
    made: list[int] = []

    def entry_of(number: int) -> dict[str, int]:
        made.append(number)
        return {"number": number}

    blocks = json_blocks({"changes": EntrySequence(range(9), entry_of)})
    written = 0
    for block in blocks:
        written += '"number"' in block
        assert len(made) == written
    assert made == list(range(9))


def test_a_view_makes_each_entry_of_a_change_once() -> None:
    plan = plans.twelve()
    made: list[str] = []

    def entry_of(change: Change) -> ChangeEntry:
        made.append(change.name)
        return change_entry(change)

    document = plan_document(plan, tool_version="1", created=plans.NOW)
    expected = PlanView(plans.whole(document)).changes
    document["changes"] = EntrySequence(plan.changes, entry_of)
    assert PlanView(document).changes == expected
    assert made == [change.name for change in plan.changes]


def test_saved_changes_and_outcomes_are_printable() -> None:
    plan = plans.plan_of([plans.create("t", "/p/\ud800")])
    saved = saved_plan_document(
        plan, tool_version="1", created=plans.NOW, run=Run(), name=None, spec_files=()
    )
    report = report_document(plans.reported(plan), tool_version="1", created=plans.NOW)
    assert saved["changes"][0]["name"] == "/p/\ufffd"
    assert saved["changes"][0]["effect"]["name"] == "/p/\ufffd"
    assert [one["name"] for one in report["outcomes"][:1]] == ["/p/\ufffd"]


def test_an_attribute_has_both_sides_or_only_the_fact_that_it_differs() -> None:
    change = change_of(
        plans.update(
            "eu-west-1",
            "/a",
            plans.secret(),
            Difference("description", "", "new"),
            Difference("AllowedPattern", "x", "y", cut=True),
            tags=TagDiff({"a": "1", "b": "2"}, {"a": "3", "c": "4"}),
        )
    )
    assert change["attributes"] == {
        "value": {"secret": True},
        "description": {"before": "", "after": "new"},
        "AllowedPattern": {"before": "x", "after": "y", "cut": True},
        "tags": {"added": {"a": "3", "c": "4"}, "removed": ["b"], "before": {"a": "1", "b": "2"}},
    }


def test_a_create_says_everything_that_is_not_a_default() -> None:
    change = change_of(
        plans.create(
            "eu-west-1",
            "/a",
            "SecureString",
            tier="Advanced",
            description="d",
            allowed_pattern="hunter.*",
            policies=('{"Type":"NoChangeNotification"}',),
            tags={"team": "x"},
        )
    )
    assert change["attributes"] == {
        "value": {"secret": True},
        "description": {"before": None, "after": "d"},
        "AllowedPattern": {"secret": True},
        "tier": {"before": None, "after": "Advanced"},
        "policies": {"before": None, "after": '[{"Type":"NoChangeNotification"}]'},
        "KeyId": {"before": None, "after": "alias/shop"},
        "tags": {"added": {"team": "x"}, "removed": [], "before": {}},
    }


def test_expected_versions_are_null_for_a_missing_parameter() -> None:
    assert change_of(plans.create("eu-west-1", "/a"))["expected"] == {
        "source_version": 2,
        "source_last_modified": "2026-11-22T09:30:00.123Z",
        "version": None,
        "last_modified": None,
    }


def test_a_delete_names_the_source_that_has_to_be_gone() -> None:
    change = change_of(plans.delete("eu-west-1", "/a"))
    assert (change["action"], change["source"], change["attributes"]) == ("delete", "/a", {})


def test_a_withheld_change_names_its_guard() -> None:
    change = change_of(plans.withheld(plans.delete("eu-west-1", "/a"), "max-deletes", "too many"))
    assert (change["fate"], change["withheld_by"]) == ("withheld", ["max-deletes"])
    assert change["reasons"][-1] == "withheld: too many"


def test_a_target_has_the_words_of_the_summary_for_itself() -> None:
    document = plans.document_of(plans.twelve())
    dublin = next(target for target in document["targets"] if target["name"] == "eu-west-1")
    assert {word: dublin[word] for word in (*COUNTED, "withheld") if dublin[word]} == {
        "create": 2, "update": 2, "delete": 1, "in_sync": 160, "conflict": 1, "invalid": 1,
    }  # fmt: skip
    assert document["summary"]["create"] == sum(target["create"] for target in document["targets"])


def test_changes_are_sorted_however_the_plan_was_put_together() -> None:
    changes = [plans.create(target, name) for target in ("us-west-2", "eu-west-1") for name in ("/b", "/a")]
    document = plans.document_of(plans.plan_of(reversed(changes)))
    assert [(change["target"], change["name"]) for change in document["changes"]] == [
        ("eu-west-1", "/a"), ("eu-west-1", "/b"), ("us-west-2", "/a"), ("us-west-2", "/b"),
    ]  # fmt: skip


def test_a_moment_is_utc_in_milliseconds() -> None:
    local = datetime(2026, 11, 23, 2, 0, 0, 1999, tzinfo=timezone(timedelta(hours=2)))
    assert moment(local) == "2026-11-23T00:00:00.001Z"
    assert moment(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


def test_json_has_no_raw_character_that_could_deceive_and_still_means_the_same() -> None:
    document = {"name": "a\u202eb\x9b\ud800", "é": "漢"}
    text = dumps(document)
    assert json.loads(text) == document
    assert "\\u202e" in text
    assert "漢" in text
    text.encode()


def test_a_report_has_one_outcome_for_every_change() -> None:
    report = plans.reported(plans.twelve(), (Result.APPLIED, Result.FAILED))
    document = plans.report_document_of(report)
    assert len(document["outcomes"]) == 12
    assert document["summary"] == {"applied": 6, "failed": 6, "stale": 0, "withheld": 0, "not_attempted": 0}
    assert document["exit_code"] == 3


def test_a_finding_of_plan_and_apply_is_written_once() -> None:
    finding = Finding(Severity.WARNING, "size", "too large", "eu-west-1 /a")
    later = Finding(Severity.WARNING, "overwritten", "a version was overwritten", "eu-west-1 /b")
    plan = plans.plan_of([], findings=[finding])
    document = plans.report_document_of(plans.reported(plan, findings=(finding, later)))
    assert [(f["code"], f["replication"]) for f in document["findings"]] == [
        ("size", "prod"),
        ("overwritten", ""),
    ]


def test_findings_of_the_run_are_sorted_however_they_were_found() -> None:
    found = [Finding(Severity.WARNING, code, "too large", "r.yaml:1:1") for code in ("c", "a", "b")]
    documents = [
        plans.document_of(dataclasses.replace(plans.plan_of([]), findings=order))
        for order in (tuple(found), tuple(reversed(found)))
    ]
    assert [[one["code"] for one in document["findings"]] for document in documents] == [["a", "b", "c"]] * 2


def test_others_keep_the_word_they_are_counted_under() -> None:
    left = plans.other("eu-west-1", "/a", Row.DELETE, "orphaned", "`delete: never` keeps it")
    assert plans.document_of(plans.plan_of([], others=[left]))["others"] == [
        {
            "replication": "prod",
            "target": "eu-west-1",
            "name": "/a",
            "row": "delete",
            "counted": "orphaned",
            "reasons": ["`delete: never` keeps it"],
        }
    ]


def test_the_parts_of_a_value_are_in_the_document_and_those_of_a_secret_are_not() -> None:
    parts = ValueParts(
        "json",
        (
            ValuePart("limits.max", "100", "250", 0, 3, 3),
            ValuePart("text", "b", "c", 260, 300, 261),
            ValuePart("new", None, "true", 0, 0, 4),
            ValuePart("line 9", "x", "x", 0, 1, 1, is_context=True),
        ),
        more=3,
        notes=("comments differ too",),
    )
    change = change_of(plans.update("eu-west-1", "/a", Difference("value", "x", "y", cut=True, parts=parts)))
    assert change["attributes"]["value"] == {
        "before": "x",
        "after": "y",
        "cut": True,
        "form": "json",
        "parts": [
            {"key": "limits.max", "before": "100", "after": "250"},
            {
                "key": "text", "before": "b", "after": "c",
                "start": 260, "before_length": 300, "after_length": 261,
            },
            {"key": "new", "before": None, "after": "true"},
            {"key": "line 9", "before": "x", "after": "x", "context": True},
        ],
        "more": 3,
        "notes": ["comments differ too"],
    }  # fmt: skip
    jsonschema.validate(change["attributes"]["value"], schema("plan")["definitions"]["attribute"] | {
        "definitions": schema("plan")["definitions"]
    })  # fmt: skip


@pytest.mark.parametrize("key", ["form", "parts", "more", "notes"])
def test_a_secret_with_a_part_does_not_fit_the_schema(key: str) -> None:
    document = plans.document_of(plans.plan_of([plans.update("eu-west-1", "/a", plans.secret())]))
    shown: Any = {"form": "text", "parts": [], "more": 1, "notes": []}
    document["changes"][0]["attributes"]["value"][key] = shown[key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema("plan"))


def test_an_outcome_has_the_state_before_and_after_if_it_wrote() -> None:
    plan = plans.plan_of([plans.create("t", "/p/a"), plans.create("t", "/p/b"), plans.create("t", "/p/c")])
    applied, failed, stale = plan.changes
    left = ParameterVersion(1, plans.NOW)
    outcomes = (
        Outcome(applied, Result.APPLIED, written=Written(None, left, TagDiff({}, {"team": "a"}))),
        Outcome(failed, Result.FAILED, "PutParameter: denied"),
        Outcome(stale, Result.STALE, "its source is gone"),
    )
    document = plans.report_document_of(Report(plan, outcomes))
    jsonschema.validate(document, schema("report"))
    states = [{key: one.get(key, "") for key in ("before", "after", "tags")} for one in document["outcomes"]]
    assert states == [
        {
            "before": None,
            "after": {"version": 1, "last_modified": moment(plans.NOW)},
            "tags": {"before": {}, "after": {"team": "a"}},
        },
        {"before": None, "after": None, "tags": None},
        {"before": "", "after": "", "tags": ""},
    ]


def test_an_outcome_names_a_release() -> None:
    plan = plans.plan_of([plans.release("t", "/p/a"), plans.delete("t", "/p/b")])
    entries = plans.report_document_of(plans.reported(plan))["outcomes"]
    assert {one["name"]: one.get("releases", False) for one in entries} == {"/p/a": True, "/p/b": False}


@pytest.mark.parametrize(("owner", "releases"), [(None, True), ("ssm-reconcile", False)])
def test_an_undo_releases_a_parameter_only_if_it_ends_the_ownership(
    owner: str | None, releases: bool
) -> None:
    update = plans.update("t", "/p/a")
    effect = Restore(plans.wanted("/p/a"), TagDiff(), None, put=True, owner=owner)
    change = dataclasses.replace(update, effect=effect)
    (entry,) = plans.report_document_of(plans.reported(plans.plan_of([change])))["outcomes"]
    assert entry.get("releases", False) is releases


def test_a_report_names_the_id_of_the_spec_by_its_digest() -> None:
    part = dataclasses.replace(plans.twelve().replications[0], spec_id="0123456789ab")
    document = plans.report_document_of(Report(Plan((part,)), ()))
    assert [one["spec_id"] for one in document["replications"]] == ["0123456789ab"]
    jsonschema.validate(document, schema("report"))
