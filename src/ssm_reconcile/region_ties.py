"""One plain value -> what in it belongs to one region, if anything. The value itself is not kept.

id        an AMI, a VPC, a subnet, ...: the thing exists in one region, and elsewhere under another id
arn       an ARN in the source's region with a generated id: likewise
region    the region's name, in a host, a URL or an ARN of a name: in a target it should be the target's
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

_ID = re.compile(
    r"(?<![A-Za-z0-9-])(?:ami|vpc|subnet|sg|i|vol|snap|eni|rtb|igw|nat|eipalloc|acl|tgw|fs|lt|vpce|pcx"
    r"|sgr|vpce-svc)-(?:[0-9a-f]{17}|(?=[0-9]{0,7}[a-f])[0-9a-f]{8})(?![A-Za-z0-9])"
)
"""Eight digits without a letter are more often a date or a number."""
_GENERATED = (
    r"[^\s\"',]*(?:[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}|(?<=secret:)[^\s\"',]*-[A-Za-z0-9]{6}(?![\w-]))"
)


class RegionTie(StrEnum):
    """What ties a value to its region, the hardest to carry over first."""

    ID = "id"
    ARN = "arn"
    REGION = "region"


def region_tie(text: str, region: str) -> RegionTie | None:
    """Return what ties a plain value to the region that it was read from; None when nothing does."""
    if _ID.search(text):
        return RegionTie.ID
    if region not in text.lower():
        return None
    arn = rf"arn:aws[a-z-]*:[a-z0-9-]+:{re.escape(region)}:\d*:{_GENERATED}"
    if re.search(arn, text):
        return RegionTie.ARN
    return RegionTie.REGION if re.search(rf"(?<![a-z0-9]){re.escape(region)}(?!\d)", text.lower()) else None


def remaining_tie(before: str, after: str, region: str) -> RegionTie | None:
    """Return what still ties a value to its region after the rewrites; None when nothing does.

    Only what the rewrites left as it was counts. The bare name of a region is not a tie here.
    """
    if any(found[0] in before for found in _ID.finditer(after)):
        return RegionTie.ID
    if region not in after.lower():
        return None
    pattern = _host_or_arn(region)
    return RegionTie.REGION if pattern.search(after) and pattern.search(before) else None


@lru_cache
def _host_or_arn(region: str) -> re.Pattern[str]:
    """Return the pattern of an ARN in a region, and of a host name with the region as a label."""
    name = re.escape(region)
    return re.compile(
        rf"arn:aws[a-z-]{{0,12}}:[a-z0-9-]{{1,40}}:{name}:|(?<![A-Za-z0-9]){name}\.[a-z]"
        rf"|[a-z0-9]\.{name}(?![a-z0-9-])",
        re.IGNORECASE,
    )
