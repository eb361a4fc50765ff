"""One plain value -> what in it belongs to one region, if anything. The value itself is not kept.

id        an AMI, a VPC, a subnet, ...: the thing exists in one region, and elsewhere under another id
arn       an ARN in the source's region with a generated id: likewise
region    the region's name, in a host, a URL or an ARN of a name: in a target it should be the target's
"""

from __future__ import annotations

import re
from enum import StrEnum

from ssm_reconcile.model import Place

_ID = re.compile(
    r"(?<![A-Za-z0-9-])(?:ami|vpc|subnet|sg|i|vol|snap|eni|rtb|igw|nat|eipalloc|acl|tgw|fs|lt|vpce|pcx)"
    r"-(?:[0-9a-f]{17}|[0-9a-f]{8})(?![A-Za-z0-9])"
)
_GENERATED = (
    r"[^\s\"',]*(?:[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}|(?<=secret:)[^\s\"',]*-[A-Za-z0-9]{6}(?![\w-]))"
)


class Look(StrEnum):
    """What ties a value to its region, the hardest to carry over first."""

    ID = "id"
    ARN = "arn"
    REGION = "region"


def look_of(text: str, place: Place) -> Look | None:
    """What ties a plain value to the place that it was read from; None when nothing does."""
    if _ID.search(text):
        return Look.ID
    if place.region not in text:
        return None
    arn = rf"arn:aws[a-z-]*:[a-z0-9-]+:{re.escape(place.region)}:\d*:{_GENERATED}"
    if re.search(arn, text):
        return Look.ARN
    return Look.REGION if re.search(rf"(?<![a-z0-9]){re.escape(place.region)}(?!\d)", text) else None
