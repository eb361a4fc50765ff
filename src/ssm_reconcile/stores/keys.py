"""KMS references -> keys: aliases, ids and ARNs, each resolved once.

reference                            result
`alias/aws/...`, by name or by id    itself: it has the same meaning in every place, and it is not looked up,
because
                                     DescribeKey on such an alias creates the key (KMS, DescribeKey)
`alias/...`                          the key that ListAliases returns for it; missing if there is none
a key id or ARN                      DescribeKey
an ARN of another region             missing: SSM cannot use the key

Cost: ListAliases once for each place (a call for each hundred aliases), one DescribeKey for each key.
Without permission for ListAliases, aliases are resolved by DescribeKey. Without permission for DescribeKey,
the identity is taken from the reference or from ListAliases, and the state is `unknown`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import MANAGED_KEY, Key, KeyState, Place
from ssm_reconcile.stores.calls import Calls

if TYPE_CHECKING:
    from types_boto3_kms.client import KMSClient
    from types_boto3_kms.type_defs import KeyMetadataTypeDef

ALIASES_PAGE = 100
"""Aliases in a page of ListAliases (Limit)."""
_PREDEFINED = "alias/aws/"
_ARN = re.compile(r"arn:[^:]+:kms:(?P<region>[^:]*):(?P<account>[^:]*):(?P<rest>(?:alias|key)/.+)")
_STATES = {
    "Enabled": KeyState.USABLE,
    "Disabled": KeyState.DISABLED,
    "Updating": KeyState.USABLE,  # its primary region is changing; the key can be used
    "PendingDeletion": KeyState.PENDING_DELETION,
    "PendingReplicaDeletion": KeyState.PENDING_DELETION,
}
"""Key states of KMS (DescribeKey, KeyState). In all other states the key cannot be used now."""


class Keys:
    """The KMS keys of one place, cached for the run. Thread-safe."""

    def __init__(self, kms: KMSClient, place: Place, calls: Calls) -> None:
        self._kms = kms
        self._place = place
        self._calls = calls
        self._lock = threading.Lock()
        self._targets: dict[str, str] | None = None
        self._listed = True
        self._known: dict[str, Key] = {}

    def resolve(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """Return the key of each reference, as described at `base.Reader.keys`. Raise StoreError."""
        with self._lock:
            if fresh:
                self._targets = None
                self._known = {name: key for name, key in self._known.items() if name not in references}
            for reference in sorted(set(references)):
                if reference not in self._known:
                    self._known[reference] = self._resolve(reference)
            return {reference: self._known[reference] for reference in references}

    def _resolve(self, reference: str) -> Key:
        named = reference
        arn = _ARN.fullmatch(reference)
        if arn is not None:
            if arn["region"] != self._place.region:
                return Key(reference, KeyState.MISSING)
            if arn["account"] != self._place.account:
                return self._describe(reference, reference)
            named = arn["rest"].removeprefix("key/")
        if named.startswith(_PREDEFINED):
            return _managed(named)
        if named.startswith("alias/"):
            return self._alias(named, reference)
        for alias, target in self._aliases().items():
            if target == named and alias.startswith(_PREDEFINED):
                return _managed(alias)
        return self._describe(named, self._arn(named))

    def _alias(self, alias: str, reference: str) -> Key:
        target = self._aliases().get(alias)
        if target is not None:
            return self._describe(target, self._arn(target))
        if self._listed:
            return Key(reference, KeyState.MISSING)
        return self._describe(alias, reference)

    def _arn(self, key_id: str) -> str:
        place = self._place
        return f"arn:{place.partition}:kms:{place.region}:{place.account}:key/{key_id}"

    def _aliases(self) -> Mapping[str, str]:
        """Return key ids by alias, listed once; empty without permission to list them."""
        if self._targets is None:
            try:
                pages = self._calls.pages("ListAliases", self._page)
                self._targets = {alias: target for page in pages for alias, target in page.items()}
            except StoreError as failure:
                if failure.kind is not Trouble.DENIED:
                    raise
                self._targets, self._listed = {}, False
        return self._targets

    def _page(self, marker: str | None) -> tuple[dict[str, str], str | None]:
        if marker is None:
            answer = self._kms.list_aliases(Limit=ALIASES_PAGE)
        else:
            answer = self._kms.list_aliases(Limit=ALIASES_PAGE, Marker=marker)
        # An `alias/aws/...` has no key before its first use.
        page = {one["AliasName"]: one["TargetKeyId"] for one in answer["Aliases"] if one.get("TargetKeyId")}
        return page, answer.get("NextMarker") if answer.get("Truncated") else None

    def _describe(self, key_id: str, presumed: str) -> Key:
        """Return the key by DescribeKey; `presumed` is its identity without permission to call it."""
        try:
            return self._calls.read("DescribeKey", partial(self._ask, key_id, presumed))
        except StoreError as failure:
            if failure.kind is Trouble.MISSING:
                return Key(presumed, KeyState.MISSING)
            if failure.kind is Trouble.DENIED:
                return Key(presumed, KeyState.UNKNOWN, multi_region=_is_multi_region(presumed))
            raise

    def _ask(self, key_id: str, presumed: str) -> Key:
        return _key(self._kms.describe_key(KeyId=key_id)["KeyMetadata"], presumed)


def _managed(alias: str) -> Key:
    return Key(alias, KeyState.USABLE, managed=True)


def _is_multi_region(arn: str) -> bool:
    """Whether a key is a multi-Region key by its ARN. An alias may be named `alias/mrk-...` too."""
    return ":key/mrk-" in arn


def _key(metadata: KeyMetadataTypeDef, presumed: str) -> Key:
    if metadata.get("KeyManager") == "AWS":
        # This happens only without ListAliases. A managed key can be used by its own service only (its key
        # policy has kms:ViaService), so the key of a parameter can only be the one of SSM.
        return _managed(MANAGED_KEY)
    identity = metadata.get("Arn") or presumed
    spec = metadata.get("KeySpec") or metadata.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage = metadata.get("KeyUsage") or "ENCRYPT_DECRYPT"
    state = _STATES.get(metadata.get("KeyState") or "Enabled", KeyState.UNAVAILABLE)
    if spec != "SYMMETRIC_DEFAULT" or usage != "ENCRYPT_DECRYPT":
        state = KeyState.UNSUITABLE
    multi_region = metadata.get("MultiRegion", _is_multi_region(identity))
    return Key(identity, state, multi_region=multi_region)
