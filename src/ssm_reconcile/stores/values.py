"""Names -> values by GetParameters: ten at a time, side by side, one bad name never failing its batch.

AWS refuses a whole batch for one parameter whose key cannot be used or that may not be read (aws-facts
B7), so a refused batch is asked again name by name, and only the names that fail alone have failed. A
trouble of the place (credentials, network) is raised; so is the third batch that AWS would not answer
however often it was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ssm_reconcile.aws_limits import NAMES_PER_CALL
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Value, canonical
from ssm_reconcile.stores.base import Answers
from ssm_reconcile.stores.calls import Calls
from ssm_reconcile.stores.wire import batches, forms, value_of
from ssm_reconcile.system import ReadPool

if TYPE_CHECKING:
    from types_boto3_ssm.client import SSMClient

_OF_A_NAME = frozenset({Trouble.DENIED, Trouble.KEY, Trouble.MISSING, Trouble.REFUSED})
_PASSING = frozenset({Trouble.LOST, Trouble.THROTTLED})
_GIVE_UP_AFTER = 3


@dataclass(frozen=True, slots=True)
class Values:
    """Reads values of one place. Thread-safe."""

    ssm: SSMClient
    calls: Calls
    parallelism: int

    def read(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """What AWS says of each name, as `base.Reader.values` has it; raises StoreError."""
        work = _Work(self.ssm, self.calls, decrypt=decrypt)
        asked = dict.fromkeys(map(canonical, names))
        self._side_by_side(work.batch, list(batches(asked, NAMES_PER_CALL)))
        # A name of one level may be stored without its slash; that nothing is there is believed only
        # after both forms were asked.
        bare = [forms(name)[-1] for name in sorted(work.missing) if len(forms(name)) > 1]
        self._side_by_side(work.batch, list(batches(bare, NAMES_PER_CALL)))
        missing = frozenset(work.missing) - work.found.keys() - work.failed.keys()
        return Answers(found=work.found, missing=missing, failed=work.failed)

    def _side_by_side(self, ask: Callable[[tuple[str, ...]], None], asked: Sequence[tuple[str, ...]]) -> None:
        if len(asked) <= 1 or self.parallelism <= 1:
            for batch in asked:
                ask(batch)
            return
        workers = min(self.parallelism, len(asked))
        with ReadPool(max_workers=workers, thread_name_prefix="values") as pool:
            for done in [pool.submit(ask, batch) for batch in asked]:
                done.result()


@dataclass(slots=True)
class _Work:
    """What one reading has found so far, keyed by canonical name or `name:version`."""

    ssm: SSMClient
    calls: Calls
    decrypt: bool
    found: dict[str, Value] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    failed: dict[str, StoreError] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    unanswered: int = 0
    gave_up: StoreError | None = None

    def batch(self, names: tuple[str, ...]) -> None:
        """Asks for some names; raises StoreError when the trouble is not theirs."""
        if self.gave_up is not None:
            raise self.gave_up  # before whoever waits for the batches has heard of it
        try:
            found, missing = self.calls.read("GetParameters", partial(self._ask, names))
        except StoreError as failure:
            if failure.kind in _PASSING:
                self._count(failure)
            elif failure.kind not in _OF_A_NAME:
                raise
            elif len(names) > 1:
                for name in names:
                    self.batch((name,))
                return
            self._failed(names, failure)
            return
        with self.lock:
            self.found.update(found)
            self.missing |= missing
            for name in {canonical(name) for name in names} - found.keys() - missing:
                remedy = "run again: AWS left this parameter out of its answer"
                self.failed[name] = self.calls.trouble(Trouble.LOST, "GetParameters", "NoAnswer", remedy)

    def _ask(self, names: tuple[str, ...]) -> tuple[Mapping[str, Value], set[str]]:
        answer = self.ssm.get_parameters(Names=list(names), WithDecryption=self.decrypt)
        # A batch asks for a parameter once, so its bare name says which question this answers.
        asked = {canonical(name).partition(":")[0]: canonical(name) for name in names}
        # all names may be invalid; without either list it is no answer at all
        invalid = answer.get("InvalidParameters", [])
        told = answer.get("Parameters", []) if invalid else answer["Parameters"]
        values = [value_of(one) for one in told]
        found = {asked[value.name]: value for value in values if value.name in asked}
        return found, {canonical(name) for name in invalid} - found.keys()

    def _count(self, failure: StoreError) -> None:
        """One batch more that AWS would not answer: after a few it is the place, not the batch."""
        with self.lock:
            self.unanswered += 1
            if self.unanswered >= _GIVE_UP_AFTER:
                self.gave_up = failure
                raise failure

    def _failed(self, names: tuple[str, ...], failure: StoreError) -> None:
        with self.lock:
            for name in map(canonical, names):
                if failure.kind is Trouble.MISSING:
                    self.missing.add(name)
                else:
                    self.failed[name] = failure
