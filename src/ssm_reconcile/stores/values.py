"""Names -> values by GetParameters: ten in a call, calls in parallel; one bad name does not fail its batch.

AWS refuses a whole batch for one parameter that may not be read or whose key cannot be used; this is not
documented.
So a refused batch is read again name by name, and only the names that fail alone have failed. A failure of
the place (credentials, network) is raised, and so is the third batch without a response.
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

_NAME_FAILURES = frozenset({Trouble.DENIED, Trouble.KEY, Trouble.MISSING, Trouble.REFUSED})
_PLACE_FAILURES = frozenset({Trouble.LOST, Trouble.THROTTLED})
_GIVE_UP_AFTER = 3


@dataclass(frozen=True, slots=True)
class Values:
    """Reads the values of one place. Thread-safe."""

    ssm: SSMClient
    calls: Calls
    parallelism: int

    def read(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """Return the answers for the names, as described at `base.Reader.values`. Raise StoreError."""
        work = _Work(self.ssm, self.calls, decrypt=decrypt)
        asked = dict.fromkeys(map(canonical, names))
        self._run(work.batch, list(batches(asked, NAMES_PER_CALL)))
        # AWS may have stored a name of one level without its slash, so a missing name is read in both forms.
        bare = [forms(name)[-1] for name in sorted(work.missing) if len(forms(name)) > 1]
        self._run(work.batch, list(batches(bare, NAMES_PER_CALL)))
        missing = frozenset(work.missing) - work.found.keys() - work.failed.keys()
        return Answers(found=work.found, missing=missing, failed=work.failed)

    def _run(self, ask: Callable[[tuple[str, ...]], None], asked: Sequence[tuple[str, ...]]) -> None:
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
    """The results of one read so far, by canonical name or `name:version`."""

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
        """Read some names. Raise StoreError for a failure of the place."""
        if self.gave_up is not None:
            raise self.gave_up  # other batches have started before the first failure was raised
        try:
            found, missing = self.calls.read("GetParameters", partial(self._ask, names))
        except StoreError as failure:
            if failure.kind in _PLACE_FAILURES:
                self._count(failure)
            elif failure.kind not in _NAME_FAILURES:
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
                self.failed[name] = self.calls.error(Trouble.LOST, "GetParameters", "NoAnswer", remedy)

    def _ask(self, names: tuple[str, ...]) -> tuple[Mapping[str, Value], set[str]]:
        answer = self.ssm.get_parameters(Names=list(names), WithDecryption=self.decrypt)
        # A parameter is in a batch once, so the name without selector identifies the answer.
        asked = {canonical(name).partition(":")[0]: canonical(name) for name in names}
        # All names may be invalid. Without either list the response is not valid: KeyError.
        invalid = answer.get("InvalidParameters", [])
        listed = answer.get("Parameters", []) if invalid else answer["Parameters"]
        values = [value_of(one) for one in listed]
        found = {asked[value.name]: value for value in values if value.name in asked}
        return found, {canonical(name) for name in invalid} - found.keys()

    def _count(self, failure: StoreError) -> None:
        """Count a batch without a response; raise at the third: then the place does not respond."""
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
