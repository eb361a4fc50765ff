"""Pages -> one sticky comment a replication on a pull request.

Ours is a comment whose first line is our marker, that this very token wrote (GraphQL's
`viewerDidAuthor`), and that nobody minimised; all pages of comments are read. A marker that somebody
else planted is left alone. Edited in place; where deletes or replacements were gained, posted anew and
the old one minimised, since nobody is notified of an edit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ssm_reconcile.publishers.github import GitHub, GitHubError, Kind
from ssm_reconcile.publishers.pages import Page
from ssm_reconcile.renderers.markdown import COMMENT_BUDGET
from ssm_reconcile.renderers.markdown_blocks import COMMENT_MARK, CommentContext

_FIRST_LINE = re.compile(r"<!-- (\S+) (\{.*\}) -->")
_REVIEWED = ("run", "plan", "head")
_WHOSE = """query($ids: [ID!]!) {
  nodes(ids: $ids) { ... on IssueComment { id isMinimized viewerDidAuthor } }
}"""
_MINIMIZE = """mutation($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized } }
}"""
_ATTEMPTS = 3
_AT_ONCE = 100
_NOT_FOUND = 404


class Done(StrEnum):
    """What became of a page."""

    CREATED = "posted"
    EDITED = "updated"
    REPOSTED = "posted anew"
    UNCHANGED = "left as it is"
    CLOSED = "closed"
    NOTHING = "not posted: nothing to say"


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of ours, with the facts of its marker."""

    id: int
    node: str
    body: str
    facts: Mapping[str, str]

    def fact(self, name: str) -> str:
        """One fact, empty where there is none."""
        return self.facts.get(name, "")

    @property
    def danger(self) -> int:
        """How many deletes and replacements it shows."""
        found = self.fact("danger")
        return int(found) if found.isdigit() else 0

    @property
    def reviewed(self) -> dict[str, str]:
        """The run, plan and head that were reviewed: its own, until an apply has written into it."""
        if self.fact("reviewed_run"):
            return {name: self.fact(f"reviewed_{name}") for name in _REVIEWED}
        if self.fact("state"):
            return {}
        return {name: self.fact(name) for name in _REVIEWED}


def facts_of(body: str, mark: str = COMMENT_MARK) -> dict[str, str] | None:
    """The facts of a marker, all as text; None when the first line is none of ours."""
    first = _FIRST_LINE.fullmatch(body.replace("\r", "").split("\n", 1)[0])
    if first is None or first[1] != mark:
        return None
    try:
        facts = json.loads(first[2])
    except (ValueError, RecursionError):
        return None
    return {key: str(value) for key, value in facts.items() if isinstance(value, str | int)}


def ours(github: GitHub, number: int, spec: str) -> list[Comment]:
    """Our comments on a pull request for one spec, oldest first."""
    found = []
    for comment in github.pages(f"{github.repository}/issues/{number}/comments"):
        facts = facts_of(comment.get("body") or "")
        if facts is not None and facts.get("spec", "") == spec:
            found.append(Comment(comment["id"], comment["node_id"], comment["body"], facts))
    mine: set[str] = set()
    for start in range(0, len(found), _AT_ONCE):
        ids = [comment.node for comment in found[start : start + _AT_ONCE]]
        nodes = github.graphql(_WHOSE, {"ids": ids}).get("nodes") or []
        mine |= {n["id"] for n in nodes if n and n.get("viewerDidAuthor") and not n.get("isMinimized")}
    return sorted((c for c in found if c.node in mine), key=lambda comment: comment.id)


