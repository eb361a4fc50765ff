"""What was found -> one issue a replication, opened, kept up to date, closed when nothing is found.

Ours is an open issue whose first line is our marker for this spec, and that this very token wrote
(GraphQL's `viewerDidAuthor`). An edit notifies nobody, so what got worse is told by a comment. A closed
issue is never opened again: new drift is news.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ssm_reconcile.publishers.comment import Comment, Done, facts_of
from ssm_reconcile.publishers.drift import Drift
from ssm_reconcile.publishers.github import GitHub, GitHubError, Kind
from ssm_reconcile.renderers.drift_issue import ISSUE_MARK, closing_comment, growth_comment
from ssm_reconcile.renderers.markdown import COMMENT_BUDGET
from ssm_reconcile.renderers.markdown_blocks import CommentContext

_WHOSE = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on Issue { id viewerDidAuthor } } }"""
_ATTEMPTS = 3
_AT_ONCE = 100
_SAME = ("plan", "state")


@dataclass(slots=True)
class Issues:
    """The issues of ours on the drift of one spec."""

    github: GitHub
    spec: str
    context: CommentContext

    def publish(self, found: Callable[[list[str]], Sequence[Drift]]) -> list[tuple[str, Done]]:
        """Brings every issue in line with what was found. Raises GitHubError.

        `found` is told of which replications there are issues, for when nobody else knows their names.
        """
        known = self._ours()
        drifts = found(sorted({one.fact("scope") for one in known}))
        named = {drift.scope for drift in drifts}
        done = [(drift.scope, self._publish(drift, _of(known, drift.scope))) for drift in drifts]
        # of the spec as a whole, while nobody knew better; or of a replication that it has no more
        left = [one for one in known if one.fact("scope") not in named]
        return done + [(one.fact("scope"), self._close(one, gone=bool(one.fact("scope")))) for one in left]

    @property
    def _path(self) -> str:
        return f"{self.github.repository}/issues"

    def _ours(self) -> list[Comment]:
        """Our open issues for this spec, oldest first; `id` is the number of the issue."""
        found = []
        for issue in self.github.pages(self._path, state="open"):
            facts = facts_of(issue.get("body") or "", ISSUE_MARK)
            if "pull_request" not in issue and facts is not None and facts.get("spec", "") == self.spec:
                found.append(Comment(issue["number"], issue["node_id"], issue["body"], facts))
        mine: set[str] = set()
        for start in range(0, len(found), _AT_ONCE):
            ids = [issue.node for issue in found[start : start + _AT_ONCE]]
            nodes = self.github.graphql(_WHOSE, {"ids": ids}).get("nodes") or []
            mine |= {node["id"] for node in nodes if node and node.get("viewerDidAuthor")}
        return sorted((one for one in found if one.node in mine), key=lambda one: one.id)

    def _publish(self, drift: Drift, known: Sequence[Comment]) -> Done:
        if not drift.found:
            for one in known:
                self._close(one, gone=False)
            return Done.CLOSED if known else Done.NOTHING
        if not known:
            self._written(drift, None, lambda body: self._open(drift.title, body))
            return Done.CREATED
        latest, *others = known
        for one in others:  # two runs at once have opened two
            self._send("PATCH", f"{self._path}/{one.id}", {"state": "closed", "state_reason": "not_planned"})
        changed = self._written(drift, latest, lambda body: self._edit(drift.title, body, latest))
        if drift.weight is not None and drift.weight > latest.danger:
            self._tell(latest, growth_comment(drift.found, self.context))
        return Done.EDITED if changed else Done.UNCHANGED

    def _open(self, title: str, body: str) -> bool:
        """A new issue. After a lost answer it is looked for before it is opened once more."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._send("POST", self._path, {"title": title, "body": body})
            except GitHubError as error:
                if error.kind is not Kind.LOST or attempt == _ATTEMPTS:
                    raise
                if any(one.body.replace("\r", "").strip() == body.strip() for one in self._ours()):
                    return True
            else:
                return True
        return True

    def _edit(self, title: str, body: str, latest: Comment) -> bool:
        """The same issue, as it is now; one that says the same of the same plan is left alone."""
        facts = facts_of(body, ISSUE_MARK) or {}
        if all(facts.get(name, "") == latest.fact(name) for name in _SAME):
            return False
        self._send("PATCH", f"{self._path}/{latest.id}", {"title": title, "body": body})
        return True

    def _close(self, one: Comment, *, gone: bool) -> Done:
        reason = "not_planned" if gone else "completed"
        self._send("PATCH", f"{self._path}/{one.id}", {"state": "closed", "state_reason": reason})
        self._tell(one, closing_comment(self.context, gone=gone))
        return Done.CLOSED

    def _tell(self, one: Comment, text: str) -> None:
        self._send("POST", f"{self._path}/{one.id}/comments", {"body": text})

    def _send(self, method: str, path: str, body: dict[str, str]) -> None:
        self.github.send(method, path, body)

    def _written(self, drift: Drift, latest: Comment | None, send: Callable[[str], bool]) -> bool:
        """Sends a body; where it is too long for GitHub after all, once more in half the room."""
        extra = (("spec", self.spec),) if self.spec else ()
        context = replace(self.context, extra=extra, promise=False)
        before = 0 if latest is None else latest.danger
        try:
            return send(drift.write(context, COMMENT_BUDGET, before))
        except GitHubError as error:
            if error.kind is not Kind.TOO_LONG:
                raise
        return send(drift.write(context, COMMENT_BUDGET // 2, before))


def _of(known: Sequence[Comment], scope: str) -> list[Comment]:
    return [one for one in known if one.fact("scope") == scope]
