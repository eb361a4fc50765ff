"""An AWS for benchmarks: the calls of a replicator to SSM, GetResources, KMS and STS, on loopback.

    python -m benchmarks.server [--port N]      prints its port, and ends when its standard input does

It pages by what is asked for, throttles by token buckets (`quotas.py`), answers after a latency, and
counts every request by operation. It checks no signatures; account and region are those of the
credential that signed: an access key that ends in twelve digits belongs to that account.

Why not moto: its DescribeParameters pages by ten whatever is asked and walks all parameters for every
page, so that a scan of 10,000 takes 1,001 pages and over a minute of the server's CPU; it
neither throttles nor delays. What would be measured is moto. This server takes some 0.1 ms a
request, so a client's own costs can be seen behind it.

Bounded: loopback only, bodies up to a megabyte, so many connections, an hour of life.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from benchmarks.operations import KNOWN, Refused, Service
from benchmarks.quotas import Quotas
from benchmarks.seeds import Seed, sow
from benchmarks.world import World

BODY_LIMIT = 1_000_000
CONNECTIONS = 512
LIFETIME = 3600.0
CONTROL = "/_bench/"
ACCOUNT = "123456789012"
_DIGITS = 12


class Cloud:
    """The state behind the connections: world, quotas, latency, counts. One thread only."""

    def __init__(self) -> None:
        self.world = World()
        self.quotas = Quotas(time.monotonic)
        self.latency = 0.0
        self.sparse = 0
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.seen: list[tuple[float, str]] = []
        self.tracing = False

    def answer(self, target: str, credential: tuple[str, str], body: bytes) -> tuple[int, str, str]:
        """Status, content type and text of the answer to one signed request."""
        account, region = credential
        if not target:
            return self._sts(account, body)
        service, _, operation = target.partition(".")
        self.calls[operation] += 1
        self.places[f"{account}/{region} {operation}"] += 1
        if self.tracing:
            self.seen.append((time.monotonic(), f"{region} {operation}"))
        if not self.quotas.admits(account, region, operation):
            self.throttled[operation] += 1
            code = "ThrottledException" if service.startswith("ResourceGroups") else "ThrottlingException"
            return _refusal(code)
        if operation not in KNOWN:
            return _refusal("UnknownOperationException")
        caller = f"arn:aws:sts::{account}:assumed-role/ssm-reconcile/bench"
        serving = Service(self.world.region(account, region), caller, time.time, self.calls, self.sparse)
        try:
            return 200, "application/x-amz-json-1.1", serving.serve(operation, json.loads(body))
        except Refused as refused:
            return _refusal(str(refused))

    def _sts(self, account: str, body: bytes) -> tuple[int, str, str]:
        asked = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        action = asked.get("Action", "")
        self.calls[action] += 1
        if action == "AssumeRole":
            answer = _assumed(asked["RoleArn"])
        else:
            arn = f"arn:aws:iam::{account}:user/bench"
            answer = f"<Arn>{arn}</Arn><UserId>AIDABENCH</UserId><Account>{account}</Account>"
        text = f"<{action}Response><{action}Result>{answer}</{action}Result></{action}Response>"
        return 200, "text/xml", text

    def control(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the response to a control request of the runner."""
        match verb:
            case "world":
                sow(self.world, Seed(**{**body, "targets": tuple(body["targets"])}))
            case "weather":
                self.quotas.enforce(body.get("rates", {}), body.get("bursts", {}))
                self.latency = body.get("latency", 0.0)
                self.sparse = body.get("sparse", 0)
                self.tracing = body.get("tracing", False)
            case "counts":
                answer = {
                    "calls": self.calls,
                    "throttled": self.throttled,
                    "places": self.places,
                    "seen": self.seen,
                }
                self.calls, self.throttled, self.places, self.seen = Counter(), Counter(), Counter(), []
                return answer
            case "differing":
                one, other = (self.world.region(body["account"], body[end]) for end in ("source", "target"))
                return {"names": one.differing(other)}
            case _:
                return {"error": f"unknown: {verb}"}
        return {}


def _refusal(code: str) -> tuple[int, str, str]:
    return 400, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": "Rate exceeded"})


def _assumed(role: str) -> str:
    account = role.split(":")[4]
    return (
        f"<Credentials><AccessKeyId>ASIABENCH{account}</AccessKeyId><SecretAccessKey>bench</SecretAccessKey>"
        "<SessionToken>bench</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    )


class Connection(asyncio.Protocol):
    """HTTP/1.1 as SDKs speak it: one request after the other, a length on each body."""

    def __init__(self, cloud: Cloud, open_now: set[Connection]) -> None:
        self._cloud = cloud
        self._open = open_now
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)
        if len(self._open) > CONNECTIONS:
            transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget it."""
        self._open.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer once a request is complete."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if length > BODY_LIMIT:
            self._abort()
        elif len(rest) >= length:
            self._buffer = rest[length:]
            self._respond(first.split(" ")[1], headers, rest[:length])

    def _respond(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path.startswith(CONTROL):
            counts = json.dumps(self._cloud.control(path.removeprefix(CONTROL), json.loads(body or b"{}")))
            self._write(_response(200, "application/json", counts))
            return
        credential = _credential(headers.get("authorization", ""))
        answer = _response(*self._cloud.answer(headers.get("x-amz-target", ""), credential, body))
        if self._cloud.latency > 0:
            asyncio.get_running_loop().call_later(self._cloud.latency, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _credential(authorization: str) -> tuple[str, str]:
    """Account and region of a signature: `AWS4-HMAC-SHA256 Credential=KEY/date/region/service/...`."""
    _, _, scope = authorization.partition("Credential=")
    key, _, region, *_ = (*scope.split("/"), "", "")
    account = key[-_DIGITS:]
    return (account if len(account) == _DIGITS and account.isdigit() else ACCOUNT), region


def _response(status: int, kind: str, text: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(port: int, say: Callable[[int], None]) -> None:
    loop = asyncio.get_running_loop()
    cloud, connections, over = Cloud(), set[Connection](), asyncio.Event()
    server = await loop.create_server(lambda: Connection(cloud, connections), "127.0.0.1", port)
    say(server.sockets[0].getsockname()[1])

    def wait_for_the_end() -> None:
        sys.stdin.read()  # the parent holds the other end: when it is gone, so is this
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    async with server:
        await asyncio.wait([asyncio.ensure_future(over.wait())], timeout=LIFETIME)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    asked = parser.parse_args()

    def say(port: int) -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    asyncio.run(_serve(asked.port, say))


if __name__ == "__main__":
    main()
