"""Deletes: last of all, ten at a time, and only after everything was confirmed right before."""

from __future__ import annotations

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.attempts import attempt
from ssm_reconcile.apply.work import Ended, Work, failed
from ssm_reconcile.change import Change
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import canonical
from ssm_reconcile.record import Standing
from ssm_reconcile.report import Outcome, Result
from ssm_reconcile.stores.base import Step


def delete(work: Work, changes: list[Change]) -> list[Outcome]:
    """Deletes up to ten replicas. Each has an outcome of its own."""
    sure, outcomes = _owned(work, changes)
    if not sure:
        return outcomes
    try:
        _delete_now(work, sure, outcomes)
    except StoreError as failure:
        rest = _undecided(sure, outcomes)
        if len(rest) > 1 and failure.kind in (Trouble.DENIED, Trouble.REFUSED):
            # one name that we may not delete must not keep the other nine
            return outcomes + [outcome for change in rest for outcome in delete(work, [change])]
        outcomes += [_failed(change, failure) for change in rest]
    except Ended as end:
        outcomes += [Outcome(change, end.result, end.reason) for change in _undecided(sure, outcomes)]
    return outcomes


def _owned(work: Work, changes: list[Change]) -> tuple[list[Change], list[Outcome]]:
    """Return the changes whose ownership is confirmed, and the outcomes of the others."""
    owned: list[Change] = []
    outcomes: list[Outcome] = []
    for change in changes:
        try:
            _confirm_ownership(work, change)
        except Ended as end:
            outcomes.append(Outcome(change, end.result, end.reason))
        else:
            owned.append(change)
    return owned, outcomes


def _undecided(changes: list[Change], outcomes: list[Outcome]) -> list[Change]:
    decided = {id(outcome.change) for outcome in outcomes}
    return [change for change in changes if id(change) not in decided]


def _confirm_ownership(work: Work, change: Change) -> None:
    """ListTags on the replica confirms the record and no skip_sync; an error is no confirmation."""
    try:
        checks.target_tags(work, change, Standing.OURS)
    except Ended as end:
        if end.failure is not None:
            work.learn(end.failure)
        if end.result is Result.FAILED:
            raise Ended(Result.WITHHELD, end.reason) from None
        raise


def _delete_now(work: Work, going: list[Change], outcomes: list[Outcome]) -> None:
    """Looks at versions and at the source, deletes what is left, and says what became of each."""
    left: list[Change] = []

    def check() -> None:
        nonlocal left
        left = _still_so(work, _undecided(going, outcomes), outcomes)

    def confirm() -> None:
        outcomes.extend(_owned(work, _undecided(going, outcomes))[1])

    def send() -> frozenset[str]:
        return work.ends.store.delete([change.name for change in left]) if left else frozenset()

    def landed() -> frozenset[str] | None:
        """What is gone; None while all of it is there, so that it is tried again."""
        answers = work.ends.store.values([change.name for change in left], decrypt=False)
        gone = frozenset(canonical(change.name) for change in left) & answers.missing
        return gone or None

    gone = attempt(work, Step.DELETE, check=check, send=send, landed=landed, confirm=confirm)
    for change in left:
        if canonical(change.name) in gone:
            work.written[canonical(change.name)] = None
            outcomes.append(Outcome(change, Result.APPLIED))
        else:
            outcomes.append(Outcome(change, Result.FAILED, "DeleteParameters: AWS did not delete it"))


def _still_so(work: Work, changes: list[Change], outcomes: list[Outcome]) -> list[Change]:
    """Those whose replica is the expected version and whose source is surely gone."""
    if not changes:
        return []
    try:
        answers = work.ends.store.values([change.name for change in changes], decrypt=False)
    except StoreError as failure:
        reason = f"its version could not be confirmed ({failure.code})"
        outcomes += [Outcome(change, Result.WITHHELD, reason) for change in changes]
        return []
    doubtful = checks.source_gone(work, changes)
    left = []
    for change in changes:
        value = answers.found.get(canonical(change.name))
        if canonical(change.name) in answers.failed:
            outcomes.append(Outcome(change, Result.WITHHELD, "its version could not be confirmed"))
        elif value is None:
            outcomes.append(Outcome(change, Result.STALE, "it is gone already"))
        elif not checks.as_expected(change, value):
            reason = f"it is at version {value.version} by now, the plan saw {change.expected.version}"
            outcomes.append(Outcome(change, Result.STALE, reason))
        elif change.name in doubtful:
            outcomes.append(Outcome(change, Result.WITHHELD, doubtful[change.name]))
        else:
            left.append(change)
    return left


def _failed(change: Change, failure: StoreError) -> Outcome:
    try:
        failed(failure)
    except Ended as end:
        return Outcome(change, end.result, end.reason)
