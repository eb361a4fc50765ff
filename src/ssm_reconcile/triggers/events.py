"""What arrived, as JSON says it -> names to reconcile, a full run, or why it is neither. Pure.

    EventBridge   Parameter Store Change, Parameter Store Policy Action, Scheduled Event   (aws-facts C)
    SQS           a batch of records, each with one of these, or with a bare name
    SNS           a record, or a body, that wraps one of these
    GitHub        repository_dispatch: `client_payload` with a name, names, or one of these
    plain         a name, a list of names, {"names": [...]}

Whatever else comes is rejected with a reason that repeats nothing of it but a name that is one: what is
in a queue was written by somebody, and its rejection is logged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from ssm_reconcile.partitions import REGION

LONGEST_TEXT = 1_048_576
"""Characters of one message: as much as SQS carries."""
MOST_NAMES = 10_000
LONGEST_NUMBER = 10
DEEPEST = 3
"""Envelopes around one event: SQS around SNS around EventBridge."""
_NAME = re.compile(r"[A-Za-z0-9_.\-/]{1,1011}")
_ACCOUNT = re.compile(r"\d{12}")


class Operation(StrEnum):
    """What is said to have happened to a parameter."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    LABEL = "LabelParameterVersion"
    POLICY = "Policy"
    UNKNOWN = ""
    """Somebody asks for a name; nothing is said to have happened."""


class Reason(StrEnum):
    """Why something is not acted upon."""

    SHAPE = "unknown shape"
    OPERATION = "unknown operation"
    NAME = "no parameter name"
    ELSEWHERE = "not from the source of any replication"
    SCOPE = "no replication selects that name"
    SIZE = "too large"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event says that it comes from."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"


@dataclass(frozen=True, slots=True)
class Names:
    """Parameters of a source to reconcile. `origin` None: of whatever source has them.

    `judged`: a whole run hands them on, so its guards have seen them among all others.
    """

    names: tuple[str, ...]
    operation: Operation = Operation.UNKNOWN
    origin: Origin | None = None
    at: datetime | None = None
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Full:
    """Everything is to be reconciled, as on a schedule."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing to act upon, and why."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


News: TypeAlias = Names | Full | Rejected


@dataclass(frozen=True, slots=True)
class Message:
    """One record of a batch: what is in it, and what its queue needs to know of it again."""

    news: News
    identifier: str = ""
    receipt: str = ""
    received: int = 1


def batch(document: Any) -> list[Message]:
    """The records of an invocation: those of a queue or a topic, or the one event that it is."""
    records = document.get("Records") if isinstance(document, Mapping) else None
    if not isinstance(records, list):
        return [Message(news_of(document))]
    return [_message(record) for record in records]


def read(text: str) -> list[Message]:
    """The same from a text: JSON, or names, one a line."""
    text = text.removeprefix("\ufeff")  # as some editors and shells begin a file
    if len(text) > LONGEST_TEXT:
        return [Message(Rejected(Reason.SIZE, f"more than {LONGEST_TEXT:,} characters"))]
    if not text.lstrip().startswith(("{", "[", '"')):
        return [Message(_named(text.split()))]
    document = _parsed(text)
    return [Message(document)] if isinstance(document, Rejected) else batch(document)


def news_of(document: Any, depth: int = 0) -> News:
    """What one document says."""
    if isinstance(document, str):
        return _named([document])
    if isinstance(document, list):
        return _named(document)
    if not isinstance(document, Mapping) or depth >= DEEPEST:
        return Rejected(Reason.SHAPE)
    if "detail-type" in document:
        return _of_eventbridge(document)
    if document.get("Type") == "Notification":  # as SNS puts it into a queue
        return _inside(document.get("Message"), depth)
    payload = document.get("client_payload")
    if isinstance(payload, Mapping):
        return _of_github(payload, depth)
    if "names" in document or "name" in document:
        return _plain(document)
    return Rejected(Reason.SHAPE)


def _message(record: Any) -> Message:
    if not isinstance(record, Mapping):
        return Message(Rejected(Reason.SHAPE, "a record that is no object"))
    identifier, receipt = (_text(record.get(key)) for key in ("messageId", "receiptHandle"))
    attributes = record.get("attributes")
    received = _number(attributes.get("ApproximateReceiveCount") if isinstance(attributes, Mapping) else 1)
    topic = record.get("Sns")
    body = topic.get("Message") if isinstance(topic, Mapping) else record.get("body")
    return Message(_inside(body, 0), identifier, receipt, received)


def _inside(text: Any, depth: int) -> News:
    """What a message carries: an event as JSON, or the bare name that the seed's full copy queued."""
    if not isinstance(text, str):
        return Rejected(Reason.SHAPE, "a message without a text")
    if len(text) > LONGEST_TEXT:
        return Rejected(Reason.SIZE)
    if not text.lstrip().startswith(("{", "[", '"')):
        return _named([text.strip()])
    document = _parsed(text)
    return document if isinstance(document, Rejected) else news_of(document, depth + 1)


