"""Limits, quotas and naming rules of AWS that more than one module needs, each of them once.

The sources are pages of the AWS Systems Manager API reference and of the AWS General Reference; they are
named at each fact. Nothing here is computed from a response of AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

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

CALL_CLASSES: Mapping[str, CallClass] = {
    "DescribeParameters": CallClass.DESCRIBE,
    "GetServiceSetting": CallClass.DESCRIBE,
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
"""The class of each operation. The first operation of a class names it in messages."""
