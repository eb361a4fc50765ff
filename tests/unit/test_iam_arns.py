"""The ARNs in policies: partition and region of each place, and the account if the spec has it."""

from __future__ import annotations

import re

import pytest

from ssm_reconcile.iam import as_json, policies
from ssm_reconcile.iam.statements import PolicyPhase
from ssm_reconcile.load import load_text

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
