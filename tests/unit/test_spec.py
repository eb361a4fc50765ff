"""The questions that one may ask of a spec's rules: what is meant, selected, hidden, and where it lands."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.errors import Where
from ssm_reconcile.model import Access, Place, Substitution
from ssm_reconcile.skip_sync import SkipMode, SkipSync
from ssm_reconcile.spec import (
    DeleteMode,
    Glob,
    Replication,
    Rewrite,
    RewriteIn,
    Source,
    Target,
    fill_placeholders,
)
from tests.property.profiles import examples

EAST = Place("123456789012", "us-east-1")
OHIO = Place("210987654321", "us-east-2")


def replication(**rules: object) -> Replication:
    """A replication of `/prod/**` from us-east-1 to us-east-2, with some of its rules replaced."""
    sound: dict[str, object] = {
        "name": "prod",
        "source": Source(Access("us-east-1")),
        "targets": (Target("us-east-2", Access("us-east-2")),),
        "include": (Glob("/prod/**"),),
        "delete": DeleteMode.OWNED,
    }
    return Replication(**{**sound, **rules})  # type: ignore[arg-type]  # mypy cannot see through **


def globs(*texts: str) -> tuple[Glob, ...]:
    return tuple(map(Glob, texts))


@pytest.mark.parametrize(
    ("pattern", "means", "does_not_mean"),
    [
        ("/a/b", ["/a/b"], ["/a", "/a/b/c", "/a/B", "/x/a/b"]),
        ("foo", ["foo", "/foo"], ["/a/foo", "foobar"]),
        ("/foo", ["foo", "/foo"], ["/foo/bar"]),
        ("/a/*", ["/a/b", "/a/b.c_d-e"], ["/a", "/a/b/c", "/ab"]),
        ("/a/b*", ["/a/b", "/a/bc"], ["/a/b/c", "/a/c"]),
        ("/a/*b", ["/a/b", "/a/cb", "/a/bb"], ["/a/bc", "/a/x/b"]),
        ("/a/*b*c*", ["/a/bc", "/a/xbxcx", "/a/bbcc"], ["/a/cb", "/a/b", "/a/b/c"]),
        ("/a/*bc", ["/a/bcbc", "/a/bbc"], ["/a/bcb"]),
        ("/a/**", ["/a/b", "/a/b/c/d"], ["/a", "/ab", "/ab/c"]),
        ("/**", ["/a", "a", "/a/b/c"], []),
        ("**", ["/a", "a", "/a/b/c"], []),
        ("/**/x", ["/x", "/a/x", "/a/b/x"], ["/a/x/b", "/ax"]),
        ("/a/**/z", ["/a/z", "/a/b/z", "/a/b/c/z", "/a/z/z"], ["/a", "/az", "/b/z"]),
        ("/a/**/m/**/z", ["/a/m/z", "/a/b/m/c/z", "/a/m/m/z"], ["/a/z", "/a/m", "/a/bm/z"]),
        ("/**/m/*/z", ["/m/a/z", "/m/a/m/b/z"], ["/m/z", "/m/a/b/z"]),
        ("/a/**/**/z", ["/a/z", "/a/b/z"], ["/a"]),
        ("/*/b", ["/a/b"], ["/b", "/a/c/b"]),
        ("/a.b", ["/a.b"], ["/aXb"]),
    ],
)
def test_a_pattern_matches_these_names_and_not_those(
    pattern: str, means: list[str], does_not_mean: list[str]
) -> None:
    assert [name for name in means if not Glob(pattern).matches(name)] == []
    assert [name for name in does_not_mean if Glob(pattern).matches(name)] == []


levels = st.lists(st.sampled_from(["a", "b", "ab", "ba", "abab"]), min_size=1, max_size=5)
pieces = st.lists(st.sampled_from(["a", "b", "*", "a*", "*b", "a*b", "*a*", "**"]), min_size=1, max_size=5)


def slow_match(pattern: list[str], name: list[str]) -> bool:
    """The plainest reading of a pattern, level by level, trying everything."""
    if not pattern:
        return not name
    head, *rest = pattern
    if head == "**":
        shortest = 0 if rest else 1
        return any(slow_match(rest, name[i:]) for i in range(shortest, len(name) + 1))
    if not name:
        return False
    one_level = ".*".join(map(re.escape, head.split("*")))
    return re.fullmatch(one_level, name[0]) is not None and slow_match(rest, name[1:])


@examples(200)
@given(pieces, levels)
def test_a_pattern_matches_as_the_simplest_implementation_does(pattern: list[str], name: list[str]) -> None:
    text = "/" + "/".join(pattern)
    assert Glob(text).matches("/" + "/".join(name)) is slow_match(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("/" + "*a" * 300 + "b", "/" + "a" * 1000),
        ("/" + "**/a/" * 200 + "b", "/" + "/".join("a" * 500)),
        ("/**/*a*" * 100 + "/z", "/" + "/".join(["aaaa"] * 200)),
    ],
)
def test_no_pattern_takes_exponential_time(pattern: str, name: str) -> None:
    start = time.thread_time()
    assert not Glob(pattern).matches(name)
    assert time.thread_time() - start < 1


def test_the_text_of_a_pattern_has_its_position() -> None:
    assert str(Glob("/a/*", Where("spec.yaml", 3, 5))) == "/a/* (spec.yaml:3:5)"
    assert str(Glob("/a/*")) == "/a/*"


def test_exclude_has_priority_over_include_and_types_over_both() -> None:
    rules = replication(exclude=globs("/prod/x/**"), types=frozenset({"String"}))
    assert rules.rule_for("/prod/a", "String") == Glob("/prod/**")
    assert rules.rule_for("/prod/x/a", "String") is None
    assert rules.rule_for("/prod/a", "SecureString") is None
    assert rules.rule_for("/dev/a", "String") is None


def test_the_first_include_that_matches_a_name_selects_it() -> None:
    rules = replication(include=globs("/prod/b", "/prod/**", "/prod/a"))
    assert rules.rule_for("/prod/a", "String") == Glob("/prod/**")


def test_a_pattern_has_an_effect_when_it_is_the_first_that_matches_a_parameter() -> None:
    rules = replication(
        include=globs("/prod/b", "/prod/**", "/prod/a", "/dev/*"),
        exclude=globs("/prod/x/*", "/prod/x/y", "/prod/secret/*"),
        types=frozenset({"String"}),
        rewrites=(
            Rewrite(Glob("/prod/a"), RewriteIn.VALUE, "a", "b"),
            Rewrite(Glob("/prod/*"), RewriteIn.VALUE, "a", "c"),
            Rewrite(Glob("/prod/b"), RewriteIn.NAME, "a", "d"),
            Rewrite(Glob("/prod/b"), RewriteIn.VALUE, "a", "e"),
            Rewrite(Glob("/prod/x/y"), RewriteIn.VALUE, "a", "f"),
        ),
    )
    names = ("/prod/a", "/prod/b", "/prod/x/y")
    parameters = [*((name, "String") for name in names), ("/prod/secret/a", "SecureString")]
    assert [(key, glob.text) for key, glob in rules.patterns_without_effect(parameters)] == [
        ("parameters.include", "/prod/a"),
        ("parameters.include", "/dev/*"),
        ("parameters.exclude", "/prod/x/y"),
        ("parameters.exclude", "/prod/secret/*"),
        ("rewrite", "/prod/b"),
        ("rewrite", "/prod/x/y"),
    ]


@pytest.mark.parametrize(
    ("skip", "tags", "applies"),
    [
        (SkipSync(), {"skip_sync": ""}, True),
        (SkipSync(), {"skip_sync": "false"}, True),
        (SkipSync(), {"Skip_Sync": "true"}, False),
        (SkipSync(), {}, False),
        (SkipSync("stay"), {"skip_sync": "true"}, False),
        (SkipSync("stay"), {"stay": "true"}, True),
        (SkipSync(mode=SkipMode.LISTED, values=("yes", "")), {"skip_sync": "yes"}, True),
        (SkipSync(mode=SkipMode.LISTED, values=("yes", "")), {"skip_sync": ""}, True),
        (SkipSync(mode=SkipMode.LISTED, values=("yes",)), {"skip_sync": "no"}, False),
        (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "us-east-2"}, True),
        (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "dr-eu:us-east-2"}, True),
        (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "dr-eu us-east-2"}, True),
        (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "us-east-22"}, False),
        (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": ""}, False),
    ],
)
def test_the_skip_tag_opts_out_according_to_its_mode(
    skip: SkipSync, tags: dict[str, str], applies: bool
) -> None:
    assert skip.applies(tags, "us-east-2") is applies


def rewrite(match: str, scope: RewriteIn, old: str, new: str) -> Rewrite:
    return Rewrite(Glob(match), scope, old, new)


def test_placeholders_are_filled_in_in_both_texts() -> None:
    old = "{source.region}/{source.account}"
    new = "{target.region}/{target.account}/{target.name}"
    change = rewrite("/**", RewriteIn.VALUE, old, new).substitution(EAST, OHIO, "dr")
    assert change == Substitution("us-east-1/123456789012", "us-east-2/210987654321/dr")


def test_a_placeholder_is_filled_in_once() -> None:
    """A target's name that looks like a placeholder stays what it is."""
    change = rewrite("/**", RewriteIn.VALUE, "x", "{target.name}").substitution(EAST, OHIO, "{target.region}")
    assert change.new == "{target.region}"


