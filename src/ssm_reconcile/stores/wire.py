"""AWS's JSON <-> our nouns: what DescribeParameters, GetParameters and tags say, what PutParameter wants.

Pure. Tolerates what AWS leaves out and what emulators get wrong (aws-facts A1, E): a missing ARN, data
type or tier, policy texts that are objects already, an answer without its selector.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from sys import intern
from typing import TYPE_CHECKING, Any

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.model import (
    SECURE,
    STANDARD,
    Parameter,
    Place,
    SealedText,
    Tags,
    Value,
    canonical,
    sorted_tags,
)
from ssm_reconcile.stores.base import Put

if TYPE_CHECKING:
    from types_boto3_ssm.type_defs import PutParameterRequestTypeDef

CLEAR_POLICIES = "[{}]"
"""What removes all policies; an empty text is refused, an omitted one keeps them (aws-facts B4)."""


def parameter_of(told: Mapping[str, Any]) -> Parameter:
    """One item of DescribeParameters. The name stays as AWS gives it, with or without its slash.

    Texts that many parameters or places share are kept once: a plan holds every listing in memory.
    """
    key = told.get("KeyId")
    return Parameter(
        name=intern(told["Name"]),
        type=intern(told["Type"]),
        version=told["Version"],
        last_modified=_aware(told["LastModifiedDate"]),
        last_modified_user=intern(told.get("LastModifiedUser") or ""),
        tier=intern(told.get("Tier") or STANDARD),
        **{one.field: _attribute_of(told.get(one.api), one.default) for one in COPIED},
        # Some emulators keep the key of a SecureString that has become a String.
        key_id=intern(key) if key and told["Type"] == SECURE else None,
    )


def _attribute_of(told: Any, default: str | tuple[str, ...]) -> Any:
    return intern(told or default) if isinstance(default, str) else policies_of(told or ())


def policies_of(told: Iterable[Any]) -> tuple[str, ...]:
    """Policy texts as canonical JSON, sorted; empty policies are none. Their status is no attribute."""
    texts = (one.get("PolicyText") for one in told)
    return tuple(sorted(text for text in map(_canonical_json, texts) if text not in ("", "{}")))


def _canonical_json(text: Any) -> str:
    """The one form of a policy: keys sorted, no spaces; what is no JSON stays as it is."""
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError):
            return str(text)
    return json.dumps(text, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if text else ""


def value_of(told: Mapping[str, Any]) -> Value:
    """One item of GetParameters, sealed at once."""
    return Value(
        name=canonical(told["Name"].partition(":")[0]),
        type=told["Type"],
        version=told["Version"],
        last_modified=_aware(told["LastModifiedDate"]),
        text=SealedText(told["Value"]),
    )


def tags_of(told: Iterable[Mapping[str, Any]]) -> Tags:
    """Tags as SSM and the tagging API write them, sorted by key."""
    pairs = sorted((intern(tag["Key"]), _shared(tag.get("Value", ""))) for tag in told)
    return dict(pairs)


_SHORT = 80
"""Longer tag values are records, and no two of them are the same."""


def _shared(text: str) -> str:
    return intern(text) if len(text) <= _SHORT else text


def name_in(arn: str, place: Place) -> str | None:
    """The canonical name in a parameter's ARN; None for what is not a parameter of this place."""
    prefix, found, name = arn.partition(":parameter/")
    ours = prefix == f"arn:{place.partition}:ssm:{place.region}:{place.account}"
    return intern(canonical(name)) if found and ours else None


def forms(name: str) -> tuple[str, ...]:
    """How AWS may have stored a name: `foo` and `/foo` are one parameter (aws-facts B6)."""
    bare = name.removeprefix("/")
    return (name,) if "/" in bare else (f"/{bare}", bare)


def put_arguments(request: Put) -> PutParameterRequestTypeDef:
    """The fields of a PutParameter, complete, since what AWS does with omitted ones is unknown (B5).

    Left out are those that AWS would refuse or that mean their own absence: an empty description or
    pattern on a create, the data type `text` (some partitions refuse it, B8), a KeyId of what is no
    SecureString, and no policies where none can be (B4: only Advanced has them).
    """
    arguments: PutParameterRequestTypeDef = {
        "Name": request.name,
        "Value": request.text.reveal(),
        "Type": request.type,  # type: ignore[typeddict-item]  # whatever AWS itself said it is
        "Overwrite": request.overwrite,
        "Tier": request.tier,  # type: ignore[typeddict-item]  # the same
    }
    if request.is_clearing:
        arguments["Policies"] = CLEAR_POLICIES
    for one in COPIED:
        value = getattr(request, one.field)
        if isinstance(value, tuple) and value:
            arguments[one.api] = f"[{','.join(value)}]"  # type: ignore[literal-required]  # of the table
        elif isinstance(value, str) and (value != one.default or (request.overwrite and one.in_place)):
            arguments[one.api] = value  # type: ignore[literal-required]  # of the table
    if request.type == SECURE and request.key_id is not None:
        arguments["KeyId"] = request.key_id
    if request.tags:
        arguments["Tags"] = [{"Key": key, "Value": value} for key, value in sorted_tags(request.tags)]
    return arguments


def batches(names: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    """Names without repetition, `size` at a time, no parameter twice in a batch.

    What AWS does with a parameter that is asked twice in one call is unknown (aws-facts G11), and
    an answer without a selector could not be told apart.
    """
    layers: list[dict[str, str]] = []
    for name in dict.fromkeys(names):
        base = canonical(name).partition(":")[0]
        layer = next((one for one in layers if base not in one), None)
        if layer is None:
            layers.append(layer := {})
        layer[base] = name
    for layer in layers:
        asked = tuple(layer.values())
        for start in range(0, len(asked), size):
            yield asked[start : start + size]


def _aware(moment: datetime) -> datetime:
    """A time with its zone; botocore gives one, in the local zone."""
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
