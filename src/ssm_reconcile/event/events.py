"""A document or text with events, in any envelope -> messages with names, or a `Rejected`. Pure.

    EventBridge   one event, or a list of events
                  Parameter Store Change, Parameter Store Policy Action
                  Tag Change on Resource, from aws.tag                       best effort; coverage of
                  Parameter Store is not documented
                  AddTagsToResource, RemoveTagsFromResource, by CloudTrail
                  Scheduled Event                                            a full run
    SQS           a batch under `Records`, or the bare list of records that EventBridge Pipes delivers
    SNS           a record, or a body, that wraps any of these
    GitHub        repository_dispatch: `client_payload` with names, or with any of these
    plain         a name, an ARN, a list of them, {"names": [...]}

Any other document is rejected with a reason. A body with several events becomes several messages with the
identifier of its record, so the record is retried as a whole. A rejection is logged, and an entry comes from
outside: its text is repeated only if it stands among names or looks like a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from ssm_reconcile.aws_limits import NAME_LIMIT, REGION
from ssm_reconcile.record import PREFIX

MOST_NAMES = 10_000
MOST_LISTED = 10
"""Rejected entries of one list that are reported one by one."""
_SHOWN = 80
"""Characters of a rejected entry that are repeated."""
_NAME = re.compile(rf"[A-Za-z0-9_.\-/]{{1,{NAME_LIMIT}}}")
_ACCOUNT = re.compile(r"\d{12}")
_ARN = re.compile(r"arn:[a-z-]{3,20}:ssm:([a-z0-9-]{1,30}):(\d{12}):parameter(/.+)")
LONGEST_TEXT = 1_048_576
"""Characters of one message: as much as SQS carries."""
MOST_ENVELOPES = 3
"""Envelopes around one event: SQS around SNS around EventBridge."""
_RECORD_KEYS = frozenset({"messageId", "body", "Sns"})
TAG_CALLS = frozenset({"AddTagsToResource", "RemoveTagsFromResource"})


class Operation(StrEnum):
    """The operation that an event reports (Parameter Store User Guide, "Setting up notifications")."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    LABEL = "LabelParameterVersion"
    POLICY = "Policy"
    TAGS = "Tags"
    """Tags were added or removed. AWS documents no change of LastModifiedDate for it."""
    UNKNOWN = ""
    """A request without an event."""


class Reason(StrEnum):
    """Why an event is rejected."""

    SHAPE = "unknown format"
    OPERATION = "unknown operation"
    NAME = "no parameter name"
    ELSEWHERE = "not from the source of any replication"
    SCOPE = "no replication selects that name"
    SIZE = "too large"
    CALL = "the API call failed and changed nothing"
    RESOURCE = "not about a parameter of Parameter Store"
    OWN_TAGS = "only tags of ssm-reconcile changed"

    @property
    def is_understood(self) -> bool:
        """Whether the event is valid and needs no action."""
        return self in {Reason.ELSEWHERE, Reason.SCOPE, Reason.CALL, Reason.RESOURCE, Reason.OWN_TAGS}


@dataclass(frozen=True, slots=True)
class EventOrigin:
    """The account and region that an event names as its origin."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"


@dataclass(frozen=True, slots=True)
class Names:
    """Source parameters to reconcile.

    Attributes:
        origin: The place of the source; None for names without a place, which mean every source.
    """

    names: tuple[str, ...]
    operation: Operation = Operation.UNKNOWN
    origin: EventOrigin | None = None
    at: datetime | None = None

    def document(self, names: Sequence[str]) -> dict[str, Any]:
        """Return a document that this module reads as the same event with these names."""
        found: dict[str, Any] = {"names": list(names)}
        if self.operation is not Operation.UNKNOWN:
            found["operation"] = str(self.operation)
        if self.origin is not None:
            found |= {"account": self.origin.account, "region": self.origin.region}
        if self.at is not None:
            found["time"] = self.at.isoformat()
        return found


@dataclass(frozen=True, slots=True)
class FullRun:
    """A request to reconcile everything, as of a schedule.

    The state machine of deploy/template.yaml runs it in slices: `execution` is its execution, `number` that
    of the slice, from 1. Without a state machine, `number` is 0.
    """

    execution: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """A request to report the age of the last whole run."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event, or an entry of a list, that leads to no action."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


