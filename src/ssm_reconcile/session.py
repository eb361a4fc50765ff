"""One run -> what all of its steps share: opened places, options, clock, progress, digest key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial

from ssm_reconcile.clock import Clock
from ssm_reconcile.places import Places
from ssm_reconcile.progress import ProgressListener
from ssm_reconcile.spec import Run


@dataclass(frozen=True, slots=True)
class Session:
    """The surroundings of a run; the specs and the plan are arguments of their own.

    `key` keys the digests by which values are compared. A new session has a new key, so the digests of
    one run reveal nothing in another.
    """

    places: Places
    run: Run
    clock: Clock
    progress: ProgressListener
    key: bytes = field(default_factory=partial(secrets.token_bytes, 32), repr=False)
