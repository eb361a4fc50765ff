"""A workflow run -> whether its branch still has the spec of its commit; the last push with a result.

A run can wait for days for an approval, or be started again. Its old spec would revert newer changes.
Sources: REST reference, "Compare two commits", "List workflow runs for a workflow", "List artifacts".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from urllib.parse import quote

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.github import facts
from ssm_reconcile.github.artifacts import read_artifacts, read_artifacts_named
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.workflow_run import WorkflowRun, paths_below

APPLIED = frozenset({"ssm-report", "ssm-in-sync"})
"""Artifacts of a push whose plans were applied, or that had nothing to apply."""
RESULTS = APPLIED | {"ssm-plan-changed"}
"""Artifacts of a push whose plans were applied, or shown for an approval."""
EARLIER_RUNS = 20
"""Maximum earlier pushes in which a result is looked for."""
SETTLED = frozenset({"success", "skipped"})
"""Conclusions of a push that leaves nothing to later ones: all was done, or the apply is not set up."""
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


def last_result(github: GitHub, run: WorkflowRun, results: frozenset[str] = RESULTS) -> str:
    """Return the commit up to which all pushes have a result; empty without an earlier push.

    The pull requests of a push that another one overtook have none, so the next push takes them over. If no
    push has a result, the commit before the oldest of them is returned.

    In a workflow with artifacts by spec, a run also has the jobs of other specs, and jobs that plan pull
    requests again. So its conclusion is not a result, and a push without an artifact may not have changed
    this spec. In any other workflow, a run that succeeded without an artifact had nothing to do.

    Args:
        github: The API.
        run: The run of a push.
        results: The artifacts that are a result. With `APPLIED`, a plan that waits or was rejected is none:
            its changes are not made, so a later push must not take them as known.

    Raises:
        GitHubError: GitHub did not answer.
    """
    if not run.run_id:
        return ""
    this = facts.read_run(github, run.run_id)
    is_by_spec = run.artifact_suffix is not None
    found = _last_result_of_spec(github, run, this, results) if is_by_spec else ""
    if found:
        return found
    oldest = ""
    for one in islice(facts.read_earlier_runs(github, this), EARLIER_RUNS):
        if not facts.is_on_branch(github, one.sha, this.head_branch):
            continue  # the run of a tag with the name of the branch, or of a commit before a forced push
        if not is_by_spec and (
            one.conclusion in SETTLED or any(a.name in results for a in read_artifacts(github, one.id))
        ):
            return one.sha
        oldest = one.sha
    return facts.read_first_parent(github, oldest) if oldest else ""


def _last_result_of_spec(
    github: GitHub, run: WorkflowRun, this: facts.RunFacts, results: frozenset[str]
) -> str:
    """Return the commit of the newest earlier push of this workflow that has an artifact of this spec."""
    runs = {
        one.run
        for name in results
        for one in read_artifacts_named(github, run.artifact(name))
        if one.run < this.id and one.head_branch == this.head_branch and not one.of_fork
    }
    for number in sorted(runs, reverse=True):
        found = facts.read_run(github, str(number))
        is_push = (found.path, found.event, found.head_branch) == (this.path, "push", this.head_branch)
        if is_push and facts.is_on_branch(github, found.head_sha, this.head_branch):
            return found.head_sha
    return ""
