"""A `gh` for tests: `gh api` -> a request to the local GitHub at GH_TEST_API, with the token GH_TOKEN.

    gh api [--include] [--method METHOD] [--input -] [--jq .KEY] PATH

It exits 1 for an error of the API, whose body is on stdout and whose message is on stderr, and 4 without a
token, as the manual of `gh` says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from http.client import HTTPConnection


def main() -> int:
    parser = argparse.ArgumentParser("gh", allow_abbrev=False)
    parser.add_argument("command", choices=["api"])
    parser.add_argument("path")
    parser.add_argument("--include", action="store_true")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--input", choices=["-"])
    parser.add_argument("--jq")
    given = parser.parse_args()
    if not os.environ.get("GH_TOKEN"):
        sys.stderr.write("To get started with GitHub CLI, please run:  gh auth login\n")
        return 4
    body = sys.stdin.buffer.read() if given.input else None
    host = os.environ["GH_TEST_API"].removeprefix("http://")
    connection = HTTPConnection(host, timeout=10)
    headers = {"Authorization": f"Bearer {os.environ['GH_TOKEN']}", "Content-Type": "application/json"}
    connection.request(given.method, f"/{given.path}", body, headers)
    response = connection.getresponse()
    status, text = response.status, response.read().decode()
    failed = status >= 400
    if given.include:
        sys.stdout.write(f"HTTP/2.0 {status} Status\r\nContent-Type: application/json\r\n\r\n")
    sys.stdout.write(str(json.loads(text)[given.jq.removeprefix(".")]) if given.jq and not failed else text)
    if failed:
        sys.stderr.write(f"gh: {json.loads(text).get('message')} (HTTP {status})\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
