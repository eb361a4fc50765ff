"""A GitHub on loopback: the parts that the product uses, with its rules, its pages and its faults.

    with serving() as hub:
        hub.api_url, hub.graphql_url            the addresses for a run
        hub.comments, hub.pulls, ...            the content
        hub.fail("POST", "/comments$", 502)     a fault, and how often

It knows issues, comments in pages with authors, GraphQL's viewerDidAuthor, isMinimized and
minimizeComment, 422 for a comment that is too long, what a token may not do, pulls of a commit, the
comparison of commits, runs, and artifacts whose archive is at another host, to which no token may go.
Shapes and rules are those of the REST reference (version 2022-11-28).
"""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPOSITORY = "acme/params"
BOT = "github-actions[bot]"
LONGEST = 65_536


@dataclass(slots=True)
class Comment:
    id: int
    number: int
    author: str
    body: str
    minimized: str = ""
    edits: int = 0

    @property
    def node(self) -> str:
        return f"IC_{self.id}"


@dataclass(slots=True)
class Issue:
    """`is_pull`: the list of issues has pull requests in it, too."""

    number: int
    author: str
    title: str
    body: str
    state: str = "open"
    reason: str = ""
    edits: int = 0
    is_pull: bool = False

    @property
    def node(self) -> str:
        return f"I_{self.number}"


@dataclass(slots=True)
class Artifact:
    id: int
    name: str
    run: str
    content: bytes
    expired: bool = False


@dataclass(slots=True)
class Fault:
    method: str
    path: str
    status: int
    times: int
    headers: dict[str, str]
    body: bytes
    done: bool


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    host: str
    token: str
    body: Any


@dataclass(slots=True)
class Hub:
    """The content of GitHub. `tokens`: the user of each token; `denied`: operations that are refused."""

    url: str = ""
    tokens: dict[str, str] = field(default_factory=lambda: {"ghs-of-the-run": BOT})
    denied: set[str] = field(default_factory=set)
    comments: list[Comment] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    merged_by: dict[str, list[int]] = field(default_factory=dict)
    branches: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    longest: int = LONGEST
    lock: threading.RLock = field(default_factory=threading.RLock)
    _ids: int = 3_000_000_000  # beyond 32 bits, as comments are today

    @property
    def api_url(self) -> str:
        return self.url

    @property
    def graphql_url(self) -> str:
        return f"{self.url}/graphql"

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def say(self, number: int, body: str, author: str = BOT) -> Comment:
        comment = Comment(self.next_id(), number, author, body)
        self.comments.append(comment)
        return comment

    def open(self, title: str, body: str, author: str = BOT, *, is_pull: bool = False) -> Issue:
        issue = Issue(1000 + len(self.issues), author, title, body, is_pull=is_pull)
        self.issues.append(issue)
        return issue

    def keep(self, run: str, name: str, files: dict[str, bytes]) -> Artifact:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        artifact = Artifact(self.next_id(), name, run, stream.getvalue())
        self.artifacts.append(artifact)
        return artifact

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        *,
        times: int = 1,
        headers: dict[str, str] | None = None,
        body: bytes = b"{}",
        done: bool = False,
    ) -> None:
        """The next requests of that kind fail; `done`: after they were done."""
        self.faults.append(Fault(method, path, status, times, headers or {}, body, done))

    def shown(self, number: int) -> list[Comment]:
        return [c for c in self.comments if c.number == number and not c.minimized]

    def asked(self, method: str, path: str) -> list[Request]:
        return [r for r in self.requests if r.method == method and re.search(path, r.path)]


@contextmanager
def serving() -> Iterator[Hub]:
    """A fresh GitHub for as long as it lasts."""
    hub = Hub()

    class Door(_Door):
        pass

    Door.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answer(Exception):  # noqa: N818 - an answer, and an error only sometimes
    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {}


