"""The client of GitHub: waits between retries, kinds of errors, no token in any output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import urllib3

from ssm_reconcile.github.client import ATTEMPTS, WAIT_LIMIT, GitHub, GitHubError, Kind
from ssm_reconcile.github.workflow_run import WorkflowRun
from tests.doubles.clock import FakeClock
from tests.github.content import REPOSITORY, Hub
from tests.unit.publishers.conftest import NUMBER, TOKEN

pytestmark = pytest.mark.http

COMMENTS = f"/repos/{REPOSITORY}/issues/{NUMBER}/comments"


def test_a_secondary_rate_limit_is_waited_for_as_long_as_github_says(
    hub: Hub, github: GitHub, clock: FakeClock
) -> None:
    hub.fail(
        "GET", "comments$", 403, headers={"Retry-After": "42"}, body=b'{"message":"secondary rate limit"}'
    )
    assert list(github.pages(COMMENTS)) == []
    assert clock.slept == [42]


def test_a_secondary_rate_limit_that_does_not_say_how_long_is_a_minute(
    hub: Hub, github: GitHub, clock: FakeClock
) -> None:
    hub.fail("POST", "comments$", 403, body=b'{"message":"You have exceeded a secondary rate limit"}')
    github.send("POST", COMMENTS, {"body": "hello"})
    assert clock.slept == [60]


def test_a_primary_rate_limit_is_waited_for_until_it_is_reset(
    hub: Hub, github: GitHub, clock: FakeClock
) -> None:
    reset = int(clock.now().timestamp()) + 30
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
    hub.fail("GET", "comments$", 429, headers=headers)
    list(github.pages(COMMENTS))
    assert clock.slept == [31]


def test_a_limit_that_lasts_longer_than_anybody_wants_to_wait_is_given_up(
    hub: Hub, github: GitHub, clock: FakeClock
) -> None:
    hub.fail("GET", "comments$", 429, headers={"Retry-After": "3600"})
    with pytest.raises(GitHubError) as caught:
        list(github.pages(COMMENTS))
    assert caught.value.kind is Kind.LIMITED
    assert clock.slept == []


_WHO = "query($ids: [ID!]!) { nodes(ids: $ids) { id viewerDidAuthor } }"


@pytest.mark.parametrize(
    ("headers", "error", "seconds"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, '"type": "RATE_LIMITED"', 1),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, '"type": "OTHER"', 1),
        ({"Retry-After": "7"}, '"message": "wait"', 7),
        ({}, '"message": "You have exceeded a secondary rate limit"', 60),
    ],
)
def test_a_rate_limit_of_graphql_that_has_status_200_is_waited_for(
    hub: Hub, github: GitHub, clock: FakeClock, headers: dict[str, str], error: str, seconds: float
) -> None:
    body = f'{{"data": null, "errors": [{{{error}}}]}}'.encode()
    hub.fail("POST", "/graphql$", 200, headers=headers, body=body)
    assert github.graphql(_WHO, {"ids": []}) == {"nodes": []}
    assert clock.slept == [seconds]


def test_a_rate_limit_of_graphql_that_does_not_end_is_named(hub: Hub, github: GitHub) -> None:
    hub.limit_graphql(times=ATTEMPTS)
    with pytest.raises(GitHubError) as caught:
        github.graphql(_WHO, {"ids": []})
    assert caught.value.kind is Kind.LIMITED
    assert caught.value.remedy == "try again later"


@pytest.mark.parametrize("data", ['"data": {"nodes": [1]}, ', ""])
def test_another_error_of_graphql_is_not_retried(
    hub: Hub, github: GitHub, clock: FakeClock, data: str
) -> None:
    hub.fail("POST", "/graphql$", 200, body=f'{{{data}"errors": [{{"type": "NOT_FOUND"}}]}}'.encode())
    if data:
        assert github.graphql(_WHO, {"ids": []}) == {"nodes": [1]}
    else:
        with pytest.raises(GitHubError):
            github.graphql(_WHO, {"ids": []})
    assert clock.slept == []


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_trouble_is_asked_again_and_given_up_at_last(
    hub: Hub, github: GitHub, clock: FakeClock, status: int
) -> None:
    hub.fail("GET", "comments$", status, times=2)
    list(github.pages(COMMENTS))
    assert clock.slept == [1, 2]
    hub.fail("GET", "comments$", status, times=ATTEMPTS)
    with pytest.raises(GitHubError) as caught:
        list(github.pages(COMMENTS))
    assert caught.value.kind is Kind.LOST


def test_an_edit_is_asked_again_after_a_lost_answer(hub: Hub, github: GitHub) -> None:
    comment = hub.say(NUMBER, "before")
    hub.fail("PATCH", "comments/", 502)
    github.send("PATCH", f"/repos/{REPOSITORY}/issues/comments/{comment.id}", {"body": "after"})
    assert comment.body == "after"


def test_a_post_is_not(hub: Hub, github: GitHub, clock: FakeClock) -> None:
    hub.fail("POST", "comments$", 502, done=True)
    with pytest.raises(GitHubError) as caught:
        github.send("POST", COMMENTS, {"body": "once"})
    assert caught.value.kind is Kind.LOST
    assert len(hub.comments) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"{}", Kind.DENIED),
        (403, b'{"message":"Resource not accessible by integration"}', Kind.DENIED),
        (404, b"{}", Kind.DENIED),
        (422, b'{"message":"Body is too long (maximum is 65536 characters)"}', Kind.TOO_LONG),
        (422, b'{"message":"Validation Failed"}', Kind.REFUSED),
        (410, b"{}", Kind.REFUSED),
    ],
)
def test_an_error_has_its_kind_and_is_not_retried(
    hub: Hub, github: GitHub, clock: FakeClock, status: int, body: bytes, kind: Kind
) -> None:
    hub.fail("GET", "comments$", status, body=body)
    with pytest.raises(GitHubError) as caught:
        list(github.pages(COMMENTS))
    assert caught.value.kind is kind
    assert clock.slept == []


def test_an_unreachable_server_is_an_error_without_an_address(event: WorkflowRun, clock: FakeClock) -> None:
    nobody = GitHub(replace(event, api_url="http://127.0.0.1:9"), clock)
    with pytest.raises(GitHubError) as caught:
        nobody.get("/rate_limit")
    assert caught.value.kind is Kind.LOST
    assert len(clock.slept) == ATTEMPTS - 1


def test_the_token_is_in_no_message_and_no_repr(hub: Hub, event: WorkflowRun, github: GitHub) -> None:
    hub.fail("GET", "comments$", 403, body=f'{{"message":"{TOKEN}"}}'.encode())
    with pytest.raises(GitHubError) as caught:
        list(github.pages(COMMENTS))
    for text in (str(caught.value), repr(caught.value), caught.value.remedy, repr(event), repr(github)):
        assert TOKEN not in text
    assert hub.requests[-1].token == TOKEN, "it was sent, though"


def test_an_archive_is_fetched_from_another_host_and_no_token_goes_there(hub: Hub, github: GitHub) -> None:
    artifact = hub.keep("1", "ssm-plan", {"plan.json": b"{}"})
    content = github.download(f"/repos/{REPOSITORY}/actions/artifacts/{artifact.id}/zip", 10_000)
    assert content == artifact.content
    (fetched,) = hub.asked("GET", "^/archive/")
    assert fetched.host.startswith("localhost")
    assert fetched.token == ""


def test_a_link_to_another_host_is_not_followed_with_the_token(hub: Hub, github: GitHub) -> None:
    hub.fail("GET", "comments$", 200, headers={"Link": '<http://localhost:1/x>; rel="next"'}, body=b"[1]")
    assert list(github.pages(COMMENTS)) == [1]


def test_a_response_that_is_not_json_is_an_error(hub: Hub, github: GitHub) -> None:
    hub.fail("GET", "comments$", 200, body=b"<html>")
    with pytest.raises(GitHubError, match="not JSON"):
        list(github.pages(COMMENTS))


def test_a_partial_graphql_response_is_used(hub: Hub, github: GitHub) -> None:
    comment = hub.say(NUMBER, "there")
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on IssueComment { id } } }"
    data = github.graphql(query, {"ids": [comment.node, "IC_0"]})
    assert [bool(node) for node in data["nodes"]] == [True, False]


def test_a_mutation_that_graphql_refuses_is_an_error_though_it_answers_200(hub: Hub, github: GitHub) -> None:
    comment = hub.say(NUMBER, "there")
    hub.denied.add("minimize")
    with pytest.raises(GitHubError) as caught:
        github.graphql("mutation { minimizeComment }", {"id": comment.node})
    assert caught.value.kind is Kind.DENIED


def test_the_paths_of_an_enterprise_server_work_the_same(
    hub: Hub, event: WorkflowRun, clock: FakeClock
) -> None:
    hub.say(NUMBER, "there")
    server = GitHub(replace(event, api_url=f"{hub.url}/api/v3", graphql_url=f"{hub.url}/api/graphql"), clock)
    assert len(list(server.pages(COMMENTS))) == 1
    assert server.graphql("query { nodes }", {"ids": []}) == {"nodes": []}


@pytest.mark.parametrize("seconds", [100, 121, 240])
def test_pauses_add_up_and_end_before_the_patience_does(
    hub: Hub, github: GitHub, clock: FakeClock, seconds: int
) -> None:
    hub.fail("GET", "comments$", 429, times=ATTEMPTS, headers={"Retry-After": str(seconds)})
    with pytest.raises(GitHubError) as caught:
        list(github.pages(COMMENTS))
    assert caught.value.kind is Kind.LIMITED
    assert clock.slept == [seconds] * int(WAIT_LIMIT // seconds)


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {}, 60),
        (403, {"X-RateLimit-Remaining": "0"}, 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, 1),
        (503, {"Retry-After": "7"}, 7),
    ],
)
def test_each_kind_of_limit_has_its_pause(
    hub: Hub, github: GitHub, clock: FakeClock, status: int, headers: dict[str, str], pause: int
) -> None:
    hub.fail("GET", "comments$", status, headers=headers)
    assert list(github.pages(COMMENTS)) == []
    assert clock.slept == [pause]


def test_an_archive_may_have_the_most_bytes_and_not_one_more(hub: Hub, github: GitHub) -> None:
    artifact = hub.keep("1", "ssm-plan", {"plan.json": b"{}"})
    path = f"/repos/{REPOSITORY}/actions/artifacts/{artifact.id}/zip"
    size = len(artifact.content)
    assert github.download(path, size) == artifact.content
    with pytest.raises(GitHubError, match=f"more than {size - 1} bytes") as caught:
        github.download(path, size - 1)
    assert caught.value.kind is Kind.REFUSED


class Redirected(GitHub):
    """A client whose first request is answered with a redirect, and the second with a file."""

    def __init__(self, event: WorkflowRun, location: str) -> None:
        super().__init__(event, FakeClock())
        self.asked: list[tuple[str, bool]] = []
        self._location = location

    def _once(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, secret: bool
    ) -> urllib3.BaseHTTPResponse | None:
        assert (method, body) == ("GET", None)
        self.asked.append((url, secret))
        if len(self.asked) == 1:
            return urllib3.HTTPResponse(b"", {"location": self._location}, 302)
        return urllib3.HTTPResponse(b"content", {}, 200)


@pytest.mark.parametrize(
    ("api", "location", "asked"),
    [
        ("https://api.example", "https://storage.example/a", "https://storage.example/a"),
        ("https://api.example", "/a", "https://api.example/a"),
        ("http://127.0.0.1:1", "http://storage.example/a", "http://storage.example/a"),
        ("http://127.0.0.1:1", "https://storage.example/a", "https://storage.example/a"),
    ],
)
def test_a_redirect_is_followed_without_the_token(
    event: WorkflowRun, api: str, location: str, asked: str
) -> None:
    github = Redirected(replace(event, api_url=api), location)
    assert github.download("/zip", 100) == b"content"
    assert github.asked == [(f"{api}/zip", True), (asked, False)]


@pytest.mark.parametrize(
    ("api", "location"),
    [
        ("https://api.example", "http://storage.example/a"),
        ("https://api.example", "file:///etc/hostname"),
        ("http://127.0.0.1:1", "ftp://storage.example/a"),
    ],
)
def test_a_redirect_to_an_address_without_encryption_is_refused(
    event: WorkflowRun, api: str, location: str
) -> None:
    github = Redirected(replace(event, api_url=api), location)
    with pytest.raises(GitHubError, match="not encrypted") as caught:
        github.download("/zip", 100)
    assert caught.value.kind is Kind.REFUSED
    assert len(github.asked) == 1


def sent_through(
    monkeypatch: pytest.MonkeyPatch, event: WorkflowRun, **environment: str
) -> list[tuple[str, str | None]]:
    """Return the host of each request of a download and the proxy of its pool, which has timeouts."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    sent: list[tuple[str, str | None]] = []

    def request(pools: urllib3.PoolManager, method: str, url: str, **_: Any) -> urllib3.BaseHTTPResponse:
        assert method == "GET"
        timeout = pools.connection_pool_kw["timeout"]
        assert (timeout.connect_timeout, timeout.read_timeout) == (10, 30)
        host = url.split("/")[2]
        sent.append((host, str(pools.proxy) if isinstance(pools, urllib3.ProxyManager) else None))
        if host == "api.example":
            return urllib3.HTTPResponse(b"", {"location": "https://storage.example/a"}, 302)
        return urllib3.HTTPResponse(b"content", {}, 200)

    monkeypatch.setattr(urllib3.PoolManager, "request", request)
    github = GitHub(replace(event, api_url="https://api.example"), FakeClock())
    assert github.download("/zip", 100) == b"content"
    return sent


def test_each_host_has_the_proxy_of_the_environment_unless_it_is_excepted(
    monkeypatch: pytest.MonkeyPatch, event: WorkflowRun
) -> None:
    proxy = "http://proxy.example:3128"
    hosts = "api.example", "storage.example"
    assert sent_through(monkeypatch, event) == [(host, None) for host in hosts]
    assert sent_through(monkeypatch, event, https_proxy=proxy) == [(host, proxy) for host in hosts]
    excepted = sent_through(monkeypatch, event, https_proxy=proxy, no_proxy="storage.example")
    assert excepted == [("api.example", proxy), ("storage.example", None)]
    assert sent_through(monkeypatch, event, http_proxy=proxy) == [(host, None) for host in hosts]
