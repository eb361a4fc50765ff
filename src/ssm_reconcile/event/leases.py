"""The leases of one run: taken in one pass, never waited for, released at the end.

If the table cannot be reached, the run goes on without leases: every write is checked right before it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from ssm_reconcile.event.state import State, TableUnavailableError
from ssm_reconcile.event.timer import Timer

NO_DATA: Mapping[str, Any] = MappingProxyType({})
MARGIN = 15.0
"""Seconds for which a lease outlives the invocation that took it."""


@dataclass(slots=True)
class Leases:
    """The leases of one run.

    Attributes:
        state: The state of the stack; None without a table.
        timer: The time of the invocation; a lease ends soon after it.
        error: Why the table could not be used; empty if it could.
        token: The holder. A run that has the token of a killed one takes its leases over.
        held: The leases that are held now, with the data that the last holder left.
    """

    state: State | None
    timer: Timer
    error: str = ""
    held: dict[str, Any] = field(default_factory=dict)
    token: str = field(default_factory=partial(secrets.token_hex, 8))

    def take(self, wanted: Iterable[str]) -> frozenset[str]:
        """Take leases; return those that another run holds. Without a table no other run holds any."""
        every = frozenset(wanted)
        if self.state is None:
            return frozenset()
        try:
            taken = self.state.take_leases(every, self.token, self.timer.ends_at() + MARGIN)
        except TableUnavailableError as failure:
            self.error = failure.message
            self.held |= dict.fromkeys(every)  # some of them may have been taken
            return frozenset()
        self.held |= taken
        return every - taken.keys()

    def release(self, leases: Iterable[str] | None = None, data: Mapping[str, Any] = NO_DATA) -> None:
        """Release some of the leases, or all. A lease that cannot be released ends by itself.

        Args:
            leases: The leases; None for all.
            data: What the next holder finds there, by lease.
        """
        chosen = self.held if leases is None else leases
        gone = {lease: data.get(lease) for lease in frozenset(chosen) & self.held.keys()}
        for lease in gone:
            del self.held[lease]
        if self.state is None:
            return
        try:
            self.state.release_leases(gone, self.token)
        except TableUnavailableError as failure:
            self.error = self.error or failure.message
