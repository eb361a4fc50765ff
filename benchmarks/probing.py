"""A bootstrap that probes, beside a second client: its calls and the throttled calls of both.

The quotas are twice those of `quotas.AWS`, with 25 ms of latency. The second client puts parameters of its
own in the target at a constant share of the quota, from the start of the apply to its end.

`doctor --probe` measures the same quotas, alone on a server.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import PRODUCT, cost
from benchmarks.quotas import AWS
from benchmarks.scenes import LATENCY
from benchmarks.seeds import Seed, spec_text
from benchmarks.served import CREDENTIALS, Server

COUNT = 2_500
"""Parameters: 11 to 13 minutes at the rates that probing finds."""
SHARE = 0.3
"""The part of the quota of PutParameter that the second client uses."""
QUOTAS = {kind: 2 * rate for kind, rate in AWS.items()}
_FOUND = re.compile(r"^(.*): rates found by probing, for the spec: rates: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ProbingRow:
    """The apply and the second client. `rates`: the places with the rates found in each."""

    count: int
    seconds: float
    calls: int
    throttled: int
    other_calls: int
    other_throttled: int
    rates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DoctorRow:
    """The report of `doctor --probe`: its seconds, and the sustained rate by class; None if not found."""

    seconds: float
    created: int
    throttled: int
    calls: int
    rates: dict[str, float | None]


def measure(server: Server) -> DoctorRow:
    """Measure the quotas of an empty place by `doctor --probe`."""
    seed = Seed(0)
    server.world(seed)
    server.weather(rates=QUOTAS, latency=LATENCY)
    command = [*PRODUCT, "doctor", "--probe", "/probe", "--account", seed.account, "--yes-write-here"]
    with tempfile.TemporaryDirectory() as folder:  # without a spec, the region is that of the environment
        words = (*command, "--format", "json", "--endpoint-url", server.url)
        taken = cost(server, words, cwd=Path(folder))
    found = json.loads(taken.output)
    return DoctorRow(
        seconds=taken.wall,
        created=found["created"],
        throttled=taken.counts.throttled.total(),
        calls=taken.counts.requests,
        rates={rate["class"]: rate["sustained"] for rate in found["rates"]},
    )


def run(server: Server, count: int) -> ProbingRow:
    """Bootstrap a target of `count` parameters with `rates: { probe: true }` beside a second client."""
    seed = Seed(count)
    server.world(seed)
    server.weather(rates=QUOTAS, latency=LATENCY)
    with tempfile.TemporaryDirectory() as folder, _second_client(server, seed) as second:
        path = Path(folder, "replication.yaml")
        path.write_text(spec_text(seed, {"probe": True}))
        taken = cost(server, [*PRODUCT, "apply", "-v", "--endpoint-url", server.url, str(path), "--yes"])
    counts = taken.counts
    return ProbingRow(
        count=count,
        seconds=taken.wall,
        calls=counts.requests - second.calls,
        throttled=counts.throttled.total() - second.throttled,
        other_calls=second.calls,
        other_throttled=second.throttled,
        rates=tuple(": ".join(found) for found in _FOUND.findall(taken.errors)),
    )


@dataclass(slots=True)
class SecondClient:
    """The calls of the second client."""

    calls: int = 0
    throttled: int = 0


@contextmanager
def _second_client(server: Server, seed: Seed) -> Iterator[SecondClient]:
    """Put parameters in the target at a constant rate, in a thread, as long as this lasts."""
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import ClientError

    (region,) = seed.targets
    session = Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    client = session.client(
        "ssm", region, endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1})
    )
    second, over = SecondClient(), threading.Event()

    def put() -> None:
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            due += 1 / (SHARE * QUOTAS["put"])
            second.calls += 1
            try:
                client.put_parameter(Name="/other/a", Value="x", Type="String", Overwrite=True)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ThrottlingException":
                    raise
                second.throttled += 1

    thread = threading.Thread(target=put, name="second client", daemon=True)
    thread.start()
    try:
        yield second
    finally:
        over.set()
        thread.join()