class _Door(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a second write would wait 40 ms for an acknowledgement

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        path = re.sub(r"^/api(/v3)?(?=/)", "", parts.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        body = json.loads(raw) if raw else None
        with self.hub.lock:
            host = self.headers.get("Host", "")
            self.hub.requests.append(Request(method, path, host, token, body))
            answer = self._faulty(method, path, lambda: self._serve(method, path, parts.query, token, body))
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _faulty(self, method: str, path: str, serve: Any) -> _Answer:
        for fault in self.hub.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                if fault.done:
                    serve()
                return _Answer(fault.status, fault.body, fault.headers)
        answer: _Answer = serve()
        return answer

    def _serve(self, method: str, path: str, query: str, token: str, body: Any) -> _Answer:
        try:
            asked = {key: values[-1] for key, values in parse_qs(query).items()}
            found = self._route(method, path, asked, token, body)
        except _Answer as answer:
            return answer
        return found if isinstance(found, _Answer) else _Answer(200, found)

    def _route(self, method: str, path: str, asked: dict[str, str], token: str, body: Any) -> Any:
        if path.startswith("/archive/"):
            return self._archive(path, token)
        who = self.hub.tokens.get(token)
        if who is None:
            raise _Answer(401, {"message": "Bad credentials"})
        if path == "/graphql" and method == "POST":
            return self._graphql(body, who)
        here = re.fullmatch(rf"/repos/{REPOSITORY}/(.*)", path)
        if here is None:
            raise _Answer(404, {"message": "Not Found"})
        return self._repository(method, here[1], asked, who, body)

    def _repository(self, method: str, path: str, asked: dict[str, str], who: str, body: Any) -> Any:
        hub = self.hub
        match method, *path.split("/"):
            case "GET", "issues", number, "comments":
                mine = [c for c in hub.comments if c.number == int(number)]
                return self._page([_shown(c) for c in mine], asked, path)
            case "POST", "issues", number, "comments":
                self._may("comment")
                return _Answer(201, _shown(hub.say(int(number), self._fitting(body["body"]), who)))
            case ("GET" | "PATCH") as verb, "issues", "comments", text:
                comment = next((c for c in hub.comments if c.id == int(text)), None)
                if comment is None:
                    raise _Answer(404, {"message": "Not Found"})
                if verb == "PATCH":
                    self._may("comment")
                    if comment.author != who:
                        raise _Answer(403, {"message": "Resource not accessible by integration"})
                    comment.body, comment.edits = self._fitting(body["body"]), comment.edits + 1
                return _shown(comment)
            case (_, "issues") | ("PATCH", "issues", _):
                return self._issues(method, path, asked, who, body)
            case "GET", "pulls", number:
                return hub.pulls[int(number)]
            case "GET", "commits", sha, "pulls":
                return self._page([hub.pulls[n] for n in hub.merged_by.get(sha, [])], asked, path)
            case "GET", "compare", between:
                return self._compare(*unquote(between).split("..."))
            case "GET", "actions", "runs", run:
                self._may("actions")
                if run not in hub.runs:
                    raise _Answer(404, {"message": "Not Found"})
                return hub.runs[run]
            case "GET", "actions", "runs", run, "artifacts":
                self._may("actions")
                every = [a for a in hub.artifacts if a.run == run and asked.get("name", a.name) == a.name]
                listed = [{"id": a.id, "name": a.name, "expired": a.expired} for a in every]
                return {"total_count": len(listed), "artifacts": listed}
            case "GET", "actions", "artifacts", text, "zip":
                self._may("actions")
                elsewhere = hub.url.replace("127.0.0.1", "localhost")
                return _Answer(302, b"", {"Location": f"{elsewhere}/archive/{text}?sig=secret"})
            case _:
                raise _Answer(404, {"message": "Not Found"})

    def _issues(self, method: str, path: str, asked: dict[str, str], who: str, body: Any) -> Any:
        hub = self.hub
        if method == "GET":
            wanted = asked.get("state", "open")
            return self._page(
                [_issue_document(i) for i in hub.issues if wanted in (i.state, "all")], asked, path
            )
        self._may("issues")
        if method == "POST":
            return _Answer(201, _issue_document(hub.open(body["title"], self._fitting(body["body"]), who)))
        issue = next((i for i in hub.issues if str(i.number) == path.rsplit("/", 1)[-1]), None)
        if issue is None:
            raise _Answer(404, {"message": "Not Found"})
        issue.title, issue.body = body.get("title", issue.title), self._fitting(body.get("body", issue.body))
        issue.state, issue.reason = body.get("state", issue.state), body.get("state_reason", issue.reason)
        issue.edits += 1
        return _issue_document(issue)

    def _may(self, what: str) -> None:
        if what in self.hub.denied:
            raise _Answer(403, {"message": "Resource not accessible by integration"})

    def _fitting(self, text: str) -> str:
        if len(text) > self.hub.longest:
            message = f"Body is too long (maximum is {self.hub.longest} characters)"
            raise _Answer(422, {"message": "Validation Failed", "errors": [{"message": message}]})
        return text

    def _page(self, items: list[Any], asked: dict[str, str], path: str) -> _Answer:
        size, page = min(int(asked.get("per_page", "30")), 100), int(asked.get("page", "1"))
        shown = items[(page - 1) * size : page * size]
        headers = {}
        if page * size < len(items):
            further = f"{self.hub.url}/repos/{REPOSITORY}/{path}?per_page={size}&page={page + 1}"
            last = f"{self.hub.url}/repos/{REPOSITORY}/{path}?per_page={size}&page={-(-len(items) // size)}"
            headers["Link"] = f'<{further}>; rel="next", <{last}>; rel="last"'
        return _Answer(200, shown, headers)

    def _compare(self, base: str, head: str) -> Any:
        commits = self.hub.branches.get(head, [])
        if base not in commits:
            return {"status": "diverged", "files": []}
        later = commits[commits.index(base) + 1 :]
        files = sorted({name for sha in later for name in self.hub.files.get(sha, [])})
        return {"status": "ahead" if later else "identical", "files": [{"filename": name} for name in files]}

    def _archive(self, path: str, token: str) -> _Answer:
        if token or not self.headers["Host"].startswith("localhost"):
            return _Answer(400, b"the storage takes no token of GitHub")
        artifact = next(a for a in self.hub.artifacts if a.id == int(path.split("/")[2]))
        return _Answer(200, artifact.content, {"Content-Type": "application/zip"})

    def _graphql(self, body: Any, who: str) -> Any:
        comments: dict[str, Comment | Issue] = {c.node: c for c in self.hub.comments}
        comments |= {i.node: i for i in self.hub.issues}
        variables = body["variables"]
        if "minimizeComment" in body["query"]:
            if "minimize" in self.hub.denied:
                error = {"type": "FORBIDDEN", "message": "Resource not accessible by integration"}
                return {"data": {"minimizeComment": None}, "errors": [error]}
            folded = comments[variables["id"]]
            assert isinstance(folded, Comment)
            folded.minimized = "OUTDATED"
            return {"data": {"minimizeComment": {"minimizedComment": {"isMinimized": True}}}}
        if "nodes" in body["query"]:
            nodes = [
                {"id": i, "isMinimized": isinstance(c, Comment) and bool(c.minimized)}
                | {"viewerDidAuthor": c.author == who}
                if (c := comments.get(i))
                else None
                for i in variables["ids"]
            ]
            missing = [{"type": "NOT_FOUND", "message": "no such node"} for node in nodes if node is None]
            return {"data": {"nodes": nodes}} | ({"errors": missing} if missing else {})
        raise _Answer(400, {"message": "Problems parsing"})


def _shown(comment: Comment) -> dict[str, Any]:
    return {
        "id": comment.id,
        "node_id": comment.node,
        "body": comment.body,
        "user": {"login": comment.author},
    }


def _issue_document(issue: Issue) -> dict[str, Any]:
    return {
        "number": issue.number,
        "node_id": issue.node,
        "title": issue.title,
        "body": issue.body,
        "state": issue.state,
        "user": {"login": issue.author},
        **({"pull_request": {}} if issue.is_pull else {}),
    }
