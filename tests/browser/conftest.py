"""A real Chromium (Debian's package `chromium`), driven by Playwright.

Without one these tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Options for Chromium as root in a container, without traffic of its own."""
CANDIDATES = ("chromium", "chromium-browser", "google-chrome")
Open: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start one browser for all tests of a process."""
    found = next((path for name in CANDIDATES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open pages from files; at the end, check that they made no request and logged nothing."""
    contexts: list[Any] = []
    noise: list[str] = []

    def dismissed(dialog: Any) -> None:
        noise.append("a dialog")
        dialog.dismiss()

    def page_of(text: str, **options: Any) -> Any:
        file = tmp_path / f"page-{len(contexts)}.html"
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", dismissed)
        page.on("request", lambda asked: None if asked.url == file.as_uri() else noise.append(asked.url))
        page.goto(file.as_uri())
        return page

    yield page_of
    for context in contexts:
        context.close()
    assert noise == []
