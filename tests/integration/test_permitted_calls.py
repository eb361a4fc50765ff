"""The requests to AWS, against the policies that `iam` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from ssm_reconcile import detach, doctor, reconcile
from ssm_reconcile.iam import DEFAULT, policies
from ssm_reconcile.iam.statements import PolicyPhase
from ssm_reconcile.load import load_text
from ssm_reconcile.model import Place
from ssm_reconcile.session import Session, open_places
from ssm_reconcile.spec import Run
from ssm_reconcile.stores.ssm import Aws
from tests.doubles import iam
from tests.doubles.clock import FakeClock, StopFlag
from tests.doubles.iam import Request
from tests.doubles.strict_moto import StrictMoto
from tests.simulated_aws import unwatched

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**", "single"] }
delete: owned
"""
SERVICES = {"ResourceGroupsTaggingAPI": "tag", "SSM": "ssm", "KMS": "kms", "STS": "sts"}
OF_NOBODY = {"sts:GetCallerIdentity"}
"""Needs no permission."""


@pytest.fixture
def calls() -> Iterator[list[Request]]:
    """Every call of boto3 as IAM sees it."""
    from botocore.client import BaseClient

    name = "_make_api_call"  # what every operation of every client goes through
    made: list[Request] = []
    really = getattr(BaseClient, name)

    def noting(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        service = SERVICES[client.meta.service_model.service_id.replace(" ", "")]
        made.extend(requests(service, operation, arguments, client.meta.region_name))
        return really(client, operation, arguments)

    with mock.patch.object(BaseClient, name, noting):
        yield made


def requests(service: str, operation: str, arguments: dict[str, Any], region: str) -> Iterator[Request]:
    place = Place("123456789012", region)
    action = f"{service}:{operation}"
    names = arguments.get("Names") or [arguments.get("Name") or arguments.get("ResourceId")]
    if "SettingId" in arguments:
        arn = f"arn:aws:ssm:{region}:{place.account}:servicesetting{arguments['SettingId']}"
        yield Request(action, arn)
    elif "KeyId" in arguments and service == "kms":
        yield Request(action, f"arn:aws:kms:{region}:{place.account}:key/{arguments['KeyId']}")
    else:
        for name in names:
            resource = "*" if name is None else place.arn(name.partition(":")[0])
            yield Request(action, resource)
            if operation == "PutParameter" and arguments.get("Tags"):
                yield Request("ssm:AddTagsToResource", resource)


def test_every_call_of_a_doctor_two_applies_and_a_detach_is_allowed(
    monkeypatch: pytest.MonkeyPatch, calls: list[Request]
) -> None:
    import boto3

    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    specs = load_text(SPEC).replications
    clock = FakeClock()
    run = Run()
    with StrictMoto(clock=clock):
        ssm = boto3.client("ssm", "us-east-1")
        ssm.put_parameter(Name="/prod/url", Value="one", Type="String", Tags=[{"Key": "a", "Value": "b"}])
        ssm.put_parameter(Name="/prod/key", Value="secret", Type="SecureString")
        ssm.put_parameter(Name="single", Value="one", Type="String")
        aws = Aws(clock=clock, parallelism=1)
        calls.clear()
        places = open_places(specs, aws.connect, run)
        doctor.diagnose(specs, aws.connect, run, clock, unwatched)
        for step in range(2):
            clock.sleep(3600)
            plan = reconcile.make_plan(specs, Session(places, run, clock, unwatched))
            report = reconcile.carry_out(plan, specs, Session(places, run, clock, unwatched), StopFlag())
            assert report.exit_code == 0, report.outcomes
            clock.sleep(3600)
            if step == 0:
                ours, calls[:] = list(calls), []
                ssm.put_parameter(Name="/prod/url", Value="two", Type="String", Overwrite=True)
                ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="/prod/url", TagKeys=["a"])
                ssm.delete_parameter(Name="single")
                calls[:] = ours
        request = detach.resolve_request(specs[0], "us-east-2", places, undo=False)
        detach.detach(request, request.find_replicas(), clock, unwatched, StopFlag(), 1)
    (policy,) = policies(specs, PolicyPhase.APPLY)
    assert policy.identity == DEFAULT
    document = policy.document()
    made = {one.action for one in calls}
    assert {"ssm:PutParameter", "ssm:DeleteParameters", "ssm:RemoveTagsFromResource"} <= made
    refused = [str(one) for one in calls if not iam.allowed(document, one) and one.action not in OF_NOBODY]
    assert refused == []
