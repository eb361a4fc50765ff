"""Pages -> comments on a pull request, or issues on drift: bodies with a marker in their first line.

A body is found by its marker, created, edited, and closed. It is used only if the same token wrote it
(GraphQL `viewerDidAuthor`): anyone can copy a marker. GitHub sends no notification for an edit, so a comment
that gains a dangerous change is posted again and the old one minimized, and an issue that gets worse gets a
comment. A comment that shows another plan and can be neither edited nor posted again is an error.

Only a run that plans a pull request writes the comment with its plan, so that the merge can compare it with
what that run posted. The result of an apply is a second comment, with a mark of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from ssm_reconcile.github.client import GitHub, GitHubError, Kind
from ssm_reconcile.github.facts import read_pull
from ssm_reconcile.github.marked import (
    MarkedBody,
    comments_path,
    facts_of,
    own_bodies,
    own_comments,
    same_text,
)
from ssm_reconcile.publishers.pages import Page
from ssm_reconcile.renderers.comment_context import COMMENT_MARK, NO_CONTEXT, CommentContext
from ssm_reconcile.renderers.drift_issue import ISSUE_MARK, closing_comment, growth_comment
from ssm_reconcile.renderers.markdown import COMMENT_BUDGET

_MINIMIZE = """mutation($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized } }
}"""
_ATTEMPTS = 3
_T = TypeVar("_T")


class OutdatedCommentError(GitHubError):
    """A comment shows another plan or state than the run has, and could not be corrected."""


class PageResult(StrEnum):
    """The result of publishing one page."""

    CREATED = "posted"
    EDITED = "updated"
    REPOSTED = "posted again"
    UNCHANGED = "unchanged"
    CLOSED = "closed"
    NOTHING = "not posted: nothing to say"


@dataclass(frozen=True, slots=True)
class SentComment:
    """A comment as this run posted or found it, with the comment before.

    `body` is the text that was sent.
    """

    scope: str
    id: int
    body: str
    former: MarkedBody | None


@dataclass(slots=True)
class _MarkedBodies(ABC):
    """The bodies of one spec in one place."""

    github: GitHub
    spec: str
    context: CommentContext = NO_CONTEXT

    @abstractmethod
    def find(self) -> list[MarkedBody]:
        """Return the open bodies of this spec that this token wrote, oldest first. Raises GitHubError."""

    def _create(self, path: str, fields: Mapping[str, str], body: str) -> int:
        """Create a body and return its id. After a lost response it is looked for before a new attempt."""
        attempt = 1
        while True:
            try:
                return int(self.github.send("POST", path, {**fields, "body": body}).get("id", 0))
            except GitHubError as error:
                if error.kind is not Kind.LOST or attempt == _ATTEMPTS:
                    raise
                found = [one.id for one in self.find() if same_text(one.body, body)]
                if found:
                    return found[-1]
                attempt += 1

    def _write(self, page: Page, latest: MarkedBody | None, send: Callable[[str], _T]) -> _T:
        """Send a page; a page that GitHub refuses as too long is sent once more with less detail."""
        context = self._context(page, latest)
        body = page.write(context, 0, COMMENT_BUDGET)
        try:
            return send(body)
        except GitHubError as error:
            if error.kind is not Kind.TOO_LONG:
                raise
        level = int((facts_of(body, context.mark) or {}).get("level", "0")) + 1
        budget = COMMENT_BUDGET if level < page.levels else COMMENT_BUDGET // 2
        return send(page.write(context, min(level, page.levels - 1), budget))

    def _context(self, page: Page, latest: MarkedBody | None) -> CommentContext:
        """Return the context of a page, with the facts that it keeps from the existing body."""
        extra = {"spec": self.spec} if self.spec else {}
        if latest is not None and page.danger is None:
            extra |= latest.danger.facts
        return replace(self.context, extra=tuple(extra.items()))


@dataclass(slots=True)
class PullRequestComments(_MarkedBodies):
    """The comments on one pull request with one mark, one for each replication.

    `always`: also post a first comment that has nothing to say. `posted`: the comments that show the pages.
    """

    number: int = 0
    always: bool = False
    posted: list[SentComment] = field(default_factory=list)

    def find(self) -> list[MarkedBody]:
        """Return the comments of this spec that this token wrote, oldest first. Raises GitHubError."""
        return own_comments(self.github, self.number, self.spec, self.context.mark)

    def publish(self, pages: Sequence[Page], known: Sequence[MarkedBody]) -> list[tuple[str, PageResult]]:
        """Publish each page and return the results by replication.

        A comment without a replication was made when no name was known. The first page without a comment
        takes it over; the others are minimized. After an error, the other pages are still published.

        Args:
            pages: The pages.
            known: The comments, as `find` returns them.

        Raises:
            OutdatedCommentError: A comment shows another plan or state, and could not be corrected.
            GitHubError: A comment could not be posted.
        """
        shown = self._scopes_with_a_plan()
        named = {page.scope for page in pages}
        unnamed = [one for one in known if not one.scope] if "" not in named else []
        results: list[tuple[str, PageResult]] = []
        errors: list[GitHubError] = []
        for page in pages:
            existing = [one for one in known if one.scope == page.scope]
            if not existing:
                existing, unnamed = unnamed, []
            first = page.worth or self.always or page.scope in shown
            try:
                results.append((page.scope, self._publish(page, existing, first=first)))
            except GitHubError as error:
                errors.append(error)
        if errors:
            raise max(errors, key=lambda one: isinstance(one, OutdatedCommentError))
        self._minimize(unnamed)
        return results

    @property
    def _path(self) -> str:
        return comments_path(self.github, self.number)

    def _scopes_with_a_plan(self) -> set[str]:
        """For results, return the replications whose plan was shown: each of them gets a result."""
        if self.context.mark == COMMENT_MARK:
            return set()
        return {one.scope for one in own_comments(self.github, self.number, self.spec)}

    def _publish(self, page: Page, known: Sequence[MarkedBody], *, first: bool) -> PageResult:
        if not known:
            return self._post_first(page) if first else PageResult.NOTHING
        *older, latest = known
        self._minimize(older)
        if page.quiet_after and latest.fact("state") == page.quiet_after:
            return PageResult.UNCHANGED
        try:
            return self._correct(page, latest)
        except GitHubError as error:
            raise self._outdated_error(page, latest, error) from error

    def _post_first(self, page: Page) -> PageResult:
        try:
            return self._post(page, None)
        except GitHubError as error:
            raise self._explain_lock(error) from error

    def _correct(self, page: Page, latest: MarkedBody) -> PageResult:
        """Edit a comment, or post it again if it gains danger. If GitHub refuses one way, take the other."""
        grows = page.danger is not None and page.danger.adds_to(latest.danger)
        first, second = (self._repost, self._edit) if grows else (self._edit, self._repost)
        try:
            return first(page, latest)
        except GitHubError as error:
            if error.kind is Kind.LIMITED:
                raise
            try:
                return second(page, latest)
            except GitHubError:
                raise error from None

    def _outdated_error(self, page: Page, latest: MarkedBody, error: GitHubError) -> GitHubError:
        """Return the error for a comment that stays as it is: another one if it shows this plan and state."""
        cause = self._explain_lock(error)
        facts = facts_of(page.write(self._context(page, latest), 0, COMMENT_BUDGET), self.context.mark) or {}
        if all(facts.get(name, "") == latest.fact(name) for name in ("plan", "state")):
            return cause
        message = (
            f"pull request {self.number}: the comment of run {latest.number('run')} is out of date, and could"
            f" be neither edited nor posted again: {cause.message}"
        )
        return OutdatedCommentError(cause.kind, message, cause.remedy, status=cause.status)

    def _explain_lock(self, error: GitHubError) -> GitHubError:
        """Return the error, or another one if GitHub refused the comment because of a lock."""
        if error.kind is not Kind.DENIED:
            return error
        try:
            pull, _files = read_pull(self.github, self.number)
        except GitHubError:
            return error
        if not pull.is_locked:
            return error
        remedy = "unlock it, and start this run again"
        return GitHubError(error.kind, f"pull request {self.number} is locked", remedy, status=error.status)

    def _post(self, page: Page, latest: MarkedBody | None) -> PageResult:
        def post(body: str) -> None:
            self.posted.append(SentComment(page.scope, self._create(self._path, {}, body), body, latest))

        self._write(page, latest, post)
        return PageResult.CREATED

    def _repost(self, page: Page, latest: MarkedBody) -> PageResult:
        self._post(page, latest)
        self._minimize([latest])
        return PageResult.REPOSTED

    def _edit(self, page: Page, latest: MarkedBody) -> PageResult:
        path = f"{self.github.repository}/issues/comments/{latest.id}"

        def patch(body: str) -> bool:
            changed = not same_text(body, latest.body)
            if changed:
                self._send_edit(path, body)
            self.posted.append(SentComment(page.scope, latest.id, body, latest))
            return changed

        return PageResult.EDITED if self._write(page, latest, patch) else PageResult.UNCHANGED

    def _send_edit(self, path: str, body: str) -> None:
        """Edit a comment. After a lost response it is read: the edit may have been made."""
        try:
            self.github.send("PATCH", path, {"body": body})
        except GitHubError as error:
            if error.kind is not Kind.LOST or not same_text(self.github.get(path).get("body") or "", body):
                raise

    def _minimize(self, comments: Sequence[MarkedBody]) -> None:
        """Minimize comments as outdated, if GitHub lets us: a newer comment is below them."""
        for comment in comments:
            with suppress(GitHubError):
                self.github.graphql(_MINIMIZE, {"id": comment.node})


@dataclass(slots=True)
class DriftIssues(_MarkedBodies):
    """The open issues on drift, one for each replication. A closed issue is never opened again.

    `closes`: whether a run without drift closes issues. A run of a part of the targets or names cannot know
    that no drift is left.
    """

    closes: bool = True

    def find(self) -> list[MarkedBody]:
        """Return the open issues of this spec that this token wrote, oldest first. Raises GitHubError."""
        issues = self.github.pages(self._path, state="open")
        plain = (issue for issue in issues if "pull_request" not in issue)
        return own_bodies(self.github, plain, self.spec, ISSUE_MARK, "number")

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
        left = [one for one in known if one.scope not in scopes and self.closes]
        return results + [(one.scope, self._close(one, gone=bool(one.scope))) for one in left]

    @property
    def _path(self) -> str:
        return f"{self.github.repository}/issues"

    def _publish(self, page: Page, known: Sequence[MarkedBody]) -> PageResult:
        if not page.worth:
            if known and not self.closes:
                return PageResult.UNCHANGED
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
        if page.danger is not None and page.danger.adds_to(latest.danger):
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
