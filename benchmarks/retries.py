"""150 PutParameter against ten a second: botocore's retry modes and a token bucket, side by side.

Parallel writes with each retry mode of botocore. Each way has a region, and so a quota,
of its own, and all run at the same time: the server allows ten calls a second with a burst of ten, so the
least is fourteen seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.served import CREDENTIALS, Server
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, SealedText
from ssm_reconcile.stores.base import Put
from ssm_reconcile.stores.ssm import Aws
from ssm_reconcile.system import SystemClock

PUTS = 150
RATE = 10.0
_TRIES = 12


@dataclass(frozen=True, slots=True)
class Way:
    """One way to repeat what was throttled. `mode`: botocore's, or `bucket` for ours."""

    mode: str
    threads: int
    attempts: int | None = None

    @property
    def label(self) -> str:
        """The name in the table."""
        name = "own token bucket" if self.mode == "bucket" else f"`{self.mode}`"
        return name if self.attempts is None else f"{name}, {self.attempts} attempts"


WAYS = (
    Way("legacy", 8), Way("legacy", 32),
    Way("standard", 8), Way("standard", 32),
    Way("standard", 32, 10),
    Way("adaptive", 8), Way("adaptive", 32),
    Way("bucket", 8), Way("bucket", 32),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RetryResult:
    """The result of one way: all puts, seconds, lost puts, sent requests."""

    way: Way
    puts: int
    seconds: float
    lost: int
    requests: int


def compare(server: Server, puts: int = PUTS) -> list[RetryResult]:
    """Run all ways at the same time, each in a region of its own."""
    server.weather(rates={"put": RATE}, bursts={"put": RATE})
    server.counts()
    regions = {way: f"bench-{number}" for number, way in enumerate(WAYS)}
    putters = {way: _putter(way, region, server.url) for way, region in regions.items()}
    with ThreadPoolExecutor(len(WAYS)) as pool:
        ended = dict(zip(WAYS, pool.map(lambda way: _run(way, putters[way], puts), WAYS), strict=True))
    sent = server.counts().places
    account = CREDENTIALS["AWS_ACCESS_KEY_ID"][-12:]
    return [
        RetryResult(way, puts, ended[way][0], ended[way][1], sent[f"{account}/{regions[way]} PutParameter"])
        for way in WAYS
    ]


def _run(way: Way, put: Callable[[int], bool], puts: int) -> tuple[float, int]:
    began = time.monotonic()
    with ThreadPoolExecutor(way.threads) as pool:
        done = list(pool.map(put, range(puts)))
    return time.monotonic() - began, done.count(False)


def _putter(way: Way, region: str, url: str) -> Callable[[int], bool]:
    """Return a function that writes parameter number n and returns whether it exists."""
    return _ours(region, url) if way.mode == "bucket" else _botocores(way, region, url)


def _botocores(way: Way, region: str, url: str) -> Callable[[int], bool]:
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import ClientError

    tries = {} if way.attempts is None else {"total_max_attempts": way.attempts}
    retries: Any = {"mode": way.mode, **tries}
    client = Session(
        CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=region
    ).client("ssm", endpoint_url=url, config=Config(retries=retries, max_pool_connections=64))

    def put(number: int) -> bool:
        try:
            client.put_parameter(Name=f"/bench/{number}", Value="x", Type="String")
        except ClientError as error:
            return error.response["Error"]["Code"] == "ParameterAlreadyExists"
        return True

    return put


def _ours(region: str, url: str) -> Callable[[int], bool]:
    clock = SystemClock(threading.Event())
    access = Access(region, rates=(("put", RATE),))
    store = Aws(endpoint_url=url, clock=clock).connect(access)

    def put(number: int) -> bool:
        for _ in range(_TRIES):
            store.await_turn(CallClass.PUT)
            try:
                store.put(Put(f"/bench/{number}", SealedText("x"), "String", overwrite=False))
            except StoreError as failure:
                if failure.kind is not Trouble.THROTTLED:
                    return False
                clock.sleep(0.5)
            else:
                return True
        return False

    return put
