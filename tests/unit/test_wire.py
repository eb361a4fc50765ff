"""AWS's JSON into our nouns and back, without AWS."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ssm_reconcile.model import Place, SealedText
from ssm_reconcile.stores.base import Put
from ssm_reconcile.stores.wire import (
    batches,
    name_in,
    parameter_of,
    policies_of,
    put_arguments,
    tags_of,
    value_of,
)

HERE = Place("111111111111", "us-east-1")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEAST = {"Name": "/a", "Type": "String", "Version": 1, "LastModifiedDate": NOON}


def put(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": "/a", "text": SealedText("v"), "type": "String", "overwrite": True}
    return dict(put_arguments(Put(**{**fields, **changed})))


def test_fields_that_aws_omits_have_their_default() -> None:
    found = parameter_of(LEAST)
    assert (found.tier, found.data_type, found.description, found.allowed_pattern) == (
        "Standard",
        "text",
        "",
        "",
    )
    assert (found.policies, found.key_id, found.last_modified_user) == ((), None, "")


def test_a_time_is_always_in_utc() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5)))
    for moment in (NOON, local, NOON.replace(tzinfo=None)):
        found = parameter_of({**LEAST, "LastModifiedDate": moment}).last_modified
        assert (found, found.utcoffset()) == (NOON, timedelta(0))


def test_only_secure_strings_have_a_key() -> None:
    assert parameter_of({**LEAST, "KeyId": "alias/left-over"}).key_id is None
    assert parameter_of({**LEAST, "Type": "SecureString", "KeyId": "alias/app"}).key_id == "alias/app"


def test_policies_are_the_same_in_whatever_order_form_and_status_they_come() -> None:
    expiry = {"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2030-01-01T00:00:00Z"}}
    notice = {"Version": "1.0", "Type": "NoChangeNotification", "Attributes": {"After": "2", "Unit": "Days"}}
    as_text = [
        {"PolicyText": json.dumps(one, indent=2), "PolicyStatus": "Pending"} for one in (expiry, notice)
    ]
    as_object = [
        {"PolicyText": one, "PolicyStatus": "Finished"} for one in (notice, dict(reversed(expiry.items())))
    ]
    assert policies_of(as_text) == policies_of(as_object)
    assert len(policies_of(as_text)) == 2


@pytest.mark.parametrize("empty", [{}, "{}", " { } ", "", None])
def test_an_empty_policy_is_none(empty: object) -> None:
    assert policies_of([{"PolicyText": empty, "PolicyType": {}}]) == ()


def test_a_policy_that_is_not_json_is_kept_unchanged() -> None:
    assert policies_of([{"PolicyText": "not json"}]) == ("not json",)


def test_a_value_is_sealed_at_once_and_named_without_its_selector() -> None:
    response = {**LEAST, "Name": "a:3", "Value": "hunter2", "Version": 3, "Type": "SecureString"}
    value = value_of(response)
    assert (value.name, value.version, value.text.reveal()) == ("/a", 3, "hunter2")
    assert "hunter2" not in repr(value)


def test_tags_are_a_mapping() -> None:
    assert tags_of([{"Key": "a", "Value": "1"}, {"Key": "b"}]) == {"a": "1", "b": ""}


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:ssm:us-east-1:111111111111:parameter/a/b", "/a/b"),
        ("arn:aws:ssm:us-east-1:111111111111:parameter/foo", "/foo"),
        ("arn:aws:ssm:us-east-1:111111111111:parameter/x/parameter/y", "/x/parameter/y"),
        ("arn:aws:ssm:us-east-1:222222222222:parameter/a", None),
        ("arn:aws:ssm:eu-west-1:111111111111:parameter/a", None),
        ("arn:aws:ssm:us-east-1:111111111111:document/a", None),
        ("", None),
    ],
)
def test_a_name_is_read_from_the_arns_of_this_place_only(arn: str, name: str | None) -> None:
    assert name_in(arn, HERE) == name


def test_a_create_sends_what_there_is_and_its_tags_in_order() -> None:
    assert put(overwrite=False, tags={"b": "2", "a": "1"}) == {
        "Name": "/a",
        "Value": "v",
        "Type": "String",
        "Overwrite": False,
        "Tier": "Standard",
        "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}],
    }


def test_an_overwrite_clears_what_is_not_there() -> None:
    sent = put()
    assert (sent["Description"], sent["AllowedPattern"], sent["Tier"]) == ("", "", "Standard")
    assert "Tags" not in sent


@pytest.mark.parametrize(
    ("tier", "overwrite", "policies", "sent"),
    [
        ("Advanced", True, (), "[{}]"),
        ("Intelligent-Tiering", True, (), None),
        ("Standard", True, (), None),
        ("Advanced", False, (), None),
        ("Advanced", False, ('{"a":1}', '{"b":2}'), '[{"a":1},{"b":2}]'),
        ("Advanced", True, ('{"a":1}',), '[{"a":1}]'),
    ],
)
def test_policies_are_set_cleared_or_left_out(
    tier: str, overwrite: bool, policies: tuple[str, ...], sent: str | None
) -> None:
    assert put(tier=tier, overwrite=overwrite, policies=policies).get("Policies") == sent


def test_intelligent_tiering_clears_policies_only_where_there_are_some() -> None:
    assert put(tier="Intelligent-Tiering", overwrite=True, clears_policies=True)["Policies"] == "[{}]"
    assert "Policies" not in put(tier="Intelligent-Tiering", overwrite=False, clears_policies=True)
    assert "Policies" not in put(tier="Standard", overwrite=True, clears_policies=True)


def test_the_data_type_text_is_never_sent() -> None:
    assert "DataType" not in put()
    assert put(data_type="aws:ec2:image")["DataType"] == "aws:ec2:image"


def test_a_key_goes_with_a_secure_string_only() -> None:
    assert put(type="SecureString", key_id="alias/app")["KeyId"] == "alias/app"
    assert "KeyId" not in put(type="String", key_id="alias/app")


def test_batches_ask_for_no_parameter_twice() -> None:
    asked = [f"/p{n}" for n in range(12)] + ["/p1", "p1", "/p1:3", "/p1:4", "/p2:9"]
    made = list(batches(asked, 10))
    assert all(len(batch) <= 10 for batch in made)
    assert sorted(name for batch in made for name in batch) == sorted(set(asked))
    for batch in made:
        bases = [name.lstrip("/").partition(":")[0] for name in batch]
        assert len(bases) == len(set(bases))


@pytest.mark.parametrize("text", ["not JSON", "[" * 4000])
def test_a_policy_that_is_not_json_stays_as_it_is(text: str) -> None:
    assert policies_of([{"PolicyText": text}]) == (text,)
