"""An AWS for the commands: moto in a process of its own, and a proxy in front that can go wrong.

The proxy counts what passes, and answers some requests itself: refused, too late, never.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
PATIENCE = 30.0
"""Seconds that moto may take to answer for the first time."""
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `ssm PutParameter us-east-2`, how many of that kind there were, and its body."""

    service: str
    operation: str
    region: str
    nth: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the proxy itself."""

    status: int
    code: str

    def body(self, service: str) -> bytes:
        """As that service writes errors; the message quotes the request, as AWS's own may do."""
        if service == "sts":
            return (
                '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                f"<Code>{self.code}</Code><Message>no</Message></Error></ErrorResponse>"
            ).encode()
        return json.dumps({"__type": self.code, "message": "no"}).encode()


Meddle: TypeAlias = Callable[[Asked], Answer | None]


@dataclass
class Proxy:
    """A proxy in front of moto. `meddle` may answer, wait, or let a request pass."""

    behind: str
    url: str = ""
    seen: list[Asked] = field(default_factory=list)
    meddle: Meddle | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, service: str, operation: str, region: str, body: bytes) -> Asked:
        with self.lock:
            like = sum((a.service, a.operation, a.region) == (service, operation, region) for a in self.seen)
            asked = Asked(service, operation, region, like + 1, body)
            self.seen.append(asked)
        return asked

    def count(self, operation: str) -> int:
        with self.lock:
            return sum(asked.operation == operation for asked in self.seen)

    def wait_for(self, operation: str, number: int) -> None:
        """Until so many requests of an operation have come."""
        until = time.monotonic() + PATIENCE
        while self.count(operation) < number:
            assert time.monotonic() < until, f"there were only {self.count(operation)} {operation}"
            time.sleep(0.02)


@contextmanager
def moto() -> Iterator[str]:
    """The URL of a fresh moto server in a process of its own."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"},
    )  # fmt: skip
    try:
        until = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, "moto ended at once"
            assert time.monotonic() < until, "moto did not answer"
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex((HOST, port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        process.kill()  # it has no state to save, and on SIGTERM it waits for open connections
        process.wait()


@contextmanager
def proxied(behind: str) -> Iterator[Proxy]:
    """A proxy in front of a server, on a port of its own."""
    proxy = Proxy(behind)

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a second write would wait 40 ms for an acknowledgement

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service, operation, region = self._meaning(body)
            asked = proxy.note(service, operation, region, body)
            answer = proxy.meddle(asked) if proxy.meddle is not None else None
            try:
                if answer is not None:
                    self._reply(answer.status, {}, answer.body(service))
                else:
                    self._pass_on(body)
            except OSError:
                self.close_connection = True  # whoever asked is gone

        def _meaning(self, body: bytes) -> tuple[str, str, str]:
            scope = (self.headers.get("Authorization") or "").partition("Credential=")[2].split(",")[0]
            parts = scope.split("/")
            region, service = (parts[2], parts[3]) if len(parts) > 3 else ("", "")
            target = self.headers.get("X-Amz-Target") or ""
            if target:
                return service, target.rpartition(".")[2], region
            return service, parse_qs(body.decode(errors="replace")).get("Action", [""])[0], region

        def _pass_on(self, body: bytes) -> None:
            parts = urlsplit(proxy.behind)
            connection = HTTPConnection(parts.hostname or HOST, parts.port, timeout=PATIENCE)
            connection.request("POST", self.path, body, dict(self.headers.items()))
            found = connection.getresponse()
            result = found.read()
            self._reply(found.status, dict(found.getheaders()), result)
            connection.close()

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer((HOST, 0), Passing)
    server.daemon_threads = True
    proxy.url = f"http://{HOST}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def unreachable() -> str:
    """Return a URL without a server."""
    return f"http://{HOST}:{_free_port()}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
