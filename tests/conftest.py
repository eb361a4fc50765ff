"""Settings for all tests: no GitHub environment, and one copy of botocore's data in each test process."""

from __future__ import annotations

import os
from functools import cache

import botocore.session
from botocore.loaders import Loader


class _SearchPaths(list[str]):
    """Search paths of a loader that sessions share: each boto3 session appends the same path."""

    def append(self, path: str) -> None:
        if path not in self:
            super().append(path)


@cache
def _shared_loader(search_path: str | None = None) -> Loader:
    paths = [] if search_path is None else search_path.split(os.pathsep)
    return Loader(extra_search_paths=_SearchPaths(paths))


def pytest_configure() -> None:
    """Prepare the process before any test module reads the environment or imports boto3."""
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "ACTIONS_", "RUNNER_")):
            del os.environ[name]
    # A session of boto3 parses megabytes of service models: most of the time of a test over moto.
    botocore.session.create_loader = _shared_loader
