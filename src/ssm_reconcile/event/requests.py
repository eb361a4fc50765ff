"""Messages of one batch -> one request for each name, and from its plan and report one result. Pure.

Several events for one name are one request: a run compares what the source holds when it is read, so no
event is replayed and a repeated event does no harm. `stale_names` finds reads that are older than an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ssm_reconcile.by_name import NamePlan
from ssm_reconcile.change import Delete, Fate, Mark, Release, Row
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.event.events import EventOrigin, Message, Names, Operation, Reason, Rejected
from ssm_reconcile.model import Listing, Parameter, Place, ProblemKind, canonical
from ssm_reconcile.plan import UNMET, Other
from ssm_reconcile.record import SAME_MOMENT
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.session import Places
from ssm_reconcile.spec import Replication
from ssm_reconcile.wording import utc_text

READ_LAG = timedelta(seconds=60)
"""Longest time for which a read may miss a change that an event reports. Not documented by AWS."""
VISIBLE = frozenset({Operation.CREATE, Operation.UPDATE, Operation.DELETE})
"""Operations that a read of the parameter shows."""
_NEVER = datetime.min.replace(tzinfo=UTC)
CHANGED_OUTSIDE = "changed-outside"
"""The guard of replicas that another writer changed: refused at once, since that writer wants them so."""
MOST_WRITES = 2
"""Writes of one name for one message. If the replica differs after the second, another writer wants it."""
DIFFERS = "a read after the write did not show what was written"


@dataclass(frozen=True, slots=True)
class NameRequest:
    """One source name to reconcile.

    Attributes:
        specs: The names of the replications that select it.
        operation: The operation of the event that reads are checked against.
        at: The time of that event; None when no event says so.
        is_visible: Whether a read of the parameter shows every change that the events report. False for
            a name without an event, and for tags, labels and policies.
    """

    name: str
    specs: frozenset[str]
    operation: Operation = Operation.UNKNOWN
    at: datetime | None = None
    is_visible: bool = False


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """The requests by name, the names of each message, and each rejection with its message."""

    requests: Mapping[str, NameRequest]
    named: Sequence[tuple[Message, frozenset[str]]]
    rejected: Sequence[tuple[Message, Rejected]]


def source_places(specs: Iterable[Replication], places: Places) -> dict[str, Place]:
    """Return the source place of each replication, if it could be opened."""
    opened = ((spec.name, places.opened.get(spec.source.access)) for spec in specs)
    return {name: store.place for name, store in opened if not isinstance(store, StoreError | None)}


def merge_requests(
    messages: Iterable[Message], specs: Sequence[Replication], sources: Mapping[str, Place]
) -> RequestBatch:
    """Return one request for each name, and the entries that were rejected.

    Args:
        messages: The messages of one batch, in any order.
        specs: The replications.
        sources: The place of each source, by the name of its replication.
    """
    requests: dict[str, NameRequest] = {}
    named: list[tuple[Message, frozenset[str]]] = []
    rejected: list[tuple[Message, Rejected]] = []
    for message in messages:
        content = message.content
        if isinstance(content, Rejected):
            rejected.append((message, content))
        if not isinstance(content, Names):
            continue
        wanted, refused = match_replications(specs, sources, content)
        rejected += [(message, one) for one in refused]
        named.append((message, frozenset(wanted)))
        for name, found in wanted.items():
            is_visible = content.operation in VISIBLE and content.at is not None
            request = NameRequest(name, found, content.operation, content.at, is_visible)
            requests[name] = _merged(requests[name], request) if name in requests else request
    return RequestBatch(dict(sorted(requests.items())), named, rejected)


def _merged(known: NameRequest, other: NameRequest) -> NameRequest:
    latest = max(known, other, key=_rank)
    is_visible = known.is_visible and other.is_visible
    return NameRequest(known.name, known.specs | other.specs, latest.operation, latest.at, is_visible)


def _rank(request: NameRequest) -> tuple[bool, bool, datetime]:
    """Rank a change that reads must show above tags, labels and policies, and later above earlier."""
    return (
        request.at is not None and request.operation in VISIBLE,
        request.at is not None,
        request.at or _NEVER,
    )


def match_replications(
    specs: Sequence[Replication], sources: Mapping[str, Place], event: Names
) -> tuple[dict[str, frozenset[str]], list[Rejected]]:
    """Return the replications that select each name, and a rejection for each name that none selects.

    An event from any other place than a source is rejected as a whole. That includes the events of the
    targets that were just written, which would start an endless loop.

    Args:
        specs: The replications.
        sources: The source place of each replication, if it could be opened.
        event: The names, and the place that they come from.
    """
    here = [spec for spec in specs if _is_from(spec, sources.get(spec.name), event.origin)]
    if not here:
        return {}, [Rejected(Reason.ELSEWHERE, str(event.origin))]
    wanted: dict[str, frozenset[str]] = {}
    rejected: list[Rejected] = []
    for name in event.names:
        # A parameter may have another type now than before, so any type of the spec selects it.
        found = frozenset(
            spec.name for spec in here if any(spec.rule_for(name, kind) is not None for kind in spec.types)
        )
        if found:
            wanted[canonical(name)] = found
        else:
            rejected.append(Rejected(Reason.SCOPE, canonical(name)))
    return wanted, rejected


def _is_from(spec: Replication, source: Place | None, origin: EventOrigin | None) -> bool:
    if origin is None:
        return True
    account = source.account if source is not None else spec.source.account
    return spec.source.access.region == origin.region and account in (None, origin.account)


def stale_names(planned: NamePlan, requests: Mapping[str, NameRequest], now: datetime) -> dict[str, str]:
    """Return the names whose reads are older than the event that reports a change, and why.

    An event may arrive before the reads show its change. Trusting such a read would lose the change until
    the next full run, so the name is retried for a minute, also when an older change was just applied.

    Args:
        planned: The plan for the names.
        requests: The requests by name.
        now: The current time, timezone-aware.
    """
    found: dict[str, str] = {}
    for name, request in requests.items():
        if request.at is None or abs(now - request.at) > READ_LAG:
            continue  # too old for a lag, or in the future by the clock of another machine
        if name in planned.unchanged:
            continue  # its version is not older than the event
        for spec in planned.specs:
            source = planned.listings.get(spec.source.access)
            if spec.name not in request.specs or not isinstance(source, Listing):
                continue
            if not _is_visible(request.operation, source.parameters.get(name), request.at):
                found[name] = f"the read does not show yet the change of {utc_text(request.at)}"
    return found


def _is_visible(operation: Operation, there: Parameter | None, at: datetime) -> bool:
    """Whether a parameter as it was read can be the result of an event of that time (to the second)."""
    is_newer = there is not None and there.last_modified >= at - SAME_MOMENT
    match operation:
        case Operation.CREATE | Operation.UPDATE:
            return is_newer
        case Operation.DELETE:
            return there is None or is_newer  # newer: it was created again since
        case _:
            return True


class RetryCause(StrEnum):
    """Why a name is retried. The cause decides about the pause, and whether the attempt counts."""

    OWN = "own"
    """Its read or write fails, and others may not: an attempt that counts."""
    STALE = "stale"
    """Source or target changed meanwhile, or reads are older than the event: an attempt that counts."""
    OUTAGE = "outage"
    """A place, the table or the spec cannot be used."""
    BUSY = "busy"
    """Another invocation works on the name, or the time of this one is over."""
    COUNT = "count"
    """A delete waits until a whole run has counted the replicas."""
    LOOK = "look"
    """It was written without a lease, so it is read once more."""


COUNTED = frozenset({RetryCause.OWN, RetryCause.STALE})
"""The causes of attempts that count: a message has a limited number of them."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The cause and the reason for which a name must be retried."""

    cause: RetryCause
    why: str


