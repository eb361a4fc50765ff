"""The table of the stack in virtual time: one for all processes, with the time of a call and with faults."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

from ssm_reconcile.event.state import LeaseClaim, TableItem, TableUnavailableError
from tests.events.concurrent_scheduler import Scheduler
from tests.events.memory_table import MemoryTable

SECONDS = (0.002, 0.01)
"""Each way."""


class TimedTable(MemoryTable):
    """A `state.Table`. `failing` is the share of calls without an answer; half of them had their effect."""

    def __init__(self, scheduler: Scheduler, chance: random.Random, failing: float = 0.0) -> None:
        super().__init__()
        self.failing = failing
        self._scheduler = scheduler
        self._chance = chance

    def read(self, identifiers: Collection[str]) -> Mapping[str, TableItem]:
        self._travel()
        found = super().read(identifiers)
        self._travel()
        return found

    def claim(self, identifier: str, item: TableItem, now: float) -> LeaseClaim:
        self._travel()
        done = super().claim(identifier, item, now)
        self._travel()
        return done

    def write(self, identifier: str, item: TableItem, replaces: str | None) -> bool:
        self._travel()
        done = super().write(identifier, item, replaces)
        self._travel()
        return done

    def delete(self, identifier: str, token: str) -> None:
        self._travel()
        super().delete(identifier, token)
        self._travel()

    def _travel(self) -> None:
        self._scheduler.sleep(self._chance.uniform(*SECONDS))
        if self._chance.random() < self.failing / 2:
            raise TableUnavailableError("DynamoDB: InternalServerError")
