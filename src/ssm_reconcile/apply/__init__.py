"""Plan -> Report: each change is applied on its own and gets an outcome; no change raises for the others.

    work.py        what the apply of one target works with   attempts.py   one write, repeated only if safe
    checks.py      what must be true right before a write    put.py        creates and updates
    tag.py         adopts, retags, releases, marks           replace.py    delete, wait, create
    delete.py      deletes                                   restore.py    former versions and tags
    verify.py      reads of what was written
    work_queue.py  which worker takes which batch

Targets are written in parallel. Within a target, each worker takes up to ten changes at a time: it reads
their source values in one call and writes them one after the other, at the rate of the place. Puts and tags
have quotas of their own, so both run in parallel. Deletes come last.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from typing import TypeAlias, assert_never

from ssm_reconcile.apply import checks, delete, put, replace, restore, tag
from ssm_reconcile.apply.verify import remaining, verify_target
from ssm_reconcile.apply.work import ChangeStopped, Work, failed_reason
from ssm_reconcile.apply.work_queue import run_queues
from ssm_reconcile.aws_limits import NAMES_PER_CALL
from ssm_reconcile.change import (
    Adopt,
    Change,
    Create,
    Delete,
    Fate,
    Mark,
    Release,
    Replace,
    Restore,
    Retag,
    Unmark,
    Update,
)
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import IMAGE, canonical
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from ssm_reconcile.system import Phase, Progress, ProgressListener, ProgressSums, Stop

Batches: TypeAlias = list[list[Change]]
MARK_REMOVED = "its mark was removed"


def apply(
    plan: Plan,
    works: Mapping[tuple[str, str], Work],
    parallelism: int,
    watch: ProgressListener,
    stop: Stop,
) -> Report:
    """Apply every change of a plan that is not withheld.

    Args:
        plan: the plan; its withheld changes get the outcome `withheld`, also if an outdated mark is removed.
        works: the targets by replication and target name; a target that is missing here could not be opened,
            and its changes are not attempted.
        parallelism: the most workers of one target.
        watch: called with the progress of each place, from several threads.
        stop: set when the run was asked to stop.

    Returns:
        One outcome for each change, in the order of the plan, and what remains to be done.
    """
    by_target: dict[tuple[str, str], list[Change]] = {}
    for change in plan.changes:
        by_target.setdefault((change.replication, change.target), []).append(change)

    progress = ProgressSums(watch)

    def apply_target(key: tuple[str, str]) -> tuple[list[Outcome], list[Remaining]]:
        worker = progress.worker()
        work = works.get(key)
        outcomes = _apply_target(work, by_target[key], parallelism, worker)
        if work is None:
            return outcomes, []
        wrong = verify_target(work, worker)
        return [_with_state(work, outcome) for outcome in outcomes], wrong

    outcomes: list[Outcome] = []
    unverified: list[Remaining] = []
    with ThreadPoolExecutor(max_workers=max(1, len(by_target))) as pool:
        for found, wrong in pool.map(apply_target, sorted(by_target)):
            outcomes += found
            unverified += wrong
    outcomes.sort(key=lambda outcome: outcome.change.order)
    left = {*unverified, *remaining(plan, outcomes)}
    return Report(
        plan=plan,
        outcomes=tuple(outcomes),
        remaining=tuple(sorted(left, key=lambda r: (r.replication, r.target, r.name, r.reason))),
        findings=tuple(sorted({finding for work in works.values() for finding in work.findings})),
        interrupted=stop.is_set(),
    )


def _with_state(work: Work, outcome: Outcome) -> Outcome:
    """Return the outcome of a change that was applied with the state before and after it."""
    if outcome.result is not Result.APPLIED:
        return outcome
    return replace_fields(outcome, written=work.state_of(outcome.change))


def _apply_target(
    work: Work | None, changes: list[Change], parallelism: int, watch: ProgressListener
) -> list[Outcome]:
    todo = [made for change in changes if (made := change.to_apply) is not None]
    held = {change.order: change for change in changes if change.fate is Fate.WITHHELD}
    unwritten = held.keys() - {change.order for change in todo}
    outcomes = [Outcome(held[one], Result.WITHHELD, _why_withheld(held[one])) for one in unwritten]
    for outcome in _write_changes(work, todo, parallelism, watch):
        change = held.get(outcome.change.order)
        outcomes.append(outcome if change is None else _withheld_outcome(change, outcome))
    return outcomes


def _write_changes(
    work: Work | None, todo: list[Change], parallelism: int, watch: ProgressListener
) -> Iterator[Outcome]:
    """Make changes that are not withheld; yield their outcomes, in no particular order."""
    if work is None:
        reason = "its place could not be opened"
        yield from (Outcome(change, Result.NOT_ATTEMPTED, reason) for change in todo)
        return
    counter = _OutcomeCounter(str(work.place), len(todo), watch)
    for phase in _phases(todo):
        for found in run_queues(phase, lambda batch: _apply_batch(work, batch, counter), workers=parallelism):
            yield from found


def _withheld_outcome(change: Change, cleared: Outcome) -> Outcome:
    """Return the outcome of a withheld change, from that of the removal of its mark."""
    why = _why_withheld(change)
    if cleared.result is Result.APPLIED:
        return Outcome(change, Result.WITHHELD, why, note=MARK_REMOVED)
    if cleared.result is Result.FAILED:
        return Outcome(change, Result.FAILED, f"{cleared.error}; withheld by {why}", trouble=cleared.trouble)
    note = f"its mark was not removed: {cleared.error}"
    return Outcome(change, Result.WITHHELD, why, note=note, mark_removal=cleared.result)


@dataclass(slots=True)
class _OutcomeCounter:
    """Counts the outcomes of one target and reports progress. Thread-safe."""

    place: str
    total: int
    watch: ProgressListener
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Count some outcomes and return them."""
        with self.lock:
            self.done += len(outcomes)
            self.watch(Progress(self.place, Phase.WRITING, self.done, self.total))
        return outcomes


