"""The contract of `base.Reader`, kept by every store."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import KeyState, Parameter, SealedText, Tags
from ssm_reconcile.stores.base import Put, Store
from tests.contract.conftest import HERE, Bench, plain, secret

PAGINGS = pytest.mark.parametrize(
    "sizes", [(), (0, 3, 0, 0, 50, 1)], ids=["full pages", "short and empty pages"]
)


def listed(store: Store) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in chain.from_iterable(store.describe())}


def tags_listed(store: Store) -> dict[str, Tags]:
    found: dict[str, Tags] = {}
    for page in store.tagged():
        assert not found.keys() & page.keys()
        found |= page
    return found


def test_an_empty_place_is_listed_as_empty(store: Store) -> None:
    assert listed(store) == {}
    assert tags_listed(store) == {}


def test_a_place_is_the_account_and_region_it_was_opened_in(store: Store) -> None:
    assert (store.place.account, store.place.region) == ("123456789012", HERE)
    assert store.caller.startswith("arn:aws:")


@PAGINGS
@pytest.mark.parametrize("count", [1, 50, 51, 120])
def test_every_parameter_is_listed_once_whatever_the_pages_hold(store: Store, count: int) -> None:
    names = [f"/many/{number}" for number in range(count)]
    for name in names:
        store.put(plain(name))
    pages = list(store.describe())
    assert sorted(parameter.name for page in pages for parameter in page) == sorted(names)
    assert all(len(page) <= 50 for page in pages)


def test_a_listing_tells_all_but_the_value(bench: Bench) -> None:
    bench.add_key("alias/app")
    store = bench.store()
    policy = '{"Attributes":{"Timestamp":"2030-01-01T00:00:00.000Z"},"Type":"Expiration","Version":"1.0"}'
    store.put(
        Put(
            "/full",
            SealedText("abc"),
            "SecureString",
            overwrite=False,
            description="what it is",
            allowed_pattern="[a-c]+",
            tier="Advanced",
            policies=(policy,),
            key_id="alias/app",
        )
    )
    found = listed(store)["/full"]
    assert found == Parameter(
        name="/full",
        type="SecureString",
        version=1,
        last_modified=bench.clock.now(),
        last_modified_user=store.caller,
        description="what it is",
        allowed_pattern="[a-c]+",
        tier="Advanced",
        policies=(policy,),
        data_type="text",
        key_id="alias/app",
    )


def test_policies_are_shown_as_canonical_json_in_order(store: Store) -> None:
    messy = (
        '{"Version": "1.0", "Type": "NoChangeNotification", "Attributes": {"Unit": "Days", "After": "7"}}',
        '{"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2031-05-01T00:00:00Z"}}',
    )
    store.put(Put("/policies", SealedText("v"), "String", overwrite=False, tier="Advanced", policies=messy))
    assert listed(store)["/policies"].policies == (
        '{"Attributes":{"After":"7","Unit":"Days"},"Type":"NoChangeNotification","Version":"1.0"}',
        '{"Attributes":{"Timestamp":"2031-05-01T00:00:00Z"},"Type":"Expiration","Version":"1.0"}',
    )


def test_an_attribute_that_was_not_set_is_empty(store: Store) -> None:
    store.put(plain("/bare"))
    found = listed(store)["/bare"]
    assert (found.description, found.allowed_pattern, found.policies, found.key_id) == ("", "", (), None)
    assert (found.tier, found.data_type) == ("Standard", "text")


@PAGINGS
def test_named_parameters_are_described_and_absent_ones_left_out(store: Store) -> None:
    for name in ("/a", "/a/b", "bare", "/other"):
        store.put(plain(name))
    found = store.describe_names(["/a", "/a/b", "bare", "/absent"])
    assert sorted(found) == ["/a", "/a/b", "/bare"]
    assert found["/bare"].version == 1


def test_more_than_fifty_named_parameters_are_described(store: Store) -> None:
    names = [f"/many/{number}" for number in range(60)]
    for name in names:
        store.put(plain(name))
    assert sorted(store.describe_names(names)) == sorted(names)


@PAGINGS
def test_names_are_found_by_a_tag_and_its_values(store: Store) -> None:
    store.put(plain("/a", tags={"owner": "us"}))
    store.put(plain("/b", tags={"owner": "them"}))
    store.put(plain("/c", tags={"other": "us"}))
    store.put(plain("/d"))
    assert store.names_tagged("owner", ["us"]) == {"/a"}
    assert store.names_tagged("owner", ["us", "them", "absent"]) == {"/a", "/b"}
    assert store.names_tagged("owner", []) == {"/a", "/b"}


@PAGINGS
def test_bulk_tags_list_what_is_or_was_tagged_and_nothing_else(store: Store) -> None:
    for number in range(110):
        store.put(plain(f"/many/{number}", tags={"n": str(number)}))
    store.put(plain("/never"))
    store.put(plain("/once", tags={"k": "v"}))
    store.remove_tags("/once", ["k"])
    found = tags_listed(store)
    assert found["/many/7"] == {"n": "7"}
    assert found["/once"] == {}
    assert "/never" not in found
    assert len(found) == 111


def test_tags_of_one_parameter_are_read_directly(store: Store) -> None:
    store.put(plain("/a", tags={"k": "v", "key with space": "ünï/+=-@"}))
    store.put(plain("/b"))
    assert store.tags("/a") == {"k": "v", "key with space": "ünï/+=-@"}
    assert store.tags("/b") == {}
    assert store.tags("/absent") is None


def test_values_come_by_name_ten_at_a_time(bench: Bench) -> None:
    store = bench.store()
    names = [f"/many/{number}" for number in range(23)]
    for name in names:
        store.put(plain(name, f"value of {name}"))
    answers = store.values([*names, "/absent"], decrypt=True)
    assert {name: value.text.reveal() for name, value in answers.found.items()} == {
        name: f"value of {name}" for name in names
    }
    assert answers.missing == {"/absent"}
    assert answers.failed == {}
    value = answers.found["/many/7"]
    assert (value.type, value.version, value.last_modified) == ("String", 1, bench.clock.now())


def test_a_name_that_is_asked_twice_is_answered_once(store: Store) -> None:
    store.put(plain("/a"))
    assert list(store.values(["/a", "/a"], decrypt=True).found) == ["/a"]


def test_versions_and_labels_are_read_under_the_name_they_were_asked_by(bench: Bench) -> None:
    store = bench.store()
    store.put(plain("/a", "one"))
    store.put(plain("/a", "two", overwrite=True))
    bench.label("/a", 1, "first")
    answers = store.values(["/a", "/a:1", "/a:2", "/a:3", "/a:first", "/a:second"], decrypt=True)
    assert {name: value.text.reveal() for name, value in answers.found.items()} == {
        "/a": "two",
        "/a:1": "one",
        "/a:2": "two",
        "/a:first": "one",
    }
    assert answers.found["/a:1"].version == 1
    assert answers.missing == {"/a:3", "/a:second"}


def test_the_history_has_every_version_with_its_attributes_and_no_decrypted_secret(store: Store) -> None:
    assert store.history("/a") == []
    store.put(replace(plain("/a", "one"), description="first"))
    for number in range(2, 61):  # two pages
        store.put(plain("/a", f"version {number}", overwrite=True))
    found = store.history("/a")
    assert [past.parameter.version for past in found] == list(range(1, 61))
    assert (found[0].text.reveal(), found[0].parameter.description) == ("one", "first")
    assert found[-1].text.reveal() == "version 60"
    assert found[-1].parameter.last_modified == store.values(["/a"], decrypt=False).found["/a"].last_modified
    store.put(secret("/b", "hunter2"))
    (past,) = store.history("/b")
    assert past.text.reveal() != "hunter2"
    assert (past.parameter.type, past.parameter.key_id) == ("SecureString", "alias/aws/ssm")


@pytest.mark.parametrize("text", ["multi\nline\r\n\ttabs ", "ünïcödé 日本 🗾", " spaces around ", "a" * 4096])
@pytest.mark.parametrize("type_", ["String", "SecureString"])
def test_a_value_comes_back_byte_for_byte(store: Store, text: str, type_: str) -> None:
    key = "alias/aws/ssm" if type_ == "SecureString" else None
    store.put(Put("/a", SealedText(text), type_, overwrite=False, key_id=key))
    assert store.values(["/a"], decrypt=True).found["/a"].text.reveal() == text


def test_a_secret_is_not_in_what_comes_without_decryption(store: Store) -> None:
    store.put(secret("/a", "hunter2"))
    answer = store.values(["/a"], decrypt=False).found["/a"]
    assert "hunter2" not in answer.text.reveal()
    assert (answer.version, answer.type) == (1, "SecureString")


def test_one_bad_key_fails_its_own_parameter_and_no_other(bench: Bench) -> None:
    bench.add_key("alias/bad")
    store = bench.store()
    for number in range(9):
        store.put(secret(f"/many/{number}"))
    store.put(secret("/many/bad", key="alias/bad"))
    bench.set_key("alias/bad", KeyState.DISABLED)
    answers = store.values([f"/many/{number}" for number in range(9)] + ["/many/bad"], decrypt=True)
    assert len(answers.found) == 9
    assert list(answers.failed) == ["/many/bad"]
    failure = answers.failed["/many/bad"]
    assert isinstance(failure, StoreError)
    assert (failure.kind, failure.code, failure.operation) == (Trouble.KEY, "InvalidKeyId", "GetParameters")
    assert sorted(store.values(["/many/bad"], decrypt=False).found) == ["/many/bad"]


def test_keys_are_the_same_however_they_are_named(bench: Bench) -> None:
    arn = bench.add_key("alias/app")
    bench.add_key("alias/off")
    bench.set_key("alias/off", KeyState.DISABLED)
    bench.add_key("alias/going")
    bench.set_key("alias/going", KeyState.PENDING_DELETION)
    alias_arn = f"{arn.split(':key/')[0]}:alias/app"
    references = ["alias/app", alias_arn, arn, arn.rsplit("/", 1)[1]]
    keys = bench.store().keys([*references, "alias/off", "alias/going"])
    assert {keys[reference].identity for reference in references} == {arn}
    assert {keys[reference].state for reference in references} == {KeyState.USABLE}
    assert keys["alias/off"].state is not KeyState.USABLE
    assert keys["alias/going"].state is KeyState.PENDING_DELETION


def test_keys_that_are_not_there_are_missing(bench: Bench) -> None:
    elsewhere = bench.add_key("alias/app", region="eu-west-1")
    absent = "11111111-2222-3333-4444-555555555555"
    keys = bench.store().keys(["alias/app", elsewhere, absent])
    assert {key.state for key in keys.values()} == {KeyState.MISSING}
    assert set(keys) == {"alias/app", elsewhere, absent}


def test_the_key_of_aws_is_known_by_its_name_alone(bench: Bench) -> None:
    store = bench.store("eu-central-1")
    key = store.keys(["alias/aws/ssm"])["alias/aws/ssm"]
    assert (key.identity, key.managed, key.state) == ("alias/aws/ssm", True, KeyState.USABLE)


def test_regions_are_apart(bench: Bench) -> None:
    here, there = bench.store(), bench.store("eu-west-1")
    here.put(plain("/a", "here", tags={"k": "here"}))
    there.put(plain("/a", "there"))
    assert here.values(["/a"], decrypt=True).found["/a"].text.reveal() == "here"
    assert there.values(["/a"], decrypt=True).found["/a"].text.reveal() == "there"
    assert there.tags("/a") == {}
