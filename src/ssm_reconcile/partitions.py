"""A region -> the partition of AWS it belongs to, from the endpoint data that botocore ships.

The data file is read as a file of an installed package: importing botocore would cost every `validate`
a third of its time. Read once a process, on first use (7 KB of JSON).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

DEFAULT = "aws"
"""The partition of a region that no partition's data matches."""
DNS_SUFFIX = "amazonaws.com"
REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}")
"""The form of a region, as the schema of the spec has it."""
_ENABLED_BY_DEFAULT = frozenset({
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
})  # fmt: skip
"""All regions of `aws` older than 2019-03-20; an account has to opt in to each later one."""
_LITERAL_PREFIX = re.compile(r"\^((?:[a-z]+\\-)+)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. `prefix` starts the name of each of its regions; empty for `aws`."""

    name: str
    dns_suffix: str
    regions: frozenset[str]
    pattern: re.Pattern[str]
    prefix: str


@cache
def partitions() -> tuple[Partition, ...]:
    """Return all partitions that botocore knows, sorted by name."""
    found = [_partition(one) for one in json.loads(_endpoint_data())["partitions"]]
    return tuple(sorted(found, key=lambda one: one.name))


def partition_of(region: str) -> str:
    """Return the name of a region's partition.

    A region that the data does not list is assigned by the pattern of region names, then by the literal
    start of that pattern: `eusc-fr-west-1` is `aws-eusc` although only `eusc-de-*` is known today.
    """
    known = partitions()
    for one in known:
        if region in one.regions:
            return one.name
    for one in known:
        if one.pattern.fullmatch(region):
            return one.name
    for one in known:
        if one.prefix and region.startswith(one.prefix):
            return one.name
    return DEFAULT


def is_opt_in(region: str) -> bool:
    """Whether an account has no access to a region before it has enabled it."""
    return partition_of(region) == DEFAULT and region not in _ENABLED_BY_DEFAULT


def dns_suffix(partition: str) -> str:
    """Return the domain of a partition's endpoints; that of `aws` for an unknown partition."""
    return next((one.dns_suffix for one in partitions() if one.name == partition), DNS_SUFFIX)


def _partition(told: dict[str, Any]) -> Partition:
    prefix = _LITERAL_PREFIX.match(told["regionRegex"])
    return Partition(
        name=told["id"],
        dns_suffix=told["outputs"]["dnsSuffix"],
        regions=frozenset(region for region in told["regions"] if REGION.fullmatch(region)),
        pattern=re.compile(told["regionRegex"]),
        prefix=prefix[1].replace("\\-", "-") if prefix else "",
    )


def _endpoint_data() -> bytes:
    """Read botocore's partitions.json without importing botocore, also from a zip archive."""
    package = find_spec("botocore")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(name="botocore")
    loader: Any = package.loader
    data: bytes = loader.get_data(f"{package.submodule_search_locations[0]}/data/partitions.json")
    return data