def _why_withheld(change: Change) -> str:
    """Return the guards, and the reason that each of them gave for this change."""
    return f"{', '.join(change.withheld_by)}: {'; '.join(hold.why for hold in change.withheld)}"


def _phases(changes: list[Change]) -> Iterator[tuple[Batches, ...]]:
    """Return writes, then replacements, then deletes; each as queues of batches that workers take from.

    Changes that need the same read are put into the same batches, so that one call reads for ten of them.
    Puts and tags are two queues: in one queue, each would wait for its own quota while the other is unused.
    A replacement waits for half a minute, and an AMI id for minutes: each is a batch of its own, after the
    others of its queue, and no other change waits with it.
    """
    writes = [c for c in changes if not isinstance(c.effect, Replace | Delete)]
    puts, tags = [c for c in writes if c.writes_value], [c for c in writes if not c.writes_value]
    slow = [c for c in puts if c.wanted.source.data_type == IMAGE]
    quick = [c for c in puts if c.wanted.source.data_type != IMAGE]
    yield [*_batches_of(quick), *([change] for change in slow)], _batches_of(tags)
    yield ([[change] for change in changes if isinstance(change.effect, Replace)],)
    deletes = [change for change in changes if isinstance(change.effect, Delete)]
    yield (_batches_of(sorted(deletes, key=lambda change: not checks.needs_source_gone(change))),)


def _batches_of(changes: list[Change]) -> Batches:
    return [changes[start : start + NAMES_PER_CALL] for start in range(0, len(changes), NAMES_PER_CALL)]


