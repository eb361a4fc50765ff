"""Roles of the templates: equal to what `iam event` prints, and no wider than needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from ssm_reconcile.iam import DEFAULT, policies
from ssm_reconcile.iam.statements import PolicyPhase
from ssm_reconcile.load import load_text
from ssm_reconcile.model import Place
from tests.doubles import iam
from tests.doubles.iam import Request
from tests.events.policies import actions, document, known_actions, statements
from tests.events.templates import DEPLOY, TEMPLATES, loaded

CODE = DEPLOY.parent / "src/ssm_reconcile/event"
HERE, THERE = "123456789012", "210987654321"
ROLE = f"arn:aws:iam::{THERE}:role/ssm-reconcile"
OF_THE_STACK = {"Logs", "Queue", "DeadLetters", "State", "StartWholeRun", "ReadSpec"}
"""Statements for the stack's own resources, which a spec does not have; `iam event` prints none of them."""


APP = "11111111-2222-3333-4444-555555555555"


def key(account: str, region: str, name: str) -> str:
    return f"arn:aws:kms:{region}:{account}:key/{name}"


def spec(source_role: str = "", target_role: str = f", role_arn: {ROLE}") -> str:
    return f"""\
version: 1
name: prod
source: {{ region: us-east-1, account: "{THERE if source_role else HERE}"{source_role} }}
targets:
  - {{ region: us-east-2, account: "{HERE}" }}
  - {{ name: dr, region: eu-west-1, account: "{THERE if target_role else HERE}"{target_role} }}
parameters: {{ include: ["/prod/**", "/shared/**"] }}
kms:
  - source: {key(THERE if source_role else HERE, "us-east-1", APP)}
    targets:
      us-east-2: {key(HERE, "us-east-2", APP)}
      dr: {key(THERE if target_role else HERE, "eu-west-1", APP)}
delete: owned
"""


PATHS = {"ParameterPath": "prod/*,shared/*"}


def with_multi_region(*keys: str) -> str:
    """Return keys, and in their places the multi-Region keys that a spec without a default key allows."""
    return ",".join(one for arn in keys for one in (arn, f"{arn.rpartition('/')[0]}/mrk-*"))


STACK = {
    **PATHS, "RoleArns": ROLE,
    "SourceKeyArns": with_multi_region(key(HERE, "us-east-1", APP)),
    "TargetRegions": "us-east-2", "TargetKeyArns": with_multi_region(key(HERE, "us-east-2", APP)),
}  # fmt: skip
TARGET = {
    **PATHS, "AWS::AccountId": THERE, "AWS::Region": "eu-west-1", "Regions": "eu-west-1",
    "KeyArns": with_multi_region(key(THERE, "eu-west-1", APP)), "SourcePlace": f"{HERE}/us-east-1",
}  # fmt: skip
SOURCE = {
    **PATHS, "AWS::AccountId": THERE, "AWS::Region": "us-east-1", "Regions": "us-east-1", "Access": "source",
    "KeyArns": with_multi_region(key(THERE, "us-east-1", APP)),
}  # fmt: skip
BOTH_TARGETS_HERE = {
    **STACK, "RoleArns": "", "TargetRegions": "us-east-2,eu-west-1",
    "TargetKeyArns": with_multi_region(key(HERE, "us-east-2", APP), key(HERE, "eu-west-1", APP)),
}  # fmt: skip
SOURCE_ELSEWHERE = {
    **BOTH_TARGETS_HERE, "RoleArns": ROLE, "SourcePlace": f"{THERE}/us-east-1", "SourceKeyArns": "",
    "EventBusName": "central",
}  # fmt: skip
FROM_ROLE = f", role_arn: {ROLE}"


def requests() -> Iterator[Request]:
    """Return requests of each action: in and out of the paths, regions, accounts, keys and owners."""
    regions, accounts = ("us-east-1", "us-east-2", "eu-west-1", "ap-south-1"), (HERE, THERE)
    names = ("/prod/x", "/prod/a/b", "/shared/x", "/dev/x", "/prod", "single", "/production")
    owners = ("", f"prod@{HERE}/us-east-1", f"former@{HERE}/us-east-1", f"prod@{THERE}/us-east-1", "team@x")
    for region in regions:
        context: dict[str, tuple[str, ...]] = {"aws:RequestedRegion": (region,)}
        for action in ("ssm:DescribeParameters", "tag:GetResources", "kms:ListAliases", "ssm:PutParameter"):
            yield Request(action, "*", context)
        for account, name, owner in product(accounts, names, owners):
            tags = {"aws:ResourceTag/ssm-reconcile:owner": (owner,)} if owner else {}
            for action in (
                "ssm:GetParameters", "ssm:ListTagsForResource", "ssm:PutParameter", "ssm:AddTagsToResource",
                "ssm:RemoveTagsFromResource", "ssm:DeleteParameters", "ssm:DeleteParameter",
                "ssm:GetParameter",
            ):  # fmt: skip
                yield Request(action, Place(account, region).arn(name), context | tags)
        for account, name in product(accounts, ("high-throughput-enabled", "default-parameter-tier")):
            setting = f"arn:aws:ssm:{region}:{account}:servicesetting/ssm/parameter-store/{name}"
            yield Request("ssm:GetServiceSetting", setting, context)
        for account, one in product(accounts, (APP, "other", "mrk-1")):
            for action in ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"):
                yield Request(action, key(account, region, one), context)
                for name in names:
                    arn = {"kms:EncryptionContext:PARAMETER_ARN": (Place(account, region).arn(name),)}
                    yield Request(action, key(account, region, one), context | arn)
    for role in (ROLE, ROLE + "2"):
        yield Request("sts:AssumeRole", role)


