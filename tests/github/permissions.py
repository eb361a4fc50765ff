"""Requests to the API -> the permissions of a token, one of which a request needs.

The table follows the REST reference (version 2022-11-28), for a private repository. `write` includes `read`.
A job's token has none of the permissions `administration`, `variables` and `environments`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_EITHER = ("issues", "pull-requests")
_READS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"issues(/.*)?", _EITHER),
    (r"pulls(/.*)?", ("pull-requests",)),
    (r"commits/[^/]+/pulls", ("pull-requests",)),
    (r"commits/[^/]+/check-runs|check-runs/\d+", ("checks",)),
    (r"(commits|compare|contents|activity|codeowners)(/.*)?", ("contents",)),
    (r"actions/(organization-)?variables", ("variables",)),
    (r"environments/[^/]+/variables", ("environments",)),
    (r"(actions|environments)(/.*)?", ("actions",)),
    (r"branches/[^/]+/protection", ("administration",)),
    (r"branches/[^/]+", ("contents",)),
    (r"(rules/branches/.+|rulesets(/\d+)?|collaborators/[^/]+/permission)?", ()),
)
_WRITES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"issues/(\d+/comments|comments/\d+)", _EITHER),
    (r"issues(/\d+)?", ("issues",)),
    (r"check-runs(/\d+)?", ("checks",)),
    (r"environments/[^/]+(/deployment-branch-policies(/\d+)?)?|rulesets(/\d+)?", ("administration",)),
    (r"actions/runs/\d+/(rerun|cancel|pending_deployments)", ("actions",)),
)


def permitted(method: str, path: str, granted: Mapping[str, str] | None, *, on_pull: bool = True) -> bool:
    """Return whether a token with these permissions may send a request.

    Args:
        method: The method of the request.
        path: The path below the repository; `graphql` for a query.
        granted: The permissions; None for a token without a restriction.
        on_pull: Whether the comment of the path is on a pull request; for an issue, only `issues` counts.
    """
    if granted is None:
        return True
    level = {"read", "write"} if method == "GET" else {"write"}
    table = _READS if method == "GET" else _WRITES
    for pattern, names in table:
        if re.fullmatch(pattern, path):
            sufficient = names if on_pull or names != _EITHER else ("issues",)
            return not sufficient or any(granted.get(name) in level for name in sufficient)
    return False
