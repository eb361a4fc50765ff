"""The commands themselves, two accounts and keys of one's own, against the policies that `iam` prints.

What SSM asks of KMS on our behalf goes over no wire that a test could watch, so it is worked out from the
calls that cause it: a value decrypted, a SecureString written under a key (KMS developer guide).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws
from moto.ssm.models import ssm_backends

from ssm_reconcile.cli import root
from ssm_reconcile.iam import DEFAULT
from ssm_reconcile.model import Place
from tests.doubles import iam
from tests.doubles.iam import Request
from tests.integration.test_permitted_calls import OF_NOBODY, SERVICES, requests

HERE, THERE = Place("123456789012", "us-east-1"), Place("123456789012", "us-east-2")
AWAY = Place("210987654321", "eu-west-1")
ROLE = f"arn:aws:iam::{AWAY.account}:role/ssm-reconcile"
SPEC = f"""\
version: 1
name: prod
source: {{ region: us-east-1, account: "{HERE.account}" }}
targets:
  - region: us-east-2
    account: "{THERE.account}"
  - name: away
    region: eu-west-1
    role_arn: {ROLE}
    kms: {{ default: alias/away }}
parameters: {{ include: ["/prod/**"] }}
kms: [{{ source: alias/app, targets: {{ us-east-2: alias/app }} }}]
delete: owned
rates: {{ put: 200, tags: 200, list_tags: 200, describe: 200, get: 200, resources: 200, delete: 200 }}
"""
WIDE = {("kms:Decrypt", "mrk-*"), ("kms:Encrypt", "mrk-*"), ("kms:GenerateDataKey", "mrk-*")}
"""For multi-Region keys, of which moto's world has none; tests/unit/test_permit.py has them."""

OF_A_ROLE = "ASIA"
"""Prefix of the key ids of an assumed role."""


