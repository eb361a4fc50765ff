"""Settings for all tests: no GitHub environment, and one copy of botocore's data in each test process."""

from __future__ import annotations

import os

from tests.doubles.botocore_data import share_loader


def pytest_configure() -> None:
    """Prepare the process before any test module reads the environment or imports boto3."""
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "ACTIONS_", "RUNNER_")):
            del os.environ[name]
    share_loader()
