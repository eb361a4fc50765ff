"""Tests behave alike on a laptop and on GitHub: what a runner tells its jobs is not told to them."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    """Before any test module looks at the environment."""
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "ACTIONS_", "RUNNER_")):
            del os.environ[name]
