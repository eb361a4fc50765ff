"""Names and ARNs as an event lists them -> `Names`, and a `Rejected` for each entry that is neither. Pure.

Also the types that the other modules of this package share. A rejection is logged, and its text comes
from outside: it repeats an entry only where the entry stands among names or looks like one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from ssm_reconcile.aws_limits import NAME_LIMIT
from ssm_reconcile.partitions import REGION

MOST_NAMES = 10_000
MOST_LISTED = 10
"""Rejected entries of one list that are reported one by one."""
_SHOWN = 80
"""Characters of a rejected entry that are repeated."""
_NAME = re.compile(rf"[A-Za-z0-9_.\-/]{{1,{NAME_LIMIT}}}")
_ACCOUNT = re.compile(r"\d{12}")
_ARN = re.compile(r"arn:[a-z-]{3,20}:ssm:([a-z0-9-]{1,30}):(\d{12}):parameter(/.+)")


class Operation(StrEnum):
    """What is said to have happened to a parameter."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    LABEL = "LabelParameterVersion"
    POLICY = "Policy"
    TAGS = "Tags"
    """Tags were added or removed, which moves no date of the parameter (aws-facts C2)."""
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
    CALL = "the API call failed and changed nothing"
    RESOURCE = "not about a parameter of Parameter Store"

    @property
    def understood(self) -> bool:
        """Whether the event is a sound one that needs no action here."""
        return self in {Reason.ELSEWHERE, Reason.SCOPE, Reason.CALL, Reason.RESOURCE}


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


def names_from(
    entries: Sequence[Any],
    operation: Operation = Operation.UNKNOWN,
    origin: Origin | None = None,
    at: datetime | None = None,
    *,
    judged: bool = False,
) -> list[News]:
    """Return the names and ARNs of a list, by the place they are of, and each entry that is neither.

    One bad entry stops no other. An ARN names its own place, which must be `origin` where that is known.
    """
    if not entries:
        return [Rejected(Reason.NAME)]
    if len(entries) > MOST_NAMES:
        return [Rejected(Reason.SIZE, f"more than {MOST_NAMES:,} names")]
    found: dict[Origin | None, dict[str, None]] = {}
    bad: list[tuple[int, Any]] = []
    for number, entry in enumerate(entries, 1):
        name, place = _parameter(entry)
        if not name:
            bad.append((number, entry))
        elif None not in {place, origin} and place != origin:
            return [Rejected(Reason.SHAPE, f"an ARN of {place} in an event of {origin}")]
        else:
            found.setdefault(place or origin, {})[name] = None
    news: list[News] = [Names(tuple(names), operation, place, at, judged) for place, names in found.items()]
    return news + _bad_entries(bad, len(entries), among_names=bool(found))


def _bad_entries(bad: Sequence[tuple[int, Any]], total: int, *, among_names: bool) -> list[News]:
    if len(bad) == total and total > 1:
        return [Rejected(Reason.NAME, f"none of the {total:,} entries is a name")]
    told: list[News] = [
        Rejected(Reason.NAME, _described(entry, f"entry {number} of {total:,}", among_names=among_names))
        for number, entry in bad[:MOST_LISTED]
    ]
    if len(bad) > MOST_LISTED:
        told.append(Rejected(Reason.NAME, f"{len(bad) - MOST_LISTED:,} more entries"))
    return told


def _described(entry: Any, position: str, *, among_names: bool) -> str:
    """A rejected entry: its text where it stands among names or looks like one, and its position."""
    if isinstance(entry, str) and (among_names or entry.startswith(("/", "arn:"))):
        cut = entry[:_SHOWN] + ("..." if len(entry) > _SHOWN else "")
        return f"{json.dumps(cut)} ({position})"
    return position


def _parameter(entry: Any) -> tuple[str, Origin | None]:
    """The name of an entry, and the place where it is an ARN; an empty name where it is neither."""
    if not isinstance(entry, str):
        return "", None
    arn = _ARN.fullmatch(entry)
    if arn is None:
        return (entry if _NAME.fullmatch(entry) else ""), None
    region, account, name = arn.groups()
    sound = REGION.fullmatch(region) and _NAME.fullmatch(name)
    return (name, Origin(account, region)) if sound else ("", None)


def is_parameter_arn(entry: Any) -> bool:
    """Whether an entry is the ARN of a parameter."""
    return _parameter(entry)[1] is not None


def operation_of(word: Any) -> Operation:
    """The operation of that name; UNKNOWN for a word that is not one."""
    return next((one for one in Operation if one.value == word), Operation.UNKNOWN)


def origin_of(document: Mapping[str, Any]) -> Origin | None:
    """The account and region that a document names; None where either is missing or malformed."""
    account, region = text_of(document.get("account")), text_of(document.get("region"))
    if not _ACCOUNT.fullmatch(account) or not REGION.fullmatch(region):
        return None
    return Origin(account, region)


def moment_of(value: Any) -> datetime | None:
    """A moment as EventBridge writes it, to the second; None where the value is not one."""
    try:
        moment = datetime.fromisoformat(text_of(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def text_of(value: Any) -> str:
    """The value if it is text, else an empty text."""
    return value if isinstance(value, str) else ""
