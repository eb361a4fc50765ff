"""The tag that opts a parameter out of replication: the tags that count, and those that are almost it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from ssm_reconcile.model import Problem, ProblemKind


class SkipMode(StrEnum):
    """The values with which the skip tag counts: any value, some values, or the names of targets."""

    ANY = "any"
    LISTED = "listed"
    TARGETS = "targets"


class OnSkip(StrEnum):
    """The action on replicas whose source received the skip tag later."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class SkipSync:
    """The tag that opts a parameter out of replication. Active by default."""

    tag: str = "skip_sync"
    mode: SkipMode = SkipMode.ANY
    values: tuple[str, ...] = ()
    replicas: OnSkip = OnSkip.KEEP
    ignore: tuple[str, ...] = ()
    """Tag keys that resemble `tag` and have another meaning."""

    def applies(self, tags: Mapping[str, str], target: str) -> bool:
        """Whether a parameter with these tags is opted out of a target.

        In mode `targets` the tag's value lists target names, separated by `:`, `,` or spaces
        (`us-east-2:dr-eu`). `:` is the usual separator, because SSM allows no comma in tag values.
        """
        value = tags.get(self.tag)
        if value is None:
            return False
        if self.mode is SkipMode.ANY:
            return True
        if self.mode is SkipMode.LISTED:
            return value in self.values
        return target in re.split(r"[:,\s]+", value)

    def near_misses(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return the tag keys that equal the skip tag except for case and separators, sorted.

        Such a key is more often a mistyped skip tag than another tag. `ignore` lists the exceptions.
        """
        wanted = _bare(self.tag)
        alike = [key for key in tags if wanted and _bare(key) == wanted]
        return tuple(sorted(key for key in alike if key not in {self.tag, *self.ignore})) if alike else ()

    def almost_applies(self, tags: Mapping[str, str], target: str) -> bool:
        """Whether the tag's value is almost a listed value, or almost names that target."""
        value = tags.get(self.tag)
        if value is None or self.mode is SkipMode.ANY or self.applies(tags, target):
            return False
        if self.mode is SkipMode.LISTED:
            wanted, found = {*map(_bare, self.values)}, {_bare(value)}
        else:
            wanted, found = {_bare(target)}, {_bare(value), *map(_bare, _ITEMS.split(value))}
        return bool((wanted & found) - {""})

    def is_doubtful(self, tags: Mapping[str, str], target: str) -> bool:
        """Whether a parameter carries a tag that may be a mistyped opt-out from that target."""
        return bool(self.near_misses(tags)) or self.almost_applies(tags, target)

    def problems(
        self, tags: Mapping[str, str], target: str, carrier: str, *, live: bool
    ) -> tuple[Problem, ...]:
        """Return the reasons to withhold a parameter whose opt-out tag may be mistyped.

        Args:
            tags: The tags of the parameter.
            target: The name of the target.
            carrier: The parameter, as messages name it.
            live: Whether it is the parameter in the target, where the tag does not belong.
        """
        found = []
        if keys := self.near_misses(tags):
            named = ", ".join(f"`{key}`" for key in keys)
            remedy = "remove the tag there" if live else "rename the tag"
            found.append(
                f"{carrier} carries the tag {named}, which is almost the skip tag `{self.tag}`:"
                f" {remedy}, or list its key under `skip_sync.ignore`"
            )
        if self.almost_applies(tags, target):
            meant = "one of `skip_sync.values`" if self.mode is SkipMode.LISTED else f"the target `{target}`"
            remedy = "remove the tag there" if live else "correct the value, or remove the tag"
            found.append(
                f"{carrier} carries the skip tag `{self.tag}` with a value that is almost {meant}: {remedy}"
            )
        return tuple(Problem(ProblemKind.SKIP_TAG, reason) for reason in found)


_ITEMS = re.compile(r"[:,;/|+=\s]+")
"""Separators of target names, also those that SSM does not allow in a tag."""


@lru_cache(maxsize=4096)
def _bare(key: str) -> str:
    """Return a tag key or value without case and separators."""
    return re.sub(r"[-_:\s]", "", key).casefold()
