"""One call to AWS -> its answer, or a `StoreError`: rates, retries and failures in one place.

A read takes a token for each attempt and is repeated, after a pause that grows (full jitter), as long
as the trouble is one that passes. A write is one request: its caller knows what a repetition means.
The SDK's own retries are off, so that what is counted here is what goes over the wire.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ssm_reconcile.aws_limits import CALL_CLASSES
from ssm_reconcile.clock import Clock
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.stores.failures import name_failure
from ssm_reconcile.stores.rates import Bucket

Answer = TypeVar("Answer")

ATTEMPTS: Mapping[Trouble, int] = {Trouble.THROTTLED: 10, Trouble.LOST: 5, Trouble.UNREACHABLE: 3}
"""How often a read is tried in all, by the trouble that it met; other trouble does not pass."""
UNANSWERED_ATTEMPTS = 2
"""The same for a read with a slower substitute, when no answer arrives at all."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 20.0
"""Seconds; the pause before attempt n+1 is random between 0 and FIRST_PAUSE * 2**(n-1), at most this."""
RESTARTS = 1
"""How often a listing begins anew when its token has expired or leads in a circle."""


def attempt(
    call: Callable[[], Answer], *, operation: str, place: str, who: str = "", profile: str = ""
) -> Answer | StoreError:
    """Makes a call once, and returns what went wrong as a value.

    Returned, not raised: raised inside of `except`, the error would carry the original along, and
    with it AWS's message and the request.
    """
    try:
        return call()
    except StoreError as named:  # a role could not be assumed again in the middle of the call
        return named
    except Exception as error:  # noqa: BLE001  a store promises StoreError and nothing else
        return name_failure(error, operation=operation, place=place, who=who, profile=profile)


def retrying(
    call: Callable[[], Answer | StoreError],
    clock: Clock,
    jitter: Callable[[], float],
    *,
    replaceable: bool = False,
) -> Answer:
    """The answer of a call that may be repeated; raises the last StoreError.

    `replaceable`: another call can take its place, so a missing answer is not waited for long.
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
    """Calls to one place. `jitter` is a random number in [0, 1)."""

    place: str
    who: str
    rates: Mapping[str, Bucket]
    clock: Clock
    jitter: Callable[[], float] = random.random
    profile: str = ""

    def read(self, operation: str, call: Callable[[], Answer], *, replaceable: bool = False) -> Answer:
        """The answer of a read, retried; each attempt takes a token of its operation class."""

        def once() -> Answer | StoreError:
            self._bucket(operation).take()
            return self._noted(operation, call)

        return retrying(once, self.clock, self.jitter, replaceable=replaceable)

    def once(self, operation: str, call: Callable[[], Answer]) -> Answer:
        """The answer of a read on which nothing depends: asked once, so that nobody waits for it."""
        self._bucket(operation).take()
        return self.write(operation, call)

    def write(self, operation: str, call: Callable[[], Answer]) -> Answer:
        """The answer of a write: one request, its turn was awaited before."""
        answer = self._noted(operation, call)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def trouble(self, kind: Trouble, operation: str, code: str, remedy: str) -> StoreError:
        """An error that AWS did not name: its answer makes no sense."""
        return StoreError(kind, place=self.place, operation=operation, code=code, remedy=remedy)

    def pages(
        self,
        operation: str,
        call: Callable[[str | None], tuple[Answer, str | None]],
        *,
        replaceable: bool = False,
    ) -> Iterator[Answer]:
        """All pages of a listing; only a missing token ends it, never a short or an empty page.

        `call` takes the token of the page (None for the first) and returns the page and the next token.

        When the token has expired, or one comes that was there before, the listing begins anew,
        once: pages then come a second time, later ones being the newer truth. After that it raises
        StoreError (TOKEN).
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
        call: Callable[[str | None], tuple[Answer, str | None]],
        *,
        replaceable: bool,
    ) -> Iterator[Answer]:
        token: str | None = None
        seen: set[str] = set()
        while True:
            page, token = self.read(operation, partial(call, token), replaceable=replaceable)
            yield page
            if not token:
                return
            if token in seen:
                remedy = f"run again: the pages of {operation} in {self.place} lead in a circle"
                raise self.trouble(Trouble.TOKEN, operation, "RepeatedToken", remedy)
            seen.add(token)

    def _noted(self, operation: str, call: Callable[[], Answer]) -> Answer | StoreError:
        answer = attempt(call, operation=operation, place=self.place, who=self.who, profile=self.profile)
        if isinstance(answer, StoreError) and answer.kind is Trouble.THROTTLED:
            self._bucket(operation).throttled()
        return answer

    def _bucket(self, operation: str) -> Bucket:
        return self.rates[CALL_CLASSES[operation]]
