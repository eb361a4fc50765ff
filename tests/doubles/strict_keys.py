"""moto's KMS as the strict SSM asks it: a reference in a place -> is it usable, which key, how shown."""

from __future__ import annotations

from typing import Any

from moto.kms.models import kms_backends

from ssm_reconcile.model import KeyState, Place
from tests.fake_aws.behaviour import AwsBehaviour, KeyForm

_STATES = {"Enabled": KeyState.USABLE, "PendingDeletion": KeyState.PENDING_DELETION}


def key_id_of(place: Place, reference: str) -> str | None:
    """The key id that a reference means in that place; None for AWS's own keys and unknown ones."""
    if reference.startswith("arn:"):
        parts = reference.split(":", 5)
        if len(parts) < 6 or parts[2:5] != ["kms", place.region, place.account]:
            return None
        reference = parts[5].removeprefix("key/")
    keys: dict[str, Any] = kms_backends[place.account][place.region].keys
    if reference.startswith("alias/"):
        return next((key_id for key_id, key in keys.items() if reference in key.aliases), None)
    return reference if reference in keys else None


def key_state(place: Place, reference: str) -> KeyState:
    """Return the state of a key in a place. AWS creates its managed key at the first use: it always works."""
    if reference.rsplit(":", maxsplit=1)[-1].startswith("alias/aws/"):
        return KeyState.USABLE
    key_id = key_id_of(place, reference)
    return KeyState.MISSING if key_id is None else state_of(place, key_id)


def state_of(place: Place, key_id: str) -> KeyState:
    """Return the state of a key that may be deleted."""
    key = kms_backends[place.account][place.region].keys.get(key_id)
    if key is None:
        return KeyState.MISSING
    if key.key_spec != "SYMMETRIC_DEFAULT" or key.key_usage not in (None, "ENCRYPT_DECRYPT"):
        return KeyState.UNSUITABLE  # symmetric keys only (KMS guide); moto's None is the usual usage
    return _STATES.get(key.key_state, KeyState.DISABLED)


def reported(place: Place, reference: str, readings: AwsBehaviour) -> str:
    """Return the name that DescribeParameters shows for this key reference."""
    key_id = key_id_of(place, reference)
    if key_id is None or "alias/" in reference or readings.key_form is KeyForm.AS_GIVEN:
        return reference
    if readings.key_form is KeyForm.KEY_ID:
        return key_id
    aliases = sorted(kms_backends[place.account][place.region].keys[key_id].aliases)
    return aliases[0] if aliases else reference
