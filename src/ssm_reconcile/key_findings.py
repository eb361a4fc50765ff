"""KMS keys as KMS describes them + what a plan has to read -> findings about keys.

keys-unchecked   KMS could not be asked about keys of a place
source-key       a key of the source does not decrypt now, and values under it have to be read

Only values that a change needs count: a replica in sync does not depend on the source's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ssm_reconcile.change import Change, Create, Replace, Update
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.model import MANAGED_KEY, Key, Keyring, KeyState, Listing, canonical
from ssm_reconcile.spec import Replication
from ssm_reconcile.wording import first_of

NAMED = 5
"""How many names a finding spells out before it only counts them."""
_STATES = {
    KeyState.DISABLED: ("is disabled", "enable it (aws kms enable-key)"),
    KeyState.PENDING_DELETION: (
        "is pending deletion",
        "cancel the deletion (aws kms cancel-key-deletion) and enable it",
    ),
    KeyState.UNAVAILABLE: (
        "has no key material that can be used now",
        "import its key material, or connect its key store",
    ),
    KeyState.MISSING: ("does not exist", "recover it if its deletion is not over"),
}


def unchecked_keys(spec: Replication, rings: Mapping[str, Keyring]) -> list[Finding]:
    """Report keys that KMS did not describe: whether they are usable shows only when they are used."""
    found = []
    for end, ring in sorted(rings.items()):
        label = f"target {end}" if end else "the source"
        unknown = sorted(name for name, key in ring.keys.items() if key.state is KeyState.UNKNOWN)
        if not ring.trouble and not unknown:
            continue
        why = ring.trouble or (
            f"{', '.join(unknown)}: kms:DescribeKey is denied. Allow it in the role's policy and in the key"
            " policies, and remove any policy that denies it explicitly."
        )
        message = f"{spec.name}: KMS keys of {label} could not be checked: {why}"
        found.append(Finding(Severity.WARNING, "keys-unchecked", message, label))
    return found


def unusable_source_keys(
    spec: Replication, source: Listing, ring: Keyring, changes: Iterable[Change], unread: Iterable[str]
) -> list[Finding]:
    """Report each source key that does not decrypt, with the parameters whose values have to be read.

    `unread` are the names of source parameters whose values could not be read for this plan.
    """
    names: dict[str, set[str]] = {}
    for name in {canonical(one) for one in (*_written(changes), *unread)}:
        parameter = source.parameters.get(name)
        if parameter is None or not parameter.is_secret:
            continue
        reference = parameter.key_id or MANAGED_KEY
        key = ring.keys.get(reference)
        if key is not None and _is_unusable(reference, key):
            names.setdefault(reference, set()).add(parameter.name)
    return [_finding(spec, source, ring, key, sorted(under)) for key, under in sorted(names.items())]


def _written(changes: Iterable[Change]) -> Iterable[str]:
    """The names of the source parameters whose values are written."""
    for change in changes:
        match change.effect:
            case Create(desired=desired) | Replace(desired=desired):
                yield desired.source.name
            case Update(desired=desired, put=put, unproven=unproven) if put or unproven:
                yield desired.source.name
            case _:
                pass


def _is_unusable(reference: str, key: Key) -> bool:
    """Whether values under a key cannot be decrypted. Without its alias a key still decrypts."""
    gone = key.state is KeyState.MISSING and "alias/" not in reference
    return gone or (key.state in _STATES and key.state is not KeyState.MISSING)


def _finding(spec: Replication, source: Listing, ring: Keyring, reference: str, names: list[str]) -> Finding:
    fault, remedy = _STATES[ring.keys[reference].state]
    message = (
        f"{spec.name}: the KMS key {ring.name(reference)} {fault} in the source ({source.place}), so the"
        f" values that have to be read cannot be decrypted: {first_of(names, NAMED)}; {remedy}, or write"
        " these parameters under another key"
    )
    about = tuple(Address("", name) for name in names)
    return Finding(Severity.ERROR, "source-key", message, "the source", about)
