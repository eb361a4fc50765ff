"""Pages -> comments on a pull request, or issues on drift: bodies with a marker in their first line.

A body is found by its marker, created, edited, and closed. It is used only if the same token wrote it
(GraphQL `viewerDidAuthor`): anyone can copy a marker. GitHub sends no notification for an edit, so a comment
that gains deletes or replacements is posted again and the old one minimized, and an issue that gets worse
gets a comment.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ssm_reconcile.publishers.github import GitHub, GitHubError, Kind
from ssm_reconcile.publishers.pages import Page
from ssm_reconcile.renderers.drift_issue import ISSUE_MARK, closing_comment, growth_comment
from ssm_reconcile.renderers.markdown import COMMENT_BUDGET
from ssm_reconcile.renderers.markdown_blocks import COMMENT_MARK, NO_CONTEXT, CommentContext

_FIRST_LINE = re.compile(r"<!-- (\S+) (\{.*\}) -->")
_REVIEWED = ("run", "plan", "head")
_AUTHOR = """query($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on IssueComment { id isMinimized viewerDidAuthor }
    ... on Issue { id viewerDidAuthor }
  }
}"""
_MINIMIZE = """mutation($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized } }
}"""
_ATTEMPTS = 3
_IDS_PER_QUERY = 100
_NOT_FOUND = 404


class PageResult(StrEnum):
    """The result of publishing one page."""

    CREATED = "posted"
    EDITED = "updated"
    REPOSTED = "posted again"
    UNCHANGED = "unchanged"
    CLOSED = "closed"
    NOTHING = "not posted: nothing to say"


@dataclass(frozen=True, slots=True)
class MarkedBody:
    """A comment (`id` is its id) or an issue (`id` is its number), with the facts of its marker."""

    id: int
    node: str
    body: str
    facts: Mapping[str, str]

    def fact(self, name: str) -> str:
        """Return one fact, empty if the marker lacks it."""
        return self.facts.get(name, "")

    @property
    def scope(self) -> str:
        """The replication; empty if no name was known."""
        return self.fact("scope")

    @property
    def danger(self) -> int:
        """The number of dangerous changes that the body shows."""
        found = self.fact("danger")
        return int(found) if found.isdigit() else 0

    @property
    def reviewed(self) -> dict[str, str]:
        """The run, plan and head that were reviewed: those of the body, until an apply has changed it."""
        if self.fact("reviewed_run"):
            return {name: self.fact(f"reviewed_{name}") for name in _REVIEWED}
        return {} if self.fact("state") else {name: self.fact(name) for name in _REVIEWED}


def facts_of(body: str, mark: str = COMMENT_MARK) -> dict[str, str] | None:
    """Return the facts of a marker as text; None if the first line is not this marker."""
    first = _FIRST_LINE.fullmatch(body.replace("\r", "").split("\n", 1)[0])
    if first is None or first[1] != mark:
        return None
    try:
        facts = json.loads(first[2])
    except (ValueError, RecursionError):
        return None
    return {key: str(value) for key, value in facts.items() if isinstance(value, str | int)}


def _same_text(one: str, other: str) -> bool:
    # GitHub stores line ends as CRLF, and drops white space at the end.
    return one.replace("\r", "").strip() == other.replace("\r", "").strip()


@dataclass(slots=True)
class _MarkedBodies(ABC):
    """The bodies of one spec in one place.

    `reviews`: people review what this run publishes. Otherwise the marker keeps the facts of what was
    reviewed, by which a later run finds the plan.
    """

    github: GitHub
    spec: str
    context: CommentContext = NO_CONTEXT
    reviews: bool = True

    @abstractmethod
    def find(self) -> list[MarkedBody]:
        """Return the open bodies of this spec that this token wrote, oldest first. Raises GitHubError."""

    def _own(self, items: Iterable[Mapping[str, Any]], mark: str, id_key: str) -> list[MarkedBody]:
        found = []
        for item in items:
            facts = facts_of(item.get("body") or "", mark)
            if facts is not None and facts.get("spec", "") == self.spec:
                found.append(MarkedBody(item[id_key], item["node_id"], item["body"], facts))
        own: set[str] = set()
        for start in range(0, len(found), _IDS_PER_QUERY):
            ids = [body.node for body in found[start : start + _IDS_PER_QUERY]]
            nodes = self.github.graphql(_AUTHOR, {"ids": ids}).get("nodes") or []
            own |= {n["id"] for n in nodes if n and n.get("viewerDidAuthor") and not n.get("isMinimized")}
        return sorted((body for body in found if body.node in own), key=lambda body: body.id)

    def _create(self, path: str, fields: Mapping[str, str], body: str) -> bool:
        """Create a body. After a lost response it is looked for before it is created again."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.github.send("POST", path, {**fields, "body": body})
            except GitHubError as error:
                if error.kind is not Kind.LOST or attempt == _ATTEMPTS:
                    raise
                if any(_same_text(one.body, body) for one in self.find()):
                    break
            else:
                break
        return True

    def _write(self, page: Page, latest: MarkedBody | None, send: Callable[[str], bool]) -> bool:
        """Send a page; a page that GitHub refuses as too long is sent once more with less detail."""
        context = self._context(page, latest)
        body = page.write(context, 0, COMMENT_BUDGET)
        try:
            return send(body)
        except GitHubError as error:
            if error.kind is not Kind.TOO_LONG:
                raise
        level = int((facts_of(body) or {}).get("level", "0")) + 1
        budget = COMMENT_BUDGET if level < page.levels else COMMENT_BUDGET // 2
        return send(page.write(context, min(level, page.levels - 1), budget))

    def _context(self, page: Page, latest: MarkedBody | None) -> CommentContext:
        """Return the context of a page, with the facts that it keeps from the existing body."""
        extra = {"spec": self.spec} if self.spec else {}
        if latest is not None and page.danger is None:
            extra["before"] = str(latest.danger)
        if latest is not None and not self.reviews:
            extra |= {f"reviewed_{name}": value for name, value in latest.reviewed.items() if value}
        return replace(self.context, extra=tuple(extra.items()))


