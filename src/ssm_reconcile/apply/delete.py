"""Deletes: up to ten replicas in one call, each confirmed right before it."""

from __future__ import annotations

from dataclasses import replace

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import send_write
from ssm_reconcile.apply.work import ChangeStopped, Work, failed_reason
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.change import Change, Delete
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import canonical
from ssm_reconcile.record import Standing
from ssm_reconcile.report import Outcome, Result


def delete_replicas(work: Work, changes: list[Change]) -> list[Outcome]:
    """Delete up to ten replicas and return one outcome for each."""
    sent: set[str] = set()
    return [replace(one, sent=one.change.name in sent) for one in _deleted(work, changes, sent)]


def _deleted(work: Work, changes: list[Change], sent: set[str]) -> list[Outcome]:
    """Return the outcomes, and add to `sent` the names for which a DeleteParameters was sent."""
    owned, outcomes = _owned(work, changes)
    if not owned:
        return outcomes
    try:
        _delete_now(work, owned, outcomes, sent)
    except StoreError as failure:
        rest = _undecided(owned, outcomes)
        if len(rest) > 1 and failure.kind in (Trouble.DENIED, Trouble.REFUSED):
            # AWS refuses the whole call for one name that may not be deleted, so delete one by one.
            return outcomes + [outcome for change in rest for outcome in _deleted(work, [change], sent)]
        reason = failed_reason(failure)
        outcomes += [Outcome(change, Result.FAILED, reason, trouble=failure.kind) for change in rest]
    except ChangeStopped as stopped:
        outcomes += [
            Outcome(change, stopped.result, stopped.reason, trouble=stopped.trouble)
            for change in _undecided(owned, outcomes)
        ]
    return outcomes


def _owned(work: Work, changes: list[Change]) -> tuple[list[Change], list[Outcome]]:
    """Return the changes whose ownership and mark are confirmed, and the outcomes of the others."""
    owned: list[Change] = []
    outcomes: list[Outcome] = []
    for change in changes:
        try:
            tags = checks.confirm_target(work, change, Standing.OURS)
            checks.check_mark(work, change, tags)
            if isinstance(change.effect, Delete) and change.effect.record is not None:
                checks.check_record(tags, change.effect.record)
        except ChangeStopped as stopped:
            if stopped.failure is not None:
                work.record_failure(stopped.failure)
            # Nothing was tried for a parameter whose tags could not be read: it is withheld, not failed.
            result = Result.WITHHELD if stopped.result is Result.FAILED else stopped.result
            outcomes.append(Outcome(change, result, stopped.reason, trouble=stopped.trouble))
        else:
            work.note_tags(change, tags, {})
            owned.append(change)
    return owned, outcomes


def _undecided(changes: list[Change], outcomes: list[Outcome]) -> list[Change]:
    decided = {id(outcome.change) for outcome in outcomes}
    return [change for change in changes if id(change) not in decided]


def _delete_now(work: Work, owned: list[Change], outcomes: list[Outcome], sent: set[str]) -> None:
    """Check versions and sources, delete what may be deleted, and append the outcome of each."""
    left: list[Change] = []

    def check() -> None:
        nonlocal left
        left = _as_planned(work, _undecided(owned, outcomes), outcomes)

    def confirm() -> None:
        outcomes.extend(_owned(work, _undecided(owned, outcomes))[1])

    def send() -> frozenset[str]:
        names = [change.name for change in left]
        sent.update(names)
        return work.store.delete(names) if names else frozenset()

    def recover() -> frozenset[str] | None:
        """Return the names that are gone; None while all exist, so that the delete is repeated."""
        answers = work.store.values([change.name for change in left], decrypt=False)
        gone = frozenset(canonical(change.name) for change in left) & answers.missing
        return gone or None

    gone = send_write(work, CallClass.DELETE, check=check, send=send, recover=recover, confirm=confirm)
    for change in left:
        if canonical(change.name) in gone:
            work.written[canonical(change.name)] = None
            outcomes.append(Outcome(change, Result.APPLIED))
        else:
            outcomes.append(Outcome(change, Result.FAILED, "DeleteParameters: AWS did not delete it"))


def _as_planned(work: Work, changes: list[Change], outcomes: list[Outcome]) -> list[Change]:
    """Return the changes whose replica has the planned version and whose source is confirmed to be gone.

    The outcomes of the others are appended to `outcomes`.
    """
    if not changes:
        return []
    try:
        answers = work.store.values([change.name for change in changes], decrypt=False)
    except StoreError as failure:
        reason = f"its version could not be confirmed ({failure.code})"
        outcomes += [Outcome(change, Result.WITHHELD, reason, trouble=failure.kind) for change in changes]
        return []
    keep = checks.reasons_to_keep(work, changes)
    left = []
    for change in changes:
        value = answers.found.get(canonical(change.name))
        if canonical(change.name) in answers.failed:
            outcomes.append(Outcome(change, Result.WITHHELD, "its version could not be confirmed"))
        elif value is None:
            outcomes.append(Outcome(change, Result.STALE, "it is already deleted"))
        elif not checks.is_as_planned(change, value):
            outcomes.append(Outcome(change, Result.STALE, checks.version_moved(change, value)))
        elif change.name in keep:
            outcomes.append(Outcome(change, Result.WITHHELD, keep[change.name]))
        else:
            left.append(change)
    return left
