"""Which attributes differ, and how they may be shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Difference, TagDiff, ValuePart, ValueParts
from ssm_reconcile.diff.compare import (
    ValueMatch,
    attribute_differences,
    cannot_change_in_place,
    compare_values,
    tag_difference,
    value_difference,
)
from ssm_reconcile.model import (
    ADVANCED,
    IMAGE,
    INTELLIGENT,
    MANAGED_KEY,
    SECURE,
    STANDARD,
    Key,
    Keyring,
    Reading,
    UnreadableValue,
)
from ssm_reconcile.record import key_digest
from ssm_reconcile.shape import EXCERPT
from tests.builders import COPIED_AT, THERE, desired, parameter, record, replication, ring

RING = ring(THERE, "alias/app")
ARN = RING.identity("alias/app")


def reading(digest: bytes = b"1", text: str | None = "v", kind: str = "String") -> Reading:
    return Reading(1, COPIED_AT, digest, text, type=kind)


@pytest.mark.parametrize(
    ("source", "live", "known"),
    [
        (reading(b"1"), reading(b"1"), ValueMatch.EQUAL),
        (reading(b"1"), reading(b"2"), ValueMatch.DIFFERENT),
        (reading(), UnreadableValue("AccessDenied", ""), ValueMatch.UNKNOWN),
        (UnreadableValue("AccessDenied", ""), reading(), ValueMatch.UNKNOWN),
        (None, reading(), ValueMatch.UNKNOWN),
        (reading(), None, ValueMatch.UNKNOWN),
    ],
)
def test_values_are_compared_by_digest_and_never_guessed(source: Any, live: Any, known: ValueMatch) -> None:
    assert compare_values(source, live) is known


def test_a_plain_value_is_shown_by_its_beginning_and_its_parts() -> None:
    found = value_difference(reading(b"1", "new" * 100), reading(b"2", "old"))
    parts = ValueParts("text", (ValuePart("", "old", ("new" * 100)[:EXCERPT], 0, 3, 300),))
    assert found == Difference("value", before="old", after=("new" * 100)[:EXCERPT], cut=True, parts=parts)


@pytest.mark.parametrize(
    ("kinds", "form"), [(("StringList", "StringList"), "list"), (("StringList", "String"), "text")]
)
def test_values_are_compared_by_item_if_both_are_lists(kinds: tuple[str, str], form: str) -> None:
    found = value_difference(reading(b"1", "a,b", kinds[0]), reading(b"2", "a,c", kinds[1]))
    assert found.parts is not None
    assert found.parts.form == form


@pytest.mark.parametrize(
    ("source", "live"),
    [
        (reading(text=None), reading()),
        (reading(), reading(text=None)),
        (None, None),
        (None, reading()),
        (reading(text=None), None),
    ],
)
def test_a_value_is_shown_on_neither_side_when_one_of_them_is_secret(
    source: Reading | None, live: Reading | None
) -> None:
    assert value_difference(source, live) == Difference("value", secret=True)


def test_equal_attributes_make_no_difference() -> None:
    assert attribute_differences(desired(), parameter(version=9, at=COPIED_AT), RING, None) == ()


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ({"description": "a"}, {"description": "b"}, ("description", "a", "b")),
        ({"allowed_pattern": "a"}, {"allowed_pattern": "b"}, ("AllowedPattern", "a", "b")),
        ({"tier": STANDARD}, {"tier": ADVANCED}, ("tier", STANDARD, ADVANCED)),
        ({"data_type": "text"}, {"data_type": IMAGE}, ("DataType", "text", IMAGE)),
        ({"policies": ()}, {"policies": ('{"b":1}', '{"a":1}')}, ("policies", "[]", '[{"a":1},{"b":1}]')),
        ({"policies": ('{"a":1}',)}, {"policies": ()}, ("policies", '[{"a":1}]', "[]")),
        ({"policies": ("not JSON",)}, {"policies": ()}, ("policies", "[not JSON]", "[]")),
        ({"policies": ("[" * 4000,)}, {"policies": ()}, ("policies", f"[{'[' * 4000}]", "[]")),
    ],
)
def test_an_attribute_is_shown_before_and_after(
    before: dict[str, Any], after: dict[str, Any], shown: tuple[str, str, str]
) -> None:
    wanted = desired(source=parameter(**after))
    (found,) = attribute_differences(wanted, parameter(**before), RING, None)
    assert (found.attribute, found.before, found.after, found.secret) == (*shown, False)


def test_all_attributes_that_differ_are_named_and_sorted() -> None:
    wanted = desired(source=parameter(description="d", tier=ADVANCED, allowed_pattern="p"))
    found = attribute_differences(wanted, parameter(kind="StringList"), RING, None)
    assert [d.attribute for d in found] == ["AllowedPattern", "description", "tier", "type"]


@pytest.mark.parametrize("live_kind", ["String", SECURE])
def test_a_pattern_is_hidden_when_either_side_is_a_secret(live_kind: str) -> None:
    wanted = desired(
        source=parameter(kind=SECURE if live_kind == "String" else "String", allowed_pattern="x")
    )
    found = attribute_differences(wanted, parameter(kind=live_kind, allowed_pattern="y"), RING, None)
    assert Difference("AllowedPattern", secret=True) in found


def test_the_other_attributes_of_a_secret_are_shown() -> None:
    wanted = desired(source=parameter(kind=SECURE, description="new"))
    found = attribute_differences(wanted, parameter(kind=SECURE, description="old"), RING, None)
    assert Difference("description", "old", "new") in found


def test_a_key_differs_when_it_resolves_to_another_one() -> None:
    wanted = desired(kind=SECURE, key_id="alias/app", key_identity=ARN)
    (found,) = attribute_differences(wanted, parameter(kind=SECURE), RING, None)
    assert (found.attribute, found.before, found.after) == ("KeyId", MANAGED_KEY, "alias/app")


@pytest.mark.parametrize("named", ["alias/app", "the-id", "the-arn"])
def test_a_key_is_the_same_by_whatever_name(named: str) -> None:
    keys = Keyring({**RING.keys, "the-id": Key(ARN), "the-arn": Key(ARN)})
    wanted = desired(kind=SECURE, key_id="alias/app", key_identity=ARN)
    assert attribute_differences(wanted, parameter(kind=SECURE, key_id=named), keys, None) == ()


def test_an_unresolved_key_is_compared_by_its_name() -> None:
    wanted = desired(kind=SECURE, key_id="alias/x", key_identity="alias/x")
    assert attribute_differences(wanted, parameter(kind=SECURE, key_id="alias/x"), Keyring({}), None) == ()


def test_a_secret_without_a_key_id_is_under_the_managed_key() -> None:
    live = replace(parameter(kind=SECURE), key_id=None)
    assert attribute_differences(desired(kind=SECURE), live, RING, None) == ()


def test_a_key_re_pointed_since_our_write_differs_although_its_name_is_the_same() -> None:
    wanted = desired(kind=SECURE, key_id="alias/app", key_identity=ARN)
    live = parameter(kind=SECURE, key_id="alias/app")
    (found,) = attribute_differences(wanted, live, RING, record(key=key_digest("arn:old")))
    assert (found.attribute, found.after, found.repointed) == ("KeyId", "alias/app", True)
    assert attribute_differences(wanted, live, RING, record(key=key_digest(ARN))) == ()
    assert attribute_differences(wanted, live, RING, record(key="none")) == ()


def test_a_key_that_differs_anyway_is_not_named_twice() -> None:
    wanted = desired(kind=SECURE, key_id="alias/app", key_identity=ARN)
    found = attribute_differences(wanted, parameter(kind=SECURE), RING, record(key=key_digest("arn:old")))
    assert [d.attribute for d in found] == ["KeyId"]


def test_a_secret_that_becomes_plain_loses_its_key() -> None:
    found = attribute_differences(desired(), parameter(kind=SECURE), RING, None)
    assert [(d.attribute, d.before, d.after) for d in found] == [
        ("KeyId", MANAGED_KEY, None),
        ("type", SECURE, "String"),
    ]


@pytest.mark.parametrize(
    ("source", "live"), [(INTELLIGENT, STANDARD), (INTELLIGENT, ADVANCED), (ADVANCED, INTELLIGENT)]
)
def test_either_tier_answers_intelligent_tiering(source: str, live: str) -> None:
    wanted = desired(source=parameter(tier=source))
    assert attribute_differences(wanted, parameter(tier=live), RING, None) == ()


@pytest.mark.parametrize(
    ("live", "wanted", "replaced"),
    [
        ({"tier": ADVANCED}, {"tier": STANDARD}, True),
        ({"tier": STANDARD}, {"tier": ADVANCED}, False),
        ({"data_type": IMAGE}, {}, True),
        ({}, {"data_type": IMAGE}, True),
        ({"description": "x"}, {}, False),
        ({"kind": "StringList"}, {}, False),
        ({"tier": ADVANCED, "description": "x"}, {"tier": ADVANCED}, False),
    ],
)
def test_only_a_downgrade_and_another_data_type_need_a_replacement(
    live: dict[str, Any], wanted: dict[str, Any], *, replaced: bool
) -> None:
    there, to_be = parameter(**live), desired(source=parameter(**wanted))
    differences = attribute_differences(to_be, there, RING, None)
    assert cannot_change_in_place(to_be, there, differences) is replaced


def test_tags_differ_by_key_and_value_and_only_those_are_named() -> None:
    wanted = desired(tags={"same": "1", "changed": "new", "added": "1"})
    found = tag_difference(replication(), wanted, {"same": "1", "changed": "old", "gone": "1"})
    assert found == TagDiff({"changed": "old", "gone": "1"}, {"added": "1", "changed": "new"})
    assert (found.removed, found.added) == (("gone",), {"added": "1", "changed": "new"})


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({"a": "1"}, {"b": "1"}),  # no common key
        ({"__a": "1"}, {"__a": "2"}),
        ({"a']['b": "1"}, {'"a"[0]': "1"}),
        ({"": "1"}, {"": "2"}),
    ],
)
def test_tags_of_any_spelling_are_named(live: dict[str, str], wanted: dict[str, str]) -> None:
    assert tag_difference(replication(), desired(tags=wanted), live) == TagDiff(live, wanted)


def test_equal_policies_differ_in_no_attribute() -> None:
    live, source = parameter(policies=('{"a":1}', '{"b":1}')), parameter(policies=('{"b":1}', '{"a":1}'))
    assert attribute_differences(desired(source=source), live, RING, None) == ()


def test_tags_that_are_not_ours_to_touch_are_not_looked_at() -> None:
    spec = replication(ignore_tags=("cost:*",))
    live = {"aws:x": "1", "ssm-reconcile:owner": "o", "skip_sync": "1", "cost:a": "1"}
    assert not tag_difference(spec, desired(), live)


def test_an_added_tag_is_ours_to_touch_even_where_it_is_ignored() -> None:
    spec = replication(ignore_tags=("cost:*",), add_tags=(("cost:a", "dr"),))
    wanted = desired(tags={"cost:a": "dr"})
    assert tag_difference(spec, wanted, {"cost:a": "prod"}).after == {"cost:a": "dr"}


def test_a_tag_with_an_empty_value_is_a_tag() -> None:
    assert tag_difference(replication(), desired(tags={"t": ""}), {}).added == {"t": ""}
    assert tag_difference(replication(), desired(), {"t": ""}).removed == ("t",)
