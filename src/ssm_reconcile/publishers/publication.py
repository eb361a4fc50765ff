"""Posted comments -> the files that are kept beside a plan: the text of each comment, and `publication.json`.

At the merge, a comment is compared with the text that was posted. `first_posted` is the time when its plan id
was shown for the first time for this commit; an older review does not count. If the former comment shows the
same plan, the time is taken from the artifact of the run that it names, never from the marker, which a person
can edit. Otherwise it is the time of the last change of the comment according to GitHub, whose clock also
stamps reviews.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from ssm_reconcile.errors import PlanRefused, UsageError
from ssm_reconcile.github.artifacts import PlanArtifact, read_artifacts, read_plan_artifact
from ssm_reconcile.github.client import GitHub, GitHubError
from ssm_reconcile.github.facts import read_pull, read_run
from ssm_reconcile.github.marked import facts_of, same_text
from ssm_reconcile.github.reviewed import check_plan_run
from ssm_reconcile.github.workflow_run import WorkflowRun
from ssm_reconcile.publishers.marked_body import PullRequestComments, SentComment
from ssm_reconcile.publishers.precedence import artifact_name
from ssm_reconcile.renderers.escaping import dumps

FORMAT = "1.0"


def publication_files(
    comments: PullRequestComments, run: WorkflowRun, base: str, artifact: str
) -> dict[str, str]:
    """Return the texts to save by their file name.

    Args:
        comments: The comments with the plan, after they were published.
        run: This run.
        base: The commit that the pull request is compared with.
        artifact: The name of the artifact in a run of a pull request.

    Raises:
        GitHubError: GitHub did not answer.
    """
    github, files, entries = comments.github, {}, []
    earlier = _Earlier(comments, run, artifact)
    for one in comments.posted:
        file = "comment.md" if len(comments.posted) == 1 else f"comment.{quote(one.scope, safe='')}.md"
        files[file] = one.body
        comment = github.get(f"{github.repository}/issues/comments/{one.id}")
        first = earlier.first_posted(one)
        entries.append(
            {
                "scope": one.scope,
                "file": file,
                "comment": one.id,
                "plan": (facts_of(one.body) or {}).get("plan", ""),
                "first_posted": f"{first:%Y-%m-%dT%H:%M:%SZ}" if first else str(comment["updated_at"]),
                "updated": str(comment["updated_at"]),
            }
        )
    document = {
        "format_version": FORMAT,
        "spec": comments.spec,
        "pull_request": comments.number,
        "head": comments.context.head,
        "base": base,
        "comments": entries,
    }
    return {**files, "publication.json": dumps(document)}


@dataclass(slots=True)
class _Earlier:
    """The publications of earlier runs. Each is read once."""

    comments: PullRequestComments
    run: WorkflowRun
    artifact: str
    known: dict[int, PlanArtifact | None] = field(default_factory=dict)

    def first_posted(self, one: SentComment) -> datetime | None:
        """Return the time in the publication of the former comment; None if it is not of this plan."""
        former, facts = one.former, facts_of(one.body) or {}
        if former is None or not former.shows_plan or former.fact("plan") != facts.get("plan"):
            return None
        run_id = former.number("run")
        if run_id not in self.known:
            try:
                self.known[run_id] = self._publication(self.comments.github, run_id)
            except (GitHubError, PlanRefused, UsageError):  # no permission, another run, a damaged archive
                self.known[run_id] = None
        found = self.known[run_id]
        times = (
            posted.first_posted
            for posted in (found.comments if found else ())
            if (posted.scope, posted.plan) == (one.scope, facts["plan"])
            and same_text(posted.body, former.body)
            and (former.edited is None or former.edited <= posted.updated)
        )
        return next(times, None)

    def _publication(self, github: GitHub, run_id: int) -> PlanArtifact | None:
        this = read_run(github, self.run.run_id)
        run = this if this.id == run_id else read_run(github, str(run_id))
        if not this.path:
            return None
        if run.id != this.id:
            pull, _files = read_pull(github, self.comments.number)
            check_plan_run(github, run, pull, this.path, self.run.repository)
        name = artifact_name(run, self.artifact, self.comments.number)
        listed = (one for one in read_artifacts(github, run.id) if one.name == name and one.run == run.id)
        newest = next(listed, None)
        if newest is None:
            return None
        found = read_plan_artifact(github, newest.id)
        wanted = (self.comments.spec, self.comments.number, self.comments.context.head)
        return found if (found.spec, found.pull_request, found.head) == wanted else None
