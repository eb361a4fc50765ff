"""What arrived together -> each name once, with all that was said of it. Pure.

A burst on one name is one wish: what counts is what the source holds when it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ssm_reconcile.event.events import Message, Names, Operation, Rejected
from ssm_reconcile.event.scope import concerned
from ssm_reconcile.model import Place
from ssm_reconcile.spec import Replication

SHOWN = frozenset({Operation.CREATE, Operation.UPDATE, Operation.DELETE})
"""Operations that reads show: a request with one of them is checked for lag."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NameRequest:
    """One source name to reconcile. `operation` and `at` are of the event that reads are checked against.

    `judged`: it was handed on by a whole run, whose guards have seen it, and nothing else asked for it.
    """

    name: str
    specs: frozenset[str]
    operation: Operation = Operation.UNKNOWN
    at: datetime | None = None
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Sorted:
    """A batch: its wishes by name, the names that each message has, and what was rejected, by message."""

    wishes: Mapping[str, NameRequest]
    named: Sequence[tuple[Message, frozenset[str]]]
    rejected: Sequence[tuple[Message, Rejected]]


def sort_out(
    messages: Iterable[Message], specs: Sequence[Replication], sources: Mapping[str, Place]
) -> Sorted:
    """Merges what is about the same name. `sources` as for `scope.concerned`."""
    wishes: dict[str, NameRequest] = {}
    named: list[tuple[Message, frozenset[str]]] = []
    rejected: list[tuple[Message, Rejected]] = []
    for message in messages:
        news = message.news
        if isinstance(news, Rejected):
            rejected.append((message, news))
        if not isinstance(news, Names):
            continue
        wanted, refused = concerned(specs, sources, news)
        rejected += [(message, one) for one in refused]
        named.append((message, frozenset(wanted)))
        for name, found in wanted.items():
            wishes[name] = _merged(
                wishes.get(name), NameRequest(name, found, news.operation, news.at, news.judged)
            )
    return Sorted(dict(sorted(wishes.items())), named, rejected)


def _merged(known: NameRequest | None, other: NameRequest) -> NameRequest:
    if known is None:
        return other
    specs = known.specs | other.specs
    younger = max(known, other, key=_weight)
    judged = known.judged and other.judged
    return NameRequest(known.name, specs, younger.operation, younger.at, judged)


def _weight(wish: NameRequest) -> tuple[bool, bool, datetime]:
    """The rank of a request: a change that reads must show counts before tags, labels and policies."""
    return wish.at is not None and wish.operation in SHOWN, wish.at is not None, wish.at or _NEVER
