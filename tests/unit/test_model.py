"""Parameters and places as data, and the values that do not leave memory."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest

from ssm_reconcile.model import (
    MANAGED_KEY,
    SECURE,
    Access,
    Key,
    Keyring,
    Listing,
    Parameter,
    Place,
    Reading,
    SealedText,
    Value,
    canonical,
    sorted_tags,
)
from tests.builders import HERE, MADE, listing, parameter

SECRET = "hunter2-and-more"


@pytest.mark.parametrize(("name", "form"), [("foo", "/foo"), ("/foo", "/foo"), ("/a/b", "/a/b")])
def test_a_name_has_one_form_with_and_without_its_slash(name: str, form: str) -> None:
    assert canonical(name) == form


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("/a/b", "arn:aws:ssm:us-east-1:123456789012:parameter/a/b"),
        ("foo", "arn:aws:ssm:us-east-1:123456789012:parameter/foo"),
        ("/foo", "arn:aws:ssm:us-east-1:123456789012:parameter/foo"),
    ],
)
def test_an_arn_has_one_slash_before_the_name(name: str, arn: str) -> None:
    assert HERE.arn(name) == arn


def test_an_arn_is_of_the_partition_of_its_place() -> None:
    place = Place("123456789012", "us-gov-west-1", "aws-us-gov")
    assert place.arn("/a").startswith("arn:aws-us-gov:ssm:us-gov-west-1:")
    assert str(place) == "123456789012/us-gov-west-1"


def test_an_access_writes_and_looks_for_no_higher_rates_unless_this_is_stated() -> None:
    access = Access("us-east-1")
    assert (access.probe, access.read_only) == (False, False)


@pytest.mark.parametrize(("kind", "secret"), [("String", False), ("StringList", False), (SECURE, True)])
def test_only_a_secure_string_is_a_secret(kind: str, *, secret: bool) -> None:
    assert parameter(kind=kind).is_secret is secret


def test_a_sealed_value_shows_in_no_form_of_printing() -> None:
    sealed = SealedText(SECRET)
    value = Value("/p/a", SECURE, 1, MADE, sealed)
    shown = [
        repr(sealed),
        str(sealed),
        f"{sealed}",
        f"{sealed:>20}",
        f"{sealed!r}",
        repr(value),
        repr([value]),
    ]
    shown += ["{}".format(sealed), "%s" % sealed, repr({"v": sealed})]  # noqa: UP031, UP032 - each way of printing
    assert not [text for text in shown if "hunter" in text or SECRET in text]
    assert repr(sealed) == "<sealed>"


def test_a_sealed_value_does_not_tell_its_length() -> None:
    assert repr(SealedText("")) == repr(SealedText("x" * 5000))
    with pytest.raises(TypeError):
        len(SealedText("x"))  # type: ignore[arg-type]  # that is the point


def test_a_sealed_value_cannot_be_pickled_or_copied() -> None:
    with pytest.raises(TypeError, match="does not leave memory"):
        pickle.dumps(SealedText(SECRET))
    with pytest.raises(TypeError, match="does not leave memory"):
        copy.deepcopy(SealedText(SECRET))


def test_a_sealed_value_can_be_revealed_by_who_must_write_it() -> None:
    assert SealedText(SECRET).reveal() == SECRET


def test_a_reading_does_not_print_its_digest() -> None:
    assert "abcdef" not in repr(Reading(1, MADE, b"abcdef"))


class TestListing:
    def test_a_name_without_tags_has_none(self) -> None:
        found = listing(HERE, parameter(), tags={"/p/b": {"x": "1"}})
        assert dict(found.tags_of("/p/a")) == {}
        assert dict(found.tags_of("/p/b")) == {"x": "1"}

    def test_tags_read_directly_go_over_those_read_in_bulk(self) -> None:
        before = listing(
            HERE, parameter("/p/a"), parameter("/p/b"), tags={"/p/a": {"x": "1"}, "/p/b": {"y": "1"}}
        )
        after = before.with_tags({"/p/a": {"x": "2"}})
        assert dict(after.tags_of("/p/a")) == {"x": "2"}
        assert dict(after.tags_of("/p/b")) == {"y": "1"}
        assert after.confirmed == {"/p/a"}
        assert dict(before.tags_of("/p/a")) == {"x": "1"}

    def test_tags_read_directly_may_be_none_at_all(self) -> None:
        after = listing(HERE, parameter(), tags={"/p/a": {"x": "1"}}).with_tags({"/p/a": {}})
        assert dict(after.tags_of("/p/a")) == {}
        assert "/p/a" in after.parameters

    def test_a_deleted_name_is_removed_from_the_listing(self) -> None:
        after = listing(HERE, parameter("/p/a"), parameter("/p/b")).with_tags({"/p/a": None})
        assert set(after.parameters) == {"/p/b"}
        assert after.confirmed == {"/p/a"}

    def test_with_tags_adds_confirmed_names_and_keeps_the_other_fields(self) -> None:
        found = listing(HERE, parameter(), complete=False, trouble="t")
        after = found.with_tags({"/p/a": {}}).with_tags({"/p/b": {}})
        assert after.confirmed == {"/p/a", "/p/b"}
        assert (after.complete, after.trouble, after.place, after.caller) == (
            False,
            "t",
            HERE,
            found.caller,
        )

    def test_it_knows_the_arns_of_its_place(self) -> None:
        assert Listing(HERE).arn("/p/a") == HERE.arn("/p/a")


def test_an_unresolved_key_keeps_its_given_name() -> None:
    ring = Keyring({"alias/app": Key("arn:app"), MANAGED_KEY: Key(MANAGED_KEY, managed=True)})
    assert [ring.identity(ref) for ref in ("alias/app", MANAGED_KEY, "alias/x")] == [
        "arn:app",
        MANAGED_KEY,
        "alias/x",
    ]


def test_tags_are_sorted_before_they_are_shown() -> None:
    assert sorted_tags({"b": "1", "a": "2"}) == (("a", "2"), ("b", "1"))


def test_the_expiration_is_the_earliest_readable_one_and_utc_without_an_offset() -> None:
    def policy(moment: str) -> str:
        return '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"' + moment + '"}}'

    policies = (
        policy("2027-01-02T00:00:00"),
        "not json",
        policy("2027-01-01T01:00:00+02:00"),
        '{"Type":"NoChangeNotification","Attributes":{"After":"1","Unit":"Days"}}',
    )
    when = datetime(2026, 11, 28, tzinfo=UTC)
    parameter = Parameter("/a", "String", 1, when, policies=policies)
    assert parameter.expiration == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert Parameter("/a", "String", 1, when, policies=policies[:1]).expiration == datetime(
        2027, 1, 2, tzinfo=UTC
    )
    assert Parameter("/a", "String", 1, when, policies=policies[1:2]).expiration is None
