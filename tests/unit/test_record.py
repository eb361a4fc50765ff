"""The tags that make a replica: written, read again, and what they prove."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ssm_reconcile.aws_limits import TAG_VALUE_LIMIT
from ssm_reconcile.model import Substitution
from ssm_reconcile.record import (
    DETACHED,
    OWNER,
    RECORD,
    SOURCE,
    Claim,
    Origin,
    Record,
    Standing,
    compose_own,
    detached_from,
    digest,
    digest_id,
    is_replica,
    key_digest,
    ownership_tags,
    parse_record,
    proves_equal,
    record_of,
    rewrite_digest,
    source_name,
    standing,
    was_replica_of,
)
from tests.builders import COPIED_AT, HERE, ID, MADE, OWNED_BY, THERE, desired, parameter, record

ARN = THERE.arn("/p/a")
OTHER = "staging@123456789012/us-east-1"
LIVE = parameter(at=COPIED_AT)
IDS = frozenset({digest_id(ID)})


def test_a_record_is_read_as_it_was_written() -> None:
    for origin in Origin:
        made = record(version=7, origin=origin, key=key_digest("arn:k"), rewrite="0123456789abcdef")
        assert parse_record(made.text()) == made


def test_a_record_keeps_milliseconds() -> None:
    moment = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    found = parse_record(record(written=moment).text())
    assert found is not None
    assert found.written == moment.replace(microsecond=123000)


def test_a_record_has_only_characters_that_tag_values_take_and_fits() -> None:
    widest = record(
        parameter(version=10**17).name,
        source_version=10**18 - 1,
        version=10**18 - 1,
        written=datetime(9999, 12, 31, tzinfo=UTC),
        source_modified=datetime(9999, 12, 31, tzinfo=UTC),
        key=key_digest("arn:k"),
        rewrite="f" * 16,
    ).text()
    assert re.fullmatch(r"[A-Za-z0-9 _.:/=+@-]*", widest)
    assert len(widest) <= TAG_VALUE_LIMIT
    assert parse_record(widest) is not None


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "v=1",
        record().text().replace("v=1", "v=2"),
        record().text() + " more=1",
        record().text().replace("origin=created", "origin=stolen"),
        record().text().replace("own=", "own=Z"),
        record().text()[:-1],
        re.sub(r"@\d+", "@999999999999999", record().text()),
        record().text().replace("key=none", "key="),
        " " + record().text(),
        record().text() + "\n",
    ],
)
def test_a_record_that_is_not_one_is_none(broken: str) -> None:
    assert parse_record(broken) is None
    assert record_of({RECORD: broken}) is None


def test_a_record_names_one_parameter() -> None:
    assert record().is_for(ARN)
    assert not record().is_for(HERE.arn("/p/a"))
    assert not record().is_for(THERE.arn("/p/b"))


class TestProof:
    def proven(self, made: Record, **changes: Any) -> bool:
        wanted = replace(desired(), **changes.pop("desired", {}))
        return proves_equal(made, wanted, replace(LIVE, **changes), HERE)

    def test_versions_and_moments_as_recorded_prove(self) -> None:
        assert self.proven(record())

    @pytest.mark.parametrize(("seconds", "proven"), [(2, True), (-2, True), (2.001, False), (-3, False)])
    def test_the_source_may_be_off_by_two_seconds(self, seconds: float, *, proven: bool) -> None:
        assert self.proven(record(source_modified=MADE + timedelta(seconds=seconds))) is proven

    @pytest.mark.parametrize(("minutes", "proven"), [(10, True), (-10, True), (10.01, False), (-60, True)])
    def test_the_replica_may_be_ten_minutes_younger_than_the_record_and_older_by_any(
        self, minutes: float, *, proven: bool
    ) -> None:
        assert self.proven(record(), last_modified=COPIED_AT + timedelta(minutes=minutes)) is proven

    def test_another_version_on_either_side_proves_nothing(self) -> None:
        assert not self.proven(record(), version=2)
        assert not self.proven(record(source_version=2))
        assert not self.proven(record(version=2))

    def test_another_source_or_another_rewrite_proves_nothing(self) -> None:
        assert not self.proven(record(source=digest(HERE.arn("/p/b"))))
        assert not self.proven(record(), desired={"substitutions": (Substitution("a", "b"),)})
        assert self.proven(
            record(rewrite=rewrite_digest([Substitution("a", "b")])),
            desired={"substitutions": (Substitution("a", "b"),)},
        )


class TestDigests:
    def test_rules_that_differ_have_digests_that_differ(self) -> None:
        rules: list[list[Substitution]] = [
            [],
            [Substitution("a", "b")],
            [Substitution("b", "a")],
            [Substitution("ab", "")],
            [Substitution("", "ab")],
            [Substitution("a", "b"), Substitution("c", "d")],
            [Substitution("c", "d"), Substitution("a", "b")],
        ]
        assert len({rewrite_digest(one) for one in rules}) == len(rules)
        assert rewrite_digest([]) == "none"

    def test_a_rule_that_names_nothing_is_still_a_rule(self) -> None:
        assert rewrite_digest([Substitution("", "")]) != "none"

    def test_keys_that_differ_have_digests_that_differ(self) -> None:
        assert len({key_digest(None), key_digest("arn:a"), key_digest("arn:b")}) == 3
        assert key_digest(None) == "none"


class TestStanding:
    @pytest.mark.parametrize(
        ("tags", "found"),
        [
            ({}, Standing.FREE),
            ({"team": "a"}, Standing.FREE),
            ({OWNER: OWNED_BY, RECORD: record().text()}, Standing.OURS),
            ({OWNER: OTHER, RECORD: record().text()}, Standing.FOREIGN),
            ({OWNER: OWNED_BY, RECORD: record("/p/b").text()}, Standing.COPIED),
            ({OWNER: OTHER, RECORD: record("/p/b").text()}, Standing.FREE),
            ({OWNER: OWNED_BY}, Standing.FREE),
            ({OWNER: OWNED_BY, RECORD: "v=2 x"}, Standing.FREE),
            ({OWNER: OTHER, RECORD: "v=2 x"}, Standing.FOREIGN),
            ({OWNER: OTHER}, Standing.FREE),
            ({RECORD: record().text()}, Standing.FREE),
            ({OWNER: DETACHED + OWNED_BY, RECORD: record().text()}, Standing.DETACHED),
            ({OWNER: DETACHED + OTHER}, Standing.DETACHED),
            ({OWNER: DETACHED + OTHER, RECORD: record().text()}, Standing.DETACHED),
            ({OWNER: DETACHED + OTHER, RECORD: "v=2 x"}, Standing.DETACHED),
            ({OWNER: DETACHED + OWNED_BY, RECORD: "v=2 x"}, Standing.DETACHED),
            ({OWNER: "", RECORD: "v=2 x"}, Standing.FREE),
            ({RECORD: "v=2 x"}, Standing.FREE),
            ({OWNER: OTHER, RECORD: ""}, Standing.FOREIGN),
            ({"aws:cloudformation:stack-id": "s"}, Standing.CLOUDFORMATION),
            ({"aws:other": "s"}, Standing.FREE),
            ({"aws:cloudformation:stack-id": "s", OWNER: OTHER}, Standing.CLOUDFORMATION),
            ({"aws:cloudformation:stack-id": "s", OWNER: OTHER, RECORD: "v=2 x"}, Standing.FOREIGN),
            ({"aws:cloudformation:stack-id": "s", OWNER: OWNED_BY, RECORD: "v=2 x"}, Standing.CLOUDFORMATION),
            ({"aws:cloudformation:stack-id": "s", OWNER: OTHER, RECORD: record().text()}, Standing.FOREIGN),
            (
                {"aws:cloudformation:stack-id": "s", OWNER: OWNED_BY, RECORD: record().text()},
                Standing.OURS,
            ),
            (
                {"aws:cloudformation:stack-id": "s", OWNER: OTHER, RECORD: record("/p/b").text()},
                Standing.CLOUDFORMATION,
            ),
            (
                {"aws:cloudformation:stack-id": "s", OWNER: OWNED_BY, RECORD: record("/p/b").text()},
                Standing.CLOUDFORMATION,
            ),
            (
                {"aws:cloudformation:stack-id": "s", OWNER: DETACHED + OWNED_BY, RECORD: record().text()},
                Standing.CLOUDFORMATION,
            ),
        ],
    )
    def test_tags_say_what_a_parameter_is_to_us(self, tags: dict[str, str], found: Standing) -> None:
        assert standing(tags, ARN, Claim((OWNED_BY,), IDS), placed=True) is found

    def test_an_earlier_name_of_ours_counts_as_ours(self) -> None:
        tags = {OWNER: OTHER, RECORD: record().text()}
        assert standing(tags, ARN, Claim((OWNED_BY, OTHER), IDS), placed=True) is Standing.OURS

    def test_an_owner_at_another_source_is_another_owner(self) -> None:
        tags = {OWNER: "prod@123456789012/eu-west-1", RECORD: record().text()}
        assert standing(tags, ARN, Claim((OWNED_BY,), IDS), placed=True) is Standing.FOREIGN


def test_a_replica_is_one_of_any_owner_whose_record_names_it() -> None:
    assert is_replica({OWNER: OTHER, RECORD: record().text()}, ARN)
    assert is_replica({OWNER: OWNED_BY, RECORD: record().text()}, ARN)
    assert not is_replica({OWNER: OWNED_BY, RECORD: record("/p/b").text()}, ARN)
    assert not is_replica({OWNER: DETACHED + OWNED_BY, RECORD: record().text()}, ARN)
    assert not is_replica({RECORD: record().text()}, ARN)
    assert not is_replica({OWNER: OWNED_BY}, ARN)


@pytest.mark.parametrize(
    ("owner", "owned_before", "here"),
    [
        (DETACHED + OWNED_BY, OWNED_BY, True),
        (DETACHED + "prod@123456789012/eu-west-1", "prod@123456789012/eu-west-1", False),
        (OWNED_BY, None, False),
        ("", None, False),
    ],
)
def test_a_detached_parameter_remembers_whose_it_was(
    owner: str, owned_before: str | None, *, here: bool
) -> None:
    assert detached_from({OWNER: owner}) == owned_before
    assert was_replica_of({OWNER: owner}, HERE) is here


class TestOwnershipTags:
    def test_they_are_two_where_the_name_is_the_same(self) -> None:
        assert ownership_tags("o", record(), source_name="/p/a", name="/p/a") == {
            OWNER: "o",
            RECORD: record().text(),
        }
        assert SOURCE not in ownership_tags("o", record(), source_name="foo", name="/foo")

    def test_they_name_the_source_where_a_rewrite_changed_its_name(self) -> None:
        assert ownership_tags("o", record(), source_name="/p/a", name="/q/a")[SOURCE] == "/p/a"

    @pytest.mark.parametrize(("length", "named"), [(256, True), (257, False)])
    def test_they_name_the_source_only_where_it_fits(self, length: int, *, named: bool) -> None:
        long = "/" + "x" * (length - 1)
        assert (SOURCE in ownership_tags("o", record(), source_name=long, name="/q/a")) is named


class TestSourceName:
    def test_it_is_the_name_itself_where_the_record_says_so(self) -> None:
        assert source_name({RECORD: record().text()}, "/p/a", HERE) == "/p/a"

    def test_it_is_that_of_the_tag_where_the_record_proves_it(self) -> None:
        made = record("/q/a", source=digest(HERE.arn("/p/a")))
        assert source_name({RECORD: made.text(), SOURCE: "/p/a"}, "/q/a", HERE) == "/p/a"

    def test_a_tag_that_the_record_does_not_prove_is_not_believed(self) -> None:
        assert source_name({RECORD: record().text(), SOURCE: "/p/forged"}, "/p/a", HERE) == "/p/a"
        made = record("/q/a", source=digest(HERE.arn("/p/a")))
        assert source_name({RECORD: made.text(), SOURCE: "/p/forged"}, "/q/a", HERE) is None
        assert source_name({RECORD: made.text()}, "/q/a", HERE) is None

    def test_without_a_record_it_is_unknown(self) -> None:
        assert source_name({SOURCE: "/p/a"}, "/p/a", HERE) is None

    def test_it_is_of_this_source_place_only(self) -> None:
        assert source_name({RECORD: record().text()}, "/p/a", THERE) is None


def test_no_part_of_a_record_comes_from_a_value() -> None:
    assert set(Record.__dataclass_fields__) == {
        "source_version",
        "source_modified",
        "version",
        "written",
        "origin",
        "own",
        "source",
        "key",
        "rewrite",
    }


class TestSourceTypeAndId:
    @pytest.mark.parametrize("kind", ["String", "StringList", "SecureString"])
    @pytest.mark.parametrize("spec_id", [None, "abc123"])
    def test_a_record_shows_the_type_of_the_source_and_the_id_of_the_spec(
        self, kind: str, spec_id: str | None
    ) -> None:
        found = parse_record(record(of=parameter(kind=kind), spec_id=spec_id).text())
        assert found is not None
        assert found.is_for(ARN)
        assert found.source_type(ARN) == kind
        assert found.id_digest(ARN) == (None if spec_id is None else digest_id(spec_id))

    def test_a_record_of_format_1_shows_neither(self) -> None:
        found = parse_record(record(own=digest(ARN)).text())
        assert found is not None
        assert found.is_for(ARN)
        assert (found.source_type(ARN), found.id_digest(ARN)) == (None, None)

    def test_a_record_for_another_parameter_names_only_that_one(self) -> None:
        other = record("/p/b", spec_id="abc123")
        assert not other.is_for(ARN)
        assert other.is_for(THERE.arn("/p/b"))

    def test_ids_that_differ_have_digests_that_differ_and_none_is_the_text_for_no_id(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert digest_id("abc123") != digest_id("abc124")
        monkeypatch.setattr("ssm_reconcile.record.digest", lambda _: "0" * 32)
        assert digest_id("abc123") != "0" * 12

    def test_a_type_that_is_not_known_is_not_recorded(self) -> None:
        assert record(own=compose_own(ARN, "Blob", None)).source_type(ARN) is None
