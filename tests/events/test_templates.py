"""Deployment templates: accepted by AWS's own translator, and consistent with the code.

`make check` runs cfn-lint on them.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import pytest

from tests.events.policies import actions, statements
from tests.events.templates import DEPLOY, STACK_ID, TEMPLATES, loaded, matches, rendered

ROLES = [("template.yaml", "Role"), ("target-role.yaml", "Role"), ("codebuild.yaml", "Role")]
ENVIRONMENT = {
    "NAME", "SPEC_URI", "SPEC_PATH", "QUEUE_URL", "DEAD_LETTERS_URL", "TABLE", "WHOLE_RUN_ARN",
    "WHOLE_RUN_HOURS",
}  # fmt: skip
EVENT = DEPLOY.parent / "src/ssm_reconcile/event"
DAY = 86_400


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    """The SAM template as CloudFormation gets it."""
    from boto3.session import Session
    from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]  # it has no types
    from samtranslator.translator.translator import (  # type: ignore[import-untyped]  # it has no types
        Translator,
    )

    template = loaded("template.yaml")
    template["Resources"] = {
        name: one | {"Properties": one["Properties"] | {"CodeUri": "s3://bucket/key"}}
        if one["Type"] == "AWS::Serverless::Function"
        else one
        for name, one in template["Resources"].items()
    }
    done: dict[str, Any] = Translator({}, Parser(), boto_session=Session(region_name="us-east-1")).translate(
        template, {"TargetRegions": "us-east-2"}
    )
    resources: dict[str, Any] = done["Resources"]
    return resources


def of_type(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in resources.values() if one["Type"] == kind]


def test_the_queue_feeds_the_function_with_partial_answers_and_bounded_concurrency(
    translated: dict[str, Any],
) -> None:
    (mapping,) = of_type(translated, "AWS::Lambda::EventSourceMapping")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "Concurrency"}}


def test_a_message_outlasts_an_outage_of_a_day_and_a_killed_invocation(translated: dict[str, Any]) -> None:
    queue, dead = (translated[name]["Properties"] for name in ("ChangeQueue", "DeadLetters"))
    timeout = translated["ChangeFunction"]["Properties"]["Timeout"]
    longest_pause = 900
    assert queue["VisibilityTimeout"] == 6 * timeout
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 4 * DAY // longest_pause
    assert queue["MessageRetentionPeriod"] >= 3 * DAY
    # A message keeps the time at which it was first sent: with equal retention it could expire at once.
    assert dead["MessageRetentionPeriod"] - queue["MessageRetentionPeriod"] >= 7 * DAY
    assert queue["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True


def test_everything_that_eventbridge_delivers_has_a_dead_letter_queue_that_accepts_it() -> None:
    for path in TEMPLATES:
        resources = loaded(path.name)["Resources"]
        rules = {name for name, one in resources.items() if one["Type"] == "AWS::Events::Rule"}
        for name in rules:
            for target in resources[name]["Properties"]["Targets"]:
                assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}, path
                assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
        assert senders(path.name, "DeadLetters") == rules, path
    assert senders("template.yaml", "ChangeQueue") == {"ChangeRule", "TagRule", "CloudTrailTagRule"}


def senders(template: str, queue: str) -> set[str]:
    """Return the rules that may send to a queue of a template with all its conditions true."""
    values = {"CloudTrailTags": "true"} if "CloudTrailTags" in loaded(template)["Parameters"] else {}
    found: set[str] = set()
    for policy in of_type(
        rendered(loaded(template)["Resources"], template, **values), "AWS::SQS::QueuePolicy"
    ):
        for statement in policy["PolicyDocument"]["Statement"]:
            if f"{queue}.Arn" in statement["Resource"]:
                assert statement["Principal"] == {"Service": "events.amazonaws.com"}
                arns = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
                found |= {one.removesuffix(".Arn") for one in ([arns] if isinstance(arns, str) else arns)}
    return found


@pytest.mark.parametrize("name", ["template.yaml", "forward-events.yaml", "github-dispatch.yaml"])
def test_dead_letters_raise_an_alarm(name: str) -> None:
    found = loaded(name)["Resources"]
    queues = {key for key, one in found.items() if one["Type"] == "AWS::SQS::Queue" and "Dead" in key}
    assert queues
    alarmed = {
        dimension["Value"]["Fn::GetAtt"][0]
        for one in found.values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
        and one["Properties"].get("MetricName") == "ApproximateNumberOfMessagesVisible"
        for dimension in one["Properties"]["Dimensions"]
    }
    assert queues == alarmed


def test_asynchronous_invocations_have_dead_letters(translated: dict[str, Any]) -> None:
    configured = of_type(translated, "AWS::Lambda::EventInvokeConfig")
    assert len(configured) == 2
    for one in configured:
        assert one["DestinationConfig"] == {
            "OnFailure": {"Destination": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}
        }
    allowed = [
        one["Resource"] for one in statements("template.yaml", "Role") if "sqs:SendMessage" in actions(one)
    ]
    assert {"Fn::GetAtt": ["DeadLetters", "Arn"]} in allowed


def test_the_table_is_the_one_of_the_code() -> None:
    table = loaded("template.yaml")["Resources"]["StateTable"]
    properties = table["Properties"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Delete"
    assert properties["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert properties["AttributeDefinitions"] == [{"AttributeName": "id", "AttributeType": "S"}]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    (granted,) = (one for one in statements("template.yaml", "Role") if one["Sid"] == "State")
    assert granted["Resource"] == {"Fn::GetAtt": ["StateTable", "Arn"]}
    assert actions(granted) == {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"}


def test_no_concurrency_is_reserved(translated: dict[str, Any]) -> None:
    for function in of_type(translated, "AWS::Lambda::Function"):
        assert "ReservedConcurrentExecutions" not in function


def test_the_schedule_and_the_deployment_of_this_stack_start_a_whole_run() -> None:
    resources = rendered(loaded("template.yaml")["Resources"])
    for name in ("WholeRunRule", "DeploymentRule"):
        (target,) = resources[name]["Properties"]["Targets"]
        assert (target["Arn"], target["RoleArn"]) == ("WholeRun", "StartRole.Arn")
    assert resources["WholeRunRule"]["Properties"]["ScheduleExpression"] == "rate(1 day)"
    pattern = resources["DeploymentRule"]["Properties"]["EventPattern"]
    assert matches(pattern, stack_event("CREATE_COMPLETE"))
    assert matches(pattern, stack_event("UPDATE_COMPLETE"))
    assert not matches(pattern, stack_event("UPDATE_IN_PROGRESS"))
    assert not matches(pattern, stack_event("UPDATE_ROLLBACK_COMPLETE"))
    assert not matches(pattern, stack_event("CREATE_COMPLETE", STACK_ID.replace("4f2c1d90", "00000000")))
    assert loaded("template.yaml")["Resources"]["ChangeFunction"]["DependsOn"] == "DeploymentRule"


def stack_event(status: str, stack: str = STACK_ID) -> dict[str, Any]:
    return {
        "source": "aws.cloudformation",
        "detail-type": "CloudFormation Stack Status Change",
        "detail": {"stack-id": stack, "status-details": {"status": status, "status-reason": ""}},
    }


def test_the_function_knows_the_state_machine_and_may_start_it(translated: dict[str, Any]) -> None:
    stack = loaded("template.yaml")
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:reconcile-whole-run"
    environment = rendered(stack["Globals"]["Function"]["Environment"]["Variables"])
    assert (environment["WHOLE_RUN_ARN"], environment["WHOLE_RUN_HOURS"]) == (arn, "24")
    assert arn.endswith(rendered(stack["Resources"]["WholeRun"]["Properties"]["Name"]))
    (granted,) = (
        one for one in statements("template.yaml", "Role") if "states:StartExecution" in actions(one)
    )
    assert rendered(granted["Resource"]) == arn
    (machine,) = of_type(translated, "AWS::StepFunctions::StateMachine")
    assert machine["StateMachineType"] == "STANDARD"


def test_the_watch_invokes_the_change_function() -> None:
    resources = rendered(loaded("template.yaml")["Resources"])
    (target,) = resources["WatchRule"]["Properties"]["Targets"]
    assert json.loads(target["Input"]) == {"watch": "whole-run"}
    assert target["Arn"] == "ChangeFunction.Arn"
    assert resources["WatchPermission"]["Properties"]["SourceArn"] == "WatchRule.Arn"
    assert resources["WatchPermission"]["Properties"]["FunctionName"] == "ChangeFunction"


def test_both_functions_are_the_one_that_is_tested(translated: dict[str, Any]) -> None:
    functions = of_type(translated, "AWS::Lambda::Function")
    assert len(functions) == 2
    for function in functions:
        module, _, entry = function["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), entry))
        assert set(function["Environment"]["Variables"]) == ENVIRONMENT
    code = "".join(path.read_text() for path in EVENT.glob("*.py"))
    read = set(re.findall(r'environment\.get\("(\w+)"\)', code))
    assert read - {"SPEC_TTL", "LAMBDA_TASK_ROOT"} == ENVIRONMENT


def change(name: str = "/prod/url", **more: Any) -> dict[str, Any]:
    return {
        "source": "aws.ssm", "detail-type": "Parameter Store Change", "account": "123456789012",
        "region": "us-east-1", "time": "2026-11-23T12:00:00Z",
        "detail": {"operation": "Update", "name": name, "type": "String"},
    } | more  # fmt: skip


def pattern_of(template: str, rule: str, **parameters: str) -> dict[str, Any]:
    rule_properties = loaded(template)["Resources"][rule]["Properties"]
    found: dict[str, Any] = rendered(rule_properties["EventPattern"], template, **parameters)
    return found


FORWARDED = pytest.mark.parametrize("template", ["template.yaml", "forward-events.yaml"])
CHANGE_RULES = {"template.yaml": "ChangeRule", "forward-events.yaml": "Rule"}


@FORWARDED
def test_the_rules_take_parameter_events_and_no_others(template: str) -> None:
    pattern = pattern_of(template, CHANGE_RULES[template], NamePrefix="/prod/")
    action: dict[str, Any] = {
        "detail-type": "Parameter Store Policy Action",
        "detail": {"parameter-name": "/prod/url"},
    }
    assert matches(pattern, change())
    assert matches(pattern, change(**action))
    assert not matches(pattern, change("/dev/url"))
    assert not matches(pattern, change(source="my.app"))
    assert not matches(pattern, change(**{"detail-type": "EC2 State Manager Association State Change"}))


@FORWARDED
def test_the_rules_take_one_prefix_or_several(template: str) -> None:
    prefixes = ["/one/", "/two/", "three", "/four/", "/five/"]
    for count in range(1, 6):
        pattern = pattern_of(template, CHANGE_RULES[template], NamePrefix=",".join(prefixes[:count]))
        for number, prefix in enumerate(prefixes):
            action: dict[str, Any] = {"detail": {"parameter-name": f"{prefix}x"}}
            assert matches(pattern, change(f"{prefix}x")) is (number < count)
            assert matches(pattern, change(**action)) is (number < count)


@pytest.mark.parametrize("name", ["NamePrefix", "ParameterPath"])
def test_a_sixth_value_is_refused(name: str) -> None:
    pattern = loaded("template.yaml")["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, "a,b,c,d,e")
    assert not re.fullmatch(pattern, "a,b,c,d,e,f")
    assert not re.fullmatch(pattern, "a, b")
    assert not re.fullmatch(pattern, "a,")


def tag_event(*keys: str, **more: Any) -> dict[str, Any]:
    return {
        "source": "aws.tag", "detail-type": "Tag Change on Resource", "account": "123456789012",
        "region": "us-east-1", "time": "2026-11-23T12:00:00Z",
        "resources": ["arn:aws:ssm:us-east-1:123456789012:parameter/prod/url"],
        "detail": {
            "changed-tag-keys": list(keys), "service": "ssm", "resource-type": "parameter", "version": 1.0,
            "tags": {"team": "x"},
        } | more,
    }  # fmt: skip


@FORWARDED
def test_changes_of_tags_are_taken_unless_all_of_them_are_our_own(template: str) -> None:
    pattern = pattern_of(template, "TagRule")
    assert matches(pattern, tag_event("team"))
    assert matches(pattern, tag_event("ssm-reconcile:record", "skip_sync"))
    assert not matches(pattern, tag_event("ssm-reconcile:record", "ssm-reconcile:owner"))
    assert not matches(pattern, tag_event("team", service="ec2"))
    assert not matches(pattern, tag_event("team", **{"resource-type": "document"}))


def call_event(name: str = "AddTagsToResource", *keys: str, **more: Any) -> dict[str, Any]:
    tags = (
        {"tags": [{"key": key, "value": "x"} for key in keys]} if name[0] == "A" else {"tagKeys": list(keys)}
    )
    return {
        "source": "aws.ssm", "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventSource": "ssm.amazonaws.com", "eventName": name,
            "requestParameters": {"resourceType": "Parameter", "resourceId": "/prod/url"} | tags,
        } | more,
    }  # fmt: skip


@FORWARDED
@pytest.mark.parametrize("call", ["AddTagsToResource", "RemoveTagsFromResource"])
def test_changes_of_tags_in_cloudtrail_are_taken_unless_all_of_them_are_our_own(
    template: str, call: str
) -> None:
    pattern = pattern_of(template, "CloudTrailTagRule")
    assert matches(pattern, call_event(call, "team"))
    assert matches(pattern, call_event(call, "ssm-reconcile:record", "team"))
    assert not matches(pattern, call_event(call, "ssm-reconcile:record", "ssm-reconcile:owner"))
    assert not matches(pattern, call_event(call, "team", errorCode="AccessDenied"))
    assert not matches(pattern, call_event("PutParameter", "team"))
    document = {"requestParameters": {"resourceType": "Document", "tags": [{"key": "team"}]}}
    assert not matches(pattern, call_event(call, "team", **document))


@FORWARDED
def test_the_rule_for_cloudtrail_is_optional(template: str) -> None:
    stack = loaded(template)
    assert stack["Resources"]["CloudTrailTagRule"]["Condition"] == "HasCloudTrail"
    assert stack["Conditions"]["HasCloudTrail"] == {"Fn::Equals": [{"Ref": "CloudTrailTags"}, "true"]}
    assert stack["Parameters"]["CloudTrailTags"]["Default"] == "false"


def test_the_bus_accepts_each_source_that_is_forwarded() -> None:
    policy = loaded("template.yaml")["Resources"]["BusPolicy"]["Properties"]["Statement"]
    accepted = policy["Condition"]["StringEquals"]["events:source"]
    for rule in ("Rule", "TagRule", "CloudTrailTagRule"):
        assert set(pattern_of("forward-events.yaml", rule)["source"]) <= set(accepted)


def test_the_role_in_another_account_keeps_its_name_by_default() -> None:
    stack = loaded("target-role.yaml")
    assert stack["Parameters"]["RoleName"]["Default"] == "ssm-reconcile"
    assert stack["Resources"]["Role"]["Properties"]["RoleName"] == {"Ref": "RoleName"}


def test_the_payload_of_github_is_valid_for_the_command() -> None:
    from ssm_reconcile.event.events import EventOrigin, Names, Operation, read_content

    (target,) = loaded("github-dispatch.yaml")["Resources"]["ChangeRule"]["Properties"]["Targets"]
    transformer, event = target["InputTransformer"], change()
    body = transformer["InputTemplate"]["Fn::Sub"].replace("${EventType}", "ssm-parameter-change")
    for name, path in transformer["InputPathsMap"].items():
        value: Any = event
        for step in path.removeprefix("$.").split("."):
            value = value[step]
        body = body.replace(f"<{name}>", value)
    sent = json.loads(body)
    assert set(sent) == {"event_type", "client_payload"}
    assert len(sent["client_payload"]) <= 10
    delivered = {"action": sent["event_type"], "client_payload": sent["client_payload"], "branch": "main"}
    (content,) = read_content(delivered)
    assert isinstance(content, Names)
    assert (content.names, content.operation, content.origin) == (
        ("/prod/url",),
        Operation.UPDATE,
        EventOrigin("123456789012", "us-east-1"),
    )
    assert content.at is not None


def test_no_template_holds_a_token() -> None:
    for path in sorted(DEPLOY.iterdir()):
        assert not re.search(r"gh[pousr]_|github_pat_", path.read_text())