@pytest.mark.parametrize(
    ("text", "identity", "template", "parameters"),
    [
        pytest.param(spec(), DEFAULT, "template.yaml", STACK, id="function"),
        pytest.param(spec(target_role=""), DEFAULT, "template.yaml", BOTH_TARGETS_HERE, id="two targets"),
        pytest.param(
            spec(FROM_ROLE, ""), DEFAULT, "template.yaml", SOURCE_ELSEWHERE, id="source elsewhere"
        ),
        pytest.param(spec(), ROLE, "target-role.yaml", TARGET, id="target in another account"),
        pytest.param(spec(FROM_ROLE, ""), ROLE, "target-role.yaml", SOURCE, id="source in another account"),
    ],
)  # fmt: skip
def test_a_role_allows_what_iam_event_prints(
    text: str, identity: str, template: str, parameters: dict[str, str]
) -> None:
    specs = load_text(text).replications
    printed = {one.identity: one.document() for one in policies(specs, PolicyPhase.EVENT)}
    role = document(template, **parameters)
    role["Statement"] = [one for one in role["Statement"] if one["Sid"] not in OF_THE_STACK]
    iam.check(role)
    differences = {
        (str(one), str(one.context))
        for one in requests()
        if iam.allowed(role, one) is not iam.allowed(printed[identity], one)
    }
    assert differences == set()
    granted = {action for one in role["Statement"] for action in one["Action"]}
    assert granted == {action for one in printed[identity]["Statement"] for action in one["Action"]}


def test_statements_that_are_not_compared_are_for_resources_of_the_stack() -> None:
    role = document("template.yaml", SpecUri="ssm:/spec", SpecArn="arn:aws:ssm:us-east-1:1:parameter/spec")
    others = {one["Sid"]: one for one in role["Statement"] if one["Sid"] in OF_THE_STACK}
    assert set(others) == OF_THE_STACK
    found = {resource for one in others.values() for resource in one["Resource"]}
    assert found == {
        "Logs.Arn", "ChangeQueue.Arn", "DeadLetters.Arn", "StateTable.Arn",
        "arn:aws:states:us-east-1:123456789012:stateMachine:reconcile-whole-run",
        "arn:aws:ssm:us-east-1:1:parameter/spec",
    }  # fmt: skip


def test_the_function_may_make_its_own_calls() -> None:
    """Calls on the clients of SQS, S3, SSM, DynamoDB and Step Functions in the code of the event path."""
    named = {
        "send_message": "sqs:SendMessage", "send_message_batch": "sqs:SendMessage",
        "change_message_visibility_batch": "sqs:ChangeMessageVisibility",
        "get_queue_attributes": "sqs:GetQueueAttributes",
        "get_object": "s3:GetObject", "get_parameter": "ssm:GetParameter",
        "get_item": "dynamodb:GetItem", "batch_get_item": "dynamodb:BatchGetItem",
        "put_item": "dynamodb:PutItem", "delete_item": "dynamodb:DeleteItem",
        "update_item": "dynamodb:UpdateItem", "query": "dynamodb:Query", "scan": "dynamodb:Scan",
        "transact_write_items": "dynamodb:TransactWriteItems",
        "batch_write_item": "dynamodb:BatchWriteItem",
        "start_execution": "states:StartExecution",
    }  # fmt: skip
    code = "".join(path.read_text() for path in CODE.glob("*.py"))
    called = {action for name, action in named.items() if re.search(rf"\.{name}\b", code)}
    own = [one for one in statements("template.yaml", "Role") if one["Sid"] in OF_THE_STACK]
    granted = {action for one in own for action in actions(one)}
    of_lambda = {  # the event source mapping, and the log
        "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
        "logs:CreateLogStream", "logs:PutLogEvents",
    }  # fmt: skip
    assert called | of_lambda == granted


ROLES = [
    (path.name, name)
    for path in TEMPLATES
    for name, resource in loaded(path.name)["Resources"].items()
    if resource["Type"] == "AWS::IAM::Role"
]


@pytest.mark.parametrize(("template", "role"), ROLES)
def test_a_policy_names_actions_that_exist_and_their_resources(template: str, role: str) -> None:
    has_resource = known_actions()
    for statement in statements(template, role):
        for action in actions(statement):
            assert action.lower() in has_resource
            assert (statement["Resource"] != "*") is has_resource[action.lower()], action


@pytest.mark.parametrize(("template", "role"), ROLES)
def test_a_role_is_assumed_by_one_principal(template: str, role: str) -> None:
    trust: Any = loaded(template)["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]
    (statement,) = trust["Statement"]
    ((_, principal),) = statement["Principal"].items()
    assert statement["Action"] == "sts:AssumeRole"
    assert principal == {"Ref": "ReplicatorRoleArn"} or principal.endswith(".amazonaws.com")


@pytest.mark.parametrize("count", range(1, 6))
def test_each_of_up_to_five_paths_is_in_each_statement(count: int) -> None:
    every = [f"p{number}/*" for number in range(5)]
    chosen = ",".join(every[:count])
    keys = with_multi_region(key(HERE, "us-east-2", APP))
    role = document("template.yaml", ParameterPath=chosen, SourceKeyArns=keys, TargetKeyArns=keys)
    other = document("target-role.yaml", ParameterPath=chosen, KeyArns=keys)
    lists = [
        values
        for one in (*role["Statement"], *other["Statement"])
        for values in (
            one["Resource"],
            *(value for keys in one.get("Condition", {}).values() for value in keys.values()),
        )
        if any(":parameter/p0" in value for value in values)
    ]
    assert len(lists) == 10
    for values in lists:
        assert [value.partition(":parameter/")[2] for value in values] == every[:count]