def test_each_placeholder_needs_a_value() -> None:
    with pytest.raises(ValueError, match="shorter"):
        fill_placeholders("{source.region}", ["us-east-1"])


def test_the_first_rewrite_of_each_kind_that_matches_is_applied() -> None:
    first = rewrite("/prod/*", RewriteIn.VALUE, "a", "b")
    second = rewrite("/prod/**", RewriteIn.VALUE, "a", "c")
    third = rewrite("/prod/**", RewriteIn.NAME, "a", "d")
    rules = replication(rewrites=(first, second, third))
    assert rules.rewrite_for("/prod/x", RewriteIn.VALUE) is first
    assert rules.rewrite_for("/prod/x/y", RewriteIn.VALUE) is second
    assert rules.rewrite_for("/prod/x", RewriteIn.NAME) is third
    assert rules.rewrite_for("/dev/x", RewriteIn.NAME) is None


def test_a_replica_has_the_name_of_its_source_unless_a_rewrite_matches() -> None:
    rule = rewrite("/prod/**", RewriteIn.NAME, "us-east-1", "{target.region}")
    value = rewrite("/prod/**", RewriteIn.VALUE, "prod", "x")
    rules = replication(rewrites=(value, rule))
    assert rules.address("/prod/us-east-1/us-east-1-a", EAST, OHIO, "dr") == "/prod/us-east-2/us-east-2-a"
    assert rules.address("/dev/us-east-1", EAST, OHIO, "dr") == "/dev/us-east-1"


