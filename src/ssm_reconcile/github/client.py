"""Requests to the GitHub API -> responses, or a `GitHubError` with its kind.

Rate limits are retried after the time that GitHub asks for. Lost responses (5xx, a broken connection) are
retried where a second request is safe. The token goes to the API only: no message, repr, log or redirect has
it. Source: GitHub REST docs, "Rate limits for the REST API".
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from ssm_reconcile import __version__
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.github.workflow_run import WorkflowRun
from ssm_reconcile.system import Clock

PAGE = 100
"""Items a page: the maximum of the REST API."""
ATTEMPTS = 5
"""Maximum attempts for one request."""
WAIT_LIMIT = 240.0
"""Maximum seconds of waiting for one request: a plan without a comment is better than a job that hangs."""
SECONDARY = 60.0
"""Seconds to wait after a secondary rate limit without `retry-after`, as the REST docs advise."""
_ACCEPT = "application/vnd.github+json"
_VERSION = "2022-11-28"
_LIMITED = 429


class Kind(StrEnum):
    """The kind of a failure."""

    DENIED = "denied"
    """The token lacks a permission, or cannot see the object (401, 403, 404)."""
    TOO_LONG = "too long"
    """The text of a comment is too long (422)."""
    LOST = "lost"
    """No response, or an error of the server (5xx): the change may have been made."""
    LIMITED = "limited"
    """A rate limit, with a longer wait than `WAIT_LIMIT`."""
    REFUSED = "refused"
    """Any other failure."""


class GitHubError(ReconcileError):
    """A request to GitHub failed. The message holds method, path and status, and no part of the request body.

    `status` is the HTTP status of the response; 0 without a response, or for a success.
    """

    def __init__(self, kind: Kind, message: str, remedy: str = "", *, status: int = 0) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.status = status


class GitHub:
    """The API of one GitHub server, for one repository."""

    def __init__(self, run: WorkflowRun, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}

    @property
    def repository(self) -> str:
        """The path of the repository in the API."""
        return f"/repos/{self._run.repository}"

    def get(self, path: str, **query: Any) -> Any:
        """Return one object."""
        return self._json(self._request("GET", self._url(path, query)))

    def pages(self, path: str, key: str | None = None, **query: Any) -> Iterator[Any]:
        """Yield the items of all pages; `key` is the key of the list if the response is an object."""
        url: str | None = self._url(path, {**query, "per_page": PAGE})
        while url is not None:
            response = self._request("GET", url)
            found = self._json(response)
            yield from found[key] if key else found
            url = _next(response.headers.get("link", ""))
            if url is not None and urlsplit(url).netloc != urlsplit(self._run.api_url).netloc:
                url = None  # the token goes to the API only

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Send a change, and return the JSON of the response.

        After a lost response a POST is not repeated, since GitHub may have done it.

        Args:
            method: The HTTP method.
            path: The path below the URL of the API.
            body: The JSON body.

        Raises:
            GitHubError: GitHub refused the request or could not be reached.
        """
        return self._json(self._request(method, self._url(path, {}), body, again=method != "POST"))

    def graphql(self, query: str, variables: Mapping[str, Any]) -> Any:
        """Return the data of a GraphQL response, complete or partial.

        Raises:
            GitHubError: The response has no data.
        """
        body = {"query": query, "variables": variables}
        response = self._json(self._request("POST", self._run.graphql_url, body))
        errors = response.get("errors") or []
        data = response.get("data")
        if errors and not any((data or {}).values()):
            kinds = {str(error.get("type")) for error in errors}
            kind = Kind.DENIED if kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES", "NOT_FOUND"} else Kind.REFUSED
            raise GitHubError(kind, f"GraphQL: {', '.join(sorted(kinds))}")
        return data or {}

    def download(self, url: str, most: int) -> bytes:
        """Return a file of at most `most` bytes that the API redirects to; the token is not sent there.

        Raises:
            GitHubError: The request failed, the redirect is not encrypted, or the file is too large.
        """
        response = self._request("GET", self._url(url, {}), redirects=True)
        target = response.headers.get("location")
        if target:
            target = urljoin(self._run.api_url, target)
            if urlsplit(target).scheme not in {"https", urlsplit(self._run.api_url).scheme}:
                raise GitHubError(Kind.REFUSED, "GitHub redirects to an address that is not encrypted")
            response = self._request("GET", target, secret=False)
        if len(response.data) > most:
            raise GitHubError(Kind.REFUSED, f"a file of more than {most:,} bytes")
        return response.data

    def _url(self, path: str, query: Mapping[str, Any]) -> str:
        return f"{self._run.api_url}{path}" + (f"?{urlencode(query)}" if query else "")

    def _json(self, response: urllib3.BaseHTTPResponse) -> Any:
        try:
            return json.loads(response.data) if response.data else {}
        except ValueError:
            raise GitHubError(Kind.REFUSED, "the response is not JSON") from None

    def _request(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        *,
        again: bool = True,
        secret: bool = True,
        redirects: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        waited = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            response = self._once(method, url, body, secret=secret)
            limited = response is not None and url == self._run.graphql_url and _is_limited(response)
            if response is not None and response.status < (400 if redirects else 300) and not limited:
                return response
            pause = _pause(response, attempt, self._clock.now().timestamp(), limited=limited)
            lost = response is None or response.status >= 500  # noqa: PLR2004 - the first status of a server error
            if pause is None or (lost and not again) or attempt == ATTEMPTS or waited + pause > WAIT_LIMIT:
                raise _error_of(method, url, response, limited=pause is not None and not lost)
            self._clock.sleep(pause)
            waited += pause
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, secret: bool
    ) -> urllib3.BaseHTTPResponse | None:
        headers = {"User-Agent": f"ssm-reconcile/{__version__}"}
        if secret:
            headers |= {"Accept": _ACCEPT, "X-GitHub-Api-Version": _VERSION}
            headers["Authorization"] = f"Bearer {self._run.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        payload = None if body is None else json.dumps(body).encode()
        try:
            return self._pool_of(url).request(method, url, body=payload, headers=headers)
        except urllib3.exceptions.HTTPError:
            return None

    def _pool_of(self, url: str) -> urllib3.PoolManager:
        """Return the pool for the host of an address: of the proxy of the environment, if it has one."""
        parts = urlsplit(url)
        host = parts.scheme, parts.hostname or ""
        if host not in self._pools:
            self._pools[host] = self._pool(*host)
        return self._pools[host]

    def _pool(self, scheme: str, name: str) -> urllib3.PoolManager:
        proxy = "" if urllib.request.proxy_bypass(name) else urllib.request.getproxies().get(scheme)
        pool = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
        return pool(timeout=urllib3.Timeout(connect=10, read=30), retries=False)


