"""A document or text with events, in any envelope -> messages. Pure.

    EventBridge   one event, or a list of events
                  Parameter Store Change, Parameter Store Policy Action      (aws-facts C)
                  Tag Change on Resource, from aws.tag                       best effort; coverage of
                  Parameter Store is not confirmed (aws-facts C2)
                  AddTagsToResource, RemoveTagsFromResource, by CloudTrail
                  Scheduled Event                                            a full run
    SQS           a batch under `Records`, or the bare list of records that EventBridge Pipes delivers
    SNS           a record, or a body, that wraps any of these
    GitHub        repository_dispatch: `client_payload` with names, or with any of these
    plain         a name, an ARN, a list of them, {"names": [...]}

Any other document is rejected with a reason. A body with several events becomes several messages with the
identifier of its record, so the record is retried as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ssm_reconcile.event.events import (
    MOST_NAMES,
    Content,
    FullRun,
    Message,
    Names,
    Operation,
    Reason,
    Rejected,
    is_parameter_arn,
    names_from,
    operation_of,
    origin_of,
    text_of,
    time_of,
)

LONGEST_TEXT = 1_048_576
"""Characters of one message: as much as SQS carries."""
LONGEST_NUMBER = 10
MOST_ENVELOPES = 3
"""Envelopes around one event: SQS around SNS around EventBridge."""
_JSON_STARTS = ("{", "[", '"')
_RECORD_KEYS = frozenset({"messageId", "body", "Sns"})
TAG_CALLS = frozenset({"AddTagsToResource", "RemoveTagsFromResource"})
_CHANGES = frozenset({Operation.CREATE, Operation.UPDATE, Operation.DELETE, Operation.LABEL})


def read_document(document: Any) -> list[Message]:
    """Read the records of an invocation, each event of a list, or the one event that it is."""
    if isinstance(document, Mapping) and isinstance(document.get("Records"), list):
        return [message for record in document["Records"] for message in _record(record)]
    if not _is_list_of_objects(document):
        return [Message(content) for content in read_content(document)]
    if len(document) > MOST_NAMES:
        return [Message(Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} events"))]
    messages: list[Message] = []
    for item in document:
        if isinstance(item, Mapping) and not _RECORD_KEYS.isdisjoint(item):
            messages += _record(item)
        else:
            messages += [Message(content) for content in _item(item, 0)]
    return messages


def read_text(text: str) -> list[Message]:
    """Read a text: JSON with any of these, or names, one a line."""
    text = text.removeprefix("\ufeff")  # a byte order mark, which some editors and shells write
    if len(text) > LONGEST_TEXT:
        return [Message(Rejected(Reason.SIZE, f"more than {LONGEST_TEXT:,} characters"))]
    if not text.lstrip().startswith(_JSON_STARTS):
        return [Message(content) for content in names_from(_lines(text))]
    document = _json(text)
    return [Message(document)] if isinstance(document, Rejected) else read_document(document)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_content(document: Any, depth: int = 0) -> list[Content]:
    """Read one document: an event, names, or an envelope of either."""
    if isinstance(document, str):
        return names_from([document])
    if isinstance(document, list):
        return _items(document, depth)
    if not isinstance(document, Mapping) or depth >= MOST_ENVELOPES:
        return [Rejected(Reason.SHAPE)]
    if "detail-type" in document:
        return read_event(document)
    if document.get("Type") == "Notification":  # as SNS puts it into a queue
        return _body(document.get("Message"), depth)
    payload = document.get("client_payload")
    if isinstance(payload, Mapping):
        return _dispatch(payload, depth)
    if "names" in document or "name" in document:
        return _names_document(document)
    return [Rejected(Reason.SHAPE)]


def _is_list_of_objects(document: Any) -> bool:
    return isinstance(document, list) and any(isinstance(item, Mapping) for item in document)


def _items(items: list[Any], depth: int) -> list[Content]:
    """Read a list: of names, or one in which at least one item is an event."""
    if not _is_list_of_objects(items):
        return names_from(items)
    if len(items) > MOST_NAMES:
        return [Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} events")]
    return [content for item in items for content in _item(item, depth)]


def _item(item: Any, depth: int) -> list[Content]:
    return read_content(item, depth) if isinstance(item, Mapping) else names_from([item])


def _record(record: Any) -> list[Message]:
    """Read one record of a queue or a topic."""
    if not isinstance(record, Mapping):
        return [Message(Rejected(Reason.SHAPE, "a record that is not an object"))]
    identifier, receipt = (text_of(record.get(key)) for key in ("messageId", "receiptHandle"))
    attributes = record.get("attributes")
    received = _number(attributes.get("ApproximateReceiveCount") if isinstance(attributes, Mapping) else 1)
    return [Message(content, identifier, receipt, received) for content in _record_content(record, 0)]


def _record_content(record: Any, depth: int) -> list[Content]:
    """Read the body of a record, or the record itself if it is an event."""
    if not isinstance(record, Mapping) or _RECORD_KEYS.isdisjoint(record):
        return read_content(record, depth)
    topic = record.get("Sns")
    return _body(topic.get("Message") if isinstance(topic, Mapping) else record.get("body"), depth)


def _body(text: Any, depth: int) -> list[Content]:
    """Read the body of a message: JSON, or names and ARNs, one a line."""
    if not isinstance(text, str):
        return [Rejected(Reason.SHAPE, "a message without a text")]
    if len(text) > LONGEST_TEXT:
        return [Rejected(Reason.SIZE)]
    text = text.removeprefix("\ufeff")
    if not text.lstrip().startswith(_JSON_STARTS):
        return names_from(_lines(text))
    document = _json(text)
    if isinstance(document, Rejected):
        return [document]
    records = _records_in(document)
    if records is None or depth + 1 >= MOST_ENVELOPES:
        return read_content(document, depth + 1)
    return [content for record in records for content in _record_content(record, depth + 1)]


def _records_in(document: Any) -> list[Any] | None:
    """Return the records of a batch inside a message, as a manual redrive may send it; else None."""
    if isinstance(document, Mapping) and isinstance(document.get("Records"), list):
        document = document["Records"]
    elif not isinstance(document, list):
        return None
    records = any(isinstance(item, Mapping) and not _RECORD_KEYS.isdisjoint(item) for item in document)
    return document if records and len(document) <= MOST_NAMES else None


def _dispatch(payload: Mapping[str, Any], depth: int) -> list[Content]:
    """Read the payload of a `repository_dispatch`. Its `judged` is ignored, since any user may send one."""
    if "detail-type" in payload:
        found = read_content(payload, depth + 1)
    elif isinstance(payload.get("event"), Mapping | list):
        found = read_content(payload["event"], depth + 1)
    else:
        found = _names_document(payload)
    return [replace(one, from_full_run=False) if isinstance(one, Names) else one for one in found]


def _names_document(document: Mapping[str, Any]) -> list[Content]:
    """Read `names` or `name`, with an optional `operation`, `account` and `region`, and `time`."""
    names = document.get("names", document.get("name"))
    operation = operation_of(document.get("operation"))
    if document.get("operation") and operation is Operation.UNKNOWN:
        return [Rejected(Reason.OPERATION)]
    origin = None
    if "account" in document or "region" in document:
        origin = origin_of(document)
        if origin is None:
            return [Rejected(Reason.SHAPE, "an account and a region go together")]
    entries = names if isinstance(names, list) else [names]
    from_full_run = document.get("judged") is True
    return names_from(entries, operation, origin, time_of(document.get("time")), from_full_run=from_full_run)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return Rejected(Reason.SHAPE, "not JSON")


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_NUMBER else 1


def read_event(event: Mapping[str, Any]) -> list[Content]:
    """Read one event, by its source and detail type."""
    kind, source = text_of(event.get("detail-type")), text_of(event.get("source"))
    if kind == "Scheduled Event" and source in {"aws.events", "aws.scheduler"}:
        return [FullRun()]
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


def _tag_change(event: Mapping[str, Any]) -> list[Content]:
    """Read a change of tags: the event's resources are ARNs, of any service."""
    if event.get("detail-type") != "Tag Change on Resource":
        return _unknown()
    resources = event.get("resources")
    arns = [one for one in resources if is_parameter_arn(one)] if isinstance(resources, list) else []
    return _named(event, arns, Operation.TAGS) if arns else [Rejected(Reason.RESOURCE)]


def _api_call(event: Mapping[str, Any], detail: Mapping[str, Any]) -> list[Content]:
    """Read an API call that CloudTrail recorded; one with an `errorCode` changed nothing."""
    if detail.get("eventSource") != "ssm.amazonaws.com" or detail.get("eventName") not in TAG_CALLS:
        return _unknown()
    if detail.get("errorCode"):
        return [Rejected(Reason.CALL)]
    parameters = detail.get("requestParameters")
    if not isinstance(parameters, Mapping) or parameters.get("resourceType") != "Parameter":
        return [Rejected(Reason.RESOURCE)]
    return _named(event, parameters.get("resourceId"), Operation.TAGS)


def _named(event: Mapping[str, Any], names: Any, operation: Operation) -> list[Content]:
    origin = origin_of(event)
    if origin is None:
        return [Rejected(Reason.SHAPE, "an event that does not say its account and region")]
    entries = names if isinstance(names, list) else [names]
    return names_from(entries, operation, origin, time_of(event.get("time")))


def _unknown() -> list[Content]:
    return [Rejected(Reason.OPERATION)]
