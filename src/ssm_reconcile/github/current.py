"""A workflow run -> whether its branch still has the spec of its commit.

A run can wait for days for an approval, or be started again. Its old spec would revert newer changes.
Source: REST reference, "Compare two commits".
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.workflow_run import WorkflowRun, paths_below

FILES_IN_COMPARISON = 300
"""Maximum files that the comparison of two commits lists."""


class BranchMovedError(ReconcileError):
    """The branch of a run has another spec now, or may have.

    `is_spec_changed`: whether a later commit of the branch is known to change the spec.
    """

    def __init__(self, message: str, remedy: str, *, is_spec_changed: bool = False) -> None:
        super().__init__(message, remedy)
        self.is_spec_changed = is_spec_changed


def check_current(github: GitHub, run: WorkflowRun, specs: Sequence[str]) -> None:
    """Check that the branch of a run still has the spec of its commit.

    Args:
        github: The API.
        run: The workflow run. A run without a branch or a commit is not checked.
        specs: Paths of spec files and directories, relative to the root of the repository.

    Raises:
        BranchMovedError: The branch has another spec, or too many changes to know.
        GitHubError: GitHub did not answer.
    """
    if not (run.branch and run.sha):
        return
    found = github.get(f"{github.repository}/compare/{run.sha}...{quote(run.branch, safe='')}", per_page=1)
    remedy = f"start the run of the last commit of {run.branch}, not this one"
    since = f"since {run.sha[:7]}"
    if found.get("status") == "identical":
        return
    if found.get("status") != "ahead":
        raise BranchMovedError(f"{run.sha[:7]} is no longer a part of {run.branch}", remedy)
    files = found.get("files") or []
    paths = {path for file in files for path in (file.get("filename"), file.get("previous_filename")) if path}
    changed = paths_below(paths, specs)
    if changed or len(files) >= FILES_IN_COMPARISON:
        known = f"has changed {changed[0]} {since}: this run is out of date" if changed else ""
        message = known or f"has changed too much {since} to tell whether the spec did"
        raise BranchMovedError(f"{run.branch} {message}", remedy, is_spec_changed=bool(changed))
