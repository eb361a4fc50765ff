"""Questions to GitHub -> answers, or one exception that says of what kind the trouble is.

Retried: rate limits (waiting as long as GitHub says), and answers that were lost (5xx, a connection
that broke) where asking twice does no harm. The token goes to the API and nowhere else: not into a
message, a repr, a log, nor along a redirect.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from ssm_reconcile import __version__
from ssm_reconcile.clock import Clock
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.publishers.event import Event

PAGE = 100
"""Items a page: the most that the REST API gives."""
ATTEMPTS = 5
"""How often one request is made at most."""
PATIENCE = 240.0
"""Seconds that are waited for one request in all: a plan that nobody sees is better than a stuck job."""
SECONDARY = 60.0
"""Seconds to wait after a secondary rate limit that does not say how long (as the REST guide advises)."""
_ACCEPT = "application/vnd.github+json"
_VERSION = "2022-11-28"
_LIMITED = 429


class Kind(StrEnum):
    """What kind of trouble it is."""

    DENIED = "denied"
    """This token may not do that, or does not see what it asks for (401, 403, 404)."""
    TOO_LONG = "too long"
    """The text of a comment is longer than GitHub takes (422)."""
    LOST = "lost"
    """No answer, or one of a server in trouble (5xx): it may have been done or not."""
    LIMITED = "limited"
    """Asked too often, and told to wait longer than is sensible."""
    REFUSED = "refused"
    """Anything else that GitHub does not do."""


class GitHubError(ReconcileError):
    """A request to GitHub failed. The message holds method, path and status: nothing that was sent.

    `status` is the HTTP status of the response; 0 where there was no response, or where it was a success.
    """

    def __init__(self, kind: Kind, message: str, remedy: str = "", *, status: int = 0) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.status = status


class GitHub:
    """The API of one GitHub, for one repository."""

    def __init__(self, event: Event, clock: Clock) -> None:
        self._event = event
        self._clock = clock
        self._pools: dict[str, urllib3.PoolManager] = {}

    @property
    def repository(self) -> str:
        """The path of the repository in the API."""
        return f"/repos/{self._event.repository}"

    def get(self, path: str, **query: Any) -> Any:
        """One object."""
        return self._json(self._ask("GET", self._url(path, query)))

    def pages(self, path: str, key: str | None = None, **query: Any) -> Iterator[Any]:
        """All items of all pages; `key` names the list where the answer is an object."""
        url: str | None = self._url(path, {**query, "per_page": PAGE})
        while url is not None:
            answer = self._ask("GET", url)
            found = self._json(answer)
            yield from found[key] if key else found
            url = _next(answer.headers.get("link", ""))
            if url is not None and urlsplit(url).netloc != urlsplit(self._event.api_url).netloc:
                url = None  # the token goes to the API only

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Changes something. After a lost answer it was done or not: POST is not repeated, the rest is."""
        return self._json(self._ask(method, self._url(path, {}), body, again=method != "POST"))

    def graphql(self, query: str, variables: Mapping[str, Any]) -> Any:
        """Data of a GraphQL answer, whole or in part; raises when there is none."""
        body = {"query": query, "variables": variables}
        answer = self._json(self._ask("POST", self._event.graphql_url, body))
        errors = answer.get("errors") or []
        data = answer.get("data")
        if errors and not any((data or {}).values()):
            kinds = {str(error.get("type")) for error in errors}
            kind = Kind.DENIED if kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES", "NOT_FOUND"} else Kind.REFUSED
            raise GitHubError(kind, f"GraphQL: {', '.join(sorted(kinds))}")
        return data or {}

    def download(self, url: str, most: int) -> bytes:
        """A file that the API redirects to, at most so many bytes. The token stays with the API."""
        answer = self._ask("GET", self._url(url, {}), redirects=True)
        target = answer.headers.get("location")
        if target:
            target = urljoin(self._event.api_url, target)
            if urlsplit(target).scheme not in {"https", urlsplit(self._event.api_url).scheme}:
                raise GitHubError(Kind.REFUSED, "GitHub sent us to an address that is not encrypted")
            answer = self._ask("GET", target, secret=False)
        if len(answer.data) > most:
            raise GitHubError(Kind.REFUSED, f"a file of more than {most:,} bytes")
        return answer.data

    def _url(self, path: str, query: Mapping[str, Any]) -> str:
        return f"{self._event.api_url}{path}" + (f"?{urlencode(query)}" if query else "")

    def _json(self, answer: urllib3.BaseHTTPResponse) -> Any:
        try:
            return json.loads(answer.data) if answer.data else {}
        except ValueError:
            raise GitHubError(Kind.REFUSED, "GitHub's answer is not JSON") from None

    def _ask(
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
            answer = self._once(method, url, body, secret=secret)
            if answer is not None and answer.status < (400 if redirects else 300):
                return answer
            pause = _pause(answer, attempt, self._clock.now().timestamp())
            lost = answer is None or answer.status >= 500  # noqa: PLR2004 - HTTP's border to server trouble
            if pause is None or (lost and not again) or attempt == ATTEMPTS or waited + pause > PATIENCE:
                raise _trouble(method, url, answer, limited=pause is not None and not lost)
            self._clock.sleep(pause)
            waited += pause
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, secret: bool
    ) -> urllib3.BaseHTTPResponse | None:
        headers = {"User-Agent": f"ssm-reconcile/{__version__}"}
        if secret:
            headers |= {"Accept": _ACCEPT, "X-GitHub-Api-Version": _VERSION}
            headers["Authorization"] = f"Bearer {self._event.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        payload = None if body is None else json.dumps(body).encode()
        try:
            return self._pool(url).request(method, url, body=payload, headers=headers)
        except urllib3.exceptions.HTTPError:
            return None

    def _pool(self, url: str) -> urllib3.PoolManager:
        """A pool for that address, through the proxy that the environment names for it."""
        parts = urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme, "")
        if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = ""
        if proxy not in self._pools:
            timeout = urllib3.Timeout(connect=10, read=30)
            if proxy:
                self._pools[proxy] = urllib3.ProxyManager(proxy, timeout=timeout, retries=False)
            else:
                self._pools[proxy] = urllib3.PoolManager(timeout=timeout, retries=False)
        return self._pools[proxy]


