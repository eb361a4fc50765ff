"""Plan -> Report: every change on its own, each ends in a stated outcome, never raising for one.

    work.py       what a target's apply works with        attempts.py   one write, safely repeated
    checks.py     what must be true right before a write  writing.py    creates and updates
    tagging.py    adopts, retags, releases                replacing.py  delete, wait, create
    removing.py   deletes, last of all                    again.py      the last look
    lanes.py      who takes which batch next

Targets are written side by side; within one, ten changes at a time go to each worker, which reads
their source values in one call and writes them one after the other, at the rate that the store lets
through. Puts and tags have quotas of their own, so both go on at the same time. Deletes come after
everything else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, assert_never

from ssm_reconcile.apply import checks, removing, replacing, tagging, writing
from ssm_reconcile.apply.again import look_again, remaining
from ssm_reconcile.apply.lanes import in_lanes
from ssm_reconcile.apply.work import Ended, Ends, SourceTags, Work
from ssm_reconcile.aws_limits import NAMES_PER_CALL
from ssm_reconcile.change import Adopt, Change, Create, Delete, Fate, Release, Replace, Retag, Update
from ssm_reconcile.clock import Clock, Stop
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import Place
from ssm_reconcile.plan import Plan
from ssm_reconcile.progress import Phase, Progress, ProgressListener
from ssm_reconcile.record import Origin
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from ssm_reconcile.spec import Run

__all__ = ["Ends", "apply"]

Batches: TypeAlias = list[list[Change]]


def apply(
    plan: Plan,
    ends: Mapping[tuple[str, str], Ends],
    run: Run,
    clock: Clock,
    watch: ProgressListener,
    stop: Stop,
) -> Report:
    """Applies every change that is not withheld. `ends` by replication and target name."""
    source_tags: dict[tuple[Place, str], SourceTags] = {}  # by place and by who asks there
    works = {
        key: Work(
            end,
            run,
            clock,
            stop,
            source_tags.setdefault((end.source.place, end.source.caller), SourceTags(end.source)),
        )
        for key, end in ends.items()
    }
    by_target: dict[tuple[str, str], list[Change]] = {}
    for change in plan.changes:
        by_target.setdefault((change.replication, change.target), []).append(change)

    def one(key: tuple[str, str]) -> tuple[list[Outcome], list[Remaining]]:
        outcomes = _target(works.get(key), by_target[key], run.parallelism, watch)
        return outcomes, look_again(works[key], watch) if key in works else []

    outcomes: list[Outcome] = []
    undone: list[Remaining] = []
    with ThreadPoolExecutor(max_workers=max(1, len(by_target))) as pool:
        for found, left in pool.map(one, sorted(by_target)):
            outcomes += found
            undone += left
    outcomes.sort(key=lambda outcome: outcome.change.order)
    left_over = {*undone, *remaining(plan, outcomes)}
    return Report(
        plan=plan,
        outcomes=tuple(outcomes),
        remaining=tuple(sorted(left_over, key=lambda r: (r.replication, r.target, r.name, r.reason))),
        findings=tuple(sorted({finding for work in works.values() for finding in work.findings})),
        interrupted=stop.is_set(),
    )


def _target(
    work: Work | None, changes: list[Change], parallelism: int, watch: ProgressListener
) -> list[Outcome]:
    """One target: first what is written, then what is replaced, and only then what goes."""
    held = [change for change in changes if change.fate is Fate.WITHHELD]
    outcomes = [Outcome(change, Result.WITHHELD, _why_withheld(change)) for change in held]
    todo = [change for change in changes if change.fate is Fate.APPLY]
    if work is None:
        return outcomes + [_untouched(change, "its place could not be opened") for change in todo]
    tally = _Tally(str(work.place), len(todo), watch)
    for phase in _phases(todo):
        for found in in_lanes(phase, lambda batch: _batch(work, batch, tally), workers=parallelism):
            outcomes += found
    return outcomes


class _Tally:
    """Counts changes that have ended, whichever worker ended them, and says so."""

    def __init__(self, place: str, total: int, watch: ProgressListener) -> None:
        self._place = place
        self._total = total
        self._watch = watch
        self._lock = threading.Lock()
        self._done = 0

    def count(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Takes note of some outcomes, and hands them on."""
        with self._lock:
            self._done += len(outcomes)
            self._watch(Progress(self._place, Phase.WRITING, self._done, self._total))
        return outcomes


