"""The origin of a comment or issue -> its hidden marker, its footer and its links."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ssm_reconcile.renderers.danger import NO_DANGER, Danger
from ssm_reconcile.renderers.escaping import escape, span
from ssm_reconcile.wording import join

COMMENT_MARK = "ssm-reconcile:plan"
"""First word of the hidden line of a comment with the plan of a pull request."""


class ApprovalKind(StrEnum):
    """The way in which people let an apply happen."""

    APPROVED = "approved"
    REVIEWED = "reviewed"
    PLAN_ID = "plan-id"


@dataclass(frozen=True, slots=True)
class Approval:
    """The people behind an apply. `logins` are those who approved, reviewed or started it."""

    kind: ApprovalKind
    logins: tuple[str, ...]

    @property
    def phrase(self) -> str:
        """Return `, as approved by @bob` after the number of changes; GitHub notifies no one of it."""
        people = [span(f"@{login}") for login in self.logins]
        if self.kind is ApprovalKind.PLAN_ID:
            return f" by plan id, started by {', and again by '.join(people)}"
        return f", as {self.kind.value} by {join(people)}"


@dataclass(frozen=True, slots=True)
class CommentContext:
    """The origin of a comment. All fields may be empty.

    `run_label` is the text of the link to the run. `extra` are further facts for the marker. `promise`:
    the plan is under review, and only this plan is applied. `command` applies the spec by hand. `mark` is
    the first word of the marker. `approval`: the people behind the apply that a page shows, if they are
    known. `is_kept`: the run keeps the plan that a page shows as an artifact.
    """

    head: str = ""
    run: str = ""
    run_url: str = ""
    run_label: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    promise: bool = True
    command: str = ""
    mark: str = COMMENT_MARK
    approval: Approval | None = None
    is_kept: bool = True


NO_CONTEXT = CommentContext()


def marker_line(
    scope: Sequence[str],
    plan_id: str,
    context: CommentContext,
    *,
    level: int = 0,
    danger: Danger = NO_DANGER,
    state: str = "",
    unresolved: str = "",
    mark: str = "",
) -> str:
    """Return the hidden first line, by which a later run finds the comment.

    Args:
        scope: The names of the replications.
        plan_id: The full plan id.
        context: The origin of the comment.
        level: The level of detail, 0 to 3.
        danger: The dangerous changes; a publisher compares them with those of the next run.
        state: The state that a publisher compares; empty leaves it out.
        unresolved: The counts of conflicts and the like, which the plan id does not cover.
        mark: The first word; empty takes that of the context.
    """
    facts: dict[str, object] = {
        "v": 1,
        "scope": ",".join(scope),
        "plan": plan_fact(plan_id),
        "head": context.head,
        "run": context.run,
        "level": level,
        **danger.facts,
        **dict(context.extra),
    }
    facts |= {key: text for key, text in (("state", state), ("unresolved", unresolved)) if text}
    text = json.dumps(facts, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"<!-- {mark or context.mark} {text} -->"


def plan_fact(plan_id: str) -> str:
    """Return a plan id as it is in a marker."""
    return f"sha256:{plan_id}"


def without_marker(comment: str) -> str:
    """Return the text of a comment without its hidden first line."""
    return comment.split("\n", 1)[1].rstrip("\n")


def footer(short_id: str, context: CommentContext, *, promise: bool = True) -> str:
    """Return the line with the plan id, the run and the promise on what is applied.

    Args:
        short_id: The first digits of the plan id.
        context: The repository, run and commit.
        promise: Whether the text says that only this plan will be applied.
    """
    made = f" for {span(context.head[:7])}" if context.head else ""
    where = run_link(context)
    made += f", made in {where}" if where else ""
    rule = " Applied on merge only as it is shown here." if promise and context.promise else ""
    secrets = "`SecureString` values are never shown, nor their length or hash."
    return f"<sub>Plan {span(short_id)}{made}. {secrets}{rule}</sub>"


def run_link(context: CommentContext) -> str:
    """Return a link to the run, or nothing unless its URL is a plain web address."""
    return web_link(context.run_label or "this run", context.run_url)


def plan_link(context: CommentContext) -> str:
    """Return words for the saved plan, with a link to the artifacts of the run, where it is kept."""
    link = web_link("artifacts of the run", context.run_url, "#artifacts")
    return f"the saved plan{' (' + link + ')' if link else ''}"


def web_link(label: str, url: str, part: str = "") -> str:
    """Return a link, or nothing unless the URL is a plain web address.

    Args:
        label: The text of the link.
        url: The address.
        part: The fragment behind the address.
    """
    if not re.fullmatch(r"https?://[A-Za-z0-9.:/_?=%~-]+", url):
        return ""
    return f"[{re.sub(r'([^A-Za-z0-9 ])', _entity, escape(label))}]({url}{part})"


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[1])};"
