"""A document or text with events, in whatever envelope -> messages, each with one reading. Pure.

    EventBridge   one event, or a list of events            see `eventbridge`
    SQS           a batch under `Records`, or the bare list of records that EventBridge Pipes delivers
    SNS           a record, or a body, that wraps any of these
    GitHub        repository_dispatch: `client_payload` with names, or with any of these
    plain         a name, an ARN, a list of them, {"names": [...]}

Whatever else arrives is rejected with a reason. A body that holds several events becomes several
messages with the identifier of its record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ssm_reconcile.event.eventbridge import read_event
from ssm_reconcile.event.events import (
    MOST_NAMES,
    Message,
    Names,
    News,
    Operation,
    Reason,
    Rejected,
    moment_of,
    names_from,
    operation_of,
    origin_of,
    text_of,
)

LONGEST_TEXT = 1_048_576
"""Characters of one message: as much as SQS carries."""
LONGEST_NUMBER = 10
DEEPEST = 3
"""Envelopes around one event: SQS around SNS around EventBridge."""
_JSON = ("{", "[", '"')
_RECORD_KEYS = frozenset({"messageId", "body", "Sns"})


def read_document(document: Any) -> list[Message]:
    """Read the records of an invocation, each event of a list, or the one event that it is."""
    if isinstance(document, Mapping) and isinstance(document.get("Records"), list):
        return [message for record in document["Records"] for message in _record(record)]
    if not _is_list_of_objects(document):
        return [Message(news) for news in read_news(document)]
    if len(document) > MOST_NAMES:
        return [Message(Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} events"))]
    messages: list[Message] = []
    for item in document:
        if isinstance(item, Mapping) and not _RECORD_KEYS.isdisjoint(item):
            messages += _record(item)
        else:
            messages += [Message(news) for news in _item(item, 0)]
    return messages


def read_text(text: str) -> list[Message]:
    """Read the same from a text: JSON, or names, one a line."""
    text = text.removeprefix("\ufeff")  # as some editors and shells begin a file
    if len(text) > LONGEST_TEXT:
        return [Message(Rejected(Reason.SIZE, f"more than {LONGEST_TEXT:,} characters"))]
    if not text.lstrip().startswith(_JSON):
        return [Message(news) for news in names_from(_lines(text))]
    document = _parsed(text)
    return [Message(document)] if isinstance(document, Rejected) else read_document(document)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_news(document: Any, depth: int = 0) -> list[News]:
    """Read one document: an event, names, or an envelope of either."""
    if isinstance(document, str):
        return names_from([document])
    if isinstance(document, list):
        return _items(document, depth)
    if not isinstance(document, Mapping) or depth >= DEEPEST:
        return [Rejected(Reason.SHAPE)]
    if "detail-type" in document:
        return read_event(document)
    if document.get("Type") == "Notification":  # as SNS puts it into a queue
        return _inside(document.get("Message"), depth)
    payload = document.get("client_payload")
    if isinstance(payload, Mapping):
        return _dispatch(payload, depth)
    if "names" in document or "name" in document:
        return _plain(document)
    return [Rejected(Reason.SHAPE)]


def _is_list_of_objects(document: Any) -> bool:
    return isinstance(document, list) and any(isinstance(item, Mapping) for item in document)


def _items(items: list[Any], depth: int) -> list[News]:
    """Read a list: of names, or one in which at least one item is an event."""
    if not _is_list_of_objects(items):
        return names_from(items)
    if len(items) > MOST_NAMES:
        return [Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} events")]
    return [news for item in items for news in _item(item, depth)]


def _item(item: Any, depth: int) -> list[News]:
    return read_news(item, depth) if isinstance(item, Mapping) else names_from([item])


def _record(record: Any) -> list[Message]:
    """Read one record of a queue or a topic."""
    if not isinstance(record, Mapping):
        return [Message(Rejected(Reason.SHAPE, "a record that is no object"))]
    identifier, receipt = (text_of(record.get(key)) for key in ("messageId", "receiptHandle"))
    attributes = record.get("attributes")
    received = _number(attributes.get("ApproximateReceiveCount") if isinstance(attributes, Mapping) else 1)
    return [Message(news, identifier, receipt, received) for news in _carried(record, 0)]


def _carried(record: Any, depth: int) -> list[News]:
    """Read what one record carries in its body, or itself where it is an event."""
    if not isinstance(record, Mapping) or _RECORD_KEYS.isdisjoint(record):
        return read_news(record, depth)
    topic = record.get("Sns")
    return _inside(topic.get("Message") if isinstance(topic, Mapping) else record.get("body"), depth)


def _inside(text: Any, depth: int) -> list[News]:
    """Read what a message carries: JSON, or names and ARNs, one a line."""
    if not isinstance(text, str):
        return [Rejected(Reason.SHAPE, "a message without a text")]
    if len(text) > LONGEST_TEXT:
        return [Rejected(Reason.SIZE)]
    text = text.removeprefix("\ufeff")
    if not text.lstrip().startswith(_JSON):
        return names_from(_lines(text))
    document = _parsed(text)
    if isinstance(document, Rejected):
        return [document]
    records = _records_in(document)
    if records is None or depth + 1 >= DEEPEST:
        return read_news(document, depth + 1)
    return [news for record in records for news in _carried(record, depth + 1)]


def _records_in(document: Any) -> list[Any] | None:
    """Return the records of a batch that a message carries, as a redrive by hand may send it; else None."""
    if isinstance(document, Mapping) and isinstance(document.get("Records"), list):
        document = document["Records"]
    elif not isinstance(document, list):
        return None
    records = any(isinstance(item, Mapping) and not _RECORD_KEYS.isdisjoint(item) for item in document)
    return document if records and len(document) <= MOST_NAMES else None


def _dispatch(payload: Mapping[str, Any], depth: int) -> list[News]:
    """Read the payload of a `repository_dispatch`. Its `judged` does not count: anyone may send one."""
    if "detail-type" in payload:
        found = read_news(payload, depth + 1)
    elif isinstance(payload.get("event"), Mapping | list):
        found = read_news(payload["event"], depth + 1)
    else:
        found = _plain(payload)
    return [replace(news, judged=False) if isinstance(news, Names) else news for news in found]


def _plain(document: Mapping[str, Any]) -> list[News]:
    """Read names with, perhaps, what happened to them, where and when."""
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
    judged = document.get("judged") is True
    return names_from(entries, operation, origin, moment_of(document.get("time")), judged=judged)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return Rejected(Reason.SHAPE, "not JSON")


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_NUMBER else 1
