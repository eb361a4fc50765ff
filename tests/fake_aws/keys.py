"""KMS as a memory store sees it: references -> keys, by ListAliases and DescribeKey, asked once a store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import partial

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import MANAGED_KEY, Key, KeyState, Place
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.region import MasterKey
from tests.fake_aws.traffic import Call
from tests.fake_aws.world import World

ALIASES_PAGE = 100
"""Limit of ListAliases (KMS API reference)."""
_MANAGED = "alias/aws/"


class Keyhole:
    """The keys of one place."""

    def __init__(self, world: World, place: Place) -> None:
        self._world = world
        self._place = place
        self._aliases: Mapping[str, str] | None = None
        self._known: dict[str, Key] = {}
        self._lock = threading.Lock()

    def usable(self, arn: str) -> bool:
        """Whether KMS would decrypt with that key now; SSM calls KMS, not the program."""
        return self._world.region(self._place).key_state(arn) is KeyState.USABLE

    def resolve(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """Return a key for each reference; the state says whether it is missing or not permitted."""
        wanted = sorted(set(references))
        with self._lock:
            if fresh:
                self._aliases = None
                self._known = {name: key for name, key in self._known.items() if name not in wanted}
            for reference in wanted:
                if reference not in self._known:
                    self._known[reference] = self._resolve(reference)
            return {reference: self._known[reference] for reference in wanted}

    def _resolve(self, reference: str) -> Key:
        prefix = f"arn:{self._place.partition}:kms:{self._place.region}:{self._place.account}:"
        if reference.startswith("arn:") and not reference.startswith(prefix):
            return Key(reference, KeyState.MISSING)
        named = reference.removeprefix(prefix).removeprefix("key/")
        if named.startswith(_MANAGED):
            return Key(named, managed=True)
        aliases = self._list_aliases()
        if named.startswith("alias/"):
            if aliases is None:
                return self._describe(named, reference)
            if named not in aliases:
                return Key(reference, KeyState.MISSING)
            named = aliases[named]
        for alias, target in (aliases or {}).items():
            if target == named and alias.startswith(_MANAGED):
                return Key(alias, managed=True)
        return self._describe(named, f"{prefix}key/{named}")

    def _list_aliases(self) -> Mapping[str, str] | None:
        """Aliases to key ids; None when they may not be listed."""
        if self._aliases is None:
            found: dict[str, str] = {}
            total = len(self._world.region(self._place).aliases)
            try:
                for start in range(0, max(total, 1), ALIASES_PAGE):
                    found |= self._world.traffic.perform(
                        Call("ListAliases", self._place), partial(self._aliases_from, start)
                    )
            except StoreError as failure:
                if failure.kind is not Trouble.DENIED:
                    raise
                return None
            self._aliases = found
        return self._aliases

    def _aliases_from(self, start: int) -> dict[str, str]:
        aliases = sorted(self._world.region(self._place).aliases.items())
        return dict(aliases[start : start + ALIASES_PAGE])

    def _describe(self, reference: str, presumed: str) -> Key:
        """Return the result of DescribeKey; `presumed` is the identity where it is denied."""
        try:
            key = self._world.traffic.perform(
                Call("DescribeKey", self._place, (reference,)), lambda: self._key(reference)
            )
        except StoreError as failure:
            states = {Trouble.MISSING: KeyState.MISSING, Trouble.DENIED: KeyState.UNKNOWN}
            if failure.kind not in states:
                raise
            return Key(presumed, states[failure.kind], multi_region="key/mrk-" in presumed)
        if key.managed:
            return Key(MANAGED_KEY, managed=True)
        return Key(key.arn, key.state, multi_region=key.multi_region)

    def _key(self, reference: str) -> MasterKey:
        key = self._world.region(self._place).key(reference)
        if key is None:
            raise Refusal("NotFoundException", "the key does not exist", Trouble.MISSING)
        return key
