"""Posted comments -> the files that are kept beside a plan: the text of each comment, and `publication.json`.

At the merge, a comment is compared with the text that was posted. `first_posted` is the time of the last
change of the comment according to GitHub, whose clock also stamps reviews. An edit after this run can only
make it later, so an older review does not count.
"""

from __future__ import annotations

from urllib.parse import quote

from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.marked import facts_of
from ssm_reconcile.publishers.marked_body import PullRequestComments
from ssm_reconcile.renderers.escaping import dumps

FORMAT = "1.0"


def publication_files(github: GitHub, comments: PullRequestComments, base: str) -> dict[str, str]:
    """Return the texts to save by their file name.

    Args:
        github: The API.
        comments: The comments with the plan, after they were published.
        base: The commit that the pull request is compared with.

    Raises:
        GitHubError: GitHub did not answer.
    """
    files, entries = {}, []
    for one in comments.posted:
        file = "comment.md" if len(comments.posted) == 1 else f"comment.{quote(one.scope, safe='')}.md"
        files[file] = one.body
        comment = github.get(f"{github.repository}/issues/comments/{one.id}")
        entries.append(
            {
                "scope": one.scope,
                "file": file,
                "comment": one.id,
                "plan": (facts_of(one.body) or {}).get("plan", ""),
                "first_posted": str(comment["updated_at"]),
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
