"""A place on moto whose wire can be made to go wrong, through botocore's own events.

A hook on `before-send` sees each HTTP request as it would leave, so what it counts is what AWS would
have seen. Whatever a hook answers, moto performs the request all the same: an error answer to a write
is thus one whose answer was lost on the way; a hook that raises keeps it from being sent.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws

from ssm_reconcile.model import Access
from ssm_reconcile.stores.ssm import Aws, SsmStore
from tests.doubles.clock import FakeClock

REGION = "us-east-1"
Hook: TypeAlias = Callable[[dict[str, Any]], AWSResponse | None]
"""From the body of a request to an answer, or None to let it through; may raise."""


@contextmanager
def aws(**options: Any) -> Iterator[Aws]:
    """A fresh moto, with a clock that does not wait and the longest pauses that jitter allows."""
    with mock_aws():
        yield Aws(clock=options.pop("clock", FakeClock()), jitter=lambda: 1.0, **options)


def open_store(there: Aws, **access: Any) -> SsmStore:
    return there.connect(Access(**{"region": REGION, **access}))


class _Body(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def answer(status: int, body: object) -> AWSResponse:
    """An HTTP response; a body that is not a text is encoded as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return AWSResponse("https://ssm.example", status, HTTPHeaders(), _Body(text.encode()))


def refusal(code: str, message: str = "no", status: int = 400) -> AWSResponse:
    return answer(status, {"__type": code, "message": message})


class Wire:
    """The requests of one client for one operation, and their responses."""

    def __init__(self, client: Any, operation: str) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._hook: Hook = lambda _: None
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"before-send.{service}.{operation}", self._pass)

    def answers(self, hook: Hook) -> Wire:
        """From now on each request is answered by the hook."""
        self._hook = hook
        return self

    def answers_once_each(self, *answers: Callable[[], AWSResponse]) -> Wire:
        """The next requests get these answers, one each; then all is well."""
        left = list(answers)
        return self.answers(lambda _: left.pop(0)() if left else None)

    def _pass(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        body: Any = request.body
        try:
            result = json.loads(body or b"{}")
        except ValueError:
            result = {"raw": body}
        self.bodies.append(result)
        return self._hook(result)