@dataclass(slots=True)
class PullRequestComments(_MarkedBodies):
    """The comments on one pull request, one for each replication.

    `always`: also post a first comment that has nothing to say.
    """

    number: int = 0
    always: bool = False

    def find(self) -> list[MarkedBody]:
        """Return the comments of this spec that this token wrote, oldest first. Raises GitHubError."""
        return self._own(self.github.pages(self._path), COMMENT_MARK, "id")

    def publish(self, pages: Sequence[Page], known: Sequence[MarkedBody]) -> list[tuple[str, PageResult]]:
        """Publish each page and return the results by replication. Raises GitHubError.

        A comment without a replication was made when no name was known: the first page without a comment
        takes it over, and the others are minimized.
        """
        named = {page.scope for page in pages}
        unnamed = [one for one in known if not one.scope] if "" not in named else []
        results = []
        for page in pages:
            existing = [one for one in known if one.scope == page.scope]
            if not existing:
                existing, unnamed = unnamed, []
            results.append((page.scope, self._publish(page, existing)))
        self._minimize(unnamed)
        return results

    @property
    def _path(self) -> str:
        return f"{self.github.repository}/issues/{self.number}/comments"

    def _publish(self, page: Page, known: Sequence[MarkedBody]) -> PageResult:
        if not known:
            return self._post(page, None) if page.worth or self.always else PageResult.NOTHING
        *older, latest = known
        self._minimize(older)
        if page.quiet_after and latest.fact("state") == page.quiet_after:
            return PageResult.UNCHANGED
        if page.danger is not None and page.danger > latest.danger:
            self._post(page, latest)
            self._minimize([latest])
            return PageResult.REPOSTED
        return self._edit(page, latest)

    def _post(self, page: Page, latest: MarkedBody | None) -> PageResult:
        self._write(page, latest, lambda body: self._create(self._path, {}, body))
        return PageResult.CREATED

    def _edit(self, page: Page, latest: MarkedBody) -> PageResult:
        path = f"{self.github.repository}/issues/comments/{latest.id}"

        def patch(body: str) -> bool:
            if _same_text(body, latest.body):
                return False
            self.github.send("PATCH", path, {"body": body})
            return True

        try:
            changed = self._write(page, latest, patch)
        except GitHubError as error:
            if error.kind is not Kind.DENIED or not self._is_deleted(path):
                raise
            return self._post(page, latest)
        return PageResult.EDITED if changed else PageResult.UNCHANGED

    def _is_deleted(self, path: str) -> bool:
        """Return whether someone deleted the comment after it was listed."""
        try:
            self.github.get(path)
        except GitHubError as error:
            return error.status == _NOT_FOUND
        return False

    def _minimize(self, comments: Sequence[MarkedBody]) -> None:
        """Minimize comments as outdated, unless the token may not: they are only untidy."""
        for comment in comments:
            try:
                self.github.graphql(_MINIMIZE, {"id": comment.node})
            except GitHubError as error:
                if error.kind is not Kind.DENIED:
                    raise


