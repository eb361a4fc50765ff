"""Stacks of roles: the policies of the other commands, and trust in the right jobs and roles only."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ssm_reconcile.errors import UsageError
from ssm_reconcile.iam import DEFAULT, policies
from ssm_reconcile.iam.stack import own_account, own_stack, role_names, target_stack
from ssm_reconcile.iam.statements import PolicyPhase
from ssm_reconcile.load import load_text
from ssm_reconcile.spec import Replication
from tests.doubles import iam
from tests.doubles.iam import Request
from tests.events.templates import loaded, rendered

EXAMPLES = Path(__file__).parents[2] / "examples"
REPOSITORY, IDS = "acme/params", "12/34"
ISSUER = "token.actions.githubusercontent.com"
HOME, OTHER, THIRD = "123456789012", "210987654321", "333333333333"
HERE = "{ region: us-east-2 }"
PROVIDER = f"arn:aws:iam::{HOME}:oidc-provider/{ISSUER}"
REGIONS = ("us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1",
           "ap-south-1", "sa-east-1", "ca-central-1")  # fmt: skip


def examples() -> dict[str, Sequence[Replication]]:
    """Return the replications of each folder of examples/, those of several files together."""
    found: dict[str, Sequence[Replication]] = {}
    for folder in sorted(path for path in EXAMPLES.iterdir() if path.is_dir()):
        texts = [path.read_text() for path in sorted(folder.rglob("*.yaml"))]
        found[folder.name] = [one for text in texts for one in load_text(text).replications]
    return found


def spec(targets: str, name: str = "prod", source: str = f'region: us-east-1, account: "{HOME}"') -> str:
    return f"""\
version: 1
name: {name}
source: {{ {source} }}
targets: [{targets}]
parameters: {{ include: ["/prod/**"] }}
delete: owned
"""


def role(name: str, account: str, more: str = "", region: str = "us-east-2", partition: str = "aws") -> str:
    arn = f"arn:{partition}:iam::{account}:role/{name}"
    return f"{{ name: {account}-{name.replace('/', '-')}, region: {region}, role_arn: '{arn}'{more} }}"


def reader(account: str) -> str:
    return f"region: us-east-1, role_arn: 'arn:aws:iam::{account}:role/reader'"


def load(*texts: str) -> list[Replication]:
    return [one for text in texts for one in load_text(text).replications]


ALL = {
    **examples(),
    "source role": load(spec(role("writer", OTHER), source=reader(HOME))),
    "source elsewhere": load(spec(f'{{ region: us-east-2, account: "{HOME}" }}', source=reader(OTHER))),
    "one role for two specs": load(
        spec(role("path/to/writer", OTHER, ", external_id: of-one"), "one"),
        spec(role("path/to/writer", OTHER, ", external_id: of-two"), "two"),
    ),
}  # fmt: skip


def stacks(specs: Sequence[Replication]) -> dict[str, dict[str, Any]]:
    """Return the template of each account that the specs name."""
    own = own_account(specs) or ""
    found = {own: own_stack(specs, REPOSITORY, IDS)}
    arns = {one.identity for one in policies(specs, PolicyPhase.APPLY)} - {DEFAULT}
    for account in sorted({arn.split(":")[4] for arn in arns} - {own}):
        found[account] = target_stack(specs, REPOSITORY, account)
    return found


def roles(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the properties of each role by its logical id."""
    resources = template["Resources"].items()
    return {key: one["Properties"] for key, one in resources if one["Type"] == "AWS::IAM::Role"}


def granted(template: Mapping[str, Any], logical: str) -> list[dict[str, Any]]:
    """Return the policy documents of a role, inline and managed."""
    properties = roles(template)[logical]
    attached = [one["Ref"] for one in properties.get("ManagedPolicyArns", ())]
    return [
        *(one["PolicyDocument"] for one in properties.get("Policies", ())),
        *(template["Resources"][name]["Properties"]["PolicyDocument"] for name in attached),
    ]


