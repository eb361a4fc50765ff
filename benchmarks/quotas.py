"""AWS's quotas as a server enforces them: a token bucket for each account, region and class of operation.

The numbers of `AWS` are those of AWS where one is known (GetParameters 40, GetResources 15,
PutParameter 3 as AWS Support named it) and the careful defaults of `ssm_reconcile.aws_limits` where
none is public. The burst is a second's worth, at least one, unless it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

CLASS_OF: Mapping[str, str] = {
    "DescribeParameters": "describe",
    "GetParameter": "get",
    "GetParameters": "get",
    "GetParametersByPath": "get",
    "PutParameter": "put",
    "DeleteParameter": "delete",
    "DeleteParameters": "delete",
    "AddTagsToResource": "tags",
    "RemoveTagsFromResource": "tags",
    "ListTagsForResource": "list_tags",
    "GetResources": "resources",
    "ListAliases": "kms",
    "DescribeKey": "kms",
}
"""The class of each operation that has a quota here; STS has none."""

AWS: Mapping[str, float] = {
    "describe": 5, "get": 40, "put": 3, "delete": 5, "tags": 5, "list_tags": 5, "resources": 15, "kms": 500,
}  # fmt: skip
"""Calls per second by class, the default quotas of an account."""


@dataclass(slots=True)
class Bucket:
    """Tokens of one class. `take` says whether a call is let in; a refused one costs nothing."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    counted: float | None = None

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, now: float) -> bool:
        """Whether a call that arrives `now` (monotonic seconds) is let in."""
        passed = 0.0 if self.counted is None else max(0.0, now - self.counted)
        self.counted = now
        self.tokens = min(self.burst, self.tokens + passed * self.rate)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Quotas:
    """All buckets of a server. Without rates, nothing is refused."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._rates: dict[str, float] = {}
        self._bursts: dict[str, float] = {}
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def enforce(self, rates: Mapping[str, float], bursts: Mapping[str, float]) -> None:
        """From now on these calls per second, and bursts in calls, by class; full buckets."""
        self._rates, self._bursts = dict(rates), dict(bursts)
        self._buckets = {}

    def admits(self, account: str, region: str, operation: str) -> bool:
        """Whether a call may be served."""
        kind = CLASS_OF.get(operation)
        rate = self._rates.get(kind or "")
        if kind is None or rate is None:
            return True
        key = (account, region, kind)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate, self._bursts.get(kind, max(1.0, rate)))
        return bucket.take(self._monotonic())
