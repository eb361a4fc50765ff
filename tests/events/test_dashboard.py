"""The dashboard of the template: valid, complete, and about metrics that exist."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

from ssm_reconcile.event.invocation_log import COUNTS
from tests.events.templates import DEPLOY, loaded, rendered

EVENT = DEPLOY.parent / "src/ssm_reconcile/event"


def own_metrics() -> set[str]:
    """Return the metrics that the code of the event path counts."""
    code = "".join(path.read_text() for path in EVENT.glob("*.py"))
    direct = re.findall(r'\.count\(\s*"(\w+)"', code)
    chosen = re.findall(r'"(\w+)" if isinstance\(error, StoreError\) else "(\w+)"', code)
    by_status = re.findall(r'\("([A-Z]\w+)", "[a-z]+"\)', code)
    return {*direct, *(one for pair in chosen for one in pair), *by_status, *COUNTS}


OWN_METRICS = {
    "Applied", "Failed", "Stale", "Withheld", "Refused", "Contended", "Again", "Rejected", "LagSeconds",
    "WaitingSeconds", "TargetUnavailable", "TableUnavailable", "DeadLettered", "SpecFailed", "Remaining",
    "HoursSinceWholeRun",
}  # fmt: skip
DIMENSIONS = {
    "ssm-reconcile": {("service", "prod")},
    "AWS/SQS": {("QueueName", "ChangeQueue.QueueName"), ("QueueName", "DeadLetters.QueueName")},
    "AWS/States": {("StateMachineArn", "WholeRun")},
    "AWS/Lambda": {("FunctionName", "ChangeFunction"), ("FunctionName", "WholeFunction")},
}


def widgets() -> list[dict[str, Any]]:
    properties = rendered(loaded("template.yaml")["Resources"]["Dashboard"]["Properties"], Stage="prod")
    assert properties["DashboardName"] == "reconcile-us-east-1"
    found: list[dict[str, Any]] = json.loads(properties["DashboardBody"])["widgets"]
    return found


def test_every_alarm_is_on_the_dashboard() -> None:
    resources = loaded("template.yaml")["Resources"]
    alarms = {f"{name}.Arn" for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    (widget,) = (one for one in widgets() if one["type"] == "alarm")
    assert set(widget["properties"]["alarms"]) == alarms


def test_every_metric_of_the_function_is_on_the_dashboard() -> None:
    rows = [row for one in widgets() for row in one["properties"].get("metrics", ())]
    assert {row[1] for row in rows if row[0] == "ssm-reconcile"} == OWN_METRICS
    for namespace, _, dimension, value, *_ in rows:
        assert (dimension, value) in DIMENSIONS[namespace]
    assert {row[0] for row in rows} == set(DIMENSIONS)


def test_the_metrics_are_those_of_the_code() -> None:
    assert own_metrics() == OWN_METRICS


def test_alarms_use_metrics_of_the_function_that_exist() -> None:
    resources = loaded("template.yaml")["Resources"].values()
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert {one["MetricName"] for one in alarms if one["Namespace"] == "ssm-reconcile"} <= OWN_METRICS


def test_no_widget_overlaps_another() -> None:
    for one, other in combinations(widgets(), 2):
        apart = (
            one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            or one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        )  # fmt: skip
        assert apart
        assert one["x"] + one["width"] <= 24