def _of_eventbridge(event: Mapping[str, Any]) -> News:
    kind, source = _text(event.get("detail-type")), _text(event.get("source"))
    if kind == "Scheduled Event" and source in {"aws.events", "aws.scheduler"}:
        return Full()
    detail = event.get("detail")
    if source != "aws.ssm" or not isinstance(detail, Mapping):
        return Rejected(Reason.SHAPE, "an event that is not of Parameter Store")
    match kind:
        case "Parameter Store Change":
            name, operation = detail.get("name"), _operation(detail.get("operation"))
            if operation is Operation.UNKNOWN or operation is Operation.POLICY:
                return Rejected(Reason.OPERATION)
        case "Parameter Store Policy Action":  # its keys have hyphens (aws-facts C)
            name, operation = detail.get("parameter-name"), Operation.POLICY
        case _:
            return Rejected(Reason.SHAPE, "an event of Systems Manager that is not about a parameter")
    origin = _origin(event)
    if origin is None:
        return Rejected(Reason.SHAPE, "an event that does not say its account and region")
    return _named([name], operation, origin, _moment(event.get("time")))


def _of_github(payload: Mapping[str, Any], depth: int) -> News:
    if "detail-type" in payload:
        return news_of(payload, depth + 1)
    if isinstance(payload.get("event"), Mapping):
        return news_of(payload["event"], depth + 1)
    news = _plain(payload)
    return replace(news, judged=False) if isinstance(news, Names) else news


def _plain(document: Mapping[str, Any]) -> News:
    """Names with, perhaps, what happened to them, where and when."""
    names = document.get("names", document.get("name"))
    operation = _operation(document.get("operation"))
    if document.get("operation") and operation is Operation.UNKNOWN:
        return Rejected(Reason.OPERATION)
    origin = None
    if "account" in document or "region" in document:
        origin = _origin(document)
        if origin is None:
            return Rejected(Reason.SHAPE, "an account and a region go together")
    news = _named(
        names if isinstance(names, list) else [names], operation, origin, _moment(document.get("time"))
    )
    if isinstance(news, Names) and document.get("judged") is True:
        return replace(news, judged=True)
    return news


def _named(
    names: Sequence[Any],
    operation: Operation = Operation.UNKNOWN,
    origin: Origin | None = None,
    at: datetime | None = None,
) -> News:
    if not names:
        return Rejected(Reason.NAME)
    if len(names) > MOST_NAMES:
        return Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} names")
    if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        return Rejected(Reason.NAME)
    return Names(tuple(dict.fromkeys(names)), operation, origin, at)


def _operation(said: Any) -> Operation:
    """What is said to have happened; UNKNOWN for anything that AWS does not say."""
    return next((one for one in Operation if one.value == said), Operation.UNKNOWN)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return Rejected(Reason.SHAPE, "not JSON")


def _origin(document: Mapping[str, Any]) -> Origin | None:
    account, region = _text(document.get("account")), _text(document.get("region"))
    if not _ACCOUNT.fullmatch(account) or not REGION.fullmatch(region):
        return None
    return Origin(account, region)


def _moment(text: Any) -> datetime | None:
    """A moment as EventBridge writes it, to the second; None where it is none."""
    try:
        moment = datetime.fromisoformat(_text(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_NUMBER else 1
