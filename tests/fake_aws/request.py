"""One PutParameter as it goes over the wire, and what an accepted one leaves behind.

    Request    the fields of the call; None is a field that was left out
    Settled    a parameter's attributes after the write, every omission and default resolved

Pure. `settle` is where the open facts of `readings` decide; `rules` says what is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ssm_reconcile.model import (
    ADVANCED,
    INTELLIGENT,
    MANAGED_KEY,
    SECURE,
    STANDARD,
    STRING_LIST,
    TEXT,
    SealedText,
)
from ssm_reconcile.stores.base import Put
from tests.fake_aws.behaviour import AwsBehaviour, ListSpaces, Omitted, OmittedKey, PolicyText

STANDARD_BYTES = 4096
"""The size limit of a Standard value, in bytes (user guide, tiers)."""
ADVANCED_BYTES = 8192
"""The size limit of an Advanced value, in bytes (user guide, tiers)."""
CLEAR = "[{}]"
"""The Policies text that removes all policies (user guide, policies)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One PutParameter. `policies` is the JSON text of the whole array, `tags` pairs as they came."""

    name: str
    value: SealedText
    type: str | None = None
    overwrite: bool = False
    description: str | None = None
    allowed_pattern: str | None = field(default=None, repr=False)
    tier: str | None = None
    policies: str | None = None
    data_type: str | None = None
    key_id: str | None = None
    tags: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The attributes of one version. `policies` are the texts of single policies, as AWS shows them."""

    type: str
    value: SealedText
    description: str = ""
    allowed_pattern: str = field(default="", repr=False)
    tier: str = STANDARD
    policies: tuple[str, ...] = ()
    data_type: str = TEXT
    key_id: str | None = None


def request_of(put: Put) -> Request:
    """The request that a `Put` becomes: complete, and nothing that AWS might stumble over.

    `text` is never sent as DataType. An empty set of policies is sent as `[{}]` only where
    there can be any (`Put.is_clearing`).
    """
    policies: str | None = None
    if put.policies:
        policies = f"[{','.join(put.policies)}]"
    elif put.is_clearing:
        policies = CLEAR
    return Request(
        name=put.name,
        value=put.text,
        type=put.type,
        overwrite=put.overwrite,
        description=put.description if put.description or put.overwrite else None,
        allowed_pattern=put.allowed_pattern if put.allowed_pattern or put.overwrite else None,
        tier=put.tier,
        policies=policies,
        data_type=None if put.data_type == TEXT else put.data_type,
        key_id=put.key_id,
        tags=None if put.tags is None else tuple(put.tags.items()),
    )


def settle(request: Request, present: Settled | None, readings: AwsBehaviour, *, crowded: bool) -> Settled:
    """The attributes after the write, if it is accepted.

    `present` is what was there (None: nothing), `crowded` that the region holds all the Standard
    parameters it may, which makes Intelligent-Tiering choose Advanced.
    """
    kind = request.type or (present.type if present else "")
    value = SealedText(_value(request.value.reveal(), kind, readings))
    policies = _policies(request.policies, present, readings)
    return Settled(
        type=kind,
        value=value,
        description=_kept(request.description, present.description if present else ""),
        allowed_pattern=_omittable(
            request.allowed_pattern, present.allowed_pattern if present else "", "", readings.pattern_omitted
        ),
        tier=_tier(request, present, readings, value, policies, crowded=crowded),
        policies=policies,
        data_type=_omittable(
            request.data_type, present.data_type if present else TEXT, TEXT, readings.data_type_omitted
        ),
        key_id=_key(request, present, readings) if kind == SECURE else None,
    )


def _value(text: str, kind: str, readings: AwsBehaviour) -> str:
    if kind == STRING_LIST and readings.list_spaces is ListSpaces.STRIPPED:
        return ",".join(item.strip(" ") for item in text.split(","))
    return text


def _kept(given: str | None, before: str) -> str:
    return before if given is None else given


def _omittable(given: str | None, before: str, otherwise: str, rule: Omitted) -> str:
    if given is not None:
        return given
    return before if rule is Omitted.KEPT else otherwise


def _key(request: Request, present: Settled | None, readings: AwsBehaviour) -> str:
    if request.key_id is not None:
        return request.key_id
    if present is not None and present.key_id is not None and readings.key_omitted is OmittedKey.KEPT:
        return present.key_id
    return MANAGED_KEY


def _tier(
    request: Request,
    present: Settled | None,
    readings: AwsBehaviour,
    value: SealedText,
    policies: Sequence[str],
    *,
    crowded: bool,
) -> str:
    """Intelligent-Tiering is a request, never a state, and never downgrades."""
    before = present.tier if present else STANDARD
    asked = _omittable(request.tier, before, STANDARD, readings.tier_omitted)
    if asked != INTELLIGENT:
        return asked
    large = len(value.reveal().encode("utf-8", "surrogatepass")) > STANDARD_BYTES
    needs = before == ADVANCED or large or bool(policies) or (crowded and present is None)
    return ADVANCED if needs else STANDARD


def _policies(text: str | None, present: Settled | None, readings: AwsBehaviour) -> tuple[str, ...]:
    """Omitted policies are kept, `[{}]` clears, a new set replaces all. Bad JSON settles to none."""
    if text is None:
        return present.policies if present else ()
    found = parse_policies(text) or []
    return tuple(_policy_text(policy, readings) for policy in found)


def parse_policies(text: str) -> list[dict[str, Any]] | None:
    """The policies of a Policies text; empty for `[{}]`, None when it is not a JSON array of objects."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(policy, dict) for policy in found):
        return None
    return [] if found == [{}] else found


def _policy_text(policy: dict[str, Any], readings: AwsBehaviour) -> str:
    if readings.policy_text is PolicyText.KEPT:
        return json.dumps(policy)
    moment = expiration(policy)
    if moment is not None:
        stamp = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        policy = {**policy, "Attributes": {**policy["Attributes"], "Timestamp": stamp}}
    return canonical_policy(policy)


def canonical_policy(policy: dict[str, Any]) -> str:
    """One policy as canonical JSON: sorted keys, no spaces."""
    return json.dumps(policy, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def expiration(policy: dict[str, Any]) -> datetime | None:
    """When an Expiration policy falls due; None for other policies and unreadable times."""
    if policy.get("Type") != "Expiration":
        return None
    try:
        moment = datetime.fromisoformat(policy["Attributes"]["Timestamp"])
    except (KeyError, TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
