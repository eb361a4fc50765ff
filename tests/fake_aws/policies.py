"""Parameter policies that AWS refuses: Policies + the tier -> nothing, or a refusal.

Source: user guide, "Assigning parameter policies".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ssm_reconcile.model import ADVANCED
from tests.fake_aws.behaviour import AwsBehaviour, Expired
from tests.fake_aws.refusal import Refusal, invalid
from tests.fake_aws.request import expiration, parse_policies

POLICIES = 10
POLICIES_CHARACTERS = 4096
_ATTRIBUTES = {
    "Expiration": ("Timestamp",),
    "ExpirationNotification": ("Before", "Unit"),
    "NoChangeNotification": ("After", "Unit"),
}


def check_policies(text: str, tier: str, now: datetime, readings: AwsBehaviour) -> None:
    """Refuses policies that AWS does not take: form, number, types, attributes, tier, a time that is past."""
    if not 1 <= len(text) <= POLICIES_CHARACTERS:
        raise invalid(f"Policies has 1 to {POLICIES_CHARACTERS} characters")
    found = parse_policies(text)
    if found is None:
        raise Refusal("InvalidPolicyAttributeException", "Policies is not a JSON array of policies")
    if len(found) > POLICIES:
        raise Refusal("PoliciesLimitExceededException", f"a parameter has at most {POLICIES} policies")
    for policy in found:
        _check_policy(policy)
    if sum(policy["Type"] == "Expiration" for policy in found) > 1:
        raise Refusal("IncompatiblePolicyException", "a parameter expires once")
    if found and tier != ADVANCED:
        raise invalid("parameter policies need the tier Advanced")
    if readings.past_expiration is Expired.REFUSED and any(is_past(policy, now) for policy in found):
        raise Refusal("InvalidPolicyAttributeException", "the Expiration is past")


def _check_policy(policy: dict[str, Any]) -> None:
    kind = policy.get("Type")
    if kind not in _ATTRIBUTES:
        raise Refusal("InvalidPolicyTypeException", f"a policy is one of {', '.join(_ATTRIBUTES)}")
    attributes = policy.get("Attributes")
    wanted = _ATTRIBUTES[kind]
    if not isinstance(attributes, dict) or not all(
        isinstance(attributes.get(name), str) and attributes[name] for name in wanted
    ):
        raise Refusal("InvalidPolicyAttributeException", f"{kind} needs {' and '.join(wanted)}")
    if kind == "Expiration":
        if expiration(policy) is None:
            raise Refusal("InvalidPolicyAttributeException", "the Timestamp is not a time")
        return
    if attributes["Unit"] not in ("Days", "Hours") or not attributes[wanted[0]].isdigit():
        raise Refusal("InvalidPolicyAttributeException", f"{kind} counts Days or Hours")


def is_past(policy: dict[str, Any], now: datetime) -> bool:
    """Whether a policy is an Expiration that has fallen due."""
    moment = expiration(policy)
    return moment is not None and moment <= now
