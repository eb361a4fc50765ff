"""The last look: direct reads of what was written, and what remains to be done.

Only a read of the very names can tell: listings lag behind their own writes (aws-facts B14).
"""

from __future__ import annotations

from collections.abc import Iterable

from ssm_reconcile.apply.attempts import wait
from ssm_reconcile.apply.work import Work
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.plan import UNMET, Plan
from ssm_reconcile.progress import Phase, Progress, ProgressListener
from ssm_reconcile.report import Outcome, Remaining, Result

CHUNK = 400
"""After so many names it is said how far this is: at ten names a call they take a while."""
PATIENCE = (1.0, 3.0)
"""Seconds to wait before looking again: a read may lag behind the write it follows."""


def look_again(work: Work, watch: ProgressListener) -> list[Remaining]:
    """What one target does not hold although it was written, by canonical name."""
    names, wrong = sorted(work.written), dict[str, str]()
    for start in range(0, len(names), CHUNK):
        if work.stop.is_set():
            return []  # a new read is new work; the outcomes already say what was written
        watch(Progress(str(work.place), Phase.CHECKING, start, len(names)))
        wrong |= _wrong(work, names[start : start + CHUNK])
    if names:
        watch(Progress(str(work.place), Phase.CHECKING, len(names), len(names)))
    for seconds in PATIENCE:
        if not wrong or not wait(work, seconds):
            break
        wrong = _wrong(work, sorted(wrong))
    ends = work.ends
    return [Remaining(ends.spec.name, ends.target.name, name, why) for name, why in sorted(wrong.items())]


def _wrong(work: Work, names: list[str]) -> dict[str, str]:
    try:
        answers = work.ends.store.values(names, decrypt=False)
    except StoreError as failure:
        return dict.fromkeys(names, f"written, but it could not be looked at again ({failure.code})")
    wrong = {}
    for name in names:
        version, found = work.written[name], answers.found.get(name)
        if version is None and name in answers.failed and answers.failed[name].kind is Trouble.DENIED:
            continue  # where the right to read hangs on our tags, what is gone has none; AWS said it is gone
        if name in answers.failed:
            wrong[name] = f"written, but it could not be looked at again ({answers.failed[name].code})"
        elif version is None and found is not None:
            wrong[name] = "deleted, but it is there again"
        elif version is not None and found is None:
            wrong[name] = "written, but it is gone again"
        elif version is not None and found is not None and found.version != version:
            wrong[name] = f"written as version {version}, but it is at version {found.version}"
    return wrong


def remaining(plan: Plan, outcomes: Iterable[Outcome]) -> list[Remaining]:
    """Return what the spec asks for and does not get: changes not applied, and unmet addresses."""
    found = [
        Remaining(
            outcome.change.replication,
            outcome.change.target,
            outcome.change.name,
            f"{outcome.result}: {outcome.error}" if outcome.error else str(outcome.result),
        )
        for outcome in outcomes
        if outcome.result is not Result.APPLIED
    ]
    found += [
        Remaining(other.replication, other.target, other.name, f"{other.counted}: {'; '.join(other.reasons)}")
        for other in plan.others
        if other.counted in UNMET
    ]
    return found
