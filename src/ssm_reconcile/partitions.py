"""A region -> its AWS partition, from the endpoint data of botocore (data/partitions.json).

The file is read without importing botocore, which would take a third of the time of `validate`. It has 7 KB
and is read once in a process, at first use.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

DEFAULT = "aws"
"""The partition of a region that matches no partition in the data."""
DNS_SUFFIX = "amazonaws.com"
REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}")
"""The form of a region name; the schema of the spec has the same pattern."""
_ENABLED_BY_DEFAULT = frozenset({
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
})  # fmt: skip
"""Regions of `aws` from before 2019-03-20; an account must enable each later one (AWS Account Management)."""
_LITERAL_PREFIX = re.compile(r"\^((?:[a-z]+\\-)+)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. The name of each of its regions starts with `prefix`, which is empty for `aws`."""

    name: str
    dns_suffix: str
    regions: frozenset[str]
    pattern: re.Pattern[str]
    prefix: str


@cache
def partitions() -> tuple[Partition, ...]:
    """Return all partitions in the data, sorted by name."""
    found = [_partition(one) for one in json.loads(_endpoint_data())["partitions"]]
    return tuple(sorted(found, key=lambda one: one.name))


def partition_of(region: str) -> str:
    """Return the name of a region's partition.

    A region that the data does not list belongs to the partition whose pattern matches, else to the one with
    the same literal start: `eusc-fr-west-1` is in `aws-eusc`, although the pattern is `eusc-de-*` today.
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
    """Whether an account must enable a region before it can use it."""
    return partition_of(region) == DEFAULT and region not in _ENABLED_BY_DEFAULT


def dns_suffix(partition: str) -> str:
    """Return the DNS suffix of the endpoints of a partition; that of `aws` for an unknown partition."""
    return next((one.dns_suffix for one in partitions() if one.name == partition), DNS_SUFFIX)


def _partition(data: dict[str, Any]) -> Partition:
    prefix = _LITERAL_PREFIX.match(data["regionRegex"])
    return Partition(
        name=data["id"],
        dns_suffix=data["outputs"]["dnsSuffix"],
        regions=frozenset(region for region in data["regions"] if REGION.fullmatch(region)),
        pattern=re.compile(data["regionRegex"]),
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
