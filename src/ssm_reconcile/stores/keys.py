"""KMS references -> keys: aliases, ids and ARNs resolved in one place, each asked once.

reference                              answer
`alias/aws/...`, by name or by id      itself: the same meaning everywhere, and nothing is asked, since
                                       DescribeKey on such a name creates the key (aws-facts A3)
`alias/...`                            the key that ListAliases says it points to; missing if it is not there
a key id or ARN                        DescribeKey
anything that names another region     missing: SSM cannot use it here

Costs ListAliases once per place (a call for each hundred aliases), and one DescribeKey for each key.
Without permission for ListAliases, aliases are asked by DescribeKey; without permission for that, a key
is taken for what its name or ListAliases says, in state `unknown`.
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
"""Aliases a page of ListAliases (aws-facts A3)."""
_PREDEFINED = "alias/aws/"
_ARN = re.compile(r"arn:[^:]+:kms:(?P<region>[^:]*):(?P<account>[^:]*):(?P<rest>(?:alias|key)/.+)")
_STATES = {
    "Enabled": KeyState.USABLE,
    "Disabled": KeyState.DISABLED,
    "Updating": KeyState.USABLE,  # its primary region is changing; it encrypts and decrypts meanwhile
    "PendingDeletion": KeyState.PENDING_DELETION,
    "PendingReplicaDeletion": KeyState.PENDING_DELETION,
}
"""KMS's states; all others (Creating, PendingImport, Unavailable) neither encrypt nor decrypt now."""


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
        """The key of each reference, as `base.Reader.keys` has it; raises StoreError."""
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
        """Key id by alias, read once; empty when it may not be asked."""
        if self._targets is None:
            try:
                self._targets = self._list()
            except StoreError as failure:
                if failure.kind is not Trouble.DENIED:
                    raise
                self._targets, self._listed = {}, False
        return self._targets

    def _list(self) -> dict[str, str]:
        pages = self._calls.pages("ListAliases", self._page)
        return {alias: target for page in pages for alias, target in page.items()}

    def _page(self, marker: str | None) -> tuple[dict[str, str], str | None]:
        if marker is None:
            answer = self._kms.list_aliases(Limit=ALIASES_PAGE)
        else:
            answer = self._kms.list_aliases(Limit=ALIASES_PAGE, Marker=marker)
        # Predefined aliases point to nothing before they are used.
        page = {one["AliasName"]: one["TargetKeyId"] for one in answer["Aliases"] if one.get("TargetKeyId")}
        return page, answer.get("NextMarker") if answer.get("Truncated") else None

    def _describe(self, key_id: str, presumed: str) -> Key:
        """What DescribeKey says; `presumed` is the identity to go by when it may not be asked."""
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
    """Whether a key is one by its ARN. An alias may be called `alias/mrk-anything`, which says nothing."""
    return ":key/mrk-" in arn


def _key(told: KeyMetadataTypeDef, presumed: str) -> Key:
    if told.get("KeyManager") == "AWS":
        # Only without ListAliases does one come here. KMS lets a service use its own managed key only
        # (its key policy says kms:ViaService), so for a parameter it can be no other than SSM's.
        return _managed(MANAGED_KEY)
    identity = told.get("Arn") or presumed
    spec = told.get("KeySpec") or told.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage = told.get("KeyUsage") or "ENCRYPT_DECRYPT"
    state = _STATES.get(told.get("KeyState") or "Enabled", KeyState.UNAVAILABLE)
    if spec != "SYMMETRIC_DEFAULT" or usage != "ENCRYPT_DECRYPT":
        state = KeyState.UNSUITABLE
    multi_region = told.get("MultiRegion", _is_multi_region(identity))
    return Key(identity, state, multi_region=multi_region)
