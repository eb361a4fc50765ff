"""A GitHub for the tests of commands and publishers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.github.content import Hub
from tests.github.in_process import answer_in_process
from tests.github.server import serving_in_turn


@pytest.fixture(scope="session")
def fresh_hub() -> Iterator[Callable[[], Hub]]:
    """One server for all tests, and a function that gives it fresh content."""
    with serving_in_turn() as fresh:
        yield fresh


@pytest.fixture
def empty_hub(
    fresh_hub: Callable[[], Hub], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Hub:
    """A GitHub without content, in this process; over HTTP for tests with the mark `http`."""
    hub = fresh_hub()
    if request.node.get_closest_marker("http") is None:
        answer_in_process(monkeypatch, hub)
    return hub
