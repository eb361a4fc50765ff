"""The contract of `base.Writer`, kept by every store, and the refusals of AWS."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import KeyState, Parameter, SealedText
from ssm_reconcile.stores.base import Put, Store
from tests.contract.conftest import Bench, plain, secret
from tests.fake_aws.behaviour import AwsBehaviour, InPlace, ListSpaces, Moves, Recreate

EXPIRES = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2030-01-01T00:00:00.000Z"}}'


def described(store: Store, name: str) -> Parameter:
    return store.describe_names([name])[name]


def refusal(store: Store, request: Put) -> tuple[Trouble, str]:
    """The trouble of a put, which must have changed nothing."""
    before = [list(page) for page in store.describe()]
    with pytest.raises(StoreError) as caught:
        store.put(request)
    assert [list(page) for page in store.describe()] == before
    assert caught.value.operation == "PutParameter"
    assert request.text.reveal() not in str(caught.value) or not request.text.reveal()
    return caught.value.kind, caught.value.code


def test_a_create_is_version_one_with_its_tags(store: Store) -> None:
    assert store.put(plain("/a", "v", tags={"k": "v"})) == 1
    assert store.tags("/a") == {"k": "v"}


def test_a_create_of_a_taken_name_changes_nothing(store: Store) -> None:
    store.put(plain("/a", "first"))
    assert refusal(store, plain("/a", "second")) == (Trouble.EXISTS, "ParameterAlreadyExists")
    assert store.values(["/a"], decrypt=True).found["/a"].text.reveal() == "first"


@pytest.mark.parametrize(("first", "second"), [("name", "/name"), ("/name", "name")])
def test_a_name_with_and_without_its_slash_is_one_parameter(store: Store, first: str, second: str) -> None:
    store.put(plain(first, "v", tags={"k": "v"}))
    assert refusal(store, plain(second))[0] is Trouble.EXISTS
    assert store.put(plain(second, "w", overwrite=True)) == 2
    for name in (first, second):
        assert store.values([name], decrypt=True).found["/name"].text.reveal() == "w"
        assert store.tags(name) == {"k": "v"}
    assert store.delete([second]) == {"/name"}
    assert store.tags(first) is None


def test_an_overwrite_makes_a_version_and_moves_the_time(bench: Bench) -> None:
    store = bench.store()
    store.put(plain("/a", "one"))
    before = described(store, "/a")
    bench.clock.advance(timedelta(seconds=5))
    assert store.put(plain("/a", "two", overwrite=True)) == 2
    after = described(store, "/a")
    assert (after.version, after.last_modified - before.last_modified) == (2, timedelta(seconds=5))


def test_an_overwrite_of_nothing_is_a_create(store: Store) -> None:
    assert store.put(plain("/a", overwrite=True)) == 1


def test_a_complete_overwrite_clears_what_it_leaves_empty(store: Store) -> None:
    full = Put(
        "/a",
        SealedText("abc"),
        "String",
        overwrite=False,
        description="d",
        allowed_pattern="[a-c]+",
        tier="Advanced",
        policies=(EXPIRES,),
    )
    store.put(full)
    bare = replace(full, overwrite=True, description="", allowed_pattern="", policies=())
    store.put(bare)
    found = described(store, "/a")
    assert (found.description, found.allowed_pattern, found.policies, found.tier) == ("", "", (), "Advanced")


def test_an_overwrite_keeps_tags_and_cannot_carry_any(store: Store) -> None:
    store.put(plain("/a", tags={"k": "v"}))
    store.put(plain("/a", "w", overwrite=True))
    assert store.tags("/a") == {"k": "v"}
    request = replace(plain("/a", "w", overwrite=True), tags={"k": "w"})
    assert refusal(store, request) == (Trouble.REFUSED, "ValidationException")


@pytest.mark.parametrize("readings", [AwsBehaviour(tags_move_modified=reading) for reading in Moves])
def test_tags_are_added_overwritten_and_removed_without_a_version(
    bench: Bench, readings: AwsBehaviour
) -> None:
    store = bench.store()
    store.put(plain("/a", tags={"keep": "1", "change": "1", "go": "1"}))
    before = described(store, "/a")
    bench.clock.advance(timedelta(minutes=1))
    store.add_tags("/a", {"change": "2", "new": "1"})
    store.remove_tags("/a", ["go", "never there"])
    assert store.tags("/a") == {"keep": "1", "change": "2", "new": "1"}
    after = described(store, "/a")
    assert after.version == before.version
    moved = after.last_modified != before.last_modified
    assert moved == (readings.tags_move_modified is Moves.YES)


def test_adding_or_removing_no_tags_changes_nothing_and_needs_no_parameter(store: Store) -> None:
    store.put(plain("/a", tags={"k": "v"}))
    before = described(store, "/a")
    for name in ("/a", "/absent"):
        store.add_tags(name, {})
        store.remove_tags(name, [])
    assert described(store, "/a") == before
    assert store.tags("/a") == {"k": "v"}
    assert store.tags("/absent") is None


def test_tags_of_nothing_are_missing(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        store.add_tags("/absent", {"k": "v"})
    assert caught.value.kind is Trouble.MISSING
    with pytest.raises(StoreError) as caught:
        store.remove_tags("/absent", ["k"])
    assert caught.value.kind is Trouble.MISSING


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"aws:x": "v"}, "ValidationException"),
        ({"AWS:x": "v"}, "ValidationException"),
        ({"k" * 129: "v"}, "ValidationException"),
        ({"k": "v" * 257}, "ValidationException"),
        ({"k!": "v"}, "ValidationException"),
        ({"k": "a*b"}, "ValidationException"),
        ({f"new{number}": "v" for number in range(46)}, "TooManyTagsError"),
    ],
)
def test_tags_that_aws_does_not_take_change_nothing(store: Store, tags: dict[str, str], code: str) -> None:
    old = {f"old{number}": "v" for number in range(5)}
    store.put(plain("/a", tags=old))
    with pytest.raises(StoreError) as caught:
        store.add_tags("/a", tags)
    assert (caught.value.kind, caught.value.code) == (Trouble.REFUSED, code)
    assert store.tags("/a") == old
    assert refusal(store, plain("/new", tags={**old, **tags})) == (Trouble.REFUSED, code)


def test_fifty_tags_fit(store: Store) -> None:
    store.put(plain("/a", tags={f"k{number}": "v" for number in range(50)}))
    store.add_tags("/a", {"k1": "w"})
    with pytest.raises(StoreError):
        store.add_tags("/a", {"one more": "v"})


def test_a_delete_removes_tags_and_history(bench: Bench) -> None:
    store = bench.store()
    for name in ("/a", "/a/b", "/c"):
        store.put(plain(name, tags={"k": "v"}))
    store.put(plain("/a", "two", overwrite=True))
    assert store.delete(["/a", "/a/b", "/never"]) == {"/a", "/a/b", "/never"}
    assert store.tags("/a") is None
    assert sorted(store.describe_names(["/a", "/a/b", "/c"])) == ["/c"]
    bench.rest()
    assert store.put(plain("/a", "again")) == 1
    assert store.put(plain("/a/b", "again")) == 1
    assert (store.tags("/a"), store.tags("/a/b")) == ({}, {})
    assert store.values(["/a:2"], decrypt=True).missing == {"/a:2"}


def test_ten_names_are_deleted_at_once_and_eleven_are_not(store: Store) -> None:
    names = [f"/n/{number}" for number in range(11)]
    for name in names:
        store.put(plain(name))
    with pytest.raises((StoreError, ValueError)):
        store.delete(names)
    assert store.delete(names[:10]) == set(names[:10])
    assert store.delete([]) == frozenset()


@pytest.mark.parametrize(
    ("readings", "kind"),
    [
        (AwsBehaviour(recreate=Recreate.BUSY), Trouble.THROTTLED),
        (AwsBehaviour(recreate=Recreate.EXISTS), Trouble.EXISTS),
        (AwsBehaviour(recreate=Recreate.ALLOWED), None),
    ],
)
def test_a_name_rests_for_half_a_minute_after_its_delete(bench: Bench, kind: Trouble | None) -> None:
    store = bench.store()
    store.put(plain("/a"))
    store.delete(["/a"])
    bench.clock.advance(timedelta(seconds=29))
    if kind is None:
        assert store.put(plain("/a")) == 1
        return
    assert refusal(store, plain("/a"))[0] is kind
    bench.clock.advance(timedelta(seconds=1))
    assert store.put(plain("/a")) == 1


REFUSED: dict[str, dict[str, Any]] = {
    "empty value": {"text": SealedText("")},
    "a reference": {"text": SealedText("before {{ssm:/other}} after")},
    "4097 bytes": {"text": SealedText("a" * 4097)},
    "4097 bytes in fewer characters": {"text": SealedText("é" * 2049)},
    "8193 bytes": {"text": SealedText("a" * 8193), "tier": "Advanced"},
    "a long description": {"description": "d" * 1025},
    "a type of its own": {"type": "Text"},
    "a tier of its own": {"tier": "Basic"},
    "a data type of its own": {"data_type": "aws:nonsense"},
    "an integration that is not a secret": {"data_type": "aws:ssm:integration", "type": "SecureString"},
    "policies on Standard": {"policies": (EXPIRES,)},
    "an image that is a list": {"data_type": "aws:ec2:image", "type": "StringList"},
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED)
def test_requests_that_aws_refuses_are_refused(store: Store, fields: dict[str, Any]) -> None:
    assert refusal(store, replace(plain("/a"), **fields)) == (Trouble.REFUSED, "ValidationException")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/a b", "ValidationException"),
        ("/a:1", "ValidationException"),
        ("a/b", "ValidationException"),
        ("/a//b", "ValidationException"),
        ("/a/", "ValidationException"),
        ("/", "ValidationException"),
        ("awsome", "ValidationException"),
        ("/SSM-x", "ValidationException"),
        ("/ssm/x", "ValidationException"),
        ("/aws/x", "AccessDeniedException"),
        ("/a" * 16, "HierarchyLevelLimitExceededException"),
        ("/" + "n" * 966, "ValidationException"),
    ],
)
def test_names_that_aws_does_not_take_are_refused(store: Store, name: str, code: str) -> None:
    assert refusal(store, plain(name))[1] == code


@pytest.mark.parametrize("name", ["/a" * 15, "/" + "n" * 965, "A_b-c.d", "/a/aws/ssm", "/x" + "/y/.z"])
def test_names_at_the_edge_are_taken(store: Store, name: str) -> None:
    assert store.put(plain(name)) == 1


@pytest.mark.parametrize(
    ("pattern", "code"),
    [("[0-9", "InvalidAllowedPatternException"), ("[0-9]+", "ParameterPatternMismatchException")],
)
def test_a_value_must_match_its_pattern(store: Store, pattern: str, code: str) -> None:
    request = replace(plain("/a", "letters"), allowed_pattern=pattern)
    assert refusal(store, request) == (Trouble.REFUSED, code)


def policy(kind: str, **attributes: str) -> str:
    given = ",".join(f'"{key}":"{text}"' for key, text in attributes.items())
    return f'{{"Type":"{kind}","Version":"1.0","Attributes":{{{given}}}}}'


@pytest.mark.parametrize(
    ("policies", "code"),
    [
        (("not json",), "InvalidPolicyAttributeException"),
        (('"text"',), "InvalidPolicyAttributeException"),
        ((policy("Vanish"),), "InvalidPolicyTypeException"),
        ((policy("Expiration"),), "InvalidPolicyAttributeException"),
        ((policy("Expiration", Timestamp="soon"),), "InvalidPolicyAttributeException"),
        ((policy("Expiration", Timestamp="2020-01-01T00:00:00Z"),), "InvalidPolicyAttributeException"),
        ((policy("NoChangeNotification", After="2", Unit="Weeks"),), "InvalidPolicyAttributeException"),
        ((EXPIRES, EXPIRES), "IncompatiblePolicyException"),
        (tuple(policy("NoChangeNotification", After=str(n), Unit="Days") for n in range(11)),
         "PoliciesLimitExceededException"),
        ((policy("NoChangeNotification", After="1" * 4096, Unit="Days"),), "ValidationException"),
    ],
)  # fmt: skip
def test_policies_that_aws_does_not_take_are_refused(
    store: Store, policies: tuple[str, ...], code: str
) -> None:
    request = replace(plain("/a"), tier="Advanced", policies=policies)
    assert refusal(store, request) == (Trouble.REFUSED, code)


def test_a_tier_goes_up_and_never_down(store: Store) -> None:
    store.put(plain("/a"))
    store.put(replace(plain("/a", overwrite=True), tier="Advanced"))
    assert described(store, "/a").tier == "Advanced"
    assert refusal(store, plain("/a", overwrite=True)) == (Trouble.DOWNGRADE, "ValidationException")
    store.put(replace(plain("/a", overwrite=True), tier="Intelligent-Tiering"))
    assert described(store, "/a").tier == "Advanced"


@pytest.mark.parametrize(("size", "tier"), [(4096, "Standard"), (4097, "Advanced"), (8192, "Advanced")])
def test_intelligent_tiering_is_shown_as_the_tier_it_chose(store: Store, size: int, tier: str) -> None:
    store.put(replace(plain("/a", "a" * size), tier="Intelligent-Tiering"))
    assert described(store, "/a").tier == tier


@pytest.mark.parametrize("readings", [AwsBehaviour(type_change=reading) for reading in InPlace])
@pytest.mark.parametrize("to_secret", [True, False])
def test_a_type_changes_in_place_or_is_refused_as_such(
    store: Store, readings: AwsBehaviour, to_secret: bool
) -> None:
    first, second = plain("/a", "v"), secret("/a", "w")
    if not to_secret:
        first, second = second, first
    store.put(first)
    change = replace(second, overwrite=True)
    if readings.type_change is InPlace.REFUSED:
        assert refusal(store, change) == (Trouble.TYPE, "HierarchyTypeMismatchException")
        return
    assert store.put(change) == 2
    found = described(store, "/a")
    assert (found.type, found.key_id) == (second.type, second.key_id)


@pytest.mark.parametrize("readings", [AwsBehaviour(data_type_change=reading) for reading in InPlace])
def test_a_data_type_changes_in_place_or_is_refused(store: Store, readings: AwsBehaviour) -> None:
    store.put(plain("/a", "ami-12345678"))
    change = replace(plain("/a", "ami-12345678", overwrite=True), data_type="aws:ec2:image")
    if readings.data_type_change is InPlace.REFUSED:
        assert refusal(store, change) == (Trouble.REFUSED, "ValidationException")
        return
    store.put(change)
    assert described(store, "/a").data_type == "aws:ec2:image"


@pytest.mark.parametrize("readings", [AwsBehaviour(list_spaces=reading) for reading in ListSpaces])
def test_a_list_comes_back_with_or_without_its_spaces(store: Store, readings: AwsBehaviour) -> None:
    store.put(Put("/a", SealedText("a, b ,c d"), "StringList", overwrite=False))
    text = store.values(["/a"], decrypt=True).found["/a"].text.reveal()
    assert text == ("a,b,c d" if readings.list_spaces is ListSpaces.STRIPPED else "a, b ,c d")


def test_a_secret_needs_a_key_of_its_region_that_is_usable(bench: Bench) -> None:
    bench.add_key("alias/off")
    bench.set_key("alias/off", KeyState.DISABLED)
    elsewhere = bench.add_key("alias/app", region="eu-west-1")
    store = bench.store()
    for key in ("alias/off", "alias/app", "alias/absent", elsewhere):
        assert refusal(store, secret("/a", key=key)) == (Trouble.KEY, "InvalidKeyId")
    assert refusal(store, secret("/a", key="alias/with space"))[0] is Trouble.REFUSED


def test_a_secret_is_shown_with_the_alias_it_was_given(bench: Bench) -> None:
    bench.add_key("alias/app")
    bench.add_key("alias/app2")
    store = bench.store()
    store.put(secret("/a", key="alias/app"))
    store.put(secret("/a", overwrite=True, key="alias/app2"))
    store.put(secret("/b"))
    assert described(store, "/a").key_id == "alias/app2"
    assert described(store, "/b").key_id == "alias/aws/ssm"


def test_the_oldest_version_goes_unless_it_carries_a_label(bench: Bench) -> None:
    store = bench.store()
    for number in range(101):
        store.put(plain("/a", str(number), overwrite=True))
    assert store.values(["/a:1", "/a:2"], decrypt=True).missing == {"/a:1"}
    bench.label("/a", 2, "pinned")
    request = plain("/a", "one more", overwrite=True)
    assert refusal(store, request) == (Trouble.REFUSED, "ParameterMaxVersionLimitExceeded")


def test_awaiting_a_turn_for_any_step_writes_nothing(store: Store) -> None:
    store.put(plain("/a", tags={"k": "v"}))
    before = described(store, "/a")
    for step in (CallClass.PUT, CallClass.TAGS, CallClass.DELETE):
        store.await_turn(step)
    assert described(store, "/a") == before
    assert store.tags("/a") == {"k": "v"}