class Wire:
    """Every call of boto3 as IAM sees it, by the identity that makes it; keys by place and alias."""

    def __init__(self) -> None:
        self.made: dict[str, list[Request]] = {}
        self.keys: dict[tuple[Place, str], str] = {}
        self.watching = True

    def note(self, client: Any, operation: str, arguments: dict[str, Any]) -> None:
        if not self.watching:
            return
        own = not client._request_signer._credentials.access_key.startswith(OF_A_ROLE)
        account = HERE.account if own else AWAY.account
        place = Place(account, client.meta.region_name)
        service = SERVICES[client.meta.service_model.service_id.replace(" ", "")]
        found = self.made.setdefault(DEFAULT if own else ROLE, [])
        if operation == "AssumeRole":
            found.append(Request("sts:AssumeRole", arguments["RoleArn"]))
            return
        for one in requests(service, operation, arguments, place.region):
            resource = one.resource.replace(HERE.account, place.account)
            found.append(Request(one.action, resource, self._tags(place, operation, arguments)))
        found.extend(self._asked_of_kms(place, operation, arguments))

    def _tags(self, place: Place, operation: str, arguments: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        """The tags of the one parameter that is tagged."""
        if operation not in {"AddTagsToResource", "RemoveTagsFromResource"}:
            return {}
        backend = ssm_backends[place.account][place.region]
        result = backend.list_tags_for_resource("Parameter", arguments["ResourceId"])
        return {f"aws:ResourceTag/{key}": (value,) for key, value in result.items()}

    def _asked_of_kms(self, place: Place, operation: str, arguments: dict[str, Any]) -> Iterator[Request]:
        if operation == "PutParameter" and arguments.get("KeyId"):
            action = "kms:GenerateDataKey" if arguments.get("Tier") == "Advanced" else "kms:Encrypt"
            yield from self._with_key(action, place, arguments["Name"], arguments["KeyId"])
        if operation == "GetParameters" and arguments.get("WithDecryption"):
            backend = ssm_backends[place.account][place.region]
            for name in (named.partition(":")[0] for named in arguments["Names"]):
                there = backend.get_parameter(name)
                if there is not None and there.keyid and there.parameter_type == "SecureString":
                    yield from self._with_key("kms:Decrypt", place, name, there.keyid)

    def _with_key(self, action: str, place: Place, name: str, key: str) -> Iterator[Request]:
        if key != "alias/aws/ssm":  # it serves every principal of its account, without a policy
            context = {
                "kms:EncryptionContext:PARAMETER_ARN": (place.arn(name),),
                "kms:ResourceAliases": (key,),
            }
            yield Request(action, self.keys[place, key], context)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wire]:
    from botocore.client import BaseClient

    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text(SPEC)
    name = "_make_api_call"  # what every operation of every client goes through
    really, found = getattr(BaseClient, name), Wire()

    def noting(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        found.note(client, operation, arguments)
        if operation == "GetServiceSetting":  # which moto does not have
            return {"ServiceSetting": {"SettingId": arguments["SettingId"], "SettingValue": "Standard"}}
        return really(client, operation, arguments)

    with mock_aws(), mock.patch.object(BaseClient, name, noting):
        yield found


def client(wire: Wire, service: str, place: Place) -> Any:
    """A client of another writer, whose calls are not recorded."""
    wire.watching = False
    make: Any = boto3.client  # typed by the literal name of a service
    if place.account == HERE.account:
        return make(service, place.region)
    result = boto3.client("sts", "us-east-1").assume_role(RoleArn=ROLE, RoleSessionName="setup")
    credentials = result["Credentials"]
    return make(
        service,
        place.region,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def run(wire: Wire, *words: str, code: int = 0) -> str:
    wire.watching = True
    result = CliRunner().invoke(root, [*words], input="")
    wire.watching = False
    assert result.exit_code == code, result.output
    return result.stdout


def granted(wire: Wire, phase: str) -> dict[str, dict[str, Any]]:
    result = json.loads(run(wire, "iam", phase))
    return {one["identity"]: one["document"] for one in result["policies"]}


def arrange(wire: Wire) -> Any:
    """Keys of one's own in all three places, and parameters of every kind at the source."""
    for place, alias in ((HERE, "alias/app"), (THERE, "alias/app"), (AWAY, "alias/away")):
        kms = client(wire, "kms", place)
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=alias, TargetKeyId=key)
        wire.keys[place, alias] = f"arn:aws:kms:{place.region}:{place.account}:key/{key}"
    ssm = client(wire, "ssm", HERE)
    for name in ("/prod/url", "/prod/gone"):
        ssm.put_parameter(Name=name, Value="one", Type="String", Tags=[{"Key": "a", "Value": "b"}])
    for name, tier in (("/prod/key", "Standard"), ("/prod/large", "Advanced")):
        ssm.put_parameter(Name=name, Value="one", Type="SecureString", KeyId="alias/app", Tier=tier)
    return ssm


def leave_orphans(wire: Wire, ssm: Any) -> None:
    """Parameters that an earlier spec selected and the current one does not; one has a mark."""
    for name in ("/old/one", "/old/two"):
        ssm.put_parameter(Name=name, Value="one", Type="String")
    earlier = SPEC.replace('"/prod/**"', '"/prod/**", "/old/**"')
    assert "delete: owned" in earlier
    Path("earlier.yaml").write_text(earlier.replace("delete: owned", "delete: { mode: owned, after: 1d }"))
    made, wire.made = wire.made, {}
    run(wire, "apply", "earlier.yaml", "--yes", "-q")
    ssm.delete_parameter(Name="/old/two")
    run(wire, "apply", "earlier.yaml", "--yes", "-q")
    wire.made = made


def change(ssm: Any) -> None:
    """Something of each kind: a value, a secret under either tier, a tag, a name that is gone."""
    ssm.put_parameter(Name="/prod/url", Value="two", Type="String", Overwrite=True)
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="/prod/url", TagKeys=["a"])
    for name, tier in (("/prod/key", "Standard"), ("/prod/large", "Advanced")):
        ssm.put_parameter(
            Name=name, Value="two", Type="SecureString", KeyId="alias/app", Tier=tier, Overwrite=True
        )
    ssm.delete_parameter(Name="/prod/gone")


def event(name: str) -> None:
    result = {"account": HERE.account, "region": HERE.region, "source": "aws.ssm", "resources": []}
    result |= {"detail-type": "Parameter Store Change", "id": "1", "time": "2026-11-27T00:00:00Z"}
    detail = {"operation": "Update", "name": name, "type": "String"}
    Path("event.json").write_text(json.dumps({**result, "detail": detail}))


