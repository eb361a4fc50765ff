"""The ARNs in policies: partition and region of each place, and the account if the spec has it."""

from __future__ import annotations

import re

import pytest

from ssm_reconcile.iam import as_json, policies
from ssm_reconcile.iam.statements import PolicyPhase, rewritten
from ssm_reconcile.load import load_text
from ssm_reconcile.model import Substitution

SPEC = """\
version: 1
name: prod
source: {{ region: {source} }}
targets:
  - {{ region: {target}{more} }}
parameters: {{ include: ["/prod/**"] }}
kms: [{{ source: alias/app, targets: {{ {target}: 11111111-2222-3333-4444-555555555555 }} }}]
delete: owned
"""
ARN = re.compile(r"arn:([^:]*):(?:ssm|kms):([^:]*):([^:]*):")


def places(phase: PolicyPhase, source: str, target: str, more: str = "") -> set[tuple[str, str, str]]:
    """Partition, region and account of each SSM and KMS ARN in the policies of a phase."""
    text = SPEC.format(source=source, target=target, more=more)
    return set(ARN.findall(as_json(policies(load_text(text).replications, phase), phase)))


@pytest.mark.parametrize("phase", list(PolicyPhase))
@pytest.mark.parametrize(
    ("source", "target", "partition"),
    [
        ("us-east-1", "ca-central-1", "aws"),
        ("cn-north-1", "cn-northwest-1", "aws-cn"),
        ("us-gov-west-1", "us-gov-east-1", "aws-us-gov"),
    ],
)
def test_an_arn_has_the_partition_of_its_region(
    phase: PolicyPhase, source: str, target: str, partition: str
) -> None:
    assert places(phase, source, target) == {(partition, source, "*"), (partition, target, "*")}


@pytest.mark.parametrize("phase", list(PolicyPhase))
@pytest.mark.parametrize(
    ("more", "account"),
    [
        ("", "*"),
        (', account: "210987654321"', "210987654321"),
        (", role_arn: 'arn:aws:iam::210987654321:role/sync'", "210987654321"),
        (
            """, account: "210987654321", role_arn: 'arn:aws:iam::210987654321:role/sync'""",
            "210987654321",
        ),
    ],
)
def test_an_arn_has_the_account_that_the_spec_or_the_role_names(
    phase: PolicyPhase, more: str, account: str
) -> None:
    found = places(phase, "us-east-1", "us-east-2", more)
    assert {one for one in found if one[1] == "us-east-2"} == {("aws", "us-east-2", account)}
    assert {one for one in found if one[1] == "us-east-1"} == {("aws", "us-east-1", "*")}


@pytest.mark.parametrize(
    ("pattern", "patterns"),
    [
        ("/prod/*", {"prod/*"}),
        ("/us-east-1/*", {"dr/*"}),
        ("/*/us-east-1/a-us-east-1", {"*/dr/a-dr"}),
        ("/a-us*", {"a-us*", "a-*"}),  # such as a-us-east-1
        ("/a/*/us-*", {"a/*/us-*", "a/*/*"}),
        ("/*east-1/b", {"*east-1/b", "*"}),
        ("/a/*-1/b", {"a/*-1/b", "a/*"}),
        ("/a/*-east/b", {"a/*-east/b"}),
    ],
)
def test_a_rewrite_widens_a_pattern_only_where_a_star_may_hold_a_part_of_the_text(
    pattern: str, patterns: set[str]
) -> None:
    assert rewritten(pattern, Substitution("us-east-1", "dr")) == patterns


def test_the_longest_part_of_the_text_before_a_star_is_replaced() -> None:
    assert rewritten("/xaa*", Substitution("aab", "c")) == {"xaa*", "x*"}
