"""A real Chromium (Debian's package `chromium`), driven by Playwright.

Without one these tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.html import plan_html
from ssm_reconcile.renderers.view import PlanView
from tests.unit.renderers import plans

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Options for Chromium as root in a container, without traffic of its own."""
CANDIDATES = ("chromium", "chromium-browser", "google-chrome")
Open: TypeAlias = Callable[..., Any]


def page_of(plan: Plan) -> str:
    return plan_html(PlanView(plans.document_of(plan)), apply_command="ssm-reconcile apply")


def shown(page: Any) -> list[str]:
    """Return the names in the rows that match the filter, in their order."""
    names: list[str] = page.eval_on_selector_all(
        "tr[data-k]", "rows => rows.filter(r => !r.hidden).map(r => r.querySelector('th').textContent)"
    )
    return names


def settled(page: Any, count: str) -> None:
    """Wait until the counts begin with a text."""
    page.wait_for_function("want => document.getElementById('count').textContent.startsWith(want)", arg=count)
    assert page.get_by_role("status").inner_text().startswith(count)


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


@pytest.fixture(scope="session")
def contexts(browser: Any) -> dict[str, Any]:
    """Return the contexts of the browser by their options: a context starts a process, a page does not."""
    return {}


@pytest.fixture
def opened(browser: Any, contexts: dict[str, Any], tmp_path: Path) -> Iterator[Open]:
    """Open pages from files; at the end, check that they made no request and logged nothing."""
    pages: list[Any] = []
    noise: list[str] = []

    def dismissed(dialog: Any) -> None:
        noise.append("a dialog")
        dialog.dismiss()

    def open_page(text: str, *, fragment: str = "", **options: Any) -> Any:
        file = tmp_path / f"page-{len(pages)}.html"
        file.write_text(text, encoding="utf-8")
        url = file.as_uri()
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = contexts.get(repr(options)) or browser.new_context(**options)
        contexts[repr(options)] = context
        page = context.new_page()
        pages.append(page)
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", dismissed)
        page.on("request", lambda asked: None if asked.url.split("#")[0] == url else noise.append(asked.url))
        page.goto(url + fragment)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert noise == []
