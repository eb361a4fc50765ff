"""One call to AWS -> its result, or a `StoreError`: rates, retries and failures in one place.

A read takes a token for each attempt. It is repeated, after a pause that grows (full jitter), while the
failure is one that passes. A write is one request: its caller knows whether a repetition is safe. The retries
of the SDK are off, so that the calls counted here are the requests that are sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ssm_reconcile.aws_limits import CALL_CLASSES
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.stores.buckets import Bucket
from ssm_reconcile.stores.failures import name_failure
from ssm_reconcile.system import Clock

_T = TypeVar("_T")

ATTEMPTS: Mapping[Trouble, int] = {Trouble.THROTTLED: 10, Trouble.LOST: 5, Trouble.UNREACHABLE: 3}
"""Attempts of a read by the kind of its failure; other failures are final."""
UNANSWERED_ATTEMPTS = 2
"""Attempts of a read that a slower call can replace, when no response arrives."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 20.0
"""Seconds; the pause before attempt n+1 is random between 0 and FIRST_PAUSE * 2**(n-1), at most this."""
RESTARTS = 1
"""Restarts of a listing whose token has expired or came twice."""


def attempt(
    call: Callable[[], _T], *, operation: str, place: str, who: str = "", profile: str = ""
) -> _T | StoreError:
    """Make a call once. Return its failure as a value.

    The failure is not raised here: inside of `except`, Python would chain the original exception to it, and
    with that the message of AWS and the request.

    Args:
        call: the call of the SDK.
        operation: the AWS operation.
        place: `account/region`, or the region.
        who: the ARN of the identity or role that calls.
        profile: the profile of the AWS configuration in use.
    """
    try:
        return call()
    except StoreError as named:  # the role could not be assumed again during the call
        return named
    except Exception as error:  # noqa: BLE001  a store raises StoreError only
        return name_failure(error, operation=operation, place=place, who=who, profile=profile)


def retrying(
    call: Callable[[], _T | StoreError],
    clock: Clock,
    jitter: Callable[[], float],
    *,
    replaceable: bool = False,
) -> _T:
    """Return the result of a call that may be repeated.

    Args:
        call: the call; returns its failure as a value.
        clock: for the pauses.
        jitter: a random number in [0, 1).
        replaceable: whether another call can replace it, so that a missing response is not awaited for long.

    Raises:
        StoreError: the failure of the last attempt.
    """
    tries = 0
    while True:
        answer = call()
        if not isinstance(answer, StoreError):
            return answer
        tries += 1
        limit = ATTEMPTS.get(answer.kind, 1)
        if replaceable and not answer.answered:
            limit = min(limit, UNANSWERED_ATTEMPTS)
        if tries >= limit:
            raise answer
        clock.sleep(jitter() * min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1)))


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to one place. `rates` are its buckets by operation class, `jitter` a random number in [0, 1)."""

    place: str
    who: str
    rates: Mapping[str, Bucket]
    clock: Clock
    jitter: Callable[[], float] = random.random
    profile: str = ""

    def read(self, operation: str, call: Callable[[], _T], *, replaceable: bool = False) -> _T:
        """Return the result of a read, with retries; each attempt takes a token.

        Args:
            operation: the name of the AWS operation.
            call: sends one request.
            replaceable: as in `retrying`.

        Raises:
            StoreError: the read failed after its retries.
        """

        def once() -> _T | StoreError:
            bucket = self._bucket(operation)
            with bucket.open_reads:
                bucket.take()
                return self._attempt(operation, call)

        return retrying(once, self.clock, self.jitter, replaceable=replaceable)

    def once(self, operation: str, call: Callable[[], _T]) -> _T:
        """Return the result of an optional read: one attempt after its turn. The client limits its wait."""
        self._bucket(operation).take()
        return self.write(operation, call)

    def write(self, operation: str, call: Callable[[], _T]) -> _T:
        """Return the result of a write: one request. The caller has awaited its turn before.

        Raises:
            StoreError: the write failed, or its response was lost.
        """
        answer = self._attempt(operation, call)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def error(self, kind: Trouble, operation: str, code: str, remedy: str) -> StoreError:
        """Return an error for a response that AWS should not give.

        Args:
            kind: the kind of failure.
            operation: the name of the AWS operation.
            code: the code of the error.
            remedy: the advice to the reader.
        """
        return StoreError(kind, place=self.place, operation=operation, code=code, remedy=remedy)

    def pages(
        self,
        operation: str,
        call: Callable[[str | None], tuple[_T, str | None]],
        *,
        replaceable: bool = False,
    ) -> Iterator[_T]:
        """Yield all pages of a listing. Only a missing token ends it; a page may be short or empty.

        When the token has expired, or comes twice, the listing restarts once: pages are then repeated, and
        the later page is the newer one.

        Args:
            operation: the AWS operation.
            call: takes the token of the page (None for the first), returns the page and the next token.
            replaceable: whether another call can replace the listing.

        Raises:
            StoreError: TOKEN after the restart; any other failure after its retries.
        """
        for restarts_left in range(RESTARTS, -1, -1):
            try:
                yield from self._pass(operation, call, replaceable=replaceable)
            except StoreError as failure:
                if failure.kind is not Trouble.TOKEN or not restarts_left:
                    raise
            else:
                return

    def _pass(
        self,
        operation: str,
        call: Callable[[str | None], tuple[_T, str | None]],
        *,
        replaceable: bool,
    ) -> Iterator[_T]:
        token: str | None = None
        seen: set[str] = set()
        while True:
            page, token = self.read(operation, partial(call, token), replaceable=replaceable)
            yield page
            if not token:
                return
            if token in seen:
                remedy = f"run again: {operation} in {self.place} returned a page token twice"
                raise self.error(Trouble.TOKEN, operation, "RepeatedToken", remedy)
            seen.add(token)

    def _attempt(self, operation: str, call: Callable[[], _T]) -> _T | StoreError:
        answer = attempt(call, operation=operation, place=self.place, who=self.who, profile=self.profile)
        if isinstance(answer, StoreError) and answer.kind is Trouble.THROTTLED:
            self._bucket(operation).reduce()
        else:
            self._bucket(operation).admit()
        return answer

    def _bucket(self, operation: str) -> Bucket:
        return self.rates[CALL_CLASSES[operation]]
