"""Several documents, in one file or in many, that get in each other's way."""

from __future__ import annotations

import pytest

from ssm_reconcile.errors import Finding, Severity, SpecError
from ssm_reconcile.load import load_text


def document(name: str, way: str, include: str, *more: str) -> str:
    """One document from a region to others: `us-east-1 > us-east-2 eu-west-1`."""
    source, targets = way.split(" > ")
    listed = ", ".join(f"{{region: {one}}}" for one in targets.split())
    lines = (
        "version: 1",
        f"name: {name}",
        f"source: {{region: {source}}}",
        f"targets: [{listed}]",
        f"parameters: {{include: [{include}]}}",
        "delete: owned",
        *more,
    )
    return "\n".join(lines) + "\n"


def findings(*documents: str) -> tuple[Finding, ...]:
    try:
        return load_text("---\n".join(documents), "spec.yaml").findings
    except SpecError as error:
        return error.findings


def codes(*documents: str) -> list[tuple[str, str]]:
    return [(one.code, one.where) for one in findings(*documents)]


EAST = "us-east-1 > us-east-2"
WEST = "us-east-2 > us-west-2"
BACK = "us-east-2 > us-east-1"


def test_replications_of_different_paths_have_no_conflict() -> None:
    assert codes(document("dev", EAST, "/dev/**"), document("prod", EAST, "/prod/**")) == []


def test_two_replications_of_one_source_cannot_share_a_name() -> None:
    found = findings(document("a", EAST, "/a/**"), document("a", "us-east-1 > eu-west-1", "/b/**"))
    assert [(one.code, one.where) for one in found] == [("duplicate-name", "spec.yaml:9:7")]
    assert "spec.yaml:2:7" in found[0].message


def test_one_name_at_two_sources_is_two_owners() -> None:
    assert codes(document("a", EAST, "/a/**"), document("a", "eu-west-1 > eu-west-2", "/a/**")) == []


def test_one_name_in_two_accounts_is_two_owners_when_the_spec_says_so() -> None:
    one = document("a", EAST, "/a/**")
    other = document("a", "us-east-1 > eu-west-1", "/b/**")
    role = "{region: us-east-1, role_arn: 'arn:aws:iam::%s:role/r'}"
    first = one.replace("{region: us-east-1}", role % "123456789012")
    second = other.replace("{region: us-east-1}", role % "210987654321")
    assert codes(first, second) == []
    assert [code for code, _ in codes(first, other)] == ["duplicate-name"], "it may be the same account"


def test_a_previous_name_that_another_replication_has_is_an_error() -> None:
    found = codes(document("a", EAST, "/a/**"), document("b", EAST, "/b/**", "previous_names: [a]"))
    assert found == [("previous-name-in-use", "spec.yaml:14:18")]


def test_a_previous_name_of_two_replications_is_a_warning() -> None:
    found = codes(
        document("a", EAST, "/a/**", "previous_names: [old]"),
        document("b", EAST, "/b/**", "previous_names: [old]"),
    )
    assert found == [("previous-name-shared", "spec.yaml:15:18")]


def test_two_replications_that_feed_each_other_are_reported_once() -> None:
    found = findings(document("a", EAST, "/x/**"), document("b", BACK, "/x/y, /z"))
    assert [(one.code, one.where) for one in found] == [("feed-each-other", "spec.yaml:12:24")]
    assert "`a` writes to us-east-2, the source of `b`, and the reverse" in found[0].message


def test_replications_in_both_directions_are_valid_when_the_names_differ() -> None:
    assert codes(document("a", EAST, "/x/**"), document("b", BACK, "/y/**")) == []


def test_a_chain_is_a_warning() -> None:
    found = findings(document("a", EAST, "/x/**"), document("b", WEST, "/**"))
    assert [(one.code, one.severity) for one in found] == [("feeds-another", Severity.WARNING)]
    assert "list all targets in one replication" in found[0].message


def test_a_chain_is_found_whichever_document_comes_first() -> None:
    assert codes(document("b", WEST, "/**"), document("a", EAST, "/x/**")) == [
        ("feeds-another", "spec.yaml:5:24")
    ]


def test_one_name_written_by_two_replications_in_one_target_is_a_warning() -> None:
    found = findings(document("a", EAST, "/x/**"), document("b", "eu-west-1 > us-east-2", "/y, /x/*/z"))
    assert [(one.code, one.where) for one in found] == [("targets-overlap", "spec.yaml:12:28")]
    assert "`/x/**` at spec.yaml:5:24" in found[0].message


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("/x/**], exclude: [/x/y/**", "/x/y/*"),
        ("/x/**], types: [String", "/x/**], types: [SecureString"),
        ("/a*", "/b*"),
        ("/*/a", "/x/*/a"),
        ("/x", "/x/**"),
    ],
)
def test_excluded_names_and_other_types_do_not_overlap(mine: str, theirs: str) -> None:
    assert codes(document("a", EAST, mine), document("b", "eu-west-1 > us-east-2", theirs)) == []


def test_rewritten_names_are_not_compared() -> None:
    rewrite = "rewrite: [{match: /x/**, in: name, from: x, to: y}]"
    assert codes(document("a", EAST, "/x/**", rewrite), document("b", "eu-west-1 > us-east-2", "/x/**")) == []


def test_another_account_is_another_place() -> None:
    role = "{region: us-east-2, role_arn: 'arn:aws:iam::210987654321:role/r'}"
    one = document("a", EAST, "/x/**").replace("{region: us-east-2}", role)
    assert codes(one, document("b", WEST, "/x/**")) == []


def test_two_places_of_one_region_may_be_in_common() -> None:
    both = (
        "{region: us-east-2, name: a}",
        "{region: us-east-2, name: b, role_arn: 'arn:aws:iam::210987654321:role/r'}",
    )
    one = document("a", EAST, "/x/**").replace("{region: us-east-2}", ", ".join(both))
    other = document("b", "eu-west-1 > us-east-2", "/x/*").replace("{region: us-east-2}", ", ".join(both))
    assert [code for code, _ in codes(one, other)] == ["targets-overlap"]


def test_the_valid_parts_of_a_document_with_errors_are_compared() -> None:
    found = codes(document("a", EAST, "/x/**"), document("a", EAST, "/y", "adopt: nver"))
    assert found == [("duplicate-name", "spec.yaml:9:7"), ("unknown-value", "spec.yaml:14:8")]


def test_too_many_patterns_to_compare_are_reported() -> None:
    many = [document(f"n{i}", EAST, ", ".join(f"/a*z{j}b{i}/*" for j in range(300))) for i in range(6)]
    assert [one.code for one in findings(*many)] == ["too-many-to-compare"]
