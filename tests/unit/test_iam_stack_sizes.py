"""Stacks of roles: policies at the quotas of IAM are inline, split with the same effect, or refused."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.errors import UsageError
from ssm_reconcile.iam import DEFAULT, INLINE, MANAGED, Policy, document_length, policies, stack, too_long
from ssm_reconcile.iam.stack import managed_documents, own_stack
from ssm_reconcile.iam.statements import PolicyPhase, Statement
from ssm_reconcile.spec import Replication
from tests.doubles import iam
from tests.unit.test_iam_stack import (
    ALL,
    HOME,
    REGIONS,
    REPOSITORY,
    granted,
    load,
    roles,
    spec,
    stacks,
    wide,
)

pytestmark = pytest.mark.large


def matrix(role: str) -> list[Replication]:
    """Return a spec with 20 accounts in 10 regions, each place with a role."""
    accounts = ", ".join(f'"{number}"' for number in range(10**11, 10**11 + 20))
    arn = f"arn:aws:iam::{{target.account}}:role/{role}"
    place = f"regions: [{', '.join(REGIONS)}], accounts: [{accounts}]"
    return load(spec(f"{{ name: '{{target.account}}-{{target.region}}', {place}, role_arn: '{arn}' }}"))


def grants(documents: Sequence[Mapping[str, Any]]) -> set[Hashable]:
    """Return each effect of documents on one action and one resource, with one value of each condition."""
    found: set[Hashable] = set()
    for one in (one for document in documents for one in document["Statement"]):
        conditions = [
            [(operator, key, value) for value in values]
            for operator, every in one.get("Condition", {}).items()
            for key, values in every.items()
        ]
        found |= set(product([one["Effect"]], one["Action"], one["Resource"], *conditions))
    return found


LONG = {
    "the statements of four patterns in ten regions": (wide(4), 3),
    "of eight": (wide(8), 5),
    "a statement with too many resources": (wide(15), 7),
    "one with too many values of a condition": (wide(120, 1), 8),
    "roles in 200 places": (matrix("ssm-{target.region}"), 2),
    "roles with long names": (matrix("ssm-reconcile-for-{target.name}"), 4),
}


@pytest.mark.parametrize("name", LONG)
def test_a_policy_that_is_too_long_for_a_role_is_split_and_allows_the_same(name: str) -> None:
    specs, count = LONG[name]
    template = own_stack(specs, REPOSITORY)
    (policy,) = (one for one in policies(specs, PolicyPhase.APPLY) if one.identity == DEFAULT)
    whole, parts = policy.document(), granted(template, "ApplyRole")
    assert document_length(whole) > INLINE
    assert "Policies" not in roles(template)["ApplyRole"]
    assert len(parts) == count
    assert grants(parts) == grants([whole])
    assert all(document_length(part) <= MANAGED for part in parts)
    for part in parts:
        iam.check(part)


def test_a_statement_that_fits_a_document_is_not_cut() -> None:
    template = own_stack(wide(8), REPOSITORY)
    (policy,) = policies(wide(8), PolicyPhase.APPLY)
    found = [one for part in granted(template, "ApplyRole") for one in part["Statement"]]
    assert sorted(found, key=str) == sorted(policy.document()["Statement"], key=str)


def texts(number: int) -> st.SearchStrategy[tuple[str, ...]]:
    lengths = st.lists(st.integers(1, 400), min_size=1, max_size=number)
    return lengths.map(lambda found: tuple(f"{n:02}{'x' * length}" for n, length in enumerate(found)))


@given(st.lists(st.tuples(texts(40), texts(40), texts(3), st.sampled_from(["Allow", "Deny"])), max_size=6))
def test_documents_grant_and_deny_what_the_policy_does(
    drawn: list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]],
) -> None:
    policy = Policy(DEFAULT, HOME, tuple(
        Statement(f"S{n}", ("ssm:GetParameters",), resources,
                  (("StringLike", "one", values), ("StringEquals", "two", others)), effect)
        for n, (resources, values, others, effect) in enumerate(drawn)
    ))  # fmt: skip
    try:
        found = managed_documents(policy)
    except UsageError:
        assert document_length(policy.document()) > MANAGED
        return
    assert grants(found) == grants([policy.document()])
    assert len(found) <= 10
    assert all(document_length(one) <= MANAGED for one in found)
    for one in found:
        sids = [statement["Sid"] for statement in one["Statement"]]
        assert len(sids) == len(set(sids))


@pytest.mark.parametrize(("operator", "is_cut"), [("StringLike", True), ("StringNotLike", False)])
def test_only_values_that_are_alternatives_are_cut(operator: str, is_cut: bool) -> None:
    """All values of a negative operator must differ: its pieces would allow more than the statement."""
    values = tuple(f"{n:02}{'x' * 200}" for n in range(40))
    policy = Policy(DEFAULT, HOME, (Statement("S", ("a:B",), ("*",), ((operator, "one", values),)),))
    with nullcontext() if is_cut else pytest.raises(UsageError, match="does not fit"):
        assert len(managed_documents(policy)) == 2


def test_pieces_are_smaller_where_large_ones_do_not_fit() -> None:
    half = tuple(f"arn:aws:ssm:us-east-1:{HOME}:parameter/{n:02}{'x' * 150}" for n in range(18))
    one = Policy(DEFAULT, HOME, (Statement("S", ("a:B",), half),))
    assert document_length(one.document()) > MANAGED // 2
    many = Policy(DEFAULT, HOME, tuple(Statement(f"S{n}", ("a:B",), half) for n in range(14)))
    found = managed_documents(many)
    assert len(found) <= 10
    assert grants(found) == grants([many.document()])


def test_a_policy_that_fits_a_role_is_inline() -> None:
    lengths = set()
    for specs in ALL.values():
        for template in stacks(specs).values():
            for one in roles(template).values():
                (policy,) = one["Policies"]
                lengths.add(document_length(policy["PolicyDocument"]))
    assert MANAGED < max(lengths) <= INLINE


def test_a_policy_that_fits_no_role_is_refused() -> None:
    with pytest.raises(UsageError, match=r"default credentials has [\d,]+ characters.*6,144") as error:
        own_stack(wide(40), REPOSITORY)
    assert "a role for each target" in str(error.value.remedy)


def test_the_remedy_for_too_many_roles_is_fewer_roles() -> None:
    specs = [one for n in range(5) for one in matrix(f"ssm-reconcile-{n}-{{target.name}}")]
    specs = [replace(one, name=f"p{n}") for n, one in enumerate(specs)]
    with pytest.raises(UsageError, match="does not fit 10 managed policies") as error:
        own_stack(specs, REPOSITORY)
    assert error.value.remedy == "use one role for all regions of an account, such as `role/ssm-reconcile`"
    (note,) = (one for one in too_long(policies(specs[:1], PolicyPhase.PLAN)) if DEFAULT in one)
    assert note.endswith(error.value.remedy)


def test_a_policy_of_exactly_the_limit_fits_and_a_longer_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = document_length({"Version": "2012-10-17", "Statement": []})

    def parts(*lengths: int) -> int:
        """Return the managed policies for statements that, each in a document, have these lengths."""
        statements = []
        for number, length in enumerate(lengths):
            one = Statement(f"S{number}", ("ssm:GetParameter",), ("",))
            room = length - document_length(Policy(DEFAULT, HOME, (one,)).document())
            statements.append(replace(one, resources=("r" * room,)))
        found = (Policy(DEFAULT, HOME, tuple(statements)),)
        monkeypatch.setattr(stack, "policies", lambda *_, **__: found)
        template = own_stack(ALL["stages"], REPOSITORY)
        return len(roles(template)["ApplyRole"].get("ManagedPolicyArns", ()))

    rest = empty - 1  # of two statements in one document: they share the rest, and have a comma
    assert parts(INLINE) == 0
    assert parts(3000, 3000, INLINE - 6000 + 2 * rest + 1) == 2
    assert parts(3000, MANAGED - 3000 + rest, MANAGED) == 2
    assert parts(3000, MANAGED - 3000 + rest + 1, MANAGED) == 3
    assert parts(*[MANAGED] * 10) == 10
    for lengths in ([MANAGED] * 11, [MANAGED, MANAGED + 1]):
        with pytest.raises(UsageError, match="does not fit"):
            parts(*lengths)