def _why_withheld(change: Change) -> str:
    """The guards, and what each of them said of this change."""
    return f"{', '.join(change.withheld_by)}: {'; '.join(hold.why for hold in change.withheld)}"


def _phases(changes: list[Change]) -> Iterator[tuple[Batches, ...]]:
    """What is written, then what is replaced, then what goes; each as lanes of batches that workers take.

    Changes that need the same read stand together, so that it is asked for ten of them and not for
    the two or three that happen to be neighbours. What is put and what is only tagged are two lanes:
    one after the other, each would wait for its own quota while that of the other lies idle. A
    replacement waits for half a minute: alone, so that nothing waits with it.
    """
    writes = [c for c in changes if not isinstance(c.effect, Replace | Delete)]
    yield _tens([c for c in writes if _writes_value(c)]), _tens([c for c in writes if not _writes_value(c)])
    yield ([[change] for change in changes if isinstance(change.effect, Replace)],)
    removals = [change for change in changes if isinstance(change.effect, Delete)]
    yield (_tens(sorted(removals, key=lambda change: not checks.needs_absence(change))),)


def _tens(changes: list[Change]) -> Batches:
    return [changes[start : start + NAMES_PER_CALL] for start in range(0, len(changes), NAMES_PER_CALL)]


def _batch(work: Work, changes: list[Change], tally: _Tally) -> list[Outcome]:
    """Up to ten changes, whose source values are read in one call and kept no longer than this."""
    if _ending(work):
        return tally.count([_untouched(change, _ending(work)) for change in changes])
    if isinstance(changes[0].effect, Delete):
        return tally.count(removing.delete(work, changes))
    valued = [change for change in changes if _writes_value(change)]
    values = checks.source_values(work, valued) if valued else {}
    return [outcome for change in changes for outcome in tally.count([_one(work, change, values)])]


def _writes_value(change: Change) -> bool:
    match change.effect:
        case Create() | Replace():
            return True
        case Update(put=put):
            return put
        case _:
            return False


def _one(work: Work, change: Change, values: writing.Values) -> Outcome:
    reason = _ending(work)
    if reason:
        return _untouched(change, reason)
    try:
        return Outcome(change, Result.APPLIED, note=_carry_out(work, change, values))
    except Ended as end:
        if end.failure is not None:
            work.learn(end.failure)
        return Outcome(change, end.result, end.reason)
    except StoreError as failure:
        work.learn(failure)
        return Outcome(change, Result.FAILED, f"{failure.operation}: {failure.code} - {failure.remedy}")
    except Exception as fault:  # noqa: BLE001 - one change must not take the others down with it
        return Outcome(change, Result.FAILED, f"internal error ({type(fault).__name__}); please report it")


def _carry_out(work: Work, change: Change, values: writing.Values) -> str:
    match change.effect:
        case Create():
            return writing.create(work, change, change.effect, values)
        case Update():
            return _update(work, change, change.effect, values)
        case Retag():
            return tagging.retag(work, change, change.effect)
        case Adopt():
            return tagging.adopt(work, change, change.effect)
        case Release():
            return tagging.release(work, change, change.effect)
        case Replace(desired, adopted):
            return replacing.replace(work, change, desired, _origin(adopted), values)
        case Delete():
            raise AssertionError("deletes go by ten, after everything else")
        case _:
            assert_never(change.effect)


def _update(work: Work, change: Change, effect: Update, values: writing.Values) -> str:
    """In place; where AWS refuses that, by replacement, if that is allowed and the replica is ours."""
    try:
        return writing.update(work, change, effect, values)
    except writing.CannotInPlace as refused:
        if not effect.may_replace:
            how = "what is not ours is never replaced" if effect.takes_over else "only with --allow-replace"
            reason = f"AWS does not change this in place ({refused}): {how}"
            raise Ended(Result.WITHHELD, reason) from None
        return replacing.replace(work, change, effect.desired, _origin(effect.origin_adopted), values)


def _origin(adopted: bool) -> Origin:  # noqa: FBT001 - a fact, not a switch
    return Origin.ADOPTED if adopted else Origin.CREATED


def _ending(work: Work) -> str:
    """Why no new change is begun, if so."""
    return "the run was stopped" if work.stop.is_set() else work.dead


def _untouched(change: Change, reason: str) -> Outcome:
    return Outcome(change, Result.NOT_ATTEMPTED, reason)