@pytest.mark.parametrize("name", ALL)
def test_each_role_has_the_policy_that_the_other_commands_print(name: str) -> None:
    specs = ALL[name]
    plan = {one.identity: one.document() for one in policies(specs, PolicyPhase.PLAN, no_decrypt=True)}
    apply = {one.identity: one.document() for one in policies(specs, PolicyPhase.APPLY)}
    found = stacks(specs)
    own = found[own_account(specs) or ""]
    assert granted(own, "PlanRole") == [plan[DEFAULT]]
    assert granted(own, "ApplyRole") == [apply.pop(DEFAULT)]
    others = {
        f"arn:aws:iam::{account}:role{one['Path']}{one['RoleName']}": granted(template, logical)
        for account, template in found.items()
        for logical, one in roles(template).items()
        if logical not in {"PlanRole", "ApplyRole"}
    }
    assert others == {identity: [document] for identity, document in apply.items()}


@pytest.mark.parametrize("name", ALL)
def test_the_role_of_an_apply_is_enough_for_a_plan(name: str) -> None:
    def triples(phase: PolicyPhase, **how: bool) -> set[tuple[str, str, str, str]]:
        return {
            (policy.identity, action, resource, str(one.conditions))
            for policy in policies(ALL[name], phase, **how)
            for one in policy.statements
            if one.effect == "Allow"
            for action in one.actions
            for resource in one.resources
        }

    needed = triples(PolicyPhase.PLAN, no_decrypt=True)
    assert needed
    assert needed <= triples(PolicyPhase.APPLY)


@pytest.mark.parametrize("name", ALL)
def test_the_plan_role_decrypts_and_writes_nothing(name: str) -> None:
    (document,) = granted(own_stack(ALL[name], REPOSITORY), "PlanRole")
    iam.check(document)
    parameter = f"arn:aws:ssm:us-east-1:{HOME}:parameter/shared/x"
    context = {"kms:EncryptionContext:PARAMETER_ARN": (parameter,)}
    key = f"arn:aws:kms:us-east-1:{HOME}:key/11111111-2222-3333-4444-555555555555"
    assert not iam.allowed(document, Request("kms:Decrypt", key, context))
    allowed = {
        action for one in document["Statement"] if one["Effect"] == "Allow" for action in one["Action"]
    }
    assert not [one for one in allowed if re.search("Put|Delete|AddTags|RemoveTags|crypt|DataKey|[*]", one)]


def claims(subject: str, audience: str = "sts.amazonaws.com") -> dict[str, str]:
    return {f"{ISSUER}:sub": subject, f"{ISSUER}:aud": audience}


