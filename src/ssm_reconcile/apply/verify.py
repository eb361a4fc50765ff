"""After an apply: read what was written, and list what remains to be done.

Only GetParameters by name can confirm a write: listings lag behind writes (aws/aws-sdk-js#4349).
"""

from __future__ import annotations

from collections.abc import Iterable

from ssm_reconcile.apply.attempts import wait
from ssm_reconcile.apply.work import Work
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.plan import UNMET, Plan
from ssm_reconcile.report import Outcome, Remaining, Result
from ssm_reconcile.system import Phase, Progress, ProgressListener

NAMES_PER_REPORT = 400
"""Names between two reports of progress; ten names are one call."""
VERIFY_WAITS = (1.0, 3.0)
"""Seconds before each repetition: a read may lag behind the write that it follows."""


def verify_target(work: Work, watch: ProgressListener) -> list[Remaining]:
    """Return the parameters of one target that are not as they were written, by canonical name."""
    names, wrong = sorted(work.written), dict[str, str]()
    for start in range(0, len(names), NAMES_PER_REPORT):
        if work.stop.is_set():
            return []  # the outcomes already report what was written
        watch(Progress(str(work.place), Phase.CHECKING, start, len(names)))
        wrong |= _wrong(work, names[start : start + NAMES_PER_REPORT])
    if names:
        watch(Progress(str(work.place), Phase.CHECKING, len(names), len(names)))
    for seconds in VERIFY_WAITS:
        if not wrong or not wait(work, seconds):
            break
        wrong = _wrong(work, sorted(wrong))
    replication, target = work.spec.name, work.target.name
    return [
        Remaining(replication, target, name, why, after_write=True) for name, why in sorted(wrong.items())
    ]


def _wrong(work: Work, names: list[str]) -> dict[str, str]:
    try:
        answers = work.store.values(names, decrypt=False)
    except StoreError as failure:
        return dict.fromkeys(names, f"written, but it could not be read again ({failure.code})")
    wrong = {}
    for name in names:
        version, found = work.written[name], answers.found.get(name)
        if version is None and name in answers.failed and answers.failed[name].kind is Trouble.DENIED:
            # A policy may allow reads by our tags only. A deleted parameter has no tags, so the read is
            # denied, and DeleteParameters has confirmed the deletion.
            continue
        if name in answers.failed:
            wrong[name] = f"written, but it could not be read again ({answers.failed[name].code})"
        elif version is None and found is not None:
            wrong[name] = "deleted, but it exists again"
        elif version is not None and found is None:
            wrong[name] = "written, but it does not exist any more"
        elif version is not None and found is not None and found.version != version:
            wrong[name] = f"written as version {version}, but it is at version {found.version}"
        elif found is not None:
            work.modified[name] = found.last_modified
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
