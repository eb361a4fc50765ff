"""A commit and its branch -> whether the branch still has the spec that this run would apply.

A run can wait for days, and be started again after months. What it applies must be the spec that the
branch has now: an old one would undo what came after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.publishers.event import Event
from ssm_reconcile.publishers.github import GitHub

MOST_FILES = 300
"""Files that a comparison of two commits lists at most (REST, "Compare two commits")."""


class BranchMovedError(ReconcileError):
    """The branch has another spec by now."""


def check_current(github: GitHub, event: Event, specs: Sequence[str]) -> None:
    """Raises BranchMovedError when the branch of a run has changed its spec since.

    `specs` are paths from the top of the repository.
    """
    if not (event.branch and event.sha):
        return
    between = f"{event.sha}...{quote(event.branch, safe='')}"
    found = github.get(f"{github.repository}/compare/{between}", per_page=1)
    remedy = f"start the run of the last commit of {event.branch}, not this one"
    if found.get("status") == "identical":
        return
    if found.get("status") != "ahead":
        raise BranchMovedError(f"{event.sha[:7]} is no longer a part of {event.branch}", remedy)
    files = found.get("files") or []
    names = {name for one in files for name in (one.get("filename"), one.get("previous_filename")) if name}
    changed = sorted(name for name in names if any(_is_of(name, spec) for spec in specs))
    if changed:
        raise BranchMovedError(
            f"{event.branch} has changed {changed[0]} since {event.sha[:7]}: this run is out of date", remedy
        )
    if len(files) >= MOST_FILES:
        raise BranchMovedError(
            f"{event.branch} has changed too much since {event.sha[:7]} to tell whether the spec did", remedy
        )


def _is_of(name: str, spec: str) -> bool:
    """Whether a file of the repository is a spec, or lies in the directory of specs."""
    return spec in {name, "."} or name.startswith(f"{spec}/")
