"""Requests that urllib3 sends to the GitHub of the tests, answered in this process and without a socket.

A request over loopback costs a millisecond and a half: two threads, two parsers of headers. Requests
of other processes still go through the server.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from tests.github.content import Hub
from tests.github.server import respond

_request = urllib3.PoolManager.request


def answer_in_process(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    """Answer the requests to a GitHub here, also those to the other name of its host."""
    port = urlsplit(hub.url).port

    def request(
        pools: urllib3.PoolManager,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **others: Any,
    ) -> urllib3.BaseHTTPResponse:
        parts = urlsplit(url)
        if parts.port != port:
            return _request(pools, method, url, body=body, headers=headers, **others)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        status, found, content = respond(hub, method, target, {"Host": parts.netloc, **(headers or {})}, body)
        return urllib3.HTTPResponse(content, found, status)

    monkeypatch.setattr(urllib3.PoolManager, "request", request)