@dataclass(slots=True)
class Sticky:
    """The comments of ours on one pull request.

    `reviews`: whether what is published now is what people will review (a pull request's own run); if
    not, the facts of what was reviewed stay in the marker, for a later run to find the plan by.
    """

    github: GitHub
    number: int
    spec: str
    context: CommentContext
    reviews: bool
    always: bool = False

    def publish(self, pages: Sequence[Page], known: Sequence[Comment]) -> list[tuple[str, Done]]:
        """Publishes each page, and says what became of it. Raises GitHubError.

        A comment without a scope was made when no name could be known: the first page that has no
        comment of its own takes it over, and others like it go.
        """
        named = {page.scope for page in pages}
        nameless = [one for one in known if not one.fact("scope")] if "" not in named else []
        done = []
        for page in pages:
            mine = [one for one in known if one.fact("scope") == page.scope]
            if not mine and nameless:
                mine, nameless = nameless, []
            done.append((page.scope, self._publish(page, mine)))
        self._minimize(nameless)
        return done

    def _publish(self, page: Page, known: Sequence[Comment]) -> Done:
        if not known:
            if not (page.worth or self.always):
                return Done.NOTHING
            self._create(page, None)
            return Done.CREATED
        *older, latest = known
        self._minimize(older)
        if page.quiet_after and latest.fact("state") == page.quiet_after:
            return Done.UNCHANGED
        if page.danger is not None and page.danger > latest.danger:
            self._create(page, latest)
            self._minimize([latest])
            return Done.REPOSTED
        return self._edit(page, latest)

    def _edit(self, page: Page, latest: Comment) -> Done:
        path = f"{self.github.repository}/issues/comments/{latest.id}"
        try:
            changed = self._written(page, latest, lambda body: self._patch(path, body, latest))
        except GitHubError as error:
            if error.kind is not Kind.DENIED or not self._is_gone(path):
                raise
            self._create(page, latest)
            return Done.CREATED
        return Done.EDITED if changed else Done.UNCHANGED

    def _patch(self, path: str, body: str, latest: Comment) -> bool:
        if body.strip() == latest.body.replace("\r", "").strip():
            return False
        self.github.send("PATCH", path, {"body": body})
        return True

    def _is_gone(self, path: str) -> bool:
        """Whether somebody deleted the comment since it was listed."""
        try:
            self.github.get(path)
        except GitHubError as error:
            return error.status == _NOT_FOUND
        return False

    def _create(self, page: Page, latest: Comment | None) -> None:
        path = f"{self.github.repository}/issues/{self.number}/comments"

        def post(body: str) -> bool:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self.github.send("POST", path, {"body": body})
                except GitHubError as error:
                    if error.kind is not Kind.LOST or attempt == _ATTEMPTS:
                        raise
                    if self._is_there(body):  # the answer was lost, the comment was not
                        return True
                else:
                    return True
            return True

        self._written(page, latest, post)

    def _is_there(self, body: str) -> bool:
        return any(one.body.strip() == body.strip() for one in ours(self.github, self.number, self.spec))

    def _written(self, page: Page, latest: Comment | None, send: Callable[[str], bool]) -> bool:
        """Sends a page; where it is too long for GitHub after all, once more with less detail."""
        context = self._context(page, latest)
        body = page.write(context, 0, COMMENT_BUDGET)
        try:
            return send(body)
        except GitHubError as error:
            if error.kind is not Kind.TOO_LONG:
                raise
        level = int((facts_of(body) or {}).get("level", "0")) + 1
        least = COMMENT_BUDGET if level < _LEVELS else COMMENT_BUDGET // 2
        return send(page.write(context, min(level, _LEVELS - 1), least))

    def _context(self, page: Page, latest: Comment | None) -> CommentContext:
        """Where a page comes from, and what it takes over from the comment that is there."""
        extra = {"spec": self.spec} if self.spec else {}
        if latest is not None and page.danger is None:
            extra["before"] = str(latest.danger)
        if latest is not None and not self.reviews:
            extra |= {f"reviewed_{name}": value for name, value in latest.reviewed.items() if value}
        return replace(self.context, extra=tuple(extra.items()))

    def _minimize(self, comments: Sequence[Comment]) -> None:
        """Folds comments away as outdated. A token that may not is no reason to stop."""
        for comment in comments:
            try:
                self.github.graphql(_MINIMIZE, {"id": comment.node})
            except GitHubError as error:
                if error.kind is not Kind.DENIED:
                    raise


_LEVELS = 4
"""Levels of detail of a comment (`renderers.markdown`)."""
