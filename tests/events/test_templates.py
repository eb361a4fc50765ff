"""Deployment templates: accepted by AWS's own linter and translator, and consistent with the code."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.events.templates import DEPLOY, TEMPLATES, loaded, matches, rendered

ROLES = [("template.yaml", "Role"), ("target-role.yaml", "Role")]


def test_cfn_lint_has_nothing_to_say() -> None:
    program = "from cfnlint.runner import main; main()"
    command = [sys.executable, "-c", program, "--non-zero-exit-code", "informational", *map(str, TEMPLATES)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


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
    template["Globals"]["Function"].pop("CodeUri")
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
    assert mapping["ScalingConfig"]["MaximumConcurrency"]
    queue = translated["ChangeQueue"]["Properties"]
    function = translated["ChangeFunction"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert translated["DeadLetters"]["Properties"]["MessageRetentionPeriod"] == 14 * 86400


def test_everything_that_eventbridge_delivers_to_has_a_dead_letter_queue() -> None:
    for path in TEMPLATES:
        for rule in of_type(loaded(path.name)["Resources"], "AWS::Events::Rule"):
            assert all("DeadLetterConfig" in target for target in rule["Targets"]), path


@pytest.mark.parametrize("metric", ["Failed", "Withheld", "Refused", "SpecFailed", "Remaining"])
def test_each_result_that_needs_a_person_has_an_alarm(translated: dict[str, Any], metric: str) -> None:
    (alarm,) = (
        one for one in of_type(translated, "AWS::CloudWatch::Alarm") if one.get("MetricName") == metric
    )
    assert (alarm["Namespace"], alarm["Threshold"]) == ("ssm-reconcile", 0)
    assert alarm["Dimensions"] == [{"Name": "service", "Value": {"Ref": "Stage"}}]
    assert alarm["AlarmActions"]


def test_both_functions_are_the_one_that_is_tested(translated: dict[str, Any]) -> None:
    functions = of_type(translated, "AWS::Lambda::Function")
    assert len(functions) == 2
    for function in functions:
        module, _, entry = function["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), entry))
        used = set(function["Environment"]["Variables"])
        code = Path(str(importlib.import_module(module).__file__)).read_text()
        assert used == {name for name in used if f'"{name}"' in code}


def statements(name: str, role: str) -> Iterator[dict[str, Any]]:
    """Every statement of a role, those of conditions too."""

    def found(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, list):
            for one in node:
                yield from found(one)
        elif isinstance(node, dict) and "Effect" in node:
            yield node
        elif isinstance(node, dict) and "Fn::If" in node:
            yield from found(node["Fn::If"][1:])

    for policy in loaded(name)["Resources"][role]["Properties"]["Policies"]:
        yield from found(policy["PolicyDocument"]["Statement"])


def actions(statement: dict[str, Any]) -> set[str]:
    said = statement["Action"]
    return {said} if isinstance(said, str) else set(said)


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_a_role_may_do_what_the_stores_call_and_nothing_else(name: str, role: str) -> None:
    source = "".join(path.read_text() for path in (DEPLOY.parent / "src/ssm_reconcile/stores").glob("*.py"))
    operations = set(re.findall(r'"((?:Get|Describe|List|Put|Add|Remove|Delete)[A-Z]\w+)"', source))
    called = {
        *(f"ssm:{one}" for one in operations & {
            "DescribeParameters", "GetParameters", "ListTagsForResource", "PutParameter",
            "AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters",
        }),
        "tag:GetResources", "kms:ListAliases", "kms:DescribeKey",
        "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey",  # what SSM does on the caller's behalf
    }  # fmt: skip
    granted = {action for one in statements(name, role) for action in actions(one)}
    beside = {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sts:AssumeRole",
        "s3:GetObject",
        "ssm:GetParameter",
    }
    queue = {
        "ReceiveMessage",
        "DeleteMessage",
        "GetQueueAttributes",
        "ChangeMessageVisibility",
        "SendMessage",
    }
    assert len(called) == 13
    assert granted - beside - {f"sqs:{one}" for one in queue} == called


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_only_listings_are_allowed_everywhere(name: str, role: str) -> None:
    wide = {action for one in statements(name, role) if one["Resource"] == "*" for action in actions(one)}
    assert wide == {"ssm:DescribeParameters", "tag:GetResources", "kms:ListAliases"}
    assert not any("*" in action for one in statements(name, role) for action in actions(one))


def test_writing_is_allowed_in_named_regions_only() -> None:
    for name, role in ROLES:
        for statement in statements(name, role):
            if "ssm:PutParameter" in actions(statement):
                assert "aws:RequestedRegion" in json.dumps(statement["Condition"])


def change(name: str = "/prod/url", **more: Any) -> dict[str, Any]:
    return {
        "source": "aws.ssm", "detail-type": "Parameter Store Change", "account": "123456789012",
        "region": "us-east-1", "time": "2026-11-23T12:00:00Z",
        "detail": {"operation": "Update", "name": name, "type": "String"},
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("template", "rule"), [("template.yaml", "ChangeRule"), ("forward-events.yaml", "Rule")]
)
def test_the_rules_take_parameter_events_and_no_others(template: str, rule: str) -> None:
    pattern = rendered(loaded(template)["Resources"][rule]["Properties"]["EventPattern"], NamePrefix="/prod/")
    action: dict[str, Any] = {
        "detail-type": "Parameter Store Policy Action",
        "detail": {"parameter-name": "/prod/url"},
    }
    assert matches(pattern, change())
    assert matches(pattern, change(**action))
    assert not matches(pattern, change("/dev/url"))
    assert not matches(pattern, change(source="my.app"))
    assert not matches(pattern, change(**{"detail-type": "EC2 State Manager Association State Change"}))


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