Content: TypeAlias = Names | FullRun | Watch | Rejected


@dataclass(frozen=True, slots=True)
class Message:
    """One record of a batch.

    `received` is how many times the queue has delivered it, `sent` the time at which it was sent there.
    """

    content: Content
    identifier: str = ""
    receipt: str = ""
    received: int = 1
    sent: datetime | None = None
    body: str = field(default="", repr=False, compare=False)


_CHANGES = frozenset({Operation.CREATE, Operation.UPDATE, Operation.DELETE, Operation.LABEL})


def read_document(document: Any) -> list[Message]:
    """Read the records of an invocation, each event of a list, or the one event that it is."""
    if isinstance(document, Mapping) and isinstance(document.get("Records"), list):
        return [message for record in document["Records"] for message in _record(record)]
    if not _is_list_of_objects(document) or len(document) > MOST_NAMES:
        return [Message(content) for content in read_content(document)]
    messages: list[Message] = []
    for item in document:
        messages += _record(item) if isinstance(item, Mapping) else map(Message, names_from([item]))
    return messages


def read_text(text: str) -> list[Message]:
    """Read a text: JSON with any of these, or names, one a line."""
    document = _parsed(text)
    return [Message(document)] if isinstance(document, Rejected) else read_document(document)


def _parsed(text: str) -> Any:
    """Return the document in a text, its lines if it is not JSON, or a `Rejected`."""
    text = text.removeprefix("\ufeff")  # a byte order mark, which some editors and shells write
    if len(text) > LONGEST_TEXT:
        return Rejected(Reason.SIZE, f"more than {LONGEST_TEXT:,} characters")
    if not text.lstrip().startswith(("{", "[", '"')):
        return [line.strip() for line in text.splitlines() if line.strip()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return Rejected(Reason.SHAPE, "not JSON")


def read_content(document: Any, depth: int = 0) -> list[Content]:
    """Read one document: an event, names, or an envelope of either, `depth` envelopes deep."""
    if _is_list_of_objects(document):
        if len(document) > MOST_NAMES:
            return [Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} events")]
        contents: list[Content] = []
        for item in document:
            contents += read_content(item, depth) if isinstance(item, Mapping) else names_from([item])
        return contents
    if isinstance(document, str | list):
        return names_from(document)
    if not isinstance(document, Mapping) or depth >= MOST_ENVELOPES:
        return [Rejected(Reason.SHAPE)]
    if "detail-type" in document:
        return _event(document)
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


def _is_record(item: Any) -> bool:
    return isinstance(item, Mapping) and not _RECORD_KEYS.isdisjoint(item)


def _record(record: Any) -> list[Message]:
    """Read one record of a queue or a topic, or an event."""
    if not isinstance(record, Mapping):
        return [Message(Rejected(Reason.SHAPE, "a record that is not an object"))]
    identifier, receipt = (_text(record.get(key)) for key in ("messageId", "receiptHandle"))
    attributes = record.get("attributes")
    count = str(attributes.get("ApproximateReceiveCount")) if isinstance(attributes, Mapping) else ""
    received = int(count) if re.fullmatch("[0-9]{1,9}", count) else 1
    sent, body = _sent(attributes), _text(record.get("body"))
    return [
        Message(content, identifier, receipt, received, sent, body) for content in _record_content(record, 0)
    ]


def _sent(attributes: Any) -> datetime | None:
    """Return the time at which a message was sent to its queue; SQS gives it in milliseconds."""
    found = str(attributes.get("SentTimestamp")) if isinstance(attributes, Mapping) else ""
    return datetime.fromtimestamp(int(found) / 1000, UTC) if re.fullmatch("[0-9]{1,14}", found) else None


def read_request(document: Any) -> FullRun | Watch | None:
    """Read a direct invocation by the state machine or the watch of deploy/template.yaml; None for others."""
    if not isinstance(document, Mapping):
        return None
    found = document.get("whole_run")
    if isinstance(found, Mapping) and isinstance(found.get("execution"), str):
        number = found.get("slice")
        return FullRun(found["execution"], number if isinstance(number, int) and number > 0 else 1)
    return Watch() if document.get("watch") == "whole-run" else None


def _record_content(record: Any, depth: int) -> list[Content]:
    """Read the body of a record, or the record itself if it is an event."""
    if not _is_record(record):
        return read_content(record, depth)
    topic = record.get("Sns")
    return _body(topic.get("Message") if isinstance(topic, Mapping) else record.get("body"), depth)


def _body(text: Any, depth: int) -> list[Content]:
    """Read the body of a message. A manual redrive may send a batch inside it."""
    document = _parsed(text) if isinstance(text, str) else Rejected(Reason.SHAPE, "a message without a text")
    if isinstance(document, Rejected):
        return [document]
    records = document.get("Records") if isinstance(document, Mapping) else document
    is_batch = isinstance(records, list) and len(records) <= MOST_NAMES and any(map(_is_record, records))
    if records is None or not is_batch or depth + 1 >= MOST_ENVELOPES:
        return read_content(document, depth + 1)
    return [content for record in records for content in _record_content(record, depth + 1)]


def _dispatch(payload: Mapping[str, Any], depth: int) -> list[Content]:
    """Read the payload of a `repository_dispatch`."""
    if "detail-type" in payload:
        return read_content(payload, depth + 1)
    if isinstance(payload.get("event"), Mapping | list):
        return read_content(payload["event"], depth + 1)
    return _names_document(payload)


def _names_document(document: Mapping[str, Any]) -> list[Content]:
    """Read `names` or `name`, with an optional `operation`, `account` and `region`, and `time`."""
    names = document.get("names", document.get("name"))
    operation = _operation(document.get("operation"))
    if document.get("operation") and operation is Operation.UNKNOWN:
        return [Rejected(Reason.OPERATION)]
    origin = None
    if "account" in document or "region" in document:
        origin = _origin(document)
        if origin is None:
            return [Rejected(Reason.SHAPE, "an account and a region go together")]
    return names_from(names, operation, origin, _time(document.get("time")))


def _event(event: Mapping[str, Any]) -> list[Content]:
    """Read one event, by its source and detail type."""
    kind, source = _text(event.get("detail-type")), _text(event.get("source"))
    if kind == "Scheduled Event" and source in {"aws.events", "aws.scheduler"}:
        return [FullRun()]
    detail = event.get("detail")
    if not isinstance(detail, Mapping) or source not in {"aws.ssm", "aws.tag"}:
        return [Rejected(Reason.SHAPE, "an event that is not of Parameter Store")]
    if source == "aws.tag":
        return _tag_change(event)
    match kind:
        case "Parameter Store Change":
            operation = _operation(detail.get("operation"))
            if operation not in _CHANGES:
                name, _ = _parameter(detail.get("name"))
                return [Rejected(Reason.OPERATION, f"for {name}" if name else "")]
            return _named(event, detail.get("name"), operation)
        case "Parameter Store Policy Action":  # its keys have hyphens
            return _named(event, detail.get("parameter-name"), Operation.POLICY)
        case "AWS API Call via CloudTrail":
            return _api_call(event, detail)
        case _:
            return [Rejected(Reason.SHAPE, "an event of Systems Manager that is not about a parameter")]


def _tag_change(event: Mapping[str, Any]) -> list[Content]:
    """Read a change of tags: the event's resources are ARNs, of any service."""
    if event.get("detail-type") != "Tag Change on Resource":
        return [Rejected(Reason.OPERATION)]
    detail, resources = event.get("detail"), event.get("resources")
    keys = detail.get("changed-tag-keys") if isinstance(detail, Mapping) else None
    if isinstance(keys, list) and keys and all(map(_is_own, keys)):
        return [Rejected(Reason.OWN_TAGS)]
    arns = [one for one in resources if _parameter(one)[1]] if isinstance(resources, list) else []
    return _named(event, arns, Operation.TAGS) if arns else [Rejected(Reason.RESOURCE)]


def _is_own(key: Any) -> bool:
    """Whether a tag key is one of ours: a write of our own must start no run."""
    return isinstance(key, str) and key.startswith(PREFIX)


def _api_call(event: Mapping[str, Any], detail: Mapping[str, Any]) -> list[Content]:
    """Read an API call that CloudTrail recorded; one with an `errorCode` changed nothing."""
    if detail.get("eventSource") != "ssm.amazonaws.com" or detail.get("eventName") not in TAG_CALLS:
        return [Rejected(Reason.OPERATION)]
    if detail.get("errorCode"):
        return [Rejected(Reason.CALL)]
    parameters = detail.get("requestParameters")
    if not isinstance(parameters, Mapping) or parameters.get("resourceType") != "Parameter":
        return [Rejected(Reason.RESOURCE)]
    listed = [one for key in ("tags", "tagKeys") if isinstance(one := parameters.get(key), list)]
    keys = [one.get("key") if isinstance(one, Mapping) else one for tags in listed for one in tags]
    if keys and all(map(_is_own, keys)):
        return [Rejected(Reason.OWN_TAGS)]
    return _named(event, parameters.get("resourceId"), Operation.TAGS)


def _named(event: Mapping[str, Any], names: Any, operation: Operation) -> list[Content]:
    origin = _origin(event)
    if origin is None:
        return [Rejected(Reason.SHAPE, "an event that does not say its account and region")]
    return names_from(names, operation, origin, _time(event.get("time")))


def names_from(
    given: Any,
    operation: Operation = Operation.UNKNOWN,
    origin: EventOrigin | None = None,
    at: datetime | None = None,
) -> list[Content]:
    """Return the names and ARNs of a list, grouped by place, and a rejection for each invalid entry.

    Args:
        given: Names and ARNs, or a single one; each invalid entry is rejected alone.
        operation: The operation that all of them have in common.
        origin: The place of the event. An ARN of another place rejects the whole list.
        at: The time of the event.
    """
    entries = given if isinstance(given, list) else [given]
    if not entries:
        return [Rejected(Reason.NAME)]
    if len(entries) > MOST_NAMES:
        return [Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} names")]
    found: dict[EventOrigin | None, dict[str, None]] = {}
    bad: list[tuple[int, Any]] = []
    for number, entry in enumerate(entries, 1):
        name, place = _parameter(entry)
        if not name:
            bad.append((number, entry))
        elif None not in {place, origin} and place != origin:
            return [Rejected(Reason.SHAPE, f"an ARN of {place} in an event of {origin}")]
        else:
            found.setdefault(place or origin, {})[name] = None
    valid = [Names(tuple(names), operation, place, at) for place, names in found.items()]
    return [*valid, *_bad_entries(bad, len(entries), among_names=bool(found))]


def _bad_entries(bad: Sequence[tuple[int, Any]], total: int, *, among_names: bool) -> list[Rejected]:
    if len(bad) == total and total > 1:
        return [Rejected(Reason.NAME, f"none of the {total:,} entries is a name")]
    shown = [
        _described(entry, f"entry {number} of {total:,}", among_names=among_names)
        for number, entry in bad[:MOST_LISTED]
    ]
    if len(bad) > MOST_LISTED:
        shown.append(f"{len(bad) - MOST_LISTED:,} more entries")
    return [Rejected(Reason.NAME, text) for text in shown]


def _described(entry: Any, position: str, *, among_names: bool) -> str:
    """Return the position of a rejected entry, and its text unless that may be a secret."""
    if isinstance(entry, str) and (among_names or entry.startswith(("/", "arn:"))):
        cut = entry[:_SHOWN] + ("..." if len(entry) > _SHOWN else "")
        return f"{json.dumps(cut)} ({position})"
    return position


def _parameter(entry: Any) -> tuple[str, EventOrigin | None]:
    """Return the name of an entry, and its place if it is an ARN; an empty name if it is neither."""
    if not isinstance(entry, str):
        return "", None
    arn = _ARN.fullmatch(entry)
    if arn is None:
        return (entry if _NAME.fullmatch(entry) else ""), None
    region, account, name = arn.groups()
    valid = REGION.fullmatch(region) and _NAME.fullmatch(name)
    return (name, EventOrigin(account, region)) if valid else ("", None)


def _operation(word: Any) -> Operation:
    """Return the operation of that name; UNKNOWN for any other value."""
    return next((one for one in Operation if one.value == word), Operation.UNKNOWN)


def _origin(document: Mapping[str, Any]) -> EventOrigin | None:
    """Return the `account` and `region` of a document; None if one is missing or malformed."""
    account, region = _text(document.get("account")), _text(document.get("region"))
    if not _ACCOUNT.fullmatch(account) or not REGION.fullmatch(region):
        return None
    return EventOrigin(account, region)


def _time(value: Any) -> datetime | None:
    """Return a time as EventBridge writes it, to the second; None for any other value."""
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    """Return the value if it is text, else an empty text."""
    return value if isinstance(value, str) else ""
