"""Stacks of roles: policies at the quotas of IAM are inline, split or refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ssm_reconcile.errors import UsageError
from ssm_reconcile.iam import DEFAULT, INLINE, MANAGED, Policy, document_length, policies, stack
from ssm_reconcile.iam.stack import own_stack
from ssm_reconcile.iam.statements import PolicyPhase, Statement
from ssm_reconcile.spec import Replication
from tests.doubles import iam
from tests.unit.test_iam_stack import ALL, HOME, REPOSITORY, granted, roles, stacks, wide


@pytest.mark.parametrize(("number", "count"), [(1, 2), (4, 3), (8, 5)])
def test_a_policy_that_is_too_long_for_a_role_is_split_and_allows_the_same(number: int, count: int) -> None:
    specs = wide(number)
    template = own_stack(specs, REPOSITORY)
    (policy,) = policies(specs, PolicyPhase.APPLY)
    whole, parts = policy.document(), granted(template, "ApplyRole")
    assert document_length(whole) > INLINE
    assert "Policies" not in roles(template)["ApplyRole"]
    assert len(parts) == count
    assert [one for part in parts for one in part["Statement"]] == whole["Statement"]
    assert all(document_length(part) <= MANAGED for part in parts)
    for part in parts:
        iam.check(part)


def test_a_policy_that_fits_a_role_is_inline() -> None:
    lengths = set()
    for specs in ALL.values():
        for template in stacks(specs).values():
            for one in roles(template).values():
                (policy,) = one["Policies"]
                lengths.add(document_length(policy["PolicyDocument"]))
    assert MANAGED < max(lengths) <= INLINE


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        pytest.param(wide(40), "a statement", id="a statement is too long"),
        pytest.param([one for n in range(9) for one in wide(1, 9, f"p{n}")], "count", id="too many policies"),
    ],
)
def test_a_policy_that_fits_no_role_is_refused(specs: list[Replication], reason: str) -> None:
    (policy,) = policies(specs, PolicyPhase.APPLY)
    longest = max(len(json.dumps(one.document(), separators=(",", ":"))) for one in policy.statements)
    assert (longest > MANAGED) is (reason == "a statement")
    with pytest.raises(UsageError, match=r"default credentials has [\d,]+ characters.*6,144") as error:
        own_stack(specs, REPOSITORY)
    assert "a role for each target" in str(error.value.remedy)


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
