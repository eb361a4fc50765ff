"""The partition of a region, everywhere one is needed: from botocore's data, and the same as botocore's."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.loaders import create_loader
from botocore.session import Session

from ssm_reconcile import aws_limits as subject
from ssm_reconcile.aws_limits import dns_suffix, is_opt_in, partition_of, partitions
from ssm_reconcile.errors import SpecError, UsageError
from ssm_reconcile.event.events import EventOrigin, Names, read_content
from ssm_reconcile.iam import TrustedWorkflows, partition_for, policies, trust_policy
from ssm_reconcile.iam.statements import PolicyPhase
from ssm_reconcile.load import load_text
from tests.doubles.clock import FakeClock
from tests.fake_aws.world import World

HOMES = {
    "us-east-1": "aws",
    "cn-north-1": "aws-cn",
    "us-gov-west-1": "aws-us-gov",
    "us-iso-east-1": "aws-iso",
    "us-isob-east-1": "aws-iso-b",
    "eu-isoe-west-1": "aws-iso-e",
    "us-isof-south-1": "aws-iso-f",
    "eusc-de-east-1": "aws-eusc",
}
SPEC = """\
version: 1
name: prod
source: {{ region: {source} }}
targets: [{{ region: {target}, role_arn: "arn:{partition}:iam::210987654321:role/r" }}]
parameters: {{ include: ["/prod/**"] }}
delete: owned
"""


@pytest.fixture
def fresh_table() -> Iterator[None]:
    partitions.cache_clear()
    yield
    partitions.cache_clear()


def test_every_region_of_botocore_has_the_partition_that_botocore_gives_it() -> None:
    session = Session()
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ssm", partition)
    ]
    assert len(regions) > 30
    assert {region: partition_of(region) for region in regions} == {
        region: session.get_partition_for_region(region) for region in regions
    }


def test_the_table_has_every_partition_of_botocore() -> None:
    known = create_loader().load_data("partitions")["partitions"]
    assert {one.name: one.dns_suffix for one in partitions()} == {
        one["id"]: one["outputs"]["dnsSuffix"] for one in known
    }
    assert dns_suffix("aws-of-tomorrow") == "amazonaws.com"


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eusc-fr-west-1", "aws-eusc"),
        ("cn-southwest-3", "aws-cn"),
        ("us-gov-central-1", "aws-us-gov"),
        ("us-isob-north-2", "aws-iso-b"),
        ("eu-isoe-north-1", "aws-iso-e"),
        ("eu-central-9", "aws"),
        ("nz-north-1", "aws"),
    ],
)
def test_a_region_that_no_partition_lists_is_assigned_by_its_name(region: str, partition: str) -> None:
    assert partition_of(region) == partition


def test_the_table_is_read_from_a_zip_archive_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_table: None
) -> None:
    data = {"partitions": [{"id": "aws-x", "regionRegex": r"^xx\-\w+\-\d+$", "regions": {"xx-a-1": {}},
                            "outputs": {"dnsSuffix": "x.example"}}]}  # fmt: skip
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.writestr("botocore/__init__.py", "")
        archive.writestr("botocore/data/partitions.json", json.dumps(data))

    def find_spec(name: str) -> object:
        from zipimport import zipimporter

        return zipimporter(str(tmp_path / "site.zip")).find_spec(name)

    monkeypatch.setattr(subject, "find_spec", find_spec)
    assert partition_of("xx-b-2") == "aws-x"


@pytest.mark.parametrize(("region", "partition"), HOMES.items())
class TestEveryPartition:
    def test_policies_name_it_in_each_arn(self, region: str, partition: str) -> None:
        other = region[:-1] + "8"
        loaded = load_text(SPEC.format(source=region, target=other, partition=partition), "spec.yaml")
        for phase in PolicyPhase:
            arns = [
                resource
                for policy in policies(loaded.replications, phase)
                for statement in policy.statements
                for resource in statement.resources
                if resource != "*"
            ]
            assert arns
            assert {arn.split(":")[1] for arn in arns} == {partition}

    def test_a_trust_policy_names_it(self, region: str, partition: str) -> None:
        loaded = load_text(SPEC.format(source=region, target=region, partition=partition), "spec.yaml")
        found = partition_for(loaded.replications)
        (statement,) = trust_policy(TrustedWorkflows("acme/params"), "123456789012", found)["Statement"]
        assert statement["Principal"]["Federated"].startswith(
            f"arn:{partition}:iam::123456789012:oidc-provider/"
        )

    def test_an_event_of_it_is_accepted(self, region: str, partition: str) -> None:
        event = {
            "detail-type": "Parameter Store Change",
            "source": "aws.ssm",
            "account": "123456789012",
            "region": region,
            "detail": {"operation": "Update", "name": "/a"},
        }
        (content,) = read_content(event)
        assert isinstance(content, Names)
        assert content.origin == EventOrigin("123456789012", region)

    def test_a_place_of_the_simulated_aws_is_in_it(self, region: str, partition: str) -> None:
        assert World(FakeClock()).place(region).arn("/a").split(":")[1] == partition


def test_a_workflow_may_ask_for_the_sts_of_its_partition() -> None:
    def audience(partition: str) -> object:
        (statement,) = trust_policy(TrustedWorkflows("acme/params"), "123456789012", partition)["Statement"]
        return statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:aud"]

    assert audience("aws-us-gov") == "sts.amazonaws.com"
    assert audience("aws-cn") == ["sts.amazonaws.com", "sts.amazonaws.com.cn"]


def test_one_trust_policy_is_of_one_partition() -> None:
    china = SPEC.format(source="cn-north-1", target="cn-northwest-1", partition="aws-cn")
    home = SPEC.format(source="us-east-1", target="us-east-2", partition="aws").replace("prod\n", "home\n", 1)
    loaded = load_text(f"{china}---\n{home}", "spec.yaml")
    with pytest.raises(UsageError, match="aws, aws-cn"):
        partition_for(loaded.replications)
    assert partition_for(()) == "aws"


def test_places_in_two_partitions_are_an_error_at_the_target() -> None:
    text = SPEC.format(source="us-east-1", target="cn-north-1", partition="aws-cn")
    with pytest.raises(SpecError) as caught:
        load_text(text, "spec.yaml")
    (finding,) = caught.value.findings
    assert (finding.code, finding.where) == ("several-partitions", "spec.yaml:4:21")
    assert "aws-cn" in finding.message


@pytest.mark.parametrize(
    ("region", "opt_in"),
    [("us-east-1", False), ("sa-east-1", False), ("af-south-1", True), ("mx-central-1", True),
     ("cn-north-1", False), ("us-gov-west-1", False)],
)  # fmt: skip
def test_a_region_of_the_first_partition_is_opt_in_unless_it_is_an_old_one(region: str, opt_in: bool) -> None:
    assert is_opt_in(region) is opt_in


def test_the_role_of_a_target_is_assumed_at_the_sts_of_the_source_region() -> None:
    text = SPEC.format(source="us-east-1", target="af-south-1", partition="aws")
    (spec,) = load_text(text, "spec.yaml").replications
    assert spec.source.access.sts_region is None
    assert [target.access.sts_region for target in spec.targets] == ["us-east-1"]
