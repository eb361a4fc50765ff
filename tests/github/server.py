"""A GitHub on loopback: the parts that the product uses, with its rules, its pages and its faults.

    with serving() as hub:
        hub.api_url, hub.graphql_url            the addresses for a run
        hub.comments, hub.pulls, ...            the content: see `tests.github.content`
        hub.fail("POST", "/comments$", 502)     a fault, and how often

It knows issues, comments in pages with authors and editors, locked conversations, timelines of pull requests,
lists of pull requests by their branch, reviews, check runs,
GraphQL's viewerDidAuthor, editor, isMinimized and minimizeComment, 422 for a comment that is too long, the
permissions of a token, pulls of a commit, the comparison of commits, environments, runs with their jobs and
approvals, and artifacts whose archive is at another host, to which no token may go.
Shapes and rules are those of the REST reference (version 2022-11-28).
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.github import setup
from tests.github.content import REPOSITORY, Comment, Hub, Issue, Request, repository, stamp, user
from tests.github.permissions import permitted


@contextmanager
def serving() -> Iterator[Hub]:
    """A fresh GitHub for as long as it lasts."""
    with serving_in_turn() as fresh:
        yield fresh()


@contextmanager
def serving_in_turn() -> Iterator[Callable[[], Hub]]:
    """A server at one address, and a function that replaces its content by that of a fresh GitHub."""

    class Door(_Door):
        pass

    def fresh() -> Hub:
        Door.hub = Hub()
        Door.hub.url = f"http://127.0.0.1:{server.server_port}"
        return Door.hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fresh
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answer(Exception):  # noqa: N818 - an answer, and an error only sometimes
    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {}


_NOT_ACCESSIBLE = _Answer(403, {"message": "Resource not accessible by integration"})


def _label(pull: dict[str, Any]) -> str:
    """Return the head of a pull request as OWNER:BRANCH."""
    repository = (pull["head"].get("repo") or {}).get("full_name", REPOSITORY)
    return f"{repository.partition('/')[0]}:{pull['head'].get('ref')}"


def _checked(body: dict[str, Any], *, needed: set[str]) -> dict[str, Any]:
    """Return the fields of a check run; raise the answer 422 for what GitHub refuses."""
    output = body.get("output")
    complete = needed <= body.keys() and (body.get("status") != "completed" or "conclusion" in body)
    if not complete or (output is not None and not {"title", "summary"} <= output.keys()):
        raise _Answer(422, {"message": "Invalid request."})
    return body | ({"status": "completed", "completed_at": stamp()} if body.get("conclusion") else {})


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

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        sent = {name: self.headers.get(name, "") for name in ("Host", "Authorization")}
        status, headers, content = respond(self.hub, method, self.path, sent, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def respond(
    hub: Hub, method: str, target: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, the headers and the content of the answer to a request."""
    parts = urlsplit(target)
    path = re.sub(r"^/api(/v3)?(?=/)", "", parts.path)
    token = headers.get("Authorization", "").removeprefix("Bearer ")
    document = json.loads(body) if body else None
    with hub.lock:
        hub.requests.append(Request(method, path, headers.get("Host", ""), token, document))
        answer = _Api(hub).answer(method, path, parts.query, token, document)
    content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    return answer.status, {"Content-Type": "application/json", **answer.headers}, content