def _apply_batch(work: Work, changes: list[Change], counter: _OutcomeCounter) -> list[Outcome]:
    """Apply up to ten changes; their source values are read in one call and dropped at the end."""
    reason = _stop_reason(work)
    if reason:
        return counter.count([Outcome(change, Result.NOT_ATTEMPTED, reason) for change in changes])
    if isinstance(changes[0].effect, Delete):
        deleted = delete.delete_replicas(work, changes)
        return counter.count([_without_mark(work, outcome) for outcome in deleted])
    with_value = [change for change in changes if change.writes_value]
    values: checks.Values = {}
    if with_value:  # a plan of `undo` has no other writes
        is_undo = isinstance(with_value[0].effect, Restore)
        values = (restore.former_values if is_undo else checks.source_values)(work, with_value)
    outcomes: list[Outcome] = []
    for change in changes:
        outcomes += counter.count([_without_mark(work, _apply_one(work, change, values))])
    return outcomes


def _without_mark(work: Work, outcome: Outcome) -> Outcome:
    """Remove the outdated mark of a change that was not applied, unless the change tried to.

    The mark would count if the source is deleted again before a run applies the change.
    """
    change = outcome.change
    if outcome.result is Result.APPLIED or change.outdated_mark is None or _stop_reason(work):
        return outcome
    if isinstance(change.effect, Unmark) or canonical(change.name) in work.keeps_mark:
        return outcome
    cleared = _apply_one(work, change.removal_of_mark, {})
    if cleared.result is Result.APPLIED:
        return replace_fields(outcome, note=MARK_REMOVED)
    return replace_fields(outcome, note=cleared.error) if cleared.result is Result.FAILED else outcome


def _apply_one(work: Work, change: Change, values: checks.Values) -> Outcome:
    reason = _stop_reason(work)
    if reason:
        return Outcome(change, Result.NOT_ATTEMPTED, reason)
    try:
        return Outcome(change, Result.APPLIED, note=_carry_out(work, change, values))
    except ChangeStopped as stopped:
        if stopped.failure is not None:
            work.record_failure(stopped.failure)
        return Outcome(change, stopped.result, stopped.reason, trouble=stopped.trouble)
    except StoreError as failure:
        work.record_failure(failure)
        return Outcome(change, Result.FAILED, failed_reason(failure), trouble=failure.kind)
    except Exception as fault:  # noqa: BLE001 - a defect in one change must not stop the others
        return Outcome(change, Result.FAILED, f"internal error ({type(fault).__name__}); please report it")


def _carry_out(work: Work, change: Change, values: checks.Values) -> str:
    match change.effect:
        case Create():
            return put.create(work, change, values)
        case Update():
            return _update(work, change, change.effect, values)
        case Retag() | Adopt():
            return tag.retag_or_adopt(work, change, change.effect)
        case Release():
            return tag.release(work, change, change.effect)
        case Mark():
            return tag.mark(work, change, change.effect)
        case Unmark():
            return tag.unmark(work, change, change.effect)
        case Replace(origin=origin):
            return replace.replace_replica(work, change, origin, values)
        case Restore():
            return restore.restore(work, change, change.effect, values)
        case Delete():
            raise AssertionError("deletes are applied in batches, after all other changes")
        case _:
            assert_never(change.effect)


def _update(work: Work, change: Change, effect: Update, values: checks.Values) -> str:
    """Update in place; where AWS refuses, replace if that is allowed and the replica is ours."""
    try:
        return put.update(work, change, effect, values)
    except put.InPlaceRefused as refused:
        if not effect.may_replace:
            never = "a parameter that is not a replica is never replaced"
            how = never if effect.takes_over else "only with --allow-replace"
            reason = f"AWS does not change this in place ({refused}): {how}"
            raise ChangeStopped(Result.WITHHELD, reason) from None
        return replace.replace_replica(work, change, effect.origin, values)


def _stop_reason(work: Work) -> str:
    """Return why no new change is started in this target; empty while changes are started."""
    return "the run was stopped" if work.stop.is_set() else work.failure_reason
