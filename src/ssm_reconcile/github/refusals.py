"""Plans that a merge left for an approval -> the addresses that unreviewed runs must leave out.

After a merge, a plan that was not reviewed is stored as an artifact, and its run waits for the approval of an
environment. Until a person approves, and after a person rejects, a scheduled apply must not make the same
changes. A refusal ends when a later merge touches the spec, when an apply by hand names a plan id, or when a
later reviewed run applies the same address. An approval alone ends none: its proof may fail.

Cost: one listing of artifacts; for each plan that is not expired at most three calls; and one download for
each reviewed apply that is newer than the oldest of these plans.
Sources: GitHub REST reference, "Workflow runs", "Artifacts", "Compare two commits".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ssm_reconcile.approve import ChangeAddress
from ssm_reconcile.documents import PlanDocument, ReportDocument
from ssm_reconcile.documents.decode import read_plan_document, read_report_document
from ssm_reconcile.errors import ReconcileError, UsageError
from ssm_reconcile.github.archive import ZIP_LIMIT, read_archive
from ssm_reconcile.github.client import BranchMovedError, GitHub, check_current
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
_REVIEWED = frozenset({_BY_HAND, "saved-plan"})


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
        is_waiting: Whether the run still waits for the approval.
        addresses: The addresses of its changes.
    """

    run_id: str
    created: datetime
    is_waiting: bool
    addresses: frozenset[ChangeAddress]


@dataclass(frozen=True, slots=True)
class ReviewedApply:
    """A reviewed apply: its time, whether it named a plan id, and the addresses that it applied."""

    created: datetime
    is_by_hand: bool
    applied: frozenset[ChangeAddress]


def left_out(
    plans: Sequence[StoredPlan], applies: Sequence[ReviewedApply], now: datetime
) -> tuple[LeftOut, ...]:
    """Return the addresses that an unreviewed run leaves out, sorted; `refused` comes before `waiting`.

    Args:
        plans: The stored plans that no later merge of the spec has replaced.
        applies: The reviewed applies.
        now: The current time, with a time zone.
    """
    found: dict[ChangeAddress, str] = {}
    for plan in plans:
        later = [one for one in applies if one.created > plan.created]
        if any(one.is_by_hand for one in later):
            continue
        is_waiting = plan.is_waiting and now - plan.created <= LONGEST_WAIT
        applied = frozenset[ChangeAddress]().union(*(one.applied for one in later))
        for address in plan.addresses - applied:
            if not is_waiting:
                found[address] = "refused"
            else:
                found.setdefault(address, "waiting")
    return tuple(sorted(LeftOut(*address, why) for address, why in found.items()))


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
    own = github.get(f"{github.repository}/actions/runs/{run.run_id}")
    repository = github.get(github.repository)
    workflow, branch = _workflow(own), str(repository["default_branch"])
    plans = []
    for artifact in _artifacts(github, PLAN_ARTIFACT):
        found = _run_of(github, artifact, workflow, branch)
        if found is None or found.get("event") != "push" or _is_replaced(github, found, branch, specs):
            continue
        document = _plan_in(github, artifact)
        plans.append(
            StoredPlan(
                run_id=str(found["id"]),
                created=_moment(artifact),
                is_waiting=found.get("status") == "waiting",
                addresses=frozenset((c["replication"], c["target"], c["name"]) for c in document["changes"]),
            )
        )
    if not plans:
        return ()
    oldest = min(plan.created for plan in plans)
    return left_out(plans, list(_applies(github, workflow, branch, oldest)), now)


def _workflow(run: Mapping[str, Any]) -> str:
    """Return the path of the workflow file of a run, without the ref that may follow it."""
    return str(run.get("path", "")).partition("@")[0]


def _artifacts(github: GitHub, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the artifacts with this name that have not expired, of all runs of the repository."""
    for one in github.pages(f"{github.repository}/actions/artifacts", "artifacts", name=name):
        if one.get("name") == name and not one.get("expired"):
            yield one


def _run_of(
    github: GitHub, artifact: Mapping[str, Any], workflow: str, branch: str
) -> Mapping[str, Any] | None:
    """Return the run of an artifact, if it is one of this workflow on the default branch here."""
    owner = artifact.get("workflow_run") or {}
    if owner.get("head_branch") != branch or owner.get("repository_id") != owner.get("head_repository_id"):
        return None
    found: Mapping[str, Any] = github.get(f"{github.repository}/actions/runs/{owner.get('id')}")
    return found if _workflow(found) == workflow and found.get("head_branch") == branch else None


def _is_replaced(github: GitHub, found: Mapping[str, Any], branch: str, specs: Sequence[str]) -> bool:
    """Return whether a later merge touched the spec: its own plan was made and reviewed since.

    A branch whose history was rewritten, or that has changed too much to know, ends no refusal.
    """
    ended = WorkflowRun(sha=str(found["head_sha"]), ref=f"refs/heads/{branch}")
    try:
        check_current(github, ended, specs)
    except BranchMovedError as moved:
        return moved.is_spec_changed
    return False


def _plan_in(github: GitHub, artifact: Mapping[str, Any]) -> PlanDocument:
    try:
        return read_plan_document(_file_in(github, artifact, PLAN_FILE))
    except UsageError as error:
        raise _unreadable(artifact, error) from error


def _applies(github: GitHub, workflow: str, branch: str, since: datetime) -> Iterator[ReviewedApply]:
    """Yield the reviewed applies after a time."""
    for artifact in _artifacts(github, REPORT_ARTIFACT):
        created = _moment(artifact)
        if created <= since or _run_of(github, artifact, workflow, branch) is None:
            continue
        try:
            report: ReportDocument = read_report_document(_file_in(github, artifact, REPORT_FILE))
        except UsageError as error:
            raise _unreadable(artifact, error) from error
        if report.get("approval") not in _REVIEWED:
            continue
        applied = frozenset(
            (one["replication"], one["target"], one["name"])
            for one in report["outcomes"]
            if one["outcome"] == "applied"
        )
        # An apply that refused has a report as well: another plan id than the current one ends no refusal.
        has_written = any(one["outcome"] in _ATTEMPTED for one in report["outcomes"])
        yield ReviewedApply(created, has_written and report.get("approval") == _BY_HAND, applied)


def _file_in(github: GitHub, artifact: Mapping[str, Any], name: str) -> str:
    path = f"{github.repository}/actions/artifacts/{int(artifact['id'])}/zip"
    files = read_archive(github.download(path, ZIP_LIMIT))
    if name not in files:
        raise UsageError(f"it has no {name}")
    return files[name]


def _unreadable(artifact: Mapping[str, Any], error: UsageError) -> ReconcileError:
    return ReconcileError(
        f"artifact {int(artifact['id'])} cannot be read, so it is unknown what was refused: {error.message}",
        "merge a change of the spec, apply a plan by its id, or delete the artifact",
    )


def _moment(artifact: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(artifact["created_at"])).astimezone(UTC)