def _is_limited(response: urllib3.BaseHTTPResponse) -> bool:
    """Return whether a GraphQL response reports a rate limit, which GitHub may do with status 200.

    Source: GraphQL docs, "Rate limits and query limits for the GraphQL API".
    """
    try:
        document = json.loads(response.data)
    except ValueError:
        return False
    errors = document.get("errors") or []
    if not errors or any((document.get("data") or {}).values()):
        return False
    return (
        any(error.get("type") == "RATE_LIMITED" for error in errors)
        or response.headers.get("x-ratelimit-remaining") == "0"
        or _retry_after(response) is not None
        or b"secondary rate limit" in response.data[:2000]
    )


def _pause(
    response: urllib3.BaseHTTPResponse | None, attempt: int, now: float, *, limited: bool
) -> float | None:
    """Return the seconds to wait before the next attempt; None if a retry is useless."""
    if response is None or response.status >= 500:  # noqa: PLR2004 - the first status of a server error
        return _retry_after(response) or float(2 ** (attempt - 1))
    if response.status not in {403, _LIMITED} and not limited:
        return None
    wait = _retry_after(response)
    if wait is not None:
        return wait
    reset = response.headers.get("x-ratelimit-reset", "")
    if response.headers.get("x-ratelimit-remaining") == "0":
        return max(1.0, float(reset) - now + 1) if reset.isdigit() else SECONDARY
    if limited or response.status == _LIMITED or b"secondary rate limit" in response.data[:2000]:
        return SECONDARY
    return None


def _retry_after(response: urllib3.BaseHTTPResponse | None) -> float | None:
    text = "" if response is None else response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


def _next(link: str) -> str | None:
    """Return the address of the next page from the Link header."""
    for part in link.split(","):
        address, _, relation = part.partition(";")
        if 'rel="next"' in relation:
            return address.strip().strip("<>")
    return None


def _error_of(
    method: str, url: str, response: urllib3.BaseHTTPResponse | None, *, limited: bool
) -> GitHubError:
    what = f"{method} {urlsplit(url).path}"
    if response is None:
        remedy = "check that the runner can reach the GitHub API"
        return GitHubError(Kind.LOST, f"{what}: no response", remedy)
    if limited:
        return GitHubError(Kind.LIMITED, f"{what}: rate limit, HTTP {response.status}", "try again later")
    match response.status:
        case 401 | 403 | 404:
            remedy = "the token needs `pull-requests: write`, and `actions: read` for artifacts"
            return GitHubError(Kind.DENIED, f"{what}: HTTP {response.status}", remedy, status=response.status)
        case 422 if b"too long" in response.data[:5000]:
            return GitHubError(Kind.TOO_LONG, f"{what}: too long, HTTP 422")
        case status if status >= 500:  # noqa: PLR2004 - the first status of a server error
            return GitHubError(Kind.LOST, f"{what}: HTTP {status}", "check the status of GitHub")
        case status:
            return GitHubError(Kind.REFUSED, f"{what}: HTTP {status}")
