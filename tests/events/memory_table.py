"""A table in memory with the semantics of `state.Table`; `calls` counts requests, `fault` may raise."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from math import ceil

from ssm_reconcile.event.state import RELEASED, LeaseClaim, TableItem


class MemoryTable:
    """A `state.Table`, shared by all processes that a test simulates."""

    def __init__(self) -> None:
        self.items: dict[str, TableItem] = {}
        self.calls: Counter[str] = Counter()
        self.fault: Callable[[str], None] = lambda operation: None
        self._lock = threading.Lock()

    def read(self, identifiers: Collection[str]) -> Mapping[str, TableItem]:
        self._count("BatchGetItem")
        with self._lock:
            return {one: self.items[one] for one in identifiers if one in self.items}

    def claim(self, identifier: str, item: TableItem, now: float) -> LeaseClaim:
        self._count("PutItem")
        with self._lock:
            held = self.items.get(identifier)
            if held is not None and held.expires > now and held.token != item.token:
                return LeaseClaim(is_taken=False)
            self._put(identifier, item)
            return LeaseClaim(is_taken=True, data=None if held is None else held.data)

    def write(self, identifier: str, item: TableItem, replaces: str | None) -> bool:
        self._count("PutItem")
        with self._lock:
            held = self.items.get(identifier)
            if (None if held is None else held.token) != replaces:
                return False
            return self._put(identifier, item)

    def delete(self, identifier: str, token: str) -> None:
        self._count("DeleteItem")
        with self._lock:
            if identifier in self.items and self.items[identifier].token == token:
                del self.items[identifier]

    def held(self) -> frozenset[str]:
        """Return the leases that were taken and not released."""
        leases = {key: one for key, one in self.items.items() if key.startswith("lease#")}
        return frozenset(key for key, one in leases.items() if one.token != RELEASED)

    def _put(self, identifier: str, item: TableItem) -> bool:
        self.items[identifier] = TableItem(item.token, float(ceil(item.expires)), item.data)
        return True

    def _count(self, operation: str) -> None:
        self.calls[operation] += 1
        self.fault(operation)