def refused(wire: Wire, documents: dict[str, dict[str, Any]]) -> list[str]:
    return sorted(
        {
            f"{identity}: {one}"
            for identity, made in wire.made.items()
            for one in made
            if one.action not in OF_NOBODY and not iam.allowed(documents[identity], one)
        }
    )


def unused(wire: Wire, documents: dict[str, dict[str, Any]]) -> list[str]:
    """Actions on a kind of resource that nothing has called."""
    return [
        f"{identity}: {statement['Sid']}: {action} on {resource}"
        for identity, document in documents.items()
        for statement in document["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
        if (action, resource.rpartition("/")[2]) not in WIDE
        and not any(
            iam.fits({**statement, "Action": [action], "Resource": [resource]}, one)
            for one in wire.made.get(identity, [])
        )
    ]


def test_calls_of_the_commands_equal_the_policy_of_an_apply(wire: Wire) -> None:
    ssm = arrange(wire)
    run(wire, "doctor", "-q")
    run(wire, "apply", "--yes", "-q")
    change(ssm)
    run(wire, "explain", "/prod/key", "-q")
    run(wire, "apply", "--yes", "-q", "--max-deletes", "1")
    run(wire, "plan", "--verify-values", "--detailed-exitcode", "-q")
    leave_orphans(wire, ssm)
    for target in ("us-east-2", "away"):
        run(wire, "detach", "--target", target, "--yes", "-q")
        run(wire, "detach", "--target", target, "--undo", "--yes", "-q")
    documents = granted(wire, "apply")
    assert documents.keys() == wire.made.keys() == {DEFAULT, ROLE}
    assert refused(wire, documents) == []
    assert unused(wire, documents) == []


def test_calls_of_a_run_by_event_are_allowed_by_its_policy(wire: Wire) -> None:
    ssm = arrange(wire)
    for name in ("/prod/url", "/prod/key", "/prod/large"):
        event(name)
        run(wire, "event", "event.json", "-q")
    change(ssm)
    for name in ("/prod/url", "/prod/key", "/prod/large"):
        event(name)
        run(wire, "event", "event.json", "-q")
    assert refused(wire, granted(wire, "event")) == []
    made = {one.action for one in wire.made[ROLE]}
    assert {"ssm:PutParameter", "kms:Encrypt", "kms:GenerateDataKey", "ssm:GetParameters"} <= made


def test_calls_of_a_plan_equal_its_policy_and_do_not_write(wire: Wire) -> None:
    ssm = arrange(wire)
    run(wire, "apply", "--yes", "-q")
    change(ssm)
    wire.made.clear()
    run(wire, "plan", "-q")
    run(wire, "plan", "--verify-values", "-q")
    run(wire, "doctor", "-q")
    documents = granted(wire, "plan")
    assert refused(wire, documents) == []
    assert unused(wire, documents) == []


def test_a_status_reads_no_value_and_needs_less_than_a_plan_without_decryption(wire: Wire) -> None:
    ssm = arrange(wire)
    run(wire, "apply", "--yes", "-q")
    change(ssm)
    wire.made.clear()
    run(wire, "status", "-q")
    result = json.loads(run(wire, "iam", "plan", "--no-decrypt"))
    documents = {one["identity"]: one["document"] for one in result["policies"]}
    assert refused(wire, documents) == []
    actions = {one.action for made in wire.made.values() for one in made}
    assert not actions & {"ssm:GetParameter", "ssm:GetParameters", "kms:Decrypt"}


def test_a_plan_without_decryption_makes_no_call_that_its_policy_denies(wire: Wire) -> None:
    ssm = arrange(wire)
    run(wire, "apply", "--yes", "-q")
    change(ssm)
    wire.made.clear()
    run(wire, "plan", "--no-decrypt", "-q")
    result = json.loads(run(wire, "iam", "plan", "--no-decrypt"))
    documents = {one["identity"]: one["document"] for one in result["policies"]}
    assert refused(wire, documents) == []
    assert not [one for made in wire.made.values() for one in made if one.action == "kms:Decrypt"]
    for place, alias in wire.keys:
        secret = Request("kms:Decrypt", wire.keys[place, alias])
        assert not any(iam.allowed(document, secret) for document in documents.values())
