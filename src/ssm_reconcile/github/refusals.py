"""Plans that a merge left for an approval -> the addresses that unreviewed runs must leave out.

After a merge, a plan that was not reviewed is stored as an artifact, and its run waits for the approval of an
environment. Until a person approves, and after a person rejects, a scheduled apply must not make the same
changes. A refusal ends when an apply by hand names a plan id, or when a later reviewed run applies the same
address. It also ends when a later merge of the spec was applied and its plan has no such change. A merge that
left the change as not reviewed ends nothing, and neither does a merge that failed. An approval alone ends
none: its proof may fail.

Cost: one listing of artifacts; for each plan that is not expired at most three calls; and one download for
each reviewed apply that is newer than the oldest of these plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from ssm_reconcile.approve import ChangeAddress
from ssm_reconcile.documents.decode import read_plan_document, read_report_document
from ssm_reconcile.errors import ReconcileError, UsageError
from ssm_reconcile.github.artifacts import ArtifactFacts, read_artifacts_named, read_file
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.current import BranchMovedError, check_current
from ssm_reconcile.github.facts import RunFacts, is_on_branch, read_default_branch, read_run
from ssm_reconcile.github.workflow_run import WorkflowRun

PLAN_ARTIFACT = "ssm-plan-changed"
PLAN_FILE = "new-plan.json"
REPORT_ARTIFACT = "ssm-report"
REPORT_FILE = "report.json"
LONGEST_WAIT = timedelta(days=7)
"""A plan that waits longer than this for its approval counts as refused."""
_BY_HAND = "expect-plan"
"""The `approval` in the report of an apply that named a plan id."""
_ATTEMPTED = frozenset({"applied", "failed", "stale"})
"""Outcomes of changes that an apply has begun."""
_NOT_REVIEWED = "not-reviewed"
"""The finding of an apply that names the changes that it left."""
_REVIEWED = frozenset({_BY_HAND, "saved-plan"})
_APPLYING = frozenset({"push", "workflow_dispatch"})
"""Events of reviewed applies. A pull request from the default branch has that branch, too, and other code."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """An address that an unreviewed run leaves out. `why` is `refused` or `waiting`."""

    replication: str
    target: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan that a run stored for an approval.

    Attributes:
        run_id: The run.
        created: The time at which the plan was stored, with a time zone.
        is_waiting: Whether the run still waits for an approval, of this plan or of that of another spec. It
            decides on the reason that is shown only.
        addresses: The addresses of its changes.
        is_replaced: Whether a later commit of the branch changed the spec.
    """

    run_id: str
    created: datetime
    is_waiting: bool
    addresses: frozenset[ChangeAddress]
    is_replaced: bool


@dataclass(frozen=True, slots=True)
class ReviewedApply:
    """A reviewed apply.

    Attributes:
        created: The time at which its report was stored, with a time zone.
        is_by_hand: Whether it named a plan id.
        applied: The addresses that it applied.
        replications: The names of its replications. It ends no refusal of another one.
        is_complete: Whether its plan is complete.
        left: Targets and names of the changes that it did not make.
    """

    created: datetime
    is_by_hand: bool
    applied: frozenset[ChangeAddress]
    replications: frozenset[str]
    is_complete: bool
    left: frozenset[tuple[str, str]]


def left_out(
    plans: Sequence[StoredPlan], applies: Sequence[ReviewedApply], now: datetime
) -> tuple[LeftOut, ...]:
    """Return the addresses that an unreviewed run leaves out, sorted; `refused` comes before `waiting`.

    Args:
        plans: The stored plans.
        applies: The reviewed applies.
        now: The current time, with a time zone.
    """
    found: dict[ChangeAddress, str] = {}
    for plan in plans:
        later = [one for one in applies if one.created > plan.created]
        is_waiting = plan.is_waiting and now - plan.created <= LONGEST_WAIT
        for address in plan.addresses:
            if any(_ends(one, plan, address) for one in later):
                continue
            if not is_waiting:
                found[address] = "refused"
            else:
                found.setdefault(address, "waiting")
    return tuple(sorted(LeftOut(*address, why) for address, why in found.items()))


def _ends(apply: ReviewedApply, plan: StoredPlan, address: ChangeAddress) -> bool:
    """Return whether a later apply ends the refusal of an address of a plan."""
    replication, *at = address
    if replication not in apply.replications:
        return False
    is_settled = plan.is_replaced and apply.is_complete and tuple(at) not in apply.left
    return apply.is_by_hand or address in apply.applied or is_settled


