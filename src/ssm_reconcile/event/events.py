"""Names and ARNs of an event -> `Names`, and a `Rejected` for each entry that is neither. Pure.

Also the types that the other modules of this package share. A rejection is logged, and an entry comes from
outside: its text is repeated only if it stands among names or looks like a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from ssm_reconcile.aws_limits import NAME_LIMIT, REGION

MOST_NAMES = 10_000
MOST_LISTED = 10
"""Rejected entries of one list that are reported one by one."""
_SHOWN = 80
"""Characters of a rejected entry that are repeated."""
_NAME = re.compile(rf"[A-Za-z0-9_.\-/]{{1,{NAME_LIMIT}}}")
_ACCOUNT = re.compile(r"\d{12}")
_ARN = re.compile(r"arn:[a-z-]{3,20}:ssm:([a-z0-9-]{1,30}):(\d{12}):parameter(/.+)")


class Operation(StrEnum):
    """The operation that an event reports (Parameter Store User Guide, "Setting up notifications")."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    LABEL = "LabelParameterVersion"
    POLICY = "Policy"
    TAGS = "Tags"
    """Tags were added or removed, which does not change the date of the parameter (aws-facts C2)."""
    UNKNOWN = ""
    """A request without an event."""


class Reason(StrEnum):
    """Why an event is rejected."""

    SHAPE = "unknown shape"
    OPERATION = "unknown operation"
    NAME = "no parameter name"
    ELSEWHERE = "not from the source of any replication"
    SCOPE = "no replication selects that name"
    SIZE = "too large"
    CALL = "the API call failed and changed nothing"
    RESOURCE = "not about a parameter of Parameter Store"

    @property
    def understood(self) -> bool:
        """Whether the event is valid and needs no action."""
        return self in {Reason.ELSEWHERE, Reason.SCOPE, Reason.CALL, Reason.RESOURCE}


@dataclass(frozen=True, slots=True)
class EventOrigin:
    """The account and region that an event comes from, as it says itself."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"


@dataclass(frozen=True, slots=True)
class Names:
    """Source parameters to reconcile.

    Attributes:
        origin: The place of the source; None for names without a place, which mean every source.
        from_full_run: A full run sent these names to the queue, so its guards have counted their changes.
    """

    names: tuple[str, ...]
    operation: Operation = Operation.UNKNOWN
    origin: EventOrigin | None = None
    at: datetime | None = None
    from_full_run: bool = False


@dataclass(frozen=True, slots=True)
class FullRun:
    """A request to reconcile everything, as of a schedule."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event, or an entry of a list, that leads to no action."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


Content: TypeAlias = Names | FullRun | Rejected


@dataclass(frozen=True, slots=True)
class Message:
    """One record of a batch. `received`: how many times the queue has delivered it."""

    content: Content
    identifier: str = ""
    receipt: str = ""
    received: int = 1


def names_from(
    entries: Sequence[Any],
    operation: Operation = Operation.UNKNOWN,
    origin: EventOrigin | None = None,
    at: datetime | None = None,
    *,
    from_full_run: bool = False,
) -> list[Content]:
    """Return the names and ARNs of a list, grouped by place, and a rejection for each invalid entry.

    Args:
        entries: Names and ARNs; each invalid entry is rejected alone.
        operation: The operation that all of them have in common.
        origin: The place of the event. An ARN of another place rejects the whole list.
        at: The time of the event.
        from_full_run: As in `Names`.
    """
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
    valid: list[Content] = [
        Names(tuple(names), operation, place, at, from_full_run) for place, names in found.items()
    ]
    return valid + _bad_entries(bad, len(entries), among_names=bool(found))


def _bad_entries(bad: Sequence[tuple[int, Any]], total: int, *, among_names: bool) -> list[Content]:
    if len(bad) == total and total > 1:
        return [Rejected(Reason.NAME, f"none of the {total:,} entries is a name")]
    rejected: list[Content] = [
        Rejected(Reason.NAME, _described(entry, f"entry {number} of {total:,}", among_names=among_names))
        for number, entry in bad[:MOST_LISTED]
    ]
    if len(bad) > MOST_LISTED:
        rejected.append(Rejected(Reason.NAME, f"{len(bad) - MOST_LISTED:,} more entries"))
    return rejected


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


def is_parameter_arn(entry: Any) -> bool:
    """Whether an entry is the ARN of a parameter."""
    return _parameter(entry)[1] is not None


def operation_of(word: Any) -> Operation:
    """Return the operation of that name; UNKNOWN for any other value."""
    return next((one for one in Operation if one.value == word), Operation.UNKNOWN)


def origin_of(document: Mapping[str, Any]) -> EventOrigin | None:
    """Return the `account` and `region` of a document; None if one is missing or malformed."""
    account, region = text_of(document.get("account")), text_of(document.get("region"))
    if not _ACCOUNT.fullmatch(account) or not REGION.fullmatch(region):
        return None
    return EventOrigin(account, region)


def time_of(value: Any) -> datetime | None:
    """Return a time as EventBridge writes it, to the second; None for any other value."""
    try:
        moment = datetime.fromisoformat(text_of(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def text_of(value: Any) -> str:
    """Return the value if it is text, else an empty text."""
    return value if isinstance(value, str) else ""