@dataclass(slots=True)
class DriftIssues(_MarkedBodies):
    """The open issues on drift, one for each replication. A closed issue is never opened again."""

    def find(self) -> list[MarkedBody]:
        """Return the open issues of this spec that this token wrote, oldest first. Raises GitHubError."""
        issues = self.github.pages(self._path, state="open")
        return self._own((issue for issue in issues if "pull_request" not in issue), ISSUE_MARK, "number")

    def publish(self, pages: Callable[[list[str]], Sequence[Page]]) -> list[tuple[str, PageResult]]:
        """Open, edit and close the issues, and return the results by replication. Raises GitHubError.

        Args:
            pages: Returns the pages, given the replications that have an issue: a run without a plan may
                know no other names.
        """
        known = self.find()
        current = pages(sorted({one.scope for one in known}))
        results = [
            (page.scope, self._publish(page, [one for one in known if one.scope == page.scope]))
            for page in current
        ]
        scopes = {page.scope for page in current}
        # no longer in the spec, or opened when no name was known
        left = [one for one in known if one.scope not in scopes]
        return results + [(one.scope, self._close(one, gone=bool(one.scope))) for one in left]

    @property
    def _path(self) -> str:
        return f"{self.github.repository}/issues"

    def _publish(self, page: Page, known: Sequence[MarkedBody]) -> PageResult:
        if not page.worth:
            for one in known:
                self._close(one, gone=False)
            return PageResult.CLOSED if known else PageResult.NOTHING
        if not known:
            self._write(page, None, lambda body: self._create(self._path, {"title": page.title}, body))
            return PageResult.CREATED
        latest, *others = known
        for one in others:  # two runs at the same time opened two
            self._patch(one, state="closed", state_reason="not_planned")
        changed = self._write(page, latest, lambda body: self._edit(page.title, body, latest))
        if page.danger is not None and page.danger > latest.danger:
            self._comment(latest, growth_comment(page.found, self.context))
        return PageResult.EDITED if changed else PageResult.UNCHANGED

    def _edit(self, title: str, body: str, latest: MarkedBody) -> bool:
        """Edit an issue, unless it shows the same plan in the same state."""
        facts = facts_of(body, ISSUE_MARK) or {}
        if all(facts.get(name, "") == latest.fact(name) for name in ("plan", "state")):
            return False
        self._patch(latest, title=title, body=body)
        return True

    def _close(self, one: MarkedBody, *, gone: bool) -> PageResult:
        self._patch(one, state="closed", state_reason="not_planned" if gone else "completed")
        self._comment(one, closing_comment(self.context, gone=gone))
        return PageResult.CLOSED

    def _patch(self, one: MarkedBody, **fields: str) -> None:
        self.github.send("PATCH", f"{self._path}/{one.id}", fields)

    def _comment(self, one: MarkedBody, text: str) -> None:
        self.github.send("POST", f"{self._path}/{one.id}/comments", {"body": text})