def _pause(answer: urllib3.BaseHTTPResponse | None, attempt: int, now: float) -> float | None:
    """Seconds after which asking again makes sense; None when it does not."""
    if answer is None or answer.status >= 500:  # noqa: PLR2004 - HTTP's border to server trouble
        return _retry_after(answer) or float(2 ** (attempt - 1))
    if answer.status not in {403, _LIMITED}:
        return None
    said = _retry_after(answer)
    if said is not None:
        return said
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(1.0, float(reset) - now + 1) if reset.isdigit() else SECONDARY
    if answer.status == _LIMITED or b"secondary rate limit" in answer.data[:2000]:
        return SECONDARY
    return None


def _retry_after(answer: urllib3.BaseHTTPResponse | None) -> float | None:
    said = "" if answer is None else answer.headers.get("retry-after", "")
    return float(said) if said.isdigit() else None


def _next(link: str) -> str | None:
    """The next page, as the Link header says."""
    for part in link.split(","):
        address, _, relation = part.partition(";")
        if 'rel="next"' in relation:
            return address.strip().strip("<>")
    return None


def _trouble(method: str, url: str, answer: urllib3.BaseHTTPResponse | None, *, limited: bool) -> GitHubError:
    what = f"{method} {urlsplit(url).path}"
    if answer is None:
        return GitHubError(Kind.LOST, f"{what}: no answer", "check that the runner reaches GitHub's API")
    if limited:
        return GitHubError(Kind.LIMITED, f"{what}: asked too often, HTTP {answer.status}", "try again later")
    match answer.status:
        case 401 | 403 | 404:
            remedy = "the token needs `pull-requests: write`, and `actions: read` for artifacts"
            return GitHubError(Kind.DENIED, f"{what}: HTTP {answer.status}", remedy, status=answer.status)
        case 422 if b"too long" in answer.data[:5000]:
            return GitHubError(Kind.TOO_LONG, f"{what}: too long, HTTP 422")
        case status if status >= 500:  # noqa: PLR2004 - HTTP's border to server trouble
            return GitHubError(Kind.LOST, f"{what}: HTTP {status}", "see whether GitHub is in trouble")
        case status:
            return GitHubError(Kind.REFUSED, f"{what}: HTTP {status}")
