"""One loader of botocore's data for all sessions of a process.

Each boto3 session parses megabytes of service models again. Over moto that is most of the time of a test.
"""

from __future__ import annotations

import os
from functools import cache

import botocore.session
from botocore.loaders import Loader


class _SearchPaths(list[str]):
    """Search paths of a shared loader: each boto3 session appends the same path."""

    def append(self, path: str) -> None:
        if path not in self:
            super().append(path)


@cache
def _shared_loader(search_path: str | None = None) -> Loader:
    return Loader(
        extra_search_paths=_SearchPaths([] if search_path is None else search_path.split(os.pathsep))
    )


def share_loader() -> None:
    """Make every session that is created from now on use the shared loader."""
    botocore.session.create_loader = _shared_loader