def trusts(document: Mapping[str, Any], token: Mapping[str, str]) -> bool:
    """Whether a trust policy admits a token of the provider; each of its conditions must hold."""
    (statement,) = document["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert set(statement["Condition"]) == {"StringEquals"}
    wanted = statement["Condition"]["StringEquals"]
    assert set(wanted) == set(claims(""))
    return all(
        token[key] in (values if isinstance(values, list) else [values]) for key, values in wanted.items()
    )


@pytest.mark.parametrize(("logical", "environment"), [("PlanRole", "ssm-plan"), ("ApplyRole", "ssm-apply")])
def test_a_role_trusts_jobs_with_its_environment_in_both_forms_and_no_others(
    logical: str, environment: str
) -> None:
    trust = roles(own_stack(ALL["stages"], REPOSITORY, IDS))[logical]["AssumeRolePolicyDocument"]
    for repository in ("acme/params", "acme@12/params@34"):
        assert trusts(trust, claims(f"repo:{repository}:environment:{environment}"))
        assert not trusts(trust, claims(f"repo:{repository}:environment:{environment}", "another audience"))
        for rest in (
            "ref:refs/heads/main", "pull_request", f"ref:refs/heads/environment:{environment}",
            "environment:prod", f"environment:{environment}-changed",
            f"environment:{'ssm-apply' if environment == 'ssm-plan' else 'ssm-plan'}",
        ):  # fmt: skip
            assert not trusts(trust, claims(f"repo:{repository}:{rest}"))
    for repository in ("acme/other", "acme@12/params@35", "acme@13/params@34", "evil/params"):
        assert not trusts(trust, claims(f"repo:{repository}:environment:{environment}"))
    older = roles(own_stack(ALL["stages"], REPOSITORY))[logical]["AssumeRolePolicyDocument"]
    assert trusts(older, claims(f"repo:acme/params:environment:{environment}"))
    assert not trusts(older, claims(f"repo:acme@12/params@34:environment:{environment}"))


def test_the_provider_is_created_unless_its_arn_is_given_and_outlives_the_stack() -> None:
    template = own_stack(ALL["stages"], REPOSITORY)
    (condition,) = template["Conditions"].values()
    assert condition == {"Fn::Equals": [{"Ref": "OidcProviderArn"}, ""]}
    provider = template["Resources"]["OidcProvider"]
    assert [provider["Condition"]] == list(template["Conditions"])
    assert provider["DeletionPolicy"] == provider["UpdateReplacePolicy"] == "Retain"
    assert provider["Properties"] == {"Url": f"https://{ISSUER}", "ClientIdList": ["sts.amazonaws.com"]}
    parameter = template["Parameters"]["OidcProviderArn"]
    assert parameter["Default"] == ""
    for arn, fits in (("", True), (PROVIDER, True), (f"{PROVIDER}.evil.example", False), ("acme", False)):
        assert bool(re.fullmatch(parameter["AllowedPattern"], arn)) is fits
    for one in roles(template).values():
        chosen = one["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Federated"]["Fn::If"]
        assert chosen == [provider["Condition"], {"Ref": "OidcProvider"}, {"Ref": "OidcProviderArn"}]


@pytest.mark.parametrize(
    ("partition", "source", "target", "audiences"),
    [
        ("aws-cn", "cn-north-1", "cn-northwest-1", ["sts.amazonaws.com", "sts.amazonaws.com.cn"]),
        ("aws-us-gov", "us-gov-west-1", "us-gov-east-1", ["sts.amazonaws.com"]),
        ("aws-eusc", "eusc-de-east-1", "eusc-de-east-1", ["sts.amazonaws.com", "sts.amazonaws.eu"]),
    ],
)
def test_a_stack_has_the_partition_of_the_spec(
    partition: str, source: str, target: str, audiences: list[str]
) -> None:
    text = spec(role("writer", OTHER, region=target, partition=partition),
                source=f'region: {source}, account: "{HOME}"')  # fmt: skip
    own, other = stacks(load(text)).values()
    assert own["Resources"]["OidcProvider"]["Properties"]["ClientIdList"] == audiences
    arn = f"arn:{partition}:iam::{HOME}:oidc-provider/{ISSUER}"
    assert re.fullmatch(own["Parameters"]["OidcProviderArn"]["AllowedPattern"], arn)
    for one in audiences:
        assert trusts(roles(own)["PlanRole"]["AssumeRolePolicyDocument"],
                      claims("repo:acme/params:environment:ssm-plan", one))  # fmt: skip
    (statement,) = roles(other)["RoleWriter"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["AWS"] == [
        f"arn:{partition}:iam::{HOME}:role/ssm-reconcile-prod-{phase}" for phase in ("plan", "apply")
    ]
    assert "arn:aws:" not in json.dumps([own, other])


def test_a_role_of_the_spec_trusts_as_the_template_for_target_accounts_does() -> None:
    template = target_stack(load(spec(role("writer", OTHER, ", external_id: of-acme"))), REPOSITORY, OTHER)
    principals = [f"arn:aws:iam::{HOME}:role/ssm-reconcile-prod-{phase}" for phase in ("plan", "apply")]
    wanted = rendered(
        loaded("target-role.yaml")["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"],
        "target-role.yaml", ReplicatorRoleArn=",".join(principals), ExternalId="of-acme",
    )  # fmt: skip
    wanted["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = ["of-acme"]  # one or several
    assert roles(template)["RoleWriter"]["AssumeRolePolicyDocument"] == wanted


@pytest.mark.parametrize(
    ("one", "two", "condition"),
    [
        (", external_id: of-one", ", external_id: of-two", ["of-one", "of-two"]),
        (", external_id: of-one", ", external_id: of-one", ["of-one"]),
        (", external_id: of-one", "", None),
        ("", "", None),
    ],
)
def test_the_external_ids_of_all_specs_are_accepted(one: str, two: str, condition: list[str] | None) -> None:
    specs = load(spec(role("writer", OTHER, one), "one"), spec(role("writer", OTHER, two), "two"))
    (trust,) = roles(target_stack(specs, REPOSITORY, OTHER))["RoleWriter"]["AssumeRolePolicyDocument"][
        "Statement"
    ]
    found = trust.get("Condition", {}).get("StringEquals", {}).get("sts:ExternalId")
    assert found == condition


def test_the_roles_of_the_own_account_trust_the_two_roles_of_their_stack() -> None:
    template = own_stack(ALL["three-accounts"], REPOSITORY)
    (statement,) = roles(template)["RoleSsmReconcile"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["AWS"] == [
        {"Fn::GetAtt": [one, "Arn"]} for one in ("PlanRole", "ApplyRole")
    ]
    assert {"PlanRoleArn", "ApplyRoleArn", "RoleSsmReconcileArn"} == set(template["Outputs"])


def test_the_names_of_the_roles_come_from_the_spec_and_of_several_from_the_repository() -> None:
    one, several = ALL["three-accounts"], ALL["monorepo"]
    assert role_names(one, REPOSITORY) == ("ssm-reconcile-platform-plan", "ssm-reconcile-platform-apply")
    assert role_names(several, REPOSITORY) == ("ssm-reconcile-params-plan", "ssm-reconcile-params-apply")
    for specs in (one, several):
        found = roles(own_stack(specs, REPOSITORY))
        assert (found["PlanRole"]["RoleName"], found["ApplyRole"]["RoleName"]) == role_names(
            specs, REPOSITORY
        )


def test_a_name_that_is_too_long_for_iam_is_cut_and_stays_different() -> None:
    longest, same_start, one_more, fits = "a" * 64, "a" * 63 + "b", "a" * 45, "a" * 44
    found = [
        name
        for text in (longest, same_start, one_more, fits)
        for name in role_names(load(spec(HERE, text)), "a/b")
    ]
    assert len(set(found)) == 8
    assert all(re.fullmatch(r"[\w+=,.@-]{1,64}", name) for name in found)
    assert found[-1] == f"ssm-reconcile-{fits}-apply"
    assert all(len(name) <= 64 for name in role_names(load(spec(HERE), spec(HERE, "b")), "a/" + "b" * 100))


def patterns(number: int, name: str) -> str:
    return ", ".join(f'"/{name}-{one:03}/**"' for one in range(number))


def wide(number: int, regions: int = 10, name: str = "prod") -> list[Replication]:
    """Return a spec with some patterns, and some targets under the default credentials."""
    targets = ", ".join(f"{{ region: {one}, kms: {{ default: alias/app }} }}" for one in REGIONS[:regions])
    return load(spec(targets, name).replace('"/prod/**"', patterns(number, name)))


def refusals() -> Iterator[tuple[Any, str, str]]:
    three = ALL["three-accounts"]
    unknown = load(spec(role("writer", OTHER), source="region: us-east-1"))
    two = load(spec(HERE), spec(HERE, "b", f'region: us-east-1, account: "{OTHER}"'))
    clash = load(spec(role("path/SSM-reconcile-prod-apply", HOME)))
    paths = load(spec(f"{role('a/writer', OTHER)}, {role('b/writer', OTHER, region='us-west-2')}"))
    yield lambda: own_stack(three, "acme"), "'acme' is not OWNER/REPO", ""
    yield lambda: own_stack(three, "acme/*"), "is not OWNER/REPO", ""
    yield lambda: own_stack(three, REPOSITORY, "12"), "is not OWNER_ID/REPO_ID", "gh api"
    yield lambda: target_stack(three, "acme/*", "222222222222"), "is not OWNER/REPO", ""
    yield (
        lambda: target_stack(three, REPOSITORY, "999999999999"),
        "999999999999",
        "222222222222, 333333333333",
    )
    yield lambda: target_stack(three, REPOSITORY, "111111111111"), "has the plan role", "leave out"
    yield (
        lambda: target_stack(unknown, REPOSITORY, OTHER),
        "their account is not known",
        "`account` of the source",
    )
    china = load(spec("{ region: cn-northwest-1 }", "c", "region: cn-north-1"))
    yield (
        lambda: own_stack([*china, *unknown], REPOSITORY),
        "several partitions (aws, aws-cn)",
        "once for each spec",
    )
    yield lambda: own_stack(two, REPOSITORY), f"several accounts ({HOME}, {OTHER})", "each spec"
    yield (
        lambda: own_stack(clash, REPOSITORY),
        "SSM-reconcile-prod-apply, ssm-reconcile-prod-apply",
        "role_arn",
    )
    yield lambda: target_stack(paths, REPOSITORY, OTHER), "would have one name: writer, writer", "role_arn"


@pytest.mark.parametrize(("call", "message", "remedy"), list(refusals()))
def test_wrong_input_is_refused_with_a_remedy(call: Any, message: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        call()
    assert remedy in str(error.value.remedy or "")


def test_roles_with_similar_names_have_ids_of_their_own() -> None:
    specs = load(
        spec(f"{role('a-b', OTHER)}, {role('a_b', OTHER, region='us-west-2')}".replace("a_b,", "ab,"))
    )
    found = roles(target_stack(specs, REPOSITORY, OTHER))
    assert sorted(one["RoleName"] for one in found.values()) == ["a-b", "a_b"]
    assert all(re.fullmatch("[A-Za-z0-9]{1,255}", name) for name in found)


def test_notes_name_the_other_accounts_and_the_reach_of_the_plan_role() -> None:
    def notes(name: str, ids: str | None = IDS) -> str:
        found: list[str] = own_stack(ALL[name], REPOSITORY, ids)["Metadata"]["Notes"]
        return "\n".join(found)

    assert notes("one-account-two-regions") == ""
    assert "--github-ids" in notes("one-account-two-regions", None)
    assert "--target-account for each of 222222222222, 333333333333" in notes("three-accounts")
    assert "the plan role can assume the roles of the spec" in notes("three-accounts")
    (first,) = target_stack(ALL["three-accounts"], REPOSITORY, "222222222222")["Metadata"]["Notes"]
    assert "deploy the stack of account 111111111111 first" in first


@pytest.mark.large
def test_cfn_lint_has_nothing_to_report(tmp_path: Path) -> None:
    every = {
        f"{name}-{account}": one for name, specs in ALL.items() for account, one in stacks(specs).items()
    }
    every["split"] = own_stack(wide(15), REPOSITORY)
    assert len(every) >= 15
    files = []
    for name, template in every.items():
        files.append(tmp_path / f"{name.replace(' ', '-')}.json")
        files[-1].write_text(json.dumps(template, indent=2))
    options = ["--include-checks", "I3510", "--non-zero-exit-code", "informational"]
    program = "from cfnlint.runner import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program, *options, *map(str, files)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield


def create(template: Mapping[str, Any], **parameters: str) -> dict[str, str]:
    """Create a stack on moto, and return its outputs."""
    client = boto3.client("cloudformation", "us-east-1")
    client.create_stack(
        StackName="ssm-reconcile", TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )  # fmt: skip
    (stack,) = client.describe_stacks(StackName="ssm-reconcile")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


@pytest.mark.large
@pytest.mark.usefixtures("moto")
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..IAM..OIDCProvider")  # moto does not create it
@pytest.mark.parametrize("provider", ["", PROVIDER])
@pytest.mark.parametrize("specs", [ALL["three-accounts"], wide(6)])
def test_a_stack_is_created_with_its_roles(specs: Sequence[Replication], provider: str) -> None:
    template = own_stack(specs, REPOSITORY, IDS)
    outputs = create(template, **({"OidcProviderArn": provider} if provider else {}))
    client = boto3.client("iam", "us-east-1")
    for logical, properties in roles(template).items():
        made: Any = client.get_role(RoleName=properties["RoleName"])["Role"]
        assert outputs[f"{logical}Arn"] == made["Arn"]
        (trust,) = made["AssumeRolePolicyDocument"]["Statement"]
        if logical in {"PlanRole", "ApplyRole"}:
            environment = "ssm-plan" if logical == "PlanRole" else "ssm-apply"
            assert trusts({"Statement": [trust]}, claims(f"repo:acme/params:environment:{environment}"))
            assert trust["Principal"] == ({"Federated": provider} if provider else {})
        else:
            assert trust["Principal"]["AWS"] == [outputs["PlanRoleArn"], outputs["ApplyRoleArn"]]
        inline = client.list_role_policies(RoleName=made["RoleName"])["PolicyNames"]
        assert inline == [one["PolicyName"] for one in properties.get("Policies", ())]
    managed = client.list_policies(Scope="Local")["Policies"]  # moto does not attach them
    kinds = [one["Type"] for one in template["Resources"].values()]
    assert len(managed) == kinds.count("AWS::IAM::ManagedPolicy")


@pytest.mark.usefixtures("moto")
def test_a_stack_of_another_account_is_created_with_its_role() -> None:
    (arn,) = create(target_stack(ALL["one role for two specs"], REPOSITORY, OTHER)).values()
    assert arn.endswith(":role/path/to/writer")
    made: Any = boto3.client("iam", "us-east-1").get_role(RoleName="writer")["Role"]
    (trust,) = made["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"]["AWS"] == [
        f"arn:aws:iam::{HOME}:role/ssm-reconcile-params-{phase}" for phase in ("plan", "apply")
    ]
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": ["of-one", "of-two"]}}
