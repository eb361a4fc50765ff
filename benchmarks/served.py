"""The server in a process of its own, and the requests that set its world, its quotas and its counts."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.quotas import CLASS_OF
from benchmarks.seeds import Seed

ROOT = Path(__file__).parents[1]
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIABENCH123456789012",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""The credentials of a client; the server does not check them."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests since the last look: all of them and the throttled ones, by operation.

    `places`: all of them by `account/region operation`. `seen`: when (monotonic seconds of the server)
    and what, where it was asked to trace.
    """

    calls: Counter[str]
    throttled: Counter[str]
    places: Counter[str] = field(default_factory=Counter)
    seen: tuple[tuple[float, str], ...] = ()

    @property
    def decrypted(self) -> int:
        """SecureStrings that were handed out in clear."""
        return self.calls["Decrypt"]

    def necessary(self, rates: Mapping[str, float]) -> float:
        """Return the seconds that these calls need at so many a second by class, without a burst.

        Throttled requests were not necessary; they are few where this number matters, and are included.
        """
        return self.slowest(rates)[0]

    def slowest(self, rates: Mapping[str, float]) -> tuple[float, str]:
        """Return the seconds of the class of calls that needs most of them in one place, and that class."""
        totals: Counter[tuple[str, str]] = Counter()
        for key, count in self.places.items():
            place, operation = key.split(" ")
            totals[place, CLASS_OF.get(operation, "")] += count
        seconds = ((n / rates[kind], kind) for (_, kind), n in totals.items() if kind in rates)
        return max(seconds, default=(0.0, ""))

    @property
    def requests(self) -> int:
        """All requests."""
        return self.calls.total() - self.decrypted


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        """Its address, for `--endpoint-url`."""
        return f"http://127.0.0.1:{self.port}"

    def world(self, seed: Seed) -> None:
        """Make the regions of a seed again, and clear the counts."""
        self._ask("world", asdict(seed))
        self.counts()

    def weather(
        self,
        *,
        rates: Mapping[str, float] | None = None,
        bursts: Mapping[str, float] | None = None,
        latency: float = 0.0,
        sparse: int = 0,
        tracing: bool = False,
    ) -> None:
        """Quotas (calls per second and burst by class; none: none), seconds of latency, empty pages."""
        asked = {"rates": rates or {}, "bursts": bursts or {}, "latency": latency}
        self._ask("weather", asked | {"sparse": sparse, "tracing": tracing})

    def counts(self) -> Counts:
        """Return the requests since the last call of this function."""
        counts = self._ask("counts", {})
        seen = tuple((when, what) for when, what in counts["seen"])
        return Counts(Counter(counts["calls"]), Counter(counts["throttled"]), Counter(counts["places"]), seen)

    def differing(self, seed: Seed) -> list[str]:
        """The names that are not the same in the source and in a target of a seed."""
        asked = {"account": seed.account, "source": seed.source}
        answers = (self._ask("differing", asked | {"target": name}) for name in seed.targets)
        return sorted({name for answer in answers for name in answer["names"]})

    def _ask(self, verb: str, body: Mapping[str, Any]) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=900)
        try:
            connection.request("POST", f"/_bench/{verb}", json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def environment() -> dict[str, str]:
    """Return the environment of a child: this one without AWS settings, with the credentials of the server.

    Python may write compiled modules: an installed package has them, and its start uses them.
    """
    dropped = ("AWS_", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    return kept | CREDENTIALS | {"PYTHONPATH": path, "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def serving() -> Iterator[Server]:
    """A server for as long as this lasts."""
    command = [sys.executable, "-m", "benchmarks.server"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()))
    finally:
        process.communicate("")
