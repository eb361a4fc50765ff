"""The way between a caller and a world: each call is written down, and may be made to go wrong.

    Call      one request as AWS would have seen it
    Fault     how one call goes wrong: refused, lost, killed, a page that is skipped
    Traffic   the log of calls, the faults to come, and what happens between two calls

A fault plan is a function of operation, place, names and how many calls of that operation the place
has had with this one (from 1). It answers a fault or None.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Place
from tests.fake_aws.refusal import Refusal

_Answer = TypeVar("_Answer")

WRITES = frozenset({"PutParameter", "AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters"})
"""The operations of `base.Writer`."""
AWAIT_TURN = "AwaitTurn"
"""Not an operation of AWS: the moment before `Writer.await_turn` returns, for callbacks only."""

_CODES = {
    Trouble.DENIED: "AccessDeniedException",
    Trouble.CREDENTIALS: "ExpiredTokenException",
    Trouble.UNREACHABLE: "EndpointConnectionError",
    Trouble.THROTTLED: "ThrottlingException",
    Trouble.LOST: "ReadTimeoutError",
    Trouble.MISSING: "ParameterNotFound",
    Trouble.EXISTS: "ParameterAlreadyExists",
    Trouble.KEY: "InvalidKeyId",
    Trouble.TYPE: "HierarchyTypeMismatchException",
    Trouble.DOWNGRADE: "ValidationException",
    Trouble.TOKEN: "PaginationTokenExpiredException",
    Trouble.REFUSED: "ValidationException",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `names` are those in it, as they were given; a listing has none."""

    operation: str
    place: Place
    names: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it is one of the operations that change something."""
        return self.operation in WRITES


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one call. `done`: only after the call has had its effect.

    Made by `refused`, `lost`, `killed` and `skipped`.
    """

    kind: Trouble = Trouble.REFUSED
    code: str = ""
    done: bool = False
    crash: BaseException | None = None
    skips: bool = False

    def strike(self, call: Call) -> None:
        """Raises what the caller is to see."""
        if self.crash is not None:
            raise self.crash
        code = self.code or _CODES[self.kind]
        raise StoreError(self.kind, place=str(call.place), operation=call.operation, code=code)


def refused(kind: Trouble, code: str = "") -> Fault:
    """A clean refusal: nothing was done."""
    return Fault(kind, code)


def lost(*, done: bool, code: str = "") -> Fault:
    """The answer is lost; the effect was had (`done`) or not, and the caller cannot tell."""
    return Fault(Trouble.LOST, code, done=done)


def killed(crash: BaseException, *, done: bool) -> Fault:
    """The process ends at this call: `crash` is raised before or after the effect."""
    return Fault(done=done, crash=crash)


def skipped() -> Fault:
    """A page of a listing comes back empty, and what was on it never comes."""
    return Fault(done=True, skips=True)


FaultPlan: TypeAlias = Callable[[str, Place, tuple[str, ...], int], Fault | None]


def at_write(number: int, fault: Fault) -> FaultPlan:
    """A plan that strikes the write with that number (from 1), counted over all places."""
    seen = 0
    lock = threading.Lock()

    def plan(operation: str, _place: Place, _names: tuple[str, ...], _nth: int) -> Fault | None:
        nonlocal seen
        if operation not in WRITES:
            return None
        with lock:
            seen += 1
            return fault if seen == number else None

    return plan


def at_call(operation: str, fault: Fault, *, nth: int | None = None, name: str | None = None) -> FaultPlan:
    """A plan that strikes an operation: its nth call in a place, calls with a name in them, or all."""

    def plan(called: str, _place: Place, names: tuple[str, ...], count: int) -> Fault | None:
        wanted = called == operation and nth in (None, count) and (name is None or name in names)
        return fault if wanted else None

    return plan


@dataclass(slots=True)
class _Callback:
    operation: str
    act: Callable[[], object]
    name: str | None
    times: int

    def fits(self, call: Call) -> bool:
        return call.operation == self.operation and (self.name is None or self.name in call.names)


class Traffic:
    """Carries calls to their effects, one effect at a time. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.calls: list[Call] = []
        self.faults: FaultPlan | None = None
        self._callbacks: list[_Callback] = []
        self._counts: Counter[tuple[str, Place]] = Counter()

    def before(
        self, operation: str, act: Callable[[], object], *, name: str | None = None, times: int = 1
    ) -> None:
        """Has something happen right before the next calls of an operation (with that name in them)."""
        with self.lock:
            self._callbacks.append(_Callback(operation, act, name, times))

    def announce(self, call: Call) -> None:
        """Runs what was to happen before this call, outside of the lock, so that it may wait."""
        due = []
        with self.lock:
            for callback in self._callbacks:
                if callback.times > 0 and callback.fits(call):
                    callback.times -= 1
                    due.append(callback)
            self._callbacks = [callback for callback in self._callbacks if callback.times > 0]
        for callback in due:
            callback.act()

    def perform(
        self, call: Call, effect: Callable[[], _Answer], *, skip: Callable[[_Answer], _Answer] | None = None
    ) -> _Answer:
        """One call: written down, announced, struck or done. `skip` empties the answer of a page."""
        with self.lock:
            self.calls.append(call)
            self._counts[call.operation, call.place] += 1
            nth = self._counts[call.operation, call.place]
            plan = self.faults
        self.announce(call)
        fault = None if plan is None else plan(call.operation, call.place, call.names, nth)
        if fault is not None and not fault.done:
            fault.strike(call)
        try:
            with self.lock:
                answer = effect()
        except Refusal as refusal:
            if fault is not None and not fault.skips:
                fault.strike(call)
            raise StoreError(
                refusal.kind, place=str(call.place), operation=call.operation, code=refusal.code
            ) from None
        if fault is not None:
            if fault.skips and skip is not None:
                return skip(answer)
            fault.strike(call)
        return answer

    def count(self, operation: str | None = None) -> int:
        """Return the number of calls, of one operation or in all."""
        with self.lock:
            return sum(operation in (None, call.operation) for call in self.calls)

    def writes(self) -> list[Call]:
        """The calls that change something."""
        with self.lock:
            return [call for call in self.calls if call.writes]

    def forget(self) -> None:
        """Empties the log and the counts; what is still to happen stays."""
        with self.lock:
            self.calls.clear()
            self._counts.clear()
