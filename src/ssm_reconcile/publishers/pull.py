"""A run -> its pull request: the one of the event, or the one that was merged with this commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssm_reconcile.publishers.event import Event
from ssm_reconcile.publishers.github import GitHub


def number_of(event: Event, github: GitHub | None) -> int | None:
    """The pull request that a run belongs to; None when it belongs to none.

    After a merge it is found by the commit's pull requests: `merge_commit_sha` is not reliable for every
    way to merge. Of several the one merged last counts.
    """
    if event.number is not None:
        return event.number
    if github is None or event.name != "push" or not event.sha:
        return None
    merged = [pull for pull in _of_commit(github, event) if _is_merged(pull, event)]
    merged.sort(key=lambda pull: (pull.get("merge_commit_sha") == event.sha, str(pull["merged_at"])))
    return int(merged[-1]["number"]) if merged else None


def _of_commit(github: GitHub, event: Event) -> list[Mapping[str, Any]]:
    return list(github.pages(f"{github.repository}/commits/{event.sha}/pulls"))


def _is_merged(pull: Mapping[str, Any], event: Event) -> bool:
    base = (pull.get("base") or {}).get("ref")
    return bool(pull.get("merged_at")) and (not event.branch or base == event.branch)
