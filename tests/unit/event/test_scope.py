"""For whom a name is, and which other names could lie where it lies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.event.events import Names, Operation, Origin, Reason, Rejected
from ssm_reconcile.event.scope import concerned, rivals
from ssm_reconcile.model import Access, Place, canonical
from ssm_reconcile.spec import Glob, Replication, Rewrite, RewriteIn, Source
from tests.builders import HERE, THERE, replication, target

SPEC = replication(include=(Glob("/p/**"), Glob("bare")), exclude=(Glob("/p/own/**"),))
SOURCES = {"prod": HERE}


def news(*names: str, account: str = HERE.account, region: str = HERE.region) -> Names:
    return Names(names, Operation.UPDATE, Origin(account, region))


def test_a_name_is_for_those_that_select_it() -> None:
    other = replication(name="other", include=(Glob("/p/a"),))
    found, rejected = concerned([SPEC, other], SOURCES | {"other": HERE}, news("/p/a", "/p/b", "bare"))
    assert found == {
        "/p/a": frozenset({"prod", "other"}), "/p/b": frozenset({"prod"}), "/bare": frozenset({"prod"}),
    }  # fmt: skip
    assert rejected == []


@pytest.mark.parametrize("name", ["/q/a", "/p/own/a", "/bare/a"])
def test_a_name_that_nobody_selects_is_out_of_scope(name: str) -> None:
    assert concerned([SPEC], SOURCES, news(name)) == ({}, [Rejected(Reason.SCOPE, name)])


def test_a_type_that_is_not_replicated_may_have_been_another() -> None:
    spec = replace(SPEC, types=frozenset({"SecureString"}))
    assert concerned([spec], SOURCES, news("/p/a"))[0]


@pytest.mark.parametrize(
    ("account", "region"),
    [(HERE.account, THERE.region), ("999999999999", HERE.region)],
    ids=["the target's own region", "another account"],
)
def test_what_comes_from_elsewhere_is_not_for_us(account: str, region: str) -> None:
    found, rejected = concerned([SPEC], SOURCES, news("/p/a", account=account, region=region))
    assert found == {}
    assert [one.reason for one in rejected] == [Reason.ELSEWHERE]


def test_a_source_that_could_not_be_reached_is_known_by_what_the_spec_says() -> None:
    spec = replace(SPEC, source=Source(Access("us-east-1"), account=HERE.account))
    assert concerned([spec], {}, news("/p/a"))[0]
    assert not concerned([spec], {}, news("/p/a", account="999999999999"))[0]
    assert concerned([SPEC], {}, news("/p/a", account="999999999999"))[0]  # it cannot be told yet


def test_a_bare_name_is_of_whatever_source_has_it() -> None:
    assert concerned([SPEC], SOURCES, Names(("/p/a",)))[0]


def named(old: str, new: str, match: str = "/**") -> Replication:
    return replication(include=(Glob("/**"),), rewrites=(Rewrite(Glob(match), RewriteIn.NAME, old, new),))


def test_without_rewrites_an_address_is_its_own_and_only_rival() -> None:
    assert rivals(SPEC, target(), HERE, THERE, "/p/a") == frozenset({"/p/a"})


def test_a_rewrite_that_removes_text_cannot_be_turned_back() -> None:
    assert rivals(named("x", ""), target(), HERE, THERE, "/a") is None
    assert rivals(named("x", "a"), target(), HERE, THERE, "/" + "a" * 20) is None


LEVELS = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=2).map(
    lambda x: "/" + "/".join(x)
)


@given(st.text("ab", min_size=1, max_size=2), st.text("ab", min_size=1, max_size=2), LEVELS)
def test_every_name_that_lands_on_an_address_is_found(old: str, new: str, name: str) -> None:
    spec, place = named(old, new), Place("123456789012", "us-east-2")
    address = canonical(spec.address(name, HERE, place, "us-east-2"))
    found = rivals(spec, target(), HERE, place, address)
    assert found is None or name in found
    assert all(canonical(spec.address(one, HERE, place, "us-east-2")) == address for one in found or ())