def test_an_owner_is_a_name_at_a_source() -> None:
    rules = replication(previous_names=("old", "older"))
    assert rules.owner(EAST) == "prod@123456789012/us-east-1"
    assert rules.owners(EAST) == tuple(f"{name}@123456789012/us-east-1" for name in ("prod", "old", "older"))


@pytest.mark.parametrize(
    ("key", "replicated"),
    [
        ("team", True),
        ("aws:cloudformation:stack-name", False),
        ("ssm-reconcile:owner", False),
        ("skip_sync", False),
        ("cost:center", False),
        ("cost:added", True),
        ("costs", True),
        ("Cost:center", True),
    ],
)
def test_a_tag_is_replicated_unless_it_is_reserved_or_ignored(key: str, replicated: bool) -> None:
    rules = replication(ignore_tags=("cost:*",), add_tags=(("cost:added", "x"),))
    assert rules.replicates_tag(key) is replicated


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("/prod/db/password", True),
        ("/prod/db/PassWord_old", True),
        ("/prod/tokens/a", True),
        ("/prod/api-key", True),
        ("/prod/host", False),
        ("/prod/pin", True),
        ("/prod/PIN/x", True),
        ("/prod/spinner", False),
        ("/prod/deep/hidden/x", True),
        ("/prod/token_lifetime", False),
    ],
)
def test_a_plain_value_is_hidden_when_its_name_looks_secret(name: str, hidden: bool) -> None:
    rules = replication(hide=globs("pin", "/prod/deep/**"), show=globs("/prod/token_lifetime"))
    assert rules.hides(name) is hidden


def test_a_target_is_found_by_its_name() -> None:
    rules = replication()
    assert rules.target("us-east-2") is rules.targets[0]
    with pytest.raises(KeyError):
        rules.target("us-east-3")
