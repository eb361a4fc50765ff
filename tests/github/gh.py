"""A `gh` for tests: `gh api` -> a request to the local GitHub at GH_TEST_API, with the token GH_TOKEN.

    gh api [--include] [--method METHOD] [--input -] [--jq EXPRESSION] PATH
    gh auth token
    gh pr create --fill          of the branch that is checked out, which must be pushed

It exits 1 for an error of the API, whose body is on stdout and whose message is on stderr, and 4 without a
token, as the manual of `gh` says. `run` does the same without a process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from typing import Any


def run(
    command: Sequence[str],
    *,
    input: str = "",  # noqa: A002 - as in `subprocess.run`
    **_: object,
) -> subprocess.CompletedProcess[str]:
    """Answer in this process, in the place of `subprocess.run`."""
    code, out, error = _answer(command[1:], input.encode)
    return subprocess.CompletedProcess(command, code, out, error)


def main() -> int:
    code, out, error = _answer(sys.argv[1:], sys.stdin.buffer.read)
    sys.stdout.write(out)
    sys.stderr.write(error)
    return code


def _answer(words: Sequence[str], read: Callable[[], bytes]) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr; `read` returns stdin."""
    if words == ["auth", "token"]:
        return 0, f"{os.environ['GH_TOKEN']}\n", ""
    if words == ["pr", "create", "--fill"]:
        return _create_pull()
    parser = argparse.ArgumentParser("gh", allow_abbrev=False)
    parser.add_argument("command", choices=["api"])
    parser.add_argument("path")
    parser.add_argument("--include", action="store_true")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--input", choices=["-"])
    parser.add_argument("--jq")
    given = parser.parse_args(words)
    if not os.environ.get("GH_TOKEN"):
        return 4, "", "To get started with GitHub CLI, please run:  gh auth login\n"
    status, text = _send(given.method, given.path, read() if given.input else None)
    failed = status >= 400
    head = f"HTTP/2.0 {status} Status\r\nContent-Type: application/json\r\n\r\n" if given.include else ""
    body = _select(json.loads(text), given.jq) if given.jq and not failed else text
    error = f"gh: {json.loads(text).get('message')} (HTTP {status})\n" if failed else ""
    return int(failed), head + body, error


def _send(method: str, path: str, body: bytes | None) -> tuple[int, str]:
    host = os.environ["GH_TEST_API"].removeprefix("http://")
    connection = HTTPConnection(host, timeout=10)
    headers = {"Authorization": f"Bearer {os.environ['GH_TOKEN']}", "Content-Type": "application/json"}
    try:
        connection.request(method, f"/{path}", body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _select(document: Any, jq: str) -> str:
    """Return the output of jq, which `gh` contains."""
    words = ["jq", "--raw-output", jq]
    return subprocess.run(
        words, input=json.dumps(document), capture_output=True, text=True, check=True
    ).stdout


def _create_pull() -> tuple[int, str, str]:
    """Open a pull request of the current branch; print its address."""
    branch = subprocess.run(
        ["git", "branch", "--show-current"], capture_output=True, text=True, check=True
    ).stdout.strip()
    path = f"repos/{os.environ['GH_TEST_REPOSITORY']}/pulls"
    status, text = _send("POST", path, json.dumps({"head": branch, "base": "main", "title": branch}).encode())
    if status >= 400:
        return 1, "", f"pull request create failed: {json.loads(text).get('message')} (HTTP {status})\n"
    return 0, f"{json.loads(text)['html_url']}\n", ""


if __name__ == "__main__":
    sys.exit(main())
