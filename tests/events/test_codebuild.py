"""deploy/codebuild.yaml: permissions of the function, one build at a time, alarms; the build runs on moto."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import yaml

from tests.e2e.aws import moto
from tests.events.policies import actions, statements
from tests.events.templates import DEPLOY, loaded, rendered

ROOT = DEPLOY.parent
REPLICATION = {"ssm", "tag", "kms", "sts"}
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
"""


def project() -> dict[str, Any]:
    found: dict[str, Any] = rendered(loaded("codebuild.yaml")["Resources"], "codebuild.yaml")["Project"]
    properties: dict[str, Any] = found["Properties"]
    return properties


def permissions(template: str) -> dict[str, dict[str, Any]]:
    """Return the statements of a role about parameters and keys, by Sid."""
    return {
        one["Sid"]: one
        for one in statements(template, "Role")
        if {action.partition(":")[0] for action in actions(one)} <= REPLICATION
    }


def test_a_build_has_the_permissions_of_the_function() -> None:
    assert permissions("codebuild.yaml") == permissions("template.yaml")
    build, function = loaded("codebuild.yaml"), loaded("template.yaml")
    shared = build["Conditions"].keys() & function["Conditions"].keys()
    assert {"Path2", "Path5", "HasRoles"} <= shared
    assert all(build["Conditions"][name] == function["Conditions"][name] for name in shared)
    pattern = "AllowedPattern"
    for name in ("ParameterPath", "Stage"):
        assert build["Parameters"][name][pattern] == function["Parameters"][name][pattern]


def test_other_permissions_of_a_build_are_for_its_log_and_its_zip() -> None:
    others = {
        action: rendered(one["Resource"], "codebuild.yaml")
        for one in statements("codebuild.yaml", "Role")
        for action in actions(one)
        if action.partition(":")[0] not in REPLICATION
    }
    zipped = "arn:aws:s3:::bucket/ssm-reconcile.zip"
    assert others == {
        "logs:CreateLogStream": "Logs.Arn", "logs:PutLogEvents": "Logs.Arn",
        "s3:GetObject": zipped, "s3:GetObjectVersion": zipped,
    }  # fmt: skip
    assert project()["Source"]["Location"] == zipped.removeprefix("arn:aws:s3:::")


def test_one_build_runs_at_a_time_and_logs_to_the_group_of_the_stack() -> None:
    found = project()
    assert found["ConcurrentBuildLimit"] == 1
    assert found["TimeoutInMinutes"] == "480"
    assert found["LogsConfig"] == {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": "Logs"}}
    logs = loaded("codebuild.yaml")["Resources"]["Logs"]["Properties"]
    assert rendered(logs, "codebuild.yaml", LogKeyArn="arn:aws:kms:key")["KmsKeyId"] == "arn:aws:kms:key"
    assert "KmsKeyId" not in rendered(logs, "codebuild.yaml")


def test_the_schedule_starts_the_build() -> None:
    resources = rendered(loaded("codebuild.yaml")["Resources"], "codebuild.yaml")
    (target,) = resources["BuildRule"]["Properties"]["Targets"]
    assert (target["Arn"], target["RoleArn"]) == ("Project.Arn", "StartRole.Arn")
    (statement,) = statements("codebuild.yaml", "StartRole")
    assert rendered(statement) == {
        "Effect": "Allow", "Action": "codebuild:StartBuild", "Resource": "Project.Arn",
    }  # fmt: skip


def test_builds_that_fail_and_builds_that_do_not_run_raise_an_alarm() -> None:
    resources = rendered(loaded("codebuild.yaml")["Resources"], "codebuild.yaml", AlarmTopicArn="arn:topic")
    failed, missing = (resources[name]["Properties"] for name in ("FailedBuilds", "NoSuccess"))
    for alarm in (failed, missing):
        assert alarm["Namespace"] == "AWS/CodeBuild"
        assert alarm["Dimensions"] == [{"Name": "ProjectName", "Value": "Project"}]
        assert alarm["AlarmActions"] == ["arn:topic"]
    assert (failed["MetricName"], failed["ComparisonOperator"], failed["Threshold"]) == (
        "FailedBuilds", "GreaterThanThreshold", 0,
    )  # fmt: skip
    assert (missing["MetricName"], missing["ComparisonOperator"], missing["Threshold"]) == (
        "SucceededBuilds", "LessThanThreshold", 1,
    )  # fmt: skip
    assert missing["TreatMissingData"] == "breaching"
    days = loaded("codebuild.yaml")["Parameters"]["DaysWithoutSuccess"]["MaxValue"]
    assert missing["Period"] * days <= 7 * 86_400


def test_the_build_applies_the_spec_and_logs_no_value(tmp_path: Path) -> None:
    phases = yaml.safe_load(project()["Source"]["BuildSpec"])["phases"]
    (command,) = phases["build"]["commands"]
    assert re.search(r"^timeout --signal=TERM .*\$\(\(MINUTES - 10\)\)m", command)
    variables = {one["Name"]: one["Value"] for one in project()["Environment"]["EnvironmentVariables"]}
    (tmp_path / variables["SPEC"]).write_text(SPEC)
    program = f"'{sys.executable}' -m ssm_reconcile"
    assert "/tmp/venv/bin/ssm-reconcile " in command  # noqa: S108 - a text of the template
    with moto() as url:
        client = boto3.Session("testing", "testing").client
        source, target = (client("ssm", region, endpoint_url=url) for region in ("us-east-1", "us-east-2"))
        source.put_parameter(Name="/prod/url", Value="value-of-url", Type="String")
        result = subprocess.run(
            ["sh", "-c", command.replace("/tmp/venv/bin/ssm-reconcile", program)],  # noqa: S108 - as above
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
            env=os.environ | variables | {
                "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
                "PYTHONPATH": str(ROOT / "src"),
            },
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        assert target.get_parameter(Name="/prod/url")["Parameter"]["Value"] == "value-of-url"
    assert "/prod/url" in result.stdout
    assert "value-of-url" not in result.stdout + result.stderr


def test_the_files_that_the_build_installs_from_exist() -> None:
    phases = yaml.safe_load(project()["Source"]["BuildSpec"])["phases"]
    text = "\n".join(phases["install"]["commands"])
    assert (ROOT / "requirements/run.txt").is_file()
    assert "--require-hashes --requirement requirements/run.txt" in text
    assert phases["install"]["runtime-versions"] == {"python": "3.12"}