@dataclass(frozen=True, slots=True)
class NameResult:
    """The result for one name in all targets.

    Attributes:
        retry: Why the name must be retried; None when not. A withheld change, a held address, a
            conflict and an invalid parameter are not retried: only a person can remove the reason. They are
            logged and counted, and every whole run finds them again. All but held ones raise an alarm.
        differing: The replicas that a read after the write did not show as written, by `write_key`.
        contended: One of them differed again after the write was repeated.
        at: The time of the event.
    """

    name: str
    outcomes: tuple[Outcome, ...] = ()
    others: tuple[Other, ...] = ()
    retry: Retry | None = None
    differing: frozenset[str] = frozenset()
    contended: bool = False
    at: datetime | None = None

    def count(self, result: Result) -> int:
        """Return the number of changes with that result."""
        return sum(outcome.result is result for outcome in self.outcomes)

    @property
    def status(self) -> str:
        """The result in one log field: that of the target where the least was done."""
        if self.retry is not None:
            return "again"
        if self.contended:
            return "contended"
        if any(CHANGED_OUTSIDE in outcome.change.withheld_by for outcome in self.outcomes):
            return "refused"
        if self.count(Result.WITHHELD):
            return "withheld"
        if any(other.counted in UNMET for other in self.others):
            return "refused"
        if any(other.row is Row.HELD for other in self.others):
            return "held"
        return "applied" if self.count(Result.APPLIED) else "nothing to do"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the name does not hold what the spec asks for, each reason once."""
        found = [] if self.retry is None else [self.retry.why]
        if self.contended:
            found.append("another writer changes the replica after each write")
        for outcome in self.outcomes:
            found += [outcome.error, outcome.note, *(outcome.change.reasons if outcome.error else ())]
        found += [reason for other in self.others for reason in other.reasons]
        return tuple(dict.fromkeys(text for text in found if text))


@dataclass(frozen=True, slots=True)
class Applied:
    """A plan for some requests and the report of its apply.

    Attributes:
        stopped: Whether the time of the invocation ended the apply.
        waiting: The names whose changes were not made, and why.
        stale: The names whose reads were older than their event, and why (`stale_names`).
        barred: The changes that are not made any more: the replica differed after each of several writes.
    """

    planned: NamePlan
    report: Report
    stopped: bool = False
    waiting: Mapping[str, Retry] = field(default_factory=dict)
    stale: Mapping[str, str] = field(default_factory=dict)
    barred: frozenset[tuple[str, str, str]] = frozenset()

    def differing(self) -> dict[str, set[str]]:
        """Return the replicas that a read after the write did not show as written, by source name."""
        orders = {(one.replication, one.target, one.name) for one in self.report.remaining if one.after_write}
        return self._keys_by_name(orders)

    def barred_names(self) -> frozenset[str]:
        """Return the names of the changes that are not made any more."""
        return frozenset(self._keys_by_name(self.barred))

    def _keys_by_name(self, orders: Iterable[tuple[str, str, str]]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for order in orders:
            for name in self.planned.names_of(*order):
                found.setdefault(name, set()).add(write_key(order))
        return found


def write_key(order: tuple[str, str, str]) -> str:
    """Return the key under which the writes of a replica are counted: replication, target and address."""
    return " ".join(order)


def results_of(
    applied: Applied, requests: Mapping[str, NameRequest], written: Mapping[str, int]
) -> tuple[NameResult, ...]:
    """Return one result for each request, sorted by name.

    Args:
        applied: The plan for the requests and its report.
        requests: The requests by name.
        written: How many times earlier attempts wrote a replica that then differed, by `write_key`.
    """
    planned = applied.planned
    outcomes: dict[str, list[Outcome]] = {}
    others: dict[str, list[Other]] = {}
    for outcome in applied.report.outcomes:
        change = outcome.change
        for name in planned.names_of(change.replication, change.target, change.name):
            outcomes.setdefault(name, []).append(outcome)
    for other in planned.plan.others:
        for name in planned.names_of(other.replication, other.target, other.name):
            others.setdefault(name, []).append(other)
    differing, barred = applied.differing(), applied.barred_names()
    results = []
    for name in sorted(requests):
        keys = differing.get(name, set())
        ended = {key for key in keys if written.get(key, 0) + 1 >= MOST_WRITES}
        contended = bool(ended) or name in barred
        found = [
            applied.waiting.get(name),
            _unsure(planned, name),
            *(_retry_of(outcome, stopped=applied.stopped) for outcome in outcomes.get(name, ())),
            *map(_unreadable, others.get(name, ())),
            Retry(RetryCause.STALE, applied.stale[name]) if name in applied.stale else None,
            Retry(RetryCause.STALE, DIFFERS) if keys - ended else None,
        ]
        retry = next((one for one in found if one is not None), None)
        results.append(
            NameResult(
                name,
                tuple(outcomes.get(name, ())),
                tuple(others.get(name, ())),
                retry,
                frozenset(keys),
                contended,
                requests[name].at,
            )
        )
    return tuple(results)


def _unsure(planned: NamePlan, name: str) -> Retry | None:
    found = planned.unsure.get(name)
    return None if found is None else retry_after(found.trouble, found.why)


def retry_after(trouble: Trouble | None, why: str) -> Retry:
    """Return the retry of a name that could not be read.

    Args:
        trouble: The kind of the failed call; None if the reads contradict each other.
        why: The reason.
    """
    if trouble is None:
        return Retry(RetryCause.STALE, why)
    return Retry(RetryCause.OUTAGE if trouble.is_outage else RetryCause.OWN, why)


def _retry_of(outcome: Outcome, *, stopped: bool) -> Retry | None:
    """Return why a change is tried again; None if it was made, or if only a person can remove the reason."""
    why = f"{outcome.result}: {outcome.error}" if outcome.error else str(outcome.result)
    result = outcome.mark_removal or outcome.result
    if result is Result.NOT_ATTEMPTED:
        return Retry(RetryCause.BUSY if stopped else RetryCause.OUTAGE, why)
    if outcome.trouble is not None and outcome.trouble.is_outage and outcome.result is not Result.APPLIED:
        return Retry(RetryCause.OUTAGE, why)
    if outcome.result is Result.FAILED:
        return Retry(RetryCause.OWN, why)
    if result is Result.STALE:
        return Retry(RetryCause.STALE, why)
    if outcome.change.row is Row.INVALID and outcome.result is Result.APPLIED:
        return Retry(RetryCause.OWN, "its mark was removed, and nothing else was compared or written")
    if _is_unconfirmed(outcome):
        return retry_after(outcome.trouble, why)
    return None


def _unreadable(other: Other) -> Retry | None:
    """Return the reasons of an address whose value could not be read: the next read may succeed."""
    if ProblemKind.UNREADABLE not in other.problems:
        return None
    cause = RetryCause.OUTAGE if other.is_outage else RetryCause.OWN
    return Retry(cause, "; ".join(other.reasons))


def _is_unconfirmed(outcome: Outcome) -> bool:
    """Whether the apply withheld a delete or a mark that no guard had withheld: it was not confirmed."""
    change = outcome.change
    return (
        outcome.result is Result.WITHHELD
        and change.fate is Fate.APPLY
        and isinstance(change.effect, Delete | Release | Mark)
    )
