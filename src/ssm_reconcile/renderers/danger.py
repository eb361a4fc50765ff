"""Dangerous changes -> short digests in a marker, by which a publisher compares two bodies.

GitHub sends no notification for an edit, so a body that gains a dangerous change is posted again. The number
of changes does not show this: one delete can take the place of another. The digest of a change is of its
replication, target, name and action. Above `MOST` changes there is one digest of the whole set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ssm_reconcile.plan import fingerprint

MOST = 100
"""Digests in a marker: about 1,300 characters, of the 65,536 of a comment."""
_DIGITS = 12
_LIST = re.compile(rf"(?:[0-9a-f]{{{_DIGITS}}}(?: [0-9a-f]{{{_DIGITS}}}){{0,{MOST - 1}}})?")
_WHOLE = re.compile("all:[0-9a-f]{32}")
_UNKNOWN = "unknown"
_COUNT = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Danger:
    """The dangerous changes that a body shows.

    `digests` are as in the marker; None for a marker of an older version, which has the number only.
    """

    count: int = 0
    digests: str | None = ""

    @property
    def facts(self) -> dict[str, str]:
        """The facts of the marker."""
        return {"danger": str(self.count), "dangers": _UNKNOWN if self.digests is None else self.digests}

    def adds_to(self, shown: Danger) -> bool:
        """Return whether a change is not among the shown ones, or may not be: a set is only equal or not."""
        if self.digests is None or shown.digests is None:
            return self.count > shown.count
        if not self.digests or self.digests == shown.digests:
            return False
        return not set(self.digests.split(" ")) <= set(shown.digests.split(" "))


NO_DANGER = Danger()


def read_danger(facts: Mapping[str, str]) -> Danger:
    """Return the danger of a marker, which anyone who may write can edit."""
    count, digests = facts.get("danger", ""), facts.get("dangers")
    is_known = digests is not None and (_LIST.fullmatch(digests) or _WHOLE.fullmatch(digests))
    return Danger(int(count) if _COUNT.fullmatch(count) else 0, digests if is_known else None)


def danger_of(scope: Sequence[str], count: int, changes: Iterable[tuple[str, str, str]]) -> Danger:
    """Return the danger of some changes.

    Args:
        scope: The names of the replications.
        count: The number of changes.
        changes: Target, name and action of each.
    """
    found = sorted({fingerprint([*scope, *change])[:_DIGITS] for change in changes})
    return Danger(count, " ".join(found) if len(found) <= MOST else f"all:{fingerprint(found)[:32]}")
