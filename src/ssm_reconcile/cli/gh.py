"""Requests to the GitHub API through the `gh` of the user -> responses, or an error with its remedy.

The status is the one that `gh api --include` shows, so no text of GitHub decides anything. The token stays
with `gh`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from ssm_reconcile.errors import ReconcileError

ADMINISTER = "the account of `gh auth status` must administer the repository"
FORBIDDEN, NOT_FOUND, INVALID = 403, 404, 422
_SECONDS = 60
_PAGE = 100
"""Items of a page (REST reference, the maximum)."""


@dataclass(frozen=True, slots=True)
class GhResponse:
    """The response of GitHub; status 0 without one. `text` is the message for a person."""

    status: int
    body: Any
    text: str

    @property
    def is_success(self) -> bool:
        """Whether GitHub did what the request asked for."""
        return 0 < self.status < 300  # noqa: PLR2004 - the classes of HTTP


def send_request(method: str, path: str, body: Mapping[str, Any] | None = None) -> GhResponse:
    """Send a request with `gh`, and return the response with the status that `gh` shows.

    Args:
        method: The HTTP method.
        path: The path in the API, without a `/` at its start.
        body: The JSON body; None sends none.
    """
    words = ["gh", "api", "--include", "--method", method, path]
    words += [] if body is None else ["--input", "-"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            words, input="" if body is None else json.dumps(body), capture_output=True,
            encoding="utf-8", errors="replace", check=False, timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return GhResponse(0, None, f"`gh` did not end in {_SECONDS} seconds")
    except OSError as error:
        return GhResponse(0, None, f"`gh` could not be started: {error.strerror}")
    head, _, rest = done.stdout.replace("\r\n", "\n").partition("\n\n")
    status = re.match(r"HTTP/[0-9.]+ ([0-9]{3})\b", head)
    try:
        found = json.loads(rest)
    except ValueError:
        found = None
    message = found.get("message") if isinstance(found, dict) else None
    return GhResponse(int(status[1]) if status else 0, found, str(message or done.stderr.strip()))


def read_object(path: str, setting: str, remedy: str = "", *, may_be_missing: bool = False) -> Any:
    """Return an object or a list of GitHub; None for one that may be missing and is.

    Args:
        path: The path in the API.
        setting: The name of the object for a person.
        remedy: What to do if it cannot be read; empty for a general remedy.
        may_be_missing: Whether 404 means that it does not exist.

    Raises:
        ReconcileError: It cannot be read.
    """
    response = send_request("GET", path)
    if may_be_missing and response.status == NOT_FOUND:
        return None
    if not response.is_success:
        raise request_error(f"gh api {path}", setting, response, remedy)
    return response.body


def read_pages(path: str, setting: str, key: str | None = None, *, remedy: str = "") -> list[Any]:
    """Return the items of all pages of a list.

    Args:
        path: The path in the API, with its query.
        setting: The name of the list for a person.
        key: The key of the items in each page; None if a page is a list.
        remedy: What to do if it cannot be read; empty for a general remedy.

    Raises:
        ReconcileError: A page cannot be read.
        KeyError: A page has another form, see `documented_form`.
        TypeError: A page has another form, see `documented_form`.
    """
    found: list[Any] = []
    for page in count(1):
        query = f"{'&' if '?' in path else '?'}per_page={_PAGE}&page={page}"
        body = read_object(path + query, setting, remedy)
        items = body if key is None else body[key]
        if not isinstance(items, list):
            raise TypeError(setting)
        found += items
        if len(items) < _PAGE:
            break
    return found


@contextmanager
def documented_form(setting: str) -> Iterator[None]:
    """Report a response of another form than documented as an error of GitHub.

    Args:
        setting: The name of the object for a person.

    Raises:
        ReconcileError: The block reads a key that a response does not have, or a value of another type.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{setting}: the response of GitHub has a form that this version does not know"
        raise ReconcileError(message, "check `gh --version`, and a proxy that answers for GitHub") from error


def request_error(command: str, setting: str, response: GhResponse, remedy: str) -> ReconcileError:
    """Return the error for a request that failed.

    Args:
        command: The command of `gh`.
        setting: The name of the setting for a person.
        response: The response.
        remedy: What to do; empty for a general remedy.
    """
    answer = f"HTTP {response.status}" if response.status else "no response"
    message = f"{setting}: `{command}` failed: {answer}, {response.text or 'no message'}"
    if not remedy and response.status in {FORBIDDEN, NOT_FOUND}:
        remedy = f"check the name; {ADMINISTER}"
    if not remedy:
        remedy = "run `gh auth status`; the same command goes on where this one stopped"
    return ReconcileError(message, remedy)
