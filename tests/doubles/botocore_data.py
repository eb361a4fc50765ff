"""One loader of botocore's data, and one table of its event names, for all sessions of a process.

Each boto3 session parses megabytes of service models again, and each client inspects the same handlers and
translates the names of the same events. Over moto that is most of the time of a test.
"""

from __future__ import annotations

import inspect
import os
from functools import cache
from typing import Any

import botocore.hooks
import botocore.session
from botocore.hooks import EVENT_ALIASES, EventAliaser
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


_EVENT_NAMES: dict[str, str] = {}


class _SharedEventNames(EventAliaser):
    """An emitter that translates the name of an event once in a process, not once for each client."""

    def __init__(self, event_emitter: Any, event_aliases: dict[str, str] | None = None) -> None:
        super().__init__(event_emitter, event_aliases)
        if event_aliases is None or event_aliases == EVENT_ALIASES:
            self._alias_name_cache = _EVENT_NAMES


_inspected = botocore.hooks.accepts_kwargs


def _accepts_kwargs(handler: Any) -> bool:
    """Whether a handler takes any keyword: its code says it, in a hundredth of the time of a signature."""
    code = getattr(handler, "__code__", None)
    return bool(_inspected(handler) if code is None else code.co_flags & inspect.CO_VARKEYWORDS)


def share_loader() -> None:
    """Make every session that is created from now on use the shared loader and the shared event names."""
    botocore.session.create_loader = _shared_loader
    botocore.session.EventAliaser = _SharedEventNames  # type: ignore[misc, assignment] # a subclass in its place
    botocore.hooks.accepts_kwargs = _accepts_kwargs  # type: ignore[assignment] # returns a bool, used as one
