"""Comments and issues -> the bodies that this token wrote, with the facts of their marker.

A marker is the first line of a body. Anyone can copy a marker, so a body counts only if the same token wrote
it (GraphQL `viewerDidAuthor`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.facts import moment
from ssm_reconcile.renderers.comment_context import COMMENT_MARK
from ssm_reconcile.renderers.danger import Danger, read_danger

RESULT_MARK = "ssm-reconcile:result"
"""The first word of the marker of a comment with the result of an apply."""
_FIRST_LINE = re.compile(r"<!-- (\S+) (\{.*\}) -->")
_ID = re.compile("[0-9]{1,18}")
_AUTHOR = """query($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on IssueComment { id isMinimized viewerDidAuthor lastEditedAt }
    ... on Issue { id viewerDidAuthor }
  }
}"""
_IDS_PER_QUERY = 100


@dataclass(frozen=True, slots=True)
class MarkedBody:
    """A comment (`id` is its id) or an issue (`id` is its number), with the facts of its marker.

    `edited`: the time of the last edit of a comment, by anyone; None if it was never edited.
    """

    id: int
    node: str
    body: str
    facts: Mapping[str, str]
    edited: datetime | None = None

    def fact(self, name: str) -> str:
        """Return one fact, empty if the marker lacks it."""
        return self.facts.get(name, "")

    def number(self, name: str) -> int:
        """Return one fact as a number; 0 if it is not a number of the size of an id."""
        found = self.fact(name)
        return int(found) if _ID.fullmatch(found) else 0

    @property
    def scope(self) -> str:
        """The replication; empty if no name was known."""
        return self.fact("scope")

    @property
    def danger(self) -> Danger:
        """The dangerous changes that the body shows."""
        return read_danger(self.facts)

    @property
    def shows_plan(self) -> bool:
        """Whether the body shows a plan, and neither a failure nor the result of an apply."""
        return bool(self.fact("plan")) and not self.fact("state")


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


def same_text(one: str, other: str) -> bool:
    """Return whether two bodies have the same text for GitHub."""
    # GitHub stores line ends as CRLF, and drops white space at the end.
    return one.replace("\r", "").strip() == other.replace("\r", "").strip()


def own_bodies(
    github: GitHub, items: Iterable[Mapping[str, Any]], spec: str, mark: str, id_key: str
) -> list[MarkedBody]:
    """Return the bodies with this mark and spec that this token wrote, oldest first.

    Args:
        github: The API.
        items: Comments or issues, as the REST API lists them.
        spec: The key of the spec in the marker.
        mark: The first word of the marker.
        id_key: The key of the number by which GitHub addresses an item: `id` or `number`.

    Raises:
        GitHubError: GitHub did not answer.
    """
    found = []
    for item in items:
        facts = facts_of(item.get("body") or "", mark)
        if facts is not None and facts.get("spec", "") == spec:
            found.append(MarkedBody(item[id_key], item["node_id"], item["body"], facts))
    own: dict[str, datetime | None] = {}
    for start in range(0, len(found), _IDS_PER_QUERY):
        ids = [body.node for body in found[start : start + _IDS_PER_QUERY]]
        nodes = github.graphql(_AUTHOR, {"ids": ids}).get("nodes") or []
        for node in nodes:
            if node and node.get("viewerDidAuthor") and not node.get("isMinimized"):
                own[node["id"]] = moment(node.get("lastEditedAt"))
    mine = (replace(body, edited=own[body.node]) for body in found if body.node in own)
    return sorted(mine, key=lambda body: body.id)


def comments_path(github: GitHub, number: int) -> str:
    """Return the path of the comments on a pull request in the API."""
    return f"{github.repository}/issues/{number}/comments"


def own_comments(github: GitHub, number: int, spec: str, mark: str = COMMENT_MARK) -> list[MarkedBody]:
    """Return the comments on a pull request, for one spec, that this token wrote.

    Args:
        github: The client.
        number: The number of the pull request.
        spec: The key of the spec in the marker.
        mark: The first word of the marker.

    Raises:
        GitHubError: The comments could not be listed.
    """
    return own_bodies(github, github.pages(comments_path(github, number)), spec, mark, "id")
