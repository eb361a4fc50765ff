"""JSON of AWS <-> types of this package: descriptions, values, history, tags, PutParameter. Pure.

Accepts responses with missing fields, and known faults of emulators (moto, LocalStack): a missing ARN, data
type or tier, policies that are objects instead of texts, a value without its selector.
"""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
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
from ssm_reconcile.stores.base import PastVersion, Put

if TYPE_CHECKING:
    from types_boto3_ssm.type_defs import PutParameterRequestTypeDef

CLEAR_POLICIES = "[{}]"
"""Removes all policies. AWS refuses an empty text, and an omitted field keeps them (PutParameter)."""


def parameter_of(item: Mapping[str, Any]) -> Parameter:
    """Return one item of DescribeParameters. The name stays as AWS returns it, with or without its slash.

    Texts are interned: a plan holds the listings of all places, which share most of them.
    """
    key = item.get("KeyId")
    return Parameter(
        name=intern(item["Name"]),
        type=intern(item["Type"]),
        version=item["Version"],
        last_modified=moment_of(item["LastModifiedDate"]),
        last_modified_user=intern(item.get("LastModifiedUser") or ""),
        tier=intern(item.get("Tier") or STANDARD),
        **{one.field: _attribute_of(item.get(one.api), one.default) for one in COPIED},
        # Some emulators keep the key of a SecureString that has become a String.
        key_id=intern(key) if key and item["Type"] == SECURE else None,
    )


def _attribute_of(text: Any, default: str | tuple[str, ...]) -> Any:
    return intern(text or default) if isinstance(default, str) else policies_of(text or ())


def policies_of(policies: Iterable[Any]) -> tuple[str, ...]:
    """Return policy texts as canonical JSON, sorted, without empty ones; their status is not copied."""
    texts = (one.get("PolicyText") for one in policies)
    return tuple(sorted(text for text in map(_canonical_json, texts) if text not in ("", "{}")))


def _canonical_json(text: Any) -> str:
    """Return a policy with sorted keys and no spaces; a text that is not JSON stays as it is."""
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError):
            return str(text)
    return json.dumps(text, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if text else ""


def value_of(item: Mapping[str, Any]) -> Value:
    """Return one item of GetParameters; its value is sealed."""
    return Value(
        name=canonical(item["Name"].partition(":")[0]),
        type=item["Type"],
        version=item["Version"],
        last_modified=moment_of(item["LastModifiedDate"]),
        text=SealedText(item["Value"]),
    )


def past_version_of(item: Mapping[str, Any]) -> PastVersion:
    """Return one item of GetParameterHistory; its value is sealed."""
    return PastVersion(parameter_of(item), SealedText(item["Value"]))


def tags_of(tags: Iterable[Mapping[str, Any]]) -> Tags:
    """Return tags of SSM or of the tagging API, sorted by key. Equal ones are kept in memory once."""
    pairs: list[tuple[str, str | None]] = []
    record = None
    for tag in tags:
        value = tag.get("Value", "")
        if len(value) > _SHORT and record is None:
            record = value
            pairs.append((intern(tag["Key"]), None))
        else:
            pairs.append((intern(tag["Key"]), intern(value)))
    shared = _equal_tags(tuple(sorted(pairs, key=itemgetter(0))))
    return shared if record is None else RecordedTags(shared, record)


_SHORT = 80
"""Longer tag values are records. Each record is different."""


@lru_cache(maxsize=4096)
def _equal_tags(pairs: tuple[tuple[str, str | None], ...]) -> Mapping[str, Any]:
    # Shared by all parameters with these tags: read-only by its type. A proxy could not be copied (`asdict`).
    return dict(pairs)


class RecordedTags(Mapping[str, str]):
    """The tags of a replica: its record, and a mapping for many replicas, in which the record is None."""

    __slots__ = ("_record", "_shared")

    def __init__(self, shared: Mapping[str, str | None], record: str) -> None:
        self._shared = shared
        self._record = record

    def __getitem__(self, key: str) -> str:
        value = self._shared[key]
        return self._record if value is None else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._shared)

    def __len__(self) -> int:
        return len(self._shared)

    def __contains__(self, key: object) -> bool:
        return key in self._shared

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default. The inherited method raises an exception inside."""
        value = self._shared.get(key, default)
        return self._record if value is None and key in self._shared else value

    def items(self) -> ItemsView[str, str]:
        """Return the tags as pairs. The inherited view looks up each key."""
        return {key: self._record if value is None else value for key, value in self._shared.items()}.items()

    def __repr__(self) -> str:
        return repr(dict(self))


def name_in(arn: str, place: Place) -> str | None:
    """Return the canonical name in the ARN of a parameter; None for an ARN of another place or type."""
    prefix, found, name = arn.partition(":parameter/")
    ours = prefix == f"arn:{place.partition}:ssm:{place.region}:{place.account}"
    return intern(canonical(name)) if found and ours else None


def forms(name: str) -> tuple[str, ...]:
    """Return the forms of a name in AWS: `foo` and `/foo` are one parameter (User Guide)."""
    bare = name.removeprefix("/")
    return (name,) if "/" in bare else (f"/{bare}", bare)


def put_arguments(request: Put) -> PutParameterRequestTypeDef:
    """Return all fields of a PutParameter; the effect of omitted fields is not documented.

    Fields that AWS would refuse are left out: an empty description or pattern of a create, the data type
    `text` (some partitions refuse it), the KeyId of a parameter that is not a SecureString, and empty
    policies of a tier other than Advanced (PutParameter, Policies).
    """
    arguments: PutParameterRequestTypeDef = {
        "Name": request.name,
        "Value": request.text.reveal(),
        "Type": request.type,  # type: ignore[typeddict-item]  # any type that AWS returned
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
    """Yield the names without repetition, `size` at a time, no parameter twice in a batch.

    `name:1` and `name:2` are put into different batches: AWS does not document two versions of a parameter in
    one call, and a response without selectors would be ambiguous.
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


def moment_of(stamp: Any) -> datetime:
    """Return a time of a response in UTC: seconds since the epoch, a text, or a time without a zone."""
    if isinstance(stamp, int | float):
        return datetime.fromtimestamp(stamp, tz=UTC)
    moment = stamp if isinstance(stamp, datetime) else datetime.fromisoformat(stamp)
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
