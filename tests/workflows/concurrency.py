"""Runs and jobs -> their place in concurrency groups, as "Control the concurrency of workflows" describes it.

One member of a group is active. Others wait: with `queue: single` only the newest, and the older one is
cancelled; with `queue: max` up to 100 in the order of arrival, and a further one is cancelled itself. A job
that waits for an approval of its environment is active, and keeps its group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_QUEUE = 100


@dataclass(slots=True)
class Group:
    """Members are compared by identity."""

    active: object | None = None
    pending: list[object] = field(default_factory=list)


@dataclass(slots=True)
class ConcurrencyGroups:
    """The groups of a repository. Runs and jobs share the names, which ignore case."""

    groups: dict[str, Group] = field(default_factory=dict)

    def enter(self, name: str, member: object, rules: Mapping[str, Any]) -> list[object]:
        """Add a member and return the members that are cancelled for it, itself if the queue is full.

        Args:
            name: The name of the group, evaluated.
            member: A run or a job.
            rules: The rest of `concurrency`: `cancel-in-progress` and `queue`.
        """
        keeps_all, replaces = rules.get("queue", "single") == "max", bool(rules.get("cancel-in-progress"))
        assert not (keeps_all and replaces), (
            "`queue: max` with `cancel-in-progress: true` is refused by GitHub"
        )
        group = self.groups.setdefault(name.lower(), Group())
        cancelled: list[object] = []
        if group.active is None:
            group.active = member
        elif replaces:
            cancelled = [*group.pending, group.active]
            group.active, group.pending = member, []
        elif keeps_all and len(group.pending) >= LONGEST_QUEUE:
            cancelled = [member]
        elif keeps_all:
            group.pending.append(member)
        else:
            cancelled, group.pending = group.pending, [member]
        return cancelled

    def is_active(self, member: object) -> bool:
        return any(group.active is member for group in self.groups.values())

    def leave(self, member: object) -> None:
        """Remove a member that ended; the first in the queue becomes active."""
        for group in self.groups.values():
            group.pending = [one for one in group.pending if one is not member]
            if group.active is member:
                group.active = group.pending.pop(0) if group.pending else None