def find_left_out(
    github: GitHub, run: WorkflowRun, specs: Sequence[str], now: datetime
) -> tuple[LeftOut, ...]:
    """Return the addresses that this unreviewed run has to leave out.

    Args:
        github: The API. The token needs `actions: read` and `contents: read`.
        run: The unreviewed run; its workflow is the one whose plans count.
        specs: Paths of spec files and directories, relative to the root of the repository.
        now: The current time, with a time zone.

    Raises:
        GitHubError: GitHub did not answer, or the token lacks a permission.
        ReconcileError: An artifact cannot be read, so it is unknown what was refused.
    """
    workflow = read_run(github, run.run_id).path
    branch = read_default_branch(github)
    shown = read_artifacts_named(github, run.artifact(PLAN_ARTIFACT))
    plans = list(_stored_plans(github, shown, workflow, branch, specs))
    if not plans:
        return ()
    oldest = min(plan.created for plan in plans)
    reports = read_artifacts_named(github, run.artifact(REPORT_ARTIFACT))
    return left_out(plans, list(_applies(github, reports, workflow, branch, oldest)), now)


def _stored_plans(
    github: GitHub, artifacts: Sequence[ArtifactFacts], workflow: str, branch: str, specs: Sequence[str]
) -> Iterator[StoredPlan]:
    """Yield the plans of pushes to the default branch."""
    for artifact in artifacts:
        run = _run_of(github, artifact, workflow, branch)
        if run is None or run.event != "push":
            continue
        document = _decoded(github, artifact, PLAN_FILE, read_plan_document)
        yield StoredPlan(
            run_id=str(run.id),
            created=_moment(artifact),
            is_waiting=run.status == "waiting",
            addresses=frozenset((c["replication"], c["target"], c["name"]) for c in document["changes"]),
            is_replaced=_is_replaced(github, run, specs),
        )


def _run_of(github: GitHub, artifact: ArtifactFacts, workflow: str, branch: str) -> RunFacts | None:
    """Return the run of an artifact that can be read, if it is one of this workflow on the default branch."""
    if artifact.expired or artifact.of_fork or artifact.head_branch != branch:
        return None
    found = read_run(github, str(artifact.run))
    return found if (found.path, found.head_branch) == (workflow, branch) else None


def _is_replaced(github: GitHub, run: RunFacts, specs: Sequence[str]) -> bool:
    """Return whether a later commit of the branch changed the spec.

    A branch whose history was rewritten, or that has changed too much to know, ends no refusal.
    """
    ended = WorkflowRun(sha=run.head_sha, ref=f"refs/heads/{run.head_branch}")
    try:
        check_current(github, ended, specs)
    except BranchMovedError as moved:
        return moved.is_spec_changed
    return False


def _applies(
    github: GitHub, artifacts: Sequence[ArtifactFacts], workflow: str, branch: str, since: datetime
) -> Iterator[ReviewedApply]:
    """Yield the reviewed applies after a time."""
    for artifact in artifacts:
        created = _moment(artifact)
        if created <= since:
            continue
        run = _run_of(github, artifact, workflow, branch)
        if run is None or run.event not in _APPLYING or not is_on_branch(github, run.head_sha, branch):
            continue
        report = _decoded(github, artifact, REPORT_FILE, read_report_document)
        if report.get("approval") not in _REVIEWED:
            continue
        applied = frozenset(
            (one["replication"], one["target"], one["name"])
            for one in report["outcomes"]
            if one["outcome"] == "applied"
        )
        # An apply that refused has a report as well: another plan id than the current one ends no refusal.
        has_written = any(one["outcome"] in _ATTEMPTED for one in report["outcomes"])
        left = {(one["target"], one["name"]) for one in report["outcomes"] if one["outcome"] != "applied"}
        for finding in report["findings"]:
            if finding["code"] == _NOT_REVIEWED:
                left |= {(one["target"], one["name"]) for one in finding.get("about", ())}
        is_by_hand = has_written and report.get("approval") == _BY_HAND
        replications = frozenset(one["name"] for one in report["replications"])
        yield ReviewedApply(
            created, is_by_hand, applied, replications, report.get("complete") is True, frozenset(left)
        )


def _decoded(github: GitHub, artifact: ArtifactFacts, name: str, decode: Callable[[str], _T]) -> _T:
    """Return the document in a file of an artifact; an artifact that cannot be read stops the run."""
    try:
        return decode(read_file(github, artifact.id, name))
    except UsageError as error:
        raise _unreadable(artifact, error.message) from error


def _moment(artifact: ArtifactFacts) -> datetime:
    if artifact.created_at is None:
        raise _unreadable(artifact, "it has no time")
    return artifact.created_at


def _unreadable(artifact: ArtifactFacts, reason: str) -> ReconcileError:
    return ReconcileError(
        f"artifact {artifact.id} cannot be read, so it is unknown what was refused: {reason}",
        "merge a change of the spec, apply a plan by its id, or delete the artifact",
    )
