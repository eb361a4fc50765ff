"""Limits, quotas, naming rules and partitions of AWS that more than one module needs, each of them once.

The sources of limits and names are pages of the AWS Systems Manager API reference and of the AWS General
Reference; they are named at each fact. Nothing here is computed from a response of AWS.

Partitions come from the endpoint data of botocore (data/partitions.json). That file has 7 KB and is read at
the first use, without importing botocore, which would take a third of the time of `validate`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from typing import Any

NAME_LIMIT = 1011
"""Characters of a parameter name, the ARN prefix of its account and region included (PutParameter, Name)."""
LEVEL_LIMIT = 15
"""Levels of a hierarchical parameter name (PutParameter, HierarchyLevelLimitExceededException)."""
TAG_LIMIT = 50
"""Tags of one parameter; tags with the prefix `aws:` are not counted (AddTagsToResource)."""
TAG_VALUE_LIMIT = 256
"""Characters of the value of a tag (AddTagsToResource, Tag)."""
STANDARD_BYTES = 4096
"""Bytes of UTF-8 of the value of a Standard parameter (PutParameter, Value)."""
ADVANCED_BYTES = 8192
"""Bytes of UTF-8 of the value of an Advanced parameter (PutParameter, Value)."""
PATTERN_LIMIT = 1024
"""Characters of an AllowedPattern (PutParameter, AllowedPattern)."""
VERSION_LIMIT = 100
"""Versions that AWS keeps of a parameter (PutParameter, ParameterMaxVersionLimitExceeded)."""
POLICY_LIMIT = 10
"""Policies of one parameter (PutParameter, PoliciesLimitExceededException)."""
PARAMETER_LIMITS: Mapping[str, int] = {"Standard": 10_000, "Advanced": 100_000}
"""Parameters of each tier in one account and region (General Reference, Systems Manager quotas)."""
NAMES_PER_CALL = 10
"""Names in one GetParameters or DeleteParameters."""
DELETE_SECONDS = 30.0
"""Seconds to wait after DeleteParameters before the name is created again (DeleteParameters)."""

RESERVED_PREFIXES = ("aws", "ssm")
RESERVED_TAG_PREFIX = "aws:"
"""Tag keys that only AWS services write."""


def is_reserved_name(name: str) -> bool:
    """Whether AWS refuses to write a name: one whose first level starts with `aws` or `ssm` in any case.

    Source: PutParameter, Name. `/awsome/url` is reserved too; `/my/aws` is not.

    Args:
        name: a parameter name, or the start of one, with or without its leading slash.
    """
    return name.removeprefix("/").lower().startswith(RESERVED_PREFIXES)


class CallClass(StrEnum):
    """Operations that share one rate in one account and region; names of the key `rates` of the spec."""

    DESCRIBE = "describe"
    GET = "get"
    PUT = "put"
    DELETE = "delete"
    TAGS = "tags"
    LIST_TAGS = "list_tags"
    RESOURCES = "resources"
    KMS = "kms"


PROBED = frozenset({CallClass.PUT, CallClass.TAGS, CallClass.LIST_TAGS, CallClass.DELETE, CallClass.DESCRIBE})
"""The classes that probing may raise. Running applications share the quotas of reads and of KMS."""
_WRITES = frozenset({CallClass.PUT, CallClass.DELETE, CallClass.TAGS})


def used_classes(*, read_only: bool) -> tuple[CallClass, ...]:
    """Return the classes of operations in one place: those of writes are used at targets only."""
    return tuple(kind for kind in CallClass if not (read_only and kind in _WRITES))


CALL_RATES: Mapping[str, float] = {
    CallClass.DESCRIBE: 5,  # the quota is not public; AWS throttles after about 20 calls in a second
    CallClass.GET: 30,  # GetParameter, GetParameters and GetParametersByPath share 40 (General Reference)
    CallClass.PUT: 3,  # AWS Support named 3; other tools assume 40; a burst of 20 was accepted
    CallClass.DELETE: 5,  # the quota is not public; AWS throttles these calls too
    CallClass.TAGS: 5,  # AddTagsToResource and RemoveTagsFromResource: the quota is not public
    CallClass.LIST_TAGS: 5,  # the same; the setting for higher throughput does not raise it
    CallClass.RESOURCES: 10,  # GetResources: 15 (General Reference, Resource Groups Tagging API)
    CallClass.KMS: 50,  # ListAliases 500, DescribeKey 2,000, shared by all callers in the account
}
"""Calls per second by class; safe in an account where no quota has been raised."""
HIGHER_THROUGHPUT_PUT_RATE = 10.0
"""PutParameter calls per second where the setting for higher throughput is on.

AWS Support named 10 (github-aws-runners/terraform-aws-github-runner#2944); the page of PutParameter says that
the setting raises this quota, without a number. GetParameters is not raised here: running applications share
its quota.
"""

CALL_CLASSES: Mapping[str, CallClass] = {
    "DescribeParameters": CallClass.DESCRIBE,
    "GetServiceSetting": CallClass.DESCRIBE,
    "GetParameterHistory": CallClass.DESCRIBE,  # its quota is not public
    "GetCallerIdentity": CallClass.DESCRIBE,
    "GetParameters": CallClass.GET,
    "PutParameter": CallClass.PUT,
    "DeleteParameters": CallClass.DELETE,
    "AddTagsToResource": CallClass.TAGS,
    "RemoveTagsFromResource": CallClass.TAGS,
    "ListTagsForResource": CallClass.LIST_TAGS,
    "GetResources": CallClass.RESOURCES,
    "DescribeKey": CallClass.KMS,
    "ListAliases": CallClass.KMS,
}
"""The class of each operation."""
OPERATIONS: Mapping[CallClass, str] = {kind: name for name, kind in reversed(tuple(CALL_CLASSES.items()))}
"""The operation that names each class in messages: its first one."""


DEFAULT_PARTITION = "aws"
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
    return DEFAULT_PARTITION


def is_opt_in(region: str) -> bool:
    """Whether an account must enable a region before it can use it."""
    return partition_of(region) == DEFAULT_PARTITION and region not in _ENABLED_BY_DEFAULT


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