class _Api:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def answer(self, method: str, path: str, query: str, token: str, body: Any) -> _Answer:
        """Return the answer of the API, or that of a fault."""
        for fault in self.hub.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                if fault.done:
                    self._serve(method, path, query, token, body)
                return _Answer(fault.status, fault.body, fault.headers)
        return self._serve(method, path, query, token, body)

    def _serve(self, method: str, path: str, query: str, token: str, body: Any) -> _Answer:
        try:
            asked = {key: values[-1] for key, values in parse_qs(query).items()}
            found = self._route(method, path, asked, token, body)
        except _Answer as answer:
            return answer
        except setup.RefusedError as error:
            return _Answer(error.status, {"message": error.message})
        return found if isinstance(found, _Answer) else _Answer(200, found)

    def _route(self, method: str, path: str, asked: dict[str, str], token: str, body: Any) -> Any:
        if path.startswith("/archive/"):
            return self._archive(path, token)
        who = self.hub.tokens.get(token)
        if who is None:
            raise _Answer(401, {"message": "Bad credentials"})
        if path == "/graphql" and method == "POST":
            return self._graphql(body, who, token)
        here = re.fullmatch(rf"/repos/{REPOSITORY}(?:/(.*))?", path)
        if here is None:
            return self._found(setup.find_account(self.hub, path) if method == "GET" else None)
        below = here[1] or ""
        granted = self.hub.permissions.get(token)
        if not permitted(method, below, granted, on_pull=self._is_on_pull(below)):
            raise _NOT_ACCESSIBLE
        match below.split("/"):
            case ["actions" | "environments", *_]:
                self._may("actions")
                return self._actions(method, below, asked, body)
            case ["check-runs", *_] | ["commits", _, "check-runs"]:
                return self._checks(method, below, asked, body)
            case _:
                return self._repository(method, below, asked, who, body)

    def _is_on_pull(self, path: str) -> bool:
        """Return whether a path of comments belongs to a pull request; True for any other path."""
        found = re.fullmatch(r"issues/(?:(\d+)/comments|comments/(\d+))", path)
        if found is None:
            return True
        ids = {comment.id: comment.number for comment in self.hub.comments}
        number = int(found[1]) if found[1] else ids.get(int(found[2]), 0)
        return all(issue.number != number or issue.is_pull for issue in self.hub.issues)

    def _repository(self, method: str, path: str, asked: dict[str, str], who: str, body: Any) -> Any:
        hub = self.hub
        match method, *path.split("/"):
            case "GET", "":
                private = hub.visibility != "public"
                owner = {"login": "acme", "type": "Organization", "id": 1234}
                return repository() | {"visibility": hub.visibility, "private": private, "owner": owner}
            case "GET", "issues", number, "comments":
                mine = [c for c in hub.comments if c.number == int(number)]
                return self._page([c.document for c in mine], asked, path)
            case "POST", "issues", number, "comments":
                self._may("comment")
                self._unlocked(int(number))
                return _Answer(201, hub.say(int(number), self._fitting(body["body"]), who).document)
            case ("GET" | "PATCH") as verb, "issues", "comments", text:
                comment = next((c for c in hub.comments if c.id == int(text)), None)
                if comment is None:
                    raise _Answer(404, {"message": "Not Found"})
                if verb == "PATCH":
                    self._may("comment")
                    if comment.author != who:
                        raise _NOT_ACCESSIBLE
                    self._unlocked(comment.number)
                    comment.body, comment.edits = self._fitting(body["body"]), comment.edits + 1
                    comment.editor, comment.updated = who, stamp()
                return comment.document
            case "GET", "issues", number, "timeline":
                return self._page(hub.timelines.get(int(number), []), asked, path)
            case "GET", "issues", number:
                return self._issue(int(number))
            case (_, "issues") | ("PATCH", "issues", _):
                return self._issues(method, path, asked, who, body)
            case "POST", "pulls":
                return _Answer(201, self._open_pull(body, who))
            case "GET", "pulls":
                return self._page(self._pulls(asked), asked, path)
            case "GET", "pulls", number:
                return self._found(hub.pulls.get(int(number)))
            case "GET", "pulls", number, "files":
                return self._page(hub.pull_files.get(int(number), [])[:3000], asked, path)
            case "GET", "pulls", number, "reviews":
                mine_too = [review.document for review in hub.reviews if review.number == int(number)]
                return self._page(mine_too, asked, path)
            case "GET", "commits", sha, "pulls":
                return self._page([hub.pulls[n] for n in hub.merged_by.get(sha, [])], asked, path)
            case "GET", "commits":
                return self._page(self._history(asked.get("sha", "main"), asked.get("path", "")), asked, path)
            case "GET", "commits", sha:
                return self._found(self._commit(sha))
            case "GET", "compare", between:
                return self._compare(*unquote(between).split("..."))
            case "GET", "contents", *names if "/".join(names) not in hub.contents:
                folder = "/".join([*names, ""]) if names else ""
                inside = [name.removeprefix(folder) for name in hub.contents if name.startswith(folder)]
                listed = sorted({name.partition("/")[0] for name in inside})
                return self._found([{"name": name, "type": "file"} for name in listed] or None)
            case "GET", "contents", *names:
                content = hub.contents["/".join(names)]
                return {"type": "file", "encoding": "base64", "content": base64.b64encode(content).decode()}
            case "GET", "codeowners", "errors":
                self._found(hub.contents.get(".github/CODEOWNERS"))
                return {"errors": hub.codeowners_errors}
            case "GET", "branches", name:
                return {"name": unquote(name), "protected": hub.protection is not None}
            case "GET", "branches", _, "protection":
                return self._found(hub.protection)
            case "GET", "rules", "branches", _:
                return self._page(setup.rules_of_branch(hub), asked, path)
            case ("GET" | "POST" | "PUT") as verb, "rulesets", *numbers:
                return _Answer(*setup.answer_rulesets(hub, verb, next(iter(numbers), None), body, asked))
            case "GET", "collaborators", login, "permission":
                role = hub.roles.get(login, "write")
                return {"permission": role, "role_name": role, "user": user(login)}
            case _:
                raise _Answer(404, {"message": "Not Found"})

    def _open_pull(self, body: Any, who: str) -> dict[str, Any]:
        """Open a pull request of a branch that was pushed."""
        branches = self.hub.branches
        if not {body["head"], body["base"]} <= branches.keys() or not body["title"]:
            raise _Answer(422, {"message": "Validation Failed"})
        number, base = len(self.hub.pulls) + 1, branches[body["base"]][-1]
        return self.hub.open_pull(number, body["head"], branches[body["head"]][-1], base_sha=base, author=who)

    def _pulls(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        """Return the pull requests that fit the filters; `head` has the form OWNER:BRANCH."""
        state, base, head = asked.get("state", "open"), asked.get("base"), asked.get("head")
        return [
            pull
            for pull in self.hub.pulls.values()
            if state in (pull.get("state", "open"), "all")
            and base in (None, (pull.get("base") or {}).get("ref"))
            and head in (None, _label(pull))
        ]

    def _actions(self, method: str, path: str, asked: dict[str, str], body: Any) -> Any:
        """Answer for runs, their jobs, approvals and artifacts, and for environments."""
        hub = self.hub
        match method, *path.split("/"):
            case "GET", "environments":
                every_environment = [one.document for one in hub.environments.values()]
                return self._list("environments", every_environment, asked, path)
            case "GET", "environments", name:
                return self._found(hub.find_environment(unquote(name))).document
            case "PUT", "environments", name:
                return setup.put_environment(hub, unquote(name), body)
            case method, "environments", name, "deployment-branch-policies", *numbers:
                environment = self._found(hub.find_environment(unquote(name)))
                if method == "POST":
                    return _Answer(*setup.add_branch_policy(environment, body))
                if method == "DELETE":
                    return _Answer(*setup.remove_branch_policy(environment, numbers[0]))
                return self._list("branch_policies", setup.branch_policies(environment), asked, path)
            case "GET", "environments", name, "variables":
                return self._variables(self._found(hub.find_environment(unquote(name))).name, asked, path)
            case "GET", "actions", "variables":
                return self._variables("repository", asked, path)
            case "GET", "actions", "organization-variables":
                return self._variables("organization", asked, path)
            case "GET", "actions", "runs":
                return self._list("workflow_runs", self._runs(asked), asked, path)
            case "GET", "actions", "workflows", name, "runs":
                mine = [run for run in self._runs(asked) if str(run.get("path")).endswith(f"/{name}")]
                return self._list("workflow_runs", mine, asked, path)
            case "GET", "actions", "runs", run:
                return self._found(hub.runs.get(run))
            case "GET", "actions", "runs", run, "attempts", attempt:
                found = self._found(hub.runs.get(run))
                return self._found(found if int(attempt) <= found["run_attempt"] else None)
            case "GET", "actions", "runs", run, "jobs":
                return self._list("jobs", hub.jobs.get(run, []), asked, path)
            case "GET", "actions", "runs", run, "approvals":
                self._found(hub.runs.get(run))
                return hub.approvals.get(run, [])
            case "GET", "actions", "runs", run, "artifacts":
                every = [a for a in hub.artifacts if a.run == run and asked.get("name", a.name) == a.name]
                return self._list("artifacts", [hub.artifact_document(a) for a in every], asked, path)
            case "GET", "actions", "artifacts":
                named = [a for a in reversed(hub.artifacts) if asked.get("name", a.name) == a.name]
                return self._list("artifacts", [hub.artifact_document(a) for a in named], asked, path)
            case "GET", "actions", "artifacts", text, "zip":
                artifact = self._found(next((a for a in hub.artifacts if a.id == int(text)), None))
                if artifact.expired:
                    raise _Answer(410, {"message": "Artifact has expired"})
                elsewhere = hub.url.replace("127.0.0.1", "localhost")
                return _Answer(302, b"", {"Location": f"{elsewhere}/archive/{text}?sig=secret"})
            case _:
                raise _Answer(404, {"message": "Not Found"})

    def _runs(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        """Return the runs that fit the filters, newest first."""
        filters = {"head_sha": "head_sha", "event": "event", "branch": "head_branch"}
        since = asked.get("created", "").removeprefix(">=")
        return [
            run
            for _, run in sorted(self.hub.runs.items(), key=lambda item: -int(item[0]))
            if all(asked.get(name, run.get(key)) == run.get(key) for name, key in filters.items())
            and asked.get("actor") in (None, (run.get("actor") or {}).get("login"))
            and asked.get("status") in (None, run.get("status"), run.get("conclusion"))
            and str(run.get("created_at", "")) >= since
        ]

    def _checks(self, method: str, path: str, asked: dict[str, str], body: Any) -> Any:
        """Answer for check runs. All jobs are one app, so each may change those of the others."""
        hub = self.hub
        match method, *path.split("/"):
            case "GET", "commits", sha, _:
                mine = [check for check in hub.check_runs if check["head_sha"] == sha]
                named = [check for check in mine if asked.get("check_name", check["name"]) == check["name"]]
                return self._list("check_runs", named, asked, path)
            case "POST", "check-runs":
                check = {"id": hub.next_id(), "status": "queued", "conclusion": None, "started_at": stamp()}
                hub.check_runs.append(check | _checked(body, needed={"name", "head_sha"}))
                return _Answer(201, hub.check_runs[-1])
            case ("GET" | "PATCH") as verb, "check-runs", text:
                found: dict[str, Any] = self._found(
                    next((check for check in hub.check_runs if check["id"] == int(text)), None)
                )
                if verb == "PATCH":
                    found |= _checked(body, needed=set())
                return found
            case _:
                raise _Answer(404, {"message": "Not Found"})

    def _variables(self, scope: str, asked: dict[str, str], path: str) -> _Answer:
        """Return variables; a page has at most 30, whatever the request says."""
        values = [{"name": name, "value": value} for name, value in self.hub.variables.get(scope, {}).items()]
        return self._list("variables", values, asked | {"per_page": "30"}, path)

    def _found(self, one: Any) -> Any:
        if one is None:
            raise _Answer(404, {"message": "Not Found"})
        return one

    def _issue(self, number: int) -> dict[str, Any]:
        """Return one issue; a pull request is an issue, too."""
        if number in self.hub.pulls:
            locked = bool(self.hub.pulls[number].get("locked"))
            return {"number": number, "pull_request": {}, "locked": locked}
        document: dict[str, Any] = self._found(
            next((issue.document for issue in self.hub.issues if issue.number == number), None)
        )
        return document

    def _unlocked(self, number: int) -> None:
        if self.hub.pulls.get(number, {}).get("locked"):
            raise _Answer(403, {"message": "Unable to create comment because issue is locked."})

    def _issues(self, method: str, path: str, asked: dict[str, str], who: str, body: Any) -> Any:
        hub = self.hub
        if method == "GET":
            wanted = asked.get("state", "open")
            return self._page([i.document for i in hub.issues if wanted in (i.state, "all")], asked, path)
        self._may("issues")
        if method == "POST":
            return _Answer(201, hub.open(body["title"], self._fitting(body["body"]), who).document)
        issue = next((i for i in hub.issues if str(i.number) == path.rsplit("/", 1)[-1]), None)
        if issue is None:
            raise _Answer(404, {"message": "Not Found"})
        issue.title, issue.body = body.get("title", issue.title), self._fitting(body.get("body", issue.body))
        issue.state, issue.reason = body.get("state", issue.state), body.get("state_reason", issue.reason)
        issue.edits += 1
        return issue.document

    def _may(self, what: str) -> None:
        if what in self.hub.denied:
            raise _NOT_ACCESSIBLE

    def _fitting(self, text: str) -> str:
        if len(text) > self.hub.longest:
            message = f"Body is too long (maximum is {self.hub.longest} characters)"
            raise _Answer(422, {"message": "Validation Failed", "errors": [{"message": message}]})
        return text

    def _page(self, items: list[Any], asked: dict[str, str], path: str) -> _Answer:
        size, page = min(int(asked.get("per_page", "30")), 100), int(asked.get("page", "1"))
        shown = items[(page - 1) * size : page * size]
        headers: dict[str, str] = {}
        if page * size < len(items):
            url = f"{self.hub.url}/repos/{REPOSITORY}/{path}?"
            further, last = (
                url + urlencode(asked | {"per_page": size, "page": number})
                for number in (page + 1, -(-len(items) // size))
            )
            headers["Link"] = f'<{further}>; rel="next", <{last}>; rel="last"'
        return _Answer(200, shown, headers)

    def _list(self, key: str, items: list[Any], asked: dict[str, str], path: str) -> _Answer:
        """Return one page of a list inside of an object."""
        page = self._page(items, asked, path)
        return _Answer(200, {"total_count": len(items), key: page.body}, page.headers)

    def _compare(self, base: str, head: str) -> Any:
        """Compare a commit with a branch, or with a later commit of the same branch."""
        tips = [
            commits[: commits.index(head) + 1] for commits in self.hub.branches.values() if head in commits
        ]
        commits = self.hub.branches.get(head) or next(iter(tips), [])
        if base not in commits:
            return {"status": "diverged", "files": [], "commits": [], "total_commits": 0}
        later = commits[commits.index(base) + 1 :]
        files = sorted({name for sha in later for name in self.hub.files.get(sha, [])})
        return {
            "status": "ahead" if later else "identical", "files": [{"filename": name} for name in files],
            "commits": [{"sha": sha} for sha in later], "total_commits": len(later),
        }  # fmt: skip

    def _commit(self, sha: str) -> dict[str, Any] | None:
        """Return a commit; its parent is the one before it on a branch."""
        branch: list[str] = next((b for b in self.hub.branches.values() if sha in b), [])
        if sha not in self.hub.commits and not branch:
            return None
        before = branch[: branch.index(sha)][-1:] if branch else []
        parents = [{"sha": one} for one in before]
        return {"sha": sha, "parents": parents, **self.hub.commits.get(sha, {})}

    def _history(self, sha: str, path: str) -> list[dict[str, Any]]:
        """Return the commits of a branch up to one, newest first; with a path, those that change it."""
        branch: list[str] = self._found(next((b for b in self.hub.branches.values() if sha in b), None))
        return [
            {"sha": one, "commit": {"committer": {"date": f"2026-11-23T10:{number:02}:00Z"}}}
            for number, one in reversed(list(enumerate(branch[: branch.index(sha) + 1])))
            if any(f"{file}/".startswith(f"{path}/") or not path for file in self.hub.files.get(one, []))
        ]

    def _archive(self, path: str, token: str) -> _Answer:
        if token or not self.hub.requests[-1].host.startswith("localhost"):
            return _Answer(400, b"the storage takes no token of GitHub")
        artifact = next(a for a in self.hub.artifacts if a.id == int(path.split("/")[2]))
        return _Answer(200, artifact.content, {"Content-Type": "application/zip"})

    def _graphql(self, body: Any, who: str, token: str) -> Any:
        comments: dict[str, Comment | Issue] = {c.node: c for c in self.hub.comments}
        comments |= {i.node: i for i in self.hub.issues}
        variables = body["variables"]
        granted = self.hub.permissions.get(token)
        forbidden = {"type": "FORBIDDEN", "message": "Resource not accessible by integration"}
        if "minimizeComment" in body["query"]:
            if "minimize" in self.hub.denied or not permitted("POST", "issues/1/comments", granted):
                return {"data": {"minimizeComment": None}, "errors": [forbidden]}
            folded = comments[variables["id"]]
            assert isinstance(folded, Comment)
            folded.minimized = "OUTDATED"
            return {"data": {"minimizeComment": {"minimizedComment": {"isMinimized": True}}}}
        if "nodes" in body["query"]:
            if not permitted("GET", "issues", granted):
                return {"data": {"nodes": [None for _ in variables["ids"]]}, "errors": [forbidden]}
            nodes = [_node(i, comments[i], who) if i in comments else None for i in variables["ids"]]
            missing = [{"type": "NOT_FOUND", "message": "no such node"} for node in nodes if node is None]
            return {"data": {"nodes": nodes}} | ({"errors": missing} if missing else {})
        raise _Answer(400, {"message": "Problems parsing"})


def _node(node: str, found: Comment | Issue, who: str) -> dict[str, Any]:
    """Return the fields of a comment or issue in GraphQL. An edit changes the editor, not the author."""
    fields: dict[str, Any] = {"id": node, "isMinimized": False, "viewerDidAuthor": found.author == who}
    if isinstance(found, Comment):
        fields |= {
            "isMinimized": bool(found.minimized), "editor": {"login": found.editor} if found.editor else None,
            "lastEditedAt": found.updated if found.editor else None,
            "includesCreatedEdit": False, "createdAt": found.created, "updatedAt": found.updated,
        }  # fmt: skip
    return fields
