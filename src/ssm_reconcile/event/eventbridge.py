"""One event as EventBridge delivers it -> names to reconcile, a full run, or a reason for neither. Pure.

Parameter Store Change, Parameter Store Policy Action      (aws-facts C)
Tag Change on Resource, from aws.tag                       best effort; coverage of Parameter Store is
AddTagsToResource, RemoveTagsFromResource, by CloudTrail   not confirmed (aws-facts C2)
Scheduled Event                                            everything
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssm_reconcile.event.events import (
    Full,
    News,
    Operation,
    Reason,
    Rejected,
    is_parameter_arn,
    moment_of,
    names_from,
    operation_of,
    origin_of,
    text_of,
)

TAG_CALLS = frozenset({"AddTagsToResource", "RemoveTagsFromResource"})
_CHANGES = frozenset({Operation.CREATE, Operation.UPDATE, Operation.DELETE, Operation.LABEL})


def read_event(event: Mapping[str, Any]) -> list[News]:
    """Read one event, by its source and detail type."""
    kind, source = text_of(event.get("detail-type")), text_of(event.get("source"))
    if kind == "Scheduled Event" and source in {"aws.events", "aws.scheduler"}:
        return [Full()]
    detail = event.get("detail")
    if not isinstance(detail, Mapping) or source not in {"aws.ssm", "aws.tag"}:
        return [Rejected(Reason.SHAPE, "an event that is not of Parameter Store")]
    if source == "aws.tag":
        return _tag_change(event)
    match kind:
        case "Parameter Store Change":
            operation = operation_of(detail.get("operation"))
            return _named(event, detail.get("name"), operation) if operation in _CHANGES else _unknown()
        case "Parameter Store Policy Action":  # its keys have hyphens (aws-facts C)
            return _named(event, detail.get("parameter-name"), Operation.POLICY)
        case "AWS API Call via CloudTrail":
            return _api_call(event, detail)
        case _:
            return [Rejected(Reason.SHAPE, "an event of Systems Manager that is not about a parameter")]


def _tag_change(event: Mapping[str, Any]) -> list[News]:
    """Read a change of tags: the event's resources are ARNs, of any service."""
    if event.get("detail-type") != "Tag Change on Resource":
        return _unknown()
    resources = event.get("resources")
    arns = [one for one in resources if is_parameter_arn(one)] if isinstance(resources, list) else []
    return _named(event, arns, Operation.TAGS) if arns else [Rejected(Reason.RESOURCE)]


def _api_call(event: Mapping[str, Any], detail: Mapping[str, Any]) -> list[News]:
    """Read an API call that CloudTrail recorded; one with an `errorCode` changed nothing."""
    if detail.get("eventSource") != "ssm.amazonaws.com" or detail.get("eventName") not in TAG_CALLS:
        return _unknown()
    if detail.get("errorCode"):
        return [Rejected(Reason.CALL)]
    asked = detail.get("requestParameters")
    if not isinstance(asked, Mapping) or asked.get("resourceType") != "Parameter":
        return [Rejected(Reason.RESOURCE)]
    return _named(event, asked.get("resourceId"), Operation.TAGS)


def _named(event: Mapping[str, Any], names: Any, operation: Operation) -> list[News]:
    origin = origin_of(event)
    if origin is None:
        return [Rejected(Reason.SHAPE, "an event that does not say its account and region")]
    entries = names if isinstance(names, list) else [names]
    return names_from(entries, operation, origin, moment_of(event.get("time")))


def _unknown() -> list[News]:
    return [Rejected(Reason.OPERATION)]
